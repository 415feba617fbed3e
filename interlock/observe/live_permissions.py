"""How is it told what the processes of a host's containers may read and write? From the one look at its engine, and a look at each env file."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping

from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.live_permissions import PrivateFile, RunningAccess, holds_secret
from interlock.facts.looks import HostFacts, List, Look, ReadFile, Secret, Stat
from interlock.observe.containers import engine_looks, engine_seen
from interlock.observe.state_dir import services_running
from interlock.observe.world import World
from interlock.verdicts import Subject

OTHERS_ENTER = 0o001


def looks(site: Site, subject: Subject) -> Iterable[Look]:
    """The engine, the declared directories, and each env file with the directories above it."""
    host = subject.host
    yield from engine_looks(site, host)
    yield from (Stat(path) for path in _directories(site, host))
    for path in _env_files(site, host):
        yield from (Stat(path), Secret(path), ReadFile(path))
        yield from (Stat(directory) for directory in _above(path))
    for directory in _instances(site, host):
        yield from (Stat(above) for above in (directory, *_above(directory)))
        yield List(directory)


def _directories(site: Site, host: str) -> tuple[str, ...]:
    """Where the site says that state and data are."""
    mounts = site.mounts
    disks = [disk.path for disk in (mounts.state, mounts.data) if disk is not None and disk.host == host] if mounts else []
    return tuple(dict.fromkeys((*disks, *_state(site, host))))


def _state(site: Site, host: str) -> tuple[str, ...]:
    return (site.state_dir.path,) if site.state_dir and site.state_dir.host == host else ()


def _both(facts: HostFacts, paths: Iterable[str]) -> tuple[str, ...]:
    """Paths as they are written, and where they lead."""
    return tuple(dict.fromkeys(written for path in paths for written in (path, facts.stat(path).realpath or path)))


def _instances(site: Site, host: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(instance.directory for instance in site.instances.values() if instance.host == host))


def _env_files(site: Site, host: str) -> tuple[str, ...]:
    declared = site.state_dir.host_env_file if site.state_dir and site.state_dir.host == host else None
    return tuple(dict.fromkeys((*(f"{directory}/.env" for directory in _instances(site, host)), *((declared,) if declared else ()))))


def _above(path: str) -> Iterator[str]:
    """Every directory above, the nearest first, but the root."""
    while (path := posixpath.dirname(path)) not in ("", "/"):
        yield path


def running_access(world: World, subject: Subject) -> RunningAccess:
    """The running containers of the site's stack on a host, and its env files. Raises `CouldNotLook`."""
    return world.once(("running access", subject.host), lambda: _access(world, subject.host))


def _access(world: World, host: str) -> RunningAccess:
    site, facts = world.site, world.host(host)
    engine = engine_seen(world, host)
    ours = {service.container_name for service in services_running(world, host)} if engine else set()
    named = _directories(site, host)
    return RunningAccess(
        host=host,
        containers=tuple(container for container in engine.containers if container.running and container.name in ours) if engine else (),
        directories=_both(facts, named),
        state=_both(facts, _state(site, host)),
        files=tuple(_private_file(facts, path) for path in _env_files(site, host)),
        closed=tuple(_closed(site, facts, host)),
    )


def _private_file(facts: HostFacts, path: str) -> PrivateFile:
    """A link is followed to what it leads to."""
    seen = facts.stat(path)
    if not seen.present:
        return PrivateFile(path=path, present=False)
    mode = facts.secret(path, "text").mode if stat.S_ISLNK(seen.mode) else seen.mode
    closed = next((directory for directory in _above(path) if _keeps_out(facts, directory)), "")
    return PrivateFile(path=path, present=True, mode=mode, secret=_has_secret(facts, path), closed_by=closed)


def _has_secret(facts: HostFacts, path: str) -> bool | None:
    try:
        return holds_secret(facts.read(path))
    except CouldNotLook:
        return None


def _keeps_out(facts: HostFacts, directory: str) -> bool:
    """Whether others do not get into a directory; one that could not be looked at keeps nobody out."""
    try:
        seen = facts.stat(directory)
    except CouldNotLook:
        return False
    return seen.present and stat.S_ISDIR(seen.mode) and not seen.mode & OTHERS_ENTER


def _closed(site: Site, facts: HostFacts, host: str) -> Iterator[str]:
    """The directories of the instances, above them and directly in them, that others do not get into."""
    for directory in _instances(site, host):
        yield from (above for above in (directory, *_above(directory)) if _keeps_out(facts, above))
        try:
            inside: Mapping[str, int] = facts.entries(directory).modes
        except CouldNotLook:
            continue
        yield from (f"{directory}/{name}" for name, mode in inside.items() if stat.S_ISDIR(mode) and not mode & OTHERS_ENTER)
