"""How does a human agree to a plan, and who has agreed to it by now? Shows, asks, signs; reads and verifies. `interlock.judge.agreement.plans` judges."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never

from interlock.act.books import Books, StoredPlan, approvals_of, signed, store_approval
from interlock.act.journal import newest
from interlock.act.signatures import sign
from interlock.change.means import Means
from interlock.change.showing import plan_text, progress_text
from interlock.config.actions import ApprovalKind
from interlock.config.models import Site
from interlock.errors import ApprovalError, CouldNotLook, StaleError
from interlock.facts import moments
from interlock.facts.canonical import short
from interlock.facts.statements import PURPOSE_APPLY, Approval, ForPlan, step_purpose
from interlock.gate.clearance import OperatorPresent
from interlock.gate.journal import Kind, Standing, State, Trail
from interlock.gate.plan import ApprovalPlan, Plan
from interlock.judge.agreement.plans import CLOCK_SKEW, Approved, NotApproved, judge_approvals, judge_planner, self_approval_allowed
from interlock.nouns import dataclass
from interlock.observe.caller import who
from interlock.observe.signatures import SigningKey, Voters, signing_key, voters
from interlock.observe.statements import PLANNER, statement, statements, verified

DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An action that waits for humans at one of its steps. `entry` is the digest of the journal's entry that says so, `since` its time; `why` says what is
    missing."""

    step: int
    asks: str
    required: int
    by: tuple[str, ...]
    entry: str
    since: str
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
    return Waiting(step=number, asks=step.asks, required=step.required, by=step.by, entry=entry.digest, since=entry.time)


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
    chosen = signing_key(who_may.signers, wanted=key, environ=means.environ, revoked=who_may.revoked)
    planner = _planner(stored, who_may, means.clock())
    if chosen.principal == planner and not self_approval_allowed(who_may.rules, who_may.signers):
        raise ApprovalError(f"{planner} made this plan, and may not be the one who approves it", where=str(stored.folder), remedy="ask somebody else")
    if waiting is not None and waiting.by and chosen.principal not in waiting.by:
        raise ApprovalError(f"{chosen.principal} is not asked", where=str(stored.folder), remedy=f"somebody of {', '.join(waiting.by)} may approve it")
    lasts = timedelta(seconds=who_may.rules.valid_for)
    itself = chosen.principal == planner or planner is None
    if waiting is None:
        text, digits = plan_text(stored, site, means.environ), stored.digest
    else:
        assert trail is not None
        text, digits = progress_text(stored, trail, waiting.step, waiting.entry), waiting.entry
    _demand_digits(text, digits, stored, means, principal=chosen.principal, lasts=lasts, itself=itself)
    purpose = PURPOSE_APPLY if waiting is None else step_purpose(waiting.step, waiting.entry)
    return _keep_signed(books, stored, who_may, chosen, means, purpose=purpose, lasts=lasts)


def _keep_signed(books: Books, stored: StoredPlan, who_may: Voters, chosen: SigningKey, means: Means, *, purpose: str, lasts: timedelta) -> Path:
    """Sign a statement about the plan, see that the signature counts, and keep it beside the plan's others."""
    now = means.clock()
    approval = Approval(
        purpose=purpose,
        plan=stored.digest,
        action=stored.plan.action,
        site=stored.plan.site.name,
        principal=chosen.principal,
        created=moments.written(now),
        expires=moments.written(now + lasts),
        nonce=secrets.token_hex(16),
    )
    signature = sign(approval.payload(), chosen, environ=means.environ)
    seen = verified(approval, signature, who_may, now)
    if not seen.valid:
        raise ApprovalError(f"the signature of {chosen.principal} does not verify", where=who_may.file, why=seen.why, remedy="look at that person's line there")
    return store_approval(books, stored, signed(approval.to_json(), signature), approval.nonce)


def _demand_digits(text: str, digits: str, stored: StoredPlan, means: Means, *, principal: str, lasts: timedelta, itself: bool) -> None:
    """Show what is approved, and ask for the first digits of its digest. Raises ApprovalError unless they are typed."""
    loud = "\nSELF-APPROVED: you made this plan yourself, and every report will say so.\n" if itself else ""
    lasting = moments.in_words(lasts.total_seconds())
    question = f"{text}\n{loud}\nTo approve it as {principal} for {lasting}, type the first {DIGITS} digits of its digest: "
    typed = means.ask(question)
    if typed.lower() != short(digits):
        raise ApprovalError(
            "not approved", where=str(stored.folder), why="the digits that were typed are not those of this plan", remedy="read the plan, and approve it again"
        )


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
    try:
        who_may = voters(site)
        planner = _planner(stored, who_may, now)
        seen = statements(approvals_of(books, stored), who_may, now)
    except CouldNotLook as error:
        raise ApprovalError(error.what, where=error.where, why=error.why, remedy=error.remedy) from error
    purpose = PURPOSE_APPLY if waiting is None else step_purpose(waiting.step, waiting.entry)
    plan = ForPlan(
        digest=stored.digest,
        action=stored.plan.action,
        site=stored.plan.site.name,
        created=moments.read(stored.plan.created_at if waiting is None else waiting.since),
        planner=planner,
        required=None if waiting is None else waiting.required,
        purpose=purpose,
        by=() if waiting is None else waiting.by,
    )
    return judge_approvals(plan, [one for one in seen if waiting is None or one.approval.purpose == purpose], who_may.rules, who_may.signers, now)


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


def _elsewhere(plan: Plan, site: Site) -> bool:
    """True in a copy of the checkout that the plan was made in: its books know nothing of what was applied there, and one approval would be good for two."""
    return Path(plan.site.file).resolve() != (site.root / Path(site.source).name).resolve()


def _planner(stored: StoredPlan, who_may: Voters, now: datetime) -> str | None:
    """Who made the plan, as its signature says; None without one that verifies."""
    return judge_planner(stored.digest, statement(stored.folder / PLANNER, who_may, now), who_may.signers)
