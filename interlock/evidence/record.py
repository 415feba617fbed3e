"""What is the canonical record of a run? One frozen `Record`, one JSON text for it (`interlock/record/1`), and back.

`record.schema.json` beside this file says the same to others; tests hold the two together. The details of the verdicts lie in `details.jsonl`
(`interlock.evidence.details`); the record holds their number and digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from interlock.errors import EvidenceError
from interlock.evidence import codec
from interlock.evidence.codec import JsonObject, Misfit
from interlock.evidence.redact import PATTERNS_ONLY
from interlock.facts import moments
from interlock.gate.decision import Open, Reason, Shut
from interlock.nouns import dataclass
from interlock.patterns import regex
from interlock.verdicts import WHERE_LIMIT, Outcome, Pair, Place, Severity, Tally, Verdict, When, fingerprint

SCHEMA = "interlock/record/1"
Redact = Callable[[str], str]

_DIGEST = regex("sha256:[0-9a-f]{64}")
_TIME = regex(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z")
_RUN_ID = regex("[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_COMMIT = regex("[0-9a-f]{40}|[0-9a-f]{64}")
_KEY = regex("[0-9a-f]{16}")


def sha256(data: bytes) -> str:
    """`sha256:<hex>`, as digests are written everywhere in a record."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def rfc3339(moment: datetime) -> str:
    """`2026-11-20T21:00:00Z` of an aware time."""
    return moments.written(moment)


