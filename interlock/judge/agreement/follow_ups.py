"""Has somebody else looked at an action that was begun without its second person? The judgement of follow-ups; until one counts, nothing else is applied."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from interlock.facts import moments
from interlock.facts.signers import AllowedSigners
from interlock.facts.statements import ApprovalSeen, Owed, finding_of, lacks
from interlock.judge.agreement.plans import CLOCK_SKEW, NotApproved
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedUp:
    """Who looked, when, and what they found. `self_reviewed`: it was the breaker, since nobody else could."""

    id: str
    principal: str
    finding: str
    at: str
    self_reviewed: bool


def may_follow_up(owed: Owed, principal: str, signers: AllowedSigners) -> bool:
    """Anybody of allowed_signers but the breaker; the breaker where nobody else is there."""
    return principal != owed.breaker or signers.principals == {owed.breaker}


def judge_follow_up(owed: Owed, seen: Sequence[ApprovalSeen], signers: AllowedSigners, now: datetime) -> FollowedUp | NotApproved:
    """The first follow-up that counts for exactly this action with exactly this end. It does not expire."""
    reasons = []
    for one in sorted(seen, key=lambda seen: seen.approval.created):
        fault = _fault(owed, one, signers, now)
        if not fault:
            principal = one.approval.principal
            finding = finding_of(one.approval.purpose, owed.id, owed.entry) or ""
            return FollowedUp(id=owed.id, principal=principal, finding=finding, at=one.approval.created, self_reviewed=principal == owed.breaker)
        reasons.append(f"{one.where}: {fault}")
    return NotApproved(reasons=tuple(reasons), remedy=f"interlock follow-up {owed.id}")


def _fault(owed: Owed, seen: ApprovalSeen, signers: AllowedSigners, now: datetime) -> str:
    """Why it does not count; empty when it does."""
    approval, signature = seen.approval, seen.signature
    finding = finding_of(approval.purpose, owed.id, owed.entry)
    created = moments.read(approval.created)
    signer = signers.by_key(signature.key)
    own = signer is not None and signature.principal == approval.principal == signer.principal
    faults = (
        (finding is None, "it is of another action, or of what this one was before it went on"),
        ((approval.plan, approval.action, approval.site) != (owed.plan, owed.action, owed.site), "it is of another plan"),
        (not signature.valid, f"its signature does not verify: {signature.why}"),
        (signature.valid and not own, f"its signature is not that of {approval.principal}"),
        (created > now + CLOCK_SKEW, f"it was made in the future, at {approval.created}"),
        (created < owed.ended - CLOCK_SKEW, f"it is older than what it is about, from {approval.created}"),
        (not may_follow_up(owed, approval.principal, signers), f"{approval.principal} broke the glass: somebody else has to look"),
        (finding is not None and lacks(finding) != "", f"its finding says nothing: {lacks(finding or '')}"),
    )
    return next((text for bad, text in faults if bad), "")
