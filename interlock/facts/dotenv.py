"""What does an env file say? The dialect of Docker Compose, exactly: its entries in order with their lines, and what is wrong with it.

Read as Docker Compose 2.40 reads `env_file:` and `.env`. A shell reads the same file differently, so does systemd: never source it.
Source: the manual's page on env files; where that is silent, what the program does (tests/integration/test_compose_binary.py).
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, Self

from interlock.errors import ConfigError
from interlock.facts.substitution import Fault, Place, SubstitutionError, expand
from interlock.nouns import dataclass
from interlock.patterns import regex

BOM = "\ufeff"

# The program's blanks within a line, and its white space between statements; Python's own classes hold a few characters more.
_BLANKS = "\t\v\f\r \x85\xa0"
_SPACES = _BLANKS + "\n\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_SPACE = regex(f"[{_SPACES}]*")
_BLANK = regex(f"[{_BLANKS}]*")
_EXPORT = regex("export(?=[\\t\\n\\f\\r ])")
_KEY = regex(f"[\\w.\\-\\[\\]{_BLANKS}]*")
_ESCAPE = regex('\\\\([abcfnrtv$"\\\\]|0[0-9]{0,3})')
_QUOTED = {quote: regex(rf"{quote}([^{quote}\\]*(?:\\.[^{quote}\\]*)*){quote}", re.DOTALL) for quote in "'\""}
_BACKSLASHED = regex(r"\\(.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "$": "$$", '"': '"', "\\": "\\"}


class Quote(StrEnum):
    """What stands around a value."""

    NONE = ""
    SINGLE = "'"
    DOUBLE = '"'


class Stretch(NamedTuple):
    """Where a statement stands in the text, as offsets behind its byte order mark: its begin, and its value with the quotes around it.

    A value that is empty, or is not there, ends where it begins: behind the `=`, or behind the name that stands alone.
    """

    begin: int
    value: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One statement. `text` is the value without its quotes, escapes expanded, variables not yet; None where a name stands alone.

    Such a name takes its value from the environment.
    `line` and `column` count from 1: where the value begins, on the line of its key.
    """

    key: str
    text: str | None
    line: int
    column: int
    stretch: Stretch
    quote: Quote = Quote.NONE

    @property
    def literal(self) -> bool:
        """True when `$` means nothing in it: single quotes."""
        return self.quote is Quote.SINGLE


class Problem(NamedTuple):
    """What is wrong with a line. `refused`: Docker Compose does not read the file for it; otherwise it reads something else than what seems to stand there."""

    line: int
    column: int
    what: str
    refused: bool


class Value(NamedTuple):
    """What a key comes to. `environment` names the variables of the process that went into it: then the text may be a secret.

    `undefined` is the error of the first variable in it that is defined nowhere, and for which its text has nothing.
    """

    text: str
    environment: frozenset[str] = frozenset()
    undefined: SubstitutionError | None = None


