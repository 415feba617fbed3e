"""How do a mount table, the site's disks and the containers of a host become a picture? `laid_out` makes the nouns of `interlock.facts.topology`.

`interlock.observe.topology` brings what it is made of. What a path shows is told by the mount tables on both sides, as `MountTable.showing` walks them: by
the device, and the directory of its file system.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from interlock.errors import CouldNotLook
from interlock.facts.engine import View
from interlock.facts.looks import SpaceAnswer
from interlock.facts.mounts import DeviceNames, Mount, MountTable, is_below
from interlock.facts.topology import Box, Disk, HostMount, HostTopology, InnerPath, Presence
from interlock.nouns import dataclass


class Declared(NamedTuple):
    """A directory that the site speaks of, with its links resolved. `mountpoint` is where a mount must be, empty where any will do; `device` what must be
    mounted there, as the site says it, empty for anything."""

    holds: str
    path: str
    mountpoint: str = ""
    device: str = ""


class Bind(NamedTuple):
    """A directory of the host as a container has it."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A container or service that may stand on a declared disk. `unseen` as in `Box`."""

    name: str
    container: str
    state: str
    binds: tuple[Bind, ...]
    view: View | None = None
    unseen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHost:
    """All that the picture of one host is made of. `spaces` by path; `hidden` the number of files below a mountpoint."""

    host: str
    taken_at: str
    declared: tuple[Declared, ...]
    table: MountTable
    names: DeviceNames
    spaces: Mapping[str, SpaceAnswer]
    hidden: Mapping[str, int]
    engine: str
    candidates: tuple[Candidate, ...]


def unseen_host(host: str, declared: Sequence[Declared], why: str) -> HostTopology:
    """A host of which nothing is known but what the site declares."""
    devices = list(dict.fromkeys(one.device for one in declared if one.device))
    disks = tuple(Disk(name=device, declared=device, fstype="", number="", present=False, bytes_free=None, bytes_total=None) for device in devices)
    mounts = tuple(
        HostMount(
            mountpoint=one.mountpoint or one.path,
            holds=(one.holds,),
            disk=None,
            expected=devices.index(one.device) if one.device else None,
            inside=None,
            presence=Presence.ABSENT,
            read_only=False,
            covers=(),
            hidden=None,
        )
        for one in declared
    )
    return HostTopology(host=host, taken_at="", unseen=why, engine="", disks=disks, mounts=mounts, containers=(), others=0)


def laid_out(seen: SeenHost) -> HostTopology:
    """The picture of a host: its declared disks, what is really mounted, and the containers that stand on them."""
    layout = _Layout(seen)
    boxes = [layout.box(candidate) for candidate in seen.candidates]
    drawn = tuple(box for box in boxes if box.paths)
    return HostTopology(
        host=seen.host,
        taken_at=seen.taken_at,
        unseen="",
        engine=seen.engine,
        disks=tuple(layout.disks),
        mounts=tuple(layout.mounts),
        containers=drawn,
        others=len(boxes) - len(drawn),
    )


