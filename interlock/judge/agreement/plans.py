"""Have enough people agreed to exactly this plan? The judgement; `interlock.observe.signatures` verifies, `interlock.act.signatures` signs.

This guards against accidents and haste, not against somebody who holds the approver's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from interlock.facts import moments
from interlock.facts.signed_plan import Rules
from interlock.facts.signers import AllowedSigners
from interlock.facts.statements import PURPOSE_APPLY, PURPOSE_PLAN, PURPOSE_WITHDRAW, Approval, ApprovalSeen, ForPlan
from interlock.nouns import dataclass

CLOCK_SKEW = timedelta(minutes=2)  # of two machines that both keep time


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Enough people agreed. `self_approved` must be shown loudly wherever this is reported, and so must `broken_glass`: it was one alone, in mid-plan."""

    plan: str
    approvals: tuple[Approval, ...]
    self_approved: bool
    broken_glass: bool = False

    @property
    def principals(self) -> tuple[str, ...]:
        """Who agreed, each once, sorted."""
        return tuple(sorted({approval.principal for approval in self.approvals}))


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApproved:
    """Not enough people agreed; one reason for each approval that does not count, and what to do."""

    reasons: tuple[str, ...]
    remedy: str


def judge_planner(plan_digest: str, seen: ApprovalSeen | None, signers: AllowedSigners) -> str | None:
    """Who made the plan: the person whose valid signature with the purpose `plan` it carries, None without one."""
    if seen is None or not seen.signature.valid or (seen.approval.purpose, seen.approval.plan) != (PURPOSE_PLAN, plan_digest):
        return None
    return seen.approval.principal if _is_own(seen, signers) else None


def _is_own(seen: ApprovalSeen, signers: AllowedSigners) -> bool:
    """True when the key that signed it is one of the person whom it names."""
    signer = signers.by_key(seen.signature.key)
    return signer is not None and seen.signature.principal == seen.approval.principal == signer.principal


def self_approval_allowed(rules: Rules, signers: AllowedSigners) -> bool:
    """The site's word, or without one: only while there is a single person who could approve at all."""
    return len(signers.principals) == 1 if rules.self_approval is None else rules.self_approval


def judge_approvals(plan: ForPlan, seen: Sequence[ApprovalSeen], rules: Rules, signers: AllowedSigners, now: datetime) -> Approved | NotApproved:
    """Count the people whose approval is valid for exactly this plan now. `now` is aware."""
    alone = self_approval_allowed(rules, signers)
    if plan.planner is None and not alone:
        return NotApproved(
            reasons=("the plan does not carry its planner's signature, so nobody can tell whether it was approved by its own planner",),
            remedy="make the plan again with a key of allowed_signers (`interlock plan ACTION --key KEY`)",
        )
    valid: dict[str, Approval] = {}
    reasons = []
    taken_back = withdrawals(plan, seen, signers)
    for one in seen:
        if one.approval.purpose == PURPOSE_WITHDRAW:
            continue
        fault = fault_of(plan, one, rules, signers, taken_back, alone=alone, now=now)
        if fault is None:
            valid.setdefault(one.approval.principal, one.approval)
        else:
            reasons.append(f"{one.where}: {fault}")
    needed = rules.required if plan.required is None else plan.required
    if len(valid) < needed:
        what = "approved this plan" if plan.purpose == PURPOSE_APPLY else f"said yes to {plan.purpose.partition(' after ')[0]}"
        reasons.insert(0, _count_in_words(len(valid), needed, what))
        return NotApproved(reasons=tuple(reasons), remedy="have it approved: `interlock approve PLAN`")
    approvals = tuple(valid[principal] for principal in sorted(valid))
    return Approved(plan=plan.digest, approvals=approvals, self_approved=plan.planner is None or plan.planner in valid)


def _count_in_words(valid: int, needed: int, what: str) -> str:
    found = "nobody has" if not valid else "one person has" if valid == 1 else f"{valid} people have"
    return f"{found} validly {what}, and it needs {needed}"


def withdrawals(plan: ForPlan, seen: Sequence[ApprovalSeen], signers: AllowedSigners) -> Mapping[str, datetime]:
    """When each person last took back what they had signed of this plan. A withdrawal does not expire: doubt must keep a plan from being applied."""
    found: dict[str, datetime] = {}
    for one in seen:
        approval = one.approval
        about = (approval.purpose, approval.plan, approval.action, approval.site) == (PURPOSE_WITHDRAW, plan.digest, plan.action, plan.site)
        if about and one.signature.valid and _is_own(one, signers):
            moment = moments.read(approval.created)
            found[approval.principal] = max(moment, found.get(approval.principal, moment))
    return found


def fault_of(
    plan: ForPlan, seen: ApprovalSeen, rules: Rules, signers: AllowedSigners, taken_back: Mapping[str, datetime], *, alone: bool, now: datetime
) -> str | None:
    """Why this approval does not count, None when it does. `alone`: the planner may be among those who approve."""
    approval, signature = seen.approval, seen.signature
    created, expires = moments.read(approval.created), moments.read(approval.expires)
    back = taken_back.get(approval.principal)
    used = dict(plan.used).get(approval.nonce)
    faults = (
        (approval.purpose != plan.purpose, f"its purpose is {approval.purpose!r}, not {plan.purpose!r}"),
        (approval.plan != plan.digest, "it is for another plan"),
        ((approval.action, approval.site) != (plan.action, plan.site), f"it is for {approval.action} of {approval.site}"),
        (not signature.valid, _not_valid(seen, signers)),
        (signature.valid and not _is_own(seen, signers), f"its signature is not that of {approval.principal}"),
        (used is not None, f"it was used already, by {used}: an approval is good for one action"),
        (back is not None and created <= back, f"{approval.principal} withdrew it{'' if back is None else f' at {moments.written(back)}'}"),
        (created > now + CLOCK_SKEW, f"it was made in the future, at {approval.created}"),
        (created < plan.created - CLOCK_SKEW, f"it is older than the plan, from {approval.created}"),
        (expires - created > timedelta(seconds=rules.valid_for), f"it lasts longer than the {moments.in_words(rules.valid_for)} that the site allows"),
        (expires <= now, f"it expired at {approval.expires}"),
        (bool(plan.by) and approval.principal not in plan.by, f"{approval.principal} is not one of those who are asked: {', '.join(plan.by)}"),
        (not alone and approval.principal == plan.planner, f"{approval.principal} made the plan, and may not be the one who approves it"),
    )
    return next((text for bad, text in faults if bad), None)


def _not_valid(seen: ApprovalSeen, signers: AllowedSigners) -> str:
    """Why a signature does not verify: whose key made it says more than that the bytes do not fit."""
    key, signer = seen.signature.key, signers.by_key(seen.signature.key)
    if key and signer is None:
        return f"its signature does not verify: it was made with {key}, which allowed_signers does not name"
    if signer is not None and signer.principal != seen.approval.principal:
        return f"its signature does not verify: it was made with the key of {signer.principal}, not of {seen.approval.principal}"
    return f"its signature does not verify: {seen.signature.why}"
