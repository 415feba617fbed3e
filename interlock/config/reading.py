"""How is a configuration file read so that nothing on its path can hang, flood or surprise us? Regular files only, up to a size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from interlock.errors import ConfigError

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_REMEDIES = {
    errno.ENOENT: "create it, or name another file",
    errno.EACCES: "let this user read it",
    errno.EPERM: "let this user read it",
    errno.ELOOP: "its symbolic links lead in a circle: name the file itself",
}


def read_regular_file(path: Path, limit: int) -> bytes:
    """The bytes of a regular file; more than `limit` of them when it is larger, so that the caller can tell. Links are followed.

    Raises ConfigError for anything else, without opening what might block or act when it is opened.
    """
    try:
        _demand_regular(path, os.stat(path))  # noqa: PTH116 (the same call for a path and for a descriptor)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            _demand_regular(path, os.fstat(descriptor))
            return _read(descriptor, limit + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = _REMEDIES.get(error.errno or 0, "look at the file and its folder")
        raise ConfigError("it cannot be read", where=str(path), why=reason, remedy=remedy) from error


def _read(descriptor: int, limit: int) -> bytes:
    """At most `limit` bytes. Files of /proc that wait for news raise BlockingIOError here, where a buffered reader would give None."""
    parts: list[bytes] = []
    while limit > 0 and (part := os.read(descriptor, limit)):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _demand_regular(path: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        kind = _KINDS.get(stat.S_IFMT(seen.st_mode), "no regular file")
        raise ConfigError(f"it is {kind}, not a file", where=str(path), remedy="name a regular file")
