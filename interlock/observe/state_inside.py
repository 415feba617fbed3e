"""What do the running containers of a host show where they have their state? Through the namespaces of each, as the one look at the engine brought it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from interlock.config.models import StateDir
from interlock.facts.container_mounts import Spot, spot
from interlock.facts.engine import Container
from interlock.facts.stack import Service
from interlock.facts.state_dir import StateVariable, Unresolved, Users, in_service
from interlock.facts.state_inside import ConfigInside, StateInside, StateWriters
from interlock.observe.containers import engine_seen, seen_table
from interlock.observe.mount_tables import mount_table
from interlock.observe.world import World


def writers(world: World, host: str, users: Users, declared: StateDir) -> StateWriters:
    """The running containers that use state, and the configuration files that the application writes. Raises `CouldNotLook`."""
    inside = users.expected
    return StateWriters(
        where=users.where,
        expected=inside,
        writers=tuple(state_inside(world, host, users.services, users.variable, inside)),
        configs=tuple(ConfigInside(name, posixpath.normpath(posixpath.join(inside, noun.state))) for name, noun in declared.precedence.items()),
    )


def state_inside(world: World, host: str, services: Iterable[Service], variable: StateVariable, expected: str) -> Iterator[StateInside]:
    """Where each of these running services has its state. Raises `CouldNotLook`."""
    engine = engine_seen(world, host)
    containers = {container.name: container for container in engine.containers} if engine is not None else {}
    services = tuple(services)
    names = [service.name for service in services]
    for service in services:
        who = service.name if names.count(service.name) == 1 else service.container_name
        yield _inside(who, containers[service.container_name], _wrong(variable, service, expected), expected)


def _wrong(variable: StateVariable, service: Service, expected: str) -> str:
    found = in_service(variable, service)
    if isinstance(found, Unresolved):
        return found.message
    return "" if found.path == expected else f"its {variable.name} comes to {found.path}, not to {expected}"


def _inside(who: str, container: Container, wrong: str, path: str) -> StateInside:
    table, unseen = seen_table(container)
    view = container.view if table is not None else None
    return StateInside(who=who, container=container.name, path="" if wrong else path, wrong=wrong, view=view, table=table, unseen=unseen)


def on_host(world: World, host: str, realpath: str) -> Spot | None:
    """The directory of its file system that the host shows at a path. Raises `CouldNotLook`."""
    return spot(mount_table(world, host), realpath)
