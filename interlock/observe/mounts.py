"""How are the mounts and the room of a host had? Which looks the mounts family needs, and how their answers become its nouns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.config.chain_subjects import chain_of
from interlock.config.models import Disk, Site
from interlock.config.models import Mounts as DeclaredMounts
from interlock.facts.looks import HostFacts, Look, Mounts, Space, Stat, Walk
from interlock.facts.mounts import (
    BACKUPS,
    ChainLayout,
    Directories,
    HostLayout,
    Layout,
    WritablePlace,
    bound_beside,
    is_below,
    newest_backup,
)
from interlock.facts.stack import Service
from interlock.observe import apply_paths, container_mounts, hidden, other_mounts, reboot, volume_options, writers
from interlock.observe.containers import engine_looks
from interlock.observe.declared_disks import declared_disk, disk_looks, disk_of
from interlock.observe.mount_tables import mount_table
from interlock.observe.stack import stack
from interlock.observe.state_dir import services_in, services_running
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def _declared(site: Site) -> DeclaredMounts:
    assert site.mounts is not None  # subjects are made from it
    return site.mounts


# ---- layout


def _layout_looks(site: Site, subject: Subject) -> Iterable[Look]:
    if chain_of(subject) is not None:
        return
    mounts = _declared(site)
    assert mounts.data is not None  # subjects are made from it
    yield Mounts()
    for disk in (mounts.state, mounts.data):
        yield from (Stat(disk.path), Stat(disk.mounted_at))
    yield from engine_looks(site, subject.host)


def layout_seen(world: World, subject: Subject) -> ChainLayout | HostLayout:
    """A chain's services beside the layout of its overlays, or the disks of the host and its containers. Raises `CouldNotLook`."""
    chain = chain_of(subject)
    return _host_layout(world, subject) if chain is None else _chain_layout(world, chain)


def _chain_layout(world: World, chain: str) -> ChainLayout:
    mounts = _declared(world.site)
    assert mounts.layout is not None  # subjects are made from it
    followed = {name: mounts.overlays.layouts_of(one.files) for name, one in world.site.chains.items()}
    layouts = followed[chain]
    services = services_in(stack(world, chain)) if len(layouts) == 1 else ()
    own = layouts == (mounts.layout,)
    users = _users(world.site, services) if own else _users_elsewhere(world.site, services)
    return ChainLayout(
        chain=chain,
        declared=mounts.layout,
        layouts=layouts,
        declared_is_followed=any(mounts.layout in found for found in followed.values()),
        directories=_directories(world.site) if own else _directories_elsewhere(world, layouts, users),
        users=users,
    )


def _directories_elsewhere(world: World, layouts: tuple[Layout, ...], users: Iterable[Service]) -> Directories:
    """Those of a chain for hosts with the other layout, told by what its services bind."""
    data = _directories(world.site).data
    state = bound_beside(users, data, str(world.tree.root.resolve())) if Layout.FLAT in layouts else ""
    return Directories(state=state, data=data, variable="")


def _users_elsewhere(site: Site, services: Iterable[Service]) -> tuple[Service, ...]:
    """Those that the site names; else whoever has the variable, or can write to the data directory."""
    return _users(site, services, _directories(site).data)


def _host_layout(world: World, subject: Subject) -> HostLayout:
    mounts, facts = _declared(world.site), world.host(subject.host)
    assert mounts.layout is not None  # subjects are made from it
    assert mounts.data is not None
    return HostLayout(
        declared=mounts.layout,
        state_path=_resolved(facts, mounts.state.path),
        data_path=_resolved(facts, mounts.data.path),
        state_mountpoint=_resolved(facts, mounts.state.mounted_at),
        data_mountpoint=_resolved(facts, mounts.data.mounted_at),
        table=mount_table(world, subject.host),
        directories=_directories(world.site),
        users=_users(world.site, services_running(world, subject.host)) if world.site.host(subject.host).engine else None,
    )


def _resolved(facts: HostFacts, path: str) -> str:
    """Where a path leads; one that is not there leads nowhere, and stays as it is."""
    return facts.stat(path).realpath or path


def _directories(site: Site) -> Directories:
    mounts = _declared(site)
    assert mounts.data is not None  # subjects are made from it
    return Directories(state=mounts.state.path, data=mounts.data.path, variable=site.state_dir.variable if site.state_dir else "STATE_DIR")


def _users(site: Site, services: Iterable[Service], shows: str = "") -> tuple[Service, ...]:
    """Those that the site names; else whoever has the variable, or a mount to write to, but of the whole host, that shows the state directory or `shows`."""
    named = site.state_dir.services if site.state_dir else None
    if named is not None:
        return tuple(service for service in services if service.name in named)
    directories = _directories(site)
    return tuple(service for service in services if directories.variable in service.environment or _can_write(service, shows or directories.state))


def _can_write(service: Service, path: str) -> bool:
    return any(not mount.read_only and mount.source not in ("", "/") and is_below(path, mount.source) for mount in service.mounts)


# ---- writable


def _writable_looks(site: Site, subject: Subject) -> Iterable[Look]:
    path = _place(site, subject)[0]
    yield from (Mounts(), Stat(path), Space(path))
    if subject.name.endswith(BACKUPS):
        yield Walk(path)


def _place(site: Site, subject: Subject) -> tuple[str, Disk | None]:
    """The directory of a subject, and the disk that it is, when it is one."""
    if subject.name.endswith(BACKUPS):
        return site.modules[subject.name.removesuffix(BACKUPS)].backups, None
    disk = disk_of(site, subject)
    return disk.path, disk


def writable_place(world: World, subject: Subject) -> WritablePlace:
    """A directory with the mount and the room behind it, and the newest backup where it holds some. Raises `CouldNotLook`."""
    path, disk = _place(world.site, subject)
    facts = world.host(subject.host)
    seen = facts.stat(path)
    backups = disk is None
    return WritablePlace(
        path=path,
        present=seen.present,
        realpath=seen.realpath,
        table=mount_table(world, subject.host),
        space=facts.space(path) if seen.present else None,
        min_free=disk.min_free if disk else 0,
        min_free_inodes=disk.min_free_inodes if disk else 0,
        backups=backups,
        newest=newest_backup(lambda: facts.walk(path), path) if backups and seen.present else None,
    )


OBSERVERS: Mapping[str, Observer] = {
    "mounts.state_disk_gate": Observer(see=apply_paths.see),
    **volume_options.OBSERVERS,
    **container_mounts.OBSERVERS,
    **other_mounts.OBSERVERS,
    **reboot.OBSERVERS,
    **hidden.OBSERVERS,
    **writers.OBSERVERS,
    "mounts.state_disk": Observer(looks=disk_looks, see=declared_disk),
    "mounts.data_disk": Observer(looks=disk_looks, see=declared_disk),
    "mounts.layout": Observer(looks=_layout_looks, see=layout_seen),
    "mounts.writable": Observer(looks=_writable_looks, see=writable_place),
}
