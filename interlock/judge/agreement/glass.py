"""May this plan be applied without its second person? Only on the word of one who says why, and only the second person is dropped: the judgement.

Everything else is asked as ever: the gate and its waivers, the live state, who calls, the plan's age, backups, lock and journal. And it is told everywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from interlock.facts.signed_plan import Rules
from interlock.facts.signers import AllowedSigners
from interlock.facts.statements import PURPOSE_WITHDRAW, Approval, ApprovalSeen, ForPlan, lacks, reason_of
from interlock.judge.agreement.plans import Approved, NotApproved, fault_of, judge_approvals, withdrawals
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GlassBroken:
    """One person goes without the second. `reason` is a part of what they signed, and must be shown loudly wherever this is reported.

    `self_approved` when they made the plan, too.
    """

    plan: str
    principal: str
    reason: str
    approval: Approval
    self_approved: bool

    @property
    def principals(self) -> tuple[str, ...]:
        """The one person."""
        return (self.principal,)

    @property
    def approvals(self) -> tuple[Approval, ...]:
        """What they signed."""
        return (self.approval,)


def judge_break_glass(plan: ForPlan, seen: ApprovalSeen, rules: Rules, signers: AllowedSigners, now: datetime) -> GlassBroken | NotApproved:
    """Is this one person's own, valid word with a reason? How many, and whether they made the plan, is what this drops; nothing else is."""
    reason = reason_of(seen.approval.purpose)
    if reason is None:
        return NotApproved(reasons=(f"its purpose is {seen.approval.purpose!r}, and no reason to break the glass",), remedy="interlock break-glass PLAN")
    alone = dataclasses.replace(plan, purpose=seen.approval.purpose, by=())
    fault = lacks(reason) or fault_of(alone, seen, rules, signers, {}, alone=True, now=now)
    if fault:
        return NotApproved(reasons=(f"{seen.where}: {fault}",), remedy="interlock break-glass PLAN")
    mine = plan.planner in (None, seen.approval.principal)
    return GlassBroken(plan=plan.digest, principal=seen.approval.principal, reason=reason, approval=seen.approval, self_approved=mine)


def judge_word(plan: ForPlan, seen: Sequence[ApprovalSeen], rules: Rules, signers: AllowedSigners, now: datetime, *, breaker: str) -> Approved | NotApproved:
    """A word in the middle of an action: of those who are asked, or, where `breaker` has broken the glass for this action, of that person alone."""
    word = judge_approvals(plan, seen, rules, signers, now)
    if isinstance(word, Approved) or not breaker:
        return word
    alone = dataclasses.replace(plan, by=())
    taken_back = withdrawals(plan, seen, signers)
    mine = [one for one in seen if one.approval.principal == breaker and one.approval.purpose != PURPOSE_WITHDRAW]
    good = [one.approval for one in mine if fault_of(alone, one, rules, signers, taken_back, alone=True, now=now) is None]
    if not good:
        return word
    return Approved(plan=plan.digest, approvals=(good[0],), self_approved=plan.planner in (None, breaker), broken_glass=True)
