"""Which directory of which file system does a path show, on the host and inside of a container? `interlock.observe.container_mounts` brings both mount tables.

Two paths show the same directory when device and directory of the file system are the same, whatever the paths are called and however they were bound.
`interlock.judge.disk.visible` judges what containers see, `read_only` what they can write to, `live_volumes` what their volumes were made with.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple, Self, assert_never

from interlock.facts.engine import Container, Engine, EngineVolume, View
from interlock.facts.mount_tables import Mount, MountTable, is_below
from interlock.facts.mounts import DeclaredDisk
from interlock.facts.placeholders import MARKS
from interlock.facts.stack import Service, ServiceMount, Stack, Volume
from interlock.nouns import dataclass

STATE = "state"  # what the state disk holds
WHOLE_HOST = "/"  # the source of a bind that shows all of it: a monitor, not a service that uses state
CONFIG_FILES = "com.docker.compose.project.config_files"
VOLUME_KEY = "com.docker.compose.volume"
VOLUME_PROJECT = "com.docker.compose.project"
_DELETED = "//deleted"


class Spot(NamedTuple):
    """A directory of a file system, wherever it is mounted: `device` as mountinfo has it, `directory` from the root of the file system on."""

    device: str
    directory: str

    def is_within(self, other: Spot) -> bool:
        """True when it is the other one, or lies below it."""
        return self.device == other.device and is_below(self.directory, other.directory)


def spot(table: MountTable, path: str) -> Spot | None:
    """What a path shows; None when the table does not tell. `path` is absolute, resolved, without `..`."""
    shown = table.showing(path)
    return None if shown is None else spot_in(shown, path)


def spot_in(mount: Mount, path: str) -> Spot:
    """The directory of its file system that a mount has at a path at or below its mountpoint."""
    return Spot(mount.device_number, _joined(mount.root, path.removeprefix(mount.mountpoint.rstrip("/"))))


def _joined(directory: str, rest: str) -> str:
    return f"{directory.rstrip('/')}/{rest.strip('/')}".rstrip("/") or "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlace:
    """A directory of the host that its containers must see as the host does. `holds` is what lies there (`state`, `data`); `path` as declared, `realpath`
    after links; `disk` is the one that is declared for it, None when none is.

    `shown` is the mount that the host shows there, None when its table does not tell, and `right` the directory of it. `hidden` are those that lie under it,
    one on each mount below: what the place would show without.
    """

    holds: str
    path: str
    realpath: str
    disk: DeclaredDisk | None
    shown: Mount | None
    right: Spot | None
    hidden: tuple[Spot, ...]

    @classmethod
    def of(cls, holds: str, path: str, realpath: str, table: MountTable, disk: DeclaredDisk | None) -> Self:
        """The place beside the mount table of its host."""
        right = spot(table, realpath)
        hidden = tuple(one for one in _under(table, realpath) if one != right)
        return cls(holds=holds, path=path, realpath=realpath, disk=disk, shown=table.showing(realpath), right=right, hidden=hidden)

    def below(self, source: str) -> str | None:
        """The way from a directory of the host down to this place, empty for the place itself; None when it does not lie below it."""
        return next((path.removeprefix(source.rstrip("/")).strip("/") for path in (self.path, self.realpath) if is_below(path, source)), None)

    def has(self, source: str, table: MountTable) -> bool:
        """True when a directory of the host lies in this place, and on its mount."""
        found = spot(table, source) if any(is_below(source, path) for path in (self.path, self.realpath)) else None
        return found is not None and self.right is not None and found.is_within(self.right)


def _under(table: MountTable, path: str) -> tuple[Spot, ...]:
    """What a path would show without the mount that it shows, without that too, and so on."""
    by_id = {mount.id: mount for mount in table.mounts}
    mount, found, passed = table.showing(path), dict[Spot, None](), set[int]()
    while mount is not None and mount.parent in by_id and mount.id not in passed:
        passed.add(mount.id)
        mount = by_id[mount.parent]
        if is_below(path, mount.mountpoint):
            found[spot_in(mount, path)] = None
    return tuple(found)


class Shows(StrEnum):
    """What a path inside of a container shows of a place of the host."""

    RIGHT = "right"  # the directory that the host shows there
    HIDDEN = "hidden"  # the one that is covered on the host
    DELETED = "deleted"  # one that was there, and was removed
    ELSEWHERE = "elsewhere"  # anything else


class Sight(NamedTuple):
    """What a path inside of a container shows: `mount` of the container's table, which need not be the one that led there."""

    inside: str
    shows: Shows
    mount: Mount


