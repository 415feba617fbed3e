"""What a container engine runs: asked of a real one where there is one, else of a small server that follows the published API."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import CouldNotLook
from interlock.facts.engine import ContainerMount, ContainerPort, Engine, EngineVolume
from interlock.facts.looks import Engine as EngineLook
from interlock.facts.looks import EngineAnswer, FailedLook, HostFacts
from interlock.observe import probe
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.unit.test_observe_shell_probe import SHELLS, asked, here

# ---- a real engine


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine() as running:
        yield running


def test_a_real_engine_says_what_it_runs_and_no_value_that_nobody_asked_for(engine: DockerEngine, tmp_path: Path) -> None:
    engine("volume", "create", "--driver", "local", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=/srv", "--label", "x=y", "state")
    engine(
        *("run", "--detach", "--network", "none", "--name", "web", "--env", "STATE_DIR=/data/state", "--env", "DB_PASSWORD=hunter2"),
        *("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web", "--label", "proxy.basicauth=hunter2"),
        *("--volume", "plain:/data:ro", "--volume", f"{tmp_path}:/host:rprivate", "--volume", "/anonymous", "--tmpfs", "/run/x:ro", IMAGE),
    )
    engine("create", "--name", "idle", "--publish", "127.0.0.1:8080:80", "--publish", "53/udp", IMAGE)
    look = EngineLook(str(engine.socket), ("STATE_DIR", "ABSENT"))
    answer = here(look)
    assert isinstance(answer, EngineAnswer)
    assert b"hunter2" not in answer.content
    seen = Engine.parse(answer.content, where="here")
    assert seen.version == engine("version", "--format", "{{.Server.Version}}")
    idle, web = [one for one in seen.containers if one.name in ("idle", "web")]
    assert (web.name, web.project, web.service, web.state, web.health, web.running, web.network_mode) == ("web", "shop", "web", "running", "", True, "none")
    assert (web.image, web.image_id) == (IMAGE, engine("image", "inspect", "--format", "{{.Id}}", IMAGE))
    assert web.environment == {"STATE_DIR": "/data/state"}
    assert web.variables == {"STATE_DIR", "DB_PASSWORD", "PATH"}
    assert web.labels["proxy.basicauth"] == "***"
    mounts = {mount.destination: mount for mount in web.mounts}
    assert mounts["/data"].name == "plain"
    assert (mounts["/data"].kind, mounts["/data"].read_only) == ("volume", True)
    assert mounts["/host"] == ContainerMount(kind="bind", name="", source=str(tmp_path), destination="/host", read_only=False, propagation="rprivate")
    assert (mounts["/run/x"].kind, mounts["/run/x"].read_only) == ("tmpfs", True)
    assert web.ports == ()
    assert (idle.name, idle.state, idle.running, idle.project) == ("idle", "created", False, "")
    assert ContainerPort(address="127.0.0.1", published=8080, target=80, protocol="tcp") in idle.ports
    volumes = {volume.name: volume for volume in seen.volumes}
    assert volumes["state"].options == {"type": "none", "o": "bind", "device": "/srv"}
    assert (volumes["state"].driver, volumes["state"].labels, volumes["state"].anonymous) == ("local", {"x": "y"}, False)
    assert volumes[mounts["/anonymous"].name].anonymous
    assert Path(volumes["plain"].mountpoint).is_dir()


def test_a_real_engine_is_asked_through_the_probe_on_another_host(engine: DockerEngine, tmp_path: Path) -> None:
    from interlock.observe.conversation import CHOOSE

    engine("run", "--detach", "--network", "none", "--name", "seen", IMAGE)
    look = EngineLook(str(engine.socket), views=True, places=("/bin/sh",))
    reply, _ = asked((look,), tmp_path, ("sh", "-c", CHOOSE))
    answer = reply.answers[look]
    assert answer == here(look)
    assert isinstance(answer, EngineAnswer)
    (seen,) = [one for one in Engine.parse(answer.content, where="there").containers if one.name == "seen"]
    assert seen.view is not None
    assert seen.view.places["/bin/sh"].leads == "/bin/busybox"


# ---- a server that says what it is told to


CONTAINER: dict[str, Any] = {
    "Id": "c1",
    "Name": "/web",
    "Image": "sha256:aa",
    "RestartCount": 3,
    "Config": {"Image": "web:1", "Env": ["A=1=2", "B", "SECRET=hunter2"], "Labels": None},
    "State": {"Status": "running", "StartedAt": "2026-11-20T21:00:00Z", "Health": {"Status": "unhealthy", "Log": [{"Output": "hunter2"}]}},
    "HostConfig": {"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "99"}]}, "Tmpfs": None},
    "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "81/tcp": None}},
    "Mounts": [{"Type": "bind", "Source": "/data", "Destination": "/data", "RW": True, "Propagation": "rprivate"}],
}
VERSION = {"Version": "27.0", "Product": "docker", "Kernel": "6.1"}
VOLUME = {"Name": "f" * 64, "Driver": "local", "Mountpoint": "/v", "Options": {"o": "username=x,password=hunter2,uid=5"}, "Labels": None}
SAID: dict[str, Any] = {
    "/version": {"Version": "27.0"},
    "/containers/json?all=1": [{"Id": "c1"}, {"Id": "gone"}],
    "/containers/c1/json": CONTAINER,
    "/volumes": {"Volumes": [VOLUME], "Warnings": None},
}


@contextmanager
def saying(said: dict[str, Any]) -> Iterator[Path]:
    """The socket of a server: JSON for a path, bytes as they are, a number for a status, a function for whatever it does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = said.get(self.path, 404)
            if callable(found):
                found = found()
            status = found if isinstance(found, int) else 200
            body = found if isinstance(found, bytes) else json.dumps({"message": "no"} if isinstance(found, int) else found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            pass

    with tempfile.TemporaryDirectory(prefix="il-") as folder, Server(f"{folder}/s", Handler) as server:  # the path of a socket must be short
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield Path(folder, "s")
        finally:
            server.shutdown()


def told(said: dict[str, Any], *variables: str, seconds: float = 10.0) -> dict[str, Any]:
    with saying(said) as path:
        return probe.answer(["engine", str(path), list(variables), False, []], time.monotonic() + seconds)


def test_the_links_of_the_host_that_containers_and_volumes_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, project = tmp_path / "link", tmp_path / "project"
    for one in (link, project):
        one.symlink_to(tmp_path / "disk")
    mounts = [{**CONTAINER["Mounts"][0], "Source": f"{link}/state"}, {**CONTAINER["Mounts"][0], "Source": str(tmp_path / "disk"), "Destination": "/d"}]
    config = {**CONTAINER["Config"], "Labels": {"com.docker.compose.project.working_dir": str(project)}}
    volume = {**VOLUME, "Options": {"type": "none", "o": "bind", "device": str(link)}}
    said = {**SAID, "/containers/c1/json": {**CONTAINER, "Mounts": mounts, "Config": config}, "/volumes": {"Volumes": [volume], "Warnings": None}}
    engine = Engine.parse(told(said)["engine"], where="here")
    real = str((tmp_path / "disk").resolve())
    assert engine.links == {f"{link}/state": f"{real}/state", str(link): real, str(project): real}
    assert engine.named(f"{link}/state", {"/data": real}) == "/data/state"
    assert engine.named(str(link), {"/srv/data": "/elsewhere"}) == real
    assert engine.named("/data/state", {"/data": "/mnt"}) == "/data/state"  # by its own name
    assert engine.named("/mnt/state", {"/data": "/mnt"}) == "/data/state"


def test_the_part_of_a_volume_that_a_container_was_given_is_told() -> None:
    mounts = [{"Type": "volume", "Name": "v", "Source": "/v", "Destination": "/data", "RW": True}]
    host = {**CONTAINER["HostConfig"], "Mounts": [{"Type": "volume", "Source": "v", "Target": "/data/", "VolumeOptions": {"Subpath": "state"}}]}
    said = told({**SAID, "/containers/c1/json": {**CONTAINER, "Mounts": mounts, "HostConfig": host}})
    (container,) = Engine.parse(said["engine"], where="here").containers
    assert [mount.subpath for mount in container.mounts] == ["state"]


def test_the_api_is_reduced_to_nouns_and_a_container_that_went_away_is_left_out() -> None:
    content = told(SAID, "A")["engine"]
    assert b"hunter2" not in content
    seen = Engine.parse(content, where="here")
    (container,), (volume,) = seen.containers, seen.volumes
    assert (container.name, container.health, container.restarts) == ("web", "unhealthy", 3)
    assert container.environment == {"A": "1=2"}
    assert container.variables == {"A", "B", "SECRET"}
    assert container.ports == (
        ContainerPort(address="0.0.0.0", published=8080, target=80, protocol="tcp"),
        ContainerPort(address="::", published=8080, target=80, protocol="tcp"),
    )
    assert volume == EngineVolume(name="f" * 64, driver="local", options={"o": "username=x,password=***,uid=5"}, mountpoint="/v", labels={})
    assert volume.anonymous


def test_the_ports_of_a_container_that_does_not_run_are_those_that_it_would_get() -> None:
    stopped = CONTAINER | {"State": {"Status": "exited"}, "NetworkSettings": {"Ports": {}}}
    (container,) = Engine.parse(told(SAID | {"/containers/c1/json": stopped})["engine"], where="here").containers
    assert container.ports == (ContainerPort(address="0.0.0.0", published=99, target=80, protocol="tcp"),)
    assert (container.started_at, container.health) == ("", "")


def test_podman_says_it_in_its_own_places() -> None:
    said = CONTAINER | {"State": {"Status": "running", "Healthcheck": {"Status": "starting"}}, "Mounts": None, "HostConfig": {}}
    (container,) = Engine.parse(told(SAID | {"/containers/c1/json": said})["engine"], where="here").containers
    assert (container.health, container.mounts, container.network_mode) == ("starting", (), "")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"/version": b"<html>"}, "it does not answer as an engine does: JSONDecodeError"),
        ({"/version": b"\xff"}, "it does not answer as an engine does: UnicodeDecodeError"),
        ({"/version": []}, "it does not answer as an engine does: TypeError"),
        ({"/version": {}}, "it does not answer as an engine does: KeyError"),
        ({"/volumes": 500}, "it answers 500 to /volumes"),
        ({"/containers/json?all=1": 404}, "it answers 404 to /containers/json"),
        ({"/containers/c1/json": 500}, "it answers 500 to /containers/c1/json"),
        ({"/containers/c1/json": {"Id": "c1"}}, "it does not answer as an engine does: KeyError"),
    ],
)
def test_what_is_no_engine_is_a_failed_look(changed: dict[str, Any], said: str) -> None:
    assert told(SAID | changed) == {"failed": ["EPROTO", said]}


