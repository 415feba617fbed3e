"""Plan, approve, apply, resume, roll back: the one way in which anything is changed. Thin: what it does is written in the modules that it calls.

apply: 1. take the lock  2. may this process apply?  3. the gate, on fresh facts  4. is the live state still the plan's?  5. approvals  6. the clearance
7. backups, verified  8. steps, each announced in the journal before and recorded after  9. postflight  10. evidence. A step that fails stops the action, and
what was done is undone in reverse. A kill at any point leaves a journal from which `status` tells the truth and `resume` or `rollback` finishes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Never, assert_never

from interlock.act import journal as journals
from interlock.act.books import Books, StoredPlan, find_plan
from interlock.act.commands import still_running
from interlock.act.journal import Journal
from interlock.act.lock import locked
from interlock.act.reach import Reach, host_of, reaching
from interlock.change import approving, follow_ups, glass, planning, showing
from interlock.change.approving import Waiting
from interlock.change.carrying import Action, Said, closing, demand_mounts, demand_open, demand_unmoved, lacks_approval_alone
from interlock.change.means import Gated, Means, real_means
from interlock.change.telling import Ended, Outcome, conclude, paused, told_again
from interlock.config.actions import CommandStep
from interlock.config.models import Site
from interlock.errors import ApprovalError, GateShut, HalfChanged, LockHeld, StaleError, UsageError
from interlock.facts.canonical import short
from interlock.gate.caller import Allowed, AllowedJob, MustAsk, Refused, judge_caller
from interlock.gate.clearance import Begun, Clearance, OperatorPresent, clear
from interlock.gate.decision import Open, Shut
from interlock.gate.journal import End, Kind, Standing, State, Trail
from interlock.gate.plan import FILE, CommandPlan, disks_moved
from interlock.judge.agreement.glass import GlassBroken
from interlock.judge.agreement.plans import Approved
from interlock.nouns import dataclass
from interlock.observe.caller import who
from interlock.observe.fingerprint import look_again
from interlock.verdicts import When

# ---- what the command line calls


def plan(site: Site, action: str, environ: Mapping[str, str], *, key: Path | None = None) -> Path:
    """Resolve an action, and write its plan. Returns the path of its plan.json."""
    return planning.make_plan(site, action, environ, now=real_means(site, environ).clock(), key=key).folder / FILE


def show(site: Site, named: str, environ: Mapping[str, str]) -> str:
    """A plan in words and as diffs. `named` is a path, a folder's name below .interlock/plans, or the first digits of a digest."""
    return showing.plan_text(find_plan(Books.open(site.root), named), site, environ)


def approve(site: Site, named: str, key: Path | None, environ: Mapping[str, str], means: Means | None = None) -> Path:
    """Show a plan at the terminal, have its digest typed, and sign it. Returns the path of the approval. Raises ApprovalError."""
    books = Books.open(site.root)
    return approving.approve(site, books, find_plan(books, named), means or real_means(site, environ), key=key)


def apply(site: Site, named: str, environ: Mapping[str, str], means: Means | None = None) -> Outcome:
    """Apply an approved plan. Raises an InterlockError when it may not begin: then nothing was changed. What happens after that is in the Outcome."""
    means = means or real_means(site, environ)
    with _at_work(site, named, "apply", means) as (books, stored, reach):
        _demand_unused(books, stored)
        approving.demand_current(site, stored, means.clock())
        follow_ups.demand_none_owed(site, books, means.clock())
        job = _demand_caller(means, site, stored)
        means = _answered_by(job, means)
        gated = _demand_open_and_approved(site, books, stored, means)
        demand_unmoved(stored.plan.fingerprint, look_again(stored.plan.fingerprint, reach.eyes))
        authority = approving.authority(site, books, stored, means)
        _demand_signed(job, authority)
        return _begin(_Ready(site=site, stored=stored, means=means, gated=gated, reach=reach), books, authority, job)


def break_glass(site: Site, named: str, environ: Mapping[str, str], *, key: Path | None = None, means: Means | None = None) -> Outcome:
    """Apply a plan without its second person: on the word of one, who says at the terminal why. Everything else is asked as `apply` asks it."""
    means = means or real_means(site, environ)
    with _at_work(site, named, "break-glass", means) as (books, stored, reach):
        _demand_unused(books, stored)
        approving.demand_current(site, stored, means.clock())
        _demand_caller(means)
        authority = glass.break_glass(site, books, stored, means, key=key)
        gated = demand_open(stored, means, When.APPLY)
        demand_unmoved(stored.plan.fingerprint, look_again(stored.plan.fingerprint, reach.eyes))
        return _begin(_Ready(site=site, stored=stored, means=means, gated=gated, reach=reach), books, authority, None)


