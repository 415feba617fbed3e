"""What is checked, when, and why? The catalogue as text and JSON."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from interlock.errors import UsageError
from interlock.judge import catalogue
from interlock.verdicts import Guardrail, When

WIDTH = 78
LETTERS = {When.STATIC: "S", When.PREFLIGHT: "L", When.DRILL: "D", When.POSTFLIGHT: "P", When.APPLY: "A"}


def catalogue_text(wanted: str | None, form: str) -> str:
    """All guardrails, or the one `wanted` in full. Raises UsageError for an id that does not exist."""
    found = [guardrail for guardrail in catalogue() if wanted in (None, guardrail.id)]
    if not found:
        raise UsageError(f"there is no guardrail {wanted}", remedy="see `interlock guardrails` for the ids")
    if form == "json":
        return json.dumps([_plain(guardrail) for guardrail in found], indent=2)
    return _in_full(found[0]) if wanted else _table(found)


def _plain(guardrail: Guardrail) -> dict[str, Any]:
    return {
        "id": guardrail.id,
        "title": guardrail.title,
        "severity": str(guardrail.severity),
        "when": sorted(guardrail.when),
        "max_age": guardrail.max_age,
        "never_waivable": guardrail.never_waivable,
        "rationale": guardrail.rationale,
        "remedy": guardrail.remedy,
        "docs": f"docs/guardrails/{guardrail.family}.md",
    }


def _table(guardrails: list[Guardrail]) -> str:
    lines = []
    for guardrail in guardrails:
        letters = "".join(letter if when in guardrail.when else "-" for when, letter in LETTERS.items())
        lines.append(f"{guardrail.id:28} {letters}  {guardrail.severity:8}")
        lines += textwrap.wrap(guardrail.title, WIDTH, initial_indent="    ", subsequent_indent="    ")
    lines += ["", "S files alone (scan)  L live (preflight)  D drill  P postflight  A apply", "One in full: interlock guardrails ID"]
    return "\n".join(lines)


def _in_full(guardrail: Guardrail) -> str:
    waivable = "never" if guardrail.never_waivable else "yes"
    parts = [
        f"{guardrail.id}  ({guardrail.severity})",
        *textwrap.wrap(f"Holds when {guardrail.title}.", WIDTH),
        "",
        f"Asked:      {', '.join(sorted(guardrail.when))}",
        f"Facts may be {guardrail.max_age} s old; waivable: {waivable}",
        "",
        *textwrap.wrap(f"Why: {guardrail.rationale}", WIDTH),
        "",
        *textwrap.wrap(f"Remedy: {guardrail.remedy}", WIDTH),
        "",
        f"More: docs/guardrails/{guardrail.family}.md",
    ]
    return "\n".join(parts)
