"""What is wrong with one file, all of it, in the order of the file? Faults are collected with their places and become one ConfigError."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

from interlock.config.yamltext import Fault, KeyPath, Position, Positions, Problem
from interlock.errors import ConfigError

SHOWN = 100  # more than anybody mends in one go; a file of another kind can have a fault in each line


def dotted(path: KeyPath) -> str:
    """`modules.app.paths[0]`: a key path as operators write it."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


Remedy = str | Callable[[], str]
"""What to do about a fault, or how to find it out once somebody asks."""


def did_you_mean(name: str, known: Collection[str], otherwise: str) -> Callable[[], str]:
    """The remedy for a name that does not exist: the nearest one that does, else `otherwise` with all of them where they are few."""
    return partial(_nearest, name, known, otherwise)


def _nearest(name: str, known: Collection[str], otherwise: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"{otherwise}: {', '.join(known)}" if 0 < len(known) <= 20 else otherwise


class _Fault(NamedTuple):
    at: Position
    what: str
    why: str
    remedy: Remedy


class Refusal:
    """The faults of `file`. Truth value: is there any? `error` is the class to raise."""

    def __init__(self, file: str, positions: Positions, error: type[ConfigError] = ConfigError) -> None:
        self._file = file
        self._positions = positions
        self._error = error
        self._faults: list[_Fault] = []
        self._values: set[KeyPath] = set()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __contains__(self, path: KeyPath) -> bool:
        """Has a fault of the value at `path` been told? Another reader of the same value will stumble too, and need not say it again."""
        return path in self._values

    def take(self, problems: Iterable[Problem]) -> None:
        """Take over what the YAML reader found."""
        for problem in problems:
            self._add(Position(problem.line, problem.column), problem.message, problem.why, problem.remedy)
            if problem.kind not in (Fault.DUPLICATE_KEY, Fault.MERGE):
                self._values.add(problem.path)

    def at_key(self, path: KeyPath, what: str, *, why: str = "", remedy: Remedy = "") -> None:
        """A fault of the key at `path`, or of what is under it as a whole. A path that is not there stands for what is above it."""
        self._add(self._positions.nearest(path).key, what, why, remedy)

    def at_value(self, path: KeyPath, what: str, *, why: str = "", remedy: Remedy = "") -> None:
        """A fault of the value at `path`."""
        self._values.add(path)
        self._add(self._positions.nearest(path).value, what, why, remedy)

    def raise_if_any(self) -> None:
        """Raise one ConfigError that holds all faults, if there is one."""
        if not self._faults:
            return
        shown = sorted(self._faults, key=lambda fault: fault.at)[:SHOWN]
        errors = [self._said(fault) for fault in shown]
        if len(errors) == 1:
            raise errors[0]
        more = len(self._faults) - len(errors)
        if more:
            errors.append(self._error(f"{more} more faults are not shown", where=self._file))
        raise self._error(f"{self._file}: {len(self._faults)} faults", where=self._file, problems=tuple(errors))

    def _said(self, fault: _Fault) -> ConfigError:
        remedy = fault.remedy if isinstance(fault.remedy, str) else fault.remedy()
        return self._error(fault.what, where=f"{self._file}:{fault.at.line}:{fault.at.column}", why=fault.why, remedy=remedy)

    def _add(self, at: Position, what: str, why: str, remedy: Remedy) -> None:
        self._faults.append(_Fault(at, what, why, remedy))
