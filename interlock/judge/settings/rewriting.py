"""Does what an operator wrote into an env file survive the scripts? `interlock.observe.env_files` brings those that write over it."""

from __future__ import annotations

from interlock.facts.env_rewrites import Rewrites, Rewritten
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When


def judge_rewrites(rewrites: Rewrites) -> Held | Broken | Unproven:
    """Held when no script of a host writes over an env file that may be there."""
    details = (*(_detail(one) for one in rewrites.found), *unread(rewrites.unreadable))
    return found(details, held="no script writes over an env file that an operator may have edited", remedy="ask first: `[ -f .env ] || cp .env.example .env`")


def _detail(one: Rewritten) -> Detail:
    how = "copies another file over" if one.copies else "writes anew"
    message = f"{one.script}:{one.line} {how} {one.env_file} without looking whether there is one: whoever runs it again loses the passwords and settings in it"
    return Detail(what=f"{one.script}: {one.env_file}", outcome=Outcome.BROKEN, kind="written-over", message=message, file=one.script, line=one.line)


PRESERVE_OPERATOR_EDITS = Guardrail(
    id="env.preserve_operator_edits",
    title="no script writes over the env file that an operator edits",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="An installer is run a second time, and the generated password of a database that is there already is gone with the old file.",
    remedy="write the file only where there is none, or keep a copy and take its values over",
    subjects=scripts,
    judge=judge_rewrites,
)
