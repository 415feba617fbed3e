"""Who works on this target? A lock in a directory that several users share, each under a user of their own, on the host that this code runs on.

Two kinds of files. `interlock-SITE.lock` is what everybody locks: flock works on a file that is opened for reading, so it does not matter whose it is.
`interlock-SITE.UID.holder` belongs to one user, and says who holds the lock: it is locked, too, while it is true, and text of a dead holder means nothing.
Like `interlock.observe.eyes`, it is also sent to other hosts: standard library of Python 3.6, nothing of ours but `Refused`.

The directory must be one in which nobody else can put another file in the place of ours: no link leads to it, it and every directory above it belong to
root or to this user, and where others may write, the sticky bit keeps them from our files. Whose the file is that everybody locks is not asked; instead
`still` looks, before each step, whether its name still leads to the file that we hold.
"""

# Python 3.6: no future annotations, no walrus, quoted types. Directory descriptors: no pathlib.
# ruff: noqa: PTH118, PTH119, PTH208

import errno
import fcntl
import os
import re
import stat
import time

from interlock.observe.eyes import FOLDER, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 4096  # bytes of a holder's text
USUAL = ("/run/lock", "/tmp")  # noqa: S108 - the lock is kept only where the sticky bit keeps others from it
TRIES, BETWEEN_TRIES = 4, 0.05  # one who only looks at the lock holds it for microseconds: a few tries tell the two apart
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EVERYBODY_READS = 0o644
_UNKNOWN = b""


class Held(Exception):
    """Somebody else holds the lock: `text` is what they wrote, empty when that cannot be told."""

    def __init__(self, text: "bytes") -> "None":
        super().__init__("locked")
        self.text = text


