"""How are disks, mounts, containers and paths drawn? One SVG in four columns, the same bytes for the same findings, that needs nothing beside itself.

What is broken is red, thick, dashed and crossed out, and its box names the guardrail: it reads in black and white. Lines run from a disk or a mount in a lane
of their own and turn off at right angles, so that twelve services that use two mounts are two lanes and not twenty-four slanting lines. Widths are reckoned
for the widest of the usual fonts; what does not fit is cut, and whole in the `<title>` of its box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple, assert_never
from xml.sax.saxutils import escape

from interlock.evidence.details import Details, HeldLines
from interlock.evidence.record import Record, family
from interlock.evidence.visible import visible
from interlock.facts.topology import FAMILIES, OF_THE_DISK, Box, Disk, Finding, HostMount, HostTopology, InnerPath, Presence, Spot, Topology, placed
from interlock.nouns import dataclass
from interlock.verdicts import Outcome, Pair

WIDTH = 1200
MOST_FINDINGS = 2_000  # of one picture: what is not held first comes first
GROUP_FROM = 17  # from so many containers on a host, those that are alike and have no fault share a box
_ALIKE = 4  # paths of a container that are alike, before they share a row

_DISK, _MOUNT, _BOX, _PATH = (16, 244), (322, 262), (704, 172), (904, 280)  # left edge and width of each column
_MONO, _SANS, _BOLD = 7.3, 6.5, 7.0  # width of a letter: 12 px monospaced, 11.5 px sans, the same in bold
_LINE, _GAP, _PAD, _PORT = 16, 12, 9, 14  # the last: how far below its top a path is met by its line
_APART = 9  # between two lines that have nothing to do with each other
_WIDE = 0x1100  # from here on a letter may be as wide as two

STYLE = """
.il-topology{--bg:#fff;--fg:#1b1f24;--dim:#57606a;--box:#f6f8fa;--rim:#8c959f;--line:#57606a;--bad:#b3121d;--bad-box:#fff1f0;--odd:#7a4d00;\
--odd-box:#fff8e5}
@media (prefers-color-scheme:dark){.il-topology{--bg:#0f1318;--fg:#e6edf3;--dim:#a3adb8;--box:#1a2027;--rim:#6e7781;--line:#9aa4af;\
--bad:#ff7b72;--bad-box:#3a1518;--odd:#e3b341;--odd-box:#2d2410}}
.il-topology text{font:11.5px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;fill:var(--fg)}
.il-topology .name{font:600 12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.il-topology .host{font-size:15px;font-weight:700}
.il-topology .head{font-weight:700;fill:var(--dim)}
.il-topology .dim{fill:var(--dim)}
.il-topology .bad{fill:var(--bad);font-weight:700}
.il-topology .odd{fill:var(--odd);font-weight:700}
.il-topology .paper{fill:var(--bg)}
.il-topology rect.box{fill:var(--box);stroke:var(--rim);stroke-width:1.2}
.il-topology rect.planned{stroke-dasharray:1.5 3}
.il-topology rect.broken{fill:var(--bad-box);stroke:var(--bad);stroke-width:3.2}
.il-topology rect.unproven{fill:var(--odd-box);stroke:var(--odd);stroke-width:2;stroke-dasharray:2 4}
.il-topology rect.waived{fill:var(--odd-box);stroke:var(--odd);stroke-width:2.4;stroke-dasharray:11 4 2 4}
.il-topology path{fill:none;stroke:var(--line);stroke-width:1.6}
.il-topology path.halo{stroke:var(--bg);stroke-width:6;stroke-dasharray:none}
.il-topology path.not-judged{stroke-width:1.1}
.il-topology path.planned{stroke-dasharray:1.5 4}
.il-topology path.unproven{stroke:var(--odd);stroke-width:2.2;stroke-dasharray:2 5}
.il-topology path.waived{stroke:var(--odd);stroke-width:2.6;stroke-dasharray:11 4 2 4}
.il-topology path.broken{stroke:var(--bad);stroke-width:4}
.il-topology path.missing{stroke:var(--bad);stroke-width:3.2;stroke-dasharray:8 5}
.il-topology path.cross{stroke:var(--bad);stroke-width:3.6}
.il-topology path.tick{stroke:var(--fg);stroke-width:2}
.il-topology circle{fill:var(--line)}
.il-topology circle.broken,.il-topology circle.missing{fill:var(--bad)}
.il-topology circle.unproven,.il-topology circle.waived{fill:var(--odd)}
"""


class Tone(IntEnum):
    """How a thing is drawn; the larger wins where several apply."""

    PLANNED = 0  # nobody looked: it does not run, or its view was not asked for
    NOT_JUDGED = 1  # it was looked at, and no verdict is about it
    HELD = 2
    WAIVED = 3
    UNPROVEN = 4
    BROKEN = 5
    MISSING = 6  # a line that should be there and is not

    @property
    def css(self) -> str:
        """`not-judged`."""
        return self.name.lower().replace("_", "-")


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


def render(topology: Topology, findings: Iterable[Finding]) -> Iterator[str]:
    """The whole SVG, to be written into a file or into a page as it is."""
    picture = _Picture(topology, tuple(findings))
    yield from picture.drawn()


def summary(topology: Topology, findings: Iterable[Finding]) -> str:
    """What the picture shows in words: for who does not see it."""
    return _Picture(topology, tuple(findings)).words


# ---- what is drawn


class _Text(NamedTuple):
    css: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A box with its lines of text. `title` is all of it, uncut."""

    x: int
    y: int
    width: int
    height: int
    tone: Tone
    lines: tuple[_Text, ...]
    title: str

    @property
    def middle(self) -> int:
        """Where a line meets it."""
        return self.y + self.height // 2

    @property
    def right(self) -> int:
        return self.x + self.width


class _Wire(NamedTuple):
    """One line from a box of one column to a place in the next."""

    source: int
    tone: Tone
    to_y: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A path of a container as it is drawn: `inner` may stand for `more` others that are alike."""

    inner: InnerPath
    tone: Tone
    findings: tuple[Finding, ...]
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A container as it is drawn, or several that are alike and have no fault."""

    box: Box
    names: tuple[str, ...]
    tone: Tone
    findings: tuple[Finding, ...]
    rows: tuple[_Row, ...]


def _tone_with(findings: Sequence[Finding], seen: Tone) -> Tone:
    """The gravest of what was found, and of what is seen without any verdict."""
    return max((_TONES[finding.outcome] for finding in findings), default=seen) if seen <= Tone.HELD else max(seen, _tone_with(findings, Tone.NOT_JUDGED))


_TONES: Mapping[Outcome, Tone] = {
    Outcome.HELD: Tone.HELD,
    Outcome.BROKEN: Tone.BROKEN,
    Outcome.UNPROVEN: Tone.UNPROVEN,
    Outcome.WAIVED: Tone.WAIVED,
    Outcome.NOT_APPLICABLE: Tone.NOT_JUDGED,
    Outcome.NOT_RUN: Tone.UNPROVEN,
}


class _Picture:
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
            f"{sum(len(host.disks) for host in hosts)} disks, {sum(len(host.mounts) for host in hosts)} mounts, "
            f"{sum(len(host.containers) for host in hosts)} containers or services on {len(hosts)} hosts."
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
        y = _legend(body, y)
        title = f"Disks, mounts, containers and paths of {self._topology.site}"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="il-topology" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
            'role="graphics-document document" aria-labelledby="il-topology-title il-topology-desc">\n'
        )
        yield f'<title id="il-topology-title">{_safe(title)}</title>\n<desc id="il-topology-desc">{_safe(self.words)}</desc>\n<style>{STYLE}</style>\n'
        yield f'<rect class="paper" x="0" y="0" width="{WIDTH}" height="{y}"/>\n'
        yield from (f"{piece}\n" for piece in body)
        yield "</svg>\n"

    def _list_the_rest(self, body: list[str], y: int) -> int:
        """What does not hold and is about nothing in the picture stands below it: nothing is lost."""
        if not self._elsewhere:
            return y
        body.append(_line(_DISK[0], y, "head", "Found, and not in the drawing"))
        shown = self._elsewhere[:12]
        for finding in shown:
            y += _LINE + 2
            css = "bad" if finding.outcome is Outcome.BROKEN else "odd"
            said = f"{finding.outcome.value.upper()} {finding.guardrail} [{finding.subject}] {finding.message}"
            body.append(f'<g role="graphics-symbol img"><title>{_safe(said)}</title>{_line(_DISK[0], y, css, _cut(said, WIDTH - 32, _BOLD))}</g>')
        if len(self._elsewhere) > len(shown):
            y += _LINE + 2
            body.append(_line(_DISK[0], y, "dim", f"and {len(self._elsewhere) - len(shown)} more"))
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
        pieces = [_line(_DISK[0], top + 12, "host", _cut(f"host {visible(host.host)}", 300, 9.5))]
        said = "; ".join(part for part in (host.unseen or looked, host.engine) if part)
        pieces.append(
            f"<g><title>{_safe(said)}</title>{_line(_MOUNT[0], top + 12, 'odd' if host.unseen else 'dim', _cut(said, WIDTH - _MOUNT[0] - 16, _SANS))}</g>"
        )
        heads = top + 36
        pieces += [_line(column[0], heads, "head", name) for column, name in zip((_DISK, _MOUNT, _BOX, _PATH), _HEADS, strict=True)]
        start = heads + 12
        boxes, rows = self._boxes(start)
        mounts = self._mounts(start)
        disks = self._disks(start, mounts)
        pieces += _wires(disks, _MOUNT[0], self._disk_wires(mounts))
        pieces += _wires(mounts, _BOX[0], self._mount_wires(rows))
        pieces += [_into(box, shape) for box, mine in zip(boxes, rows, strict=True) for shape in mine]
        pieces += [_shape(shape, "disk") for shape in disks] + [_shape(shape, "mount") for shape in mounts]
        pieces += [_shape(shape, "container") for shape in boxes] + [_shape(shape, "path") for group in rows for shape in group]
        self.bottom = max([start + 20, *(shape.y + shape.height for shape in (*disks, *mounts, *boxes))])
        if not boxes:
            pieces.append(_line(_BOX[0], start + 14, "dim", "not looked at" if host.unseen else "no container or service stands on them"))
        if host.others:
            self.bottom += 20
            many = "1 container touches" if host.others == 1 else f"{host.others} containers touch"
            pieces.append(_line(_BOX[0], self.bottom, "dim", f"{many} none of these disks"))
        return pieces

    # ---- columns

    def _disks(self, start: int, mounts: Sequence[_Shape]) -> list[_Shape]:
        """Beside the first mount that is on it, or should be; never one over the other."""
        wanted = {}
        for number in range(len(self._host.disks)):
            mine = [shape.middle for mount, shape in zip(self._host.mounts, mounts, strict=True) if number in (mount.disk, mount.expected)]
            wanted[number] = min(mine, default=start)
        shapes: dict[int, _Shape] = {}
        y = start
        for number in sorted(wanted, key=lambda one: (wanted[one], one)):
            shape = self._disk(number)
            shapes[number] = replace(shape, y=max(y, wanted[number] - shape.height // 2))
            y = shapes[number].y + shapes[number].height + _GAP
        return [shapes[number] for number in range(len(self._host.disks))]

    def _disk(self, number: int) -> _Shape:
        disk = self._host.disks[number]
        parts = [disk.fstype, _room(disk)] if disk.fstype else [_absent(disk, self._host)]
        lines = [_Text("name", disk.name), *([_Text("", disk.declared)] if disk.declared not in ("", disk.name) else [])]
        lines.append(_Text("dim", ", ".join(part for part in parts if part)))
        used = any(mount.disk == number and self._mount_tones[index] is Tone.HELD for index, mount in enumerate(self._host.mounts))
        tone = Tone.HELD if used else Tone.NOT_JUDGED
        return _boxed(_DISK, 0, tone, lines, f"disk {disk.name} {disk.declared}")

    def _mounts(self, start: int) -> list[_Shape]:
        """From the top down, parents before what is mounted in them."""
        shapes: list[_Shape] = []
        y = start
        for number, mount in enumerate(self._host.mounts):
            findings = self._at.get(Spot(self._index, mount=number), ())
            lines = [_Text("name", mount.mountpoint), *(_Text("dim", part) for part in self._of_mount(mount)), *_labels(findings, _MOUNT[1])]
            shapes.append(_boxed(_MOUNT, y, self._mount_tones[number], lines, _titled(f"mount {mount.mountpoint}", findings)))
            y = shapes[-1].y + shapes[-1].height + _GAP
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
        mount = self._host.mounts[number]
        otherwise = Tone.UNPROVEN if self._host.unseen else Tone.NOT_JUDGED
        if not self._host.unseen and not mount.on_its_disk:
            otherwise = Tone.BROKEN
        return _tone_with(self._at.get(Spot(self._index, mount=number), ()), otherwise)

    def _tone_of_disk(self, number: int) -> Tone:
        """Of the line from its disk: what is said of the disk alone, so that a full one is not drawn as the wrong one."""
        mount, findings = self._host.mounts[number], self._at.get(Spot(self._index, mount=number), ())
        if self._host.unseen:
            return Tone.UNPROVEN
        return _tone_with([finding for finding in findings if finding.guardrail in OF_THE_DISK], Tone.NOT_JUDGED if mount.on_its_disk else Tone.BROKEN)

    def _boxes(self, start: int) -> tuple[list[_Shape], list[list[_Shape]]]:
        """The containers, each as high as its paths beside it."""
        boxes: list[_Shape] = []
        rows: list[list[_Shape]] = []
        y = start
        for group in self._groups:
            mine: list[_Shape] = []
            below = y
            for row in group.rows:
                mine.append(self._row(row, below))
                below = mine[-1].y + mine[-1].height + 4
            lines = [_Text("name", group.box.name), *(_Text("dim", part) for part in _of_group(group)), *_labels(group.findings, _BOX[1], held=False)]
            shape = _boxed(
                _BOX, y, group.tone, lines, _titled(f"container {', '.join(group.names)}; {group.box.state}; {group.box.unseen}".rstrip("; "), group.findings)
            )
            shape = replace(shape, height=max(shape.height, below - 4 - y))
            boxes.append(shape)
            rows.append(mine)
            y = shape.y + shape.height + _GAP
        return boxes, rows

    def _row(self, row: _Row, y: int) -> _Shape:
        inner = row.inner
        access = " (ro)" if inner.read_only else ""
        lines = [_Text("name", f"{_cut(inner.path, _PATH[1] - 2 * _PAD - 18 - len(access) * _MONO, _MONO)}{access}")]
        lines += self._of_path(row)
        title = _titled(f"path {inner.path}{access} in it, {inner.source} of the host", row.findings)
        return _boxed(_PATH, y, row.tone, [*lines, *_labels(row.findings, _PATH[1], held=False)], title)

    def _of_path(self, row: _Row) -> Iterator[_Text]:
        inner, room = row.inner, _PATH[1] - 2 * _PAD
        if inner.source != inner.path:
            yield _Text("dim", f"is {_cut(inner.source, room - 13 * _SANS, _SANS)} of the host")
        if inner.differs:
            yield from (_Text("bad", line) for line in _wrapped(f"SHOWS {visible(self._shown(inner))}", room, _BOLD, 3))
        elif inner.instead:
            yield _Text("dim", f"shows {inner.instead}")
        elif self._stands_wrong(inner):
            yield _Text("bad", "ON THE WRONG DISK, as on the host")
        if row.more:
            yield _Text("dim", f"and {row.more} more paths like it")

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
        seen = Tone.BROKEN if inner.differs or self._stands_wrong(inner) else Tone.NOT_JUDGED
        unlooked = Tone.UNPROVEN if runs and box.unseen else Tone.PLANNED
        tone = _tone_with(findings, seen if inner.looked else unlooked)
        return _Row(inner=inner, tone=tone, findings=findings)

    # ---- lines

    def _disk_wires(self, mounts: Sequence[_Shape]) -> list[_Wire]:
        wires = []
        for number, (mount, shape) in enumerate(zip(self._host.mounts, mounts, strict=True)):
            tone = self._tone_of_disk(number)
            differs = mount.expected is not None and mount.disk != mount.expected
            if mount.disk is not None:
                low = 7 if differs else 0
                wires.append(_Wire(mount.disk, tone, shape.middle + low, f"{self._host.disks[mount.disk].name} is what {mount.mountpoint} shows"))
            if differs and mount.expected is not None:
                missing = Tone.UNPROVEN if self._host.unseen else Tone.MISSING
                wires.append(_Wire(mount.expected, missing, shape.middle - 7, f"{self._host.disks[mount.expected].name} should be at {mount.mountpoint}"))
        return wires

    def _mount_wires(self, rows: Sequence[Sequence[_Shape]]) -> list[_Wire]:
        wires = []
        for group, shapes in zip(self._groups, rows, strict=True):
            for row, shape in zip(group.rows, shapes, strict=True):
                inner, name = row.inner, f"{group.box.name} {row.inner.path}"
                shown = inner.shows if inner.looked else inner.expected
                differs = inner.differs
                y = shape.y + _PORT
                if shown is not None:
                    wires.append(_Wire(shown, row.tone, y + (7 if differs else 0), f"{self._host.mounts[shown].mountpoint} to {name}"))
                if differs and inner.expected is not None:
                    ids = "".join(f", {finding.guardrail}" for finding in row.findings)
                    said = f"{self._host.mounts[inner.expected].mountpoint} does not reach {name}{ids}"
                    wires.append(_Wire(inner.expected, Tone.MISSING, y - 7, said))
        return wires

    def _stands_wrong(self, inner: InnerPath) -> bool:
        """What stands on a mount that is not on its disk is on the broken path too."""
        return not self._host.unseen and inner.expected is not None and not self._host.mounts[inner.expected].on_its_disk


_HEADS = ("DISKS", "MOUNTS OF THE HOST", "CONTAINERS", "PATHS IN THEM")


def _of_group(group: _Group) -> Iterator[str]:
    if len(group.names) > 1:
        yield f"and {len(group.names) - 1} more like it:"
        yield from _wrapped(", ".join(visible(name) for name in group.names[1:]), _BOX[1] - 2 * _PAD, _SANS, 4)
    yield group.box.state
    if group.box.unseen:
        yield from _wrapped(f"not looked into: {visible(group.box.unseen)}", _BOX[1] - 2 * _PAD, _SANS, 4)


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
    """From `GROUP_FROM` containers on, those without a fault that are alike in one box, in the place of the first."""
    if len(groups) < GROUP_FROM:
        return tuple(groups)
    kept: dict[object, _Group] = {}
    for number, group in enumerate(groups):
        paths = tuple(replace(row, findings=()) for row in group.rows)
        quiet = group.tone in _QUIET and all(row.tone in _QUIET for row in group.rows)
        key: object = (group.tone, group.box.state, paths) if quiet else number
        before = kept.get(key)
        kept[key] = group if before is None else replace(before, names=(*before.names, *group.names))
    return tuple(kept.values())


# ---- text


def _labels(findings: Sequence[Finding], width: int, *, held: bool = True) -> Iterator[_Text]:
    """The guardrail and the sentence of what does not hold, the gravest first; the names of what does, where `held` asks for them."""
    bad = [finding for finding in findings if finding.outcome is not Outcome.HELD]
    bad.sort(key=lambda finding: (-_TONES[finding.outcome], finding.guardrail))
    for finding in bad[:2]:
        css = "bad" if finding.outcome is Outcome.BROKEN else "odd"
        yield _Text(css, f"{finding.outcome.value.upper()} {finding.guardrail}")
        yield from (_Text("", line) for line in _wrapped(visible(finding.message), width - 2 * _PAD, _SANS, 6))
    if len(bad) > 2:
        yield _Text("bad" if any(finding.outcome is Outcome.BROKEN for finding in bad[2:]) else "odd", f"and {len(bad) - 2} more: {', '.join(_ids(bad[2:]))}")
    if held and findings and not bad:
        names = ", ".join(name.removeprefix("mounts.") for name in _ids(findings))
        yield from (_Text("dim", line) for line in _wrapped(f"held: {names}", width - 2 * _PAD, _SANS, 3))


def _ids(findings: Sequence[Finding]) -> list[str]:
    return sorted({finding.guardrail for finding in findings})


def _titled(name: str, findings: Sequence[Finding]) -> str:
    return "; ".join([name, *(f"{finding.outcome.value} {finding.guardrail}: {finding.message}" for finding in findings[:20])])


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


def _wide(text: str) -> int:
    """How many letters wide a text is at most."""
    return len(text) if text.isascii() else sum(2 if ord(letter) >= _WIDE else 1 for letter in text)


def _cut(text: str, width: float, letter: float) -> str:
    """A text that fits, the middle of one that does not left out: a path says most at its ends."""
    shown, room = visible(text[:4000]), int(width / letter)
    if _wide(shown) <= room:
        return shown
    head = _fitting(shown, room // 2)
    tail = _fitting(shown[::-1], room - _wide(head) - 1)[::-1]
    return f"{head}…{tail}"


def _fitting(text: str, room: int) -> str:
    end = 0
    for end, letter in enumerate(text, 1):
        room -= _wide(letter)
        if room < 0:
            return text[: end - 1]
    return text[:end]


def _wrapped(text: str, width: int, letter: float, most: int) -> list[str]:
    """A sentence in at most `most` lines; words that are longer than a line are broken."""
    room = int(width / letter)
    lines = [""]
    for word in text[:4000].split(" "):
        rest = word
        while rest:
            if not lines[-1] and _wide(rest) > room:
                lines[-1] = _at_a_slash(_fitting(rest, room) or rest[:1])
                rest = rest[len(lines[-1]) :]
                lines += [""] if rest else []
            elif _wide(lines[-1]) + 1 + _wide(rest) <= room or not lines[-1]:
                lines[-1] = f"{lines[-1]} {rest}".lstrip(" ")
                rest = ""
            else:
                lines.append("")
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], _fitting(lines[most - 1], room - 1) + "…"]


def _at_a_slash(piece: str) -> str:
    """A piece of a long word, ended behind a slash where it has one: a path is read by its names."""
    end = piece.rfind("/") + 1
    return piece[:end] if end > len(piece) // 2 else piece


def _safe(text: str) -> str:
    return escape(visible(text[:4000]))


def _line(x: int, y: int, css: str, said: str) -> str:
    return f'<text x="{x}" y="{y}"{f" class={css!r}".replace(chr(39), chr(34)) if css else ""}>{_safe(said)}</text>'


# ---- shapes


def _boxed(column: tuple[int, int], y: int, tone: Tone, lines: Iterable[_Text], title: str) -> _Shape:
    """A box as high as its lines, each cut to its width; the mark of its tone takes room from the first."""
    fitted = []
    for number, line in enumerate(lines):
        room = column[1] - 2 * _PAD - (18 if number == 0 else 0)
        letter = _MONO if line.css == "name" else _BOLD if line.css in ("bad", "odd") else _SANS
        fitted.append(_Text(line.css, _cut(line.said, room, letter)))
    return _Shape(x=column[0], y=y, width=column[1], height=len(fitted) * _LINE + 11, tone=tone, lines=tuple(fitted), title=title)


def _shape(shape: _Shape, kind: str) -> str:
    texts = "".join(_line(shape.x + _PAD, shape.y + 18 + number * _LINE, line.css, line.said) for number, line in enumerate(shape.lines))
    return (
        f'<g role="graphics-symbol img" class="{kind}"><title>{_safe(shape.title)}</title>'
        f'<rect class="box {shape.tone.css}" x="{shape.x}" y="{shape.y}" width="{shape.width}" height="{shape.height}" rx="5"/>{texts}{_mark(shape)}</g>'
    )


def _mark(shape: _Shape) -> str:
    """A tick, a cross or a question mark in the corner: what a colour says, without it."""
    x, y = shape.right - 20, shape.y + 8
    match shape.tone:
        case Tone.HELD:
            return f'<path class="tick" d="M{x} {y + 6}l4 4l7 -9"/>'
        case Tone.BROKEN | Tone.MISSING:
            return f'<path class="cross" d="M{x} {y}l10 10M{x + 10} {y}l-10 10"/>'
        case Tone.UNPROVEN:
            return _line(x + 2, y + 10, "odd", "?")
        case Tone.WAIVED:
            return _line(x, y + 10, "odd", "W")
        case Tone.NOT_JUDGED | Tone.PLANNED:
            return ""
        case _:
            assert_never(shape.tone)


_Key = tuple[int, Tone]  # of a bundle: its source, and how it is drawn


def _wires(sources: Sequence[_Shape], to_x: int, wires: Sequence[_Wire]) -> list[str]:
    """The lines between two columns: those of one source and tone share a lane, lower sources have theirs further left, so that few cross; red lies on top."""
    bundles: dict[_Key, list[_Wire]] = {}
    for wire in wires:
        bundles.setdefault((wire.source, wire.tone), []).append(wire)
    lanes = sorted(bundles, key=lambda key: (-sources[key[0]].middle, key[0], key[1]))
    starts = _starts(sources, bundles)
    left = max((shape.right for shape in sources), default=0)
    room = to_x - left - 34
    pieces: list[str] = []
    for key in sorted(bundles, key=lambda key: (key[1], lanes.index(key))):
        lane = left + 10 + (lanes.index(key) + 1) * room // (len(lanes) + 1)
        pieces += _bundle(sources[key[0]].right, starts[key], lane, to_x, bundles[key])
    return pieces


def _starts(sources: Sequence[_Shape], bundles: Mapping[_Key, Sequence[_Wire]]) -> dict[_Key, int]:
    """Where each bundle leaves its box: straight on to one of its ends where it can, and never so close to another line that the two look like one."""
    starts: dict[_Key, int] = {}
    for key in sorted(bundles, key=lambda key: (-key[1], key[0])):  # the grave ones choose first
        shape, own = sources[key[0]], {wire.to_y for wire in bundles[key]}
        others = {wire.to_y for other, wires in bundles.items() if other != key for wire in wires} | set(starts.values())
        places = sorted(range(shape.y + 7, shape.y + shape.height - 6), key=lambda y: (y not in own, abs(y - shape.middle), y))
        starts[key] = max(places, key=lambda y: min((min(abs(y - other), _APART) for other in others), default=_APART))
    return starts


def _bundle(x: int, y: int, lane: int, to_x: int, wires: Sequence[_Wire]) -> list[str]:
    """All lines of one source and tone: out into the lane, along it, and off to each end."""
    tone = wires[0].tone
    css = tone.css
    ends = sorted({wire.to_y for wire in wires})
    stop = to_x - 16 if tone is Tone.MISSING else to_x
    trunk = f"M{x} {y}H{lane}" + (f"M{lane} {min(y, ends[0])}V{max(y, ends[-1])}" if (ends[0], ends[-1]) != (y, y) else "")
    branches = "".join(f"M{lane} {end}H{stop}" for end in ends)
    title = "; ".join(wire.title for wire in wires)
    pieces = [
        f'<path class="halo" d="{trunk}{branches}"/>',
        f'<g role="graphics-symbol img" class="line"><title>{_safe(title)}</title><path class="{css}" d="{trunk}{branches}"/>',
    ]
    pieces += [f'<circle class="{css}" cx="{lane}" cy="{end}" r="3"/>' for end in ends if end not in (y,) or len(ends) > 1]
    if tone is Tone.MISSING:
        pieces += [f'<path class="cross" d="M{stop} {end - 6}l12 12M{stop + 12} {end - 6}l-12 12"/>' for end in ends]
    return ["".join([*pieces, "</g>"])]


def _into(box: _Shape, path: _Shape) -> str:
    """From a container to a path in it."""
    y = path.y + _PORT
    return f'<path class="{path.tone.css}" d="M{box.right} {y}H{path.x}"/>'


_LEGEND = (
    (Tone.HELD, "held", 110),
    (Tone.NOT_JUDGED, "seen, not judged", 165),
    (Tone.PLANNED, "not looked into", 170),
    (Tone.BROKEN, "broken: what is there", 190),
    (Tone.MISSING, "broken: what should be", 210),
    (Tone.UNPROVEN, "unproven", 120),
    (Tone.WAIVED, "broken, but waived", 180),
)


def _legend(body: list[str], y: int) -> int:
    """What the kinds of lines mean."""
    x = _DISK[0]
    for tone, said, width in _LEGEND:
        cross = f'<path class="cross" d="M{x + 30} {y - 6}l12 12M{x + 42} {y - 6}l-12 12"/>' if tone is Tone.MISSING else ""
        body.append(f'<g class="legend"><path class="{tone.css}" d="M{x} {y}H{x + 34}"/>{cross}{_line(x + 48, y + 4, "dim", said)}</g>')
        x += width
    return y + 24
