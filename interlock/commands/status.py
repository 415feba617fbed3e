"""Where does everything stand? One screen, offline, from `.interlock/` and the backup directories alone: nothing is asked, run or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never

from interlock.act import journal as journals
from interlock.act.books import Books, StoredPlan, approvals_of, load_plan
from interlock.act.commands import still_running
from interlock.act.lock import Holder
from interlock.act.lock import holder as lock_holder
from interlock.act.reach import local_holder
from interlock.change.follow_ups import owed
from interlock.commands.ages import ages
from interlock.config.actions import ApprovalKind
from interlock.config.models import Site
from interlock.errors import ConfigError, CouldNotLook, InterlockError, LockHeld
from interlock.evidence.visible import visible
from interlock.facts import moments
from interlock.facts.canonical import short
from interlock.facts.statements import PURPOSE_APPLY, PURPOSE_WITHDRAW, Approval, step_purpose
from interlock.gate.journal import End, Kind, Spawned, Standing, State, Trail
from interlock.gate.plan import ApprovalPlan, CommandPlan, Plan, StepPlan, disks_moved, has_undo
from interlock.observe.statements import FOLDER, read_signed, statement_files

RECENT = 5  # plans that are listed


def status_text(site: Site, ahead: int = 0, *, now: datetime | None = None) -> str:
    """The screen. `ahead` seconds are added to now: what will have expired by then is said to have. Raises EvidenceError for a damaged journal."""
    at = (now or datetime.now(UTC)) + timedelta(seconds=ahead)
    when = f" (as it will be in {moments.in_words(ahead)})" if ahead else ""
    if not (site.root / FOLDER).is_dir():
        return "\n".join([f"{site.site}{when}: nothing was ever planned here", *ages(site, at), f"next: interlock plan {next(iter(site.actions), 'ACTION')}"])
    books = Books(folder=site.root / FOLDER)
    holding, locks = _locks(site, books)
    trail = journals.newest(books.journals)
    standing = Standing.of(trail) if trail is not None else None
    due = _owed(site, books, at)
    lines = [f"{site.site}{when}", *due, *locks]
    lines += _action(standing, at) if standing is not None else ["last action: none was ever begun"]
    lines += _words(books, trail, at) if trail is not None else []
    lines += [*_plans(site, books, standing, at), *ages(site, at), f"next: {_next(site, books, trail, holding, at)}"]
    if due and standing is not None and standing.end is not None and holding is None:
        lines[-1] = f"next: somebody else of allowed_signers: interlock follow-up   (then: {lines[-1].removeprefix('next: ')})"
    return "\n".join(visible(line) for line in lines)


def _owed(site: Site, books: Books, at: datetime) -> list[str]:
    """What was done behind a broken glass, and nobody has looked at since: nothing else is applied before."""
    try:
        told = [f"OWED: a follow-up of {one.id}: BREAK-GLASS by {one.breaker}: {one.reason}" for one in owed(site, books, at)]
    except (CouldNotLook, ConfigError) as error:
        told = [f"OWED: nobody can tell: {error.what}"]
    return [*told, "  there is no deadline, and nothing else is applied or guarded until it is signed"] if told else []


def _locks(site: Site, books: Books) -> tuple[Holder | None, list[str]]:
    """Who is at work with these books, or on this machine with other books; and what to say of the locks."""
    try:
        holding = lock_holder(books.folder) or local_holder(site)
        lines = [f"lock: {holding or 'free'}"]
    except LockHeld as error:
        holding, lines = lock_holder(books.folder), [f"lock: cannot be seen: {error.sentence}"]
    far = [name for name, host in site.hosts.items() if host.ssh is not None]
    return holding, [*lines, *([f"lock on {', '.join(far)}: not asked from here, apply asks"] if far else [])]


def _action(standing: Standing, at: datetime) -> Iterator[str]:
    """How far the last action got, step by step."""
    age = moments.in_words((at - moments.read(standing.last)).total_seconds())
    yield f"last action: {standing.id}: {_end(standing)}, last entry {age} ago"
    glass = " (BREAK-GLASS)" if standing.begun.get("break_glass") else ""
    loud = glass + (" (SELF-APPROVED)" if standing.begun.get("self_approved") else "")
    job = f" by {job}" if (job := standing.begun.get("by", {}).get("job")) else ""
    yield f"  begun {standing.since}{job} on the word of {', '.join(standing.begun.get('principals', ()))}{loud}"
    if standing.finished:
        return
    if reason := standing.end_data.get("reason"):
        yield f"  why: {reason}"
    for number, step in enumerate(standing.steps, start=1):
        said = step.data.get("what", "") or (step.data.get("asks", "") if step.state is State.WAITING else "")
        more = " ".join(filter(None, (step.data.get("where"), step.data.get("why")))) if said and step.state in (State.FAILED, State.NOT_UNDONE) else ""
        yield f"  step {number}: {_STATES[step.state]}{f': {said}' if said else ''}{f' ({more})' if more else ''}"
        if step.spawned is not None and step.state in (State.UNDERWAY, State.UNDOING):
            yield from _program(step.spawned, step.data.get("hosts", ()))


def _program(spawned: Spawned, hosts: Sequence[str]) -> Iterator[str]:
    """What became of a program that was started, as far as this machine can tell."""
    if hosts:
        yield f"    its program was process {spawned.pid} on {hosts[0]}: not asked from here, resume and rollback ask"
    elif still_running(spawned):
        yield f"    its program still runs, as process {spawned.pid}"


def _once_ended(standing: Standing) -> str:
    """Until when resume and rollback refuse: a program of an interrupted step that outlived the runner is waited for, as far as this machine can tell."""
    begun = [standing.steps[number - 1] for number in standing.numbers([State.UNDERWAY, State.UNDOING])]
    running = [step.spawned for step in begun if step.spawned is not None and not step.data.get("hosts") and still_running(step.spawned)]
    return f"   once process {running[0].pid} has ended" if running else ""


def _end(standing: Standing) -> str:
    match standing.end:
        case End.DONE:
            return "done and verified"
        case End.UNDONE:
            return "undone, everything is as it was"
        case End.HALF:
            return "HALF-CHANGED"
        case End.UNVERIFIED:
            return "every step done, but NOT VERIFIED"
        case None if standing.numbers([State.WAITING]) and not standing.rolling_back:
            return "WAITS for a human"
        case None:
            return "UNFINISHED, being rolled back" if standing.rolling_back else "UNFINISHED"
        case _:
            assert_never(standing.end)


_STATES = {
    State.PENDING: "not started",
    State.WAITING: "WAITS for its approval",
    State.UNDERWAY: "started, and not known to have ended",
    State.DONE: "done",
    State.FAILED: "failed",
    State.UNDOING: "its undo started, and is not known to have ended",
    State.UNDONE: "undone",
    State.NOT_UNDONE: "NOT undone",
}


def _plans(site: Site, books: Books, standing: Standing | None, at: datetime) -> Iterator[str]:
    """The newest plans that can still be applied, and who has approved them as far as their files say (apply verifies)."""
    for stored in _open_plans(books, standing, at)[:RECENT]:
        called = f"plan {short(stored.digest)} {stored.plan.action}"
        if stored.plan.site.digest != site.digest:
            yield f"{called}: STALE, the site file was changed since; make it again"
            continue
        approvals = [f"{one.principal} until {one.expires}" for one in _approvals(books, stored, PURPOSE_APPLY, at)]
        approved = "needs no signature" if stored.plan.approval is ApprovalKind.OPERATOR else "not approved"
        back = f"; withdrawn by {', '.join(gone)}" if (gone := _withdrawn(books, stored)) else ""
        yield f"{called}: to be applied before {stored.plan.expires_at}; {'approved by ' + ', '.join(approvals) if approvals else approved}{back}"


def _open_plans(books: Books, standing: Standing | None, at: datetime) -> list[StoredPlan]:
    found = []
    for folder in sorted(books.plans.glob("[!.]*/"), key=lambda path: path.stat().st_mtime, reverse=True)[: 4 * RECENT]:
        try:
            stored = load_plan(folder)
        except InterlockError:
            continue
        begun = standing is not None and standing.plan_digest == stored.digest
        if not begun and moments.read(stored.plan.expires_at) > at and not journals.ids_of(books.journals, stored.digest):
            found.append(stored)
    return found


def _approvals(books: Books, stored: StoredPlan, purpose: str, at: datetime) -> list[Approval]:
    """What people have said to a plan, or to a step of it, as far as its files say: not expired, and not taken back since."""
    signed = list(_signed(books, stored))
    back = [(one.principal, moments.read(one.created)) for one in signed if one.purpose == PURPOSE_WITHDRAW]
    given = [one for one in signed if one.purpose == purpose and moments.read(one.expires) > at]
    return [one for one in given if not any(who == one.principal and moments.read(one.created) <= when for who, when in back)]


def _withdrawn(books: Books, stored: StoredPlan) -> list[str]:
    """Who has taken back what they had said, and has not said it again, each with when."""
    last: dict[str, Approval] = {}
    for one in sorted(_signed(books, stored), key=lambda one: (moments.read(one.created), one.purpose == PURPOSE_WITHDRAW)):
        last[one.principal] = one
    return [f"{principal} at {one.created}" for principal, one in sorted(last.items()) if one.purpose == PURPOSE_WITHDRAW]


def _signed(books: Books, stored: StoredPlan) -> Iterator[Approval]:
    for path in statement_files(approvals_of(books, stored)):
        try:
            yield Approval.from_json(read_signed(path)[0])
        except (OSError, ValueError):
            continue


def _words(books: Books, trail: Trail, at: datetime) -> Iterator[str]:
    """Who has said yes to the step that waits, and who has taken that back, as far as their files say (resume verifies)."""
    standing = Standing.of(trail)
    waiting = standing.numbers([State.WAITING])
    if not waiting or standing.rolling_back or standing.end is not None:
        return
    try:
        stored = load_plan(books.plans / str(standing.begun.get("plan_folder")))
    except InterlockError:
        return
    said = _approvals(books, stored, step_purpose(waiting[0], str(standing.steps[waiting[0] - 1].data["entry"])), at)
    if said:
        yield f"    yes says {', '.join(f'{one.principal} until {one.expires}' for one in said)}"
    if gone := _withdrawn(books, stored):
        yield f"    withdrawn by {', '.join(gone)}"


def _enough_said(books: Books, trail: Trail, number: int, at: datetime) -> bool:
    """True when as many people as a waiting step asks for have signed that the action goes on, as far as their files say."""
    try:
        stored = load_plan(books.plans / str(trail.entries[0].data.get("plan_folder")))
    except InterlockError:
        return False
    step = stored.plan.steps[number - 1]
    entry = next(entry for entry in reversed(trail.entries) if entry.kind is Kind.WAITS and entry.step == number)
    said = _approvals(books, stored, step_purpose(number, entry.digest), at)
    breaker = trail.entries[0].data.get("break_glass", {}).get("principal")
    if any(one.principal == breaker for one in said):
        return True
    return isinstance(step, ApprovalPlan) and len({one.principal for one in said if not step.by or one.principal in step.by}) >= step.required


def _open_questions(books: Books, standing: Standing) -> list[int]:
    """The commands that were under way and have no `done` check: only a human can say what became of them, and a resume without their word undoes all."""
    planned = _steps(books, standing)
    return [number for number in standing.numbers([State.UNDERWAY]) if isinstance(step := planned.get(number), CommandPlan) and step.done is None]


def _without_undo(books: Books, standing: Standing) -> list[int]:
    """The steps that are left after an undo, and that no other undo will put back."""
    planned = _steps(books, standing)
    return [number for number in standing.numbers([State.NOT_UNDONE]) if number in planned and not has_undo(planned[number])]


def _plan(books: Books, standing: Standing) -> Plan | None:
    """What was planned; None where that cannot be read any more."""
    try:
        return load_plan(books.plans / str(standing.begun.get("plan_folder"))).plan
    except InterlockError:
        return None


def _steps(books: Books, standing: Standing) -> Mapping[int, StepPlan]:
    """What was planned, by number; nothing where the plan cannot be read any more."""
    plan = _plan(books, standing)
    return dict(enumerate(plan.steps, start=1)) if plan is not None else {}


def _disks_moved(books: Books, standing: Standing) -> bool:
    """True for an action that `resume` refuses, since the gate that it began with describes disks that have been moved since."""
    plan = _plan(books, standing)
    return plan is not None and bool(disks_moved(plan, [step.may_have_changed for step in standing.steps]))


def _next(site: Site, books: Books, trail: Trail | None, holding: Holder | None, at: datetime) -> str:
    """The one command to type next."""
    standing = Standing.of(trail) if trail is not None else None
    if holding is not None:
        return "wait: an action is under way"
    if standing is not None and standing.numbers([State.WAITING]) and not standing.rolling_back and standing.end is None:
        digits = short(standing.plan_digest)
        said = trail is not None and _enough_said(books, trail, standing.numbers([State.WAITING])[0], at)
        return f"{'' if said else f'interlock approve {digits}; then '}interlock resume {digits}   (or: interlock rollback {digits})"
    if standing is not None and not standing.finished and standing.end is not End.UNDONE:
        digits = short(standing.plan_digest)
        if standing.rolling_back:
            stays = ", ".join(map(str, _without_undo(books, standing)))
            by_hand = f"   (it cannot undo step {stays}: mend that by hand, then interlock plan {standing.begun.get('action', 'ACTION')})"
            return f"interlock rollback {digits}{by_hand if stays else ''}{_once_ended(standing)}"
        if _disks_moved(books, standing):
            return f"interlock rollback {digits}{_once_ended(standing)}"
        asked = [f"--done {number}, or --again {number}, once you have looked what became of it" for number in _open_questions(books, standing)]
        return f"{' '.join([f'interlock resume {digits}', *asked])}   (or: interlock rollback {digits}){_once_ended(standing)}"
    plans = [stored for stored in _open_plans(books, standing, at) if stored.plan.site.digest == site.digest]
    if plans:
        ready = plans[0].plan.approval is ApprovalKind.OPERATOR or _approvals(books, plans[0], PURPOSE_APPLY, at)
        return f"interlock {'apply' if ready else 'approve'} {short(plans[0].digest)}"
    return f"interlock plan {next(iter(site.actions), 'ACTION')}"
