"""What does an operator read on a terminal? The decision for pytest's summary (`gate_text`), and every verdict of a run (`render`, for `--format text`).

Made for 80 columns. Each outcome has a symbol and a word, so that colour says nothing that is not said without it; NO_COLOR and terminals that know ASCII
alone are kept to (`Style.of`).
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TextIO

from interlock.evidence.details import Details
from interlock.evidence.record import Decision, Record, family
from interlock.evidence.visible import clipped
from interlock.evidence.wording import (
    approvers,
    asked_for,
    asked_waivers,
    broken_glass,
    ended_in_words,
    gravest_first,
    headline,
    is_self_approved,
    known_in_words,
    number,
    outcome_in_words,
    steps_in_words,
    tally_in_words,
    waived_by,
)
from interlock.gate.decision import BROKEN, NOT_RUN, UNPROVEN, Reason
from interlock.nouns import dataclass
from interlock.verdicts import NONE_DECLARED, Outcome, Severity, Verdict

REASONS_SHOWN = 5
CHANGES_SHOWN = 10
PLACES_SHOWN = 5
SUBJECTS_SHOWN = 4
_MESSAGE_BYTES, _NAME_BYTES = 600, 200
_WIDEST, _NARROWEST = 100, 60
_WORD_COLUMN = 17  # symbol, the longest outcome in words, and a blank

BOLD, RED, YELLOW, CYAN, DIM, _RESET = "\x1b[1m", "\x1b[1;31m", "\x1b[33m", "\x1b[36m", "\x1b[2m", "\x1b[0m"
_SYMBOLS: Mapping[Outcome, tuple[str, str, str]] = {  # Unicode, ASCII, colour
    Outcome.HELD: ("✔", "+", CYAN),
    Outcome.BROKEN: ("✘", "X", RED),
    Outcome.UNPROVEN: ("?", "?", YELLOW),
    Outcome.NOT_RUN: ("!", "!", RED),
    Outcome.WAIVED: ("W", "W", YELLOW),
    Outcome.NOT_APPLICABLE: ("-", "-", DIM),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What a terminal can show. `width` in columns."""

    width: int = 80
    color: bool = False
    ascii_only: bool = False

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str], widest: int = _WIDEST) -> Style:
        """What this stream can show. Colour only on a terminal that is not dumb, and never with NO_COLOR (https://no-color.org)."""
        terminal = stream.isatty()
        try:
            "✔✘".encode(stream.encoding or "ascii")
            ascii_only = False
        except (UnicodeEncodeError, LookupError):
            ascii_only = True
        width = shutil.get_terminal_size((80, 24)).columns if terminal else 80
        color = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        return cls(width=max(_NARROWEST, min(width, widest)), color=color, ascii_only=ascii_only)

    def painted(self, text: str, color: str) -> str:
        """The text in a colour, where there are colours."""
        return f"{color}{text}{_RESET}" if self.color else text

    def mark(self, outcome: Outcome) -> str:
        """Symbol and word of an outcome, as wide for each of them."""
        symbol, plain, color = _SYMBOLS[outcome]
        return self.in_column(f"{plain if self.ascii_only else symbol} {outcome_in_words(outcome)}", color)

    def in_column(self, text: str, color: str) -> str:
        """A short text in a colour, filled up with blanks."""
        return self.painted(text, color) + " " * (_WORD_COLUMN - len(text))

    def wrapped(self, text: str, indent: int, lead: str = "") -> list[str]:
        """One text, made visible, as lines no wider than the terminal (a longer word stays whole: a path is copied). `lead` stands before the first."""
        first, rest = " " * indent + lead, " " * (indent + len(lead))
        shown = self._shown(text, _MESSAGE_BYTES)
        return textwrap.wrap(shown, self.width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)

    def name(self, text: str) -> str:
        """A name, made visible, in one piece."""
        return self._shown(text, _NAME_BYTES)

    def _shown(self, text: str, limit: int) -> str:
        shown = clipped(text, limit)
        return shown.encode("ascii", "backslashreplace").decode("ascii") if self.ascii_only else shown


PLAIN = Style()


