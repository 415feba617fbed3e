"""Approval: everybody has agreed who must, and what had to be decided is."""

from interlock.checking import assert_held, check
from interlock.facts.apply_paths import ApplyPaths
from interlock.facts.approval import DesignIssue
from interlock.facts.signed_plan import SignedPlan
from interlock.facts.workplans import ModuleClaims, NextTask, Workplans
from interlock.judge import apply_paths as ways
from interlock.judge import approval


@check(approval.PLAN)
def test_enough_people_have_signed_the_plan(signed_plan: SignedPlan) -> None:
    assert_held(approval.judge_plan(signed_plan))


@check(approval.ISSUE)
def test_the_design_issue_says_that_it_may_be_done(design_issue: DesignIssue) -> None:
    assert_held(approval.judge_issue(design_issue))


@check(approval.DECISIONS)
def test_no_task_begins_before_what_it_needs_is_decided(workplans: Workplans | NextTask | ModuleClaims) -> None:
    assert_held(approval.judge_decisions(workplans))


@check(approval.GATE)
def test_a_human_says_yes_before_what_nobody_can_undo(apply_paths: ApplyPaths) -> None:
    assert_held(ways.judge_approval_gate(apply_paths))
