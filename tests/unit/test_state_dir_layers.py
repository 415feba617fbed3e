"""What docker compose reads for the state directory's variable where a stack is started: the env files of a chain, those of an instance on its host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.config.load import load_site
from interlock.errors import CouldNotLook
from interlock.facts.looks import Answer, FailedLook, HostFacts, Look, ReadFile, Stat, StatAnswer
from interlock.facts.state_dir import Resolved, StackReads, Unresolved, VariableSeen, Wrong
from interlock.judge.state_dir import judge_resolves
from interlock.observe.state_dir import OBSERVERS
from interlock.observe.state_layers import told_of
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, Held, Subject, When

RESOLVES = OBSERVERS["state_dir.resolves"]
SUBJECT = Subject(name="STATE_DIR")
COMPOSE = "services:\n  app:\n    image: x\n    environment: {STATE_DIR: '${STATE_DIR:-/data/state}'}\n"
THERE, GONE = StatAnswer(present=True), StatAnswer(present=False)


def world(folder: Path, files: Mapping[str, str], *, answers: Mapping[Look, Answer] | None = None, **site: Any) -> World:
    """A site with these files; with `answers` it is a live look."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    write_site(folder, {"state_dir": {"path": "/data-state", "values": {"DATA_DIR": "/data"}}, "compose": {"files": ["compose.yaml"]}, **site})
    facts = HostFacts(host="local", taken_at="2026-11-21T00:00:00Z", user="deploy", answers=answers or {}, walks=lambda _: iter(()))
    gate = When.STATIC if answers is None else When.PREFLIGHT
    loaded = load_site(folder / "interlock.yaml", {})
    asked = set(RESOLVES.looks(loaded, SUBJECT))
    assert asked >= set(answers or {})
    return World(site=loaded, gates=frozenset({gate}), tree=Tree(folder), hosts={"local": facts}, environ={})


def seen(looked: World) -> VariableSeen:
    found = RESOLVES.see(looked, SUBJECT)
    assert isinstance(found, VariableSeen)
    return found


LAYERED = {"compose.yaml": COMPOSE, "env/main.env": "A=1\n\nSTATE_DIR=/data-state\n", "env/local.env": "STATE_DIR=/data/state\n"}


def chain(*env_files: str) -> dict[str, Any]:
    return {"compose": {"files": ["compose.yaml"], "chains": {"flat": {"files": ["compose.yaml"], "env_files": list(env_files)}}}}


def test_the_env_files_of_a_chain_are_read_over_one_another(tmp_path: Path) -> None:
    declared = {"path": "/data-state", "values": {"DATA_DIR": "/data"}, "env_file": "env/main.env"}
    found = seen(world(tmp_path, LAYERED, state_dir=declared, **chain("env/main.env", "env/local.env")))
    (reads,) = found.stacks
    told = "env/local.env:1, which overrides env/main.env:3"
    assert reads == StackReads(who="the chain flat", resolution=Resolved(path="/data/state", from_default=False), told=told, where="env/local.env", line=1)
    judged = judge_resolves(found)
    assert isinstance(judged, Broken)
    assert told in judged.message


def test_a_chain_that_reads_the_declared_env_file_alone_is_told_once(tmp_path: Path) -> None:
    declared = {"path": "/data-state", "values": {"DATA_DIR": "/data"}, "env_file": "env/main.env"}
    assert seen(world(tmp_path, LAYERED, state_dir=declared, **chain("env/main.env"))).stacks == ()


def test_without_a_declared_env_file_dot_env_beside_the_chain_counts(tmp_path: Path) -> None:
    judged = judge_resolves(seen(world(tmp_path, {"compose.yaml": COMPOSE, ".env": "STATE_DIR=/data-state\n"})))
    assert judged == Held("STATE_DIR comes to /data-state (.env:1)", judged.details)


def test_env_files_that_do_not_give_it_say_nothing_of_it(tmp_path: Path) -> None:
    assert seen(world(tmp_path, {**LAYERED, ".env": "OTHER=1\nSTATE_DIR=\n"})).stacks == ()
    assert isinstance(judge_resolves(seen(world(tmp_path, {**LAYERED, ".env": "OTHER=1\n"}))), Broken)


def test_a_value_of_an_undefined_variable_is_told_with_its_file(tmp_path: Path) -> None:
    (reads,) = seen(world(tmp_path, LAYERED | {"env/local.env": "STATE_DIR=${NO}/x\n"}, **chain("env/main.env", "env/local.env"))).stacks
    assert isinstance(reads.resolution, Unresolved)
    assert (reads.resolution.why, reads.where, reads.line) == (Wrong.UNDEFINED, "env/local.env", 1)


