"""Does what runs follow the choice that the application keeps on its host?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.config.load import load_site
from interlock.errors import CouldNotLook
from interlock.facts.persisted import Followed, PersistedChoice
from interlock.judge.stack.persisted import choices, judge_persisted
from interlock.observe import persisted
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, Held, Unproven

NEEDED = {"duckdb": "small", "postgres": "large"}


def a_choice(value: str | None, *followers: Followed, default: str | None = "small") -> PersistedChoice:
    return PersistedChoice(file="/data/instance.yaml", key="database.backend", value=value, needed=NEEDED, default=default, followers=followers)


def started(*chains: str) -> Followed:
    return Followed(who="app", by="started from its files", files=("compose.yaml", "compose.large.yaml"), chains=chains)


def test_what_runs_from_the_needed_chain_follows_it() -> None:
    found = judge_persisted(a_choice("postgres", started("large")))
    assert found == Held("database.backend in /data/instance.yaml is 'postgres', and the chain large is followed by app", found.details)


def test_files_that_two_chains_are_made_of_may_be_the_needed_one() -> None:
    assert isinstance(judge_persisted(a_choice("postgres", started("other", "large"))), Held)


def test_another_chain_is_named_with_its_files() -> None:
    found = judge_persisted(a_choice("postgres", started("small")))
    assert isinstance(found, Broken)
    assert found.kind == "other-chain"
    assert "app has the chain small (started from its files: compose.yaml + compose.large.yaml)" in found.message


def test_one_that_follows_does_not_speak_for_one_that_does_not() -> None:
    found = judge_persisted(a_choice("postgres", started("large"), Followed("instance main", "its `chain`", (), ("small",))))
    assert isinstance(found, Broken)
    assert [detail.kind for detail in found.details] == ["", "other-chain"]


def test_files_of_no_chain_are_another_chain() -> None:
    found = judge_persisted(a_choice("postgres", started()))
    assert isinstance(found, Broken)
    assert "no chain of the site" in found.message


def test_a_value_without_a_chain_is_broken() -> None:
    found = judge_persisted(a_choice("mysql", started("large")))
    assert isinstance(found, Broken)
    assert found.kind == "unknown-value"


def test_a_value_that_nobody_declared_is_not_quoted_at_length() -> None:
    assert "x" * 41 not in judge_persisted(a_choice("x" * 500)).message


def test_without_a_value_the_default_counts_and_without_one_nothing_is_proven() -> None:
    assert isinstance(judge_persisted(a_choice(None, started("small"))), Held)
    assert isinstance(judge_persisted(a_choice(None, started("small"), default=None)), Unproven)


def test_where_nothing_follows_nothing_is_proven() -> None:
    assert isinstance(judge_persisted(a_choice("postgres")), Unproven)


# ---- the value in its file


def kept(name: str, content: bytes, key: str = "database.backend") -> str | None:
    class Facts:
        host = "local"

        @staticmethod
        def read(_path: str) -> bytes:
            return content

    facts: Any = Facts()
    return persisted.kept_value(facts, f"/data/{name}", key)


@pytest.mark.parametrize(
    ("name", "content", "key", "value"),
    [
        ("a.yaml", b"database: {backend: postgres}\n", "database.backend", "postgres"),
        ("a.json", b'{"database": {"backend": "postgres"}}', "database.backend", "postgres"),
        (".env", b"DB_BACKEND=\"postgres\"\n", "DB_BACKEND", "postgres"),
        (".env", b"DB_BACKEND=a\nDB_BACKEND=b\n", "DB_BACKEND", "b"),
        ("a.yaml", b"database.backend: postgres\n", "database.backend", "postgres"),
        ("a.yaml", b"external: true\n", "external", "true"),
        ("a.yaml", b"version: 17\n", "version", "17"),
        ("a.yaml", b"", "database.backend", None),
        ("a.yaml", b"database: {backend: null}\n", "database.backend", None),
        ("a.yaml", b"database: postgres\n", "database.backend", None),
        ("a.json", b"[]", "database.backend", None),
    ],
)  # fmt: skip
def test_one_key_is_told(name: str, content: bytes, key: str, value: str | None) -> None:
    assert kept(name, content, key) == value


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.yaml", b"a: [\n"), ("a.yaml", b"a: 1\na: 2\n"), ("a.json", b"{"), ("a.yaml", b"database: {backend: [a]}\n"), ("a.yaml", b"\xff\xfe")],
)
def test_a_file_that_cannot_be_read_as_what_it_is_says_nothing(name: str, content: bytes) -> None:
    with pytest.raises(CouldNotLook):
        kept(name, content)


def test_a_site_without_a_choice_has_no_subject(tmp_path: Path) -> None:
    site: Mapping[str, Any] = {"compose": {"files": ["compose.yaml"]}}
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    write_site(tmp_path, site)
    assert choices(load_site(tmp_path / "interlock.yaml", {})) == []