def withdraw(site: Site, named: str, key: Path | None, environ: Mapping[str, str], means: Means | None = None) -> Path:
    """Take back what one person has signed of a plan. Returns the path of the withdrawal. Raises ApprovalError."""
    books = Books.open(site.root)
    return approving.withdraw(site, books, find_plan(books, named), means or real_means(site, environ), key=key)


def follow_up(site: Site, named: str | None, key: Path | None, environ: Mapping[str, str], means: Means | None = None) -> Path:
    """Sign what was found of an action that was applied without its second person. Returns the path of what was signed. Raises ApprovalError, UsageError."""
    return follow_ups.follow_up(site, Books.open(site.root), named, means or real_means(site, environ), key=key)


def guard(
    site: Site, action: str, program: Sequence[str], environ: Mapping[str, str], *, directory: Path, key: Path | None = None, means: Means | None = None
) -> Outcome:
    """Run a program of the operator's as one step of an action: behind its gate, its approval and its backups, with postflight and evidence after it.

    Where a signature is needed and this operator may give it, they are asked at the terminal once the gate is open. Raises as `plan`, `approve` and `apply` do.
    """
    means = means or real_means(site, environ)
    books = Books.open(site.root)
    follow_ups.demand_none_owed(site, books, means.clock())
    step = CommandStep(run=tuple(program), directory=str(directory), timeout=planning.demand_action(site, action).timeout)
    stored = planning.guarding_plan(site, action, step, environ, now=means.clock(), key=key)
    if not approving.is_approved(site, books, stored, means):
        job = _demand_caller(means, site, stored)
        demand_open(stored, means)
        approving.approve_here(site, books, stored, _answered_by(job, means), key=key)
    return apply(site, str(stored.folder), environ, means)


def resume(site: Site, named: str, environ: Mapping[str, str], means: Means | None = None, said: Mapping[int, Said] | None = None) -> Outcome:
    """Finish an interrupted action, under the approval that it was begun with. `said` settles commands that nobody else can tell about, by step.

    One that is finished is told of again, and its evidence is written if it was not.
    """
    means = means or real_means(site, environ)
    with _at_work(site, named, "resume", means) as (books, stored, reach):
        finished = _finished(books, stored, (End.DONE, End.UNDONE))
        if finished is not None:
            return told_again(Ended(site=site, stored=stored, means=means, trail=finished))
        trail, state = _demand_unfinished(books, stored, reach)
        if state.rolling_back:
            raise UsageError(f"{trail.id} is being rolled back", remedy=f"interlock rollback {short(stored.digest)}")
        _demand_disks_unmoved(stored, state)
        _demand_open_questions(stored, state, said or {})
        approving.demand_current(site, stored, None)
        _demand_caller(means)
        gated = demand_open(stored, means)
        demand_mounts(stored, state, reach.eyes)
        clearance = _clear(stored, gated.decision, _as_begun(state), means)
        journal = _taken_over(books, trail, "resume", means)
        return _carry_out(_Ready(site=site, stored=stored, means=means, gated=gated, reach=reach), clearance, journal, said or {})


def rollback(site: Site, named: str, environ: Mapping[str, str], means: Means | None = None) -> Outcome:
    """Undo an action that was interrupted, or that could not be undone or verified. Needs no open gate: undoing must always be possible.

    One that is undone is told of again, and its evidence is written if it was not.
    """
    means = means or real_means(site, environ)
    with _at_work(site, named, "rollback", means) as (books, stored, reach):
        finished = _finished(books, stored, (End.UNDONE,))
        if finished is not None:
            return told_again(Ended(site=site, stored=stored, means=means, trail=finished, asked_to_undo=True))
        trail, state = _demand_unfinished(books, stored, reach)
        _demand_caller(means)
        clearance = _clear(stored, _as_begun(state), _as_begun(state), means)
        journal = _taken_over(books, trail, "rollback", means)
        with closing(journal) as stop:
            action = Action(site=site, stored=stored, means=means, journal=journal, clearance=clearance, stop=stop, gated=None, reach=reach)
            action.undo("rolled back by the operator")
        return conclude(Ended(site=site, stored=stored, means=means, trail=journal.trail_now, asked_to_undo=True))


# ---- may it begin?


@contextmanager
def _at_work(site: Site, named: str, verb: str, means: Means) -> Iterator[tuple[Books, StoredPlan, Reach]]:
    """The books, the plan and its hosts, with the locks of all of them held."""
    books = Books.open(site.root)
    stored = find_plan(books, named)
    user, host = who(means.environ)
    doing = f"{verb} {stored.plan.action} {short(stored.digest)}"
    with locked(books.folder, doing=doing, user=user, host=host, now=means.clock()) as holder, reaching(site, stored.plan, holder) as reach:
        yield books, stored, reach


