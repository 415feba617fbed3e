"""The worked example examples/nested-to-flat, for real: two disks, an engine that sees them, six services, a human who types; and a fault at each step.

Disks and engine live in a mount namespace of their own, with the example's absolute paths below a folder of the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from interlock.observe.compose_binary import find_compose
from tests.by_hand import DIGITS
from tests.disks import EXT4, XFS, Disk, disks
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.in_terminal import INTERLOCK, Shown, human_environ, in_terminal
from tests.tiny_site import key_of, signer_line

EXAMPLE = Path(__file__).parents[2] / "examples" / "nested-to-flat"
OURS = re.compile(r"(?<![\w./-])/(data|opt|var/backups|etc)\b")
OF_STATE = ("app", "extract", "scheduler", "telegram-bot", "ws-gateway")
EVERYTHING = r"find . -mindepth 1 -printf '%P|%y|%m|%U|%G|%n|%l|%T@\n' | sort; find . -type f -exec sha256sum {} + | sort"
POPULATE = r"""
umask 022
head -c 300000 /dev/urandom >system.db
mkdir -m 750 certs users users/inner
head -c 2000 /dev/urandom >certs/key.pem; chmod 640 certs/key.pem
printf %064d 7 >.session_secret; printf %064d 8 >.jwt_secret; chmod 600 .session_secret .jwt_secret system.db
echo begun >activity.log
echo one >users/a; ln users/a users/inner/the-same; ln -s ../system.db users/link
touch -d 2020-02-02 users/a; echo x >'users/a name
of two lines'
chown -R 999:999 . ; chown root:999 certs certs/key.pem
"""


@dataclass
class Host:
    """A host with its two disks and its engine, as the example describes it, and whoever types there."""

    root: Path
    engine: DockerEngine
    disk: Mapping[str, Disk]
    environ: dict[str, str]
    kept: str = ""
    activity: list[str] = field(default_factory=list)
    compose: str = field(default_factory=lambda: getattr(find_compose(os.environ), "path", ""))

    @property
    def site(self) -> Path:
        return self.root / "opt" / "analyst"

    def here(self, text: str) -> str:
        """A text of the example with this host's paths and devices."""
        text = text.replace("/var/run/docker.sock", str(self.engine.socket)).replace("busybox:1.36", IMAGE)
        for name, disk in self.disk.items():
            text = re.sub(rf"(LABEL=analyst-{name}\b.*?)\bext4\b", rf"\1{disk.fstype}", text).replace(f"LABEL=analyst-{name}", disk.device)
        return OURS.sub(lambda match: f"{self.root}/{match[1]}", text)

    def lay_out(self) -> None:
        """The example's files in their places."""
        shutil.copytree(EXAMPLE, self.site)
        for name in ("interlock.yaml", "interlock.flat.yaml"):
            text = self.here((self.site / name).read_text())
            text = text.replace("    fstab:", f"    lock: {self.root}/lock\n    fstab:").replace("timeout: 2m", "timeout: 30s")
            (self.site / name).write_text(text)
        (self.site / ".env").write_text(self.here((self.site / "env.example").read_text()))
        (self.site / "people").mkdir()
        (self.site / "people" / "allowed_signers").write_text(signer_line("anna"))
        for path, mode in (("lock", 0o700), ("etc", 0o755), ("data", 0o755), ("var/backups/analyst/state", 0o700)):
            (self.root / path).mkdir(mode=mode, parents=True)
        self.fstab.write_text(self.here((self.site / "fstab.example").read_text()))

    @property
    def fstab(self) -> Path:
        return self.root / "etc" / "fstab"

    def mount(self) -> None:
        """Both disks, nested, with a state in its place."""
        self.inside(f"mount -T {self.fstab} {self.root}/data && mkdir -p {self.root}/data/state {self.root}/data/extracts")
        self.inside(f"mount -T {self.fstab} {self.root}/data/state && cd {self.root}/data/state && {POPULATE}")

    def inside(self, script: str) -> str:
        return self.engine.inside("sh", "-euc", script)

    def shim(self, program: str, script: str) -> None:
        """What the action finds in place of a program of the host."""
        folder = self.root / "shims"
        folder.mkdir(exist_ok=True)
        (folder / program).write_text(f"#!/bin/sh\n{script}\n")
        (folder / program).chmod(0o755)
        self.environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def docker_compose(self, *words: str) -> str:
        """What an operator types in the site's folder."""
        environ = f"DOCKER_HOST=unix://{self.engine.socket}"
        return self.inside(f"cd {self.site} && {environ} {self.compose} {' '.join(words)}")

    def type(self, *words: str, replies: tuple[tuple[str, str], ...] = ()) -> Shown:
        """What a human types; its process id lies in the file `runner`."""
        noted = ("sh", "-c", 'echo $$ >"$0"; exec "$@"', str(self.root / "runner"))
        return in_terminal((*self.engine.enter, *noted, *INTERLOCK, *words), self.environ, self.site, replies=replies, limit=120)

    def planned(self) -> str:
        """A plan that anna made and approved."""
        shown = self.type("plan", "nested-to-flat", "--key", str(key_of("anna")))
        assert shown.code == 0, shown.text
        found = re.search(r"plans/([\w.-]+)/plan\.json", shown.text)
        assert found
        digits = found[1].rpartition("-")[2][:8]
        shown = self.type("approve", found[1], "--key", str(key_of("anna")), replies=((DIGITS, digits),))
        assert shown.code == 0, shown.text
        return digits

    # ---- how it stands

    def state(self, place: str) -> str:
        """Everything of the state at a place, but for what the application goes on writing."""
        lines = self.inside(f"cd {self.root}/{place} && {EVERYTHING}").splitlines()
        return "\n".join(line for line in lines if not line.startswith("activity.log|") and not line.endswith("./activity.log"))

    def shows(self, place: str) -> int:
        """The device number of a directory of the host."""
        return int(self.inside(f"stat -c %d {self.root}/{place}"))

    def running(self) -> dict[str, str]:
        ids = self.engine("ps", "--quiet", "--filter", "label=com.docker.compose.project=analyst").split()
        return {self.engine("inspect", "--format", '{{index .Config.Labels "com.docker.compose.service"}}', one): one for one in ids}

    def seen_by(self, container: str, place: str) -> int:
        return int(self.engine("exec", container, "stat", "-c", "%d", f"{self.root}/{place}"))

    def is_as_before(self) -> bool:
        """The disk is where it was, with the whole state, and every service sees it there."""
        running = self.running()
        assert self.state("data/state") == self.kept
        assert self.shows("data/state") == self.disk["state"].number
        assert not (self.root / "data-state").exists() or self.shows("data-state") != self.disk["state"].number
        assert "STATE_DIR=" + str(self.root / "data/state") in (self.site / ".env").read_text()
        assert f"{self.root}/data/state " in self.fstab.read_text()
        assert set(running) == {*OF_STATE, "caddy"}
        return all(self.seen_by(running[name], "data/state") == self.disk["state"].number for name in OF_STATE)


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    for name in ("docker", "loop", "xfs", "compose"):
        component(name)
    with docker_engine(own_mounts=True) as running:
        yield running


