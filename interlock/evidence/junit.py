"""How does a run look to a CI server? JUnit XML (the xunit2 family that Jenkins, GitLab and Forgejo read): a suite per verdict, a testcase per detail.

held passes, broken is a failure, unproven and not_run are errors, not_applicable and waived are skipped with the reason. The first suite is the gate
itself, so that whoever counts failures sees a gate that is shut for another reason than a broken detail. Properties stand at suites only: some readers
refuse a file that has them elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from interlock.evidence.details import DetailLine, Details, HeldLines, Lines, by_verdict
from interlock.evidence.record import Decision, Record, Required, UsedWaiver, WaivedBy
from interlock.evidence.visible import visible, visible_lines
from interlock.evidence.wording import approvers, broken_glass, ended_in_words, is_self_approved, number, waived_by
from interlock.verdicts import Outcome, Verdict

_SPECIAL = ("&", "<", ">")  # HeldLines hold no quotes


def render(record: Record, details: Details) -> Iterator[str]:
    """The document, piece by piece; memory stays flat whatever the number of details. Raises EvidenceError when details do not fit the record."""
    yield '<?xml version="1.0" encoding="utf-8"?>\n'
    yield _root(record)
    yield from _gate(record)
    digest = record.digest
    for verdict, lines in by_verdict(record.verdicts, details()):
        yield _suite(str(verdict.pair), _counts(verdict), seconds=verdict.duration, moment=verdict.taken_at or record.run.started, host=verdict.host)
        yield _properties(_of_verdict(record, verdict, digest))
        yield from _cases(record, verdict, lines)
        yield "</testsuite>\n"
    for one in record.without_verdict:
        yield _suite(str(one.pair), (1, 0, 1, 0), seconds=0, moment=record.run.started, host=record.run.host)
        yield _case(_class(one), one.subject, _fault("error", "not_run", "was not run: deselected, crashed, or never collected", ""))
        yield "</testsuite>\n"
    yield "</testsuites>\n"


def _root(record: Record) -> str:
    totals = [_counts(verdict) for verdict in record.verdicts] + [(1, 0, 1, 0)] * len(record.without_verdict) + [_gate_counts(record)]
    tests, failures, errors, _ = (sum(column) for column in zip(*totals, strict=True))
    seconds = sum(verdict.duration for verdict in record.verdicts)
    return f'<testsuites name="interlock {_attribute(record.target.site)}" tests="{tests}" failures="{failures}" errors="{errors}" time="{seconds:.3f}">\n'


def _gate_counts(record: Record) -> tuple[int, int, int, int]:
    """tests, failures, errors, skipped of the gate's own suite."""
    unused = len(record.not_used)
    return 1 + unused, int(record.exit_code == 1), int(record.exit_code not in (0, 1)), unused


def _gate(record: Record) -> Iterator[str]:
    run = record.run
    asked = f"in mid-plan, only: {', '.join(run.only)}" if run.only else ", ".join(run.gates)
    name = f"{run.action or 'gate'} ({asked})"
    yield _suite("interlock gate", _gate_counts(record), seconds=0, moment=run.started, host=run.host)
    yield _properties(
        {
            "interlock.run_id": run.id,
            "interlock.site": record.target.site,
            "interlock.site_sha256": record.target.sha256,
            "interlock.commit": record.target.git.commit if record.target.git else "",
            "interlock.gates": " ".join(run.gates),
            "interlock.only": " ".join(run.only),
            "interlock.action": run.action or "",
            "interlock.decision": record.decision,
            "interlock.exit_code": str(record.exit_code),
            "interlock.replayed": str(record.replayed).lower(),
            "interlock.plan_sha256": record.plan.digest if record.plan else "",
            "interlock.approved_by": " ".join(approvers(record)),
            "interlock.break_glass": broken_glass(record),
            "interlock.self_approved": "true" if is_self_approved(record) else "",
            "interlock.waivers": " ".join(waiver.id for waiver in record.waivers),
            "interlock.record_sha256": record.digest,
            "interlock.details_sha256": record.details.sha256,
            "interlock.facts_sha256": record.facts.sha256,
            "interlock.version": run.interlock,
        }
    )
    yield _case("interlock.gate", name, _gate_fault(record))
    for unused, why in sorted(record.not_used.items()):
        yield _case("interlock.not_used", unused, _skipped(f"not used here: {why}"))
    yield "</testsuite>\n"


def _gate_fault(record: Record) -> str:
    """Nothing when all went well; a shut gate, or an action that failed behind an open one, fails whatever its details say."""
    if record.exit_code == 0:
        return ""
    told = f"{ended_in_words(record)}: {number(len(record.reasons), 'reason')}" if record.decision is Decision.SHUT else ended_in_words(record)
    text = "\n".join(f"{reason.guardrail} {reason.subject}: {reason.text}".strip(" :") for reason in record.reasons[:100])
    return _fault("failure" if record.exit_code == 1 else "error", f"exit-{record.exit_code}", told, text)


def _counts(verdict: Verdict) -> tuple[int, int, int, int]:
    """tests, failures, errors, skipped of a verdict's suite; one without details is one testcase."""
    counts = verdict.details
    if counts.total:
        return counts.total, counts.broken, counts.unproven, counts.waived
    match verdict.outcome:
        case Outcome.HELD:
            return 1, 0, 0, 0
        case Outcome.BROKEN:
            return 1, 1, 0, 0
        case Outcome.UNPROVEN | Outcome.NOT_RUN:
            return 1, 0, 1, 0
        case Outcome.NOT_APPLICABLE | Outcome.WAIVED:
            return 1, 0, 0, 1
        case _:
            assert_never(verdict.outcome)


