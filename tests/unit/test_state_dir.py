"""What the variable of the state directory comes to, for everybody who reads it: an env file, a service, docker compose itself."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlock.facts.dotenv import EnvFile
from interlock.facts.looks import SecretAnswer, StatAnswer
from interlock.facts.stack import Service, ServiceMount
from interlock.facts.state_dir import (
    ConfigCopy,
    Copies,
    CopyMounts,
    DeclaredSecret,
    HostAndStack,
    MountedCopies,
    Reading,
    Resolved,
    StackReads,
    StateVariable,
    Unresolved,
    Users,
    VariableSeen,
    Way,
    Wrong,
    given_by,
    in_env_files,
    in_service,
    on_host,
)
from interlock.judge.state_dir import judge_copies, judge_host_and_stack, judge_mounted, judge_resolves, judge_secrets, judge_services
from interlock.observe.compose_binary import Model, Refused, find_compose
from interlock.verdicts import Broken, Detail, Held, Judgement, Outcome, Unproven
from tests.strategies import state_dir_env_files

VARIABLE = StateVariable(name="STATE_DIR", default="${DATA_DIR}/state", fallbacks={"DATA_DIR": "/data"})


def comes_to(text: str, variable: StateVariable = VARIABLE) -> str | Wrong:
    found = in_env_files(variable, EnvFile.parse(text.encode(), where=".env"))
    return found.path if isinstance(found, Resolved) else found.why


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "/data/state"),
        ("STATE_DIR=\n", "/data/state"),
        ('STATE_DIR=""\n', "/data/state"),
        ("DATA_DIR=/mnt\n", "/mnt/state"),
        ("DATA_DIR=\n", "/data/state"),
        ("STATE_DIR=/data-state\n", "/data-state"),
        ("STATE_DIR=/data-state/\n", "/data-state"),
        ("STATE_DIR=//data-state//./x/\n", "/data-state/x"),
        ("export STATE_DIR='/data state' # where\n", "/data state"),
        ('STATE_DIR="/data-state"\n', "/data-state"),
        ("D=/data\nSTATE_DIR=${D}-state\n", "/data-state"),
        ("STATE_DIR='${D}-state'\nD=/x\n", Wrong.RELATIVE),
        ("STATE_DIR=/a\nSTATE_DIR=/b\n", "/b"),
        ("STATE_DIR=/\n", "/"),
        ("STATE_DIR=state\n", Wrong.RELATIVE),
        ("STATE_DIR=~/state\n", Wrong.RELATIVE),
        ('STATE_DIR=" "\n', Wrong.RELATIVE),
        ("STATE_DIR=/data/../state\n", Wrong.DOTS),
        ("STATE_DIR=/data/..\n", Wrong.DOTS),
        ('STATE_DIR="/data\\nstate"\n', Wrong.CONTROL),
        ("STATE_DIR=${D}-state\nD=/data\n", Wrong.UNDEFINED),
        ("STATE_DIR\n", Wrong.INHERITED),
        ("DATA_DIR=${D}/x\n", Wrong.UNDEFINED),
        ("DATA_DIR\n", Wrong.INHERITED),
        ("DATA_DIR=${D}/x\nSTATE_DIR=/data-state\n", "/data-state"),
        ("STATE_DIR='/data\n", Wrong.ENV_FILE),
        ("STATE_DIR=/x\nA B=1\n", Wrong.ENV_FILE),
        ("STATE_DIR=/x\nOTHER=${MISSING:?say it}\n", Wrong.ENV_FILE),
        ("OTHER=${MISSING}\nSTATE_DIR=/x\n", "/x"),
    ],
)
def test_an_env_file_comes_to_one_directory_or_says_why_not(text: str, path: str | Wrong) -> None:
    assert comes_to(text) == path


def test_a_default_whose_variable_nobody_sets_is_undefined() -> None:
    assert comes_to("", replace(VARIABLE, fallbacks={})) is Wrong.UNDEFINED


def test_a_default_that_refers_to_the_variable_itself_does_not_go_round() -> None:
    assert comes_to("STATE_DIR=\n", replace(VARIABLE, default="${STATE_DIR}/x", fallbacks={"STATE_DIR": "/y"})) is Wrong.UNDEFINED


def test_an_error_names_the_line() -> None:
    found = in_env_files(VARIABLE, EnvFile.parse(b"\n\nSTATE_DIR=${NOWHERE}/x\n", where=".env"))
    assert isinstance(found, Unresolved)
    assert (found.line, "NOWHERE" in found.message) == (3, True)


PATHS = st.text(st.sampled_from("/a.~ b${}\n"), max_size=12)


@given(st.dictionaries(st.sampled_from(["STATE_DIR", "DATA_DIR"]), PATHS), PATHS)
@example({"STATE_DIR": "/a/.."}, "/a")
def test_whatever_is_given_it_is_a_clean_path_or_a_clear_reason(values: Mapping[str, str], fallback: str) -> None:
    found = replace(VARIABLE, fallbacks={"DATA_DIR": fallback}).resolve(values)
    if isinstance(found, Resolved):
        assert found.path == "/" + posixpath.normpath(found.path).lstrip("/")
        assert ".." not in found.path.split("/")
        assert replace(VARIABLE, default="").resolve({"STATE_DIR": found.path}) == Resolved(path=found.path, from_default=False)
    else:
        assert found.message
        assert found.remedy


# ---- docker compose as the judge of it


COMPOSE = "services:\n  app:\n    image: x\n    environment:\n      STATE: ${STATE_DIR:-${DATA_DIR:-/data}/state}\n"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str | None]:
    """What docker compose makes of an env file: the value that a service gets, None when it refuses."""
    compose = find_compose(os.environ)
    folder: Path = tmp_path_factory.mktemp("compose")
    (folder / "compose.yaml").write_text(COMPOSE)

    def ask(env: bytes) -> str | None:
        assert compose is not None
        (folder / ".env").write_bytes(env)
        found = compose.config(("compose.yaml",), directory=folder, environ={"PATH": "/usr/bin:/bin"})
        if isinstance(found, Model):
            return str(found.project["services"]["app"]["environment"]["STATE"]).replace("$$", "$")
        assert isinstance(found, Refused)
        return None

    return ask


@settings(max_examples=int(os.environ.get("INTERLOCK_COMPOSE_EXAMPLES", "20")))
@given(env=state_dir_env_files())
@example(env=b"STATE_DIR=\n")
@example(env=b"DATA_DIR=$NO=\n")
@example(env=b"STATE_DIR=/data-state/\n")
@example(env=b'DATA_DIR=/mnt\nSTATE_DIR="${DATA_DIR}-state"\n')
def test_docker_compose_comes_to_the_same(env: bytes, asked: Callable[[bytes], str | None], component: Callable[[str], None]) -> None:
    component("compose")
    found, value = in_env_files(VARIABLE, EnvFile.parse(env, where=".env")), asked(env)
    if isinstance(found, Resolved):
        assert value is not None
        assert posixpath.normpath("/" + value.lstrip("/")) == found.path
        assert value.startswith("/")
        return
    match found.why:
        case Wrong.ENV_FILE:
            assert value is None
        case Wrong.RELATIVE:
            assert value is not None
            assert not value.startswith("/")
        case Wrong.DOTS:
            assert value is not None
            assert ".." in value.split("/")
        case _:
            assert value is not None  # compose puts nothing in its place, or takes the shell's


# ---- resolves


def seen(text: str, *, expected: str = "/data-state", present: bool = True, stacks: tuple[StackReads, ...] = ()) -> VariableSeen:
    env = EnvFile.parse(text.encode(), where=".env")
    return VariableSeen(
        variable=VARIABLE,
        expected=expected,
        where=".env",
        present=present,
        resolution=in_env_files(VARIABLE, env),
        told=given_in(env),
        stacks=stacks,
    )


def kinds(judgement: Judgement) -> list[str]:
    assert isinstance(judgement, Broken), judgement
    return [detail.kind for detail in judgement.details if detail.outcome is Outcome.BROKEN] or [judgement.kind]


def test_the_declared_directory_holds_and_says_who_set_it() -> None:
    judged = judge_resolves(seen("STATE_DIR=/data-state/\n"))
    assert judged == Held("STATE_DIR comes to /data-state (set in .env:1)")


def test_a_variable_that_is_not_set_is_broken_where_the_default_is_another_directory() -> None:
    judged = judge_resolves(seen("# STATE_DIR=/data-state\n"))
    assert kinds(judged) == ["another-directory"]
    assert "its default ${DATA_DIR}/state: .env does not set it" in judged.message


def test_a_missing_env_file_is_broken_though_the_default_may_be_right() -> None:
    assert kinds(judge_resolves(seen("", expected="/data/state", present=False))) == ["no-env-file"]


def given_in(env: EnvFile) -> str:
    given = given_by((env,), VARIABLE)
    return "" if isinstance(given, Unresolved) else given.told("STATE_DIR")


def reads(path: str) -> StackReads:
    told = "env/local.env:7, which overrides env/main.env:3"
    return StackReads(who="the chain flat", resolution=Resolved(path=path, from_default=False), told=told, where="env/local.env", line=7)


def test_a_later_env_file_of_the_stack_that_says_another_directory_is_broken_with_both_lines() -> None:
    judged = judge_resolves(seen("STATE_DIR=/data-state\n", stacks=(reads("/data/state"),)))
    assert kinds(judged) == ["another-directory"]
    assert "the chain flat reads STATE_DIR=/data/state (env/local.env:7, which overrides env/main.env:3)" in judged.message
    assert isinstance(judge_resolves(seen("STATE_DIR=/data-state\n", stacks=(reads("/data-state"),))), Held)


def test_what_is_wrong_in_both_is_told_of_both() -> None:
    judged = judge_resolves(seen("STATE_DIR=/elsewhere\n", stacks=(reads("/data/state"),)))
    assert kinds(judged) == ["another-directory", "another-directory"]


def test_where_no_env_file_is_declared_those_of_the_stack_count() -> None:
    undeclared = replace(seen("", stacks=(reads("/data-state"),)), where="")
    judged = judge_resolves(undeclared)
    assert isinstance(judged, Held)
    assert "env/local.env:7" in judged.message
    assert kinds(judge_resolves(replace(undeclared, stacks=(reads("/data/state"),)))) == ["another-directory"]


def test_services_may_see_the_directory_at_another_path_than_the_host() -> None:
    assert isinstance(judge_resolves(replace(seen("STATE_DIR=/data-state\n", stacks=(reads("/state"),)), inside="/state")), Held)


def test_a_value_that_only_the_shell_knows_is_unproven() -> None:
    assert isinstance(judge_resolves(seen("STATE_DIR\n")), Unproven)


# ---- services


def service(name: str = "app", *mounts: tuple[str, str], value: str | None = "/data-state", read_only: bool = False, kind: str = "bind") -> Service:
    return Service(
        name=name,
        image="x",
        environment={} if value is None else {"STATE_DIR": value},
        mounts=tuple(ServiceMount(kind=kind, source=source, target=target, read_only=read_only) for source, target in mounts),
        ports=(),
    )


STATE = ("/data-state", "/data-state")
DATA = ("/data", "/data")


def users(*services: Service, expected: str = "/data-state", nowhere: tuple[str, ...] = (), elsewhere: bool = False) -> Users:
    return Users(where="the chain flat", variable=VARIABLE, expected=expected, services=services, nowhere=nowhere, elsewhere=elsewhere)


def test_services_with_the_same_path_on_a_mount_hold() -> None:
    judged = judge_services(users(service("app", STATE), service("worker", STATE, DATA)))
    assert isinstance(judged, Held)
    assert judged.message.startswith("2 of 2 services in the chain flat")


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (service("worker", STATE, value="/data/state"), "another-directory"),
        (service("worker", STATE, value=None), "another-directory"),
        (service("worker", STATE, value=""), "another-directory"),
        (service("worker", STATE, value="state"), "relative"),
        (service("worker", DATA), "no-mount"),
        (service("worker", STATE, read_only=True), "read-only"),
        (service("worker", STATE, kind="tmpfs"), "in-memory"),
    ],
)
def test_a_service_that_does_not_agree_is_broken_alone(wrong: Service, kind: str) -> None:
    judged = judge_services(users(service("app", STATE), wrong))
    assert kinds(judged) == [kind]
    assert isinstance(judged, Broken)
    assert [detail.what for detail in judged.details if detail.outcome is Outcome.BROKEN] == ["worker"]


def test_a_mount_above_the_path_covers_it() -> None:
    assert isinstance(judge_services(users(service("app", DATA, value="/data/state"), expected="/data/state")), Held)


def test_a_declared_service_that_no_chain_has_is_broken() -> None:
    assert kinds(judge_services(users(service("app", STATE), nowhere=("wroker",)))) == ["no-such-service"]


def test_nobody_who_uses_state_proves_nothing_unless_another_chain_has_somebody() -> None:
    assert isinstance(judge_services(users()), Unproven)
    assert isinstance(judge_services(users(elsewhere=True)), Held)


def test_a_value_from_the_shell_is_unproven_for_the_service() -> None:
    passed_through = replace(service("app", STATE), environment={"STATE_DIR": None})
    assert isinstance(in_service(VARIABLE, passed_through), Unresolved)
    assert isinstance(judge_services(users(passed_through)), Unproven)


def test_a_default_inside_a_service_is_made_of_its_own_variables() -> None:
    own = replace(service("app", DATA, value=None), environment={"DATA_DIR": "/srv"})
    assert in_service(VARIABLE, own) == Resolved(path="/srv/state", from_default=True)


@pytest.mark.parametrize(
    ("mounts", "inside", "outside"),
    [
        ((DATA,), "/data/state", "/data/state"),
        ((DATA, ("/disks/state", "/data/state")), "/data/state", "/disks/state"),
        ((("/disks/state", "/data/state/certs"),), "/data/state", None),
        ((("", "/data"),), "/data/state", None),
        ((("/", "/host"),), "/host/data", "/data"),
    ],
)
def test_a_path_inside_a_service_is_followed_to_the_host(mounts: tuple[tuple[str, str], ...], inside: str, outside: str | None) -> None:
    assert on_host(service("app", *mounts), inside) == outside


# ---- host and stack


def together(*readings: Reading, services: tuple[Service, ...] = (), text: str = "STATE_DIR=/data-state\n", **more: Any) -> HostAndStack:
    env = EnvFile.parse(text.encode(), where=".env")
    found = HostAndStack(
        variable=VARIABLE,
        expected="/data-state",
        given=in_env_files(VARIABLE, env),
        default=VARIABLE.resolve({}),
        readings=readings,
        silent=(),
        users=(users(*services),) if services else (),
    )
    return replace(found, **more)


def reading(way: Way, path: str | None = None) -> Reading:
    return Reading(file="up.sh", line=7, way=way, resolution=Resolved(path=path, from_default=True) if path else None)


def test_a_reader_that_takes_the_env_files_value_holds() -> None:
    assert isinstance(judge_host_and_stack(together(reading(Way.ENVIRONMENT), reading(Way.DEFAULT, "/data/state"))), Held)


def test_the_declared_default_is_right_only_while_the_variable_is_set() -> None:
    judged = judge_host_and_stack(together(reading(Way.DEFAULT, "/data/state"), text="\n"))
    assert kinds(judged) == ["another-directory"]


def test_another_default_is_named_with_file_and_line_even_while_the_variable_is_set() -> None:
    judged = judge_host_and_stack(together(reading(Way.ENVIRONMENT), reading(Way.DEFAULT, "/var/lib/shop")))
    assert kinds(judged) == ["another-default"]
    assert isinstance(judged, Broken)
    assert "up.sh:7 takes /var/lib/shop when STATE_DIR is not set; the declared default is /data/state" in judged.message


def test_a_default_that_an_empty_value_switches_off_is_broken() -> None:
    default = replace(reading(Way.DEFAULT, "/data-state"), only_unset=True)
    assert kinds(judge_host_and_stack(together(default, text="STATE_DIR=\n", set_to_nothing=True))) == ["empty-value"]
    assert isinstance(judge_host_and_stack(together(default)), Held)


def test_a_reader_that_writes_another_directory_down_is_broken() -> None:
    assert kinds(judge_host_and_stack(together(reading(Way.FIXED, "/data/state")))) == ["hard-coded"]


def test_a_directory_with_two_names_is_one_directory() -> None:
    linked = together(reading(Way.FIXED, "/data/state"), same={"/data/state": "/disks/state", "/data-state": "/disks/state"})
    assert isinstance(judge_host_and_stack(linked), Held)


def test_a_declared_reader_that_never_names_the_variable_is_broken() -> None:
    assert kinds(judge_host_and_stack(together(silent=("up.sh",)))) == ["never-reads"]


def test_a_reader_that_cannot_be_followed_is_unproven_and_does_not_hide_what_is_broken() -> None:
    unknown = Reading(
        file="up.sh", line=3, way=Way.UNKNOWN, resolution=Unresolved(why=Wrong.INHERITED, message="up.sh:3 cannot be followed", remedy="write it down")
    )
    assert isinstance(judge_host_and_stack(together(unknown)), Unproven)
    assert kinds(judge_host_and_stack(together(unknown, reading(Way.FIXED, "/x")))) == ["hard-coded"]


def test_nobody_at_all_proves_nothing() -> None:
    assert isinstance(judge_host_and_stack(together()), Unproven)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (service("app", STATE), "held"),
        (service("app", ("/data-state", "/state"), value="/state"), "held"),
        (service("app", ("/data", "/data-state")), "another-directory"),
    ],
)
def test_a_services_path_is_followed_back_to_the_host(one: Service, expected: str) -> None:
    judged = judge_host_and_stack(together(services=(one,)))
    assert (kinds(judged) if isinstance(judged, Broken) else ["held"]) == [expected]


VOLUME = service("app", ("", "/data-state"), kind="volume")


def test_a_volume_of_the_engine_is_broken_where_the_host_looks_at_the_directory() -> None:
    assert kinds(judge_host_and_stack(together(services=(VOLUME,), on_a_disk=True))) == ["engine-volume"]
    assert kinds(judge_host_and_stack(together(reading(Way.ENVIRONMENT), services=(VOLUME,)))) == ["engine-volume"]
    assert kinds(judge_host_and_stack(together(services=(VOLUME, service("worker", STATE))))) == ["engine-volume"]


def test_a_chain_for_a_laptop_is_none_of_the_hosts() -> None:
    laptop = together(reading(Way.ENVIRONMENT), on_a_disk=True, users=(users(VOLUME), users(service("app", STATE))))
    assert isinstance(judge_host_and_stack(laptop), Held)
    assert isinstance(judge_host_and_stack(together(services=(VOLUME,))), Held)


def test_a_service_without_a_mount_is_left_to_services_agree() -> None:
    judged = judge_host_and_stack(together(reading(Way.ENVIRONMENT), services=(service("app"),)))
    assert isinstance(judged, Unproven)
    assert "state_dir.services_agree" in judged.message


# ---- secrets


PRIVATE = SecretAnswer(present=True, regular=True, mode=0o600, uid=1000, size=40)


def secret(answer: SecretAnswer | None, **more: Any) -> DeclaredSecret:
    found = DeclaredSecret(name="jwt", path="/data-state/jwt.key", format="json", mode=0o600, owner="shop", owner_uid=1000, seen=answer)
    return replace(found, **more)


def test_a_private_secret_of_its_owner_holds() -> None:
    assert isinstance(judge_secrets((secret(PRIVATE), secret(replace(PRIVATE, mode=0o400)))), Held)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SecretAnswer(present=False), ["absent"]),
        (SecretAnswer(present=True, fault="it is a directory, not a regular file"), ["not-regular"]),
        (replace(PRIVATE, blank=True, fault="it is blank"), ["blank"]),
        (replace(PRIVATE, size=0), ["blank"]),
        (replace(PRIVATE, fault="it is no JSON at line 1, column 9"), ["unreadable"]),
        (replace(PRIVATE, mode=0o640), ["mode"]),
        (replace(PRIVATE, mode=0o4600), ["mode"]),
        (replace(PRIVATE, uid=0), ["owner"]),
        (replace(PRIVATE, mode=0o604, uid=0), ["mode", "owner"]),
    ],
)
def test_what_is_wrong_with_a_secret_is_said_thing_by_thing(answer: SecretAnswer, expected: list[str]) -> None:
    assert kinds(judge_secrets((secret(answer), secret(PRIVATE, name="other")))) == expected


def test_an_owner_whom_the_host_does_not_know_is_broken() -> None:
    assert kinds(judge_secrets((secret(PRIVATE, owner_uid=None),))) == ["owner-unknown"]


def test_no_owner_declared_is_anybodys() -> None:
    assert isinstance(judge_secrets((secret(replace(PRIVATE, uid=7), owner=None, owner_uid=None),)), Held)


def test_a_secret_that_could_not_be_looked_at_is_unproven_and_hides_no_other() -> None:
    blind = secret(None, name="blind", could_not="permission denied", remedy="set `become: sudo -n`")
    assert isinstance(judge_secrets((blind, secret(PRIVATE))), Unproven)
    assert kinds(judge_secrets((blind, secret(replace(PRIVATE, mode=0o644))))) == ["mode"]


# ---- precedence


def copy(name: str, keys: Mapping[str, str] | None, *, mtime: int = 0) -> ConfigCopy:
    return ConfigCopy(path=f"/{name}/shop.yaml", seen=StatAnswer(present=True, mtime=mtime), digest=repr(keys), keys=keys)


GONE = ConfigCopy(path="/gone/shop.yaml", seen=StatAnswer(present=False))
KEYS = {"title": "1", "mail.from": "2"}


def judged(state: ConfigCopy, fallback: ConfigCopy) -> Judgement:
    return judge_copies(Copies(name="shop", state=state, fallback=fallback))


def test_the_only_copy_holds() -> None:
    assert judged(copy("state", KEYS), GONE) == Held("/state/shop.yaml is the only copy")


def test_a_fallback_that_is_in_use_is_said() -> None:
    found = judged(GONE, copy("config", KEYS))
    assert isinstance(found, Held)
    assert "the fallback /config/shop.yaml is in use" in found.message


def test_a_newer_fallback_that_says_the_same_holds() -> None:
    assert isinstance(judged(copy("state", KEYS), copy("config", KEYS, mtime=9)), Held)


def test_an_older_fallback_that_differs_holds_and_its_keys_are_named() -> None:
    found = judged(copy("state", KEYS, mtime=9), copy("config", {**KEYS, "mail.from": "3", "old": "4"}))
    assert isinstance(found, Held)
    assert "they differ at mail.from, old" in found.message


def test_a_newer_fallback_that_differs_is_broken() -> None:
    assert kinds(judged(copy("state", KEYS), copy("config", {"title": "1"}, mtime=9))) == ["fallback-is-newer"]


def test_copies_without_keys_differ_in_their_bytes() -> None:
    blob = replace(copy("state", None), digest="a"), replace(copy("config", None, mtime=9), digest="b")
    found = judged(*blob)
    assert isinstance(found, Broken)
    assert "their bytes differ" in found.message


def test_a_newer_fallback_with_another_layout_and_the_same_keys_holds() -> None:
    assert isinstance(judged(copy("state", KEYS), replace(copy("config", KEYS, mtime=9), digest="reordered")), Held)


def test_no_copy_at_all_proves_nothing() -> None:
    assert isinstance(judged(GONE, GONE), Unproven)


def mounted(*pairs: tuple[bool | None, bool | None]) -> MountedCopies:
    mounts = tuple(
        CopyMounts(chain="flat", service=f"s{number}", state_read_only=state, fallback_read_only=fallback) for number, (state, fallback) in enumerate(pairs)
    )
    return MountedCopies(name="shop", state="/data-state/shop.yaml", fallback="/config/shop.yaml", mounts=mounts)


def test_a_state_copy_to_write_and_a_fallback_to_read_hold() -> None:
    assert isinstance(judge_mounted(mounted((False, True), (False, None), (None, False))), Held)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [((True, True), ["state-copy-read-only"]), ((False, False), ["fallback-writable"]), ((True, False), ["state-copy-read-only", "fallback-writable"])],
)
def test_the_wrong_copy_to_write_is_broken(pair: tuple[bool, bool], expected: list[str]) -> None:
    assert kinds(judge_mounted(mounted((False, True), pair))) == expected


def test_a_state_copy_that_nobody_mounts_proves_nothing() -> None:
    assert isinstance(judge_mounted(mounted((None, True))), Unproven)


def test_a_fallback_that_nobody_mounts_is_the_images_own() -> None:
    assert isinstance(judge_mounted(mounted((False, None))), Held)


def test_details_say_no_line_number_in_what_they_are_known_by() -> None:
    found = judge_host_and_stack(together(reading(Way.FIXED, "/x")))
    assert isinstance(found, Broken)
    assert [(detail.what, detail.line) for detail in found.details if isinstance(detail, Detail)] == [("up.sh", 7)]
