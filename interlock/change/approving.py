"""How does a human agree to a plan, and who has agreed to it by now? Shows, asks, signs; reads and verifies. `interlock.judge.agreement.plans` judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import assert_never

from interlock.act.books import Books, StoredPlan, approvals_of, store_signed
from interlock.act.journal import begun_with, newest, uses
from interlock.change.becoming import demand_as_planned
from interlock.change.means import Means
from interlock.change.showing import plan_text, progress_text
from interlock.change.signing import demand_digits, make_signed, own_key
from interlock.config.actions import ApprovalKind
from interlock.config.models import Site
from interlock.errors import ApprovalError, CouldNotLook, StaleError
from interlock.facts import moments
from interlock.facts.canonical import short
from interlock.facts.statements import PURPOSE_APPLY, PURPOSE_WITHDRAW, ApprovalSeen, ForPlan, is_midway, reason_of, step_purpose
from interlock.gate.clearance import OperatorPresent
from interlock.gate.journal import Kind, Standing, State, Trail
from interlock.gate.plan import ApprovalPlan, Plan
from interlock.judge.agreement.glass import judge_word
from interlock.judge.agreement.plans import CLOCK_SKEW, Approved, NotApproved, judge_approvals, judge_planner, self_approval_allowed, withdrawals
from interlock.nouns import dataclass
from interlock.observe.caller import who
from interlock.observe.signatures import Voters, voters
from interlock.observe.statements import PLANNER, statement, statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An action that waits for humans at one of its steps. `entry` is the digest of the journal's entry that says so, `since` its time; `why` says what is
    missing. `breaker` is who broke the glass for this action and may say it alone, empty where nobody did."""

    step: int
    asks: str
    required: int
    by: tuple[str, ...]
    entry: str
    since: str
    breaker: str = ""
    why: str = ""


def waiting_at(stored: StoredPlan, trail: Trail) -> Waiting | None:
    """The step at which this action waits for humans, None when it does not."""
    standing = Standing.of(trail)
    number = next(iter(standing.numbers([State.WAITING])), None)
    if number is None or standing.plan_digest != stored.digest or standing.rolling_back or standing.end is not None:
        return None
    step = stored.plan.steps[number - 1]
    assert isinstance(step, ApprovalPlan)
    entry = next(entry for entry in reversed(trail.entries) if entry.kind is Kind.WAITS and entry.step == number)
    breaker = str(standing.begun.get("break_glass", {}).get("principal", ""))
    return Waiting(step=number, asks=step.asks, required=step.required, by=step.by, entry=entry.digest, since=entry.time, breaker=breaker)


def approve(site: Site, books: Books, stored: StoredPlan, means: Means, *, key: Path | None) -> Path:
    """Show the plan, have its digest typed, and keep the human's signature; of an action that waits in mid-plan, show how far it got, and sign for that.

    Returns the path of the approval. Raises ApprovalError.
    """
    trail = newest(books.journals)
    waiting = waiting_at(stored, trail) if trail is not None else None
    if waiting is None and stored.plan.approval is ApprovalKind.OPERATOR:
        raise ApprovalError(f"{stored.plan.action} needs no approval", why="its `approval:` is the operator at the terminal", remedy="apply the plan")
    demand_current(site, stored, means.clock() if waiting is None else None)
    who_may = voters(site)
    chosen = own_key(who_may, means, key)
    planner = planner_of(stored, who_may, means.clock())
    alone = waiting is not None and chosen.principal == waiting.breaker
    if not alone:
        _demand_asked(stored, who_may, chosen.principal, planner, waiting)
    _demand_later_than_withdrawn(books, stored, who_may, chosen.principal, means)
    loud = "\nSELF-APPROVED: you made this plan yourself, and every report will say so.\n" if planner in (None, chosen.principal) else ""
    loud += f"\nBREAK-GLASS: {chosen.principal} gives this word alone, and every report will say so.\n" if alone else ""
    if waiting is None:
        text, digits, purpose = plan_text(stored, site, means.environ), stored.digest, PURPOSE_APPLY
    else:
        assert trail is not None
        text, digits, purpose = progress_text(stored, trail, waiting.step, waiting.entry), waiting.entry, step_purpose(waiting.step, waiting.entry)
    question = f"{text}\n{loud}\nTo approve it as {chosen.principal} for {moments.in_words(who_may.rules.valid_for)}"
    demand_digits(question, digits, means, where=str(stored.folder), refused="not approved")
    return store_signed(approvals_of(books, stored), make_signed(stored, who_may, chosen, means, purpose=purpose).document)


