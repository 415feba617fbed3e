"""What does somebody read on a terminal after `interlock scan`? The findings, by severity, family and guardrail, the remedy once for each; counts at the end.

From 60 to 200 columns. What held is counted and not listed: `--format markdown` and the record name every pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from interlock.evidence.details import Details
from interlock.evidence.findings import Found, findings
from interlock.evidence.links import why
from interlock.evidence.record import Decision, Record, family
from interlock.evidence.text import BOLD, CYAN, DIM, PLAIN, RED, YELLOW, Style, loud, reason_lines
from interlock.evidence.wording import gravest_first, headline, number
from interlock.verdicts import Age, Outcome, Severity

WIDEST = 200
PLACES_SHOWN = 50  # of one guardrail
_PLACE_COLUMN = 44  # a longer place stands on a line of its own
_OF_PAIRS = (1, 10, 11)
_COLORS: Mapping[Severity, str] = {Severity.CRITICAL: RED, Severity.HIGH: RED, Severity.MEDIUM: YELLOW, Severity.LOW: CYAN}


def render(record: Record, details: Details, style: Style = PLAIN, titles: Mapping[str, str] | None = None) -> Iterator[str]:
    """The screen, piece by piece. `titles` are what the guardrails ask, by their ids."""
    found = findings(record, details)
    for (shuts, severity), group in groupby(found, key=lambda one: (one.shuts, one.severity)):
        heading = f"{severity.upper()}{'' if shuts else ', for information'}"
        yield f"{style.painted(heading, _COLORS[severity])}\n"
        for name, members in groupby(group, key=lambda one: one.guardrail):
            yield from _guardrail(name, list(members), style, (titles or {}).get(name, ""))
        yield "\n"
    lines: list[str] = []
    for reason, severity in gravest_first(record):
        if not reason.guardrail or reason.code not in _OF_PAIRS or (reason.code == 10 and not any(one.guardrail == reason.guardrail for one in found)):
            lines += reason_lines(reason, severity, style)
    lines += [*loud(record, style), *_counts(record, found, style)]
    yield "\n".join(lines) + "\n"


def _guardrail(name: str, members: Sequence[Found], style: Style, title: str) -> Iterator[str]:
    head = style.wrapped(f"{name}: {title}" if title else name, 2)
    yield "\n".join([head[0].replace(name, style.painted(name, BOLD), 1), *(f"  {line}" for line in head[1:])]) + "\n"
    for one in members[:PLACES_SHOWN]:
        yield "\n".join(_place(one, style)) + "\n"
    if len(members) > PLACES_SHOWN:
        yield f"    and {number(len(members) - PLACES_SHOWN, 'more finding')}: --format json\n"
    for remedy in dict.fromkeys(one.remedy for one in members if one.remedy):
        yield "\n".join(style.wrapped(remedy, 4, "remedy: ")) + "\n"
    yield style.painted("\n".join(style.wrapped(why(name), 4, "why it matters: ")), DIM) + "\n"


def _place(one: Found, style: Style) -> list[str]:
    place = style.name(one.place)
    age = f"[{one.age}] " if one.age is not None else ""
    others = f" (for {', '.join(one.subjects[:3])}{' and others' if len(one.subjects) > 3 else ''})" if one.file and len(one.subjects) > 1 else ""
    said = f"{age}{one.said}{others}"
    if len(place) + 6 > min(_PLACE_COLUMN, style.width // 2):
        return [f"    {place}", *style.wrapped(said, 8)]
    lines = style.wrapped(said, 4, f"{place}  ")
    return [lines[0], *(" " * 8 + line.lstrip() for line in style.wrapped(" ".join(lines[1:]), 8))] if len(lines) > 1 and style.width < 80 else lines


def _counts(record: Record, found: Sequence[Found], style: Style) -> Iterator[str]:
    """`SHUT (exit code 1): 2 findings shut the gate (1 critical, 1 high); 3 inform; 1 waived; 61 pairs held in 9 families`."""
    word = headline(record)
    shutting, informing = [one for one in found if one.shuts], [one for one in found if not one.shuts]
    parts = [
        f"{number(len(shutting), 'finding')} {'shuts' if len(shutting) == 1 else 'shut'} the gate{_by_severity(shutting)}"
        if shutting
        else "nothing found shuts it"
    ]
    parts += [f"{len(informing):,} {'informs' if len(informing) == 1 else 'inform'}{_by_severity(informing)}"] if informing else []
    if record.compared is not None:
        new = sum(one.age is Age.NEW for one in found)
        parts.append(f"{new:,} new since {style.name(record.compared.revision)}")
    waived = sum(verdict.details.waived for verdict in record.verdicts)
    parts += [f"{waived:,} waived"] if waived else []
    held = [verdict for verdict in record.verdicts if verdict.outcome is Outcome.HELD]
    families = len({family(verdict.guardrail) for verdict in held})
    parts.append(f"{number(len(held), 'pair')} held in {families} {'family' if families == 1 else 'families'}" if held else "nothing held")
    lines = style.wrapped(f"(exit code {record.exit_code}): {'; '.join(parts)}", 0, f"{word} ")
    yield style.painted(word, RED if record.decision is Decision.SHUT else CYAN) + lines[0].removeprefix(word)
    yield from lines[1:]


def _by_severity(found: Sequence[Found]) -> str:
    """` (1 critical, 2 high, 1 unproven)`."""
    counts = Counter(str(one.severity) if one.outcome is Outcome.BROKEN else one.outcome.value.replace("_", " ") for one in found)
    order = [*Severity, "unproven", "not run"]
    return f" ({', '.join(f'{counts[name]:,} {name}' for name in order if counts[name])})"