class _Layout:
    """The disks and mounts of a host while they are put together; a mount is drawn once, however much lives on it."""

    def __init__(self, seen: SeenHost) -> None:
        self._seen = seen
        self.disks: list[Disk] = []
        self.mounts: list[HostMount] = []
        self._shown: list[Mount | None] = []  # the line of the mount table behind each of `mounts`
        by_mountpoint: dict[str, list[Declared]] = {}
        for one in seen.declared:
            by_mountpoint.setdefault(self._mountpoint(one), []).append(one)
        for mountpoint in _parents_first(by_mountpoint):
            self._declared(mountpoint, by_mountpoint[mountpoint])

    def _mountpoint(self, one: Declared) -> str:
        """Where a declared directory must be mounted; where any mount will do, the one that it is on."""
        shown = None if one.mountpoint else self._seen.table.showing(one.path)
        return one.mountpoint or (shown.mountpoint if shown else one.path)

    def _declared(self, mountpoint: str, those: Sequence[Declared]) -> None:
        shown = self._seen.table.showing(those[0].path if is_below(those[0].path, mountpoint) else mountpoint)
        device = next((one.device for one in those if one.device), "")
        stack = self._seen.table.stack_at(mountpoint)
        mounted = shown is not None and shown.mountpoint == mountpoint
        expected = self._expected(device, [*([shown] if shown and mounted else []), *stack]) if device else None
        presence = Presence.MOUNTED if mounted else Presence.COVERED if stack else Presence.ABSENT
        inside = self._inside(shown, mountpoint, mounted=mounted)
        self._add(
            shown,
            HostMount(
                mountpoint=mountpoint,
                holds=tuple(dict.fromkeys(one.holds for one in those)),
                disk=self._disk(shown) if shown else None,
                expected=expected,
                inside=inside,
                presence=presence,
                read_only=shown is not None and _read_only(shown),
                covers=tuple(mount.source for mount in stack if mounted and mount is not shown),
                hidden=self._seen.hidden.get(mountpoint) if mounted else None,
            ),
        )

    def _add(self, shown: Mount | None, mount: HostMount) -> int:
        self.mounts.append(mount)
        self._shown.append(shown)
        return len(self.mounts) - 1

    def _inside(self, shown: Mount | None, mountpoint: str, *, mounted: bool) -> int | None:
        """The drawn mount that a mountpoint lies in; where nothing is mounted at it, what is written there instead is drawn in any case."""
        parent = self._seen.table.showing(posixpath.dirname(mountpoint)) if mounted else shown
        if parent is None or mountpoint == "/":
            return None
        found = next((index for index, mount in enumerate(self._shown) if mount is not None and mount.id == parent.id and self._is_itself(index)), None)
        if found is None and not mounted:
            return self._add(parent, self._undeclared(parent))
        return found

    def _is_itself(self, index: int) -> bool:
        return self.mounts[index].presence is Presence.MOUNTED

    def _undeclared(self, mount: Mount) -> HostMount:
        return HostMount(
            mountpoint=mount.mountpoint,
            holds=(),
            disk=self._disk(mount),
            expected=None,
            inside=None,
            presence=Presence.MOUNTED,
            read_only=_read_only(mount),
            covers=(),
            hidden=None,
        )

    # ---- disks

    def _expected(self, device: str, there: Sequence[Mount]) -> int:
        """The disk that the site declares, whether it is mounted or not. One without a device (tmpfs) is known by its name, and only by what is mounted there:
        others have the same name."""
        path = self._seen.names.path_of(device)
        number = self._seen.names.number_of(path) if path else None
        anywhere = self._seen.table.mounts if number is not None else ()
        holder = next((mount for mount in (*there, *anywhere) if self._is_on(mount, path, number)), None)
        if holder is not None:
            return self._disk(holder, declared=device)
        found = next((index for index, disk in enumerate(self.disks) if disk.declared == device), None)
        if found is None:
            present = path is not None
            self.disks.append(Disk(name=path or device, declared=device, fstype="", number=number or "", present=present, bytes_free=None, bytes_total=None))
            found = len(self.disks) - 1
        return found

    def _is_on(self, mount: Mount, path: str | None, number: str | None) -> bool:
        if number is None:
            return path is not None and mount.source == path
        return mount.device_number == number or self._seen.names.number_of(mount.source) == number

    def _disk(self, mount: Mount, declared: str = "") -> int:
        """The disk that a mount is of: by its number, as the kernel tells them apart."""
        found = next((index for index, disk in enumerate(self.disks) if disk.number == mount.device_number and disk.name == mount.source), None)
        if found is None:
            space = self._space(mount)
            self.disks.append(
                Disk(
                    name=mount.source,
                    declared=declared,
                    fstype=mount.fstype,
                    number=mount.device_number,
                    present=True,
                    bytes_free=space.bytes_free if space else None,
                    bytes_total=space.bytes_total if space else None,
                )
            )
            return len(self.disks) - 1
        if declared and not self.disks[found].declared:
            self.disks[found] = replace(self.disks[found], declared=declared)
        return found

    def _space(self, mount: Mount) -> SpaceAnswer | None:
        """The room on the file system of a mount, where somebody asked for a path that shows it."""
        for path, space in self._seen.spaces.items():
            shown = self._seen.table.showing(path)
            if shown is not None and shown.device_number == mount.device_number:
                return space
        return None

    # ---- containers

    def box(self, candidate: Candidate) -> Box:
        """A container with the paths in it that show a declared directory."""
        view, table, unseen = candidate.view, None, candidate.unseen
        try:
            table = view.table(candidate.name) if view else None
        except CouldNotLook as error:
            view, unseen = None, error.sentence
        wanted = dict.fromkeys(path for bind in candidate.binds for path in self._paths(bind))
        paths = tuple(self._inner(path, table, view) for path in sorted(wanted))
        return Box(name=candidate.name, container=candidate.container, state=candidate.state, unseen=unseen, paths=paths)

    def _paths(self, bind: Bind) -> Iterator[Bind]:
        """The bind itself when it has to do with a declared directory, and each declared directory below it."""
        below = {one.path for one in self._seen.declared if one.path != bind.source and is_below(one.path, bind.source)}
        below |= {one.mountpoint for one in self._seen.declared if one.mountpoint and one.mountpoint != bind.source and is_below(one.mountpoint, bind.source)}
        if bind.source == "/":
            return  # the whole host: an exporter, no user of the disks
        if below or any(is_below(bind.source, one.path) for one in self._seen.declared):
            yield bind
        for source in below:
            yield Bind(source=source, target=posixpath.join(bind.target, posixpath.relpath(source, bind.source)), read_only=bind.read_only)

    def _inner(self, bind: Bind, table: MountTable | None, view: View | None) -> InnerPath:
        on_host = self._seen.table.showing(bind.source)
        expected = self._governing(bind.source, on_host)
        if table is None or view is None:
            return InnerPath(path=bind.target, source=bind.source, expected=expected, shows=None, instead="", looked=False, read_only=bind.read_only)
        there, inside = view.places.get(bind.target), table.showing(bind.target)
        shows, instead = self._seen_inside(bind, expected, on_host, inside)
        if there is not None and not there.present and not there.error:
            shows, instead = None, "nothing: it does not exist"
        read_only = inside is not None and _read_only(inside)
        return InnerPath(path=bind.target, source=bind.source, expected=expected, shows=shows, instead=instead, looked=True, read_only=read_only)

    def _governing(self, source: str, on_host: Mount | None) -> int | None:
        """The drawn mountpoint that a path of the host lies at, whether something is mounted there or not; None below a mount that is not drawn."""
        over = [index for index, mount in enumerate(self.mounts) if is_below(source, mount.mountpoint)]
        nearest = max(over, key=lambda index: len(self.mounts[index].mountpoint), default=None)
        behind = self._shown[nearest] if nearest is not None else None
        return nearest if behind is not None and on_host is not None and behind.id == on_host.id else None

    def _seen_inside(self, bind: Bind, expected: int | None, on_host: Mount | None, inside: Mount | None) -> tuple[int | None, str]:
        """The drawn mount that a path inside shows, and in words what it shows where that is none, or another directory of it."""
        if inside is None:
            return None, "nothing: its mount table has no root"
        number, place = _place_of(inside, bind.target)
        if on_host is not None and _place_of(on_host, bind.source) == (number, place):
            return expected, "" if expected is not None else f"{inside.source} ({inside.fstype})"
        drawn = (index for index, mount in enumerate(self._shown) if mount is not None and mount.device_number == number and self._is_itself(index))
        same = next(drawn, None)
        return same, f"its directory {place}" if same is not None else f"{inside.source} ({inside.fstype}), its directory {place}"


def _parents_first(mountpoints: Iterable[str]) -> list[str]:
    """As the site names them, but what lies in another behind that one."""
    given = list(mountpoints)
    ordered: dict[str, None] = {}
    for mountpoint in given:
        ordered |= dict.fromkeys(sorted((one for one in given if is_below(mountpoint, one)), key=len))
    return list(ordered)


def _read_only(mount: Mount) -> bool:
    """By the mount's own option, or because its file system is."""
    return "ro" in mount.options or "ro" in mount.super_options


def _place_of(mount: Mount, path: str) -> tuple[str, str]:
    """Where a path that shows a mount lies: its device, and the directory of that file system."""
    below = posixpath.relpath(path, mount.mountpoint)
    return mount.device_number, posixpath.normpath(posixpath.join(mount.root, below))
