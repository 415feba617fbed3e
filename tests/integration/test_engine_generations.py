"""What engines and composes of two generations do with nested mounts and with volumes: each line of `interlock.facts.engine_generations` on real ones."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.facts.engine import Engine
from interlock.facts.engine_generations import (
    COMPOSE_KNOWS_VOLUMES_AGAIN,
    ENGINE_MAKES_NESTED_READ_ONLY,
    KERNEL_MAKES_NESTED_READ_ONLY,
    VOLUME_HASH,
    ChangedVolume,
    changed_volume,
    nested_read_only,
)
from interlock.observe import probe
from interlock.observe.compose_binary import Compose, asked, find_compose
from tests.docker_engine import IMAGE, DockerEngine, DockerError, docker_engine, next_programs

PLACES = ("ro", "rw", "alone", "mounted", "bind", "rbind", "both")
LOOK_INSIDE = """
for place in "$@"; do
    below=$(ls /$place/state)
    if touch /$place/state/x 2>/dev/null; then echo "$place $below writable"; rm /$place/state/x; else echo "$place $below read-only"; fi
done
"""


@pytest.fixture(scope="module", params=["installed", "next"])
def engine(request: pytest.FixtureRequest, component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    if request.param == "next":
        component("engines")
    with docker_engine(own_mounts=True, programs=next_programs() if request.param == "next" else None) as running:
        yield running


@pytest.fixture(scope="module", params=["installed", "next"])
def compose(request: pytest.FixtureRequest, component: Callable[[str], None]) -> Compose:
    component("compose")
    if request.param == "installed":
        found = find_compose(os.environ)
    else:
        component("engines")
        found = asked(str(next_programs() / "docker-compose"), os.environ)
    assert found is not None
    return found


@pytest.fixture
def data(engine: DockerEngine, tmp_path: Path) -> Path:
    """A directory with `state` in it, which another file system covers: OUTER is in the directory below, INNER on the file system."""
    state = tmp_path / "data/state"
    state.mkdir(parents=True)
    (state / "OUTER").touch()
    engine.inside("mount", "-t", "tmpfs", "il-state", str(state))
    engine.inside("touch", str(state / "INNER"))
    return state.parent


def look(engine: DockerEngine) -> Engine:
    answer = probe.answer(["engine", str(engine.socket), [], True, []], time.monotonic() + 20)
    return Engine.parse(answer["engine"], where="here")


def bound_volume(engine: DockerEngine, name: str, options: str, device: Path) -> None:
    engine("volume", "create", "--driver", "local", "--opt", "type=none", "--opt", f"o={options}", "--opt", f"device={device}", name)


def test_two_generations_of_engines_are_here(component: Callable[[str], None]) -> None:
    component("engines")
    said = subprocess.run(("dockerd", "--version"), capture_output=True, text=True, check=True).stdout.split()[2]
    newer = subprocess.run((next_programs() / "dockerd", "--version"), capture_output=True, text=True, check=True).stdout.split()[2]
    assert ENGINE_MAKES_NESTED_READ_ONLY.holds(newer)
    if Path("/etc/debian_version").read_text().startswith("12"):
        assert not ENGINE_MAKES_NESTED_READ_ONLY.holds(said)


def test_what_is_mounted_below_a_bind_or_a_volume_is_seen_and_written_to_as_its_generation_has_it(
    engine: DockerEngine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, options in (("bind", "bind"), ("rbind", "rbind"), ("both", "bind,rbind")):
        bound_volume(engine, f"il-{name}", options, data)
    volumes = [part for name in ("bind", "rbind", "both") for part in ("--volume", f"il-{name}:/{name}")]
    binds = ("--volume", f"{data}:/ro:ro", "--volume", f"{data}:/rw", "--mount", f"type=bind,src={data},dst=/mounted,readonly")
    alone = ("--mount", f"type=bind,src={data},dst=/alone,bind-recursive=disabled")
    command = ("run", "--rm", "--network", "none", *volumes, *binds, *alone, IMAGE, "sh", "-c", LOOK_INSIDE, "sh", *PLACES)
    read_only = ENGINE_MAKES_NESTED_READ_ONLY.holds(look(engine).version) and KERNEL_MAKES_NESTED_READ_ONLY.holds(os.uname().release)
    below = {"alone": "OUTER", "bind": "OUTER"}
    expected = {place: f"{place} {below.get(place, 'INNER')} writable" for place in PLACES}
    nested = {place: f"{place} INNER read-only" for place in ("ro", "mounted")}
    assert engine(*command).splitlines() == list((expected | (nested if read_only else {})).values())
    monkeypatch.setenv("DOCKER_API_VERSION", "1.41")  # what a client of Debian 12 speaks
    assert engine(*command).splitlines() == list(expected.values())
    for name in ("bind", "rbind", "both"):
        engine("volume", "rm", f"il-{name}")


def test_a_volume_keeps_the_options_that_it_was_made_with_and_its_device_may_be_missing(engine: DockerEngine, data: Path) -> None:
    bound_volume(engine, "il-again", "bind", data)
    bound_volume(engine, "il-again", "rbind", data / "elsewhere")
    (volume,) = [one for one in look(engine).volumes if one.name == "il-again"]
    assert volume.options == {"type": "none", "o": "bind", "device": str(data)}
    bound_volume(engine, "il-missing", "bind", data / "missing")
    with pytest.raises(DockerError, match="no such file or directory"):
        engine("run", "--rm", "--network", "none", "--volume", "il-missing:/data", IMAGE, "true")
    engine("run", "--rm", "--network", "none", "--volume", f"{data}/made:/data", IMAGE, "true")
    assert (data / "made").is_dir()
    with pytest.raises(DockerError, match="bind source path does not exist"):
        engine("run", "--rm", "--network", "none", "--mount", f"type=bind,src={data}/refused,dst=/data", IMAGE, "true")


# ---- through compose


class Project:
    """A project of one service with a bound volume and a read-only bind, started by one of the composes."""

    def __init__(self, engine: DockerEngine, folder: Path, name: str, data: Path) -> None:
        self.engine, self.folder, self.name, self.data = engine, folder, name, data

    def up(self, compose: Compose, *options: str, device: str) -> None:
        """Start it, its volume on the directory `device`."""
        (self.folder / device).mkdir(exist_ok=True)
        mounts = {"volumes": ["data:/data", f"{self.data}:/ro:ro"]}
        service = {"image": IMAGE, "network_mode": "none", "stop_grace_period": "0s", **mounts}
        volume = {"driver": "local", "driver_opts": {"type": "none", "o": "bind", "device": str(self.folder / device)}}
        (self.folder / "compose.json").write_text(json.dumps({"services": {"web": service}, "volumes": {"data": volume}}))
        argv = (compose.path, "--project-name", self.name, "--file", str(self.folder / "compose.json"), "up", "--detach", "--pull", "never", *options)
        environ = os.environ | {"DOCKER_HOST": f"unix://{self.engine.socket}"}
        subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=environ, timeout=60)

    def nested_is_read_only(self) -> bool:
        """What its container finds."""
        return " read-only" in self.engine("exec", f"{self.name}-web-1", "sh", "-c", LOOK_INSIDE, "sh", "ro")

    def volume(self) -> tuple[str, bool]:
        """The name of the directory that its volume was made on, and whether it has the label."""
        (found,) = [one for one in look(self.engine).volumes if one.name == f"{self.name}_data"]
        return Path(found.options["device"]).name, VOLUME_HASH in found.labels

    def down(self) -> None:
        """Take all of it away."""
        self.engine("rm", "--force", f"{self.name}-web-1")
        self.engine("volume", "rm", f"{self.name}_data")


@pytest.fixture
def project(engine: DockerEngine, tmp_path: Path, data: Path) -> Iterator[Project]:
    one = Project(engine, tmp_path, "il-generations", data)
    yield one
    one.down()


def test_a_project_comes_up_as_the_generations_of_its_compose_and_its_engine_have_it(engine: DockerEngine, compose: Compose, project: Project) -> None:
    knows = COMPOSE_KNOWS_VOLUMES_AGAIN.holds(compose.version)
    project.up(compose, device="first")
    assert project.volume() == ("first", knows)
    seen = look(engine)
    assert project.nested_is_read_only() is nested_read_only(seen, compose=compose.version)
    assert seen.containers[0].view is not None
    below = seen.containers[0].view.table("web").showing("/ro/state")
    assert below is not None
    assert below.read_only is project.nested_is_read_only()
    project.up(compose, device="second")  # nobody can answer
    assert project.volume() == ("first", knows)
    assert changed_volume(compose=compose.version, labelled=bool(knows), yes=False) is (ChangedVolume.ASKED if knows else ChangedVolume.KEPT)
    if knows:
        project.up(compose, "-y", device="second")
        assert project.volume() == ("second", True)
        assert changed_volume(compose=compose.version, labelled=True, yes=True) is ChangedVolume.DELETED


def test_a_volume_of_an_older_compose_is_never_known_again(component: Callable[[str], None], project: Project) -> None:
    component("engines")
    component("compose")
    newer, older = find_compose(os.environ), asked(str(next_programs() / "docker-compose"), os.environ)
    assert newer is not None
    assert older is not None
    if not COMPOSE_KNOWS_VOLUMES_AGAIN.holds(newer.version):
        pytest.skip(f"needs docker compose 2.32 or newer, {newer.path} is {newer.version}")
    project.up(older, device="first")
    assert project.volume() == ("first", False)
    project.up(newer, "-y", device="second")
    assert project.volume() == ("first", False)
    assert changed_volume(compose=newer.version, labelled=False, yes=True) is ChangedVolume.KEPT
