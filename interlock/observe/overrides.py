"""Which overrides does docker compose load by itself in a tree, who is told to edit them, and which scripts leave them out?"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from interlock.config.discover import is_of_others
from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts import gitignore
from interlock.facts.chains import BASES, OVERRIDES, Source
from interlock.facts.overrides import BaseAlone, ExplicitBases, OverrideFile, ServiceMark, bases_alone, development_marks, speaks_of_override, told_to_edit
from interlock.observe.placed import file_places, ignored
from interlock.observe.programs import programs
from interlock.observe.sources import sources
from interlock.observe.stack import EXAMPLES, compose_yaml
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_DOCUMENT = regex(r"\.(?:md|mdx|rst|adoc|txt)$", re.IGNORECASE)
_NO_DOCUMENT = regex(r"(?:^|/)(?:change(?:s|log)|history|news|release[-_]?notes?|upgrading|plans?|archived?|claude|agents)\b", re.IGNORECASE)
_KEPT_RUNNING = ("always", "unless-stopped")


def override_file(world: World, subject: Subject) -> OverrideFile:
    """The override that docker compose puts on the compose file of the subject by itself, also one that no site file names. Raises `CouldNotLook`."""
    base = subject.name
    below = _services(world, base)
    path = _override_beside(world, base)
    if not path or ignored(world, path):
        return OverrideFile(base=base)
    return OverrideFile(
        base=base,
        path=path,
        marks=tuple(_marks(world, path, _services(world, path))),
        base_marks=any(True for service in below.values() for _ in development_marks(service)),
        kept=next((name for name, service in below.items() if str(service.get("restart") or "") in _KEPT_RUNNING), ""),
        edited=_told_to_edit(world, path),
    )


def _services(world: World, path: str) -> Mapping[str, Mapping[str, object]]:
    data = compose_yaml(world, path).data
    services = _plain(data.get("services")) if isinstance(data, dict) else None
    plain = {str(name): _plain(service) for name, service in services.items()} if isinstance(services, dict) else {}
    return {name: {key: _plain(value) for key, value in service.items()} for name, service in plain.items() if isinstance(service, dict)}


def _plain(said: object) -> object:
    return said.value if isinstance(said, Tagged) else said


def _override_beside(world: World, base: str) -> str:
    """The file of the tree that docker compose puts on a base by itself; empty when it looks for none, or there is none."""
    folder, name = posixpath.split(base)
    first = next((one for one in BASES if _is_there(world, posixpath.join(folder, one))), "")
    overrides = (posixpath.join(folder, one) for one in OVERRIDES) if name == first else ()
    return next((one for one in overrides if _is_there(world, one)), "")


def _marks(world: World, path: str, services: Mapping[str, Mapping[str, object]]) -> Iterator[ServiceMark]:
    places = file_places(world, path)
    for name, service in services.items():
        for mark in development_marks(service):
            place = places.get(("services", name, *mark.keys)) or places.get(("services", name)) or Source(path, 1)
            yield ServiceMark(service=name, what=mark.what, place=place)


def _told_to_edit(world: World, path: str) -> Source | None:
    """Where a document tells its readers to write into an override."""
    name = posixpath.basename(path)
    for other in world.tree.listing():
        if _DOCUMENT.search(other) and not _NO_DOCUMENT.search(other) and not is_of_others(posixpath.dirname(other)):
            text = sources(world).text(other) or ""
            if name in text and (line := told_to_edit(text, name)) is not None:
                return Source(other, line)
    return None


# ---- commands that leave an override out


def explicit_bases(world: World, _subject: Subject) -> ExplicitBases:
    """The scripts of the tree that start a base by its name alone, and where an override is left to the operator."""
    every = programs(world)
    shell = every.on_hosts()
    files = world.site.compose.files if world.site.compose else ()
    commands = tuple(
        BaseAlone(base=base, command=f"{verb} of {posixpath.basename(written)}", place=Source(text.path, text.line + line - 1))
        for text in shell
        if "compose.y" in text.text and not speaks_of_override(text.text)
        for line, written, verb in bases_alone(text.text)
        if (base := _meant(written, text.path, files))
    )
    promised = {base: place for base in {one.base for one in commands} if (place := _promised(world, base)) is not None}
    return ExplicitBases(commands=commands, promised=promised, read=len(shell), unreadable=every.unreadable)


def _meant(written: str, path: str, files: tuple[str, ...]) -> str:
    """The base of the tree that a command means: what is written, without what only running it would tell, from the folder of the script or one above it;
    empty when there is none."""
    relative = re.sub(r"^(?:.*[$}]\w*\)?/|/|\.\.?/)*", "", written)
    folder = posixpath.dirname(path)
    while posixpath.basename(relative) in BASES:
        for base in (posixpath.join(folder, relative), posixpath.join(folder, posixpath.basename(relative))):
            if base in files:
                return base
        if not folder:
            break
        folder = posixpath.dirname(folder)
    return ""


def _promised(world: World, base: str) -> Source | None:
    """Where the override of a base is left to the operator: git ignores it, or an example of it is there."""
    folder = posixpath.dirname(base)
    for name in OVERRIDES:
        path = posixpath.join(folder, name)
        if world.site.compose and path in world.site.compose.files:
            return None  # it is in the repository: who names the base leaves it out on purpose
    for name in OVERRIDES:
        path = posixpath.join(folder, name)
        for suffix in EXAMPLES:
            if _is_there(world, f"{path}.{suffix}"):
                return Source(f"{path}.{suffix}", 1)
        if (line := _ignoring_line(world, folder, name)) is not None:
            return line
    return None


def _ignoring_line(world: World, folder: str, name: str) -> Source | None:
    """The line of a .gitignore that names the override; a pattern that only happens to cover it promises nothing."""
    for one in dict.fromkeys((folder, "")):
        path = posixpath.join(one, gitignore.NAME)
        text = sources(world).text(path) or ""
        for number, line in enumerate(text.splitlines(), start=1):
            if posixpath.basename(line.strip()) == name:
                return Source(path, number)
    return None


def _is_there(world: World, path: str) -> bool:
    try:
        return world.tree.exists(path)
    except CouldNotLook:
        return False


OBSERVERS: Mapping[str, Observer] = {
    "compose.no_autoloaded_dev_override": Observer(see=override_file),
    "compose.explicit_f_ignores_override": Observer(see=explicit_bases),
}
