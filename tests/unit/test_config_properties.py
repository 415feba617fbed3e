"""What holds for every site file: it says what was meant, its schema knows the same files, and no text brings a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from pydantic import ValidationError

from interlock.config.load import load_site
from interlock.config.models import Site
from interlock.config.schema import SCHEMA_FILE
from interlock.errors import ConfigError
from tests.strategies import mutations, names, site_data, texts, yaml_of, yaml_texts

EXAMPLE = Path(__file__).parent.parent / "golden" / "config" / "whole.yaml"
ENVIRON = {"APP_PASSWORD": "canary-7f3a"}


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site") / "interlock.yaml"


def load(path: Path, content: bytes, environ: Mapping[str, str]) -> Site | ConfigError:
    """What loading a content comes to; anything but these two is a failure of the test."""
    path.write_bytes(content)
    try:
        return load_site(path, environ, known={"mounts", "backups"})
    except ConfigError as error:
        return error


@given(data=st.data(), plain=site_data())
def test_a_site_survives_the_way_through_yaml(path: Path, data: DataObject, plain: dict[str, Any]) -> None:
    site = Site.model_validate(plain)
    written = data.draw(yaml_of(site.model_dump(mode="json", by_alias=True, exclude_unset=True)))
    path.write_text(written)
    loaded = load_site(path, {})
    assert loaded.placed(site.root).model_dump() == site.model_dump()


@given(mutations(EXAMPLE.read_text()))
def test_a_damaged_site_file_is_a_site_or_a_refusal(path: Path, text: str) -> None:
    demand_told(path, text.encode())


@given(st.one_of(st.binary(max_size=300), yaml_texts().map(lambda text: f"interlock: 1\nsite: {text}".encode()), yaml_texts().map(str.encode)))
def test_any_bytes_at_all_are_a_site_or_a_refusal(path: Path, content: bytes) -> None:
    demand_told(path, content)


def demand_told(path: Path, content: bytes) -> None:
    """A refusal says for each fault where it is in the file and what it is, and nothing of the environment."""
    found = load(path, content, ENVIRON)
    if isinstance(found, Site):
        return
    lines = content.decode("utf-8", "replace").replace("\r", "\n").count("\n") + 1
    for problem in found.problems:
        file, line, column = problem.where.rsplit(":", 2)
        assert file == str(path)
        assert 1 <= int(line) <= lines
        assert int(column) >= 1
        assert problem.what
    assert ENVIRON["APP_PASSWORD"] not in str(found)


# ---- the schema and the loader know the same files


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))


# What a JSON Schema cannot say: two keys of one noun together, and that two spellings are one path.
BEYOND_A_SCHEMA = ("is not below mountpoint", "lie inside", "stands here twice", "the layout is", "a layout says")


def accepted(plain: dict[str, Any]) -> bool | None:
    """Does the loader take it, but for names that do not exist? None where a schema has no say."""
    try:
        Site.model_validate(plain)
    except ValidationError as error:
        told = [one["msg"] for one in error.errors()]
        return None if all(any(part in message for part in BEYOND_A_SCHEMA) for message in told) else False
    return True


@given(site_data())
def test_what_loads_is_valid_by_the_schema(plain: dict[str, Any]) -> None:
    assert accepted(plain)
    validator().validate(plain)


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 100_000), st.booleans(), texts(), st.just(""), st.sampled_from([1.5, "0600", "5m", "0s", "/a/../b", "a/..", "/", "."])
)
ANYTHING = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(names(), SCALARS, max_size=2))


def places(data: Any) -> Iterator[tuple[Callable[[Any], None], Callable[[], None], Callable[[str], None] | None]]:
    """For everything below `data`: how to replace it, how to remove it, and how to name it otherwise."""
    if isinstance(data, dict):
        for key in list(data):
            yield (
                lambda new, key=key: data.__setitem__(key, new),
                lambda key=key: data.__delitem__(key),
                lambda name, key=key: data.__setitem__(name, data.pop(key)),
            )
            yield from places(data[key])
    elif isinstance(data, list):
        for index in range(len(data)):
            yield lambda new, index=index: data.__setitem__(index, new), lambda index=index: data.__delitem__(index), None
            yield from places(data[index])


@given(data=st.data(), plain=site_data())
def test_the_schema_and_the_loader_refuse_the_same(data: DataObject, plain: dict[str, Any]) -> None:
    for _ in range(4):
        changed = copy.deepcopy(plain)
        replace, remove, rename = data.draw(st.sampled_from(list(places(changed))))
        match data.draw(st.sampled_from(["replace", "remove", "rename"])):
            case "replace":
                replace(data.draw(ANYTHING))
            case "remove":
                remove()
            case _ if rename is not None:
                rename(data.draw(st.one_of(names(), texts(), st.sampled_from(["hosts", "paths", "root", "backup_class", "json_values", "write_files"]))))
        loads = accepted(changed)
        if loads is not None:
            assert validator().is_valid(changed) == loads, list(validator().iter_errors(changed))


@given(data=st.data(), plain=site_data())
def test_nothing_behind_a_key_is_refused_by_both(path: Path, data: DataObject, plain: dict[str, Any]) -> None:
    """`ssh:` with nothing behind it is not the same as no `ssh` at all: a guardrail would lose its subject unseen. A cell and an answer can be null."""
    for expectation in plain.get("expect", {}).values():
        expectation.pop("sql", None)
        expectation.get("http", {}).pop("json", None)
    plain["expect"] = {name: expectation for name, expectation in plain.get("expect", {}).items() if {"file", "port", "http", "command"} & set(expectation)}
    replace, _, _ = data.draw(st.sampled_from(list(places(plain))))
    replace(None)
    said = str(load(path, json.dumps(plain, ensure_ascii=False).encode(), {}))
    assert "has no value" in said or "and is nothing" in said
    assert not validator().is_valid(plain)