class Flock:
    """A lock that is held, until `release` or the end of this process."""

    def __init__(self, path: "str", folder: "int", lock: "int", said: "int") -> "None":
        self.path = path
        self._folder = folder
        self._lock = lock
        self._said = said

    def lost(self) -> "str":
        """Why this is not the lock any more; empty while it is."""
        try:
            named = os.stat(os.path.basename(self.path), dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            return f"{self.path} cannot be seen any more: {error.strerror}"
        return "" if os.path.samestat(named, os.fstat(self._lock)) else f"another file stands at {self.path} now"

    def release(self) -> "None":
        """Let others in. The files stay: whoever removed them would split the lock in two."""
        for descriptor in (self._said, self._lock, self._folder):
            os.close(descriptor)


def usual() -> "str":
    """The first of `USUAL` in which every user of this host may keep a lock: whoever asks comes to the same one. Raises Refused."""
    for path in USUAL:
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and stat.S_IMODE(status.st_mode) & 0o1777 == 0o1777:
            return path
    raise Refused("in none of the usual directories may every user keep a lock", where=" and ".join(USUAL), remedy="name a directory as the host's `lock:`")


def take(directory: "str", name: "str", text: "bytes", patience: "float" = 0.0) -> "Flock":
    """Take the lock `name`, and say in `text` who holds it. `directory` empty: the usual one. `patience` in seconds. Raises Held, Refused, OSError."""
    directory = directory or usual()
    path = os.path.join(directory, f"{name}.lock")
    until = time.monotonic() + patience
    folder = _open_safe(directory)
    opened = [folder]
    try:
        opened.append(_open_shared(f"{name}.lock", folder))
        _demand_free(opened[1], name, folder, until)
        opened.append(_open_own(f"{name}.{os.geteuid()}.holder", folder))
        _say(opened[2], text)
        held = Flock(path, *opened)
        _demand_ours(held)
    except BaseException:
        for descriptor in reversed(opened):
            os.close(descriptor)
        raise
    return held


def holder(directory: "str", name: "str") -> "bytes | None":
    """The text of the one who holds the lock, empty when it cannot be told; None when nobody does. Raises Refused, OSError."""
    folder = _open_safe(directory or usual())
    try:
        try:
            lock = os.open(f"{name}.lock", os.O_RDONLY | _OPEN, dir_fd=folder)
        except FileNotFoundError:
            return None
        try:
            return None if _try(lock, fcntl.LOCK_SH) else _said_by(name, folder)
        finally:
            os.close(lock)
    finally:
        os.close(folder)


def _demand_free(lock: "int", name: "str", folder: "int", until: "float") -> "None":
    if not _locked(lock, until):
        raise Held(_said_by(name, folder))


def _open_safe(directory: "str") -> "int":
    """The lock's directory, open. Raises Refused for one in which, or above which, others can change what a name leads to."""
    current, walked = os.open("/", FOLDER), ""
    try:
        _demand_safe(current, "/")
        for part in (part for part in directory.split("/") if part):
            walked = f"{walked}/{part}"
            below = _below(part, current, walked)
            os.close(current)
            current = below
            _demand_safe(current, walked)
    except BaseException:
        os.close(current)
        raise
    return current


def _below(part: "str", folder: "int", walked: "str") -> "int":
    try:
        return os.open(part, FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ENOENT:
            remedy = f"install -d -m 1777 {walked}, or name another as the host's `lock:`"
            raise Refused("the directory of the lock is missing", where=walked, remedy=remedy) from error
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            why = "a link or a file stands there"
            raise Refused("the directory of the lock cannot be used", where=walked, why=why, remedy="name the real directory as the host's `lock:`") from error
        raise


def _demand_safe(folder: "int", path: "str") -> "None":
    status = os.fstat(folder)
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
    owned = status.st_uid in (0, os.geteuid())
    if shared or not owned:
        why = "others may write there, and no sticky bit keeps them from our files" if shared else f"it belongs to uid {status.st_uid}"
        remedy = f"chmod +t {path}" if shared else "name a directory of root's as the host's `lock:` (/run/lock)"
        raise Refused("somebody else could put another lock in the place of this one", where=path, why=why, remedy=remedy)


def _open_shared(name: "str", folder: "int") -> "int":
    """The file that everybody locks; made when it is missing. Without O_CREAT first: fs.protected_regular refuses it on files of others."""
    for _ in range(TRIES):
        try:
            descriptor = os.open(name, os.O_RDONLY | _OPEN, dir_fd=folder)
        except FileNotFoundError:
            try:
                descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, _EVERYBODY_READS, dir_fd=folder)
            except FileExistsError:
                continue
            os.fchmod(descriptor, _EVERYBODY_READS)  # whatever the umask says: nobody could wait for a lock that they cannot open
        except PermissionError:
            time.sleep(BETWEEN_TRIES)  # somebody has just made it, and is about to open it for us
            continue
        return _regular(descriptor, name)
    return _regular(os.open(name, os.O_RDONLY | _OPEN, dir_fd=folder), name)


def _open_own(name: "str", folder: "int") -> "int":
    """This user's own file, locked for as long as its text is true."""
    try:
        descriptor = os.open(name, os.O_RDWR | _OPEN, dir_fd=folder)
    except FileNotFoundError:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, _EVERYBODY_READS, dir_fd=folder)
    _regular(descriptor, name)
    try:
        _demand_own(descriptor, name)
        os.fchmod(descriptor, _EVERYBODY_READS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _demand_own(descriptor: "int", name: "str") -> "None":
    what = "the lock cannot say who holds it"
    if os.fstat(descriptor).st_uid != os.geteuid():
        raise Refused(what, where=name, why="the file with this user's number belongs to another", remedy="remove it")
    if not _locked(descriptor, 0):
        raise Refused(what, where=name, why="somebody locks the file that says so", remedy="try again")


def _regular(descriptor: "int", name: "str") -> "int":
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise Refused("the lock cannot be used", where=name, why="it is no file of its own", remedy="remove it")
    return descriptor


def _say(descriptor: "int", text: "bytes") -> "None":
    os.ftruncate(descriptor, 0)
    rest, at = memoryview(text[:LIMIT]), 0
    while at < len(rest):
        at += os.pwrite(descriptor, rest[at:], at)


def _demand_ours(held: "Flock") -> "None":
    why = held.lost()
    if why:
        raise Refused("the lock was changed while it was taken", where=held.path, why=why, remedy="find out who removes lock files there")


def _said_by(name: "str", folder: "int") -> "bytes":
    """The text of the one holder file that is locked, and belongs to the user that its name says."""
    for number, descriptor in _holders(name, folder):
        try:
            if os.fstat(descriptor).st_uid == number and not _try(descriptor, fcntl.LOCK_SH):
                return os.pread(descriptor, LIMIT, 0)
        finally:
            os.close(descriptor)
    return _UNKNOWN


def _holders(name: "str", folder: "int") -> "Iterator[tuple[int, int]]":
    pattern = re.compile(rf"{re.escape(name)}\.(\d+)\.holder")
    for found in filter(None, map(pattern.fullmatch, sorted(os.listdir(folder)))):
        try:
            yield int(found.group(1)), os.open(found.group(0), os.O_RDONLY | _OPEN, dir_fd=folder)
        except OSError:
            continue


def _locked(descriptor: "int", until: "float") -> "bool":
    """Lock it, or say that another holds it. Tries a few times, and until `until` (monotonic)."""
    tries = 0
    while not _try(descriptor, fcntl.LOCK_EX):
        tries += 1
        if tries >= TRIES and time.monotonic() >= until:
            return False
        time.sleep(BETWEEN_TRIES)
    return True


def _try(descriptor: "int", how: "int") -> "bool":
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
