"""Which mounts does a namespace have, and which of them does a path really show? Parses mountinfo, of a host or of a container.

A path shows what the kernel finds when it walks to it: a mount that another one covers stays in the table, and taking the first (or the longest
mountpoint) would vouch for it. `MountTable.showing` walks the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import NamedTuple, Self

from interlock.errors import CouldNotLook
from interlock.nouns import dataclass
from interlock.patterns import regex

_OCTAL = regex(rb"\\([0-7]{3})")
_REMEDY = "look at /proc/self/mountinfo on the host"
_DELETED = "//deleted"  # behind a directory that was removed (d_path); nothing else has two slashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of mountinfo (proc_pid_mountinfo(5)). `device_number` is `major:minor`; `root` the directory of that file system that is shown.

    `propagation` holds the optional fields as written (`shared:1`, `master:2`, ...), unknown ones too.
    """

    id: int
    parent: int
    device_number: str
    root: str
    mountpoint: str
    options: tuple[str, ...]
    propagation: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]

    @classmethod
    def parse(cls, line: bytes, *, where: str) -> Self:
        """One line, without its newline. Raises `CouldNotLook` when it is no mountinfo line."""
        every = line.split(b" ")
        try:
            end = every.index(b"-", 6)  # behind the six fields that are always there: one of those may be a dash itself
            fstype, source, first, *more = every[end + 1 :]
            major, minor = every[2].split(b":")
        except ValueError:
            raise CouldNotLook(f"{line[:120]!r} is no mountinfo line", where=where, remedy=_REMEDY) from None
        if not (major.isdigit() and minor.isdigit()):
            raise CouldNotLook(f"{line[:120]!r} is no mountinfo line", where=where, remedy=_REMEDY)
        if not (every[0].isdigit() and every[1].isdigit()):
            raise CouldNotLook(f"{line[:120]!r} has no mount ids", where=where, remedy=_REMEDY)
        return cls(
            id=int(every[0]),
            parent=int(every[1]),
            device_number=every[2].decode("ascii"),
            root=unescape(every[3]),
            mountpoint=unescape(every[4]),
            options=_split(every[5]),
            propagation=tuple(field.decode("ascii", "surrogateescape") for field in every[6:end]),
            fstype=unescape(fstype),
            source=unescape(source),
            super_options=_split(b" ".join((first, *more))),
        )

    def render(self) -> bytes:
        """The line again: `parse(render())` is the same mount."""
        fields = [
            f"{self.id} {self.parent} {self.device_number}".encode(),
            escape(self.root),
            escape(self.mountpoint),
            _join(self.options),
            *(field.encode("ascii", "surrogateescape") for field in self.propagation),
            b"-",
            escape(self.fstype),
            escape(self.source),
            _join(self.super_options),
        ]
        return b" ".join(fields)

    @property
    def source_deleted(self) -> bool:
        """True when the directory that is shown was removed from its file system: it is empty, and takes nothing that anybody finds again."""
        return self.root.endswith(_DELETED)

    @property
    def read_only(self) -> bool:
        """True when the mount or its file system is."""
        return "ro" in self.options or "ro" in self.super_options

    def __str__(self) -> str:
        shown = "" if self.root == "/" else f", its directory {self.root}"
        return f"{self.source} ({self.fstype}{shown}) mounted at {self.mountpoint}"


def unescape(text: bytes) -> str:
    r"""Undo the kernel's octal escapes (`\040` is a space); other bytes survive as surrogates."""
    if b"\\" in text:
        text = _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), text)
    return text.decode("utf-8", "surrogateescape")


def escape(text: str, *, more: bytes = b"") -> bytes:
    """Escape as the kernel does: space, tab, newline, backslash and `#`, and the bytes of `more`."""
    raw = text.encode("utf-8", "surrogateescape")
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" + more else bytes([byte]) for byte in raw)


@lru_cache(maxsize=1024)
def _split(options: bytes) -> tuple[str, ...]:
    """Thousands of mounts have the same ones."""
    return tuple(unescape(option) for option in options.split(b","))


def _join(options: tuple[str, ...]) -> bytes:
    return b",".join(escape(option, more=b",") for option in options)


def is_below(path: str, directory: str) -> bool:
    """True when `path` is `directory` or lies below it; both absolute and without `..`."""
    return directory in (path, "/") or path.startswith(directory + "/")


class _Index(NamedTuple):
    """What a table is asked for, made once. `root` is None where the process's root directory is not the root of a mount (a chroot), and the mount that it
    is on is not in the table; `start` is the id that the walk begins with. `topmost` maps the id of a mount and a mountpoint directly on it to the last of
    those that were mounted there one over the other. `lost` are the mountpoints of mounts that stand on none of the others: the table changed meanwhile.
    """

    root: Mount | None
    start: int
    topmost: Mapping[tuple[int, str], Mount]
    lost: frozenset[str]
    stacks: Mapping[str, Sequence[Mount]]
    by_id: Mapping[int, Mount]


