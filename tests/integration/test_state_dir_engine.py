"""What running containers may write of the state directory, and which directory they really show, on a real engine: users, groups, capabilities, mounts, links,
directories that were moved aside, images without a tool; and what is said where the engine cannot be asked."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import struct
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.config.load import load_site
from interlock.errors import CouldNotLook
from interlock.judge.state_dir import HOST_AND_STACK_AGREE, SERVICES_AGREE, WRITABLE_BY_SERVICE
from interlock.observe.compose_binary import find_compose
from interlock.observe.containers import engine_seen
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.observe.world import World, looks_for, observer
from interlock.testing import run_check
from interlock.testing.faults import write_site
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Subject, Unproven, When
from tests.docker_engine import IMAGE, DockerEngine, docker_engine

ROOTLESS = ("--user", "12345:12345")  # a user of the container whom nobody on the host knows
GROUP = 23456
NOBODY = 65534
SUBJECTS = {WRITABLE_BY_SERVICE: "running", SERVICES_AGREE: "running", HOST_AND_STACK_AGREE: "STATE_DIR"}


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine(own_mounts=True) as running:
        yield running


class Stack:
    """A site whose state lies in a folder of the test, and its containers."""

    def __init__(self, engine: DockerEngine, folder: Path) -> None:
        self.engine, self.folder, self.state = engine, folder, folder / "state"
        self.state.mkdir(mode=0o755)
        self.site = folder / "site"
        self.site.mkdir()
        self.started: list[str] = []

    def start(self, service: str, *options: str, source: Path | None = None, image: tuple[str, ...] = (IMAGE,), mode: str = "") -> None:
        """A container of a service with the state directory at its own path."""
        name = f"il-{service}-{len(self.started)}"
        self.started.append(name)
        labels = {"com.docker.compose.service": service, "com.docker.compose.project.working_dir": str(self.folder)}
        said = [part for key, text in labels.items() for part in ("--label", f"{key}={text}")]
        said += ["--env", f"STATE_DIR={self.state}", "--volume", f"{source or self.state}:{self.state}{mode}"]
        self.engine("run", "--detach", "--network", "none", "--name", name, *said, *options, *image)

    def declare(self, *, engine: str = "", host: dict[str, Any] | None = None, **state_dir: Any) -> None:
        """The site file."""
        local = {"engine": engine or str(self.engine.socket), **(host or {})}
        declared = {"path": str(self.state), "default": str(self.state), **state_dir}
        excluded = [{what: "*", "reason": "this proves another guardrail"} for what in ("container", "volume")]
        write_site(self.site, {"hosts": {"local": local}, "instances": {"main": {"directory": str(self.folder)}}, "state_dir": declared, "excluded": excluded})

    def world(self, guardrail: Guardrail, uid: int = 0) -> World:
        """One look at the host, for one guardrail."""
        site = load_site(self.site / "interlock.yaml", {})
        looks = looks_for(site, [(guardrail, Subject(name=SUBJECTS[guardrail]))])
        with acting_as(uid):
            hosts = observe(site, looks, self.site)
        return World(site=site, gates=frozenset({When.PREFLIGHT}), tree=Tree(self.site), hosts=hosts, environ={})

    def judged(self, guardrail: Guardrail = WRITABLE_BY_SERVICE, *, uid: int = 0, **site: Any) -> Held | Broken | Unproven:
        """What a guardrail says now, without pytest around it."""
        self.declare(**site)
        assert guardrail.judge is not None
        judgement = guardrail.judge(observer(guardrail).see(self.world(guardrail, uid), Subject(name=SUBJECTS[guardrail])))
        assert isinstance(judgement, Held | Broken | Unproven)
        return judgement


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """This process, as another user."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def stack(engine: DockerEngine, tmp_path: Path) -> Iterator[Stack]:
    made = Stack(engine, tmp_path)
    yield made
    if made.started:
        engine("rm", "--force", *made.started)


def bad(judgement: Held | Broken | Unproven) -> list[tuple[str, str]]:
    """What is not held, and its kind."""
    found: list[Detail] = [detail for detail in judgement.details if detail.outcome is not Outcome.HELD]
    return [(detail.what, detail.kind) for detail in found]


# ---- who may write


def test_a_service_whose_user_does_not_own_the_state_directory_is_broken_alone(stack: Stack) -> None:
    stack.start("app")
    stack.start("worker", *ROOTLESS)
    judged = stack.judged()
    assert isinstance(judged, Broken), judged
    assert bad(judged) == [("worker", "no-permission")]
    assert "worker runs as uid 12345, gid 12345, and cannot write" in judged.message
    assert "0755 of uid 0, gid 0" in judged.message


def test_a_group_that_may_write_is_enough(stack: Stack) -> None:
    os.chown(stack.state, 0, GROUP)
    stack.state.chmod(0o2770)
    stack.start("app", *ROOTLESS, "--group-add", str(GROUP))
    assert isinstance(stack.judged(), Held)


