"""Apply's own gate and the gate in mid-plan through the real pytest and the real runner: a small site, real keys, real records."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan
from interlock.change.means import Gated, Means, real_means
from interlock.change.telling import Outcome
from interlock.errors import ApprovalError, EvidenceError, GateShut
from interlock.evidence.folder import LoadedRun, load_run, runs
from interlock.evidence.record import Decision
from interlock.evidence.verify import verify_run
from interlock.facts.canonical import short
from interlock.gate.journal import End, Standing, State
from interlock.gate.plan import GatePlan
from interlock.gaterun import call
from interlock.gaterun.run import GateRequest
from interlock.judge.approval import PLAN
from interlock.testing import run_check
from interlock.verdicts import Outcome as Verdict
from interlock.verdicts import When
from tests.tiny_site import HUMAN, NEW, OLD, Tiny, again, key_of, make_tiny

CONF = "      - write-files: {templates: [conf, motd]}\n"
DEPLOY = "      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed], timeout: 20s}\n"
GATE = "      - gate: {guardrails: [expect.file, own.smoke.deployed]}\n"
OWN = """\
from pathlib import Path

def test_deployed():
    assert Path("instance/deployed").exists()

def test_not_asked_in_mid_plan():
    assert not Path("instance/asked-all").exists()
