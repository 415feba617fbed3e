"""How does a run look in Allure? A result file per verdict, with what did not hold as steps and its details as an attachment.

A result per file would be one for each of a million backups: the attachment holds every detail that does not hold, and the first thousand that do.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import md5
from itertools import islice
from typing import Any, assert_never

from interlock.evidence.details import DetailLine, Details, HeldLines, Lines, by_verdict, canonical_held, canonical_line
from interlock.evidence.record import Record, family
from interlock.evidence.visible import visible
from interlock.evidence.wording import asked_for, broken_glass
from interlock.verdicts import WHERE_LIMIT, Outcome, Pair, Severity, Verdict

HELD_SHOWN = 1000  # held details in an attachment
STEPS_SHOWN = 50
_NAMESPACE = uuid.UUID("6f1d9a0e-4a3d-5d0c-9c39-5f0a7f2a8d11")

File = tuple[str, Iterable[str]]


def render(record: Record, details: Details) -> Iterator[File]:
    """The files of `allure-results/`: a name and its text in pieces. Take the pieces of one before the next. The same record gives the same bytes."""
    yield "environment.properties", [_environment(record)]
    yield "categories.json", [_json(_categories())]
    for verdict, lines in by_verdict(record.verdicts, details()):
        name = _uuid(record, verdict.pair, "result")
        attachment = f"{_uuid(record, verdict.pair, 'details')}-attachment.jsonl"
        if verdict.details.total:
            yield attachment, _attachment(verdict, lines)
        yield f"{name}-result.json", [_json(_result(record, verdict, name, attachment))]
    for one in record.without_verdict:
        name = _uuid(record, one.pair, "result")
        yield f"{name}-result.json", [_json(_absent(record, one.pair, one.severity, name))]


def _uuid(record: Record, pair: Pair, part: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "\0".join((record.digest, pair.guardrail, pair.subject, part)).encode("utf-8", "backslashreplace").decode()))


def _result(record: Record, verdict: Verdict, name: str, attachment: str) -> dict[str, Any]:
    start = _milliseconds(verdict.taken_at or record.run.started)
    result = _base(record, verdict.pair, verdict.severity, name)
    result |= {
        "status": _status(verdict.outcome),
        "statusDetails": _status_details(verdict),
        "steps": _steps(verdict),
        "parameters": [
            {"name": "subject", "value": visible(verdict.subject)},
            {"name": "host", "value": visible(verdict.host)},
            {"name": "outcome", "value": verdict.outcome},
            {"name": "attempts", "value": str(verdict.attempts), "excluded": True},
        ],
        "start": start,
        "stop": start + round(verdict.duration * 1000),
    }
    if verdict.details.total:
        result["attachments"] = [{"name": f"details ({verdict.details.total:,})", "source": attachment, "type": "application/x-ndjson"}]
    return result


def _status_details(verdict: Verdict) -> dict[str, Any]:
    details: dict[str, Any] = {"message": visible(verdict.message), "flaky": verdict.attempts > 1}
    return details | {"trace": visible(f"remedy: {verdict.remedy}")} if verdict.remedy else details


def _absent(record: Record, pair: Pair, severity: Severity, name: str) -> dict[str, Any]:
    start = _milliseconds(record.run.started)
    result = _base(record, pair, severity, name)
    result |= {
        "status": _status(Outcome.NOT_RUN),
        "statusDetails": {"message": "was not run: deselected, crashed, or never collected"},
        "start": start,
        "stop": start,
    }
    return result


def _base(record: Record, pair: Pair, severity: Severity, name: str) -> dict[str, Any]:
    full = visible(f"{pair.guardrail}[{pair.subject}]")
    same = md5(f"{record.target.site}\0{full}".encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()
    labels = {
        "parentSuite": asked_for(record),
        "suite": family(pair.guardrail),
        "subSuite": pair.guardrail,
        "feature": family(pair.guardrail),
        "story": pair.guardrail,
        "severity": _severity(severity),
        "host": record.run.host,
        "framework": "interlock",
        "language": "python",
    }
    if broken_glass(record):
        labels["tag"] = f"BREAK-GLASS by {broken_glass(record)}"
    return {
        "uuid": name,
        "historyId": same,
        "testCaseId": md5(pair.guardrail.encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest(),
        "fullName": full,
        "name": visible(f"{pair.guardrail} {pair.subject}"),
        "stage": "finished",
        "labels": [{"name": label, "value": visible(value)} for label, value in labels.items()],
    }


def _status(outcome: Outcome) -> str:
    """Allure's `broken` is a test that could not say: our unproven and not run. `skipped` is neither good nor bad."""
    match outcome:
        case Outcome.HELD:
            return "passed"
        case Outcome.BROKEN:
            return "failed"
        case Outcome.UNPROVEN | Outcome.NOT_RUN:
            return "broken"
        case Outcome.NOT_APPLICABLE | Outcome.WAIVED:
            return "skipped"
        case _:
            assert_never(outcome)


