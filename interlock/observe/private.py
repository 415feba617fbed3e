"""How is a file read in whose place somebody else could have put a link, a device or a flood? `interlock.act.private` writes those that are ours alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_private(path: Path, *, limit: int) -> bytes:
    """The bytes of a regular file that is no link. Raises OSError; ValueError when it holds more than `limit` bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path} is no regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path} is larger than {limit} bytes")
    return data
