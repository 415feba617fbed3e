"""Which secrets stand in a compose file for everybody to read, and which variables must have a value for a service that hardly anybody starts?

A stack that somebody develops on is none that is deployed: its files say so by their names, by the source that they mount, or by a mode that they set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from interlock.facts.secrets import names_secret
from interlock.facts.substitution import Operator, SubstitutionError, references
from interlock.nouns import dataclass
from interlock.patterns import regex

_NOT_DEPLOYED = regex(
    r"(?:^|[/._-])(?:dev|devel|develop|development|devcontainer|devenv|tests?|testing|ci|local|localhost|examples?|samples?|demo|e2e|sandbox|bench(?:marks?)?|debug|integration"
    r"|playwright|cypress|hack|vagrant|mocks?|override|unit\w*|smoke|dist|localdev)(?:[/._-]|$)",
    re.IGNORECASE,
)
_DEVELOPS = regex(r"^(?:development|dev|test|testing|local)$", re.IGNORECASE)
_MODE = regex(r"(?:^|_)(?:ENV|ENVIRONMENT|MODE|STAGE|PROFILE|PROFILES_ACTIVE)$")
_SOURCE = regex(r"^(?:\.{1,2}/?|\$\{?PWD\}?|\./(?:src|app|lib|backend|frontend|server|client|web|api)/?|\.\./(?:src|app|backend|frontend)/?)$")
_NO_SECRET = regex(r"true|false|yes|no|null|none|on|off|unset|invalid|disabled|\d{1,4}|/.*|\"\"|''|", re.IGNORECASE)
_DEFAULT = regex(r"\$\{(?P<name>\w+):?-(?P<value>[^{}$]+)\}")
_REQUIRED = (Operator.REQUIRED_NOT_EMPTY, Operator.REQUIRED_SET)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralSecret:
    """A secret that stands in a compose file. `name`: the variable whose default it is, or the setting that it is the value of; its value is kept nowhere."""

    service: str
    name: str
    line: int
    default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSecrets:
    """What is judged by `env.no_default_secret` of one compose file. `chain`: one that is deployed and that it is part of, None where there is none."""

    path: str
    chain: str | None
    secrets: tuple[LiteralSecret, ...]


class Needed(NamedTuple):
    """A variable that must have a value, and where that is said: in a service, None outside of services."""

    variable: str
    service: str | None
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A variable that must have a value, and stands only in services that a profile holds back."""

    variable: str
    service: str
    profiles: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVariables:
    """What is judged by `env.required_var_blast_radius` of one compose file."""

    path: str
    held_back: tuple[HeldBack, ...]


def is_developed_on(paths: Iterable[str], services: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a chain is what somebody develops or tests with, by the names of its files and by what its services say."""
    return any(_NOT_DEPLOYED.search(path) for path in paths) or any(_develops(service) for service in services)


def _develops(service: Mapping[str, Any]) -> bool:
    mounts = service.get("volumes")
    for mount in mounts if isinstance(mounts, list) else ():
        source = mount.get("source") if isinstance(mount, dict) else str(mount).partition(":")[0]
        if isinstance(source, str) and _SOURCE.match(source):
            return True
    return any(_MODE.search(name) and _DEVELOPS.match(value) for name, value in settings_of(service))


def settings_of(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The environment of a service as it is written, names and values."""
    said = service.get("environment")
    if isinstance(said, dict):
        yield from ((str(name), "" if value is None else str(value)) for name, value in said.items())
    elif isinstance(said, list):
        yield from ((name, value) for one in said for name, _, value in (str(one).partition("="),))


def literal_secrets(name: str, value: str) -> Iterator[tuple[str, bool]]:
    """The secrets of one setting: the name of the variable or setting, and whether it is only a default."""
    if "$" not in value:
        if names_secret(name) and not _NO_SECRET.fullmatch(value.strip()):
            yield name, False
        return
    for found in _DEFAULT.finditer(value):
        if (names_secret(found["name"]) or (names_secret(name) and found[0] == value)) and not _NO_SECRET.fullmatch(found["value"].strip()):
            yield found["name"], True


def required_in(text: str) -> Iterator[str]:
    """The variables of a text that must have a value."""
    try:
        yield from (one.name for one in references(text) if one.operator in _REQUIRED and not one.nested)
    except SubstitutionError:
        return


def held_back(needed: Sequence[Needed], profiles: Mapping[str, Sequence[str]], file: str) -> Iterator[HeldBack]:
    """The variables of one file that only services of a profile need, each once; none where every service is one of a profile. `profiles` has every service."""
    if all(profiles.values()):
        return
    of_all = {one.variable for one in needed if one.service is None or not profiles.get(one.service)}
    seen = set(of_all)
    for one in needed:
        if one.service is not None and one.file == file and one.variable not in seen:
            seen.add(one.variable)
            yield HeldBack(variable=one.variable, service=one.service, profiles=tuple(dict.fromkeys(profiles[one.service])), line=one.line)
