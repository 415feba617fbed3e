"""How is the mount table of a host had? Which looks the mounts family needs, and how their answers become its nouns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.config.models import Disk, Site
from interlock.facts.looks import Look, Mounts, Stat
from interlock.facts.mounts import DeviceNames, MountTable, StateDisk
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def _disk(site: Site) -> Disk:
    assert site.mounts is not None  # subjects are made from it
    return site.mounts.state


def _looks(site: Site, _subject: Subject) -> Iterable[Look]:
    disk = _disk(site)
    return (Mounts(), Stat(disk.path), Stat(disk.mounted_at))


def state_disk(world: World, subject: Subject) -> StateDisk:
    """The declared state disk beside what the host shows. Raises `CouldNotLook`."""
    disk, facts = _disk(world.site), world.host(subject.host)
    seen, at, mounts = facts.stat(disk.path), facts.stat(disk.mounted_at), facts.mounts()
    return StateDisk(
        path=disk.path,
        mountpoint=disk.mounted_at,
        device=disk.device,
        fstype=disk.fstype,
        present=seen.present,
        realpath=seen.realpath,
        mountpoint_realpath=at.realpath,
        device_seen=seen.device,
        table=MountTable.parse(mounts.mountinfo, where=f"{subject.host}:/proc/self/mountinfo"),
        names=DeviceNames(numbers=mounts.devices, links=mounts.links),
    )


OBSERVERS: Mapping[str, Observer] = {"mounts.state_disk": Observer(looks=_looks, see=state_disk)}
