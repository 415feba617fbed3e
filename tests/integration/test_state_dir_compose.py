"""Which layer decides what a variable comes to: ours against the real docker compose, on generated stacks.

Each stack is asked for once: many services in one file, each with an environment and env files of its own, over the env files of the project and a shell.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interlock.config.load import load_site
from interlock.errors import ConfigError
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_layers import ENV_FILES, NO_ENV_FILE, Layers, Origin, Written, env_files_read, for_interpolation, for_service, raw_env_file
from interlock.facts.substitution import substitute
from interlock.judge.state_dir import SERVICES_AGREE, judge_services
from interlock.observe.compose_binary import Compose, Model, Refused, asked, find_compose
from interlock.observe.state_dir import users_seen
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, When
from tests.docker_engine import next_programs
from tests.strategies import layered_env_files, layered_environments, layered_shells

PROVE = os.environ.get("INTERLOCK_PROFILE") == "prove"
SERVICES = 12  # of one stack
BIND = "${STATE_DIR:-${DATA_DIR:-/data}/state}"
READ_AS_WE_DO = (2, 30)  # older ones know no `format`, and look what an env file of a service refers to up in it and in those before it first

stacked = settings(
    max_examples=400 if PROVE else 12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


class Named(NamedTuple):
    """An env file of a service: its bytes, None for one that is not there and need not be."""

    data: bytes | None
    raw: bool = False


class Said(NamedTuple):
    """What a compose file says of one service."""

    environment: Mapping[str, str | None]
    as_list: bool
    env_files: Sequence[Named]


def services() -> st.SearchStrategy[Said]:
    there = st.builds(Named, layered_env_files(), st.sampled_from((False, False, True)))
    return st.builds(Said, layered_environments(), st.booleans(), st.lists(st.one_of(there, there, there, st.just(Named(None))), max_size=3))


@pytest.fixture(scope="module", params=["installed", "next"])
def compose(request: pytest.FixtureRequest, component: Callable[[str], None]) -> Compose:
    """Two generations of it."""
    if request.param == "installed":
        component("compose")
        found = find_compose(os.environ)
    else:
        component("engines")
        found = asked(str(next_programs() / "docker-compose"), os.environ)
    assert found is not None
    return found


def as_we_read(compose: Compose) -> bool:
    return tuple(int(part) for part in compose.version.split(".")[:2]) >= READ_AS_WE_DO


def without_references(said: Said) -> Said:
    """A service whose env files hold nothing that an older docker compose looks up in another order, and no format that it does not know."""
    files = [named._replace(data=named.data and re.sub(rb"\$|^[A-Z_]+$", b"", named.data, flags=re.MULTILINE), raw=False) for named in said.env_files]
    return said._replace(env_files=files)


class Case:
    """A folder with the files of one stack, and what we and docker compose make of it."""

    def __init__(self, folder: Path, shell: Mapping[str, str], files: Sequence[bytes], how: str) -> None:
        self.folder, self.how = folder, how
        for old in folder.iterdir():
            old.unlink()
        names = [f"project-{number}.env" for number in range(len(files))] if how != "beside" else [".env"][: len(files)]
        for name, data in zip(names, files, strict=False):
            (folder / name).write_bytes(data)
        self.options = tuple(names) if how == "options" else ()
        listed = {ENV_FILES: ",".join(names)} if how == "variable" else {}
        self.environ = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **listed, **shell}

    def stack(self, *, older: bool) -> Layers:
        """The project's variables, as we read them. Raises ConfigError."""
        chosen = env_files_read(self.options, self.environ, "")
        there = [path for path in chosen.paths if chosen.named or (self.folder / path).exists()]
        return for_interpolation([EnvFile.parse((self.folder / path).read_bytes(), where=path) for path in there], self.environ, older=older)

    def write(self, number: int, said: Said) -> dict[str, object]:
        """A service for the compose file, its env files written."""
        listed: list[object] = []
        for place, named in enumerate(said.env_files):
            path = f"s{number}-{place}.env"
            if named.data is not None:
                (self.folder / path).write_bytes(named.data)
            listed.append(
                {"path": path, "required": named.data is not None, **({"format": "raw"} if named.raw else {})} if named.raw or named.data is None else path
            )
        flat = [name if text is None else f"{name}={text}" for name, text in said.environment.items()]
        return {
            "image": "x",
            "environment": flat if said.as_list else dict(said.environment),
            "env_file": listed,
            "volumes": [{"type": "bind", "source": BIND, "target": "/state"}],
        }

    def ours(self, stack: Layers, number: int, said: Said) -> Layers:
        """A service as we read it. Raises ConfigError."""
        files = []
        for place, named in enumerate(said.env_files):
            if named.data is not None:
                where = f"s{number}-{place}.env"
                files.append(raw_env_file(named.data, where=where) if named.raw else EnvFile.parse(named.data, where=where))
        written = {name: Written(text, Origin("case.json", 1)) for name, text in said.environment.items()}
        return for_service(stack, written, files)

    def asked(self, compose: Compose, described: Mapping[str, object]) -> Model | Refused:
        (self.folder / "case.json").write_text(json.dumps({"name": "case", "services": described or {"a": {"image": "x"}}}))
        return compose.config(("case.json",), directory=self.folder, environ=self.environ, env_files=self.options)


