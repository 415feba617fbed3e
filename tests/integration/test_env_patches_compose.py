"""Patched env files, read by the real docker compose: every variable comes to exactly its value, and every other one to what it was.

Many files go into one `config` call, a service for each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interlock.errors import ConfigError
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_patches import Patched, patched
from interlock.observe.compose_binary import Compose, Model, Refused, find_compose
from tests.strategies import env_files, env_values, patchable_env_files

ENVIRON = {"HOME": "/root", "NO": "from outside"}
BATCH = 25
PROVE = os.environ.get("INTERLOCK_PROFILE") == "prove"
CASES = st.tuples(st.one_of(patchable_env_files(), env_files()), st.dictionaries(st.sampled_from(["A", "B", "FOO", "new_one"]), env_values(), min_size=1))

batched = settings(
    max_examples=300 if PROVE else 10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def compose(component: Callable[[str], None]) -> Compose:
    component("compose")
    found = find_compose(os.environ)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compose")


def read(compose: Compose, folder: Path, files: Sequence[bytes]) -> list[dict[str, str]]:
    """What docker compose reads in each file, in one call."""
    for number, data in enumerate(files):
        (folder / f"{number}.env").write_bytes(data)
    services = {f"s{number}": {"image": "x", "env_file": [f"{number}.env"]} for number in range(len(files))}
    (folder / "case.json").write_text(json.dumps({"name": "case", "services": services or {"none": {"image": "x"}}}))
    answer = compose.config(["case.json"], directory=folder, environ=ENVIRON)
    assert isinstance(answer, Model), (answer, files)
    found = [answer.project["services"][name].get("environment") or {} for name in services]
    return [{key: value.replace("$$", "$") for key, value in environment.items()} for environment in found]


def attempt(data: bytes, values: dict[str, str]) -> Patched | None:
    """None for a file that docker compose refuses (tests/integration/test_compose_binary.py), or that we do not patch."""
    try:
        EnvFile.parse(data).resolve(ENVIRON)
        return patched(data, values)
    except ConfigError:
        return None


@batched
@given(st.lists(CASES, min_size=BATCH, max_size=BATCH))
@example(
    [
        (b"A=1 # c\nB='x' A=2\n", {"A": "", "B": "$"}),
        (b"\xef\xbb\xbfA=1\r\nB", {"A": "it's\r\n"}),
        (b'A="one\ntwo" # c\n', {"A": "x\ny", "FOO": "\\"}),
        (b"export A\nB=$A\nA: x$B\n", {"A": "\\0101", "new_one": "\x85"}),
    ]
)
def test_docker_compose_reads_the_patched_values_and_nothing_else_anew(compose: Compose, folder: Path, cases: list[tuple[bytes, dict[str, str]]]) -> None:
    done = [(data, values, after) for data, values in cases if (after := attempt(data, values)) is not None]
    before = read(compose, folder, [data for data, _, _ in done])
    after = read(compose, folder, [new.data for _, _, new in done])
    for (data, values, new), old_values, new_values in zip(done, before, after, strict=True):
        assert {key: new_values.get(key) for key in values} == values, (data, new.data)
        others = set(old_values) | set(new_values)
        moved = {key for key in others - set(values) if old_values.get(key) != new_values.get(key)}
        assert moved <= set(new.following), (data, new.data)


def test_a_patched_env_file_interpolates_the_compose_file_itself(compose: Compose, tmp_path: Path) -> None:
    """The `.env` beside it, whose values `image: app:${TAG}` is made of."""
    (tmp_path / ".env").write_bytes(patched(b"TAG=v1 # the release\n", {"TAG": "v2", "NOTE": "5$ & it's"}).data)
    (tmp_path / "compose.yaml").write_text("services: {a: {image: 'app:${TAG}', labels: {note: '${NOTE}'}}}\n")
    answer = compose.config(["compose.yaml"], directory=tmp_path, environ={})
    assert not isinstance(answer, Refused)
    service = answer.project["services"]["a"]
    assert (service["image"], service["labels"]["note"].replace("$$", "$")) == ("app:v2", "5$ & it's")
