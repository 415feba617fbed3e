"""What did people sign about a plan? That they made it, that it may be applied, that it goes on in mid-plan, that they take that back, that they go without a
second person, what they found afterwards: the statements, before anybody judges them.

An approval is a signature over the plan's digest, a purpose, the signer's name, two times and a nonce. It is used up with its plan: a plan is applied at
most once, and the journal remembers it. `interlock.observe.signatures` verifies, `interlock.judge.agreement.plans` judges.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Self

from interlock.facts import moments
from interlock.facts.canonical import canonical, is_digest
from interlock.facts.signers import SignatureSeen
from interlock.nouns import dataclass
from interlock.patterns import regex

SCHEMA = "interlock/approval/1"
PURPOSE_APPLY = "apply"
PURPOSE_PLAN = "plan"
PURPOSE_WITHDRAW = "withdraw"
SHORTEST_SENTENCE, FEWEST_WORDS, LONGEST_SENTENCE = 20, 3, 1000  # characters, words, characters
_BREAK_GLASS = "break-glass: "
_MIDWAY = regex(r"step \d+ after sha256:[0-9a-f]{64}")
_FOLLOW_UP = regex(r"follow-up of (?P<id>\S+) after (?P<entry>sha256:[0-9a-f]{64}): (?P<finding>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a human signs. Times are RFC 3339; `nonce` makes every approval another one."""

    purpose: str
    plan: str
    action: str
    site: str
    principal: str
    created: str
    expires: str
    nonce: str

    def payload(self) -> bytes:
        """The exact bytes that are signed."""
        return canonical(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """As it is kept in a file and in the record."""
        return {
            "schema": SCHEMA,
            "purpose": self.purpose,
            "plan": self.plan,
            "action": self.action,
            "site": self.site,
            "principal": self.principal,
            "created": self.created,
            "expires": self.expires,
            "nonce": self.nonce,
        }

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """Raises ValueError for anything that `to_json` did not write."""
        names = ("purpose", "plan", "action", "site", "principal", "created", "expires", "nonce")
        if not isinstance(fields, dict) or fields.get("schema") != SCHEMA or fields.keys() != {"schema", *names}:
            raise ValueError(f"not the fields of {SCHEMA}")
        if not all(isinstance(fields[name], str) for name in names):
            raise ValueError("every field is text")
        approval = cls(**{name: fields[name] for name in names})
        moments.read(approval.created)
        moments.read(approval.expires)
        if not is_digest(approval.plan):
            raise ValueError(f"{approval.plan!r} is no digest")
        if not approval.principal.isprintable():
            raise ValueError("its principal is no name")
        approval.payload()  # a text that has no canonical form cannot have been signed
        return approval


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSeen:
    """One approval found beside the plan, and its signature. `where` names its file."""

    where: str
    approval: Approval
    signature: SignatureSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class ForPlan:
    """What the approvals must be for. `planner` is the person whose signature the plan carries, None when it carries none that verifies.

    `purpose` is `apply`, or that of one step (`step_purpose`); `required` is how many people (None: as the site says), of `by` where that is not empty;
    `created` is when there was something to agree to; `used` the nonces that actions of the site rest on already, each with the action's id.
    """

    digest: str
    action: str
    site: str
    created: datetime
    planner: str | None
    required: int | None = None
    purpose: str = PURPOSE_APPLY
    by: tuple[str, ...] = ()
    used: tuple[tuple[str, str], ...] = ()


def step_purpose(step: int, entry: str) -> str:
    """What is signed in mid-plan: the step, and the journal up to there by the digest of its last entry."""
    return f"step {step} after {entry}"


def is_lasting(purpose: str) -> bool:
    """True for what does not expire: a withdrawal, and what was found afterwards."""
    return purpose == PURPOSE_WITHDRAW or _FOLLOW_UP.fullmatch(purpose) is not None


def is_midway(purpose: str) -> bool:
    """True for a word that was given in mid-plan."""
    return _MIDWAY.fullmatch(purpose) is not None


def break_glass_purpose(reason: str) -> str:
    """What is signed by whoever goes without the second person: the reason is a part of it."""
    return f"{_BREAK_GLASS}{reason}"


def reason_of(purpose: str) -> str | None:
    """Why the glass was broken; None for any other purpose."""
    return purpose.removeprefix(_BREAK_GLASS) if purpose.startswith(_BREAK_GLASS) else None


def follow_up_purpose(action: str, entry: str, finding: str) -> str:
    """What is signed by whoever has looked at a broken glass: the action's id, the digest of its journal's last entry, and what was found."""
    return f"follow-up of {action} after {entry}: {finding}"


def finding_of(purpose: str, action: str, entry: str) -> str | None:
    """What was found of exactly this action with exactly this end; None for any other purpose."""
    match = _FOLLOW_UP.fullmatch(purpose)
    return match["finding"] if match is not None and (match["id"], match["entry"]) == (action, entry) else None


def lacks(sentence: str) -> str:
    """What a reason or a finding lacks to be one; empty when it says something."""
    if not sentence.isprintable():
        return "it holds a character that does not show"
    if len(sentence) > LONGEST_SENTENCE:
        return f"it is longer than {LONGEST_SENTENCE} characters"
    if len(sentence) < SHORTEST_SENTENCE or len(sentence.split()) < FEWEST_WORDS:
        return f"it needs at least {SHORTEST_SENTENCE} characters and {FEWEST_WORDS} words"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An action that was begun without its second person and has ended: somebody has to look at it. `id` is the action's, `action` its name.

    `ended` is when, `entry` the digest of its journal's last entry: when it goes on after a follow-up, it is owed again.
    """

    id: str
    plan: str
    action: str
    site: str
    breaker: str
    reason: str
    ended: datetime
    entry: str
