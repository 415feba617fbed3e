"""mountinfo: parsed fully, and walked as the kernel walks."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.errors import CouldNotLook
from interlock.facts.mounts import DeclaredDisk, DeviceNames, Mount, MountTable, escape, unescape
from interlock.facts.other_mounts import ExpectedMounts, mountpoints_among
from interlock.judge.disk.declared import judge_disk
from interlock.judge.disk.others import judge_others
from interlock.verdicts import Broken, Detail, Held, HeldRun, NullSink, Outcome, Streamed, Unproven, settle

ROOT = Mount(
    id=1,
    parent=0,
    device_number="254:0",
    root="/",
    mountpoint="/",
    options=("rw",),
    propagation=("shared:1",),
    fstype="ext4",
    source="/dev/vda",
    super_options=("rw",),
)
DATA = replace(ROOT, id=2, parent=1, device_number="8:16", mountpoint="/data", source="/dev/sdb")
STATE = replace(ROOT, id=3, parent=2, device_number="8:32", mountpoint="/data/state", source="/dev/sdc")
NAMES = DeviceNames(
    numbers={"/dev/vda": "254:0", "/dev/sdb": "8:16", "/dev/sdc": "8:32"},
    links={"by-label/state": "/dev/sdc", "by-uuid/1234-ABCD": "/dev/sdc", "by-label/my\\x20disk": "/dev/sdb"},
)


def disk(
    *mounts: Mount, device: str = "LABEL=state", path: str = "/data/state", seen: str = "8:32", fstype: str | None = None, present: bool = True
) -> DeclaredDisk:
    return DeclaredDisk(
        holds="state",
        path=path,
        mountpoint=path,
        device=device,
        fstype=fstype,
        present=present,
        realpath=path,
        mountpoint_realpath=path,
        device_seen=seen,
        table=MountTable(mounts),
        names=NAMES,
    )


def broken(state: DeclaredDisk) -> str:
    judgement = judge_disk(state)
    assert isinstance(judgement, Broken), judgement
    return judgement.kind


def test_the_declared_disk_at_its_mountpoint_holds() -> None:
    assert isinstance(judge_disk(disk(ROOT, DATA, STATE)), Held)


@pytest.mark.parametrize("device", ["LABEL=state", "UUID=1234-ABCD", "/dev/sdc", "/dev/disk/by-label/state"])
def test_a_disk_may_be_declared_by_any_of_its_names(device: str) -> None:
    assert isinstance(judge_disk(disk(ROOT, DATA, STATE, device=device)), Held)


def test_a_label_with_a_space_is_found_as_udev_writes_it() -> None:
    assert NAMES.path_of("LABEL=my disk") == "/dev/sdb"


def test_a_state_directory_on_its_parents_disk_is_broken() -> None:
    assert broken(disk(ROOT, DATA, seen="8:16")) == "not-mounted"


def test_a_state_directory_on_the_root_disk_is_broken() -> None:
    assert broken(disk(ROOT, seen="254:0")) == "not-mounted"


def test_a_mount_over_the_state_disk_is_broken() -> None:
    over = replace(STATE, id=4, parent=3, device_number="0:44", fstype="tmpfs", source="tmpfs")
    assert broken(disk(ROOT, DATA, STATE, over, seen="0:44")) == "covered"


def test_the_state_disk_hidden_by_a_later_mount_of_its_parent_is_broken() -> None:
    state_on_root = replace(STATE, parent=1)
    assert broken(disk(ROOT, state_on_root, DATA, seen="8:16")) == "not-mounted"


def test_another_disk_at_the_mountpoint_is_broken() -> None:
    wrong = replace(STATE, device_number="8:48", source="/dev/sdd")
    assert broken(disk(ROOT, DATA, wrong, seen="8:48")) == "wrong-device"


def test_a_device_that_the_host_does_not_have_is_broken() -> None:
    assert broken(disk(ROOT, DATA, STATE, device="LABEL=gone")) == "device-missing"


def test_where_no_udev_runs_a_label_is_not_said_to_be_missing() -> None:
    """Such a host has no /dev/disk at all: the right disk may be mounted there, and nothing tells."""
    bare = replace(NAMES, links={"/dev/sdc": "/dev/sdc"})
    judged = judge_disk(replace(disk(ROOT, DATA, STATE, device="LABEL=state"), names=bare))
    assert isinstance(judged, Unproven)
    assert "`sudo blkid /dev/sdc`" in judged.remedy
    assert broken(replace(disk(ROOT, DATA, device="LABEL=state", seen="8:16"), names=bare)) == "not-mounted"


def test_a_device_that_nothing_is_mounted_from_is_not_said_to_be_missing() -> None:
    there = replace(NAMES, unmounted=frozenset({"/dev/sdz"}))
    assert broken(replace(disk(ROOT, DATA, STATE, device="/dev/sdz"), names=there)) == "wrong-device"


def test_a_logical_volume_is_known_by_any_path_that_leads_to_it() -> None:
    names = DeviceNames(numbers={"/dev/mapper/vg0-state": "8:32", "/dev/dm-3": "8:32"}, links={"/dev/vg0/state": "/dev/dm-3"})
    assert isinstance(judge_disk(replace(disk(ROOT, DATA, STATE, device="/dev/vg0/state"), names=names)), Held)


def test_a_second_mount_below_the_mountpoint_is_broken() -> None:
    nested = replace(STATE, id=5, parent=3, mountpoint="/data/state/db", device_number="8:48", source="/dev/sdd")
    state = replace(disk(ROOT, DATA, STATE, nested, seen="8:48"), realpath="/data/state/db")
    assert broken(state) == "another-mount-below"


def test_an_absent_directory_is_broken() -> None:
    assert broken(disk(ROOT, DATA, STATE, present=False)) == "absent"


def test_another_file_system_than_declared_is_broken() -> None:
    assert broken(disk(ROOT, DATA, STATE, fstype="xfs")) == "wrong-file-system"


def test_a_table_that_changed_while_it_was_read_is_unproven() -> None:
    assert isinstance(judge_disk(disk(ROOT, DATA, STATE, seen="8:99")), Unproven)


def test_a_path_that_the_table_does_not_tell_of_is_unproven() -> None:
    assert isinstance(judge_disk(disk(replace(DATA, parent=9), path="/srv/state")), Unproven)


def test_a_btrfs_subvolume_is_known_by_the_device_behind_it() -> None:
    subvolume = replace(STATE, device_number="0:50", fstype="btrfs", root="/@state")
    assert isinstance(judge_disk(disk(ROOT, DATA, subvolume, seen="0:51")), Held)


def test_a_source_without_a_device_is_known_by_its_name() -> None:
    nfs = replace(STATE, device_number="0:60", fstype="nfs4", source="nas:/export/state")
    assert isinstance(judge_disk(disk(ROOT, DATA, nfs, device="nas:/export/state", seen="0:60")), Held)
    assert broken(disk(ROOT, DATA, nfs, device="nas:/export/other", seen="0:60")) == "wrong-device"


def test_the_slash_behind_a_share_is_no_difference() -> None:
    nfs = replace(STATE, device_number="0:60", fstype="nfs4", source="nas:/export/state/")
    assert isinstance(judge_disk(disk(ROOT, DATA, nfs, device="nas:/export/state", seen="0:60")), Held)


def test_a_dataset_of_zfs_is_known_by_its_name() -> None:
    zfs = replace(STATE, device_number="0:61", fstype="zfs", source="tank/state")
    assert isinstance(judge_disk(disk(ROOT, DATA, zfs, device="tank/state", seen="0:61")), Held)
    assert broken(disk(ROOT, DATA, zfs, device="tank/other", seen="0:61")) == "wrong-device"


def test_another_subvolume_than_declared_is_broken() -> None:
    subvolume = replace(STATE, device_number="0:50", fstype="btrfs", root="/@old")
    assert broken(replace(disk(ROOT, DATA, subvolume, seen="0:51"), subvolume="/@state")) == "wrong-subvolume"
    assert isinstance(judge_disk(replace(disk(ROOT, DATA, replace(subvolume, root="/@state"), seen="0:51"), subvolume="/@state")), Held)


def test_a_bind_whose_directory_was_removed_is_broken() -> None:
    removed = replace(STATE, root="/old//deleted")
    assert broken(disk(ROOT, DATA, removed)) == "source-deleted"


def test_a_bind_of_itself_is_broken_and_said_to_look_mounted() -> None:
    itself = replace(DATA, id=3, parent=2, root="/state", mountpoint="/data/state")
    judgement = judge_disk(disk(ROOT, DATA, itself, seen="8:16"))
    assert isinstance(judgement, Broken)
    assert (judgement.kind, "a bind of itself, which makes it look mounted" in judgement.message) == ("wrong-device", True)


def test_a_symbolic_link_is_followed_and_told() -> None:
    linked = replace(disk(ROOT, DATA, STATE), path="/srv/state", mountpoint="/srv/state")
    judgement = judge_disk(linked)
    assert isinstance(judgement, Held)
    assert judgement.message.startswith("/srv/state, which leads to /data/state, shows /dev/sdc")


def test_a_link_that_leads_nowhere_is_absent() -> None:
    assert broken(disk(ROOT, DATA, STATE, seen="")) == "absent"


AUTOFS = replace(STATE, device_number="0:45", fstype="autofs", source="systemd-1")


def test_a_disk_that_is_mounted_on_entering_is_unproven_until_somebody_enters() -> None:
    waiting = judge_disk(disk(ROOT, DATA, AUTOFS, seen="0:45"))
    assert isinstance(waiting, Unproven)
    assert "`ls /data/state/`" in waiting.remedy
    entered = judge_disk(disk(ROOT, DATA, AUTOFS, replace(STATE, id=4, parent=3)))
    assert isinstance(entered, Held)
    assert "topmost" not in entered.message


def test_a_disk_that_is_mounted_twice_holds_and_is_counted() -> None:
    judgement = judge_disk(disk(ROOT, DATA, STATE, replace(STATE, id=4, parent=3)))
    assert isinstance(judgement, Held)
    assert judgement.message.endswith("the topmost of 2 mounts there")


def test_another_directory_of_the_disk_over_the_disk_is_broken_unless_it_is_declared() -> None:
    over = disk(ROOT, DATA, STATE, replace(STATE, id=4, parent=3, root="/old"))
    assert broken(over) == "covered"
    assert isinstance(judge_disk(replace(over, subvolume="/old")), Held)


def test_a_tmpfs_over_another_one_is_broken() -> None:
    memory = replace(STATE, device_number="0:50", fstype="tmpfs", source="tmpfs")
    other = replace(memory, id=4, parent=3, device_number="0:51")
    assert broken(disk(ROOT, DATA, memory, other, device="tmpfs", seen="0:51")) == "covered"
    assert isinstance(judge_disk(disk(ROOT, DATA, memory, device="tmpfs", seen="0:50")), Held)


def test_a_memory_disk_that_the_init_mounts_twice_hides_nothing() -> None:
    shm = replace(ROOT, id=5, parent=1, mountpoint="/dev/shm", device_number="0:23", fstype="tmpfs", source="tmpfs")
    twice = replace(shm, id=6, parent=5, device_number="0:27")
    assert isinstance(judge_disk(disk(ROOT, shm, twice, path="/dev/shm", device="tmpfs", seen="0:27")), Held)


# ---- the table


def test_a_mount_over_the_root_is_not_entered() -> None:
    over = replace(ROOT, id=9, parent=1, device_number="0:99")
    assert MountTable((ROOT, over, DATA)).showing("/etc") == ROOT
    assert MountTable((ROOT, over, DATA)).showing("/data/x") == DATA


def test_in_a_chroot_only_what_is_mounted_inside_is_told() -> None:
    inside = replace(DATA, parent=77)
    table = MountTable((inside, replace(STATE, parent=2)))
    assert (table.showing("/etc"), table.showing("/data/a"), table.showing("/data/state")) == (None, inside, replace(STATE, parent=2))


def test_a_mount_over_the_root_of_a_chroot_is_no_root() -> None:
    over = replace(ROOT, id=9, parent=77)
    table = MountTable((replace(DATA, parent=77), over))
    assert (table.showing("/etc"), table.showing("/data")) == (None, replace(DATA, parent=77))


def test_below_a_mount_that_stands_on_none_of_the_others_nothing_is_told() -> None:
    table = MountTable((ROOT, replace(DATA, parent=77)))
    assert (table.showing("/data/state"), table.showing("/etc")) == (None, ROOT)


def test_a_root_that_is_its_own_parent_is_a_root() -> None:
    root = replace(ROOT, parent=1)
    assert MountTable((root, DATA)).showing("/etc") == root


def test_ids_that_go_in_a_circle_end() -> None:
    circle = (
        ROOT,
        replace(DATA, id=5, parent=6, mountpoint="/a"),
        replace(DATA, id=6, parent=5, mountpoint="/a"),
        replace(DATA, id=5, parent=1, mountpoint="/a"),
    )
    assert MountTable(circle).showing("/a/b") in circle


def test_a_removed_mountpoint_is_on_no_way() -> None:
    assert MountTable((ROOT, replace(DATA, mountpoint="/data//deleted"))).showing("/data") == ROOT


def test_a_table_of_ten_thousand_mounts_is_asked_ten_thousand_times_in_a_blink() -> None:
    """A walk over all mounts for each path would be a hundred million steps."""
    mounts = [replace(DATA, id=number, parent=1, mountpoint=f"/srv/t{number}") for number in range(2, 10_002)]
    high = [replace(DATA, id=number, parent=number - 1, mountpoint="/srv/t10001") for number in range(10_002, 20_002)]
    table = MountTable((ROOT, *mounts, *high))
    asked = [table.showing(f"/srv/t{number}/file") for number in range(2, 10_001)]
    assert [mount.id for mount in asked if mount] == list(range(2, 10_001))
    assert {table.showing("/srv/t10001/file") for _ in range(10_000)} == {high[-1]}


@pytest.mark.parametrize(
    ("line", "mountpoint", "source"),
    [
        (b"1 0 8:1 / /with\\040space\\011tab\\012line\\134back rw shared:1 - ext4 /dev/a rw", "/with space\ttab\nline\\back", "/dev/a"),
        (b"1 0 0:9 / /caf\xe9 rw - nfs4 nas:/a\\043b rw", "/caf\udce9", "nas:/a#b"),
        (b"1 0 0:9 / / rw master:1 newer:2 odd - tmpfs  rw", "/", ""),
        (b"1 0 0:9 / /m - - overlay overlay rw,lowerdir=/a\\054b:/c", "/m", "overlay"),
    ],
)
def test_odd_lines_are_read_as_the_kernel_means_them(line: bytes, mountpoint: str, source: str) -> None:
    mount = Mount.parse(line, where="h")
    assert (mount.mountpoint, mount.source) == (mountpoint, source)


# ---- other mounts

TENANTS = replace(ROOT, id=2, parent=1, mountpoint="/srv/tenants", device_number="8:16", source="/dev/sdb")
ACME = replace(ROOT, id=3, parent=2, mountpoint="/srv/tenants/acme", device_number="0:70", fstype="tmpfs", source="acme", options=("rw", "nosuid"))
GLOBEX = replace(ACME, id=4, mountpoint="/srv/tenants/globex", device_number="0:71", source="globex")


def tenants(*mounts: Mount, names: tuple[str, ...] = ("acme", "globex"), options: tuple[str, ...] = (), fstype: str | None = None) -> ExpectedMounts:
    table = MountTable((ROOT, TENANTS, *mounts))
    return ExpectedMounts(path="/srv/tenants", realpath="/srv/tenants", directories=names, fstype=fstype, options=options, table=table)


def faults(expected: ExpectedMounts) -> tuple[list[tuple[str, str]], str]:
    """What and kind of each detail that does not hold, and what the judgement says."""
    judgement = judge_others(expected)
    assert isinstance(judgement, Streamed)
    details = list(judgement.details)
    said = settle(replace(judgement, details=iter(details)), NullSink()).message
    assert sum(len(one.names) if isinstance(one, HeldRun) else 1 for one in details) == len(expected.directories or ())
    return [(one.what, one.kind) for one in details if isinstance(one, Detail)], said


def test_a_mount_at_every_directory_holds() -> None:
    found, said = faults(tenants(ACME, GLOBEX, options=("rw", "nosuid"), fstype="tmpfs"))
    assert (found, said) == ([], "each of the 2 directories of /srv/tenants is a mount of its own (tmpfs rw,nosuid)")


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        (None, "not-mounted"),
        (replace(GLOBEX, mountpoint="/srv/tenants/globex/deep"), "not-mounted"),
        (replace(GLOBEX, parent=1), "not-mounted"),
        (replace(TENANTS, id=4, parent=2, mountpoint="/srv/tenants/globex", root="/globex"), "bind-of-itself"),
        (replace(TENANTS, id=4, parent=2, mountpoint="/srv/tenants/globex", root="/elsewhere"), "parents-file-system"),
        (replace(GLOBEX, root="/gone//deleted"), "source-deleted"),
        (replace(GLOBEX, fstype="ext4"), "wrong-file-system"),
        (replace(GLOBEX, options=("ro", "nosuid")), "missing-option"),
        (replace(GLOBEX, super_options=("ro",)), "missing-option"),
        (replace(GLOBEX, options=("rw",)), "missing-option"),
    ],
)
def test_one_directory_that_is_not_as_declared_is_a_detail_of_its_own(mount: Mount | None, kind: str) -> None:
    found, said = faults(tenants(ACME, *([mount] if mount else []), options=("rw", "nosuid"), fstype="tmpfs"))
    assert found == [("/srv/tenants/globex", kind)]
    assert said.startswith("1 of the 2 directories of /srv/tenants is not mounted as declared")


def test_a_subvolume_of_the_same_btrfs_is_a_mount_of_its_own() -> None:
    pool = replace(TENANTS, device_number="0:40", fstype="btrfs", super_options=("rw", "subvol=/"))
    subvolume = replace(pool, id=3, parent=2, mountpoint="/srv/tenants/acme", root="/@acme", super_options=("rw", "subvol=/@acme"))
    bound = replace(subvolume, root="/@acme/dir")
    for mount, held in ((subvolume, True), (bound, False)):
        expected = replace(tenants(names=("acme",)), table=MountTable((ROOT, pool, mount)))
        assert (faults(expected)[0] == []) is held


def test_a_mount_that_waits_to_be_triggered_is_unproven() -> None:
    judgement = judge_others(tenants(ACME, replace(GLOBEX, fstype="autofs")))
    assert settle(judgement, NullSink()).outcome is Outcome.UNPROVEN


def test_no_directory_at_all_proves_nothing() -> None:
    assert isinstance(judge_others(tenants(names=())), Unproven)


def test_hidden_directories_and_lost_and_found_are_nobodys_mountpoints() -> None:
    assert mountpoints_among(["b", "lost+found", ".snapshots", "a"]) == ("a", "b")


def test_the_first_three_of_many_are_named_and_the_others_counted() -> None:
    said = faults(tenants(names=tuple(f"t{number:04d}" for number in range(1500))))[1]
    assert said.startswith("1,500 of the 1,500 directories")
    assert said.endswith("; and 1,497 more")


def test_one_mount_at_a_path_without_a_device_is_anything_but_its_parents_file_system() -> None:
    one = replace(tenants(ACME), path="/srv/tenants/acme", realpath="/srv/tenants/acme", directories=None)
    assert isinstance(judge_others(one), Held)
    gone = judge_others(replace(one, table=MountTable((ROOT, TENANTS))))
    assert isinstance(gone, Broken)
    assert gone.kind == "not-mounted"


def test_one_mount_with_a_device_is_judged_as_a_disk_is() -> None:
    one = replace(tenants(), path="/data/state", realpath="/data/state", directories=None, disk=disk(ROOT, DATA, STATE), table=MountTable((ROOT, DATA, STATE)))
    assert isinstance(judge_others(one), Held)
    wrong = judge_others(replace(one, disk=disk(ROOT, DATA, seen="8:16")))
    assert isinstance(wrong, Broken)
    assert wrong.kind == "not-mounted"
    lacking = judge_others(replace(one, options=("nosuid",)))
    assert isinstance(lacking, Broken)
    assert lacking.kind == "missing-option"


def test_a_place_that_is_not_there_is_absent() -> None:
    gone = judge_others(replace(tenants(), realpath=""))
    assert isinstance(gone, Broken)
    assert gone.kind == "absent"


# ---- paths, and what is shown at them


def test_a_path_next_to_the_mountpoint_is_not_below_it() -> None:
    assert MountTable((ROOT, DATA)).showing("/data-state") == ROOT


@pytest.mark.parametrize("text", [b"", b"\n\n"])
def test_an_empty_table_cannot_be_looked_at(text: bytes) -> None:
    with pytest.raises(CouldNotLook, match="empty"):
        MountTable.parse(text, where="h")


@pytest.mark.parametrize(
    "line", [b"garbage", b"1 2 3:4 / / rw", b"x y 3:4 / / rw - ext4 /dev/a rw", b"1 2 nonsense / / rw - ext4 /dev/a rw", b"1 2 3:4 / / rw - ext4"]
)
def test_a_line_that_is_no_mountinfo_cannot_be_looked_at(line: bytes) -> None:
    with pytest.raises(CouldNotLook):
        MountTable.parse(line + b"\n", where="h")


WORDS = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=("Cs",)), min_size=1, max_size=12)
PATHS = st.lists(WORDS.filter(lambda word: "/" not in word and word not in (".", "..")), max_size=4).map(lambda parts: "/" + "/".join(parts))
OPTIONS = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
TAGS = st.sampled_from([(), ("shared:1",), ("master:2",), ("shared:3", "master:4", "propagate_from:5"), ("unbindable",), ("newer_field:9",)])
MOUNTS = st.builds(
    Mount,
    id=st.integers(1, 10_000),
    parent=st.integers(0, 10_000),
    device_number=st.builds("{}:{}".format, st.integers(0, 500), st.integers(0, 500)),
    root=PATHS,
    mountpoint=PATHS,
    options=OPTIONS,
    propagation=TAGS,
    fstype=WORDS,
    source=WORDS,
    super_options=OPTIONS,
)


@given(st.lists(MOUNTS, min_size=1, max_size=8))
@example([replace(ROOT, options=("-",))])
def test_a_table_survives_being_written_and_read(mounts: list[Mount]) -> None:
    table = MountTable(tuple(mounts))
    assert MountTable.parse(table.render(), where="h") == table


@given(st.binary(max_size=60).filter(lambda raw: b"\x00" not in raw))
def test_any_bytes_survive_the_kernels_escapes(raw: bytes) -> None:
    assert escape(unescape(escape(raw.decode("utf-8", "surrogateescape")))) == escape(raw.decode("utf-8", "surrogateescape"))


@given(st.binary(max_size=300))
def test_any_bytes_give_a_table_or_a_clear_answer(raw: bytes) -> None:
    with contextlib.suppress(CouldNotLook):
        assert MountTable.parse(raw, where="h").mounts


PLACES = st.sampled_from(["/", "/a", "/a/b", "/a/b/c", "/ab", "/x", "/x/y"])


@given(st.lists(PLACES, max_size=10), PLACES)
def test_the_mount_shown_is_the_one_that_the_last_mount_calls_left_visible(places: list[str], path: str) -> None:
    """A reference model: mounting at a path replaces all that is visible at and below it."""
    mounts, visible = [ROOT], {"/": ROOT}
    for number, place in enumerate(filter("/".__ne__, places), start=2):
        covering = max((point for point in visible if point == place or place.startswith(point.rstrip("/") + "/")), key=len)
        mount = replace(ROOT, id=number, parent=visible[covering].id, mountpoint=place, device_number=f"0:{number}")
        visible = {point: seen for point, seen in visible.items() if point != place and not point.startswith(place.rstrip("/") + "/")} | {place: mount}
        mounts.append(mount)
    expected = visible[max((point for point in visible if point == path or path.startswith(point.rstrip("/") + "/")), key=len)]
    assert MountTable(tuple(mounts)).showing(path) == expected
