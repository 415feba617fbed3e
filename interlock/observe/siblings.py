"""What do the compose files of a tree say, each by itself, so that variants of one stack can be compared?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from interlock.config.discover import is_of_others
from interlock.config.yamltext import Positions
from interlock.errors import CouldNotLook
from interlock.facts.siblings import ServiceText, Setting, Siblings, StackText, siblings
from interlock.observe.stack import compose_yaml
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def see(world: World, _subject: Subject) -> Siblings:
    """The variants among the compose files. One that cannot be read is compared with none: `compose.strict_parse` says so. Raises `CouldNotLook` where no
    file can be read."""
    files = world.site.compose.files if world.site.compose else ()
    stacks, unread = [], None
    for file in dict.fromkeys(files):
        if is_of_others(posixpath.dirname(file)):
            continue
        try:
            stacks.append(_stack(world, file))
        except CouldNotLook as error:
            unread = error
    if unread is not None and not stacks:
        raise CouldNotLook(unread.what, where=unread.where, why=unread.why, remedy=unread.remedy) from unread
    return siblings(stacks)


def _stack(world: World, file: str) -> StackText:
    read = compose_yaml(world, file)
    data = read.data if isinstance(read.data, dict) else {}
    services = data.get("services")
    return StackText(file=file, services=tuple(_services(services if isinstance(services, dict) else {}, read.positions)))


def _services(services: Mapping[str, Any], positions: Positions) -> Iterator[ServiceText]:
    for name, said in services.items():
        image = said.get("image") if isinstance(said, dict) else None
        if isinstance(image, str):
            yield ServiceText(
                name=str(name),
                image=image,
                image_line=_line(positions, "services", name, "image"),
                environment=dict(_settings(said.get("environment"), positions, name)),
                targets=dict(_targets(said.get("volumes"), positions, name)),
            )


def _settings(said: Any, positions: Positions, service: str) -> Iterator[tuple[str, Setting]]:
    match said:
        case dict():
            for name, value in said.items():
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    yield str(name), Setting(value=str(value), line=_line(positions, "services", service, "environment", name))
        case list():
            for index, one in enumerate(said):
                if isinstance(one, str) and "=" in one:
                    name, _, value = one.partition("=")
                    yield name, Setting(value=value, line=_line(positions, "services", service, "environment", index))


def _targets(said: Any, positions: Positions, service: str) -> Iterator[tuple[str, int | None]]:
    for index, one in enumerate(said if isinstance(said, list) else ()):
        target = one.get("target") if isinstance(one, dict) else one.split(":")[1] if isinstance(one, str) and one.count(":") and "$" not in one else None
        if isinstance(target, str):
            yield posixpath.normpath(target), _line(positions, "services", service, "volumes", index)


def _line(positions: Positions, *path: str | int) -> int | None:
    return positions.nearest(path).key.line


OBSERVERS: Mapping[str, Observer] = {"templates.sibling_variants": Observer(see=see)}