def test_the_owner_may_write(stack: Stack) -> None:
    os.chown(stack.state, 12345, 0)
    stack.state.chmod(0o700)
    stack.start("app", *ROOTLESS)
    assert isinstance(stack.judged(), Held)


def test_root_without_the_capability_is_a_user_as_any_other(stack: Stack) -> None:
    os.chown(stack.state, 4711, 4711)
    stack.start("app", "--cap-drop", "DAC_OVERRIDE")
    stack.start("worker")
    assert bad(stack.judged()) == [("app", "no-permission")]


def test_an_acl_that_may_let_it_write_is_not_called_broken(stack: Stack) -> None:
    allow(stack.state, 12345)
    stack.start("app", *ROOTLESS)
    judged = stack.judged()
    assert isinstance(judged, Unproven), judged
    assert "getfacl" in judged.remedy


def allow(directory: Path, uid: int) -> None:
    """`setfacl -m u:UID:rwx`, which need not be installed."""
    entries = ((0x01, 7, 0xFFFFFFFF), (0x02, 7, uid), (0x04, 5, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF), (0x20, 5, 0xFFFFFFFF))
    try:
        os.setxattr(directory, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            pytest.skip("the file system of the temporary folder knows no ACLs")
        raise


def test_a_read_only_mount_is_broken_for_root_too(stack: Stack) -> None:
    stack.start("app", mode=":ro")
    judged = stack.judged()
    assert isinstance(judged, Broken)
    assert bad(judged) == [("app", "read-only")]
    assert f"the mount at {stack.state} is read-only in the container" in judged.message


def test_a_directory_on_the_way_that_nobody_else_may_enter_is_broken(stack: Stack) -> None:
    """All of the folder is bound, and only the state directory in it is the service's."""
    os.chown(stack.state, 12345, 0)
    stack.folder.chmod(0o700)
    name = f"il-way-{stack.folder.name}"
    stack.started.append(name)
    labels = ("--label", "com.docker.compose.service=app", "--label", f"com.docker.compose.project.working_dir={stack.folder}")
    bound = ("--env", f"STATE_DIR={stack.state}", "--volume", f"{stack.folder}:{stack.folder}")
    stack.engine("run", "--detach", "--network", "none", "--name", name, *labels, *bound, *ROOTLESS, IMAGE)
    assert bad(stack.judged()) == [("app", "no-way-in")]
    stack.folder.chmod(0o711)
    assert isinstance(stack.judged(), Held)


def test_an_image_without_any_tool_is_looked_at_too(stack: Stack) -> None:
    busybox = shutil.which("busybox")
    assert busybox
    with tarfile.open(stack.folder / "root.tar", "w") as archive:
        archive.add(busybox, "app/sleep")
    stack.engine("import", "--change", 'ENTRYPOINT ["/app/sleep", "600"]', str(stack.folder / "root.tar"), "il-distroless")
    stack.start("app", *ROOTLESS, image=("il-distroless",))
    assert bad(stack.judged()) == [("app", "no-permission")]
    os.chown(stack.state, 12345, 12345)
    assert isinstance(stack.judged(), Held)


PRECEDENCE = {"precedence": {"shop": {"state": "config/shop.yaml", "fallback": "/app/config/shop.yaml"}}}


def test_the_configuration_that_is_written_must_be_writable_to_one_service(stack: Stack) -> None:
    os.chown(stack.state, 12345, 0)
    config = stack.state / "config"
    stack.start("app", *ROOTLESS)
    assert isinstance(stack.judged(**PRECEDENCE), Held), "it makes the folder itself"
    config.mkdir()
    (config / "shop.yaml").write_text("title: Shop\n")
    judged = stack.judged(**PRECEDENCE)
    assert isinstance(judged, Broken)
    assert bad(judged) == [("config shop", "config-no-permission")]
    os.chown(config / "shop.yaml", 12345, 0)
    assert isinstance(stack.judged(**PRECEDENCE), Held), "it is written in its place"


def test_a_stopped_stack_proves_nothing(stack: Stack) -> None:
    judged = stack.judged()
    assert isinstance(judged, Unproven)
    assert judged.remedy == "start the stack, and ask again"


# ---- which directory it is


def test_a_symlinked_state_directory_is_the_directory_that_it_leads_to(stack: Stack) -> None:
    real = stack.folder / "disk"
    stack.state.rename(real)
    stack.state.symlink_to(real)
    stack.start("app")
    stack.start("worker", source=real)
    assert isinstance(stack.judged(HOST_AND_STACK_AGREE), Held)
    assert isinstance(stack.judged(), Held)


def test_a_directory_that_was_moved_aside_under_a_running_container_is_broken(stack: Stack) -> None:
    stack.start("app")
    assert isinstance(stack.judged(HOST_AND_STACK_AGREE), Held)
    stack.state.rename(stack.folder / "state.old")
    stack.state.mkdir()
    judged = stack.judged(HOST_AND_STACK_AGREE)
    assert isinstance(judged, Broken)
    assert bad(judged) == [("app in the running containers of local", "moved-directory")]
    assert "state.old" in judged.message


def test_a_directory_that_was_made_anew_under_a_running_container_is_broken(stack: Stack) -> None:
    stack.start("app")
    stack.state.rmdir()
    stack.state.mkdir()
    assert bad(stack.judged(HOST_AND_STACK_AGREE)) == [("app in the running containers of local", "moved-directory")]


def test_the_same_path_with_another_directory_behind_it_is_broken(stack: Stack) -> None:
    other = stack.folder / "other"
    other.mkdir()
    stack.start("app", source=other)
    assert bad(stack.judged(HOST_AND_STACK_AGREE)) == [("app in the running containers of local", "another-directory")]


def said(stack: Stack, guardrail: Guardrail) -> tuple[Outcome, set[str]]:
    """What a guardrail says of the host as the engine sees it, and the kinds of its findings."""
    stack.declare()
    ran = run_check(stack.site, "preflight", "-k", "state or same_directory", within=stack.engine.enter, alone=True)
    (found,) = ran.verdicts(guardrail.id)
    return found.outcome, set(ran.kinds)


def test_a_bind_of_itself_is_the_same_directory_and_a_disk_that_came_later_is_not(stack: Stack) -> None:
    stack.start("before")
    stack.engine.inside("mount", "--bind", str(stack.state), str(stack.state))
    stack.start("after")
    assert said(stack, HOST_AND_STACK_AGREE)[0] is Outcome.HELD
    stack.engine.inside("mount", "-t", "tmpfs", "il-later", str(stack.state))
    outcome, kinds = said(stack, HOST_AND_STACK_AGREE)
    stack.engine.inside("umount", str(stack.state))
    assert outcome is Outcome.BROKEN
    assert "another-device" in kinds


# ---- where the engine cannot be asked


@pytest.mark.parametrize("guardrail", SUBJECTS, ids=lambda guardrail: guardrail.id)
def test_a_user_without_rights_on_the_socket_proves_nothing_and_is_told_of_the_group(stack: Stack, guardrail: Guardrail) -> None:
    with pytest.raises(CouldNotLook) as raised:
        stack.judged(guardrail, uid=NOBODY)
    assert "let nobody use the engine (group `docker`" in raised.value.remedy


@pytest.mark.parametrize("guardrail", SUBJECTS, ids=lambda guardrail: guardrail.id)
def test_an_engine_that_hangs_proves_nothing(stack: Stack, guardrail: Guardrail) -> None:
    path = stack.folder / "hangs.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with pytest.raises(CouldNotLook, match=r"hangs\.sock"):
            stack.judged(guardrail, engine=str(path), host={"timeout": "1s"})


# ---- environment, env_file, and what the container has in the end


COMPOSE = """\
services:
  app:
    image: {image}
    network_mode: none
    env_file: [first.env, second.env]
    environment: {{STATE_DIR: "{state}"}}
  worker:
    image: {image}
    network_mode: none
    env_file: [first.env, second.env]
  silent:
    image: {image}
    network_mode: none
    env_file: [first.env]
    environment: {{STATE_DIR: }}
"""


def test_the_engine_has_what_the_last_layer_says(stack: Stack, component: Callable[[str], None]) -> None:
    """A name alone under `environment:` that nobody gives a value leaves the container without, whatever its env file says."""
    component("compose")
    compose = find_compose(os.environ)
    assert compose is not None
    (stack.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, state=stack.state))
    (stack.folder / "first.env").write_text("STATE_DIR=/first\n")
    (stack.folder / "second.env").write_text("STATE_DIR=/second\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(stack.folder), "DOCKER_HOST": f"unix://{stack.engine.socket}"}
    project = (compose.path, "--project-name", "il-layers", "--file", "compose.yaml")
    subprocess.run((*project, "up", "--detach", "--pull", "never"), cwd=stack.folder, env=environ, check=True, capture_output=True, timeout=60)
    try:
        stack.declare(services=["app", "worker", "silent"])
        seen = engine_seen(stack.world(SERVICES_AGREE), "local")
        assert seen is not None
        assert {one.service: one.environment.get("STATE_DIR") for one in seen.containers} == {"app": str(stack.state), "worker": "/second", "silent": None}
        judged = stack.judged(SERVICES_AGREE, services=["app", "worker", "silent"])
        assert f"in worker STATE_DIR comes to /second as it is set, not to {stack.state}" in judged.message
    finally:
        subprocess.run((*project, "down", "--timeout", "0"), cwd=stack.folder, env=environ, check=True, capture_output=True, timeout=60)
