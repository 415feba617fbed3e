"""Can a shell read every script, does a failure stop what must not follow it, does nothing delete data unasked, and does nothing hold on one host alone?
`interlock.observe.scripts` brings what was found in all scripts of the tree together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from interlock.facts.destruction import Loss
from interlock.facts.lost_failures import How
from interlock.facts.programs import Unreadable
from interlock.facts.scripts import Destroys, DestroysSeen, LiteralsSeen, Lost, LostSeen, OnOneHost, Refused, SyntaxSeen
from interlock.facts.steps import Next, Then
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

FROM_FILES = frozenset({When.STATIC})


def _counted(read: int, noun: str = "script") -> str:
    return f"{read} {noun}{'' if read == 1 else 's'} read"


# ---- syntax

READABLE = "correct the line, and let `bash -n` (or `sh -n`) run over every script before it is merged"


def judge_syntax(seen: SyntaxSeen) -> Held | Broken | Unproven:
    """Held when the shell that each script is for can read it to its end."""
    details = (*(_refused(one) for one in seen.refused), *_unread(seen.unread))
    return found(details, held=f"every script can be read by its shell: {_counted(seen.read)}", remedy=READABLE)


def _refused(one: Refused) -> Detail:
    where = f"{one.path}:{one.refusal.line}"
    if one.other:
        message = f"{where}: its first line asks for sh, which on Debian and Ubuntu is dash, and dash cannot read it ({one.refusal.said}); {one.other} can"
        return Detail(what=one.path, outcome=Outcome.BROKEN, kind="another-shell", message=message, file=one.path, line=one.refusal.line)
    message = f"{where}: {one.shell.value} cannot read it, so it stops there when it is run: {one.refusal.said}"
    return Detail(what=one.path, outcome=Outcome.BROKEN, kind="syntax", message=message, file=one.path, line=one.refusal.line)


def _unread(files: tuple[Unreadable, ...]) -> Iterator[Detail]:
    """What could not be read, and why: a file, or all those of a shell that is not here."""
    yield from unread(one for one in files if one.path)
    for one in files:
        if not one.path:
            yield Detail(what=one.why, outcome=Outcome.UNPROVEN, kind="no-shell", message=one.why)


SYNTAX = Guardrail(
    id="scripts.syntax",
    title="every script that is shipped can be read by the shell that it is for",
    severity=Severity.HIGH,
    when=FROM_FILES,
    rationale="A shell reads a script as it runs it: one with an unbalanced `if` does its first half, and stops in the middle of an update.",
    remedy=READABLE,
    subjects=scripts,
    judge=judge_syntax,
)


# ---- failures

STOPS = "let the failure stop the script: `set -euo pipefail`, `|| exit 1` behind the step, or a look at its exit code (in a pipe `${PIPESTATUS[0]}`)"


def judge_swallowed(seen: LostSeen) -> Held | Broken | Unproven:
    """Held when no backup, restore or migration can fail without anybody hearing of it before the script goes on."""
    details = (*(_lost(one) for one in seen.found), *unread(seen.unread))
    return found(details, held=f"no script goes on after a failed backup, restore or migration: {_counted(seen.read)}", remedy=STOPS)


def _lost(one: Lost) -> Detail:
    step, how = one.failure.step, one.failure.how
    unseen = f"{one.path}:{step.line}: the {step.kind.value} by {step.name} can fail unseen"
    return Detail(
        what=f"{one.path}: {step.kind.value} by {step.name}",
        outcome=Outcome.BROKEN,
        kind=how.value,
        message=f"{unseen}: {how.told}, {_goes_on(how, one.failure.goes_on)}",
        file=one.path,
        line=step.line,
    )


def _goes_on(how: How, goes_on: Next) -> str:
    if how is How.EXIT_ZERO:
        return "and whoever started it believes that it worked"
    match goes_on.then:
        case Then.REPORTS:
            return f"and line {goes_on.line} says that all went well"
        case Then.DELETES | Then.UPGRADES | Then.CHANGES | Then.STARTS | Then.KEEPS:
            return f"and line {goes_on.line} {goes_on.then.told} ({goes_on.command})"
        case _:
            assert_never(goes_on.then)


NO_SWALLOWED_FAILURE = Guardrail(
    id="scripts.no_swallowed_failure",
    title="a backup, restore or migration that fails stops what comes after it",
    severity=Severity.HIGH,
    when=FROM_FILES,
    rationale="A dump that failed leaves an empty file; a script that does not notice deletes the older ones, or upgrades with nothing to go back to.",
    remedy=STOPS,
    subjects=scripts,
    judge=judge_swallowed,
)


# ---- deletions

GUARDED = "look first whether it is there (`docker volume inspect`), or ask: `read -p`, or an option that the caller has to give; and let no `-f` hide failures"
_LOST: dict[Loss, str] = {
    Loss.VOLUME: "removes the volume {}",
    Loss.STACK: "removes {}, with the data in them",
    Loss.PRUNE: "removes {}, also those of a stack that is only stopped",
    Loss.DATABASE: "drops the database {}",
    Loss.DISK: "overwrites what is on {}",
    Loss.DIRECTORY: "deletes {} with all that is in it",
}


def judge_destructive(seen: DestroysSeen) -> Held | Broken | Unproven:
    """Held when no run of a script deletes data that nobody looked at or was asked about."""
    details = (*(_destroys(one) for one in seen.found), *unread(seen.unread))
    return found(details, held=f"no script deletes data without looking or asking: {_counted(seen.read)}", remedy=GUARDED)


def _destroys(one: Destroys) -> Detail:
    what = one.destruction
    forced = ", and -f hides when that goes wrong" if what.forced else ""
    message = f"{one.path}:{what.line}: this {_LOST[what.loss].format(what.what)}; nothing looks first, nobody is asked ({what.command}){forced}"
    return Detail(what=f"{one.name}: {what.what}", outcome=Outcome.BROKEN, kind=what.loss.value, message=message, file=one.path, line=what.line)


DESTRUCTIVE_GUARDED = Guardrail(
    id="scripts.destructive_guarded",
    title="what deletes volumes, databases, disks or data stands behind a look or a question",
    severity=Severity.HIGH,
    when=FROM_FILES,
    rationale="An installer is run again, an updater runs every night: what one of them deletes without asking is gone on the host where it was still needed.",
    remedy=GUARDED,
    subjects=scripts,
    judge=judge_destructive,
)


# ---- names and paths of one host

ASK_FOR_NAME = 'take the name from compose: `docker compose config --format json | jq -r .volumes.KEY.name`, or put "${COMPOSE_PROJECT_NAME}" in front'
ASK_FOR_ROOT = "ask the engine: `docker volume inspect --format '{{.Mountpoint}}' NAME`, or `docker info --format '{{.DockerRootDir}}'`"


def judge_project_name(seen: LiteralsSeen) -> Held | Broken | Unproven:
    """Held when no script writes a project's name out, or filters it otherwise than compose does."""
    details = (*(_one_host(one) for one in seen.found), *unread(seen.unread))
    return found(details, held=f"no script knows the name of a compose project by heart: {_counted(seen.read)}", remedy=ASK_FOR_NAME)


