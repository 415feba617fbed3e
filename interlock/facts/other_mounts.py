"""Which further mounts does the site want on a host, and what is there? One disk for the backups, or one for each tenant."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.facts.mounts import DeclaredDisk, MountTable
from interlock.nouns import dataclass

_MADE_BY_THE_FILE_SYSTEM = "lost+found"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMounts:
    """The mounts of one entry of `mounts.others` beside the mount table of their host.

    `path` as declared, `realpath` after links (empty when absent). `directories` are the names directly below it that must each be a mountpoint, sorted; None
    where the one mount is at `path` itself. `fstype` None: any. `disk` is that one mount with its declared device, None when any will do.
    """

    path: str
    realpath: str
    directories: tuple[str, ...] | None
    fstype: str | None
    options: tuple[str, ...]
    table: MountTable
    disk: DeclaredDisk | None = None

    @property
    def folder(self) -> str:
        """What stands before the name of each directory."""
        return self.realpath.rstrip("/") + "/"


def mountpoints_among(names: Iterable[str]) -> tuple[str, ...]:
    """The names of directories that must be mountpoints, sorted: hidden ones are somebody's own, and lost+found is the file system's."""
    return tuple(sorted(name for name in names if not name.startswith(".") and name != _MADE_BY_THE_FILE_SYSTEM))
