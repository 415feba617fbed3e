"""How is it told what a host mounts at its next boot? From fstab and the units of systemd, as they lie on its disk: nothing is asked of systemd itself."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from interlock.config.models import Disk, OtherMounts, Site
from interlock.errors import CouldNotLook
from interlock.facts.fstab import Fstab
from interlock.facts.looks import HostFacts, Look, Mounts, ReadFolder, Stat, Walk
from interlock.facts.mount_units import ETC, GENERATED, LOCAL_TARGET, REMOTE_TARGET, ROOTS, VENDOR, Link, UnitFiles, at_boot
from interlock.facts.mounts import DeviceNames
from interlock.facts.reboot import DiskAtBoot, EngineStart
from interlock.facts.units import drop_in_folders, unit_name
from interlock.observe.mount_tables import mount_table
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

BOOTED_BY_SYSTEMD = "/run/systemd/system"  # sd_booted(3)
NOT_TRIGGERED = "autofs"
_KINDS = {".requires": True, ".wants": False}


def _disk(site: Site, subject: Subject) -> Disk | OtherMounts:
    assert site.mounts is not None  # subjects are made from it
    if subject.name == "state":
        return site.mounts.state
    if subject.name == "data" and site.mounts.data is not None:
        return site.mounts.data
    return site.mounts.others.get(subject.name) or site.mounts.others[subject.name.removesuffix("-mount")]


def _places(disk: Disk | OtherMounts) -> tuple[str, str]:
    """The directory that is used, and the mountpoint above it."""
    if isinstance(disk, Disk):
        return disk.path, disk.mounted_at
    assert disk.path is not None  # subjects are made of those that have one
    return disk.path, disk.path


# ---- looks


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    path, mountpoint = _places(_disk(site, subject))
    host = site.host(subject.host)
    yield from (Mounts(), Stat(path), Stat(mountpoint), Stat(BOOTED_BY_SYSTEMD), Walk(ETC), _fstab_look(host.fstab))
    yield from _folder_looks(mountpoint, host.engine_unit)


def _fstab_look(path: str) -> ReadFolder:
    """A file that is not there is an answer too: mount units may say all."""
    return ReadFolder(posixpath.dirname(path), (posixpath.basename(path),))


def _folder_looks(mountpoint: str, engine_unit: str) -> Iterator[ReadFolder]:
    """All folders that can have a say in the mount, and in the unit of the engine."""
    stem, _, kind = engine_unit.rpartition(".")
    units = (".automount", ".mount", engine_unit, *((f"{stem.partition('@')[0]}@.{kind}",) if "@" in stem else ()))
    yield from (ReadFolder(folder, units) for folder in (*ROOTS, GENERATED))
    for name in (unit_name(mountpoint, "mount"), engine_unit):
        yield from (ReadFolder(f"{root}/{folder}", (".conf",)) for root in ROOTS for folder in drop_in_folders(name))
    for target in (LOCAL_TARGET, REMOTE_TARGET):
        yield from (ReadFolder(f"{root}/{target}{kind}", (".automount", ".mount")) for root in (*VENDOR, GENERATED) for kind in _KINDS)


# ---- what they come to


def disk_at_boot(world: World, subject: Subject) -> DiskAtBoot:
    """A declared disk beside what the next boot mounts. Raises `CouldNotLook`."""
    disk, facts, host = _disk(world.site, subject), world.host(subject.host), world.site.host(subject.host)
    path, mountpoint = _places(disk)
    mounts = facts.mounts()
    table = mount_table(world, subject.host)
    seen, at = facts.stat(path), facts.stat(mountpoint)
    fstab = Fstab.parse(_read(facts, _fstab_look(host.fstab)).get(posixpath.basename(host.fstab), b""))
    systemd = facts.stat(BOOTED_BY_SYSTEMD).present
    units = _unit_files(facts, mountpoint, host.engine_unit) if systemd else None
    engine = units.unit(host.engine_unit) if units else None
    shown = table.showing(at.realpath or mountpoint)
    live = shown if shown is not None and shown.mountpoint == (at.realpath or mountpoint) and shown.fstype != NOT_TRIGGERED else None
    return DiskAtBoot(
        path=path,
        realpath=seen.realpath or path,
        mountpoint=mountpoint,
        mountpoint_realpath=at.realpath or mountpoint,
        device=disk.device or (live.source if live else ""),
        fstype=disk.fstype,
        subvolume=disk.subvolume if isinstance(disk, Disk) else None,
        table=table,
        names=DeviceNames(numbers=mounts.devices, links=mounts.links),
        boot=at_boot(fstab, host.fstab, units),
        fstab=host.fstab,
        systemd=systemd,
        engine_unit=host.engine_unit,
        engine=EngineStart.of(engine) if engine and engine.settings else None,
        unread=fstab.unread,
    )


def _read(facts: HostFacts, look: ReadFolder) -> Mapping[str, bytes]:
    """The files of a folder. Raises `CouldNotLook` for one that could not be read: it may say otherwise."""
    answer = facts.folder(look.path, look.suffixes)
    for name, why in answer.unread.items():
        raise CouldNotLook(
            f"{look.path}/{name} could not be read: {why}",
            where=facts.host,
            why="it may say what is mounted at boot",
            remedy="let this user read it, or set `become: sudo -n` for this host",
        )
    return answer.files


def _unit_files(facts: HostFacts, mountpoint: str, engine_unit: str) -> UnitFiles:
    folders = {look.path: _read(facts, look) for look in _folder_looks(mountpoint, engine_unit)}
    links = {
        Link(by=f"{posixpath.basename(folder).removesuffix(ending)}", unit=name, required=required)
        for folder, files in folders.items()
        for ending, required in _KINDS.items()
        if folder.endswith(ending)
        for name in files
        if not (folder.startswith(GENERATED) and b"SourcePath=/etc/fstab" in files[name])
    }
    return UnitFiles(folders=folders, links=frozenset(links | set(_enabled(facts))))


def _enabled(facts: HostFacts) -> Iterator[Link]:
    """The links that `systemctl enable` made."""
    for listing in facts.walk(ETC):
        if listing.error:
            raise CouldNotLook(
                f"{listing.directory} could not be listed: {listing.error}",
                where=facts.host,
                why="it may say what is mounted at boot",
                remedy="let this user list it, or set `become: sudo -n` for this host",
            )
        folder = posixpath.basename(listing.directory)
        for ending, required in _KINDS.items():
            if folder.endswith(ending):
                yield from (Link(by=folder.removesuffix(ending), unit=entry.name, required=required) for entry in listing.entries)


OBSERVERS: Mapping[str, Observer] = {"mounts.fstab": Observer(looks=_looks, see=disk_at_boot)}
