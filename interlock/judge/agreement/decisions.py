"""Is decided what had to be before a task began, was its turn, and did a human say yes where one must? `interlock.facts.workplans` has the nouns.

What an author says in a block wins over what the order of the page says; a task that is given up holds up nobody; what is under way may stand beside what is
under way. A task that only an action will begin is judged as strictly as it reads: all that it comes after is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from interlock.facts.readiness import Claim
from interlock.facts.task_names import Names
from interlock.facts.workplans import Decision, ModuleClaims, NextTask, Status, Task, Unread, Workplan, Workplans
from interlock.patterns import regex
from interlock.verdicts import Broken, Detail, Held, Outcome, Unproven, in_short

_REMEDIES = {
    "open-decision": "let those who decide write `decided: <what>, <who>, <date>` into the item, or put the task back to todo",
    "out-of-order": "finish what comes before, or say in the task's block what it comes after: `after: [T02]`, `after: []` for nothing",
    "no-approval": "let a human say yes in the task's block: `approved: <who>, <date>`",
    "fallback-retired": "record the decision: `decision: <what>, <who>, <date>` in the task's block, or an item of the open decisions that is decided",
    "no-design-issue": "name the issue in which operators agreed: `design_issue: 271`; until there is one, it is not ready",
    "unknown-task": "correct `task` of the action, or `workplans.files`",
    "not-to-be-done": "correct the status of the task or of its plan, or leave the action",
}
_BEFORE_ORDER = (Status.TODO, Status.BLOCKED)
_OPEN = (*_BEFORE_ORDER, Status.PUT_OFF)


def judge_decisions(seen: Workplans | NextTask | ModuleClaims) -> Held | Broken | Unproven:
    """Held when no task has begun before its time, and nothing is called ready that no issue says so of; for a task that is next: when it may begin."""
    match seen:
        case Workplans():
            details = [*_unread(seen.unread), *(detail for plan in seen.plans for detail in _plan(plan, seen.known))]
            return _concluded(details, _plans_in_words(seen.plans))
        case NextTask():
            return _concluded(list(_next(seen)), f"{seen.id} may begin: what it needs is decided, and what it comes after is done")
        case ModuleClaims():
            held = f"none of {len(seen.files)} module files claims to be ready" if not seen.claims else "each module that is ready names its design issue"
            if not seen.files:
                return Unproven("no module file was found", remedy="correct `inventory.modules`")
            return _concluded([*_unread(seen.unread), *map(_claim, seen.claims)], held)


def _concluded(details: Sequence[Detail], held: str) -> Held | Broken | Unproven:
    for outcome, kind in ((Outcome.BROKEN, Broken), (Outcome.UNPROVEN, Unproven)):
        these = [detail for detail in details if detail.outcome is outcome]
        if these:
            remedy = _REMEDIES.get(these[0].kind, "correct the file, so that it says what is meant")
            return kind(in_short(these), remedy=remedy, details=tuple(details))
    return Held(held, details=tuple(details))


def _plans_in_words(plans: Sequence[Workplan]) -> str:
    begun = sum(task.has_begun for plan in plans for task in plan.tasks)
    still_open = sum(not one.decided for plan in plans for one in plan.decisions)
    said = f"{len(plans)} workplans" if len(plans) != 1 else plans[0].path
    return f"{said}: none of {begun} tasks that have begun waits for one of {still_open} open decisions, or for another task"


def _unread(files: Sequence[Unread]) -> Iterator[Detail]:
    for file in files:
        yield Detail(what=file.path, outcome=Outcome.UNPROVEN, kind="unreadable", message=file.why, file=file.path)


# ---- a workplan as it stands


def _plan(plan: Workplan, known: Sequence[Task]) -> Iterator[Detail]:
    if plan.is_given_up:  # nobody works by it any more, so nobody keeps it right
        yield Detail(what=plan.path, outcome=Outcome.HELD, message=f"{plan.path} is {plan.said}", file=plan.path)
        return
    faults, named = list(_faults(plan)), _Named(plan, known)
    yield from faults
    yield from map(_claim, plan.claims)
    late: list[Task] = []  # what stands above and is still to be done
    for task in plan.tasks:
        found = list(_wrong(plan, task, late, named))
        late += [task] if task.status in _BEFORE_ORDER else []
        yield from found or [_detail(task, "", Outcome.HELD, "", f"{task.id} is {task.said}")]
    if not (faults or plan.claims or plan.tasks):
        yield Detail(what=plan.path, outcome=Outcome.HELD, message=f"{plan.path} has no task yet", file=plan.path)


def _faults(plan: Workplan) -> Iterator[Detail]:
    for fault in plan.faults:
        said = f"{fault.path}:{fault.line}: {fault.why}"
        yield Detail(what=plan.path, outcome=Outcome.UNPROVEN, kind="unreadable", message=said, file=fault.path, line=fault.line)


def _wrong(plan: Workplan, task: Task, late: Sequence[Task], named: _Named) -> Iterator[Detail]:
    """What is wrong with a task that has begun; nothing of one that has not."""
    if task.status is Status.UNKNOWN:
        yield _unknown_status(task)
    if task.has_begun:
        yield from _undecided(plan, task, f"is {task.said}")
        yield from _too_early(task, late, named)
        yield from _unsaid(plan, task, f"is {task.said}")


def _undecided(plan: Workplan, task: Task, begun: str) -> Iterator[Detail]:
    for one in plan.needs(task):
        if isinstance(one, str):
            said = f"{task.id} {begun} and needs decision {one}, which is not in the list of the page"
            yield _detail(task, f"decision {one}", Outcome.UNPROVEN, "unknown-decision", said)
        elif not one.decided:
            why = "says `decided:` without what, who and date" if one.unfinished else "is open"
            said = f"{task.id} {begun}, and decision {one.number} ({_short(one)}) {why}"
            yield _detail(task, f"decision {_short(one)}", Outcome.BROKEN, "open-decision", said)


def _short(one: Decision) -> str:
    return one.text if len(one.text) <= 60 else f"{one.text[:57].rstrip()}..."


def _too_early(task: Task, late: Sequence[Task], named: _Named) -> Iterator[Detail]:
    if task.after is None:
        yield from _order(task, late)
        return
    found, nowhere = named.by(task)
    yield from _order(task, [one for one in found if one.status in _OPEN or (one.status is Status.BEGUN and task.status is Status.DONE)])
    if task.status is Status.BEGUN:  # what is done is history
        yield from (_nowhere(task, name) for name in nowhere)


def _order(task: Task, late: Sequence[Task]) -> Iterator[Detail]:
    if late:
        those = ", ".join(f"{one.id} ({one.said})" for one in late[:3]) + (f" and {len(late) - 3} more" if len(late) > 3 else "")
        yield _detail(task, "order", Outcome.BROKEN, "out-of-order", f"{task.id} is {task.said}, and comes after {those}")


def _nowhere(task: Task, name: str) -> Detail:
    said = f"{task.id} comes after {name}, which no workplan of the site has"
    return _detail(task, f"after {name}", Outcome.UNPROVEN, "unknown-dependency", said)


class _Named:
    """The tasks that the blocks of a plan name."""

    def __init__(self, plan: Workplan, known: Sequence[Task]) -> None:
        self._names = Names([one.id for one in plan.tasks])
        self._own, self._known = _by_id(plan.tasks), _by_id(known)

    def by(self, task: Task) -> tuple[list[Task], list[str]]:
        """The tasks that its block names, of its own plan first; and the names that are nobody's, but for those that are said to be done there and then."""
        found: list[Task] = []
        nowhere: list[str] = []
        letters = re.match(r"[A-Za-z]*", re.split(r"[-_./:]", task.id)[-1])
        for reference in task.after or ():
            words = {word.strip("[](),.;").casefold() for word in reference.split()}
            numbered = self._names.mentioned(f"{letters[0]}{reference}") if letters and reference.isdigit() else ()
            ids = {*words, *(one.casefold() for one in (*self._names.mentioned(reference), *numbered))}
            here = [one for known in (self._own, self._known) for name in sorted(ids) for one in known.get(name, ()) if one is not task]
            found += dict.fromkeys(here)
            if not (here or ids & self._own.keys()) and _NAME.search(reference) and not words & {"done", "completed", "finished", "closed"}:
                nowhere.append(reference)
        return found, nowhere


