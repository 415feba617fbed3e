"""How are files of evidence opened? Never through a link, and private from the first byte; and what is said when that fails."""

from __future__ import annotations

import errno
import hashlib
import os
from io import FileIO
from pathlib import Path

from interlock.errors import EvidenceError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_to_read(path: str | Path, directory: int | None = None) -> FileIO:
    """An existing file, unbuffered; `directory` is an open directory that `path` starts at. Raises OSError, ELOOP for a link."""
    return open(os.open(path, _READ, dir_fd=directory), "rb", buffering=0)  # noqa: PTH123


def create_private(path: str | Path, directory: int | None = None) -> FileIO:
    """A new file, 0600, unbuffered. Raises OSError, EEXIST where something is already."""
    return open(os.open(path, _CREATE, 0o600, dir_fd=directory), "wb", buffering=0)  # noqa: PTH123


def digest_of(path: str | Path, directory: int | None = None) -> str:
    """`sha256:<hex>` of a file's bytes."""
    with open_to_read(path, directory) as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def write_all(file: FileIO, data: bytes) -> None:
    """Write every byte to an unbuffered file, whose `write` may take less than it is given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def unwritable(path: Path, error: OSError) -> EvidenceError:
    """The error for evidence that could not be written, whatever the reason, with what would help."""
    remedy = _remedy(error.errno)
    return EvidenceError(f"evidence could not be written: {error.strerror}", where=str(path), why="a run without evidence proves nothing", remedy=remedy)


def _remedy(code: int | None) -> str:
    match code:
        case errno.ENOSPC | errno.EDQUOT:
            return "make room on that file system, or point `reports:` to another one, and run it again"
        case errno.EROFS:
            return "mount it read-write, or point `reports:` to another folder, and run it again"
        case errno.EACCES | errno.EPERM:
            return "let this user write there (a private folder is enough), or point `reports:` to another folder"
        case errno.EEXIST | errno.ENOTEMPTY:
            return "run it again: each run has a name of its own"
        case _:
            return "look at that path, or point `reports:` to another folder, and run it again"
