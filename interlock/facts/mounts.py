"""Which disks and places does a host have, how do they lie to each other, and what can be written there? `interlock.observe.mounts` brings them.

The mount table itself is in `interlock.facts.mount_tables`.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from interlock.errors import CouldNotLook
from interlock.facts.looks import Entry, Listing, SpaceAnswer
from interlock.facts.mount_tables import Mount, MountTable, escape, is_below, unescape
from interlock.facts.stack import Service
from interlock.nouns import dataclass
from interlock.patterns import regex

__all__ = [
    "BACKUPS",
    "NOT_RECURSIVE",
    "ChainLayout",
    "DeclaredDisk",
    "DeviceNames",
    "Directories",
    "HostLayout",
    "Layout",
    "Mount",
    "MountTable",
    "NewestBackup",
    "WritablePlace",
    "bound_beside",
    "escape",
    "is_below",
    "newest_backup",
    "unescape",
]


_TAGGED = regex("(?:LABEL|UUID|PARTUUID|PARTLABEL)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNames:
    """What the host says about device names: `numbers` maps a device path to `major:minor`, `links` a name like `by-label/state` to its device path.

    `unmounted` are device paths that are there, whether anything is mounted from them or not: they need have no number.
    """

    numbers: Mapping[str, str]
    links: Mapping[str, str]
    unmounted: frozenset[str] = frozenset()

    def path_of(self, declared: str) -> str | None:
        """The device path that `LABEL=x`, `UUID=x`, `PARTUUID=x`, `PARTLABEL=x` or a path below /dev leads to; None when the host has no such device.

        A declaration without a device (`tmpfs`, `nas:/export`) is returned as it is.
        """
        tag, equals, value = declared.partition("=")
        if equals and tag in ("LABEL", "UUID", "PARTUUID", "PARTLABEL"):
            return self.links.get(f"by-{tag.lower()}/{_udev_encode(value)}") or self.links.get(f"by-{tag.lower()}/{value}")
        if declared.startswith("/dev/"):
            target = self.links.get(declared.removeprefix("/dev/disk/"), declared)
            return target if target in self.numbers or target in self.unmounted else None
        return declared

    def says_nothing_of(self, declared: str) -> bool:
        """Whether a label or UUID cannot be told here at all: where no udev runs (a container, a small system) there are no links of any kind."""
        return _TAGGED.match(declared) is not None and not any(name.startswith("by-") for name in self.links)

    def number_of(self, path: str) -> str | None:
        """`major:minor` of a device path, None for a source without a device."""
        return self.numbers.get(path)


def _udev_encode(value: str) -> str:
    r"""As udev writes a label in a link name: everything but a small safe set becomes `\xNN`."""
    safe = "#+-.:=@_"
    return "".join(c if c.isalnum() or c in safe else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in value)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredDisk:
    """All that decides whether a disk is where the stack believes it is.

    `holds` is what lives on it, `state` or `data`; `path` as declared, `realpath` after links (empty when absent), `device_seen` st_dev of what is there as
    `major:minor`, empty for a link that leads nowhere. `subvolume` is the directory of the file system that must be mounted; any when None.
    """

    holds: str
    path: str
    mountpoint: str
    device: str
    fstype: str | None
    present: bool
    realpath: str
    mountpoint_realpath: str
    device_seen: str
    table: MountTable
    names: DeviceNames
    subvolume: str | None = None


NOT_RECURSIVE = "disabled"  # compose's word for a bind that does not show what is mounted below its source


class Layout(StrEnum):
    """How the state disk lies beside the data disk."""

    NESTED = "nested"  # the state disk is mounted below the data disk
    FLAT = "flat"  # the two are mounted beside each other, and each service binds both


@dataclass(frozen=True, slots=True, kw_only=True)
class Directories:
    """The two directories of the host that a layout is about, and the variable that tells a service where it sees the first.

    In a chain of the layout that the host does not have, `state` is what its services bind beside the data directory, empty where they bind nothing
    there or the layout is nested, and `variable` is empty: it has the value that the host needs.
    """

    state: str
    data: str
    variable: str


def bound_beside(users: Iterable[Service], data: str, project: str) -> str:
    """The directory of the host that most of these services bind to write to, beside the data directory and outside of the project's; empty when none does."""
    beside = Counter(
        source
        for user in users
        for source in {mount.source for mount in user.mounts if mount.source and not mount.read_only}
        if not is_below(source, data) and not is_below(data, source) and not is_below(source, project)
    )
    return min(beside, key=lambda source: (-beside[source], source), default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLayout:
    """One chain of compose files beside the layout that its overlays stand for.

    `layouts` are those whose overlay is in the chain, at least one; `declared_is_followed` is True when some chain of the site has the overlay of the
    declared layout. `users` are its services that use state; the source of each of their mounts is the directory of the host behind it, empty when the
    engine chooses one.
    """

    chain: str
    declared: Layout
    layouts: tuple[Layout, ...]
    declared_is_followed: bool
    directories: Directories
    users: tuple[Service, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLayout:
    """How the two disks really lie on their host. Paths and mountpoints are resolved. `users` as in `ChainLayout`, from the running containers: None when
    the site names no engine to ask."""

    declared: Layout
    state_path: str
    data_path: str
    state_mountpoint: str
    data_mountpoint: str
    table: MountTable
    directories: Directories
    users: tuple[Service, ...] | None


class NewestBackup(NamedTuple):
    """How large the newest backup in a directory is: all files of the same time stamp together."""

    size: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WritablePlace:
    """A directory that must take what will be written to it, with the mount and the space behind it.

    `space` is None when the directory is not there; `newest` is the newest backup in it, None when there is none or it is no directory of `backups`.
    """

    path: str
    present: bool
    realpath: str
    table: MountTable
    space: SpaceAnswer | None
    min_free: int = 0
    min_free_inodes: int = 0
    backups: bool = False
    newest: NewestBackup | None = None


BACKUPS = "-backups"  # behind a module's name: the subject that is its backup directory

_STAMP = regex(r"\d{4}-?\d{2}-?\d{2}(?:[T_.-]?\d{2}[:-]?\d{2}(?:[:-]?\d{2})?)?Z?")
_BESIDE_A_BACKUP = (".json", ".sha256", ".sha512", ".md5", ".part", ".tmp", ".log")
_SUMS = frozenset({"SHA256SUMS", "SHA512SUMS", "MD5SUMS"})


def newest_backup(walk: Callable[[], Iterable[Listing]], directory: str) -> NewestBackup | None:
    """The newest backup below a directory, None when there is none. Walks twice, and keeps one file at a time: there may be a million.

    A backup is every file with the newest one's time stamp in its name, or in that of its folder; without one it is the newest file alone. Hidden files,
    manifests, checksums and logs are no backups. Raises `CouldNotLook`, also for a folder that could not be listed: the newest may be in it.
    """
    newest = max(((entry.mtime, folder, entry.name) for folder, entry in _backup_files(walk())), default=None)
    if newest is None:
        return None
    wanted = _backup_of(directory, newest[1], newest[2])
    sizes = [entry.size for folder, entry in _backup_files(walk()) if _backup_of(directory, folder, entry.name) == wanted]
    return NewestBackup(size=sum(sizes), files=len(sizes))


def _backup_files(listings: Iterable[Listing]) -> Iterator[tuple[str, Entry]]:
    for listing in listings:
        if listing.error:
            raise CouldNotLook(
                f"{listing.directory} could not be listed: {listing.error}",
                where=listing.directory,
                why="the newest backup may be in it",
                remedy="let this user list it, or set `become: sudo -n` for this host",
            )
        for entry in listing.entries:
            if stat.S_ISREG(entry.mode) and not entry.name.startswith(".") and not entry.name.endswith(_BESIDE_A_BACKUP) and entry.name not in _SUMS:
                yield listing.directory, entry


def _backup_of(top: str, folder: str, name: str) -> str:
    """What the files of one backup have in common: a stamped folder, else the stamp in their names, else the name."""
    inner = folder.removeprefix(top).strip("/").split("/")[0]
    if inner and _STAMP.search(inner):
        return f"{inner}/"
    stamp = _STAMP.search(name)
    return f"{folder}/{stamp[0] if stamp else name}"
