"""What texts say about a stack: commands that name a base alone, marks of development, engines that a program carries, mounts of a volume."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.config_readers import is_unread, reader_of
from interlock.facts.declared_volumes import mounts_of
from interlock.facts.embedded import embedded_engine
from interlock.facts.overrides import bases_alone, development_marks, told_to_edit
from interlock.facts.stack import Stack
from tests.strategies import texts


def test_each_command_is_found_at_its_line() -> None:
    text = "set -e\ndocker compose \\\n  -f compose.yaml \\\n  pull\ndocker compose -f compose.yaml up -d\n"
    assert list(bases_alone(text)) == [(2, "compose.yaml", "pull"), (5, "compose.yaml", "up")]


@pytest.mark.parametrize(
    "line",
    [
        "docker compose -f compose.yaml -f compose.prod.yaml up",
        "docker compose -f compose.yaml ps",
        "cp -f compose.yaml /srv/",
        "docker compose -f compose.prod.yaml up",
        "rm -f compose.yaml; docker compose up",
    ],
)
def test_other_commands_are_none(line: str) -> None:
    assert list(bases_alone(line)) == []


@pytest.mark.parametrize("text", ["x" * 200_000, "compose" * 30_000, "docker compose -f " * 10_000, "docker compose " + "--a " * 50_000, "\\\n" * 50_000])
def test_a_long_text_is_read_in_time(text: str) -> None:
    started = time.process_time()
    assert list(bases_alone(text)) == []
    assert time.process_time() - started < 5


@given(texts())
def test_no_text_makes_a_reader_fail(text: str) -> None:
    assert all(line >= 1 for line, _, _ in bases_alone(text))
    assert embedded_engine([text]) in ("", *("DuckDB", "RocksDB", "LevelDB", "LMDB", "Kuzu", "LanceDB", "bbolt", "Badger", "H2"))
    line = told_to_edit(text, "compose.override.yaml")
    assert line is None or line >= 1
    assert mounts_of([text])[text].search(f"- {text}:/srv")


@given(
    st.dictionaries(
        st.sampled_from(["volumes", "command", "entrypoint", "environment", "develop"]),
        st.recursive(st.none() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    )
)
def test_no_service_makes_the_marks_of_development_fail(service: dict[str, object]) -> None:
    assert all(mark.what and mark.keys for mark in development_marks(service))


@pytest.mark.parametrize(
    ("listed", "engine"),
    [
        ('dependencies = [\n    "duckdb>=0.9.0",\n]', "DuckDB"),
        ("duckdb==1.1\n", "DuckDB"),
        ('"dependencies": {"classic-level": "^1.0"}', "LevelDB"),
        ("require go.etcd.io/bbolt v1.3.11\n", "bbolt"),
        ('rocksdb = "0.22"\n', "RocksDB"),
        ("<groupId>com.h2database</groupId>", "H2"),
        ("my-duckdb-notes==1\nflask\n", ""),
        ('"description": "no database"', ""),
    ],
)
def test_an_engine_is_told_by_what_a_program_is_built_from(listed: str, engine: str) -> None:
    assert embedded_engine([listed]) == engine


def test_a_server_is_told_of_its_settings_by_file_or_by_folder() -> None:
    def unread(**said: object) -> bool:
        model = {"services": {"cache": {"image": "redis:8", **said}}}
        service = Stack.of(model, chain="all", files=("compose.yaml",)).services["cache"]
        reader = reader_of(service)
        assert reader is not None
        return is_unread(service, reader, "/etc/redis/redis.conf")

    assert unread()
    assert not unread(command=["redis-server", "/etc/redis/redis.conf"])
    assert not unread(environment={"REDIS_CONFIG": "/etc/redis"})
