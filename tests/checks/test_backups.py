"""The backups family, proven both ways through real pytest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, write_site
from interlock.testing.faults.backup_files import FAULTS as FROM_FILES
from interlock.testing.faults.backups import FAULTS, PROGRAM, SCRIPT


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.gate}-{fault.kind}") for fault in (*FAULTS, *FROM_FILES)])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault) -> None:
    assert prove(fault) == ""


def test_a_script_is_asked_from_files_alone_and_a_module_on_the_live_system(tmp_path: Path) -> None:
    (tmp_path / "backup.sh").write_text(SCRIPT.replace("umask 077\n", ""))
    (tmp_path / "recover.py").write_text(PROGRAM)
    (tmp_path / "backups").mkdir(mode=0o700)
    os.close(os.open(tmp_path / "backups" / "one.tar", os.O_CREAT | os.O_WRONLY, 0o600))
    owner = (tmp_path / "backups").owner()
    modules = {"app": {"paths": ["/srv/app"], "backups": str(tmp_path / "backups"), "owner": owner}}
    write_site(tmp_path, {"modules": modules, "scripts": {"files": ["backup.sh", "recover.py"]}})

    static = run_check(tmp_path, "static")
    assert [(verdict.subject, verdict.outcome) for verdict in static.verdicts("backups.mode_0600")] == [("backup.sh", "broken"), ("recover.py", "held")]
    assert [(place.file, place.line) for place in static.verdicts("backups.mode_0600")[0].where] == [("backup.sh", 3)]

    live = run_check(tmp_path, "preflight")
    assert [(verdict.subject, verdict.outcome) for verdict in live.verdicts("backups.mode_0600")] == [("app", "held")]


def test_a_script_that_is_not_there_is_unproven(tmp_path: Path) -> None:
    write_site(tmp_path, {"scripts": {"files": ["backup.sh"]}})
    ran = run_check(tmp_path, "static")
    assert (ran.exit_code, ran.outcome("backups.mode_0600")) == (11, "unproven")
