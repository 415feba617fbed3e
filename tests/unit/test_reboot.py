"""What a disk's directory shows after a reboot, and whether the engine waits for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.fstab import Fstab
from interlock.facts.mount_units import Link, UnitFiles, at_boot
from interlock.facts.mounts import DeviceNames, Mount, MountTable
from interlock.facts.reboot import DiskAtBoot, EngineStart
from interlock.facts.units import assembled
from interlock.judge.disk.reboot import judge_fstab
from interlock.verdicts import Broken, Held, Unproven

ETC = "/etc/systemd/system"
NUMBERS = {"/dev/sda1": "8:1", "/dev/sdb1": "8:17", "/dev/sdc1": "8:33", "/dev/mapper/vg-state": "8:17"}
LINKS = {"by-label/state": "/dev/sdb1", "by-uuid/3f2a": "/dev/sdb1", "by-label/other": "/dev/sdc1", "by-id/wwn-1": "/dev/sdb1"}
PLAIN = "LABEL=state /srv/state ext4 defaults 0 2\n"


def a_mount(mountpoint: str, source: str, number: str, **changes: Any) -> Mount:
    said: dict[str, Any] = {
        "id": len(mountpoint) + 20,
        "parent": 21,
        "device_number": number,
        "root": "/",
        "mountpoint": mountpoint,
        "options": ("rw", "relatime"),
        "propagation": (),
        "fstype": "ext4",
        "source": source,
        "super_options": ("rw",),
    }
    return Mount(**{**said, **changes})


ROOT = a_mount("/", "/dev/sda1", "8:1", parent=1)
STATE = a_mount("/srv/state", "/dev/sdb1", "8:17")


def a_disk(fstab: str = PLAIN, *, live: Mount | None = STATE, engine: str | None = "", units: UnitFiles | None = None, **changes: Any) -> DiskAtBoot:
    """A disk on a host that runs systemd, and its engine's unit; `systemd=False` for another host."""
    systemd = changes.get("systemd", True)
    said: dict[str, Any] = {
        "path": "/srv/state",
        "realpath": "/srv/state",
        "mountpoint": "/srv/state",
        "mountpoint_realpath": "/srv/state",
        "device": "LABEL=state",
        "fstype": None,
        "subvolume": None,
        "table": MountTable((ROOT, *((live,) if live else ()))),
        "names": DeviceNames(numbers=NUMBERS, links=LINKS),
        "boot": at_boot(Fstab.parse(fstab.encode()), "/etc/fstab", (units or UnitFiles(folders={})) if systemd else None),
        "fstab": "/etc/fstab",
        "systemd": True,
        "engine_unit": "docker.service",
        "engine": None if engine is None else EngineStart.of(assembled("docker.service", f"{ETC}/docker.service", engine.encode(), ())),
    }
    return DiskAtBoot(**{**said, **changes})


def kind(disk: DiskAtBoot) -> str:
    found = judge_fstab(disk)
    assert isinstance(found, Broken), found
    return found.kind


def test_a_plain_line_brings_the_disk_back() -> None:
    found = judge_fstab(a_disk())
    assert found == Held("after a reboot /srv/state shows LABEL=state again: line 1 of /etc/fstab mounts it at /srv/state, before docker.service starts")


@pytest.mark.parametrize("spec", ["UUID=3f2a", 'LABEL="state"', "/dev/disk/by-id/wwn-1", "/dev/mapper/vg-state", "/dev/vg/state"])
def test_a_device_goes_by_many_names(spec: str) -> None:
    assert isinstance(judge_fstab(a_disk(f"{spec} /srv/state ext4 defaults 0 2\n")), Held)


