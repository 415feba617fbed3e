"""Which disks, mounts and containers are drawn? All that a run has looked at anyway, put together for `interlock.facts.topology_layout`; nothing more is asked.

Where no container stands on the disks, the services that would be started are drawn, as docker compose resolves them.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from interlock.config.models import Disk, Site
from interlock.errors import CouldNotLook
from interlock.facts.engine import Container, Engine
from interlock.facts.looks import HostFacts, ShadowsAnswer, Space, SpaceAnswer, Stat, StatAnswer
from interlock.facts.looks import Mounts as MountsLook
from interlock.facts.mounts import BACKUPS, DeviceNames, MountTable
from interlock.facts.stack import Stack, Volume
from interlock.facts.topology import HostTopology, Topology
from interlock.facts.topology_layout import Bind, Candidate, Declared, SeenHost, laid_out, unseen_host
from interlock.observe.containers import engine_look, engine_seen
from interlock.observe.mount_tables import mount_table
from interlock.observe.stack import stack
from interlock.observe.world import World

MOST_OF_ONE = 12  # mounts of one entry of the site that are drawn one by one; of a tenant each there may be thousands
_NO_DIRECTORY = ("tmpfs", "npipe", "image", "cluster")  # kinds of mounts without a directory of the host behind them


def topology(world: World) -> Topology | None:
    """The disks of the site and what stands on them, as this run saw them; None where the site declares none, or nobody looked at mounts."""
    hosts = tuple(found for host in _hosts(world.site) if (found := _host(world, host)) is not None)
    return Topology(site=world.site.site, hosts=hosts) if hosts else None


def _hosts(site: Site) -> tuple[str, ...]:
    """Those with a declared disk, that of the state first."""
    if site.mounts is None:
        return ()
    disks = [disk.host for disk in (site.mounts.state, site.mounts.data) if disk]
    return tuple(dict.fromkeys([*disks, *(other.host for other in site.mounts.others.values())]))


def _host(world: World, host: str) -> HostTopology | None:
    facts = world.hosts.get(host)
    if isinstance(facts, CouldNotLook):
        return unseen_host(host, tuple(_declared(world.site, host, None, None)), facts.sentence)
    if facts is None or MountsLook() not in facts.answers:
        return None
    try:
        return _seen(world, host, facts)
    except CouldNotLook as error:
        return unseen_host(host, tuple(_declared(world.site, host, facts, None)), error.sentence)


def _seen(world: World, host: str, facts: HostFacts) -> HostTopology:
    mounts = facts.mounts()
    table = mount_table(world, host)
    engine, candidates = _containers(world, host, facts)
    seen = SeenHost(
        host=host,
        taken_at=facts.taken_at,
        declared=tuple(_declared(world.site, host, facts, table)),
        table=table,
        names=DeviceNames(numbers=mounts.devices, links=mounts.links),
        spaces={_resolved(facts, look.path): space for look, space in facts.answers.items() if isinstance(look, Space) and isinstance(space, SpaceAnswer)},
        hidden=_hidden(facts),
        engine=engine,
        candidates=candidates,
    )
    drawn = laid_out(seen)
    if drawn.containers or not _starts_here(world.site, host):
        return drawn
    words, services = _services(world)
    return laid_out(replace(seen, engine="; ".join(part for part in (engine, words) if part), candidates=(*candidates, *services)))


def _hidden(facts: HostFacts) -> dict[str, int]:
    """How many entries lie hidden under each mountpoint that somebody looked under."""
    answers = (answer for answer in facts.answers.values() if isinstance(answer, ShadowsAnswer))
    return {shadow.mountpoint: shadow.entries for answer in answers for shadow in answer.shadows if not shadow.error}


# ---- what the site declares


def _declared(site: Site, host: str, facts: HostFacts | None, table: MountTable | None) -> Iterator[Declared]:
    assert site.mounts is not None  # hosts are made from it
    for holds, disk in (("data", site.mounts.data), ("state", site.mounts.state)):
        if disk is not None and disk.host == host:
            yield _of_disk(holds, disk, facts)
    for name, other in site.mounts.others.items():
        if other.host == host and other.path:
            path = _resolved(facts, other.path)
            yield Declared(holds=name, path=path, mountpoint=path, device=other.device or "")
        elif other.host == host and other.each_below:
            below = _resolved(facts, other.each_below)
            paths = sorted({mount.mountpoint for mount in table.mounts if posixpath.dirname(mount.mountpoint) == below} if table else {below})
            if len(paths) > MOST_OF_ONE:
                yield Declared(holds=f"{name}: {len(paths):,} mounts", path=below)
                continue
            for path in paths:
                yield Declared(holds=name, path=path, mountpoint=path)
    for name, module in site.modules.items():
        if module.host == host:
            yield Declared(holds=f"{name}{BACKUPS}", path=_resolved(facts, module.backups))


def _of_disk(holds: str, disk: Disk, facts: HostFacts | None) -> Declared:
    return Declared(holds=holds, path=_resolved(facts, disk.path), mountpoint=_resolved(facts, disk.mounted_at), device=disk.device)


def _resolved(facts: HostFacts | None, path: str) -> str:
    """Where a path leads, as far as somebody looked."""
    seen = facts.answers.get(Stat(path)) if facts else None
    return (seen.realpath if isinstance(seen, StatAnswer) else "") or posixpath.normpath(path)


# ---- what stands on it


def _containers(world: World, host: str, facts: HostFacts) -> tuple[str, tuple[Candidate, ...]]:
    """The engine in words, and all its containers."""
    look = engine_look(world.site, host)
    if look is None:
        return "no engine is declared", ()
    if look not in facts.answers:
        return "its engine was not asked", ()
    try:
        engine = engine_seen(world, host)
    except CouldNotLook as error:
        return f"its containers could not be seen: {error.sentence}", ()
    assert engine is not None  # a look was made
    names = Counter(container.service or container.name for container in engine.containers)
    return f"engine {engine.version}", tuple(_candidate(container, engine, names) for container in engine.containers)


def _candidate(container: Container, engine: Engine, names: Mapping[str, int]) -> Candidate:
    name = container.service or container.name
    volumes = {volume.name: Volume(key=volume.name, name=volume.name, driver_opts=volume.options).bound_to for volume in engine.volumes}
    binds = tuple(
        Bind(
            source=posixpath.normpath(volumes.get(mount.name) or mount.source),
            target=posixpath.normpath(mount.destination),
            read_only=mount.read_only,
        )
        for mount in container.mounts
        if mount.kind not in _NO_DIRECTORY and (mount.source or volumes.get(mount.name))
    )
    return Candidate(
        name=name if names[name] == 1 else container.name,
        container=container.name,
        state=container.state,
        binds=binds,
        view=container.view,
        unseen=(container.unseen or "its namespace was not looked at") if container.running and container.view is None else "",
    )


def _starts_here(site: Site, host: str) -> bool:
    return site.mounts is not None and site.mounts.state.host == host and bool(site.chains_on_disks)


def _services(world: World) -> tuple[str, tuple[Candidate, ...]]:
    """The services that would be started, and how they are known, in words."""
    chain = world.site.chains_on_disks[0]
    try:
        model = stack(world, chain)
    except CouldNotLook as error:
        return f"what would be started is not known: {error.sentence}", ()
    return f"drawn as the chain {chain} would be started", tuple(_planned(model))


def _planned(model: Stack) -> Iterator[Candidate]:
    for service in model.services.values():
        behind = ((model.host_path(mount), mount) for mount in service.mounts)
        binds = tuple(Bind(source=source, target=mount.target, read_only=mount.read_only) for source, mount in behind if source)
        yield Candidate(name=service.name, container="", state="not started", binds=binds)