def plain(environment: Mapping[str, Any] | None) -> dict[str, str | None]:
    return {name: None if text is None else str(text).replace("$$", "$") for name, text in (environment or {}).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@stacked
@given(
    shell=layered_shells(),
    files=st.lists(layered_env_files(), max_size=3),
    how=st.sampled_from(("options", "variable", "beside")),
    every=st.lists(services(), min_size=SERVICES, max_size=SERVICES),
)
@example(
    shell={},
    files=[b"A=one\nB=${A}1\n", b"A=two\nSTATE_DIR=${A}+${B}\nDATA_DIR\nB=two\n"],
    how="variable",
    every=[
        Said({"A": None, "B": "$A"}, False, [Named(b"A=file\nB=file\n")]),
        Said({}, True, [Named(b"A=1\nB=1\n"), Named(b"STATE_DIR=${B}\nB=2\nDATA_DIR=$B\nA\n")]),
        Said({"STATE_DIR": None}, False, [Named(b"STATE_DIR=/file\n")]),
        Said({}, False, [Named(b'  A="q" # c\nB\n B= x \nSTATE_DIR=$A\n', raw=True), Named(None)]),
    ],
)
def test_docker_compose_gives_each_service_what_we_say(  # noqa: PLR0917 - two fixtures and four things that are drawn
    compose: Compose, folder: Path, shell: dict[str, str], files: list[bytes], how: str, every: list[Said]
) -> None:
    if not as_we_read(compose):
        every = list(map(without_references, every))
    tree = Case(folder, shell, files, how)
    try:
        stack = tree.stack(older=not as_we_read(compose))
        bound = substitute(BIND, stack.texts, lenient=True)
    except ConfigError:
        assert isinstance(tree.asked(compose, {}), Refused)
        return
    good: dict[str, tuple[object, Layers]] = {}
    refused = []
    for number, said in enumerate(every):
        described = tree.write(number, said)
        try:
            good[f"s{number}"] = (described, tree.ours(stack, number, said))
        except ConfigError:
            refused.append(described)
    model = tree.asked(compose, {name: described for name, (described, _) in good.items()})
    assert isinstance(model, Model), model
    for name, (_, ours) in good.items():
        theirs = model.project["services"][name]
        assert plain(theirs.get("environment")) == {key: None if value is None else value.text for key, value in ours.values.items()}, name
        if bound.startswith("/") and "\\" not in bound:
            assert os.path.normpath(theirs["volumes"][0]["source"].replace("$$", "$")) == os.path.normpath(bound)
    for described in refused[:1]:
        assert isinstance(tree.asked(compose, {"alone": described}), Refused), described


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENV_FILES: "one.env,two.env"},
        {ENV_FILES: "two.env,,one.env,"},
        {ENV_FILES: ","},
        {ENV_FILES: ""},
        {NO_ENV_FILE: "1"},
        {NO_ENV_FILE: "0"},
        {NO_ENV_FILE: "1", ENV_FILES: "one.env"},
    ],
)
@pytest.mark.parametrize("options", [(), ("two.env",)])
def test_docker_compose_reads_the_env_files_that_we_say(compose: Compose, tmp_path: Path, environ: dict[str, str], options: tuple[str, ...]) -> None:
    for name, text in (("one.env", "A=one\nB=one\n"), ("two.env", "A=two\n"), (".env", f"A=dot\nB=dot\n{ENV_FILES}=one.env\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "case.json").write_text(json.dumps({"name": "case", "services": {"a": {"image": "x", "environment": {"A": "${A:-}", "B": "${B:-}"}}}}))
    model = compose.config(("case.json",), directory=tmp_path, environ={"PATH": "/usr/bin:/bin", **environ}, env_files=options)
    if not as_we_read(compose) and not options and "" in environ.get(ENV_FILES, "x").split(",")[1:]:
        assert isinstance(model, Refused), "an older one takes an empty part for a file"
        return
    assert isinstance(model, Model), model
    read = env_files_read(options, environ, "")
    texts = for_interpolation([EnvFile.parse((tmp_path / path).read_bytes()) for path in read.paths], {}).texts
    assert model.project["services"]["a"]["environment"] == {name: texts.get(name, "") for name in ("A", "B")}


@pytest.mark.parametrize("named", [True, False])
def test_a_named_env_file_must_be_there_and_dot_env_need_not(compose: Compose, tmp_path: Path, named: bool) -> None:
    (tmp_path / "case.json").write_text('{"name": "case", "services": {"a": {"image": "x"}}}')
    environ = {ENV_FILES: "gone.env"} if named else {}
    assert env_files_read((), environ, "").named is named
    assert isinstance(compose.config(("case.json",), directory=tmp_path, environ={"PATH": "/usr/bin:/bin", **environ}), Refused) is named


SITE_STACK = """\
services:
  app:
    image: x
    environment: {STATE_DIR: "${STATE_DIR:-/data/state}"}
    volumes: [/data-state:/data-state]
  worker:
    image: x
    env_file: worker.env
    environment:
      - STATE_DIR=/data/state
  silent:
    image: x
    env_file: worker.env
    environment: {STATE_DIR: }
"""


def test_a_service_that_does_not_agree_is_told_with_the_lines_that_decide(component: Callable[[str], None], tmp_path: Path) -> None:
    component("compose")
    for name, text in (("compose.yaml", SITE_STACK), ("worker.env", "STATE_DIR=/data-state\n"), ("main.env", "A=1\nSTATE_DIR=/data-state\n")):
        (tmp_path / name).write_text(text)
    chains = {"flat": {"files": ["compose.yaml"], "env_files": ["main.env"]}}
    write_site(tmp_path, {"state_dir": {"path": "/data-state", "values": {"DATA_DIR": "/data"}}, "compose": {"files": ["compose.yaml"], "chains": chains}})
    site = load_site(tmp_path / "interlock.yaml", {})
    world = World(site=site, gates=frozenset({When.STATIC}), tree=Tree(tmp_path), hosts={}, environ=os.environ)
    judged = judge_services(users_seen(world, next(iter(SERVICES_AGREE.subjects(site)))))
    assert isinstance(judged, Broken)
    messages = {detail.what: detail.message for detail in judged.details}
    assert "app has its state at /data-state" in messages["app"]
    assert "comes to /data/state (set in compose.yaml:10, which overrides worker.env:1), not to /data-state" in messages["worker"]
    assert "silent has no mount that covers /data-state" in messages["silent"], "a name alone takes the stack's value"