@pytest.mark.parametrize(
    ("fstab", "expected"),
    [
        ("", "not-in-fstab"),
        ("# LABEL=state /srv/state ext4 defaults 0 2\n", "not-in-fstab"),
        ("LABEL=state /mnt/state ext4 defaults 0 2\n", "other-place"),
        ("LABEL=other /srv/state ext4 defaults 0 2\n", "other-device"),
        ("LABEL=gone /srv/state ext4 defaults 0 2\n", "other-device"),
        ("LABEL=state /srv/state xfs defaults 0 2\n", "other-file-system"),
        ("LABEL=state /srv/state ext4 noauto 0 2\n", "not-at-boot"),
        ("LABEL=state /srv/state ext4 nofail 0 2\n", "engine-may-start-first"),
        ("LABEL=state /srv/state ext4 _netdev 0 2\n", "engine-may-start-first"),
        ("/dev/sdb1 /srv/state ext4 defaults 0 2\n", "unstable-name"),
        ("LABEL=state /srv/state ext4 ro 0 2\n", "only-read-only"),
        ("LABEL=state /srv ext4 defaults 0 2\n", "other-place"),
    ],
)
def test_lines_that_do_not_bring_it_back(fstab: str, expected: str) -> None:
    assert kind(a_disk(fstab)) == expected


def test_a_name_that_the_host_does_not_tell_is_unproven() -> None:
    found = judge_fstab(a_disk("/dev/xvdf /srv/state ext4 defaults 0 2\n"))
    assert isinstance(found, Unproven)
    assert "blkid /dev/xvdf" in found.remedy


def test_a_disk_that_the_site_names_by_its_node_may_be_so_in_fstab() -> None:
    assert isinstance(judge_fstab(a_disk("/dev/sdb1 /srv/state ext4 defaults 0 2\n", device="/dev/sdb1")), Held)


def test_without_its_live_mount_the_declared_device_is_judged() -> None:
    assert isinstance(judge_fstab(a_disk(live=None)), Held)
    assert kind(a_disk("LABEL=other /srv/state ext4 defaults 0 2\n", live=None)) == "other-device"


# ---- the engine


@pytest.mark.parametrize(
    "engine",
    [
        "[Unit]\nRequiresMountsFor=/srv/state/db\n",
        "[Unit]\nRequires=srv-state.mount\nAfter=srv-state.mount\n",
        "[Unit]\nBindsTo=srv-state.mount\nAfter=srv-state.mount\n",
        "[Unit]\nAssertPathIsMountPoint=/srv/state\n",
        "[Service]\nExecStartPre=/usr/bin/mountpoint -q /srv/state\n",
    ],
)
@pytest.mark.parametrize("options", ["nofail", "_netdev", "noauto"])
def test_an_engine_that_needs_the_mount_starts_behind_it(engine: str, options: str) -> None:
    if options == "noauto" and "Mounts" not in engine and ".mount" not in engine:
        return  # a proof starts nothing
    assert isinstance(judge_fstab(a_disk(f"LABEL=state /srv/state ext4 {options} 0 2\n", engine=engine)), Held)


@pytest.mark.parametrize("engine", ["[Unit]\nAfter=srv-state.mount\n", "[Unit]\nWants=srv-state.mount\nAfter=srv-state.mount\n"])
def test_an_order_alone_lets_the_engine_start_without_the_mount(engine: str) -> None:
    assert kind(a_disk("LABEL=state /srv/state ext4 nofail 0 2\n", engine=engine)) == "engine-starts-without"


@pytest.mark.parametrize(
    "engine", ["[Unit]\nRequires=srv-state.mount\n", "[Unit]\nRequiresMountsFor=/srv/data\n", "[Service]\nExecStartPre=-/bin/mountpoint -q /srv/state\n"]
)
def test_a_need_without_an_order_or_of_another_place_holds_nothing_back(engine: str) -> None:
    assert kind(a_disk("LABEL=state /srv/state ext4 nofail 0 2\n", engine=engine)) == "engine-may-start-first"


def test_remote_file_systems_count_when_the_engine_needs_their_target() -> None:
    fstab = "LABEL=state /srv/state ext4 _netdev 0 2\n"
    assert isinstance(judge_fstab(a_disk(fstab, engine="[Unit]\nRequires=remote-fs.target\nAfter=remote-fs.target\n")), Held)
    assert kind(a_disk(fstab, engine="[Unit]\nAfter=remote-fs.target\n")) == "engine-starts-without"


def test_the_line_itself_may_tie_the_engine_to_it() -> None:
    tied = "LABEL=state /srv/state ext4 nofail,x-systemd.required-by=docker.service,x-systemd.before=docker.service 0 2\n"
    assert isinstance(judge_fstab(a_disk(tied)), Held)


