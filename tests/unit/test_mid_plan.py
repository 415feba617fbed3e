"""Steps in the middle of an action: a gate, a human's word, an endpoint that is switched, and what each step needs before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.errors import ApprovalError, StaleError
from interlock.facts.canonical import short
from interlock.gate.journal import End, Standing, State
from tests.tiny_site import OLD, Tiny, key_of, make_tiny, shut

CONF = "      - write-files: {templates: [conf]}\n"
WORD = "      - approval: {asks: May the writers be moved?}\n"
DEPLOY = "      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}\n"
TWO = {"people": ("anna", "bert"), "approval": "  self_approval: false"}


def apply(tiny: Tiny) -> runner.Outcome:
    return runner.apply(
        tiny.site, short(tiny.approved("bert" if "bert" in (tiny.root / "allowed_signers").read_text() else "anna").digest), tiny.environ, tiny.means()
    )


def standing(tiny: Tiny) -> Standing:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return Standing.of(trail)


def waiting(tmp_path: Path, **changed: object) -> tuple[Tiny, str]:
    """An action of anna's, approved by bert, that waits for a second word before it deploys."""
    tiny = make_tiny(tmp_path, steps=CONF + WORD + DEPLOY, **{**TWO, **changed})  # type: ignore[arg-type]
    plan = tiny.approved("bert")
    tiny.environ["SSH_AUTH_SOCK"] = ""
    outcome = runner.apply(tiny.site, short(plan.digest), tiny.environ, tiny.means())
    assert (outcome.exit_code, outcome.evidence) == (13, None)
    assert "waits at step 2: May the writers be moved?" in outcome.text
    return tiny, short(plan.digest)


def test_an_action_stops_where_a_human_is_asked_and_goes_on_once_they_have_signed(tmp_path: Path) -> None:
    tiny, plan = waiting(tmp_path)
    assert standing(tiny).steps[1].state is State.WAITING
    assert tiny.runs() == 0
    tiny.answers.append(str(standing(tiny).steps[1].data["entry"])[7:15])
    runner.approve(tiny.site, plan, key_of("bert"), tiny.environ, tiny.means())
    assert "> step 2 of 3: wait for one person: May the writers be moved?: waits for you" in tiny.asked[-1]
    assert "step 1 of 3: write 1 of 1 files: done" in tiny.asked[-1]
    assert runner.resume(tiny.site, plan, tiny.environ, tiny.means()).exit_code == 0
    assert (standing(tiny).end, tiny.runs()) == (End.DONE, 1)
    assert standing(tiny).steps[1].data["principals"] == ["bert"]


def test_without_a_word_it_goes_on_waiting_and_can_be_rolled_back(tmp_path: Path) -> None:
    tiny, plan = waiting(tmp_path)
    again = runner.resume(tiny.site, plan, tiny.environ, tiny.means())
    assert (again.exit_code, tiny.runs()) == (13, 0)
    assert runner.rollback(tiny.site, plan, tiny.environ, tiny.means()).exit_code == 0
    assert tiny.look() == OLD


def test_the_approval_of_the_plan_is_none_for_its_middle(tmp_path: Path) -> None:
    """Bert's signature on the plan lies there all the time."""
    tiny, plan = waiting(tmp_path)
    assert runner.resume(tiny.site, plan, tiny.environ, tiny.means()).exit_code == 13


def test_a_word_that_was_given_before_the_action_came_there_again_does_not_count(tmp_path: Path) -> None:
    """What was seen then is not what would be gone on with now: the signature names the journal up to there."""
    tiny, plan = waiting(tmp_path)
    tiny.answers.append(str(standing(tiny).steps[1].data["entry"])[7:15])
    kept = runner.approve(tiny.site, plan, key_of("bert"), tiny.environ, tiny.means())
    other, second = waiting(tmp_path / "other")
    target = other.books.approvals / next(other.books.approvals.iterdir()).name / kept.name
    target.write_bytes(kept.read_bytes())
    target.chmod(0o600)
    assert runner.resume(other.site, second, other.environ, other.means()).exit_code == 13


def test_only_those_who_are_asked_may_say_it(tmp_path: Path) -> None:
    steps = CONF + "      - approval: {asks: Is it right?, by: [carl]}\n" + DEPLOY
    tiny = make_tiny(tmp_path, steps=steps, people=("anna", "bert", "carl"), approval="  self_approval: false")
    plan = short(tiny.approved("bert").digest)
    assert runner.apply(tiny.site, plan, tiny.environ, tiny.means()).exit_code == 13
    with pytest.raises(ApprovalError, match="bert is not asked"):
        runner.approve(tiny.site, plan, key_of("bert"), tiny.environ, tiny.means())


def test_nothing_else_is_applied_while_an_action_waits(tmp_path: Path) -> None:
    tiny, plan = waiting(tmp_path)
    with pytest.raises(StaleError, match="applied already"):
        runner.apply(tiny.site, plan, tiny.environ, tiny.means())


def test_a_shut_gate_in_mid_plan_undoes_what_was_done(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=CONF + "      - gate: {guardrails: [mounts]}\n" + DEPLOY)
    tiny.shut_midway = shut()
    outcome = apply(tiny)
    assert (outcome.exit_code, tiny.look(), tiny.runs()) == (16, OLD, 0)
    assert tiny.asked_midway == [("mounts",)]
    assert "mounts.state_disk [state] it is broken" in outcome.text


def test_an_open_gate_in_mid_plan_leaves_its_evidence_in_the_journal(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=CONF + "      - gate: {guardrails: [mounts]}\n" + DEPLOY)
    assert apply(tiny).exit_code == 0
    assert standing(tiny).steps[1].data["run"] in tiny.runs_kept


def test_a_step_does_not_start_while_what_it_needs_does_not_hold(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=CONF + DEPLOY.rstrip() + "\n        needs: [ready]\n")
    tiny.failing.add("ready")
    outcome = apply(tiny)
    assert (outcome.exit_code, tiny.look(), tiny.runs()) == (16, OLD, 0)
    assert "ready: looked" in outcome.text


SWITCH = "      - endpoint: {command: {run: [bin/deploy], undo: [bin/undeploy]}, before: [ready], after: [deployed]}\n"


def test_an_endpoint_is_switched_once_the_new_side_answers(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=CONF + SWITCH)
    assert apply(tiny).exit_code == 0
    assert tiny.runs() == 1


def test_an_endpoint_whose_new_side_does_not_answer_is_not_switched(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=CONF + SWITCH)
    tiny.failing.add("ready")
    assert (apply(tiny).exit_code, tiny.runs(), tiny.look()) == (16, 0, OLD)


def test_an_endpoint_that_does_not_answer_once_it_is_switched_is_switched_back(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=CONF + SWITCH)
    tiny.failing.add("deployed")
    outcome = apply(tiny)
    assert (outcome.exit_code, tiny.runs(), tiny.look()) == (16, 1, OLD)
    assert "behind the switched endpoint" in outcome.text
