"""Who has signed a plan that is to be applied? Its statements beside the people and the rules by which they count: what `approval.plan` is judged from."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from interlock.facts.signers import AllowedSigners
from interlock.facts.statements import ApprovalSeen
from interlock.nouns import dataclass


class Rules(Protocol):
    """What a site demands of approvals (`interlock.config.actions.Approval`): how many people, for how many seconds at most, and whether a planner may be
    one of them (None: while one person is allowed)."""

    @property
    def required(self) -> int: ...
    @property
    def valid_for(self) -> int: ...
    @property
    def self_approval(self) -> bool | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPlan:
    """A plan and all that was signed about it. `created` is when it was made, `planner` the statement of who made it (None without one), `now` when it was
    looked at; both times aware."""

    digest: str
    action: str
    site: str
    created: datetime
    planner: ApprovalSeen | None
    statements: tuple[ApprovalSeen, ...]
    signers: AllowedSigners
    rules: Rules
    now: datetime
