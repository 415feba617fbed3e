"""Does every migration have its place, and does somebody run it? `interlock.observe.migrations` brings the histories and the steps."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from interlock.facts.migration_steps import ForgottenStep, Steps
from interlock.facts.migrations import LONGEST_ID, Histories, History, Revision, Tool
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

_STATIC = frozenset({When.STATIC})

# ---- one head


def judge_single_head(seen: Histories) -> Held | Broken | Unproven:
    """Held when each history has one head for each of its branches, no parent is missing, and no id or number is given twice."""
    details = [detail for history in seen.histories for detail in _history(history, seen)]
    details += [
        Detail(
            what=f"{one.second}: version {one.version}",
            outcome=Outcome.BROKEN,
            kind="same-number",
            message=f"{one.second} has version {one.version}, as {posixpath.basename(one.first)} has: {one.tool} refuses to apply either",
            file=one.second,
            line=1,
        )
        for one in seen.numbered
    ]
    count = sum(len(history.revisions) for history in seen.histories)
    held = (
        f"{len(seen.histories)} histories of migrations end in one head each: {count} migrations read" if count else "no migrations of Alembic or Django here"
    )
    return found(details, held=held, remedy=SINGLE_HEAD.remedy)


def _history(history: History, seen: Histories) -> Iterator[Detail]:
    yield from _unread(history)
    for first, second in history.doubles():
        said = f"{second.path} has the revision id {second.id} that {posixpath.basename(first.path)} has already: {history.tool} knows only one of the two"
        yield _detail(history, second, "same-id", said)
    if history.unread or not all(one.sure for one in history.revisions):
        return
    for one, parent in history.orphans():
        said = f"{one.path} follows {parent}, and no such migration is in {history.folder}: {history.tool} refuses every upgrade"
        yield _detail(history, one, "no-such-parent", said)
    if history.revisions and not history.heads:
        said = f"the migrations of {history.folder} follow each other in a circle: {history.tool} refuses every upgrade"
        yield Detail(what=history.folder, outcome=Outcome.BROKEN, kind="circle", message=said, file=history.folder)
    for heads in history.branches():
        if len(heads) > 1 and not (history.tool is Tool.ALEMBIC and seen.all_heads):
            yield from _several(history, heads)


def _unread(history: History) -> Iterator[Detail]:
    for one in history.unread:
        said = f"{one.path} cannot be read ({one.why}), so nobody knows all migrations of {history.folder}"
        yield Detail(what=one.path, outcome=Outcome.UNPROVEN, kind="unread", message=said, file=one.path, line=one.line)


def _several(history: History, heads: tuple[Revision, ...]) -> Iterator[Detail]:
    """The folder is what has two heads; the files are where that is mended."""
    names = " and ".join(one.id for one in heads)
    shared = _fork(heads)
    fork = f", both after {shared}" if shared else ""
    does = "`alembic upgrade head` stops with an error" if history.tool is Tool.ALEMBIC else "`manage.py migrate` stops with conflicting migrations"
    said = f"the migrations of {history.folder} have {len(heads)} heads, {names}{fork}: {does}, and the release with it"
    yield Detail(what=history.folder, outcome=Outcome.BROKEN, kind="several-heads", message=said, file=history.folder)
    for one in heads:
        others = " and ".join(other.id for other in heads if other is not one)
        yield _detail(history, one, "head", f"{one.path}: nothing follows {one.id}, and nothing follows {others} either")


def _fork(heads: tuple[Revision, ...]) -> str:
    """The parent that all heads have in common."""
    shared = set(heads[0].after).intersection(*(one.after for one in heads[1:]))
    return min(shared, default="")


def _detail(history: History, one: Revision, kind: str, message: str) -> Detail:
    return Detail(what=f"{history.folder}: {one.id}", outcome=Outcome.BROKEN, kind=kind, message=message, file=one.path, line=one.line)


SINGLE_HEAD = Guardrail(
    id="migrations.single_head",
    title="the migrations of each database end in one head, and each has its own id and a parent that exists",
    severity=Severity.HIGH,
    when=_STATIC,
    rationale="Two branches that were each right take the same parent, and their merge has two heads: the upgrade stops on every host, after the release.",
    remedy="let the newer migration follow the other one (down_revision, dependencies), or add a merge migration; give it an id of its own",
    subjects=scripts,
    judge=judge_single_head,
)


# ---- the length of an id


def judge_revision_id_length(seen: Histories) -> Held | Broken | Unproven:
    """Held when every Alembic revision id fits the column that keeps it, or somebody made that wider."""
    histories = [history for history in seen.histories if history.tool is Tool.ALEMBIC and history.folder not in seen.widened]
    details = [detail for history in histories for detail in (*_too_long(history), *_unread(history))]
    count = sum(len(history.revisions) for history in seen.histories if history.tool is Tool.ALEMBIC)
    return found(
        details, held=f"{count} revision ids of Alembic fit their column" if count else "no revisions of Alembic here", remedy=REVISION_ID_LENGTH.remedy
    )


def _too_long(history: History) -> Iterator[Detail]:
    for one in history.revisions:
        if len(one.id) > LONGEST_ID:
            said = f"{one.path}: the revision id {one.id} is longer than the {LONGEST_ID} characters of alembic_version.version_num"
            yield _detail(history, one, "too-long", f"{said}: PostgreSQL refuses to write it, and the upgrade stops there")


REVISION_ID_LENGTH = Guardrail(
    id="migrations.revision_id_length",
    title="every Alembic revision id fits the column in which the database keeps it",
    severity=Severity.HIGH,
    when=_STATIC,
    rationale="Alembic makes alembic_version.version_num a VARCHAR(32). SQLite takes a longer id in every test; PostgreSQL refuses it on the first real host.",
    remedy="shorten the revision id (the file may keep its name), or widen alembic_version.version_num in an earlier migration",
    subjects=scripts,
    judge=judge_revision_id_length,
)


# ---- steps


def judge_step_wired(seen: Steps) -> Held | Broken | Unproven:
    """Held when every migration or upgrade step beside others that are run by name is run as well."""
    details = (*(_forgotten(step) for step in seen.forgotten), *unread(seen.unread))
    return found(details, held=f"no step of an upgrade is forgotten: {seen.scripts} scripts read", remedy=STEP_WIRED.remedy)


def _forgotten(step: ForgottenStep) -> Detail:
    beside = f"{step.entry} runs {step.others} others beside it by name"
    verb = "runs" if step.kind == "script" else "calls"
    said = f"{step.path}: nothing {verb} {step.name}, though {beside}: installations are never migrated by it"
    return Detail(what=f"{step.path}: {step.name}", outcome=Outcome.BROKEN, kind=f"{step.kind}-not-run", message=said, file=step.path, line=step.line)


STEP_WIRED = Guardrail(
    id="migrations.step_wired",
    title="every migration or upgrade step is run by the script that runs the others",
    severity=Severity.HIGH,
    when=_STATIC,
    rationale="A step that was merged and that no entry script calls looks done to everybody, while every installation keeps its old state.",
    remedy="call the step from the entry script, or say in the documentation that it is run by hand",
    subjects=scripts,
    judge=judge_step_wired,
)
