"""What did the probe answer? Reads its stream as it comes: header, answers, trailer; everything or nothing.

What stands before the header is ignored up to `NOISE_LIMIT` (shell start files talk); after it every byte must be an answer. Without the trailer there is
no answer at all. Walks go to files of the spool as they arrive, so memory does not grow with them. `probe.py` and `probe.sh` say the same in two dialects.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, BinaryIO

from interlock.errors import CouldNotLook
from interlock.facts.looks import Answer, FailedLook, Listing, Look, ReadFile, Walk
from interlock.nouns import dataclass
from interlock.observe import probe, wire

NOISE_LIMIT = 64 * 1024
WALK_LIMIT = 1024 * 1024 * 1024  # bytes of one walk: some ten million files
OTHER_LIMIT = 32 * 1024 * 1024  # a mount table, and whatever else one look may say


class Garbage(Exception):
    """The far side said something that no probe says."""


def bytes_allowed(looks: Sequence[Look]) -> int:
    """How much a reply to these looks may have: contents are sent as base64 or as hex with blanks."""
    return NOISE_LIMIT + sum(WALK_LIMIT if isinstance(look, Walk) else OTHER_LIMIT + (3 * look.limit if isinstance(look, ReadFile) else 0) for look in looks)


def open_private(path: Path) -> BinaryIO:
    """A new file that only its owner may read; links are not followed."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb")


@dataclass(slots=True)
class WalkFile:
    """The listings of one walk, a line of JSON each, in a private file."""

    path: Path
    listings: int = 0
    _stream: BinaryIO | None = None

    def write(self, listing: bytes) -> None:
        """Append one listing as `probe.pack` and json.dumps made it."""
        if self._stream is None:
            self._stream = open_private(self.path)
        self._stream.write(listing + b"\n")
        self.listings += 1

    def close(self) -> None:
        """No more is written."""
        if self._stream is not None:
            self._stream.close()

    def remove(self) -> None:
        """Forget what was written."""
        self.close()
        self.path.unlink(missing_ok=True)


def read_listings(path: Path, count: int, *, where: str, offset: int = 0) -> Iterator[Listing]:
    """`count` listings, a line each, from `offset` of a file. Raises `CouldNotLook` when they are not all there, or not listings."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            for _ in range(count):
                yield wire.listing_from_json(json.loads(stream.readline().rstrip(b",\n")))
    except (OSError, ValueError, RecursionError) as error:
        raise CouldNotLook("a walk that was kept in a file cannot be read", where=where, why=f"{path}: {error}", remedy="observe again") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who answered; `python` is empty when it was a shell."""

    user: str
    uid: int
    hostname: str
    utc: str
    python: str

    @classmethod
    def parse(cls, line: bytes) -> Header:
        """Raises `Garbage`."""
        match _json(line):
            case {"user": str(user), "uid": int(uid), "hostname": str(hostname), "utc": str(utc), "python": str(python)}:
                return cls(user=user, uid=uid, hostname=hostname, utc=utc, python=python)
            case _:
                raise Garbage(f"its first line is of no probe of ours: {line!r:.200}")


def header_start(nonce: str) -> bytes:
    """How the first line of an answer begins. Nobody but who was asked can know the nonce, so nothing that a shell prints before is taken for it."""
    return b'{"interlock_probe":%d,"nonce":"%s",' % (probe.VERSION, nonce.encode("ascii"))


