"""What does a box of the picture say of what was found about it? The guardrail and the sentence of what does not hold, once; boxes like it refer to the first.

`interlock.evidence.topology_svg` draws them. Nothing is lost by it: each box has all its sentences, whole, in its `<title>`.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from interlock.evidence.svg_shapes import PAD, Text, Tone
from interlock.evidence.svg_text import BOLD, SANS, wrapped
from interlock.evidence.visible import visible
from interlock.evidence.wording import outcome_in_words
from interlock.facts.topology import Finding
from interlock.verdicts import Outcome

TONES: Mapping[Outcome, Tone] = {
    Outcome.HELD: Tone.HELD,
    Outcome.BROKEN: Tone.BROKEN,
    Outcome.UNPROVEN: Tone.UNPROVEN,
    Outcome.WAIVED: Tone.WAIVED,
    Outcome.NOT_APPLICABLE: Tone.NOT_JUDGED,
    Outcome.NOT_RUN: Tone.UNPROVEN,
}
_MOST_LINES = 10  # of one sentence
_MOST_TOLD = 8  # different sentences of one guardrail that are referred to
_OWN = "\0"  # stands for a box's own name where two sentences are compared


class Place(NamedTuple):
    """What a label is about: a container and a path in it, or a mountpoint in no container. `others` are its further names."""

    box: str
    path: str = ""
    others: tuple[str, ...] = ()

    def seen_from(self, other: Place) -> str:
        """How another place refers to it: by its path from the same container, else by its container."""
        return self.path if self.path and (not self.box or self.box == other.box) else self.box


class Labels:
    """The labels of one column after the other, in the order in which they are drawn: what one has said, those behind it do not repeat."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, Outcome], list[tuple[Place, list[str]]]] = {}

    def of(self, findings: Sequence[Finding], place: Place, width: int, *, held: bool = True) -> Iterator[Text]:
        """What does not hold, the gravest first; the names of what does, where `held` asks for them."""
        bad = _bad(findings)
        room = width - 2 * PAD
        for finding in bad[:2]:
            yield from self._label(finding, place, room)
        if len(bad) > 2:
            css = "bad" if any(finding.outcome is Outcome.BROKEN for finding in bad[2:]) else "odd"
            yield from (Text(css, line) for line in wrapped(f"and {len(bad) - 2} more: {', '.join(_ids(bad[2:]))}", room, BOLD, 4))
        if held and findings and not bad:
            names = ", ".join(name.removeprefix("mounts.") for name in _ids(findings))
            yield from (Text("dim", line) for line in wrapped(f"held: {names}", room, SANS, 3))

    def _label(self, finding: Finding, place: Place, room: int) -> Iterator[Text]:
        css = "bad" if finding.outcome is Outcome.BROKEN else "odd"
        sentence = wrapped(visible(finding.message), room, SANS, _MOST_LINES) if finding.message else []
        before = self._told_before(finding, place) if len(sentence) > 1 else ""
        name = f"{outcome_in_words(finding.outcome).upper()} {visible(finding.guardrail)}"
        together = f"{name}, as {visible(before)}"
        if before and BOLD.width(together) <= room:
            yield Text(css, together)
            return
        yield from (Text(css, line) for line in wrapped(name, room, BOLD, 4))
        yield from (Text("", line) for line in (wrapped(f"as {visible(before)}", room, SANS, 4) if before else sentence))

    def _told_before(self, finding: Finding, place: Place) -> str:
        """Where the same was said, and what differs; empty where nothing like it was, and then it is kept for those behind."""
        words = finding.message.split()
        told = self._told.setdefault((finding.guardrail, finding.outcome), [])
        for first, its in told:
            differs = _differing(_plain(its, first), _plain(words, place), words)
            if differs is not None:
                return f"{first.seen_from(place)}, but {differs}" if differs else first.seen_from(place)
        if len(told) < _MOST_TOLD:
            told.append((place, words))
        return ""


def nameless(findings: Sequence[Finding], place: Place) -> tuple[object, ...]:
    """What does not hold of a place, without its own names: the same for two that are broken in the same way."""
    return tuple((finding.guardrail, finding.outcome, *_plain(finding.message.split(), place)) for finding in _bad(findings))


def _bad(findings: Sequence[Finding]) -> list[Finding]:
    """What does not hold, the gravest first."""
    bad = [finding for finding in findings if finding.outcome not in (Outcome.HELD, Outcome.NOT_APPLICABLE)]
    return sorted(bad, key=lambda finding: (-TONES[finding.outcome], finding.guardrail))


def _plain(words: Sequence[str], place: Place) -> list[str]:
    """The words of a sentence without the own names of what it is about."""
    own = {place.box, place.path, *place.others} - {""}
    return [_OWN if word.strip(string.punctuation.replace("/", "")) in own else word for word in words]


def _differing(before: Sequence[str], mine: Sequence[str], words: Sequence[str]) -> str | None:
    """The part of a sentence that an earlier one has otherwise, empty where there is none; None where they have little in common."""
    start = 0
    while start < min(len(before), len(mine)) and before[start] == mine[start]:
        start += 1
    end = 0
    while end < min(len(before), len(mine)) - start and before[-1 - end] == mine[-1 - end]:
        end += 1
    others, own = len(before) - start - end, len(mine) - start - end
    if max(others, own) * 3 > len(mine) or (others and not own):
        return None
    return " ".join(words[start : len(words) - end])


def _ids(findings: Collection[Finding]) -> list[str]:
    return sorted({finding.guardrail for finding in findings})


def titled(name: str, findings: Sequence[Finding]) -> str:
    """All that is said of a thing, uncut, for those who ask."""
    return "; ".join([name, *(f"{finding.outcome.value} {finding.guardrail}: {finding.message}" for finding in findings[:20])])
