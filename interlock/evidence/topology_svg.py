"""How are disks, mounts, containers and paths drawn? One SVG in four columns, the same bytes for the same findings, that needs nothing beside itself.

What is broken is red, thick, dashed and crossed out, and its box names the guardrail: it reads in black and white. What does not fit into a box is cut, and
whole in its `<title>`. `interlock.evidence.svg_shapes` has the boxes and lines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, assert_never

from interlock.evidence.details import Details, HeldLines
from interlock.evidence.record import Record, family
from interlock.evidence.svg_shapes import (
    GAP,
    LINE,
    PAD,
    PORT,
    STYLE,
    WIDTH,
    Shape,
    Text,
    Tone,
    Wire,
    box_svg,
    boxed,
    joint_svg,
    legend_svg,
    safe,
    text_svg,
    wires_svg,
)
from interlock.evidence.svg_text import BOLD, HEADING, MONO, SANS, cut, wrapped
from interlock.evidence.topology_labels import TONES, Labels, Place, nameless, titled
from interlock.evidence.visible import visible
from interlock.evidence.wording import number as counted
from interlock.facts.topology import (
    FAMILIES,
    OF_THE_DISK,
    OF_THE_PATH,
    Box,
    Disk,
    Finding,
    HostMount,
    HostTopology,
    InnerPath,
    Presence,
    Spot,
    Topology,
    placed,
)
from interlock.nouns import dataclass
from interlock.verdicts import Outcome, Pair

MOST_FINDINGS = 2_000  # of one picture: what is not held first comes first
GROUP_FROM = 17  # from so many containers on a host, those that are alike share a box
_ALIKE = 4  # paths of a container that are alike, before they share a row

_DISK, _MOUNT, _BOX, _PATH = (16, 244), (322, 262), (704, 172), (904, 280)  # left edge and width of each column


class Picture(NamedTuple):
    """What is drawn: a topology, and what a run found about it."""

    topology: Topology
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, record: Record, details: Details, topology: Topology | None) -> Picture | None:
        """The picture of a run; None without a topology. Reads the details once."""
        return cls(topology, findings_of(record, details)) if topology is not None else None


def findings_of(record: Record, details: Details) -> tuple[Finding, ...]:
    """What a run says of disks, mounts and state directories, one for each detail, what does not hold first. Reads the details once."""
    verdicts = {verdict.pair: verdict for verdict in record.verdicts if family(verdict.guardrail) in FAMILIES}
    found: list[Finding] = []
    held: list[Finding] = []
    for line in details() if verdicts else ():
        guardrail, subject = (line.guardrail, line.subject) if isinstance(line, HeldLines) else (line["guardrail"], line["subject"])
        verdict = verdicts.get(Pair(guardrail, subject))
        if verdict is None:
            continue
        if isinstance(line, HeldLines):
            new = [Finding(guardrail=guardrail, subject=subject, host=verdict.host, outcome=Outcome.HELD, what=what, message="") for what in line.whats[:50]]
            held += new if len(held) < MOST_FINDINGS else []
            continue
        finding = Finding(guardrail=guardrail, subject=subject, host=verdict.host, outcome=Outcome(line["outcome"]), what=line["what"], message=line["message"])
        kept = held if finding.outcome is Outcome.HELD else found
        if len(kept) < MOST_FINDINGS:
            kept.append(finding)
    for verdict in verdicts.values():
        if not verdict.details.total and verdict.outcome in (Outcome.BROKEN, Outcome.UNPROVEN):
            found.append(
                Finding(guardrail=verdict.guardrail, subject=verdict.subject, host=verdict.host, outcome=verdict.outcome, what="", message=verdict.message)
            )
    return (*found, *held[: max(0, MOST_FINDINGS - len(found))])


def render(picture: Picture) -> Iterator[str]:
    """The whole SVG, to be written into a file or into a page as it is."""
    yield from _Drawing(picture.topology, picture.findings).drawn()


# ---- what is drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A path of a container as it is drawn: `inner` may stand for `more` others that are alike."""

    inner: InnerPath
    tone: Tone
    findings: tuple[Finding, ...]
    differs: bool
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A container as it is drawn, or several that are alike."""

    box: Box
    names: tuple[str, ...]
    tone: Tone
    findings: tuple[Finding, ...]
    rows: tuple[_Row, ...]

    @property
    def place(self) -> Place:
        return Place(self.box.name, others=(self.box.container,))

    def place_of(self, row: _Row) -> Place:
        """Of a path in it."""
        return Place(self.box.name, row.inner.path, (self.box.container, row.inner.source))


def _holds(findings: Sequence[Finding], guardrails: Collection[str]) -> bool:
    """Whether one of these guardrails says so."""
    return any(finding.outcome is Outcome.HELD and finding.guardrail in guardrails for finding in findings)


def _tone_with(findings: Sequence[Finding], seen: Tone) -> Tone:
    """The gravest of what was found, and of what is seen without any verdict."""
    return max((TONES[finding.outcome] for finding in findings), default=seen) if seen <= Tone.HELD else max(seen, _tone_with(findings, Tone.NOT_JUDGED))


class _Drawing:
    """A topology and what was found, laid out from the top down."""

    def __init__(self, topology: Topology, findings: tuple[Finding, ...]) -> None:
        self._topology = topology
        self._at, elsewhere = placed(topology, findings)
        self._elsewhere = tuple(finding for finding in elsewhere if finding.outcome in (Outcome.BROKEN, Outcome.UNPROVEN))
        self._findings = findings

    @property
    def words(self) -> str:
        """One paragraph: what is there, and each thing that does not hold."""
        hosts = self._topology.hosts
        there = (
            f"{counted(sum(len(host.disks) for host in hosts), 'disk')}, {counted(sum(len(host.mounts) for host in hosts), 'mount')}, "
            f"{counted(sum(len(host.containers) for host in hosts), 'container')} on {counted(len(hosts), 'host')}."
        )
        bad = [finding for finding in self._findings if finding.outcome in (Outcome.BROKEN, Outcome.UNPROVEN, Outcome.WAIVED)]
        said = [f"{finding.outcome.value}: {finding.guardrail}, {finding.what or finding.subject}: {finding.message}." for finding in bad[:20]]
        more = [f"And {len(bad) - 20} more."] if len(bad) > 20 else []
        return visible(" ".join([there, *(said or ["Nothing that was judged is broken or unproven."]), *more]))

    def drawn(self) -> Iterator[str]:
        """The SVG, a piece at a time."""
        body: list[str] = []
        y = 16
        for index, host in enumerate(self._topology.hosts):
            drawing = _Host(index, host, self._at)
            body += drawing.at(y)
            y = drawing.bottom + 28
        y = self._list_the_rest(body, y)
        y = legend_svg(body, _DISK[0], y)
        title = f"Disks, mounts, containers and paths of {self._topology.site}"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="il-topology" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
            'role="graphics-document document" aria-labelledby="il-topology-title il-topology-desc">\n'
        )
        yield f'<title id="il-topology-title">{safe(title)}</title>\n<desc id="il-topology-desc">{safe(self.words)}</desc>\n<style>{STYLE}</style>\n'
        yield f'<rect class="paper" x="0" y="0" width="{WIDTH}" height="{y}"/>\n'
        yield from (f"{piece}\n" for piece in body)
        yield "</svg>\n"

    def _list_the_rest(self, body: list[str], y: int) -> int:
        """What does not hold and is about nothing in the picture stands below it: nothing is lost."""
        if not self._elsewhere:
            return y
        body.append(text_svg(_DISK[0], y, "head", "Found, and not in the drawing"))
        shown = self._elsewhere[:12]
        for finding in shown:
            y += LINE + 2
            css = "bad" if finding.outcome is Outcome.BROKEN else "odd"
            said = f"{finding.outcome.value.upper()} {finding.guardrail} [{finding.subject}] {finding.message}"
            body.append(f'<g role="graphics-symbol img"><title>{safe(said)}</title>{text_svg(_DISK[0], y, css, cut(said, WIDTH - 32, BOLD))}</g>')
        if len(self._elsewhere) > len(shown):
            y += LINE + 2
            body.append(text_svg(_DISK[0], y, "dim", f"and {len(self._elsewhere) - len(shown)} more"))
        return y + 28


class _Host:
    """One host: its columns, and the lines between them."""

    def __init__(self, index: int, host: HostTopology, at: Mapping[Spot, tuple[Finding, ...]]) -> None:
        self._index, self._host, self._at = index, host, at
        self.bottom = 0
        self._mount_tones = [self._tone_of_mount(number) for number in range(len(host.mounts))]
        groups = [self._group(number, box) for number, box in enumerate(host.containers)]
        self._groups = _grouped(sorted(groups, key=lambda group: -group.tone if group.tone > Tone.HELD else 0))  # what needs a human stands at the top

    def at(self, top: int) -> list[str]:
        """Everything of this host, from `top` on."""
        host = self._host
        looked = f"looked at {host.taken_at}" if host.taken_at else "not looked at"
        pieces = [text_svg(_DISK[0], top + 12, "host", cut(f"host {visible(host.host)}", 300, HEADING))]
        said = "; ".join(part for part in (host.unseen or looked, host.engine) if part)
        pieces.append(
            f"<g><title>{safe(said)}</title>{text_svg(_MOUNT[0], top + 12, 'odd' if host.unseen else 'dim', cut(said, WIDTH - _MOUNT[0] - 16, SANS))}</g>"
        )
        heads = top + 36
        pieces += [text_svg(column[0], heads, "head", name) for column, name in zip((_DISK, _MOUNT, _BOX, _PATH), _HEADS, strict=True)]
        start = heads + 12
        boxes, rows = self._boxes(start)
        mounts = self._mounts(start)
        disks = self._disks(start, mounts)
        pieces += wires_svg(disks, _MOUNT[0], self._disk_wires(mounts))
        pieces += wires_svg(mounts, _BOX[0], self._mount_wires(rows))
        pieces += [joint_svg(box, shape) for box, mine in zip(boxes, rows, strict=True) for shape in mine]
        pieces += [box_svg(shape, "disk") for shape in disks] + [box_svg(shape, "mount") for shape in mounts]
        pieces += [box_svg(shape, "container") for shape in boxes] + [box_svg(shape, "path") for group in rows for shape in group]
        self.bottom = max([start + 20, *(shape.y + shape.height for shape in (*disks, *mounts, *boxes))])
        if not boxes:
            pieces.append(text_svg(_BOX[0], start + 14, "dim", "not looked at" if host.unseen else "no container or service stands on them"))
        if host.others:
            self.bottom += 20
            many = "1 container touches" if host.others == 1 else f"{host.others} containers touch"
            pieces.append(text_svg(_BOX[0], self.bottom, "dim", f"{many} none of these disks"))
        return pieces

    # ---- columns

    def _disks(self, start: int, mounts: Sequence[Shape]) -> list[Shape]:
        """Beside the first mount that is on it, or should be; never one over the other."""
        wanted = {}
        for number in range(len(self._host.disks)):
            mine = [shape.middle for mount, shape in zip(self._host.mounts, mounts, strict=True) if number in (mount.disk, mount.expected)]
            wanted[number] = min(mine, default=start)
        shapes: dict[int, Shape] = {}
        y = start
        for number in sorted(wanted, key=lambda one: (wanted[one], one)):
            shape = self._disk(number)
            shapes[number] = replace(shape, y=max(y, wanted[number] - shape.height // 2))
            y = shapes[number].y + shapes[number].height + GAP
        return [shapes[number] for number in range(len(self._host.disks))]

    def _disk(self, number: int) -> Shape:
        disk = self._host.disks[number]
        parts = [disk.fstype, _room(disk)] if disk.fstype else [_absent(disk, self._host)]
        lines = [Text("name", disk.name), *([Text("", disk.declared)] if disk.declared not in ("", disk.name) else [])]
        lines.append(Text("dim", ", ".join(part for part in parts if part)))
        used = any(mount.disk == number and self._mount_tones[index] is Tone.HELD for index, mount in enumerate(self._host.mounts))
        tone = Tone.HELD if used else Tone.NOT_JUDGED
        return boxed(_DISK, 0, tone, lines, f"disk {disk.name} {disk.declared}")

    def _mounts(self, start: int) -> list[Shape]:
        """From the top down, parents before what is mounted in them."""
        shapes: list[Shape] = []
        labels = Labels()
        y = start
        for number, mount in enumerate(self._host.mounts):
            findings = self._at.get(Spot(self._index, mount=number), ())
            lines = [
                Text("name", mount.mountpoint),
                *(Text("dim", part) for part in self._of_mount(mount)),
                *labels.of(findings, Place("", mount.mountpoint), _MOUNT[1]),
            ]
            shapes.append(boxed(_MOUNT, y, self._mount_tones[number], lines, titled(f"mount {mount.mountpoint}", findings)))
            y = shapes[-1].y + shapes[-1].height + GAP
        return shapes

    def _of_mount(self, mount: HostMount) -> Iterator[str]:
        holds = ", ".join(mount.holds)
        inside = f"in {self._host.mounts[mount.inside].mountpoint}" if mount.inside is not None else ""
        match mount.presence:
            case Presence.MOUNTED:
                yield "; ".join(part for part in (holds, "ro" if mount.read_only else "rw", inside) if part)
            case Presence.ABSENT if self._host.unseen:
                yield "; ".join(part for part in (holds, "not looked at") if part)
            case Presence.ABSENT:
                yield "; ".join(part for part in (holds, "NOTHING IS MOUNTED HERE") if part)
            case Presence.COVERED:
                yield "; ".join(part for part in (holds, "hidden by a mount above it") if part)
            case _:
                assert_never(mount.presence)
        if mount.covers:
            yield f"hides {', '.join(mount.covers)}"
        if mount.hidden:
            yield f"{mount.hidden} files are hidden below it"

    def _tone_of_mount(self, number: int) -> Tone:
        otherwise = Tone.UNPROVEN if self._host.unseen else Tone.NOT_JUDGED
        if not self._host.unseen and not self._is_right(number):
            otherwise = Tone.BROKEN
        return _tone_with(self._at.get(Spot(self._index, mount=number), ()), otherwise)

    def _is_right(self, number: int) -> bool:
        """Whether the disk is the declared one: as the gate has judged it where it has, for it knows more than what is drawn."""
        return _holds(self._at.get(Spot(self._index, mount=number), ()), OF_THE_DISK) or self._host.mounts[number].on_its_disk

    def _tone_of_disk(self, number: int) -> Tone:
        """Of the line from its disk: what is said of the disk alone, so that a full one is not drawn as the wrong one."""
        findings = self._at.get(Spot(self._index, mount=number), ())
        if self._host.unseen:
            return Tone.UNPROVEN
        return _tone_with([finding for finding in findings if finding.guardrail in OF_THE_DISK], Tone.NOT_JUDGED if self._is_right(number) else Tone.BROKEN)

    def _boxes(self, start: int) -> tuple[list[Shape], list[list[Shape]]]:
        """The containers, each as high as its paths beside it."""
        boxes: list[Shape] = []
        rows: list[list[Shape]] = []
        labels = Labels()
        y = start
        for group in self._groups:
            mine: list[Shape] = []
            below = y
            for row in group.rows:
                mine.append(self._row(row, below, labels.of(row.findings, group.place_of(row), _PATH[1], held=False)))
                below = mine[-1].y + mine[-1].height + 4
            lines = [
                Text("name", group.box.name),
                *(Text("dim", part) for part in _of_group(group)),
                *labels.of(group.findings, group.place, _BOX[1], held=False),
            ]
            shape = boxed(
                _BOX, y, group.tone, lines, titled(f"container {', '.join(group.names)}; {group.box.state}; {group.box.unseen}".rstrip("; "), group.findings)
            )
            shape = replace(shape, height=max(shape.height, below - 4 - y))
            boxes.append(shape)
            rows.append(mine)
            y = shape.y + shape.height + GAP
        return boxes, rows

    def _row(self, row: _Row, y: int, labels: Iterable[Text]) -> Shape:
        inner = row.inner
        access = " (ro)" if inner.read_only else ""
        lines = [Text("name", f"{cut(inner.path, _PATH[1] - 2 * PAD - 18 - MONO.width(access), MONO)}{access}")]
        lines += self._of_path(row)
        title = titled(f"path {inner.path}{access} in it, {inner.source} of the host", row.findings)
        return boxed(_PATH, y, row.tone, [*lines, *labels], title)

    def _of_path(self, row: _Row) -> Iterator[Text]:
        inner, room = row.inner, _PATH[1] - 2 * PAD
        if inner.source != inner.path:
            yield Text("dim", f"is {cut(inner.source, room - SANS.width('is  of the host'), SANS)} of the host")
        if row.differs:
            yield from (Text("bad", line) for line in wrapped(f"SHOWS {visible(self._shown(inner))}", room, BOLD, 3))
        elif inner.instead:
            yield Text("dim", f"shows {inner.instead}")
        elif self._stands_wrong(inner):
            yield Text("bad", "ON THE WRONG DISK, as on the host" if inner.looked else "WOULD BE ON THE WRONG DISK, as on the host")
        if row.more:
            yield Text("dim", f"and {row.more} more paths like it")

    def _shown(self, inner: InnerPath) -> str:
        if inner.shows is None:
            return inner.instead or "something else"
        disk = self._host.mounts[inner.shows].disk
        name = self._host.disks[disk].name if disk is not None else self._host.mounts[inner.shows].mountpoint
        return f"{name}: {inner.instead}" if inner.instead else name

    def _group(self, number: int, box: Box) -> _Group:
        findings = self._at.get(Spot(self._index, box=number), ())
        runs = box.state not in ("exited", "created", "dead", "not started")
        rows = tuple(self._row_of(number, place, box, runs) for place in range(len(box.paths)))
        worst = max((row.tone for row in rows), default=Tone.NOT_JUDGED)
        worst = max(worst, Tone.UNPROVEN) if box.unseen and runs else worst
        return _Group(box=box, names=(box.name,), tone=_tone_with(findings, worst), findings=findings, rows=_folded(rows))

    def _row_of(self, number: int, place: int, box: Box, runs: bool) -> _Row:
        inner = box.paths[place]
        findings = self._at.get(Spot(self._index, box=number, path=place), ())
        differs = inner.differs and not _holds(findings, OF_THE_PATH)
        unlooked = Tone.UNPROVEN if runs and box.unseen else Tone.PLANNED
        seen = Tone.BROKEN if differs or self._stands_wrong(inner) else Tone.NOT_JUDGED if inner.looked else unlooked
        tone = _tone_with(findings, seen)
        return _Row(inner=inner, tone=tone, findings=findings, differs=differs)

    # ---- lines

    def _disk_wires(self, mounts: Sequence[Shape]) -> list[Wire]:
        wires = []
        for number, (mount, shape) in enumerate(zip(self._host.mounts, mounts, strict=True)):
            tone = self._tone_of_disk(number)
            differs = mount.expected is not None and mount.disk != mount.expected and not self._is_right(number)
            if mount.disk is not None:
                low = 7 if differs else 0
                wires.append(Wire(mount.disk, tone, shape.middle + low, f"{self._host.disks[mount.disk].name} is what {mount.mountpoint} shows"))
            if differs and mount.expected is not None:
                missing = Tone.UNPROVEN if self._host.unseen else Tone.MISSING
                wires.append(Wire(mount.expected, missing, shape.middle - 7, f"{self._host.disks[mount.expected].name} should be at {mount.mountpoint}"))
        return wires

    def _mount_wires(self, rows: Sequence[Sequence[Shape]]) -> list[Wire]:
        wires = []
        for group, shapes in zip(self._groups, rows, strict=True):
            for row, shape in zip(group.rows, shapes, strict=True):
                inner, name = row.inner, f"{group.box.name} {row.inner.path}"
                shown = inner.shows if inner.looked else inner.expected
                differs = row.differs
                y = shape.y + PORT
                if shown is not None:
                    wires.append(Wire(shown, row.tone, y + (7 if differs else 0), f"{self._host.mounts[shown].mountpoint} to {name}"))
                if differs and inner.expected is not None:
                    ids = "".join(f", {finding.guardrail}" for finding in row.findings)
                    said = f"{self._host.mounts[inner.expected].mountpoint} does not reach {name}{ids}"
                    wires.append(Wire(inner.expected, Tone.MISSING, y - 7, said))
        return wires

    def _stands_wrong(self, inner: InnerPath) -> bool:
        """What stands on a mount that is not on its disk is on the broken path too."""
        return not self._host.unseen and inner.expected is not None and not self._is_right(inner.expected)


_HEADS = ("DISKS", "MOUNTS OF THE HOST", "CONTAINERS", "PATHS IN THEM")


def _of_group(group: _Group) -> Iterator[str]:
    if len(group.names) > 1:
        yield f"and {len(group.names) - 1} more like it:"
        yield from wrapped(", ".join(visible(name) for name in group.names[1:]), _BOX[1] - 2 * PAD, SANS, 4 if group.tone in _QUIET else 16)
    yield group.box.state
    if group.box.unseen:
        yield from wrapped(f"not looked into: {visible(group.box.unseen)}", _BOX[1] - 2 * PAD, SANS, 4)


def _folded(rows: Sequence[_Row]) -> tuple[_Row, ...]:
    """Rows of a container, those beyond a few that show the same and have no fault in one."""
    kept: list[_Row] = []
    alike: dict[object, list[int]] = {}
    for row in rows:
        key = (row.inner.shows, row.inner.expected, row.inner.looked, row.inner.read_only, row.tone)
        mine = alike.setdefault(key, [])
        if len(mine) >= _ALIKE and row.tone in _QUIET:
            kept[mine[-1]] = replace(kept[mine[-1]], more=kept[mine[-1]].more + 1)
        else:
            mine.append(len(kept))
            kept.append(row)
    return tuple(kept)


_QUIET = (Tone.PLANNED, Tone.NOT_JUDGED, Tone.HELD)


def _grouped(groups: Sequence[_Group]) -> tuple[_Group, ...]:
    """From `GROUP_FROM` containers on, those that are alike in one box, in the place of the first: without a fault, or all with the same."""
    if len(groups) < GROUP_FROM:
        return tuple(groups)
    kept: dict[object, _Group] = {}
    for group in groups:
        rows = tuple((replace(row, findings=()), nameless(row.findings, group.place_of(row))) for row in group.rows)
        unseen = "" if group.tone in _QUIET else group.box.unseen
        key = (group.tone, group.box.state, unseen, rows, nameless(group.findings, group.place))
        before = kept.get(key)
        kept[key] = group if before is None else replace(before, names=(*before.names, *group.names))
    return tuple(kept.values())


# ---- text


def _absent(disk: Disk, host: HostTopology) -> str:
    """Of a disk that is not mounted."""
    if host.unseen:
        return "not looked at"
    return "not mounted" if disk.present else "this host has no such disk"


def _room(disk: Disk) -> str:
    if disk.bytes_free is None:
        return ""
    total = f" of {_size(disk.bytes_total)}" if disk.bytes_total else ""
    return f"{_size(disk.bytes_free)}{total} free"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
