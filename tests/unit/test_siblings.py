"""Variants of a stack: which differ by mistake, and which on purpose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.commands.scan import site_of_tree
from interlock.facts.siblings import ServiceText, Setting, Siblings, StackText, siblings
from interlock.judge.templates import judge_sibling_variants
from interlock.observe.siblings import see
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, When

APP = "registry.example.org/team/app:2"


def service(name: str, image: str, target: str = "", **environment: str) -> ServiceText:
    settings = {key: Setting(value=value, line=7) for key, value in environment.items()}
    return ServiceText(name=name, image=image, image_line=3, environment=settings, targets={target: 9} if target else {})


def variant(name: str, *more: ServiceText, db: str = "postgres:17", target: str = "/var/lib/postgresql/data", **environment: str) -> StackText:
    return StackText(file=f"compose/compose.{name}.yml", services=(service("web", APP, **environment), service("db", db, target), *more))


def odd(*stacks: StackText) -> list[tuple[str, str, str]]:
    return [(one.file, one.key, one.value) for one in siblings(stacks).dissents]


def test_a_word_that_no_other_variant_has_and_that_looks_like_theirs() -> None:
    tika = service("tika", "apache/tika:3")
    found = odd(variant("a", KIND="postgresql"), variant("b", tika, KIND="postgresql"), variant("c", KIND="postgres"))
    assert found == [("compose/compose.c.yml", "KIND", "postgres")]


def test_a_variant_with_another_server_has_a_reason() -> None:
    others = (variant("a", KIND="postgresql"), variant("b", KIND="postgresql"))
    assert not odd(*others, variant("c", db="mariadb:11", target="/var/lib/mysql", KIND="mysql"))
    assert odd(*others, variant("c", KIND="mysql")) == [("compose/compose.c.yml", "KIND", "mysql")]


@pytest.mark.parametrize(
    ("name", "agreed", "other"),
    [
        ("APP_HOST", "postgres", "postgresql"),
        ("DB_NAME", "ledger", "ledgers"),
        ("LOG_LEVEL", "warning", "warnings"),
        ("FEATURE", "enabled", "disabled"),
        ("WORKERS", "1", "11"),
        ("STORAGE", "local", "remote"),
        ("KIND", "postgres", "Postgres"),
        ("TARGET", "database", "db"),
        ("KIND", "${KIND}", "${KINDS}"),
    ],
)
def test_what_may_differ_on_purpose(name: str, agreed: str, other: str) -> None:
    assert not odd(variant("a", **{name: agreed}), variant("b", **{name: agreed}), variant("c", **{name: other}))


def test_two_do_not_say_which_of_them_is_wrong() -> None:
    assert not odd(variant("a", KIND="postgresql"), variant("b", KIND="postgres"))
    assert not odd(variant("a", KIND="postgresql"), variant("b", KIND="postgres"), variant("c"))


def test_variants_for_developers_are_not_compared() -> None:
    assert not odd(variant("a", KIND="postgresql"), variant("b", KIND="postgresql"), variant("dev", KIND="postgres"))


def test_a_volume_beside_where_the_others_have_it() -> None:
    found = odd(variant("a"), variant("b"), variant("c", target="/var/lib/postgresql"))
    assert found == [("compose/compose.c.yml", "volumes", "/var/lib/postgresql")]
    assert not odd(variant("a"), variant("b"), variant("c", db="postgres:18", target="/var/lib/postgresql"))


def test_folders_beside_each_other_are_siblings_too() -> None:
    stacks = [
        StackText(file=f"examples/{name}/compose.yml", services=variant("x", KIND=kind).services)
        for name, kind in zip("abc", ("pgsql", "pgsql", "psql"), strict=True)
    ]
    assert odd(*stacks) == [("examples/c/compose.yml", "KIND", "psql")]


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20), st.text(max_size=8)), max_size=6))
def test_any_values_are_compared(values: list[tuple[str, str, str]]) -> None:
    siblings([StackText(file=f"{name}.yml", services=(service("a", image, "/x", KIND=value), service("b", "postgres"))) for name, image, value in values])


def test_files_of_a_tree_with_either_form_of_environment(tmp_path: Path) -> None:
    db = "  db:\n    image: postgres:17\n    volumes: ['data:/var/lib/postgresql/data']\nvolumes: {data: {}}\n"
    text = f"services:\n  web:\n    image: app/web:1\n    environment: %s\n{db}"
    for name, said in {"a": "{KIND: postgresql}", "b": "[KIND=postgresql]", "c": "[KIND=postgres]"}.items():
        (tmp_path / f"compose.{name}.yml").write_text(text.replace("%s", said))
    world = World(site=site_of_tree(tmp_path), gates=frozenset({When.STATIC}), tree=Tree(tmp_path, patient=True), hosts={}, environ=os.environ)
    judged = judge_sibling_variants(see(world, Subject(name="compose files")))
    assert isinstance(judged, Broken)
    assert [(detail.file, detail.line, detail.kind) for detail in judged.details] == [("compose.c.yml", 4, "odd-environment")]
    assert isinstance(judge_sibling_variants(Siblings(groups=(), dissents=())), Held)
