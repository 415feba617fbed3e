"""What does somebody need who reads about a run in an issue? One screen of Markdown: decision, reasons, what is waived, what was checked and what was not.

Everything that others wrote stands in code spans, where Forgejo, Gitea and GitHub make no link, mention, reference, emoji or HTML of it; nothing of
theirs stands in the one table. Each section has its own budget, so that the summary stays below `LIMIT_BYTES` whatever the run found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from interlock.evidence.details import Details
from interlock.evidence.record import Record, WaivedBy
from interlock.evidence.visible import clipped
from interlock.evidence.wording import (
    GRAVITY,
    approvers,
    asked_for,
    asked_waivers,
    broken_glass,
    details_by_family,
    ended_in_words,
    gravest_first,
    headline,
    is_self_approved,
    known_in_words,
    number,
    outcome_in_words,
    outcomes_by_family,
    reason_in_words,
    steps_in_words,
    tally_in_words,
    waived_by,
)
from interlock.gate.decision import Reason
from interlock.patterns import regex
from interlock.verdicts import NONE_DECLARED, Outcome, Verdict

LIMIT_BYTES = 60_000  # what issue trackers take, with room for a sentence around it
_TEXT, _NAME = 400, 160  # bytes of one message and of one name
_FAMILY = regex("[a-z0-9_-]{1,60}")


def render(record: Record, _details: Details) -> Iterator[str]:
    """The summary, section by section."""
    yield from _head(record)
    yield from _section("Why the gate is shut", _reasons(record), len(record.reasons), 13_000)
    yield from _section("What was done", (f"- step {code(step, _NAME)}\n" for step in steps_in_words(record)), len(record.steps), 5_000)
    yield from _section("Waived", _waived(record), len(asked_waivers(record)) + len(known_in_words(record)), 10_000)
    yield from _checked(record)
    yield from _section("What was not checked", _not_checked(record), _not_checked_count(record), 8_000)
    yield from _places(record)
    yield from _digests(record)


def _head(record: Record) -> Iterator[str]:
    run, target = record.run, record.target
    yield f"# interlock: {headline(record)}\n\n"
    asked = f"{code(asked_for(record), _NAME)} of site {code(target.site, _NAME)}"
    ended = ended_in_words(record)
    yield f"**{ended[0].upper()}{ended[1:]}** (exit code {record.exit_code}): {asked}. {tally_in_words(record)}.\n\n"
    if glass := broken_glass(record):
        yield f"**BREAK-GLASS: without its second person, by** {code(glass, _TEXT)}\n\n"
    if is_self_approved(record):
        yield "**SELF-APPROVED: the planner approved this plan.**\n\n"
    if record.waivers:
        yield f"**WAIVED: {number(len(record.waivers), 'waiver')} in use; what is waived is broken.**\n\n"
    if record.replayed:
        yield "**Judged on replayed facts: this says nothing of the system as it is now.**\n\n"
    commit = f", commit {code(target.git.commit, _NAME)}{' **with uncommitted changes**' if target.git.dirty else ''}" if target.git else ""
    yield f"- run {code(run.id, _NAME)}, {code(run.started, _NAME)} to {code(run.ended, _NAME)}, by {code(f'{run.user}@{run.host}', _NAME)}\n"
    yield f"- site file {code(target.file or 'none: discovered', _NAME)}{commit}\n"
    if record.plan and not record.of_action:
        yield f"- asked for plan {code(record.plan.digest, _NAME)} of {code(record.plan.action, _NAME)}\n"
    elif record.plan:
        names = ", ".join(code(name, _NAME) for name in approvers(record)[:10]) or "the operator alone: it asks for nobody else"
        yield f"- plan {code(record.plan.digest, _NAME)} for {code(record.plan.action, _NAME)}, approved by {names}\n"
    yield "\n"


def _section(title: str, items: Iterable[str], total: int, budget: int) -> Iterator[str]:
    """A heading and as many of the `total` items as fit into `budget` bytes; nothing at all without an item."""
    if total:
        yield f"## {title}\n\n"
        yield from _as_many_as_fit(items, total, budget, "record.json")
        yield "\n"


def _as_many_as_fit(items: Iterable[str], total: int, budget: int, where: str) -> Iterator[str]:
    shown = spent = 0
    for item in items:
        spent += len(item.encode())
        if spent > budget:
            break
        shown += 1
        yield item
    if shown < total:
        yield f"- and {total - shown:,} more: see `{where}`\n"


def _reasons(record: Record) -> Iterator[str]:
    for reason, severity in gravest_first(record):
        grave = f" ({severity})" if severity else ""
        remedy = f"  - remedy: {code(reason.remedy, _TEXT)}\n" if reason.remedy else ""
        yield f"- {_about(reason)}{grave}: {code(reason.text, _TEXT)}\n{remedy}"


def _about(reason: Reason) -> str:
    names = [code(name, _NAME) for name in (reason.guardrail, reason.subject) if name]
    return " ".join([*names, f"**{reason_in_words(reason.code)}**"])


def _waived(record: Record) -> Iterator[str]:
    for known in known_in_words(record):
        yield f"- **WAIVED {code(known, _TEXT)}**\n"
    for waiver in asked_waivers(record):
        who = f"waiver {code(waiver.id, _NAME)}, owner {code(waiver.owner, _NAME)}, approved by {code(waiver.approver, _NAME)}"
        who = f"{who}, ticket {code(waiver.ticket, _NAME)}" if waiver.by is WaivedBy.WAIVER else code(waived_by(waiver), _NAME)
        yield (
            f"- **WAIVED {code(waiver.guardrail, _NAME)} {code(waiver.subject, _NAME)} until {code(waiver.expires_at, _NAME)}**: {code(waiver.reason, _TEXT)}"
            f" ({who})\n"
        )


def _checked(record: Record) -> Iterator[str]:
    by_family, details = outcomes_by_family(record), details_by_family(record)
    if not by_family:
        return
    shown = [outcome for outcome in GRAVITY if any(counts[outcome] for counts in by_family.values())]
    yield "## What was checked\n\n"
    yield f"| family | {' | '.join(outcome_in_words(outcome) for outcome in shown)} | details |\n"
    yield f"|---|{'---:|' * (len(shown) + 1)}\n"
    rows = [(name, counts, details.get(name, 0)) for name, counts in by_family.items()]
    for name, counts, looked_at in rows[:40]:
        yield f"| {_family(name)} | {' | '.join(f'{counts[outcome]:,}' for outcome in shown)} | {looked_at:,} |\n"
    if len(rows) > 40:
        totals = " | ".join(f"{sum(counts[outcome] for _, counts, _ in rows[40:]):,}" for outcome in shown)
        yield f"| {len(rows) - 40:,} more | {totals} | {sum(looked_at for *_, looked_at in rows[40:]):,} |\n"
    yield "\n"


def _family(name: str) -> str:
    """A table reads `|` and backslashes in its own way, and each tracker differently: only a plain name goes in."""
    return name if _FAMILY.fullmatch(name) else "(a name that is no family's)"


_UNDECLARED_SHOWN = 20
_UNCHECKED = (Outcome.NOT_RUN, Outcome.UNPROVEN, Outcome.NOT_APPLICABLE)


def _not_checked(record: Record) -> Iterator[str]:
    for name, why in sorted(record.not_used.items()):
        yield f"- {code(name, _NAME)} is not used here: {code(why, _TEXT)}\n"
    for one in record.without_verdict:
        yield f"- {code(one.guardrail, _NAME)} {code(one.subject, _NAME)} was **not run**\n"
    undeclared = _undeclared(record)
    if undeclared:
        more = f" and {len(undeclared) - _UNDECLARED_SHOWN:,} more" if len(undeclared) > _UNDECLARED_SHOWN else ""
        yield f"- nothing is declared for {', '.join(code(verdict.guardrail, _NAME) for verdict in undeclared[:_UNDECLARED_SHOWN])}{more}\n"
    for outcome in _UNCHECKED:
        for verdict in record.verdicts:
            if verdict.outcome is outcome and not (outcome is Outcome.NOT_APPLICABLE and verdict.subject == NONE_DECLARED):
                word = "not applicable" if outcome is Outcome.NOT_APPLICABLE else f"**{outcome_in_words(outcome)}**"
                yield f"- {code(verdict.guardrail, _NAME)} {code(verdict.subject, _NAME)} {word}: {code(verdict.message, _TEXT)}\n"


def _not_checked_count(record: Record) -> int:
    """How many items `_not_checked` has: the undeclared ones are one."""
    undeclared = len(_undeclared(record))
    return len(record.not_used) + sum(map(record.count, _UNCHECKED)) - undeclared + (undeclared > 0)


def _undeclared(record: Record) -> list[Verdict]:
    """Guardrails that the site has no subject for."""
    return [verdict for verdict in record.verdicts if verdict.outcome is Outcome.NOT_APPLICABLE and verdict.subject == NONE_DECLARED]


def _places(record: Record) -> Iterator[str]:
    """Where what does not hold is, folded away."""
    total = sum(verdict.details.broken + verdict.details.unproven for verdict in record.verdicts)
    if not total:
        return
    yield f"<details><summary>{number(total, 'detail')} that {'does' if total == 1 else 'do'} not hold</summary>\n\n"
    yield from _as_many_as_fit(_each_place(record), total, 12_000, "details.jsonl")
    yield "\n</details>\n\n"


def _each_place(record: Record) -> Iterator[str]:
    """A verdict names its broken places before its unproven ones."""
    for verdict in record.verdicts:
        for index, place in enumerate(verdict.where):
            outcome = Outcome.BROKEN if index < verdict.details.broken else Outcome.UNPROVEN
            at = f"{place.file}:{place.line}" if place.line else place.file or verdict.subject
            yield f"- **{outcome_in_words(outcome)}** {code(verdict.guardrail, _NAME)} {code(at, _NAME)}: {code(place.message, _TEXT)}\n"


def _digests(record: Record) -> Iterator[str]:
    yield "## How to verify\n\n"
    yield f"Take the run's folder and say `interlock verify {record.run.id}`; `sha256sum -c SHA256SUMS` alone shows that no file changed since.\n\n"
    yield f"- record.json `{record.digest}`\n- details.jsonl `{record.details.sha256}`, {number(record.details.count, 'line')}\n"
    if record.facts.sha256:
        yield f"- facts.json `{record.facts.sha256}`\n"
    yield f"- the site's record before this one: `{record.previous or 'none'}`\n"
    yield f"- interlock {code(record.run.interlock, _NAME)}, Python {code(record.run.python, _NAME)}, pytest {code(record.run.pytest, _NAME)}\n"


def code(text: str, limit: int) -> str:
    """Somebody else's text as a code span of at most `limit` bytes, whatever stands in it."""
    shown = clipped(text, limit) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
