"""Apply's own gate and the gate in mid-plan, without pytest in between: what they require, what their records open, and that evidence and lock agree."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock import runner
from interlock.act.books import StoredPlan, signed
from interlock.act.signatures import sign
from interlock.change import approving
from interlock.change.means import decision_of
from interlock.errors import ApprovalError, ConfigError, CouldNotLook, GateShut
from interlock.evidence.changes import changes
from interlock.evidence.folder import latest_open
from interlock.evidence.record import PlanReference, Record
from interlock.facts import moments
from interlock.facts.canonical import canonical, short
from interlock.facts.statements import Approval, break_glass_purpose
from interlock.gate.decision import Open, Shut
from interlock.gate.required import asked, idle, required
from interlock.gaterun.run import GateRequest, named_plan
from interlock.judge import catalogue
from interlock.judge.approval import PLAN, judge_plan
from interlock.observe.approval import signed_plan
from interlock.observe.signatures import SigningKey
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import LIVE, Broken, Held, Outcome, Subject, When, settle
from tests.evidence_samples import APPLY_GATE, OPEN, publish
from tests.tiny_site import OLD, Tiny, a_run, again, key_of, make_tiny, shut

APPLY = frozenset({When.PREFLIGHT, When.APPLY})
DIGEST = "sha256:" + "7" * 64
OTHER = "sha256:" + "8" * 64
TWO = ("anna", "bert")
DEPLOY = "      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}\n"


@pytest.fixture
def two(tmp_path: Path) -> Tiny:
    """A site with two people, now."""
    tiny = make_tiny(tmp_path, people=TWO, approval="  self_approval: false")
    tiny.now = datetime.now(UTC).replace(microsecond=0)
    return tiny


# ---- what is required


def test_what_is_judged_of_a_plan_is_asked_by_no_gate_but_apply_s_own(two: Tiny) -> None:
    assert PLAN not in asked(two.site, catalogue(), frozenset({When.PREFLIGHT}), "release")
    assert PLAN in asked(two.site, catalogue(), APPLY, "release")


def test_no_action_leaves_its_approval_out_of_its_gate(two: Tiny) -> None:
    text = (two.root / "interlock.yaml").read_text()
    (two.root / "interlock.yaml").write_text(text.replace("    steps:\n", "    gate: [expect]\n    steps:\n"))
    pairs = required(site := again(two).site, asked(site, catalogue(), APPLY, "release"), APPLY, "release")
    assert ("approval.plan", "release") in {(one.pair.guardrail, one.pair.subject) for one in pairs}


def test_an_approval_alone_makes_no_gate_of_an_action_that_looks_at_nothing(two: Tiny) -> None:
    text = (two.root / "interlock.yaml").read_text()
    (two.root / "interlock.yaml").write_text(text.replace("    steps:\n", "    gate: [compose]\n    steps:\n"))
    site = again(two).site
    assert required(site, asked(site, catalogue(), APPLY, "release"), APPLY, "release") == ()


def test_a_gate_in_mid_plan_asks_its_names_and_what_every_gate_asks(two: Tiny) -> None:
    found = {guardrail.id for guardrail in asked(two.site, catalogue(), LIVE, "release", ("expect.file",))}
    assert found == {"expect.file", *(guardrail.id for guardrail in catalogue() if guardrail.always and guardrail.when & LIVE)}


def test_a_gate_in_mid_plan_is_empty_when_one_of_its_names_has_nothing_to_look_at(two: Tiny) -> None:
    names = ("expect.file", "parity.rows")
    guardrails = asked(two.site, catalogue(), LIVE, "release", names)
    assert idle(two.site, guardrails, LIVE, "release", names) == ("parity.rows",)
    assert required(two.site, guardrails, LIVE, "release", names) == ()
    assert required(two.site, guardrails, LIVE, "release", ("expect.file",)) != ()


# ---- what a plan may ask in mid-plan


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ("[approval.plan]", "approval.plan cannot be asked in mid-plan"),
        ("[compose.strict_parse]", "it is judged from files or of the plan alone"),
        ("[parity]", "declares nothing that it would look at for release"),
        ("[expect, own.smoke.app_answers]", "no rule of that name in checks/"),
    ],
)
def test_a_plan_with_a_gate_that_could_never_open_is_not_made(tmp_path: Path, names: str, why: str) -> None:
    tiny = make_tiny(tmp_path, steps=DEPLOY + f"      - gate: {{guardrails: {names}}}\n")
    with pytest.raises(ConfigError) as raised:
        tiny.plan()
    assert why in str(raised.value)
    assert "actions.release.steps[1]" in str(raised.value)


def test_a_rule_of_the_site_s_own_can_be_named_in_mid_plan(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=DEPLOY + "      - gate: {guardrails: [own.smoke.app_answers]}\n")
    (tiny.root / "checks").mkdir()
    (tiny.root / "checks" / "test_smoke.py").write_text("def test_app_answers():\n    assert True\n")
    assert tiny.plan().plan.steps[1].model_dump()["guardrails"] == ("own.smoke.app_answers",)


# ---- what a record opens


def record(root: Path) -> Record:
    """The open record of apply's own gate for a plan."""
    found = a_run(root, When.PREFLIGHT, "release", datetime(2026, 11, 20, tzinfo=UTC)).record
    run = dataclasses.replace(found.run, gates=(When.APPLY, When.PREFLIGHT))
    return dataclasses.replace(found, run=run, plan=PlanReference(digest=DIGEST, action="release"))


