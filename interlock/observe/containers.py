"""What does the container engine of a host run, and what do its containers see? The one look that every guardrail shares, so that an engine is asked once."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from interlock.config.models import Site, StateDir
from interlock.errors import CouldNotLook
from interlock.facts.engine import Container, Engine
from interlock.facts.looks import Engine as EngineLook
from interlock.facts.looks import HostFacts
from interlock.facts.mount_tables import MountTable
from interlock.facts.state_inside import ancestors
from interlock.facts.substitution import references
from interlock.observe.world import World


def engine_looks(site: Site, host: str) -> tuple[EngineLook, ...]:
    """What the engine of a host must be asked; nothing when the site names none."""
    socket = site.host(host).engine
    return (EngineLook(socket, _variables(site), views=True, places=_places(site)),) if socket else ()


def engine_seen(world: World, host: str) -> Engine | None:
    """What the engine of a host runs; None when the site names none. Raises `CouldNotLook`."""
    return next((_parsed(world, host, look) for look in engine_looks(world.site, host)), None)


def _parsed(world: World, host: str, look: EngineLook) -> Engine:
    return world.once(("engine", host), lambda: _read(world.host(host), look))


def _read(facts: HostFacts, look: EngineLook) -> Engine:
    where, content = f"{facts.host}:{look.socket}", facts.engine(look).content
    try:
        return Engine.parse(content, where=where)
    except CouldNotLook as error:
        if facts.replayed:
            why = "these facts were taken by another version of interlock"
            raise CouldNotLook("what was seen of the container engine cannot be read", where=where, why=why, remedy="observe again") from error
        raise


def _variables(site: Site) -> tuple[str, ...]:
    """The variables whose values are needed: that of the state directory, and those of its default. None of them is a secret."""
    declared = site.state_dir
    if declared is None:
        return ()
    return tuple(sorted({declared.variable, *declared.values, *(one.name for one in references(declared.default))}))


def _places(site: Site) -> tuple[str, ...]:
    """The paths inside containers that some rule is about: where the site says that state and data are."""
    declared = {site.state_dir.path, site.state_dir.container_path, *_written_in(site.state_dir)} if site.state_dir else set()
    disks = {disk.path for disk in (site.mounts.state, site.mounts.data) if disk} if site.mounts else set()
    return tuple(sorted(posixpath.normpath(path) for path in declared | disks if path))


def _written_in(declared: StateDir) -> Iterator[str]:
    """The directory inside, the configuration files that the application writes, and all directories on the way to them."""
    inside = declared.container_path or declared.path
    for path in (inside, *(posixpath.normpath(posixpath.join(inside, noun.state)) for noun in declared.precedence.values())):
        yield from (path, *ancestors(path))


def seen_table(container: Container) -> tuple[MountTable | None, str]:
    """The mount table of a running container, or why nobody could see it."""
    if container.view is None:
        return None, container.unseen or "its namespaces were not looked at"
    try:
        return container.view.table(f"{container.name}:/proc/{container.pid}/mountinfo"), ""
    except CouldNotLook as error:
        return None, error.sentence
