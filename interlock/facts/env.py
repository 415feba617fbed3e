"""Which variables does a chain of compose files ask for, and which does an instance give? The nouns of the env family; `interlock.observe.env` brings the
texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from interlock.facts.substitution import Fault, Reference, SubstitutionError, expand, references
from interlock.nouns import dataclass

# What the session, the runner or compose itself gives. Not UID and GID: a shell has them, and hands them on to nobody.
ALWAYS_DEFINED = frozenset(
    {"HOME", "PATH", "PWD", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "DISPLAY", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "CI", "COMPOSE_PROJECT_NAME"}
)


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
class ChainTexts:
    """What a chain of compose files has compose interpolate, in the order of its files."""

    chain: str
    scalars: tuple[Scalar, ...]

    def needed(self) -> frozenset[str]:
        """Every variable that stands somewhere without a default, outside of another one's default."""
        names = {one.name for scalar in self.scalars for one in _read(scalar.text) if not one.has_default and not one.nested}
        return frozenset(names - ALWAYS_DEFINED)

    def missing(self, values: Mapping[str, str]) -> Iterator[Missing]:
        """What compose would find undefined, each variable once, at the first place that needs it."""
        known = dict.fromkeys(ALWAYS_DEFINED, "given") | dict(values)
        seen: set[str] = set()
        for scalar in self.scalars:
            for name, fault in _undefined(scalar.text, known):
                if name not in seen:
                    seen.add(name)
                    yield Missing(name=name, file=scalar.file, line=scalar.line, fault=fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEnv:
    """The texts of the chains that an instance may run, beside what its env file gives, or what a new installation is given.

    `where` names the env file or files, `present` whether there is one. `values` may hold secrets and is never shown; `inherited` are names without a value,
    which the shell that runs compose would have to give. `template`: it is what every installation gets, whichever chain it runs.
    """

    instance: str
    where: str
    present: bool
    chains: tuple[ChainTexts, ...]
    values: Mapping[str, str] = field(repr=False)
    inherited: frozenset[str] = frozenset()
    template: bool = False

    def needed(self) -> frozenset[str]:
        """Every variable that one of the chains needs."""
        return frozenset[str]().union(*(chain.needed() for chain in self.chains))

    def missing(self) -> Mapping[str, Mapping[str, Missing]]:
        """What the chains would find undefined: by variable, and below it by the name of the chain."""
        found: dict[str, dict[str, Missing]] = {}
        for chain in self.chains:
            for one in chain.missing(self.values):
                found.setdefault(one.name, {})[chain.chain] = one
        return found


def _read(text: str) -> tuple[Reference, ...]:
    """The references of a text; none of one in which compose finds a wrong one."""
    try:
        return references(text)
    except SubstitutionError:
        return ()


def _undefined(text: str, known: Mapping[str, str]) -> Iterator[tuple[str, Fault]]:
    """The variables of one text that compose would find undefined, evaluated as compose evaluates it: what an unused default needs is not missing.

    None of a text with a reference that is none: compose refuses the chain for it, and `compose.chain_valid` says so.
    """
    try:
        pieces = expand(text, known, lenient=True)
    except SubstitutionError as error:
        if error.fault is not Fault.SYNTAX:
            yield error.variable, error.fault
        return
    yield from ((piece.name, Fault.UNDEFINED) for piece in pieces if piece.undefined)
