"""What does somebody need who reads about a run in an issue? One screen of Markdown: decision, reasons, what is waived, what was checked and what was not.

Everything that others wrote stands in code spans, where Forgejo, Gitea and GitHub make no link, mention, reference, emoji or HTML of it; nothing of
theirs stands in the one table. Each section has its own budget, so that the summary stays below `LIMIT_BYTES` whatever the run found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from interlock.evidence.details import Details
from interlock.evidence.record import Decision, Record
from interlock.evidence.visible import clipped, visible
from interlock.evidence.wording import GRAVITY, asked_for, details_by_family, number, outcome_in_words, outcomes_by_family, tally_in_words
from interlock.gate.decision import Reason
from interlock.verdicts import Outcome, Pair

LIMIT_BYTES = 60_000  # what issue trackers take, with room for a sentence around it
_TEXT, _NAME = 400, 160  # bytes of one message and of one name
_FAMILY = re.compile("[a-z0-9_-]{1,60}")


def render(record: Record, _details: Details) -> Iterator[str]:
    """The summary, section by section."""
    yield from _head(record)
    yield from _section("Why the gate is shut", _reasons(record), 14_000, "reasons", "record.json")
    yield from _section("Waived", _waived(record), 12_000, "waivers", "record.json")
    yield from _checked(record)
    yield from _section("What was not checked", _not_checked(record), 8_000, "pairs", "record.json")
    yield from _places(record)
    yield from _digests(record)


def _head(record: Record) -> Iterator[str]:
    run, target = record.run, record.target
    yield f"# interlock: {'OPEN' if record.decision is Decision.OPEN else 'SHUT'}\n\n"
    asked = f"{code(asked_for(record), _NAME)} of site {code(target.site, _NAME)}"
    yield f"**The gate is {record.decision}** (exit code {record.exit_code}): {asked}. {tally_in_words(record)}.\n\n"
    if record.waivers:
        yield f"**{number(len(record.waivers), 'waiver')} used: what they cover is broken.**\n\n"
    if record.replayed:
        yield "**Judged on replayed facts: this says nothing of the system as it is now.**\n\n"
    commit = f", commit {code(target.git.commit, _NAME)}{' **with uncommitted changes**' if target.git.dirty else ''}" if target.git else ""
    yield f"- run {code(run.id, _NAME)}, {code(run.started, _NAME)} to {code(run.ended, _NAME)}, by {code(f'{run.user}@{run.host}', _NAME)}\n"
    yield f"- site file {code(target.file or 'none: discovered', _NAME)}{commit}\n"
    if record.plan:
        counted = f"{number(len(record.approvals), 'approval')}, {number(len(record.steps), 'step')}"
        yield f"- plan {code(record.plan.digest, _NAME)} for {code(record.plan.action, _NAME)}, {counted}\n"
    yield "\n"


def _section(title: str, items: Iterable[str], budget: int, noun: str, where: str) -> Iterator[str]:
    """A heading and as many items as fit; none at all without an item."""
    left_out, spent, headed = 0, 0, False
    for item in items:
        spent += len(item.encode())
        if spent > budget:
            left_out += 1
            continue
        if not headed:
            yield f"## {title}\n\n"
            headed = True
        yield item
    if left_out:
        yield f"- and {left_out:,} more {noun}: see `{where}`\n"
    if headed:
        yield "\n"


def _reasons(record: Record) -> Iterator[str]:
    severities = {one.pair: one.severity for one in record.required}
    for reason in record.reasons:
        severity = severities.get(Pair(reason.guardrail, reason.subject))
        grave = f" ({severity})" if severity else ""
        remedy = f"  - remedy: {code(reason.remedy, _TEXT)}\n" if reason.remedy else ""
        yield f"- {_about(reason)}{_kind(reason)}{grave}: {code(reason.text, _TEXT)}\n{remedy}"


def _about(reason: Reason) -> str:
    names = [code(name, _NAME) for name in (reason.guardrail, reason.subject) if name]
    return " ".join(names) + " " if names else ""


def _kind(reason: Reason) -> str:
    return _KINDS.get(reason.code, f"**exit code {reason.code}**")


_KINDS: Mapping[int, str] = {
    1: "is **broken**",
    10: "was **not run**",
    11: "is **unproven**",
    12: "**waiver invalid**",
    13: "**approval missing**",
    14: "**stale**",
    15: "**locked**",
}


def _waived(record: Record) -> Iterator[str]:
    for waiver in record.waivers:
        yield (
            f"- **WAIVED {code(waiver.guardrail, _NAME)} {code(waiver.subject, _NAME)} until {code(waiver.expires_at, _NAME)}**: {code(waiver.reason, _TEXT)}"
            f" (waiver {code(waiver.id, _NAME)}, owner {code(waiver.owner, _NAME)}, approved by {code(waiver.approver, _NAME)},"
            f" ticket {code(waiver.ticket, _NAME)})\n"
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


def _not_checked(record: Record) -> Iterator[str]:
    for name, why in sorted(record.not_used.items()):
        yield f"- {code(name, _NAME)} is not used here: {code(why, _TEXT)}\n"
    for one in record.without_verdict:
        yield f"- {code(one.guardrail, _NAME)} {code(one.subject, _NAME)} was **not run**\n"
    for outcome in (Outcome.NOT_RUN, Outcome.UNPROVEN, Outcome.NOT_APPLICABLE):
        for verdict in record.verdicts:
            if verdict.outcome is outcome:
                word = "not applicable" if outcome is Outcome.NOT_APPLICABLE else f"**{outcome_in_words(outcome)}**"
                yield f"- {code(verdict.guardrail, _NAME)} {code(verdict.subject, _NAME)} {word}: {code(verdict.message, _TEXT)}\n"


def _places(record: Record) -> Iterator[str]:
    """Where what does not hold is, folded away; a verdict names its broken places before its unproven ones."""
    total = sum(verdict.details.broken + verdict.details.unproven for verdict in record.verdicts)
    if not total:
        return
    yield f"<details><summary>{number(total, 'detail')} that {'does' if total == 1 else 'do'} not hold</summary>\n\n"
    spent = shown = 0
    for verdict in record.verdicts:
        for index, place in enumerate(verdict.where):
            outcome = Outcome.BROKEN if index < verdict.details.broken else Outcome.UNPROVEN
            at = f"{place.file}:{place.line}" if place.line else place.file or verdict.subject
            item = f"- **{outcome_in_words(outcome)}** {code(verdict.guardrail, _NAME)} {code(at, _NAME)}: {code(place.message, _TEXT)}\n"
            spent += len(item.encode())
            if spent <= 12_000:
                shown += 1
                yield item
    if shown < total:
        yield f"- and {total - shown:,} more: see `details.jsonl`\n"
    yield "\n</details>\n\n"


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
    shown = clipped(visible(text), limit) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