_NOTHING: Mapping[str, Value] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """The entries of an env file in order, and its problems. A key may stand there twice: the last one counts."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    where: str = ""

    @classmethod
    def parse(cls, data: bytes, *, where: str = "") -> Self:
        """The entries of `data`, which may begin with a byte order mark and need not be UTF-8. After a refused line, reading goes on with the next."""
        reader = _Reader(data.decode("utf-8", "surrogateescape").removeprefix(BOM))
        entries = tuple(reader.entries())
        return cls(entries=entries, problems=tuple(reader.problems), where=where)

    def resolve(self, environ: Mapping[str, str], earlier: Mapping[str, Value] = _NOTHING) -> dict[str, Value]:
        """The value of each key, in the order in which keys first stand; those of `earlier`, what the env files before this one gave, before them.

        A variable in a value is looked up in `environ` first, then among the entries above it, then in `earlier`. A name alone takes its value from
        `environ`; one that has none there is left as it was. An undefined variable makes a value that says so: whoever uses it must ask.
        Raises ConfigError with every line that is refused, SubstitutionError for bad syntax in a value and for an unmet `:?` or `?`.
        """
        if refused := tuple(self._error(problem) for problem in self.problems if problem.refused):
            raise ConfigError(f"{self.where or 'the env file'} cannot be read", where=self.where, problems=refused)
        values: dict[str, Value] = dict(earlier)
        above = {name: value.text for name, value in earlier.items()}
        known = ChainMap(dict(environ), above)
        for entry in self.entries:
            value = self._value(entry, environ, values, known)
            if value is not None:
                values[entry.key] = value
                above[entry.key] = value.text
        return values

    def _value(self, entry: Entry, environ: Mapping[str, str], values: Mapping[str, Value], known: Mapping[str, str]) -> Value | None:
        if entry.text is None:
            inherited = environ.get(entry.key)
            return None if inherited is None else Value(inherited, frozenset({entry.key}))
        if entry.literal or "$" not in entry.text:
            return Value(entry.text)
        place = Place(entry.line, entry.column)
        pieces = expand(entry.text, known, where=self.where, at=place, lenient=True)
        unknown = [piece.name for piece in pieces if piece.undefined]
        used = [values[piece.name] for piece in pieces if piece.name in values and piece.name not in environ]
        return Value(
            text="".join(piece.text for piece in pieces),
            environment=frozenset(piece.name for piece in pieces if piece.name in environ).union(*(value.environment for value in used)),
            undefined=SubstitutionError(Fault.UNDEFINED, place, where=self.where, variable=unknown[0])
            if unknown
            else next((value.undefined for value in used if value.undefined), None),
        )

    def _error(self, problem: Problem) -> ConfigError:
        return ConfigError(problem.what, where=f"{self.where}:{problem.line}:{problem.column}", remedy="write NAME=value")


class _Reader:
    """Walks over the text once; `at` is the offset of what comes next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.problems: list[Problem] = []
        self._lines: dict[str, int] = {}
        self._counted = (0, 1)  # an offset, and its line

    def entries(self) -> Iterator[Entry]:
        while self._next_statement():
            entry = self._entry()
            if entry is not None:
                self._notice(entry)
                yield entry

    def _next_statement(self) -> bool:
        """Go over white space and comments; False at the end."""
        while True:
            self.at = _after(_SPACE, self.text, self.at)
            if not self.text.startswith("#", self.at):
                return self.at < len(self.text)
            self._skip_line()

    def _entry(self) -> Entry | None:
        start = self.at
        line = self._line(start)
        exported = _EXPORT.match(self.text, start)
        key_at = _after(_BLANK, self.text, exported.end()) if exported else start
        key_end = _after(_KEY, self.text, key_at)
        separator = self.text[key_end : key_end + 1]
        if separator not in ("=", ":", "\n", ""):
            self._refuse(key_end, f"{separator!r} in the name of a variable")
            return None
        if separator == "":
            return self._unfinished(key_at, line, start)
        key = self.text[key_at:key_end].rstrip(_SPACES)
        if " " in key:
            self._refuse(start, f"there is a space in the name {key!r}")
            return None
        self.at = _after(_BLANK, self.text, key_end + 1)
        if separator == "\n":
            alone = key_at + len(key)
            return Entry(key=key, text=None, line=line, column=self._column(key_at), stretch=Stretch(start, alone, alone))
        return self._valued(key, line, start, behind=key_end + 1)

    def _unfinished(self, key_at: int, line: int, start: int) -> Entry | None:
        """A name alone at the very end, without a line end: the program takes it for the value of a variable without a name."""
        if key_at == len(self.text):
            self._refuse(start, "nothing follows export")
            return None
        text = self.text[key_at:].rstrip(_SPACES)
        self.at = len(self.text)
        return Entry(key="", text=text, line=line, column=self._column(key_at), stretch=Stretch(start, key_at, key_at + len(text)))

    def _valued(self, key: str, line: int, start: int, *, behind: int) -> Entry | None:
        """`behind` is the offset after the sign between name and value; blanks may follow it."""
        begin, column = self.at, self._column(self.at)
        opening = self.text[self.at : self.at + 1]
        if opening not in _QUOTED:
            text = self._unquoted()
            stretch = Stretch(start, begin, begin + len(text)) if text else Stretch(start, behind, behind)
            return Entry(key=key, text=text, line=line, column=column, stretch=stretch)
        quote = Quote(opening)
        quoted = _QUOTED[opening].match(self.text, self.at)
        if quoted is None:
            self.at = len(self.text)  # what follows would be read as statements, and complained about
            self._refuse(start, f"the quote that opens the value of {key} is never closed")
            return None
        self.at = quoted.end()
        self._notice_rest_of_line()
        text = _BACKSLASHED.sub(lambda pair: opening if pair[1] == opening else pair[0], quoted[1])
        text = _ESCAPE.sub(_escaped, text) if quote is Quote.DOUBLE else text
        return Entry(key=key, text=text, line=line, column=column, quote=quote, stretch=Stretch(start, begin, quoted.end()))

    def _unquoted(self) -> str:
        value, _, _ = self._rest_of_line().partition(" #")
        self._skip_line()
        return value.rstrip(_SPACES)

    def _rest_of_line(self) -> str:
        end = self.text.find("\n", self.at)
        return self.text[self.at :] if end < 0 else self.text[self.at : end]

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end + 1

    def _line(self, offset: int) -> int:
        """Counted on from the last one that was asked for: a file may have a million lines."""
        since, line = self._counted if offset >= self._counted[0] else (0, 1)
        self._counted = offset, line + self.text.count("\n", since, offset)
        return self._counted[1]

    def _column(self, offset: int) -> int:
        return offset - self.text.rfind("\n", 0, offset)

    def _problem(self, offset: int, what: str, *, refused: bool) -> None:
        self.problems.append(Problem(self._line(offset), self._column(offset), what, refused))

    def _refuse(self, offset: int, what: str) -> None:
        self._problem(offset, what, refused=True)
        self._skip_line()

    def _notice(self, entry: Entry) -> None:
        """What is read, but hardly as it was meant."""
        if not entry.key:
            self.problems.append(Problem(entry.line, 1, "a value without a name" if entry.text else "no name", refused=False))
        elif entry.key in self._lines:
            self.problems.append(Problem(entry.line, 1, f"{entry.key} stands on line {self._lines[entry.key]} too; this one counts", refused=False))
        self._lines[entry.key] = entry.line

    def _notice_rest_of_line(self) -> None:
        rest = self._rest_of_line().strip(_BLANKS)
        if rest and not rest.startswith("#"):
            self._problem(self.at, "what follows the closing quote is read as a statement of its own", refused=False)


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    """The offset after a pattern that always matches, be it nothing."""
    match = pattern.match(text, at)
    assert match is not None
    return match.end()


def _escaped(match: re.Match[str]) -> str:
    """What an escape in double quotes stands for. `\\0` and three octal digits are a character; anything else after `\\0` only loses that nought."""
    code = match[1]
    if not code.startswith("0"):
        return _ESCAPED.get(code, match[0])
    digits = code[1:]
    if re.fullmatch("[0-3][0-7][0-7]", digits):
        return chr(int(digits, 8))
    return "\\" + digits
