"""Is what containers bind read-only really read-only, with all that is mounted below it? Docker before 25, and a kernel before 5.12, leave that writable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from interlock.facts.container_mounts import WHOLE_HOST, ChainOnHost, HostStack, SeenContainer, of_the_engine, spot_in
from interlock.facts.engine_generations import nested_read_only
from interlock.facts.mount_tables import Mount, MountTable, is_below
from interlock.facts.mounts import NOT_RECURSIVE
from interlock.facts.stack import Service, ServiceMount
from interlock.judge.disk.visible import engine_hosts
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, in_short

KERNELS_OWN = frozenset(
    (
        *("proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "devtmpfs", "securityfs", "debugfs", "tracefs", "bpf", "pstore", "configfs"),
        *("fusectl", "binfmt_misc", "hugetlbfs", "efivarfs", "autofs", "rpc_pipefs", "selinuxfs", "ramfs"),
    )
)
READ_ONLY_REMEDY = "update the engine to 25 or newer on a kernel from 5.12 on, or bind what is mounted below with `:ro` too, at its own path"


def judge_read_only(stack: HostStack) -> Held | Broken | Unproven:
    """Held when nothing below a read-only mount of a running container can be written to; of what would be started, when the engine would make it so."""
    running = (detail for container in stack.containers for detail in _container(stack, container))
    would = (detail for chain in stack.chains for service in chain.services for detail in _would(stack, chain, service))
    details = (*running, *would)
    bad = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not details:
        return _nothing(stack)
    counted = f"{len(details) - len(bad)} of {len(details)} read-only mounts are read-only with all that is mounted below them"
    if not bad:
        return Held(counted, details)
    broken = [detail for detail in bad if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(in_short(broken), remedy=READ_ONLY_REMEDY, details=details)
    said = f"nobody can tell whether {len(bad)} of {len(details)} read-only mounts are read-only with all that is mounted below them: {in_short(bad)}"
    return Unproven(said, remedy=_look_yourself(stack), details=details)


def _look_yourself(stack: HostStack) -> str:
    """The first container that nobody could see; where all were seen, what would be started by an unknown version."""
    unseen = next((one.container for one in stack.containers if one.table is None and any(_read_only_mounts(one))), None)
    if unseen is None:
        return "start the stack, and run it again: of what runs it can be seen"
    if not unseen.closed:
        return f"look by hand: `docker exec {unseen.name} cat /proc/self/mountinfo`"
    look = f"`sudo cat /proc/$(docker inspect -f '{{{{.State.Pid}}}}' {unseen.name})/mountinfo`"
    return f"set `become: sudo -n` for this host; or look yourself: {look}: each line at or below the mount must say `ro`"


def _nothing(stack: HostStack) -> Held | Unproven:
    if stack.containers:
        return Held(f"none of the {len(stack.containers)} containers that run on {stack.host} has a read-only mount")
    if stack.chains:
        return Held(f"no container runs on {stack.host}, and no service of {', '.join(chain.chain for chain in stack.chains)} has a read-only mount")
    return Unproven(f"no container runs on {stack.host}", remedy="start the stack, or name its compose files in `compose:`")


# ---- what runs


def _container(stack: HostStack, container: SeenContainer) -> Iterator[Detail]:
    for mount in _read_only_mounts(container):
        yield from _mount(stack, container, mount)


def _read_only_mounts(container: SeenContainer) -> Iterator[ServiceMount]:
    return (mount for mount in container.service.mounts if mount.read_only and mount.kind != "tmpfs")


def _mount(stack: HostStack, container: SeenContainer, mount: ServiceMount) -> Iterator[Detail]:
    what = f"{container.who} {mount.target}"
    if container.table is None:
        message = f"nobody could see what is mounted below {mount.target} of {container.who}: {container.unseen}"
        yield Detail(what=what, outcome=Outcome.UNPROVEN, kind="could-not-look", message=message)
        return
    writable = [one for one in _at_or_below(container.table, mount.target) if not one.read_only and _counts(stack, container.service, mount, one)]
    for one in writable:
        if one.mountpoint == mount.target:
            kind, said = "not-read-only", f"{container.who} has {mount.target} read-only, and can write to it: {one}"
        else:
            kind, said = "writable-below", f"{container.who} has {mount.target} read-only, and can write to what is mounted below: {one}"
        yield Detail(what=f"{container.who} {one.mountpoint}", outcome=Outcome.BROKEN, kind=kind, message=said)
    if not writable:
        yield Detail(what=what, outcome=Outcome.HELD, message=f"{container.who} can only read {mount.target} and what is mounted below")


def _at_or_below(table: MountTable, path: str) -> Iterator[Mount]:
    """The visible mounts at a path and below it, each mountpoint once."""
    seen = {mount.mountpoint: table.showing(mount.mountpoint) for mount in table.mounts if is_below(mount.mountpoint, path)}
    return (mount for mountpoint, mount in sorted(seen.items()) if mount is not None and mount.mountpoint == mountpoint)


def _counts(stack: HostStack, service: Service, read_only: ServiceMount, mount: Mount) -> bool:
    """Whether a mount below a read-only one should be read-only too: not what the service was given to write to, nor what the kernel and the engine keep for
    themselves; of a bind of the whole host the declared disks alone."""
    if mount.mountpoint != read_only.target:
        if (mount.fstype in KERNELS_OWN or of_the_engine(mount, stack.engine)) and not _is_declared(stack, mount):
            return False
        if service.mount_over(mount.mountpoint) != read_only:
            return False  # judged by itself, where it is read-only
    if read_only.source == WHOLE_HOST:
        outside = f"/{mount.mountpoint.removeprefix(read_only.target.rstrip('/')).strip('/')}"
        return any(place.shown is not None and place.shown.mountpoint == outside for place in stack.places)
    return True


def _is_declared(stack: HostStack, mount: Mount) -> bool:
    """Whether it shows a declared disk, which may be an overlay."""
    return any(place.right is not None and spot_in(mount, mount.mountpoint).is_within(place.right) for place in stack.places)


# ---- what would be started


def _would(stack: HostStack, chain: ChainOnHost, service: Service) -> Iterator[Detail]:
    """From the model and the host's own mounts, for an engine that leaves what is mounted below a read-only bind as it is."""
    for mount in service.mounts:
        if not mount.read_only or not mount.source:
            continue
        what = f"{chain.chain} {service.name} {mount.target}"
        left_out = mount.recursive == NOT_RECURSIVE
        below = () if left_out else tuple(one for one in _below_on_host(stack.table, mount) if _counts(stack, service, mount, one))
        made_so = nested_read_only(stack.engine, compose=stack.compose)
        named = ", ".join(f"{one.source} at {one.mountpoint}" for one in below)
        if below and made_so is False:
            message = f"{service.name} of the chain {chain.chain} would have {mount.target} read-only, and could write to what is mounted below: {named}"
            yield Detail(what=what, outcome=Outcome.BROKEN, kind="would-be-writable", message=message)
        elif below and made_so is None:
            who = f"{service.name} of the chain {chain.chain}"
            message = f"nobody can tell whether {who} could write below its read-only {mount.target}, to {named}: {_versions(stack)}"
            yield Detail(what=what, outcome=Outcome.UNPROVEN, kind="unknown-version", message=message)
        else:
            message = f"{service.name} of the chain {chain.chain} would only read {mount.target} and what is mounted below"
            yield Detail(what=what, outcome=Outcome.HELD, message=message)


def _below_on_host(table: MountTable, mount: ServiceMount) -> Iterator[Mount]:
    """The writable mounts below the source of a bind, at the paths inside that they would get."""
    for one in _at_or_below(table, mount.source):
        if one.mountpoint != mount.source and not one.read_only:
            rest = one.mountpoint.removeprefix(mount.source.rstrip("/")).strip("/")
            yield replace(one, mountpoint=f"{mount.target.rstrip('/')}/{rest}")


def _versions(stack: HostStack) -> str:
    return f"the engine is {stack.engine.version}, its kernel {stack.engine.kernel}, docker compose {stack.compose}"


READ_ONLY_IS_READ_ONLY = Guardrail(
    id="mounts.read_only_is_read_only",
    title="what containers mount read-only is read-only with all that is mounted below it",
    severity=Severity.HIGH,
    when=LIVE,
    rationale="Docker before 25 makes the bound directory read-only, and not the disk mounted below it: whoever should only read can write to the state.",
    remedy=READ_ONLY_REMEDY,
    subjects=engine_hosts,
    judge=judge_read_only,
)
