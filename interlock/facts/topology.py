"""Which disk stands behind which path? The nouns of the report's picture: disks, mounts, containers and the paths in them, and what verdicts say of each.

`interlock.facts.topology_layout` makes them of what a host shows; `placed` puts what a run found where it belongs. Only what matters is in it: the disks
that the site declares, and what stands on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from interlock.nouns import dataclass
from interlock.patterns import regex
from interlock.verdicts import Outcome

SCHEMA = "interlock/topology/1"
FAMILIES = frozenset({"mounts", "state_dir"})  # whose verdicts are about what the picture shows
OF_THE_DISK = frozenset({"mounts.state_disk", "mounts.data_disk", "mounts.others"})  # those that say whether the right disk is there
OF_THE_PATH = frozenset({"mounts.nested_visible"})  # those that say whether a container sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file system. `name` is its source as the host has it (`/dev/sdb1`, `tmpfs`, `nas:/export`), `declared` as the site says it (`LABEL=state`), empty for
    one that only stands where a declared one should. `number` is `major:minor`; sizes in bytes, None where nobody looked."""

    name: str
    declared: str
    fstype: str
    number: str
    present: bool
    bytes_free: int | None
    bytes_total: int | None


class Presence(StrEnum):
    """What is at a mountpoint that the site declares."""

    MOUNTED = "mounted"
    ABSENT = "absent"  # nothing is mounted there
    COVERED = "covered"  # something is, below a mount that hides it


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMount:
    """A mountpoint of the host. `holds` names what of the site lives there: `state`, `data`, one of `mounts.others`, `app-backups`.

    `disk` is the disk that it shows, `expected` the one that the site declares there (None: any), `inside` the mount that it lies in, where that is drawn too:
    places in the lists of their host. `covers` are the sources of mounts at the same mountpoint that it hides; `hidden` counts the files below it on its
    parent's disk, None where nobody looked.
    """

    mountpoint: str
    holds: tuple[str, ...]
    disk: int | None
    expected: int | None
    inside: int | None
    presence: Presence
    read_only: bool
    covers: tuple[str, ...]
    hidden: int | None

    @property
    def on_its_disk(self) -> bool:
        """Whether what lives there is on the disk that the site declares for it."""
        return self.presence is Presence.MOUNTED and (self.expected is None or self.disk == self.expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerPath:
    """A path in a container, and the path of the host that it should show (`source`). `expected` is the mount of the host that the source lies on, `shows` the
    one that is really seen inside: places in the list of the host's mounts, None for one that is not drawn. `instead` says in words what is seen where that is
    not what the host has there; `looked` is False where nobody did."""

    path: str
    source: str
    expected: int | None
    shows: int | None
    instead: str
    looked: bool
    read_only: bool

    @property
    def differs(self) -> bool:
        """Whether something else is seen than on the host."""
        return self.looked and self.expected is not None and (self.shows != self.expected or bool(self.instead))


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A container, or a service that has none yet. `name` is its service's, else its own; `container` the engine's name, empty where there is none.
    `state` is the engine's word, or `not started`; `unseen` says why nobody could look inside one that runs."""

    name: str
    container: str
    state: str
    unseen: str
    paths: tuple[InnerPath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTopology:
    """What stands on the disks of one host. `unseen` says why nothing is known of it, `engine` what is known of its containers, in words; `others` counts the
    containers that touch none of its disks."""

    host: str
    taken_at: str
    unseen: str
    engine: str
    disks: tuple[Disk, ...]
    mounts: tuple[HostMount, ...]
    containers: tuple[Box, ...]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The disks of a site and what stands on them, host by host."""

    site: str
    hosts: tuple[HostTopology, ...]
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"its schema is {self.schema!r}, not {SCHEMA}: written by another version of interlock")
        for host in self.hosts:
            _must_fit(host)


def _must_fit(host: HostTopology) -> None:
    """Every place names something that is there, and no mount lies in itself."""
    disks, mounts = len(host.disks), len(host.mounts)
    into_disks = [place for mount in host.mounts for place in (mount.disk, mount.expected)]
    into_mounts = [place for box in host.containers for inner in box.paths for place in (inner.shows, inner.expected)]
    wrong = any(place is not None and not 0 <= place < disks for place in into_disks)
    wrong = wrong or any(place is not None and not 0 <= place < mounts for place in into_mounts)
    if wrong or any(mount.inside is not None and not 0 <= mount.inside < index for index, mount in enumerate(host.mounts)):
        raise ValueError(f"host {host.host!r} names a disk or a mount that is not there")


# ---- what a run found, put where it belongs


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a guardrail said of one thing; `what` as in `Detail`, empty for the subject itself."""

    guardrail: str
    subject: str
    host: str
    outcome: Outcome
    what: str
    message: str


class Spot(NamedTuple):
    """A thing in the picture: a mount of a host, a container, or a path in it; -1 where it is none."""

    host: int
    mount: int = -1
    box: int = -1
    path: int = -1


_WORDS = regex(r"[\s,;()\[\]'\"]+")


def placed(topology: Topology, findings: Iterable[Finding]) -> tuple[Mapping[Spot, tuple[Finding, ...]], tuple[Finding, ...]]:
    """The findings by the thing that they are about, and those that are about nothing in the picture."""
    at: dict[Spot, list[Finding]] = {}
    elsewhere = []
    for finding in findings:
        spots = [spot for index, host in enumerate(topology.hosts) if host.host == finding.host for spot in _spots(index, host, finding)]
        for spot in spots:
            at.setdefault(spot, []).append(finding)
        if not spots:
            elsewhere.append(finding)
    return {spot: tuple(found) for spot, found in at.items()}, tuple(elsewhere)


def _spots(index: int, host: HostTopology, finding: Finding) -> list[Spot]:
    """A path of the containers that it names, else these containers, else the mounts that it names."""
    subject = finding.subject.removesuffix(f"@{finding.host}")
    words = _words(finding.what) | {subject, subject.removesuffix("-mount")}
    boxes = [number for number, box in enumerate(host.containers) if {box.name, box.container} - {""} & words]
    if boxes:
        holding = {number for number, mount in enumerate(host.mounts) if subject in mount.holds}
        return [spot for number in boxes for spot in _inside(index, number, host.containers[number], words, holding)]
    return [Spot(index, mount=number) for number, mount in enumerate(host.mounts) if words & {*mount.holds, mount.mountpoint}]


def _inside(index: int, number: int, box: Box, words: set[str], holding: set[int]) -> list[Spot]:
    """The paths that are named, else those of the mount that the subject is; the container where none is."""
    named = [place for place, inner in enumerate(box.paths) if {inner.path, inner.source} & words]
    named = named or [place for place, inner in enumerate(box.paths) if inner.expected in holding]
    return [Spot(index, box=number, path=place) for place in named] or [Spot(index, box=number)]


def _words(text: str) -> set[str]:
    """The words of a detail's name, and their parts at colons: `app:/data/state` names a container and a path."""
    words = {word for word in _WORDS.split(text) if word}
    return {text} | words | {part for word in words for part in word.split(":") if part}
