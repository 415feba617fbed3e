"""What is a guardrail, what is it asked of, and what can it answer? The bottom layer: imports nothing of ours.

A judgement is a pure function's answer for one subject: `Held`, `Broken`, `Unproven`, or `Streamed` where there are too many details to hold in memory.
`settle` drains it into a sink and says what it came to. `interlock.checking` does that inside pytest, `interlock.gate` decides over what came out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from interlock.nouns import dataclass

NONE_DECLARED = "none-declared"
WHERE_LIMIT = 1000  # a verdict names at most this many places; details.jsonl has them all


class Outcome(StrEnum):
    """The six outcomes (docs/gate.md); only held, not_applicable and waived let a required pair through."""

    HELD = "held"
    BROKEN = "broken"
    UNPROVEN = "unproven"
    NOT_APPLICABLE = "not_applicable"
    WAIVED = "waived"
    NOT_RUN = "not_run"


class Severity(StrEnum):
    """How much it costs when the guardrail is broken; the order of the members is the order of gravity."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    def at_least(self, other: Severity) -> bool:
        """True when this is as grave as `other`, or graver."""
        order = list(Severity)
        return order.index(self) <= order.index(other)


class Age(StrEnum):
    """Of a finding, where a tree is compared with an earlier state of it: is it there already?"""

    NEW = "new"
    OLD = "old"


class When(StrEnum):
    """The gates, named as the pytest marks are."""

    STATIC = "static"  # S: from files alone
    PREFLIGHT = "preflight"  # L: on the live system, before an action
    DRILL = "drill"  # D: a rehearsal
    POSTFLIGHT = "postflight"  # P: after an action
    APPLY = "apply"  # A: only in apply's own gate


LIVE = frozenset({When.PREFLIGHT, When.POSTFLIGHT})  # before an action and after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing that a guardrail looks at, named as the operator names it. `host` is a key of the site's hosts, or `local`.

    `severity` and `when` are set where the site decides them for this subject alone (`expect:` entries), else None. `actions` are the only
    actions that ask it (a copy is compared for the action that cuts over to it); None: all of them, and a gate without an action.
    """

    name: str
    host: str = "local"
    severity: Severity | None = None
    when: frozenset[When] | None = None
    actions: frozenset[str] | None = None

    @property
    def id(self) -> str:
        """Stable between runs; part of the record's key."""
        return self.name if self.host == "local" else f"{self.name}@{self.host}"

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A rule with a stable id. One constant beside its judgement serves the check, the plugin, the required set, scan, the catalogue and waivers.

    `subjects(site)` names what it looks at in a site, before anything is collected; `judge(noun)` is the pure judgement that the check calls.
    `max_age` in seconds: how old its facts may be when an action starts. `always`: every action asks it, whatever its own `gate:` lists.
    """

    id: str
    title: str
    severity: Severity
    when: frozenset[When]
    rationale: str
    remedy: str
    subjects: Callable[[Any], Sequence[Subject]]
    judge: Callable[[Any], Judgement]
    max_age: int = 300
    never_waivable: bool = False
    always: bool = False

    @property
    def family(self) -> str:
        """`mounts` of `mounts.state_disk`: the stem of its files."""
        return self.id.partition(".")[0]

    def subjects_when(self, site: Any, gates: frozenset[When], action: str | None) -> tuple[Subject, ...]:
        """The subjects of `site` that this guardrail judges in any of `gates` for `action`, in a stable order."""
        return tuple(
            subject for subject in self.subjects(site) if (subject.when or self.when) & gates and (subject.actions is None or action in subject.actions)
        )


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """What the gate counts: one guardrail and one subject, by their ids."""

    guardrail: str
    subject: str

    def __str__(self) -> str:
        return f"{self.guardrail} [{self.subject}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One file, row, table, variable or line below a subject.

    `what` and `kind` are stable (no sizes, counts, ages or line numbers): the fingerprint is made of them. `file` and `line` say where to look,
    `file` relative to the scanned tree or absolute on the subject's host. `value` is the ordinal that a waiver's `up_to` bounds. `age` is set by the sink,
    where somebody asked for it.
    """

    what: str
    outcome: Outcome
    message: str
    kind: str = ""
    file: str = ""
    line: int | None = None
    value: int | None = None
    age: Age | None = None


def in_short(details: Sequence[Detail], shown: int = 3) -> str:
    """What the first few details say, and how many more there are: the details themselves name all."""
    more = f"; and {len(details) - shown} more" if len(details) > shown else ""
    return "; ".join(detail.message for detail in details[:shown]) + more


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRun:
    """Many held details that say the same, kept together because a backup directory can hold a million of them.

    Stands for one `Detail(what=prefix + name, outcome=HELD, message=message)` for each of `names`.
    """

    prefix: str
    names: Sequence[str]
    message: str


@dataclass(frozen=True, slots=True)
class Held:
    """Looked, and it holds."""

    message: str
    details: Sequence[Detail] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """Looked, and it does not hold. Without `details` the subject itself is the one detail, of this `kind`."""

    message: str
    remedy: str = ""
    kind: str = "broken"
    details: Sequence[Detail] = ()


@dataclass(frozen=True, slots=True)
class Unproven:
    """Could not look. `remedy` says what would make it provable."""

    message: str
    remedy: str = ""
    details: Sequence[Detail] = ()


