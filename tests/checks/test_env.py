"""The env family: proven both ways through real pytest, and its judgement on what compose files really hold."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from interlock.commands.selftest import prove
from interlock.facts.env import ChainTexts, InstanceEnv, Scalar
from interlock.judge.env import judge_coverage
from interlock.testing.faults import Fault
from interlock.testing.faults.env import FAULTS
from interlock.verdicts import Broken, Held, Outcome, Unproven


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.describe) for fault in FAULTS])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, seen: set[Hashable]) -> None:
    assert prove(fault, seen) == ""


def chain(name: str, *texts: str) -> ChainTexts:
    return ChainTexts(chain=name, scalars=tuple(Scalar(file=f"{name}.yaml", line=line, text=text) for line, text in enumerate(texts, start=1)))


def env(*texts: str | ChainTexts, inherited: frozenset[str] = frozenset(), template: bool = False, **values: str) -> InstanceEnv:
    chains = tuple(text for text in texts if isinstance(text, ChainTexts)) or (chain("prod", *(text for text in texts if isinstance(text, str))),)
    return InstanceEnv(instance="main", where=".env", present=True, chains=chains, values=values, inherited=inherited, template=template)


def test_the_message_counts_and_names() -> None:
    judged = judge_coverage(env("$A", "${B}", "${C:-c}", "x${D}y", A="1", D="2"))
    assert isinstance(judged, Broken)
    assert judged.message == ".env gives 2 of 3 variables of the chain prod; missing: B"
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


def test_what_one_of_several_chains_lacks_is_unproven_until_the_instance_says_which_it_runs() -> None:
    judged = judge_coverage(env(chain("plain", "$A"), chain("mail", "$A", "$MAIL"), A="1"))
    assert isinstance(judged, Unproven)
    assert judged.remedy == "say which chain it runs: `instances.main.chain`"
    assert [detail.message for detail in judged.details if detail.outcome is not Outcome.HELD] == [
        "MAIL is asked for by the chain mail alone, and nobody says which one it runs (mail.yaml:2)"
    ]


def test_what_all_of_several_chains_lack_is_broken() -> None:
    judged = judge_coverage(env(chain("plain", "$A"), chain("mail", "$A", "$MAIL")))
    assert isinstance(judged, Broken)
    assert {detail.what: detail.outcome for detail in judged.details} == {"A": Outcome.BROKEN, "MAIL": Outcome.UNPROVEN}


def test_what_every_installation_gets_must_do_for_every_chain() -> None:
    judged = judge_coverage(env(chain("plain", "$A"), chain("mail", "$A", "$MAIL"), template=True, A="1"))
    assert isinstance(judged, Broken)
    assert judged.message == ".env gives 1 of 2 variables of 2 chains; missing: MAIL"


def test_values_are_shown_nowhere() -> None:
    judged = judge_coverage(env("${A} ${B}", A="s3cret-value"))
    assert "s3cret-value" not in repr(judged)
