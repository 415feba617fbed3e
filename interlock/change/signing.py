"""How does a human sign a statement about a plan? With their own key, at the terminal; `interlock.observe.statements` reads what was signed."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from interlock.act.books import StoredPlan, signed
from interlock.act.signatures import sign
from interlock.change.means import Means
from interlock.errors import ApprovalError
from interlock.facts import moments
from interlock.facts.canonical import short
from interlock.facts.statements import Approval, ApprovalSeen
from interlock.nouns import dataclass
from interlock.observe.signatures import SigningKey, Voters, signing_key
from interlock.observe.statements import verified

DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A statement that was just made and verified, and the document that is kept of it."""

    seen: ApprovalSeen
    document: dict[str, Any]


def own_key(who_may: Voters, means: Means, key: Path | None) -> SigningKey:
    """The key that this human signs with. Raises ApprovalError for one that is unknown or revoked."""
    return signing_key(who_may.signers, wanted=key, environ=means.environ, revoked=who_may.revoked)


def stating(stored: StoredPlan, principal: str, purpose: str, *, now: datetime, valid_for: int, nonce: str) -> Approval:
    """What somebody says of a plan, as it is signed. `valid_for` in seconds."""
    return Approval(
        purpose=purpose,
        plan=stored.digest,
        action=stored.plan.action,
        site=stored.plan.site.name,
        principal=principal,
        created=moments.written(now),
        expires=moments.written(now + timedelta(seconds=valid_for)),
        nonce=nonce,
    )


def make_signed(stored: StoredPlan, who_may: Voters, chosen: SigningKey, means: Means, *, purpose: str) -> Signed:
    """Have a statement about a plan signed, and see that its signature counts. Raises ApprovalError."""
    now = means.clock()
    approval = stating(stored, chosen.principal, purpose, now=now, valid_for=who_may.rules.valid_for, nonce=secrets.token_hex(16))
    signature = sign(approval.payload(), chosen, environ=means.environ)
    seen = verified(approval, signature, who_may, now)
    if not seen.valid:
        raise ApprovalError(f"the signature of {chosen.principal} does not verify", where=who_may.file, why=seen.why, remedy="look at that person's line there")
    return Signed(seen=ApprovalSeen(where="what was signed", approval=approval, signature=seen), document=signed(approval.to_json(), signature))


def demand_digits(question: str, digest: str, means: Means, *, where: str, refused: str) -> None:
    """Ask at the terminal for the first digits of what was shown. Raises ApprovalError unless they are typed."""
    typed = means.ask(f"{question}, type the first {DIGITS} digits of its digest: ")
    if typed.lower() != short(digest):
        raise ApprovalError(refused, where=where, why="the digits that were typed are not those of its digest", remedy="read it, and begin again")


def demand_sentence(sentence: str, fault: str, means: Means, *, what: str, where: str) -> None:
    """Raise ApprovalError for a reason or a finding that says nothing, or says a secret: it is signed, so nothing could be taken out of it later."""
    if not fault and means.redactor.redact(sentence) != sentence:
        fault = "it holds what looks like a secret, and it will be in every report"
    if fault:
        raise ApprovalError(f"this is no {what}", where=where, why=fault, remedy="say in a sentence what somebody must know who reads it next week")