def _by_id(tasks: Sequence[Task]) -> Mapping[str, Sequence[Task]]:
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.id.casefold(), []).append(task)
    return found


_NAME = regex(r"\d|^\s*\w+(?:[-_]\w+)+\s*$")  # what may be an id; all else is a remark: `blocked_by: the weather`


def _unsaid(plan: Workplan, task: Task, begun: str) -> Iterator[Detail]:
    """A human's yes, and the decision to take away what one could go back to."""
    if task.needs_human and not task.approved:
        yield _detail(task, "approval", Outcome.BROKEN, "no-approval", f"{task.id} {begun} and needs a human, and nobody has approved it")
    if task.retires and not (task.recorded or plan.records_retirement(task)):
        said = f"{task.id} {begun} ({task.retires}), and no decision of its own is recorded for it"
        yield _detail(task, "retirement", Outcome.BROKEN, "fallback-retired", said)


def _unknown_status(task: Task) -> Detail:
    said = f"nobody knows whether {task.id} has begun: its status is {task.said!r}, which is none of todo, blocked, in_progress, done, cancelled"
    return _detail(task, "status", Outcome.UNPROVEN, "unknown-status", said)


def _detail(task: Task, about: str, outcome: Outcome, kind: str, said: str) -> Detail:
    what = " ".join(filter(None, (task.path, task.id, about)))
    return Detail(what=what, outcome=outcome, kind=kind, message=f"{task.path}:{task.line}: {said}", file=task.path, line=task.line)


