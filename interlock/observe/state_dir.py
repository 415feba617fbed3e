"""What do env files, services, scripts and secrets say of the state directory? A static judgement reads the tree, a live one the host."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from interlock.config.chain_subjects import chain_of
from interlock.config.models import Precedence, Site, StateDir
from interlock.config.yamlnodes import FATAL
from interlock.config.yamltext import read_yaml
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.dotenv import EnvFile
from interlock.facts.engine import Container, ContainerMount, Engine
from interlock.facts.looks import HostFacts, Look, Mounts, ReadFile, Secret, Stat, StatAnswer, User
from interlock.facts.mounts import NOT_RECURSIVE, is_below
from interlock.facts.stack import Service, ServiceMount, Stack, Volume
from interlock.facts.state_dir import (
    ConfigCopy,
    Copies,
    CopyMounts,
    DeclaredSecret,
    HostAndStack,
    MountedCopies,
    Resolved,
    StateVariable,
    Unresolved,
    Users,
    VariableSeen,
    given_by,
    in_service,
    on_host,
)
from interlock.facts.state_dir_readers import readings
from interlock.facts.state_inside import HostDirectory, StateWriters
from interlock.observe import state_inside, state_layers, state_places
from interlock.observe.containers import declared_directories, engine_looks, engine_seen, instance_directories
from interlock.observe.stack import stack
from interlock.observe.tree import MissingFile
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

WORKING_DIRECTORY = "com.docker.compose.project.working_dir"


def _declared(site: Site) -> StateDir:
    assert site.state_dir is not None  # subjects are made from it
    return site.state_dir


def variable_of(declared: StateDir) -> StateVariable:
    """The variable as the site declares it."""
    return StateVariable(name=declared.variable, default=declared.default, fallbacks=dict(declared.values))


# ---- resolves


def _resolve_looks(site: Site, subject: Subject) -> Iterable[Look]:
    path = _declared(site).host_env_file
    for one in {*((path,) if path else ()), *state_layers.paths_on_host(site, subject.host)}:
        yield from (Stat(one), ReadFile(one))


def variable_seen(world: World, subject: Subject) -> VariableSeen:
    """The variable beside the env file that sets it: that of the host when it is named and this is a live look. Raises `CouldNotLook`."""
    declared = _declared(world.site)
    where, content = _env_file(world, subject)
    variable = variable_of(declared)
    given = given_by((EnvFile.parse(content or b"", where=where),), variable)
    return VariableSeen(
        variable=variable,
        expected=declared.path,
        where=where,
        present=content is not None or not where,
        resolution=given if isinstance(given, Unresolved) else variable.resolve(given.certain),
        told="" if isinstance(given, Unresolved) else given.told(variable.name),
        stacks=tuple(state_layers.stacks(world, subject.host, variable, where)),
        inside=declared.container_path or declared.path,
    )


def _env_file(world: World, subject: Subject) -> tuple[str, bytes | None]:
    """The env file that counts: its name, empty when none is declared, and its bytes, None when it is not there."""
    declared = _declared(world.site)
    if world.live and declared.host_env_file:
        facts = world.host(subject.host)
        return declared.host_env_file, facts.read(declared.host_env_file) if facts.stat(declared.host_env_file).present else None
    if declared.env_file is None:
        return "", None
    try:
        return declared.env_file, world.tree.read(declared.env_file)
    except MissingFile:
        return declared.env_file, None


# ---- services_agree


def _user_looks(site: Site, subject: Subject) -> Iterable[Look]:
    return () if chain_of(subject) is not None else engine_looks(site, subject.host)


def users_seen(world: World, subject: Subject) -> Users:
    """The services that use state, in a chain or among the running containers. Raises `CouldNotLook`."""
    chain = chain_of(subject)
    return _users_running(world, subject.host) if chain is None else _users_in_chain(world, chain)


def _users_in_chain(world: World, chain: str) -> Users:
    declared = _declared(world.site)
    found = services_in(stack(world, chain))
    mine = tuple(service for service in found if _uses(declared, service))
    others = (
        {name: _users_elsewhere(world, declared, name) for name in world.site.chains_on_disks if name != chain}
        if _must_ask_others(declared, mine, found)
        else {}
    )
    known = {service.name for service in found}.union(*(names for names, _ in others.values()))
    variable, expected = variable_of(declared), declared.container_path or declared.path
    return Users(
        where=f"the chain {chain}",
        variable=variable,
        expected=expected,
        services=mine,
        nowhere=tuple(name for name in declared.services or () if name not in known),
        elsewhere=any(uses for _, uses in others.values()),
        told=dict(_told(world, chain, variable, expected, mine)),
    )


def _told(world: World, chain: str, variable: StateVariable, expected: str, services: Iterable[Service]) -> Iterator[tuple[str, str]]:
    """Where the variable is set for those in which it comes to something else than it should."""
    for service in services:
        found = in_service(variable, service)
        wrong = isinstance(found, Unresolved) or found.path != expected
        if wrong and variable.name in service.environment:
            yield service.name, state_layers.told_of(world, chain, service.name, variable.name, service.environment[variable.name])


def _must_ask_others(declared: StateDir, mine: tuple[Service, ...], found: tuple[Service, ...]) -> bool:
    """Other chains are resolved only where something is missing in this one."""
    return not mine or bool(set(declared.services or ()) - {service.name for service in found})


def _users_elsewhere(world: World, declared: StateDir, chain: str) -> tuple[frozenset[str], bool]:
    """The services of another chain, and whether one of them uses state."""
    found = services_in(stack(world, chain))
    return frozenset(service.name for service in found), any(_uses(declared, service) for service in found)


def _uses(declared: StateDir, service: Service) -> bool:
    return service.name in declared.services if declared.services is not None else declared.variable in service.environment


def services_in(found: Stack) -> tuple[Service, ...]:
    """The services of a chain; the source of each mount is the directory of the host behind it, empty when the engine chooses."""
    return tuple(
        replace(service, mounts=tuple(_on_the_host(mount, found.volumes.get(mount.source)) for mount in service.mounts)) for service in found.services.values()
    )


def _on_the_host(mount: ServiceMount, volume: Volume | None) -> ServiceMount:
    """A mount with the directory of the host as its source. A volume that binds one by its options shows what is mounted below it only with `rbind`."""
    if mount.kind == "bind":
        return replace(mount, source=posixpath.normpath(mount.source))
    bound = volume.bound_to if mount.kind == "volume" and volume is not None else ""
    if not bound or volume is None:
        return replace(mount, source="")
    recursive = "rbind" in volume.driver_opts.get("o", "").split(",")
    return replace(mount, source=posixpath.normpath(posixpath.join(bound, mount.subpath)), recursive="" if recursive else NOT_RECURSIVE)


def _users_running(world: World, host: str) -> Users:
    """Those that run: a declared service may be a job that has ended."""
    declared = _declared(world.site)
    found = services_running(world, host)
    mine = tuple(service for service in found if _uses(declared, service))
    return Users(
        where=f"the running containers of {host}",
        variable=variable_of(declared),
        expected=declared.container_path or declared.path,
        services=mine,
    )


def services_running(world: World, host: str) -> tuple[Service, ...]:
    """The running containers of the site's stack as services; where the site names the directories of its instances, only those that were started from one.
    Raises `CouldNotLook`."""
    engine = engine_seen(world, host)
    assert engine is not None  # asked where the site names one
    directories = really(world, host, instance_directories(world.site, host))
    ours = (container for container in engine.containers if container.running and _is_ours(container, engine, directories))
    return tuple(_as_services(world, host, engine, ours))


def services_elsewhere(world: World, host: str) -> tuple[Service, ...]:
    """The running containers that have the variable of the state directory, and were not started from a directory of the site's instances. Raises
    `CouldNotLook`."""
    engine, declared = engine_seen(world, host), world.site.state_dir
    assert engine is not None  # asked where the site names one
    if declared is None:
        return ()
    directories = really(world, host, instance_directories(world.site, host))
    others = (container for container in engine.containers if container.running and not _is_ours(container, engine, directories))
    return tuple(_as_services(world, host, engine, (container for container in others if declared.variable in container.environment)))


def really(world: World, host: str, paths: Iterable[str]) -> Mapping[str, str]:
    """Where declared directories really lead; one of which the host says nothing stays as it is."""
    seen = {path: world.host(host).answers.get(Stat(path)) for path in paths}
    return {path: (found.realpath if isinstance(found, StatAnswer) else "") or path for path, found in seen.items()}


def _is_ours(container: Container, engine: Engine, directories: Mapping[str, str]) -> bool:
    """Whether it was started from a directory of an instance, under whichever of its names."""
    started_in = container.labels.get(WORKING_DIRECTORY, "")
    if not directories or not started_in:
        return True
    names = {posixpath.normpath(started_in), engine.links.get(started_in, "")}
    return bool(names & {*directories, *directories.values()})


def _as_services(world: World, host: str, engine: Engine, containers: Iterable[Container]) -> Iterator[Service]:
    volumes = {volume.name: Volume(key=volume.name, name=volume.name, driver_opts=volume.options) for volume in engine.volumes}
    declared = really(world, host, declared_directories(world.site, host))
    for container in containers:
        yield with_declared_names(_as_service(container, volumes), engine, declared)


def with_declared_names(service: Service, engine: Engine, declared: Mapping[str, str]) -> Service:
    """A service with the sources of its mounts as they are declared, where the host has a link that leads there; `declared` maps those to where they lead."""
    return replace(service, mounts=tuple(replace(mount, source=engine.named(mount.source, declared)) for mount in service.mounts))


def _as_service(container: Container, volumes: Mapping[str, Volume]) -> Service:
    environment: dict[str, str | None] = dict(container.environment)
    return Service(
        name=container.service or container.name,
        image=container.image,
        environment=environment,
        mounts=tuple(_as_mount(mount, volumes) for mount in container.mounts),
        ports=(),
        container_name=container.name,
    )


def _as_mount(mount: ContainerMount, volumes: Mapping[str, Volume]) -> ServiceMount:
    seen = ServiceMount(
        kind=mount.kind,
        source=mount.source,
        target=posixpath.normpath(mount.destination),
        read_only=mount.read_only,
        propagation=mount.propagation,
        recursive="" if mount.recursive else NOT_RECURSIVE,
        subpath=mount.subpath,
    )
    return _on_the_host(seen, volumes.get(mount.name))


# ---- host_and_stack_agree


def _host_and_stack_looks(site: Site, subject: Subject) -> Iterable[Look]:
    declared = _declared(site)
    yield from _resolve_looks(site, subject)
    yield from (Stat(path) for path in _names_of_the_directory(declared))
    if engine := engine_looks(site, subject.host):
        yield from engine
        yield Mounts()


def _names_of_the_directory(declared: StateDir) -> Iterator[str]:
    """Paths of the host that may be one directory: the declared one, and what the default comes to."""
    yield declared.path
    default = variable_of(declared).resolve({})
    if isinstance(default, Resolved) and default.path != declared.path:
        yield default.path


def host_and_stack(world: World, subject: Subject) -> HostAndStack:
    """All readers of the host, and the services of the chains that stand on its disks, or of its running containers. Raises `CouldNotLook`."""
    declared = _declared(world.site)
    variable = variable_of(declared)
    where, content = _env_file(world, subject)
    given = given_by((EnvFile.parse(content or b"", where=where),), variable)
    values = {} if isinstance(given, Unresolved) else given.certain
    users = tuple(_users_on_the_host(world, subject))
    running = world.live and bool(world.site.host(subject.host).engine)
    inside = state_inside.state_inside(world, subject.host, users[0].services, variable, users[0].expected) if running else ()
    found = {path: readings(path, world.tree.read(path), variable, values) for path in declared.readers or ()}
    return HostAndStack(
        variable=variable,
        expected=declared.path,
        given=given if isinstance(given, Unresolved) else variable.resolve(values),
        default=variable.resolve({**values, variable.name: ""}),
        readings=tuple(reading for read in found.values() for reading in read),
        silent=tuple(path for path, read in found.items() if not read),
        users=users,
        same=_same(world.host(subject.host), declared) if world.live else {},
        on_a_disk=world.site.mounts is not None,
        set_to_nothing=values.get(variable.name) == "",
        inside={one.container: one for one in inside},
        directory=_directory_of_the_host(world, subject.host, declared) if running else None,
    )


def _directory_of_the_host(world: World, host: str, declared: StateDir) -> HostDirectory:
    seen, mounts = world.host(host).stat(declared.path), world.site.mounts
    judged = mounts is not None and mounts.state.host == host and is_below(declared.path, mounts.state.path)
    return HostDirectory(state_inside.on_host(world, host, seen.realpath or declared.path), seen.device, judged=judged)


def _same(facts: HostFacts, declared: StateDir) -> dict[str, str]:
    """Where the known names of the directory really lead, for those that are there."""
    seen = {path: facts.stat(path) for path in _names_of_the_directory(declared)}
    return {path: found.realpath for path, found in seen.items() if found.present}


def _users_on_the_host(world: World, subject: Subject) -> Iterator[Users]:
    """Who runs, in a live look that has an engine to ask; else what would be started."""
    if world.live and world.site.host(subject.host).engine:
        yield _users_running(world, subject.host)
    else:
        yield from (_users_in_chain(world, chain) for chain in world.site.chains_on_disks)


# ---- writable_by_service


def writers_seen(world: World, subject: Subject) -> StateWriters:
    """The running containers that use state, and what each may write. Raises `CouldNotLook`."""
    return state_inside.writers(world, subject.host, _users_running(world, subject.host), _declared(world.site))


# ---- secrets_present


def _secret_looks(site: Site, _subject: Subject) -> Iterable[Look]:
    declared = _declared(site)
    for secret in declared.secrets.values():
        yield Secret(below(declared.path, secret.path), secret.format)
        if secret.owner:
            yield User(secret.owner)


def below(directory: str, path: str) -> str:
    """A path below a directory, unless it is absolute."""
    return posixpath.normpath(posixpath.join(directory, path))


def secrets_seen(world: World, subject: Subject) -> tuple[DeclaredSecret, ...]:
    """Each declared secret beside what the host says of it. Raises `CouldNotLook` when the host cannot be looked at."""
    declared, facts = _declared(world.site), world.host(subject.host)
    return tuple(_secret(facts, declared, name) for name in declared.secrets)


def _secret(facts: HostFacts, declared: StateDir, name: str) -> DeclaredSecret:
    """One that could not be looked at keeps no other from being judged."""
    said = declared.secrets[name]
    path = below(declared.path, said.path)
    blank = DeclaredSecret(name=name, path=path, format=said.format, mode=said.mode, owner=said.owner, owner_uid=None, seen=None)
    try:
        return replace(blank, owner_uid=facts.uid(said.owner) if said.owner else None, seen=facts.secret(path, said.format))
    except CouldNotLook as error:
        return replace(blank, could_not=error.sentence, remedy=error.remedy)


# ---- precedence


def _precedence(site: Site, subject: Subject) -> tuple[str, Precedence]:
    declared = _declared(site)
    noun = declared.precedence[subject.name]
    return below(declared.path, noun.state), noun


def _precedence_looks(site: Site, subject: Subject) -> Iterable[Look]:
    state, noun = _precedence(site, subject)
    for path in (state, noun.fallback):
        yield from (Stat(path), ReadFile(path))


def precedence_seen(world: World, subject: Subject) -> Copies | MountedCopies:
    """The two copies on the host, or how the compose files mount them. Raises `CouldNotLook`."""
    state, noun = _precedence(world.site, subject)
    if not world.live:
        return _mounted_copies(world, subject.name, state, noun)
    facts = world.host(subject.host)
    return Copies(name=subject.name, state=_copy(facts, state), fallback=_copy(facts, noun.fallback))


def _copy(facts: HostFacts, path: str) -> ConfigCopy:
    seen = facts.stat(path)
    if not seen.present:
        return ConfigCopy(path=path, seen=seen)
    content = facts.read(path)
    return ConfigCopy(path=path, seen=seen, digest=hashlib.sha256(content).hexdigest(), keys=_keys(path, content))


def _keys(path: str, content: bytes) -> dict[str, str] | None:
    """Each dotted key with a digest of its value; None for a format without keys, and for what cannot be read."""
    name = posixpath.basename(path)
    if name.endswith((".yaml", ".yml")):
        read = read_yaml(content)
        return None if any(problem.kind in FATAL for problem in read.problems) else dict(_flat(read.data))
    if name.endswith(".json"):
        try:
            return dict(_flat(json.loads(content)))
        except (ValueError, RecursionError):
            return None
    if name.endswith(".env") or name.startswith(".env"):
        try:
            return {key: _digest(value.text) for key, value in EnvFile.parse(content).resolve({}).items()}
        except ConfigError:
            return None
    return None


def _flat(value: Any, above: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            yield from _flat(member, f"{above}.{key}" if above else str(key))
    else:
        yield above, _digest(json.dumps(value, sort_keys=True, default=str))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _mounted_copies(world: World, name: str, state: str, noun: Precedence) -> MountedCopies:
    declared = _declared(world.site)
    inside = below(declared.container_path or declared.path, noun.state)
    fallbacks = tuple(_on_this_machine(world, noun.fallback))
    mounts = tuple(
        CopyMounts(
            chain=chain,
            service=service.name,
            state_read_only=_read_only_at(service, inside, state),
            fallback_read_only=_read_only_over(service, fallbacks, noun.fallback),
        )
        for chain in world.site.chains_on_disks
        for service in services_in(stack(world, chain))
    )
    found = tuple(mount for mount in mounts if mount.state_read_only is not None or mount.fallback_read_only is not None)
    return MountedCopies(name=name, state=state, fallback=noun.fallback, mounts=found)


def _on_this_machine(world: World, path: str) -> Iterator[str]:
    """Where a path of the host lies for compose, which resolves `./config` from the folder of its files: below an instance's directory, that folder is it."""
    yield path
    for instance in world.site.instances.values():
        if is_below(path, instance.directory):
            yield below(str(world.tree.root.resolve()), posixpath.relpath(path, instance.directory))