"""


def site(folder: Path, steps: str = CONF + DEPLOY, **parts: str) -> Tiny:
    """Two people, now; the action's gate looks at its expectations and at the site's own rules."""
    tiny = make_tiny(folder, steps=steps, people=("anna", "bert"), approval="  self_approval: false", **parts)
    text = (tiny.root / "interlock.yaml").read_text()
    (tiny.root / "interlock.yaml").write_text(text.replace("    steps:\n", "    gate: [expect]\n    steps:\n"))
    (tiny.root / "checks").mkdir()
    (tiny.root / "checks" / "test_smoke.py").write_text("def test_always():\n    assert True\n")
    tiny = again(tiny)
    tiny.now = datetime.now(UTC).replace(microsecond=0)
    return tiny


def means(tiny: Tiny) -> Means:
    """All real but the human at the terminal."""
    return dataclasses.replace(real_means(tiny.site, tiny.environ), caller=lambda: HUMAN, ask=tiny._ask)


def apply(tiny: Tiny, stored: StoredPlan) -> Outcome:
    return runner.apply(tiny.site, short(stored.digest), tiny.environ, means(tiny))


def records(tiny: Tiny) -> list[LoadedRun]:
    """Every run, oldest first."""
    return [load_run(path) for path in reversed(list(runs(tiny.root / "reports")))]


def asked(run: LoadedRun) -> tuple[str, ...]:
    return tuple(run.record.run.gates)


# ---- apply's own gate


def test_the_record_of_an_apply_s_gate_names_the_plan_and_who_approved_it(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    stored = tiny.approved("bert")
    outcome = apply(tiny, stored)
    assert outcome.exit_code == 0, outcome.text
    assert tiny.look() == NEW
    gate, postflight, action = records(tiny)
    assert (asked(gate), asked(postflight)) == (("apply", "preflight"), ("postflight",))
    assert gate.record.plan is not None
    assert (gate.record.plan.digest, gate.record.plan.action) == (stored.digest, "release")
    assert postflight.record.plan is None
    assert action.record.of_action
    assert all(verify_run(run.path).holds for run in (gate, postflight, action))
    verdict = next(one for one in gate.record.verdicts if one.guardrail == PLAN.id)
    assert (verdict.outcome, verdict.subject) == (Verdict.HELD, "release")
    assert verdict.message.startswith("bert approved it until 20")
    begun = journals.newest(tiny.books.journals)
    assert begun is not None
    assert Standing.of(begun).begun["gate"] == {"run": gate.path.name, "digest": gate.digest}


def test_an_apply_of_what_nobody_approved_says_so_and_leaves_the_record_of_its_gate(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    with pytest.raises(ApprovalError, match="nobody has validly approved this plan") as raised:
        apply(tiny, tiny.plan())
    assert raised.value.exit_code == 13
    (gate,) = records(tiny)
    assert gate.record.decision is Decision.SHUT
    assert [(reason.guardrail, reason.subject) for reason in gate.record.reasons] == [(PLAN.id, "release")]
    assert tiny.look() == OLD


def test_what_else_shuts_the_gate_comes_first_and_the_approval_is_one_of_the_reasons(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    own(tiny, "def test_always():\n    assert False\n")
    with pytest.raises(GateShut) as raised:
        apply(tiny, tiny.plan())
    assert raised.value.code == 1
    assert raised.value.reasons == {(1, PLAN.id), (1, "own.smoke.always")}


def own(tiny: Tiny, text: str) -> None:
    (tiny.root / "checks" / "test_smoke.py").write_text(text)


def test_a_preflight_by_itself_neither_shows_nor_needs_the_approval(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    request = GateRequest(gates=frozenset({When.PREFLIGHT}), start=tiny.root, action="release")
    record = call.run_gate(tiny.site, request, environ=tiny.environ).run.record
    assert record.decision is Decision.OPEN
    assert record.plan is None
    assert PLAN.id not in {one.guardrail for one in (*record.required, *record.verdicts)}


def test_what_the_operator_at_the_terminal_approves_asks_nobody_s_signature(tmp_path: Path) -> None:
    tiny = site(tmp_path, kind="operator")
    assert apply(tiny, tiny.plan()).exit_code == 0
    verdict = next(one for one in records(tiny)[0].record.verdicts if one.guardrail == PLAN.id)
    assert (verdict.outcome, verdict.subject) == (Verdict.NOT_APPLICABLE, "none-declared")


def test_no_waiver_stands_in_for_an_approval(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    stored = tiny.plan()
    waiver = {"guardrail": PLAN.id, "subject": "release", "fingerprint": "0" * 16, "reason": "it is late", "owner": "anna", "ticket": "OPS-1"}
    lines = [f"    {name}: {json.dumps(value)}" for name, value in {**waiver, "approver": "anna", "expires_at": "2026-12-24T00:00:00Z"}.items()]
    (tiny.root / tiny.site.waivers).write_text("waivers:\n  - id: W-1\n" + "\n".join(lines) + "\n")
    with pytest.raises(GateShut) as raised:
        apply(tiny, stored)
    assert raised.value.reasons == {(1, PLAN.id), (12, PLAN.id)}
    assert "can never be waived" in str(raised.value)
    assert tiny.look() == OLD


def test_an_approval_that_expires_before_the_apply_does_not_count(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    tiny.later(hours=-5)
    stored = tiny.approved("bert")
    tiny.later(hours=5)
    with pytest.raises(ApprovalError, match="nobody has validly approved"):
        apply(tiny, stored)
    (gate,) = records(tiny)
    assert any("it expired at" in place.message for verdict in gate.record.verdicts for place in verdict.where)


def test_a_guarded_program_runs_behind_apply_s_own_gate(tmp_path: Path) -> None:
    tiny = site(tmp_path, steps="      - backup: {modules: [app]}\n")
    with pytest.raises(ApprovalError, match="waits for its approval"):
        runner.guard(tiny.site, "release", (str(tiny.root / "bin" / "deploy"),), tiny.environ, directory=tiny.root, key=key_of("anna"), means=means(tiny))
    assert [asked(run) for run in records(tiny)] == [("preflight",)]
    (plan,) = (path for path in (tiny.root / ".interlock" / "plans").iterdir())
    tiny.answers.append(plan.name.rpartition("-")[2][:8])
    runner.approve(tiny.site, str(plan), key_of("bert"), tiny.environ, means(tiny))
    outcome = runner.guard(tiny.site, "release", (str(tiny.root / "bin" / "deploy"),), tiny.environ, directory=tiny.root, key=key_of("anna"), means=means(tiny))
    assert outcome.exit_code == 0, outcome.text
    assert [asked(run) for run in records(tiny)][1:-1] == [("apply", "preflight"), ("postflight",)]


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record | {"plan": {"digest": "sha256:" + "1" * 64, "action": "release"}},
        lambda record: record | {"plan": None},
        lambda record: record | {"run": record["run"] | {"only": ["expect"]}},
    ],
    ids=["another plan", "no plan", "some guardrails"],
)
def test_a_record_that_somebody_changed_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Any) -> None:
    tiny = site(tmp_path)
    stored = tiny.approved("bert")
    real = subprocess.run

    def run_and_edit(argv: tuple[str, ...], **options: Any) -> Any:
        done = real(argv, **options)
        if "pytest" in argv:
            path = next(runs(tiny.root / "reports")) / "record.json"
            path.write_bytes(json.dumps(edit(json.loads(path.read_bytes())), sort_keys=True, separators=(",", ":")).encode() + b"\n")
        return done

    monkeypatch.setattr(subprocess, "run", run_and_edit)
    with pytest.raises(EvidenceError, match="does not verify"):
        apply(tiny, stored)
    assert tiny.look() == OLD


# ---- the gate in mid-plan


def test_a_gate_in_mid_plan_asks_its_names_alone_on_the_system_as_it_is_by_then(tmp_path: Path) -> None:
    """What is expected after the action does not hold before it: a rule that only postflight asks is asked in the middle, too."""
    tiny = site(tmp_path, CONF + DEPLOY + GATE)
    own(tiny, OWN.replace("def test_deployed", "import pytest\n\n@pytest.mark.postflight\ndef test_deployed"))
    (tiny.instance / "asked-all").touch()
    with pytest.raises(GateShut):
        apply(tiny, tiny.approved("bert"))
    (tiny.instance / "asked-all").unlink()
    outcome = apply(tiny, tiny.approved("bert"))
    assert outcome.exit_code == 0, outcome.text
    midway = records(tiny)[-3]
    assert midway.record.run.only == ("expect.file", "own.smoke.deployed")
    assert midway.record.decision is Decision.OPEN
    rules = {one.guardrail for one in midway.record.required}
    assert {"expect.file", "own.smoke.deployed"} <= rules
    assert "own.smoke.not_asked_in_mid_plan" not in rules
    assert {(one.guardrail, one.subject) for one in midway.record.verdicts} >= {("expect.file", "deployed"), ("expect.file", "ready")}
    assert step(tiny, 3) == {"run": midway.path.name, "digest": midway.digest}
    assert verify_run(midway.path).holds


def step(tiny: Tiny, number: int) -> Mapping[str, Any]:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    state = Standing.of(trail).steps[number - 1]
    assert state.state is State.DONE
    return {name: state.data[name] for name in ("run", "digest")}


def test_a_gate_in_mid_plan_that_is_shut_undoes_what_was_done(tmp_path: Path) -> None:
    tiny = site(tmp_path, CONF + GATE + DEPLOY)
    own(tiny, OWN.replace("def test_deployed", "import pytest\n\n@pytest.mark.postflight\ndef test_deployed"))
    outcome = apply(tiny, tiny.approved("bert"))
    assert outcome.exit_code == 16, outcome.text
    assert "the gate in mid-plan is shut" in outcome.text
    assert "own.smoke.deployed" in outcome.text
    assert (tiny.look(), tiny.runs()) == (OLD, 0)
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    assert Standing.of(trail).end is End.UNDONE
    assert records(tiny)[-2].record.run.only == ("expect.file", "own.smoke.deployed")


def test_a_gate_that_asks_some_rules_is_no_gate_of_an_operator_s(tmp_path: Path) -> None:
    """Neither typed without the runner, nor left lying for it, nor compared with a whole one."""
    tiny = site(tmp_path)
    typed = run_check(tiny.root, "preflight", "--for", "release", "--interlock-only=expect", environ=tiny.environ)
    assert (typed.exit_code, typed.record) == (64, None)
    assert "asked by the runner alone" in typed.output
    forged = run_check(tiny.root, "preflight", "--for", "release", "--interlock-only=expect", "--interlock-nonce=1", environ=tiny.environ)
    assert forged.record is not None
    assert forged.record.run.only == ("expect",)
    assert "IN MID-PLAN" in forged.output
    own(tiny, "def test_always():\n    assert False\n")
    with pytest.raises(GateShut):
        apply(tiny, tiny.approved("bert"))


def midway(tiny: Tiny, stored: StoredPlan, *names: str) -> Gated:
    return means(tiny).midway(stored, GatePlan(guardrails=names))


def test_a_gate_in_mid_plan_with_a_name_that_looks_at_nothing_is_shut(tmp_path: Path) -> None:
    """A plan that names one is not made; where one comes here all the same, it does not open."""
    tiny = site(tmp_path)
    stored = tiny.plan()
    for names in (["parity.rows"], ["expect", "parity.rows"], ["own.smoke.no_such_rule"], ["compose.strict_parse"]):
        assert midway(tiny, stored, *names).decision.exit_code == 10, names
    assert midway(tiny, stored, "own.smoke.always").decision.exit_code == 0


def test_a_deselected_rule_shuts_a_gate_in_mid_plan_too(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    stored = tiny.plan()
    (tiny.root / "conftest.py").write_text("def pytest_collection_modifyitems(items):\n    items[:] = []\n")
    assert midway(tiny, stored, "expect.file").decision.exit_code == 10


# ---- typed by hand


def test_apply_s_own_gate_typed_without_a_plan_proves_nothing(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    tiny.approved("bert")
    ran = run_check(tiny.root, "preflight or apply", "--for", "release", environ=tiny.environ)
    assert ran.exit_code == 11
    assert ran.outcome(PLAN.id) is Verdict.UNPROVEN
    assert "no plan was named" in ran.output


def test_apply_s_own_gate_is_asked_for_its_own_plan_alone(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    stored = tiny.approved("bert")
    options = ("--for", "release", "--interlock-plan", str(stored.folder))
    assert run_check(tiny.root, "preflight or apply", *options, environ=tiny.environ).exit_code == 0
    assert run_check(tiny.root, "preflight or apply", *options[2:], environ=tiny.environ).exit_code == 64
    path = stored.folder / "plan.json"
    path.write_bytes(path.read_bytes().replace(b'"timeout":3600', b'"timeout":7200'))
    assert run_check(tiny.root, "preflight or apply", *options, environ=tiny.environ).exit_code == 1, "nobody signed this plan"
    path.write_bytes(path.read_bytes() + b"\n")
    assert run_check(tiny.root, "preflight or apply", *options, environ=tiny.environ).exit_code == 14
    path.unlink()
    assert run_check(tiny.root, "preflight or apply", *options, environ=tiny.environ).exit_code == 64


def test_the_gates_work_when_workers_share_them(tmp_path: Path) -> None:
    tiny = site(tmp_path)
    options = ("--for", "release", "--interlock-plan", str(tiny.approved("bert").folder), "-n", "2")
    ran = run_check(tiny.root, "preflight or apply", *options, environ=tiny.environ)
    assert (ran.exit_code, ran.outcome(PLAN.id)) == (0, Verdict.HELD), ran.output
