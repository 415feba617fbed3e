"""Can a failed gate be passed over? What skips its job, what swallows its exit code, and what a branch demands."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.config.forges import Forge, ForgeKind
from interlock.errors import CouldNotLook
from interlock.facts.gate_workflow import GateWorkflow, NoGateWorkflow, check_names, gate_steps, runs_gate
from interlock.facts.workflows import Workflow
from interlock.judge.automation import judge_gate_is_required
from interlock.observe.automation import TreeSources
from interlock.observe.forge import protection, reviewers_asked
from interlock.observe.tree import Tree
from interlock.testing.forge_stand_in import answer, stand_in
from interlock.verdicts import Broken, Held, Unproven

PATH = ".forgejo/workflows/gate.yml"
HEALTHY = """\
name: gate
on:
  pull_request:
jobs:
  gate:
    runs-on: docker
    steps:
      - run: interlock scan .
"""


def gate(root: Path, text: str, *, branch: str = "main", declared: bool = False, check: str | None = None) -> GateWorkflow:
    (root / PATH).parent.mkdir(parents=True, exist_ok=True)
    (root / PATH).write_text(text)
    sources = TreeSources(Tree(root))
    found = sources.workflow(PATH)
    steps = gate_steps(found, sources, check=check, declared=declared) if isinstance(found, Workflow) else ()
    return GateWorkflow(path=PATH, workflow=found, steps=steps, branch=branch)


def kinds(root: Path, text: str, **given: str) -> list[str]:
    judged = judge_gate_is_required(gate(root, text, **given))  # type: ignore[arg-type]
    return [] if isinstance(judged, Held) else [detail.kind for detail in judged.details]  # type: ignore[union-attr]


def running(script: str, shell: str = "") -> str:
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    return HEALTHY.replace("      - run: interlock scan .\n", f"      - {f'shell: {shell}' if shell else 'name: scan'}\n        run: |\n{lines}")


def test_a_gate_that_runs_on_every_pull_request_is_held(tmp_path: Path) -> None:
    assert kinds(tmp_path, HEALTHY) == []


@pytest.mark.parametrize("uses", ["ops/interlock@v1", "https://forge.example/ops/interlock@v1", "ops/interlock.git@3f1c0a9"])
def test_the_action_is_the_gate(tmp_path: Path, uses: str) -> None:
    called = HEALTHY.replace("run: interlock scan .", f"uses: {uses}")
    assert len(gate(tmp_path, called).steps) == 1
    assert kinds(tmp_path, called) == []
    assert kinds(tmp_path, called.replace(f"uses: {uses}", f"uses: {uses}\n        continue-on-error: true")) != []
    assert gate(tmp_path, HEALTHY.replace("run: interlock scan .", "uses: actions/checkout@v4")).steps == ()


@pytest.mark.parametrize(
    "command",
    [
        ("interlock", "scan", "."),
        ("/opt/v/bin/interlock", "--site", "x", "preflight"),
        ("python", "-m", "interlock", "scan"),
        ("pytest", "-m", "static"),
        ("python3", "-m", "pytest", "-q", "-m", "preflight and not slow"),
    ],
)
def test_the_gate_is_known_by_its_command(command: tuple[str, ...]) -> None:
    assert runs_gate(command)


@pytest.mark.parametrize("command", [("interlock", "guardrails"), ("pytest", "tests"), ("pytest", "-m", "slow"), ("echo", "interlock", "scan"), ("scan",)])
def test_other_commands_are_not_the_gate(command: tuple[str, ...]) -> None:
    assert not runs_gate(command)


@pytest.mark.parametrize(
    "script",
    [
        "interlock scan . || true",
        "interlock scan . || :",
        "interlock scan . || exit 0",
        "interlock scan . || echo broken",
        "interlock scan . || { echo broken; true; }",
        "interlock scan . | tee gate.txt",
        "interlock scan . &",
        "set +e\ninterlock scan .\nexit 0",
        "set +e\ninterlock scan .\necho done",
        "if interlock scan .; then echo good; fi",
        "( interlock scan . || true )",
        "cd ops && interlock scan . || true",
    ],
)
def test_an_exit_code_that_is_swallowed_is_found(tmp_path: Path, script: str) -> None:
    assert set(kinds(tmp_path, running(script))) == {"swallowed"}


@pytest.mark.parametrize(
    "script",
    [
        "interlock scan .",
        "set +e\ninterlock scan .\ncode=$?\ncat reports/summary.md\nexit $code",
        "set +e\ntrue\nset -e\ninterlock scan .\necho done",
        "if ! interlock scan .; then echo broken; exit 1; fi",
        "interlock scan . || { cat summary.md; exit 1; }",
        "set -o pipefail\ninterlock scan . | tee gate.txt",
        "pip install interlock || true\ninterlock scan .",
        "echo scanning | tee log\ninterlock scan .",
    ],
)
def test_an_exit_code_that_ends_the_step_is_none(tmp_path: Path, script: str) -> None:
    assert kinds(tmp_path, running(script)) == []


def test_a_named_bash_has_pipefail(tmp_path: Path) -> None:
    assert kinds(tmp_path, running("interlock scan . | tee gate.txt", shell="bash")) == []


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("  pull_request:", "  push:\n    branches: [main]", "not-on-pull-request"),
        ("  pull_request:", "  pull_request:\n    paths: [compose/**]", "path-filter"),
        ("  pull_request:", "  pull_request:\n    paths-ignore: [docs/**]", "path-filter"),
        ("  pull_request:", "  pull_request:\n    branches: [develop]", "branch-filter"),
        ("  pull_request:", "  pull_request:\n    branches-ignore: ['ma*']", "branch-filter"),
        ("  pull_request:", "  pull_request:\n    types: [opened]", "types-filter"),
        ("    runs-on:", "    continue-on-error: true\n    runs-on:", "continue-on-error"),
        ("    runs-on:", "    continue-on-error: ${{ github.actor == 'bot' }}\n    runs-on:", "continue-on-error"),
        ("      - run:", "      - continue-on-error: true\n        run:", "continue-on-error"),
        ("    runs-on:", "    if: github.actor != 'dependabot[bot]'\n    runs-on:", "condition"),
        ("    runs-on:", "    if: github.event_name == 'push'\n    runs-on:", "condition"),
        ("      - run:", "      - if: hashFiles('x')\n        run:", "condition"),
        ("    runs-on:", "    needs: build\n    runs-on:", "needs"),
        ("    runs-on:", "    needs: build\n    if: always()\n    runs-on:", "needs-unchecked"),
    ],
)
def test_each_way_past_the_gate_has_a_name(tmp_path: Path, old: str, new: str, kind: str) -> None:
    assert kinds(tmp_path, HEALTHY.replace(old, new)) == [kind]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  pull_request:", "  pull_request:\n    branches: [main, 'release/*']"),
        ("  pull_request:", "  pull_request:\n    types: [opened, synchronize, reopened]"),
        ("  pull_request:", "  push:"),
        ("    runs-on:", "    continue-on-error: false\n    runs-on:"),
        ("    runs-on:", "    if: ${{ !cancelled() }}\n    runs-on:"),
        ("    runs-on:", "    if: github.event_name == 'pull_request'\n    runs-on:"),
        ("    steps:\n", "    needs: [build]\n    if: always()\n    steps:\n      - run: test ${{ needs.build.result }} = success\n"),
    ],
)
def test_what_lets_no_pull_request_past_is_fine(tmp_path: Path, old: str, new: str) -> None:
    assert kinds(tmp_path, HEALTHY.replace(old, new)) == []


def test_a_gate_behind_a_script_is_found_on_the_line_that_calls_it(tmp_path: Path) -> None:
    (tmp_path / "ci.sh").write_text("#!/bin/sh\nset -eu\ninterlock scan .\n")
    assert kinds(tmp_path, HEALTHY.replace("interlock scan .", "./ci.sh")) == []
    assert kinds(tmp_path, HEALTHY.replace("interlock scan .", "./ci.sh || true")) == ["swallowed"]


def test_a_gate_in_a_workflow_that_is_called_is_judged_with_the_job_that_calls_it(tmp_path: Path) -> None:
    called = tmp_path / ".forgejo/workflows/called.yml"
    called.parent.mkdir(parents=True)
    called.write_text(HEALTHY.replace("  pull_request:", "  workflow_call:"))
    caller = "name: ci\non:\n  pull_request:\njobs:\n  ours:\n    uses: ./.forgejo/workflows/called.yml\n"
    assert kinds(tmp_path, caller) == []
    assert kinds(tmp_path, caller + "    needs: build\n") == ["needs"]
    assert check_names(gate(tmp_path, caller), None, github=True) == ("ours / gate",)
    called.write_text(called.read_text().replace("scan .", "scan . || true"))
    judged = judge_gate_is_required(gate(tmp_path, caller))
    assert isinstance(judged, Broken)
    assert judged.details[0].file == ".forgejo/workflows/called.yml"


def test_a_declared_gate_need_not_be_one_of_our_commands(tmp_path: Path) -> None:
    text = HEALTHY.replace("interlock scan .", "dagger call gate")
    assert isinstance(judge_gate_is_required(gate(tmp_path, text)), Broken)
    assert isinstance(judge_gate_is_required(gate(tmp_path, text, declared=True)), Held)


def test_no_gate_and_several_are_broken_and_an_unreadable_one_unproven(tmp_path: Path) -> None:
    assert isinstance(judge_gate_is_required(NoGateWorkflow()), Broken)
    assert isinstance(judge_gate_is_required(NoGateWorkflow(several=("a.yml", "b.yml"))), Broken)
    assert isinstance(judge_gate_is_required(gate(tmp_path, "on: [")), Unproven)


def test_the_name_of_the_check_is_the_forges(tmp_path: Path) -> None:
    found = gate(tmp_path, HEALTHY)
    assert check_names(found, None, github=True) == ("gate",)
    assert check_names(found, None, github=False) == ("gate / gate (pull_request)",)
    assert check_names(found, "mine", github=True) == ("mine",)


# ---- branches, through a stand-in for the forge that says so itself

RULES = "repos/o/r/branch_protections"
CLASSIC = "repos/o/r/branches/main/protection/required_status_checks"
RULESET = "repos/o/r/rules/branches/main"
FORGEJO_CHECK = "gate / gate (pull_request)"


def forge(folder: Path, kind: str, *, token: str | None = None) -> Forge:
    return Forge(kind=ForgeKind(kind), url=stand_in(folder), repository="o/r", token_env=token)


def rule(**given: object) -> dict[str, object]:
    return {"rule_name": "main", "enable_status_check": True, "status_check_contexts": [FORGEJO_CHECK], **given}


@pytest.mark.parametrize("kind", ["forgejo", "gitea"])
@pytest.mark.parametrize(
    ("rules", "held"),
    [
        ([rule()], True),
        ([rule(status_check_contexts=["gate / *"])], True),
        ([rule(rule_name="ma*")], True),
        ([rule(status_check_contexts=["tests / unit (pull_request)"])], False),
        ([rule(enable_status_check=False)], False),
        ([rule(rule_name="release")], False),
        ([rule(rule_name="*"), rule(status_check_contexts=[])], False),  # the rule of that very name counts
        ([], False),
    ],
)
def test_a_branch_of_forgejo_or_gitea_demands_the_gate_or_not(tmp_path: Path, kind: str, rules: list[dict[str, object]], held: bool) -> None:
    answer(tmp_path, {RULES: rules})
    judged = judge_gate_is_required(protection(forge(tmp_path, kind), (FORGEJO_CHECK,), {}))
    assert isinstance(judged, Held if held else Broken)


def test_the_jobs_name_alone_is_enough_to_name_a_check_of_forgejo(tmp_path: Path) -> None:
    answer(tmp_path, {RULES: [rule()]})
    assert isinstance(judge_gate_is_required(protection(forge(tmp_path, "forgejo"), ("gate",), {})), Held)


@pytest.mark.parametrize(
    ("answers", "held"),
    [
        ({CLASSIC: {"contexts": ["gate"]}, RULESET: []}, True),
        ({CLASSIC: {"checks": [{"context": "gate", "app_id": 1}]}, RULESET: []}, True),
        ({RULESET: [{"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "gate"}]}}]}, True),
        ({CLASSIC: {"contexts": ["gate-2"]}, RULESET: []}, False),
        ({CLASSIC: {"contexts": []}, RULESET: [{"type": "deletion"}]}, False),
    ],
)
def test_a_branch_of_github_demands_the_gate_or_not(tmp_path: Path, answers: dict[str, object], held: bool) -> None:
    answer(tmp_path, answers)
    assert isinstance(judge_gate_is_required(protection(forge(tmp_path, "github"), ("gate",), {})), Held if held else Broken)


@pytest.mark.parametrize("kind", ["github", "forgejo"])
def test_a_forge_that_does_not_let_us_look_proves_nothing(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CouldNotLook, match="answered 403"):
        protection(forge(tmp_path, kind), ("gate",), {})
    answer(tmp_path, {})
    with pytest.raises(CouldNotLook, match="answered 404") as caught:
        protection(forge(tmp_path, kind), ("gate",), {})
    assert "token" in caught.value.remedy


def test_a_token_is_asked_for_by_name_and_never_shown(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="TOKEN is not set"):
        protection(forge(tmp_path, "forgejo", token="TOKEN"), ("gate",), {})
    with pytest.raises(CouldNotLook) as caught:
        protection(forge(tmp_path, "forgejo", token="TOKEN"), ("gate",), {"TOKEN": "canary-of-a-token"})
    assert "canary" not in f"{caught.value} {caught.value.remedy} {caught.value.__cause__!r}"


def test_a_forge_that_is_not_there_proves_nothing() -> None:
    nobody = Forge(kind=ForgeKind.GITEA, url="http://127.0.0.1:9/api/v1", repository="o/r")
    with pytest.raises(CouldNotLook, match="gave no answer"):
        protection(nobody, ("gate",), {})


ASKED = {"type": "required_reviewers", "reviewers": [{"type": "User"}]}


@pytest.mark.parametrize(("rules", "asks"), [([ASKED], True), ([{"type": "wait_timer"}], False), ([], False)])
def test_an_environment_of_github_asks_its_reviewers_or_not(tmp_path: Path, rules: list[object], asks: bool) -> None:
    answer(tmp_path, {"repos/o/r/environments/production": {"protection_rules": rules}})
    assert reviewers_asked(forge(tmp_path, "github"), "production", {}) is asks


def test_an_environment_of_forgejo_protects_nothing(tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="asks no reviewer"):
        reviewers_asked(forge(tmp_path, "forgejo"), "production", {})