def test_an_engine_that_hangs_is_a_timeout() -> None:
    def late() -> dict[str, Any]:
        time.sleep(3)
        return {}

    began = time.monotonic()
    assert told(SAID | {"/volumes": late}, seconds=0.4) == {"failed": ["timeout", "it did not answer in time"]}
    assert time.monotonic() - began < 2.5
    assert told(SAID, seconds=-1)["failed"][0] == "timeout"


def test_an_engine_that_talks_too_much_is_a_failed_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ENGINE_LIMIT", 300)
    assert told(SAID)["failed"][0] == "too-large"


def test_without_a_socket_it_says_what_would_help(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, code in (("none", "engine-absent"), ("file", "engine-absent"), ("file/below", "engine-absent")):
        failed = here(EngineLook(str(tmp_path / name)))
        assert isinstance(failed, FailedLook)
        assert failed.code == code, name
    look = EngineLook("/s")
    facts = HostFacts(host="h", taken_at="", user="deploy", answers={look: FailedLook("engine-closed", "Permission denied")}, walks=lambda _: iter(()))
    with pytest.raises(CouldNotLook) as caught:
        facts.engine(look)
    assert caught.value.remedy == "let deploy use the engine (group `docker`, which is as good as root), or set `become: sudo -n` for this host"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may connect everywhere")
def test_a_socket_that_may_not_be_used_is_named_so() -> None:
    with saying(SAID) as path:
        path.chmod(0o000)
        assert here(EngineLook(str(path))) == FailedLook("engine-closed", "Permission denied")


def test_a_socket_that_nobody_listens_on_is_an_absent_engine() -> None:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{folder}/s")
        assert here(EngineLook(f"{folder}/s")) == FailedLook("engine-absent", "Connection refused")


def test_a_host_without_python_says_what_is_needed(tmp_path: Path) -> None:
    look = EngineLook("/var/run/docker.sock", ("A",))
    reply, _ = asked((look,), tmp_path, SHELLS[0])
    assert reply.answers[look] == FailedLook("no-tool", "this host has no python3, which asks a container engine")


# ---- the parser

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["version", "containers", "volumes", "Config", "Id", "State"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
def test_whatever_else_is_said_is_no_engine(content: bytes) -> None:
    with pytest.raises(CouldNotLook, match="cannot be read"):
        Engine.parse(content, where="here")


@given(st.data())
def test_one_wrong_part_of_a_container_is_no_engine(data: st.DataObject) -> None:
    view = {"Mountinfo": "", "Uid": 0, "Gid": 0, "Groups": [0], "Capabilities": 0, "Places": {"/data": [True, "8:1", 0o40755, 0, 0, "/data", ""]}}
    container = probe._reduced_container(CONTAINER, frozenset("A")) | {"View": view}
    said = json.loads(json.dumps({"version": VERSION, "containers": [container], "volumes": []}))
    Engine.parse(json.dumps(said).encode(), where="here")
    place: Any = said["containers"][0]
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(st.sampled_from([1.5, [None]] if key == "View" else [None, 1.5, [None]]))
    with pytest.raises(CouldNotLook, match="cannot be read"):
        Engine.parse(json.dumps(said).encode(), where="here")


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="="), min_size=1, max_size=6)


@given(st.dictionaries(_NAMES, st.text(max_size=6).map("hunter2{}".format), max_size=5), st.sets(_NAMES, max_size=2))
def test_no_value_that_was_not_asked_for_is_kept(environment: dict[str, str], asked_for: set[str]) -> None:
    said = CONTAINER | {"Config": {"Image": "i", "Env": [f"{name}={value}" for name, value in environment.items()], "Labels": {}}}
    kept = probe._reduced_container(said, frozenset(asked_for))["Config"]
    assert kept["Environment"] == {name: value for name, value in environment.items() if name in asked_for}
    assert set(kept["Variables"]) == set(environment)
