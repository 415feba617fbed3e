"""How does a site file get its place, so that nobody ever finds half of one? Written beside it under a name that nobody reads, synced, and then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.errors import UsageError

_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE = 0o644  # a site file holds no secrets, and is checked in


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """A path beside `target` to write a draft to; what is left of it goes away. OSErrors become one UsageError that names the target."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        yield draft
    except OSError as error:
        remedy = "let this user write there, or name another place with --output FILE"
        raise UsageError(f"{target.name} could not be written: {error.strerror}", where=str(target), remedy=remedy) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_draft(draft: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write a draft anew, whole and synced. Raises OSError."""
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, _CREATE, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def put(draft: Path, target: Path, *, replacing: bool) -> None:
    """Give a draft its name: in place of the file that is there, or only where there is none. Raises UsageError when one came meanwhile, OSError."""
    if not replacing:
        try:
            os.link(draft, target)
        except FileExistsError as error:
            raise UsageError(f"{target.name} is there already", where=str(target), why="it came while this was looking", remedy="look at it") from error
        except OSError:  # a file system without links
            draft.replace(target)
    else:
        draft.replace(target)
