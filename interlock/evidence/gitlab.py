"""How do findings stand in a merge request of GitLab? As a Code Quality report: one JSON array. Source: docs.gitlab.com, Code Quality report format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import assert_never

from interlock.evidence.details import Details
from interlock.evidence.findings import Found, findings
from interlock.evidence.record import Record
from interlock.evidence.visible import visible
from interlock.verdicts import Severity


def render(record: Record, details: Details, prefix: str = "") -> Iterator[str]:
    """The report. A finding in no file of the tree is left out: GitLab wants a path for each."""
    yield "["
    separator, seen = "", dict[str, int]()
    for one in findings(record, details):
        if not one.file or one.file.startswith("/"):
            continue
        number = seen[one.key] = seen.get(one.key, 0) + 1
        yield separator + "\n" + json.dumps(_entry(one, prefix, number), sort_keys=True)
        separator = ","
    yield "\n]\n"


def _entry(one: Found, prefix: str, number: int) -> dict[str, object]:
    """One entry; its fingerprint is unique in the report and stays when lines move: of findings that are alike, the second has another than the first."""
    path = (prefix + one.file).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    fingerprint = hashlib.sha256("\0".join((one.guardrail, one.file, one.key, str(number))).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {
        "description": visible(f"{one.said}. Remedy: {one.remedy}" if one.remedy else one.said),
        "check_name": one.guardrail,
        "fingerprint": fingerprint,
        "severity": _severity(one.severity),
        "location": {"path": path, "lines": {"begin": one.line or 1}},
    }


def _severity(severity: Severity) -> str:
    match severity:
        case Severity.CRITICAL:
            return "blocker"
        case Severity.HIGH:
            return "critical"
        case Severity.MEDIUM:
            return "major"
        case Severity.LOW:
            return "minor"
        case _:
            assert_never(severity)
