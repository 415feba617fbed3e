"""What does a YAML text say, where does it say it, and what is wrong with it? All of it: a fault is told, and reading goes on where it can.

Shared by the site file, the waiver file and the judgement of compose files (`compose.strict_parse`). Pure: it takes bytes and never raises for them.
The nouns are in `yamlnodes`, the values of plain scalars in `yamlscalars`, the way from events to data in `yamlevents`, the words in `yamlsyntax`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any, NamedTuple

import yaml

from interlock.config.yamlevents import Composer, Stop
from interlock.config.yamlnodes import COMPOSE, FATAL, SITE, Fault, KeyPath, Node, Place, Position, Positions, Problem, Rules
from interlock.config.yamlscalars import Tagged, say_type
from interlock.config.yamlsyntax import syntax_problem
from interlock.patterns import regex

__all__ = [
    "COMPOSE",
    "PARSERS",
    "SITE",
    "Document",
    "Fault",
    "KeyPath",
    "Place",
    "Position",
    "Positions",
    "Problem",
    "Rules",
    "Tagged",
    "YamlText",
    "read_yaml",
    "say_type",
]

Parser = type[yaml.SafeLoader] | type[yaml.CSafeLoader]
PARSERS: tuple[Parser, ...] = (yaml.CSafeLoader, yaml.SafeLoader) if yaml.__with_libyaml__ else (yaml.SafeLoader,)
"""libyaml's parser where PyYAML was built with it, and the pure one; the first is used."""


class Document(NamedTuple):
    """One YAML document: plain dicts with text keys, lists, scalars and `Tagged`. To be read and not to be changed: aliases share."""

    root: Node

    @property
    def data(self) -> Any:
        """What it says."""
        return self.root.data

    @property
    def positions(self) -> Positions:
        """Where it says it."""
        return Positions(self.root)


