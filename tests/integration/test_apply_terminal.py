"""The whole way by hand: the real command line in a real terminal, real gates, real keys; and processes of each kind that may not apply.

tests/integration/test_callers_real.py has the real cron, at, git, ssh, tmux and the like.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.by_hand import DIGITS, GATED, Hand, approved
from tests.in_terminal import INTERLOCK, Shown, human_environ, in_terminal
from tests.tiny_site import OLD, PROGRAMS, SECRET, key_of


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    return Hand(tmp_path)


def test_plan_approve_apply_status_and_the_evidence_by_hand(hand: Hand) -> None:
    plan = hand.plan()
    shown = hand.approve(plan)
    assert shown.code == 0, shown.text
    assert "SELF-APPROVED: you made this plan yourself" in shown.text
    assert "+password = ${DB_PASSWORD}" in shown.text
    applied = hand.type("apply", plan)
    assert applied.code == 0, applied.text
    assert "step 3 of 4: run bin/deploy" in applied.text
    assert "is done and verified (4 steps" in applied.text
    record = verified(hand, applied)
    assert record["plan"]["digest"].startswith(f"sha256:{plan.rpartition('-')[2]}")
    assert [(approval["principal"], approval["self_approved"]) for approval in record["approvals"]] == [("anna", True)]
    folder = re.search(r"evidence: (\S+)", applied.text)
    assert folder
    assert "SELF-APPROVED: the planner approved this plan" in (Path(folder[1]) / "summary.md").read_text()
    assert [step["kind"] for step in record["steps"]] == ["backup", "write-files", "command", "verify"]
    assert "done and verified" in hand.type("status").text
    again = hand.type("apply", plan)
    assert (again.code, "applied already" in again.text) == (14, True)
    everything = [path for path in hand.tiny.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert {path.name for path in everything} == {"app.conf", "deployed"}


def test_a_shut_gate_ends_with_its_own_code(hand: Hand) -> None:
    plan = hand.plan()
    hand.approve(plan)
    (hand.tiny.backups / "app-20261101T000000Z.tar.zst").chmod(0o644)
    shown = hand.type("apply", plan)
    assert shown.code == 1, shown.text
    assert "the preflight gate is shut" in shown.text
    assert hand.untouched()


def test_wrong_digits_are_no_approval(hand: Hand) -> None:
    plan = hand.plan()
    shown = hand.approve(plan, typed="00000000")
    assert (shown.code, "not approved" in shown.text) == (13, True)
    assert hand.type("apply", plan).code == 13
    assert hand.untouched()


def test_what_is_piped_in_answers_nothing(hand: Hand) -> None:
    """The digits come on standard input; the question is asked at the terminal, where nobody answers before it is closed."""
    plan = hand.plan()
    digits = plan.rpartition("-")[2][:8]
    piped = f"echo {digits} | {sys.executable} -m interlock approve {plan} --key {key_of('anna')}"
    shown = in_terminal(("sh", "-c", piped), hand.environ, hand.tiny.root, replies=((DIGITS, "no"),))
    assert shown.code == 13
    assert not list((hand.tiny.root / ".interlock" / "approvals").rglob("*.json"))


def test_a_key_with_a_passphrase_asks_for_it_at_the_terminal(hand: Hand, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-C", "anna", "-f", path), check=True, capture_output=True)
    kind, key, _ = path.with_suffix(".pub").read_text().split()
    (hand.tiny.root / "allowed_signers").write_text(f"anna {kind} {key}\n")
    passphrase = (r"passphrase[^\n]*: ", "open sesame")
    shown = hand.type("plan", "release", "--key", str(path), replies=(passphrase,))
    assert shown.code == 0, shown.text
    found = re.search(r"plans/([\w.-]+)/plan\.json", shown.text)
    assert found
    shown = hand.type("approve", found[1], "--key", str(path), replies=((DIGITS, found[1].rpartition("-")[2][:8]), passphrase))
    assert shown.code == 0, shown.text
    assert "open sesame" not in shown.text


def test_ctrl_c_while_a_program_runs_stops_it_and_undoes_what_was_done(tmp_path: Path) -> None:
    steps = GATED.replace("done: [bin/deployed]", "done: [bin/never]")
    hand = Hand(tmp_path, steps=steps, programs={"deploy": "echo at work; sleep 30", "undeploy": "true", "never": "false"})
    plan = hand.plan()
    hand.approve(plan)
    shown = hand.type("apply", plan, replies=((r"step 3 of 4: run bin/deploy\n", "\x03"),))
    assert shown.code == 16, shown.text
    assert "was stopped: SIGINT" in shown.text
    assert hand.tiny.look() == OLD
    record = verified(hand, shown)
    assert (record["decision"], record["exit_code"]) == ("open", 16)
    assert [step["state"] for step in record["steps"]] == ["done", "undone", "undone", "pending"]


def verified(hand: Hand, shown: Shown) -> dict[str, Any]:
    """The record that an action left, after `interlock verify` has found it whole."""
    evidence = re.search(r"evidence: (\S+)", shown.text)
    assert evidence, shown.text
    assert hand.type("verify", evidence[1]).code == 0
    record: dict[str, Any] = json.loads((Path(evidence[1]) / "record.json").read_bytes())
    return record


def test_a_kill_is_told_by_status_and_ended_by_rollback_with_evidence(tmp_path: Path) -> None:
    hand = Hand(tmp_path, programs=PROGRAMS | {"deploy": "kill -9 $PPID; exit 1", "deployed": "false"})
    plan = hand.plan()
    hand.approve(plan)
    assert hand.type("apply", plan).code == -9
    status = hand.type("status").text
    assert "UNFINISHED" in status
    assert "step 3: started, and not known to have ended" in status
    shown = hand.type("rollback", plan)
    assert shown.code == 0, shown.text
    assert hand.tiny.look() == OLD
    record = verified(hand, shown)
    assert "preflight" in record["run"]["gates"]
    assert (record["run"]["action"], record["exit_code"]) == ("release", 0)
    assert hand.type("resume", plan).code == 16


# ---- who may not apply, as real processes


def refuses(hand: Hand, shown: Shown, why: str) -> None:
    assert shown.code == 13, shown.text
    assert "this process may not apply" in shown.text
    assert why in shown.text, shown.text
    assert hand.untouched()


def named(folder: Path, name: str, script: str) -> Path:
    """A program of this name, as the kernel sees it: a copy of Python that runs `script`, and nothing above it shows through."""
    program = folder / "programs" / name
    program.parent.mkdir(exist_ok=True)
    shutil.copy2(Path(sys.executable).resolve(), program)
    (folder / "programs" / f"{name}.py").write_text(textwrap.dedent(script))
    return program


STARTS = """
    import os, subprocess, sys
    sys.exit(subprocess.run(sys.argv[1:], start_new_session={session}).returncode)
