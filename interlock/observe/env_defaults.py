"""Which secrets and which variables of a profile stand in the compose files of a site? `interlock.facts.env_defaults` has the nouns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interlock.errors import CouldNotLook
from interlock.facts.env_defaults import (
    FileSecrets,
    FileVariables,
    LiteralSecret,
    Needed,
    held_back,
    is_developed_on,
    literal_secrets,
    required_in,
    settings_of,
)
from interlock.observe.stack import compose_yaml, scalars, services_as_written
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def file_secrets(world: World, subject: Subject) -> FileSecrets:
    """The secrets of one compose file, where it is part of a chain that is deployed. Raises `CouldNotLook` for a file that cannot be read."""
    chain = next((name for name, one in world.site.chains.items() if subject.name in one.files and not _develops(world, one.files)), None)
    secrets = tuple(_secrets(world, subject.name)) if chain is not None else ()
    return FileSecrets(path=subject.name, chain=chain, secrets=secrets)


def _develops(world: World, files: tuple[str, ...]) -> bool:
    services: list[Mapping[str, Any]] = []
    for file in files:
        try:
            services += _services(world, file).values()
        except CouldNotLook:
            continue
    return is_developed_on(files, services)


def _services(world: World, file: str) -> dict[str, Mapping[str, Any]]:
    return {str(name): one for name, one in services_as_written(world, file).items() if isinstance(one, dict)}


def _secrets(world: World, file: str) -> Iterator[LiteralSecret]:
    positions = compose_yaml(world, file).positions
    seen: set[str] = set()
    for service, said in _services(world, file).items():
        for index, (name, value) in enumerate(settings_of(said)):
            for found, default in literal_secrets(name, value):
                step = name if isinstance(said.get("environment"), dict) else index
                if found not in seen:
                    seen.add(found)
                    line = positions.nearest(("services", service, "environment", step)).key.line
                    yield LiteralSecret(service=service, name=found, line=line, default=default)


def file_variables(world: World, subject: Subject) -> FileVariables:
    """The variables of one compose file that only services of a profile need, in any of the deployed chains that it is part of; none where it is in no such
    chain, since what a part of a stack needs nobody can tell from it alone. Raises `CouldNotLook` for a file that cannot be read."""
    chains = [chain for chain in world.site.chains.values() if subject.name in chain.files and not _develops(world, chain.files)]
    together = dict.fromkeys(file for chain in chains for file in chain.files)
    profiles: dict[str, list[str]] = {}
    needed: list[Needed] = []
    for file in together:
        for name, service in _services(world, file).items():
            said = service.get("profiles")
            profiles.setdefault(name, []).extend(str(one) for one in (said if isinstance(said, list) else ()))
        needed += _needed(world, file)
    return FileVariables(path=subject.name, held_back=tuple(held_back(needed, profiles, subject.name)))


def _needed(world: World, file: str) -> Iterator[Needed]:
    for scalar in scalars(world, file):
        service = str(scalar.path[1]) if scalar.path[:1] == ("services",) and len(scalar.path) > 1 else None
        yield from (Needed(variable=name, service=service, file=file, line=scalar.line) for name in required_in(scalar.text))


OBSERVERS: Mapping[str, Observer] = {
    "env.no_default_secret": Observer(see=file_secrets),
    "env.required_var_blast_radius": Observer(see=file_variables),
}
