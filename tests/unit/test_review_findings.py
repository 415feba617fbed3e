"""What a review of the runner found: each was wrong once, for an operator or for somebody with bad intentions."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock import runner
from interlock.act import journal
from interlock.act.books import store_plan
from interlock.change.planning import make_plan
from interlock.cli import main
from interlock.commands.status import status_text
from interlock.config.actions import ApprovalKind
from interlock.config.load import load_site
from interlock.errors import ConfigError, LockHeld, StaleError
from interlock.facts.canonical import short
from interlock.gate.journal import Entry, Kind
from interlock.observe.eyes import boot_id, process_started
from interlock.verdicts import When
from tests.tiny_site import OLD, Tiny, key_of, make_tiny, shut

COUNT = "      - command: {run: [bin/deploy], undo: [bin/undeploy]}\n"
WAITS = "      - approval: {asks: Is it right?, by: [bert]}\n"


def status(tiny: Tiny) -> list[str]:
    return status_text(tiny.site, now=tiny.now).splitlines()


def copy_of(tiny: Tiny, folder: Path) -> Tiny:
    """The whole checkout once more, books and all."""
    shutil.copytree(tiny.root, folder, symlinks=True)
    return dataclasses.replace(tiny, root=folder, site=load_site(folder / "interlock.yaml", tiny.environ))


def test_a_copy_of_the_checkout_does_not_make_one_approval_good_for_two(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=COUNT)
    plan = short(tiny.approved().digest)
    other = copy_of(tiny, tmp_path / "copy")
    assert runner.apply(tiny.site, plan, tiny.environ, tiny.means()).exit_code == 0
    with pytest.raises(StaleError, match=f"the plan was made for {tiny.root}/interlock.yaml") as raised:
        runner.apply(other.site, plan, other.environ, other.means())
    assert "another checkout keeps books of its own" in raised.value.why
    assert tiny.runs() == 1


def test_what_was_begun_is_not_finished_in_a_copy_of_the_checkout(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=WAITS + COUNT, people=("anna", "bert"))
    plan = short(tiny.approved("bert").digest)
    assert runner.apply(tiny.site, plan, tiny.environ, tiny.means()).exit_code == 13
    other = copy_of(tiny, tmp_path / "copy")
    with pytest.raises(StaleError, match="the plan was made for"):
        runner.resume(other.site, plan, other.environ, other.means())


def test_a_checkout_may_be_reached_by_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a link, and by a relative name."""
    tiny = make_tiny(tmp_path, steps=COUNT)
    (tmp_path / "current").symlink_to(tiny.root)
    monkeypatch.chdir(tmp_path)
    site = load_site(Path("current/interlock.yaml"), tiny.environ)
    stored = make_plan(site, "release", tiny.environ, now=tiny.now, key=key_of("anna"))
    tiny.approve(stored, "anna")
    assert runner.apply(tiny.site, str(stored.folder), tiny.environ, tiny.means()).exit_code == 0


def test_a_plan_does_not_say_itself_that_it_needs_no_signature(tmp_path: Path) -> None:
    """Edited, and put where its new digest says: the gate asks what the site says, and so does what stands behind the gate."""
    tiny = make_tiny(tmp_path, steps=COUNT)
    forged = tiny.plan().plan.model_copy(update={"approval": ApprovalKind.OPERATOR})
    file = store_plan(tiny.books, forged, {}, None)
    with pytest.raises(StaleError, match="the plan says `approval: operator`"):
        runner.apply(tiny.site, str(file), tiny.environ, tiny.means())
    unknown = store_plan(tiny.books, forged.model_copy(update={"action": "other"}), {}, None)
    with pytest.raises(StaleError, match="the plan says `approval: operator`"):
        runner.apply(tiny.site, str(unknown), tiny.environ, tiny.means())
    assert tiny.runs() == 0


def test_a_plan_that_waits_is_not_told_to_be_made_again(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=WAITS + COUNT, people=("anna", "bert"))
    plan = short(tiny.approved("bert").digest)
    assert runner.apply(tiny.site, plan, tiny.environ, tiny.means()).exit_code == 13
    with pytest.raises(StaleError, match="applied already") as raised:
        runner.apply(tiny.site, plan, tiny.environ, tiny.means())
    assert raised.value.why.endswith(", which has not ended well")
    assert raised.value.remedy == "interlock status; then resume it or roll it back"


def test_the_next_command_after_the_word_of_mid_plan_is_resume(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=WAITS + COUNT, people=("anna", "bert"))
    plan = short(tiny.approved("bert").digest)
    runner.apply(tiny.site, plan, tiny.environ, tiny.means())
    assert status(tiny)[-1].startswith(f"next: interlock approve {plan}; then interlock resume {plan} ")
    tiny.answers.append(_digits_of_what_waits(tiny))
    runner.approve(tiny.site, plan, key_of("bert"), tiny.environ, tiny.means())
    assert status(tiny)[-1].startswith(f"next: interlock resume {plan} ")


