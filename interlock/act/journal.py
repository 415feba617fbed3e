"""Where is it written how far an action got? `.interlock/journal/<id>/journal.jsonl`, one line an entry, on disk before what it announces happens.

`interlock.gate.journal` says what the entries mean. Beside the actions' folders lies `head`, the newest entry known to be on disk: written after each
append without waiting for it, so it is never ahead of the journal and a journal that ends before it was shortened. Actions are chained too: the first
entry of each names the last entry of the one before. `reserve` in an action's folder is space to say on a full disk that it is full.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from interlock.act.private import CREATE, FILE_MODE, private_folder, sync_folder, write_private, write_whole
from interlock.errors import EvidenceError
from interlock.facts import moments
from interlock.facts.canonical import short
from interlock.gate.journal import SCHEMA, Entry, Head, Kind, Standing, Trail, damaged
from interlock.observe.private import read_private
from interlock.patterns import regex

FILE = "journal.jsonl"
HEAD = "head"
RESERVE = "reserve"
UNDO = "undo"
_RESERVE_BYTES = 256 * 1024
_LIMIT = 64 * 1024 * 1024  # of one journal: a hundred thousand entries, far more than any action has
_NUMBER = regex(r"(\d{6,})-")
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True, kw_only=True)
class Journal:
    """One action's journal, open for appending by the one process that holds the lock."""

    folder: Path
    clock: Callable[[], datetime]
    trail: Trail
    _descriptor: int
    _size: int
    _entries: list[Entry] = field(default_factory=list)
    _untidy: bool = False

    @classmethod
    def begin(cls, journals: Path, *, id: str, clock: Callable[[], datetime], data: Mapping[str, Any]) -> Self:  # noqa: A002 - the action's id
        """A new journal with its first entry on disk. Raises EvidenceError when it cannot be written: then nothing was begun."""
        last = newest(journals)
        previous = {"id": last.id, "digest": last.entries[-1].digest} if last else None
        folder = journals / id
        try:
            folder.mkdir(mode=0o700)
            sync_folder(journals)
            private_folder(folder / UNDO)
            _reserve(folder / RESERVE)
            descriptor = os.open(folder / FILE, CREATE, FILE_MODE)
            sync_folder(folder)
        except OSError as error:
            raise unwritable(folder, error) from error
        journal = cls(folder=folder, clock=clock, trail=Trail(id=id, entries=()), _descriptor=descriptor, _size=0)
        journal.append(Kind.BEGUN, 0, {**data, "schema": SCHEMA, "previous": previous})
        return journal

    @classmethod
    def reopen(cls, journals: Path, trail: Trail, *, clock: Callable[[], datetime]) -> Self:
        """The journal of an unfinished action, to go on with; a torn last line is cut off first. Raises EvidenceError."""
        folder = journals / trail.id
        try:
            descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            size = os.fstat(descriptor).st_size - trail.torn
            os.ftruncate(descriptor, size)
            os.lseek(descriptor, size, os.SEEK_SET)
            os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):
                _reserve(folder / RESERVE)
        except OSError as error:
            raise unwritable(folder, error) from error
        return cls(folder=folder, clock=clock, trail=trail, _descriptor=descriptor, _size=size, _entries=list(trail.entries))

    @property
    def id(self) -> str:
        """The action's id, which is its folder's name."""
        return self.trail.id

    @property
    def undo_folder(self) -> Path:
        """Where old bytes are kept for undo."""
        return self.folder / UNDO

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, newest last."""
        return tuple(self._entries)

    @property
    def trail_now(self) -> Trail:
        """The whole journal as it is now."""
        return Trail(id=self.id, entries=self.entries)

    @property
    def standing(self) -> Standing:
        """What the entries come to."""
        return Standing.of(self.trail_now)

    def append(self, kind: Kind, step: int, data: Mapping[str, Any]) -> Entry:
        """One more entry, on disk when this returns. Raises EvidenceError when it is not, and leaves no part of it behind."""
        previous = self._entries[-1] if self._entries else None
        entry = Entry(
            seq=previous.seq + 1 if previous else 1,
            time=moments.written(self.clock()),
            kind=kind,
            step=step,
            data=data,
            prev=previous.digest if previous else "",
        )
        line = entry.line()
        try:
            self._write(line)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._entries.append(entry)
        self._size += len(line)
        _note_head(self.folder.parent / HEAD, Head(id=self.id, seq=entry.seq, digest=entry.digest))
        return entry

    def _write(self, line: bytes) -> None:
        try:
            self._try_to_write(line)
        except OSError as error:
            if error.errno not in _FULL or not (self.folder / RESERVE).exists():
                raise
            (self.folder / RESERVE).unlink()
            self._try_to_write(line)

    def _try_to_write(self, line: bytes) -> None:
        if self._untidy:
            self._tidy()
        try:
            write_whole(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError:
            self._untidy = True
            self._tidy()
            raise

    def _tidy(self) -> None:
        """Take back what a failed append left. Raises OSError when that fails, too: then it is tried again before anything else is written."""
        os.ftruncate(self._descriptor, self._size)
        os.lseek(self._descriptor, self._size, os.SEEK_SET)
        self._untidy = False

    def close(self) -> None:
        """Close the file; the reserve goes once the action is finished."""
        if self._entries and self.standing.finished:
            with contextlib.suppress(OSError):  # space that is not given back is no fault of an action that has ended
                (self.folder / RESERVE).unlink(missing_ok=True)
        os.close(self._descriptor)


def _reserve(path: Path) -> None:
    descriptor = os.open(path, CREATE, FILE_MODE)
    try:
        os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
    finally:
        os.close(descriptor)


def _note_head(path: Path, head: Head) -> None:
    """Overwrite `head`, without waiting for the disk: always of one size, so that its one block holds the old text or the new.

    A failure is none of the action's: the entry itself is safe, and a `head` that lags behind only proves less.
    """
    text = head.render()
    with contextlib.suppress(OSError):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            write_private(path, text)
            return
        try:
            os.pwrite(descriptor, text, 0)
        finally:
            os.close(descriptor)


def unwritable(folder: Path, error: OSError) -> EvidenceError:
    """The error for a journal that cannot be written: what is not announced there must not happen."""
    return EvidenceError(
        f"the journal cannot be written: {error.strerror}",
        where=str(folder),
        why="nothing may be changed that the journal has not announced",
        remedy="make room, or let this user write there",
    )


def ids(journals: Path) -> tuple[str, ...]:
    """The ids of all actions, oldest first: an id begins with a running number, since clocks jump."""
    try:
        with os.scandir(journals) as found:
            return tuple(sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False)))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise EvidenceError(f"the journals cannot be read: {error.strerror}", where=str(journals), remedy="run as the user who applies") from error


def next_id(journals: Path, *, action: str, plan_digest: str) -> str:
    """`000017-release-3fa94c1e`: the running number, the action, and the digits that a human typed to approve it."""
    numbers = [int(match[1]) for name in ids(journals) if (match := _NUMBER.match(name))]
    return f"{max(numbers, default=0) + 1:06d}-{action}-{short(plan_digest)}"


def read(journals: Path, id: str) -> Trail:  # noqa: A002 - the action's id
    """One action's journal, verified. Raises EvidenceError when it was shortened or edited, or cannot be read."""
    path = journals / id / FILE
    head = _head(journals)  # before the entries: an apply that is under way adds to them first
    try:
        raw = read_private(path, limit=_LIMIT)
    except FileNotFoundError:
        raw = b""  # a crash between the folder and its first entry: nothing was begun
    except (OSError, ValueError) as error:
        raise damaged(str(path), str(error)) from error
    return Trail.parse(raw, id=id, where=str(path), head=head)


