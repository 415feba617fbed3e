"""What is said of chains where docker compose is not there, does not answer, or answers nonsense: nothing is proven, and each chain is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.config.models import Chain, Compose, Site
from interlock.errors import CouldNotLook
from interlock.observe import compose_binary
from interlock.observe.compose import chain_answer, chain_mounts
from interlock.observe.stack import stack
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Subject, When

MODEL = '{"name": "s", "services": {"app": {"image": "x"}}}'


def world(folder: Path, script: str | None) -> World:
    """A site of two chains, beside a program that plays docker compose."""
    environ = {}
    if script is not None:
        program = folder / "docker-compose"
        program.write_text(f'#!/bin/sh\n[ "$1" = version ] && {{ echo 2.40.3; exit; }}\necho asked >> "{folder}/asked"\n{script}\n')
        program.chmod(0o755)
        environ = {"INTERLOCK_COMPOSE": str(program), "PATH": "/usr/bin:/bin"}
    for name in ("a.yml", "b.yml"):
        (folder / name).write_text("services: {app: {image: x}}\n")
    compose = Compose(files=("a.yml", "b.yml"), chains={"one": Chain(files=("a.yml",)), "two": Chain(files=("a.yml", "b.yml"))})
    site = Site(interlock=1, site="s", compose=compose).placed(folder, source="interlock.yaml")
    return World(site=site, gates=frozenset({When.STATIC}), tree=Tree(folder), hosts={}, environ=environ)


def test_without_docker_compose_nothing_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_binary, "SYSTEM_PLUGINS", ())
    monkeypatch.setattr(compose_binary, "_unpacked", lambda: ())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CouldNotLook, match="there is no docker compose here") as caught:
        chain_answer(world(tmp_path, None), Subject(name="one"))
    assert caught.value.remedy == "install docker-compose-plugin"


@pytest.mark.parametrize("script", ["echo no json", "kill -9 $$"])
def test_an_answer_that_is_none_proves_nothing(tmp_path: Path, script: str) -> None:
    seen = world(tmp_path, script)
    for chain in ("one", "two"):
        with pytest.raises(CouldNotLook):
            chain_answer(seen, Subject(name=chain))


def test_each_chain_is_asked_for_once_whoever_asks(tmp_path: Path) -> None:
    seen = world(tmp_path, f"echo '{MODEL}'")
    for _ in range(3):
        assert chain_answer(seen, Subject(name="one")).services == 1
        assert stack(seen, "two").services["app"].image == "x"
        assert chain_mounts(seen, Subject(name="two")).layers == ()
    assert (tmp_path / "asked").read_text().count("asked") == len(seen.site.chains) == 2


def test_a_refusal_of_one_chain_says_nothing_of_the_other(tmp_path: Path) -> None:
    seen = world(tmp_path, f"""case "$*" in *b.yml*) echo 'dependency cycle detected: a -> a' >&2; exit 1;; esac; echo '{MODEL}'""")
    assert chain_answer(seen, Subject(name="one")).faults == ()
    assert [fault.refusal.words for fault in chain_answer(seen, Subject(name="two")).faults] == ["dependency cycle detected: a -> a"]
    with pytest.raises(CouldNotLook, match="docker compose refuses the chain two"):
        stack(seen, "two")