def _demand_asked(stored: StoredPlan, who_may: Voters, principal: str, planner: str | None, waiting: Waiting | None) -> None:
    """Raise ApprovalError for somebody whose word would not count, before they are asked for it."""
    if principal == planner and not self_approval_allowed(who_may.rules, who_may.signers):
        raise ApprovalError(f"{planner} made this plan, and may not be the one who approves it", where=str(stored.folder), remedy="ask somebody else")
    if waiting is not None and waiting.by and principal not in waiting.by:
        raise ApprovalError(f"{principal} is not asked", where=str(stored.folder), remedy=f"somebody of {', '.join(waiting.by)} may approve it")


def _demand_later_than_withdrawn(books: Books, stored: StoredPlan, who_may: Voters, principal: str, means: Means) -> None:
    """A new approval counts from the second after the withdrawal on. Raises ApprovalError before that: this clock, or the one before it, was set."""
    now = means.clock()
    back = withdrawals(_for_plan(stored, None), _signed(books, stored, who_may, now), who_may.signers).get(principal)
    if back is not None and moments.read(moments.written(now)) <= back:
        why = f"{principal} withdrew their approval at {moments.written(back)}, and it is {moments.written(now)}"
        raise ApprovalError("this approval would not count", where=str(stored.folder), why=why, remedy="look at the clock, and approve it again")


def withdraw(site: Site, books: Books, stored: StoredPlan, means: Means, *, key: Path | None) -> Path:
    """Take back what one person has signed of a plan that was not begun, or of the step that it waits at. Returns the path of the withdrawal.

    Raises ApprovalError where there is nothing to take back.
    """
    who_may = voters(site)
    chosen = own_key(who_may, means, key)
    begun = begun_with(books.journals, stored.digest)
    if begun and waiting_at(stored, begun[-1]) is None:
        why = f"{begun[-1].id} was begun on it, and is finished or undone under it"
        raise ApprovalError(
            "it is too late to withdraw", where=str(stored.folder), why=why, remedy="interlock status; an action is undone with interlock rollback"
        )
    given = [one.approval for one in _signed(books, stored, who_may, means.clock()) if one.approval.principal == chosen.principal]
    if not any(one.purpose == PURPOSE_APPLY or is_midway(one.purpose) for one in given):
        raise ApprovalError(f"{chosen.principal} has approved nothing of this plan", where=str(stored.folder), remedy="interlock status shows who has")
    return store_signed(approvals_of(books, stored), make_signed(stored, who_may, chosen, means, purpose=PURPOSE_WITHDRAW).document)


def authority(site: Site, books: Books, stored: StoredPlan, means: Means) -> Approved | OperatorPresent:
    """Who has agreed to this plan, as far as it counts now. Raises ApprovalError with every reason when that is not enough."""
    match stored.plan.approval:
        case ApprovalKind.OPERATOR:
            user, host = who(means.environ)
            return OperatorPresent(user=user, host=host)
        case ApprovalKind.SIGNATURE:
            pass
        case _:
            assert_never(stored.plan.approval)
    judged = _judged(site, books, stored, means, None)
    match judged:
        case Approved():
            return judged
        case NotApproved():
            what, *others = judged.reasons
            remedy = judged.remedy.replace("PLAN", stored.folder.name).replace("ACTION", stored.plan.action)
            raise ApprovalError(what, where=str(stored.folder), why="; ".join(others), remedy=remedy)


def word_here(site: Site, stored: StoredPlan, waiting: Waiting, means: Means) -> Approved | NotApproved:
    """Who has agreed that an action goes on behind a step; where that is not enough, the operator at this terminal is asked, if they may."""
    books = Books.open(site.root)
    word = _judged(site, books, stored, means, waiting)
    if isinstance(word, Approved):
        return word
    try:
        approve(site, books, stored, means, key=None)
    except ApprovalError as error:
        return NotApproved(reasons=(f"{word.reasons[0]} ({error.what})", *word.reasons[1:]), remedy=word.remedy)
    return _judged(site, books, stored, means, waiting)


def _judged(site: Site, books: Books, stored: StoredPlan, means: Means, waiting: Waiting | None) -> Approved | NotApproved:
    """The judgement of every approval that lies beside a plan: of those for the plan itself, or for going on where it waits. Raises ApprovalError."""
    now = means.clock()
    who_may = voters(site)
    planner = planner_of(stored, who_may, now)
    seen = _signed(books, stored, who_may, now)
    if waiting is None:
        elsewhere = [one for one in seen if is_midway(one.approval.purpose) or reason_of(one.approval.purpose) is not None]
        asked = [one for one in seen if one not in elsewhere]
        return judge_approvals(for_plan(books, stored, planner, asked), asked, who_may.rules, who_may.signers, now)
    purpose = step_purpose(waiting.step, waiting.entry)
    asked = [one for one in seen if one.approval.purpose in (purpose, PURPOSE_WITHDRAW)]
    plan = dataclasses.replace(
        for_plan(books, stored, planner, asked), created=moments.read(waiting.since), required=waiting.required, purpose=purpose, by=waiting.by
    )
    return judge_word(plan, asked, who_may.rules, who_may.signers, now, breaker=waiting.breaker)