def test_an_engine_that_starts_before_local_file_systems_is_told() -> None:
    assert kind(a_disk(engine="[Unit]\nDefaultDependencies=no\n")) == "engine-may-start-first"


def test_an_unknown_engine_is_unproven_only_where_it_matters() -> None:
    assert isinstance(judge_fstab(a_disk(engine=None)), Held)
    assert isinstance(judge_fstab(a_disk("LABEL=state /srv/state ext4 nofail 0 2\n", engine=None)), Unproven)


def test_an_automount_lets_nobody_past() -> None:
    assert isinstance(judge_fstab(a_disk("LABEL=state /srv/state ext4 noauto,x-systemd.automount 0 2\n")), Held)


# ---- mount units


UNIT = b"[Mount]\nWhat=LABEL=state\nWhere=/srv/state\nType=ext4\n[Install]\nWantedBy=local-fs.target\n"


def with_unit(content: bytes, *links: Link) -> UnitFiles:
    return UnitFiles(folders={ETC: {"srv-state.mount": content}}, links=frozenset(links))


def test_a_mount_unit_that_nothing_pulls_in_is_not_mounted() -> None:
    assert kind(a_disk("", units=with_unit(UNIT))) == "not-at-boot"


def test_a_masked_mount_unit_takes_the_line_with_it() -> None:
    assert kind(a_disk(units=with_unit(b""))) == "not-at-boot"


def test_a_mount_unit_that_is_only_wanted_lets_the_engine_start_without_it() -> None:
    assert kind(a_disk("", units=with_unit(UNIT, Link("local-fs.target", "srv-state.mount", required=False)))) == "engine-starts-without"
    assert isinstance(judge_fstab(a_disk("", units=with_unit(UNIT, Link("local-fs.target", "srv-state.mount", required=True)))), Held)


# ---- binds, subvolumes, covers


def test_a_bind_is_followed_to_its_disk() -> None:
    bound = a_mount("/srv/state", "/dev/sdb1", "8:17", root="/app/state")
    fstab = "LABEL=state /mnt/disk ext4 defaults 0 2\n/mnt/disk/app/state /srv/state none bind 0 0\n"
    assert isinstance(judge_fstab(a_disk(fstab, live=bound)), Held)
    assert kind(a_disk(fstab.replace("LABEL=state", "LABEL=other"), live=bound)) == "other-device"
    assert kind(a_disk(fstab.replace("app/state", "app/old"), live=bound)) == "other-subvolume"
    assert kind(a_disk("/mnt/disk/app/state /srv/state none bind 0 0\n", live=bound)) == "other-device"


def test_binds_that_go_in_circles_come_to_an_end() -> None:
    judge_fstab(a_disk("/srv/b/x /srv/state none bind 0 0\n/srv/state/y /srv/b none bind 0 0\n"))


def test_a_subvolume_must_be_the_one_that_is_mounted() -> None:
    live = a_mount("/srv/state", "/dev/sdb1", "0:44", root="/@state", fstype="btrfs", super_options=("rw", "subvolid=258", "subvol=/@state"))
    line = "LABEL=state /srv/state btrfs {} 0 0\n"
    assert isinstance(judge_fstab(a_disk(line.format("subvol=@state"), live=live)), Held)
    assert isinstance(judge_fstab(a_disk(line.format("subvolid=258"), live=live)), Held)
    assert kind(a_disk(line.format("subvol=@"), live=live)) == "other-subvolume"
    assert kind(a_disk(line.format("subvolid=300"), live=live)) == "other-subvolume"
    assert isinstance(judge_fstab(a_disk(line.format("defaults"), live=live)), Unproven)


def test_a_mount_between_the_mountpoint_and_the_path_covers_it() -> None:
    disk = a_disk("LABEL=state /srv ext4 defaults 0 2\nLABEL=other /srv/state ext4 defaults 0 2\n", mountpoint="/srv", mountpoint_realpath="/srv", live=None)
    assert kind(disk) == "covered"


def test_what_is_not_mounted_covers_nothing() -> None:
    fstab = "LABEL=state /srv ext4 defaults 0 2\nLABEL=other /srv/state ext4 noauto 0 2\n"
    assert isinstance(judge_fstab(a_disk(fstab, mountpoint="/srv", mountpoint_realpath="/srv", live=None)), Held)