class YamlText(NamedTuple):
    """What was read. `problems` are in the order of the text; with one of `yamlnodes.FATAL` among them there is no document."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]

    @property
    def data(self) -> Any:
        """What the first document says; None when there is none."""
        return self.documents[0].data if self.documents else None

    @property
    def positions(self) -> Positions:
        """Where the first document says it; empty when there is none."""
        return self.documents[0].positions if self.documents else Positions(None)


def read_yaml(content: bytes, rules: Rules = SITE, *, parser: Parser = PARSERS[0]) -> YamlText:
    """Read a text, whatever it is. Time and memory are bounded by `rules`."""
    if len(content) > rules.size:
        return YamlText(
            (), (Problem(line=1, column=1, kind=Fault.TOO_LARGE, message=f"it is larger than {rules.size:,} bytes", remedy="is this the right file?"),)
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return YamlText((), (_not_utf8(content, error),))
    if match := _not_printable_in(text, rules):
        return YamlText((), (_not_printable(text, match.start()),))
    markers = _conflict_markers(text, alone=False)
    found = _read_sides(text, markers, rules, parser) if markers else _read_text(text, rules, parser)
    if not markers and any(problem.kind is Fault.SYNTAX for problem in found.problems) and (markers := _conflict_markers(text, alone=True)):
        found = _read_sides(text, markers, rules, parser)
    return found


def _read_text(text: str, rules: Rules, parser: Parser) -> YamlText:
    composer = Composer(rules)
    loader = parser(text)
    try:
        while loader.check_event():
            composer.take(loader.get_event())
    except Stop as stop:
        composer.problems.append(stop.problem)
    except yaml.YAMLError as error:
        composer.problems.append(syntax_problem(error, text, composer.opened))
    finally:
        loader.dispose()
    problems = sorted(composer.problems, key=_place)
    if any(problem.kind in FATAL for problem in problems):
        return YamlText((), tuple(problems))
    if not composer.roots or composer.roots[0].text == "":
        problems.insert(0, Problem(line=1, column=1, kind=Fault.EMPTY, message="it is empty", why="every line of it is blank or a comment"))
    return YamlText(tuple(Document(root) for root in composer.roots), tuple(problems))


def _place(problem: Problem) -> tuple[int, int]:
    return problem.line, problem.column


# ---- bytes to text

_CONTROL = regex("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NOT_PRINTABLE = "[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_NOT_SEEN = "[\x85\u2028\u2029\ufeff]"
_BREAK = regex("\r\n|\n|\r")


def _position(before: str) -> Position:
    """Where the text goes on that begins with `before`."""
    lines = _BREAK.split(before)
    return Position(len(lines), len(lines[-1]) + 1)


def _not_printable_in(text: str, rules: Rules) -> re.Match[str] | None:
    """The first character that may not stand in a text. The long patterns are compiled for those alone that need them: it takes longer than reading."""
    if text.isascii():
        return _CONTROL.search(text)
    return re.search(_NOT_PRINTABLE, text) or (None if rules.unseen_characters else re.search(_NOT_SEEN, text))


def _not_utf8(content: bytes, error: UnicodeDecodeError) -> Problem:
    line, column = _position(content[: error.start].decode("utf-8-sig", "replace"))
    message, remedy = f"the byte 0x{content[error.start]:02x} is no UTF-8", "save the file as UTF-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "it is UTF-16, not UTF-8"
    elif b"\0" in content:
        message, remedy = "it is a binary file, not text", "is this the right file?"
    return Problem(line=line, column=column, kind=Fault.NOT_TEXT, message=message, remedy=remedy)


def _not_printable(text: str, offset: int) -> Problem:
    line, column = _position(text[:offset])
    message, remedy = f"the character U+{ord(text[offset]):04X} may not stand here", f'remove it, or write "\\u{ord(text[offset]):04x}" in double quotes'
    if "\0" in text:
        message, remedy = "it is a binary file, not text", "is this the right file?"
    return Problem(line=line, column=column, kind=Fault.NOT_TEXT, message=message, remedy=remedy)


# ---- git's conflict markers

_MARKER = regex(r"^[<>|]{7}(?: |\r?$)", re.MULTILINE)
_MARKER_LINE = regex(r"(<{7}|>{7}|\|{7}|={7})( .*)?")
_MEANING = {
    "<": "the first side of a merge conflict begins here",
    "|": "what both sides come from begins here",
    "=": "the second side of a merge conflict begins here",
    ">": "a merge conflict ends here",
}


class _Marker(NamedTuple):
    line: int
    mark: str  # one of < | = >


def _conflict_markers(text: str, *, alone: bool) -> list[_Marker]:
    """The marker lines. Seven `=` are one only beside another marker, or, `alone`, where the text cannot be read anyway."""
    if not alone and not _MARKER.search(text):
        return []
    lines = enumerate(_BREAK.split(text), start=1)
    return [_Marker(number, match[1][0]) for number, line in lines if (match := _MARKER_LINE.fullmatch(line))]


def _read_sides(text: str, markers: list[_Marker], rules: Rules, parser: Parser) -> YamlText:
    """Name each marker, and what is wrong with either side by itself."""
    problems: dict[tuple[int, Fault], Problem] = {}
    for line, mark in markers:
        message, remedy = f"git conflict marker {mark * 7}", "decide the merge: keep what is right, and remove the marker lines"
        problems[line, Fault.CONFLICT_MARKER] = Problem(line=line, column=1, kind=Fault.CONFLICT_MARKER, message=message, why=_MEANING[mark], remedy=remedy)
    for side in "<=":
        for problem in _read_text(_one_side(text, markers, side), rules, parser).problems:
            if problem.kind is not Fault.EMPTY:
                problems.setdefault((problem.line, problem.kind), problem)
    return YamlText((), tuple(sorted(problems.values(), key=_place)))


def _one_side(text: str, markers: list[_Marker], side: str) -> str:
    """The text without the marker lines and the other sides; every line keeps its number."""
    kept = []
    numbers = [marker.line for marker in markers]
    for number, line in enumerate(_BREAK.split(text), start=1):
        before = bisect_right(numbers, number)
        part = markers[before - 1].mark if before else ">"
        kept.append(line if part in (">", side) and number not in numbers[before - 1 : before] else "")
    return "\n".join(kept)
