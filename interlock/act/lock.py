"""Does anybody else work with these books? One `flock` on `.interlock/lock`, held from before the gate until the journal is closed.

The kernel holds the lock, not the text in the file: it goes when its holder dies, and text of a dead holder means nothing. The text says who to ask.
Others who have books of their own for the same target are kept out by the target's lock: `interlock.act.reach`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from interlock.act.private import FILE_MODE, write_whole
from interlock.config.scalars import LOCAL
from interlock.errors import LockHeld
from interlock.facts import moments
from interlock.nouns import dataclass

NAME = "lock"
_LIMIT = 4096
_SHOWN = 200  # characters of each word of a holder
_TRIES, _BETWEEN_TRIES = 4, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock: as written by the holder, for humans. `since` is RFC 3339."""

    pid: int
    user: str
    host: str
    since: str
    doing: str

    def __str__(self) -> str:
        return f"{self.doing} by {self.user} on {self.host}, process {self.pid}, since {self.since}"

    def to_bytes(self, target: str = LOCAL) -> bytes:
        """As it is written into the lock of a target, which is the host by the name that the site gives it."""
        return json.dumps(asdict(self) | {"target": target}).encode() + b"\n"

    @classmethod
    def parse(cls, raw: bytes) -> Holder | None:
        """None for text that no holder wrote: the lock is held all the same. It may come from anybody: what steers a terminal is taken out."""
        try:
            fields = json.loads(raw)
            words = {name: _word(str(fields[name])) for name in ("user", "host", "since", "doing")}
            return cls(pid=int(fields["pid"]), **words)
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return None


NOBODY_KNOWN = Holder(pid=0, user="unknown", host="unknown", since="unknown", doing="something")


def _word(text: str) -> str:
    return re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", "?", text)[:_SHOWN]


@contextmanager
def locked(folder: Path, *, doing: str, user: str, host: str, now: datetime) -> Iterator[Holder]:
    """Hold the lock of the books while the block runs. Raises LockHeld at once when somebody else does, or when the lock cannot be seen."""
    path = folder / NAME
    descriptor = _open(path)
    try:
        if not _taken(descriptor, path):
            who = Holder.parse(os.pread(descriptor, _LIMIT, 0))
            raise LockHeld(
                f"locked: {who or 'the holder has not said who it is'}",
                where=str(path),
                remedy="wait until it has ended; `interlock status` says how far it is",
            )
        this = Holder(pid=os.getpid(), user=user, host=host, since=moments.written(now), doing=doing)
        _say_who(descriptor, path, this)
        yield this
    finally:
        os.close(descriptor)


def holder(folder: Path) -> Holder | None:
    """Who holds the lock now, None when nobody does. Tries the lock for an instant; raises LockHeld when it cannot be seen at all."""
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Holder.parse(os.pread(descriptor, _LIMIT, 0)) or NOBODY_KNOWN
    except OSError as error:
        raise _unseen(path, error) from error
    finally:
        os.close(descriptor)
    return None


def _taken(descriptor: int, path: Path) -> bool:
    """Take the lock, or say that another holds it. A `status` that looks at the same instant holds it for microseconds: a few tries tell the two apart."""
    for attempt in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _TRIES:
                time.sleep(_BETWEEN_TRIES)
        except OSError as error:
            raise _unseen(path, error) from error
        else:
            return True
    return False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise _unseen(path, error) from error


def _say_who(descriptor: int, path: Path, who: Holder) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        write_whole(descriptor, who.to_bytes())
    except OSError as error:
        raise _unseen(path, error) from error


def _unseen(path: Path, error: OSError) -> LockHeld:
    return LockHeld(
        f"the lock cannot be taken: {error.strerror}",
        where=str(path),
        why="without it nobody can know that no other action is under way",
        remedy="make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"let this user read and write {path}",
    )
