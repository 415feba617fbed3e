"""Does a path show the disk that the site declares for it? Of the state disk, the data disk, and the other mounts that name a device."""

from __future__ import annotations

from interlock.facts.mount_units import MADE_AT_BOOT
from interlock.facts.mounts import DeclaredDisk, Mount, is_below
from interlock.verdicts import Broken, Held, Unproven

ANONYMOUS_MAJOR = "0:"  # btrfs, overlay, NFS, tmpfs: the kernel makes the number up, it is not the block device's
NOT_TRIGGERED = "autofs"  # its file system is mounted over it when somebody enters


def judge_disk(disk: DeclaredDisk) -> Held | Broken | Unproven:
    """Held when the path shows the declared device, mounted at the declared mountpoint, with nothing over it."""
    if not disk.present:
        return Broken(f"{disk.path} does not exist", kind="absent", remedy=f"mount {disk.device} at {disk.mountpoint}")
    if not disk.device_seen:
        return Broken(f"{disk.path} is a link to {disk.realpath}, which does not exist", kind="absent", remedy=f"mount {disk.device} at {disk.mountpoint}")
    shown = disk.table.showing(disk.realpath)
    if shown is None:
        why = f"the mount table does not tell which mount {disk.realpath} shows: it is that of a chroot, or it changed while it was read"
        return Unproven(why, remedy="observe from the host's own mount namespace, and run it again")
    if shown.fstype == NOT_TRIGGERED:
        why = f"{disk.path} shows {shown}: the disk is mounted when somebody first enters it, and until then nobody has seen which one comes"
        return Unproven(why, remedy=f"enter it (`ls {disk.mountpoint}/`), and run it again")
    remedy = f"stop the stack, look at `findmnt --target {disk.path}`, and mount {disk.device} at {disk.mountpoint}"
    for judge in (_wrong_mountpoint, _wrong_device, _source_deleted, _wrong_subvolume, _over_its_own_disk, _wrong_file_system):
        if fault := judge(disk, shown):
            return Broken(fault[1], kind=fault[0], remedy=remedy)
    if disk.names.says_nothing_of(disk.device):
        why = f"{_path(disk)} shows {shown}, and this host tells no device by its label or UUID (no /dev/disk, which udev makes): it may be {disk.device}"
        return Unproven(why, remedy=f"look at `sudo blkid {shown.source}`, and write the device's path into the site file, or let udev run there")
    if not _same_device_number(disk, shown):
        why = f"{disk.path} is on device {disk.device_seen}, the mount table says {shown.device_number}: the table changed while it was read"
        return Unproven(why, remedy="run it again")
    return Held(f"{_path(disk)} shows {shown}{_over(disk, shown)}")


def _path(disk: DeclaredDisk) -> str:
    return disk.path if disk.realpath == disk.path else f"{disk.path}, which leads to {disk.realpath},"


def _over(disk: DeclaredDisk, shown: Mount) -> str:
    """How many are mounted at the same place below the one that is shown; the one that triggered it counts for nothing."""
    count = len(_others(disk, shown))
    return f", the topmost of {count + 1} mounts there" if count else ""


def _others(disk: DeclaredDisk, shown: Mount) -> list[Mount]:
    """Those under the one that is shown. What is mounted over the root directory lies on it, and is entered by nobody."""
    if shown.mountpoint == "/":
        return []
    return [mount for mount in disk.table.stack_at(shown.mountpoint) if mount.id != shown.id and mount.fstype != NOT_TRIGGERED]