def _read_only_at(service: Service, inside: str, outside: str) -> bool | None:
    """Whether a service can only read a path; None when it has another directory of the host there, or none."""
    mount = service.mount_over(inside)
    return None if mount is None or on_host(service, inside) not in (outside, None) else mount.read_only


def _read_only_over(service: Service, outside: Iterable[str], inside: str) -> bool | None:
    """Whether the mount that shows one of these paths of the host, or this path of the container, is read-only; None when none does."""
    shown = [mount for mount in service.mounts if mount.source and any(is_below(path, mount.source) for path in outside)]
    at = service.mount_over(inside)
    mounts = [*shown, *([at] if at is not None and at not in shown else [])]
    return all(mount.read_only for mount in mounts) if mounts else None


OBSERVERS: Mapping[str, Observer] = {
    "state_dir.resolves": Observer(looks=_resolve_looks, see=variable_seen),
    "state_dir.services_agree": Observer(looks=_user_looks, see=users_seen),
    "state_dir.host_and_stack_agree": Observer(looks=_host_and_stack_looks, see=host_and_stack),
    "state_dir.writable_by_service": Observer(looks=lambda site, subject: engine_looks(site, subject.host), see=writers_seen),
    "state_dir.secrets_present": Observer(looks=_secret_looks, see=secrets_seen),
    "state_dir.precedence": Observer(looks=_precedence_looks, see=precedence_seen),
    **state_places.OBSERVERS,
}
