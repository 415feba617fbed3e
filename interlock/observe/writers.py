"""Whom does the state directory belong to, and as whom do those run who write there? One bounded walk, the declared users, and the running containers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from interlock.config.models import Site
from interlock.facts.looks import Look, Owners, Stat, User
from interlock.facts.mounts import is_below
from interlock.facts.stack import Service
from interlock.facts.writers import ServiceUser, StateOwners
from interlock.observe.containers import engine_looks, engine_seen
from interlock.observe.state_dir import services_running
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def _path(site: Site) -> str:
    assert site.mounts is not None  # subjects are made from it
    return (site.state_dir or site.mounts.state).path


def _declared(site: Site) -> tuple[str | int, ...] | None:
    return site.state_dir.writers if site.state_dir else None


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    yield from (Owners(_path(site)), Stat(_path(site)))
    declared = _declared(site)
    if declared is None:
        yield from engine_looks(site, subject.host)
    yield from (User(name) for name in declared or () if isinstance(name, str))


def state_owners(world: World, subject: Subject) -> StateOwners:
    """The owners below the state directory, beside who may own what is there. Raises `CouldNotLook`."""
    facts, path, declared = world.host(subject.host), _path(world.site), _declared(world.site)
    seen = facts.owners(path)
    return StateOwners(
        path=path,
        owners=seen.owners,
        complete=seen.complete,
        unread=seen.unread,
        declared=None if declared is None else {str(user): user if isinstance(user, int) else facts.uid(user) for user in declared},
        services=tuple(_running(world, subject.host, {path, facts.stat(path).realpath or path})) if declared is None else (),
    )


def _running(world: World, host: str, names: Iterable[str]) -> Iterator[ServiceUser]:
    """Those that can write to the directory, whichever of its names they bind."""
    engine = engine_seen(world, host)
    if engine is None:
        return
    containers = {container.name: container for container in engine.containers}
    for service in services_running(world, host):
        if any(_can_write(service, path) for path in names):
            container = containers[service.container_name]
            yield ServiceUser(service.name, container.view.uid if container.view else None, container.unseen)


def _can_write(service: Service, path: str) -> bool:
    """Whether a mount of it shows the directory, something in it or something around it; all of the host (`/`) is no sign of a writer."""
    return any(
        not mount.read_only and mount.source not in ("", "/") and (is_below(path, mount.source) or is_below(mount.source, path)) for mount in service.mounts
    )


OBSERVERS: Mapping[str, Observer] = {"mounts.two_writers": Observer(looks=_looks, see=state_owners)}