def sights(place: HostPlace, table: MountTable) -> tuple[Sight, ...]:
    """Every path inside of a container that leads to a place of the host by device and directory, and what it shows, in the order of the paths.

    A mount of the container leads to the place when it shows the directory itself, one above or one below it: the one that the host shows, or one that is
    covered there. Paths that show something else in the end, since something lies over them in the container, are left out.
    """
    right, hidden = place.right, place.hidden
    known = tuple(one for one in (right, *hidden) if one is not None)
    inside = {path for mount in table.mounts for one in known for path in (_leads(mount, one),) if path is not None}
    found = (sight(place, table, path) for path in sorted(inside))
    return tuple(one for one in found if one is not None and one.shows is not Shows.ELSEWHERE)


def _leads(mount: Mount, wanted: Spot) -> str | None:
    """The path at which a mount has a directory, or its own mountpoint when it shows what lies below that; None when it has neither."""
    if mount.device_number != wanted.device:
        return None
    root = mount.root.removesuffix(_DELETED)
    if is_below(wanted.directory, root):
        return _joined(mount.mountpoint, wanted.directory.removeprefix(root.rstrip("/")))
    return mount.mountpoint if is_below(root, wanted.directory) else None


def sight(place: HostPlace, table: MountTable, inside: str) -> Sight | None:
    """What a path inside of a container shows of a place; None when its table does not tell."""
    shown = table.showing(inside)
    return None if shown is None else Sight(inside, _shows(place, shown, inside), shown)


def _shows(place: HostPlace, shown: Mount, inside: str) -> Shows:
    found, right = spot_in(shown, inside), place.right
    if shown.source_deleted:
        was = Spot(found.device, found.directory.replace(_DELETED, ""))
        return Shows.DELETED if right is not None and right.is_within(was) else Shows.ELSEWHERE
    nearest = max((one for one in (right, *place.hidden) if one is not None and found.is_within(one)), key=lambda one: len(one.directory), default=None)
    if nearest is None:
        return Shows.ELSEWHERE
    return Shows.RIGHT if nearest == right else Shows.HIDDEN


# ---- the containers, and what they were asked for