def _digits_of_what_waits(tiny: Tiny) -> str:
    trail = journal.newest(tiny.books.journals)
    assert trail is not None
    return short(trail.entries[-1].digest)


def test_status_does_not_send_anybody_to_apply_a_plan_for_a_site_file_that_was_edited_since(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=COUNT)
    plan = short(tiny.approved().digest)
    file = tiny.root / "interlock.yaml"
    file.write_text(file.read_text() + "# a remark\n")
    edited = dataclasses.replace(tiny, site=load_site(file, tiny.environ))
    assert f"plan {plan} release: STALE, the site file was changed since; make it again" in status(edited)
    assert status(edited)[-1] == "next: interlock plan release"


def test_status_sends_nobody_to_approve_what_needs_no_signature(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=COUNT, kind="operator")
    plan = short(tiny.plan().digest)
    assert any(line.endswith("; needs no signature") for line in status(tiny))
    assert status(tiny)[-1] == f"next: interlock apply {plan}"


def test_status_tells_to_wait_for_a_program_that_outlived_the_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two verbs that it names are refused until then. This process stands for the program."""
    tiny = make_tiny(tmp_path, steps=COUNT)
    plan = short(tiny.approved().digest)
    append = journal.Journal.append

    def killed_once_it_runs(self: journal.Journal, kind: Kind, step: int, data: Mapping[str, Any]) -> Entry:
        if kind is not Kind.SPAWNED:
            return append(self, kind, step, data)
        append(self, kind, step, {"pid": os.getpid(), "started": process_started(os.getpid()), "boot": boot_id()})
        raise KeyboardInterrupt

    monkeypatch.setattr(journal.Journal, "append", killed_once_it_runs)
    with pytest.raises(KeyboardInterrupt):
        runner.apply(tiny.site, plan, tiny.environ, tiny.means())
    assert status(tiny)[-1].endswith(f"(or: interlock rollback {plan})   once process {os.getpid()} has ended")
    with pytest.raises(LockHeld, match="still runs"):
        runner.rollback(tiny.site, plan, tiny.environ, tiny.means())


def test_a_command_is_not_said_to_be_done_and_to_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = make_tiny(tmp_path, steps=COUNT)
    monkeypatch.chdir(tiny.root)
    assert main(["resume", "3fa94c1e", "--done", "2", "--again", "2"]) == 64
    assert "step 2 is said to be done, and to be run again" in capsys.readouterr().err


def test_a_directory_is_no_program(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: [./bin]}\n")
    with pytest.raises(ConfigError, match=r"there is no program \./bin"):
        tiny.plan()


def test_an_input_that_fails_while_it_is_read_is_named(tmp_path: Path) -> None:
    """An open that succeeds says nothing of the first read: /proc/self/mem is a regular file."""
    tiny = make_tiny(tmp_path, steps="      - command: {run: [cat, /proc/self/mem]}\n")
    with pytest.raises(ConfigError, match=r"/proc/self/mem cannot be read: Input/output error"):
        tiny.plan()


def test_status_names_the_file_that_is_not_put_back_and_why(tmp_path: Path) -> None:
    steps = "      - write-files: {templates: [conf]}\n      - command: {run: [bin/deploy]}\n      - command: {run: ['false'], undo: ['true']}\n"
    tiny = make_tiny(tmp_path, steps=steps, programs={"deploy": "echo somebody >> ../instance/conf/app.conf"})
    assert runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means()).exit_code == 18
    left = next(line for line in status(tiny) if line.startswith("  step 1: NOT undone"))
    assert left == f"  step 1: NOT undone: 1 of 1 files are not put back ({tiny.instance}/conf/app.conf: it was changed by somebody else since)"
    assert status(tiny)[-1].endswith("(it cannot undo step 2: mend that by hand, then interlock plan release)")


def test_how_an_action_ended_is_told_in_whole_sentences(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps=COUNT)
    done = runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means())
    assert "(1 step, 000001-" in done.text
    other = make_tiny(tmp_path / "other")
    other.shut[When.POSTFLIGHT] = shut()
    undone = runner.apply(other.site, short(other.approved().digest), other.environ, other.means())
    assert (undone.exit_code, other.look()) == (16, OLD)
    assert "the postflight gate is shut; why: mounts.state_disk [state] it is broken; remedy: mend it" in undone.text


def test_a_file_with_several_faults_names_the_first_where_there_is_one_line_for_it() -> None:
    first, second = (ConfigError("this line cannot be used", where=f"allowed_signers:{line}", why="it has no key") for line in (3, 4))
    one = ConfigError("allowed_signers does not say who may approve", problems=(first,))
    two = ConfigError("allowed_signers does not say who may approve", problems=(first, second))
    told = "allowed_signers does not say who may approve: allowed_signers:3: this line cannot be used (it has no key)"
    assert (one.sentence, two.sentence) == (told, f"{told}; and 1 more")
    assert first.sentence == "allowed_signers:3: this line cannot be used (it has no key)"
