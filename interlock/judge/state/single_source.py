"""Does everybody go through the variable that says where state lives? `interlock.observe.state_places` brings those who do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import assert_never

from interlock.facts.state_places import Past, PathUse, StatePlaces
from interlock.judge.tree import found, scripts, unread
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When

SHOWN = 3  # variables that the one sentence names
REMEDY = "take the directory from its variable, the default behind it: ${STATE_DIR:-/data/state}/x in shell and compose, the one resolver in programs"


def judge_single_source(seen: StatePlaces) -> Held | Broken | Unproven:
    """Held when no line names a directory that has a variable without the variable."""
    return found((*_uses(seen), *unread(seen.unread)), held=_in_words(seen), remedy=REMEDY)


def _in_words(seen: StatePlaces) -> str:
    if not seen.places:
        return f"no variable says where state lives, and no script mounts a directory for it: {seen.looked_at} files read"
    named = [place.variable for place in seen.places]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return f"nobody goes past {', '.join(named[:SHOWN])}{more}: {seen.looked_at} files read"


def _uses(seen: StatePlaces) -> Iterator[Detail]:
    """One detail for each line; two of the same path in one file are told apart by a number."""
    met: Counter[tuple[str, str]] = Counter()
    for use in seen.uses:
        met[use.file, use.written] += 1
        times = met[use.file, use.written]
        what = f"{use.file}: {use.written}" + (f" ({times})" if times > 1 else "")
        yield Detail(what=what, outcome=Outcome.BROKEN, kind=use.how.value, message=_use_in_words(use), file=use.file, line=use.line)


def _use_in_words(use: PathUse) -> str:
    at = f"{use.file}:{use.line}"
    match use.how:
        case Past.LITERAL:
            return f"{at} writes {use.written} down, and {use.place.variable} says where that is: on a host that sets it, this line goes to another directory"
        case Past.MADE:
            return f"{at} takes {use.written}, and {use.place.variable} says where that is: on a host that sets it, this line goes to another directory"
        case Past.UNNAMED:
            return (
                f"{at} writes {use.written} down, as other scripts do, and no variable says where it is: on a host with another disk for it, each goes astray"
            )
        case _:
            assert_never(use.how)


SINGLE_SOURCE = Guardrail(
    id="state_dir.single_source",
    title="whoever reads or writes below the state directory takes it from its variable",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="A path that is written down goes on working until the directory moves: then one part writes where no other reads, and no error tells anybody.",
    remedy="take the directory from its variable in every script, program, unit and compose file; only the one resolver knows the default",
    subjects=scripts,
    judge=judge_single_source,
)