def gate_text(record: Record, changes: Sequence[str], next_command: str, style: Style = PLAIN) -> str:
    """The gate in one screen: when shut, what changed since it was last open, then at most five reasons, the gravest first, then the one next command."""
    lines = [*_decision(record, style)]
    if record.decision is Decision.SHUT:
        lines += _changes(changes, style)
        alike = _alike(record)
        lines += ["why:"] if alike else []
        for (reason, severity), *others in alike[:REASONS_SHOWN]:
            lines += reason_lines(reason, severity, style, others=[other for other, _ in others])
        left = sum(map(len, alike[REASONS_SHOWN:]))
        lines += [f"  and {number(left, 'more reason')}: interlock report"] if left else []
    lines += loud(record, style)
    if next_command:
        first = "mend the first reason, then " if any(reason.code == BROKEN for reason in record.reasons) else ""
        lines += ["", f"next: {first}{style.painted(style.name(next_command), BOLD)}"]
    return "\n".join(lines)


def _alike(record: Record) -> list[list[tuple[Reason, Severity | None]]]:
    """The reasons and their severities, the gravest first. Several subjects of one guardrail are one reason to whoever mends it."""
    groups: dict[tuple[str, ...], list[tuple[Reason, Severity | None]]] = {}
    for reason, severity in gravest_first(record):
        key = (str(reason.code), reason.guardrail) if reason.guardrail and reason.code in _JUDGED else (str(reason.code), reason.guardrail, reason.text)
        groups.setdefault(key, []).append((reason, severity))
    return list(groups.values())


def render(record: Record, _details: Details, style: Style = PLAIN) -> Iterator[str]:
    """Every verdict, by family, what held of one guardrail in one line; then the decision and what belongs to no pair."""
    last, idle = "", [verdict for verdict in record.verdicts if _is_idle(verdict)]
    for (guardrail, outcome), group in groupby((verdict for verdict in record.verdicts if not _is_idle(verdict)), key=_quiet):
        if family(guardrail) != last:
            last = family(guardrail)
            yield f"{style.painted(style.name(last), BOLD)}\n"
        verdicts = list(group)
        if outcome is not None and len(verdicts) > 1:
            yield _together(verdicts, style)
        else:
            yield from ("\n".join(_verdict(verdict, style)) + "\n" for verdict in verdicts)
    if idle:
        yield "\n".join(style.wrapped(", ".join(verdict.guardrail for verdict in idle), 0, "nothing to look at here: ")) + "\n"
    for one in record.without_verdict:
        yield f"  {style.mark(Outcome.NOT_RUN)}{style.name(one.guardrail)} {style.name(one.subject)}\n"
    yield "\n" if record.verdicts or record.without_verdict else ""
    lines = [*_decision(record, style)]
    for reason, severity in gravest_first(record):
        if not reason.guardrail or reason.code not in (1, 10, 11):
            lines += reason_lines(reason, severity, style)
    yield "\n".join([*lines, *loud(record, style)]) + "\n"


def _decision(record: Record, style: Style) -> Iterator[str]:
    word = headline(record)
    said = f"(exit code {record.exit_code}): {style.name(asked_for(record))} of site {style.name(record.target.site)}"
    yield from _painted_first(style.wrapped(said, 0, f"{word} "), word, style, RED if record.exit_code else CYAN)
    if record.run.only:
        yield from style.wrapped(ended_in_words(record), 2)
    if record.of_action:
        yield from style.wrapped(ended_in_words(record), 2)
        yield from style.wrapped(", ".join(approvers(record)) or "the operator alone: it asks for nobody else", 2, "approved by ")
        for step in steps_in_words(record):
            yield from style.wrapped(step, 2, "step ")
    yield from style.wrapped(tally_in_words(record), 2)


def _changes(changes: Sequence[str], style: Style) -> list[str]:
    if not changes:
        return []
    lines = ["changed since the gate was last open:"]
    for change in changes[:CHANGES_SHOWN]:
        lines += style.wrapped(change, 2, "- ")
    left = len(changes) - CHANGES_SHOWN
    return [*lines, f"  and {number(left, 'more change')}"] if left > 0 else lines


def reason_lines(reason: Reason, severity: Severity | None, style: Style, others: Sequence[Reason] = ()) -> list[str]:
    """One reason; `others` are the same guardrail's with other subjects, which are named and not told."""
    outcome = _JUDGED.get(reason.code)
    about = " ".join(style.name(name) for name in (reason.guardrail, reason.subject) if name) or "the whole gate"
    grave = f" ({severity})" if severity else ""
    title = style.mark(outcome) if outcome else style.in_column(_KINDS.get(reason.code, f"exit code {reason.code}"), RED)
    lines = [f"  {title}{about}{grave}", *style.wrapped(reason.text, 4)]
    if others:
        shown = ", ".join(other.subject for other in others[:SUBJECTS_SHOWN])
        more = f" and {len(others) - SUBJECTS_SHOWN} more" if len(others) > SUBJECTS_SHOWN else ""
        lines += style.wrapped(f"{shown}{more}", 4, "the same for ")
    return lines + style.wrapped(reason.remedy, 4, "remedy: ")