def _wrong_mountpoint(disk: DeclaredDisk, shown: Mount) -> tuple[str, str] | None:
    """A directory on its parent's file system, or below a mount that was put over it."""
    if shown.mountpoint == disk.mountpoint_realpath:
        return None
    if not is_below(disk.realpath, disk.mountpoint_realpath):
        return "leads-elsewhere", f"{disk.path} leads to {disk.realpath}, out of {disk.mountpoint}, and shows {shown}"
    if len(shown.mountpoint) > len(disk.mountpoint_realpath):
        return "another-mount-below", f"{disk.path} shows {shown}, a second mount below {disk.mountpoint}"
    return "not-mounted", f"{_path(disk)} shows {shown}: nothing is mounted at {disk.mountpoint}, so the {disk.holds} is written to its parent's disk"


def _wrong_device(disk: DeclaredDisk, shown: Mount) -> tuple[str, str] | None:
    declared = disk.names.path_of(disk.device)
    if declared is None and disk.names.says_nothing_of(disk.device):
        return None
    if declared is None:
        return "device-missing", f"{disk.path} shows {shown}; this host has no device {disk.device}"
    if is_device(disk, shown, declared):
        return None
    others = _others(disk, shown)
    kind = "covered" if any(is_device(disk, mount, declared) for mount in others) else "wrong-device"
    itself = ": a bind of itself, which makes it look mounted" if disk.table.shows_its_own_place(shown) else ""
    over = f", over {others[-1].source}, the topmost of {len(others) + 1} mounts there" if others else ""
    return kind, f"{_path(disk)} shows {shown}{itself}{over}; expected {disk.device}"


def is_device(disk: DeclaredDisk, mount: Mount, declared: str) -> bool:
    """By number where the device has one: names lie (a mapper name, a renamed sdX), numbers do not."""
    number = disk.names.number_of(declared)
    if number is None:
        return mount.source == declared or (":/" in declared and mount.source.rstrip("/") == declared.rstrip("/"))
    if mount.device_number.startswith(ANONYMOUS_MAJOR):
        return disk.names.number_of(mount.source) == number
    return mount.device_number == number


def _source_deleted(disk: DeclaredDisk, shown: Mount) -> tuple[str, str] | None:
    if not shown.source_deleted:
        return None
    return "source-deleted", f"{disk.path} shows {shown}: the directory was removed from its disk, and what is written there is lost with the mount"


def _wrong_subvolume(disk: DeclaredDisk, shown: Mount) -> tuple[str, str] | None:
    if disk.subvolume is None or shown.root == disk.subvolume:
        return None
    return "wrong-subvolume", f"{disk.path} shows {shown}, the directory {shown.root} of its file system; expected {disk.subvolume}"


def _over_its_own_disk(disk: DeclaredDisk, shown: Mount) -> tuple[str, str] | None:
    """Another directory of the disk over the disk itself: which of the two is meant, a subvolume can say."""
    under = [mount for mount in _others(disk, shown) if (mount.device_number == shown.device_number and mount.root != shown.root) or _is_memory(mount, shown)]
    if disk.subvolume is not None or not under or shown.mountpoint in MADE_AT_BOOT:  # which is empty at each boot, and on some hosts mounted twice
        return None
    lies = "another tmpfs" if _is_memory(under[-1], shown) else f"{under[-1].root} of the same disk"
    return "covered", f"{_path(disk)} shows {shown}, over {lies}: what was there cannot be seen"


def _is_memory(mount: Mount, shown: Mount) -> bool:
    """Whether both are in memory, and two: each tmpfs is one of its own."""
    return mount.fstype == shown.fstype == "tmpfs" and mount.device_number != shown.device_number


def _wrong_file_system(disk: DeclaredDisk, shown: Mount) -> tuple[str, str] | None:
    if disk.fstype is None or shown.fstype == disk.fstype:
        return None
    return "wrong-file-system", f"{disk.path} shows {shown}; expected the file system {disk.fstype}"


def _same_device_number(disk: DeclaredDisk, shown: Mount) -> bool:
    """stat and mountinfo agree; a btrfs subvolume has a number of its own."""
    return disk.device_seen == shown.device_number or (shown.fstype == "btrfs" and disk.device_seen.startswith(ANONYMOUS_MAJOR))