class Decision(StrEnum):
    """What the gate came to."""

    OPEN = "open"
    SHUT = "shut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Which run this is. `id` names its folder; `started` and `ended` are RFC 3339, UTC; `nonce` echoes what the asker gave, empty otherwise.

    `only` are the families, guardrails and own rules of a gate in mid-plan, which asked nothing else; a whole gate has none.
    """

    id: str
    gates: tuple[When, ...]
    action: str | None
    nonce: str
    started: str
    ended: str
    host: str
    user: str
    interlock: str
    python: str
    pytest: str
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _must(_RUN_ID, self.id, "id")
        _moment(self.started, "started")
        _moment(self.ended, "ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """The commit that the site's folder stood at, and whether it held changes beside it."""

    commit: str
    dirty: bool

    def __post_init__(self) -> None:
        _must(_COMMIT, self.commit, "commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was judged: the site's name, its file and that file's digest (both empty for a site that was discovered)."""

    site: str
    file: str
    sha256: str
    git: Git | None

    def __post_init__(self) -> None:
        _may(_DIGEST, self.sha256, "sha256")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Required:
    """One pair that must have a verdict; `shuts` is False for a severity that only informs."""

    guardrail: str
    subject: str
    severity: Severity
    shuts: bool

    @property
    def pair(self) -> Pair:
        """Its key in a record."""
        return Pair(self.guardrail, self.subject)


class WaivedBy(StrEnum):
    """What let a finding pass."""

    WAIVER = "waiver"  # an entry of the waiver file
    COMMENT = "comment"  # `interlock: allow` at the finding
    BASELINE = "baseline"  # it was known when the baseline was written
    EARLIER = "earlier"  # the commit that the tree is compared with has it, and only new ones were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedWaiver:
    """What covered something in this run, whole: a waiver, or another thing of `by`, and the place that it was written at (`source`).

    `expires_at` RFC 3339, UTC, empty where there is no end (a baseline, an earlier commit); `up_to` bounds an ordinal value.
    """

    id: str
    guardrail: str
    subject: str
    fingerprint: str
    reason: str
    owner: str
    ticket: str
    approver: str
    expires_at: str
    up_to: int | None
    by: WaivedBy = WaivedBy.WAIVER
    source: str = ""

    def __post_init__(self) -> None:
        _must(_KEY, self.fingerprint, "fingerprint")
        if self.expires_at:
            _moment(self.expires_at, "expires_at")

    @property
    def ends(self) -> bool:
        """Whether somebody asked for it one by one, with a reason: such a thing has an end."""
        return self.by in (WaivedBy.WAIVER, WaivedBy.COMMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The earlier commit that a tree was compared with: as it was named, and which it is. `only_new`: what it has already lets the gate open."""

    revision: str
    commit: str
    only_new: bool

    def __post_init__(self) -> None:
        _must(_COMMIT, self.commit, "commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReference:
    """The plan that the run belongs to, by its digest, and the site's action that it resolves."""

    digest: str
    action: str

    def __post_init__(self) -> None:
        _must(_DIGEST, self.digest, "digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsDigest:
    """How many lines `details.jsonl` has, and the digest of the file."""

    count: int
    sha256: str

    def __post_init__(self) -> None:
        _count(self.count, "count")
        _must(_DIGEST, self.sha256, "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsDigest:
    """The digest of `facts.json`; empty when the run took no facts (a judgement from files alone)."""

    sha256: str

    def __post_init__(self) -> None:
        _may(_DIGEST, self.sha256, "sha256")


@dataclass(frozen=True, kw_only=True)
class Record:
    """All of a run. `verdicts` and `required` are sorted by guardrail and subject; `previous` is the digest of the site's record before this one."""

    run: Run
    target: Target
    decision: Decision
    exit_code: int
    reasons: tuple[Reason, ...]
    replayed: bool
    required: tuple[Required, ...]
    verdicts: tuple[Verdict, ...]
    waivers: tuple[UsedWaiver, ...]
    not_used: Mapping[str, str]
    plan: PlanReference | None
    approvals: tuple[JsonObject, ...]
    steps: tuple[JsonObject, ...]
    details: DetailsDigest
    facts: FactsDigest
    previous: str | None
    compared: Compared | None = None
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"its schema is {self.schema!r}, not {SCHEMA}: written by another version of interlock")
        if not 0 <= self.exit_code <= 255:
            raise ValueError(f"{self.exit_code} is no exit code")
        if self.previous is not None:
            _must(_DIGEST, self.previous, "previous")
        for verdict in self.verdicts:
            _check_verdict(verdict)

    @classmethod
    def of(
        cls,
        *,
        run: Run,
        target: Target,
        decision: Open | Shut,
        required: Iterable[Required],
        verdicts: Iterable[Verdict],
        details: DetailsDigest,
        facts: FactsDigest,
        waivers: Iterable[UsedWaiver] = (),
        not_used: Mapping[str, str] | None = None,
        replayed: bool = False,
        plan: PlanReference | None = None,
        approvals: Iterable[JsonObject] = (),
        steps: Iterable[JsonObject] = (),
        previous: str | None = None,
        exit_code: int | None = None,
        compared: Compared | None = None,
        redact: Redact = PATTERNS_ONLY.redact,
    ) -> Record:
        """The record of a run, sorted and frozen. Sentences are redacted here, as details were when they were written; names of pairs are not.

        `exit_code` is the decision's unless the run ended otherwise (an action that failed behind an open gate).
        """
        return cls(
            run=run,
            target=target,
            decision=Decision.OPEN if isinstance(decision, Open) else Decision.SHUT,
            exit_code=decision.exit_code if exit_code is None else exit_code,
            reasons=() if isinstance(decision, Open) else tuple(_redacted_reason(reason, redact) for reason in decision.reasons),
            replayed=replayed,
            required=tuple(sorted(required, key=lambda one: one.pair)),
            verdicts=tuple(redacted(verdict, redact) for verdict in in_order(verdicts)),
            waivers=tuple(sorted(waivers, key=lambda one: one.id)),
            not_used=codec.frozen({name: redact(why) for name, why in (not_used or {}).items()}),
            plan=plan,
            approvals=codec.frozen(list(approvals)),
            steps=codec.frozen(redacted_json(list(steps), redact)),
            details=details,
            facts=facts,
            previous=previous,
            compared=compared,
        )

    @classmethod
    def parse(cls, data: bytes, where: str) -> Record:
        """The record of a JSON text. Raises EvidenceError, naming the first place that does not fit."""
        try:
            return codec.read(cls, codec.parse(data))
        except Misfit as misfit:
            remedy = "compare the file with a copy of it; a record is written once and never edited"
            raise EvidenceError("this is no record of ours", where=where, why=str(misfit), remedy=remedy) from misfit

    def to_json(self) -> bytes:
        """The one JSON text of this record, with a newline at the end."""
        return codec.canonical(codec.plain(self))

    @cached_property
    def digest(self) -> str:
        """The digest of its JSON text: what the next record of the site, an approval or an issue names it by."""
        return sha256(self.to_json())

    @property
    def of_action(self) -> bool:
        """True for the record of an action, which has steps; a gate that was asked for a plan names it too, and has none."""
        return bool(self.steps)

    @cached_property
    def by_pair(self) -> Mapping[Pair, Verdict]:
        """The verdicts by guardrail and subject."""
        return {verdict.pair: verdict for verdict in self.verdicts}

    @cached_property
    def without_verdict(self) -> tuple[Required, ...]:
        """Required pairs that nothing was recorded of: they were not run."""
        return tuple(one for one in self.required if one.pair not in self.by_pair)

    @cached_property
    def waiver_by_id(self) -> Mapping[str, UsedWaiver]:
        """The waivers that were used."""
        return {waiver.id: waiver for waiver in self.waivers}

    def count(self, outcome: Outcome) -> int:
        """How many pairs came to this outcome; a required pair without a verdict counts as not run."""
        absent = len(self.without_verdict) if outcome is Outcome.NOT_RUN else 0
        return absent + sum(verdict.outcome is outcome for verdict in self.verdicts)


def in_order(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Verdicts as a record keeps them, and as their details follow each other in details.jsonl."""
    return tuple(sorted(verdicts, key=lambda verdict: verdict.pair))


def family(guardrail: str) -> str:
    """`mounts` of `mounts.state_disk`."""
    return guardrail.partition(".")[0]


def places(pair: Pair, tally: Tally) -> tuple[Place, ...]:
    """Where a verdict's broken and unproven details are, broken ones first, at most `WHERE_LIMIT`."""
    seen = [*tally.broken_seen, *tally.unproven_seen][:WHERE_LIMIT]
    return tuple(Place(file=detail.file, line=detail.line, key=fingerprint(pair, detail), message=detail.message, age=detail.age) for detail in seen)


def redacted(verdict: Verdict, redact: Redact) -> Verdict:
    """The verdict with every sentence redacted: what a judgement says was not written by the details' writer."""
    where = tuple(replace(place, file=redact(place.file), message=redact(place.message)) for place in verdict.where)
    return replace(verdict, message=redact(verdict.message), remedy=redact(verdict.remedy), where=where)


def _redacted_reason(reason: Reason, redact: Redact) -> Reason:
    return replace(reason, text=redact(reason.text), remedy=redact(reason.remedy))


def redacted_json(value: Any, redact: Redact) -> Any:
    """A JSON value with every text in it redacted, but the keys of objects."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [redacted_json(item, redact) for item in value]
    if isinstance(value, Mapping):
        return {key: redacted_json(item, redact) for key, item in value.items()}
    return value


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as it stands in a record."""
    found: dict[str, Any] = codec.plain(verdict)
    return found


def verdict_from_json(value: object, where: str = "verdict") -> Verdict:
    """The verdict that such an object says. Raises EvidenceError."""
    try:
        return codec.read(Verdict, value)
    except Misfit as misfit:
        raise EvidenceError("this is no verdict of ours", where=where, why=str(misfit), remedy="run the gate again") from misfit


def _check_verdict(verdict: Verdict) -> None:
    """What the record's schema asks of a verdict beyond its types."""
    counts = verdict.details
    if verdict.taken_at:
        _moment(verdict.taken_at, "taken_at")
    if counts.sha256:
        _must(_DIGEST, counts.sha256, "details.sha256")
    if min(counts.held, counts.broken, counts.unproven, counts.waived, verdict.attempts) < 0 or not 0 <= verdict.duration < float("inf"):
        raise ValueError(f"{verdict.pair} counts below nothing")
    if len(verdict.where) > WHERE_LIMIT:
        raise ValueError(f"{verdict.pair} names more than {WHERE_LIMIT} places")
    for place in verdict.where:
        _must(_KEY, place.key, "where.key")
        if place.line is not None and place.line < 1:
            raise ValueError(f"{verdict.pair} names line {place.line}")


def _must(pattern: re.Pattern[str], text: str, name: str) -> None:
    if not pattern.fullmatch(text):
        raise ValueError(f"{name} {text[:80]!r} is not written as {name}s are")


def _moment(text: str, name: str) -> None:
    _must(_TIME, text, name)
    datetime.fromisoformat(text)  # 30 February is a ValueError too


def _may(pattern: re.Pattern[str], text: str, name: str) -> None:
    if text:
        _must(pattern, text, name)


def _count(number: int, name: str) -> None:
    if number < 0:
        raise ValueError(f"{name} {number} is below nothing")
