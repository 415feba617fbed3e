"""Does every running container see the disks of its host? A disk that is mounted below a bound directory is easily hidden: by a bind that leaves out what is
mounted below it, or by a container that is older than the mount. `interlock.facts.container_mounts` tells what a path inside really shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from interlock.config.models import Site
from interlock.facts.container_mounts import (
    WHOLE_HOST,
    Expected,
    HostPlace,
    HostStack,
    SeenContainer,
    Shows,
    Sight,
    expected,
    sight,
    sights,
    spot,
    spot_in,
)
from interlock.facts.mounts import NOT_RECURSIVE, Mount, is_below
from interlock.facts.stack import Service, ServiceMount
from interlock.judge.disk.declared import ANONYMOUS_MAJOR, is_device
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, in_short

RUNNING = "running"
ROOT = "/"  # the mount of a container that is its image


def engine_hosts(site: Site) -> Sequence[Subject]:
    """What runs on each host with a declared disk, where the host names its engine."""
    if site.mounts is None:
        return []
    hosts = dict.fromkeys(disk.host for disk in (site.mounts.state, site.mounts.data) if disk is not None)
    return [Subject(name=RUNNING, host=host, when=LIVE) for host in hosts if site.host(host).engine]


class Fault(StrEnum):
    """In which way a container does not see what the host has. The word is the detail's kind."""

    NESTED_HIDDEN = "nested-hidden"
    MOUNTED_AFTER = "mounted-after"
    UNMOUNTED_BEHIND = "unmounted-behind"
    ANOTHER_DEVICE = "another-device"
    IN_THE_IMAGE = "in-the-image"
    DELETED = "deleted"
    WOULD_HIDE = "would-hide"


_REMEDIES: Mapping[Fault, str] = {
    Fault.NESTED_HIDDEN: "stop the stack, bind the directory in the services themselves (`volumes: [/data:/data]`) or make the volume anew with `o: rbind`,"
    " and move what was written under the disk",
    Fault.MOUNTED_AFTER: "stop all containers that bind the directory, move what they wrote under the disk, and start them again: a bind is made at the start",
    Fault.UNMOUNTED_BEHIND: "stop the containers before the disk is mounted again, and do not restart one before: it would write to the directory under it",
    Fault.ANOTHER_DEVICE: "stop the stack, mount the declared disk, and start the stack again",
    Fault.IN_THE_IMAGE: "bind the state directory into the service, and copy out what it has written (`docker cp`) before the container is made anew",
    Fault.DELETED: "copy out what the container has written (`docker cp`), and start it again: it holds a directory that was removed",
    Fault.WOULD_HIDE: "bind the directory in the services themselves (`volumes: [/data:/data]`), or make the volume anew with `o: rbind`",
}
_COULD_NOT_SEE = "set `become: sudo -n` for this host, or compare by hand: `stat -c %d` of the path on the host and `docker exec CONTAINER stat -c %d` inside"


class _Found(NamedTuple):
    """One detail of one container, about one place of the host."""

    place: str
    who: str
    detail: Detail
    fault: Fault | None = None


def judge_visible(stack: HostStack) -> Held | Broken | Unproven:
    """Held when every running container that shows a declared disk, or uses state, shows what the host does; while none of them runs, when none would hide it."""
    found = tuple(one for container in stack.containers for one in _container(stack, container))
    if not found:
        return _judge_down(stack)
    return _settled(stack.places, found, "see")


def _settled(places: Sequence[HostPlace], found: Sequence[_Found], sees: str) -> Held | Broken | Unproven:
    """The message counts the services for each disk."""
    details = tuple(one.detail for one in found)
    counted = ", ".join(_counted(place.holds, [one for one in found if one.place == place.holds], sees) for place in places)
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    counted = counted.replace(", ,", ",").strip(", ")
    if not bad:
        return Held(counted, details)
    broken = [detail for detail in bad if detail.outcome is Outcome.BROKEN]
    if not broken:
        return Unproven(f"{counted}: {in_short(bad)}", remedy=_COULD_NOT_SEE, details=details)
    remedies = dict.fromkeys(_REMEDIES[one.fault] for one in found if one.fault is not None)
    return Broken(f"{counted}: {in_short(broken)}", remedy="; ".join(remedies), details=details)