def _demand_unused(books: Books, stored: StoredPlan) -> None:
    """A plan is applied at most once, and not over an action that never ended."""
    last = journals.newest(books.journals)
    journals.verify_chain(books.journals)
    used = journals.begun_with(books.journals, stored.digest)
    if used:
        ended = Standing.of(used[0]).finished
        why = f"as {used[0].id}{'' if ended else ', which has not ended well'}"
        remedy = f"interlock plan {stored.plan.action}" if ended else "interlock status; then resume it or roll it back"
        raise StaleError("this plan was applied already", where=str(stored.folder), why=why, remedy=remedy)
    if last is not None and Standing.of(last).end is None:
        raise HalfChanged(
            f"{last.id} was begun and never ended", where=str(books.journals / last.id), remedy="interlock status; then resume it or roll it back"
        )


def _demand_open_and_approved(site: Site, books: Books, stored: StoredPlan, means: Means) -> Gated:
    """Apply's own gate, run now and found open. Raises GateShut; ApprovalError where nothing but the people's word is missing."""
    try:
        return demand_open(stored, means, When.APPLY)
    except GateShut as shut:
        if lacks_approval_alone(shut):
            approving.authority(site, books, stored, means)
        raise


def _finished(books: Books, stored: StoredPlan, ends: Sequence[End]) -> Trail | None:
    """The newest action, when it is this plan's and ended in one of these ways."""
    trail = journals.newest(books.journals)
    state = Standing.of(trail) if trail is not None else None
    return trail if state is not None and state.plan_digest == stored.digest and state.end in ends else None


def _demand_unfinished(books: Books, stored: StoredPlan, reach: Reach) -> tuple[Trail, Standing]:
    """The newest action, which must be this plan's, not ended well, and without a program of it that still runs."""
    trail = journals.newest(books.journals)
    state = Standing.of(trail) if trail is not None else None
    if trail is None or state is None or state.plan_digest != stored.digest:
        last = f"the last one is {trail.id}" if trail is not None else "none was ever begun"
        raise UsageError(f"no action of plan {short(stored.digest)} is unfinished", where=str(books.journals), why=last, remedy="interlock status")
    if state.finished:
        raise UsageError(f"{trail.id} is finished: {state.end}", where=str(books.journals), remedy="make a new plan for another change")
    for number in state.numbers((State.UNDERWAY, State.UNDOING)):
        spawned = state.steps[number - 1].spawned
        host = host_of(stored.plan.steps[number - 1])
        if spawned is not None and still_running(spawned, reach.now(host)):
            where = f"process {spawned.pid} on {host}"
            raise LockHeld(f"the program of step {number} still runs", where=where, remedy="wait until it has ended, or end it yourself")
    return trail, state


def _demand_open_questions(stored: StoredPlan, state: Standing, said: Mapping[int, Said]) -> None:
    """What a human says must be about a command of which it is not known whether it ended: of everything else the journal and the system know better."""
    open_questions = [number for number in state.numbers([State.UNDERWAY]) if isinstance(stored.plan.steps[number - 1], CommandPlan)]
    for number in said:
        if number not in open_questions:
            waiting = ", ".join(map(str, open_questions)) or "none"
            raise UsageError(f"step {number} is no open question", why=f"commands that were interrupted: {waiting}", remedy="interlock status")


def _demand_disks_unmoved(stored: StoredPlan, state: Standing) -> None:
    """What goes on is begun by the gate of the site as it was: once its disks lie as the next site says, that gate is shut, and its remedies are wrong."""
    moved = disks_moved(stored.plan, [step.may_have_changed for step in state.steps])
    if moved:
        raise UsageError(
            "this action cannot be gone on with",
            where=state.id,
            why=f"a step of it has moved disks ({', '.join(sorted(moved))}), and the gate that it began with describes them as they were",
            remedy=f"interlock rollback {short(stored.digest)}; then make a new plan",
        )


def _demand_caller(means: Means, site: Site | None = None, stored: StoredPlan | None = None) -> AllowedJob | None:
    """A human at a terminal, or with a site and a plan one of the site's CI jobs that may apply it. What was begun only humans finish and undo."""
    jobs = site.approval.jobs if site is not None and site.approval is not None else {}
    judged = judge_caller(means.caller(), jobs, stored.plan.action if stored is not None else "")
    match judged:
        case Allowed():
            return None
        case AllowedJob():
            return judged
        case MustAsk(question=question):
            if means.ask(f"{question}\nType yes to go on: ").lower() != "yes":
                raise ApprovalError("nobody said that a human runs this", remedy="run it again, and type yes; or unset CI in your shell")
            return None
        case Refused(why=why, remedy=remedy):
            raise ApprovalError("this process may not apply", why="; ".join(why), remedy=remedy)
        case _:
            assert_never(judged)


