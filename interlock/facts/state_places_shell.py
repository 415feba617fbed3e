"""Which words of a shell script name a directory that has a variable, without the variable? What only tells somebody something is no use of a path."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from interlock.facts.backup_writers import listed
from interlock.facts.shell import Assignment, Command, Condition, Script, Stream, Text, Variable, Word, walk
from interlock.facts.state_places import Past, PathUse, Place, stands_in
from interlock.patterns import regex

_TELLS = listed("echo printf logger log info warn warning error err die fail fatal usage notice say msg message print debug ok note abort success")
_TELLING = regex(
    r"(?:^|_)(?:log|info|warn|warning|error|err|die|fail|fatal|usage|notice|say|msg|message|print|echo|debug|note|abort|success)(?:$|_)", re.IGNORECASE
)
_SETS_DEFAULT = (":-", "-", ":=", "=")


def uses_in_shell(path: str, script: Script, places: Sequence[Place]) -> Iterator[PathUse]:
    """Every word that holds such a path: arguments, values, targets of redirections, conditions. A default of the variable itself is its own."""
    for statement in walk(script.statements):
        if isinstance(statement, Condition):
            yield from _raw(path, statement.raw, statement.line, places)
        elif isinstance(statement, Command):
            yield from _command(path, statement, places)


def _command(path: str, command: Command, places: Sequence[Place]) -> Iterator[PathUse]:
    program = posixpath.basename(command.words[0].literal or "") if command.words else ""
    if program not in _TELLS and not _TELLING.search(program):
        for word in command.words:
            yield from _word(path, word, places)
    for assignment in command.assignments:
        if assignment.value is not None:
            yield from _word(path, assignment.value, [place for place in places if not _sets(assignment, place)])
    for redirect in command.redirects:
        if redirect.stream in (Stream.READ, Stream.WRITE, Stream.APPEND):
            yield from _word(path, redirect.target, places)


def _sets(assignment: Assignment, place: Place) -> bool:
    return assignment.name.upper() == place.variable or assignment.name.upper().endswith("_" + place.variable)


def _word(path: str, word: Word, places: Sequence[Place]) -> Iterator[PathUse]:
    """A path in the text of a word, or after a reference to the variable that it is made of."""
    before: Variable | None = None
    for part in word.parts:
        if isinstance(part, Text):
            yield from _text(path, part.text, word.line, places, before)
        if isinstance(part, Variable) and part.argument is not None and part.operator in _SETS_DEFAULT:
            others = [place for place in places if place.variable != part.name.upper()]
            yield from _word(path, part.argument, others)
        before = part if isinstance(part, Variable) else None


def _text(path: str, text: str, line: int, places: Sequence[Place], before: Variable | None) -> Iterator[PathUse]:
    for place in places:
        for literal in place.literals if before is None else ():
            for _, written in stands_in(literal, text):
                yield PathUse(file=path, line=line, written=written, how=Past.LITERAL, place=place)
        for other, rest in place.made_of if before is not None and before.operator in ("", *_SETS_DEFAULT) else ():
            if before is not None and before.name == other and re.match(rf"/{re.escape(rest)}(?![\w.-])", text):
                tail = re.match(r"[\w./@%+-]*", text)
                yield PathUse(file=path, line=line, written=f"${other}{tail[0] if tail else ''}", how=Past.MADE, place=place)


def _raw(path: str, raw: str, line: int, places: Sequence[Place]) -> Iterator[PathUse]:
    """A condition, which the parser leaves as text."""
    for place in places:
        if re.search(rf"\$\{{{re.escape(place.variable)}:?[-=]", raw):
            continue
        for literal in place.literals:
            for _, written in stands_in(literal, raw):
                yield PathUse(file=path, line=line, written=written, how=Past.LITERAL, place=place)
        for other, rest in place.made_of:
            for found in re.finditer(rf"\$\{{?{re.escape(other)}\}}?(/{re.escape(rest)}(?![\w.-])[\w./@%+-]*)", raw):
                yield PathUse(file=path, line=line, written=f"${other}{found[1]}", how=Past.MADE, place=place)
