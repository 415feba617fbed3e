"""Whom the state belongs to and who may own it: declared, or told by the directory and by the services that run; what nobody can tell is no fault."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.config.models import Disk, Host, Mounts, Site, StateDir
from interlock.facts import looks
from interlock.facts.engine import Container, ContainerMount, Engine, View
from interlock.facts.looks import Answer, FailedLook, HostFacts, Look, OwnedFiles, Owners, OwnersAnswer, Stat, StatAnswer, User
from interlock.facts.writers import ServiceUser, StateOwners
from interlock.judge.disk.writers import TWO_WRITERS, judge_writers
from interlock.observe.state_dir import WORKING_DIRECTORY
from interlock.observe.tree import Tree
from interlock.observe.world import LIVE_GATES, World
from interlock.observe.writers import OBSERVERS, state_owners
from interlock.verdicts import Broken, Held, Outcome, Subject, Unproven

APP = ServiceUser("app", 1000)
WAL = OwnedFiles(0, 1, ("state.db-wal",))


def files(uid: int, *names: str) -> OwnedFiles:
    return OwnedFiles(uid, len(names), names)


def owned(*owners: OwnedFiles, services: tuple[ServiceUser, ...] = (), declared: Mapping[str, int | None] | None = None, **more: Any) -> StateOwners:
    return StateOwners(path="/data/state", owners=owners, **{"complete": True, "unread": (), **more}, declared=declared, services=services)


def test_a_state_of_one_owner_holds_and_is_counted() -> None:
    judged = judge_writers(owned(files(1000, ".", "state.db", "certs"), services=(APP,)))
    assert judged == Held("/data/state: 2 entries of the user of app (uid 1000)", judged.details)
    assert [(detail.what, detail.outcome) for detail in judged.details] == [("uid 1000", Outcome.HELD)]


def test_a_write_ahead_log_of_root_breaks_it() -> None:
    judged = judge_writers(owned(WAL, files(1000, ".", "state.db"), services=(APP,)))
    assert isinstance(judged, Broken)
    assert judged.message == "one entry of root below /data/state: state.db-wal; writers are the user of app (uid 1000)"
    bad = next(detail for detail in judged.details if detail.outcome is Outcome.BROKEN)
    assert (bad.what, bad.kind, bad.value, bad.file) == ("uid 0", "another-owner", 1, "/data/state/state.db-wal")
    assert "`sudo find /data/state -mindepth 1 -uid 0 ! -name lost+found -exec chown -h 1000 {} +`" in judged.remedy
    assert judged.remedy.startswith("find what writes there as that user")


def test_that_the_directory_belongs_to_root_makes_root_no_writer_where_services_tell() -> None:
    """A new file system belongs to root."""
    judged = judge_writers(owned(files(0, ".", "state.db-wal"), files(1000, "state.db"), services=(APP,)))
    assert isinstance(judged, Broken)
    assert "one entry of root below /data/state: state.db-wal" in judged.message
    assert isinstance(judge_writers(owned(files(0, "."), files(1000, "state.db"), services=(APP,))), Held)


def test_the_owner_of_the_directory_and_every_service_are_writers() -> None:
    state = owned(files(33, "uploads"), files(999, "pg"), files(1000, ".", "state.db"), services=(ServiceUser("web", 33), ServiceUser("db", 999)))
    judged = judge_writers(state)
    assert judged.message == (
        "/data/state: one entry of the user of web (uid 33), one entry of the user of db (uid 999), one entry of the owner of /data/state (uid 1000)"
    )


def test_without_services_the_owner_is_the_writer_unless_it_is_root() -> None:
    assert isinstance(judge_writers(owned(files(1000, ".", "a"), files(1001, "b"))), Broken)
    assert isinstance(judge_writers(owned(files(0, ".", "a", "b"))), Held)
    assert isinstance(judge_writers(owned(files(0, "."), files(1000, "a"))), Held)
    nobody = judge_writers(owned(files(0, ".", "state.db-wal"), files(1000, "state.db")))
    assert isinstance(nobody, Unproven)
    assert "belongs to root, and nobody says who else writes there" in nobody.message
    assert nobody.remedy == "name who writes there in `state_dir.writers`; look yourself: `sudo find /data/state -ls`"


def test_an_empty_directory_holds() -> None:
    assert judge_writers(owned(files(0, "."))) == Held("/data/state is empty, and writes there: the only owner", ())
    assert isinstance(judge_writers(owned(files(0, "."), services=(APP,))), Held)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (ServiceUser("worker", None, "it ended meanwhile"), "the user of worker could not be seen (it ended meanwhile), and may be that one"),
        (ServiceUser("worker", 0), "worker starts as root, and may write as anybody"),
    ],
)
def test_where_a_service_may_be_the_other_writer_nobody_can_tell(service: ServiceUser, said: str) -> None:
    judged = judge_writers(owned(files(33, "f"), files(1000, ".", "a"), services=(APP, service)))
    assert isinstance(judged, Unproven)
    assert said in judged.message
    assert isinstance(judge_writers(owned(files(1000, ".", "a"), services=(APP, service))), Held)


def test_root_is_a_writer_where_a_service_runs_as_root() -> None:
    assert isinstance(judge_writers(owned(files(0, ".", "state.db-wal"), services=(ServiceUser("app", 0),))), Held)


def test_declared_writers_alone_count() -> None:
    declared = {"app": 1000, "999": 999}
    judged = judge_writers(owned(files(999, "b"), files(1000, ".", "a"), declared=declared))
    assert judged.message == "/data/state: one entry of uid 999, one entry of app (uid 1000)"
    other = judge_writers(owned(files(0, "."), files(1000, "a"), files(1001, "x", "y"), declared=declared))
    assert isinstance(other, Broken)
    assert other.message == "2 entries of uid 1001 below /data/state: x, y; writers are uid 999, app (uid 1000)"
    assert "chown -h OWNER" in other.remedy
    assert "or name it in `state_dir.writers`" in other.remedy


def test_a_declared_name_that_the_host_does_not_know_is_unproven_and_no_accusation() -> None:
    state = owned(files(1000, ".", "a"), files(1001, "b"), declared={"app": 1000, "typo": None})
    judged = judge_writers(state)
    assert isinstance(judged, Unproven)
    assert "the declared writer typo is no user of that host" in judged.message
    assert "may be that one" in judged.message


def test_what_was_not_seen_is_unproven_unless_something_is_broken_already() -> None:
    unread = judge_writers(owned(files(1000, ".", "shut"), services=(APP,), unread=("shut/: EACCES: Permission denied",)))
    assert isinstance(unread, Unproven)
    assert unread.message == "/data/state: shut/: EACCES: Permission denied"
    assert "set `become: sudo -n` for this host, or look yourself: `sudo find /data/state ! -uid 1000 -ls`" in unread.remedy
    more = judge_writers(owned(files(1000, ".", "a"), services=(APP,), complete=False))
    assert isinstance(more, Unproven)
    assert "more entries than are counted" in more.message
    assert isinstance(judge_writers(owned(WAL, files(1000, "."), services=(APP,), complete=False, unread=("x: EIO: x",))), Broken)


def test_many_names_are_cut() -> None:
    judged = judge_writers(owned(OwnedFiles(0, 1200, tuple(f"f{number}" for number in range(100))), files(1000, "."), services=(APP,)))
    assert "1,200 entries of root below /data/state: f0, f1, f2, f3, f4 and 1,195 more;" in judged.message


# ---- how it is had


def container(name: str, *mounts: tuple[str, bool], uid: int | None = 1000, state: str = "running", folder: str = "/srv/shop") -> Container:
    """One of a compose project, with binds of these directories of the host that it can write to or not."""
    return Container(
        id=name,
        name=name,
        image="shop",
        image_id="sha256:0",
        project="shop",
        service=name,
        state=state,
        health="",
        restarts=0,
        started_at="",
        environment={},
        variables=frozenset(),
        mounts=tuple(
            ContainerMount(kind="bind", name="", source=source, destination="/data", read_only=not writes, propagation="rprivate") for source, writes in mounts
        ),
        ports=(),
        network_mode="none",
        labels={WORKING_DIRECTORY: folder},
        view=None if uid is None else View(mountinfo=b"", uid=uid, gid=0, groups=(), capabilities=0, places={}),
        unseen="it is gone" if uid is None else "",
    )


def seen(*containers: Container, writers: tuple[str | int, ...] | None = None, engine: bool = True) -> StateOwners:
    """The noun of a site whose state directory is a link, beside these containers."""
    state_dir = StateDir(host="app", path="/data/state", default="/data/state", writers=writers)
    mounts = Mounts(state=Disk(host="app", path="/data/state", device="/dev/sdc"))
    instances: Any = {"main": {"host": "app", "directory": "/srv/shop"}}
    site = Site(interlock=1, site="s", hosts={"app": Host(engine="/run/e" if engine else None)}, mounts=mounts, state_dir=state_dir, instances=instances)
    (subject,) = TWO_WRITERS.subjects(site)
    answers: dict[Look, Answer] = {}
    for look in OBSERVERS[TWO_WRITERS.id].looks(site, subject):
        match look:
            case Owners():
                answers[look] = OwnersAnswer(owners=(files(1000, ".", "a"),), complete=True)
            case Stat():
                answers[look] = StatAnswer(present=True, realpath="/mnt/state")
            case User():
                answers[look] = {"app": 1000}.get(look.name)
            case looks.Engine():
                answers[look] = FailedLook("engine-absent", "it is not asked twice")
            case _:
                raise AssertionError(look)
    facts = HostFacts(host="app", taken_at="2026-11-20T21:00:00Z", user="root", answers=answers, walks=lambda _: iter(()))
    world = World(site=site, gates=LIVE_GATES, tree=Tree(Path("/none")), hosts={"app": facts}, environ={})
    running = tuple(sorted(containers, key=lambda one: one.name))
    world.once(("engine", "app"), lambda: Engine(version="26.1.5", containers=running, volumes=()))
    return state_owners(world, subject)


def test_services_that_can_write_there_are_asked_as_whom_they_run() -> None:
    state = seen(
        container("above", ("/data", True), uid=1),
        container("there", ("/mnt/state", True), uid=2),
        container("inside", ("/data/state/pg", True), uid=3),
        container("gone", ("/data/state", True), uid=None),
        container("reader", ("/data", False), uid=4),
        container("agent", ("/", True), uid=5),
        container("beside", ("/data/state2", True), uid=6),
        container("ended", ("/data/state", True), uid=7, state="exited"),
        container("other-project", ("/data/state", True), uid=8, folder="/srv/other"),
    )
    assert state.services == (ServiceUser("above", 1), ServiceUser("gone", None, "it is gone"), ServiceUser("inside", 3), ServiceUser("there", 2))
    assert state.declared is None


def test_declared_writers_are_looked_up_and_no_engine_is_asked() -> None:
    state = seen(container("above", ("/data", True), uid=1), writers=("app", "typo", 33))
    assert state.declared == {"app": 1000, "typo": None, "33": 33}
    assert state.services == ()


def test_without_an_engine_only_the_directory_tells() -> None:
    assert seen(engine=False).services == ()


def test_the_directory_is_the_declared_one_else_that_of_the_state_disk_and_no_disks_is_no_subject() -> None:
    disk = Mounts(state=Disk(host="db", path="/data", device="tmpfs"))
    assert TWO_WRITERS.subjects(Site(interlock=1, site="s", hosts={"db": Host()}, mounts=disk)) == [Subject(name="state", host="db")]
    assert TWO_WRITERS.subjects(Site(interlock=1, site="s", state_dir=StateDir(path="/data", default="/data"))) == []
    site = Site(interlock=1, site="s", hosts={"db": Host()}, mounts=disk, state_dir=StateDir(path="/srv", default="/srv"))
    (subject,) = TWO_WRITERS.subjects(site)
    assert subject.host == "local"
    assert Owners("/srv") in OBSERVERS[TWO_WRITERS.id].looks(site, subject)