INSTANCE = {"instances": {"main": {"directory": "/srv/shop"}}}


def test_the_env_file_in_an_instances_directory_counts_on_its_host(tmp_path: Path) -> None:
    answers: dict[Look, Answer] = {Stat("/srv/shop/.env"): THERE, ReadFile("/srv/shop/.env"): b"STATE_DIR=/data-state\nSTATE_DIR=/data/state\n"}
    found = seen(world(tmp_path, {"compose.yaml": COMPOSE}, answers=answers, **INSTANCE))
    judged = judge_resolves(found)
    assert isinstance(judged, Broken)
    said = "the instance main reads STATE_DIR=/data/state (/srv/shop/.env:2, which overrides /srv/shop/.env:1), and the state lives at /data-state"
    assert judged.message == said


def test_an_instance_reads_the_env_files_of_its_chain_in_its_directory(tmp_path: Path) -> None:
    paths = ("/srv/shop/env/main.env", "/srv/shop/env/local.env")
    answers: dict[Look, Answer] = {look: answer for path in paths for look, answer in ((Stat(path), THERE), (ReadFile(path), b"STATE_DIR=/data-state\n"))}
    answers |= {Stat(paths[1]): GONE, ReadFile(paths[1]): FailedLook("ENOENT", "no such file")}
    found = seen(world(tmp_path, LAYERED, answers=answers, **INSTANCE, **chain("env/main.env", "env/local.env")))
    assert [reads.told for reads in found.stacks] == ["/srv/shop/env/main.env:1"]
    assert isinstance(judge_resolves(found), Held)


@pytest.mark.parametrize("folder", ["/deploy", ""])
def test_dot_env_lies_beside_the_first_file_of_the_chain_or_in_the_directory(tmp_path: Path, folder: str) -> None:
    beside, there = "/srv/shop/deploy/.env", f"/srv/shop{folder}/.env"
    answers: dict[Look, Answer] = {Stat(beside): GONE, Stat("/srv/shop/.env"): THERE, ReadFile("/srv/shop/.env"): b"STATE_DIR=/data-state\n"}
    answers |= {Stat(there): THERE, ReadFile(there): b"STATE_DIR=/data-state\n"}
    found = seen(world(tmp_path, {"deploy/compose.yaml": COMPOSE}, answers=answers, **INSTANCE, compose={"files": ["deploy/compose.yaml"]}))
    assert [reads.where for reads in found.stacks] == [there]


def test_an_instances_env_file_that_cannot_be_read_proves_nothing(tmp_path: Path) -> None:
    path = "/srv/shop/.env"
    answers: dict[Look, Answer] = {Stat(path): THERE, ReadFile(path): FailedLook("EACCES", "permission denied")}
    with pytest.raises(CouldNotLook, match="permission"):
        seen(world(tmp_path, {"compose.yaml": COMPOSE}, answers=answers, **INSTANCE))


# ---- the lines that give it to one service


NOTHING = "compose.yaml:1, which overrides app.env:1"
OVERLAY = "services:\n  app:\n    env_file: [app.env, {path: own.env, required: false}]\n    environment:\n      - OTHER=1\n      - STATE_DIR=/data/state\n"


@pytest.mark.parametrize(
    ("files", "value", "told"),
    [
        ({"compose.yaml": COMPOSE}, "/data/state", "compose.yaml:4"),
        ({"compose.yaml": COMPOSE, ".env": "STATE_DIR=/x\n"}, "/x", "compose.yaml:4 (STATE_DIR from .env:1)"),
        ({"compose.yaml": COMPOSE, ".env": "STATE_DIR=/x\n"}, "/what/compose/says", ""),
        ({"compose.yaml": OVERLAY, "app.env": "\nSTATE_DIR=/y\n"}, "/data/state", "compose.yaml:6, which overrides app.env:2"),
        ({"compose.yaml": "services: {app: {env_file: app.env}}\n", "app.env": "\nSTATE_DIR=/y\n"}, "/y", "app.env:2"),
        ({"compose.yaml": "services: {app: {env_file: app.env, environment: [STATE_DIR]}}\n", "app.env": "STATE_DIR=/y\n"}, None, NOTHING),
        ({"compose.yaml": "services: {app: {extends: base}}\n"}, "/y", ""),
        ({"compose.yaml": "services: {app: {env_file: !override [app.env]}}\n", "app.env": "STATE_DIR=/y\n"}, "/y", ""),
    ],
)
def test_the_lines_that_give_a_service_its_value_are_told_where_they_explain_it(tmp_path: Path, files: dict[str, str], value: str | None, told: str) -> None:
    assert told_of(world(tmp_path, files), "default", "app", "STATE_DIR", value) == told
