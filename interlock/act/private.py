"""How is a private file made, so that no other user can read it or put something else in its place, at any moment?

Created 0600 by `os.open` with that mode, in a 0700 folder of our own, under a name that nobody reads; fsync, rename, fsync of the folder: after a crash
there is the old file or the new one. Links are not followed. This is how everything below `.interlock/` is written.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from interlock.errors import EvidenceError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def private_folder(folder: Path) -> Path:
    """`folder`, made 0700 where it is missing (its parent must exist). Raises EvidenceError when it is a link, another user's, or open to others."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=FOLDER_MODE)
            sync_folder(folder.parent)
        seen = folder.lstat()
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be made: {error.strerror}", where=str(folder), remedy=f"let this user write in {folder.parent}") from error
    if not stat.S_ISDIR(seen.st_mode):
        raise EvidenceError(f"{folder} is no folder", where=str(folder), why="a link or a file stands in its place", remedy="move it away")
    if seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise EvidenceError(
            f"{folder} is not private",
            where=str(folder),
            why=f"it belongs to uid {seen.st_uid} and is {stat.S_IMODE(seen.st_mode):04o}; this process runs as uid {os.geteuid()}",
            remedy=f"run as its owner, and chmod 0700 {folder}",
        )
    return folder


def sync_folder(folder: Path) -> None:
    """Have the folder's entries (names made, renamed, removed) on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all of `data`; a short write is continued, an error is raised."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_private(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole or not at all, 0600, replacing what is there. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, CREATE, FILE_MODE)
    try:
        try:
            write_whole(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