def test_where_no_device_is_declared_and_nothing_is_mounted_any_line_will_do() -> None:
    assert isinstance(judge_fstab(a_disk("LABEL=other /srv/state ext4 defaults 0 2\n", device="", live=None)), Held)
    assert kind(a_disk("", device="", live=None)) == "not-in-fstab"


def test_systemd_sorts_by_directory_and_others_by_line() -> None:
    fstab = PLAIN + "LABEL=other /srv ext4 defaults 0 2\n"
    assert isinstance(judge_fstab(a_disk(fstab)), Held)
    assert kind(a_disk(fstab, systemd=False, engine=None)) == "covered"


# ---- what needs no line, and hosts without systemd


def test_memory_comes_back_empty_by_itself() -> None:
    found = judge_fstab(a_disk("", mountpoint="/dev/shm", mountpoint_realpath="/dev/shm", path="/dev/shm/state", realpath="/dev/shm/state", device="tmpfs"))
    assert isinstance(found, Held)
    assert "empty" in found.message


def test_the_root_file_system_needs_no_line() -> None:
    disk = a_disk("", mountpoint="/", mountpoint_realpath="/", path="/data", realpath="/data", device="/dev/sda1", live=None)
    assert isinstance(judge_fstab(disk), Held)


def test_zfs_is_unproven_without_a_line() -> None:
    live = a_mount("/srv/state", "tank/state", "0:50", fstype="zfs")
    assert isinstance(judge_fstab(a_disk("", live=live, device="tank/state")), Unproven)
    assert isinstance(judge_fstab(a_disk("tank/state /srv/state zfs defaults 0 0\n", live=live, device="tank/state")), Held)


def test_without_systemd_a_plain_line_holds_and_an_order_is_unproven() -> None:
    assert isinstance(judge_fstab(a_disk(systemd=False, engine=None)), Held)
    assert kind(a_disk("LABEL=state /srv/state ext4 noauto,x-systemd.automount 0 2\n", systemd=False, engine=None)) == "not-at-boot"
    for options in ("nofail", "_netdev"):
        assert isinstance(judge_fstab(a_disk(f"LABEL=state /srv/state ext4 {options} 0 2\n", systemd=False, engine=None)), Unproven)


SPECS = st.sampled_from(["LABEL=state", "LABEL=other", "UUID=3f2a", "/dev/sdc1", "/dev/mapper/vg-state"])
FLAGS = st.lists(st.sampled_from(["defaults", "noauto", "nofail", "_netdev", "ro", "x-systemd.automount"]), min_size=1, max_size=3, unique=True)


@given(SPECS, FLAGS, st.sampled_from(["/srv/state", "/mnt"]), st.sampled_from(["", "[Unit]\nRequiresMountsFor=/srv/state\n"]), st.booleans())
def test_what_holds_is_the_same_device_in_the_same_place_and_held_back(spec: str, flags: list[str], where: str, engine: str, systemd: bool) -> None:
    found = judge_fstab(a_disk(f"{spec} {where} ext4 {','.join(flags)} 0 2\n", engine=engine if systemd else None, systemd=systemd))
    wrong = spec in ("LABEL=other", "/dev/sdc1") or where != "/srv/state" or "ro" in flags
    lazy = bool({"nofail", "_netdev"} & set(flags))
    automount = systemd and "x-systemd.automount" in flags
    mounted = "noauto" not in flags or automount or (systemd and engine)
    assert isinstance(found, Held) == (not wrong and bool(mounted) and (not lazy or automount or bool(systemd and engine)))


def test_where_no_udev_runs_a_label_of_fstab_may_be_the_declared_device() -> None:
    """Such a host has no /dev/disk: of a disk in memory it still says that no label leads to it."""
    bare = DeviceNames(numbers=NUMBERS, links={})
    assert isinstance(judge_fstab(a_disk("LABEL=other /srv/state ext4 defaults 0 2\n", names=bare, device="/dev/sdb1")), Unproven)
    memory = a_mount("/srv/state", "tmpfs", "0:40", fstype="tmpfs")
    found = judge_fstab(a_disk("LABEL=other /srv/state tmpfs defaults 0 0\n", names=bare, device="tmpfs", live=memory))
    assert isinstance(found, Broken)
    assert found.kind == "other-device"
