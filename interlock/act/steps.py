"""How is each kind of step done, and how undone? The closed list; every kind that changes something lives in a module of its own.

A human's word in mid-plan (`ApprovalPlan`) is no step of this module: `interlock.change.carrying` waits for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from interlock.act.backups import do_backup, undo_backup
from interlock.act.commands import do_command, undo_command
from interlock.act.compose import do_compose, prepare_compose, undo_compose, withdraw_compose
from interlock.act.files import do_files, undo_files
from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.config.actions import ComposeVerb
from interlock.gate.journal import Result
from interlock.gate.plan import (
    ApprovalPlan,
    BackupPlan,
    CommandPlan,
    ComposePlan,
    EndpointPlan,
    EnvPatchPlan,
    FilesPlan,
    GatePlan,
    StepPlan,
    VerifyPlan,
)
from interlock.nouns import dataclass
from interlock.verdicts import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How a step looks at the system. `verify` takes names of expectations and says what each came to: `name`, `outcome`, `message`, `to_json()`.

    `ask` takes a gate in mid-plan and returns why it is shut (empty: it is open), and what the journal keeps of it.
    """

    verify: Callable[[Sequence[str]], Sequence[Any]]
    ask: Callable[[GatePlan], tuple[str, dict[str, Any]]]


def prepare(step: StepPlan, bench: Bench) -> None:
    """Keep what the undo of a step will need of the system as it is now. Called once for each step before the first one, and again by a resume as long as no
    step has begun. Raises StepFailed: nothing was changed then."""
    if isinstance(step, ComposePlan):
        prepare_compose(step, bench)


def needed(step: StepPlan, *, again: bool) -> tuple[str, ...]:
    """The expectations that must hold before a step starts. The new side of an endpoint must answer before it is announced that it is switched, and is not
    asked `again`: what was begun may be half switched."""
    return (*step.needs, *step.before) if isinstance(step, EndpointPlan) and not again else step.needs


def do(step: StepPlan, bench: Bench, looking: Looking, *, timeout: int, again: bool) -> StepDone:
    """Do one step. `again`: it was started before, and nobody knows how far it got. Raises StepFailed. `timeout` in seconds, for a backup."""
    match step:
        case BackupPlan():
            return do_backup(step, bench, timeout=timeout)
        case FilesPlan() | EnvPatchPlan():
            return do_files(step, bench, again=again)
        case ComposePlan():
            return do_compose(step, bench, again=again)
        case CommandPlan():
            return do_command(step, bench, again=again)
        case VerifyPlan():
            bench.check()
            return StepDone(changed=False, data=demand_held(step.expect, looking))
        case EndpointPlan():
            return _switch(step, bench, looking, again=again)
        case GatePlan():
            return _ask(step, bench, looking)
        case ApprovalPlan():
            raise TypeError("a human's approval is waited for, not done")
        case _:
            assert_never(step)


def returns_last(step: StepPlan) -> bool:
    """True for a step whose undo starts programs: they must find everything else as it was. `withdraw` stops at its place what it had started."""
    return isinstance(step, ComposePlan) and step.run not in (ComposeVerb.PULL, ComposeVerb.BUILD)


def withdraw(step: StepPlan, bench: Bench) -> None:
    """Stop what a step that `returns_last` had started. Raises StepFailed."""
    if isinstance(step, ComposePlan):
        withdraw_compose(step, bench)


def undo(step: StepPlan, bench: Bench) -> StepDone:
    """Undo one step. Raises StepFailed when something of it is left."""
    match step:
        case BackupPlan():
            return undo_backup(step, bench)
        case FilesPlan() | EnvPatchPlan():
            return undo_files(step, bench)
        case ComposePlan():
            return undo_compose(step, bench)
        case CommandPlan():
            return undo_command(step, bench)
        case EndpointPlan():
            return undo(step.switch, bench)
        case VerifyPlan() | GatePlan() | ApprovalPlan():
            return StepDone(result=Result.NOT_NEEDED, changed=False)
        case _:
            assert_never(step)


def demand_held(names: Sequence[str], looking: Looking) -> dict[str, Any]:
    """Judge expectations; only held ones let the action go on, and each must have an answer. Returns what the journal keeps. Raises StepFailed."""
    answers = {answer.name: answer for answer in looking.verify(names)}
    data = {"expectations": [answer.to_json() for answer in answers.values()]}
    missing = [name for name in names if name not in answers]
    failed = [answer for answer in answers.values() if answer.outcome is not Outcome.HELD]
    if missing or failed:
        said = [f"{answer.name}: {answer.message}" for answer in failed] + [f"{name}: was not judged" for name in missing]
        raise StepFailed(f"{len(said)} of {len(names)} expectations do not hold", why="; ".join(said), changed=False, data=data)
    return data


def _switch(step: EndpointPlan, bench: Bench, looking: Looking, *, again: bool) -> StepDone:
    """What is switched to must answer afterwards: else the runner switches back."""
    bench.check()
    done = do(step.switch, bench, looking, timeout=0, again=again)
    try:
        held = demand_held(step.after, looking)
    except StepFailed as failure:
        raise StepFailed(failure.what, where="behind the switched endpoint", why=failure.why, changed=True, data={**done.data, **failure.data}) from failure
    return dataclasses.replace(done, data={**done.data, **held})


def _ask(step: GatePlan, bench: Bench, looking: Looking) -> StepDone:
    bench.check()
    shut, data = looking.ask(step)
    if shut:
        raise StepFailed("the gate in mid-plan is shut", why=shut, changed=False, data=data)
    return StepDone(changed=False, data=data)
