"""A whole gate run on a host behind a real sshd: one connection, however pytest is run; and the same gate from saved facts."""

from __future__ import annotations

import getpass
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.testing import run_check
from interlock.testing.faults import write_site
from interlock.testing.faults.backups import back_up
from interlock.verdicts import Outcome
from tests.integration.sshd import PrivateSshd


@pytest.fixture
def server(component: Callable[[str], None], tmp_path: Path) -> Iterator[PrivateSshd]:
    component("sshd")
    with PrivateSshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def site(server: PrivateSshd, tmp_path: Path) -> Path:
    """Two modules with forty backups each and three files, all on the far host."""
    modules = {}
    for module in ("app", "db"):
        backups = tmp_path / module
        backups.mkdir(mode=0o700)
        for number in range(40):
            back_up(backups / f"{number}.tar", Path("/etc/hostname"), hours=number / 2)
        modules[module] = {"host": "far", "paths": ["/etc/hostname"], "backups": str(backups), "owner": getpass.getuser()}
    expect = {f"file-{number}": {"host": "far", "file": {"path": str(tmp_path / "app" / f"{number}.tar"), "mode": "0600"}} for number in range(3)}
    folder = tmp_path / "site"
    folder.mkdir()
    write_site(folder, {"hosts": {"far": {"ssh": server.ssh()}}, "modules": modules, "expect": expect})
    return folder


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_one_connection_answers_every_guardrail(server: PrivateSshd, site: Path, arguments: tuple[str, ...]) -> None:
    ran = run_check(site, "preflight", *arguments)
    assert ran.exit_code == 0, ran.output
    assert server.accepted() == 1
    assert {verdict.subject: verdict.details.held for verdict in ran.verdicts("backups.mode_0600")} == {"app@far": 41, "db@far": 41}


def test_what_is_wrong_there_is_named_with_its_host(server: PrivateSshd, site: Path) -> None:
    (site.parent / "db" / "7.tar").chmod(0o644)
    ran = run_check(site, "preflight")
    assert ran.exit_code == 1
    assert ran.record is not None
    assert [(reason.guardrail, reason.subject) for reason in ran.record.reasons] == [("backups.mode_0600", "db@far")]


def test_saved_facts_judge_the_same_without_a_connection(server: PrivateSshd, site: Path) -> None:
    facts = site / "facts.json"
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "facts", "--output", str(facts)], cwd=site, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (server.accepted(), facts.stat().st_mode & 0o777) == (1, 0o600)
    (site.parent / "db" / "7.tar").chmod(0o644)
    ran = run_check(site, "preflight", "--facts", str(facts))
    assert ran.exit_code == 11, ran.output
    assert {verdict.outcome for verdict in ran.verdicts("backups.mode_0600")} == {Outcome.HELD}
    assert server.accepted() == 1


def test_a_check_of_the_operators_own_reaches_the_host_by_its_name(server: PrivateSshd, site: Path) -> None:
    (site / "checks").mkdir()
    (site / "checks" / "test_far.py").write_text(
        "def test_the_far_host_has_a_shell(hosts):\n    assert hosts['far'].file('/bin/sh').exists\n    assert hosts['local'].file('/bin/sh').exists\n"
    )
    ran = run_check(site, "preflight")
    assert ran.exit_code == 0, ran.output
    assert ran.outcome("own.far.the_far_host_has_a_shell") is Outcome.HELD