def has_its_state_there(place: HostPlace, container: SeenContainer) -> bool:
    """Whether a container has its state in a place of the host, or in what is covered there; of one that nobody could see inside, whether it was asked to."""
    if container.table is None:
        mount = container.service.mount_over(container.state)
        return mount is not None and bool(mount.source) and mount.source != WHOLE_HOST and place.below(mount.source) is not None
    found = sight(place, container.table, container.state)
    return found is not None and found.shows in (Shows.RIGHT, Shows.HIDDEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenContainer:
    """A running container of the site's stack. `who` names it in a message. `service` has its mounts with the directory of the host behind each as source,
    and as target where that really is: the engine follows the links of the image.

    `table` is its mount table, None when it could not be had: then `unseen` says why. `state` is the path inside at which it has the state, empty when it
    does not use any. `chain` is the one that it was started from, None where that is none of the site's or cannot be told, empty where nothing is said.
    """

    who: str
    container: Container
    service: Service
    table: MountTable | None
    unseen: str = ""
    state: str = ""
    chain: str | None = ""

    @property
    def view(self) -> View | None:
        """What it sees, None when that could not be had."""
        return self.container.view if self.table is not None else None


def leads(container: Container, path: str) -> str:
    """Where a path inside of a container leads after its links, as far as that was looked at; the path itself where it was not."""
    place = container.view.places.get(path) if container.view else None
    return place.leads if place is not None and place.leads else posixpath.normpath(path)


class Expected(NamedTuple):
    """A path inside of a service at which one of its mounts should show a place of the host, or only a `part` of it."""

    inside: str
    mount: ServiceMount
    part: bool


def expected(place: HostPlace, service: Service, table: MountTable) -> Iterator[Expected]:
    """Where the mounts of a service should show a place, by what they were asked for, unless another of them lies over it. `table` is the host's."""
    for mount in service.mounts:
        if not mount.source or mount.source == WHOLE_HOST:
            continue
        rest = place.below(mount.source)
        if rest is None and not place.has(mount.source, table):
            continue
        inside = mount.target if rest is None else _joined(mount.target, rest)
        if service.mount_over(inside) == mount:
            yield Expected(inside, mount, part=rest is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStack:
    """What runs on a host, and what it is made of. `containers` are the running ones of the site's stack; `chains` are what is started, as far as it is
    needed and known: those that its containers were started from, else all that belong on these disks. `strays` are containers of which nobody can tell the
    chain; `compose` is the version of the docker compose that resolved the chains, and would start them."""

    host: str
    engine: Engine
    places: tuple[HostPlace, ...]
    table: MountTable
    containers: tuple[SeenContainer, ...]
    chains: tuple[ChainOnHost, ...] = ()
    strays: tuple[Stray, ...] = ()
    compose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOnHost:
    """A chain of compose files as docker compose resolves it, beside what the engine has of it. `services` have the directory of the host behind each mount;
    a volume that is there already has its own options, whatever the files say. `volumes` are the engine's, by the key in the files."""

    chain: str
    stack: Stack
    services: tuple[Service, ...]
    volumes: Mapping[str, EngineVolume]
    unclear: Mapping[str, tuple[str, ...]]


class Seen(NamedTuple):
    """A path inside of a container that has to do with a place of the host, and what it shows; None where its table does not tell. `uses`: it is where the
    container has its state; `wanted` is set where it was asked for."""

    inside: str
    sight: Sight | None
    uses: bool
    wanted: Expected | None


def paths(stack: HostStack, container: SeenContainer, place: HostPlace) -> tuple[Seen, ...]:
    """The paths of a container that have to do with a place: those that lead there by device and directory, that were asked to, and where it has its state."""
    assert container.table is not None  # asked for one that was seen
    wanted = {one.inside: one for one in expected(place, container.service, stack.table)}
    state = container.state if place.holds == STATE else ""
    found = {one.inside: one for one in sights(place, container.table)}
    every = dict.fromkeys(path for path in (*found, *wanted, state) if path)
    seen = (Seen(path, found.get(path) or sight(place, container.table, path), path == state, wanted.get(path)) for path in sorted(every))
    return tuple(one for one in seen if _matters(stack, container, place, one))


def _matters(stack: HostStack, container: SeenContainer, place: HostPlace, seen: Seen) -> bool:
    if seen.uses or seen.sight is None:
        return True
    match seen.sight.shows:
        case Shows.RIGHT:  # files that the engine itself puts into every container may lie on the disk too
            return container.service.mount_over(seen.inside) is not None
        case Shows.HIDDEN:
            return not _as_on_the_host(stack, container, seen.sight)
        case Shows.DELETED:
            return True
        case Shows.ELSEWHERE:  # a file that was replaced since is another one, on the same disk
            same_disk = place.right is not None and seen.sight.mount.device_number == place.right.device
            return seen.wanted is not None and not (seen.wanted.part and same_disk)
        case _:
            assert_never(seen.sight.shows)


def _as_on_the_host(stack: HostStack, container: SeenContainer, seen: Sight) -> bool:
    """For one that does not use state: a bind of the whole host, or of a path at which the host shows the covered directory too (its disk mounted twice)."""
    mount = container.service.mount_over(seen.inside)
    if mount is None or mount.kind != "bind" or not mount.source:
        return False
    outside = _joined(mount.source, seen.inside.removeprefix(mount.target.rstrip("/")))
    return mount.source == WHOLE_HOST or spot(stack.table, outside) == spot_in(seen.mount, seen.inside)


def of_the_engine(mount: Mount, engine: Engine) -> bool:
    """True for what an engine mounts for itself: the roots of containers, their shared memory and namespaces, and what its volumes bind."""
    if mount.fstype in ("overlay", "nsfs") or mount.source == "shm":
        return True
    return any(volume.mountpoint and is_below(mount.mountpoint, volume.mountpoint) for volume in engine.volumes)


class Stray(NamedTuple):
    """A container of which nobody can tell which chain it was started from, and why."""

    who: str
    why: str


def with_chains(
    containers: Sequence[SeenContainer], chains: Mapping[str, Sequence[str]], likely: Sequence[str], has_to_do: Callable[[SeenContainer], bool]
) -> tuple[tuple[SeenContainer, ...], tuple[Stray, ...]]:
    """The containers with their chains, and those of which nobody can tell it although they are of the stack: of a project of which others were told, or,
    where none was, one that has to do with the disks. `chains` are the files of each, `likely` those that are started on this host."""
    found = {one.container.id: _chains_of(one, chains, likely) for one in containers}
    projects = {one.container.project for one in containers if len(found[one.container.id] or ()) == 1}
    told, strays = [], []
    for one in containers:
        names = found[one.container.id]
        chain = "" if names is None else names[0] if len(names) == 1 else None
        told.append(replace(one, chain=chain))
        if chain is None and chains and (one.container.project in projects if projects else has_to_do(one)):
            files = ", ".join(posixpath.basename(path) for path in one.container.labels[CONFIG_FILES].split(","))
            which = f"the chains {', '.join(names)} are made of them" if names else "no chain of the site is made of them"
            strays.append(Stray(one.who, f"{one.who} was started from {files}, and {which}"))
    return tuple(told), tuple(strays)


def _chains_of(container: SeenContainer, chains: Mapping[str, Sequence[str]], likely: Sequence[str]) -> tuple[str, ...] | None:
    """The chains that a container may be of; None where it does not say which files it was started from."""
    label = container.container.labels.get(CONFIG_FILES, "")
    names = chains_started(label, chains)
    return (tuple(name for name in names if name in likely) or names) if label else None


def chains_started(label: str, chains: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The chains that a container may have been started from: `label` lists the paths of its compose files on the host, `chains` the files of each, in the
    tree. The same names in the same order count, with the folders of the tree where one chain has them alone."""
    started = [path for path in label.split(",") if path]
    same = [name for name, files in chains.items() if _same_files(started, files)]
    if same:
        return tuple(same)
    names = [posixpath.basename(path) for path in started]
    return tuple(name for name, files in chains.items() if [posixpath.basename(file) for file in files] == names)


def _same_files(started: Sequence[str], files: Sequence[str]) -> bool:
    return len(started) == len(files) and all(path == file or path.endswith(f"/{file}") for path, file in zip(started, files, strict=True))


def is_unknown(text: str) -> bool:
    """Whether a value of a chain is made of variables that have none here."""
    return any(mark in text for mark in MARKS)


def project_name(directory: str) -> str:
    """What docker compose calls the project in a directory when nobody gives it a name."""
    return re.sub("[^-_a-z0-9]", "", posixpath.basename(directory.rstrip("/")).lower()).lstrip("_-")


class Projects(NamedTuple):
    """What a compose project may be called on a host. `certain`: its containers say so. `others` are the projects of other stacks."""

    names: tuple[str, ...]
    certain: bool
    others: frozenset[str]


def engine_volume(volume: Volume, project: str, projects: Projects, volumes: Mapping[str, EngineVolume]) -> EngineVolume | tuple[str, ...] | None:
    """The volume of the engine that a volume of a chain is; None when there is none yet; the names of those that it may be when nobody can tell.

    `project` is what the files themselves come to.
    """
    if volume.external or volume.name != f"{project}_{volume.key}":
        return volumes.get(volume.name)
    named = [volumes[name] for name in dict.fromkeys(f"{one}_{volume.key}" for one in projects.names) if name in volumes]
    if not named and not projects.certain:
        same_key = (one for one in volumes.values() if one.labels.get(VOLUME_KEY) == volume.key)
        return tuple(one.name for one in same_key if one.labels.get(VOLUME_PROJECT) not in projects.others) or None
    if not named:
        return None
    return named[0] if len(named) == 1 else tuple(one.name for one in named)
