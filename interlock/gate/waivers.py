"""Does a waiver cover exactly this failure, and may it? The judgement; `interlock.config.waivers` reads the file, `interlock.facts.allows` the comments.

Four things let a finding pass: a waiver of the file, a comment at the finding, a baseline, and `--new-only` for what an earlier commit had. All of them are
told in the record, by the id that the detail carries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from interlock.config.refusal import did_you_mean
from interlock.config.waivers import Waiver
from interlock.facts.allows import Allow, BadAllow
from interlock.gate.decision import WAIVER, Reason
from interlock.gate.known import Baseline, Earlier
from interlock.nouns import dataclass
from interlock.verdicts import Age, Detail, Guardrail, Outcome, Pair, When

LONGEST = timedelta(days=90)

Grant = Waiver | Allow | Baseline | Earlier
_Cover = Callable[[Detail, str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waivers:
    """All that may let a finding pass in a run, after judgement, and what is wrong with the rest."""

    valid: tuple[Waiver, ...] = ()
    problems: tuple[Reason, ...] = ()
    allows: tuple[Allow, ...] = ()
    baseline: Baseline | None = None
    earlier: Earlier | None = None

    def covering(self, pair: Pair) -> _Cover | None:
        """A function from a broken or unproven detail and its key to the id of what covers it; None when nothing names this pair.

        A new or changed failure has another key, and an ordinal beyond `up_to` is another failure: neither is covered. What could not be looked at is no
        failure that somebody has seen, so only a baseline and an earlier commit cover it. A baseline's entries are used up whatever else covers them.
        """
        known = self.baseline.covering(pair) if self.baseline else None
        covers = [one for one in (self._by_file(pair), self._by_comment(pair), self._by_age(pair)) if one is not None]
        if known is None and not covers:
            return None

        def cover(detail: Detail, key: str) -> str | None:
            listed = known is not None and known(detail, key)
            names = (one(detail, key) for one in covers)
            return next((name for name in names if name is not None), _baseline_id(key) if listed else None)

        return cover

    def _by_file(self, pair: Pair) -> _Cover | None:
        mine = {waiver.fingerprint: waiver for waiver in self.valid if (waiver.guardrail, waiver.subject) == (pair.guardrail, pair.subject)}

        def cover(detail: Detail, key: str) -> str | None:
            waiver = mine.get(key)
            if waiver is None or detail.outcome is not Outcome.BROKEN:
                return None
            return None if waiver.up_to is not None and (detail.value is None or detail.value > waiver.up_to) else waiver.id

        return cover if mine else None

    def _by_comment(self, pair: Pair) -> _Cover | None:
        mine = [allow for allow in self.allows if allow.rule == pair.guardrail]

        def cover(detail: Detail, key: str) -> str | None:
            if detail.outcome is not Outcome.BROKEN:
                return None
            return next((f"{_allow_id(allow)}.{key}" for allow in mine if allow.covers(detail.file, detail.line)), None)

        return cover if mine else None

    def _by_age(self, pair: Pair) -> _Cover | None:
        if self.earlier is None or not self.earlier.passes(pair):
            return None
        return lambda detail, key: _earlier_id(key) if detail.age is Age.OLD else None

    def comparing(self, pair: Pair) -> Callable[[Detail, str], Age] | None:
        """A function that says of a finding whether it is new; None when nothing earlier was looked at."""
        return self.earlier.comparing(pair) if self.earlier else None

    def granted(self, name: str) -> Grant | None:
        """What a detail that is waived by this id was waived by."""
        by_id: dict[str, Grant] = {waiver.id: waiver for waiver in self.valid}
        by_id |= {_allow_id(allow): allow for allow in self.allows}
        by_id |= {"baseline": self.baseline} if self.baseline else {}
        by_id |= {"earlier": self.earlier} if self.earlier else {}
        return by_id.get(name) or by_id.get(name.rpartition(".")[0])

    def unused(self, used: Iterable[str]) -> tuple[Waiver, ...]:
        """Valid waivers that covered nothing in this run."""
        seen = set(used)
        return tuple(waiver for waiver in self.valid if waiver.id not in seen)

    def idle(self, used: Iterable[str]) -> tuple[Allow, ...]:
        """Comments that covered nothing in this run."""
        seen = {name.rpartition(".")[0] for name in used}
        return tuple(allow for allow in self.allows if _allow_id(allow) not in seen)

    def with_known(self, baseline: Baseline | None, earlier: Earlier | None) -> Waivers:
        """The same, and what was there already; that a baseline lists what can never be waived is a problem."""
        remedy = "mend the fault, and write the baseline anew"
        source, refused = (baseline.source, baseline.refused()) if baseline else ("", ())
        problems = [
            Reason(code=WAIVER, guardrail=name, text=f"the baseline {source} lists {name}, which can never be waived", remedy=remedy) for name in refused
        ]
        return replace(self, baseline=baseline, earlier=earlier, problems=(*self.problems, *problems))


def _allow_id(allow: Allow) -> str:
    made = hashlib.sha256("\0".join((allow.place, allow.rule)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"allow-{made[:12]}"


def _baseline_id(key: str) -> str:
    return f"baseline.{key}"


def _earlier_id(key: str) -> str:
    return f"earlier.{key}"


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


def judge_allows(waivers: Waivers, allows: Sequence[Allow | BadAllow], catalogue: Sequence[Guardrail], now: datetime) -> Waivers:
    """The same waivers with the comments that may be used, and reasons (code 12) for the others: the rules of the waiver file, for what files alone show."""
    known = {guardrail.id: guardrail for guardrail in catalogue}
    valid, problems = [], []
    for allow in allows:
        fault = (allow.what, allow.remedy) if isinstance(allow, BadAllow) else _fault_of_comment(allow, known, now)
        if fault is None:
            assert isinstance(allow, Allow)
            valid.append(allow)
        else:
            text, remedy = fault
            rule = allow.rule if isinstance(allow, Allow) else ""
            problems.append(Reason(code=WAIVER, guardrail=rule if rule in known else "", text=f"{allow.place}: the comment {text}", remedy=remedy))
    return replace(waivers, allows=tuple(valid), problems=(*waivers.problems, *problems))


def idle_comment(allow: Allow) -> Reason:
    """The reason (code 12) that a comment which covers nothing is: it would lie in wait."""
    text = f"{allow.place}: the comment allows {allow.rule}, and covers nothing that is broken"
    return Reason(code=WAIVER, guardrail=allow.rule, text=text, remedy="remove it, or put it at the line of the finding or right above it")


def _fault(waiver: Waiver, known: dict[str, Guardrail], own: frozenset[str], now: datetime) -> tuple[str, str] | None:
    guardrail = known.get(waiver.guardrail)
    if guardrail is None and waiver.guardrail not in own:
        return "is for a guardrail that does not exist", "see `interlock guardrails` for the ids"
    if guardrail is not None and guardrail.never_waivable:
        return f"is for {guardrail.id}, which can never be waived", "remove the waiver and mend the fault"
    return _fault_of_time(waiver.expires_at, now, "set expires_at to at most 90 days from now", "mend the fault, or have the waiver approved again")


def _fault_of_comment(allow: Allow, known: dict[str, Guardrail], now: datetime) -> tuple[str, str] | None:
    guardrail = known.get(allow.rule)
    if guardrail is None:
        remedy = did_you_mean(allow.rule, sorted(known), "see `interlock scan --explain` for the ids")
        return f"allows {allow.rule[:80]}, a guardrail that does not exist", remedy()
    if guardrail.never_waivable:
        return f"allows {guardrail.id}, which can never be waived", "remove the comment and mend the fault"
    if When.STATIC not in guardrail.when:
        return f"allows {guardrail.id}, which no file alone breaks", "waive it in the waiver file of the site, or not at all"
    return _fault_of_time(allow.expires_at, now, "write a date that is at most 90 days from now", "mend the fault, or write a new date and who wants it")


def _fault_of_time(expires_at: datetime, now: datetime, sooner: str, again: str) -> tuple[str, str] | None:
    if expires_at <= now:
        return f"expired at {expires_at:%Y-%m-%dT%H:%M:%SZ}", again
    if expires_at - now > LONGEST:
        return f"lasts until {expires_at:%Y-%m-%d}, more than 90 days ahead", sooner
    return None
