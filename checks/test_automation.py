"""Automation: nothing applies by itself, and a failed gate stops the merge."""

from interlock.checking import assert_held, check
from interlock.facts.apply_paths import ApplyPaths
from interlock.facts.automation import ReviewedEnvironment, Starters
from interlock.facts.gate_workflow import GateWorkflow, NoGateWorkflow, Protection
from interlock.judge import apply_paths as ways
from interlock.judge import automation


@check(automation.NO_AUTOMATIC_APPLY)
def test_nothing_but_a_human_starts_what_changes_a_running_system(starters: Starters | ReviewedEnvironment) -> None:
    assert_held(automation.judge_no_automatic_apply(starters))


@check(automation.GATE_IS_REQUIRED)
def test_a_failed_gate_stops_the_merge(gate: GateWorkflow | NoGateWorkflow | Protection) -> None:
    assert_held(automation.judge_gate_is_required(gate))


@check(automation.EXCLUSIVE_LOCK)
def test_what_brings_the_stack_up_takes_a_lock_first(apply_paths: ApplyPaths) -> None:
    assert_held(ways.judge_exclusive_lock(apply_paths))
