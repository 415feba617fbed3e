"""mountinfo: parsed fully, and walked as the kernel walks."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.errors import CouldNotLook
from interlock.facts.mounts import DeclaredDisk, DeviceNames, Mount, MountTable, escape, unescape
from interlock.judge.disk.declared import judge_disk
from interlock.verdicts import Broken, Held, Unproven

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
OPTIONS = st.lists(WORDS.filter(lambda word: "," not in word), min_size=1, max_size=3).map(tuple)
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
