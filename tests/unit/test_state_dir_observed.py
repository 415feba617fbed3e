"""How what was seen of a host becomes the nouns of the state_dir family; the facts are made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.config.load import load_site
from interlock.errors import CouldNotLook
from interlock.facts.looks import Answer, FailedLook, HostFacts, Look, ReadFile, Secret, SecretAnswer, Stat, StatAnswer, User
from interlock.facts.state_dir import Copies, DeclaredSecret, HostAndStack, Resolved, Unresolved, VariableSeen, Wrong
from interlock.judge.state_dir import judge_copies, judge_host_and_stack, judge_secrets
from interlock.observe.state_dir import OBSERVERS
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, Held, Subject, Unproven, When

ENV = "/srv/shop/.env"
STATE, CONFIG = "/data-state/shop.yaml", "/srv/shop/config/shop.yaml"
THERE = StatAnswer(present=True, device="8:1")
GONE = StatAnswer(present=False)
STATE_DIR: Mapping[str, Any] = {
    "path": "/data-state",
    "values": {"DATA_DIR": "/data"},
    "host_env_file": ENV,
    "readers": ["up.sh"],
    "secrets": {"jwt": {"path": "jwt.key", "owner": "shop"}, "tls": {"path": "/etc/shop/tls.pem", "format": "pem"}},
    "precedence": {"shop": {"state": "shop.yaml", "fallback": CONFIG}},
}


def see(folder: Path, guardrail: str, subject: str, answers: Mapping[Look, Answer], **state_dir: Any) -> Any:
    """The noun that an observer makes; every look that it asks for must have been answered."""
    (folder / "up.sh").write_text('#!/bin/sh\nSTATE_DIR="${STATE_DIR:-/data/state}"\n')
    write_site(folder, {"state_dir": {**STATE_DIR, **state_dir}})
    site = load_site(folder / "interlock.yaml", {})
    observer = OBSERVERS[guardrail]
    asked = set(observer.looks(site, Subject(name=subject)))
    assert asked >= set(answers)
    facts = HostFacts(host="local", taken_at="2026-11-21T00:00:00Z", user="deploy", answers=answers, walks=lambda _: iter(()))
    world = World(site=site, gates=frozenset({When.PREFLIGHT}), tree=Tree(folder), hosts={"local": facts}, environ={})
    return observer.see(world, Subject(name=subject))


def test_the_env_file_of_the_host_counts_in_a_live_look(tmp_path: Path) -> None:
    seen = see(tmp_path, "state_dir.resolves", "STATE_DIR", {Stat(ENV): THERE, ReadFile(ENV): b"STATE_DIR=/data-state/\n"})
    assert isinstance(seen, VariableSeen)
    assert (seen.where, seen.present, seen.resolution) == (ENV, True, Resolved(path="/data-state", from_default=False))


def test_an_env_file_that_is_not_there_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    seen = see(tmp_path, "state_dir.resolves", "STATE_DIR", {Stat(ENV): GONE, ReadFile(ENV): FailedLook("ENOENT", "no such file")})
    assert seen.present is False
    with pytest.raises(CouldNotLook, match="permission"):
        see(tmp_path, "state_dir.resolves", "STATE_DIR", {Stat(ENV): THERE, ReadFile(ENV): FailedLook("EACCES", "permission denied")})


def test_the_default_of_a_reader_may_lead_to_the_same_directory(tmp_path: Path) -> None:
    """`/data/state` is a link to the disk: another name, the same place."""
    there = StatAnswer(present=True, realpath="/disks/state")
    unset: dict[Look, Answer] = {Stat(ENV): THERE, ReadFile(ENV): b"\n", Stat("/data-state"): there}
    linked = see(tmp_path, "state_dir.host_and_stack_agree", "STATE_DIR", {**unset, Stat("/data/state"): there})
    assert isinstance(linked, HostAndStack)
    assert isinstance(judge_host_and_stack(linked), Held)
    apart = see(tmp_path, "state_dir.host_and_stack_agree", "STATE_DIR", {**unset, Stat("/data/state"): GONE})
    assert isinstance(judge_host_and_stack(apart), Broken)


def test_an_env_file_that_compose_refuses_is_no_empty_one(tmp_path: Path) -> None:
    answers: dict[Look, Answer] = {Stat(ENV): THERE, ReadFile(ENV): b"A B=1\nSTATE_DIR=/data-state\n", Stat("/data-state"): GONE, Stat("/data/state"): GONE}
    seen = see(tmp_path, "state_dir.host_and_stack_agree", "STATE_DIR", answers)
    assert isinstance(seen.given, Unresolved)
    assert seen.given.why is Wrong.ENV_FILE


def test_a_secret_that_could_not_be_looked_at_keeps_no_other_from_being_judged(tmp_path: Path) -> None:
    private = SecretAnswer(present=True, regular=True, mode=0o600, uid=1000, size=9)
    answers: dict[Look, Answer] = {
        Secret("/data-state/jwt.key", "text"): FailedLook("EACCES", "permission denied"),
        Secret("/etc/shop/tls.pem", "pem"): private,
        User("shop"): 1000,
    }
    seen = see(tmp_path, "state_dir.secrets_present", "secrets", answers)
    assert [(one.name, isinstance(one, DeclaredSecret), one.seen is not None) for one in seen] == [("jwt", True, False), ("tls", True, True)]
    judged = judge_secrets(seen)
    assert isinstance(judged, Unproven)
    assert "become: sudo -n" in judged.remedy


def copies(folder: Path, state: bytes | None, fallback: bytes | None, *, newer: bool = True, name: str = "shop.yaml") -> Copies:
    """The two copies as they are on the host; the fallback is the newer one."""
    answers: dict[Look, Answer] = {}
    paths = STATE.replace("shop.yaml", name), CONFIG.replace("shop.yaml", name)
    for path, content, mtime in ((paths[0], state, 10), (paths[1], fallback, 20 if newer else 5)):
        answers[Stat(path)] = GONE if content is None else StatAnswer(present=True, mtime=mtime)
        answers[ReadFile(path)] = content if content is not None else FailedLook("ENOENT", "no such file")
    found = see(folder, "state_dir.precedence", "shop", answers, precedence={"shop": {"state": name, "fallback": paths[1]}})
    assert isinstance(found, Copies)
    return found


@pytest.mark.parametrize(
    ("name", "state", "fallback", "keys"),
    [
        ("shop.yaml", b"a: 1\nb: {c: s3cret, d: 2}\n", b"b:\n  d: 2\n  c: other\na: 1\n", ("b.c",)),
        ("shop.yaml", b"a: [1, 2]\n", b"a: [1, 3]\n", ("a",)),
        ("shop.json", b'{"a": {"b": "s3cret"}, "x": null}', b'{"a": {"b": "other"}}', ("a.b", "x")),
        ("shop.env", b"A=s3cret\nB=1\n", b"B=1\nA='other'\n", ("A",)),
        (".env_overlay", b"A=1\n", b"A=1\nC=2\n", ("C",)),
        ("shop.yaml", b"a: 1\n", b"# old\na: 1\n", ()),
    ],
)
def test_the_keys_that_differ_are_named_and_no_value_is(tmp_path: Path, name: str, state: bytes, fallback: bytes, keys: tuple[str, ...]) -> None:
    found = copies(tmp_path, state, fallback, name=name)
    assert found.state.differing(found.fallback) == keys
    judged = judge_copies(found)
    assert isinstance(judged, Broken if keys else Held)
    assert "s3cret" not in repr(found) + repr(judged)


@pytest.mark.parametrize(
    ("name", "state", "fallback"), [("shop.toml", b"a = 1\n", b"a = 2\n"), ("shop.yaml", b"a: [\n", b"a: 2\n"), ("shop.json", b"{", b"{}")]
)
def test_what_has_no_keys_differs_in_its_bytes(tmp_path: Path, name: str, state: bytes, fallback: bytes) -> None:
    judged = judge_copies(copies(tmp_path, state, fallback, name=name))
    assert isinstance(judged, Broken)
    assert "their bytes differ" in judged.message


def test_a_copy_that_is_not_there_is_not_read(tmp_path: Path) -> None:
    assert judge_copies(copies(tmp_path, None, b"a: 1\n")).message.endswith(f"the fallback {CONFIG} is in use")
    assert judge_copies(copies(tmp_path, b"a: 1\n", None)) == Held(f"{STATE} is the only copy")
    assert isinstance(judge_copies(copies(tmp_path, b"a: 1\n", b"a: 2\n", newer=False)), Held)