@dataclass(slots=True)
class Reply:
    """A reply while it arrives. `looks` in the order of the request; walks are written to `new_walk(number)`."""

    looks: Sequence[Look]
    nonce: str
    new_walk: Callable[[int], WalkFile]
    header: Header | None = None
    answers: dict[Look, Answer] = field(default_factory=dict)
    walks: dict[int, WalkFile] = field(default_factory=dict)
    complete: bool = False
    noise: bytes = b""
    _pending: list[bytes] = field(default_factory=list)
    _pending_size: int = 0
    _seam: bytes = b""  # the last bytes, where a separator may have begun
    _separator: bytes = b"\n"
    _dialect: Any = None

    def feed(self, data: bytes) -> None:
        """Take some bytes; a record that has not ended yet is none. Raises `Garbage`, and OSError when the spool cannot be written."""
        if self.complete:
            return  # a farewell of the shell
        if self.header is None:
            data = self._find_header(data)
        self._split(data)

    def close(self) -> None:
        """Close the files of the spool."""
        for walk in self.walks.values():
            walk.close()

    def discard(self) -> None:
        """An incomplete reply leaves nothing behind."""
        for walk in self.walks.values():
            walk.remove()

    def _find_header(self, data: bytes) -> bytes:
        """Look for the header; return what stands after it."""
        self.noise += data
        _, begun, after = (b"\n" + self.noise).partition(b"\n" + header_start(self.nonce))
        line, newline, rest = (header_start(self.nonce) + after).partition(b"\n") if begun else (b"", b"", b"")
        if newline:
            self.header = Header.parse(line)
            self.noise = b""
            if self.header.python:
                self._dialect = _PythonDialect(self)
            else:
                self._dialect, self._separator = _ShellDialect(self), b"\n" + self.nonce.encode() + b" "
                rest = b"\n" + rest  # the separator begins with the newline that ended the header
            return rest
        if len(self.noise) > NOISE_LIMIT:
            raise Garbage(f"it sent {NOISE_LIMIT} bytes and no answer: {self.noise[:60]!r}...")
        return b""

    def _split(self, data: bytes) -> None:
        if self.header is None:
            return
        seam = self._seam + data
        if self._separator not in seam:
            self._pending.append(data)
            self._pending_size += len(data)
            if self._pending_size > self._record_limit():
                raise Garbage("it sent an answer that never ends")
        else:
            *records, rest = (b"".join(self._pending) + data).split(self._separator)
            self._pending[:], self._pending_size, seam = [rest], len(rest), rest
            for record in records:
                self._record(record)
        self._seam = seam[len(seam) - len(self._separator) + 1 :] if len(seam) >= len(self._separator) else seam

    def _record_limit(self) -> int:
        return OTHER_LIMIT + 4 * max((look.limit for look in self.looks if isinstance(look, ReadFile)), default=0)

    def _record(self, record: bytes) -> None:
        if not self.complete and record.strip(b"\n"):
            self._dialect.take(record)  # after the trailer a shell may still say farewell

    # ---- what the dialects call

    def answered(self, number: int, answer: Answer) -> None:
        """Keep the answer to one look; of a walk that failed later, what came before is no answer."""
        self.answers[self.looks[number]] = answer
        if isinstance(answer, FailedLook) and number in self.walks:
            self.walks.pop(number).remove()

    def walk(self, number: int) -> WalkFile:
        """The file of one walk."""
        if number not in self.walks:
            self.walks[number] = self.new_walk(number)
        return self.walks[number]

    def finished(self) -> None:
        """The trailer came. Raises `Garbage` when a look was forgotten."""
        missing = [look for look in self.looks if look not in self.answers]
        if missing:
            raise Garbage(f"it never answered {missing[0]}")
        self.complete = True


class _PythonDialect:
    """Lines of JSON, from probe.py."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._lines = 1  # the header
        self._listing = b""
        self._number = -1

    def take(self, line: bytes) -> None:
        """One line. A listing is kept as it is: it is parsed when somebody walks."""
        self._lines += 1
        if self._listing and line.startswith(self._listing) and line.endswith(b"}"):
            self._reply.walk(self._number).write(line[len(self._listing) : -1])
            return
        value = _json(line)
        match value:
            case {"interlock_probe_end": nonce, "lines": lines}:
                if nonce != self._reply.nonce or lines != self._lines - 1:
                    raise Garbage(f"its trailer counts {lines} lines, and {self._lines - 1} came")
                self._reply.finished()
            case {"look": int(number), "listing": _} if self._is_walk(number):
                self._number, self._listing = number, b'{"look":%d,"listing":' % number
                if not line.startswith(self._listing):
                    raise Garbage(f"a listing in no form of ours: {line!r:.200}")
                self._reply.walk(number).write(line[len(self._listing) : -1])
            case {"look": int(number)} if 0 <= number < len(self._reply.looks):
                self._answer(number, {key: found for key, found in value.items() if key != "look"})
            case _:
                raise Garbage(f"a line that is no answer: {line!r:.200}")

    def _is_walk(self, number: int) -> bool:
        return 0 <= number < len(self._reply.looks) and isinstance(self._reply.looks[number], Walk)

    def _answer(self, number: int, found: dict[str, Any]) -> None:
        look = self._reply.looks[number]
        try:
            answer = wire.answer_from_json(look, found)
        except (ValueError, TypeError) as error:
            raise Garbage(str(error)) from error
        if isinstance(look, Walk) and answer is None and found["walked"] != self._reply.walk(number).listings:
            raise Garbage(f"it counts {found['walked']} listings of {look.root}, and {self._reply.walk(number).listings} came")
        self._reply.answered(number, answer)


class _ShellDialect:
    """Records of probe.sh; `shell_reply.py` reads them."""

    def __init__(self, reply: Reply) -> None:
        from interlock.observe.shell_reply import ShellReply  # few hosts need it

        self._shell = ShellReply(looks=reply.looks, answered=reply.answered, write=lambda number, listing: reply.walk(number).write(listing))
        self._reply = reply

    def take(self, record: bytes) -> None:
        """One record."""
        try:
            last = self._shell.take(record)
        except (ValueError, KeyError) as error:
            raise Garbage(f"a record that is no answer: {record!r:.200}") from error
        if last:
            self._reply.finished()


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Garbage(f"a line that is no JSON: {line!r:.200}") from error
