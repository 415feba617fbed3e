"""Would a reboot bring a disk back to where it is, and before the engine starts? `interlock.observe.reboot` brings fstab and the units of systemd."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from interlock.config.models import Site
from interlock.facts.fstab import is_network, normal, option_value, switched
from interlock.facts.mount_units import LOCAL_TARGET, MADE_AT_BOOT, BootMount
from interlock.facts.mounts import is_below
from interlock.facts.reboot import DiskAtBoot, EngineStart
from interlock.patterns import regex
from interlock.verdicts import LIVE, Broken, Guardrail, Held, Severity, Subject, Unproven

_OF_A_LOGIN = regex(r"/run/user/\d+")
_UNSTABLE = regex(r"/dev/(?:[shv]d[a-z]+\d*|xvd[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|mmcblk\d+(?:p\d+)?|(?:loop|dm-|nbd|md|zram|sr)\d+(?:p\d+)?)")
_TAG = regex(r"(?:LABEL|UUID|PARTUUID|PARTLABEL)=.")
_NO_DEVICE = frozenset({"", "none", "auto"})


def disks(site: Site) -> Sequence[Subject]:
    """The state disk, the data disk, and each other mount at a path of its own."""
    if site.mounts is None:
        return []
    declared = [Subject(name=name, host=disk.host) for name, disk in (("state", site.mounts.state), ("data", site.mounts.data)) if disk]
    names = {subject.name for subject in declared}
    others = [Subject(name=f"{name}-mount" if name in names else name, host=one.host) for name, one in site.mounts.others.items() if one.path]
    return [*declared, *others]


class _Shown(NamedTuple):
    """What a line shows in the end: a device, its file system, and the directory of it; that is None where nobody wrote it down."""

    spec: str
    fstype: str
    root: str | None


def judge_fstab(disk: DiskAtBoot) -> Held | Broken | Unproven:
    """Held when the next boot mounts the declared device there again, as it is now, and the engine does not start without it."""
    at = disk.mountpoint_realpath
    if at in MADE_AT_BOOT or _OF_A_LOGIN.fullmatch(at):
        return Held(f"{disk.path} is on {at}, which the init mounts by itself, anew and empty at each boot")
    here = disk.here
    if not here:
        return _not_there(disk)
    if len({(mount.what, mount.fstype, mount.options) for mount in here}) > 1:
        said = " and ".join(mount.said for mount in here)
        return Broken(f"{said} mount two things at {disk.mountpoint}: the later covers the earlier", kind="covered", remedy="keep the one that is meant")
    mount = here[0]
    unproven: Unproven | None = None
    for judge in (_at_boot, _device, _covered, _file_system, _directory, _before_the_engine, _name, _read_write):
        fault = judge(disk, mount)
        if isinstance(fault, Broken):
            return fault
        unproven = unproven or fault
    return unproven or Held(f"after a reboot {disk.path} shows {mount.what} again: {mount.said} mounts it at {mount.where}{_waits(disk, mount)}")


def _waits(disk: DiskAtBoot, mount: BootMount) -> str:
    if mount.where == "/":
        return ""
    if not disk.systemd:
        return "; this host does not run systemd, and every other init mounts such lines before it starts services"
    return ", when somebody first enters it" if mount.automount else f", before {disk.engine_unit} starts"


# ---- nothing mounts it


def _not_there(disk: DiskAtBoot) -> Held | Broken | Unproven:
    at = disk.mountpoint_realpath
    if at == "/":
        return Held(f"{disk.path} is on the root file system, which the boot starts from")
    if disk.live is not None and disk.live.fstype == "zfs":
        said = f"nothing in {disk.fstab} or the mount units mounts {disk.device} at {disk.mountpoint}: ZFS mounts its file systems by their own properties"
        prove = f"`zfs set mountpoint=legacy {disk.live.source}` with a line in {disk.fstab}, or zfs-mount-generator, says so where it can be read"
        return Unproven(said, remedy=prove)
    elsewhere = next((mount for mount in disk.boot if disk.device and _is_declared(disk, mount.what) and not mount.is_bind), None)
    line = f"{disk.device or '<device>'} {at} {disk.fstype or (disk.live.fstype if disk.live else 'auto')} defaults 0 2"
    if elsewhere is not None:
        said = f"{elsewhere.said} mounts {elsewhere.what} at {elsewhere.where}, and nothing mounts it at {disk.mountpoint}"
        said = f"{said}: after a reboot {disk.path} is {_plain(disk)}"
        return Broken(said, kind="other-place", remedy=f"write `{line}` into {disk.fstab}, with the bind that leads there if there is one")
    unread = f" (line {', '.join(map(str, disk.unread))} of it cannot be read)" if disk.unread else ""
    said = f"neither {disk.fstab}{unread} nor a mount unit mounts anything at {disk.mountpoint}: after a reboot {disk.path} is {_plain(disk)}"
    return Broken(said, kind="not-in-fstab", remedy=f"write `{line}` into {disk.fstab}")


def _plain(disk: DiskAtBoot) -> str:
    return f"a plain directory, and what {disk.engine_unit} starts writes to the disk below it"


# ---- what is mounted


def _shown(disk: DiskAtBoot, mount: BootMount, above: tuple[BootMount, ...] = ()) -> _Shown:
    """What a line comes to; a bind shows what the boot mounts at the directory that it names."""
    if not mount.is_bind:
        return _Shown(mount.what, mount.fstype, _root(disk, mount))
    source = normal(mount.what)
    outer = [one for one in disk.boot if one is not mount and one not in above and one.where != "/" and is_below(source, one.where)]
    if not outer:
        root = disk.table.showing("/")
        return _Shown(root.source if root else "", root.fstype if root else "", posixpath.join(root.root if root else "/", source.lstrip("/")))
    nearest = max(outer, key=lambda one: len(one.where))
    shown = _shown(disk, nearest, (*above, mount))
    below = posixpath.relpath(source, nearest.where)
    return shown._replace(root=None if shown.root is None else posixpath.normpath(posixpath.join(shown.root, below)))


def _root(disk: DiskAtBoot, mount: BootMount) -> str | None:
    """The directory of the file system that a line shows."""
    written = option_value(mount.options, "subvol") or option_value(mount.options, "X-mount.subdir")
    if written:
        return normal("/" + written)
    live = disk.live
    number = option_value(mount.options, "subvolid")
    if number is not None:
        return live.root if live is not None and f"subvolid={number}" in live.super_options else f"the subvolume of id {number}"
    is_btrfs = mount.fstype == "btrfs" or (mount.fstype in _NO_DEVICE and live is not None and live.fstype == "btrfs")
    return None if is_btrfs else "/"


def _is_declared(disk: DiskAtBoot, spec: str) -> bool | None:
    """Whether a spec is the declared device; None when the host does not tell."""
    if not disk.device or spec.rstrip("/") == disk.device.rstrip("/"):
        return True
    there, declared = disk.names.path_of(_mapped(spec)), disk.names.path_of(_mapped(disk.device))
    if there is None:
        has_a_device = disk.device.startswith("/dev/") or _TAG.match(disk.device)
        return None if not _TAG.match(spec) or (has_a_device and disk.names.says_nothing_of(spec)) else False
    if declared is None:
        return None
    numbers = disk.names.number_of(there), disk.names.number_of(declared)
    return numbers[0] == numbers[1] if None not in numbers else there == declared


def _mapped(spec: str) -> str:
    """A logical volume by the name that the device mapper gives it: /dev/group/volume is /dev/mapper/group-volume, with its own dashes doubled."""
    parts = spec.split("/")
    if len(parts) != 4 or parts[:2] != ["", "dev"] or parts[2] in ("mapper", "disk", "md", "block", "shm"):
        return spec
    return f"/dev/mapper/{parts[2].replace('-', '--')}-{parts[3].replace('-', '--')}"


def _device(disk: DiskAtBoot, mount: BootMount) -> Broken | Unproven | None:
    spec = _shown(disk, mount).spec
    same = _is_declared(disk, spec)
    if same:
        return None
    shows = f"{mount.said} mounts {mount.what} at {mount.where}" + (f", which is on {spec}" if mount.is_bind else "")
    if same is None:
        return Unproven(f"{shows}, and nothing here tells whether that is {disk.device}", remedy=f"write {disk.device} there, or look at `blkid {spec}`")
    missing = "; this host has no such device" if _TAG.match(spec) and disk.names.path_of(spec) is None else ""
    said = f"{shows}{missing}: after a reboot {disk.path} does not show {disk.device}"
    return Broken(said, kind="other-device", remedy=f"write {disk.device} there: `lsblk -o NAME,LABEL,UUID,MOUNTPOINT` shows what the host has")


def _covered(disk: DiskAtBoot, mount: BootMount) -> Broken | None:
    """A second mount between the mountpoint and the path; without systemd, which sorts them, also a later line for a directory above."""
    inside = disk.realpath if is_below(disk.realpath, disk.mountpoint_realpath) else disk.mountpoint_realpath
    others = [one for one in disk.boot if one.where != mount.where and _comes(one)]
    between = [one for one in others if is_below(one.where, mount.where) and is_below(inside, one.where)]
    later = disk.boot[disk.boot.index(mount) + 1 :]
    above = [] if disk.systemd else [one for one in others if one in later and is_below(mount.where, one.where)]
    over = next(iter((*between, *above)), None)
    if over is None:
        return None
    said = f"{over.said} mounts {over.what} at {over.where}, over what {mount.said} mounts at {mount.where}"
    return Broken(
        f"{said}: after a reboot {disk.path} does not show {disk.device}",
        kind="covered",
        remedy="take one of the two out, or put the line for the directory above before the other",
    )


def _comes(mount: BootMount) -> bool:
    """Whether the boot mounts it, or whoever enters it."""
    if mount.masked:
        return False
    by_itself = mount.line is not None and not switched(mount.options, "noauto", "auto")
    return by_itself or mount.automount or bool(mount.needed_by | mount.wanted_by)


def _file_system(disk: DiskAtBoot, mount: BootMount) -> Broken | None:
    wanted = disk.fstype or (disk.live.fstype if disk.live else None)
    written = _shown(disk, mount).fstype
    kinds = {_kind(one) for one in written.split(",")}
    if wanted is None or kinds & _NO_DEVICE or _kind(wanted) in kinds:
        return None
    said = f"{mount.said} mounts {mount.where} as {written}, and it is {wanted}: after a reboot it is not mounted"
    return Broken(said, kind="other-file-system", remedy=f"write {wanted} there")


def _kind(fstype: str) -> str:
    """One word for what goes by several."""
    plain = fstype.removeprefix("fuse.")
    return {"nfs4": "nfs", "smb3": "cifs", "fuseblk": "ntfs", "ntfs-3g": "ntfs", "ntfs3": "ntfs"}.get(plain, plain)


def _directory(disk: DiskAtBoot, mount: BootMount) -> Broken | Unproven | None:
    """Which subvolume, or which directory of the file system."""
    wanted = disk.subvolume or (disk.live.root if disk.live else None)
    shown = _shown(disk, mount)
    if wanted is None or shown.root == wanted or is_network(shown.fstype, ()):
        return None
    if shown.root is not None:
        said = f"{mount.said} shows {shown.root} of {shown.spec} at {mount.where}, and now it is {wanted}"
        return Broken(said, kind="other-subvolume", remedy=f"write `subvol={wanted}`, or the bind of that directory")
    if wanted == "/":
        return None
    said = f"{mount.said} names no subvolume, so {mount.where} shows whichever is the default one after a reboot; now it is {wanted}"
    return Unproven(said, remedy=f"write `subvol={wanted}` among its options, or look at `btrfs subvolume get-default {mount.where}`")


# ---- whether and when


def _at_boot(disk: DiskAtBoot, mount: BootMount) -> Broken | Unproven | None:
    if mount.where == "/":
        return None
    if mount.masked:
        said = f"{mount.said} is masked: after a reboot nothing is mounted at {mount.where}"
        return Broken(said, kind="not-at-boot", remedy=f"systemctl unmask '{mount.unit}'")
    if not disk.systemd:
        if not switched(mount.options, "noauto", "auto"):
            return None
        said = f"{mount.said} says noauto: after a reboot nothing is mounted at {mount.where}"
        return Broken(said, kind="not-at-boot", remedy="take noauto out")
    pulled = mount.needed_by | mount.wanted_by
    engine = disk.engine
    if pulled or mount.automount or (engine is not None and (engine.needs_mount_at(mount.where) or mount.unit in engine.needs)):
        return None
    if mount.line is None and mount.installs:
        said = f"{mount.said} is not enabled: after a reboot nothing is mounted at {mount.where}"
        return Broken(said, kind="not-at-boot", remedy=f"systemctl enable '{mount.unit}'")
    because = "says noauto" if mount.line is not None else "is pulled in by nothing"
    said = f"{mount.said} {because}: after a reboot nothing is mounted at {mount.where}"
    return Broken(
        said, kind="not-at-boot", remedy="take noauto out" if mount.line is not None else "write `[Install]` `RequiredBy=local-fs.target`, and enable it"
    )


def _before_the_engine(disk: DiskAtBoot, mount: BootMount) -> Broken | Unproven | None:
    """The engine must not start without it: by an order alone it starts when the mount has failed."""
    if mount.where == "/" or (disk.systemd and mount.automount):
        return None
    if not disk.systemd:
        why = next(_not_for_certain(mount), "")
        said = f"{mount.said} {why}: nothing here tells whether {disk.engine_unit.removesuffix('.service')} waits for it, since this host does not run systemd"
        remedy = f"take that out, or let the service's start prove the mount first: `mountpoint -q {mount.where} || exit 1`"
        return Unproven(said, remedy=remedy) if why else None
    early = disk.engine is not None and disk.engine.early
    if LOCAL_TARGET in mount.needed_by & mount.before and not early:
        return None
    if disk.engine is None:
        said = f"{mount.said} may be mounted after the engine has started, and the host has no unit {disk.engine_unit} that could say that it waits"
        return Unproven(
            said, remedy=f"name the unit that starts the engine in the host's `engine_unit`, or let local-fs.target need the mount at {mount.where}"
        )
    needed, waited = _held_back(disk.engine, mount)
    if needed and waited:
        return None
    remedy = f"write `RequiresMountsFor={mount.where}` below `[Unit]` in /etc/systemd/system/{disk.engine_unit}.d/mounts.conf"
    because = next(_not_for_certain(mount), "is nothing that the boot needs")
    if waited:
        said = f"{mount.said} {because}, and {disk.engine_unit} starts also when it could not be mounted: what it starts then writes to the disk below"
        return Broken(said, kind="engine-starts-without", remedy=remedy)
    said = f"{mount.said} {because}, and {disk.engine_unit} does not wait for it: what it starts may write to the disk below {mount.where}"
    return Broken(said, kind="engine-may-start-first", remedy=remedy)


def _not_for_certain(mount: BootMount) -> Iterator[str]:
    """Why the boot goes on without it."""
    if switched(mount.options, "nofail", "fail"):
        yield "says nofail"
    if is_network(mount.fstype, mount.options):
        yield "waits for the network"


def _held_back(engine: EngineStart, mount: BootMount) -> tuple[bool, bool]:
    """Whether the engine cannot do without the mount, and whether it waits for it."""
    if engine.needs_mount_at(mount.where):
        return True, True
    through = {target for target in engine.needs if target in mount.needed_by}
    needed = mount.unit in engine.needs or engine.name in mount.needed_by or bool(through & engine.after & mount.before)
    by_default = LOCAL_TARGET in mount.before and not engine.early
    return needed, mount.unit in engine.after or engine.name in mount.before or bool(engine.after & mount.before) or by_default


# ---- how


def _name(disk: DiskAtBoot, mount: BootMount) -> Broken | None:
    spec = _shown(disk, mount).spec
    if not _UNSTABLE.fullmatch(spec) or _UNSTABLE.fullmatch(disk.device) or mount.where == "/" or not _is_declared(disk, spec):
        return None
    said = f"{mount.said} names {spec}, which is {disk.device} today and may be another disk after a reboot"
    return Broken(said, kind="unstable-name", remedy=f"write {disk.device} there")


def _read_write(disk: DiskAtBoot, mount: BootMount) -> Broken | None:
    if not mount.read_only or disk.live is None or "rw" not in disk.live.options:
        return None
    said = f"{mount.said} mounts {mount.where} read-only, and now it is read-write: after a reboot nothing can be written to {disk.path}"
    return Broken(said, kind="only-read-only", remedy="take ro out of its options")


FSTAB = Guardrail(
    id="mounts.fstab",
    title="a reboot mounts each disk again where it is now, and the engine does not start without it",
    severity=Severity.HIGH,
    when=LIVE,
    rationale="A disk that was mounted by hand, or that the engine does not wait for, is gone after the next reboot: the stack starts on an empty directory.",
    remedy="write the disk into fstab by its label or UUID, without noauto and nofail, or let the engine's unit say `RequiresMountsFor=`",
    subjects=disks,
    judge=judge_fstab,
    max_age=300,
)
