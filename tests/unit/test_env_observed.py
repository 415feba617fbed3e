"""Which chain an instance runs, and where its variables are: in the site's folder, in its directory on a host, in what every new installation is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.config.load import load_site
from interlock.config.models import Chain, Compose, Instance, Site
from interlock.errors import CouldNotLook
from interlock.facts.env import InstanceEnv
from interlock.facts.looks import HostFacts, ReadFile, Stat
from interlock.judge.env import judge_coverage
from interlock.observe import probe
from interlock.observe.env import OBSERVERS
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Subject, Unproven, When

OBSERVER = OBSERVERS["env.coverage"]
SUBJECT = Subject(name="main")
CHAINS = {"plain": {"files": ["compose.yml"]}, "mail": {"files": ["compose.yml", "compose.mail.yml"]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compose.yml").write_text("services: {app: {image: '$TAG'}}\n")
    (tmp_path / "compose.mail.yml").write_text("services: {app: {environment: {HOST: '${MAIL:?}'}}}\n")
    return tmp_path


def world(folder: Path, instance: Mapping[str, Any], *, chains: Mapping[str, Any] = CHAINS, gate: When = When.STATIC, **compose: Any) -> World:
    files = {"files": ["compose.yml", "compose.mail.yml"], "chains": chains, **compose}
    text = {"interlock": 1, "site": "t", "compose": files, "instances": {"main": {"directory": str(folder / "running"), **instance}}}
    (folder / "interlock.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    site = load_site(folder / "interlock.yaml", {})
    hosts: dict[str, HostFacts | CouldNotLook] = {}
    if gate is not When.STATIC:
        looks = tuple(OBSERVER.looks(site, SUBJECT))
        answers = {look: answer(look) for look in looks}
        hosts["local"] = HostFacts(host="local", taken_at="", user="u", answers=answers, walks=lambda _: iter(()))
    return World(site=site, gates=frozenset({gate}), tree=Tree(folder), hosts=hosts, environ=os.environ)


def answer(look: Any) -> Any:
    """What is really there."""
    path = Path(look.path)
    match look:
        case ReadFile():
            return path.read_bytes() if path.exists() else None
        case Stat():
            return probe.look_stat(os.fsencode(path)) if path.exists() else None


def seen(world: World) -> InstanceEnv:
    env = OBSERVER.see(world, SUBJECT)
    assert isinstance(env, InstanceEnv)
    return env


def chains(env: InstanceEnv) -> list[str]:
    return [chain.chain for chain in env.chains]


def test_an_instance_is_asked_for_the_variables_of_its_chain(folder: Path) -> None:
    (folder / "main.env").write_text("TAG=1\n")
    assert isinstance(judge_coverage(seen(world(folder, {"env_file": "main.env", "chain": "plain"}))), Held)
    assert isinstance(judge_coverage(seen(world(folder, {"env_file": "main.env", "chain": "mail"}))), Broken)


def test_without_a_word_all_chains_may_be_its_own(folder: Path) -> None:
    (folder / "main.env").write_text("TAG=1\n")
    env = seen(world(folder, {"env_file": "main.env"}))
    assert chains(env) == ["plain", "mail"]
    assert isinstance(judge_coverage(env), Unproven)


@pytest.mark.parametrize(
    ("said", "found"), [("compose.yml", ["plain"]), ("/srv/compose.yml:/srv/compose.mail.yml", ["mail"]), ("other.yml", ["plain", "mail"])]
)
def test_its_env_file_may_say_which_it_runs(folder: Path, said: str, found: list[str]) -> None:
    (folder / "main.env").write_text(f"TAG=1\nCOMPOSE_FILE={said}\n")
    assert chains(seen(world(folder, {"env_file": "main.env"}))) == found


def test_the_env_files_of_a_chain_come_before_that_of_the_instance(folder: Path) -> None:
    (folder / "common.env").write_text("MAIL=common\n")
    (folder / "main.env").write_text("TAG=1\n")
    only = {"mail": {**CHAINS["mail"], "env_files": ["common.env"]}}
    env = seen(world(folder, {"env_file": "main.env"}, chains=only))
    assert (env.where, dict(env.values)) == ("common.env and main.env", {"MAIL": "common", "TAG": "1"})


def test_a_host_is_asked_for_the_env_files_of_the_chain_in_the_instances_directory(folder: Path) -> None:
    only = {"mail": {**CHAINS["mail"], "env_files": ["prod.env"]}}
    site = world(folder, {}, chains=only).site
    assert {look.path for look in OBSERVER.looks(site, SUBJECT) if isinstance(look, ReadFile)} == {f"{folder}/running/prod.env"}
    site = world(folder, {}).site
    assert {look.path for look in OBSERVER.looks(site, SUBJECT) if isinstance(look, ReadFile)} == {f"{folder}/running/.env"}


# ---- what a new installation is given


def discovered(folder: Path) -> World:
    files = ("compose.yml", "compose.mail.yml")
    compose = Compose(files=files, chains={"mail": Chain(files=files)})
    site = Site(interlock=1, site="t", compose=compose, instances={"main": Instance(directory="/srv")}).placed(folder)
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder), hosts={}, environ={})


def test_examples_generators_and_workflows_of_a_tree_are_found(folder: Path) -> None:
    (folder / ".env.example").write_text("#TAG=\n")
    assert isinstance(judge_coverage(seen(discovered(folder))), Broken)
    (folder / "install.sh").write_text("cat > .env <<EOF\nTAG=$TAG\nMAIL=\nOTHER=1\nEOF\n")
    assert isinstance(judge_coverage(seen(discovered(folder))), Held)
    (folder / "install.sh").unlink()
    (folder / ".github" / "workflows").mkdir(parents=True)
    (folder / ".github" / "workflows" / "deploy.yml").write_text("env:\n  MAIL: x\njobs: {up: {steps: [{run: docker compose up}]}}\n")
    env = seen(discovered(folder))
    assert isinstance(judge_coverage(env), Held)
    assert env.where == ".env.example and .github/workflows/deploy.yml"


@pytest.mark.parametrize("name", [".env", ".env.example", "env-production", "env.dist", "app.env", "app.env.sample", "conf/.env.local", "environment"])
def test_env_files_are_known_by_their_names(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("TAG=1\nMAIL=2\n")
    assert isinstance(judge_coverage(seen(discovered(folder))), Held)


@pytest.mark.parametrize("name", ["env.py", "env-setup.sh", "env.md", "tests/.env", "vendor/x/.env"])
def test_code_documents_and_tests_give_no_installation_anything(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("TAG=1\nMAIL=2\n")
    with pytest.raises(CouldNotLook):
        seen(discovered(folder))


def test_a_tree_that_gives_no_variable_proves_nothing(folder: Path) -> None:
    (folder / "install.sh").write_text('echo "hello"\n')
    with pytest.raises(CouldNotLook, match="nothing in this tree gives any of 2 variables"):
        seen(discovered(folder))


def test_declared_sources_are_read_whatever_they_hold(folder: Path) -> None:
    (folder / "write-env.sh").write_text("cat > .env <<EOF\nTAG=1\nEOF\n")
    env = seen(world(folder, {"chain": "plain"}, env_sources=["write-env.sh"]))
    assert isinstance(judge_coverage(env), Held)
    with pytest.raises(CouldNotLook, match=r"gone\.sh is not there"):
        seen(world(folder, {"chain": "plain"}, env_sources=["gone.sh"]))