def _severity(severity: Severity) -> str:
    match severity:
        case Severity.CRITICAL:
            return "blocker"
        case Severity.HIGH:
            return "critical"
        case Severity.MEDIUM:
            return "normal"
        case Severity.LOW:
            return "minor"
        case _:
            assert_never(severity)


def _steps(verdict: Verdict) -> list[dict[str, Any]]:
    """What was counted, and the first places that do not hold."""
    counts = verdict.details
    steps = []
    for outcome, count in ((Outcome.HELD, counts.held), (Outcome.BROKEN, counts.broken), (Outcome.UNPROVEN, counts.unproven), (Outcome.WAIVED, counts.waived)):
        if count:
            steps.append({"name": f"{count:,} {outcome}", "status": _status(outcome), "stage": "finished", "steps": _places(verdict, outcome)})
    return steps


def _places(verdict: Verdict, outcome: Outcome) -> list[dict[str, Any]]:
    """A verdict names its broken places before its unproven ones."""
    first = min(verdict.details.broken, WHERE_LIMIT)
    match outcome:
        case Outcome.BROKEN:
            places = verdict.where[:first]
        case Outcome.UNPROVEN:
            places = verdict.where[first:]
        case _:
            places = ()
    return [{"name": visible(place.message), "status": _status(outcome), "stage": "finished"} for place in places[:STEPS_SHOWN]]


def _attachment(verdict: Verdict, lines: Lines) -> Iterator[str]:
    shown = 0
    for found in lines:
        if isinstance(found, HeldLines):
            whats = list(islice(found.whats, HELD_SHOWN - shown))
            shown += len(whats)
            if whats:
                yield canonical_held(found._replace(whats=whats)).decode("ascii")
        elif found["outcome"] != Outcome.HELD:
            yield _line(found)
        elif shown < HELD_SHOWN:
            shown += 1
            yield _line(found)
    if verdict.details.held > shown:
        yield _json({"more_held": verdict.details.held - shown, "see": "details.jsonl"})


def _line(line: DetailLine) -> str:
    return canonical_line(line).decode("ascii")


def _environment(record: Record) -> str:
    values = {
        "interlock": record.run.interlock,
        "site": record.target.site,
        "run": record.run.id,
        "gate": asked_for(record),
        "decision": record.decision,
        "exit_code": str(record.exit_code),
        "host": record.run.host,
        "user": record.run.user,
        "commit": record.target.git.commit if record.target.git else "",
        "record_sha256": record.digest,
    }
    return "".join(f"{name}={visible(value).replace(chr(92), chr(92) * 2)}\n" for name, value in values.items() if value)


def _categories() -> list[dict[str, Any]]:
    return [
        {"name": "broken guardrails", "matchedStatuses": ["failed"]},
        {"name": "unproven or not run", "matchedStatuses": ["broken"]},
        {"name": "waived or not applicable", "matchedStatuses": ["skipped"]},
    ]


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() * 1000)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n"
