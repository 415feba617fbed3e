"""Mount sanity: is the state disk really mounted where the state lives? `interlock.observe.mounts` brings the table."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config.models import Site
from interlock.facts.mounts import Mount, StateDisk, is_below
from interlock.verdicts import Broken, Guardrail, Held, Severity, Subject, Unproven, When

ANONYMOUS_MAJOR = "0:"  # btrfs, overlay, NFS, tmpfs: the kernel makes the number up, it is not the block device's


def state_disks(site: Site) -> Sequence[Subject]:
    """The declared state disk."""
    return [Subject(name="state", host=site.mounts.state.host)] if site.mounts else []


def judge_state_disk(disk: StateDisk) -> Held | Broken | Unproven:
    """Held when the path shows the declared device, mounted at the declared mountpoint, with nothing over it."""
    if not disk.present:
        return Broken(f"{disk.path} does not exist", kind="absent", remedy=f"mount {disk.device} at {disk.mountpoint}")
    shown = disk.table.showing(disk.realpath)
    if shown is None:
        return Unproven("the mount table has no root mount", remedy="observe from the host's own mount namespace")
    remedy = f"stop the stack, look at `findmnt --target {disk.path}`, and mount {disk.device} at {disk.mountpoint}"
    for fault in (_wrong_mountpoint(disk, shown), _wrong_device(disk, shown), _wrong_file_system(disk, shown)):
        if fault is not None:
            return Broken(fault[1], kind=fault[0], remedy=remedy)
    if not _same_device_number(disk, shown):
        why = f"{disk.path} is on device {disk.device_seen}, the mount table says {shown.device_number}: the table changed while it was read"
        return Unproven(why, remedy="run it again")
    return Held(f"{disk.path} shows {shown}")


def _wrong_mountpoint(disk: StateDisk, shown: Mount) -> tuple[str, str] | None:
    """A state directory on its parent file system, or below a mount that was put over it."""
    if shown.mountpoint == disk.mountpoint_realpath:
        return None
    if not is_below(disk.realpath, disk.mountpoint_realpath):
        return "leads-elsewhere", f"{disk.path} leads to {disk.realpath}, out of {disk.mountpoint}, and shows {shown}"
    if len(shown.mountpoint) > len(disk.mountpoint_realpath):
        return "another-mount-below", f"{disk.path} shows {shown}, a second mount below {disk.mountpoint}"
    return "not-mounted", f"{disk.path} shows {shown}: nothing is mounted at {disk.mountpoint}, so the state is written to its parent's disk"


def _wrong_device(disk: StateDisk, shown: Mount) -> tuple[str, str] | None:
    declared = disk.names.path_of(disk.device)
    if declared is None:
        return "device-missing", f"{disk.path} shows {shown}; this host has no device {disk.device}"
    covered = [mount for mount in disk.table.stack_at(shown.mountpoint) if mount.id != shown.id]
    over = f", over {covered[-1].source}" if covered else ""
    if not _is_device(disk, shown, declared):
        return "covered" if any(
            _is_device(disk, mount, declared) for mount in covered
        ) else "wrong-device", f"{disk.path} shows {shown}{over}; expected {disk.device}"
    return None


def _is_device(disk: StateDisk, mount: Mount, declared: str) -> bool:
    """By number where the device has one: names lie (a mapper name, a renamed sdX), numbers do not."""
    number = disk.names.number_of(declared)
    if number is None:
        return mount.source == declared
    if mount.device_number.startswith(ANONYMOUS_MAJOR):
        return disk.names.number_of(mount.source) == number
    return mount.device_number == number


def _wrong_file_system(disk: StateDisk, shown: Mount) -> tuple[str, str] | None:
    if disk.fstype is None or shown.fstype == disk.fstype:
        return None
    return "wrong-file-system", f"{disk.path} shows {shown}; expected the file system {disk.fstype}"


def _same_device_number(disk: StateDisk, shown: Mount) -> bool:
    """stat and mountinfo agree; a btrfs subvolume has a number of its own."""
    return disk.device_seen == shown.device_number or (shown.fstype == "btrfs" and disk.device_seen.startswith(ANONYMOUS_MAJOR))


STATE_DISK = Guardrail(
    id="mounts.state_disk",
    title="the state directory shows the declared disk, not its parent's file system and not a mount over it",
    severity=Severity.CRITICAL,
    when=frozenset({When.PREFLIGHT, When.POSTFLIGHT}),
    rationale="A stack whose state disk is not mounted writes to a directory of the wrong disk without any error; the next mount hides what was written.",
    remedy="stop the stack, mount the declared disk, move what was written below the mountpoint, start the stack",
    subjects=state_disks,
    judge=judge_state_disk,
    max_age=300,
    never_waivable=True,
)
