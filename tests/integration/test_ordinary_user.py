"""What does the gate say to those who are not root? To a user in the group of the engine, to one who is not, to one with sudo, and from afar: on real disks
with a real engine, which a user of this machine's looks at as its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock.facts.looks import EngineAnswer, HostFacts
from interlock.observe.facts_file import load
from interlock.testing import CheckRun, run_check
from interlock.testing.faults import read_site, rewrite_site, write_site
from interlock.verdicts import Outcome, Verdict
from tests.disks import EXT4, disks
from tests.docker_engine import IMAGE, DockerEngine, docker_engine
from tests.integration.sshd import PrivateSshd

UID, GROUP = 4242, 4243  # of the user, and of the engine's socket; nobody here has them
NAME = "deploy"
CANARY = "canary-7fb2c1"
BECOME = "`become: sudo -n`"
NEEDS_ROOT = {
    "mounts.nested_visible running",
    "mounts.read_only_is_read_only running",
    "mounts.shadowed_files data",
    "mounts.shadowed_files state",
    "mounts.two_writers state",
    "permissions.mode_needs_owner_match running",
    "permissions.uid_matches_state_dir running",
    "permissions.state_subdirs_precreated running",
    "state_dir.host_and_stack_agree STATE_DIR",
    "state_dir.writable_by_service running",
}
COMPOSE = """\
services:
  app:
    image: {image}
    environment: {{STATE_DIR: /data/state, DB_PASSWORD: "${{DB_PASSWORD}}"}}
    volumes: ["{top}:/data", "{top}/state:/only:ro", "{top}/own:/own"]
"""


@dataclass(frozen=True)
class Host:
    """An engine whose host has a state disk mounted on a data disk, a site that declares both, and a file that the state disk hides."""

    engine: DockerEngine
    top: Path
    site: Path

    def user(self, *, in_group: bool = True) -> tuple[str, ...]:
        """What starts a command as the user, among the mounts of the engine."""
        groups = ("--groups", str(GROUP)) if in_group else ("--clear-groups",)
        return (*self.engine.enter, *UNMEASURED, "setpriv", "--reuid", str(UID), "--regid", str(UID), *groups, "--inh-caps=-all")

    def gate(self, within: tuple[str, ...], *arguments: str, site: Path | None = None) -> CheckRun:
        run = run_check(site or self.site, "preflight", *arguments, within=within, environ={"HOME": str(self.site)}, alone=True)
        assert "Traceback" not in run.output
        return run

    def interlock(self, within: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = (*within, sys.executable, "-m", "interlock", *arguments)
        environ = dict(os.environ, HOME=str(self.site))
        return subprocess.run(argv, cwd=self.site, env=environ, capture_output=True, text=True, check=False, timeout=60)

    def pasted(self, command: str) -> str:
        """A command of a remedy as it is printed, run by root on that host; its docker talks to that engine."""
        argv = (*self.engine.enter, "env", f"DOCKER_HOST=unix://{self.engine.socket}", "sh", "-c", command.removeprefix("sudo "))
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    def as_root(self) -> Path:
        """Another folder of the same site, which sudo is asked for."""
        site = read_site(self.site)
        site["hosts"]["local"]["become"] = "sudo -n"
        return self._copied("site-sudo", site)

    def far(self, ssh: Mapping[str, object]) -> Path:
        """Another folder of the same site, whose host is another one."""
        site = read_site(self.site)
        site["hosts"] = {"far": {**site["hosts"]["local"], "ssh": ssh}}
        mounts = site["mounts"]
        for noun in (mounts["state"], mounts["data"], site["state_dir"], site["instances"]["main"]):
            noun["host"] = "far"
        return self._copied("site-far", site)

    def _copied(self, name: str, site: Mapping[str, Any]) -> Path:
        folder = self.site.with_name(name)
        shutil.copytree(self.site, folder, ignore=shutil.ignore_patterns("reports", "*.json"))
        (folder / "reports").mkdir()
        rewrite_site(folder, site)
        give(folder)
        return folder


def give(folder: Path) -> None:
    """Let the user have a folder with all that is in it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID)


UNMEASURED = ("env", "-u", "COVERAGE_PROCESS_CONFIG", "-u", "COVERAGE_PROCESS_START")  # another user cannot write where coverage is kept


