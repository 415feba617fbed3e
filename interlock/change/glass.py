"""How is a plan applied in a night when the second person cannot be reached? One person says why, types it, and signs it; every report will say so.

Only the second person is dropped: how many must agree, and that the planner may not be one of them. `interlock.judge.agreement.glass` judges.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from interlock.act.books import Books, StoredPlan, approvals_of, store_signed
from interlock.change.approving import for_plan, is_approved, planner_of
from interlock.change.means import Means
from interlock.change.showing import plan_text
from interlock.change.signing import demand_digits, demand_sentence, make_signed, own_key, stating
from interlock.config.actions import ApprovalKind
from interlock.config.models import Site
from interlock.errors import ApprovalError
from interlock.facts.signers import SignatureSeen
from interlock.facts.statements import (
    FEWEST_WORDS,
    PURPOSE_APPLY,
    SHORTEST_SENTENCE,
    ApprovalSeen,
    break_glass_purpose,
    lacks,
)
from interlock.judge.agreement.glass import GlassBroken, judge_break_glass
from interlock.judge.agreement.plans import Approved, NotApproved, judge_approvals
from interlock.observe.signatures import SigningKey, Voters, voters
from interlock.observe.statements import statements


def break_glass(site: Site, books: Books, stored: StoredPlan, means: Means, *, key: Path | None) -> GlassBroken:
    """Show the plan, and have a reason and the plan's digits typed and signed. The statement is kept beside the plan's approvals.

    Raises ApprovalError where no glass needs to be broken, or nobody at a terminal says why.
    """
    where = str(stored.folder)
    _demand_second_person(site, books, stored, means)
    who_may = voters(site)
    chosen = own_key(who_may, means, key)
    planner = planner_of(stored, who_may, means.clock())
    _demand_not_enough_alone(books, stored, who_may, means, by=(chosen, planner))
    reason = means.ask(f"{plan_text(stored, site, means.environ)}\n\n{_LOUD.format(name=chosen.principal)}\n{_ASKED}")
    demand_sentence(reason, lacks(reason), means, what="reason", where=where)
    demand_digits(f"To break the glass as {chosen.principal}", stored.digest, means, where=where, refused="the glass is not broken")
    signed = make_signed(stored, who_may, chosen, means, purpose=break_glass_purpose(reason))
    judged = judge_break_glass(for_plan(books, stored, planner, [signed.seen]), signed.seen, who_may.rules, who_may.signers, means.clock())
    match judged:
        case GlassBroken():
            store_signed(approvals_of(books, stored), signed.document)
            return judged
        case NotApproved():
            raise ApprovalError("the glass is not broken", where=where, why="; ".join(judged.reasons), remedy="look at your line of allowed_signers")
        case _:
            assert_never(judged)


_LOUD = (
    "BREAK-GLASS: {name} applies this plan without the people whom the site asks for. Every report will say so, and nothing else can be applied afterwards"
    "\nuntil somebody has looked at it and signed a follow-up. Gate, live state, backups, lock and journal are asked as ever.\n"
)
_ASKED = f"Why can nobody else be asked, and why now? (at least {SHORTEST_SENTENCE} characters and {FEWEST_WORDS} words, no secrets; it is signed)\nReason: "


def _demand_second_person(site: Site, books: Books, stored: StoredPlan, means: Means) -> None:
    """Raise ApprovalError for a plan that lacks nobody."""
    match stored.plan.approval:
        case ApprovalKind.OPERATOR:
            raise ApprovalError(
                f"{stored.plan.action} needs no glass broken",
                why="its `approval:` is the operator at the terminal",
                remedy=f"interlock apply {stored.folder.name}",
            )
        case ApprovalKind.SIGNATURE:
            pass
        case _:
            assert_never(stored.plan.approval)
    if is_approved(site, books, stored, means):
        raise ApprovalError("no glass needs to be broken", why="enough people have approved this plan", remedy=f"interlock apply {stored.folder.name}")


def _demand_not_enough_alone(books: Books, stored: StoredPlan, who_may: Voters, means: Means, *, by: tuple[SigningKey, str | None]) -> None:
    """Raise ApprovalError where the approval of the one who signs (`by`, with the planner), beside those that lie there, is all that is missing."""
    (chosen, planner), now = by, means.clock()
    theirs = stating(stored, chosen.principal, PURPOSE_APPLY, now=now, valid_for=who_may.rules.valid_for, nonce="")
    given = [one for one in statements(approvals_of(books, stored), who_may, now) if one.approval.purpose == PURPOSE_APPLY]
    supposed = ApprovalSeen(where="", approval=theirs, signature=SignatureSeen(principal=chosen.principal, valid=True, key=chosen.key))
    plan = for_plan(books, stored, planner, given)
    if isinstance(judge_approvals(plan, [*given, supposed], who_may.rules, who_may.signers, now), Approved):
        remedy = f"interlock approve {stored.folder.name}; then interlock apply {stored.folder.name}"
        raise ApprovalError("no glass needs to be broken", why=f"with the approval of {chosen.principal} it is approved", remedy=remedy)