@pytest.fixture
def host(engine: DockerEngine, tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        disk = stack.enter_context(disks(tmp_path, data=EXT4, state=XFS))
        host = Host(root=tmp_path / "host", engine=engine, disk=disk, environ=human_environ(tmp_path))
        host.lay_out()
        stack.callback(clean, host)
        host.mount()
        host.docker_compose("up", "--detach", "--pull", "never")
        host.kept = host.state("data/state")
        host.activity = host.inside(f"cat {host.root}/data/state/activity.log").splitlines()
        yield host


def clean(host: Host) -> None:
    """No container and no mount of the test is left in the engine's namespace."""
    for container in host.engine("ps", "--all", "--quiet").split():
        host.engine("rm", "--force", container)
    host.engine("volume", "prune", "--force")
    host.inside(f"for at in $(findmnt -rno TARGET | grep '^{host.root}/' | tac); do umount $at; done")


def test_the_disk_lies_beside_the_other_with_the_whole_state_and_every_service_sees_it(host: Host) -> None:
    assert host.is_as_before()
    plan = host.planned()
    shown = host.type("apply", plan)
    assert shown.code == 0, shown.text
    assert host.state("data-state") == host.kept
    assert host.state("data/.state-before-flat") == host.kept
    running = host.running()
    assert set(running) == {*OF_STATE, "caddy"}
    for name in OF_STATE:
        assert [host.seen_by(running[name], place) for place in ("data", "data-state")] == [host.disk["data"].number, host.disk["state"].number]
        assert host.engine("exec", running[name], "sh", "-c", "echo $STATE_DIR") == f"{host.root}/data-state"
    assert host.engine("exec", running["caddy"], "ls", "/certs") == "key.pem"
    assert not (host.inside(f"ls -d {host.root}/data/state || true"))
    written = host.inside(f"cat {host.root}/data-state/activity.log").splitlines()
    assert (written[0], len(written) > len(host.activity)) == ("begun", True)
    assert written[: len(host.activity)] == host.activity
    assert host.fstab.read_text() == host.here((EXAMPLE / "fstab.example").read_text()).replace("/data/state ", "/data-state ")
    patched = f"{host.root}/data-state\nCOMPOSE_FILE=compose.yaml:compose.flat.yaml\n"
    assert (host.site / ".env").read_text().endswith(f"STATE_DIR={patched}")
    assert f"mv {host.site}/interlock.flat.yaml {host.site}/interlock.yaml" in shown.text
    run = host.site / "reports" / shown.text.split("evidence: ")[-1].split("/")[-1].split()[0]
    evidence = json.loads((run / "record.json").read_text())
    layout = [verdict for verdict in evidence["verdicts"] if (verdict["guardrail"], verdict["subject"]) == ("mounts.layout", "layout")]
    assert [verdict["outcome"] for verdict in layout] == ["held"]
    assert evidence["target"]["file"].endswith("interlock.flat.yaml")
    assert host.type("verify", str(run)).code == 0


def test_behind_a_shut_gate_nothing_is_begun(host: Host) -> None:
    """Files that the disk hides: they would be found below the mountpoint when it is too late."""
    seen = f"{host.root}/seen"
    host.inside(f"mkdir {seen} && mount --bind {host.root}/data {seen} && echo hidden >{seen}/state/forgotten && umount {seen}")
    shown = host.type("apply", host.planned())
    assert shown.code == 1, shown.text
    assert "mounts.shadowed_files" in shown.text
    assert "nothing was begun" in shown.text
    assert host.is_as_before()


# ---- a fault at each step

REAL = {name: shutil.which(name) or name for name in ("cp", "mount", "umount")}
LOSES = f'{REAL["cp"]} "$@" && for last; do :; done && rm "$last/users/a"'
CHANGES_OWNER = f'{REAL["cp"]} "$@" && for last; do :; done && chown 0:0 "$last/system.db"'
NO_MOUNT = f'case $* in *data-state) echo "mount: wrong fs type" >&2; exit 32;; esac; exec {REAL["mount"]} "$@"'
READ_ONLY = f'case $* in *data-state) exec {REAL["mount"]} -o ro "$@";; esac; exec {REAL["mount"]} "$@"'
OTHER_DISK = f'case $* in *data-state) for last; do :; done; exec {REAL["mount"]} -t tmpfs other "$last";; esac; exec {REAL["mount"]} "$@"'
NO_DOWN = 'case $* in *" down"*) echo "cannot stop" >&2; exit 1;; esac; exec {compose} "$@"'


def no_room_for_a_backup(host: Host) -> None:
    host.inside(f"mount -t tmpfs -o size=64k,mode=700 small {host.root}/var/backups/analyst/state")


def stack_does_not_go_down(host: Host) -> None:
    host.shim("docker-compose", NO_DOWN.format(compose=host.compose))
    host.environ["INTERLOCK_COMPOSE"] = str(host.root / "shims" / "docker-compose")


def copy_lacks_a_file(host: Host) -> None:
    host.shim("cp", f'case $1 in --archive) {LOSES};; *) exec {REAL["cp"]} "$@";; esac')


def copy_has_another_owner(host: Host) -> None:
    host.shim("cp", f'case $1 in --archive) {CHANGES_OWNER};; *) exec {REAL["cp"]} "$@";; esac')


def disk_is_in_use(host: Host) -> None:
    """By a program of the host that is no service."""
    host.shim("umount", f'cd {host.root}/data/state && exec {REAL["umount"]} "$@"')


def disk_is_not_mountable(host: Host) -> None:
    host.shim("mount", NO_MOUNT)


def disk_is_mounted_read_only(host: Host) -> None:
    host.shim("mount", READ_ONLY)


def env_file_cannot_be_replaced(host: Host) -> None:
    host.inside(f"mount --bind {host.site}/.env {host.site}/.env")


def service_does_not_come_up(host: Host) -> None:
    """The new overlay forgets the state disk for the application, which ends without its database."""
    flat = (host.site / "compose.flat.yaml").read_text()
    own = "services:\n  app:\n    volumes: !override\n      - ${DATA_DIR}:${DATA_DIR}\n  extract: &flat\n"
    (host.site / "compose.flat.yaml").write_text(flat.replace("services:\n  app: &flat\n", own).replace("  extract: *flat\n", ""))


def service_comes_up_without_its_state(host: Host) -> None:
    """The new overlay forgets the state disk for a service that does not notice."""
    flat = (host.site / "compose.flat.yaml").read_text()
    (host.site / "compose.flat.yaml").write_text(
        flat.replace("  scheduler: *flat\n", "  scheduler:\n    volumes: !override\n      - ${DATA_DIR}:${DATA_DIR}\n")
    )


PROVE = pytest.mark.skipif(os.environ.get("INTERLOCK_PROFILE") != "prove", reason="one fault of each kind is seeded in `make test`, the others in `make prove`")


@pytest.mark.parametrize(
    ("fault", "failed", "said"),
    [
        pytest.param(no_room_for_a_backup, 1, "room", marks=PROVE),
        pytest.param(stack_does_not_go_down, 2, "cannot stop", marks=PROVE),
        pytest.param(copy_lacks_a_file, 3, "is no copy of", marks=PROVE),
        pytest.param(copy_has_another_owner, 3, "is no copy of", marks=PROVE),
        pytest.param(disk_is_in_use, 4, "target is busy", marks=PROVE),
        pytest.param(disk_is_not_mountable, 4, "wrong fs type", marks=PROVE),
        pytest.param(disk_is_mounted_read_only, 5, "mounts.writable", marks=PROVE),
        pytest.param(env_file_cannot_be_replaced, 7, "", marks=PROVE),
        pytest.param(service_does_not_come_up, 8, "flat does not run as planned: analyst-app-1 is", marks=PROVE),
        pytest.param(service_comes_up_without_its_state, 8, "postflight gate is shut; why: mounts.layout [layout] 4 of 5 services bind both"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_step_that_fails_is_undone_with_all_before_it(host: Host, fault: Callable[[Host], None], failed: int, said: str) -> None:
    fault(host)
    shown = host.type("apply", host.planned())
    assert shown.code == 16, shown.text
    assert "is undone, everything is as it was" in shown.text
    assert said in shown.text, shown.text
    assert (f"\nstep {failed} of 8" in shown.text, f"\nstep {failed + 1} of 8" in shown.text) == (True, False), shown.text
    assert host.is_as_before()
    assert not (host.root / "data-state").exists() or not list((host.root / "data-state").iterdir())


# ---- what cannot be undone by itself: nothing is lost, and it is said what to do


def test_a_disk_that_can_be_mounted_nowhere_leaves_its_state_and_a_copy_and_one_command(host: Host) -> None:
    broken = host.root / "broken"
    broken.touch()
    host.shim("mount", f'if [ -e {broken} ]; then echo "mount: input/output error" >&2; exit 32; fi; exec {REAL["mount"]} "$@"')
    plan = host.planned()
    shown = host.type("apply", plan)
    assert shown.code == 18, shown.text
    assert "HALF-CHANGED" in shown.text
    assert host.state("data/.state-before-flat") == host.kept
    assert host.running() == {}
    status = host.type("status").text
    assert "step 4: NOT undone" in status
    assert "input/output error" in status
    assert f"next: interlock rollback {plan}" in status
    broken.unlink()
    assert host.type("rollback", plan).code == 0
    assert host.is_as_before()


@PROVE
def test_a_file_that_is_lost_on_the_way_is_in_the_copy_that_stays(host: Host) -> None:
    host.shim("mount", f'{REAL["mount"]} "$@" || exit; case $* in *data-state) rm "{host.root}/data-state/users/a";; esac')
    plan = host.planned()
    shown = host.type("apply", plan)
    assert shown.code == 18, shown.text
    assert "1 of 1 expectations do not hold" in shown.text
    assert host.state("data/.state-before-flat") == host.kept
    status = host.type("status").text
    assert "lacks 1 names that" in status, status
    assert "the copy stays" in status
    assert f"next: interlock rollback {plan}" in status
    host.inside(f"cp -a {host.root}/data/.state-before-flat/. {host.root}/data/state/")
    assert host.type("rollback", plan).code == 0
    host.kept = host.state("data/state")
    assert host.is_as_before()


@PROVE
def test_a_runner_that_was_killed_behind_the_move_is_rolled_back(host: Host) -> None:
    host.shim("mount", f'{REAL["mount"]} "$@" || exit; case $* in *data-state) kill -9 "$(cat {host.root}/runner)";; esac')
    plan = host.planned()
    assert host.type("apply", plan).code == -9
    host.shim("mount", f'exec {REAL["mount"]} "$@"')
    assert f"next: interlock rollback {plan}" in host.type("status").text
    refused = host.type("resume", plan)
    assert "has moved disks" in refused.text
    assert f"interlock rollback {plan}" in refused.text
    assert host.type("rollback", plan).code == 0
    assert host.is_as_before()