@pytest.fixture(scope="module")
def host(component: Callable[[str], None]) -> Iterator[Host]:
    component("docker")
    component("loop")
    component("compose")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="il-user-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)  # those of pytest are closed to the user
        able = ("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", sys.executable, "-c", "import interlock, pytest")
        if subprocess.run(able, cwd=folder, capture_output=True, check=False).returncode != 0:
            pytest.skip(f"needs an interpreter that every user may start, with interlock; {sys.executable} is closed to them")
        disk = stack.enter_context(disks(folder, data=EXT4, state=EXT4))
        engine = stack.enter_context(docker_engine(own_mounts=True))
        top, site = folder / "data", folder / "site"
        top.mkdir()
        site.mkdir()
        engine.folder.chmod(0o711)
        os.chown(engine.socket, 0, GROUP)
        engine.socket.chmod(0o660)
        engine.inside("mount", disk["data"].device, str(top))
        engine.inside("mkdir", "-p", f"{top}/state", f"{top}/own")
        engine.inside("sh", "-c", f"echo lost > {top}/state/before.db; chown 1234 {top}/own; chmod 755 {top}")
        engine.inside("mount", disk["state"].device, f"{top}/state")
        engine.inside("sh", "-c", f"mkdir -m 700 {top}/state/keys; chown -R 1234 {top}/state")
        labels = {"service": "app", "project": "shop", "project.working_dir": str(site), "project.config_files": f"{site}/compose.yaml"}
        said = [part for key, text in labels.items() for part in ("--label", f"com.docker.compose.{key}={text}")]
        binds = ("--volume", f"{top}:/data", "--volume", f"{top}/state:/only:ro", "--volume", f"{top}/own:/own", "--volume", "/etc/hostname:/name:ro")
        secret = ("--env", "STATE_DIR=/data/state", "--env", f"DB_PASSWORD={CANARY}")
        engine("run", "--detach", "--network", "none", "--name", "shop-app-1", "--user", "1234", *said, *secret, *binds, IMAGE, "sleep", "600")
        (site / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, top=top))
        mounts = {"state": {"path": f"{top}/state", "device": disk["state"].device}, "data": {"path": str(top), "device": disk["data"].device}}
        (site / ".env").write_text(f"STATE_DIR=/data/state\nDB_PASSWORD={CANARY}\n")
        (site / ".env").chmod(0o600)
        (site / "reports").mkdir()
        write_site(
            site,
            {
                "hosts": {"local": {"engine": str(engine.socket)}},
                "instances": {"main": {"directory": str(site)}},
                "mounts": mounts | {"layout": "nested"},
                "compose": {"files": ["compose.yaml"]},
                "state_dir": {"path": f"{top}/state", "container_path": "/data/state", "default": "/data/state"},
            },
        )
        give(site)
        yield Host(engine, top, site)


def verdicts(run: CheckRun, outcome: Outcome) -> Mapping[str, Verdict]:
    assert run.record is not None, run.output
    return {f"{verdict.guardrail} {verdict.subject.partition('@')[0]}": verdict for verdict in run.record.verdicts if verdict.outcome is outcome}


def outcomes(run: CheckRun) -> Mapping[str, Outcome]:
    """Of each pair, whichever host it is on."""
    assert run.record is not None, run.output
    return {f"{verdict.guardrail} {verdict.subject.partition('@')[0].removesuffix('-far')}": verdict.outcome for verdict in run.record.verdicts}


@pytest.fixture(scope="module")
def by_root(host: Host) -> Mapping[str, Outcome]:
    """What root's gate says, in which nothing is unproven, and what the state disk hides alone is broken."""
    run = host.gate(host.engine.enter)
    assert set(verdicts(run, Outcome.BROKEN)) == {"mounts.shadowed_files state"}, verdicts(run, Outcome.BROKEN)
    assert verdicts(run, Outcome.UNPROVEN) == {}
    return outcomes(run)


