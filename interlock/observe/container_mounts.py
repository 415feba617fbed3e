"""What do the containers of a host show of its disks, and what were they made of? The mount table of the host beside those of its containers, and, as far as it
is needed, the chains of compose files with the volumes that the engine has already."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from interlock.config.models import Site
from interlock.facts.container_mounts import (
    CONFIG_FILES,
    STATE,
    ChainOnHost,
    HostPlace,
    HostStack,
    Projects,
    SeenContainer,
    chains_started,
    engine_volume,
    expected,
    has_its_state_there,
    leads,
    paths,
    project_name,
    with_chains,
)
from interlock.facts.engine import Container, Engine, EngineVolume
from interlock.facts.looks import Look
from interlock.facts.mount_tables import MountTable
from interlock.facts.mounts import NOT_RECURSIVE
from interlock.facts.stack import Service, Stack
from interlock.facts.state_dir import Resolved, in_service
from interlock.observe.containers import declared_directories, engine_looks, engine_seen, instance_directories, seen_table
from interlock.observe.declared_disks import declared_disk, disk_looks
from interlock.observe.mount_tables import mount_table
from interlock.observe.stack import compose_of, stack
from interlock.observe.state_dir import (
    WORKING_DIRECTORY,
    really,
    services_elsewhere,
    services_in,
    services_running,
    users_seen,
    variable_of,
    with_declared_names,
)
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def _disks(site: Site, host: str) -> tuple[Subject, ...]:
    """The declared disks of a host, as the rules about one disk name them."""
    mounts = site.mounts
    assert mounts is not None  # subjects are made from it
    named = (("state", mounts.state), ("data", mounts.data))
    return tuple(Subject(name=name, host=host) for name, disk in named if disk is not None and disk.host == host)


def looks(site: Site, subject: Subject) -> Iterable[Look]:
    """What both mount tables and the engine are asked for."""
    for disk in _disks(site, subject.host):
        yield from disk_looks(site, disk)
    yield from engine_looks(site, subject.host)


def running_seen(world: World, subject: Subject) -> HostStack:
    """The running containers beside the disks of their host; while none of them shows any, what would be started. Raises `CouldNotLook`."""
    seen = _seen(world, subject.host)
    if any(_has_to_do(seen, container) for container in seen.containers):
        return seen
    return _with_chains(world, seen, _to_be_started(world.site, subject.host))


def made_seen(world: World, subject: Subject) -> HostStack:
    """The running containers beside the chains that they were started from, and what the engine has of those. Raises `CouldNotLook`."""
    seen = _seen(world, subject.host)
    likely = _to_be_started(world.site, subject.host)
    chains = {name: chain.files for name, chain in world.site.chains.items()}
    containers, strays = with_chains(seen.containers, chains, likely, lambda container: _has_to_do(seen, container))
    named = dict.fromkeys(container.chain for container in containers if container.chain)
    services = {name: stack(world, name).services for name in named}  # another stack may have files of the same names
    started = tuple(name for name in named if any(one.chain == name and one.service.name in services[name] for one in containers))
    return _with_chains(world, replace(seen, containers=containers, strays=strays), started or likely)


def _with_chains(world: World, seen: HostStack, names: tuple[str, ...]) -> HostStack:
    chains = tuple(_chain(world, seen, name) for name in names)
    return replace(seen, chains=chains, compose=compose_of(world).version if chains else "")


def _has_to_do(seen: HostStack, container: SeenContainer) -> bool:
    """Whether the container shows one of the disks, or should."""
    if container.table is None:
        return bool(container.state) or any(True for place in seen.places for _ in expected(place, container.service, seen.table))
    return any(paths(seen, container, place) for place in seen.places)


# ---- what runs


def _seen(world: World, host: str) -> HostStack:
    return world.once(("host stack", host), lambda: _look(world, host))


def _look(world: World, host: str) -> HostStack:
    engine, table = engine_seen(world, host), mount_table(world, host)
    assert engine is not None  # asked where the site names one
    places = tuple(_place(world, subject, table) for subject in _disks(world.site, host))
    containers = (*_containers(world, host, engine), *_from_elsewhere(world, host, engine, places))
    return HostStack(host=host, engine=engine, places=places, table=table, containers=containers)


def _place(world: World, subject: Subject, table: MountTable) -> HostPlace:
    disk = declared_disk(world, subject)
    return HostPlace.of(subject.name, disk.path, disk.realpath or disk.path, table, disk)


def _containers(world: World, host: str, engine: Engine) -> Iterator[SeenContainer]:
    services = {service.container_name: service for service in services_running(world, host)}
    several = _several(services.values())
    states = _state_inside(world, host)
    for container in engine.containers:
        if (service := services.get(container.name)) is not None:
            who = container.name if service.name in several else service.name
            yield _seen_container(who, container, service, states.get(container.name, ""))


def _seen_container(who: str, container: Container, service: Service, state: str) -> SeenContainer:
    table, unseen = seen_table(container)
    inside = leads(container, state) if state else ""
    return SeenContainer(who=who, container=container, service=_as_asked(service, container), table=table, unseen=unseen, state=inside)


def _from_elsewhere(world: World, host: str, engine: Engine, places: Iterable[HostPlace]) -> Iterator[SeenContainer]:
    """The containers that have their state in this state directory, or in what it covers, although they were started from no directory of the site's."""
    if not _state_is_on_its_disk(world.site, host):
        return
    declared = world.site.state_dir
    assert declared is not None  # asked above
    containers = {container.name: container for container in engine.containers}
    for service in services_elsewhere(world, host):
        container, found = containers[service.container_name], in_service(variable_of(declared), service)
        started_in = container.labels.get(WORKING_DIRECTORY, "")
        state = found.path if isinstance(found, Resolved) else declared.container_path or declared.path
        one = _seen_container(f"{container.name} (started in {started_in})", container, service, state)
        if any(place.holds == STATE and has_its_state_there(place, one) for place in places):
            yield one


