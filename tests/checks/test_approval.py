"""The approval family, proven both ways through real pytest."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, all_faults, write_site
from interlock.testing.forge_stand_in import answer, stand_in
from interlock.verdicts import Outcome

APPLY = "preflight or apply"  # what apply's own gate asks
PLAN = (
    "---\ntype: workplan\n---\n\n## Open Human Decisions\n\nBefore T2:\n\n1. Hours.\n\n```task\nid: WP-1-T1\nstatus: done\n```\n\n```task\nid: WP-1-T2\n```\n"
)


def cutover(folder: Path, *, labels: tuple[str, ...] = (), plan: str = PLAN, **forge: Any) -> None:
    """A site whose cutover has a design issue and carries out a task; its release has neither."""
    (folder / "workplans").mkdir()
    (folder / "workplans/wp.md").write_text(plan)
    action = {"steps": [{"command": {"run": ["true"]}}], "approval": "operator"}
    issue = {"forge": {"kind": "forgejo", "url": stand_in(folder), "repository": "ops/platform", **forge}}
    site = {"workplans": {}, "actions": {"cutover": {**action, "issue": 271, "task": "WP-1-T2"}, "release": action}}
    write_site(folder, {**site, "approval": {"allowed_signers": "allowed_signers", "issue": issue}, "expect": {"here": {"file": {"path": str(folder)}}}})
    answer(folder, {"repos/ops/platform/issues/271": {"number": 271, "state": "open", "labels": [{"name": label} for label in labels]}})


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.describe) for fault in all_faults() if fault.guardrail.startswith("approval.")])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, seen: set[Hashable]) -> None:
    assert prove(fault, seen) == ""


def test_applys_own_gate_asks_for_the_issue_and_the_task_of_its_action(tmp_path: Path) -> None:
    cutover(tmp_path, labels=("not-ready",))
    ran = run_check(tmp_path, APPLY, "--for", "cutover")
    assert (ran.exit_code, ran.outcome("approval.issue"), ran.outcome("approval.decisions")) == (1, Outcome.BROKEN, Outcome.BROKEN)
    assert [one.pair.subject for name in ("approval.issue", "approval.decisions") for one in ran.verdicts(name)] == ["issue 271", "task WP-1-T2"]


def test_it_opens_once_both_say_yes(tmp_path: Path) -> None:
    cutover(tmp_path, plan=PLAN.replace("Hours.", "Hours. decided: Sunday, alice, 2026-11-20"))
    ran = run_check(tmp_path, APPLY, "--for", "cutover")
    assert (ran.exit_code, ran.outcome("approval.issue"), ran.outcome("approval.decisions")) == (0, Outcome.HELD, Outcome.HELD)


def test_an_action_without_issue_and_task_is_asked_for_neither(tmp_path: Path) -> None:
    cutover(tmp_path, labels=("not-ready",))
    ran = run_check(tmp_path, APPLY, "--for", "release")
    assert (ran.exit_code, ran.outcome("approval.issue"), ran.outcome("approval.decisions")) == (0, Outcome.NOT_APPLICABLE, Outcome.NOT_APPLICABLE)


def test_a_preflight_asks_for_the_task_and_leaves_the_issue_to_apply(tmp_path: Path) -> None:
    cutover(tmp_path)
    ran = run_check(tmp_path, "preflight", "--for", "cutover")
    assert (ran.exit_code, ran.outcome("approval.decisions"), ran.verdicts("approval.issue")) == (1, Outcome.BROKEN, ())


def test_a_token_is_in_no_file_of_the_evidence_and_in_no_output(tmp_path: Path) -> None:
    cutover(tmp_path, token_env="FORGE_TOKEN")
    (tmp_path / "forge.json").unlink()  # now it lets nobody look
    ran = run_check(tmp_path, APPLY, "--for", "cutover", environ={"FORGE_TOKEN": "canary-of-a-token"})
    assert ran.outcome("approval.issue") is Outcome.UNPROVEN
    assert ran.folder is not None
    kept = [path.read_bytes() for path in ran.folder.rglob("*") if path.is_file()]
    assert len(kept) > 3
    assert b"canary" not in b"".join(kept) + ran.output.encode()