def whole(root: Path) -> GateRequest:
    return GateRequest(gates=APPLY, start=root, action="release", plan=root)


def test_the_record_of_apply_s_own_gate_opens_an_apply(tmp_path: Path) -> None:
    assert decision_of(record(tmp_path), whole(tmp_path), plan=DIGEST) == Open()


OTHERS: dict[str, Callable[[Record], Record]] = {
    "the gate before it, asked by itself": lambda one: dataclasses.replace(one, run=dataclasses.replace(one.run, gates=(When.PREFLIGHT,)), plan=None),
    "no gate of the system": lambda one: dataclasses.replace(one, run=dataclasses.replace(one.run, gates=(When.APPLY,))),
    "one more gate": lambda one: dataclasses.replace(one, run=dataclasses.replace(one.run, gates=(When.APPLY, When.POSTFLIGHT, When.PREFLIGHT))),
    "another action": lambda one: dataclasses.replace(one, run=dataclasses.replace(one.run, action="backup")),
    "another plan": lambda one: dataclasses.replace(one, plan=PlanReference(digest=OTHER, action="release")),
    "no plan": lambda one: dataclasses.replace(one, plan=None),
    "some guardrails alone": lambda one: dataclasses.replace(one, run=dataclasses.replace(one.run, only=("mounts",))),
    "an action": lambda one: dataclasses.replace(one, steps=({"number": 1},)),
    "replayed facts": lambda one: dataclasses.replace(one, replayed=True),
    "an end that is not its decision's": lambda one: dataclasses.replace(one, exit_code=1),
}


@pytest.mark.parametrize("of", sorted(OTHERS))
def test_a_record_of_anything_else_opens_no_apply(tmp_path: Path, of: str) -> None:
    judged = decision_of(OTHERS[of](record(tmp_path)), whole(tmp_path), plan=DIGEST)
    assert isinstance(judged, Shut)
    assert judged.exit_code == 10


def test_a_whole_gate_is_not_taken_for_one_in_mid_plan_nor_one_for_another(tmp_path: Path) -> None:
    midway = GateRequest(gates=LIVE, start=tmp_path, action="release", only=("expect", "health"))
    found = record(tmp_path)
    asked_all = dataclasses.replace(found, run=dataclasses.replace(found.run, gates=(When.POSTFLIGHT, When.PREFLIGHT)), plan=None)
    asked_these = dataclasses.replace(asked_all, run=dataclasses.replace(asked_all.run, only=("expect", "health")))
    asked_less = dataclasses.replace(asked_all, run=dataclasses.replace(asked_all.run, only=("expect",)))
    assert decision_of(asked_these, midway, plan=None) == Open()
    assert isinstance(decision_of(asked_all, midway, plan=None), Shut)
    assert isinstance(decision_of(asked_less, midway, plan=None), Shut)


# ---- evidence and lock agree


def seen_by_the_gate(tiny: Tiny, stored: StoredPlan) -> Held | Broken:
    world = World(
        site=tiny.site, gates=APPLY, tree=Tree(tiny.root), hosts={}, environ=tiny.environ, plan=named_plan(stored.folder, tiny.site, stored.plan.action)
    )
    return judge_plan(signed_plan(world, Subject(name="release")))


def nobody(_tiny: Tiny, _stored: StoredPlan) -> None:
    """Nobody signs."""


def bert(tiny: Tiny, stored: StoredPlan) -> None:
    tiny.approve(stored, "bert")


def bert_yesterday(tiny: Tiny, stored: StoredPlan) -> None:
    now = tiny.now
    tiny.later(hours=-5)
    tiny.approve(stored, "bert")
    tiny.now = now