def _claim(claim: Claim) -> Detail:
    what, place = f"{claim.path} {claim.said}", f"{claim.path}:{claim.line}"
    if claim.issue:
        said = f"{place}: {claim.said}, by design issue {claim.issue}"
        return Detail(what=what, outcome=Outcome.HELD, message=said, file=claim.path, line=claim.line)
    said = f"{place}: {claim.said}, and no design issue says so"
    return Detail(what=what, outcome=Outcome.BROKEN, kind="no-design-issue", message=said, file=claim.path, line=claim.line)


# ---- a task that is next


def _next(seen: NextTask) -> Iterator[Detail]:
    found = [(plan, task) for plan in seen.plans for task in plan.tasks if task.id.casefold() == seen.id.casefold()]
    known = [task for plan in seen.plans for task in plan.tasks]
    for plan, task in found:
        yield from _faults(plan)
        wrong = [
            *_own_status(plan, task),
            *_undecided(plan, task, "is to begin"),
            *_not_yet(plan, task, _Named(plan, known)),
            *_unsaid(plan, task, "is to begin"),
        ]
        yield from wrong or [_detail(task, "", Outcome.HELD, "", f"{task.id} may begin")]
    if not found:
        unread = [*_unread(seen.unread), *(detail for plan in seen.plans for detail in _faults(plan))]
        yield from unread
        if not unread:
            said = f"no workplan has a task {seen.id}"
            yield Detail(what=seen.id, outcome=Outcome.BROKEN, kind="unknown-task", message=said)


def _own_status(plan: Workplan, task: Task) -> Iterator[Detail]:
    if plan.is_given_up:
        yield _detail(task, "plan", Outcome.BROKEN, "not-to-be-done", f"the plan of {task.id} is {plan.said}")
    match task.status:
        case Status.BLOCKED | Status.DROPPED | Status.PUT_OFF:
            yield _detail(task, "status", Outcome.BROKEN, "not-to-be-done", f"{task.id} is {task.said}")
        case Status.UNKNOWN:
            yield _unknown_status(task)
        case Status.TODO | Status.BEGUN | Status.DONE:
            pass


def _not_yet(plan: Workplan, task: Task, named: _Named) -> Iterator[Detail]:
    """What it comes after and is not done: by its block, or all that stand before it but what is put off."""
    if task.after is None:
        yield from _waits(task, [one for one in plan.earlier(task) if one.status not in (Status.DONE, Status.DROPPED, Status.PUT_OFF)])
        return
    found, nowhere = named.by(task)
    yield from _waits(task, [one for one in found if one.status not in (Status.DONE, Status.DROPPED)])
    yield from (_nowhere(task, name) for name in nowhere)


def _waits(task: Task, late: Sequence[Task]) -> Iterator[Detail]:
    for one in late:
        yield _detail(task, f"after {one.id}", Outcome.BROKEN, "out-of-order", f"{task.id} is to begin, and comes after {one.id}, which is {one.said}")
