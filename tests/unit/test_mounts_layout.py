"""How state and data lie to each other, in chains of compose files and on their host; and whether there is room to write."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from interlock.errors import CouldNotLook
from interlock.facts.looks import Entry, Listing, SpaceAnswer
from interlock.facts.mounts import (
    ChainLayout,
    Directories,
    HostLayout,
    Layout,
    Mount,
    MountTable,
    NewestBackup,
    WritablePlace,
    bound_beside,
    newest_backup,
)
from interlock.facts.stack import Service, ServiceMount
from interlock.judge.mounts import judge_layout, judge_writable
from interlock.verdicts import Broken, Held, Judgement, Outcome, Unproven

FLAT = Directories(state="/data-state", data="/data", variable="STATE_DIR")
NESTED = Directories(state="/data/state", data="/data", variable="STATE_DIR")
STATE, DATA = ("/data-state", "/data-state"), ("/data", "/data")


def service(name: str, *mounts: tuple[str, str], state: str | None = None) -> Service:
    return Service(
        name=name,
        image="x",
        environment={"STATE_DIR": state} if state else {},
        mounts=tuple(ServiceMount(kind="bind", source=source, target=target) for source, target in mounts),
        ports=(),
    )


def chain(*users: Service, declared: Layout = Layout.FLAT, directories: Directories | None = None, **more: Any) -> ChainLayout:
    found = ChainLayout(
        chain="prod",
        declared=declared,
        layouts=(declared,),
        declared_is_followed=True,
        directories=directories or (FLAT if declared is Layout.FLAT else NESTED),
        users=users,
    )
    return replace(found, **more)


def kinds(judgement: Judgement) -> list[str]:
    assert isinstance(judgement, Broken), judgement
    return [detail.kind for detail in judgement.details if detail.outcome is Outcome.BROKEN] or [judgement.kind]


def test_the_message_counts_the_services_that_bind_both() -> None:
    judged = judge_layout(chain(*(service(f"s{number}", STATE, DATA) for number in range(6))))
    assert isinstance(judged, Held)
    assert judged.message == "6 of 6 services bind both"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (service("worker", DATA), "state-not-bound"),
        (service("worker", STATE), "data-not-bound"),
        (service("worker", ("/srv", "/srv")), "binds-neither"),
        (service("worker", DATA, ("/data-state", "/data/state")), "state-below-data"),
        (service("worker", DATA, STATE, state="/data/state"), "state-below-data"),
        (service("worker", DATA, ("", "/data-state")), "state-not-bound"),
    ],
)
def test_a_service_that_is_not_flat_is_broken_and_the_message_still_counts(wrong: Service, kind: str) -> None:
    judged = judge_layout(chain(service("app", STATE, DATA), wrong))
    assert kinds(judged) == [kind]
    assert isinstance(judged, Broken)
    assert judged.message.startswith("1 of 2 services bind both: worker ")


def test_a_bind_of_a_part_of_the_state_is_a_bind_of_its_own() -> None:
    assert isinstance(judge_layout(chain(service("proxy", ("/data-state/certs", "/certs"), ("/data", "/srv")))), Held)


def test_the_two_may_be_mounted_elsewhere_in_the_container() -> None:
    assert isinstance(judge_layout(chain(service("app", ("/data-state", "/state"), ("/data", "/var/data"), state="/state"))), Held)


@pytest.mark.parametrize(
    "right",
    [
        service("app", DATA, state="/data/state"),
        service("app", DATA),
        service("app", ("/data", "/srv"), state="/srv/state"),
        service("app", DATA, ("/data/state", "/data/state"), state="/data/state/"),
    ],
)
def test_a_service_that_sees_the_state_below_the_data_is_nested(right: Service) -> None:
    assert isinstance(judge_layout(chain(right, declared=Layout.NESTED)), Held)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (service("app", DATA, state="/data-state"), "state-not-bound"),
        (service("app", ("/srv", "/srv")), "state-not-bound"),
        (service("app", DATA, ("/data-state", "/data/state"), state="/data/state"), "state-elsewhere"),
        (service("app", ("", "/data"), state="/data/state"), "state-elsewhere"),
    ],
)
def test_a_service_that_does_not_is_broken(wrong: Service, kind: str) -> None:
    assert kinds(judge_layout(chain(wrong, declared=Layout.NESTED))) == [kind]


@pytest.mark.parametrize("state", [None, "/data/state"])
def test_a_bind_that_does_not_show_the_nested_disk_is_broken(state: str | None) -> None:
    plain = service("app", DATA, state=state)
    hidden = replace(plain, mounts=tuple(replace(mount, recursive="disabled") for mount in plain.mounts))
    assert kinds(judge_layout(chain(hidden, declared=Layout.NESTED))) == ["not-recursive"]
    own = replace(hidden, mounts=(*hidden.mounts, ServiceMount(kind="bind", source="/data/state", target="/data/state")))
    assert isinstance(judge_layout(chain(own, declared=Layout.NESTED)), Held)


def test_both_overlays_in_one_chain_are_broken_whatever_its_services_do() -> None:
    assert kinds(judge_layout(chain(service("app", STATE, DATA), layouts=(Layout.NESTED, Layout.FLAT)))) == ["both-overlays"]


def test_a_declared_layout_that_no_chain_follows_is_broken() -> None:
    assert kinds(judge_layout(chain(service("app", DATA), layouts=(Layout.NESTED,), declared_is_followed=False))) == ["other-layout"]


def test_a_chain_for_hosts_with_the_other_layout_is_told_by_what_it_binds() -> None:
    elsewhere = Directories(state="/data-state", data="/data", variable="")
    flat = chain(service("app", STATE, DATA, state="/data/state"), declared=Layout.NESTED, directories=elsewhere, layouts=(Layout.FLAT,))
    assert isinstance(judge_layout(flat), Held)
    assert kinds(judge_layout(replace(flat, users=(*flat.users, service("worker", DATA))))) == ["state-not-bound"]
    nested = chain(service("app", DATA, state="/data-state"), directories=replace(elsewhere, state=""), layouts=(Layout.NESTED,))
    assert isinstance(judge_layout(nested), Held)
    assert kinds(judge_layout(replace(nested, users=(service("app", STATE),)))) == ["data-not-bound"]


def test_a_flat_chain_that_binds_nothing_beside_the_data_is_broken() -> None:
    elsewhere = Directories(state="", data="/data", variable="")
    judged = judge_layout(chain(service("app", DATA), declared=Layout.NESTED, directories=elsewhere, layouts=(Layout.FLAT,)))
    assert kinds(judged) == ["state-not-bound"]


def test_the_directory_beside_is_what_most_services_bind_to_write_to() -> None:
    users = (
        service("a", STATE, DATA, ("/work/site/logs", "/logs")),
        service("b", STATE, ("/var/run/docker.sock", "/x")),
        service("c", ("/data/x", "/y")),
        service("d", ("/work/site/logs", "/logs")),
        service("e", ("/work/site/logs", "/logs")),
    )
    assert bound_beside(users, "/data", "/work/site") == "/data-state"
    assert bound_beside(users[2:], "/data", "/work/site") == ""


def test_no_service_that_uses_state_proves_nothing() -> None:
    assert isinstance(judge_layout(chain()), Unproven)


# ---- the host


def mount(mountpoint: str, number: int, **more: Any) -> Mount:
    found = Mount(
        id=number,
        parent=1,
        device_number=f"8:{number}",
        root="/",
        mountpoint=mountpoint,
        options=("rw", "relatime"),
        propagation=(),
        fstype="ext4",
        source=f"/dev/sd{number}",
        super_options=("rw",),
    )
    return replace(found, **more)


ROOT = mount("/", 1, parent=0)


def host(state: str, data: str, *, declared: Layout, users: tuple[Service, ...] | None = None, root_holds_data: bool = False) -> HostLayout:
    mounts = (ROOT, mount(state, 3)) if root_holds_data else (ROOT, mount(data, 2), mount(state, 3))
    return HostLayout(
        declared=declared,
        state_path=state,
        data_path=data,
        state_mountpoint=state,
        data_mountpoint="/" if root_holds_data else data,
        table=MountTable(mounts),
        directories=FLAT if declared is Layout.FLAT else NESTED,
        users=users,
    )


@pytest.mark.parametrize(
    ("state", "data", "declared", "kind"),
    [
        ("/data-state", "/data", Layout.FLAT, None),
        ("/data/state", "/data", Layout.NESTED, None),
        ("/data/state", "/data", Layout.FLAT, "not-beside"),
        ("/state", "/state/data", Layout.FLAT, "not-beside"),
        ("/data-state", "/data", Layout.NESTED, "not-nested"),
        ("/data", "/data", Layout.FLAT, "one-mount"),
    ],
)
def test_the_mounts_of_the_host_lie_as_declared(state: str, data: str, declared: Layout, kind: str | None) -> None:
    judged = judge_layout(host(state, data, declared=declared))
    assert (kinds(judged)[0] if isinstance(judged, Broken) else None) == kind


def test_data_on_the_root_disk_lies_beside_a_state_disk_of_its_own() -> None:
    assert isinstance(judge_layout(host("/data-state", "/data", declared=Layout.FLAT, root_holds_data=True)), Held)
    assert isinstance(judge_layout(host("/data/state", "/data", declared=Layout.NESTED, root_holds_data=True)), Held)


def test_a_disk_that_is_not_mounted_shows_no_layout() -> None:
    gone = host("/data-state", "/data", declared=Layout.FLAT)
    assert isinstance(judge_layout(replace(gone, table=MountTable((ROOT, mount("/data", 2))))), Unproven)


def test_the_containers_of_the_host_are_asked_too() -> None:
    right = host("/data-state", "/data", declared=Layout.FLAT, users=(service("app", STATE, DATA),))
    judged = judge_layout(right)
    assert isinstance(judged, Held)
    assert judged.message.endswith("1 of 1 services bind both")
    assert kinds(judge_layout(replace(right, users=(service("app", DATA),)))) == ["state-not-bound"]
    assert isinstance(judge_layout(replace(right, users=())), Held)


# ---- writable


ROOM = SpaceAnswer(bytes_free=1000, bytes_total=5000, inodes_free=50, inodes_total=100, read_only=False)


def place(shown: Mount = ROOT, **more: Any) -> WritablePlace:
    found = WritablePlace(path="/data", present=True, realpath="/data", table=MountTable((shown,)), space=ROOM)
    return replace(found, **more)


def test_a_disk_with_room_holds() -> None:
    assert isinstance(judge_writable(place(min_free=1000, min_free_inodes=50)), Held)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (place(replace(ROOT, options=("ro",))), "mounted-read-only"),
        (place(replace(ROOT, super_options=("ro", "errors=remount-ro"))), "file-system-read-only"),
        (place(replace(ROOT, super_options=("rw", "emergency_ro"))), "file-system-read-only"),
        (place(replace(ROOT, super_options=("rw", "shutdown"))), "file-system-read-only"),
        (place(space=replace(ROOM, read_only=True)), "file-system-read-only"),
        (place(space=replace(ROOM, immutable=True)), "immutable"),
        (place(min_free=1001), "too-few-bytes"),
        (place(min_free_inodes=51), "too-few-inodes"),
        (place(space=replace(ROOM, bytes_free=0)), "too-few-bytes"),
        (place(space=replace(ROOM, inodes_free=0)), "too-few-inodes"),
        (place(backups=True, newest=NewestBackup(size=834, files=1)), "too-few-bytes"),
        (place(backups=True, newest=NewestBackup(size=1, files=51)), "too-few-inodes"),
    ],
)
def test_a_place_that_cannot_take_what_comes_is_broken(wrong: WritablePlace, kind: str) -> None:
    assert kinds(judge_writable(wrong)) == [kind]


def test_the_next_backup_may_be_a_fifth_larger_than_the_newest() -> None:
    assert isinstance(judge_writable(place(backups=True, newest=NewestBackup(size=833, files=1))), Held)


def test_a_file_system_that_counts_no_inodes_is_not_asked_for_them() -> None:
    assert isinstance(judge_writable(place(space=replace(ROOM, inodes_free=0, inodes_total=0), min_free_inodes=10)), Held)


def test_an_option_that_begins_like_read_only_is_not_it() -> None:
    assert isinstance(judge_writable(place(replace(ROOT, super_options=("rw", "errors=remount-ro", "rootcontext=x")))), Held)


def test_no_backup_yet_is_said() -> None:
    judged = judge_writable(place(backups=True))
    assert isinstance(judged, Held)
    assert "no backup is there yet" in judged.message


def test_a_place_that_is_not_there_is_unproven() -> None:
    assert isinstance(judge_writable(place(present=False, space=None)), Unproven)


def test_what_a_broken_place_is_known_by_holds_no_size() -> None:
    judged = judge_writable(place(min_free=1001))
    assert isinstance(judged, Broken)
    assert [(detail.what, detail.kind) for detail in judged.details if detail.outcome is Outcome.BROKEN] == [("bytes", "too-few-bytes")]


# ---- the newest backup


FOLDER = Entry(name="", mode=stat.S_IFDIR | 0o700, uid=0, gid=0, size=0, mtime=0, links=2)


def file(name: str, size: int, mtime: int, kind: int = stat.S_IFREG) -> Entry:
    return Entry(name=name, mode=kind | 0o600, uid=0, gid=0, size=size, mtime=mtime, links=1)


def newest(*listings: Listing) -> NewestBackup | None:
    def walk() -> Iterator[Listing]:
        return iter(listings)

    return newest_backup(walk, "/b")


def test_all_files_of_the_newest_time_stamp_are_one_backup() -> None:
    files = [
        file("ledger-20261120T010000Z.tar.zst", 900, 1),
        file("ledger-20261121T010000Z.tar.zst", 10, 2),
        file("globals-20261121T010000Z.sql", 5, 3),
        file("ledger-20261121T010000Z.tar.zst.json", 7, 4),
        file("SHA256SUMS", 7, 9),
        file(".part", 7, 9),
        file("latest", 7, 9, stat.S_IFLNK),
    ]
    assert newest(Listing("/b", FOLDER, files)) == NewestBackup(size=15, files=2)


def test_a_stamped_folder_is_one_backup() -> None:
    old, new = Listing("/b/2026-11-20", FOLDER, [file("a", 900, 1)]), Listing("/b/2026-11-21", FOLDER, [file("a", 10, 2), file("b", 20, 3)])
    deeper = Listing("/b/2026-11-21/x", FOLDER, [file("c", 30, 2)])
    assert newest(Listing("/b", FOLDER, []), old, new, deeper) == NewestBackup(size=60, files=3)


def test_a_name_without_a_stamp_is_a_backup_by_itself() -> None:
    assert newest(Listing("/b", FOLDER, [file("dump.sql.gz", 10, 2), file("other.sql.gz", 90, 1)])) == NewestBackup(size=10, files=1)


def test_an_empty_directory_has_none() -> None:
    assert newest(Listing("/b", FOLDER, [file("README.json", 1, 1)])) is None


def test_a_folder_that_cannot_be_listed_may_hold_the_newest() -> None:
    with pytest.raises(CouldNotLook, match="could not be listed"):
        newest(Listing("/b", FOLDER, []), Listing("/b/x", FOLDER, [], error="EACCES: Permission denied"))
