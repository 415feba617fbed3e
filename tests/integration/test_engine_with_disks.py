"""The ground of the tests with disks: what is mounted for an engine is mounted for nobody else, and nothing of it is left afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.disks import EXT4, XFS, disks
from tests.docker_engine import IMAGE, docker_engine

MACHINE = Path("/proc/self/mountinfo")


def test_containers_see_the_disks_of_their_engine_and_the_machine_does_not(component: Callable[[str], None], tmp_path: Path) -> None:
    component("docker")
    component("xfs")
    state = tmp_path / "data" / "state"
    state.parent.mkdir()
    with disks(tmp_path, data=EXT4, state=XFS) as disk:
        with docker_engine(own_mounts=True) as engine:
            engine.inside("mount", disk["data"].device, str(state.parent))
            engine.inside("mkdir", str(state))
            engine.inside("mount", disk["state"].device, str(state))
            seen = engine("run", "--rm", "--network", "none", "--volume", f"{state.parent}:/data", IMAGE, "sh", "-c", "stat -c %d /data /data/state")
            assert seen.split() == [str(disk["data"].number), str(disk["state"].number)]
            assert not state.exists()
            assert str(tmp_path) not in MACHINE.read_text()
            here = subprocess.run((*engine.enter, "pwd"), cwd=tmp_path, capture_output=True, text=True, check=True)
            assert here.stdout.strip() == str(tmp_path)
        attached = subprocess.run(("losetup", "--list", "--noheadings", "--output", "BACK-FILE"), capture_output=True, text=True, check=True).stdout
        assert str(tmp_path) in attached
    assert str(tmp_path) not in subprocess.run(("losetup", "--list"), capture_output=True, text=True, check=True).stdout


def test_disks_are_detached_after_a_failure(component: Callable[[str], None], tmp_path: Path) -> None:
    component("loop")

    def fail() -> None:
        with disks(tmp_path, data=EXT4) as disk:
            raise RuntimeError(disk["data"].uuid)

    with pytest.raises(RuntimeError, match=r"\w{8}-"):
        fail()
    assert str(tmp_path) not in subprocess.run(("losetup", "--list"), capture_output=True, text=True, check=True).stdout