def _several(services: Iterable[Service]) -> frozenset[str]:
    """The services with more than one container: they are told apart by those."""
    names = [service.name for service in services]
    return frozenset(name for name in names if names.count(name) > 1)


def _as_asked(service: Service, container: Container) -> Service:
    """A service with its mounts where they really are inside, and with the binds that were asked to leave out what is mounted below them."""
    alone = {posixpath.normpath(mount.destination) for mount in container.mounts if not mount.recursive}
    inside = {posixpath.normpath(mount.destination): leads(container, mount.destination) for mount in container.mounts}
    mounts = (replace(mount, recursive=NOT_RECURSIVE) if mount.target in alone else mount for mount in service.mounts)
    return replace(service, mounts=tuple(replace(mount, target=inside.get(mount.target, mount.target)) for mount in mounts))


def _state_inside(world: World, host: str) -> Mapping[str, str]:
    """Where each container that uses state has it, by the container's name. None where the state directory is not on a declared disk of this host."""
    declared = world.site.state_dir
    if declared is None or not _state_is_on_its_disk(world.site, host):
        return {}
    users = users_seen(world, Subject(name="running", host=host))
    inside = {service.container_name: in_service(variable_of(declared), service) for service in users.services}
    return {name: found.path if isinstance(found, Resolved) else users.expected for name, found in inside.items()}


def _state_is_on_its_disk(site: Site, host: str) -> bool:
    declared, mounts = site.state_dir, site.mounts
    if declared is None or mounts is None or not declared.host == mounts.state.host == host:
        return False
    return f"{declared.path}/".startswith(f"{mounts.state.path.rstrip('/')}/")


# ---- what it was started from


def _to_be_started(site: Site, host: str) -> tuple[str, ...]:
    """The chains that a start on this host would take: those that its instances name, else all that belong on the declared disks."""
    named = dict.fromkeys(instance.chain for instance in site.instances.values() if instance.host == host and instance.chain)
    return tuple(name for name in named if name in site.chains) or tuple(site.chains_on_disks)


def _chain(world: World, seen: HostStack, name: str) -> ChainOnHost:
    """A chain beside the volumes that the engine has of it. Raises `CouldNotLook`."""
    model = stack(world, name)
    projects = _projects(world.site, seen, model)
    engine = {volume.name: volume for volume in seen.engine.volumes}
    found = {key: engine_volume(volume, model.project, projects, engine) for key, volume in model.volumes.items()}
    there = {key: one for key, one in found.items() if isinstance(one, EngineVolume)}
    declared = really(world, seen.host, declared_directories(world.site, seen.host))
    as_made = {key: replace(volume, driver_opts=there[key].options) if key in there else volume for key, volume in model.volumes.items()}
    return ChainOnHost(
        chain=name,
        stack=model,
        services=tuple(with_declared_names(one, seen.engine, declared) for one in services_in(replace(model, volumes=MappingProxyType(as_made)))),
        volumes=MappingProxyType(there),
        unclear=MappingProxyType({key: one for key, one in found.items() if isinstance(one, tuple)}),
    )


def _projects(site: Site, seen: HostStack, model: Stack) -> Projects:
    """What the project of a chain is called on a host: as its containers say, running or not; else as the directories of the instances, or the files."""
    directories = set(instance_directories(site, seen.host))
    mine: dict[str, None] = {}
    others = set()
    for container in seen.engine.containers:
        if container.project:
            where = container.labels.get(WORKING_DIRECTORY, "")
            own = bool({posixpath.normpath(where), seen.engine.links.get(where, "")} & directories) if directories and where else True
            if own and _fits(container, model):
                mine[container.project] = None
            else:
                others.add(container.project)
    guessed = (*(project_name(directory) for directory in sorted(directories)), model.project)
    return Projects(names=tuple(mine) or guessed, certain=bool(mine), others=frozenset(others - mine.keys()))


def _fits(container: Container, model: Stack) -> bool:
    """Whether a container may be of a chain: one of its services, labelled with its files or with none."""
    label = container.labels.get(CONFIG_FILES, "")
    return container.service in model.services and (not label or bool(chains_started(label, {model.chain: model.files})))


OBSERVERS: Mapping[str, Observer] = {
    "mounts.nested_visible": Observer(looks=looks, see=running_seen),
    "mounts.read_only_is_read_only": Observer(looks=looks, see=running_seen),
}
