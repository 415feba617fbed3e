"""What is said of running containers by what was seen inside of them; tests/integration/test_state_dir_engine.py looks into real ones."""

from __future__ import annotations

from dataclasses import replace
from stat import S_IFDIR, S_IFREG

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.container_mounts import Spot
from interlock.facts.engine import Place, View
from interlock.facts.mount_tables import MountTable
from interlock.facts.stack import Service, ServiceMount
from interlock.facts.state_dir import HostAndStack, Resolved, StateVariable, Users
from interlock.facts.state_inside import Cannot, ConfigInside, HostDirectory, StateInside, StateWriters, ancestors
from interlock.judge.state.writable import judge_writable
from interlock.judge.state_dir import judge_host_and_stack
from interlock.verdicts import Broken, Held, Judgement, Outcome, Unproven

STATE, CONFIG = "/srv/state", "/srv/state/config/shop.yaml"
ROOT = "1 0 0:30 / / rw - overlay overlay rw\n"
DISK = "2 1 8:1 /state {mountpoint} {options} - ext4 /dev/sda1 {super}\n"


def table(options: str = "rw", super_options: str = "rw", *more: str) -> MountTable:
    text = ROOT + DISK.format(mountpoint=STATE, options=options, super=super_options) + "".join(more)
    return MountTable.parse(text.encode(), where="app")


def directory(mode: int = 0o755, uid: int = 1000, leads: str = STATE) -> Place:
    return Place(present=True, device="8:1", mode=S_IFDIR | mode, uid=uid, gid=uid, leads=leads)


def app(places: dict[str, Place] | None = None, mounts: MountTable | None = None, uid: int = 1000) -> StateInside:
    """A container whose process is uid 1000, with the state directory that is its own, and no configuration yet."""
    known = {"/srv": directory(uid=0, leads="/srv"), STATE: directory(), "/srv/state/config": Place(present=False), CONFIG: Place(present=False)}
    view = View(mountinfo=b"", uid=uid, gid=uid, groups=(), capabilities=0, places={**known, **(places or {})})
    return StateInside(who="app", container="shop-app-1", path=STATE, view=view, table=mounts or table())


def judged(*writers: StateInside, config: bool = False) -> Held | Broken | Unproven:
    configs = (ConfigInside("shop", CONFIG),) if config else ()
    return judge_writable(StateWriters(where="the running containers of local", expected=STATE, writers=writers, configs=configs))


def kinds(judgement: Judgement) -> set[str]:
    assert not isinstance(judgement, Held)
    return {detail.kind for detail in judgement.details if detail.outcome is not Outcome.HELD}


def test_its_owner_can_write() -> None:
    assert isinstance(judged(app(), config=True), Held)


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (app(uid=1001), Cannot.NO_PERMISSION),
        (app({STATE: Place(present=False)}), Cannot.ABSENT),
        (app({STATE: directory()._replace(mode=S_IFREG | 0o644)}), Cannot.NO_DIRECTORY),
        (app(mounts=table("ro,relatime")), Cannot.READ_ONLY),
        (app(mounts=table("rw", "ro,errors=remount-ro")), Cannot.READ_ONLY_FILE_SYSTEM),
        (app({"/srv": directory(0o700, 0)}), Cannot.NO_WAY),
    ],
)
def test_what_keeps_a_service_from_writing_is_broken(one: StateInside, kind: Cannot) -> None:
    judgement = judged(one, config=True)
    assert isinstance(judgement, Broken)
    assert kinds(judgement) == {kind}


def test_an_error_that_remounts_read_only_is_no_read_only_file_system() -> None:
    assert isinstance(judged(app(mounts=table("rw", "rw,errors=remount-ro"))), Held)


@pytest.mark.parametrize(
    "one",
    [
        replace(app(), view=None, table=None, unseen="EACCES: Permission denied"),
        app({STATE: Place(present=False, error="timeout: it did not answer")}),
        app({STATE: directory(0o775, 0)}),  # an ACL may let it
        replace(app(), wrong="its STATE_DIR comes to /data/state, not to /srv/state"),
    ],
)
def test_what_nobody_could_see_is_unproven(one: StateInside) -> None:
    assert isinstance(judged(one), Unproven)
    assert isinstance(judged(one, app(uid=1001)), Broken)


def file(mode: int, uid: int) -> Place:
    return Place(present=True, device="8:1", mode=S_IFREG | mode, uid=uid, gid=uid, leads=CONFIG)


