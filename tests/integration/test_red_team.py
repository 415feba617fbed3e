"""What was tried to get an open gate over data at risk, or a shut one over a healthy host: real disks, a real engine, and one gate for each scenario.

Each says which guardrails of the live families must not hold, and what their messages must say; all others must hold. Those that are `late` run under
INTERLOCK_PROFILE=prove.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from interlock.verdicts import Outcome
from tests.disks import EXT4, Disk, disks
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.integration.test_nested_visible import Host

PROVE = os.environ.get("INTERLOCK_PROFILE") == "prove"
ALONE = "bind-recursive=disabled"  # the bind that leaves out what is mounted below
INSIDE = "/data/state"
FAMILIES = ("mounts", "state_dir", "permissions")
UNPROVEN = "unproven"
Site = dict[str, Any]


class Machine(Host):
    """The host of the neighbour's tests with a state disk that is made anew, and a folder in which a test may put links."""

    def __init__(self, engine: DockerEngine, folder: Path, made: Mapping[str, Disk]) -> None:
        super().__init__(engine, folder, made["data"], made["state"])
        self.folder, self.other = folder, made["other"]
        self.changes: Site = {}

    def sh(self, command: str) -> None:
        self.engine.inside("sh", "-c", command)

    def reset(self) -> None:
        """Nothing runs, no volume is there, and the state disk is mounted on an empty directory of the data disk."""
        self.remove(*self.started)
        for volume in self.engine("volume", "ls", "--quiet").split():
            self.engine("volume", "rm", volume)
        top, mine = self.top, [f"{self.top}/{name}" for name in ("state", "other", "upper", "work")]
        self.sh(f"chattr -i {top}/state; while umount {top}/state 2>/dev/null; do chattr -i {top}/state; done; umount -l {top}; rm -rf {top}/state")
        self.sh(f"mount {self.data.device} {top}; mount --make-shared {top}; rm -rf {' '.join(mine)}; mkdir {top}/state")
        self.changes = {}
        self.mount_state()
        self.sh(f"cd {top}/state; find . -mindepth 1 -delete; touch system.db")

    def link(self, name: str, to: Path) -> Path:
        """A link of the host beside the disks."""
        link = self.folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(to)
        return link

    def app(self, name: str = "app", *options: str, source: str = "", **more: Any) -> None:
        """A service that binds the data directory and has its state below it."""
        self.start(name, *options, "--volume", f"{source or self.top}:/data", **{"state": INSIDE, **more})

    def declare(self, data: str, state: str) -> None:
        """The same disks under other names."""
        self.changes["mounts"] = {"data": {"path": data, "device": self.data.device}, "state": {"path": state, "device": self.state.device}, "layout": "nested"}
        self.changes["state_dir"] = {"path": state, "container_path": INSIDE, "default": INSIDE, "host_env_file": str(self.site / ".env")}

    def alone(self, name: str, **more: Any) -> None:
        """A service that does not see the state disk."""
        self.start(name, "--mount", f"type=bind,src={self.top},dst=/data,{ALONE}", **more)

    def judged(self) -> dict[str, str]:
        """The outcome of each guardrail that does not hold; the message of what is broken."""
        fstab = self.site / "fstab"
        fstab.write_text(f"{self.data.device} {self.top} ext4 defaults 0 2\n{self.state.device} {self.top}/state ext4 defaults 0 2\n")
        lives = self.changes.get("state_dir", {}).get("path", f"{self.top}/state")
        (self.site / ".env").write_text(f"STATE_DIR={lives}\n")
        declared = {"data": {"path": str(self.top), "device": self.data.device}, "state": {"path": f"{self.top}/state", "device": self.state.device}}
        site: Site = {
            "hosts": {"local": {"engine": str(self.engine.socket), "fstab": str(fstab)}},
            "mounts": {**declared, "layout": "nested"},
            "state_dir": {"path": f"{self.top}/state", "container_path": INSIDE, "default": INSIDE, "host_env_file": str(self.site / ".env")},
        }
        ran = self.run(**{**site, **self.changes})
        assert ran.record is not None, ran.output
        mine = [one for one in ran.record.verdicts if one.guardrail.partition(".")[0] in FAMILIES]
        return {one.guardrail: one.message for one in mine if one.outcome is Outcome.BROKEN} | {
            one.guardrail: UNPROVEN for one in mine if one.outcome is Outcome.UNPROVEN
        }


