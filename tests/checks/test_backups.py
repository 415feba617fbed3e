"""The backups family, proven both ways through real pytest."""

from __future__ import annotations

import os
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from interlock.commands.scan import scan
from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, read_site, write_site
from interlock.testing.faults.backup_coverage import FAULTS as COVERED
from interlock.testing.faults.backup_files import FAULTS as FROM_FILES
from interlock.testing.faults.backup_files import platform
from interlock.testing.faults.backups import FAULTS, PROGRAM, SCRIPT, private_backups, write_private


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.gate}-{fault.kind}") for fault in (*FAULTS, *FROM_FILES, *COVERED)])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, seen: set[Hashable]) -> None:
    assert prove(fault, seen) == ""


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


def test_a_tree_without_a_site_file_is_asked_for_its_modules(tmp_path: Path) -> None:
    platform(tmp_path)
    (tmp_path / "interlock.yaml").unlink()
    record, _ = scan(tmp_path, {"PATH": "/usr/bin:/bin"})
    (found,) = [verdict for verdict in record.verdicts if verdict.guardrail == "backups.class_assigned"]
    assert (found.subject, found.outcome, found.details.total) == ("modules", "held", 4)
    (tmp_path / "modules" / "grafana" / "runbook.md").unlink()
    record, _ = scan(tmp_path, {"PATH": "/usr/bin:/bin"})
    (found,) = [verdict for verdict in record.verdicts if verdict.guardrail == "backups.class_assigned"]
    assert (found.outcome, [place.file for place in found.where]) == ("broken", ["modules/grafana/module.yaml"])


def test_a_module_with_a_procedure_is_asked_in_both_gates_and_one_without_on_the_live_system_alone(tmp_path: Path) -> None:
    private_backups(tmp_path)
    assert [verdict.outcome for verdict in run_check(tmp_path, "static").verdicts("backups.complete")] == ["not_applicable"]
    site = read_site(tmp_path)
    site["modules"]["app"]["procedure"] = "backup.sh"
    (tmp_path / "backup.sh").write_text("umask 077\ncp database/app.db backups/app.db\n")
    write_site(tmp_path, {"modules": site["modules"]})
    assert [(verdict.subject, verdict.outcome) for verdict in run_check(tmp_path, "static").verdicts("backups.complete")] == [("app", "broken")]
    assert [(verdict.subject, verdict.outcome) for verdict in run_check(tmp_path, "preflight").verdicts("backups.complete")] == [("app", "held")]


def test_a_waiver_of_a_smaller_backup_bounds_by_how_much(tmp_path: Path) -> None:
    private_backups(tmp_path)
    write_private(min((tmp_path / "backups").glob("*.tar.gz")), os.urandom(20_000), hours=25)
    (found,) = run_check(tmp_path, "preflight").verdicts("backups.complete")
    waiver = {"guardrail": "backups.complete", "subject": "app", "fingerprint": found.where[0].key, "reason": "the receipts of 2025 were moved away"}
    waiver |= {"id": "w1", "owner": "kim", "approver": "sam", "ticket": "ops#12"}
    waiver["expires_at"] = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"
    for up_to, outcome in ((99, "waived"), (60, "broken")):
        (tmp_path / "waivers.yaml").write_text(yaml.safe_dump({"waivers": [{**waiver, "up_to": up_to}]}))
        assert run_check(tmp_path, "preflight").outcome("backups.complete") == outcome
