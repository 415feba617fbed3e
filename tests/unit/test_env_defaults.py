"""Secrets that stand in compose files, and variables that everybody must have for a service of a profile: judged in small trees."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts.env_defaults import literal_secrets, required_in
from interlock.judge.env import judge_blast_radius, judge_secrets
from interlock.observe.env_defaults import file_secrets, file_variables
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, When
from tests.strategies import substitution_texts


def judged(folder: Path, see: Callable[[World, Subject], Any], judge: Callable[[Any], Held | Broken], name: str, **files: str) -> Held | Broken:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    world = World(site=site_of_tree(folder), gates=frozenset({When.STATIC}), tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    return judge(see(world, Subject(name=name)))


def secrets(folder: Path, environment: str, *, name: str = "compose.yaml", more: str = "") -> list[tuple[str, str, int | None]]:
    text = f"services:\n  app:\n    image: app\n{more}    environment:\n      {environment}\n"
    found = judged(folder, file_secrets, judge_secrets, name, **{name: text})
    return [(detail.what, detail.kind, detail.line) for detail in found.details]


@pytest.mark.parametrize(
    ("environment", "name", "kind"),
    [
        ("DB_PASSWORD: ${DB_PASSWORD:-changeme}", "DB_PASSWORD", "default-secret"),
        ("- DB_PASSWORD=${DB_PASSWORD-changeme}", "DB_PASSWORD", "default-secret"),
        ("DATABASE_URL: postgres://app:${DB_PASSWORD:-changeme}@db/app", "DB_PASSWORD", "default-secret"),
        ("SESSION_SECRET: ${SESSION:-changeme}", "SESSION", "default-secret"),
        ("API_TOKEN: s3cr3tvalue", "API_TOKEN", "literal-secret"),
        ('- "MYSQL_ROOT_PASSWORD=example"', "MYSQL_ROOT_PASSWORD", "literal-secret"),
    ],
)
def test_a_secret_that_stands_in_the_file_is_found_and_never_shown(tmp_path: Path, environment: str, name: str, kind: str) -> None:
    assert secrets(tmp_path, environment) == [(f"app: {name}", kind, 5)]
    shown = judged(tmp_path, file_secrets, judge_secrets, "compose.yaml")
    assert "changeme" not in repr(shown)
    assert "s3cr3tvalue" not in repr(shown)


@pytest.mark.parametrize(
    "environment",
    [
        "DB_PASSWORD: ${DB_PASSWORD:?}",
        "DB_PASSWORD: ${DB_PASSWORD}",
        "DB_PASSWORD: ${DB_PASSWORD:-}",
        "DB_PASSWORD: ${DB_PASSWORD:-${OTHER_PASSWORD}}",
        "DB_PASSWORD_FILE: /run/secrets/db",
        "PASSWORD_MIN_LENGTH: '12'",
        "ALLOW_EMPTY_PASSWORD: 'yes'",
        "POSTGRES_USER: app",
        "DB_PASSWORD:",
        "- DB_PASSWORD",
    ],
)
def test_what_is_demanded_empty_or_no_secret_holds(tmp_path: Path, environment: str) -> None:
    assert secrets(tmp_path, environment) == []


@pytest.mark.parametrize("name", ["docker-compose.test.yml", "compose.ci.yaml", "dev/compose.yaml", "docker-compose-dev.yml", "examples/compose.yaml"])
def test_a_stack_for_tests_or_development_by_its_name_may_have_secrets_of_its_own(tmp_path: Path, name: str) -> None:
    assert secrets(tmp_path, "DB_PASSWORD: test-only", name=name) == []


@pytest.mark.parametrize("more", ['    volumes: [".:/app"]\n', "    volumes: [{type: bind, source: ./src, target: /app/src}]\n"])
def test_a_stack_that_mounts_its_source_is_developed_on(tmp_path: Path, more: str) -> None:
    assert secrets(tmp_path, "DB_PASSWORD: local", more=more) == []


def test_a_stack_that_says_so_is_developed_on(tmp_path: Path) -> None:
    assert secrets(tmp_path, "DB_PASSWORD: local\n      NODE_ENV: development") == []


def held_back(folder: Path, text: str, **files: str) -> list[str]:
    found = judged(folder, file_variables, judge_blast_radius, "compose.yaml", **{"compose.yaml": text, **files})
    return [detail.what for detail in found.details]


MAIL = "  mail:\n    image: m\n    profiles: [mail]\n    environment: ['HOST=${MAIL_HOST:?where}']\n"


def test_what_only_a_profile_needs_and_everybody_must_have_is_broken(tmp_path: Path) -> None:
    assert held_back(tmp_path, f"services:\n  app: {{image: a}}\n{MAIL}") == ["MAIL_HOST"]


@pytest.mark.parametrize(
    "text",
    [
        f"services:\n  app: {{image: 'a:${{MAIL_HOST:?}}'}}\n{MAIL}",
        f"services:\n{MAIL}",
        "services:\n  app: {image: 'a:${TAG:?}'}\n",
        f"services:\n  app: {{image: a}}\n{MAIL}".replace(":?where", ":-"),
        f"services:\n  app: {{image: a}}\n{MAIL}volumes: {{v: {{name: '${{MAIL_HOST:?}}'}}}}\n",
    ],
)
def test_what_others_need_too_or_nobody_must_have_holds(tmp_path: Path, text: str) -> None:
    assert held_back(tmp_path, text) == []


def test_a_service_has_the_profiles_of_every_file_of_its_chain(tmp_path: Path) -> None:
    base = "services:\n  app: {image: a}\n  mail: {image: m, profiles: [mail]}\n"
    over = "services:\n  mail: {environment: ['HOST=${MAIL_HOST:?}']}\n"
    files = {"compose.yaml": base, "compose.mail.yaml": over, "up.sh": "#!/bin/sh\ndocker compose -f compose.yaml -f compose.mail.yaml up -d\n"}
    found = judged(tmp_path, file_variables, judge_blast_radius, "compose.mail.yaml", **files)
    assert [(detail.what, detail.file) for detail in found.details] == [("MAIL_HOST", "compose.mail.yaml")]


@given(substitution_texts())
def test_any_text_can_be_read(text: str) -> None:
    assert all(isinstance(name, str) for name in required_in(text))
    assert all(name for name, _ in literal_secrets("DB_PASSWORD", text))


@given(st.text(max_size=20))
def test_a_plain_value_is_a_secret_by_the_name_alone(value: str) -> None:
    if "$" not in value:
        assert not list(literal_secrets("GREETING", value))
