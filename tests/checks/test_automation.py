"""The automation family, proven both ways through real pytest."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import pytest
import yaml

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, read_site
from interlock.testing.faults.automation import FAULTS


@pytest.fixture
def site(tmp_path: Path) -> Path:
    FAULTS[0].healthy(tmp_path)
    return tmp_path


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.kind}-{number}") for number, fault in enumerate(FAULTS)])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, seen: set[Hashable]) -> None:
    assert prove(fault, seen) == ""


def test_the_message_shows_the_way_from_the_push_to_the_command(site: Path) -> None:
    FAULTS[0].seed(site)
    ran = run_check(site, "static")
    (broken,) = [verdict for verdict in ran.verdicts("automation.no_automatic_apply") if verdict.outcome == "broken"]
    assert broken.message == ('push to main → .forgejo/workflows/deploy.yml: job deploy, step "Deploy" → scripts/deploy.sh:4 → docker compose up -d over ssh')
    assert [(place.file, place.line) for place in broken.where] == [("scripts/deploy.sh", 4)]


def test_what_is_automatic_by_declaration_is_said_in_every_report(site: Path) -> None:
    FAULTS[0].seed(site)
    declared = read_site(site)
    declared["automation"]["automatic"] = [{"path": ".forgejo/workflows/deploy.yml", "reason": "a demo that nobody depends on", "owner": "kim"}]
    (site / "interlock.yaml").write_text(yaml.safe_dump(declared))
    ran = run_check(site, "static")
    assert ran.exit_code == 0
    assert (
        "automatic by declaration (kim: a demo that nobody depends on)"
        in {verdict.subject: verdict.message for verdict in ran.verdicts("automation.no_automatic_apply")}[".forgejo/workflows/deploy.yml"]
    )


def test_a_site_that_names_no_workflow_has_all_of_its_tree_looked_at(site: Path) -> None:
    FAULTS[0].seed(site)
    declared = read_site(site)
    declared["automation"] = {"apply": ["scripts/deploy.sh"]}
    (site / "interlock.yaml").write_text(yaml.safe_dump(declared))
    outcomes = {verdict.subject: str(verdict.outcome) for verdict in run_check(site, "static").verdicts("automation.no_automatic_apply")}
    assert outcomes == {"workflows": "broken", "crontabs": "held"}


def test_a_workflow_that_the_site_does_not_name_is_looked_at_all_the_same(site: Path) -> None:
    FAULTS[0].seed(site)
    declared = read_site(site)
    declared["automation"]["workflows"] = [".forgejo/workflows/tests.yml"]
    (site / "interlock.yaml").write_text(yaml.safe_dump(declared))
    outcomes = {verdict.subject: str(verdict.outcome) for verdict in run_check(site, "static").verdicts("automation.no_automatic_apply")}
    assert outcomes == {".forgejo/workflows/tests.yml": "held", "ops/crontab": "held", "workflows": "broken", "crontabs": "held"}


def test_a_gate_in_a_called_workflow_is_judged_where_it_is_called(tmp_path: Path) -> None:
    FAULTS[-2].healthy(tmp_path)
    path = tmp_path / ".forgejo/workflows/gate.yml"
    path.write_text(path.read_text().replace("  pull_request:", "  workflow_call:"))
    (tmp_path / ".forgejo/workflows/ci.yml").write_text("on: pull_request\njobs:\n  ours:\n    uses: ./.forgejo/workflows/gate.yml\n")
    ran = run_check(tmp_path, "static")
    assert ran.exit_code == 0, ran.output
    assert ran.verdicts("automation.gate_is_required")[0].message.startswith(".forgejo/workflows/ci.yml: job ours / gate runs the gate")
