"""Which modules of a platform keep state, and what are they called where they run? Module files, compose services and runbooks as nouns.

A module file is YAML that says `spec.runtime.statefulness: stateful`; `interlock.observe.backups` reads it, here its data becomes a `ModuleFile`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from interlock.facts.backup_writers import listed
from interlock.nouns import dataclass
from interlock.patterns import regex


class Statefulness(StrEnum):
    """What a module file says of its state."""

    STATEFUL = "stateful"
    STATELESS = "stateless"
    UNSAID = "unsaid"  # the file says nothing
    UNKNOWN = "unknown"  # it says a word that nobody knows


_STATELESS = frozenset({"stateless", "none", "ephemeral", "external", "no", "false"})
_STATE = ("spec.runtime.statefulness", "spec.statefulness", "runtime.statefulness")
_NAME = ("metadata.name", "metadata.id", "name", "id")
_CLASS = ("spec.backup.class", "backup.class")
_CONTAINER = (
    *("spec.runtime.container", "spec.runtime.container_name", "spec.runtime.containerName", "spec.runtime.containers"),
    *("spec.container", "spec.container_name", "spec.containerName", "runtime.container", "runtime.container_name"),
)
_SERVICE = ("spec.runtime.service", "spec.runtime.compose_service", "spec.runtime.composeService", "runtime.service")
_NOTE = ("spec.backup.restore_notes", "spec.backup.restore_note", "spec.backup.restoreNotes", "spec.backup.restoreNote")
_SET_ASIDE = regex(r"(?:sunset(?:ting|ted)?|parked|(?:non|not)[-_ ]?canonical|retired|decommissioned|archived)\b", re.IGNORECASE)
_ABOUT_ITS_LIFE = frozenset(
    {
        "lifecycle",
        "lifecycle_status",
        "lifecyclestatus",
        "lifecycle_state",
        "lifecyclestate",
        "status",
        "stage",
        "phase",
        "state",
        "disposition",
        "canonicality",
    }
)
_ITS_LIFE_SAYS = ("status", "stage", "state", "phase", "value", "lifecycle")
_LIFE_STANDS_IN = ("", "metadata", "metadata.labels", "metadata.annotations", "spec", "spec.runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFile:
    """One module file. What it does not say is empty. `said` is its word for the statefulness, `backup_class` its letter as it stands there.

    `set_aside` says why the module is left out, as `spec.lifecycle: parked` or `spec.backup.excluded: <reason>`; `excluded_silently`: it is excluded and no
    reason is given. `fault` says why the file could not be read; then all else is empty but the path and the name of its folder.
    """

    path: str
    name: str
    statefulness: Statefulness = Statefulness.UNSAID
    said: str = ""
    backup_class: str = ""
    container: str = ""
    service: str = ""
    restore_note: str = ""
    decision: str = ""
    set_aside: str = ""
    excluded_silently: bool = False
    fault: str = ""

    @classmethod
    def of(cls, path: str, data: Mapping[str, Any]) -> ModuleFile:
        """From a module file's data, whatever shape that has."""
        said, statefulness = _statefulness(data)
        return cls(
            path=path,
            name=_first(data, _NAME) or folder_name(path),
            statefulness=statefulness,
            said=said,
            backup_class=_first(data, _CLASS),
            container=_first(data, _CONTAINER),
            service=_first(data, _SERVICE),
            restore_note=_first(data, _NOTE),
            decision=_first(data, ("spec.backup.decision",)),
            set_aside=next(_reasons(data), ""),
            excluded_silently=_at(data, "spec.backup.excluded") is True,
        )

    @classmethod
    def unreadable(cls, path: str, why: str) -> ModuleFile:
        """A module file that cannot be read."""
        return cls(path=path, name=folder_name(path), fault=why)


def folder_name(path: str) -> str:
    """The module's folder: `redis` of `modules/redis/module.yaml`; the file's own name where it lies in none."""
    return posixpath.basename(posixpath.dirname(path)) or posixpath.basename(path)


def _at(data: Any, dotted: str) -> Any:
    for key in dotted.split(".") if dotted else ():
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _first(data: Mapping[str, Any], places: Sequence[str]) -> str:
    return next((text for place in places if (text := _text(_at(data, place)))), "")


def _text(value: Any) -> str:
    """A text, also as the `name` of a mapping and the first of a list; empty for everything else, and for what only a variable says."""
    if isinstance(value, Mapping):
        value = value.get("name")
    elif isinstance(value, list):
        return _text(value[0]) if value else ""
    return value.strip() if isinstance(value, str) and "$" not in value and "{{" not in value else ""


def _statefulness(data: Mapping[str, Any]) -> tuple[str, Statefulness]:
    value = next((found for place in _STATE if (found := _at(data, place)) is not None), None)
    if value is None:
        return "", Statefulness.UNSAID
    word = str(value).strip()
    if word.casefold() == "stateful" or value is True:
        return word, Statefulness.STATEFUL
    return word, Statefulness.STATELESS if word.casefold() in _STATELESS else Statefulness.UNKNOWN


