"""Our parsers against the real docker compose: what it substitutes, what it reads in env files, which files it refuses.

Many cases go into one `config` call: a file with a label for each text, a service for each env file. What it must refuse goes alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from interlock.errors import ConfigError
from interlock.facts.compose import ComposeText
from interlock.facts.dotenv import EnvFile
from interlock.facts.substitution import SubstitutionError, substitute
from interlock.judge.compose import judge_strict_parse
from interlock.observe.compose_binary import Compose, Model, Refused, find_compose
from interlock.verdicts import Broken
from tests.strategies import compose_texts, env_files, substitution_texts

ENVIRON = {"A": "a val", "B": "", "C": "$A", "FOO": "foo", "_x": "}", "K1": "{"}
BATCH = 30
REFUSED_ALONE = 3  # of a batch, those that it must refuse are asked one by one
PROVE = os.environ.get("INTERLOCK_PROFILE") == "prove"
OUR_VERSION = (2, 40)  # older ones find the closing brace of a reference in another way

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
    if tuple(int(part) for part in found.version.split(".")[:2]) < OUR_VERSION:
        pytest.skip(f"{found.path} is {found.version}; interlock reads as 2.40 does")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compose")


def asked(compose: Compose, folder: Path, services: Mapping[str, object]) -> Model | Refused:
    (folder / "case.json").write_text(json.dumps({"name": "case", "services": services}))
    return compose.config(["case.json"], directory=folder, environ=ENVIRON)


def labels(texts: Sequence[str]) -> dict[str, object]:
    return {"a": {"image": "x", "labels": {f"l{number}": text for number, text in enumerate(texts)}}}


def substituted(text: str) -> str | None:
    try:
        return substitute(text, ENVIRON, lenient=True)
    except SubstitutionError:
        return None


@batched
@given(st.lists(substitution_texts(), min_size=BATCH, max_size=BATCH))
@example(
    [
        "${NO:-{}}",
        "${NO:-{}} }",
        "${NO:-{a}",
        "${NO:-${NO:-x}}}",
        "${A:-}} ${A:-x}",
        "\u017f$\u017f",
        "$\u212a",
        "${NO-x:-y}",
        "${NO:-?x}",
        "${A+${B-}}",
        "$1",
        "$",
        "$ A",
    ]
)
def test_docker_compose_substitutes_as_we_do(compose: Compose, folder: Path, texts: list[str]) -> None:
    good = [(text, ours) for text in texts if (ours := substituted(text)) is not None]
    model = asked(compose, folder, labels([text for text, _ in good]))
    assert isinstance(model, Model), model
    theirs = model.project["services"]["a"].get("labels", {})
    assert {text: theirs[f"l{number}"].replace("$$", "$") for number, (text, _) in enumerate(good)} == dict(good)
    for text in [text for text in texts if substituted(text) is None][:REFUSED_ALONE]:
        assert isinstance(asked(compose, folder, labels([text])), Refused), text


def read(data: bytes) -> dict[str, str] | None:
    try:
        return {key: value.text for key, value in EnvFile.parse(data).resolve(ENVIRON).items()}
    except ConfigError:
        return None


def env_file_services(folder: Path, files: Sequence[bytes]) -> dict[str, object]:
    for number, data in enumerate(files):
        (folder / f"{number}.env").write_bytes(data)
    return {f"s{number}": {"image": "x", "env_file": [f"{number}.env"]} for number in range(len(files))}


@batched
@given(st.lists(env_files(), min_size=BATCH, max_size=BATCH))
@example(
    [
        b"A=1\nTOKEN",
        b"A",
        b"export A",
        b"export =1\n",
        b'A="x" B=2\n',
        b"A\tB=1\n",
        b"\xef\xbb\xbfA=1\n",
        b'A="\\0101\\c\\0"\n',
        b"A= #x\n",
        b"A: b # c\n",
        b"A='\\''\n",
    ]
)
def test_docker_compose_reads_env_files_as_we_do(compose: Compose, folder: Path, files: list[bytes]) -> None:
    good = [(data, ours) for data in files if (ours := read(data)) is not None]
    model = asked(compose, folder, env_file_services(folder, [data for data, _ in good]) or {"a": {"image": "x"}})
    assert isinstance(model, Model), model
    for number, (data, ours) in enumerate(good):
        theirs = model.project["services"][f"s{number}"].get("environment") or {}
        assert {key: value.replace("$$", "$") for key, value in theirs.items()} == ours, data
    for data in [data for data in files if read(data) is None][:REFUSED_ALONE]:
        assert isinstance(asked(compose, folder, env_file_services(folder, [data])), Refused), data


@settings(parent=batched, max_examples=3000 if PROVE else 60)
@given(compose_texts())
def test_docker_compose_refuses_the_files_that_we_call_broken_and_no_others(compose: Compose, folder: Path, data: bytes) -> None:
    """As an overlay on a good file, so that only the text itself is at stake."""
    (folder / "base.yaml").write_text("services: {base: {image: x}}\n")
    (folder / "over.yaml").write_bytes(data)
    ours = judge_strict_parse(ComposeText(path="over.yaml", content=data))
    theirs = compose.config(["base.yaml", "over.yaml"], directory=folder, environ=ENVIRON)
    # docker compose 2.40 takes one alias that is merged into a mapping and into a member of it for a cycle
    assume(not (isinstance(theirs, Refused) and "cycle detected" in theirs.why))
    assert isinstance(ours, Broken) == isinstance(theirs, Refused), (ours, theirs)


def test_a_version_is_known(compose: Compose) -> None:
    assert compose.version.startswith("2.") or int(compose.version.partition(".")[0]) > 2


def test_a_file_that_is_refused_says_why(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: [\n")
    answer = compose.config(["compose.yaml"], directory=tmp_path, environ={})
    assert isinstance(answer, Refused)
    assert "yaml" in answer.why


def test_the_model_holds_every_profile_and_no_secret_in_its_repr(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, profiles: [rare], environment: {PW: $PW}}}\n")
    model = compose.config(["compose.yaml"], directory=tmp_path, environ={"PW": "hunter2"})
    assert isinstance(model, Model)
    assert model.project["services"]["a"]["environment"] == {"PW": "hunter2"}
    assert "hunter2" not in repr(model)