def test_what_needs_no_root_is_judged_and_the_rest_is_unproven_with_the_line_that_helps(host: Host, by_root: Mapping[str, Outcome]) -> None:
    run = host.gate(host.user())
    unproven = verdicts(run, Outcome.UNPROVEN)
    assert set(unproven) == NEEDS_ROOT
    assert {name: one for name, one in outcomes(run).items() if name not in NEEDS_ROOT} == {k: v for k, v in by_root.items() if k not in NEEDS_ROOT}
    assert [name for name, verdict in unproven.items() if BECOME not in verdict.remedy] == []
    commands = {name: re.findall(r"`((?:sudo|docker) [^`]*)`", verdict.remedy)[:1] for name, verdict in unproven.items()}
    printed = {name: host.pasted(command) for name, found in commands.items() for command in found}
    same, other = printed["mounts.nested_visible running"].split()
    assert same == other
    assert " /only ro," in printed["mounts.read_only_is_read_only running"]
    assert "before.db" in printed["mounts.shadowed_files state"]
    assert "keys" not in printed["mounts.two_writers state"], "it belongs to the service's user"
    assert printed["state_dir.writable_by_service running"] == "yes\n"


def test_without_the_group_nothing_of_the_engine_is_held(host: Host) -> None:
    unproven = verdicts(host.gate(host.user(in_group=False)), Outcome.UNPROVEN)
    assert set(unproven) > NEEDS_ROOT
    closed = [verdict for verdict in unproven.values() if "docker.sock could not be looked at: Permission denied" in verdict.message]
    assert len(closed) > len(NEEDS_ROOT)
    assert [verdict.guardrail for verdict in closed if BECOME not in verdict.remedy] == []
    assert {verdict.guardrail for verdict in closed if "group `docker`" not in verdict.remedy} == {"site.undeclared"}


def test_doctor_tells_each_cause_once_and_its_line_changes_that(host: Host, by_root: Mapping[str, Outcome]) -> None:
    """The line of sudoers is written as printed, for mounts that nobody else has: this machine's own files stay as they are."""
    done = host.interlock(host.user(), "doctor")
    assert done.returncode == 11, done.stderr
    assert done.stdout.startswith(f"{len(NEEDS_ROOT)} of the guardrails that proof asks will be unproven here, all for one reason:\n"), done.stdout
    assert done.stdout.count("->") == 1
    assert "mounts.shadowed_files [state, data]\n" in done.stdout
    sudo = shutil.which("sudo")
    if sudo is None:
        pytest.skip("needs sudo (Debian: apt-get install sudo)")
    passwd, sudoers = host.site.with_name("passwd"), host.site.with_name("sudoers")
    passwd.write_text(f"{Path('/etc/passwd').read_text()}{NAME}:*:{UID}:{UID}::{host.site}:/bin/sh\n")
    host.engine.inside("mount", "--bind", str(passwd), "/etc/passwd")
    done = host.interlock(host.user(), "doctor")
    (line,) = re.findall(r"the line `([^`]*)` in /etc/sudoers.d/interlock", done.stdout)
    sudoers.write_text(f"{line}\n")
    sudoers.chmod(0o440)
    host.engine.inside("mount", "--bind", str(sudoers), "/etc/sudoers")
    assert outcomes(host.gate(host.user(), site=host.as_root())) == by_root
    assert str(sudoers) not in Path("/proc/self/mountinfo").read_text()


def test_over_ssh_one_session_brings_the_same_verdicts(host: Host, by_root: Mapping[str, Outcome], component: Callable[[str], None]) -> None:
    component("sshd")
    within = f'exec nsenter --mount=/proc/{host.engine.pid}/ns/mnt -- sh -c "$SSH_ORIGINAL_COMMAND"'
    with PrivateSshd(host.site.with_name("sshd"), force=within) as server:
        run = host.gate((), site=host.far(server.ssh()))
        assert outcomes(run) == by_root
        assert server.accepted() == 1


def test_facts_that_were_kept_are_judged_the_same_and_hold_no_secret_of_a_container(host: Host, by_root: Mapping[str, Outcome]) -> None:
    facts = host.site / "facts.json"
    assert host.interlock(host.engine.enter, "facts", "--output", str(facts)).returncode == 0
    run = host.gate((), "--facts", str(facts))
    assert outcomes(run) == by_root
    assert run.exit_code != 0
    seen = load(facts)["local"]
    assert isinstance(seen, HostFacts)
    (engine,) = (answer.content for answer in seen.answers.values() if isinstance(answer, EngineAnswer))
    assert "DB_PASSWORD" in json.dumps(json.loads(engine))
    assert CANARY.encode() not in engine
    assert CANARY not in facts.read_text()
    assert run.folder is not None
    assert [path for path in run.folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()] == []
