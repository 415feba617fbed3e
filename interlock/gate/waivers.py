"""Does a waiver cover exactly this failure, and may it? The judgement; `interlock.config.waivers` reads the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from interlock.config.waivers import Waiver
from interlock.gate.decision import WAIVER, Reason
from interlock.nouns import dataclass
from interlock.verdicts import Detail, Guardrail, Pair

LONGEST = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waivers:
    """A waiver file after judgement: those that may be used, and what is wrong with the others."""

    valid: tuple[Waiver, ...] = ()
    problems: tuple[Reason, ...] = ()

    def covering(self, pair: Pair) -> Callable[[Detail, str], str | None] | None:
        """A function from a broken detail and its key to the id of the waiver that covers it; None when no waiver names this pair.

        A new or changed failure has another key, and an ordinal beyond `up_to` is another failure: neither is covered.
        """
        mine = {waiver.fingerprint: waiver for waiver in self.valid if (waiver.guardrail, waiver.subject) == (pair.guardrail, pair.subject)}
        if not mine:
            return None

        def cover(detail: Detail, key: str) -> str | None:
            waiver = mine.get(key)
            if waiver is None or (waiver.up_to is not None and (detail.value is None or detail.value > waiver.up_to)):
                return None
            return waiver.id

        return cover

    def unused(self, used: Iterable[str]) -> tuple[Waiver, ...]:
        """Valid waivers that covered nothing in this run."""
        seen = set(used)
        return tuple(waiver for waiver in self.valid if waiver.id not in seen)


def judge_waivers(waivers: Sequence[Waiver], catalogue: Sequence[Guardrail], own: frozenset[str], now: datetime) -> Waivers:
    """Split waivers into those that may be used and reasons (code 12). `own` are the ids of the site's own rules; `now` is aware, UTC."""
    known = {guardrail.id: guardrail for guardrail in catalogue}
    valid, problems = [], []
    for waiver in waivers:
        fault = _fault(waiver, known, own, now)
        if fault is None:
            valid.append(waiver)
        else:
            text, remedy = fault
            problems.append(
                Reason(code=WAIVER, guardrail=waiver.guardrail, subject=waiver.subject, text=f"waiver {waiver.id} (line {waiver.line}) {text}", remedy=remedy)
            )
    return Waivers(valid=tuple(valid), problems=tuple(problems))


def _fault(waiver: Waiver, known: dict[str, Guardrail], own: frozenset[str], now: datetime) -> tuple[str, str] | None:
    guardrail = known.get(waiver.guardrail)
    if guardrail is None and waiver.guardrail not in own:
        return "is for a guardrail that does not exist", "see `interlock guardrails` for the ids"
    if guardrail is not None and guardrail.never_waivable:
        return f"is for {guardrail.id}, which can never be waived", "remove the waiver and mend the fault"
    if waiver.expires_at <= now:
        return f"expired at {waiver.expires_at:%Y-%m-%dT%H:%M:%SZ}", "mend the fault, or have the waiver approved again"
    if waiver.expires_at - now > LONGEST:
        return f"lasts until {waiver.expires_at:%Y-%m-%d}, more than 90 days ahead", "set expires_at to at most 90 days from now"
    return None