def _reasons(data: Mapping[str, Any]) -> Iterator[str]:
    """Why it is left out, each with the place that says so."""
    excluded = _text(_at(data, "spec.backup.excluded"))
    if excluded:
        yield f"spec.backup.excluded: {excluded}"
    for above in _LIFE_STANDS_IN:
        members = _at(data, above)
        for key, value in members.items() if isinstance(members, Mapping) else ():
            last = str(key).rpartition("/")[2]
            if word := _life_word(last, value):
                yield f"{above}.{last}: {word}".removeprefix(".")


def _life_word(key: str, value: Any) -> str:
    plain = key.replace("-", "_").casefold()
    if plain == "canonical" and value in (False, "false", "no"):
        return "false"
    if plain in ("parked", "sunset", "non_canonical", "noncanonical", "retired", "archived", "decommissioned") and value in (True, "true", "yes"):
        return "true"
    if plain not in _ABOUT_ITS_LIFE:
        return ""
    words = [value] if isinstance(value, str) else [value.get(inner) for inner in _ITS_LIFE_SAYS] if isinstance(value, Mapping) else []
    return next((" ".join(word.split()) for word in words if isinstance(word, str) and _SET_ASIDE.match(word.strip())), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container's name, and the file that says it."""

    name: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """One service of one compose file, as its text has it. `project` is the file's own `name:`, else empty."""

    file: str
    service: str
    container_name: str
    project: str

    @property
    def container(self) -> Container:
        """What its container is called: as it says itself, else as compose calls it, where the file names its project; else as the service."""
        name = self.container_name or (f"{self.project}-{self.service}-1" if self.project else self.service)
        return Container(name=name, source=f"service {self.service} of {self.file}")


def services_in(path: str, data: Any) -> Iterator[ComposeService]:
    """The services of a compose file, from its data; a name that only a variable says is none."""
    services = data.get("services") if isinstance(data, Mapping) else None
    for name, said in services.items() if isinstance(services, Mapping) else ():
        container = said.get("container_name") if isinstance(said, Mapping) else None
        yield ComposeService(file=path, service=str(name), container_name=_text(container), project=_text(data.get("name")))


def containers_in_compose(module: ModuleFile, services: Sequence[ComposeService]) -> tuple[Container, ...]:
    """The containers that compose files give a module: those of its service, or of the one that has its name or whose container has it."""
    wanted = module.service or module.name
    mine = [one for one in services if one.service == wanted] or [one for one in services if one.container_name == module.name]
    named = [one for one in mine if one.container_name] or [one for one in mine if one.project] or mine
    return tuple({one.container.name: one.container for one in reversed(named)}.values())[::-1]


_NAMED = regex(r"^[\s>*_`#|+-]*container(?:[ _-]?name)?[*_`]*\s*[:=|][\s*_`|\"']*([A-Za-z0-9][A-Za-z0-9_.-]+)", re.IGNORECASE | re.MULTILINE)
_COMMAND = regex(r"\b(?:docker|podman|nerdctl)[ \t]+(?:container[ \t]+)?(?:exec|logs|restart|stop|start|inspect)\b([^\n`|;&]*)")
_VALUED = listed("-u --user -w --workdir -e --env --env-file -n --tail --since --until -t --time -f --format -s --signal --detach-keys")
_CONTAINER_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]+")


def containers_in_runbook(text: str) -> tuple[str, ...]:
    """The container names that a runbook gives: on a line `Container: name`, else in its docker commands; each once, in their order."""
    named = [found[1].rstrip(".") for found in _NAMED.finditer(text)]
    return tuple(dict.fromkeys(named or filter(None, (_operand(found[1]) for found in _COMMAND.finditer(text)))))


def _operand(arguments: str) -> str:
    """The first word that is no option and no option's value; empty when it is a placeholder."""
    words = arguments.split()
    while words and words[0].startswith("-"):
        option = words.pop(0)
        # -f is `--format VALUE` of inspect, and `--follow` of logs
        if (
            words
            and option in _VALUED
            and not (option == "-f" and not words[0].startswith(("{", "'", '"')))
            and not (option == "-t" and not words[0].isdigit())
        ):
            words.pop(0)
    return words[0] if words and _CONTAINER_NAME.fullmatch(words[0]) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryModule:
    """A module file beside what the site says of it. `classes` are letters: one, or several where patterns contradict each other; `class_from` says what
    they are known by. `containers` are those of the first source that names any. `excluded` is why the site leaves it out, `backed_up`: it has an entry
    below `modules`. `procedure` and `restore_note` are files, empty when there is none.
    """

    file: ModuleFile
    classes: tuple[str, ...]
    class_from: str
    containers: tuple[Container, ...]
    excluded: str = ""
    backed_up: bool = False
    procedure: str = ""
    restore_note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleInventory:
    """Every module file that `patterns` find in the tree, sorted by path. `declared`: the site has a file, so that `backed_up` says something."""

    patterns: tuple[str, ...]
    modules: tuple[InventoryModule, ...]
    declared: bool
