"""How are outcomes, counts and durations said in words? The same words in every rendering that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from interlock.evidence.record import Record, family
from interlock.verdicts import Outcome

# From what needs a human first to what needs none.
GRAVITY = (Outcome.BROKEN, Outcome.NOT_RUN, Outcome.UNPROVEN, Outcome.WAIVED, Outcome.HELD, Outcome.NOT_APPLICABLE)


def outcome_in_words(outcome: Outcome) -> str:
    """`not applicable` of not_applicable."""
    match outcome:
        case Outcome.NOT_APPLICABLE:
            return "not applicable"
        case Outcome.NOT_RUN:
            return "not run"
        case Outcome.HELD | Outcome.BROKEN | Outcome.UNPROVEN | Outcome.WAIVED:
            return outcome.value
        case _:
            assert_never(outcome)


def number(count: int, noun: str) -> str:
    """`1 reason`, `2 reasons`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def asked_for(record: Record) -> str:
    """`preflight for release`, `static and preflight`."""
    gates = " and ".join(record.run.gates) or "gate"
    return f"{gates} for {record.run.action}" if record.run.action else gates


def tally_in_words(record: Record) -> str:
    """`12 pairs: 1 broken, 11 held`, worst first."""
    counted = [(outcome, record.count(outcome)) for outcome in GRAVITY]
    parts = [f"{count:,} {outcome_in_words(outcome)}" for outcome, count in counted if count]
    total = sum(count for _, count in counted)
    return f"{number(total, 'pair')}: {', '.join(parts)}" if parts else "nothing was judged"


def outcomes_by_family(record: Record) -> Mapping[str, Mapping[Outcome, int]]:
    """How many pairs of each family came to each outcome, families sorted."""
    found: dict[str, dict[Outcome, int]] = {}
    for guardrail, outcome in _all_pairs(record):
        counts = found.setdefault(family(guardrail), dict.fromkeys(GRAVITY, 0))
        counts[outcome] += 1
    return {name: found[name] for name in sorted(found)}


def details_by_family(record: Record) -> Mapping[str, int]:
    """How many details each family looked at."""
    found: dict[str, int] = {}
    for verdict in record.verdicts:
        found[family(verdict.guardrail)] = found.get(family(verdict.guardrail), 0) + verdict.details.total
    return found


def _all_pairs(record: Record) -> Iterable[tuple[str, Outcome]]:
    yield from ((verdict.guardrail, verdict.outcome) for verdict in record.verdicts)
    yield from ((one.guardrail, Outcome.NOT_RUN) for one in record.without_verdict)
