"""Does every running container see the disks of its host? A disk that is mounted below a bound directory is easily hidden: by a bind that leaves out what is
mounted below it, or by a container that is older than the mount. `interlock.facts.container_mounts` tells what a path inside really shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, assert_never

from interlock.config.models import Site
from interlock.facts.container_mounts import (
    STATE,
    ChainOnHost,
    HostPlace,
    HostStack,
    Seen,
    SeenContainer,
    Shows,
    Sight,
    expected,
    is_unknown,
    of_the_engine,
    paths,
)
from interlock.facts.engine import Container
from interlock.facts.mounts import NOT_RECURSIVE, Mount, is_below
from interlock.facts.stack import Service, ServiceMount
from interlock.judge.disk.declared import ANONYMOUS_MAJOR, NOT_TRIGGERED, is_device
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
    Fault.NESTED_HIDDEN: "stop the stack, bind the directory in the services themselves (`volumes: [/data:/data]`) or make the volume anew with"
    " `o: rbind,rslave`, and move what was written under the disk",
    Fault.MOUNTED_AFTER: "stop all containers that bind the directory, move what they wrote under the disk, and start them again: a bind is made at the start",
    Fault.UNMOUNTED_BEHIND: "stop the containers before the disk is mounted again, and do not restart one before: it would write to the directory under it",
    Fault.ANOTHER_DEVICE: "stop the stack, mount the declared disk, and start the stack again",
    Fault.IN_THE_IMAGE: "bind the state directory into the service, and copy out what it has written (`docker cp`) before the container is made anew",
    Fault.DELETED: "copy out what the container has written (`docker cp`), and start it again: it holds a directory that was removed",
    Fault.WOULD_HIDE: "bind the directory in the services themselves (`volumes: [/data:/data]`), or make the volume anew with `o: rbind,rslave`",
}
_BECOME = "set `become: sudo -n` for this host"
_ENTER = "enter the directory on the host (`ls`), observe from its own mount namespace, and run it again"
_AGAIN = "run it again"


class _Found(NamedTuple):
    """One detail of one container, about one place of the host."""

    place: str
    who: str
    detail: Detail
    remedy: str = ""
    by_hand: str = ""  # of many such lines the first is told: it says how to write the others


def judge_visible(stack: HostStack) -> Held | Broken | Unproven:
    """Held when every running container that shows a declared disk, or uses state, shows what the host does; while none runs, when none would hide a disk."""
    found = tuple(one for container in stack.containers for one in _container(stack, container))
    if not found:
        return _judge_down(stack)
    return _settled(stack.places, found, "see")


def _settled(places: Sequence[HostPlace], found: Sequence[_Found], sees: str) -> Held | Broken | Unproven:
    """The message counts the services for each disk: of what could not be told those that nobody could tell of."""
    details = tuple(one.detail for one in found)
    counted = ", ".join(said for place in places for said in (_counted(place.holds, found, sees),) if said)
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not bad:
        return Held(counted, details)
    broken = [detail for detail in bad if detail.outcome is Outcome.BROKEN]
    if not broken:
        untold = " and ".join(said for place in places for said in (_untold_of(place.holds, found, sees),) if said)
        return Unproven(f"nobody can tell whether {untold}: {in_short(bad)}", remedy=_remedy(found, Outcome.UNPROVEN), details=details)
    return Broken(f"{counted}: {in_short(broken)}", remedy=_remedy(found, Outcome.BROKEN), details=details)


def _remedy(found: Sequence[_Found], outcome: Outcome) -> str:
    mine = [one for one in found if one.detail.outcome is outcome]
    by_hand = next((one.by_hand for one in mine if one.by_hand), "")
    return "; ".join(filter(None, (*dict.fromkeys(one.remedy for one in mine), by_hand)))


def _counted(holds: str, found: Sequence[_Found], sees: str) -> str:
    """`5 of 6 services see the state disk`; empty where no service has to do with it."""
    every, bad = _services(holds, found)
    return f"{len(every) - len(bad)} of {len(every)} services {sees} the {holds} disk" if every else ""


def _untold_of(holds: str, found: Sequence[_Found], sees: str) -> str:
    every, bad = _services(holds, found)
    return f"{len(bad)} of {len(every)} services {sees} the {holds} disk" if bad else ""


def _services(holds: str, found: Sequence[_Found]) -> tuple[set[str], set[str]]:
    """All that have to do with a disk, and those of which it does not hold."""
    mine = [one for one in found if one.place == holds]
    return {one.who for one in mine}, {one.who for one in mine if one.detail.outcome is not Outcome.HELD}


# ---- what runs


def _container(stack: HostStack, container: SeenContainer) -> Iterator[_Found]:
    if container.table is None:
        yield from _unseen(stack, container)
        return
    found: dict[str, _Found] = {}
    for place in stack.places:
        for one in _place(stack, container, place):
            before = found.get(one.detail.what)
            if before is None or (before.detail.outcome is Outcome.HELD and one.detail.outcome is not Outcome.HELD):
                found[one.detail.what] = one
    yield from found.values()


def _unseen(stack: HostStack, container: SeenContainer) -> Iterator[_Found]:
    """One detail for each disk that the container has to do with, by what it was asked for."""
    for place in stack.places:
        asked = next(expected(place, container.service, stack.table), None)
        inside = container.state if place.holds == STATE and container.state else asked.inside if asked else ""
        if inside:
            message = f"nobody could see what {container.who} sees of the {place.holds} disk: {container.unseen}"
            detail = Detail(what=f"{container.who} {place.path}", outcome=Outcome.UNPROVEN, kind="could-not-look", message=message)
            yield _Found(place.holds, container.who, detail, _BECOME if container.container.closed else "", _look_yourself(container.container, place, inside))


def _look_yourself(container: Container, place: HostPlace, inside: str) -> str:
    """Through the process where only the right to is missing, which takes no tool in the image; where that process is a sandbox, in the container."""
    there = shlex.quote(place.path)
    if container.closed:
        process = f"/proc/$(docker inspect -f '{{{{.State.Pid}}}}' {container.name})/root"
        command = f"`sudo stat -L -c %d {there} {process}{shlex.quote(inside)}`"
        return f"or look yourself: {command} prints one number twice where {container.name} sees the {place.holds} disk"
    return f"compare by hand: `stat -L -c %d {there}` on the host and `docker exec {container.name} stat -L -c %d {shlex.quote(inside)}`"


def _place(stack: HostStack, container: SeenContainer, place: HostPlace) -> Iterator[_Found]:
    """What a container sees of one place, by every path that leads there, was asked to, or is where it has its state."""
    seen = paths(stack, container, place)
    if seen and (untold := _untold(stack, place)):
        yield _untellable(place, container, place.path, f"what {container.who} sees of the {place.holds} disk cannot be told: {untold}", _ENTER)
        return
    yield from _behind(stack, container, place)
    for one in seen:
        yield _sight(container, place, one)


def _untold(stack: HostStack, place: HostPlace) -> str:
    """Why nobody can tell what the host shows at a place; empty where that can be told."""
    if place.shown is None:
        return f"the mount table of {stack.host} does not tell what {place.path} shows"
    return f"the disk at {place.path} is mounted when somebody first enters it, and nobody has" if place.shown.fstype == NOT_TRIGGERED else ""


def _behind(stack: HostStack, container: SeenContainer, place: HostPlace) -> Iterator[_Found]:
    """The declared disk in a container, of a host that does not have it mounted any more."""
    assert container.table is not None  # asked for one that was seen
    if place.disk is None or _on_its_disk(place) or any(_is_disk(place, mount) and not of_the_engine(mount, stack.engine) for mount in stack.table.mounts):
        return
    for mount in container.table.mounts:
        if _is_disk(place, mount) and container.table.showing(mount.mountpoint) == mount and container.service.mount_over(mount.mountpoint) is not None:
            message = (
                f"{container.who} still has {place.disk.device} at {mount.mountpoint}, and the host has unmounted it: what it writes goes to a disk that nobody"
                f" else sees, and after a restart to {_on(place.shown)}"
            )
            yield _broken(place, container, mount.mountpoint, Fault.UNMOUNTED_BEHIND, message)


def _on_its_disk(place: HostPlace) -> bool:
    """Whether the host shows the declared disk there; true where none is declared."""
    return place.disk is None or (place.shown is not None and _is_disk(place, place.shown))


def _is_disk(place: HostPlace, mount: Mount) -> bool:
    """By the declared name itself where the host has it in no list of devices: one that is not mounted, and has no link."""
    if place.disk is None:
        return False
    declared = place.disk.names.path_of(place.disk.device) or (place.disk.device if place.disk.device.startswith("/") else None)
    return declared is not None and is_device(place.disk, mount, declared)


def _sight(container: SeenContainer, place: HostPlace, seen: Seen) -> _Found:
    """What is to be said of one path."""
    found = seen.sight
    if found is None:
        return _untellable(
            place,
            container,
            seen.inside,
            f"the mount table of {container.who} does not tell what {seen.inside} shows",
            _look_yourself(container.container, place, seen.inside),
        )
    if changed := _changed(container, found):
        return _untellable(place, container, seen.inside, changed, _AGAIN)
    match found.shows:
        case Shows.RIGHT:
            return _right(container, place, found)
        case Shows.HIDDEN:
            return _hidden(container, place, found)
        case Shows.DELETED:
            said = f"{container.who} has at {found.inside} a directory of {found.mount.source} that was removed since: what it writes is lost with it"
            return _broken(place, container, found.inside, Fault.DELETED, said)
        case Shows.ELSEWHERE:
            return _elsewhere(container, place, found)
        case _:
            assert_never(found.shows)


def _changed(container: SeenContainer, seen: Sight) -> str:
    """Table and stat say different things; a btrfs subvolume has a number of its own."""
    place = container.view.places.get(seen.inside) if container.view else None
    if place is None or not place.present or place.error or place.leads not in ("", seen.inside) or place.device in ("", seen.mount.device_number):
        return ""
    if seen.mount.fstype == "btrfs" and place.device.startswith(ANONYMOUS_MAJOR):
        return ""
    return f"{seen.inside} of {container.who} is on device {place.device}, its mount table says {seen.mount.device_number}: the table changed while it was read"


def _right(container: SeenContainer, place: HostPlace, seen: Sight) -> _Found:
    if _on_its_disk(place):
        message = f"{container.who} sees the {place.holds} disk at {seen.inside}"
        return _Found(place.holds, container.who, Detail(what=f"{container.who} {seen.inside}", outcome=Outcome.HELD, message=message))
    assert place.disk is not None  # only a declared one can be missing
    said = f"{container.who} has at {seen.inside} what the host shows at {place.path}, {_on(place.shown)}: {place.disk.device} is not mounted there"
    return _broken(place, container, seen.inside, Fault.ANOTHER_DEVICE, said)


def _hidden(container: SeenContainer, place: HostPlace, seen: Sight) -> _Found:
    """Hidden by the way in which the directory was bound, or by its age: only a bind of a directory above the disk can leave it out."""
    mount = container.service.mount_over(seen.inside)
    said = f"{container.who} sees at {seen.inside} a directory of {seen.mount.source} that the {place.holds} disk covers on the host"
    if mount is not None and (mount.recursive != NOT_RECURSIVE or place.below(mount.top) in ("", None)):
        why = f"{_bound(mount)} is older than the mount of the disk"
        return _broken(place, container, seen.inside, Fault.MOUNTED_AFTER, f"{said}: {why}")
    why = f"{_bound(mount)} leaves out what is mounted below it" if mount is not None else "no mount that it was given shows the disk"
    return _broken(place, container, seen.inside, Fault.NESTED_HIDDEN, f"{said}: {why}")


def _bound(mount: ServiceMount) -> str:
    kind = "volume" if mount.kind == "volume" else "bind"
    return f"its {kind} of {mount.source}" if mount.source else f"its {kind} at {mount.target}"


def _elsewhere(container: SeenContainer, place: HostPlace, seen: Sight) -> _Found:
    if seen.mount.mountpoint == ROOT:
        said = f"{container.who} has {seen.inside} in its own image, on no mount: its state goes with the container"
        return _broken(place, container, seen.inside, Fault.IN_THE_IMAGE, said)
    said = f"{container.who} has at {seen.inside} {_on(seen.mount)}, and the host has {_on(place.shown)} at {place.path}"
    return _broken(place, container, seen.inside, Fault.ANOTHER_DEVICE, said)


def _on(mount: Mount | None) -> str:
    if mount is None:
        return "nothing"
    shown = "" if mount.root == "/" else f", its directory {mount.root}"
    return f"{mount.source} ({mount.fstype}{shown})"


def _untellable(place: HostPlace, container: SeenContainer, inside: str, message: str, remedy: str) -> _Found:
    detail = Detail(what=f"{container.who} {inside}", outcome=Outcome.UNPROVEN, kind="could-not-look", message=message)
    return _Found(place.holds, container.who, detail, remedy)


def _broken(place: HostPlace, container: SeenContainer, inside: str, fault: Fault, message: str) -> _Found:
    detail = Detail(what=f"{container.who} {inside}", outcome=Outcome.BROKEN, kind=fault, message=message)
    return _Found(place.holds, container.who, detail, _REMEDIES[fault])


# ---- what would be started


def _judge_down(stack: HostStack) -> Held | Broken | Unproven:
    """Nothing runs that shows the disks: the chains say what would, with the volumes that the engine has already as they were made."""
    disks = " and ".join(f"{place.holds} disk" for place in stack.places)
    if not stack.chains:
        said = f"no container of {stack.host} shows the {disks}"
        if stack.containers:
            return Held(f"{said}, of {len(stack.containers)} that run")
        return Unproven(f"{said}, for none runs", remedy="start the stack, or name its compose files in `compose:`, so that can be told what would be started")
    services = [(chain, service) for chain in stack.chains for service in chain.services]
    unknown = [one for chain, service in services for one in _unknown(chain, service)]
    found = (*unknown, *(one for chain, service in services for place in stack.places for one in _would(chain.chain, service, place, stack)))
    if not found:
        names = ", ".join(chain.chain for chain in stack.chains)
        return Held(f"no container of {stack.host} shows the {disks}, and no service of {names} binds a directory that has to do with them")
    return _settled(stack.places, found, "would see")


def _unknown(chain: ChainOnHost, service: Service) -> Iterator[_Found]:
    """Mounts of which nobody can tell what they would show."""
    said = {mount.target: mount.source for mount in chain.stack.services[service.name].mounts if mount.kind == "volume"}
    for mount in service.mounts:
        what = f"{chain.chain} {service.name} {mount.target}"
        named = f"{service.name} of the chain {chain.chain}"
        among = chain.unclear.get(said.get(mount.target, ""), ())
        if is_unknown(mount.source):
            message = f"{named} binds a directory at {mount.target} that is made of variables without a value here"
            remedy = "give the variables values in the env files of the chain"
        elif among:
            message = f"{named} would have at {mount.target} a volume that may be any of {', '.join(among)}: nobody can tell what its project is called here"
            remedy = "name the directory in which the stack is started as an instance of the site"
        else:
            continue
        yield _Found(STATE, service.name, Detail(what=what, outcome=Outcome.UNPROVEN, kind="no-value" if not among else "ambiguous", message=message), remedy)


def _would(chain: str, service: Service, place: HostPlace, stack: HostStack) -> Iterator[_Found]:
    for one in expected(place, service, stack.table):
        what = f"{chain} {service.name} {one.inside}"
        if not one.part and one.mount.recursive == NOT_RECURSIVE and _mounted_below(one.mount.top, place):
            message = (
                f"{service.name} of the chain {chain} would see at {one.inside} what the {place.holds} disk covers:"
                f" {_bound(one.mount)} leaves out what is mounted below it"
            )
            detail = Detail(what=what, outcome=Outcome.BROKEN, kind=Fault.WOULD_HIDE, message=message)
            yield _Found(place.holds, service.name, detail, _REMEDIES[Fault.WOULD_HIDE])
        else:
            message = f"{service.name} of the chain {chain} would see the {place.holds} disk at {one.inside}"
            yield _Found(place.holds, service.name, Detail(what=what, outcome=Outcome.HELD, message=message))


def _mounted_below(source: str, place: HostPlace) -> bool:
    """Whether the disk of a place is mounted below a directory, by what the site says and by what the host shows."""
    mountpoints = {place.disk.mountpoint, place.disk.mountpoint_realpath} if place.disk else {place.shown.mountpoint} if place.shown else set()
    return any(is_below(mountpoint, source) and mountpoint != source for mountpoint in mountpoints if mountpoint)


NESTED_VISIBLE = Guardrail(
    id="mounts.nested_visible",
    title="every running container sees the declared disks as the host does, also where one is mounted below the other",
    severity=Severity.CRITICAL,
    when=LIVE,
    rationale="A container that does not see the disk mounted below the directory that it binds writes its state under that disk, where nobody else sees it.",
    remedy="bind the directories in the services themselves, and start the containers after the disks are mounted",
    subjects=engine_hosts,
    judge=judge_visible,
    never_waivable=True,
)
