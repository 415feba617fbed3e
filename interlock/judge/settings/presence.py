"""Is every env file that a start of the stack needs there before? `interlock.observe.env_presence` brings what starts it and what was made before."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import assert_never

from interlock.config.models import Site
from interlock.facts.env_presence import Lacking, Need, Starts
from interlock.judge.tree import SCRIPTS, found, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When


def stacks(site: Site) -> Sequence[Subject]:
    """All that starts a stack of the tree together; nothing where there is none."""
    return [Subject(name=SCRIPTS)] if site.chains else []


def judge_presence(starts: Starts) -> Held | Broken | Unproven:
    """Held when each job and each script that sets up a machine makes the env files of the stack before it starts it."""
    details = (*(_detail(one) for one in starts.lacking), *unread(starts.unreadable))
    held = f"what starts a stack on a fresh checkout has the env files that it needs: {starts.count} starts were followed"
    return found(details, held=held, remedy="make the file in a step before: `cp .env.example .env`, or `touch .env`; or say `required: false`")


def _detail(one: Lacking) -> Detail:
    started = one.started
    match one.kind:
        case Need.SERVICE:
            needs = f"its service {one.needs} needs {one.path}"
        case Need.OPTION:
            needs = f"the command names {one.path}"
        case Need.VARIABLE:
            needs = f"{one.needs} must have a value, which {one.path} could give"
        case _:
            assert_never(one.kind)
    message = (
        f"{started.where} starts {' + '.join(one.compose)} at {posixpath.basename(started.file)}:{started.line}: {needs}, git does not keep it, and no step"
        " makes it before: docker compose refuses to start"
    )
    return Detail(what=f"{started.where}: {one.path}", outcome=Outcome.BROKEN, kind=one.kind.value, message=message, file=started.file, line=started.line)


FILE_EXISTS = Guardrail(
    id="env.file_exists",
    title="what starts the stack on a fresh checkout makes the env files that it needs first",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="An env file is kept out of git, and is there on the machine of whoever wrote the job: on the runner docker compose refuses to start.",
    remedy="make the env file before the stack is started, or let the service do without: `required: false`",
    subjects=stacks,
    judge=judge_presence,
)
