"""What does a plan say, in words and as a diff, to the human who is asked to approve it?

Values of the environment and of env files are never shown: a line that holds one is shown with the name of its variable, before and after, and says when
the value is another. What a file is now is read from the system, so the diff is of what would happen now, and says where the plan no longer fits.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

from interlock.act.books import StoredPlan
from interlock.act.files import open_below, see, shown
from interlock.act.outcome import StepFailed
from interlock.change.compose_words import compose_words
from interlock.change.showing_patches import Now, patch_lines
from interlock.config.actions import ApprovalKind
from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.errors import InterlockError
from interlock.evidence.redact import PATTERNS_ONLY
from interlock.evidence.visible import visible
from interlock.facts import moments
from interlock.facts.canonical import digest, short
from interlock.facts.differences import lines_of
from interlock.facts.statements import Owed
from interlock.facts.templates import MUCH, Rendered, Secrets
from interlock.gate.journal import Standing, Trail
from interlock.gate.plan import (
    ApprovalPlan,
    BackupPlan,
    CommandPlan,
    ComposePlan,
    EndpointPlan,
    EnvPatchPlan,
    FilePlan,
    FilesPlan,
    GatePlan,
    Plan,
    StepPlan,
    TargetPlan,
    VerifyPlan,
    has_undo,
)
from interlock.nouns import dataclass
from interlock.observe.eyes import Eyes
from interlock.observe.lookers import Lookers
from interlock.observe.tree import Tree
from interlock.render import render_instance

ANOTHER = "  (another value)"
NAMED = 3  # files that a title names; of more it says how many they are
DIFF_LINES = 400  # of one file; a longer diff is cut, and says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A file before and after, as lines that may be shown; `fault` says why one side cannot be."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    fault: str = ""


def plan_text(stored: StoredPlan, site: Site, environ: Mapping[str, str]) -> str:
    """The whole plan: head, steps, diffs, what cannot be undone, and how to approve it."""
    plan = stored.plan
    lines = [
        f"plan {short(stored.digest)}: {plan.action} of {plan.site.name}",
        f"  digest   {stored.digest}",
        f"  made     {plan.created_at} by {plan.made_by} on {plan.made_on}; to be applied before {plan.expires_at}",
        f"  approval {'signatures of allowed_signers' if plan.approval is ApprovalKind.SIGNATURE else 'the operator at the terminal'}",
        f"  stands on {len(plan.fingerprint)} observations of the live state; if one has changed by then, nothing is applied",
        *([f"  ends with {plan.becomes.file}: postflight is asked of that site file"] if plan.becomes is not None else []),
        "",
    ]
    with Lookers(site) as eyes:
        now = partial(_now, eyes)
        for number, step in enumerate(plan.steps, start=1):
            lines += [f"step {number} of {len(plan.steps)}: {title(step)}", *(f"  {line}" for line in _step(step, stored, site, environ, now)), ""]
    lines += _last_words(plan.steps)
    return "\n".join(visible(PATTERNS_ONLY.redact(line)) for line in lines)


def title(step: StepPlan) -> str:
    """What a step does, in a few words."""
    match step:
        case BackupPlan():
            return f"back up {step.module} (class {step.backup_class})"
        case FilesPlan():
            due = [file for file in step.files if not file.unchanged]
            return f"write {len(due)} of {len(step.files)} files" if due else f"write files: all {len(step.files)} are as they should be"
        case CommandPlan():
            return f"run {_argv(step.argv)}"
        case VerifyPlan():
            return f"verify {', '.join(step.expect)}"
        case EnvPatchPlan():
            targets = [file.target for file in step.files if not file.unchanged]
            if len(targets) > NAMED:
                return f"patch {len(targets)} of {len(step.files)} env files"
            return f"patch {', '.join(targets)}" if targets else "patch env files: all are as they should be"
        case ComposePlan():
            return f"docker compose {step.run} {', '.join(step.services)} ({step.chain})"
        case EndpointPlan():
            return f"switch the endpoint: {title(step.switch)}"
        case GatePlan():
            return f"ask {', '.join(step.guardrails)}{' of the site that it ends with' if step.afterwards else ''}"
        case ApprovalPlan():
            return f"wait for {_people(step)}: {step.asks}"
        case _:
            assert_never(step)


def _people(step: ApprovalPlan) -> str:
    """`one of anna, bert`, `2 people`."""
    if not step.by:
        return "one person" if step.required == 1 else f"{step.required} people"
    return " and ".join(step.by) if len(step.by) == step.required else f"{step.required} of {', '.join(step.by)}"


def _step(step: StepPlan, stored: StoredPlan, site: Site, environ: Mapping[str, str], now: Now) -> Iterator[str]:
    if step.needs:
        yield f"only when {' and '.join(step.needs)} hold{'s' if len(step.needs) == 1 else ''} right before it"
    match step:
        case BackupPlan():
            yield f"archive {', '.join(source.path for source in step.paths)} to {step.directory.path} ({step.compression}), readable by {step.owner} alone"
            yield "undo: nothing to undo, the archive is only added"
        case FilesPlan():
            for file in step.files:
                yield from _file(file, stored, site, environ, now)
            yield "undo: every byte, mode and owner is put back, created files are removed"
        case CommandPlan():
            yield from _command(step)
        case EnvPatchPlan():
            yield from patch_lines(step, stored.plan, site, environ, now)
            yield "undo: every byte, mode and owner is put back"
        case ComposePlan():
            yield from compose_words(step)
        case EndpointPlan():
            if step.before:
                yield f"once {' and '.join(step.before)} hold{'s' if len(step.before) == 1 else ''}"
            yield from _step(step.switch, stored, site, environ, now)
            yield f"afterwards {' and '.join(step.after)} must hold, or it is switched back"
        case VerifyPlan() | GatePlan():
            yield "undo: nothing to undo, it only looks"
        case ApprovalPlan():
            yield "the action stops there until they have signed: interlock approve, then interlock resume"
        case _:
            assert_never(step)


def _command(step: CommandPlan) -> Iterator[str]:
    yield f"{_on(step)}in {step.directory}, for at most {moments.in_words(step.timeout)}"
    yield from (f"uses {file.path} {file.digest[:19]}..." for file in step.inputs)
    if step.remounts:
        yield f"MOVES DISKS: from there on the plan does not stand on what {' and '.join(step.remounts)} show{'s' if len(step.remounts) == 1 else ''}"
    yield f"not needed when this ends with 0: {_argv(step.done)}" if step.done else "no `done` check: after a crash a human must say whether it ended"
    yield f"undo: {_argv(step.undo)}" if step.undo else "NO UNDO: what it does stays when a later step fails"


def _on(step: CommandPlan) -> str:
    """Where a program runs, when that is another host."""
    return f"on {step.host}, " if step.host != LOCAL else ""


def progress_text(stored: StoredPlan, trail: Trail, asked: int, entry: str) -> str:
    """How far an action got, for the humans whom its step `asked` waits for: every step with what the journal says of it, and what they are asked.

    `entry` is the digest of the journal up to there, which they sign.
    """
    standing = Standing.of(trail)
    lines = [f"{stored.plan.action} {short(stored.digest)} of {stored.plan.site.name}, begun {standing.since} by {_begun_by(standing)}"]
    lines += [f"  digest   {entry}", ""]
    for number, (step, seen) in enumerate(zip(stored.plan.steps, standing.steps, strict=True), start=1):
        mark = ">" if number == asked else " "
        lines.append(f"{mark} step {number} of {len(stored.plan.steps)}: {title(step)}: {'waits for you' if number == asked else seen.state.value}")
        lines += [f"      {told}" for told in _told(seen.data)]
    return "\n".join(visible(PATTERNS_ONLY.redact(line)) for line in lines)


def ended_text(stored: StoredPlan, trail: Trail, owed: Owed) -> str:
    """What was done without a second person, for whoever looks at it afterwards: why, every step with what the journal says of it, and how it ended."""
    standing = Standing.of(trail)
    lines = [f"BREAK-GLASS: {owed.id} of {stored.plan.site.name} was applied by {owed.breaker} alone: {owed.reason}"]
    lines += [f"  begun {standing.since} by {_begun_by(standing)}; ended {standing.last}: {standing.end}", f"  digest   {owed.entry}", ""]
    for number, (step, seen) in enumerate(zip(stored.plan.steps, standing.steps, strict=True), start=1):
        lines.append(f"  step {number} of {len(stored.plan.steps)}: {title(step)}: {seen.state.value}")
        lines += [f"      {told}" for told in _told(seen.data)]
    return "\n".join(visible(PATTERNS_ONLY.redact(line)) for line in lines)


def _begun_by(standing: Standing) -> str:
    """`kim on app1, on the word of anna and bert`."""
    by = standing.begun.get("by", {})
    return f"{by.get('user', 'nobody')} on {by.get('host', 'nowhere')}, on the word of {' and '.join(map(str, standing.begun.get('principals', ())))}"


def _told(data: Mapping[str, Any]) -> Iterator[str]:
    """What a step that is done has to say to somebody who decides what comes next."""
    for one in data.get("expectations", ()):
        yield f"{one['name']}: {one['outcome']}, {one['message']}"
    if "run" in data:
        yield f"evidence: {data['run']}"
    if data.get("principals"):
        yield f"approved by {' and '.join(data['principals'])}"


def _argv(argv: Sequence[str]) -> str:
    return " ".join(part if re.fullmatch(r"[\w@%+=:,./-]+", part) else repr(part) for part in argv)


def _last_words(steps: Sequence[StepPlan]) -> list[str]:
    numbers = [str(number) for number, step in enumerate(steps, start=1) if not has_undo(step)]
    if not numbers:
        return ["Every step that changes something has an undo."]
    return [f"Step {' and '.join(numbers)} cannot be undone: when a later step fails, the system is left half-changed."]


# ---- files


def _file(file: FilePlan, stored: StoredPlan, site: Site, environ: Mapping[str, str], now: Now) -> Iterator[str]:
    if file.unchanged:
        yield f"{shown(file)}: unchanged"
        return
    yield f"{shown(file)}: {_fate(file, agreed=_agreed(file, stored.plan, site))}"
    sides = _sides(file, stored, site, environ, now)
    if sides.fault:
        yield f"  cannot be shown: {sides.fault}"
        return
    diff = list(difflib.unified_diff(sides.before, sides.after, "now", "planned", lineterm="", n=3))
    yield from (f"  {line}" for line in diff[:DIFF_LINES])
    if len(diff) > DIFF_LINES:
        yield f"  and {len(diff) - DIFF_LINES} more lines of this diff"


def _agreed(file: FilePlan, plan: Plan, site: Site) -> bool:
    """True when the site that the plan was made for, whose digest is in the plan, says yes to another size of this file."""
    steps = site.actions[plan.action].steps if site.digest == plan.site.digest and plan.action in site.actions else ()
    return any(step.write_files is not None and file.template in (step.write_files.resized or ()) for step in steps)


def _fate(file: FilePlan, *, agreed: bool) -> str:
    new, old = file.new, file.old
    if old is None:
        return f"created, {new.size} bytes, {new.mode}"
    parts = [f"{old.size} -> {new.size} bytes"]
    if old.size and abs(new.size - old.size) * 100 > MUCH * old.size:
        said = "`resized` in the site says yes" if agreed else "NO `resized` in the site says yes"
        parts.append(f"{'GROWS' if new.size > old.size else 'SHRINKS'} BY {abs(new.size - old.size) * 100 // old.size} % ({said})")
    if old.mode != new.mode:
        parts.append(f"mode {old.mode} -> {new.mode}")
    return ", ".join(parts)


def _sides(file: FilePlan, stored: StoredPlan, site: Site, environ: Mapping[str, str], look: Now) -> Sides:
    try:
        rendered = None if file.new.content == "blob" else render_instance(site, file.template, file.instance, Tree(site.root), environ)
        content = stored.blob(file.new.digest) if rendered is None else rendered.content
        if digest(content) != file.new.digest:
            return Sides(fault="it no longer comes to the bytes that were planned; make a new plan")
        now = look(file)
    except (InterlockError, StepFailed) as error:
        return Sides(fault=str(error).replace("\n", "; "))
    except OSError as error:
        return Sides(fault=error.strerror or str(error))
    if (digest(now) if now is not None else None) != (file.old.digest if file.old is not None else None):
        return Sides(fault="the file was changed since the plan was made; make a new plan")
    if rendered is None:
        return Sides(before=_shown(lines_of(now or b"")), after=_shown(lines_of(content)))
    return _masked(now or b"", rendered)


def _now(eyes: Callable[[str], Eyes], file: TargetPlan) -> bytes | None:
    """What stands at a target of the plan, on its host."""
    folder, name = posixpath.split(file.target)
    there = eyes(file.host)
    opened = open_below(file.directory, file.real, None, folder, there)
    try:
        seen = see(name, opened, there)
    finally:
        there.close(opened)
    return seen.data if seen is not None else None


def _shown(lines: Sequence[bytes]) -> tuple[str, ...]:
    shown = tuple(line.decode("utf-8", "surrogateescape").rstrip("\n") for line in lines)
    return shown if not lines or lines[-1].endswith(b"\n") else (*shown, "(no newline at the end)")


def _masked(now: bytes, rendered: Rendered) -> Sides:
    """Both sides with the names of variables in place of values. A line of today's file that could hold such a value is shown as its new line is."""
    after = _shown(rendered.shown_lines())
    known = [(line.pattern, line.text, shown) for line, shown in zip(_lines_with_values(rendered), after, strict=False) if line.pattern is not None]
    before = tuple(_line_before(line, known, rendered.secrets) for line in _shown(lines_of(now)))
    return Sides(before=before, after=after)


def _line_before(line: str, known: Sequence[tuple[re.Pattern[str], str, str]], secrets: Secrets) -> str:
    for pattern, text, hidden in known:
        if pattern.fullmatch(line):
            return hidden if line == text else hidden + ANOTHER
    return secrets.hide(line.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class _Line:
    """One line of a rendered file: its text, and a pattern for the same line with other values (None when it holds no value)."""

    text: str = ""
    expression: str = ""
    holds_value: bool = False

    @property
    def pattern(self) -> re.Pattern[str] | None:
        return re.compile(self.expression) if self.holds_value else None


def _lines_with_values(rendered: Rendered) -> list[_Line]:
    """Every line of the rendered file, in order."""
    lines = [_Line()]
    for piece in rendered.pieces:
        secret = piece.name in rendered.secrets.names
        for index, part in enumerate(piece.text.split("\n")):
            if index:
                lines.append(_Line())
            line = lines[-1]
            line.text += part
            line.expression += ".*" if secret else re.escape(part)
            line.holds_value = line.holds_value or secret
    return lines
