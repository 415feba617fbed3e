"""Mount sanity: is each disk really mounted where the stack believes it is, and can it be written to? `interlock.observe.mounts` brings the table."""

from __future__ import annotations

import math
import posixpath
import shlex
from collections.abc import Iterator, Sequence
from typing import assert_never

from interlock.config.chain_subjects import chain_of, chain_subjects
from interlock.config.models import Site
from interlock.facts.mounts import BACKUPS, NOT_RECURSIVE, ChainLayout, Directories, HostLayout, Layout, Mount, WritablePlace, is_below
from interlock.facts.stack import Service, ServiceMount
from interlock.facts.state_dir import on_host
from interlock.judge import apply_paths
from interlock.judge.disk import declared, hidden, others, read_only, reboot, visible, writers
from interlock.judge.stack import volume_options
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short


def state_disks(site: Site) -> Sequence[Subject]:
    """The declared state disk."""
    return [Subject(name="state", host=site.mounts.state.host)] if site.mounts else []


def data_disks(site: Site) -> Sequence[Subject]:
    """The declared data disk, where there is one."""
    return [Subject(name="data", host=site.mounts.data.host)] if site.mounts and site.mounts.data else []


STATE_DISK = Guardrail(
    id="mounts.state_disk",
    title="the state directory shows the declared disk, not its parent's file system and not a mount over it",
    severity=Severity.CRITICAL,
    when=frozenset({When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A stack whose state disk is not mounted writes to a directory of the wrong disk without any error; the next mount hides what was written.",
    remedy="stop the stack, mount the declared disk, move what was written below the mountpoint, start the stack",
    subjects=state_disks,
    judge=declared.judge_disk,
    max_age=300,
    never_waivable=True,
)

DATA_DISK = Guardrail(
    id="mounts.data_disk",
    title="the data directory shows the declared disk, not its parent's file system and not a mount over it",
    severity=Severity.CRITICAL,
    when=frozenset({When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A stack whose data disk is not mounted fills its parent's disk without any error, and works with an empty data directory.",
    remedy="stop the stack, mount the declared disk, move what was written below the mountpoint, start the stack",
    subjects=data_disks,
    judge=declared.judge_disk,
    max_age=300,
    never_waivable=True,
)


HOST_LAYOUT = "layout"


def layouts(site: Site) -> Sequence[Subject]:
    """Every chain with the overlay of a layout, from files; and how the two disks lie on their host."""
    if site.mounts is None or site.mounts.data is None or site.mounts.layout is None:
        return []
    overlays = site.mounts.overlays
    found = [subject for subject in chain_subjects(site) if overlays.layouts_of(site.chains[chain_of(subject) or ""].files)]
    if site.mounts.state.host == site.mounts.data.host:  # on two hosts they can only lie beside each other
        found.append(Subject(name=HOST_LAYOUT, host=site.mounts.state.host, when=LIVE))
    return found


def judge_layout(layout: ChainLayout | HostLayout) -> Held | Broken | Unproven:
    """Held when the two directories lie to each other as declared, for the disks of the host and for every service that uses state."""
    return judge_chain(layout) if isinstance(layout, ChainLayout) else judge_host_layout(layout)


def judge_chain(chain: ChainLayout) -> Held | Broken | Unproven:
    """A chain follows the layout of its overlay; there is no chain with both, and the declared layout has one."""
    if len(chain.layouts) > 1:
        said = f"the chain {chain.chain} holds the overlays of both layouts: each puts the state disk where the other does not"
        return Broken(said, kind="both-overlays", remedy="keep the overlay of the layout that the host has")
    followed = chain.layouts[0]
    if followed is not chain.declared and not chain.declared_is_followed:
        said = f"the layout is declared {chain.declared}, and the chain {chain.chain} has the overlay of the {followed} one; no chain has that of the declared"
        return Broken(said, kind="other-layout", remedy=f"start the stack with the {chain.declared} overlay, or declare `layout: {followed}`")
    if not chain.users:
        return Unproven(f"no service of the chain {chain.chain} uses state", remedy="name the services that do in state_dir.services")
    return _judge_users(followed, chain.directories, chain.users)


def judge_host_layout(host: HostLayout) -> Held | Broken | Unproven:
    """The mountpoints as the mount table has them, and the binds of the containers that run."""
    for mountpoint in (host.state_mountpoint, host.data_mountpoint):
        if not host.table.stack_at(mountpoint):
            return Unproven(
                f"nothing is mounted at {mountpoint}, so there is no layout to see", remedy="mount the disk: see mounts.state_disk and mounts.data_disk"
            )
    if fault := _lies_otherwise(host):
        return fault
    lie = "is mounted below" if host.declared is Layout.NESTED else "is mounted beside"
    said = f"the state disk at {host.state_mountpoint} {lie} the data directory {host.data_path}"
    if host.users is None:
        return Held(said)
    if not host.users:
        return Held(f"{said}; no container runs that uses state and could be asked")
    judgement = _judge_users(host.declared, host.directories, host.users)
    return Held(f"{said}; {judgement.message}", judgement.details) if isinstance(judgement, Held) else judgement


def _lies_otherwise(host: HostLayout) -> Broken | None:
    """Told by the paths: a data disk that is the root disk is mounted above everything."""
    state, data = host.state_mountpoint, host.data_mountpoint
    if state == data:
        return Broken(f"state and data are on one mount, {state}", kind="one-mount", remedy="mount each disk at its own directory")
    match host.declared:
        case Layout.NESTED:
            if is_below(state, host.data_path):
                return None
            said = f"the layout is declared nested, and the state disk at {state} is not mounted below the data directory {host.data_path}"
            remedy = "mount the state disk below the data directory, or declare `layout: flat` and start the stack with its overlay"
            return Broken(said, kind="not-nested", remedy=remedy)
        case Layout.FLAT:
            paths = host.state_path, host.data_path
            if not is_below(*paths) and not is_below(*reversed(paths)):
                return None
            said = f"the layout is declared flat, and the state directory {host.state_path} and the data directory {host.data_path} lie one below the other"
            return Broken(said, kind="not-beside", remedy="stop the stack and mount the disks beside each other, or declare `layout: nested`")
        case _:
            assert_never(host.declared)


def _judge_users(layout: Layout, directories: Directories, users: Sequence[Service]) -> Held | Broken:
    """One detail for each service; the message counts them."""
    details = tuple(_user(layout, directories, user) for user in sorted(users, key=lambda user: user.name))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    match layout:
        case Layout.FLAT:
            said, remedy = "bind both", f"bind the state directory and {directories.data} in the flat overlay, and let the variable name the first"
        case Layout.NESTED:
            said = f"see {directories.state}" if directories.state else f"bind {directories.data}"
            remedy = f"bind {directories.data} in the nested overlay, and let the variable name the state directory below it"
        case _:
            assert_never(layout)
    counted = f"{len(details) - len(bad)} of {len(details)} services {said}"
    if not bad:
        return Held(counted, details)
    return Broken(f"{counted}: {in_short(bad)}", remedy=remedy, details=details)


def _user(layout: Layout, directories: Directories, user: Service) -> Detail:
    fault = _not_flat(directories, user) if layout is Layout.FLAT else _not_nested(directories, user)
    if fault is None:
        return Detail(what=user.name, outcome=Outcome.HELD, message=f"{user.name} sees the directories as the {layout} layout has them")
    return Detail(what=user.name, outcome=Outcome.BROKEN, kind=fault[0], message=f"{user.name} {fault[1]}")


def _not_flat(directories: Directories, user: Service) -> tuple[str, str] | None:
    state = [mount for mount in user.mounts if mount.source and directories.state and is_below(mount.source, directories.state)]
    data = [mount for mount in user.mounts if mount.source and is_below(mount.source, directories.data)]
    if not state or not data:
        beside = directories.state or f"a directory beside {directories.data}"
        lacking = [path for path, mounts in ((beside, state), (directories.data, data)) if not mounts]
        kind = "binds-neither" if len(lacking) > 1 else "data-not-bound" if state else "state-not-bound"
        return kind, f"does not bind {' nor '.join(lacking)}"
    nested = next((inner.target for inner in state for outer in data if inner.target != outer.target and is_below(inner.target, outer.target)), None)
    if nested is not None:
        return "state-below-data", f"has the state at {nested}, below its mount of the data disk"
    seen = _variable(directories, user)
    shown = user.mount_over(seen) if seen else None
    if shown in data:
        return "state-below-data", f"has {directories.variable}={seen}, which lies on its mount of the data disk"
    return None


def _not_nested(directories: Directories, user: Service) -> tuple[str, str] | None:
    seen = _variable(directories, user)
    if seen is None:
        wanted = directories.state or directories.data
        showing = [
            mount for mount in user.mounts if mount.source and (is_below(wanted, mount.source) or (directories.state and is_below(mount.source, wanted)))
        ]
        if not showing:
            return ("state-not-bound", f"has no mount that shows {wanted}") if directories.state else ("data-not-bound", f"does not bind {wanted}")
        return _hides_the_disk(directories, showing[0]) if all(_hides_the_disk(directories, mount) for mount in showing) else None
    shown = user.mount_over(seen)
    if shown is None:
        return "state-not-bound", f"has {directories.variable}={seen}, which no mount covers"
    outside = on_host(user, seen)
    if outside is None or not is_below(outside, directories.state):  # deeper down it is on the disk too
        return "state-elsewhere", f"has {directories.variable}={seen}, which is {outside or 'a volume of the engine'} on the host and not {directories.state}"
    return _hides_the_disk(directories, shown)


def _hides_the_disk(directories: Directories, mount: ServiceMount) -> tuple[str, str] | None:
    """A bind of a directory above the state disk that does not show the disk."""
    if mount.recursive != NOT_RECURSIVE or mount.top == directories.state:
        return None
    return "not-recursive", f"binds {mount.source} without what is mounted below it: its state goes to the data disk, under the state disk"


def _variable(directories: Directories, user: Service) -> str | None:
    """The absolute path that the variable gives a service; None when it says none (what that comes to, state_dir.services_agree judges)."""
    value = user.environment.get(directories.variable) or ""
    return posixpath.normpath("/" + value.lstrip("/")) if value.startswith("/") else None


LAYOUT = Guardrail(
    id="mounts.layout",
    title="state and data lie nested or flat as declared, and every service sees them so",
    severity=Severity.CRITICAL,
    when=frozenset({When.STATIC, When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A service that expects the other layout finds an empty directory where its state should be, and starts a second state on the data disk.",
    remedy="use the overlay of the layout that the host has, with both directories bound by every service",
    subjects=layouts,
    judge=judge_layout,
)


GROWS = 1.2  # how much larger than the newest backup the next one is allowed for
IMMUTABLE = "immutable"
READ_ONLY_FILE_SYSTEM = frozenset({"ro", "emergency_ro", "shutdown"})  # super options; the last two are what ext4 and xfs say after an error


def writable_places(site: Site) -> Sequence[Subject]:
    """The declared disks, and the backup directory of every module."""
    modules = [Subject(name=f"{name}{BACKUPS}", host=module.host) for name, module in site.modules.items()]
    return [*state_disks(site), *data_disks(site), *modules]


def judge_writable(place: WritablePlace) -> Held | Broken | Unproven:
    """Held when the mount and its file system are read-write, and enough bytes and inodes are free on it."""
    if not place.present or place.space is None:
        return Unproven(f"{place.path} does not exist: there is nothing to look at", remedy=f"create {place.path}, or correct the site file")
    shown = place.table.showing(place.realpath)
    if shown is None:
        return Unproven("the mount table has no root mount", remedy="observe from the host's own mount namespace")
    details = tuple(_writable_details(place, shown))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    said = "; ".join(detail.message for detail in bad or details)
    if not bad:
        return Held(f"{place.path} can be written to: {said}", details)
    remedies = {
        "read-only": f"look in `dmesg` why, repair the file system, and mount {shown.mountpoint} read-write",
        "space": f"make room on {shown.mountpoint}",
        IMMUTABLE: f"`chattr -i {shlex.quote(place.path)}`, where it was meant for the directory below the disk",
    }
    wanted = dict.fromkeys(remedies[IMMUTABLE if detail.kind == IMMUTABLE else "read-only" if detail.what == "mount" else "space"] for detail in bad)
    return Broken(f"{place.path} cannot take what will be written: {said}", remedy="; ".join(wanted), details=details)


def _writable_details(place: WritablePlace, shown: Mount) -> Iterator[Detail]:
    assert place.space is not None  # asked for a place that is there
    yield _read_write(place, shown)
    for_backup = math.ceil(place.newest.size * GROWS) if place.newest else 0
    because = "the next backup" if for_backup > place.min_free else "the site"
    yield _enough("bytes", place.space.bytes_free, max(for_backup, place.min_free), because, missing=_no_backup_yet(place))
    if place.space.inodes_total:  # btrfs and others do not count them
        files = place.newest.files if place.newest else 0
        yield _enough("inodes", place.space.inodes_free, max(files, place.min_free_inodes), "the next backup" if files > place.min_free_inodes else "the site")


def _no_backup_yet(place: WritablePlace) -> str:
    return "; no backup is there yet to tell how much the next one needs" if place.backups and place.newest is None else ""


def _read_write(place: WritablePlace, shown: Mount) -> Detail:
    assert place.space is not None  # asked for a place that is there
    if "ro" in shown.options:
        return Detail(what="mount", outcome=Outcome.BROKEN, kind="mounted-read-only", message=f"{shown} is mounted read-only")
    if READ_ONLY_FILE_SYSTEM.intersection(shown.super_options) or place.space.read_only:
        said = f"{shown} was mounted read-write, and its file system is read-only now"
        return Detail(what="mount", outcome=Outcome.BROKEN, kind="file-system-read-only", message=said)
    if place.space.immutable:
        return Detail(what="mount", outcome=Outcome.BROKEN, kind=IMMUTABLE, message=f"{place.path} is immutable: nobody can make a file in it (`lsattr -d`)")
    return Detail(what="mount", outcome=Outcome.HELD, message=f"{shown} is read-write")


def _enough(what: str, free: int, needed: int, who: str, *, missing: str = "") -> Detail:
    shown = f"{free:,} {what} are free" if what == "inodes" else f"{_size(free)} are free"
    wants = f"{needed:,}" if what == "inodes" else _size(needed)
    if free < max(needed, 1):
        return Detail(
            what=what, outcome=Outcome.BROKEN, kind=f"too-few-{what}", message=f"{shown}, and {who} needs {wants}" if needed else f"no {what} are free"
        )
    return Detail(what=what, outcome=Outcome.HELD, message=(f"{shown}, and {who} needs {wants}" if needed else shown) + missing)


def _size(count: int) -> str:
    """`3.2 GiB`, as df -h counts."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
        size /= 1024
    return f"{size:.1f} TiB"


WRITABLE = Guardrail(
    id="mounts.writable",
    title="what will be written to can be written to, and has room for it",
    severity=Severity.CRITICAL,
    when=frozenset({When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A disk that went read-only after an error, or is full, lets a backup or a migration fail half way: the worst moment to find out.",
    remedy="make room, or repair the file system and mount it read-write",
    subjects=writable_places,
    judge=judge_writable,
)

# What the options of named volumes do to a disk lies in `interlock.judge.stack`.
DRIVER_OPTS_IMMUTABLE = volume_options.DRIVER_OPTS_IMMUTABLE
PROPAGATION = volume_options.PROPAGATION
NESTED_VISIBLE = visible.NESTED_VISIBLE  # in `interlock.judge.disk.visible`
READ_ONLY_IS_READ_ONLY = read_only.READ_ONLY_IS_READ_ONLY  # in `interlock.judge.disk.read_only`
OTHERS = others.OTHERS  # in `interlock.judge.disk.others`
FSTAB = reboot.FSTAB  # in `interlock.judge.disk.reboot`
SHADOWED_FILES = hidden.SHADOWED_FILES
TWO_WRITERS = writers.TWO_WRITERS
STATE_DISK_GATE = apply_paths.STATE_DISK_GATE  # in `interlock.judge.apply_paths`
