"""The decision, over every combination that can stand in a record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.gate.decision import Open, Reason, Shut, decide, worst
from interlock.gate.required import Expected
from interlock.verdicts import Outcome, Pair, Severity, Verdict

OPENS = {Outcome.HELD, Outcome.NOT_APPLICABLE, Outcome.WAIVED}
CODES = {Outcome.BROKEN: 1, Outcome.NOT_RUN: 10, Outcome.UNPROVEN: 11}


def one(name: str, *, shuts: bool = True) -> Expected:
    return Expected(pair=Pair("mounts.state_disk", name), host="local", severity=Severity.HIGH, shuts=shuts)


def verdict(name: str, outcome: Outcome) -> Verdict:
    return Verdict(guardrail="mounts.state_disk", subject=name, host="local", outcome=outcome, severity=Severity.HIGH, message="m", remedy="r")


def test_an_empty_gate_is_shut() -> None:
    decision = decide((), {})
    assert isinstance(decision, Shut)
    assert decision.exit_code == 10


def test_a_required_pair_without_a_verdict_is_shut() -> None:
    decision = decide((one("a"),), {})
    assert isinstance(decision, Shut)
    assert (decision.exit_code, decision.reasons[0].subject) == (10, "a")


@pytest.mark.parametrize("outcome", sorted(OPENS))
def test_what_opens_a_pair(outcome: Outcome) -> None:
    assert decide((one("a"),), {Pair("mounts.state_disk", "a"): verdict("a", outcome)}) == Open()


@pytest.mark.parametrize(("outcome", "code"), sorted(CODES.items()))
def test_what_shuts_a_pair(outcome: Outcome, code: int) -> None:
    assert decide((one("a"),), {Pair("mounts.state_disk", "a"): verdict("a", outcome)}).exit_code == code


def test_a_severity_that_only_informs_does_not_shut() -> None:
    assert decide((one("a", shuts=False), one("b")), {Pair("mounts.state_disk", "b"): verdict("b", Outcome.HELD)}) == Open()


def test_a_verdict_that_nobody_required_opens_nothing() -> None:
    assert decide((one("a"),), {Pair("mounts.state_disk", "z"): verdict("z", Outcome.HELD)}).exit_code == 10


def test_replayed_facts_are_eleven_at_best() -> None:
    held = {Pair("mounts.state_disk", "a"): verdict("a", Outcome.HELD)}
    assert decide((one("a"),), held, replayed=True).exit_code == 11


def test_a_bad_waiver_shuts_a_gate_that_holds() -> None:
    held = {Pair("mounts.state_disk", "a"): verdict("a", Outcome.HELD)}
    assert decide((one("a"),), held, waiver_problems=(Reason(code=12, text="expired"),)).exit_code == 12


OUTCOMES = st.sampled_from(list(Outcome))


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(OUTCOMES | st.none(), st.booleans()), max_size=6))
def test_it_is_open_only_when_every_pair_that_shuts_is_let_through(pairs: dict[str, tuple[Outcome | None, bool]]) -> None:
    required = tuple(one(name, shuts=shuts) for name, (_, shuts) in pairs.items())
    verdicts = {Pair("mounts.state_disk", name): verdict(name, outcome) for name, (outcome, _) in pairs.items() if outcome is not None}
    decision = decide(required, verdicts)
    stopped = [outcome for outcome, shuts in pairs.values() if shuts and outcome not in OPENS]
    assert isinstance(decision, Open) == (bool(pairs) and not stopped)
    if isinstance(decision, Shut) and pairs:
        assert decision.exit_code == min(CODES[outcome or Outcome.NOT_RUN] for outcome in stopped)
        assert len(decision.reasons) == len(stopped)


@given(st.lists(OUTCOMES, min_size=1, max_size=4))
def test_of_two_verdicts_on_one_pair_the_one_that_shuts_more_counts(outcomes: list[Outcome]) -> None:
    (found,) = worst(verdict("a", outcome) for outcome in outcomes).values()
    assert found.outcome in outcomes
    if set(outcomes) - OPENS:
        assert found.outcome not in OPENS