def bert_for_another(tiny: Tiny, stored: StoredPlan) -> None:
    tiny.later(seconds=1)
    other = tiny.plan()
    path = tiny.approve(other, "bert")
    folder = tiny.books.approvals / stored.folder.name
    folder.mkdir(mode=0o700)
    path.rename(folder / path.name)


def anna_alone(tiny: Tiny, stored: StoredPlan) -> None:
    """The planner, on a site that let her when she signed."""
    lenient = again_with(tiny, "self_approval: true")
    lenient.approve(stored, "anna")


def again_with(tiny: Tiny, rule: str) -> Tiny:
    assert tiny.site.approval is not None
    changed = tiny.site.approval.model_copy(update={"self_approval": rule.endswith("true")})
    return dataclasses.replace(tiny, site=tiny.site.model_copy(update={"approval": changed}))


@pytest.mark.parametrize(("sign", "good"), [(bert, True), (nobody, False), (bert_yesterday, False), (bert_for_another, False), (anna_alone, False)])
def test_the_gate_and_the_lock_come_to_the_same(two: Tiny, sign: Callable[[Tiny, StoredPlan], None], good: bool) -> None:
    two.later(hours=-6)
    stored = two.plan()
    two.later(hours=6)
    sign(two, stored)
    assert isinstance(seen_by_the_gate(two, stored), Held) is good
    assert approving.is_approved(two.site, two.books, stored, two.means()) is good


def test_it_shows_who_approved_until_when_and_why_another_does_not_count(two: Tiny) -> None:
    two.later(hours=-6)
    stored = two.plan()
    two.later(hours=6)
    bert_yesterday(two, stored)
    bert(two, stored)
    judged = seen_by_the_gate(two, stored)
    assert isinstance(judged, Held)
    until = moments.written(two.now + timedelta(hours=4))
    assert judged.message == f"bert approved it until {until}"
    assert sorted(detail.message.partition(" at ")[0] for detail in judged.details) == [
        f"bert approved it until {until}",
        "the approval of bert does not count: it expired",
    ]
    assert {detail.outcome for detail in judged.details} == {Outcome.HELD}


