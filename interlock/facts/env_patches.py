"""What does an env file come to when some of its variables are set? Every other byte stays: comments, order, quotes, line ends, and what nobody understands.

    >>> patched(b"# the public one\\nPORT='80'  # tcp\\n", {"PORT": "8080"}).data
    b"# the public one\\nPORT='8080'  # tcp\\n"

A variable is set where Docker Compose takes it from: on its last line; lines above it that name it too are left alone. One that the file does not have is
added at the end, under a comment. What is written is read back by `interlock.facts.dotenv`, and nothing is written that it would read as something else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field

from interlock.errors import ConfigError
from interlock.facts.dotenv import BOM, Entry, EnvFile, Quote
from interlock.facts.substitution import SubstitutionError, references, substitute
from interlock.nouns import dataclass
from interlock.patterns import regex

HEADING = "# added by interlock"

_PLAIN = regex(r"[\w@%+=:,./-]*", re.ASCII)  # what nobody who reads env files, a shell among them, takes for anything but itself
_IN_DOUBLE_QUOTES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$"})
_RETURNS = str.maketrans({"\r": "\\r"})
_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """The new bytes, and what became of each variable: `set` on a line of its own, `appended`, or `already` what it should be.

    `following` are variables that are not patched and come to something else all the same, since their values refer to one that is. `refused` are the lines
    (from 1) for which Docker Compose does not read the file, before and after: they stay, too.
    """

    data: bytes = field(repr=False)
    set: tuple[str, ...] = ()
    appended: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    following: tuple[str, ...] = ()
    refused: tuple[int, ...] = ()


def patched(old: bytes, values: Mapping[str, str], *, where: str = "") -> Patched:
    """Set these variables in an env file; each comes to exactly its value, `$` and quotes and all. Patching once more changes nothing.

    Raises ConfigError, with `where` and without any value, where Docker Compose could not be made to read it so: a value that is no text, a quote above that
    is never closed, a last line that is a name alone.
    """
    patch = _Patch(old, where)
    for key, value in values.items():
        patch.demand_text(key, value)
        patch.take(key, value)
    return patch.done()


class _Patch:
    """An env file while it is patched: which of its entries become another, and what comes behind the last one."""

    def __init__(self, old: bytes, where: str) -> None:
        text = old.decode("utf-8", "surrogateescape")
        self.mark = BOM if text.startswith(BOM) else ""
        self.text = text.removeprefix(BOM)
        self.file = EnvFile.parse(old, where=where)
        self.where = where
        self.last = {entry.key: index for index, entry in enumerate(self.file.entries)}
        self.becoming: dict[int, tuple[str, str]] = {}  # the value of an entry, and how it is written
        self.added: dict[str, str] = {}
        self.already: list[str] = []

    def demand_text(self, key: str, value: str) -> None:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise self._cannot(f"{key} cannot be set", why="its value is no UTF-8 text", remedy="give it a value that is text") from None
        if "\0" in value:
            raise self._cannot(f"{key} cannot be set", why="there is a NUL character in its value", remedy="give it a value without one")

    def take(self, key: str, value: str) -> None:
        index = self.last.get(key)
        if index is None:
            self.added[key] = value
        elif says(self.file.entries[index]) == value:
            self.already.append(key)
        else:
            self.becoming[index] = (value, self._written(self.file.entries[index], value))

    def _written(self, entry: Entry, value: str) -> str:
        """What stands in the place of an entry's value: in its own quotes where it can."""
        begin, start, end = entry.stretch
        stop = self.text.find("\n", end)
        before, behind = self.text[begin:start], self.text[end:] if stop < 0 else self.text[end:stop]
        sign = "=" if entry.text is None else ""
        quote = None if not entry.text and entry.quote is Quote.NONE else entry.quote
        for form in _forms(value, quote, over_lines="\n" in self.text[start:end]):
            if _reads(before + sign + form + behind, entry.key, value):
                return sign + form
        raise self._cannot(f"{entry.key} cannot be set", why=f"line {entry.line} leaves no room for its value", remedy="write it on a line of its own")

    def done(self) -> Patched:
        entries = self.file.entries
        text = "".join(self._pieces()) + self._appendix()
        data = (self.mark + text).encode("utf-8", "surrogateescape")
        self._demand_nothing_else(EnvFile.parse(data))
        return Patched(
            data=data,
            set=tuple(entries[index].key for index in self.becoming),
            appended=tuple(self.added),
            already=tuple(self.already),
            following=_following(entries, self.becoming),
            refused=tuple(problem.line for problem in self.file.problems if problem.refused),
        )

    def _pieces(self) -> Iterator[str]:
        at = 0
        for index, (_, form) in sorted(self.becoming.items()):
            stretch = self.file.entries[index].stretch
            yield self.text[at : stretch.value]
            yield form
            at = stretch.end
        yield self.text[at:]

    def _appendix(self) -> str:
        if not self.added:
            return ""
        self._demand_an_end()
        end = "\r\n" if self.text.rpartition("\n")[0].endswith("\r") else "\n"
        export = "export " if self.file.entries and all(map(self._exported, self.file.entries)) else ""
        lines = [f"{export}{key}={next(_forms(value, None, over_lines=False))}" for key, value in self.added.items()]
        if not self._headed():
            lines[:0] = [HEADING] if not self.text.strip() else ["", HEADING]
        return ("" if self.text.endswith("\n") or not self.text else end) + "".join(line + end for line in lines)

    def _exported(self, entry: Entry) -> bool:
        return not self.text.startswith(entry.key, entry.stretch.begin)

    def _headed(self) -> bool:
        """True when the last comment of the file is ours: what is added now belongs below it."""
        comments = [line.strip() for line in self.text.splitlines() if line.lstrip().startswith("#")]
        return bool(comments) and comments[-1] == HEADING

    def _demand_an_end(self) -> None:
        """A name alone on the last line, without a line end, is a value without a name; once a line follows, it would be a name. Neither is meant."""
        if not self.file.entries or self.file.entries[-1].key:
            return
        begin, start, end = self.file.entries[-1].stretch
        if not re.search("[=:]", self.text[begin:start]) and not self.text[end:].strip():
            line = self.file.entries[-1].line
            why = f"line {line} is the last one, a name without = and without a line end: Docker Compose takes it for a value without a name"
            raise self._cannot(f"{' and '.join(self.added)} cannot be added", why=why, remedy=f"write NAME=value on line {line}, or end it")

    def _demand_nothing_else(self, new: EnvFile) -> None:
        """Every entry is what it was, but for those that are patched; each of these says its value."""
        values = {index: value for index, (value, _) in self.becoming.items()} | dict(enumerate(self.added.values(), start=len(self.file.entries)))
        wanted = [(entry.key, values.get(index, entry.text), index in values or entry.quote) for index, entry in enumerate(self.file.entries)]
        wanted += [(key, value, True) for key, value in self.added.items()]
        seen = [(entry.key, says(entry) if index in values else entry.text, index in values or entry.quote) for index, entry in enumerate(new.entries)]
        if wanted != seen:
            lines = " and ".join(str(problem.line) for problem in self.file.problems if problem.refused)
            why = f"Docker Compose refuses it for line {lines}" if lines else "what is written is not what would be read"
            raise self._cannot("this env file cannot be patched", why=why, remedy="close the quotes of its values, each assignment on a line of its own")

    def _cannot(self, what: str, *, why: str, remedy: str) -> ConfigError:
        return ConfigError(what, where=self.where, why=why, remedy=remedy)


