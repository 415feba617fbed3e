"""What running containers see, asked of real engines: compared with what `stat` and /proc say inside of them, and with containers that go away meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interlock.facts.engine import Container, Engine, Product
from interlock.facts.engine_generations import nested_read_only
from interlock.facts.looks import Engine as EngineLook
from interlock.facts.looks import EngineAnswer
from interlock.observe import probe
from interlock.observe.conversation import CHOOSE
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.engine_between import Between, between
from tests.podman_engine import podman_engine
from tests.unit.test_observe_shell_probe import asked

PLACES = ("/data", "/data/state", "/links/abs", "/links/up", "/links/loop", "/links/into", "/links/nowhere", "/links/abs/below", "/bin/sh", "/etc/hostname")
STAT = "stat -L -c '%d %f %u %g' {} 2>/dev/null || true"


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine(own_mounts=True) as running:
        yield running


@pytest.fixture
def run(engine: DockerEngine) -> Iterator[Callable[..., str]]:
    """Start a container: `run(name, *options, image=, command=)`. All are gone at the end."""
    started = []

    def start(name: str, *options: str, image: str = IMAGE, command: Sequence[str] = ()) -> str:
        started.append(name)
        return engine("run", "--detach", "--network", "none", "--name", name, *options, image, *command)

    yield start
    for name in started:
        subprocess.run(("docker", "--host", f"unix://{engine.socket}", "rm", "--force", "--volumes", name), capture_output=True, check=False)


@pytest.fixture(scope="module")
def web(engine: DockerEngine) -> str:
    """The id of a container that stays as it is."""
    return engine("run", "--detach", "--network", "none", "--name", "stays", "--env", "STATE_DIR=/data/state", IMAGE)


@pytest.fixture
def nested(engine: DockerEngine, tmp_path: Path) -> Path:
    """A directory in which another file system is mounted at `state`, for the engine alone; and links."""
    data = tmp_path / "data"
    (data / "state").mkdir(parents=True)
    (data / "state/SHADOW").touch()
    engine.inside("mount", "-t", "tmpfs", "il-state", str(data / "state"))
    links = tmp_path / "links"
    links.mkdir()
    for name, target in (("abs", "/data/state"), ("up", "../../../../bin/sh"), ("loop", "loop"), ("into", "abs/."), ("nowhere", "/absent")):
        (links / name).symlink_to(target)
    return tmp_path


def look(socket: Path, *places: str, variables: Sequence[str] = (), seconds: float = 20.0) -> Engine:
    """What the probe brings, in process."""
    answer = probe.answer(["engine", str(socket), list(variables), True, list(places)], time.monotonic() + seconds)
    return Engine.parse(answer["engine"], where="here")


def named(name: str, seen: Engine) -> Container:
    (container,) = [one for one in seen.containers if one.name == name]
    return container


def stated(engine: DockerEngine, name: str, path: str) -> tuple[bool, str, int, int, int]:
    """What `stat` says inside: present, device, mode, uid, gid."""
    said = engine("exec", "--user", "0", name, "sh", "-c", STAT.format(path)).split()
    if not said:
        return (False, "", 0, 0, 0)
    device, mode, uid, gid = said
    return (True, probe.device_text(int(device)), int(mode, 16), int(uid), int(gid))


# ---- what is seen


def test_a_container_is_seen_as_it_sees_itself(engine: DockerEngine, run: Callable[..., str], nested: Path) -> None:
    alone = ("--mount", f"type=bind,src={nested}/data,dst=/alone,bind-recursive=disabled")
    binds = ("--volume", f"{nested}/data:/data", "--volume", f"{nested}/links:/links")
    variables = ("--env", "STATE_DIR=/data/state", "--env", "OTHER=/srv/secret")
    run("web", *binds, *alone, *variables, "--user", "1000:5", "--group-add", "7", "--tmpfs", "/run/x")
    web = named("web", look(engine.socket, *PLACES, "/alone/state", variables=("STATE_DIR", "MODE")))
    assert (web.unseen, web.user) == ("", "1000:5")
    assert web.view is not None
    for path in (*PLACES, "/alone/state", "/data", "/alone", "/links", "/run/x"):
        assert web.view.places[path][:5] == stated(engine, "web", path), path
    assert web.view.places["/links/loop"].error.startswith("ELOOP: ")
    assert {path: place.leads for path, place in web.view.places.items() if path.startswith("/links/") and place.present} == {
        "/links/abs": "/data/state",
        "/links/into": "/data/state",
        "/links/up": "/bin/busybox",
    }
    assert set(web.view.places) == {*PLACES, "/alone/state", "/alone", "/links", "/run/x"}
    assert web.view.places["/data/state"].device != web.view.places["/alone/state"].device
    assert {mount.destination: mount.recursive for mount in web.mounts} == {"/data": True, "/alone": False, "/links": True, "/run/x": True}
    assert (web.view.uid, web.view.gid, web.view.groups, web.view.capabilities) == (1000, 5, (5, 7), 0)
    inside = engine("exec", web.id, "cat", "/proc/1/mountinfo")
    assert web.view.mountinfo.decode().strip() == inside
    table = web.view.table("web")
    for path, device in (("/data/state", "tmpfs"), ("/data/state/x", "tmpfs"), ("/run/x", "tmpfs")):
        shown = table.showing(path)
        assert shown is not None
        assert shown.fstype == device


def test_an_image_of_one_static_binary_is_looked_at_like_any_other(engine: DockerEngine, run: Callable[..., str], tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.add(busybox, "sleep")
    engine("import", "--change", 'ENTRYPOINT ["/sleep", "600"]', str(tmp_path / "root.tar"), "interlock/static:local")
    run("static", "--volume", f"{tmp_path}:/data", image="interlock/static:local")
    view = named("static", look(engine.socket, "/data", "/sleep", "/bin/sh")).view
    assert view is not None
    assert view.places["/data"].device == probe.device_text(tmp_path.stat().st_dev)
    assert view.places["/sleep"].mode & 0o100000
    assert not view.places["/bin/sh"].present


def test_a_mount_whose_name_is_no_text_reaches_the_facts_byte_by_byte(engine: DockerEngine, run: Callable[..., str], tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/a \t\n\\\xff"
    engine.inside(sys.executable, "-c", "import os, sys; os.mkdir(os.fsencode(sys.argv[1]))", os.fsdecode(odd))
    engine.inside("mount", "-t", "tmpfs", "il-odd", os.fsdecode(odd))
    run("odd", "--volume", f"{tmp_path}:/data")
    answer = probe.answer(["engine", str(engine.socket), [], True, ["/data/a \t\n\\\udcff"]], time.monotonic() + 20)
    view = named("odd", Engine.parse(json.dumps(json.loads(answer["engine"])).encode(), where="here")).view
    assert view is not None
    assert b"/data/a\\040\\011\\012\\134\xff " in view.mountinfo
    shown = view.table("odd").showing("/data/a \t\n\\\udcff")
    assert shown is not None
    assert view.places["/data/a \t\n\\\udcff"].device == shown.device_number


def test_what_is_mounted_after_the_start_is_seen_where_it_propagates_alone(engine: DockerEngine, run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    for name, propagation in (("never", "rprivate"), ("slave", "rslave")):
        engine.inside("mount", "--make-shared", "/")  # in the engine's own namespace, whose first mount everything is below
        run(name, "--volume", f"{tmp_path}:/data:{propagation}")
    engine.inside("mount", "-t", "tmpfs", "il-later", str(tmp_path / "later"))
    seen = look(engine.socket, "/data/later")
    never, slave = named("never", seen), named("slave", seen)
    assert never.view is not None
    assert slave.view is not None
    assert never.view.places["/data/later"].device == probe.device_text(tmp_path.stat().st_dev)
    assert slave.view.places["/data/later"] != never.view.places["/data/later"]
    assert (never.mounts[0].propagation, slave.mounts[0].propagation) == ("rprivate", "rslave")
    engine.inside("mount", "--make-rprivate", "/")


def test_a_place_on_a_file_system_that_hangs_hangs_nothing_else(engine: DockerEngine, run: Callable[..., str], tmp_path: Path) -> None:
    if not Path("/dev/fuse").exists():
        pytest.skip("needs /dev/fuse")
    (tmp_path / "dead").mkdir()
    engine.inside("mount", "--make-shared", "/")
    run("first", "--volume", f"{tmp_path}:/data:rslave")
    run("second")
    never = (*engine.enter, sys.executable, "-c", NEVER_ANSWERS, str(tmp_path / "dead"))
    with subprocess.Popen(never, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "mounted\n"
            began = time.monotonic()
            seen = look(engine.socket, "/data/dead/below", "/etc/hostname", "/data", "/bin", seconds=5)
            assert time.monotonic() - began < 4
        finally:
            server.kill()
            engine.inside("umount", "--lazy", str(tmp_path / "dead"))
            engine.inside("mount", "--make-rprivate", "/")
    first, second = named("first", seen), named("second", seen)
    assert first.view is not None
    assert second.view is not None
    assert first.view.places["/data/dead/below"].error == "timeout: it did not answer in time"
    assert [first.view.places[path].present for path in ("/etc/hostname", "/data", "/bin")] == [True, True, True]
    assert second.view.places["/bin"].present
    assert b"/data/dead " in first.view.mountinfo


def test_an_automount_is_told_and_not_set_off(engine: DockerEngine, run: Callable[..., str], tmp_path: Path) -> None:
    if "autofs" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs autofs")
    (tmp_path / "auto").mkdir()
    engine.inside("mount", "--make-shared", "/")
    run("web", "--volume", f"{tmp_path}:/data:rslave")
    daemon = (*engine.enter, sys.executable, "-c", AUTOMOUNTS, str(tmp_path / "auto"))
    with subprocess.Popen(daemon, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "mounted\n"
            view = named("web", look(engine.socket, "/data/auto")).view
            asked_for, _ = server.communicate("over\n", timeout=20)
        finally:
            server.kill()
            engine.inside("umount", "--lazy", str(tmp_path / "auto"))
            engine.inside("mount", "--make-rprivate", "/")
    assert asked_for == "asked for nothing\n"
    assert view is not None
    shown = view.table("web").showing("/data/auto")
    assert shown is not None
    assert (shown.fstype, shown.device_number) == ("autofs", view.places["/data/auto"].device)


AUTOMOUNTS = """
import ctypes, os, select, sys
asked, say = os.pipe()
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={say},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct".encode()
assert libc.mount(b"il-auto", sys.argv[1].encode(), b"autofs", 0, options) == 0, os.strerror(ctypes.get_errno())
print("mounted", flush=True)
sys.stdin.readline()
print("asked for something" if select.select([asked], [], [], 0)[0] else "asked for nothing", flush=True)
"""
NEVER_ANSWERS = """
import ctypes, os, sys, time
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
assert libc.mount(b"il-dead", sys.argv[1].encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
print("mounted", flush=True)
time.sleep(60)
"""


# ---- how it is asked


def test_an_engine_is_asked_twice_and_once_for_each_container_over_one_connection(engine: DockerEngine, run: Callable[..., str]) -> None:
    names = [f"one-{number}" for number in range(4)]
    for name in names:
        run(name)
    with between(engine.socket) as it:
        seen = look(it.socket)
        containers = len(seen.containers)
        assert containers >= 4
        assert all(one.view for one in seen.containers)
        assert len(it.asked) == 2 + containers
        assert it.connections == 1
        assert seen.version == engine("version", "--format", "{{.Server.Version}}")
        assert (seen.product, seen.kernel) == (Product.DOCKER, os.uname().release)
        it.asked.clear()
        it.server = False
        assert look(it.socket) == seen
        assert len(it.asked) == 3 + containers
        assert "/version" in it.asked


def test_no_program_is_started_to_look_at_containers(engine: DockerEngine, web: str) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent.parent.parent)!r})
from interlock.observe import probe
sys.addaudithook(lambda event, _: sys.exit(event) if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system") else None)
assert b"Mountinfo" in probe.answer(["engine", {str(engine.socket)!r}, [], True, []], time.monotonic() + 20)["engine"]
"""
    subprocess.run((sys.executable, "-c", code), check=True)


# ---- containers that change meanwhile


def looking_while(engine: DockerEngine, web: str, act: Callable[[], object], *, times: int = 1) -> tuple[Engine, Between]:
    """What is seen when something is done to the container `web` right after each of the first answers about it."""
    with between(engine.socket) as it:
        left = [act] * times

        def change(path: str, said: Any) -> Any:
            if path == f"/containers/{web}/json" and left:
                left.pop()()
            return said

        it.change = change
        return look(it.socket, "/bin"), it


def test_a_container_that_is_removed_meanwhile_is_left_out(engine: DockerEngine, run: Callable[..., str]) -> None:
    web_id = run("web")
    seen, it = looking_while(engine, web_id, lambda: engine("rm", "--force", "web"))
    assert "web" not in [one.name for one in seen.containers]
    assert [path for path in it.asked if web_id in path] == [f"/containers/{web_id}/json"] * 2


def test_a_container_that_stops_meanwhile_is_told_as_stopped(engine: DockerEngine, run: Callable[..., str]) -> None:
    web_id = run("web")
    seen, _ = looking_while(engine, web_id, lambda: engine("kill", "web"))
    web = named("web", seen)
    assert (web.state, web.view, web.unseen, web.pid) == ("exited", None, "", 0)


def test_a_container_that_is_started_anew_meanwhile_is_looked_at_again(engine: DockerEngine, run: Callable[..., str]) -> None:
    web_id = run("web")
    seen, _ = looking_while(engine, web_id, lambda: engine("restart", "--time", "0", "web"))
    web = named("web", seen)
    assert web.view is not None
    assert web.unseen == ""
    assert web.pid == int(engine("inspect", "--format", "{{.State.Pid}}", "web"))


def test_a_container_that_dies_while_its_places_are_looked_at_is_not_mistaken_for_its_empty_image(
    engine: DockerEngine, run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("web", "--volume", f"{tmp_path}:/data")
    place, dying = probe._place, [True]

    def after_its_death(root: int, path: str) -> list[Any]:
        if dying:
            dying.clear()
            engine("kill", "web")
        return place(root, path)

    monkeypatch.setattr(probe, "_place", after_its_death)
    web = named("web", look(engine.socket, "/data"))
    assert (web.state, web.view, web.unseen) == ("exited", None, "")


def test_a_container_of_which_nothing_more_is_said_keeps_what_was_said(engine: DockerEngine, run: Callable[..., str]) -> None:
    web_id = run("web")
    with between(engine.socket) as it:
        it.change = lambda path, said: with_pid(said, 1) if path == f"/containers/{web_id}/json" and it.asked.count(path) == 1 else said
        it.refuse = lambda path: path == f"/containers/{web_id}/json" and it.asked.count(path) == 2
        web = named("web", look(it.socket))
    assert (web.state, web.view) == ("running", None)
    assert web.unseen.endswith(f"(and it could not be asked a second time: it answers 500 to /containers/{web_id}/json)")


def test_a_container_that_never_keeps_still_is_not_guessed_at(engine: DockerEngine, run: Callable[..., str]) -> None:
    web_id = run("web")
    seen, it = looking_while(engine, web_id, lambda: engine("restart", "--time", "0", "web"), times=2)
    web = named("web", seen)
    assert web.view is None
    assert web.unseen.startswith("elsewhere: ")
    assert web.unseen.endswith("(asked a second time, it had changed)")
    assert len([path for path in it.asked if web_id in path]) == 2


def test_a_container_between_two_starts_has_no_view_and_says_so(engine: DockerEngine, web: str) -> None:
    with between(engine.socket) as it:
        it.change = lambda path, said: said | {"State": said["State"] | {"Status": "restarting", "Pid": 0}} if path.endswith("/json") else said
        seen = named("stays", look(it.socket))
    assert (seen.running, seen.view) == (True, None)
    assert seen.unseen.startswith("no-process: the engine says that it is restarting, and has no process of it now")


def test_a_paused_container_is_seen(engine: DockerEngine, web: str) -> None:
    engine("pause", web)
    seen = named("stays", look(engine.socket, "/bin"))
    engine("unpause", web)
    assert seen.state == "paused"
    assert seen.view is not None
    assert seen.view.places["/bin"].present


# ---- whose process it is


def with_pid(said: Any, pid: int) -> Any:
    return said | {"State": said["State"] | {"Pid": pid}}


def test_another_process_of_that_number_is_not_believed(engine: DockerEngine, web: str, run: Callable[..., str]) -> None:
    run("other")
    other = int(engine("inspect", "--format", "{{.State.Pid}}", "other"))
    for pid in (os.getpid(), other, engine.pid):
        with between(engine.socket) as it:
            it.change = lambda path, said, pid=pid: with_pid(said, pid) if web in path else said  # type: ignore[misc]
            seen = named("stays", look(it.socket))
        assert seen.view is None
        assert seen.unseen.startswith(f"elsewhere: process {pid} is not of this container")


def test_the_sandbox_around_a_container_is_not_taken_for_the_container(engine: DockerEngine, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with between(engine.socket) as it:
        it.change = lambda path, said: said | {"HostConfig": said["HostConfig"] | {"Runtime": "io.containerd.runsc.v1"}} if web in path else said
        seen = named("stays", look(it.socket))
        assert (seen.view, seen.unseen) == (None, "own-kernel: its runtime io.containerd.runsc.v1 has its processes in a kernel of its own")
        it.change = lambda path, said: with_pid(said, os.getpid()) if web in path else said
        monkeypatch.setattr(probe, "_is_of", lambda *_: True)  # as if it had been put into the container's cgroup
        seen = named("stays", look(it.socket))
        assert seen.view is None
        assert seen.unseen.startswith(f"own-kernel: process {os.getpid()} has the mounts of the host")


def test_an_engine_in_another_pid_namespace_says_nothing_of_what_containers_see(engine: DockerEngine, web: str, tmp_path: Path) -> None:
    here = EngineLook(str(engine.socket), (), views=True, places=("/bin",))
    reply, _ = asked((here,), tmp_path, ("unshare", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-c", CHOOSE))
    answer = reply.answers[here]
    assert isinstance(answer, EngineAnswer)
    seen = named("stays", Engine.parse(answer.content, where="there"))
    assert (seen.state, seen.view) == ("running", None)
    assert seen.unseen.startswith("elsewhere: ")
    assert "another pid namespace" in seen.unseen


def test_an_ordinary_user_who_may_use_the_socket_gets_all_but_the_views(engine: DockerEngine, web: str, tmp_path: Path) -> None:
    with between(engine.socket) as it:
        there = EngineLook(str(it.socket), ("STATE_DIR",), views=True, places=("/bin",))
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        reply, _ = asked((there,), tmp_path, (*nobody, "sh", "-c", CHOOSE))
        answer = reply.answers[there]
        assert isinstance(answer, EngineAnswer), answer
        seen = named("stays", Engine.parse(answer.content, where="there"))
        assert len(it.asked) == 2 + len(Engine.parse(answer.content, where="there").containers)  # nothing is asked twice for want of a right
    assert (seen.view, seen.unseen) == (None, "only root may look into it (EACCES: Permission denied)")
    assert seen.environment == {"STATE_DIR": "/data/state"}


def test_a_mount_table_that_is_too_large_is_said_to_be(engine: DockerEngine, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "VIEWS_LIMIT", 100)
    assert named("stays", look(engine.socket)).unseen == "too-large: the mount tables of all containers have more than 100 bytes"
    monkeypatch.setattr(probe, "VIEW_LIMIT", 1000)
    assert named("stays", look(engine.socket)).unseen == "too-large: its mountinfo has more than 1000 bytes"


# ---- podman


def test_podman_is_looked_at_in_the_same_words(component: Callable[[str], None], tmp_path: Path) -> None:
    component("podman")
    (tmp_path / "state").mkdir()
    with podman_engine() as podman:
        podman.inside("mount", "-t", "tmpfs", "il-state", str(tmp_path / "state"))
        options = ("--network", "none", "--user", "1000", "--env", "STATE_DIR=/data/state", "--volume", f"{tmp_path}:/data", "--volume", "named:/named:ro")
        podman("run", "--detach", "--name", "web", *options, "--mount", f"type=bind,src={tmp_path},dst=/alone,bind-nonrecursive", IMAGE)
        podman("run", "--detach", "--name", "mapped", "--network", "none", "--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536", "--user", "5:6", IMAGE)
        podman("create", "--name", "idle", "--network", "none", IMAGE)
        podman("run", "--rm", "--network", "none", "--volume", f"{tmp_path}:/data:ro", IMAGE, "touch", "/data/state/written")
        seen = look(podman.socket, "/alone/state", variables=("STATE_DIR",))
        idle, mapped, web = seen.containers
        assert seen.product is Product.PODMAN
        assert nested_read_only(seen, compose="2.40.3") is False  # it was just written to
        assert seen.version == podman("version", "--format", "{{.Client.Version}}")
        assert (idle.running, idle.view, idle.unseen) == (False, None, "")
        assert mapped.view is not None
        assert (mapped.view.uid, mapped.view.gid, mapped.view.places["/alone/state"].present) == (100005, 200006, False)  # as the host counts them
        assert web.view is not None
        assert (web.state, web.unseen, web.user, web.view.uid) == ("running", "", "1000", 1000)
        for path in ("/data", "/data/state", "/alone", "/alone/state", "/named"):
            assert web.view.places[path][:5] == stated(podman, "web", path), path
        assert web.view.places["/data/state"].device != web.view.places["/alone/state"].device
        assert {mount.destination: (mount.recursive, mount.read_only) for mount in web.mounts} == {
            "/data": (True, False),
            "/alone": (False, False),
            "/named": (True, True),
        }