def test_a_self_approval_is_told_loudly(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    tiny.now = datetime.now(UTC).replace(microsecond=0)
    judged = seen_by_the_gate(tiny, tiny.approved("anna"))
    assert isinstance(judged, Held)
    assert judged.message.startswith("SELF-APPROVED by its planner: anna")


def test_nobody_can_say_without_the_people_or_without_a_plan(two: Tiny) -> None:
    stored = two.approved("bert")
    world = World(site=two.site, gates=APPLY, tree=Tree(two.root), hosts={}, environ=two.environ)
    with pytest.raises(CouldNotLook, match="no plan was named"):
        signed_plan(world, Subject(name="release"))
    (two.root / "allowed_signers").unlink()
    with pytest.raises(CouldNotLook, match="allowed_signers cannot be read"):
        seen_by_the_gate(two, stored)


def test_a_broken_plan_has_a_detail_for_each_reason(two: Tiny) -> None:
    stored = two.plan()
    bert_for_another(two, stored)
    judged = seen_by_the_gate(two, stored)
    assert isinstance(judged, Broken)
    kinds: list[str] = []

    class Keep:
        def detail(self, detail):  # type: ignore[no-untyped-def]
            kinds.append(detail.kind)
            return detail

    assert settle(judged, Keep()).outcome is Outcome.BROKEN  # type: ignore[arg-type]
    assert kinds == ["not-enough", "does-not-count"]
    assert judged.remedy == f"have it approved: `interlock approve {short(stored.digest)}`"


def broken_glass(two: Tiny, stored: StoredPlan, reason: str) -> None:
    """Anna made the plan, and signs alone that it is applied without bert, and why."""
    statement = Approval(
        purpose=break_glass_purpose(reason),
        plan=stored.digest,
        action="release",
        site="tiny",
        principal="anna",
        created=moments.written(two.now),
        expires=moments.written(two.now + timedelta(hours=1)),
        nonce="glass",
    )
    key = SigningKey(principal="anna", key="", path=key_of("anna"))
    folder = two.books.approvals / stored.folder.name
    folder.mkdir(mode=0o700)
    (folder / "glass.json").write_bytes(canonical(signed(statement.to_json(), sign(statement.payload(), key, environ=two.environ))))


def test_a_broken_glass_is_shown_with_its_reason(two: Tiny) -> None:
    stored = two.plan()
    broken_glass(two, stored, "the disk fills up by 04:00 and bert does not answer")
    judged = seen_by_the_gate(two, stored)
    assert isinstance(judged, Held)
    assert judged.message.startswith("BREAK-GLASS: anna alone, until ")
    assert judged.message.endswith("because: the disk fills up by 04:00 and bert does not answer")


def test_a_broken_glass_without_a_reason_holds_nothing(two: Tiny) -> None:
    stored = two.plan()
    broken_glass(two, stored, "urgent")
    assert isinstance(seen_by_the_gate(two, stored), Broken)


# ---- compared with what was open before


def test_what_changed_is_told_against_a_gate_that_asked_the_same(tmp_path: Path) -> None:
    """Apply's own gate is the one before it that was asked by itself, and more; one in mid-plan is only like itself."""
    small = dataclasses.replace(OPEN, action="release")
    samples = {
        "20261120T210000Z-preflight-000001": small,
        "20261120T210001Z-midway-000002": dataclasses.replace(small, only=("mounts", "expect")),
        "20261120T210002Z-other-000003": dataclasses.replace(small, action="backup"),
    }
    for name, sample in samples.items():
        publish(tmp_path, dataclasses.replace(sample, name=name))

    def like(gates: tuple[When, ...], only: tuple[str, ...]) -> str:
        found = latest_open(tmp_path, publish(tmp_path / "now", dataclasses.replace(small, gates=gates, only=only)).record)
        shutil.rmtree(tmp_path / "now")
        return found.path.name if found is not None else ""

    preflight, midway, _ = samples
    assert like((When.PREFLIGHT,), ()) == preflight
    assert like((When.APPLY, When.PREFLIGHT), ()) == preflight
    assert like((When.PREFLIGHT,), ("expect", "mounts")) == midway
    assert like((When.PREFLIGHT,), ("expect",)) == ""


def test_that_apply_s_own_gate_asks_more_is_no_change_of_the_system(tmp_path: Path) -> None:
    before = publish(tmp_path / "before", dataclasses.replace(OPEN, action="release")).record
    gate = publish(tmp_path / "now", APPLY_GATE).record
    told = (*changes(before, gate), *changes(gate, before))
    assert not any("approval" in sentence or "more" in sentence for sentence in told), told


# ---- the runner


def lacking(tiny: Tiny) -> None:
    """The gate says, as the real one would, that nobody approved."""
    tiny.shut[When.APPLY] = Shut((dataclasses.replace(shut().reasons[0], guardrail=PLAN.id, subject="release", text="nobody has approved it"),))


def test_a_missing_approval_keeps_its_exit_code_where_nothing_else_shuts_the_gate(two: Tiny) -> None:
    stored = two.plan()
    lacking(two)
    with pytest.raises(ApprovalError, match="nobody has validly approved this plan") as raised:
        runner.apply(two.site, short(stored.digest), two.environ, two.means())
    assert raised.value.exit_code == 13


def test_a_gate_that_says_unapproved_is_not_overruled_by_the_lock(two: Tiny) -> None:
    stored = two.approved("bert")
    lacking(two)
    with pytest.raises(GateShut):
        runner.apply(two.site, short(stored.digest), two.environ, two.means())


def test_a_missing_approval_behind_another_fault_is_one_of_the_gate_s_reasons(two: Tiny) -> None:
    stored = two.plan()
    lacking(two)
    two.shut[When.APPLY] = Shut((*two.shut[When.APPLY].reasons, *shut().reasons))
    with pytest.raises(GateShut, match="the preflight gate is shut") as raised:
        runner.apply(two.site, short(stored.digest), two.environ, two.means())
    assert raised.value.code == 1


def test_what_was_begun_is_resumed_behind_the_gate_of_the_system_alone(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - approval: {asks: Is it right?}\n" + DEPLOY, people=TWO, approval="  self_approval: false")
    stored = tiny.approved("bert")
    assert runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 13
    tiny.later(hours=5)
    tiny.gates.clear()
    runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert tiny.gates[0] is When.PREFLIGHT
    assert When.APPLY not in tiny.gates


def test_a_gate_in_mid_plan_that_leaves_no_record_undoes_what_was_done(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=DEPLOY + "      - gate: {guardrails: [expect.file]}\n")

    def midway(_stored: object, _step: object) -> object:
        raise GateShut("the gate in mid-plan left no record (pytest ended with 3)", code=10)

    outcome = runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means(midway=midway))
    assert (outcome.exit_code, tiny.look()) == (16, OLD)
    assert "left no record" in outcome.text
