"""How does a check say its one sentence? `@check(GUARDRAIL)` names the rule, `assert_held(judgement)` drains it and raises when it does not hold.

For checks/ and for an operator's own rules. Inside a gate run the plugin puts a `Case` in place that the details are streamed to; outside of one
(a plain pytest run) the same check judges and raises, and nothing is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from interlock.errors import CouldNotLook
from interlock.judge import guarded
from interlock.verdicts import Guardrail, Judgement, NullSink, Outcome, Settled, Sink, Unproven, settle

F = TypeVar("F", bound=Callable[..., Any])


class NotHeld(AssertionError):
    """The guardrail is broken: pytest shows a failure."""


class NotProven(Exception):
    """The guardrail could not be judged: pytest shows an error, and a required pair stays shut."""


@dataclass(slots=True)
class Case:
    """One item of a gate run while it runs: where its details go, and what it came to. `path` is the file behind the sink."""

    sink: Sink = field(default_factory=NullSink)
    path: Path | None = None
    settled: Settled | None = None
    skipped: str = ""
    attempts: int = 1
    began: float = field(default_factory=time.monotonic)

    @property
    def outcome(self) -> str:
        """What it came to until now; skipped for the reason that nothing is declared is not applicable."""
        return str(self.settled.outcome) if self.settled else str(Outcome.NOT_APPLICABLE)


current_case: ContextVar[Case | None] = ContextVar("interlock_case", default=None)


def check(guardrail: Guardrail) -> Callable[[F], F]:
    """Bind a test function to its guardrail: its marks are the gates that ask it, its parameter sets the guardrail's subjects."""

    def bind(function: F) -> F:
        function.interlock_guardrail = guardrail  # type: ignore[attr-defined]
        for when in sorted(guardrail.when):
            function = getattr(pytest.mark, when.value)(function)
        return function

    return bind


def assert_held(judgement: Judgement) -> None:
    """Drain the judgement's details into the run's evidence, and raise unless it holds or is waived.

    Raises `NotHeld` when broken, `NotProven` when unproven; a `CouldNotLook` on the way is unproven too.
    """
    __tracebackhide__ = True
    case = current_case.get() or Case()
    _conclude(case, settle(guarded(judgement), case.sink))


def assert_settles(judge: Callable[[], Judgement], *, attempts: int, every: float) -> None:
    """Like `assert_held`, for what needs time to settle: looks and judges again, at most `attempts` times, `every` seconds apart.

    Only the last look's details are kept; the record says how many tries it took.
    """
    __tracebackhide__ = True
    case = current_case.get() or Case()
    for attempt in range(1, attempts + 1):
        case.attempts = attempt
        judgement = _look(judge)
        if attempt == attempts or settle(judgement, NullSink()).outcome is Outcome.HELD:
            break
        time.sleep(every)
    _conclude(case, settle(guarded(judgement), case.sink))


def _look(judge: Callable[[], Judgement]) -> Judgement:
    try:
        return judge()
    except CouldNotLook as error:
        return Unproven(error.sentence, remedy=error.remedy)


def _conclude(case: Case, settled: Settled) -> None:
    __tracebackhide__ = True
    case.settled = settled
    if settled.outcome is Outcome.BROKEN:
        raise NotHeld(_in_words(settled))
    if settled.outcome is Outcome.UNPROVEN:
        raise NotProven(_in_words(settled))


def _in_words(settled: Settled) -> str:
    """The sentence, then the first twenty details and the remedy: what an operator reads in pytest's own output."""
    seen = settled.tally.broken_seen or settled.tally.unproven_seen
    lines = [settled.message]
    lines += [f"  {detail.message}" for detail in seen[:20] if detail.message != settled.message]
    lines += [f"  and {len(seen) - 20} more"] if len(seen) > 20 else []
    lines += [f"remedy: {settled.remedy}"] if settled.remedy else []
    return "\n".join(lines)