def _suite(name: str, counts: tuple[int, int, int, int], *, seconds: float, moment: str, host: str) -> str:
    tests, failures, errors, skipped = counts
    return (
        f'<testsuite name="{_attribute(name)}" tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"'
        f' time="{seconds:.3f}" timestamp="{_attribute(moment)}" hostname="{_attribute(host)}">\n'
    )


def _properties(values: dict[str, str]) -> str:
    lines = [f'<property name="{name}" value="{_attribute(value)}"/>\n' for name, value in values.items() if value]
    return f"<properties>\n{''.join(lines)}</properties>\n"


def _of_verdict(record: Record, verdict: Verdict, digest: str) -> dict[str, str]:
    waivers = [_until(waiver) for name in verdict.waivers if (waiver := record.waiver_by_id.get(name))]
    return {
        "interlock.run_id": record.run.id,
        "interlock.record_sha256": digest,
        "interlock.guardrail": verdict.guardrail,
        "interlock.subject": verdict.subject,
        "interlock.outcome": verdict.outcome,
        "interlock.severity": verdict.severity,
        "interlock.message": verdict.message,
        "interlock.remedy": verdict.remedy,
        "interlock.attempts": str(verdict.attempts) if verdict.attempts > 1 else "",
        "interlock.waived_by": "; ".join(waivers),
        "interlock.details_sha256": verdict.details.sha256,
    }


def _cases(record: Record, verdict: Verdict, lines: Lines) -> Iterator[str]:
    name = _class(verdict)
    if not verdict.details.total:
        yield _case(name, verdict.subject, _without_details(verdict))
        return
    for found in lines:
        if isinstance(found, HeldLines):
            yield _held(name, verdict.subject, found)
        else:
            yield _case(name, found["what"] or verdict.subject, _said(record, verdict, found))


def _held(name: str, subject: str, lines: HeldLines) -> str:
    """Many testcases that pass, joined: this is where a million files go through."""
    whats: Iterable[str] = lines.whats
    together = "".join(lines.whats)
    if any(sign in together for sign in _SPECIAL):
        whats = [_escaped(what) for what in whats]
    if "" in lines.whats:
        whats = [what or _attribute(subject) for what in whats]
    head, tail = f'<testcase classname="{_attribute(name)}" name="', '" time="0"/>\n'
    return head + f"{tail}{head}".join(whats) + tail


def _said(record: Record, verdict: Verdict, line: DetailLine) -> str:
    place = f"{line.get('file', '')}:{line['line']}" if "line" in line else line.get("file", "")
    more = [f"at: {place}"] if place else []
    more += [f"remedy: {verdict.remedy}"] if verdict.remedy else []
    more += [f"key: {line['key']}"] if "key" in line else []
    match Outcome(line["outcome"]):
        case Outcome.BROKEN:
            return _fault("failure", line.get("kind", "broken"), line["message"], "\n".join(more))
        case Outcome.UNPROVEN:
            return _fault("error", "unproven", line["message"], "\n".join(more))
        case Outcome.WAIVED:
            return _skipped(_waived(record, line))
        case _:
            return ""


def _waived(record: Record, line: DetailLine) -> str:
    waiver = record.waiver_by_id.get(line.get("waiver", ""))
    if waiver is None:
        return f"WAIVED by {line.get('waiver', '')}: {line['message']}"
    who = f"owner {waiver.owner}, {waiver.ticket}" if waiver.by is WaivedBy.WAIVER else waived_by(waiver)
    return f"WAIVED by {_until(waiver)} ({waiver.reason}; {who}): {line['message']}"


def _until(waiver: UsedWaiver) -> str:
    return f"{waiver.id} until {waiver.expires_at}" if waiver.expires_at else waiver.id


def _without_details(verdict: Verdict) -> str:
    match verdict.outcome:
        case Outcome.HELD:
            return ""
        case Outcome.BROKEN:
            return _fault("failure", "broken", verdict.message, verdict.remedy)
        case Outcome.UNPROVEN | Outcome.NOT_RUN:
            return _fault("error", verdict.outcome, verdict.message, verdict.remedy)
        case Outcome.NOT_APPLICABLE | Outcome.WAIVED:
            return _skipped(verdict.message)
        case _:
            assert_never(verdict.outcome)


def _class(one: Verdict | Required) -> str:
    return f"{one.guardrail}.{one.subject}"


def _case(name: str, what: str, inside: str) -> str:
    opening = f'<testcase classname="{_attribute(name)}" name="{_attribute(what)}" time="0"'
    return f"{opening}>{inside}</testcase>\n" if inside else f"{opening}/>\n"


def _fault(tag: str, kind: str, message: str, more: str) -> str:
    text = f"{message}\n{more}" if more else message
    return f'<{tag} message="{_attribute(message)}" type="{_attribute(kind)}">{_escaped(visible_lines(text))}</{tag}>'


def _skipped(message: str) -> str:
    return f'<skipped message="{_attribute(message)}"/>'


def _attribute(text: str) -> str:
    return _escaped(visible(text))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
