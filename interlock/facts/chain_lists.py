"""Which scripts put the list of compose files together themselves, and by which conditions? `-f a -f b`, `COMPOSE_FILE=a:b`, an array that grows by an `if`.

A list in one place is a fact; the same list in two places, each with conditions of its own, is two facts, and the stack is what the last of them says.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from interlock.facts.programs import Unreadable
from interlock.facts.shell import AndOr, Background, Case, Command, Function, Group, If, Loop, Pipeline, Script, Statement, Stream
from interlock.nouns import dataclass
from interlock.patterns import regex

_NAME = r"(?:[\w.${}/-]*/)?(\w[\w.-]*\.ya?ml)"
_BY_OPTION = regex(rf"(?:^|[\s\"'(=])(?:-f|--file)(?:[\s=]+|(?=\S))[\"']?{_NAME}")
_BY_COLON = regex(rf"(?:^|[:\"'=\s(-]){_NAME}(?=:)|:-?{_NAME}")
_LISTS = regex(r"-f|--file|:[\w.${}/-]*\.ya?ml|\.ya?ml:")
_WRITTEN = regex(r"^[ \t]*(?:export[ \t]+)?COMPOSE_FILE=(?P<list>[^\n]+)", re.MULTILINE)
_PRINTS = frozenset({"echo", "printf", "logger", "grep", "sed", "curl", "wget", "git", "test"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainList:
    """What one script lists: `files` in the order of its text, and those of them that a condition of its own adds. `line` is where the list begins."""

    path: str
    line: int
    files: tuple[str, ...]
    conditional: frozenset[str] = frozenset()
    resolver: bool = False  # other scripts source or call it for the list

    @property
    def base(self) -> str:
        """The first file: lists that begin with the same one are about the same stack."""
        return self.files[0]

    def disagrees(self, other: ChainList) -> bool:
        """Whether two scripts can bring up different stacks from the same files, each by what it knows itself."""
        if self.base != other.base:
            return False
        if self.conditional and other.conditional:
            return True
        decides, fixed = (self, other) if self.conditional else (other, self)
        shared = decides.conditional & frozenset(fixed.files)
        return bool(shared) and frozenset(decides.files) != frozenset(fixed.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """One list as it stands. `adds` to one that was there before; `perhaps`: behind a condition."""

    line: int
    names: tuple[str, ...]
    adds: bool
    perhaps: bool


def chain_list(path: str, script: Script, known: Iterable[str]) -> ChainList | None:
    """What a script lists of the compose files of a tree, by their base names; None when it lists fewer than two."""
    names = frozenset(posixpath.basename(one) for one in known)
    found = [replace(one, names=kept) for one in _lists(script.statements, perhaps=False) if (kept := tuple(name for name in one.names if name in names))]
    whole = [one for one in found if not one.adds]
    if not whole:
        return None
    surely = {name for one in found if not one.perhaps for name in one.names}
    if not any(not one.perhaps for one in whole):
        surely |= frozenset.intersection(*(frozenset(one.names) for one in whole))
    files = tuple(dict.fromkeys(name for one in (*whole, *found) for name in one.names))
    if len(files) < 2:
        return None
    return ChainList(path=path, line=found[0].line, files=files, conditional=frozenset(files) - surely)


def _lists(statements: Sequence[Statement], *, perhaps: bool) -> Iterator[_Listed]:
    """Each list among statements, in their order."""
    for statement in statements:
        match statement:
            case Command():
                yield from (_Listed(line=line, names=names, adds=adds, perhaps=perhaps) for line, names, adds in _listed(statement))
            case If():
                for branch in statement.branches:
                    yield from _lists((*branch.condition, *branch.body), perhaps=True)
                yield from _lists(statement.otherwise, perhaps=True)
            case Case():
                for arm in statement.arms:
                    yield from _lists(arm.body, perhaps=True)
            case AndOr():
                yield from _lists((statement.left,), perhaps=perhaps)
                yield from _lists((statement.right,), perhaps=True)
            case Group() | Loop():
                yield from _lists(statement.body, perhaps=perhaps)
            case Function() | Background():
                yield from _lists((statement.body,), perhaps=perhaps)
            case Pipeline():
                yield from _lists(statement.stages, perhaps=perhaps)
            case _:
                continue


def _listed(command: Command) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    for given in command.assignments:
        if given.value is not None and (names := tuple(_names(given.value.raw))):
            yield given.line, names, given.appends or re.search(rf"\$\{{?{given.name}\b(?!:?-)", given.value.raw) is not None
    for redirect in command.redirects:
        if redirect.stream is Stream.HERE_DOCUMENT:
            for found in _WRITTEN.finditer(redirect.target.raw):
                if names := tuple(_names(found["list"])):
                    yield redirect.line + 1 + redirect.target.raw.count("\n", 0, found.start()), names, False
    if len(command.words) > 1 and (command.words[0].literal or "") not in _PRINTS:
        called = command.words[0].raw + command.words[1].raw
        if re.search(r"compose|\bdc\b", called, re.IGNORECASE) and (names := tuple(_names(" ".join(word.raw for word in command.words)))):
            yield command.line, names, False


def _names(raw: str) -> Iterator[str]:
    if _LISTS.search(raw) is None:
        return
    pattern = _BY_OPTION if re.search(r"(?:^|[\s\"'(])(?:-f|--file)", raw) else _BY_COLON
    for found in pattern.finditer(raw):
        yield posixpath.basename(next(name for name in found.groups() if name))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLists:
    """What the scripts of a tree list; `read` is how many there are."""

    lists: tuple[ChainList, ...]
    read: int
    unread: tuple[Unreadable, ...] = ()
