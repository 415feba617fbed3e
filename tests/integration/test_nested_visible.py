"""What containers see of two disks, one mounted below the other, on a real engine: every way to bind them that hides the inner one, and those that do not.

The containers stand side by side, each with one way to bind, and one gate judges them all; whoever has a shell is asked for what it sees itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.observe.compose_binary import find_compose
from interlock.testing import CheckRun, run_check
from interlock.testing.faults import write_site
from interlock.verdicts import Outcome, Verdict
from tests.disks import EXT4, XFS, Disk, disks
from tests.docker_engine import IMAGE, DockerEngine, DockerError, docker_engine

BARE = "interlock/bare:local"  # one program, no shell: what is called distroless; its /data is a link to /mnt
LIVES = ("sleep", "600")
HIDDEN, RIGHT = "the directory below the disk", "the disk"


class Host:
    """An engine with a data disk (ext4), a state disk (xfs) that may be mounted below it, and a site that declares both."""

    def __init__(self, engine: DockerEngine, folder: Path, data: Disk, state: Disk) -> None:
        self.engine, self.data, self.state = engine, data, state
        self.top, self.site = folder / "data", folder / "site"
        self.site.mkdir()
        self.top.mkdir()
        engine.inside("mount", data.device, str(self.top))
        engine.inside("mount", "--make-shared", str(self.top))  # as on a host that systemd has started
        engine.inside("mkdir", f"{self.top}/state", f"{self.top}/cache")
        engine.inside("touch", f"{self.top}/state/SHADOW")
        self.started: list[str] = []

    def clear(self) -> None:
        """As after a start of the machine: nothing runs, no volume is there, and the state disk is not mounted."""
        self.remove(*self.started)
        for volume in self.engine("volume", "ls", "--quiet").split():
            self.engine("volume", "rm", volume)
        if self.mounted:
            self.engine.inside("umount", f"{self.top}/state")

    @property
    def mounted(self) -> bool:
        """Whether the host has the state disk."""
        return f" {self.top}/state " in self.engine.inside("cat", "/proc/self/mountinfo")

    def mount_state(self) -> None:
        self.engine.inside("mount", self.state.device, f"{self.top}/state")
        self.engine.inside("touch", f"{self.top}/state/system.db")

    def volume(self, name: str, options: str) -> None:
        words = ("type=none", f"o={options}", f"device={self.top}")
        self.engine("volume", "create", *(part for word in words for part in ("--opt", word)), name)

    def start(self, service: str, *options: str, image: str = IMAGE, directory: str = "", state: str = "") -> str:
        labels = {"service": service, "project": "shop", "project.working_dir": directory or str(self.site)}
        said = [part for key, text in labels.items() for part in ("--label", f"com.docker.compose.{key}={text}")]
        said += ["--env", f"STATE_DIR={state}"] if state else []
        self.engine("run", "--detach", "--stop-timeout", "0", "--network", "none", "--name", service, *said, *options, image, *LIVES)
        self.started.append(service)
        return service

    def shows(self, service: str, path: str = "/data/state") -> str:
        """What a container with a shell has at a path, by what lies there."""
        names = self.engine("exec", service, "ls", path).split()
        return {("SHADOW",): HIDDEN, ("system.db",): RIGHT}.get(tuple(names), ", ".join(names))

    def run(self, **more: Any) -> CheckRun:
        """The preflight of the site as it is now, among the mounts that the engine sees."""
        declared = {"data": {"path": str(self.top), "device": self.data.device}, "state": {"path": f"{self.top}/state", "device": self.state.device}}
        site = {
            "hosts": {"local": {"engine": str(self.engine.socket)}},
            "instances": {"main": {"directory": str(self.site)}},
            "mounts": declared,
            "state_dir": {"path": f"{self.top}/state", "container_path": "/data/state", "default": "/data/state"},
        }
        write_site(self.site, {**site, **more})
        return run_check(self.site, "preflight", within=self.engine.enter, alone=True)

    def remove(self, *services: str) -> None:
        if services:
            self.engine("rm", "--force", *services)
        self.started = [name for name in self.started if name not in services]


@pytest.fixture(scope="module")
def machine(component: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    component("docker")
    component("xfs")
    folder = tmp_path_factory.mktemp("host")
    with disks(folder, data=EXT4, state=XFS) as made, docker_engine(own_mounts=True) as engine:
        _import_bare(engine, folder)
        yield Host(engine, folder, made["data"], made["state"])


@pytest.fixture
def host(machine: Host) -> Host:
    machine.clear()
    return machine


def _import_bare(engine: DockerEngine, folder: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox
    with tarfile.open(folder / "bare.tar", "w") as archive:
        archive.add(busybox, "sleep")
        link = tarfile.TarInfo("data")
        link.type, link.linkname = tarfile.SYMTYPE, "mnt"
        archive.addfile(link)
    engine("import", "--change", "ENV PATH=/", str(folder / "bare.tar"), BARE)


def verdict(ran: CheckRun, guardrail: str) -> Verdict:
    return next(one for one in ran.verdicts(guardrail) if one.subject == "running")


def details(ran: CheckRun, guardrail: str) -> dict[str, tuple[str, str]]:
    """Outcome and kind of each detail, by what it is about."""
    assert ran.folder is not None, ran.output
    lines = map(json.loads, (ran.folder / "details.jsonl").read_text().splitlines())
    mine = [line for line in lines if line.get("guardrail") == guardrail and line.get("subject") == "running"]
    return {line["what"]: (line["outcome"], line.get("kind", "")) for line in mine}


def test_every_way_to_bind_two_disks_is_judged_as_it_is(host: Host) -> None:
    host.volume("v-bind", "bind")
    host.volume("v-rbind", "rbind,rslave")
    early = [host.start("before-private", "--volume", f"{host.top}:/data"), host.start("before-slave", "--volume", f"{host.top}:/data:rslave")]
    host.mount_state()
    host.start("volume-bind", "--volume", "v-bind:/data")
    host.start("volume-rbind", "--volume", "v-rbind:/data")
    host.start("bind", "--volume", f"{host.top}:/data", state="/data/state")
    host.start("bind-alone", "--mount", f"type=bind,src={host.top},dst=/data,bind-recursive=disabled")
    host.start("flat", "--volume", f"{host.top}/cache:/cache", "--volume", f"{host.top}/state:/data/state", state="/data/state")
    host.start("another-user", "--user", "1234:1234", "--volume", f"{host.top}:/data")
    host.start("bare", "--volume", f"{host.top}:/data", image=BARE)
    host.start("bare-volume", "--volume", "v-bind:/data", image=BARE)
    host.start("in-image", "--volume", f"{host.top}/cache:/cache", state="/data/state")
    host.start("sidecar", "--tmpfs", "/data/state")
    host.start("monitor", "--volume", "/:/host:ro")
    host.start("stranger", "--volume", "v-bind:/data", directory="/srv/another")
    host.start("reader", "--volume", f"{host.top}:/data:ro")
    host.start("cached", "--volume", f"{host.top}:/data:ro", "--volume", f"{host.top}/cache:/data/cache", "--volume", f"{host.top}/state:/data/state:ro")

    ran = host.run()
    found = details(ran, "mounts.nested_visible")
    hidden = {what: kind for what, (outcome, kind) in found.items() if outcome == "broken"}
    assert hidden == {
        "before-private /data/state": "mounted-after",
        "volume-bind /data/state": "nested-hidden",
        "bind-alone /data/state": "nested-hidden",
        "bare-volume /mnt/state": "nested-hidden",
        "in-image /data/state": "in-the-image",
    }
    for name in (*early, "volume-bind", "volume-rbind", "bind", "bind-alone", "flat", "another-user", "reader", "cached"):
        assert host.shows(name) == (HIDDEN if f"{name} /data/state" in hidden else RIGHT), name
        assert f"{name} /data/state" in found
    assert not {name for name in ("sidecar", "stranger") for what in found if what.startswith(f"{name} ")}
    said = verdict(ran, "mounts.nested_visible")
    assert said.outcome is Outcome.BROKEN
    assert said.message.startswith("9 of 14 services see the state disk, ")

    writable = {what for what, (outcome, _) in details(ran, "mounts.read_only_is_read_only").items() if outcome == "broken"}
    assert writable == ({"reader /data/state", "monitor " + f"/host{host.top}", "monitor " + f"/host{host.top}/state"} if _can_write(host, "reader") else set())

    hides = details(ran, "mounts.propagation")
    assert hides["v-bind"] == ("broken", "not-recursive")
    assert hides["v-rbind"][0] == hides["bind /data"][0] == hides["before-slave /data"][0] == "held"

    host.remove(*(what.partition(" ")[0] for what in hidden), "stranger")
    held = verdict(host.run(), "mounts.nested_visible")
    assert held.outcome is Outcome.HELD, held
    assert held.message.startswith("9 of 9 services see the state disk, ")


def _can_write(host: Host, service: str) -> bool:
    try:
        host.engine("exec", service, "sh", "-c", "touch /data/state/by-reader && rm /data/state/by-reader")
    except DockerError:
        return False
    return True


def test_a_disk_that_the_host_lets_go_is_missed_before_and_after_the_restart(host: Host) -> None:
    host.mount_state()
    host.start("app", "--volume", f"{host.top}:/data", state="/data/state")
    host.start("proxy", "--volume", f"{host.top}/state:/certs:ro")
    host.engine.inside("umount", f"{host.top}/state")
    found = details(host.run(), "mounts.nested_visible")
    assert found["app /data/state"] == found["proxy /certs"] == ("broken", "unmounted-behind")
    assert host.shows("app") == RIGHT
    host.engine("restart", "app", "proxy")
    found = details(host.run(), "mounts.nested_visible")
    assert found["app /data/state"] == found["proxy /certs"] == ("broken", "another-device")
    assert host.shows("app") == HIDDEN


def test_a_volume_with_rbind_alone_takes_the_disk_from_the_host_when_it_goes(host: Host) -> None:
    host.mount_state()
    host.volume("v-shared", "rbind")
    host.start("app", "--volume", "v-shared:/data")
    ran = host.run()
    assert verdict(ran, "mounts.nested_visible").outcome is Outcome.HELD
    assert details(ran, "mounts.propagation")["v-shared"] == ("broken", "unmounts-the-host")
    host.remove("app")
    assert not host.mounted


def test_what_docker_compose_has_started_is_compared_with_its_own_chain(host: Host, component: Callable[[str], None]) -> None:
    """Of two chains, by the files that its labels name, and under the name that the project has on the host."""
    component("compose")
    host.mount_state()
    service = f"{{image: '{IMAGE}', network_mode: none, stop_grace_period: 0s, volumes: ['data:/data']}}"
    bound = f"volumes:\n  data:\n    driver_opts: {{type: none, o: 'rbind,rslave', device: {host.top}}}\n"
    started = host.site.parent / "Shop.v2"
    started.mkdir(exist_ok=True)
    for folder in (host.site, started):
        (folder / "base.yaml").write_text(f"services:\n  app: {service}\nvolumes:\n  data:\n")
        (folder / "disk.yaml").write_text(bound)
    chains = {"base": {"files": ["base.yaml"]}, "disk": {"files": ["base.yaml", "disk.yaml"]}}
    more = {"compose": {"files": ["base.yaml", "disk.yaml"], "chains": chains}, "instances": {"main": {"directory": str(started)}}}
    compose(host, started, "up", "--detach", "--pull", "never")
    try:
        ran = host.run(**more)
        for guardrail, said in (
            ("nested_visible", "1 of 1 services see the state disk"),
            ("driver_opts_immutable", "the volume shopv2_data was made as the chain disk says"),
            ("propagation", "1 of 1 volumes and binds"),
        ):
            found = verdict(ran, f"mounts.{guardrail}")
            assert found.outcome is Outcome.HELD, found
            assert found.message.startswith(said)
        (host.site / "disk.yaml").write_text(bound.replace("rbind,rslave", "bind"))
        found = verdict(host.run(**more), "mounts.driver_opts_immutable")
        assert (found.outcome, found.message.partition(": o;")[0]) == (
            Outcome.BROKEN,
            "the volume shopv2_data was made with other options than the chain disk says",
        )
    finally:
        compose(host, started, "down")


def compose(host: Host, folder: Path, *words: str) -> None:
    program = find_compose(os.environ)
    assert program is not None
    argv = (program.path, "-f", "base.yaml", "-f", "disk.yaml", *words)
    environ = {**os.environ, "DOCKER_HOST": f"unix://{host.engine.socket}"}
    subprocess.run(argv, cwd=folder, env=environ, check=True, capture_output=True, timeout=60)


def test_what_is_down_is_judged_by_the_volumes_that_the_engine_has_already(host: Host, component: Callable[[str], None]) -> None:
    component("compose")
    options = f"{{type: none, o: rbind, device: {host.top}}}"
    text = f"services:\n  app:\n    image: {IMAGE}\n    volumes: ['data:/data']\nvolumes:\n  data:\n    driver_opts: {options}\n"
    (host.site / "compose.yaml").write_text(text)
    host.mount_state()
    ran = host.run(compose={"files": ["compose.yaml"]})
    assert verdict(ran, "mounts.nested_visible").outcome is Outcome.HELD
    assert verdict(ran, "mounts.driver_opts_immutable").outcome is Outcome.HELD  # not there yet
    host.volume("site_data", "bind")
    ran = host.run(compose={"files": ["compose.yaml"]})
    seen = verdict(ran, "mounts.nested_visible")
    assert (seen.outcome, [place.message for place in seen.where]) == (
        Outcome.BROKEN,
        [f"app of the chain default would see at /data/state what the state disk covers: its volume of {host.top} leaves out what is mounted below it"],
    )
    made = verdict(ran, "mounts.driver_opts_immutable")
    assert made.outcome is Outcome.BROKEN
    assert "than the chain default says: o; docker compose " in made.message
    assert made.message.endswith("keeps it as it is and says nothing")
