"""What was found for each file, row or variable? One JSON line per detail, streamed to disk while a judgement is drained, and read back as a stream.

A line is `{"guardrail","subject","outcome","what","message"}` in this order, in ASCII, and `kind`, `file`, `line`, `key`, `value`, `waiver` and `age`
only where they say something. `key` is the detail's fingerprint and stands wherever the outcome is not held. Each item of a run has a spool of its own; at
the end they are put together in the record's order. A million held files are the hot path here: they are written, and read, a directory at a time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import FileIO
from itertools import islice, repeat
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NotRequired, Required, Self, TypedDict, cast

from interlock.errors import EvidenceError
from interlock.evidence.files import create_private, open_to_read, unwritable, write_all
from interlock.evidence.redact import PATTERNS_ONLY, Redactor
from interlock.patterns import regex
from interlock.verdicts import Age, Counts, Detail, HeldRun, Outcome, Pair, Verdict, fingerprint

FLUSH_AT = 1 << 18  # characters kept before they are hashed and written
BLOCK = 1 << 20  # bytes read at a time
LONG_RUN = 256  # lines that are asked at once whether they are all alike
NAMES_AT_ONCE = 4096  # names of a held run joined at a time: bounds memory for a directory of a million files

Waive = Callable[[Detail, str], str | None]
Compare = Callable[[Detail, str], Age]


class DetailLine(TypedDict, total=False):
    """One line of details.jsonl as read."""

    guardrail: Required[str]
    subject: Required[str]
    outcome: Required[str]
    what: Required[str]
    message: Required[str]
    kind: NotRequired[str]
    file: NotRequired[str]
    line: NotRequired[int]
    key: NotRequired[str]
    value: NotRequired[int]
    waiver: NotRequired[str]
    age: NotRequired[str]


class HeldLines(NamedTuple):
    """Neighbouring held lines of one verdict that say the same of each of `whats`. All of it is printable ASCII without quotes and backslashes."""

    guardrail: str
    subject: str
    message: str
    whats: Sequence[str]


Lines = Iterator[DetailLine | HeldLines]
Details = Callable[[], Lines]  # what renderings read: each call starts again at the first line


def details_of(path: Path) -> Details:
    """The details of a file, as renderings take them."""
    return partial(read_lines, path)


def no_details() -> Lines:
    """The details of a run that has none."""
    return iter(())


class DetailWriter:
    """A sink that writes the details of one pair to a spool file (0600, made at the first detail), redacted, and counts them.

    `waive` is asked for each broken or unproven detail, with its key, and returns the id of the waiver that covers it, or None; `compare` before it, for the
    detail's age. Raises EvidenceError when the spool cannot be written: evidence that is lost is no evidence.
    """

    def __init__(self, path: Path, pair: Pair, waive: Waive | None = None, redactor: Redactor = PATTERNS_ONLY, compare: Compare | None = None) -> None:
        self.path = path
        self._pair = pair
        self._waive = waive
        self._compare = compare
        self._redactor = redactor
        self._head = f'{{"guardrail":{quoted(pair.guardrail)},"subject":{quoted(pair.subject)},"outcome":"'
        self._parts: list[str] = []
        self._size = 0
        self._file: FileIO | None = None
        self._digest = hashlib.sha256()
        self._counts = dict.fromkeys((Outcome.HELD, Outcome.BROKEN, Outcome.UNPROVEN, Outcome.WAIVED), 0)
        self._waivers: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def waivers(self) -> tuple[str, ...]:
        """The ids of the waivers that were used, sorted."""
        return tuple(sorted(self._waivers))

    def detail(self, detail: Detail) -> Detail:
        """Write one detail, redacted, and return what it counts as: what does not hold may come back waived, and with its age."""
        detail = self._redacted(detail)
        key, waiver = "", None
        if detail.outcome is not Outcome.HELD:
            key = fingerprint(self._pair, detail)
            if self._compare is not None:
                detail = dataclasses.replace(detail, age=self._compare(detail, key))
            if self._waive is not None:
                waiver = self._waive(detail, key)
        if waiver is not None:
            detail = dataclasses.replace(detail, outcome=Outcome.WAIVED)
            self._waivers.add(waiver)
        self._counts[detail.outcome] += 1
        self._write(_line(self._head, detail, key, waiver))
        return detail

    def held_run(self, run: HeldRun) -> None:
        """Write one held detail for each name of the run."""
        prefix, message = run.prefix, self._redactor.redact(run.message)
        for start in range(0, len(run.names), NAMES_AT_ONCE):
            names = run.names[start : start + NAMES_AT_ONCE]
            self._counts[Outcome.HELD] += len(names)
            self._write(self._held_lines(prefix, names, message))

    def close(self) -> Counts:
        """Write what is left; the counts, and the digest over this pair's lines (empty when there is none). May be called again."""
        self._flush()
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                raise unwritable(self.path, error) from error
        held, broken, unproven, waived = self._counts.values()
        digest = "sha256:" + self._digest.hexdigest() if held + broken + unproven + waived else ""
        return Counts(held=held, broken=broken, unproven=unproven, waived=waived, sha256=digest)

    def discard(self) -> None:
        """Forget what was written, the file too: for a look that is made again."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _redacted(self, detail: Detail) -> Detail:
        if self._redactor.is_clean(f"{detail.what}\n{detail.message}\n{detail.file}"):
            return detail
        redact = self._redactor.redact
        return dataclasses.replace(detail, what=redact(detail.what), message=redact(detail.message), file=redact(detail.file))

    def _held_lines(self, prefix: str, names: Sequence[str], message: str) -> str:
        """Joined rather than made one by one: 0.1 us a name instead of 2, as long as nothing in a name has to be escaped or hidden."""
        head = f'{self._head}held","what":'
        tail = f',"message":{quoted(message)}}}\n'
        clean = self._redactor.are_clean(prefix, names)
        if clean and is_plain("".join(names)) and is_plain(prefix):
            return f'{head}"{prefix}' + f'"{tail}{head}"{prefix}'.join(names) + f'"{tail}'
        whats = (prefix + name for name in names)
        shown = whats if clean else (self._redactor.redact(what) for what in whats)
        return head + f"{tail}{head}".join(map(quoted, shown)) + tail

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        if self._size >= FLUSH_AT:
            self._flush()

    def _flush(self) -> None:
        if not self._parts:
            return
        data = "".join(self._parts).encode("ascii")
        self._parts.clear()
        self._size = 0
        self._digest.update(data)
        try:
            if self._file is None:
                self._file = create_private(self.path)
            write_all(self._file, data)
        except OSError as error:
            raise unwritable(self.path, error) from error


def is_plain(text: str) -> bool:
    """True for printable ASCII that JSON writes as it is."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def _line(head: str, detail: Detail, key: str, waiver: str | None) -> str:
    text = f'{head}{detail.outcome.value}","what":{quoted(detail.what)},"message":{quoted(detail.message)}'
    if detail.kind:
        text += f',"kind":{quoted(detail.kind)}'
    if detail.file:
        text += f',"file":{quoted(detail.file)}'
    if detail.line is not None:
        text += f',"line":{detail.line}'
    if key:
        text += f',"key":{quoted(key)}'
    if detail.value is not None:
        text += f',"value":{detail.value}'
    if waiver is not None:
        text += f',"waiver":{quoted(waiver)}'
    if detail.age is not None:
        text += f',"age":"{detail.age.value}"'
    return text + "}\n"


