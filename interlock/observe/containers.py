"""What does the container engine of a host run, and what do its containers see? The one look that every guardrail shares, so that an engine is asked once."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from interlock.config.models import Site, StateDir
from interlock.errors import CouldNotLook
from interlock.facts.engine import Container, Engine
from interlock.facts.looks import Engine as EngineLook
from interlock.facts.looks import HostFacts, Stat
from interlock.facts.mount_tables import MountTable
from interlock.facts.state_inside import ancestors
from interlock.facts.substitution import references
from interlock.observe.world import World


def engine_look(site: Site, host: str) -> EngineLook | None:
    """What the engine of a host must be asked; None when the site names none."""
    socket = site.host(host).engine
    return EngineLook(socket, _variables(site), views=True, places=_places(site)) if socket else None


def engine_looks(site: Site, host: str) -> tuple[EngineLook | Stat, ...]:
    """The same, with where the directories of the instances and the declared ones really lead; nothing when the site names no engine."""
    look = engine_look(site, host)
    return () if look is None else (look, *(Stat(path) for path in dict.fromkeys((*instance_directories(site, host), *declared_directories(site, host)))))


def instance_directories(site: Site, host: str) -> tuple[str, ...]:
    """The directories that the stack is started from on a host, as declared."""
    return tuple(sorted({instance.directory for instance in site.instances.values() if instance.host == host}))


def declared_directories(site: Site, host: str) -> tuple[str, ...]:
    """The directories of state and data on a host, as declared."""
    disks = (site.mounts.state, site.mounts.data) if site.mounts else ()
    named = (site.state_dir, *disks)
    return tuple(dict.fromkeys(one.path for one in named if one is not None and one.host == host))


def engine_seen(world: World, host: str) -> Engine | None:
    """What the engine of a host runs; None when the site names none. Raises `CouldNotLook`."""
    look = engine_look(world.site, host)
    return None if look is None else _parsed(world, host, look)


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
