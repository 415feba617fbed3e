"""How does a run look to a code scanner? SARIF 2.1.0: a result for each broken, unproven or waived detail that lies in a file of the tree.

`partialFingerprints` holds the detail's key, so that a finding is the same finding when other lines move; waived ones carry their suppression. What is no
file of the tree (a path on a host, a row of a database) is no result: the run says how many were left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, assert_never
from urllib.parse import quote

from interlock.evidence.details import DetailLine, Details, HeldLines, by_verdict
from interlock.evidence.links import url_of, why
from interlock.evidence.record import Record, UsedWaiver, WaivedBy
from interlock.evidence.visible import visible
from interlock.evidence.wording import broken_glass, number, tally_in_words, waived_by
from interlock.patterns import regex
from interlock.verdicts import Age, Guardrail, Outcome, Severity, Verdict

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_BASES = {"%SRCROOT%": {"description": {"text": "the root of the repository, or of the scanned tree where it is in none"}}}
FINGERPRINT = "interlock/v1"
_NO_BYTE = regex("[\ud800-\udc7f\udd00-\udfff]")  # half a character, which stands for no byte of a name


def render(record: Record, details: Details, catalogue: Iterable[Guardrail] = (), prefix: str = "") -> Iterator[str]:
    """One log with one run, piece by piece. `catalogue` lends the rules their titles and rationales; `prefix` leads from the repository to the tree."""
    rules = _rules(record, {guardrail.id: guardrail for guardrail in catalogue})
    index = {rule["id"]: at for at, rule in enumerate(rules)}
    driver = {"name": "interlock", "version": record.run.interlock, "rules": rules}
    head = f'{{"$schema":{_json(_SCHEMA)},"version":"2.1.0","runs":[{{"tool":{{"driver":{_json(driver)}}},"originalUriBaseIds":{_json(_BASES)}'
    yield f'{head},"columnKind":"unicodeCodePoints","results":['
    separator, elsewhere = "", 0
    for verdict, lines in by_verdict(record.verdicts, details()):
        for found in lines:
            if isinstance(found, HeldLines) or found["outcome"] == Outcome.HELD:
                continue
            if not _in_tree(found.get("file", "")):
                elsewhere += 1
                continue
            yield separator + "\n" + _json(_result(record, verdict, found, index, prefix))
            separator = ","
    yield f'\n],"invocations":[{_json(_invocation(record, elsewhere))}],"properties":{_json(_properties(record))}}}]}}\n'


def _rules(record: Record, catalogue: dict[str, Guardrail]) -> list[dict[str, Any]]:
    by_id: dict[str, Verdict] = {}
    for verdict in record.verdicts:
        by_id.setdefault(verdict.guardrail, verdict)
    return [_rule(verdict, catalogue.get(name)) for name, verdict in sorted(by_id.items())]


def _rule(verdict: Verdict, known: Guardrail | None) -> dict[str, Any]:
    title = visible(known.title if known else f"guardrail {verdict.guardrail}")
    remedy = visible(known.remedy if known else verdict.remedy)
    rationale = visible(known.rationale) if known else ""
    parts = [("Must hold", title), ("Why", rationale), ("Remedy", remedy)]
    page = url_of(verdict.guardrail)
    severity = known.severity if known else verdict.severity
    rule: dict[str, Any] = {
        "id": visible(verdict.guardrail),
        "name": "".join(part.capitalize() for part in re.split("[._]", verdict.guardrail) if part.isascii() and part.isalnum()) or "Guardrail",
        "shortDescription": {"text": title},
        "fullDescription": {"text": rationale or title},
        "help": {
            "text": " ".join(part for part in (rationale, f"Remedy: {remedy}" if remedy else "") if part) or title,
            "markdown": "\n\n".join([*(f"**{name}**: {text}" for name, text in parts if text), f"More: {page or f'`{why(visible(verdict.guardrail))}`'}"]),
        },
        "defaultConfiguration": {"level": _level(severity)},
        "properties": {
            "severity": severity,
            "tags": [visible(verdict.guardrail.partition(".")[0])],
            "precision": "high",
            "problem.severity": {"error": "error", "warning": "warning", "note": "recommendation"}[_level(severity)],
        },
    }
    return rule | ({"helpUri": page} if page else {})


def _level(severity: Severity) -> str:
    match severity:
        case Severity.CRITICAL | Severity.HIGH:
            return "error"
        case Severity.MEDIUM:
            return "warning"
        case Severity.LOW:
            return "note"
        case _:
            assert_never(severity)


def _in_tree(file: str) -> bool:
    """A path relative to the scanned tree; an absolute one lies on some host."""
    return bool(file) and not file.startswith("/") and ".." not in file.split("/")


def _result(record: Record, verdict: Verdict, line: DetailLine, index: dict[str, int], prefix: str) -> dict[str, Any]:
    # An unproven finding keeps the level of its guardrail: what nobody could look at must not be quieter than what was seen.
    said = line["message"] if line["outcome"] == Outcome.BROKEN else f"{line['outcome']}: {line['message']}"
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(prefix + line["file"]), "uriBaseId": "%SRCROOT%"}}
    if line.get("line", 0) > 0:
        place["region"] = {"startLine": line["line"]}
    result: dict[str, Any] = {
        "ruleId": visible(verdict.guardrail),
        "ruleIndex": index[visible(verdict.guardrail)],
        "level": _level(verdict.severity),
        "message": {"text": _without_links(visible(f"{said}. Remedy: {verdict.remedy}" if verdict.remedy else said))},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {FINGERPRINT: line.get("key", "")},
        "properties": {"subject": visible(verdict.subject), "outcome": line["outcome"], "kind": visible(line.get("kind", "")), "what": visible(line["what"])},
    }
    if "age" in line:
        result["baselineState"] = "new" if line["age"] == Age.NEW else "unchanged"
    if line["outcome"] == Outcome.WAIVED:
        waiver = record.waiver_by_id.get(line.get("waiver", ""))
        kind = "inSource" if waiver is not None and waiver.by is WaivedBy.COMMENT else "external"
        result["suppressions"] = [{"kind": kind, "status": "accepted", "justification": visible(_justification(waiver, line))}]
    return result


def _without_links(text: str) -> str:
    """A message of SARIF may hold `[text](link)`; what others wrote makes none. Source: SARIF 2.1.0, 3.11.6."""
    return text.replace("[", "\\[").replace("]", "\\]") if "](" in text else text


def _uri(file: str) -> str:
    """A relative reference; the bytes of a name that is no UTF-8 are kept."""
    return quote(_NO_BYTE.sub("\ufffd", file).encode("utf-8", "surrogateescape"), safe="/")


def _justification(waiver: UsedWaiver | None, line: DetailLine) -> str:
    if waiver is None:
        return f"waiver {line.get('waiver', '')}"
    if waiver.by is not WaivedBy.WAIVER:
        return f"{waived_by(waiver)}{f' until {waiver.expires_at}' if waiver.expires_at else ''}: {waiver.reason}"
    return f"waiver {waiver.id} until {waiver.expires_at}: {waiver.reason} (owner {waiver.owner}, approved by {waiver.approver}, {waiver.ticket})"


def _invocation(record: Record, elsewhere: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "executionSuccessful": record.exit_code in (0, 1, 10, 11, 12),  # the scan ran to its end, whatever it found
        "exitCode": record.exit_code,
        "startTimeUtc": record.run.started,
        "endTimeUtc": record.run.ended,
    }
    notes = [f"the gate is {record.decision}: {tally_in_words(record)}"]
    notes += [f"{number(elsewhere, 'finding')} in no file of this tree: see the run's details"] if elsewhere else []
    found["toolExecutionNotifications"] = [{"level": "note", "message": {"text": visible(note)}} for note in notes]
    return found


def _properties(record: Record) -> dict[str, Any]:
    loud = {"breakGlass": visible(broken_glass(record))} if broken_glass(record) else {}
    return {"decision": record.decision, "run": record.run.id, "recordSha256": record.digest, "detailsSha256": record.details.sha256, **loud}


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
