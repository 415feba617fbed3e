"""What was found in files, one by one, as a reader of a change wants it: what shuts the gate first, the gravest first, what is new before what is old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from interlock.evidence.details import Details, HeldLines, by_verdict
from interlock.evidence.record import Record, family
from interlock.nouns import dataclass
from interlock.patterns import regex
from interlock.verdicts import Age, Outcome, Severity

_BAD = (Outcome.BROKEN, Outcome.UNPROVEN)
_LINE = regex(r"line (\d+): ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding that is not waived: broken, unproven, or a pair that was not run. `file` and `line` as in a detail; `shuts` the gate or informs.

    `subjects` are all that say the same of the same place: a file in three chains is one finding to whoever mends it.
    """

    guardrail: str
    subjects: tuple[str, ...]
    outcome: Outcome
    severity: Severity
    shuts: bool
    message: str
    remedy: str
    file: str = ""
    line: int | None = None
    key: str = ""
    age: Age | None = None

    @property
    def family(self) -> str:
        """`mounts` of `mounts.layout`."""
        return family(self.guardrail)

    @property
    def place(self) -> str:
        """`ops/backup.sh:3`, or what it is a finding of where there is no file."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file or ", ".join(self.subjects)

    @property
    def said(self) -> str:
        """The message without the place, which is shown beside it, and with its outcome where nobody could look."""
        shown = self.message
        match = _LINE.match(shown)
        if match and match[1] == str(self.line):
            shown = shown[match.end() :]
        elif self.line and shown.startswith(f"{self.file}:{self.line}: "):
            shown = shown.removeprefix(f"{self.file}:{self.line}: ")
        return shown if self.outcome is Outcome.BROKEN else f"{self.outcome.value.replace('_', ' ')}: {shown}"


def findings(record: Record, details: Details) -> tuple[Found, ...]:
    """Every finding of a run that nothing waives, in the order in which they are to be read."""
    together: dict[tuple[object, ...], Found] = {}
    for found in _each(record, details):
        name = (found.guardrail, found.outcome, found.file, found.line, found.message if found.file else found.subjects, found.age)
        known = together.get(name)
        if known is not None and found.file:
            together[name] = _with(known, found)
        else:
            together[name if known is None else (*name, len(together))] = found
    return tuple(sorted(together.values(), key=_weight))


def _each(record: Record, details: Details) -> Iterator[Found]:
    shutting = {one.pair for one in record.required if one.shuts}
    for verdict, lines in by_verdict(record.verdicts, details()):
        of_pair = Found(
            guardrail=verdict.guardrail,
            subjects=(verdict.subject,),
            outcome=verdict.outcome,
            severity=verdict.severity,
            shuts=verdict.pair in shutting,
            message=verdict.message,
            remedy=verdict.remedy,
        )
        if verdict.outcome is Outcome.NOT_RUN or (verdict.outcome in _BAD and not verdict.details.total):
            yield of_pair  # nobody looked at anything: there is no detail that says so
        for line in lines:
            if not isinstance(line, HeldLines) and line["outcome"] in _BAD:
                yield replace(
                    of_pair,
                    outcome=Outcome(line["outcome"]),
                    message=line["message"],
                    file=line.get("file", ""),
                    line=line.get("line"),
                    key=line.get("key", ""),
                    age=Age(line["age"]) if "age" in line else None,
                )


def _with(known: Found, other: Found) -> Found:
    """The same finding of one more subject."""
    subjects = known.subjects if other.subjects[0] in known.subjects else (*known.subjects, *other.subjects)
    graver = known.severity if known.severity.at_least(other.severity) else other.severity
    return replace(known, subjects=subjects, severity=graver, shuts=known.shuts or other.shuts, remedy=known.remedy or other.remedy)


def _weight(found: Found) -> tuple[object, ...]:
    """What shuts the gate before what informs, the gravest first; then by family and guardrail, new before old, and by place."""
    gravity = list(Severity).index(found.severity)
    return not found.shuts, gravity, found.family, found.guardrail, found.age is Age.OLD, found.file, found.line or 0, found.subjects
