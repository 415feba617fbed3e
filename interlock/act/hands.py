"""What can a step do to the host that this code runs on? Files written beside their targets, renamed, removed; a program run; the lock of the target.

In process for this machine; `interlock.act.reach` has its source run on others: standard library of Python 3.6, and modules that are sent along.
"""

# Python 3.6: no future annotations, no walrus, quoted types. Directory descriptors: no pathlib.

import contextlib
import errno
import os

from interlock.act import flocks
from interlock.act.programs import Program, end_group
from interlock.observe.eyes import Eyes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from interlock.observe.serving import Wire

CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
ENVIRON = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}  # all that a program on another host gets


class Hands(Eyes):
    """Every change. `FarHands` asks the same of another host. Folders are named by the number that `open_below` gave."""

    TALKS = ("run",)

    def __init__(self) -> "None":
        self._locks: list[flocks.Flock] = []

    def write_beside(self, folder: "int", target: "str", name: "str", data: "bytes", rights: "Sequence[int]") -> "None":
        """Write a new file `name`, complete and on disk, with the attributes that `target` beside it has.

        `rights` are its mode, and uid and gid where it is not to be this user's. Raises OSError.
        """
        descriptor = os.open(name, CREATE, 0o600, dir_fd=folder)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            status = os.fstat(descriptor)
            if len(rights) > 1 and tuple(rights[1:]) != (status.st_uid, status.st_gid):
                os.fchown(descriptor, rights[1], rights[2])
            _copy_attributes(folder, target, descriptor)
            os.fchmod(descriptor, rights[0])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, folder: "int", name: "str", target: "str") -> "None":
        """Raises OSError."""
        os.rename(name, target, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, folder: "int", name: "str") -> "None":
        """Remove a file, if it is there. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    def sync(self, folder: "int") -> "None":
        """Have the folder's names on disk. Raises OSError."""
        os.fsync(folder)

    def lock(self, directory: "str", name: "str", text: "bytes", patience: "float") -> "bytes | None":
        """Take a lock of this target, and hold it until `release`: None, or the text of its holder. Raises Refused, OSError."""
        try:
            self._locks.append(flocks.take(directory, name, text, patience))
        except flocks.Held as held:
            return held.text
        return None

    def lost(self) -> "str":
        """Why a lock is not held any more; empty while all are."""
        return next(filter(None, (lock.lost() for lock in self._locks)), "")

    def release(self) -> "None":
        """Let others in."""
        while self._locks:
            self._locks.pop().release()

    def end(self, pid: "int", started: "int", boot: "str") -> "bool":
        """End a program that an earlier connection left. False when it lives all the same."""
        return end_group(pid, started, boot)

    def conduct(self, argv: "Sequence[str]", directory: "str", environ: "Mapping[str, str]", seconds: "float", hearing: "Hearing") -> "dict[str, Any]":
        """Run a program to its end: `code` (negative for a signal), why it was `stopped` (empty when it ended itself), and how many `seconds` it took.

        It runs only once `hearing` has announced it, and is ended when `hearing` raises. Raises Refused, OSError.
        """
        program = Program(argv, directory, environ)
        try:
            hearing.announce(program.spawned())
            program.open_door()
            stopped = program.listen(seconds, hearing.asked, hearing.hear)
        except BaseException:
            program.end()
            program.close()
            raise
        code, took = program.close()
        return {"code": code, "stopped": stopped, "seconds": took}

    def run(self, wire: "Wire", argv: "Sequence[str]", directory: "str", seconds: "float") -> "dict[str, Any]":
        """`conduct` for a near end at the other side of a wire: the program is ended when that is gone. Raises Refused, OSError, Gone."""
        return self.conduct(argv, directory, ENVIRON, seconds, _Telling(wire))


class Hearing:
    """Whom a program's run is told to. Whatever these raise ends the program."""

    def announce(self, spawned: "Mapping[str, Any]") -> "None":
        """What waits behind the door: `pid`, `started`, `boot`. It runs once this has returned."""

    def hear(self, output: "str", data: "bytes") -> "None":
        """What it has written to `out` or `err`."""

    def asked(self) -> "str":
        """Why it is to be stopped now, empty while it is not."""
        return ""


class _Telling(Hearing):
    """Passes everything on to the near end, which says `go` once it has written down what was spawned, and may say `stop` at any time."""

    def __init__(self, wire: "Wire") -> "None":
        self._wire = wire

    def announce(self, spawned: "Mapping[str, Any]") -> "None":
        self._wire.send({"spawned": dict(spawned)})
        while "go" not in self._wire.receive():
            continue

    def hear(self, output: "str", data: "bytes") -> "None":
        self._wire.send({"heard": [output, data]})

    def asked(self) -> "str":
        return str((self._wire.poll(0) or {}).get("stop", ""))


def _copy_attributes(folder: "int", target: "str", descriptor: "int") -> "None":
    """Extended attributes (ACLs and labels among them) belong to the target, not to its bytes."""
    try:
        standing = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        for name in os.listxattr(standing):
            value = os.getxattr(standing, name)
            if not (name in os.listxattr(descriptor) and os.getxattr(descriptor, name) == value):
                os.setxattr(descriptor, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    finally:
        os.close(standing)