@dataclass(frozen=True, slots=True)
class Streamed:
    """A judgement whose details are too many to hold: broken iff one of them is, else unproven iff one of them is or there are none.

    `says` makes the one sentence from what was counted; `remedy` is what to do when it is broken or unproven.
    """

    details: Iterable[Detail | HeldRun]
    says: Callable[[Tally], str]
    remedy: str = ""


Judgement = Held | Broken | Unproven | Streamed


@dataclass(slots=True)
class Tally:
    """What was counted while a judgement was drained. `seen` holds the first broken and unproven details, in order."""

    held: int = 0
    broken: int = 0
    unproven: int = 0
    waived: int = 0
    broken_seen: list[Detail] = field(default_factory=list)
    unproven_seen: list[Detail] = field(default_factory=list)
    waived_seen: list[Detail] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All details, whatever they say."""
        return self.held + self.broken + self.unproven + self.waived

    def add(self, detail: Detail) -> None:
        """Count one detail, and remember it when somebody will ask about it."""
        match detail.outcome:
            case Outcome.HELD:
                self.held += 1
            case Outcome.BROKEN:
                self.broken += 1
                self._remember(self.broken_seen, detail)
            case Outcome.UNPROVEN:
                self.unproven += 1
                self._remember(self.unproven_seen, detail)
            case Outcome.WAIVED:
                self.waived += 1
                self._remember(self.waived_seen, detail)
            case Outcome.NOT_APPLICABLE | Outcome.NOT_RUN:
                raise ValueError(f"a detail is looked at or it is not there: {detail}")

    @staticmethod
    def _remember(seen: list[Detail], detail: Detail) -> None:
        if len(seen) < WHERE_LIMIT:
            seen.append(detail)

    @property
    def outcome(self) -> Outcome:
        """What the details come to; nothing seen is nothing proven."""
        if self.broken:
            return Outcome.BROKEN
        if self.unproven or not self.total:
            return Outcome.UNPROVEN
        return Outcome.WAIVED if self.waived else Outcome.HELD


class Sink(Protocol):
    """Where details go while a judgement is drained (`interlock.evidence.details`). May turn a broken detail into a waived one."""

    def detail(self, detail: Detail) -> Detail:
        """Write one detail, and return what it counts as."""

    def held_run(self, run: HeldRun) -> None:
        """Write one held detail for each name of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A judgement after it was drained: what `interlock.gate` and `interlock.evidence` build a verdict from."""

    outcome: Outcome
    message: str
    remedy: str
    tally: Tally


class NullSink:
    """A sink for callers who want the outcome alone."""

    def detail(self, detail: Detail) -> Detail:
        """Keep nothing."""
        return detail

    def held_run(self, run: HeldRun) -> None:
        """Keep nothing."""


def settle(judgement: Judgement, sink: Sink) -> Settled:
    """Drain a judgement into `sink` and say what it came to.

    The outcome is counted from the details alone, so a verdict is broken iff one of its details is. Raises whatever the details' iterator raises:
    `CouldNotLook` among them, which the caller turns into unproven.
    """
    tally = Tally()
    for item in _details(judgement):
        if isinstance(item, HeldRun):
            sink.held_run(item)
            tally.held += len(item.names)
        else:
            tally.add(sink.detail(item))
    match judgement:
        case Streamed():
            message, remedy = judgement.says(tally), judgement.remedy
        case Held():
            message, remedy = judgement.message, ""
        case Broken() | Unproven():
            message, remedy = judgement.message, judgement.remedy
    return Settled(outcome=tally.outcome, message=message, remedy="" if tally.outcome is Outcome.HELD else remedy, tally=tally)


def _details(judgement: Judgement) -> Iterable[Detail | HeldRun]:
    """The details; a simple answer is its own single detail."""
    if isinstance(judgement, Streamed) or judgement.details:
        return judgement.details
    match judgement:
        case Held():
            return (Detail(what="", outcome=Outcome.HELD, message=judgement.message),)
        case Broken():
            return (Detail(what="", outcome=Outcome.BROKEN, kind=judgement.kind, message=judgement.message),)
        case Unproven():
            return (Detail(what="", outcome=Outcome.UNPROVEN, message=judgement.message),)


def fingerprint(pair: Pair, detail: Detail) -> str:
    """The stable key of a failure: 16 hex digits of a sha256 over guardrail, subject, what and kind. The same fault keeps it when other lines move."""
    text = "\0".join((pair.guardrail, pair.subject, detail.what, detail.kind))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a broken or unproven detail is: `file` and `age` as in `Detail`, `key` its fingerprint."""

    file: str
    line: int | None
    key: str
    message: str
    age: Age | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many details a verdict has, by outcome, and the sha256 over their lines in details.jsonl."""

    held: int = 0
    broken: int = 0
    unproven: int = 0
    waived: int = 0
    sha256: str = ""

    @property
    def total(self) -> int:
        """As many as there were facts."""
        return self.held + self.broken + self.unproven + self.waived


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a judgement says of one subject, as the record keeps it.

    `taken_at` is when its oldest fact was observed (RFC 3339, UTC, `Z`); `duration` in seconds; `waivers` the ids of the waivers that were used.
    """

    guardrail: str
    subject: str
    host: str
    outcome: Outcome
    severity: Severity
    message: str
    remedy: str = ""
    where: tuple[Place, ...] = ()
    details: Counts = Counts()
    taken_at: str = ""
    duration: float = 0.0
    attempts: int = 1
    waivers: tuple[str, ...] = ()

    @property
    def pair(self) -> Pair:
        """Its key in a record."""
        return Pair(self.guardrail, self.subject)
