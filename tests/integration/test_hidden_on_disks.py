"""What a container writes past a disk, and what root leaves in its state: found on real disks with a real engine, mended with the remedies as printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock.testing.faults import write_site
from tests.disks import EXT4, XFS, Disk, disks
from tests.docker_engine import IMAGE, DockerEngine, docker_engine

JUDGE = """
import json, sys
from pathlib import Path
from interlock.config.load import load_site
from interlock.judge import guardrail
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.observe.world import LIVE_GATES, World, looks_for, observer
from interlock.verdicts import NullSink, settle
folder = Path(sys.argv[1])
site, rule = load_site(folder / "interlock.yaml", None), guardrail(sys.argv[2])
said = {}
for subject in rule.subjects(site):
    facts = observe(site, looks_for(site, [(rule, subject)]), folder / "spool")
    judgement = rule.judge(observer(rule).see(World(site=site, gates=LIVE_GATES, tree=Tree(folder), hosts=facts, environ={}), subject))
    settled = settle(judgement, NullSink())
    said[subject.name] = {"outcome": settled.outcome, "message": settled.message, "remedy": settled.remedy}
print(json.dumps(said))
"""
APP = 1234


@dataclass(frozen=True)
class Host:
    """An engine whose host has a data disk (xfs) and below it a state disk (ext4), and the folder of a site that declares both."""

    engine: DockerEngine
    data: Disk
    state: Disk
    top: Path
    site: Path

    def judged(self, guardrail: str) -> Any:
        """Outcome, message and remedy of each subject, by its name; and no mount of the host has changed."""
        before = self.engine.inside("cat", "/proc/self/mountinfo")
        said = json.loads(self.engine.inside(sys.executable, "-c", JUDGE, str(self.site), guardrail))
        assert self.engine.inside("cat", "/proc/self/mountinfo") == before
        return said

    def pasted(self, remedy: str, *, with_: str) -> str:
        """The command of a remedy that has these words, run by root on that host as it is printed, but for sudo."""
        (command,) = [one for one in re.findall(r"`sudo ([^`]*)`", remedy) if with_ in one]
        done = subprocess.run((*self.engine.enter, "sh", "-c", command), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def host(component: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    component("docker")
    component("xfs")
    folder = tmp_path_factory.mktemp("hidden")
    top, site = folder / "data", folder / "site"
    top.mkdir()
    site.mkdir()
    with disks(folder, data=XFS, state=EXT4) as disk, docker_engine(own_mounts=True) as engine:
        host = Host(engine=engine, data=disk["data"], state=disk["state"], top=top, site=site)
        engine.inside("mount", host.data.device, str(top))
        engine.inside("mkdir", f"{top}/state")
        engine.inside("mount", host.state.device, f"{top}/state")
        engine.inside("chown", str(APP), f"{top}/state")
        mounts = {"state": {"path": f"{top}/state", "device": "LABEL=il-state"}, "data": {"path": str(top), "device": "LABEL=il-data"}}
        write_site(site, {"hosts": {"local": {"engine": str(engine.socket)}}, "mounts": mounts})
        yield host


def test_what_a_container_writes_past_the_state_disk_is_found_and_brought_to_light(host: Host) -> None:
    """The incident: a named volume with `o: bind` shows the directory below the disk, and a service keeps its state there."""
    assert {said["outcome"] for said in host.judged("mounts.shadowed_files").values()} == {"held"}
    host.engine("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={host.top}", "past")
    host.engine("run", "--rm", "--network", "none", "--volume", "past:/data", IMAGE, "sh", "-c", "echo lost > /data/state/system.db; mkdir /data/state/certs")
    said = host.judged("mounts.shadowed_files")
    assert said["data"]["outcome"] == "held"
    assert said["state"]["outcome"] == "broken"
    where = f"{host.top}/state hides a file (5 bytes) on {host.data.device} (xfs) mounted at {host.top}: system.db;"
    assert said["state"]["message"].startswith(where)
    assert "system.db" in host.pasted(said["state"]["remedy"], with_="ls -laR")
    assert "system.db" not in host.engine.inside("ls", f"{host.top}/state")
    host.pasted(said["state"]["remedy"], with_="mkdir -m 700")
    assert host.engine.inside("cat", f"{host.top}/state.hidden/system.db") == "lost"
    assert host.judged("mounts.shadowed_files")["state"] == {"outcome": "held", "message": f"{host.top}/state: no file is hidden", "remedy": ""}


def test_what_root_leaves_in_the_state_of_a_service_is_found_and_given_back(host: Host) -> None:
    """The service runs, so that its user is known; `lost+found` of the disk belongs to root, and is nobody's fault."""
    bind = f"type=bind,source={host.top}/state,target=/state"
    host.engine(
        "run", "--detach", "--network", "none", "--name", "app", "--user", str(APP), "--mount", bind, IMAGE, "sh", "-c", "touch /state/app.db; sleep 600"
    )
    said = host.judged("mounts.two_writers")["state"]
    assert said["outcome"] == "held"
    assert f"of the user of app (uid {APP})" in said["message"]
    assert "lost+found" in host.engine.inside("ls", f"{host.top}/state")
    host.engine.inside("touch", f"{host.top}/state/app.db-wal", f"{host.top}/state/two words")
    said = host.judged("mounts.two_writers")["state"]
    assert said["outcome"] == "broken"
    assert said["message"] == f"2 entries of root below {host.top}/state: app.db-wal, two words; writers are the user of app (uid {APP})"
    host.pasted(said["remedy"], with_="chown")
    assert host.judged("mounts.two_writers")["state"]["outcome"] == "held"
    assert host.engine.inside("stat", "-c", "%u", f"{host.top}/state/lost+found") == "0"
    host.engine("rm", "--force", "app")


def test_the_machine_itself_sees_none_of_these_disks(host: Host) -> None:
    assert str(host.top) not in Path("/proc/self/mountinfo").read_text()