"""


def below(hand: Hand, folder: Path, name: str, *, session: bool = False) -> tuple[str, ...]:
    """An argv that starts another below a process of this name."""
    program = named(folder, name, STARTS.format(session=session))
    hand.environ["PYTHONHOME"] = sys.base_prefix
    return (str(program), f"{program}.py")


def test_without_a_terminal_nobody_applies(hand: Hand) -> None:
    plan = approved(hand)
    done = subprocess.run(
        (*INTERLOCK, "apply", plan), cwd=hand.tiny.root, env=hand.environ, capture_output=True, text=True, start_new_session=True, check=False
    )
    refuses(hand, Shown(done.returncode, done.stderr), "it has no controlling terminal")
    done = subprocess.run(
        (*INTERLOCK, "approve", plan, "--key", str(key_of("anna"))),
        cwd=hand.tiny.root,
        env=hand.environ,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, "there is no terminal to ask at" in done.stderr) == (13, True)


@pytest.mark.parametrize("name", ["cron", "atd"])
def test_a_job_of_cron_or_at_does_not_apply(hand: Hand, tmp_path: Path, name: str) -> None:
    plan = approved(hand)
    argv = below(hand, tmp_path, name, session=True)
    done = subprocess.run(
        (*argv, "/bin/sh", "-c", f"{sys.executable} -m interlock apply {plan}; exit $?"),
        cwd=hand.tiny.root,
        env=hand.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    refuses(hand, Shown(done.returncode, done.stderr), f"({name}) above it)")


@pytest.mark.parametrize("name", ["act_runner", "woodpecker-agent"])
def test_a_ci_runner_with_a_terminal_does_not_apply(hand: Hand, tmp_path: Path, name: str) -> None:
    plan = approved(hand)
    shown = in_terminal((*below(hand, tmp_path, name), *INTERLOCK, "apply", plan), hand.environ, hand.tiny.root)
    refuses(hand, shown, "runs this (process")


def test_a_ci_job_is_known_by_the_environment_of_those_above_it_too(hand: Hand) -> None:
    plan = approved(hand)
    shown = hand.type("apply", plan, environ=hand.environ | {"GITHUB_ACTIONS": "true"})
    refuses(hand, shown, "GitHub Actions runs this")
    hidden = ("sh", "-c", f"env -u GITHUB_ACTIONS {sys.executable} -m interlock apply {plan}; exit $?")
    shown = in_terminal(hidden, hand.environ | {"GITHUB_ACTIONS": "true"}, hand.tiny.root)
    refuses(hand, shown, "GitHub Actions runs this")


def test_ci_on_a_terminal_asks_once(hand: Hand) -> None:
    plan = approved(hand)
    with_ci = hand.environ | {"CI": "true"}
    assert hand.type("apply", plan, replies=((r"Type yes to go on: ", "no"),), environ=with_ci).code == 13
    assert hand.untouched()
    shown = hand.type("apply", plan, replies=((r"Type yes to go on: ", "yes"),), environ=with_ci)
    assert shown.code == 0, shown.text


def test_the_main_process_of_a_unit_does_not_apply(hand: Hand) -> None:
    plan = approved(hand)
    as_unit = ("sh", "-c", f"export SYSTEMD_EXEC_PID=$$ INVOCATION_ID=0123456789abcdef; {sys.executable} -m interlock apply {plan}; exit $?")
    refuses(hand, in_terminal(as_unit, hand.environ, hand.tiny.root), "main process of a systemd unit")


def test_a_terminal_below_a_unit_applies(hand: Hand) -> None:
    """A desktop's terminal emulator is a unit, and its shells inherit the unit's variables."""
    plan = approved(hand)
    shown = hand.type("apply", plan, environ=hand.environ | {"SYSTEMD_EXEC_PID": "1", "INVOCATION_ID": "0123456789abcdef"})
    assert shown.code == 0, shown.text


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_git_hook_does_not_apply(hand: Hand) -> None:
    plan = approved(hand)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.hooksPath=.git/hooks")
    subprocess.run((*git, "init", "-q"), cwd=hand.tiny.root, env=hand.environ, check=True)
    hook = hand.tiny.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{sys.executable} -m interlock apply {plan}\necho applied with $?\nexit 1\n")
    hook.chmod(0o755)
    shown = in_terminal((*git, "commit", "--allow-empty", "-m", "x"), hand.environ, hand.tiny.root)
    assert "git runs this" in shown.text, shown.text
    assert "applied with 13" in shown.text
    assert hand.untouched()


def test_sudo_is_looked_through(hand: Hand) -> None:
    sudo = shutil.which("sudo")
    if sudo is None or subprocess.run((sudo, "-n", "true"), capture_output=True, check=False).returncode != 0:
        pytest.skip("needs sudo without a password")
    plan = approved(hand)
    by_sudo = shlex.join((sudo, "-n", "--preserve-env=PYTHONPATH,TINY_PASSWORD,HOME", *INTERLOCK, "apply", plan))
    argv = ("/bin/sh", "-c", f"{by_sudo}; exit $?")  # a shell leads the session, as it does where a human types; above it is whatever runs the tests
    refuses(hand, in_terminal(argv, hand.environ | {"GITHUB_ACTIONS": "true"}, hand.tiny.root), "GitHub Actions runs this")
    shown = in_terminal(argv, hand.environ, hand.tiny.root)
    assert shown.code == 0, shown.text


def test_the_tests_of_this_file_run_in_ci_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they hand to the command line has no mark of the job that runs them."""
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "INVOCATION_ID"):
        monkeypatch.setenv(name, "true")
    environ = human_environ(Path("/home/anna"))
    assert not {"CI", "GITHUB_ACTIONS", "GITLAB_CI", "INVOCATION_ID", "PYTEST_CURRENT_TEST"} & environ.keys()
    assert environ.keys() >= {"PATH", "PYTHONPATH"}


def test_a_script_of_the_operators_own_is_guarded_by_hand(tmp_path: Path) -> None:
    hand = Hand(tmp_path, steps="      - backup: {modules: [app]}\n    gate: [backups.mode_0600]\n")
    script = hand.tiny.root / "my-apply.sh"
    script.write_text('#!/bin/sh\necho "pulling $1"; touch applied\n')
    script.chmod(0o755)

    def digits(shown: str) -> str:
        return re.findall(r"digest +sha256:([0-9a-f]{8})", shown)[-1]

    guarded = ("guard", "--for", "release", "--key", str(key_of("anna")), "--", "./my-apply.sh", "images")
    shown = hand.type(*guarded, replies=((DIGITS, digits),))
    assert shown.code == 0, shown.text
    assert "  | pulling images" in shown.text
    assert "is done and verified" in shown.text
    assert (hand.tiny.root / "applied").exists()
    record = verified(hand, shown)
    assert [step["kind"] for step in record["steps"]] == ["backup", "command"]


def test_a_guard_without_a_program_is_a_wrong_command_line(tmp_path: Path) -> None:
    shown = Hand(tmp_path).type("guard", "--for", "release", "--")
    assert (shown.code, "name it behind --" in shown.text) == (64, True)
