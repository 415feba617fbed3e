"""Which compose files are variants of one stack, and in which of them does a setting differ that should not? By comparing them: nobody declares anything.

Siblings are whole stacks of one application: the same image in files of one folder, or of folders beside each other. What makes a variant is the set of
servers that it brings (PostgreSQL, Redis ...), so a setting is compared with that of the siblings that bring the same ones.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from interlock.facts.known_images import recognise, repository
from interlock.nouns import dataclass
from interlock.patterns import regex

_FEWEST = 3  # siblings: two that differ do not say which of them is wrong
_ALIKE = 0.6  # of 1: `postgres` and `postgresql`, `en_US` and `en-us`; two words that are not alike are two choices
_WORD = regex(r"[A-Za-z][A-Za-z_+.-]{2,40}")
_CHOICES = frozenset(
    {"true", "false", "yes", "no", "none", "null", "enabled", "disabled", "default", "always", "never", "info", "debug", "warn", "warning", "error"}
)
_OWN_NAMES = regex(
    r"HOST|PORT|URL|URI|ENDPOINT|ADDR|SERVER|DOMAIN|USER|PASS|PWD|SECRET|TOKEN|KEY|SALT|MAIL|PATH|DIR|FILE|FOLDER|ZONE|^TZ$|TITLE|BUCKET|DATABASE$|DB$|DBNAME"
    r"|(?:^|_)(?:NAME|ID|PREFIX|LABEL|ORG|TAG|VERSION|IMAGE|NETWORK|NODE|CLUSTER|REALM|LEVEL|LOG|MODE|STAGE|ENV|ENVIRONMENT|PROFILE)(?:_|$)"
    r"|(?:^|_)(?:DB|DATABASE|POSTGRES|MYSQL|MARIADB|MONGO)_?NAME|_DB$|^(?:NODE|APP|RAILS)_ENV$",
    re.IGNORECASE,
)
_FOR_DEVELOPERS = regex(
    r"(?:^|[._/-])(?:dev|devel|development|devcontainer|tests?|testing|ci|local|debug|e2e|build|staging|demo|playground)(?=[._/-]|$)", re.IGNORECASE
)
_ENGINES = {
    "postgres": "PostgreSQL",
    "postgresql": "PostgreSQL",
    "pgsql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MySQL",
    "mongodb": "MongoDB",
    "mongo": "MongoDB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a service, and its line."""

    value: str
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceText:
    """A service as a file says it: `environment` by name, `targets` the paths of its volumes."""

    name: str
    image: str
    image_line: int | None
    environment: Mapping[str, Setting]
    targets: Mapping[str, int | None]

    @property
    def repository(self) -> str:
        """Its image without registry and tag."""
        return repository(self.image)

    @property
    def tag(self) -> str:
        """What follows the last colon of the image's name, without a digest; empty when there is none."""
        name = self.image.partition("@")[0].rpartition("/")[2]
        return name.partition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackText:
    """A compose file with its services."""

    file: str
    services: tuple[ServiceText, ...]

    @property
    def servers(self) -> frozenset[str]:
        """The well-known servers that it brings."""
        return frozenset(known.server.name for service in self.services if (known := recognise(service.image)))

    def of_image(self, name: str) -> ServiceText | None:
        """The one service with this image; None when there is none, or more than one."""
        found = [service for service in self.services if service.repository == name]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dissent:
    """A setting of one sibling that all siblings like it have otherwise. `kind`: `environment`, `mount`."""

    kind: str
    file: str
    line: int | None
    service: str
    key: str
    value: str
    others_value: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Siblings:
    """All groups of siblings of a tree, by their files, and what dissents in them."""

    groups: tuple[tuple[str, ...], ...]
    dissents: tuple[Dissent, ...]


def siblings(stacks: Sequence[StackText]) -> Siblings:
    """The groups of variants among compose files, and the settings that differ in one of a group."""
    groups: dict[tuple[str, ...], None] = {}
    dissents: dict[tuple[str, str, str], Dissent] = {}
    for image, group in _groups(stacks):
        groups[tuple(one.file for one in group)] = None
        for dissent in (*_environment(image, group), *_mounts(group)):
            dissents.setdefault((dissent.file, dissent.service, dissent.key), dissent)
    return Siblings(groups=tuple(groups), dissents=tuple(dissents[key] for key in sorted(dissents)))


