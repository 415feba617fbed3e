"""Which module resolves a step? By its kind."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from interlock.change.resolving.backups import resolve_backups
from interlock.change.resolving.commands import resolve_command
from interlock.change.resolving.compose import resolve_compose
from interlock.change.resolving.env_patches import resolve_env_patch
from interlock.change.resolving.files import resolve_files
from interlock.change.resolving.gates import resolve_gate
from interlock.change.resolving.resolving import Resolving
from interlock.change.resolving.targets import written_twice
from interlock.config.actions import ApprovalStep, EndpointStep, Step
from interlock.gate.plan import ApprovalPlan, EndpointPlan, StepPlan, TargetPlan, VerifyPlan, files_of


def resolve(resolving: Resolving, step: Step, number: int) -> Sequence[StepPlan]:
    """What a step of the site, its `number` counted from 0, comes to. Raises ConfigError."""
    plans = [plan.model_copy(update={"needs": step.needs or ()}) for plan in _resolve(resolving, step, number)]
    _note_written(resolving, [file for plan in plans for file in files_of(plan)], number)
    return plans


def _note_written(resolving: Resolving, files: Sequence[TargetPlan], number: int) -> None:
    """Remember what the plan writes. Raises ConfigError for a file that it writes twice, by whatever name: the second would find what nobody has seen."""
    places = {_place(file): file for file in resolving.written.values()}
    for file in files:
        earlier = places.setdefault(_place(file), file)
        if earlier is not file:
            raise written_twice(resolving, file.target, earlier, number)
        resolving.written[(file.host, file.target)] = file


def _place(file: TargetPlan) -> tuple[str, str]:
    """The host and the path of a file without the links that lead to its directory."""
    return file.host, posixpath.join(file.real, posixpath.relpath(file.target, file.directory))


def _resolve(resolving: Resolving, step: Step, number: int) -> Sequence[StepPlan]:
    if step.backup is not None:
        return resolve_backups(resolving, step.backup, number)
    if step.write_files is not None:
        return [resolve_files(resolving, step.write_files, number)]
    if step.env_patch is not None:
        return [resolve_env_patch(resolving, step.env_patch, number)]
    if step.compose is not None:
        return [resolve_compose(resolving, step.compose, number)]
    if step.command is not None:
        return [resolve_command(resolving, step.command, number)]
    if step.verify is not None:
        return [VerifyPlan(expect=step.verify.expect)]
    if step.endpoint is not None:
        return [_endpoint(resolving, step.endpoint, number)]
    if step.gate is not None:
        return [resolve_gate(resolving, step.gate, number)]
    assert step.approval is not None
    return [_approval(resolving, step.approval)]


def _endpoint(resolving: Resolving, step: EndpointStep, number: int) -> EndpointPlan:
    before, after = step.before or (), step.after
    if step.env_patch is not None:
        return EndpointPlan(switch=resolve_env_patch(resolving, step.env_patch, number), before=before, after=after)
    if step.write_files is not None:
        return EndpointPlan(switch=resolve_files(resolving, step.write_files, number), before=before, after=after)
    assert step.command is not None
    return EndpointPlan(switch=resolve_command(resolving, step.command, number), before=before, after=after)


def _approval(resolving: Resolving, step: ApprovalStep) -> ApprovalPlan:
    rules = resolving.site.approval
    required = step.required if step.required is not None else rules.required if rules is not None else 1
    return ApprovalPlan(asks=step.asks, required=required, by=step.by or ())
