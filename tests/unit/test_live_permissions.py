"""Can the process of a container use what it was given, and who else reads its secrets? Judged from what the engine and the kernel say."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Any

import pytest

from interlock.facts.engine import Container, ContainerMount, Place, View
from interlock.facts.live_permissions import PrivateFile, RunningAccess, data_of, holds_secret, is_secret_file
from interlock.judge import live_permissions as judge
from interlock.verdicts import Broken, Held, Unproven

APP = 1000


def bind(source: str, destination: str, **changes: Any) -> ContainerMount:
    said = {"kind": "bind", "name": "", "source": source, "destination": destination, "read_only": False, "propagation": "rprivate"}
    return ContainerMount(**{**said, **changes})


def place(mode: int, uid: int = 0, gid: int = 0, kind: int = stat.S_IFDIR) -> Place:
    return Place(True, "8:1", kind | mode, uid, gid, "/x")


def file(mode: int, uid: int = 0, gid: int = 0) -> Place:
    return place(mode, uid, gid, stat.S_IFREG)


def container(*mounts: ContainerMount, shows: Mapping[str, Place] | None = None, uid: int = APP, user: str | None = None, image: str = "shop:1") -> Container:
    view = View(mountinfo=b"", uid=uid, gid=uid, groups=(), capabilities=0, places=shows) if shows is not None else None
    return Container(
        id="1", name="app", image=image, image_id="sha256:1", project="shop", service="app", state="running", health="", restarts=0, started_at="",
        environment={}, variables=frozenset(), mounts=mounts, ports=(), network_mode="none", labels={}, user=str(uid) if user is None else user, pid=1,
        view=view,
        unseen="" if view else "EACCES: Permission denied",
    )  # fmt: skip


def seen(*containers: Container, files: tuple[PrivateFile, ...] = (), closed: tuple[str, ...] = ()) -> RunningAccess:
    return RunningAccess(host="local", containers=containers, directories=("/srv/state",), files=files, closed=closed)


def kinds(found: Held | Broken | Unproven) -> list[str]:
    assert isinstance(found, Broken), found
    return [detail.kind for detail in found.details if detail.kind]


# ---- secrets


def test_an_env_file_that_everybody_reads_is_broken_only_with_a_secret_in_it() -> None:
    assert kinds(judge.judge_running_secrets(seen(files=(PrivateFile(path="/srv/.env", present=True, mode=0o100644, secret=True),)))) == ["others-may-read"]
    for harmless in (
        PrivateFile(path="/srv/.env", present=True, mode=0o100644, secret=False),
        PrivateFile(path="/srv/.env", present=True, mode=0o100640, secret=True),
        PrivateFile(path="/srv/.env", present=True, mode=0o100644, secret=True, closed_by="/srv"),
        PrivateFile(path="/srv/.env", present=False),
    ):
        assert isinstance(judge.judge_running_secrets(seen(files=(harmless,))), Held)
    assert isinstance(judge.judge_running_secrets(seen(files=(PrivateFile(path="/srv/.env", present=True, mode=0o100644),))), Unproven)


def test_a_mounted_secret_that_everybody_reads_is_broken_unless_its_directory_is_closed() -> None:
    mount = bind("/srv/app/secrets/db", "/run/secrets/db", read_only=True)
    shown = container(mount, shows={"/run/secrets/db": file(0o644)})
    assert kinds(judge.judge_running_secrets(seen(shown))) == ["others-may-read"]
    assert isinstance(judge.judge_running_secrets(seen(shown, closed=("/srv/app/secrets",))), Held)


@pytest.mark.parametrize(
    ("source", "is_secret"),
    [("/a/.env", True), ("/a/prod.env", True), ("/a/tls.key", True), ("/a/id_ed25519", True), ("/a/db_password.txt", True), ("/a/tls.crt", False),
     ("/a/id_rsa.pub", False), ("/a/.env.example", False), ("/a/monkey.txt", False), ("/a/keyboard.yaml", False), ("/a/nginx.conf", False)],
)  # fmt: skip
def test_secrets_are_known_by_their_names(source: str, is_secret: bool) -> None:
    assert is_secret_file(bind(source, "/etc/x")) is is_secret


def test_a_data_disk_with_the_state_below_it_is_not_asked_to_be_written_to_at_its_top() -> None:
    """A service is given /srv for what lies in it: its top is root's, as mkfs makes it, and nobody has to change that."""
    top = container(bind("/srv", "/srv"), shows={"/srv": place(0o755)})
    nested = RunningAccess(host="local", containers=(top,), directories=("/srv", "/srv/state"), files=(), state=("/srv/state",))
    assert isinstance(judge.judge_running_precreated(nested), Held)
    assert isinstance(judge.judge_running_uids(nested), Held)
    beside = RunningAccess(host="local", containers=(top,), directories=("/srv", "/data/state"), files=(), state=("/data/state",))
    assert kinds(judge.judge_running_precreated(beside)) == ["made-by-the-engine"]


