"""The worked example examples/nested-to-flat, for real: two disks, an engine that sees them, six services, a human who types; and what happens when a step fails.

Disks and engine live in a mount namespace of their own, with the example's absolute paths below a folder of the test.
"""

from __future__ import annotations

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
from tests.disks import EXT4, Disk, disks
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.in_terminal import INTERLOCK, Shown, human_environ, in_terminal
from tests.tiny_site import key_of, signer_line

EXAMPLE = Path(__file__).parents[2] / "examples" / "nested-to-flat"
OURS = re.compile(r"(?<![\w./-])/(data|opt|var/backups|etc)\b")
STATE_OF_SERVICES = ("app", "extract", "scheduler", "telegram-bot", "ws-gateway")
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
chown -R 999:999 . ; chown root:999 certs certs/key.pem; chown root:root .
"""


@dataclass
class Host:
    """A host with its two disks and its engine, as the example describes it, and whoever types there."""

    root: Path
    engine: DockerEngine
    disk: Mapping[str, Disk]
    environ: dict[str, str]
    kept: str = ""
    compose: str = field(default_factory=lambda: getattr(find_compose(os.environ), "path", ""))

    @property
    def site(self) -> Path:
        return self.root / "opt" / "analyst"

    def here(self, text: str) -> str:
        """A text of the example with this host's paths and devices."""
        text = text.replace("/var/run/docker.sock", str(self.engine.socket)).replace("busybox:1.36", IMAGE)
        for name, disk in self.disk.items():
            text = text.replace(f"LABEL=analyst-{name}", disk.device)
        return OURS.sub(lambda match: f"{self.root}/{match[1]}", text)

    def lay_out(self) -> None:
        """The example's files in their places."""
        shutil.copytree(EXAMPLE, self.site)
        for name in ("interlock.yaml", "interlock.flat.yaml"):
            text = self.here((self.site / name).read_text())
            (self.site / name).write_text(text.replace("    fstab:", f"    lock: {self.root}/lock\n    fstab:"))
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

    def docker_compose(self, *words: str) -> str:
        """What an operator types in the site's folder."""
        environ = f"DOCKER_HOST=unix://{self.engine.socket}"
        return self.inside(f"cd {self.site} && {environ} {self.compose} {' '.join(words)}")

    def type(self, *words: str, replies: tuple[tuple[str, str], ...] = ()) -> Shown:
        return in_terminal((*self.engine.enter, *INTERLOCK, *words), self.environ, self.site, replies=replies, limit=120)

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

    def is_nested(self) -> bool:
        """The disk is where it was, with the whole state, and every service sees it there."""
        running = self.running()
        assert self.state("data/state") == self.kept
        assert self.shows("data/state") == self.disk["state"].number
        assert not (self.root / "data-state").exists() or self.shows("data-state") != self.disk["state"].number
        assert "STATE_DIR=" + str(self.root / "data/state") in (self.site / ".env").read_text()
        assert f"{self.root}/data/state " in self.fstab.read_text()
        assert set(running) == {*STATE_OF_SERVICES, "caddy"}
        return all(self.seen_by(running[name], "data/state") == self.disk["state"].number for name in STATE_OF_SERVICES)


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    for name in ("docker", "loop", "compose"):
        component(name)
    with docker_engine(own_mounts=True) as running:
        yield running


@pytest.fixture
def host(engine: DockerEngine, tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        disk = stack.enter_context(disks(tmp_path, data=EXT4, state=EXT4))
        host = Host(root=tmp_path / "host", engine=engine, disk=disk, environ=human_environ(tmp_path))
        host.lay_out()
        stack.callback(clean, host)
        host.mount()
        host.docker_compose("up", "--detach", "--pull", "never")
        host.kept = host.state("data/state")
        yield host


def clean(host: Host) -> None:
    """No container and no mount of the test is left in the engine's namespace."""
    for container in host.engine("ps", "--all", "--quiet").split():
        host.engine("rm", "--force", container)
    host.engine("volume", "prune", "--force")
    host.inside(f"for at in $(findmnt -rno TARGET | grep '^{host.root}/' | tac); do umount $at; done")


def test_the_disk_lies_beside_the_other_with_the_whole_state_and_every_service_sees_it(host: Host) -> None:
    plan = host.planned()
    shown = host.type("apply", plan)
    assert shown.code == 0, shown.text
    print(shown.text)
    assert host.state("data-state") == host.kept
    assert host.shows("data-state") == host.disk["state"].number
