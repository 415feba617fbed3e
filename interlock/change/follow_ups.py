"""Who has looked at an action that was applied without its second person? Until somebody has signed what they found, nothing else is applied.

`interlock.judge.agreement.follow_ups` judges; what was signed lies in `.interlock/follow-ups/<action>/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import assert_never

from interlock.act.books import Books, follow_ups_of, load_plan, store_signed
from interlock.act.journal import trails
from interlock.change.means import Means
from interlock.change.showing import ended_text
from interlock.change.signing import demand_digits, demand_sentence, make_signed, own_key
from interlock.config.models import Site
from interlock.errors import ApprovalError, UsageError
from interlock.facts import moments
from interlock.facts.statements import FEWEST_WORDS, SHORTEST_SENTENCE, Owed, follow_up_purpose, lacks
from interlock.gate.journal import Standing, Trail
from interlock.judge.agreement.follow_ups import FollowedUp, judge_follow_up, may_follow_up
from interlock.judge.agreement.plans import NotApproved
from interlock.observe.signatures import voters
from interlock.observe.statements import statements

_ASKED = (
    f"What did you look at, and what did you find? (at least {SHORTEST_SENTENCE} characters and {FEWEST_WORDS} words, with the issue's URL if there is one;"
    " no secrets; it is signed)\nFinding: "
)


def owed(site: Site, books: Books, now: datetime) -> Iterator[Owed]:
    """Every action that ended without its second person and that nobody has followed up, the newest first. Raises CouldNotLook, ConfigError.

    What lies before an action that people agreed to was settled when that began, whoever may sign by now.
    """
    for trail in trails(books.journals):
        if not trail.entries[0].data.get("break_glass"):
            return
        one = _broken(site, trail)
        if one is not None:
            who_may = voters(site)
            judged = judge_follow_up(one, statements(follow_ups_of(books, one.id), who_may, now), who_may.signers, now)
            match judged:
                case FollowedUp():
                    continue
                case NotApproved():
                    yield one
                case _:
                    assert_never(judged)


def demand_none_owed(site: Site, books: Books, now: datetime) -> None:
    """Raise ApprovalError while somebody has to look at what was done without a second person."""
    one = next(owed(site, books, now), None)
    if one is not None:
        raise ApprovalError(
            f"{one.id} was applied by {one.breaker} alone, and nobody has looked at it since",
            where=str(books.follow_ups),
            why=f"BREAK-GLASS: {one.reason}",
            remedy=f"somebody else of allowed_signers: interlock follow-up {one.id}",
        )


def follow_up(site: Site, books: Books, named: str | None, means: Means, *, key: Path | None) -> Path:
    """Show what was done without a second person, and have what somebody found typed and signed. Returns the path of what was signed.

    `named` is the action's id; None for the newest that is owed. Raises UsageError when none is, ApprovalError for somebody who may not.
    """
    one = next((one for one in owed(site, books, means.clock()) if named in (None, one.id)), None)
    if one is None:
        raise UsageError(f"no follow-up of {named} is owed" if named else "no follow-up is owed", where=str(books.follow_ups), remedy="interlock status")
    trail = next(trail for trail in trails(books.journals) if trail.id == one.id)
    stored = load_plan(books.plans / str(trail.entries[0].data["plan_folder"]))
    who_may = voters(site)
    chosen = own_key(who_may, means, key)
    if not may_follow_up(one, chosen.principal, who_may.signers):
        raise ApprovalError(f"{chosen.principal} broke the glass, and may not be the one who looks at it", where=one.id, remedy="ask somebody else")
    itself = "\nSELF-REVIEWED: nobody else may sign here, and every report will say so.\n" if chosen.principal == one.breaker else ""
    kept = means.evidence_of(one.plan)
    evidence = f"evidence: {kept.path}" if kept is not None else f"evidence: none; interlock resume {stored.folder.name} writes it"
    finding = means.ask(f"{ended_text(stored, trail, one)}\n{evidence}\n{itself}\n{_ASKED}")
    demand_sentence(finding, lacks(finding), means, what="finding", where=one.id)
    demand_digits(f"To sign this as {chosen.principal}", one.entry, means, where=one.id, refused="nothing was signed")
    signed = make_signed(stored, who_may, chosen, means, purpose=follow_up_purpose(one.id, one.entry, finding))
    judged = judge_follow_up(one, [signed.seen], who_may.signers, means.clock())
    if isinstance(judged, NotApproved):
        raise ApprovalError("this follow-up would not count", where=one.id, why="; ".join(judged.reasons), remedy="look at the clock, and sign it again")
    return store_signed(follow_ups_of(books, one.id), signed.document)


def _broken(site: Site, trail: Trail) -> Owed | None:
    """What is owed for an action whose glass was broken, None for one that has not ended."""
    standing = Standing.of(trail)
    glass = standing.begun["break_glass"]
    if standing.end is None:
        return None
    return Owed(
        id=trail.id,
        plan=standing.plan_digest,
        action=standing.action,
        site=site.site,
        breaker=str(glass["principal"]),
        reason=str(glass["reason"]),
        ended=moments.read(standing.last),
        entry=trail.entries[-1].digest,
    )