BOUND = "3 2 8:1 /packaged.yaml /srv/state/config/shop.yaml {options} - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("places", "more", "kind"),
    [
        ({CONFIG: file(0o600, 1000)}, "", ""),
        ({CONFIG: file(0o644, 0)}, "", ""),  # replaced, in its own directory
        ({CONFIG: file(0o644, 0), "/srv/state/config": directory(0o755, 0)}, "", "config-no-permission"),
        ({CONFIG: file(0o644, 1000), "/srv/state/config": directory(0o755, 0)}, "", ""),
        ({CONFIG: file(0o644, 1000)}, BOUND.format(options="ro"), "config-read-only"),
        ({CONFIG: file(0o644, 1000)}, BOUND.format(options="rw"), ""),
        ({CONFIG: file(0o644, 0)}, BOUND.format(options="rw"), "config-no-permission"),  # a mountpoint cannot be replaced
        ({CONFIG: file(0o644, 1000), "/srv/state/config": directory(0o700, 0)}, "", "config-no-way-in"),
    ],
)
def test_the_configuration_is_written_in_its_place_or_replaced(places: dict[str, Place], more: str, kind: str) -> None:
    there = {"/srv/state/config": directory(), **places}
    judgement = judged(app(there, table("rw", "rw", more)), config=True)
    assert (set() if isinstance(judgement, Held) else kinds(judgement)) == ({kind} if kind else set())


def test_one_service_that_can_write_the_configuration_is_enough() -> None:
    other = app({"/srv/state/config": directory(0o755, 0), CONFIG: file(0o644, 0)})
    assert isinstance(judged(other, app(), config=True), Held)


def test_where_no_service_can_write_the_directory_its_files_are_not_told_beside() -> None:
    assert kinds(judged(app(uid=1001), config=True)) == {Cannot.NO_PERMISSION}


@given(st.lists(st.sampled_from(["a", "b c", ".x"]), min_size=1, max_size=5))
def test_the_directories_above_a_path_are_those_that_the_kernel_goes_through(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    above = ancestors(path)
    assert len(above) == len(parts) - 1
    assert all(path.startswith(f"{one}/") for one in above)
    assert list(above) == sorted(above, key=len)


# ---- host and stack


VARIABLE = StateVariable(name="STATE_DIR", default=STATE, fallbacks={})
HERE = HostDirectory(Spot("8:1", "/state"), "8:1", judged=False)


def together(one: StateInside, host: HostDirectory = HERE, source: str = STATE, kind: str = "bind") -> HostAndStack:
    mount = ServiceMount(kind=kind, source=source, target=STATE)
    service = Service(name="app", image="x", environment={"STATE_DIR": STATE}, mounts=(mount,), ports=(), container_name=one.container)
    users = Users(where="the running containers of local", variable=VARIABLE, expected=STATE, services=(service,))
    given = Resolved(path=STATE, from_default=False)
    return HostAndStack(
        variable=VARIABLE, expected=STATE, given=given, default=given, readings=(), silent=(), users=(users,), inside={one.container: one}, directory=host
    )


def test_the_same_directory_under_another_name_holds() -> None:
    assert isinstance(judge_host_and_stack(together(app(), source="/mnt/link")), Held)
    assert isinstance(judge_host_and_stack(together(app(), source="", kind="volume")), Held)


@pytest.mark.parametrize(
    ("host", "source", "kind"),
    [
        (HERE._replace(spot=Spot("8:1", "/state.new")), STATE, "moved-directory"),
        (HERE._replace(spot=Spot("8:2", "/state"), device="8:2"), STATE, "another-device"),
        (HERE._replace(spot=Spot("8:1", "/other")), "/srv/other", "another-directory"),
        (HERE._replace(spot=Spot("8:1", "/other")), "", "engine-volume"),
    ],
)
def test_another_directory_than_the_hosts_is_broken(host: HostDirectory, source: str, kind: str) -> None:
    judgement = judge_host_and_stack(replace(together(app(), host, source), on_a_disk=True))
    assert isinstance(judgement, Broken)
    assert kinds(judgement) == {kind}


def test_where_the_disks_are_judged_inside_of_containers_it_is_not_told_twice() -> None:
    judgement = judge_host_and_stack(together(app(), HERE._replace(spot=Spot("8:2", "/state"), device="8:2", judged=True)))
    assert isinstance(judgement, Unproven)
    assert "see what mounts.nested_visible says of it" in judgement.message


def test_a_right_name_alone_proves_nothing_and_a_wrong_one_is_wrong() -> None:
    unseen = replace(app(), view=None, table=None, unseen="EACCES: Permission denied")
    assert kinds(judge_host_and_stack(together(unseen))) == {"could-not-look"}
    assert isinstance(judge_host_and_stack(together(unseen)), Unproven)
    assert isinstance(judge_host_and_stack(together(unseen, source="/srv/other")), Broken)