def detail_of(line: DetailLine) -> Detail:
    """The detail that a line says."""
    return Detail(
        what=line["what"],
        outcome=Outcome(line["outcome"]),
        message=line["message"],
        kind=line.get("kind", ""),
        file=line.get("file", ""),
        line=line.get("line"),
        value=line.get("value"),
        age=Age(line["age"]) if "age" in line else None,
    )


def canonical_line(line: DetailLine) -> bytes:
    """The line as the writer writes it; every line of a true details.jsonl is its own canonical text."""
    head = f'{{"guardrail":{quoted(line["guardrail"])},"subject":{quoted(line["subject"])},"outcome":"'
    return _line(head, detail_of(line), line.get("key", ""), line.get("waiver")).encode("ascii")


def canonical_held(lines: HeldLines) -> bytes:
    """The same for many held lines: they are plain, so that nothing in them is escaped."""
    head = f'{{"guardrail":"{lines.guardrail}","subject":"{lines.subject}","outcome":"held","what":"'
    tail = f'","message":"{lines.message}"}}\n'
    return (head + f"{tail}{head}".join(lines.whats) + tail).encode("ascii")


# ---- putting the spools together


def concatenate(spools: Iterable[tuple[Verdict, Path | None]], write: Callable[[bytes], object]) -> int:
    """Hand all spools to `write`, in the order given, a block at a time; returns how many lines there were.

    Raises EvidenceError when a spool is missing or holds another number of lines than its verdict counts.
    """
    total = 0
    for verdict, path in spools:
        if verdict.details.total:
            total += _copied(verdict, path, write)
    return total