@dataclass(frozen=True, slots=True)
class MountTable:
    """All mounts of one mount namespace, in the order of mountinfo."""

    mounts: tuple[Mount, ...]
    memory: list[_Index] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def parse(cls, text: bytes, *, where: str) -> Self:
        """The table of a mountinfo file. Raises `CouldNotLook` for anything else, an empty one too: a namespace without a mount proves nothing."""
        mounts = tuple(Mount.parse(line, where=where) for line in text.split(b"\n") if line)
        if not mounts:
            raise CouldNotLook("the mount table is empty", where=where, remedy=_REMEDY)
        return cls(mounts)

    def render(self) -> bytes:
        """The file again."""
        return b"".join(mount.render() + b"\n" for mount in self.mounts)

    def showing(self, path: str) -> Mount | None:
        """The mount that `path` shows, None when the table does not tell. `path` is absolute, resolved, without `..`.

        Walks as the kernel does: from the root, at each directory on the way to what is mounted on it, so that a mount whose mountpoint was covered later
        is not found. What is mounted over `/` itself is not entered: whoever has that root goes on below it. The table does not tell in a chroot to a
        directory that is no mountpoint, but for what is mounted inside, nor below a mount of which nothing says where it stands.
        Source: the kernel's path walk (Documentation/filesystems/path-lookup, mount points); fs/proc_namespace.c and prepend_path for what is listed.
        """
        index = self._index()
        current, at = index.root, index.start
        for prefix in _prefixes(path):
            if prefix in index.lost:
                return None
            found = index.topmost.get((at, prefix))
            if found is not None:
                current, at = found, found.id
        return current

    def stack_at(self, mountpoint: str) -> tuple[Mount, ...]:
        """All mounts at exactly this mountpoint, lowest first; more than one means that something is covered."""
        return tuple(self._index().stacks.get(mountpoint, ()))

    def beneath(self, mount: Mount) -> Mount | None:
        """The mount that the directory at a mountpoint lies on, below all that is stacked there; None for a root, and where the table does not tell."""
        by_id = self._index().by_id
        below, passed = by_id.get(mount.parent), {mount.id}
        while below is not None and below.mountpoint == mount.mountpoint and below.id not in passed:
            passed.add(below.id)
            below = by_id.get(below.parent)
        return below if below is not None and below.id not in passed and is_below(mount.mountpoint, below.mountpoint) else None

    def shows_its_own_place(self, mount: Mount) -> bool:
        """True for a bind of a directory onto itself: it looks mounted, and shows what would be there without it."""
        below = self.beneath(mount)
        if below is None:
            return False
        inside = mount.mountpoint.removeprefix(below.mountpoint.rstrip("/"))
        return mount.device_number == below.device_number and mount.root.removesuffix(_DELETED) == (below.root.rstrip("/") + inside or "/")

    def _index(self) -> _Index:
        if not self.memory:
            self.memory.append(_index_of(self.mounts))
        return self.memory[0]


def _prefixes(path: str) -> Iterator[str]:
    """`/a` and `/a/b` of `/a/b`; none of `/`."""
    at = path.find("/", 1)
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)
    if path != "/":
        yield path


def _index_of(mounts: tuple[Mount, ...]) -> _Index:
    by_id = {mount.id: mount for mount in mounts}
    lowest = [mount for mount in mounts if mount.parent not in by_id or mount.parent == mount.id]
    root = next((mount for mount in lowest if mount.mountpoint == "/"), None)
    if root is not None and any(mount.parent == root.parent and mount is not root for mount in lowest):
        root = None  # those stand where the root directory is, and so does this one: it was mounted over the `/` of a chroot
    start = root.id if root else -1
    on = {(mount.parent if mount.parent in by_id else -1, mount.mountpoint): mount for mount in mounts if mount is not root and mount.parent != mount.id}
    stacks: dict[str, list[Mount]] = {}
    for mount in mounts:
        stacks.setdefault(mount.mountpoint, []).append(mount)
    lost = frozenset(mount.mountpoint for mount in lowest) - {"/"} if root else frozenset()
    return _Index(root=root, start=start, topmost=_topmost(on), lost=lost, stacks=stacks, by_id=by_id)


def _topmost(on: Mapping[tuple[int, str], Mount]) -> Mapping[tuple[int, str], Mount]:
    """Each stack followed to its top, once however high it is."""
    found: dict[tuple[int, str], Mount] = {}
    for bottom in on:
        place, way = bottom, dict[tuple[int, str], None]()
        while place in on and place not in found and place not in way:
            way[place] = None
            place = on[place].id, place[1]
        for passed in reversed(way):
            found[passed] = found.get((on[passed].id, passed[1]), on[passed])
    return found
