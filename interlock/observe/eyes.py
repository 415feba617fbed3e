"""What stands at a path, which mount does it show, does a process still live? The looks that plans and steps need, on the host that this code runs on.

In process it looks at this machine; `interlock.observe.far` sends its source to another one. So it needs only the standard library of Python 3.6 and imports
nothing of ours. It writes nothing. Paths are text, modes `0644`, devices `major:minor`; what is refused for a reason of ours raises `Refused`.
"""

# Python 3.6: no future annotations, no walrus, quoted types. Directory descriptors: no pathlib.
# ruff: noqa: PTH113, PTH116, PTH118, PTH123

import errno
import hashlib
import os
import shutil
import socket
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LIMIT = 256 * 1024 * 1024  # of one file
NOTHING = "nothing"
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 256 * 1024
_MOUNTINFO = "/proc/self/mountinfo"


class Refused(Exception):
    """Something that we do not touch, and why: what, where, why and remedy, as an operator reads them."""

    def __init__(self, what: "str", where: "str" = "", why: "str" = "", remedy: "str" = "") -> "None":
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.remedy = remedy


class Eyes:
    """Every look. `FarEyes` asks the same of another host."""

    def look(self, wanted: "Sequence[Sequence[str]]") -> "dict[str, Any]":
        """Several looks at once, each a kind and a path.

        `found` has one text for each (a `mount` answers with where the path really leads), or `{"error": text}`; `mountinfo` is the table, empty when no mount
        was asked for. Raises OSError when that cannot be read.
        """
        table = b""
        if any(kind == "mount" for kind, _ in wanted):
            with open(_MOUNTINFO, "rb") as file:
                table = file.read()
        return {"mountinfo": table, "found": [_look(kind, path) for kind, path in wanted]}

    def directory(self, path: "str") -> "list[str]":
        """Where a directory leads, and the device that it shows. Raises OSError."""
        return [os.path.realpath(path), device_of(os.stat(path).st_dev)]

    def open_below(self, directory: "str", real: "str | None", device: "str | None", folder: "str") -> "int":
        """Open `folder`, which is `directory` or lies below it, without following a link on the way; a number to name it by until it is closed.

        `real` and `device` are where `directory` led, and what `folder` showed, when the plan was made (None while it is made): a disk that is not mounted any
        more shows another device. Raises OSError; Refused when it is not where it was.
        """
        leads = os.path.realpath(directory)
        if real is not None and leads != real:
            raise Refused("a directory leads elsewhere now", where=directory, why=f"to {leads}, not to {real}")
        current = os.open(leads, FOLDER)
        try:
            for part in os.path.relpath(folder, directory).split("/"):
                below = os.open(part, FOLDER, dir_fd=current)
                os.close(current)
                current = below
            _demand_device(current, device, folder)
        except BaseException as error:
            os.close(current)
            if isinstance(error, OSError) and error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise Refused("a link or a file stands where a folder was", where=folder, why=error.strerror or "") from error
            raise
        return current

    def device(self, folder: "int") -> "str":
        """The device that an open folder shows."""
        return device_of(os.fstat(folder).st_dev)

    def close(self, folder: "int") -> "None":
        """Let go of an open folder."""
        os.close(folder)

    def see(self, name: "str", folder: "int") -> "dict[str, Any] | None":
        """The regular file of that name in an open folder: `data`, `mode`, `uid`, `gid`; None for nothing.

        Raises OSError; Refused for anything that is no regular file of its own (a link, a second name), or is too large.
        """
        try:
            descriptor = os.open(name, _FILE, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                remedy = "put a file there, or correct the template's target"
                raise Refused("a link stands at a target", where=name, why="it is a symbolic link", remedy=remedy) from error
            raise
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):  # Python makes no file object of one
            os.close(descriptor)
            raise Refused("a target cannot be replaced", where=name, why="it is a directory", remedy="put a file there")
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                twin = f"it has {status.st_nlink} names, and only this one would change"
                why = twin if stat.S_ISREG(status.st_mode) else "it is no regular file"
                raise Refused("a target cannot be replaced", where=name, why=why, remedy="put a file of its own there")
            if status.st_size > LIMIT:
                raise Refused("a target is too large", where=name, why=f"{status.st_size} bytes; at most {LIMIT} are handled")
            return {"data": file.read(), "mode": f"{stat.S_IMODE(status.st_mode):04o}", "uid": status.st_uid, "gid": status.st_gid}

    def program(self, name: "str", directory: "str", search: "str") -> "str | None":
        """The path of a program, `name` itself where that is a path; None when nothing there can be run."""
        return program(name, directory, search)

    def digests(self, paths: "Sequence[str]") -> "dict[str, str]":
        """`sha256:...` of each path that is a regular file, links followed; the others are left out. Raises OSError."""
        return {path: file_digest(path) for path in paths if "\0" not in path and os.path.isfile(path)}

    def running(self, pid: "int", started: "int", boot: "str") -> "bool":
        """True while that very process lives."""
        return boot == boot_id() and process_started(pid) == started