def test_an_env_file_holds_a_secret_by_its_names_or_in_an_address() -> None:
    assert holds_secret(b"DB_PASSWORD=x\n")
    assert holds_secret(b"DATABASE_URL=postgres://app:pw@db/app\n")
    assert not holds_secret(b"DB_PASSWORD=\nDOMAIN=example.org\nURL=https://example.org/\n")


# ---- readers


def test_a_file_of_another_user_that_is_his_alone_cannot_be_read() -> None:
    mount = bind("/srv/app.yaml", "/etc/app.yaml")
    assert kinds(judge.judge_running_readers(seen(container(mount, shows={"/etc/app.yaml": file(0o600)})))) == ["reader-is-not-owner"]
    assert isinstance(judge.judge_running_readers(seen(container(mount, shows={"/etc/app.yaml": file(0o600, APP)}))), Held)


def test_who_began_as_root_may_have_read_it_before() -> None:
    mount = bind("/srv/app.yaml", "/etc/app.yaml")
    assert isinstance(judge.judge_running_readers(seen(container(mount, shows={"/etc/app.yaml": file(0o600)}, user=""))), Held)


def test_a_mask_that_may_be_an_acl_is_unproven() -> None:
    mount = bind("/srv/app.yaml", "/etc/app.yaml")
    found = judge.judge_running_readers(seen(container(mount, shows={"/etc/app.yaml": file(0o640)})))
    assert isinstance(found, Unproven)
    assert "getfacl /srv/app.yaml" in found.message


def test_a_container_that_nobody_can_look_into_is_unproven_where_it_matters() -> None:
    assert isinstance(judge.judge_running_readers(seen(container(bind("/srv/app.yaml", "/etc/app.yaml")))), Unproven)
    assert isinstance(judge.judge_running_readers(seen(container())), Held)


def test_a_socket_is_no_file_that_somebody_reads() -> None:
    mount = bind("/var/run/docker.sock", "/var/run/docker.sock")
    assert isinstance(judge.judge_running_readers(seen(container(mount, shows={"/var/run/docker.sock": file(0o600)}))), Held)


# ---- writers


@pytest.mark.parametrize(
    ("shown", "uids", "precreated"),
    [
        (place(0o700, APP), [], []),
        (place(0o755, 2000, 2000), ["cannot-write"], []),
        (place(0o755), [], ["made-by-the-engine"]),
        (place(0o777), [], []),
        (place(0o770, 2000, APP), [], []),
    ],
    ids=["own", "of-another", "roots", "everybodys", "of-its-group"],
)
def test_a_directory_of_the_state_is_its_processs_own(shown: Place, uids: list[str], precreated: list[str]) -> None:
    noun = seen(container(bind("/srv/state/app", "/data"), shows={"/data": shown}))
    for found, expected in ((judge.judge_running_uids(noun), uids), (judge.judge_running_precreated(noun), precreated)):
        assert (kinds(found) if isinstance(found, Broken) else []) == expected


@pytest.mark.parametrize("mount", [bind("/srv/config", "/data"), bind("/srv/state", "/data", read_only=True)], ids=["of-no-state", "read-only"])
def test_what_is_not_given_to_be_written_to_is_none_of_it(mount: ContainerMount) -> None:
    assert isinstance(judge.judge_running_uids(seen(container(mount, shows={"/data": place(0o755, 2000)}))), Held)


# ---- data of engines


POSTGRES = "/var/lib/postgresql/data"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [(place(0o700, 999), []), (place(0o755), []), (place(0o700), ["another-owner"]), (place(0o755, APP, APP), ["another-owner"]), (place(0o777, APP), [])],
    ids=["own", "a-level-below-root", "root-alone", "taken", "everybodys"],
)
def test_the_data_of_an_engine_is_its_own(shown: Place, expected: list[str]) -> None:
    database = container(bind("/srv/db", POSTGRES), shows={POSTGRES: shown}, uid=999, user="", image="postgres:17")
    found = judge.judge_running_owners(seen(database))
    assert (kinds(found) if isinstance(found, Broken) else []) == expected


def test_the_data_is_known_by_the_image() -> None:
    assert data_of(container(image="postgres:17"), POSTGRES) == "PostgreSQL"
    assert data_of(container(image="postgres:17"), "/docker-entrypoint-initdb.d") == ""
    assert data_of(container(image="shop:1"), POSTGRES) == ""
