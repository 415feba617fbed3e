"""Apply, resume, roll back: in the right order, at most once, undone where it fails, and told truly. The gate, the caller and the clock are handed in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan
from interlock.act.lock import locked
from interlock.change.carrying import Said
from interlock.change.verifying import Expectation
from interlock.commands.status import status_text
from interlock.errors import ApprovalError, EvidenceError, GateShut, HalfChanged, LockHeld, StaleError, UsageError
from interlock.evidence.folder import LoadedRun
from interlock.facts.callers import CallerFacts
from interlock.facts.canonical import short
from interlock.gate.journal import End, Kind, Standing
from interlock.verdicts import Outcome as Verdict
from interlock.verdicts import When
from tests.tiny_site import NEW, NOW, OLD, PROGRAMS, SECRET, Tiny, again, make_tiny, shut


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path)


def apply(tiny: Tiny, named: str) -> runner.Outcome:
    return runner.apply(tiny.site, named, tiny.environ, tiny.means())


def standing(tiny: Tiny) -> Standing:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return Standing.of(trail)


def backups(tiny: Tiny) -> list[str]:
    return sorted(path.name for path in tiny.backups.iterdir())


# ---- the good way


def test_an_approved_plan_is_applied_verified_and_recorded(tiny: Tiny) -> None:
    stored = tiny.approved()
    assert tiny.look() == OLD
    outcome = apply(tiny, short(stored.digest))
    assert outcome.exit_code == 0
    assert tiny.look() == NEW
    assert tiny.gates == [When.APPLY, When.POSTFLIGHT]
    assert [step["state"] for step in tiny.kept[0].steps] == ["done"] * 4
    assert tiny.kept[0].exit_code == 0
    assert backups(tiny)[1:] == ["app-20261120T210000Z.tar.zst", "app-20261120T210000Z.tar.zst.json"]
    assert tiny.runs() == 1
    assert tiny.said == ["preflight gate", "step 1 of 4: back up app (class E)", "step 2 of 4: write 2 of 2 files", *tiny.said[3:5], "postflight gate"]


def test_a_self_approved_action_says_so_loudly(tiny: Tiny) -> None:
    stored = tiny.approved()
    assert "SELF-APPROVED" in tiny.asked[0]
    assert apply(tiny, short(stored.digest)).text.startswith("SELF-APPROVED")
    assert "(SELF-APPROVED)" in status_text(tiny.site)


def test_an_action_of_the_operator_needs_no_signature(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, kind="operator")
    stored = tiny.plan()
    assert apply(tiny, short(stored.digest)).exit_code == 0
    assert standing(tiny).begun["approvals"] == []


def test_the_journal_announces_each_step_before_and_records_it_after(tiny: Tiny) -> None:
    stored = tiny.approved()
    outcome = apply(tiny, short(stored.digest))
    trail = journals.read(tiny.books.journals, outcome.id)
    said = [(entry.kind, entry.step) for entry in trail.entries]
    assert said == [
        (Kind.BEGUN, 0),
        *((kind, step) for step in (1, 2) for kind in (Kind.WILL_DO, Kind.DID)),
        (Kind.WILL_DO, 3),
        (Kind.SPAWNED, 3),
        (Kind.DID, 3),
        (Kind.WILL_DO, 4),
        (Kind.DID, 4),
        (Kind.ENDED, 0),
    ]


def test_a_step_that_is_done_already_is_not_done_again(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: [bin/deploy], done: ['true']}\n")
    stored = tiny.approved()
    assert apply(tiny, short(stored.digest)).exit_code == 0
    assert tiny.runs() == 0
    assert standing(tiny).steps[0].data["result"] == "not-needed"


def test_no_secret_is_written_anywhere_but_into_its_target(tmp_path: Path) -> None:
    tiny = make_tiny(
        tmp_path,
        programs={"deploy": "echo $TINY_PASSWORD; echo $TINY_PASSWORD >&2; echo run >> ../instance/runs; touch ../instance/deployed"},
        steps=STEPS_NO_DONE,
    )
    stored = tiny.approved()
    outcome = apply(tiny, short(stored.digest))
    shown = runner.show(tiny.site, short(stored.digest), tiny.environ)
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding == [tiny.instance / "conf" / "app.conf"]
    assert SECRET not in outcome.text + shown + status_text(tiny.site) + "".join(tiny.asked) + json.dumps(
        [dict(step) for step in tiny.kept[0].steps], default=list
    )


COUNTING = "echo run >> ../instance/runs"


def test_what_an_expectation_quotes_is_redacted_before_it_is_written(tiny: Tiny) -> None:
    stored = tiny.approved()
    answer = Expectation(name="deployed", outcome=Verdict.BROKEN, message=f"answered 500: login with {SECRET} failed", attempts=1)
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(verify=lambda _names: [answer]))
    assert outcome.exit_code == 16
    assert "login with *** failed" in outcome.text
    assert SECRET not in outcome.text + (tiny.books.journals / outcome.id / "journal.jsonl").read_text() + str(tiny.kept[0].steps)


def test_what_others_say_does_nothing_to_the_terminal(tiny: Tiny) -> None:
    stored = tiny.approved()
    answer = Expectation(name="deployed", outcome=Verdict.BROKEN, message="\x1b[2Jcleared\u202e", attempts=1)
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(verify=lambda _names: [answer]))
    assert "\x1b" not in outcome.text + status_text(tiny.site)
    assert "\u202e" not in outcome.text + status_text(tiny.site)


def test_names_that_are_no_text_can_be_told(tiny: Tiny) -> None:
    """A failure whose words hold half a character must not stop the undo."""
    stored = tiny.approved()
    answer = Expectation(name="deployed", outcome=Verdict.BROKEN, message="caf\udce9 and \ud800", attempts=1)
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(verify=lambda _names: [answer]))
    assert outcome.exit_code == 16
    assert tiny.look() == OLD


STEPS_NO_DONE = "      - write-files: {templates: [conf]}\n      - command: {run: [bin/deploy]}\n"

# ---- what may not begin


def nothing_happened(tiny: Tiny) -> bool:
    return tiny.look() == OLD and tiny.runs() == 0 and len(backups(tiny)) == 1 and journals.ids(tiny.books.journals) == ()


def test_a_plan_is_applied_at_most_once(tiny: Tiny) -> None:
    stored = tiny.approved()
    apply(tiny, short(stored.digest))
    with pytest.raises(StaleError, match="applied already"):
        apply(tiny, short(stored.digest))
    assert tiny.runs() == 1


def test_a_plan_that_failed_is_used_up_too(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: ['false']}\n")
    stored = tiny.approved()
    assert apply(tiny, short(stored.digest)).exit_code == 18
    with pytest.raises(StaleError, match="applied already"):
        apply(tiny, short(stored.digest))


def test_the_lock_comes_first(tiny: Tiny) -> None:
    stored = tiny.approved()
    with locked(tiny.books.folder, doing="something", user="bert", host="h", now=NOW), pytest.raises(LockHeld, match="something by bert on h"):
        apply(tiny, short(stored.digest))
    assert tiny.gates == []
    assert nothing_happened(tiny)


def test_a_caller_that_is_no_human_is_refused_before_the_gate_runs(tiny: Tiny) -> None:
    stored = tiny.approved()
    tiny.caller = CallerFacts(environment=frozenset({"GITHUB_ACTIONS"}), ancestors=tiny.caller.ancestors, complete=True, terminal_opens=True)
    with pytest.raises(ApprovalError, match="may not apply"):
        apply(tiny, short(stored.digest))
    assert tiny.gates == []
    assert nothing_happened(tiny)


@pytest.mark.parametrize(("answer", "goes_on"), [("yes", True), ("no", False), ("", False)])
def test_ci_on_a_terminal_is_asked_about(tiny: Tiny, answer: str, goes_on: bool) -> None:
    stored = tiny.approved()
    tiny.caller = CallerFacts(environment=frozenset({"CI"}), ancestors=tiny.caller.ancestors, complete=True, terminal_opens=True)
    tiny.answers.append(answer)
    if goes_on:
        assert apply(tiny, short(stored.digest)).exit_code == 0
    else:
        with pytest.raises(ApprovalError, match="nobody said"):
            apply(tiny, short(stored.digest))
        assert nothing_happened(tiny)


@pytest.mark.parametrize("code", [1, 10, 11, 12])
def test_behind_a_shut_gate_nothing_changes(tiny: Tiny, code: int) -> None:
    stored = tiny.approved()
    tiny.shut[When.PREFLIGHT] = shut(code, "the disk is not there")
    with pytest.raises(GateShut, match="the preflight gate is shut") as caught:
        apply(tiny, short(stored.digest))
    assert caught.value.code == code
    assert "the disk is not there" in str(caught.value)
    assert nothing_happened(tiny)


def test_a_plan_without_approval_is_refused(tiny: Tiny) -> None:
    stored = tiny.plan()
    with pytest.raises(ApprovalError, match="nobody has validly approved"):
        apply(tiny, short(stored.digest))
    assert nothing_happened(tiny)


def test_an_expired_approval_is_refused(tiny: Tiny) -> None:
    stored = tiny.approved()
    tiny.later(hours=5)
    with pytest.raises(ApprovalError, match="expired"):
        apply(tiny, short(stored.digest))
    assert nothing_happened(tiny)


def test_an_expired_plan_is_refused(tiny: Tiny) -> None:
    stored = tiny.approved()
    tiny.later(hours=25)
    with pytest.raises(StaleError, match="expired"):
        apply(tiny, short(stored.digest))
    assert nothing_happened(tiny)


def test_a_target_that_changed_since_the_plan_is_stale(tiny: Tiny) -> None:
    stored = tiny.approved()
    (tiny.instance / "conf" / "app.conf").write_text("edited by hand\n")
    with pytest.raises(StaleError, match="live state") as caught:
        apply(tiny, short(stored.digest))
    assert "conf/app.conf" in str(caught.value)
    assert standing_is_empty(tiny)


def standing_is_empty(tiny: Tiny) -> bool:
    return journals.newest(tiny.books.journals) is None


def test_a_script_that_changed_since_the_plan_is_stale(tiny: Tiny) -> None:
    stored = tiny.approved()
    (tiny.root / "bin" / "deploy").write_text("#!/bin/sh\nrm -rf /\n")
    with pytest.raises(StaleError, match="live state"):
        apply(tiny, short(stored.digest))
    assert nothing_happened(tiny)


def test_a_site_file_that_changed_since_the_plan_is_stale(tiny: Tiny) -> None:
    stored = tiny.approved()
    (tiny.root / "interlock.yaml").write_text((tiny.root / "interlock.yaml").read_text() + "# edited\n")
    with pytest.raises(StaleError, match="the site file was changed"):
        apply(again(tiny), short(stored.digest))
    assert nothing_happened(tiny)


def test_a_value_of_the_environment_that_changed_stops_the_action_before_a_file_changes(tiny: Tiny) -> None:
    stored = tiny.approved()
    tiny.environ["TINY_PASSWORD"] = "another-password"
    outcome = apply(again(tiny), short(stored.digest))
    assert outcome.exit_code == 16
    assert "does not come to the planned bytes" in outcome.text
    assert tiny.look() == OLD


def test_an_edited_plan_is_no_plan(tiny: Tiny) -> None:
    stored = tiny.approved()
    path = stored.folder / "plan.json"
    path.write_bytes(path.read_bytes().replace(b'"timeout":3600', b'"timeout":9999'))
    with pytest.raises(StaleError, match="edited"):
        apply(tiny, str(stored.folder))
    assert nothing_happened(tiny)


def test_an_unfinished_action_blocks_another(tiny: Tiny) -> None:
    first, second = tiny.approved(), None
    tiny.later(seconds=1)
    second = tiny.approved()
    _begin_and_die(tiny, first.folder.name)
    with pytest.raises(HalfChanged, match="never ended"):
        apply(tiny, short(second.digest))


def _begin_and_die(tiny: Tiny, named: str, *, at: str = "verify") -> None:
    """Apply until the expectations are judged, and stop there as if killed: nothing is caught, nothing written any more."""

    class Killed(BaseException):
        pass

    def die(_names: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        runner.apply(tiny.site, named, tiny.environ, tiny.means(**{at: die}))


# ---- what fails


def test_a_failed_step_is_undone_in_reverse(tmp_path: Path) -> None:
    log = "echo {} >> ../instance/runs"
    tiny = make_tiny(
        tmp_path,
        programs={name: log.format(name) for name in ("a", "b", "un-a", "un-b")},
        steps="      - write-files: {templates: [conf]}\n"
        "      - command: {run: [bin/a], undo: [bin/un-a]}\n"
        "      - command: {run: [bin/b], undo: [bin/un-b]}\n"
        "      - verify: {expect: [deployed]}\n",
    )
    stored = tiny.approved()
    outcome = apply(tiny, short(stored.digest))
    assert outcome.exit_code == 16
    assert (tiny.instance / "runs").read_text().split() == ["a", "b", "un-b", "un-a"]
    assert tiny.look() == OLD
    assert standing(tiny).end is End.UNDONE
    assert tiny.gates == [When.APPLY]
    assert tiny.kept[0].exit_code == 16


def test_what_cannot_be_undone_is_named_and_the_rest_is_undone(tmp_path: Path) -> None:
    tiny = make_tiny(
        tmp_path,
        steps="      - write-files: {templates: [conf]}\n      - command: {run: [touch, instance/left]}\n      - verify: {expect: [deployed]}\n",
    )
    stored = tiny.approved()
    outcome = apply(tiny, short(stored.digest))
    assert outcome.exit_code == 18
    assert "HALF-CHANGED" in outcome.text
    assert "step 2, command: touch has no undo" in outcome.text
    assert tiny.look() == OLD | {"left": "0644 "}
    assert standing(tiny).numbers([standing(tiny).steps[1].state]) == [2]
    assert "interlock rollback" in status_text(tiny.site)


def test_a_backup_that_fails_stops_the_action_before_anything_changes(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, programs=PROGRAMS | {"tar": "echo tar: no such luck >&2; exit 2"})
    tiny.environ["PATH"] = f"{tiny.root}/bin:{tiny.environ['PATH']}"
    stored = tiny.approved()
    outcome = apply(tiny, short(stored.digest))
    assert outcome.exit_code == 16
    assert "tar ended with 2: tar: no such luck" in outcome.text
    assert (tiny.look(), tiny.runs(), len(backups(tiny))) == (OLD, 0, 1)


def test_facts_that_aged_while_the_backup_was_made_are_looked_at_again(tiny: Tiny) -> None:
    stored = tiny.approved()

    def gate(when: When, asked_for: StoredPlan) -> object:
        gated = tiny._gate(when, asked_for)
        if len(tiny.gates) == 1:
            tiny.later(seconds=301)
        return gated

    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(gate=gate))
    assert outcome.exit_code == 0
    assert tiny.gates == [When.APPLY, When.PREFLIGHT, When.POSTFLIGHT]


def test_a_gate_that_shuts_between_backup_and_change_stops_the_action(tiny: Tiny) -> None:
    stored = tiny.approved()

    def gate(when: When, asked_for: StoredPlan) -> object:
        gated = tiny._gate(when, asked_for)
        tiny.later(seconds=301)
        tiny.shut[When.PREFLIGHT] = shut()
        return gated

    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(gate=gate))
    assert outcome.exit_code == 16
    assert tiny.look() == OLD
    assert tiny.runs() == 0


def test_a_shut_postflight_undoes_what_can_be_undone(tiny: Tiny) -> None:
    stored = tiny.approved()
    tiny.shut[When.POSTFLIGHT] = shut(text="the app does not answer")
    outcome = apply(tiny, short(stored.digest))
    assert outcome.exit_code == 16
    assert "the app does not answer" in outcome.text
    assert tiny.look() == OLD


def test_a_shut_postflight_leaves_an_action_that_cannot_be_undone_and_says_so(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - write-files: {templates: [conf]}\n      - command: {run: ['true']}\n")
    stored = tiny.approved()
    tiny.shut[When.POSTFLIGHT] = shut(text="the app does not answer")
    outcome = apply(tiny, short(stored.digest))
    assert outcome.exit_code == 18
    assert "not verified" in outcome.text
    assert "workers = 4" in tiny.look()["conf/app.conf"]
    assert standing(tiny).end is End.UNVERIFIED
    del tiny.shut[When.POSTFLIGHT]
    assert runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0
    assert standing(tiny).end is End.DONE


def test_an_action_without_postflight_guardrails_says_that_nothing_was_verified(tiny: Tiny) -> None:
    stored = tiny.approved()
    outcome = runner.apply(
        tiny.site, short(stored.digest), tiny.environ, tiny.means(gate=lambda when, stored: None if when is When.POSTFLIGHT else tiny._gate(when, stored))
    )
    assert outcome.exit_code == 0
    assert "nothing was verified" in outcome.text


def test_evidence_that_cannot_be_written_is_17_after_a_good_end_and_hides_no_bad_one(tmp_path: Path) -> None:
    def full(_applied: object) -> object:
        raise EvidenceError("the disk is full")

    good = make_tiny(tmp_path / "good")
    stored = good.approved()
    outcome = runner.apply(good.site, short(stored.digest), good.environ, good.means(keep=full))
    assert (outcome.exit_code, outcome.evidence) == (17, None)
    assert good.look() == NEW
    bad = make_tiny(tmp_path / "bad", steps="      - command: {run: ['false']}\n")
    stored = bad.approved()
    assert runner.apply(bad.site, short(stored.digest), bad.environ, bad.means(keep=full)).exit_code == 18


# ---- going on


def test_resume_finishes_what_was_interrupted_under_the_first_approval(tiny: Tiny) -> None:
    stored = tiny.approved()
    _begin_and_die(tiny, stored.folder.name)
    assert standing(tiny).end is None
    tiny.later(days=3)
    outcome = runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert outcome.exit_code == 0
    assert tiny.look() == NEW
    assert tiny.runs() == 1


def test_rollback_undoes_what_was_interrupted_and_needs_no_gate(tiny: Tiny) -> None:
    stored = tiny.approved()
    _begin_and_die(tiny, stored.folder.name)
    assert tiny.look() == NEW
    tiny.gates.clear()
    outcome = runner.rollback(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert outcome.exit_code == 0
    assert tiny.gates == []
    assert tiny.look() == OLD
    assert standing(tiny).end is End.UNDONE


def test_resume_needs_an_open_gate(tiny: Tiny) -> None:
    stored = tiny.approved()
    _begin_and_die(tiny, stored.folder.name)
    tiny.shut[When.PREFLIGHT] = shut()
    with pytest.raises(GateShut):
        runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert standing(tiny).end is None


def test_a_finished_action_is_told_of_again_and_nothing_is_done(tiny: Tiny) -> None:
    stored = tiny.approved()
    first = apply(tiny, short(stored.digest))
    again = runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert (again.exit_code, again.id, again.evidence) == (0, first.id, first.evidence)
    assert "nothing is left to do" in again.text
    assert (tiny.look(), tiny.runs(), len(tiny.kept)) == (NEW, 1, 1)


def test_an_action_that_went_well_is_not_rolled_back(tiny: Tiny) -> None:
    stored = tiny.approved()
    apply(tiny, short(stored.digest))
    with pytest.raises(UsageError, match="is finished"):
        runner.rollback(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert tiny.look() == NEW


def test_an_undone_action_is_told_of_again_by_both_verbs(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - write-files: {templates: [conf]}\n      - command: {run: ['false'], undo: ['true']}\n")
    stored = tiny.approved()
    assert apply(tiny, short(stored.digest)).exit_code == 16
    for verb, code in ((runner.resume, 16), (runner.rollback, 0)):
        again = verb(tiny.site, short(stored.digest), tiny.environ, tiny.means())
        assert (again.exit_code, "is undone, everything is as it was" in again.text) == (code, True)
    assert (tiny.look(), len(tiny.kept)) == (OLD, 1)


def test_evidence_that_a_kill_kept_from_being_written_is_written_by_a_resume(tiny: Tiny) -> None:
    stored = tiny.approved()

    def dies(_applied: object) -> LoadedRun:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(keep=dies))
    assert (standing(tiny).end, tiny.kept) == (End.DONE, [])
    again = runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert (again.exit_code, len(tiny.kept), tiny.runs()) == (0, 1, 1)
    assert tiny.kept[0].exit_code == 0


def test_a_plan_that_was_never_begun_is_neither_resumed_nor_rolled_back(tiny: Tiny) -> None:
    stored = tiny.approved()
    for verb in (runner.resume, runner.rollback):
        with pytest.raises(UsageError, match="no action of plan"):
            verb(tiny.site, short(stored.digest), tiny.environ, tiny.means())


def test_what_a_human_says_of_an_interrupted_command_is_believed_and_written_down(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: [bin/deploy], undo: [bin/undeploy]}\n", programs={"deploy": COUNTING, "undeploy": "true"})
    stored = tiny.approved()
    _kill_after_spawn(tiny, stored.folder.name)
    before = tiny.runs()
    assert runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means(), {1: Said.DONE}).exit_code == 0
    assert tiny.runs() == before
    assert standing(tiny).steps[0].data["said_by"]


def test_a_command_that_nobody_can_tell_about_is_undone_rather_than_run_twice(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: [bin/deploy], undo: [bin/undeploy]}\n", programs={"deploy": COUNTING, "undeploy": "true"})
    stored = tiny.approved()
    _kill_after_spawn(tiny, stored.folder.name)
    outcome = runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert outcome.exit_code == 16
    assert "nobody knows whether bin/deploy had ended" in outcome.text
    assert tiny.runs() == 0


@pytest.mark.parametrize("number", [1, 2, 4, 0, 99])
def test_what_is_said_of_a_step_that_was_not_interrupted_is_refused(tiny: Tiny, number: int) -> None:
    stored = tiny.approved()
    _kill_after_spawn(tiny, stored.folder.name)
    with pytest.raises(UsageError, match=f"step {number} is no open question"):
        runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means(), {number: Said.DONE})
    assert standing(tiny).end is None


def test_a_command_is_run_again_when_a_human_says_so(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: [bin/deploy]}\n", programs={"deploy": COUNTING})
    stored = tiny.approved()
    _kill_after_spawn(tiny, stored.folder.name)
    assert runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means(), {1: Said.AGAIN}).exit_code == 0
    assert tiny.runs() == 1


def _kill_after_spawn(tiny: Tiny, named: str) -> None:
    """As if the runner had been killed between announcing the program and opening its door."""

    class Killed(BaseException):
        pass

    with pytest.MonkeyPatch.context() as patch:

        def die(_process: object) -> None:
            raise Killed

        patch.setattr("interlock.act.programs.Program.open_door", die)
        with pytest.raises(Killed):
            runner.apply(tiny.site, named, tiny.environ, tiny.means())