HERE = Eyes()


def _demand_device(descriptor: "int", device: "str | None", folder: "str") -> "None":
    shown = device_of(os.fstat(descriptor).st_dev)
    if device is not None and shown != device:
        why = f"device {shown}, not {device}"
        raise Refused("a directory shows another disk now", where=folder, why=why, remedy="mount the disk that belongs there")


def device_of(number: "int") -> "str":
    """`major:minor` of a st_dev."""
    return f"{os.major(number)}:{os.minor(number)}"


def program(name: "str", directory: "str", search: "str | None") -> "str | None":
    """Where a program is, None when it cannot be run. `search` is a PATH, `directory` what a name with a slash is relative to."""
    if "/" not in name:
        return shutil.which(name, path=search)
    path = os.path.join(directory, name)
    return name if os.path.isfile(path) and os.access(path, os.X_OK) else None


def file_digest(path: "str") -> "str":
    """`sha256:...` of a regular file, links followed. Raises OSError, which names the file even when only a read of it fails."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                found.update(block)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    return "sha256:" + found.hexdigest()


def boot_id() -> "str":
    """The kernel's id of this boot: process ids mean nothing after it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def process_started(pid: "int", proc: "str" = "/proc") -> "int | None":
    """When a process started, in clock ticks since the boot; None when there is none, or only its remains."""
    fields = process_fields(pid, proc)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def process_fields(pid: "int", proc: "str" = "/proc") -> "list[str] | None":
    """The fields of /proc/PID/stat after the name, state first (proc_pid_stat(5)); the name itself may hold blanks and brackets."""
    try:
        with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 20 else None


def _look(kind: "str", path: "str") -> "str | dict[str, str]":
    looks: dict[str, Callable[[str], str]] = {"host": _host, "mount": os.path.realpath, "directory": _directory, "file": _file}
    try:
        return looks[kind](path)
    except OSError as error:
        return {"error": error.strerror or str(error)}


def _host(_path: "str") -> "str":
    """The host's name, its machine-id as a digest (the id itself is confidential: machine-id(5)), and its boot."""
    try:
        with open("/etc/machine-id", "rb") as file:
            machine = hashlib.sha256(b"interlock:" + file.read().strip()).hexdigest()[:16]
    except OSError:
        machine = "unknown"
    return f"{socket.gethostname()}, machine {machine}, boot {boot_id()[:8]}"


def _directory(path: "str") -> "str":
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return NOTHING
    real = os.path.realpath(path)
    shown = f", which is {real}" if real != path else ""
    kind = "" if stat.S_ISDIR(status.st_mode) else "no directory, "
    return f"{kind}{_rights(status)}, inode {status.st_ino}{shown}"


def _file(path: "str") -> "str":
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return NOTHING
    if stat.S_ISLNK(status.st_mode):
        return f"{file_digest(path)}, {_rights(os.stat(path))}, which is {os.path.realpath(path)}"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    return f"{file_digest(path)}, {_rights(status)}"


def _rights(status: "os.stat_result") -> "str":
    """Mode and owner: `0644 1000:1000`."""
    return f"{stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}"