def _head(journals: Path) -> Head | None:
    path = journals / HEAD
    try:
        raw = read_private(path, limit=4096)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise damaged(str(path), str(error)) from error
    return Head.parse(raw, where=str(path))


def newest(journals: Path) -> Trail | None:
    """The newest action that was begun, None when there is none. Raises EvidenceError when it, or the action that `head` names, is gone or damaged."""
    head = _head(journals)
    known = ids(journals)
    if head is not None and head.id not in known:
        raise damaged(str(journals), f"the journal of {head.id} is gone")
    for name in reversed(known):
        trail = read(journals, name)
        if trail.entries:
            return trail
    return None


def verify_chain(journals: Path) -> None:
    """Check every action's journal and that each follows the one before. Raises EvidenceError at the first that does not."""
    previous: dict[str, str] | None = None
    for name in ids(journals):
        trail = read(journals, name)
        if not trail.entries:
            continue
        if trail.entries[0].data.get("previous") != previous:
            raise damaged(str(journals / name), "it does not follow the action before it: a journal was added, removed or renamed")
        previous = {"id": name, "digest": trail.entries[-1].digest}


def ids_of(journals: Path, plan_digest: str) -> tuple[str, ...]:
    """The ids of actions that say, by their last digits, that they are of this plan, and were begun; `begun_with` looks into all of them."""
    return tuple(name for name in ids(journals) if name.endswith(f"-{short(plan_digest)}") and read(journals, name).entries)


def begun_with(journals: Path, plan_digest: str) -> tuple[Trail, ...]:
    """Every action that was begun with this plan; a plan is applied at most once."""
    trails = (read(journals, name) for name in ids(journals))
    return tuple(trail for trail in trails if trail.entries and trail.entries[0].data.get("plan") == plan_digest)


def uses(journals: Path, nonces: Collection[str]) -> Mapping[str, str]:
    """Which of these approvals an action of the site rests on already, in its beginning or at a step: the nonce, and the first such action's id."""
    found: dict[str, str] = {}
    for name in ids(journals) if nonces else ():
        for entry in read(journals, name).entries:
            if entry.kind in (Kind.BEGUN, Kind.DID):
                used = {str(approval.get("nonce")) for approval in entry.data.get("approvals", ())}
                found |= {nonce: name for nonce in used.intersection(nonces) if nonce not in found}
    return found


def trails(journals: Path) -> Iterator[Trail]:
    """Every action that was begun, the newest first, each read when it is asked for. Raises EvidenceError as `newest` does."""
    last = newest(journals)
    if last is None:
        return
    yield last
    for name in reversed(ids(journals)):
        if name < last.id and (trail := read(journals, name)).entries:
            yield trail
