"""How is seen who has agreed? What was signed beside a plan is read and verified; the forge is asked for the design issue of an action;
workplans are read by `interlock.observe.workplans`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from interlock.config.actions import IssueState
from interlock.config.forges import ForgeKind
from interlock.errors import ConfigError, CouldNotLook, PlanNotNamed
from interlock.facts.approval import ISSUE_NAME, READINESS_NAME, TASK_NAME, DesignIssue
from interlock.facts.signed_plan import SignedPlan
from interlock.facts.workplans import ModuleClaims, NextTask, Workplans
from interlock.observe import apply_paths, forge, workplans
from interlock.observe.signatures import voters
from interlock.observe.statements import APPROVALS, FOLDER, PLANNER, statement, statements
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

_MUST_BE_OPEN = {IssueState.OPEN: True, IssueState.CLOSED: False, IssueState.ANY: None}


def signed_plan(world: World, _subject: Subject) -> SignedPlan:
    """The plan that this gate is asked for, and every statement beside it, verified. Raises `CouldNotLook` without a plan, or when nobody can verify."""
    plan, site, now = world.plan, world.site, datetime.now(UTC)
    if plan is None:
        raise PlanNotNamed("no plan was named, so nobody knows what was approved", where=site.source, remedy="interlock apply PLAN asks it")
    try:
        who_may = voters(site)
    except ConfigError as error:
        raise CouldNotLook(error.what, where=error.where, why=error.why, remedy=error.remedy) from error
    return SignedPlan(
        digest=plan.digest,
        action=plan.action,
        site=site.site,
        created=plan.created,
        planner=statement(plan.folder / PLANNER, who_may, now),
        statements=statements(site.root / FOLDER / APPROVALS / plan.folder.name, who_may, now),
        signers=who_may.signers,
        rules=who_may.rules,
        now=now,
    )


def design_issue(world: World, subject: Subject) -> DesignIssue:
    """The issue that a subject names, beside what the site demands of it. Raises `CouldNotLook`."""
    assert world.site.approval is not None  # a site file that names an issue says where it is kept
    rule = world.site.approval.issue
    assert rule is not None
    return DesignIssue(
        issue=forge.issue(rule.forge, int(subject.name.removeprefix(ISSUE_NAME)), world.environ),
        must_be_open=_MUST_BE_OPEN[rule.state],
        required=rule.require_labels or (),
        forbidden=rule.forbid_labels,
        ignores_case=rule.forge.kind is ForgeKind.GITHUB,
    )


def decisions(world: World, subject: Subject) -> Workplans | NextTask | ModuleClaims:
    """What a subject names: the workplans of a pattern, the task of an action, or the claims of module files. Raises `CouldNotLook`."""
    if subject.name == READINESS_NAME:
        return workplans.module_claims(world)
    if subject.actions is not None:
        return workplans.next_task(world, subject.name.removeprefix(TASK_NAME))
    return workplans.workplans(world, subject.name)


OBSERVERS: Mapping[str, Observer] = {
    "approval.gate": Observer(see=apply_paths.see),
    "approval.plan": Observer(see=signed_plan),
    "approval.decisions": Observer(see=decisions),
    "approval.issue": Observer(see=design_issue),
}
