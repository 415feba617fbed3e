"""Which variables does a compose file ask for, and which does an instance give? The nouns of the env family; `interlock.observe.env` brings the texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from interlock.facts.substitution import Fault, SubstitutionError, expand, references

# What the shell and compose itself always give.
ALWAYS_DEFINED = frozenset({"HOME", "PATH", "PWD", "USER", "COMPOSE_PROJECT_NAME"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One text value of a compose file, which compose interpolates: where it stands and what it says. `path` holds the keys and indexes above it."""

    file: str
    line: int
    text: str = field(repr=False)
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A variable that a compose file needs and an instance does not give. `fault` says how compose takes it: empty, or refuses to start."""

    name: str
    file: str
    line: int
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEnv:
    """The compose files' texts beside what an instance's env file gives.

    `where` names the env file, `present` whether it is there. `values` may hold secrets and is never shown; `inherited` are names without a value, which
    the shell that runs compose would have to give.
    """

    instance: str
    where: str
    present: bool
    scalars: tuple[Scalar, ...]
    values: Mapping[str, str] = field(repr=False)
    inherited: frozenset[str] = frozenset()

    def needed(self) -> frozenset[str]:
        """Every variable that stands somewhere without a default, outside of another one's default."""
        names = {one.name for scalar in self.scalars for one in references(scalar.text) if not one.has_default and not one.nested}
        return frozenset(names - ALWAYS_DEFINED)

    def missing(self) -> Iterator[Missing]:
        """What compose would find undefined, each variable once, at the first place that needs it."""
        known = dict.fromkeys(ALWAYS_DEFINED, "given") | dict(self.values)
        seen: set[str] = set()
        for scalar in self.scalars:
            for name, fault in _undefined(scalar.text, known):
                if name not in seen:
                    seen.add(name)
                    yield Missing(name=name, file=scalar.file, line=scalar.line, fault=fault)


def _undefined(text: str, known: Mapping[str, str]) -> Iterator[tuple[str, Fault]]:
    """The variables of one text that compose would find undefined, evaluated as compose evaluates it: what an unused default needs is not missing."""
    try:
        pieces = expand(text, known, lenient=True)
    except SubstitutionError as error:
        if error.fault is Fault.SYNTAX:
            raise
        yield error.variable, error.fault
        return
    yield from ((piece.name, Fault.UNDEFINED) for piece in pieces if piece.undefined)
