"""What running containers make of the state directory, asked of a real engine: their variable, their mounts, and the directories of the host behind them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.testing import CheckRun, run_check
from interlock.testing.faults import write_site
from interlock.verdicts import Outcome, Verdict
from tests.docker_engine import IMAGE, DockerEngine, docker_engine

DISKS = ("data", "data-state")


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine() as running:
        yield running


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Path]:
    """Two file systems beside each other."""
    for name in DISKS:
        (tmp_path / name).mkdir()
        subprocess.run(("mount", "-t", "tmpfs", f"il-{name}", str(tmp_path / name)), check=True)
    yield tmp_path
    for name in DISKS:
        subprocess.run(("umount", str(tmp_path / name)), check=True)


class Stack:
    """A site whose containers this test starts itself, as compose labels them."""

    def __init__(self, engine: DockerEngine, disks: Path) -> None:
        self.engine, self.disks, self.site = engine, disks, disks / "site"
        self.site.mkdir()
        self.running = self.site / "running"
        self.running.mkdir()
        (self.running / ".env").write_text(f"STATE_DIR={disks}/data-state\n")
        self.started: list[str] = []

    def start(self, service: str, *mounts: str, state: str | None = None, directory: str = "") -> None:
        """A container of a service; `state` is what its variable says, by default the right path, empty for none."""
        name = f"il-{service}-{len(self.started)}"
        self.started.append(name)
        value = f"{self.disks}/data-state" if state is None else state
        said = ("--env", f"STATE_DIR={value}") if value else ()
        labels = {"com.docker.compose.service": service, "com.docker.compose.project.working_dir": directory or str(self.running)}
        options = [part for key, text in labels.items() for part in ("--label", f"{key}={text}")] + [part for mount in mounts for part in ("--volume", mount)]
        self.engine("run", "--detach", "--network", "none", "--name", name, *said, *options, IMAGE)

    @property
    def binds(self) -> tuple[str, ...]:
        """Both directories, at their own paths."""
        return tuple(f"{self.disks / name}:{self.disks / name}" for name in DISKS)

    def run(self, **state_dir: Any) -> CheckRun:
        """The preflight of the site as it is now."""
        disks = {
            noun: {"path": str(self.disks / path), "device": f"il-{path}", "fstype": "tmpfs"} for noun, path in (("data", "data"), ("state", "data-state"))
        }
        declared = {"path": f"{self.disks}/data-state", "values": {"DATA_DIR": f"{self.disks}/data"}, "host_env_file": str(self.running / ".env")}
        site = {
            "hosts": {"local": {"engine": str(self.engine.socket)}},
            "instances": {"main": {"directory": str(self.running)}},
            "mounts": {**disks, "layout": "flat"},
            "state_dir": {**declared, "readers": ["up.sh"], **state_dir},
        }
        (self.site / "up.sh").write_text('#!/bin/sh\n. ./.env\nls "$STATE_DIR"\n')
        write_site(self.site, site)
        return run_check(self.site, "preflight")


def verdict(ran: CheckRun, guardrail: str, subject: str) -> Verdict:
    return next(one for one in ran.verdicts(guardrail) if one.subject == subject)


@pytest.fixture
def stack(engine: DockerEngine, disks: Path) -> Iterator[Stack]:
    made = Stack(engine, disks)
    yield made
    for name in made.started:
        engine("rm", "--force", name)
    engine("volume", "rm", "--force", "il-own", "il-bound")


def test_containers_that_agree_hold(stack: Stack) -> None:
    stack.start("app", *stack.binds)
    stack.start("worker", *stack.binds)
    ran = stack.run()
    for guardrail, subject, said in (
        ("state_dir.services_agree", "running", "2 of 2 services in the running containers of local"),
        ("state_dir.host_and_stack_agree", "STATE_DIR", "3 readers"),
        ("mounts.layout", "layout", "2 of 2 services bind both"),
    ):
        found = verdict(ran, guardrail, subject)
        assert found.outcome is Outcome.HELD, found
        assert said in found.message


def test_a_container_from_before_the_change_is_broken_alone(stack: Stack) -> None:
    stack.start("app", *stack.binds)
    stack.start("worker", stack.binds[0], state=f"{stack.disks}/data/state")
    ran = stack.run()
    for guardrail, subject in (("state_dir.services_agree", "running"), ("state_dir.host_and_stack_agree", "STATE_DIR"), ("mounts.layout", "layout")):
        found = verdict(ran, guardrail, subject)
        assert found.outcome is Outcome.BROKEN, found
        assert "worker" in found.message
        assert "app " not in found.message.partition(":")[2]


def test_a_volume_that_binds_the_directory_is_followed_to_the_host(stack: Stack) -> None:
    options = [part for text in ("type=none", "o=bind", f"device={stack.disks}/data-state") for part in ("--opt", text)]
    stack.engine("volume", "create", *options, "il-bound")
    stack.start("app", stack.binds[0], f"il-bound:{stack.disks}/data-state")
    ran = stack.run()
    assert verdict(ran, "state_dir.host_and_stack_agree", "STATE_DIR").outcome is Outcome.HELD
    assert verdict(ran, "mounts.layout", "layout").outcome is Outcome.HELD


def test_a_volume_of_the_engines_own_is_broken(stack: Stack) -> None:
    stack.start("app", stack.binds[0], f"il-own:{stack.disks}/data-state")
    ran = stack.run()
    assert verdict(ran, "state_dir.services_agree", "running").outcome is Outcome.HELD
    found = verdict(ran, "state_dir.host_and_stack_agree", "STATE_DIR")
    assert found.outcome is Outcome.BROKEN
    assert "volume of the engine" in found.message


def test_a_container_of_another_stack_does_not_count(stack: Stack) -> None:
    stack.start("app", *stack.binds)
    stack.start("app", state="/elsewhere", directory="/srv/another")
    assert verdict(stack.run(), "state_dir.services_agree", "running").outcome is Outcome.HELD


def test_a_read_only_mount_is_broken(stack: Stack) -> None:
    stack.start("app", stack.binds[0], f"{stack.binds[1]}:ro")
    found = verdict(stack.run(), "state_dir.services_agree", "running")
    assert found.outcome is Outcome.BROKEN
    assert "read-only" in found.message


def test_no_container_at_all_proves_nothing(stack: Stack) -> None:
    ran = stack.run()
    assert verdict(ran, "state_dir.services_agree", "running").outcome is Outcome.UNPROVEN
    found = verdict(ran, "mounts.layout", "layout")
    assert found.outcome is Outcome.HELD  # the disks were looked at
    assert "no container runs" in found.message


def test_a_declared_job_that_has_ended_is_not_missed(stack: Stack) -> None:
    stack.start("app", *stack.binds)
    found = verdict(stack.run(services=["app", "extract"]), "state_dir.services_agree", "running")
    assert found.outcome is Outcome.HELD
    assert "1 of 1 services" in found.message
