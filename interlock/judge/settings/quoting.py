"""Does every reader of an env file take its values for what they are? `interlock.observe.env_files` brings what scripts write into them."""

from __future__ import annotations

from interlock.facts.env_quoting import Quoting, Unquoted
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When


def judge_quoting(quoting: Quoting) -> Held | Broken | Unproven:
    """Held when no script writes a value with letters in it that its quotes do not keep."""
    details = (*(_detail(one) for one in quoting.unquoted), *unread(quoting.unreadable))
    held = "no script writes a value into an env file whose letters its readers take for something else"
    return found(details, held=held, remedy="write it between single quotes, or take it from letters and digits alone: `tr -dc A-Za-z0-9`")


def _detail(one: Unquoted) -> Detail:
    quotes = {"": "without quotes", '"': "between double quotes", "'": "between single quotes"}[one.quote]
    letters = " ".join("a blank" if letter == " " else letter for letter in one.letters)
    message = (
        f"{one.script}:{one.line} writes {one.source.told} into {one.target} as {one.key}, {quotes}: where it holds one of {letters}, docker compose and"
        " other readers take it for something else, and the value is another one, or the file is refused"
    )
    return Detail(what=f"{one.script}: {one.key}", outcome=Outcome.BROKEN, kind=one.source.value, message=message, file=one.script, line=one.line)


FILE_QUOTING = Guardrail(
    id="env.file_quoting",
    title="what scripts write into env files is the same value to every reader",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="A random secret with a `$` or a quote in it works on nine installations and is another secret on the tenth, where nobody can log in.",
    remedy="write the value between single quotes, or make it of letters and digits alone",
    subjects=scripts,
    judge=judge_quoting,
)
