"""What would the kernel show? A small model of it: file systems, mounts in several namespaces, peer groups, processes with a root directory.

It keeps a tree of mounts as the kernel does, each standing on a directory of its parent's file system, and answers two things that have nothing in common but
the tree: the text of mountinfo as a process reads it, and, by walking down from the root of that process, which directory of which file system a path shows.
Every directory exists on every file system. Nothing here uses the code that it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Directory = tuple[str, ...]  # names, from the root of a file system or of a process on
ESCAPED = b" \t\n\\"  # fs/proc_namespace.c, show_mountinfo


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A disk, or a tmpfs, which has no device."""

    device_number: str
    source: str
    fstype: str


@dataclass(slots=True, eq=False)
class Mounted:
    """A mount: the directory `root` of its file system, standing on the directory `at` of `parent`."""

    id: int
    shows: FileSystem
    root: Directory
    space: int
    parent: Mounted | None = None
    at: Directory = ()
    peers: int = 0
    master: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """A process: whose root directory is `directory` of `mount`, in the namespace of that mount."""

    mount: Mounted
    directory: Directory


@dataclass(slots=True)
class Kernel:
    """All mounts of all namespaces, in the order of their making. `processes[0]` is the first one, on the first disk, and always there."""

    mounts: list[Mounted] = field(default_factory=list)
    over: dict[tuple[int, Directory], Mounted] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    made: int = 0

    @classmethod
    def booted(cls) -> Kernel:
        """One disk, mounted as the root of everything."""
        kernel = cls()
        kernel.processes.append(Process(kernel._made(kernel.disk(), (), kernel._count()), ()))
        return kernel

    # ---- what it answers

    def walk(self, process: Process, path: Directory) -> tuple[Mounted, Directory]:
        """What a path shows to a process: the mount, and the directory of its file system. The root itself is where the process is, whatever is over it."""
        mount, directory = process.mount, process.directory
        for name in path:
            directory += (name,)
            while over := self.over.get((mount.id, directory)):
                mount, directory = over, over.root
        return mount, directory

    def path(self, process: Process, mount: Mounted) -> Directory | None:
        """Where a process has a mount; None where it cannot reach it."""
        names: Directory = ()
        current, directory = mount, mount.root
        while (current, directory) != (process.mount, process.directory):
            if directory != current.root:
                names, directory = (directory[-1], *names), directory[:-1]
            elif current.parent is None:
                return None
            else:
                current, directory = current.parent, current.at
        return names

    def mountinfo(self, process: Process) -> bytes:
        """/proc/PID/mountinfo of a process."""
        return b"".join(_line(mount, path) for mount in self.mounts if mount.space == process.mount.space and (path := self.path(process, mount)) is not None)

    # ---- what changes it

    def disk(self, *, in_memory: bool = False) -> FileSystem:
        """A new file system."""
        number = self._count()
        return FileSystem(f"0:{number}", f"memory {number}", "tmpfs") if in_memory else FileSystem(f"8:{number}", f"/dev/sd{number}", "ext4")

    def mount(self, process: Process, path: Directory, *, in_memory: bool) -> None:
        """mount(2) of a new file system."""
        where = self.walk(process, path)
        self._attach(self._made(self.disk(in_memory=in_memory), (), where[0].space), *where)

    def bind(self, process: Process, source: Directory, path: Directory, *, recursive: bool) -> None:
        """mount --bind, or --rbind with what is mounted below the source."""
        of, directory = self.walk(process, source)
        where = self.walk(process, path)
        self._attach(self._copy(of, directory, where[0].space, deep=recursive), *where)

    def move(self, process: Process, source: Directory, path: Directory) -> bool:
        """mount --move; False where the kernel refuses: no mountpoint, below a shared mount, or into itself."""
        mount, directory = self.walk(process, source)
        where, at = self.walk(process, path)
        if directory != mount.root or mount.parent is None or mount.parent.peers or where in self._tree(mount) or mount is process.mount:
            return False
        del self.over[mount.parent.id, mount.at]
        self._attach(mount, where, at)
        return True

    def umount(self, process: Process, path: Directory, *, lazy: bool) -> bool:
        """umount, or umount -l with all that is mounted below; False where the kernel refuses."""
        mount, directory = self.walk(process, path)
        busy = len(list(self._tree(mount))) > 1
        if directory != mount.root or mount.parent is None or mount is process.mount or (busy and not lazy):
            return False
        seen = [self.over.get((other.id, mount.at)) for other in self._receivers(mount.parent)]
        for other in (mount, *(one for one in seen if one is not None and one is not mount and len(list(self._tree(one))) == 1)):
            if other in self.mounts:  # one that was mounted below it is gone with it
                self._remove(other)
        self.processes = [one for one in self.processes if one.mount in self.mounts]
        return True

    def make(self, process: Process, path: Directory, how: str) -> None:
        """mount --make-shared, --make-slave, --make-private."""
        mount, _ = self.walk(process, path)
        if how == "shared":
            mount.peers = mount.peers or self._count()
        elif how == "slave":
            mount.master, mount.peers = mount.peers or mount.master, 0
        else:
            mount.master = mount.peers = 0

    def start(self, process: Process, root: Directory, *, propagation: str) -> None:
        """A container: a process in a copy of the namespace, whose root is a directory that the first one has."""
        space, top = self._count(), process.mount
        while top.parent is not None:
            top = top.parent
        before = list(self._tree(top))
        after = {one.id: Mounted(self._count(), one.shows, one.root, space, None, one.at, one.peers, one.master) for one in before}
        for one in before:
            copy = after[one.id]
            self.mounts.append(copy)
            if one.parent is not None:
                copy.parent = after[one.parent.id]
                self.over[copy.parent.id, copy.at] = copy
            if propagation != "shared":
                copy.master, copy.peers = (copy.peers or copy.master, 0) if propagation == "slave" else (0, 0)
        mount, directory = self.walk(Process(after[process.mount.id], process.directory), root)
        self.processes.append(Process(mount, directory))

    def chroot(self, process: Process, root: Directory) -> None:
        """A process in the same namespace, with another root."""
        self.processes.append(Process(*self.walk(process, root)))

    # ---- how

    def _count(self) -> int:
        self.made += 1
        return self.made

    def _made(self, shows: FileSystem, root: Directory, space: int) -> Mounted:
        mount = Mounted(self._count(), shows, root, space)
        self.mounts.append(mount)
        return mount

    def _tree(self, top: Mounted) -> Iterator[Mounted]:
        """A mount and all that stand on it, parents first."""
        yield top
        for mount in [one for one in self.mounts if one.parent is top]:
            yield from self._tree(mount)

    def _copy(self, mount: Mounted, root: Directory, space: int, *, deep: bool) -> Mounted:
        below = [one for one in self.mounts if one.parent is mount and one.at[: len(root)] == root] if deep else []
        copy = self._made(mount.shows, root, space)
        copy.peers, copy.master = mount.peers, mount.master
        for one in below:
            self._stand(self._copy(one, one.root, space, deep=True), copy, one.at)
        return copy

    def _receivers(self, mount: Mounted) -> list[Mounted]:
        """All that receive what is mounted on it: its peers, their slaves, and the peers of those."""
        groups, found = [mount.peers] if mount.peers else [], dict[int, Mounted]()
        for group in groups:
            for one in self.mounts:
                if group in (one.peers, one.master):
                    found[one.id] = one
                    if one.peers and one.peers not in groups:
                        groups.append(one.peers)
        return list(found.values())

    def _attach(self, top: Mounted, where: Mounted, at: Directory) -> None:
        """Let a tree stand on a directory, there and wherever it is propagated to."""
        receivers = self._receivers(where)
        if receivers:
            for one in self._tree(top):
                one.peers = one.peers or self._count()
        tree = list(self._tree(top))
        for receiver in receivers:
            if receiver is not where and receiver not in tree and at[: len(receiver.root)] == receiver.root:
                copy = self._copy(top, top.root, receiver.space, deep=True)
                if receiver.peers != where.peers:
                    for one in self._tree(copy):
                        one.master, one.peers = one.peers, 0
                self._stand(copy, receiver, at)
        self._stand(top, where, at)

    def _stand(self, mount: Mounted, parent: Mounted, at: Directory) -> None:
        """On the directory; what stands there already stands on it then (a propagated mount is tucked beneath)."""
        already = self.over.get((parent.id, at))
        mount.parent, mount.at = parent, at
        self.over[parent.id, at] = mount
        if already is not None:
            top = mount
            while (top.id, top.root) in self.over:
                top = self.over[top.id, top.root]
            self._stand(already, top, top.root)

    def _remove(self, top: Mounted) -> None:
        for mount in list(self._tree(top)):
            assert mount.parent is not None  # the first mount of a namespace is never removed
            self.over.pop((mount.parent.id, mount.at), None)
            self.mounts.remove(mount)


def _line(mount: Mounted, path: Directory) -> bytes:
    tags = [f"shared:{mount.peers}"] * bool(mount.peers) + [f"master:{mount.master}"] * bool(mount.master) + ["unheard_of:1"] * (mount.id % 3 == 0)
    parent = mount.parent.id if mount.parent else mount.id
    words = [f"{mount.id} {parent} {mount.shows.device_number}", _escaped(mount.root), _escaped(path), "rw,relatime", *tags, "-", mount.shows.fstype]
    return " ".join((*words, mount.shows.source.replace(" ", "\\040"), "rw\n")).encode("utf-8", "surrogateescape")


def _escaped(path: Directory) -> str:
    raw = ("/" + "/".join(path)).encode("utf-8", "surrogateescape")
    return b"".join(b"\\%03o" % byte if byte in ESCAPED else bytes((byte,)) for byte in raw).decode("utf-8", "surrogateescape")