def for_plan(books: Books, stored: StoredPlan, planner: str | None, seen: Sequence[ApprovalSeen]) -> ForPlan:
    """What approvals of a plan must be for; which of them some action of the site rests on already is looked for in its journals."""
    used = uses(books.journals, {one.approval.nonce for one in seen})
    return dataclasses.replace(_for_plan(stored, planner), used=tuple(sorted(used.items())))


def _for_plan(stored: StoredPlan, planner: str | None) -> ForPlan:
    plan = stored.plan
    return ForPlan(digest=stored.digest, action=plan.action, site=plan.site.name, created=moments.read(plan.created_at), planner=planner)


def _signed(books: Books, stored: StoredPlan, who_may: Voters, now: datetime) -> tuple[ApprovalSeen, ...]:
    """Every signed statement beside a plan. Raises ApprovalError when nobody can verify them: then none counts."""
    try:
        return statements(approvals_of(books, stored), who_may, now)
    except CouldNotLook as error:
        raise ApprovalError(error.what, where=error.where, why=error.why, remedy=error.remedy) from error


def is_approved(site: Site, books: Books, stored: StoredPlan, means: Means) -> bool:
    """True when enough has been agreed for this plan to be applied."""
    try:
        authority(site, books, stored, means)
    except ApprovalError:
        return False
    return True


def approve_here(site: Site, books: Books, stored: StoredPlan, means: Means, *, key: Path | None) -> None:
    """Let the operator who made a plan approve it, where the site allows that. Raises ApprovalError, naming who is to be asked and how, where it does not."""
    try:
        approve(site, books, stored, means, key=key)
    except ApprovalError as error:
        remedy = f"somebody who may: interlock approve {stored.folder.name}; then run this command again"
        raise ApprovalError(f"the plan {stored.folder.name} waits for its approval", where=str(stored.folder), why=error.what, remedy=remedy) from error


def demand_current(site: Site, stored: StoredPlan, now: datetime | None) -> None:
    """The plan is for the site as it is, by this version, and not too old; `now` None for an action that was begun: it is finished at any age.

    Raises StaleError.
    """
    from interlock import __version__

    plan = stored.plan
    declared = site.actions.get(plan.action)
    asked, operator = declared.approval if declared is not None else "no such action", ApprovalKind.OPERATOR
    faults = (
        (_elsewhere(plan, site), f"the plan was made for {plan.site.file}", f"this is {site.source}: another checkout keeps books of its own"),
        (plan.site.digest != site.digest, "the site file was changed since the plan was made", f"it was {plan.site.digest}, is {site.digest}"),
        (plan.site.name != site.site, f"the plan is for the site {plan.site.name}", f"this is {site.site}"),
        (asked != operator == plan.approval, f"the plan says `approval: {operator}`", f"the site says {asked} for {plan.action}"),
        (plan.interlock != __version__, f"the plan was made by interlock {plan.interlock}", f"this is {__version__}"),
        (now is not None and moments.read(plan.expires_at) <= now, f"the plan expired at {plan.expires_at}", ""),
        (now is not None and moments.read(plan.created_at) > now + CLOCK_SKEW, "the plan is from the future", f"made at {plan.created_at}; look at the clock"),
    )
    begun = f"put that back as it was; or: interlock rollback {short(stored.digest)}"
    for stale, what, why in faults:
        if stale:
            raise StaleError(what, where=str(stored.folder), why=why, remedy=begun if now is None else f"make a new one: interlock plan {plan.action}")
    demand_as_planned(plan)
    if now is not None:
        for content in plan.blobs():
            stored.blob(content)  # before anything is done, not when its step comes


def _elsewhere(plan: Plan, site: Site) -> bool:
    """True in a copy of the checkout that the plan was made in: its books know nothing of what was applied there, and one approval would be good for two."""
    return Path(plan.site.file).resolve() != (site.root / Path(site.source).name).resolve()


def planner_of(stored: StoredPlan, who_may: Voters, now: datetime) -> str | None:
    """Who made the plan, as its signature says; None without one that verifies. Raises ApprovalError when nobody can verify it."""
    try:
        return judge_planner(stored.digest, statement(stored.folder / PLANNER, who_may, now), who_may.signers)
    except CouldNotLook as error:
        raise ApprovalError(error.what, where=error.where, why=error.why, remedy=error.remedy) from error
