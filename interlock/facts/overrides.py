"""What does an override do that docker compose loads by itself, and which commands leave it out?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from interlock.facts.chains import Source
from interlock.facts.programs import Unreadable
from interlock.nouns import dataclass
from interlock.patterns import regex

RELOADS = regex(
    r"--reload\b|\brunserver\b|\bnodemon\b|\b(?:npm|pnpm|yarn|bun)(?: run)? (?:start:)?dev\b|\bflask run\b|\bwebpack[- ](?:dev-server|serve)\b|\bdebugpy\b"
    r"|\bwatchmedo\b|\bvite\b(?! build)|\bnext dev\b|\brails s(?:erver)?\b|\bair -c\b|\bcargo watch\b|\bdlv debug\b|\bautoreload\b"
)
_NAMES = regex(r"^(?:NODE_ENV|FLASK_ENV|RAILS_ENV|RACK_ENV|APP_ENV|ENV|ENVIRONMENT|ASPNETCORE_ENVIRONMENT|MIX_ENV|GO_ENV)$")
_FLAGS = regex(r"^(?:[A-Z0-9]+_)*DEBUG$")
_ON = frozenset({"1", "true", "yes", "on"})
_DEVELOPMENT = frozenset({"development", "dev", "local", "develop"})
_SOURCE = regex(r"^\.{1,2}/?$|^\.{1,2}/(?:src|app|backend|frontend|server|web|api|lib|code)/?$")


class Mark(NamedTuple):
    """What makes a service one for development: `what` in words, `keys` where it stands below the service."""

    what: str
    keys: tuple[str, ...]


def development_marks(service: Mapping[str, object]) -> Iterator[Mark]:
    """What a service of a compose file says that only a developer wants: its source mounted, a server that reloads, a mode for development."""
    for mount in _listed(service.get("volumes")):
        source, target = _ends(mount)
        if _SOURCE.match(source) and target:
            yield Mark(f"mounts the source at {target}", ("volumes",))
    for key in ("command", "entrypoint"):
        said = service.get(key)
        words = " ".join(str(word) for word in said) if isinstance(said, list) else str(said or "")
        if found := RELOADS.search(words):
            yield Mark(f"is started with `{found[0]}`", (key,))
    for name, value in _environment(service.get("environment")):
        if (_NAMES.match(name) and value.lower() in _DEVELOPMENT) or (_FLAGS.match(name) and value.lower() in _ON):
            yield Mark(f"runs with {name}={value}", ("environment",))
    develop = service.get("develop")
    if isinstance(develop, dict) and develop.get("watch"):
        yield Mark("is watched for changes of its source", ("develop",))


def _listed(said: object) -> list[object]:
    return said if isinstance(said, list) else []


def _ends(mount: object) -> tuple[str, str]:
    """The source and the target of a mount."""
    if isinstance(mount, dict):
        return str(mount.get("source") or ""), str(mount.get("target") or "")
    source, _, rest = str(mount).partition(":")
    return source, rest.partition(":")[0]


def _environment(said: object) -> Iterator[tuple[str, str]]:
    if isinstance(said, dict):
        yield from ((str(name), str(value)) for name, value in said.items())
    for one in _listed(said):
        name, _, value = str(one).partition("=")
        yield name, value


class ServiceMark(NamedTuple):
    """A mark of one service, and where it stands."""

    service: str
    what: str
    place: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideFile:
    """The override at `path` that docker compose puts on `base` by itself; `path` is empty when there is none, or git ignores it.

    `marks` are those of its services for development, `base_marks` whether the base has such itself; `kept` is a service of the base that is kept running,
    empty when there is none. `edited` is where users are told to write their own settings into it.
    """

    base: str
    path: str = ""
    marks: tuple[ServiceMark, ...] = ()
    base_marks: bool = False
    kept: str = ""
    edited: Source | None = None


_ASKED = regex(r"\b(?:edit|change|adjust|customi[sz]e|uncomment|add|fill|configure|your)\b", re.IGNORECASE)

_DEVELOPS = regex(r"\b(?:dev|develop\w*|debug\w*)\b", re.IGNORECASE)


def told_to_edit(text: str, name: str) -> int | None:
    """The line of a text that tells its readers to write into the file `name`; None when none does."""
    for number, line in enumerate(text.splitlines(), start=1):
        if name in line and _ASKED.search(line) and not _DEVELOPS.search(line):
            return number
    return None


class BaseAlone(NamedTuple):
    """A command that starts a base file by its name and nothing with it."""

    base: str
    command: str
    place: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitBases:
    """The commands of a tree that name a base alone, and where the override beside it is promised to the operator: by base, the place that says so."""

    commands: tuple[BaseAlone, ...]
    promised: Mapping[str, Source]
    read: int = 0
    unreadable: tuple[Unreadable, ...] = ()


_PLAIN = r"(?:\s+(?:(?:-p|--project-name|--env-file|--profile|--ansi|--progress)[ =]+\S+|--[\w-]+(?!\S*\.ya?ml)))*"
_ALONE = regex(
    rf"(?<!\S)(?P<program>\S{{0,120}}compose\S{{0,60}}){_PLAIN}[\s\0]+(?:-f|--file)[ =]*"
    rf"(?P<file>[\"']?[^\s\"']{{0,300}}?(?:docker-)?compose\.ya?ml)[\"']?{_PLAIN}"
    r"[\s\0]+(?P<verb>up|create|pull|build|run|start|restart)\b",
    re.IGNORECASE,
)
_CONTINUED = regex(r"\\\r?\n[ \t]*")


def bases_alone(text: str) -> Iterator[tuple[int, str, str]]:
    """The line, the file and the verb of each command that starts one compose file by its name and no other."""
    joined = _CONTINUED.sub(lambda found: " " + "\0" * found[0].count("\n"), text)  # a mark for each line end that goes, so that lines stay known
    for found in _ALONE.finditer(joined):
        if "\n" not in found[0]:
            yield joined.count("\n", 0, found.start()) + joined.count("\0", 0, found.start()) + 1, found["file"].strip("\"'"), found["verb"]


def speaks_of_override(text: str) -> bool:
    """Whether a script knows of overrides: then it does something about them."""
    return re.search(r"override\.ya?ml|OVERRIDE", text) is not None
