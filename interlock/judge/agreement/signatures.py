"""Have enough people signed the plan that is about to be applied? Judged in apply's own gate, so that its record shows who agreed, and until when.

`interlock.runner` asks the same people again before it makes a clearance: that is the lock, this is the evidence. `interlock.judge.agreement.plans` and
`glass` judge for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from interlock.config.actions import ApprovalKind
from interlock.config.models import Site
from interlock.facts.signed_plan import SignedPlan
from interlock.facts.statements import PURPOSE_APPLY, ApprovalSeen, ForPlan, reason_of
from interlock.judge.agreement.glass import GlassBroken, judge_break_glass
from interlock.judge.agreement.plans import Approved, NotApproved, fault_of, judge_approvals, judge_planner, self_approval_allowed, withdrawals
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, When


def signed_actions(site: Site) -> Sequence[Subject]:
    """Each action that asks for signatures, for itself alone."""
    return [Subject(name=name, actions=frozenset({name})) for name, action in site.actions.items() if action.approval is ApprovalKind.SIGNATURE]


def judge_plan(seen: SignedPlan) -> Held | Broken:
    """Held when enough people have validly signed exactly this plan, or one alone broke the glass for it. One detail for each approval, counted or not."""
    plan = ForPlan(digest=seen.digest, action=seen.action, site=seen.site, created=seen.created, planner=judge_planner(seen.digest, seen.planner, seen.signers))
    approvals = [one for one in seen.statements if one.approval.purpose == PURPOSE_APPLY]
    word = judge_approvals(plan, [one for one in seen.statements if reason_of(one.approval.purpose) is None], seen.rules, seen.signers, seen.now)
    match word:
        case Approved():
            loud = "SELF-APPROVED by its planner: " if word.self_approved else ""
            said = "; ".join(f"{approval.principal} approved it until {approval.expires}" for approval in word.approvals)
            return Held(f"{loud}{said}", tuple(_each(plan, approvals, seen, Outcome.HELD)))
        case NotApproved():
            return _broken_glass(plan, seen) or _not_approved(plan, approvals, seen, word)
        case _:
            assert_never(word)


def _not_approved(plan: ForPlan, approvals: Sequence[ApprovalSeen], seen: SignedPlan, word: NotApproved) -> Broken:
    nobody_knows = plan.planner is None and not self_approval_allowed(seen.rules, seen.signers)
    missing = Detail(what="people", outcome=Outcome.BROKEN, kind="no-planner" if nobody_knows else "not-enough", message=word.reasons[0])
    remedy = word.remedy.replace("ACTION", seen.action).replace("PLAN", seen.digest.removeprefix("sha256:")[:8])
    return Broken("; ".join(word.reasons), remedy=remedy, details=(missing, *_each(plan, approvals, seen, Outcome.BROKEN)))


def _each(plan: ForPlan, approvals: Sequence[ApprovalSeen], seen: SignedPlan, not_counting: Outcome) -> Iterator[Detail]:
    """What each approval comes to. One that does not count is no fault while others do."""
    alone, taken_back = self_approval_allowed(seen.rules, seen.signers), withdrawals(plan, seen.statements, seen.signers)
    for one in approvals:
        fault = fault_of(plan, one, seen.rules, seen.signers, taken_back, alone=alone, now=seen.now)
        if fault is None:
            yield Detail(what=one.where, outcome=Outcome.HELD, message=f"{one.approval.principal} approved it until {one.approval.expires}", file=one.where)
        else:
            said = f"the approval of {one.approval.principal} does not count: {fault}"
            yield Detail(what=one.where, outcome=not_counting, kind="does-not-count", message=said, file=one.where)


def _broken_glass(plan: ForPlan, seen: SignedPlan) -> Held | None:
    """What one person signed who goes without the others; None where nobody validly did."""
    for one in seen.statements:
        if reason_of(one.approval.purpose) is not None:
            judged = judge_break_glass(plan, one, seen.rules, seen.signers, seen.now)
            if isinstance(judged, GlassBroken):
                said = f"BREAK-GLASS: {judged.principal} alone, until {judged.approval.expires}, because: {judged.reason}"
                return Held(said, (Detail(what=one.where, outcome=Outcome.HELD, message=said, file=one.where),))
    return None


PLAN = Guardrail(
    id="approval.plan",
    title="enough allowed people have signed exactly this plan, not its planner where others could, and none of it has expired or was taken back",
    severity=Severity.CRITICAL,
    when=frozenset({When.APPLY}),
    rationale="What one person decides at night, nobody has read. A signature over its digest says that somebody else saw these very steps, within hours.",
    remedy="have it approved: interlock approve PLAN",
    subjects=signed_actions,
    judge=judge_plan,
    never_waivable=True,
)
