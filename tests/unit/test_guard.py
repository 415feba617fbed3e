"""A script of the operator's own behind gate, approval and backup: run once, as it was approved, and told truly. Gate, caller and clock are handed in."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.errors import ApprovalError, ConfigError, GateShut, UsageError
from interlock.facts.callers import CallerFacts
from interlock.facts.canonical import short
from interlock.gate.journal import Kind
from interlock.verdicts import When
from tests.tiny_site import SECRET, Tiny, key_of, make_tiny, shut

GUARDED = "      - backup: {modules: [app]}\n"
VERIFIED = GUARDED + "      - verify: {expect: [deployed]}\n"


def tiny_site(folder: Path, *, steps: str = GUARDED, kind: str = "operator", script: str = "echo run >> ran") -> Tiny:
    tiny = make_tiny(folder, steps=steps, kind=kind)
    write_script(tiny, script)
    return tiny


def write_script(tiny: Tiny, script: str) -> None:
    path = tiny.root / "my-apply.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def guard(tiny: Tiny, *program: str, action: str = "release", key: Path | None = None) -> runner.Outcome:
    named = program or ("./my-apply.sh",)
    return runner.guard(tiny.site, action, named, tiny.environ, directory=tiny.root, key=key, means=tiny.means())


def ran(tiny: Tiny) -> int:
    path = tiny.root / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def answer_with_digits(tiny: Tiny) -> None:
    """A human who types what the question shows: the first digits of the plan's digest."""

    class Answers(list[str]):
        def pop(self, _index: object = 0) -> str:
            (folder,) = [path for path in tiny.books.plans.iterdir() if not path.name.startswith(".")]
            return folder.name.rpartition("-")[2][:8]

    tiny.answers = Answers()


def test_a_script_runs_behind_gate_and_backup_and_leaves_evidence(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path, script="echo run >> ran; ls backups > seen")
    outcome = guard(tiny)
    assert outcome.exit_code == 0
    assert ran(tiny) == 1
    assert ".tar." in (tiny.root / "seen").read_text(), "the backup lies there before the script begins"
    assert tiny.gates == [When.APPLY, When.POSTFLIGHT]
    assert [step["kind"] for step in tiny.kept[0].steps] == ["backup", "command"]


def test_a_shut_gate_runs_nothing(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path)
    tiny.shut = {When.PREFLIGHT: shut()}
    with pytest.raises(GateShut):
        guard(tiny)
    assert ran(tiny) == 0


def test_a_failed_backup_runs_nothing(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path)
    tiny.backups.chmod(0o777)
    assert guard(tiny).exit_code == 16
    assert ran(tiny) == 0


def test_each_call_is_a_run_of_its_own(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path)
    assert guard(tiny).exit_code == 0
    tiny.now += timedelta(seconds=2)
    assert guard(tiny).exit_code == 0
    assert ran(tiny) == 2
    assert len(journals.ids(tiny.books.journals)) == 2


def test_a_script_that_fails_is_told_as_half_changed_with_its_last_word(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path, script="echo the registry said no >&2; exit 3")
    outcome = guard(tiny)
    assert outcome.exit_code == 18
    assert "./my-apply.sh ended with 3: the registry said no" in outcome.text


def test_what_the_script_writes_is_heard_while_it_runs_without_secrets_and_colours(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path, script=f"printf '\\033[32mpulling\\033[0m\\nwith {SECRET}\\nno line end'")
    guard(tiny)
    assert [line for line in tiny.said if line.startswith("  | ")] == ["  | pulling", "  | with ***", "  | no line end"]


def test_the_verifications_of_the_action_come_after_the_script(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path, steps=VERIFIED)
    outcome = guard(tiny)
    assert outcome.exit_code == 18, "the expectation does not hold, and a script of the operator's has no undo"
    write_script(tiny, "touch instance/deployed")
    runner.rollback(tiny.site, _last_plan(tiny), tiny.environ, tiny.means())


def _last_plan(tiny: Tiny) -> str:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return short(str(trail.entries[0].data["plan"]))


def test_an_action_with_steps_of_its_own_is_no_guard(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path, steps=GUARDED + "      - command: {run: [bin/deploy]}\n")
    with pytest.raises(ConfigError, match="has steps of its own") as caught:
        guard(tiny)
    assert caught.value.remedy.startswith("interlock plan release")


def test_an_action_that_the_site_lacks_is_a_wrong_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no action deploy"):
        guard(tiny_site(tmp_path), action="deploy")


def test_a_program_that_is_not_there_is_refused_before_anything(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no program \./apply\.sh"):
        guard(tiny, "./apply.sh")
    assert tiny.gates == []


def test_cron_may_not_run_it(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path)
    tiny.caller = CallerFacts(environment=frozenset(), ancestors=(), complete=True, terminal_opens=False)
    with pytest.raises(ApprovalError, match="may not apply"):
        guard(tiny)
    assert ran(tiny) == 0


# ---- behind a signature


def test_the_operator_is_asked_once_the_gate_is_open(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path, kind="signature")
    answer_with_digits(tiny)
    outcome = guard(tiny, key=key_of("anna"))
    assert outcome.exit_code == 0
    assert outcome.text.startswith("SELF-APPROVED")
    assert "./my-apply.sh" in tiny.asked[0]
    assert tiny.gates == [When.PREFLIGHT, When.APPLY, When.POSTFLIGHT]


def test_nobody_is_asked_behind_a_shut_gate(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path, kind="signature")
    tiny.shut = {When.PREFLIGHT: shut()}
    with pytest.raises(GateShut):
        guard(tiny, key=key_of("anna"))
    assert tiny.asked == []


def test_a_plan_that_waits_for_somebody_else_is_found_again_when_they_have_approved_it(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=GUARDED, approval="  self_approval: false", people=("anna", "ben"))
    write_script(tiny, "echo run >> ran")
    with pytest.raises(ApprovalError, match="waits for its approval") as caught:
        guard(tiny, key=key_of("anna"))
    assert "interlock approve release-" in caught.value.remedy
    (folder,) = [path for path in tiny.books.plans.iterdir() if not path.name.startswith(".")]
    tiny.answers = [folder.name.rpartition("-")[2][:8]]
    runner.approve(tiny.site, folder.name, key_of("ben"), tiny.environ, tiny.means())
    assert guard(tiny, key=key_of("anna")).exit_code == 0
    assert ran(tiny) == 1


def test_a_script_that_was_edited_after_its_approval_is_another_one(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=GUARDED, approval="  self_approval: false", people=("anna", "ben"))
    write_script(tiny, "echo run >> ran")
    with pytest.raises(ApprovalError):
        guard(tiny, key=key_of("anna"))
    (folder,) = [path for path in tiny.books.plans.iterdir() if not path.name.startswith(".")]
    tiny.answers = [folder.name.rpartition("-")[2][:8]]
    runner.approve(tiny.site, folder.name, key_of("ben"), tiny.environ, tiny.means())
    write_script(tiny, "echo run >> ran; echo more >> ran")
    with pytest.raises(ApprovalError, match="waits for its approval"):
        guard(tiny, key=key_of("anna"))
    assert ran(tiny) == 0


def test_the_journal_says_what_was_run(tmp_path: Path) -> None:
    tiny = tiny_site(tmp_path)
    outcome = guard(tiny)
    trail = journals.read(tiny.books.journals, outcome.id)
    assert [(entry.kind, entry.step) for entry in trail.entries if entry.kind is Kind.DID] == [(Kind.DID, 1), (Kind.DID, 2)]