def _groups(stacks: Sequence[StackText]) -> Iterator[tuple[str, Sequence[StackText]]]:
    """The whole stacks of one application in one folder, or in folders beside each other, with the application's image."""
    beside: dict[tuple[str, str], list[StackText]] = defaultdict(list)
    for stack in stacks:
        folder = posixpath.dirname(stack.file)
        if _FOR_DEVELOPERS.search(stack.file) or len(stack.services) < 2:
            continue
        for name in {service.repository for service in stack.services if service.repository and recognise(service.image) is None}:
            beside[f"in {folder}", name].append(stack)
            if folder:
                beside[f"below {posixpath.dirname(folder)}", name].append(stack)
    for (_, name), group in sorted(beside.items()):
        whole = [stack for stack in group if stack.of_image(name)]
        if len(whole) >= _FEWEST:
            yield name, whole


def _like(group: Sequence[StackText], one: StackText) -> Sequence[StackText]:
    """The others that bring the same servers."""
    return [other for other in group if other is not one and other.servers == one.servers]


# ---- settings


def _environment(image: str, group: Sequence[StackText]) -> Iterator[Dissent]:
    services = {stack.file: service for stack in group if (service := stack.of_image(image))}
    for stack in group:
        like = _like(group, stack)
        if len(like) < _FEWEST - 1:
            continue
        service = services[stack.file]
        for name, setting in service.environment.items():
            others = [services[other.file].environment.get(name) for other in like]
            values = {other.value for other in others if other is not None}
            if len(values) != 1 or sum(1 for other in others if other is not None) < _FEWEST - 1 or setting.value in values:
                continue
            (agreed,) = values
            elsewhere = {services[other.file].environment[name].value for other in group if other is not stack and name in services[other.file].environment}
            if _is_suspicious(name, setting.value, agreed, stack, elsewhere):
                yield Dissent(
                    kind="environment",
                    file=stack.file,
                    line=setting.line,
                    service=service.name,
                    key=name,
                    value=setting.value,
                    others_value=agreed,
                    others=tuple(other.file for other in like if name in services[other.file].environment),
                )


def _is_suspicious(name: str, value: str, agreed: str, stack: StackText, elsewhere: set[str]) -> bool:
    """Whether a value looks like a mistake: alike and used nowhere else, or the name of a database server that this stack does not bring."""
    if _OWN_NAMES.search(name) or not _WORD.fullmatch(value) or not _WORD.fullmatch(agreed) or _CHOICES & {value.lower(), agreed.lower()}:
        return False
    names = {service.name for service in stack.services}
    if value in names or agreed in names:
        return False
    engine, right = _ENGINES.get(value.lower()), _ENGINES.get(agreed.lower())
    if engine and right and engine != right:
        return engine not in stack.servers and right in stack.servers
    alike = SequenceMatcher(None, value.lower(), agreed.lower()).ratio() >= _ALIKE
    return alike and value.lower() != agreed.lower() and value not in elsewhere


# ---- mounts


def _mounts(group: Sequence[StackText]) -> Iterator[Dissent]:
    """A server's volume that is mounted one level above or below where the same release has it in all others."""
    for stack in group:
        for service in stack.services:
            if recognise(service.image) is None or not service.tag:
                continue
            same = [found for other in group if other is not stack for found in other.services if found.image == service.image]
            if len(same) < _FEWEST - 1 or len({frozenset(other.targets) for other in same}) != 1:
                continue
            theirs, ours = set(same[0].targets), set(service.targets)
            extra, lacking = ours - theirs, theirs - ours
            if len(extra) == 1 and len(lacking) == 1 and _nested(one := extra.pop(), agreed := lacking.pop()):
                yield Dissent(
                    kind="mount",
                    file=stack.file,
                    line=service.targets[one],
                    service=service.name,
                    key="volumes",
                    value=one,
                    others_value=agreed,
                    others=tuple(other.file for other in group if other is not stack and other.of_image(service.repository)),
                )


def _nested(one: str, other: str) -> bool:
    return one.startswith(other.rstrip("/") + "/") or other.startswith(one.rstrip("/") + "/")
