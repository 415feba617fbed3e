"""How are files of evidence opened? Never through a link, and private from the first byte."""

from __future__ import annotations

import hashlib
import os
from io import FileIO
from pathlib import Path

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