def says(entry: Entry) -> str | None:
    """What an entry comes to wherever it is read; None where that depends on other variables, or cannot be told."""
    if entry.text is None or entry.literal or "$" not in entry.text:
        return entry.text
    try:
        return None if references(entry.text) else substitute(entry.text, {})
    except SubstitutionError:
        return None


def _forms(value: str, was: Quote | None, *, over_lines: bool) -> Iterator[str]:
    """How a value can be written, the best first: in the quotes that it `was` in, else bare, in single or in double quotes. None: it is written anew.

    `over_lines`: it went over several lines, and may again; else a line break is written as `\\n`.
    """
    broken = not over_lines and ("\n" in value or "\r" in value)
    bare = was is Quote.NONE and not (broken or "$" in value or value.startswith("#"))
    if bare or (was is None and _PLAIN.fullmatch(value)):
        yield value
    if was is not Quote.DOUBLE and not (broken or "'" in value or "\r" in value or value.endswith("\\")):
        yield f"'{value}'"
    escaped = value.translate(_IN_DOUBLE_QUOTES).translate(_RETURNS if over_lines else _BREAKS)
    yield f'"{escaped}"'


def _reads(statement: str, key: str, value: str) -> bool:
    """True when a line begins with exactly this."""
    entries = EnvFile.parse(f"{statement}\n".encode("utf-8", "surrogateescape")).entries
    return bool(entries) and entries[0].key == key and says(entries[0]) == value


def _following(entries: Sequence[Entry], changed: Collection[int]) -> tuple[str, ...]:
    """The keys whose values refer to a changed entry above them, themselves or by others, and are not set again below."""
    moved: dict[str, None] = {}
    for index, entry in enumerate(entries):
        if index in changed or any(name in moved for name in _named_in(entry)):
            moved[entry.key] = None
        elif entry.text is not None:
            moved.pop(entry.key, None)
    return tuple(key for key in moved if key not in {entries[index].key for index in changed})


def _named_in(entry: Entry) -> Iterator[str]:
    if entry.text is not None and not entry.literal:
        try:
            yield from (reference.name for reference in references(entry.text))
        except SubstitutionError:
            return