def _copied(verdict: Verdict, path: Path | None, write: Callable[[bytes], object]) -> int:
    lines = 0
    for block in _blocks(verdict.pair, path):
        lines += block.count(b"\n")
        write(block)
    if lines != verdict.details.total:
        raise EvidenceError(
            f"the details of {verdict.pair} are {lines} lines, its verdict counts {verdict.details.total}",
            where=str(path),
            why="something else wrote to the spool, or its writer died",
            remedy="run the gate again",
        )
    return lines


def _blocks(pair: Pair, path: Path | None) -> Iterator[bytes]:
    if path is None:
        raise EvidenceError(f"the details of {pair} are lost: no spool was handed over", remedy="run the gate again")
    try:
        with open_to_read(path) as spool:
            while block := spool.read(BLOCK):
                yield block
    except OSError as error:
        raise EvidenceError(f"the details of {pair} are lost: {error.strerror}", where=str(path), remedy="run the gate again") from error


# ---- reading

_PLAIN = r'[^"\\\x00-\x1f]*'
_HELD = regex(rf'(\{{"guardrail":"({_PLAIN})","subject":"({_PLAIN})","outcome":"held","what":"){_PLAIN}(","message":"({_PLAIN})"\}})')
_TEXTS = frozenset({"guardrail", "subject", "outcome", "what", "message", "kind", "file", "key", "waiver", "age"})
_NUMBERS = frozenset({"line", "value"})
_ALWAYS = frozenset({"guardrail", "subject", "outcome", "what", "message"})
_OUTCOMES = frozenset({"held", "broken", "unproven", "waived"})
_AGES = frozenset(Age)


def read_details(path: Path) -> Iterator[DetailLine]:
    """Every detail of a file, in order, as a dict. Memory stays flat. Raises EvidenceError, naming the line, for anything that is no detail."""
    for found in read_lines(path):
        if isinstance(found, HeldLines):
            guardrail, subject, message, whats = found
            for what in whats:
                yield {"guardrail": guardrail, "subject": subject, "outcome": "held", "what": what, "message": message}
        else:
            yield found


def read_lines(path: Path) -> Lines:
    """Like `read_details`, but neighbouring held lines that say the same come together, as they were written."""
    number, rest = 1, b""
    try:
        with open_to_read(path) as file:
            while block := file.read(BLOCK):
                whole, newline, tail = block.rpartition(b"\n")
                if not newline:
                    rest += block
                    continue
                lines = _decoded(rest + whole, path, number)
                rest = tail
                yield from _grouped(lines, path, number)
                number += len(lines)
    except OSError as error:
        raise EvidenceError(f"details cannot be read: {error.strerror}", where=str(path)) from error
    if rest:
        raise _no_detail(path, number, "its last line has no end")


def _decoded(data: bytes, path: Path, number: int) -> list[str]:
    try:
        return data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _no_detail(path, number + data.count(b"\n", 0, error.start), "it is not ASCII") from error


