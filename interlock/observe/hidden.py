"""What do the mounts at and below a declared disk cover? One look for all declared disks of a host, and the mount table to say on which disk it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from interlock.config.models import Disk, Site
from interlock.errors import CouldNotLook
from interlock.facts.hidden import Covered, HiddenBelow
from interlock.facts.looks import FailedLook, HostFacts, Look, Mounts, Shadow, Shadows, Stat
from interlock.facts.mounts import MountTable, is_below
from interlock.observe import probe
from interlock.observe.mount_tables import mount_table
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

_FORBIDDEN = ("EPERM", "EACCES")


def _disks(site: Site, host: str) -> Mapping[str, Disk]:
    assert site.mounts is not None  # subjects are made from it
    every = {"state": site.mounts.state, "data": site.mounts.data}
    return {name: disk for name, disk in every.items() if disk is not None and disk.host == host}


def _top(disk: Disk) -> str:
    """Where to look from: of the root disk, all of whose host is below it, the directory that the stack uses."""
    return disk.path if disk.mounted_at == "/" else disk.mounted_at


def _look(site: Site, host: str) -> Shadows:
    return Shadows(tuple(sorted({_top(disk) for disk in _disks(site, host).values()})))


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    yield from (Mounts(), _look(site, subject.host))
    yield from (Stat(_top(disk)) for disk in _disks(site, subject.host).values())


def hidden_below(world: World, subject: Subject) -> HiddenBelow:
    """A declared disk with what lies hidden at and below its mountpoint. Raises `CouldNotLook`."""
    disks, facts = _disks(world.site, subject.host), world.host(subject.host)
    disk, table = disks[subject.name], mount_table(world, subject.host)
    tops = {name: facts.stat(_top(one)).realpath for name, one in disks.items()}
    top = tops[subject.name]
    others = [one for name, one in tops.items() if name != subject.name and one and one != top and is_below(one, top)]
    shadows, could_not, remedy = _seen(facts, _look(world.site, subject.host))
    shown = table.showing(top) if top else None
    return HiddenBelow(
        mountpoint=_top(disk),
        realpath=top,
        mounted=disk.mounted_at == "/" or (shown is not None and shown.mountpoint == top),
        covered=tuple(one for one in _covered(facts, table, tops.values()) if _is_its(one.mountpoint, top, others)) if top else (),
        shadows=None if shadows is None else tuple(one for one in shadows if _is_its(one.mountpoint, top, others)),
        markers=disk.markers,
        could_not=could_not,
        remedy=remedy,
    )


def _is_its(mountpoint: str, top: str, others: Sequence[str]) -> bool:
    return is_below(mountpoint, top) and not any(is_below(mountpoint, other) for other in others)


def _seen(facts: HostFacts, look: Shadows) -> tuple[Sequence[Shadow] | None, str, str]:
    """What was seen; None, why nobody could look, and what would help."""
    try:
        return facts.shadows(look.roots).shadows, "", ""
    except CouldNotLook as error:
        failed = facts.answers.get(look)
        if not isinstance(failed, FailedLook) or failed.code not in _FORBIDDEN:
            return None, error.sentence, error.remedy
    if facts.user == "root":
        return None, f"root may not mount there ({failed.text})", "observe from the host itself, not from a container"
    return None, f"only root may look below a mountpoint, and {facts.user} looked", "set `become: sudo -n` for this host"


def _covered(facts: HostFacts, table: MountTable, tops: Iterable[str]) -> Iterator[Covered]:
    """What the table says, whether or not somebody could look."""
    for cover in probe.covers(facts.mounts().mountinfo, [probe.to_bytes(top) for top in tops if top]):
        if not cover.own:
            parent = probe.to_text(cover.parent)
            shown = table.showing(parent)
            yield Covered(probe.to_text(cover.point), parent, f"{shown.source} ({shown.fstype})" if shown else "")


OBSERVERS: Mapping[str, Observer] = {"mounts.shadowed_files": Observer(looks=_looks, see=hidden_below)}
