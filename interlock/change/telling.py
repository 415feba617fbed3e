"""How is an action told of that has ended, or that waits? From its journal alone, so that it can be told again after a kill; and its evidence is written.

What it did lies in the journal, whole; the gate that says how things stand now lies in a run of its own, which the journal names with its digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interlock.act.books import StoredPlan
from interlock.act.journal import FILE
from interlock.change.applied import Applied
from interlock.change.approving import Waiting
from interlock.change.means import Means
from interlock.config.models import Site
from interlock.errors import ActionUndone, ApprovalError, EvidenceError, HalfChanged
from interlock.evidence.folder import LoadedRun
from interlock.evidence.visible import visible
from interlock.facts.canonical import short
from interlock.gate.journal import End, Standing, State, Trail
from interlock.gate.plan import FILE as PLAN_FILE
from interlock.nouns import dataclass

CODES = {End.DONE: 0, End.UNDONE: ActionUndone.exit_code, End.HALF: HalfChanged.exit_code, End.UNVERIFIED: HalfChanged.exit_code}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an action ended: the exit code of the table of docs/gate.md, what to tell the operator, and its evidence (None when that could not be written)."""

    exit_code: int
    text: str
    id: str
    evidence: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An action whose journal has come to an end. `asked_to_undo`: by a rollback, for which an undone action is a good end."""

    site: Site
    stored: StoredPlan
    means: Means
    trail: Trail
    asked_to_undo: bool = False

    @property
    def standing(self) -> Standing:
        """What the journal comes to."""
        return Standing.of(self.trail)

    @property
    def end(self) -> End:
        """How it ended."""
        end = self.standing.end
        assert end is not None
        return end

    @property
    def code(self) -> int:
        """The exit code of the table of docs/gate.md."""
        return 0 if self.end is End.UNDONE and self.asked_to_undo else CODES[self.end]


def paused(stored: StoredPlan, trail: Trail, waiting: Waiting) -> Outcome:
    """How an action that waits for humans is told of: nothing has ended, and nothing is under way. Its exit code is that of a missing approval."""
    digits = short(stored.digest)
    who_may = f" (by {' or '.join(waiting.by)})" if waiting.by else ""
    lines = [
        f"{stored.plan.action} {digits} waits at step {waiting.step}: {waiting.asks}",
        f"  {waiting.why}",
        f"next: interlock approve {digits}{who_may}; then interlock resume {digits}   (or: interlock rollback {digits})",
    ]
    return Outcome(exit_code=ApprovalError.exit_code, text="\n".join(map(visible, lines)), id=trail.id, evidence=None)


def conclude(ended: Ended) -> Outcome:
    """Write the evidence of an action that has ended, and say how it did. Evidence that fails makes a good end 17, and does not hide a bad one."""
    lines = list(_in_words(ended))
    try:
        evidence = ended.means.keep(_applied(ended)).path
        lines.append(f"evidence: {evidence}")
    except EvidenceError as error:
        evidence = None
        lines.append(f"NO EVIDENCE: {error}")
    exit_code = ended.code if evidence is not None or ended.code else EvidenceError.exit_code
    return Outcome(exit_code=exit_code, text="\n".join(map(visible, lines)), id=ended.trail.id, evidence=evidence)


def told_again(ended: Ended) -> Outcome:
    """Say once more how a finished action ended. Its evidence is written now where a kill, or a full disk, kept it from being."""
    kept = ended.means.evidence_of(ended.stored.digest)
    if kept is None:
        return conclude(ended)
    lines = [*_in_words(ended), "nothing is left to do", f"evidence: {kept.path}"]
    return Outcome(exit_code=ended.code, text="\n".join(map(visible, lines)), id=ended.trail.id, evidence=kept.path)


def _in_words(ended: Ended) -> Iterator[str]:
    stored, standing = ended.stored, ended.standing
    what, reason = f"{stored.plan.action} {short(stored.digest)}", str(standing.end_data.get("reason", ""))
    if glass := standing.begun.get("break_glass"):
        yield f"BREAK-GLASS by {glass['principal']}: {glass['reason']}"
        yield f"owed: somebody else looks at it: interlock follow-up {ended.trail.id}"
    if standing.begun.get("self_approved"):
        yield "SELF-APPROVED: the planner approved this plan"
    match ended.end:
        case End.DONE:
            verified = "done and verified" if standing.end_data.get("postflight") else "done; no guardrail looks at it afterwards, so nothing was verified"
            yield f"{what} is {verified} ({_counted(len(stored.plan.steps))}, {ended.trail.id})"
            if (becomes := stored.plan.becomes) is not None:
                yield f"from now on {becomes.file} describes this site, and {stored.plan.site.file} does not: mv {becomes.file} {stored.plan.site.file}"
        case End.UNDONE:
            yield f"{what} is undone, everything is as it was: {reason}"
        case End.HALF:
            yield f"{what} failed and is HALF-CHANGED: {reason}"
            yield from (f"  left: {_left(ended, number)}" for number, step in enumerate(standing.steps, start=1) if step.may_have_changed)
            yield f"next: interlock status; then interlock rollback {short(stored.digest)}, or mend it by hand"
        case End.UNVERIFIED:
            yield f"{what}: every step is done, but not verified, and not every step can be undone: {reason}"
            yield f"next: mend it, then interlock resume {short(stored.digest)} looks again; or interlock rollback undoes what it can"
    yield from (f"step {number}: {finding}" for number, finding in _findings(standing))


def _left(ended: Ended, number: int) -> str:
    data = ended.standing.steps[number - 1].data
    return f"step {number}, {ended.stored.plan.steps[number - 1].kind}: {data.get('what', 'its undo did not end')} {data.get('why', '')}".rstrip()


def _findings(standing: Standing) -> Iterator[tuple[int, str]]:
    """What went well and should be known all the same."""
    for number, step in enumerate(standing.steps, start=1):
        if step.state is State.DONE:
            yield from ((number, f"changed while it was archived: {path}") for path in step.data.get("changed_while_read", ())[:5])
            yield from ((number, f"not archived, a socket: {path}") for path in step.data.get("skipped", ())[:5])
        if step.state is State.UNDONE:
            yield from ((number, f"was not there before, and stays: {what}") for what in step.data.get("stays", ()))


def _base(ended: Ended) -> LoadedRun:
    """The gate that says how things stand: postflight after a good end, else the one that let it begin. Raises EvidenceError when that is gone."""
    standing = ended.standing
    named = (standing.end_data.get("postflight") if ended.end is End.DONE else None) or standing.begun["gate"]
    run = ended.means.kept(str(named["run"]))
    if run.digest != named["digest"]:
        raise EvidenceError("the record of a gate of this action is another now", where=str(run.path), remedy="restore it from a copy")
    return run


def _marked(approval: Mapping[str, Any], standing: Standing) -> Mapping[str, Any]:
    """An approval as evidence shows it: with the mark that the planner was among those who gave it."""
    return {**approval, "self_approved": True} if standing.begun.get("self_approved") else approval


def _applied(ended: Ended) -> Applied:
    standing, plan = ended.standing, ended.stored.plan
    return Applied(
        site=ended.site,
        action=plan.action,
        plan_digest=ended.stored.digest,
        base=_base(ended),
        exit_code=ended.code,
        approvals=[_marked(one, standing) for one in standing.begun.get("approvals", ())],
        steps=[
            {"number": number, "kind": step.kind, "state": seen.state.value, **seen.data}
            for number, (step, seen) in enumerate(zip(plan.steps, standing.steps, strict=True), start=1)
        ],
        started=standing.since,
        ended=ended.means.clock(),
        files={PLAN_FILE: plan.to_bytes(), FILE: b"".join(entry.line() for entry in ended.trail.entries)},
        job=str(standing.begun.get("by", {}).get("job", "")),
    )


def _counted(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"