def judge_engine_root(seen: LiteralsSeen) -> Held | Broken | Unproven:
    """Held when no script knows by heart where the engine keeps its volumes."""
    details = (*(_one_host(one) for one in seen.found), *unread(seen.unread))
    return found(details, held=f"no script knows by heart where the engine keeps its data: {_counted(seen.read)}", remedy=ASK_FOR_ROOT)


def _one_host(one: OnOneHost) -> Detail:
    literal = one.literal
    told = {"name-filter": f"{literal.text} filters the name of the compose project", "engine-root": f"{literal.text} is written out"}
    said = told.get(literal.kind, f"the {literal.kind.partition('-')[0]} {literal.text} is written out")
    ends = {"name-filter": "; with such a name the script finds no volume", "engine-root": "; there the script works on nothing, or on something else"}
    message = f"{one.path}:{literal.line}: {said}: {literal.why}{ends.get(literal.kind, '; elsewhere the script finds nothing')}"
    return Detail(what=f"{one.path}: {literal.text}", outcome=Outcome.BROKEN, kind=literal.kind, message=message, file=one.path, line=literal.line)


PROJECT_NAME = Guardrail(
    id="scripts.project_name",
    title="scripts ask for the name of the compose project, and keep every character of it",
    severity=Severity.MEDIUM,
    when=FROM_FILES,
    rationale="The project is called after a folder or a variable of the operator's: under another name a script finds no volume, and tells nobody.",
    remedy=ASK_FOR_NAME,
    subjects=scripts,
    judge=judge_project_name,
)

ENGINE_ROOT = Guardrail(
    id="scripts.engine_root",
    title="scripts ask the engine where its data lies",
    severity=Severity.MEDIUM,
    when=FROM_FILES,
    rationale="Hosts with large volumes move the engine's data to another disk, and rootless engines and podman have it elsewhere from the start.",
    remedy=ASK_FOR_ROOT,
    subjects=scripts,
    judge=judge_engine_root,
)
