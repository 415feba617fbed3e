"""Has everybody agreed who must, and is decided what had to be? `interlock.observe.approval` asks the forge and reads the workplans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.approval import ISSUE_NAME, READINESS_NAME, TASK_NAME, DesignIssue
from interlock.judge.agreement.decisions import judge_decisions
from interlock.judge.agreement.signatures import PLAN, judge_plan
from interlock.judge.apply_paths import APPROVAL_GATE as GATE
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, When, in_short

__all__ = ["DECISIONS", "GATE", "ISSUE", "PLAN", "issues", "judge_decisions", "judge_issue", "judge_plan", "workplans"]

# ---- the design issue


def issues(site: Site) -> Sequence[Subject]:
    """The issue of each action that names one, asked for these actions alone."""
    numbers = dict.fromkeys(action.issue for action in site.actions.values() if action.issue is not None)
    return [
        Subject(name=f"{ISSUE_NAME}{number}", actions=frozenset(name for name, action in site.actions.items() if action.issue == number)) for number in numbers
    ]


def judge_issue(seen: DesignIssue) -> Held | Broken:
    """Held when it is an issue, in the state that the site demands, with all labels that it must have and none that it must not."""
    details = tuple(_issue_details(seen))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if bad:
        return Broken(f"{seen.name}: {in_short(bad)}", remedy="let those who decide finish the issue, and begin again", details=details)
    return Held(f"{seen.name} {in_short(details)}", details=details)


def _issue_details(seen: DesignIssue) -> Iterator[Detail]:
    issue = seen.issue
    if issue.pull_request:
        yield _broken("kind", "pull-request", f"{seen.name} is a pull request: a design issue says what is to be done before anybody has done it")
    state = "open" if issue.open else f"closed as {issue.dropped}" if issue.dropped else "closed"
    if seen.must_be_open is not None and issue.open is not seen.must_be_open:
        yield _broken("state", "state", f"it is {state}, and must be {'open' if seen.must_be_open else 'closed'}")
    elif seen.must_be_open is False and issue.dropped:
        yield _broken("state", "given-up", f"it is {state}: nobody agreed to it")
    else:
        yield Detail(what="state", outcome=Outcome.HELD, message=f"is {state}")
    has = {_same(label, seen.ignores_case) for label in issue.labels}
    for label in seen.required:
        if _same(label, seen.ignores_case) in has:
            yield Detail(what=f"label {label}", outcome=Outcome.HELD, message=f"has the label {label}")
        else:
            yield _broken(f"label {label}", "missing-label", f"it lacks the label {label}")
    has_in_any_case = {_same(label, True): label for label in issue.labels}
    for label in seen.forbidden:  # capital letters make nothing ready
        if (found := has_in_any_case.get(_same(label, True))) is not None:
            yield _broken(f"label {label}", "forbidden-label", f"it has the label {found}, which says that it is not ready")
        else:
            yield Detail(what=f"label {label}", outcome=Outcome.HELD, message=f"does not have the label {label}")


def _same(label: str, ignores_case: bool) -> str:
    return label.strip().casefold() if ignores_case else label.strip()


def _broken(what: str, kind: str, message: str) -> Detail:
    return Detail(what=what, outcome=Outcome.BROKEN, kind=kind, message=message)


ISSUE = Guardrail(
    id="approval.issue",
    title="the design issue of the action is in the state that the site demands, with all labels that it must have and none that it must not",
    severity=Severity.HIGH,
    when=frozenset({When.APPLY}),
    rationale="A plan that people sign says how a thing is done; whether it is to be done at all is agreed in an issue, and a label there is how an operator "
    "says: not yet.",
    remedy="let those who decide finish the issue: its state, and its labels",
    subjects=issues,
    judge=judge_issue,
)


# ---- workplans


def workplans(site: Site) -> Sequence[Subject]:
    """What the site calls its workplans, from files, and what module files claim; and for the actions that carry out a task, that task."""
    files = frozenset({When.STATIC})
    patterns = [Subject(name=pattern, when=files) for pattern in site.workplans.files] if site.workplans else []
    modules = [Subject(name=READINESS_NAME, when=files)] if site.inventory else []
    ids = dict.fromkeys(action.task for action in site.actions.values() if action.task is not None)
    tasks = [
        Subject(
            name=f"{TASK_NAME}{identifier}",
            when=frozenset({When.PREFLIGHT}),
            actions=frozenset(name for name, action in site.actions.items() if action.task == identifier),
        )
        for identifier in ids
    ]
    return [*patterns, *modules, *tasks]


DECISIONS = Guardrail(
    id="approval.decisions",
    title="no task of a workplan has begun before what it needs was decided, before its turn, or without the human that it needs",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="A plan that lists open decisions and is carried out all the same makes them by accident; and what one could go back to is gone once somebody "
    "has tidied it away.",
    remedy="decide with `decided: <what>, <who>, <date>`, approve with `approved: <who>, <date>`, and do tasks in their order",
    subjects=workplans,
    judge=judge_decisions,
)
