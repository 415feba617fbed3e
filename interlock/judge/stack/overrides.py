"""Is what docker compose loads by itself meant for those who run the stack, and is it loaded where they count on it?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from interlock.facts.overrides import ExplicitBases, OverrideFile
from interlock.judge.stack.places import compose_files
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

OVERRIDE_REMEDY = "give it a name that is not loaded by itself (`compose.dev.yaml`, `compose.override.yaml.example`), and let git ignore the real override"
EXPLICIT_REMEDY = "go into the folder and call docker compose without `-f`, or name the override as well where it is there"


def judge_autoloaded_override(override: OverrideFile) -> Held | Broken | Unproven:
    """Held when docker compose loads nothing by itself with the file, or an override for those who run the stack, which nobody is told to edit."""
    if not override.path:
        return Held(f"docker compose loads nothing of the repository by itself with {override.base}")
    held = f"{override.path}, which docker compose loads with {override.base}, has nothing that only a developer wants"
    return found(_override(override), held=held, remedy=OVERRIDE_REMEDY)


def _override(override: OverrideFile) -> Iterator[Detail]:
    path = override.path
    if override.marks and override.kept and not override.base_marks:
        first = override.marks[0]
        message = (
            f"{first.place}: docker compose loads {path} by itself, and with it {first.service} {first.what}: whoever starts {override.base} on a server"
            " without naming files gets the setup of a developer"
        )
        yield Detail(what=f"{path} development", outcome=Outcome.BROKEN, kind="development", message=message, file=path, line=first.place.line)
    if override.edited is not None and not override.marks:
        message = (
            f"{override.edited}: users are told to write their own settings into {path}, which the repository keeps: each update conflicts with what they"
            " wrote, or takes it away"
        )
        yield Detail(what=f"{path} kept", outcome=Outcome.BROKEN, kind="tracked", message=message, file=path, line=1)


def judge_explicit_bases(bases: ExplicitBases) -> Held | Broken | Unproven:
    """Held when no script starts a base by its name where users are promised that their override counts."""
    held = f"no command leaves an override out that users are told to write: {bases.read} scripts read"
    return found((*_left_out(bases), *unread(bases.unreadable)), held=held, remedy=EXPLICIT_REMEDY)


def _left_out(bases: ExplicitBases) -> Iterator[Detail]:
    for one in bases.commands:
        promised = bases.promised.get(one.base)
        if promised is not None:
            message = (
                f"{one.place}: `{one.command}` names {posixpath.basename(one.base)} and so leaves out the override that {promised} leaves to the operator:"
                " volumes, images and settings of it do not count here"
            )
            yield Detail(
                what=f"{one.place.file}: {one.command}",
                outcome=Outcome.BROKEN,
                kind="override-left-out",
                message=message,
                file=one.place.file,
                line=one.place.line,
            )


NO_AUTOLOADED_DEV_OVERRIDE = Guardrail(
    id="compose.no_autoloaded_dev_override",
    title="no override in the repository is loaded by itself that only a developer wants",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="`docker compose up` takes compose.override.yaml along without a word: on a server too, with the source mounted and debugging on.",
    remedy=OVERRIDE_REMEDY,
    subjects=compose_files,
    judge=judge_autoloaded_override,
)

EXPLICIT_F_IGNORES_OVERRIDE = Guardrail(
    id="compose.explicit_f_ignores_override",
    title="no script names the base alone where users are told to write an override",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="With `-f` docker compose loads the files that are named and no other: what an operator wrote into the override is gone for this command alone.",
    remedy=EXPLICIT_REMEDY,
    subjects=scripts,
    judge=judge_explicit_bases,
)