def _demand_signed(job: AllowedJob | None, authority: Approved | OperatorPresent) -> None:
    """A job applies what other people have signed, nothing else."""
    if job is None or (isinstance(authority, Approved) and not authority.self_approved):
        return
    why = "its planner approved it" if isinstance(authority, Approved) else "its `approval:` is the operator at the terminal"
    raise ApprovalError(f"{job.said} may not apply this plan", why=why, remedy="have somebody else sign it, or apply it yourself, in a terminal on this host")


def _answered_by(job: AllowedJob | None, means: Means) -> Means:
    """The means of a job have nobody to ask, even where it has a terminal."""
    return means if job is None else dataclasses.replace(means, ask=partial(_nobody_answers, job))


def _nobody_answers(job: AllowedJob, _question: str) -> Never:
    raise ApprovalError("there is nobody to ask", why=f"{job.said} runs this", remedy="answer in a terminal on this host")


def _begin(ready: _Ready, books: Books, authority: Approved | GlassBroken | OperatorPresent, job: AllowedJob | None) -> Outcome:
    """Make the clearance, write the first entry of the journal, and carry the plan out."""
    stored, means = ready.stored, ready.means
    clearance = _clear(stored, ready.gated.decision, authority, means)
    name = journals.next_id(books.journals, action=stored.plan.action, plan_digest=stored.digest)
    journal = Journal.begin(books.journals, id=name, clock=means.clock, data=_begun(ready, authority, job))
    return _carry_out(ready, clearance, journal, {})


def _clear(stored: StoredPlan, gate: Open | Shut | Begun, authority: Approved | GlassBroken | OperatorPresent | Begun, means: Means) -> Clearance:
    assert not isinstance(gate, Shut)
    return clear(plan=stored.digest, action=stored.plan.action, gate=gate, authority=authority, now=means.clock(), lasts=timedelta(seconds=stored.plan.timeout))


def _begun(ready: _Ready, authority: Approved | GlassBroken | OperatorPresent, job: AllowedJob | None) -> dict[str, Any]:
    """The first entry of the journal: what was begun, by whom, on whose word, behind which gate."""
    site, stored, gated = ready.site, ready.stored, ready.gated
    user, host = who(ready.means.environ)
    return {
        "plan": stored.digest,
        "plan_folder": stored.folder.name,
        "action": stored.plan.action,
        "site": site.site,
        "steps": len(stored.plan.steps),
        **_on_the_word_of(authority, f"{user}@{host}"),
        "gate": {"run": gated.run.path.name, "digest": gated.run.digest},
        "by": {"user": user, "host": host} | ({"job": job.said} if job is not None else {}),
        "interlock": stored.plan.interlock,
    }


def _on_the_word_of(authority: Approved | GlassBroken | OperatorPresent, operator: str) -> dict[str, Any]:
    """Who agreed, and how loudly that must be told."""
    if isinstance(authority, OperatorPresent):
        return {"approvals": [], "principals": [operator], "self_approved": False}
    glass = {"break_glass": {"principal": authority.principal, "reason": authority.reason}} if isinstance(authority, GlassBroken) else {}
    approvals = [approval.to_json() for approval in authority.approvals]
    return {"approvals": approvals, "principals": list(authority.principals), "self_approved": authority.self_approved, **glass}


def _as_begun(state: Standing) -> Begun:
    return Begun(plan=state.plan_digest, principals=tuple(str(name) for name in state.begun.get("principals", ())))


def _taken_over(books: Books, trail: Trail, how: str, means: Means) -> Journal:
    journal = Journal.reopen(books.journals, trail, clock=means.clock)
    user, host = who(means.environ)
    journal.append(Kind.CONTINUED, 0, {"how": how, "by": {"user": user, "host": host}, "torn": trail.torn})
    return journal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """An action that may begin, or go on."""

    site: Site
    stored: StoredPlan
    means: Means
    gated: Gated
    reach: Reach


def _carry_out(ready: _Ready, clearance: Clearance, journal: Journal, said: Mapping[int, Said]) -> Outcome:
    with closing(journal) as stop:
        action = Action(
            site=ready.site,
            stored=ready.stored,
            means=ready.means,
            journal=journal,
            clearance=clearance,
            stop=stop,
            gated=ready.gated,
            reach=ready.reach,
        )
        end = action.do(said)
    if isinstance(end, Waiting):
        return paused(ready.stored, journal.trail_now, end)
    return conclude(Ended(site=ready.site, stored=ready.stored, means=ready.means, trail=journal.trail_now))