@pytest.fixture(scope="module")
def machine(component: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    component("docker")
    component("loop")
    folder = tmp_path_factory.mktemp("red")
    with disks(folder, data=EXT4, state=EXT4, other=EXT4) as made, docker_engine(own_mounts=True) as engine:
        yield Machine(engine, folder, made)


class Scenario(NamedTuple):
    """`arrange` makes the fault; `expected` has of each guardrail that must not hold what its message says, or `UNPROVEN`."""

    arrange: Callable[[Machine], None]
    expected: Mapping[str, str]
    late: bool


SCENARIOS: list[Scenario] = []


def scenario(*, late: bool = False, **expected: str) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    """Put a way to arrange the host into the table: `nested_visible="sees at"`, the family where it is not mounts before two underscores."""

    def put(arrange: Callable[[Machine], None]) -> Callable[[Machine], None]:
        named = {name.replace("__", ".") if "__" in name else f"mounts.{name}": said for name, said in expected.items()}
        SCENARIOS.append(Scenario(arrange, named, late))
        return arrange

    return put


# ---- healthy, and easily taken for broken


@scenario()
def bound_by_a_link_of_the_host_beside_sidecars(host: Machine) -> None:
    """`./data` of a project is a link to the disk; a proxy binds one file, a monitor the whole host, another stack has a STATE_DIR of its own."""
    host.app(source=str(host.link("data-link", host.top)))
    host.start("proxy", "--volume", f"{host.top}/state/system.db:/etc/system.db:ro")
    host.start("monitor", "--volume", "/:/host")
    (host.folder / "other-stack").mkdir(exist_ok=True)
    host.start("stranger", "--volume", f"{host.folder}/other-stack:/data", state=INSIDE, directory="/srv/another")


@scenario(late=True)
def an_instance_by_its_link(host: Machine) -> None:
    host.changes["instances"] = {"main": {"directory": str(host.link("site-link", host.site))}}
    host.app()


@scenario(late=True)
def the_disk_bound_to_itself(host: Machine) -> None:
    host.sh(f"mount --bind {host.top}/state {host.top}/state")
    host.app()


@scenario(late=True)
def the_mountpoint_closed_to_writers(host: Machine) -> None:
    """`chattr +i` on the directory below the disk is good practice."""
    host.sh(f"umount {host.top}/state; chattr +i {host.top}/state; mount {host.state.device} {host.top}/state")
    host.app()


@scenario(late=True)
def a_path_with_another_slash(host: Machine) -> None:
    host.app(state="/data//state/")


@scenario(late=True)
def a_job_that_has_ended(host: Machine) -> None:
    host.app()
    host.start("job", state=INSIDE)
    host.engine("kill", "job")


@scenario(late=True)
def declared_by_a_link_and_bound_by_its_real_name(host: Machine) -> None:
    link = host.link("declared", host.top)
    host.declare(str(link), f"{link}/state")
    host.app()


@scenario(late=True)
def a_directory_on_the_state_disk(host: Machine) -> None:
    host.sh(f"mkdir {host.top}/state/app")
    inside = {"path": f"{host.top}/state/app", "container_path": f"{INSIDE}/app", "default": f"{INSIDE}/app"}
    host.changes["state_dir"] = {**inside, "host_env_file": str(host.site / ".env")}
    host.app(state=f"{INSIDE}/app")


# ---- broken, and easily taken for healthy


@scenario(nested_visible="app sees at /data/state a directory of", layout="app binds", state_dir__host_and_stack_agree=UNPROVEN)
def an_instance_by_its_link_that_does_not_see_the_disk(host: Machine) -> None:
    host.changes["instances"] = {"main": {"directory": str(host.link("site-link", host.site))}}
    host.alone("app", state=INSIDE)


@scenario(nested_visible="worker (started in /home/op/shop) sees at /data/state")
def a_service_of_another_checkout_that_does_not_see_the_disk(host: Machine) -> None:
    host.app()
    host.alone("worker", state=INSIDE, directory="/home/op/shop")


@scenario(nested_visible="side has at /data/state")
def a_disk_of_before_behind_a_link(host: Machine) -> None:
    """The disk was changed for another one; a container that was started by a link still has the old one."""
    host.sh(f"umount {host.top}/state; mount {host.other.device} {host.top}/state")
    host.start("side", "--volume", f"{host.link('data-link', host.top)}:/data")
    host.sh(f"umount {host.top}/state; mount {host.state.device} {host.top}/state")
    host.app()


@scenario(
    nested_visible="app sees at /data/state", propagation="without what is mounted below it", layout="app binds", state_dir__host_and_stack_agree=UNPROVEN
)
def a_volume_of_a_link_that_leaves_the_disk_out(host: Machine) -> None:
    link = host.link("data-link", host.top)
    host.engine("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={link}", "linked")
    host.start("app", "--volume", "linked:/data", state=INSIDE)


@scenario(shadowed_files="hides a file (2 bytes)")
def written_when_neither_disk_was_mounted(host: Machine) -> None:
    """The site declares the state disk alone: what lies at its path below the outer disk is looked at all the same."""
    host.sh(
        f"umount {host.top}/state; umount {host.top}; mkdir -p {host.top}/state; echo x > {host.top}/state/system.db-wal; mount {host.data.device} {host.top}"
    )
    host.sh(f"mount --make-shared {host.top}; mount {host.state.device} {host.top}/state")
    host.changes["mounts"] = {"state": {"path": f"{host.top}/state", "device": host.state.device}}
    host.app()


@scenario(state_disk="over / of the same disk", fstab="shows / of", shadowed_files=UNPROVEN)
def a_directory_of_the_disk_over_the_disk(host: Machine) -> None:
    host.sh(f"mkdir {host.top}/state/old; mount --bind {host.top}/state/old {host.top}/state")
    host.app()


@scenario(
    late=True,
    nested_visible="side sees at /data/state",
    propagation="without what is mounted below it",
    layout="side binds",
    fstab="as ext4, and it is overlay",
)
def a_state_disk_that_is_an_overlay(host: Machine) -> None:
    top = host.top
    host.sh(f"umount {top}/state; mkdir -p {top}/other {top}/upper {top}/work")
    host.sh(f"mount -t overlay overlay -o lowerdir={top}/other,upperdir={top}/upper,workdir={top}/work {top}/state; touch {top}/state/system.db")
    host.changes["mounts"] = {
        "state": {"path": f"{top}/state", "device": "overlay"},
        "data": {"path": str(top), "device": host.data.device},
        "layout": "nested",
    }
    host.engine("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={top}", "alone")
    host.start("side", "--volume", "alone:/data")
    host.app()


@scenario(late=True, nested_visible="app has at /data/state", state_dir__host_and_stack_agree=UNPROVEN)
def a_tmpfs_mounted_inside_after_the_start(host: Machine) -> None:
    host.app()
    pid = host.engine("inspect", "--format", "{{.State.Pid}}", "app")
    host.sh(f"nsenter --target {pid} --mount /bin/busybox mount -t tmpfs none /data/state")


@scenario(late=True, nested_visible="0 of 1", layout="app binds", state_dir__host_and_stack_agree=UNPROVEN)
def a_paused_container_that_does_not_see_the_disk(host: Machine) -> None:
    host.alone("app", state=INSIDE)
    host.engine("pause", "app")


@scenario(
    late=True,
    state_disk="nothing is mounted at",
    nested_visible="app still has",
    layout=UNPROVEN,
    shadowed_files=UNPROVEN,
    state_dir__host_and_stack_agree=UNPROVEN,
)
def a_disk_unmounted_lazily(host: Machine) -> None:
    host.app()
    host.sh(f"umount -l {host.top}/state")


@scenario(late=True, nested_visible="adhoc sees at /data/state", layout="adhoc binds")
def a_container_without_labels(host: Machine) -> None:
    host.app()
    host.engine("run", "--detach", "--network", "none", "--name", "adhoc", "--mount", f"type=bind,src={host.top},dst=/data,{ALONE}", IMAGE)
    host.started.append("adhoc")


@scenario(late=True, writable="is immutable")
def a_state_directory_that_is_immutable(host: Machine) -> None:
    host.app()
    host.sh(f"chattr +i {host.top}/state")


@scenario(late=True, two_writers="a/b/c/root")
def a_file_of_root_deep_below(host: Machine) -> None:
    host.sh(f"mkdir -p {host.top}/state/a/b/c; chown -R 1000 {host.top}/state; touch {host.top}/state/a/b/c/root")
    host.app("app", "--user", "1000:1000")


@scenario(late=True, shadowed_files="hides 3 files")
def hidden_by_odd_names(host: Machine) -> None:
    host.sh(f"umount {host.top}/state; cd {host.top}/state; mkdir 'a b'; touch 'a b/.x\ny'; mkfifo pipe; ln -s nowhere link")
    host.sh(f"mount {host.state.device} {host.top}/state")
    host.app()


@pytest.mark.parametrize("one", SCENARIOS, ids=[one.arrange.__name__ for one in SCENARIOS])
def test_what_does_not_hold_is_told_and_nothing_else(machine: Machine, one: Scenario) -> None:
    if one.late and not PROVE:
        pytest.skip("one of many: INTERLOCK_PROFILE=prove runs it")
    machine.reset()
    one.arrange(machine)
    found = machine.judged()
    assert found.keys() == one.expected.keys(), found
    for guardrail, said in one.expected.items():
        assert said in found[guardrail], found[guardrail]