def _grouped(lines: list[str], path: Path, number: int) -> Lines:
    index = 0
    while index < len(lines):
        match = _HELD.fullmatch(lines[index]) if _like_its_neighbour(lines, index) else None
        if match is None:
            yield _parsed(lines[index], path, number + index)
            index += 1
            continue
        head, guardrail, subject, tail, message = match.groups()
        end = _end_of_run(lines, index, head, tail)
        whats = list(map(itemgetter(slice(len(head), -len(tail))), islice(lines, index, end)))
        if is_plain("".join(whats)) and is_plain(message) and is_plain(guardrail + subject):
            yield HeldLines(guardrail, subject, message, whats)
        else:
            yield from (_parsed(line, path, number + index + offset) for offset, line in enumerate(lines[index:end]))
        index = end


def _like_its_neighbour(lines: list[str], index: int) -> bool:
    """Cheap and rough: whether reading this line together with the next one is worth a closer look."""
    line = lines[index]
    behind = line.find('"held","what":"')
    before = line.rfind('","message":"')
    return 0 < behind < before and index + 1 < len(lines) and lines[index + 1].endswith(line[before:]) and lines[index + 1].startswith(line[:behind])


def _end_of_run(lines: list[str], start: int, head: str, tail: str) -> int:
    """The index behind the last line, from `start` on, that begins with `head` and ends with `tail`.

    Asked of `LONG_RUN` lines at a time in C, which costs a third of asking line by line; only where the run ends are lines looked at one by one.
    """
    shortest = len(head) + len(tail)
    index = start + 1
    while index < len(lines):
        some = lines[index : index + LONG_RUN]
        if not (all(map(str.startswith, some, repeat(head))) and all(map(str.endswith, some, repeat(tail))) and min(map(len, some)) >= shortest):
            belong = (line.startswith(head) and line.endswith(tail) and len(line) >= shortest for line in some)
            return index + next(offset for offset, belongs in enumerate(belong) if not belongs)
        index += len(some)
    return index


def _parsed(line: str, path: Path, number: int) -> DetailLine:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _no_detail(path, number, "it is no JSON") from error
    fault = _fault(found)
    if fault:
        raise _no_detail(path, number, fault)
    return cast("DetailLine", found)


def _fault(found: Any) -> str:
    if not isinstance(found, dict):
        return "it is no object"
    missing = _ALWAYS - found.keys()
    if missing:
        return f"it lacks {', '.join(sorted(missing))}"
    for key, value in found.items():
        wanted = str if key in _TEXTS else int if key in _NUMBERS else None
        if wanted is None or type(value) is not wanted:  # no bool for an int
            return f"its {key} is not what a detail's is"
    if found.get("age", Age.NEW) not in _AGES:
        return f"{found['age']!r} is no age of a finding"
    return "" if found["outcome"] in _OUTCOMES else f"{found['outcome']!r} is no outcome of a detail"


def _no_detail(path: Path, number: int, why: str) -> EvidenceError:
    remedy = "compare the file with a copy of it; details are written once and never edited"
    return EvidenceError("this is no detail of ours", where=f"{path}:{number}", why=why, remedy=remedy)


def by_verdict(verdicts: Iterable[Verdict], lines: Lines, where: str = "details.jsonl") -> Iterator[tuple[Verdict, Lines]]:
    """Each verdict with its own lines; what the caller leaves of them is passed over.

    Raises EvidenceError when lines and verdicts do not follow the same order.
    """
    ahead = next(lines, None)

    def own(pair: Pair) -> Lines:
        nonlocal ahead
        while ahead is not None and pair_of(ahead) == pair:
            found, ahead = ahead, next(lines, None)
            yield found

    for verdict in verdicts:
        mine = own(verdict.pair)
        yield verdict, mine
        deque(mine, maxlen=0)
    if ahead is not None:
        why = "details follow each other as the record's verdicts do"
        raise EvidenceError(f"details of {pair_of(ahead)} stand where no verdict has them", where=where, why=why)


def pair_of(found: DetailLine | HeldLines) -> Pair:
    """The verdict that a line belongs to."""
    if isinstance(found, HeldLines):
        return Pair(found.guardrail, found.subject)
    return Pair(found["guardrail"], found["subject"])