_JUDGED: Mapping[int, Outcome] = {BROKEN: Outcome.BROKEN, NOT_RUN: Outcome.NOT_RUN, UNPROVEN: Outcome.UNPROVEN}
_KINDS: Mapping[int, str] = {12: "waiver", 13: "approval", 14: "stale", 15: "locked"}


def loud(record: Record, style: Style) -> Iterator[str]:
    """What every summary says, open or shut: what was done behind a broken glass, is self-approved, waived, replayed, and not used."""
    if glass := broken_glass(record):
        yield from _painted_first(style.wrapped(glass, 0, "BREAK-GLASS by "), "BREAK-GLASS", style, YELLOW)
    if is_self_approved(record):
        yield from _painted_first(style.wrapped("the planner approved this plan", 0, "SELF-APPROVED "), "SELF-APPROVED", style, YELLOW)
    for waiver in asked_waivers(record):
        owner = f", owner {waiver.owner}, {waiver.ticket}" if waiver.owner else ""
        said = f"{waiver.guardrail} {waiver.subject} until {waiver.expires_at}: {waiver.reason} ({waived_by(waiver)}{owner})"
        yield from _painted_first(style.wrapped(said, 0, "WAIVED "), "WAIVED", style, YELLOW)
    for known in known_in_words(record):
        yield from _painted_first(style.wrapped(known, 0, "WAIVED "), "WAIVED", style, YELLOW)
    if record.replayed:
        said = "these facts come from a file: this says nothing of the system as it is now"
        yield from _painted_first(style.wrapped(said, 0, "REPLAYED "), "REPLAYED", style, YELLOW)
    for name, why in sorted(record.not_used.items()):
        yield from style.wrapped(f"{name}: {why}", 0, "not used: ")


def _painted_first(lines: list[str], word: str, style: Style, color: str) -> list[str]:
    return [style.painted(word, color) + lines[0].removeprefix(word), *lines[1:]]


def _verdict(verdict: Verdict, style: Style) -> list[str]:
    _, _, rule = verdict.guardrail.partition(".")
    tries = f", {verdict.attempts} tries" if verdict.attempts > 1 else ""
    lines = [f"  {style.mark(verdict.outcome)}{style.name(rule or verdict.guardrail)} {style.name(verdict.subject)}{_grave(verdict)}{tries}"]
    lines += style.wrapped(verdict.message, 4)
    if verdict.outcome in (Outcome.BROKEN, Outcome.UNPROVEN):
        told = [place for place in verdict.where if place.message not in verdict.message]
        for place in told[:PLACES_SHOWN]:
            at = f"{place.file}:{place.line}: " if place.line else ""
            lines += style.wrapped(at + place.message, 6, "- ")
        left = verdict.details.broken + verdict.details.unproven - (len(verdict.where) - len(told)) - min(len(told), PLACES_SHOWN)
        lines += [f"      and {left:,} more: see details.jsonl"] if left > 0 else []
    return lines + style.wrapped(verdict.remedy, 4, "remedy: ")


def _quiet(verdict: Verdict) -> tuple[str, Outcome | None]:
    """What neighbouring verdicts must share to be told together: only what asks nothing of the reader."""
    return verdict.guardrail, verdict.outcome if verdict.outcome in (Outcome.HELD, Outcome.NOT_APPLICABLE) else None


def _together(verdicts: Sequence[Verdict], style: Style) -> str:
    _, _, rule = verdicts[0].guardrail.partition(".")
    names = ", ".join(style.name(verdict.subject) for verdict in verdicts[:SUBJECTS_SHOWN])
    more = f" and {len(verdicts) - SUBJECTS_SHOWN:,} more" if len(verdicts) > SUBJECTS_SHOWN else ""
    title = f"  {style.mark(verdicts[0].outcome)}{style.name(rule or verdicts[0].guardrail)}: {len(verdicts):,}"
    return "\n".join([title, *style.wrapped(names + more, 4)]) + "\n"


def _is_idle(verdict: Verdict) -> bool:
    """A guardrail without a subject here, of which nobody asks why: a family that the site says is not used is told with its reason."""
    return verdict.outcome is Outcome.NOT_APPLICABLE and verdict.subject == NONE_DECLARED


def _grave(verdict: Verdict) -> str:
    return "" if verdict.outcome in (Outcome.HELD, Outcome.NOT_APPLICABLE) else f" ({verdict.severity})"
