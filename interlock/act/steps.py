"""How is each kind of step done, and how undone? The closed list; every kind lives in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from interlock.act.backups import do_backup, undo_backup
from interlock.act.commands import do_command, undo_command
from interlock.act.files import do_files, undo_files
from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.gate.journal import Result
from interlock.gate.plan import BackupPlan, CommandPlan, FilesPlan, StepPlan, VerifyPlan
from interlock.verdicts import Outcome

Verify = Callable[[Sequence[str]], Sequence[Any]]  # names of expectations to what each came to: `name`, `outcome`, `message`, `to_json()`


def do(step: StepPlan, bench: Bench, verify: Verify, *, timeout: int, again: bool) -> StepDone:
    """Do one step. `again`: it was started before, and nobody knows how far it got. Raises StepFailed. `timeout` in seconds, for a backup."""
    match step:
        case BackupPlan():
            return do_backup(step, bench, timeout=timeout)
        case FilesPlan():
            return do_files(step, bench, again=again)
        case CommandPlan():
            return do_command(step, bench, again=again)
        case VerifyPlan():
            return _verify(step, bench, verify)
        case _:
            assert_never(step)


def undo(step: StepPlan, bench: Bench) -> StepDone:
    """Undo one step. Raises StepFailed when something of it is left."""
    match step:
        case BackupPlan():
            return undo_backup(step, bench)
        case FilesPlan():
            return undo_files(step, bench)
        case CommandPlan():
            return undo_command(step, bench)
        case VerifyPlan():
            return StepDone(result=Result.NOT_NEEDED, changed=False)
        case _:
            assert_never(step)


def _verify(step: VerifyPlan, bench: Bench, verify: Verify) -> StepDone:
    """Judge the expectations; only held ones let the action go on, and each must have an answer."""
    bench.check()
    answers = {answer.name: answer for answer in verify(step.expect)}
    data = {"expectations": [answer.to_json() for answer in answers.values()]}
    missing = [name for name in step.expect if name not in answers]
    failed = [answer for answer in answers.values() if answer.outcome is not Outcome.HELD]
    if missing or failed:
        said = [f"{answer.name}: {answer.message}" for answer in failed] + [f"{name}: was not judged" for name in missing]
        raise StepFailed(f"{len(said)} of {len(step.expect)} expectations do not hold", why="; ".join(said), changed=False, data=data)
    return StepDone(changed=False, data=data)
