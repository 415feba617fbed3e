"""The env family: proven both ways through real pytest, and its judgement on what compose files really hold."""

from __future__ import annotations

import pytest

from interlock.commands.selftest import prove
from interlock.facts.env import InstanceEnv, Scalar
from interlock.judge.env import judge_coverage
from interlock.testing.faults import Fault, all_faults
from interlock.verdicts import Broken, Held, Outcome, Unproven


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.kind}") for fault in all_faults() if fault.guardrail.startswith("env.")])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault) -> None:
    assert prove(fault) == ""


def env(*texts: str, inherited: frozenset[str] = frozenset(), **values: str) -> InstanceEnv:
    scalars = tuple(Scalar(file="compose.yaml", line=line, text=text) for line, text in enumerate(texts, start=1))
    return InstanceEnv(instance="main", where=".env", present=True, scalars=scalars, values=values, inherited=inherited)


def test_the_message_counts_and_names() -> None:
    judged = judge_coverage(env("$A", "${B}", "${C:-c}", "x${D}y", A="1", D="2"))
    assert isinstance(judged, Broken)
    assert judged.message == ".env gives 2 of 3 variables; missing: B"
    assert [detail.what for detail in judged.details] == ["A", "B", "D"]


@pytest.mark.parametrize("text", ["${A:-b}", "${A-b}", "${A:+b}", "$$A", "$${A}", "plain", "${HOME}/x", "${COMPOSE_PROJECT_NAME}"])
def test_what_needs_no_value_is_not_asked_for(text: str) -> None:
    assert isinstance(judge_coverage(env(text)), Held)


def test_what_an_unused_default_needs_is_not_missing() -> None:
    assert isinstance(judge_coverage(env("${A:-${B}}", A="1")), Held)
    judged = judge_coverage(env("${A:-${B}}"))
    assert isinstance(judged, Broken)
    assert [detail.what for detail in judged.details if detail.outcome is Outcome.BROKEN] == ["B"]


def test_an_empty_value_is_given_unless_the_text_demands_more() -> None:
    assert isinstance(judge_coverage(env("${A}", A="")), Held)
    judged = judge_coverage(env("${A:?say where}", A=""))
    assert isinstance(judged, Broken)
    assert judged.details[0].kind == "required"


def test_a_name_that_the_shell_must_give_is_unproven() -> None:
    assert isinstance(judge_coverage(env("${A}", inherited=frozenset({"A"}))), Unproven)


def test_values_are_shown_nowhere() -> None:
    judged = judge_coverage(env("${A} ${B}", A="s3cret-value"))
    assert "s3cret-value" not in repr(judged)
