"""What does a running container show where it has its state, and may its process write there? `interlock.observe.state_inside` brings it.

`interlock.judge.state.writable` judges what it may write, `interlock.judge.state_dir` whether it is the directory that the host's readers come to.
"""

from __future__ import annotations

import posixpath
from enum import StrEnum
from stat import S_ISDIR
from typing import NamedTuple

from interlock.facts.access import Want, may
from interlock.facts.backups import mode_text
from interlock.facts.container_mounts import Spot, spot
from interlock.facts.engine import Place, View
from interlock.facts.mount_tables import Mount, MountTable
from interlock.nouns import dataclass

READ_ONLY = "ro"


class Cannot(StrEnum):
    """Why a process cannot write to a place."""

    ABSENT = "absent"
    NO_DIRECTORY = "no-directory"
    READ_ONLY = "read-only"
    READ_ONLY_FILE_SYSTEM = "read-only-file-system"
    NO_WAY = "no-way-in"
    NO_PERMISSION = "no-permission"
    UNKNOWN = "could-not-look"  # it may be able to: nobody could tell


class Hindrance(NamedTuple):
    """What keeps a process from writing to a place, in words behind its name: `cannot write /data-state: ...`."""

    why: Cannot
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateInside:
    """Where a running container has its state, by its variable, and what it shows there. `who` names its service in a message, else the container itself.

    `path` is empty where the variable comes to no directory, or to another one than it should: then `wrong` says it. `view` and `table` are None when nobody
    could see inside: then `unseen` says why.
    """

    who: str
    container: str
    path: str
    wrong: str = ""
    view: View | None = None
    table: MountTable | None = None
    unseen: str = ""

    def place(self, path: str) -> Place | None:
        """What a path inside shows, None when nobody looked."""
        return self.view.places.get(path) if self.view is not None else None

    def mount(self, path: str) -> Mount | None:
        """The mount of the container that a path shows, links on the way to it followed."""
        place = self.place(path)
        return self.table.showing(place.leads or path) if self.table is not None and place is not None else None

    def spot(self, path: str) -> Spot | None:
        """The directory of its file system that a path shows, links on the way to it followed."""
        place = self.place(path)
        return spot(self.table, place.leads or path) if self.table is not None and place is not None and place.present else None

    @property
    def process(self) -> str:
        """`uid 1000, gid 1000`, as the host counts them."""
        return f"uid {self.view.uid}, gid {self.view.gid}" if self.view is not None else ""

    # ---- what its process may write

    def hindered_at(self, directory: str) -> Hindrance | None:
        """Why its process cannot make files in a directory; None when it can."""
        place, mount = self.place(directory), self.mount(directory)
        if self.view is None or place is None or mount is None or place.error:
            return self._unknown(place)
        if not place.present:
            return Hindrance(Cannot.ABSENT, "it is not there")
        if not S_ISDIR(place.mode):
            return Hindrance(Cannot.NO_DIRECTORY, "it is no directory")
        return self._read_only(mount) or self._no_way(directory) or self._refused(place, Want.FILL)

    def hindered_file(self, path: str) -> Hindrance | None:
        """Why its process can neither write a file that is there nor make it anew, with the directories that are missing; None when it can do one of both.

        A file that is mounted by itself cannot be replaced: the kernel refuses to rename over a mountpoint.
        """
        place, mount = self.place(path), self.mount(path)
        if place is None or mount is None or place.error:
            return self._unknown(place)
        above = self.hindered_at(self._nearest(posixpath.dirname(path)))
        if not place.present or (above is None and mount.mountpoint != place.leads):
            return above
        return self._read_only(mount) or self._no_way(path) or self._refused(place, Want.WRITE)

    def _unknown(self, place: Place | None) -> Hindrance:
        return Hindrance(Cannot.UNKNOWN, self.unseen or (place.error if place is not None else "") or "it was not looked at")

    def _nearest(self, directory: str) -> str:
        """The directory, or the nearest above it that is there."""
        while directory != "/" and (place := self.place(directory)) is not None and not place.present and not place.error:
            directory = posixpath.dirname(directory)
        return directory

    def _read_only(self, mount: Mount) -> Hindrance | None:
        if READ_ONLY in mount.options:
            return Hindrance(Cannot.READ_ONLY, f"the mount at {mount.mountpoint} is read-only in the container")
        if READ_ONLY in mount.super_options:
            return Hindrance(Cannot.READ_ONLY_FILE_SYSTEM, f"the file system of {mount.source} is mounted read-only")
        return None

    def _no_way(self, path_to: str) -> Hindrance | None:
        """The directories above a path that its process cannot go through, as far as they were looked at."""
        for path in ancestors(path_to):
            place = self.place(path)
            if place is not None and place.present and (refused := self._refused(place, Want.SEARCH)):
                why = refused.why if refused.why is Cannot.UNKNOWN else Cannot.NO_WAY
                return Hindrance(why, f"the way leads through {path}, and {refused.said}")
        return None

    def _refused(self, place: Place, want: Want) -> Hindrance | None:
        assert self.view is not None  # asked for one that was seen
        view = self.view
        allowed = may(place, view.uid, view.gid, view.groups, view.capabilities, want)
        if allowed:
            return None
        owned = f"it is {mode_text(place.mode)} of uid {place.uid}, gid {place.gid}"
        if allowed is None:
            return Hindrance(Cannot.UNKNOWN, f"{owned}, and only an ACL or a user namespace could let it")
        return Hindrance(Cannot.NO_PERMISSION, owned)


def ancestors(path: str) -> tuple[str, ...]:
    """The directories above an absolute path, the nearest to the root first; the root itself is none."""
    parts = path.strip("/").split("/")[:-1]
    return tuple("/" + "/".join(parts[: count + 1]) for count in range(len(parts)))


class ConfigInside(NamedTuple):
    """A configuration file that the application writes, by its name in the site, and its path inside."""

    name: str
    path: str


class HostDirectory(NamedTuple):
    """What the host shows at the declared directory: the directory of its file system, None when its mount table does not tell, and `major:minor` of st_dev.

    `judged` is True where mounts.nested_visible says of each container whether it sees the disk there.
    """

    spot: Spot | None
    device: str
    judged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWriters:
    """The running containers that use state, on one host; `where` says it in words. `configs` are the files that some of them writes."""

    where: str
    expected: str
    writers: tuple[StateInside, ...]
    configs: tuple[ConfigInside, ...] = ()
