"""Open or shut? Decided from the required pairs and the verdicts alone, never from an exit code of pytest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from interlock.gate.required import Expected
from interlock.nouns import dataclass
from interlock.verdicts import Outcome, Pair, Verdict

BROKEN, NOT_RUN, UNPROVEN, WAIVER = 1, 10, 11, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason why the gate is shut. `code` is the exit code of its kind (docs/gate.md); guardrail and subject are empty where it has none."""

    code: int
    guardrail: str = ""
    subject: str = ""
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Open:
    """Every required pair is held, not applicable or validly waived."""

    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Shut:
    """At least one reason; never empty."""

    reasons: tuple[Reason, ...]

    @property
    def exit_code(self) -> int:
        """The lowest of all reasons' codes."""
        return min(reason.code for reason in self.reasons)


def decide(required: Sequence[Expected], verdicts: Mapping[Pair, Verdict], *, waiver_problems: Iterable[Reason] = (), replayed: bool = False) -> Open | Shut:
    """The decision, with every reason, in the order of the required set.

    An empty required set is shut: an empty gate proves nothing. Replayed facts are old facts: shut with 11 whatever they say.
    """
    reasons = [reason for one in required if one.shuts and (reason := _reason(one, verdicts.get(one.pair))) is not None]
    reasons += waiver_problems
    if not required:
        reasons.append(
            Reason(code=NOT_RUN, text="nothing is required: an empty gate proves nothing", remedy="declare what this site has in its interlock.yaml")
        )
    if replayed:
        reasons.append(Reason(code=UNPROVEN, text="these facts are replayed from a file: they say nothing of the system now", remedy="run it without --facts"))
    return Shut(tuple(reasons)) if reasons else Open()


def _reason(one: Expected, verdict: Verdict | None) -> Reason | None:
    if verdict is None:
        return _because(one, NOT_RUN, "was not run: deselected, crashed, or never collected", "run the whole gate, without -k, --deselect or -x")
    match verdict.outcome:
        case Outcome.HELD | Outcome.NOT_APPLICABLE | Outcome.WAIVED:
            return None
        case Outcome.BROKEN:
            return _because(one, BROKEN, verdict.message, verdict.remedy)
        case Outcome.UNPROVEN:
            return _because(one, UNPROVEN, verdict.message, verdict.remedy)
        case Outcome.NOT_RUN:
            return _because(one, NOT_RUN, verdict.message, verdict.remedy)
        case _:
            assert_never(verdict.outcome)


def _because(one: Expected, code: int, text: str, remedy: str) -> Reason:
    return Reason(code=code, guardrail=one.pair.guardrail, subject=one.pair.subject, text=text, remedy=remedy)


def worst(verdicts: Iterable[Verdict]) -> dict[Pair, Verdict]:
    """One verdict a pair; where a pair was judged twice, the one that shuts more counts."""
    gravity = [Outcome.BROKEN, Outcome.NOT_RUN, Outcome.UNPROVEN, Outcome.WAIVED, Outcome.HELD, Outcome.NOT_APPLICABLE]
    found: dict[Pair, Verdict] = {}
    for verdict in verdicts:
        known = found.get(verdict.pair)
        if known is None or gravity.index(verdict.outcome) < gravity.index(known.outcome):
            found[verdict.pair] = verdict
    return found
