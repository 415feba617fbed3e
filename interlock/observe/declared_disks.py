"""What does a host show at the directory of a declared disk? The noun of the rules about one disk, and of what containers show of it."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.config.models import Disk, Site
from interlock.facts.looks import HostFacts, Look, Mounts, Stat, StatAnswer
from interlock.facts.mounts import DeclaredDisk, DeviceNames
from interlock.observe.mount_tables import mount_table
from interlock.observe.world import World
from interlock.verdicts import Subject


def disk_of(site: Site, subject: Subject) -> Disk:
    """The state disk, or the data disk where the subject is called so."""
    mounts = site.mounts
    assert mounts is not None  # subjects are made from it
    disk = mounts.data if subject.name == "data" else mounts.state
    assert disk is not None  # subjects are made from it
    return disk


def disk_looks(site: Site, subject: Subject) -> Iterable[Look]:
    """What its host is asked for."""
    disk = disk_of(site, subject)
    return (Mounts(), Stat(disk.path), Stat(disk.mounted_at), *device_looks(disk.device))


def device_looks(device: str) -> Iterable[Look]:
    """What a host is asked for about the path of a device: the mount table tells of those alone that something is mounted from, or that udev has a name for."""
    return (Stat(device),) if device.startswith("/dev/") else ()


def device_names(facts: HostFacts, device: str) -> DeviceNames:
    """The host's names, with what is behind the path of this device: `/dev/vg0/state` is a link. Raises `CouldNotLook`."""
    mounts, seen = facts.mounts(), facts.answers.get(Stat(device))
    if not isinstance(seen, StatAnswer) or not seen.device:
        return DeviceNames(numbers=mounts.devices, links=mounts.links)
    return DeviceNames(numbers=mounts.devices, links={device: seen.realpath, **mounts.links}, unmounted=frozenset((seen.realpath,)))


def declared_disk(world: World, subject: Subject) -> DeclaredDisk:
    """A declared disk beside what its host shows. Raises `CouldNotLook`."""
    disk, facts = disk_of(world.site, subject), world.host(subject.host)
    seen, at = facts.stat(disk.path), facts.stat(disk.mounted_at)
    return DeclaredDisk(
        holds=subject.name,
        path=disk.path,
        mountpoint=disk.mounted_at,
        device=disk.device,
        fstype=disk.fstype,
        present=seen.present,
        realpath=seen.realpath,
        mountpoint_realpath=at.realpath,
        device_seen=seen.device,
        table=mount_table(world, subject.host),
        names=device_names(facts, disk.device),
        subvolume=disk.subvolume,
    )
