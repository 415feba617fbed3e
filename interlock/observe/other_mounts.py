"""How are the further mounts of a host had? The mount table, and the directories that must each be a mountpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.config.models import OtherMounts, Site
from interlock.facts.looks import List, Look, Mounts, Stat
from interlock.facts.mounts import DeclaredDisk
from interlock.facts.other_mounts import ExpectedMounts, mountpoints_among
from interlock.observe.declared_disks import device_looks, device_names
from interlock.observe.mount_tables import mount_table
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def _declared(site: Site, subject: Subject) -> OtherMounts:
    assert site.mounts is not None  # subjects are made from it
    return site.mounts.others[subject.name]


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    one = _declared(site, subject)
    yield from (Mounts(), Stat(one.path or one.each_below or ""), *device_looks(one.device or ""))
    if one.each_below is not None:
        yield List(one.each_below)


def expected_mounts(world: World, subject: Subject) -> ExpectedMounts:
    """The mounts of one entry beside what its host shows. Raises `CouldNotLook`."""
    one, facts = _declared(world.site, subject), world.host(subject.host)
    path = one.path or one.each_below or ""
    seen = facts.stat(path)
    each = one.each_below if seen.device else None
    return ExpectedMounts(
        path=path,
        realpath=seen.realpath if seen.device else "",
        directories=None if each is None else mountpoints_among(facts.entries(each).directories),
        fstype=one.fstype,
        options=one.options,
        table=mount_table(world, subject.host),
        disk=_disk(world, subject, one.path, one.device) if one.path and one.device else None,
    )


def _disk(world: World, subject: Subject, path: str, device: str) -> DeclaredDisk:
    facts, one = world.host(subject.host), _declared(world.site, subject)
    seen = facts.stat(path)
    return DeclaredDisk(
        holds=subject.name,
        path=path,
        mountpoint=path,
        device=device,
        fstype=one.fstype,
        present=seen.present,
        realpath=seen.realpath,
        mountpoint_realpath=seen.realpath,
        device_seen=seen.device,
        table=mount_table(world, subject.host),
        names=device_names(facts, device),
    )


OBSERVERS: Mapping[str, Observer] = {"mounts.others": Observer(looks=_looks, see=expected_mounts)}
