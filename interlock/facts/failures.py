"""What becomes of a script when one of its commands fails? Read from what stands behind the command: `|| exit 1`, `|| true`, the branches of an `if`.

`interlock.facts.calls` asks it for each command that it comes by. Where something is done about a failure and nobody can tell what, the script is believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from interlock.facts.shell import AndOr, Command, Condition, Function, Group, If, Pipeline, Statement, Word, walk
from interlock.patterns import regex

_ENDS = frozenset({"exit", "exec", "kill"})
_RETURNS = frozenset({"return", "false"})
_ENDS_BY_NAME = regex(r"(?:^|_|-)(?:die|fatal|abort|bail\w*|panic|quit|fail|failed|failure|croak|stop|rollback|exit_\w+|\w+_exit)$", re.IGNORECASE)
_TALKS = regex(
    r"(?:true|:|echo|printf|logger|cat|tee|sleep|date|set|local|continue|tput|wall|sync)|.*(?:log|warn|info|msg|message|print|notify|say|err|error|success|ok)",
    re.IGNORECASE,
)
_LOOKS_BACK = regex(r"\$\{?\?|PIPESTATUS")


class Failure(StrEnum):
    """What becomes of the path that a command stands on when it fails; the values end a sentence."""

    ENDS = "ends the script"  # whatever called the function that it stands in: `set -e`, `exit`
    STOPS = "stops it"  # what called it is told, or something is done about it
    PASSES = "is not noticed"  # no `set -e`, and nothing asks
    IGNORED = "is told at most"  # `|| true`, `|| echo "..."`


def consequence(statements: Sequence[Statement], functions: Mapping[str, Function]) -> Failure:
    """What statements that run after a failure make of it."""
    every = [one for one in walk(statements) if isinstance(one, Command)]
    if any(_ends(command, functions) for command in every):
        return Failure.ENDS
    if any(_name(command.words) in _RETURNS for command in every):
        return Failure.STOPS
    return Failure.IGNORED if all(_only_talks(command) for command in every) else Failure.STOPS


def ends(statements: Sequence[Statement], functions: Mapping[str, Function]) -> bool:
    """Whether statements leave the script, or the function that they stand in."""
    every = [one for one in walk(statements) if isinstance(one, Command)]
    return any(_ends(command, functions) or _name(command.words) in _RETURNS for command in every)


def looked_back_at(following: Statement, functions: Mapping[str, Function]) -> bool:
    """True when the statement after a command asks for its status, or for what it left, and ends the script by the answer."""
    match following:
        case If():
            asked = [one for one in following.branches[0].condition if isinstance(one, (Condition, Pipeline, AndOr))]
            bodies = [*(one for branch in following.branches for one in branch.body), *following.otherwise]
            return bool(asked) and ends(bodies, functions)
        case AndOr(left=Condition(), right=right):
            return ends((right,), functions)
        case Command():
            given = [one.value for one in following.assignments if one.value is not None]
            return any(_LOOKS_BACK.search(word.raw) for word in (*given, *following.words))
        case _:
            return False


def is_negated(condition: Sequence[Statement]) -> bool:
    """`if ! command`."""
    return len(condition) == 1 and isinstance(condition[0], Pipeline) and condition[0].negated


def _ends(command: Command, functions: Mapping[str, Function]) -> bool:
    name = _name(command.words)
    if name in _ENDS:
        return True
    called = functions.get(name)
    if called is None:
        return _ENDS_BY_NAME.search(name) is not None
    body = called.body.body if isinstance(called.body, Group) else (called.body,)
    return any(isinstance(one, Command) and _name(one.words) == "exit" for one in walk(body))


def _only_talks(command: Command) -> bool:
    return (not command.words and not command.assignments) or _TALKS.fullmatch(_name(command.words)) is not None


def _name(words: Sequence[Word]) -> str:
    return (words[0].literal or words[0].raw).rpartition("/")[2] if words else ""
