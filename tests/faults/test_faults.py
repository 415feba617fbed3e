"""Full disks, jumping clocks, second runners, books that were tampered with: the runner stops where it is safe, and says what is so."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.act.books import StoredPlan
from interlock.change.carrying import Said
from interlock.commands.status import status_text
from interlock.errors import ApprovalError, EvidenceError, HalfChanged, LockHeld, StaleError
from interlock.facts.canonical import short
from interlock.gate.decision import Open
from interlock.gate.journal import End, Entry, Kind, Standing, State
from interlock.verdicts import When
from tests.act_bench import child_environ
from tests.faults.explorer import forked
from tests.tiny_site import NEW, NOW, OLD, Tiny, again, make_tiny

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


def apply(tiny: Tiny, **changed: object) -> runner.Outcome:
    return runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means(**changed))


def standing(tiny: Tiny) -> Standing:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return Standing.of(trail)


# ---- full disks


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=2m,mode=0755", "tmpfs", folder), check=True)
    yield folder
    subprocess.run(("umount", folder), check=True)


FILL = "seq 1 3000; rm -f {also}; dd if=/dev/zero of=../instance/fill bs=4096 2>/dev/null || true"
FILLING = """\
      - write-files: {templates: [conf]}
      - command: {run: [bin/fill], undo: [rm, -f, instance/fill]}
      - verify: {expect: [deployed]}
"""


@AS_ROOT
def test_when_a_step_fills_the_disk_the_journal_still_says_so_and_everything_is_undone(small: Path) -> None:
    """The journal's reserve makes room for what must still be said."""
    tiny = make_tiny(small, steps=FILLING, programs={"fill": FILL.format(also="")})
    outcome = apply(tiny)
    assert outcome.exit_code == 16
    assert tiny.look() == OLD
    assert standing(tiny).end is End.UNDONE


@AS_ROOT
def test_when_nothing_can_be_written_any_more_the_runner_stops_and_can_be_taken_up_again(small: Path) -> None:
    tiny = make_tiny(small, steps=FILLING, programs={"fill": FILL.format(also="../.interlock/journal/*/reserve")})
    stored = tiny.approved()
    with pytest.raises(HalfChanged, match="the journal cannot be written") as caught:
        runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert "interlock rollback" in caught.value.remedy
    assert "UNFINISHED" in status_text(tiny.site)
    (tiny.instance / "fill").unlink()
    assert runner.rollback(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0
    assert tiny.look() == OLD


@AS_ROOT
def test_when_there_is_no_room_to_begin_nothing_is_begun(small: Path) -> None:
    tiny = make_tiny(small)
    stored = tiny.approved()
    subprocess.run(("dd", "if=/dev/zero", f"of={tiny.instance}/fill", "bs=4096"), capture_output=True, check=False)
    with pytest.raises((LockHeld, EvidenceError), match="No space left on device") as caught:
        runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert "make room" in caught.value.remedy
    (tiny.instance / "fill").unlink()
    assert tiny.look() == OLD
    assert journals.newest(tiny.books.journals) is None
    assert runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0


@AS_ROOT
def test_when_there_is_no_room_for_the_new_files_the_old_ones_stay(small: Path) -> None:
    tiny = make_tiny(small, steps="      - write-files: {templates: [conf, motd]}\n")
    (tiny.root / "templates" / "motd").write_text("long\n" * 150_000)
    outcome = apply(tiny)
    assert outcome.exit_code == 16
    assert "No space left on device" in outcome.text
    assert str(tiny.instance / "motd") in outcome.text
    assert tiny.look() == OLD


@pytest.mark.parametrize("call", ["fsync", "rename", "write"])
def test_an_error_of_the_disk_in_mid_action_is_undone_or_told(tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO from the Nth call on a file of the instance: whatever N is, the system is all-old or the journal says what is not."""
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    real = getattr(os, call)

    def broken(*arguments: object, **named: object) -> object:
        place = os.readlink(f"/proc/self/fd/{arguments[0]}") if isinstance(arguments[0], int) else str(arguments[1])
        if place.startswith(str(tiny.instance)) or (call == "rename" and "src_dir_fd" in named):
            raise OSError(5, "Input/output error")
        return real(*arguments, **named)

    monkeypatch.setattr(os, call, broken)
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    monkeypatch.undo()
    assert outcome.exit_code == 16
    assert "Input/output error" in outcome.text
    assert tiny.look() == OLD


@pytest.mark.parametrize("room", [0, 1, 50, 300, 700])
def test_a_journal_that_may_not_grow_any_more_is_cut_back_and_taken_up_again(tmp_path: Path, room: int) -> None:
    """The kernel itself cuts a write short (RLIMIT_FSIZE), for root and for others alike: the rest of the line is never acted upon."""
    tiny = make_tiny(tmp_path, steps="      - write-files: {templates: [conf]}\n")
    stored = tiny.approved()

    def say(what: str) -> None:
        if what.startswith("step 1"):
            (journal,) = tiny.books.journals.glob("*/journal.jsonl")
            resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + room, resource.RLIM_INFINITY))

    def limited() -> int:
        try:
            return runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(say=say)).exit_code
        except HalfChanged as error:
            return error.exit_code

    assert forked(limited) == 18
    assert "UNFINISHED" in status_text(tiny.site, now=NOW)
    tiny._gated(When.APPLY, "release", Open())
    assert runner.rollback(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0
    assert tiny.look() == OLD


# ---- clocks


def test_a_clock_that_is_set_back_in_mid_action_stops_it(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    tiny.later(minutes=30)

    def gate(when: object, asked_for: StoredPlan) -> object:
        return tiny._gate(when, asked_for)  # type: ignore[arg-type]

    moments: Iterator[datetime] = iter([tiny.now] * 12)
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(clock=lambda: next(moments, NOW - timedelta(days=1)), gate=gate))
    assert outcome.exit_code == 16
    assert "the clearance is too old" in outcome.text or "look at the clock" in outcome.text
    assert tiny.look() == OLD


def test_an_action_that_takes_longer_than_its_clearance_starts_no_further_step(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - write-files: {templates: [conf]}\n      - command: {run: [bin/deploy], undo: [bin/undeploy]}\n")
    stored = tiny.approved()
    content = tiny.means().clock

    def slow() -> datetime:
        return content() + (timedelta(hours=2) if "workers" in (tiny.instance / "conf" / "app.conf").read_text() else timedelta(0))

    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(clock=slow))
    assert outcome.exit_code == 16
    assert "the clearance is too old" in outcome.text
    assert (tiny.look(), tiny.runs()) == (OLD, 0)


# ---- a second runner


def test_of_many_runners_at_once_exactly_one_applies(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    script = """
        import sys
        from pathlib import Path
        from interlock import runner
        from interlock.errors import InterlockError
        from tests.tiny_site import Tiny, load_site
        root, plan = Path(sys.argv[1]), sys.argv[2]
        import json, os
        environ = json.loads(sys.argv[3])
        tiny = Tiny(root=root, site=load_site(root / "interlock.yaml", environ), environ=environ)
        sys.stdin.readline()
        try:
            print(runner.apply(tiny.site, plan, environ, tiny.means()).exit_code)
        except InterlockError as error:
            print(error.exit_code)
    """
    import json

    argv = (sys.executable, "-c", textwrap.dedent(script), str(tiny.root), short(stored.digest), json.dumps(tiny.environ))
    racing = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environ()) for _ in range(4)]
    for process in racing:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    codes = sorted(int(process.communicate()[0]) for process in racing)
    assert codes[0] == 0
    assert set(codes[1:]) <= {14, 15}
    assert (tiny.look(), tiny.runs()) == (NEW, 1)


# ---- books that were tampered with


def test_a_journal_that_was_taken_away_does_not_let_its_plan_be_used_again(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    (tiny.books.journals / outcome.id).rename(tmp_path / "elsewhere")
    with pytest.raises(EvidenceError, match="does not verify"):
        runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())


def test_a_shortened_journal_stops_everything(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    path = tiny.books.journals / outcome.id / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    for verb in (runner.apply, runner.resume, runner.rollback):
        with pytest.raises(EvidenceError, match="does not verify"):
            verb(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert tiny.look() == NEW


def test_old_bytes_that_were_tampered_with_are_not_put_back_and_that_is_told(tmp_path: Path) -> None:
    tiny = make_tiny(
        tmp_path, steps="      - write-files: {templates: [conf]}\n      - command: {run: [bin/spoil], undo: ['true']}\n", programs={"spoil": SPOIL}
    )
    outcome = apply(tiny)
    assert outcome.exit_code == 18
    assert "the old bytes that were kept for it are damaged" in outcome.text
    assert standing(tiny).end is End.HALF


SPOIL = "for kept in ../.interlock/journal/*/undo/*; do echo spoiled > $kept; done; exit 1"


def test_what_the_program_of_a_step_writes_into_a_target_is_not_overwritten_by_the_undo(tmp_path: Path) -> None:
    tiny = make_tiny(
        tmp_path,
        steps="      - write-files: {templates: [conf]}\n      - command: {run: [bin/edit], undo: ['true']}\n",
        programs={"edit": "echo mine > ../instance/conf/app.conf; exit 1"},
    )
    outcome = apply(tiny)
    assert outcome.exit_code == 18
    assert "was changed by somebody else since" in outcome.text
    assert tiny.look() == {"conf/app.conf": "0600 mine\n"}


def test_a_template_that_was_edited_after_the_approval_changes_nothing(tmp_path: Path) -> None:
    """What was approved lies beside the plan (motd), or must come to the same digest (app.conf)."""
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    (tiny.root / "templates" / "motd").write_text("not approved\n")
    assert runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0
    assert tiny.look() == NEW
    second = make_tiny(tmp_path / "second")
    stored = second.approved()
    (second.root / "templates" / "app.conf").write_text("not approved ${DB_PASSWORD}\n")
    outcome = runner.apply(second.site, short(stored.digest), second.environ, second.means())
    assert (outcome.exit_code, second.look()) == (16, OLD)


def test_a_forged_plan_with_a_name_that_fits_has_no_approval(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    forged = stored.plan.model_copy(update={"timeout": 9999})
    folder = tiny.books.plans / f"release-{forged.digest[7:23]}"
    folder.mkdir(mode=0o700)
    (folder / "plan.json").write_bytes(forged.to_bytes())
    (stored.folder / "blobs").rename(folder / "blobs")
    (tiny.books.approvals / stored.folder.name).rename(tiny.books.approvals / folder.name)
    with pytest.raises(ApprovalError, match="nobody has validly approved this plan") as caught:
        runner.apply(tiny.site, short(forged.digest), tiny.environ, tiny.means())
    assert "it is for another plan" in caught.value.why
    assert tiny.look() == OLD


def test_after_a_kill_before_the_first_entry_the_plan_is_still_what_comes_next(tmp_path: Path) -> None:
    """The action's folder is there, and nothing was begun."""
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    name = journals.next_id(tiny.books.journals, action="release", plan_digest=stored.digest)
    (tiny.books.journals / name).mkdir(mode=0o700)
    assert f"next: interlock apply {short(stored.digest)}" in status_text(tiny.site, now=NOW)
    assert runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0


# ---- taken up again on a system that has lost something meanwhile


def cut_short(tiny: Tiny, named: str, *, step: int) -> None:
    """As if the runner had been killed after a step had done its work, and before the journal says so."""

    class Killed(BaseException):
        pass

    append = journals.Journal.append

    def dying(journal: journals.Journal, kind: Kind, number: int, data: Mapping[str, Any]) -> Entry:
        if (kind, number) == (Kind.DID, step):
            raise Killed
        return append(journal, kind, number, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journals.Journal, "append", dying)
        with pytest.raises(Killed):
            runner.apply(tiny.site, named, tiny.environ, tiny.means())


@pytest.mark.parametrize(
    ("step", "lost", "said"),
    [
        ("{run: [bin/deploy], undo: [bin/undeploy]}", "deploy", {2: Said.AGAIN}),
        ("{run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}", "deployed", {}),
        ("{run: [bin/deploy], undo: [bin/undeploy], done: ['false']}", "deploy", {}),
    ],
)
def test_what_a_command_did_before_the_crash_is_undone_also_when_it_cannot_be_run_again(tmp_path: Path, step: str, lost: str, said: dict[int, Said]) -> None:
    """That this time nothing was started says nothing of the last time."""
    tiny = make_tiny(tmp_path, steps=f"      - write-files: {{templates: [conf]}}\n      - command: {step}\n")
    stored = tiny.approved()
    cut_short(tiny, short(stored.digest), step=2)
    assert "deployed" in tiny.look()
    (tiny.root / "bin" / lost).unlink()
    assert runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means(), said).exit_code == 16
    assert tiny.look() == OLD


def test_an_endpoint_whose_new_side_was_never_seen_to_answer_is_not_switched_by_a_resume_either(tmp_path: Path) -> None:
    """Killed while it was looked at: the resume looks."""

    class Killed(BaseException):
        pass

    def killing(_names: object) -> object:
        raise Killed

    tiny = make_tiny(
        tmp_path, steps="      - endpoint: {command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}, before: [ready], after: [deployed]}\n"
    )
    stored = tiny.approved()
    with pytest.raises(Killed):
        runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means(verify=killing))
    tiny.failing.add("ready")
    outcome = runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert (outcome.exit_code, tiny.runs(), tiny.look()) == (16, 0, OLD)


def test_a_resume_after_the_site_file_was_edited_names_the_ways_that_are_left(tmp_path: Path) -> None:
    """A new plan is none of them: it could not be applied over an action that never ended."""
    tiny = make_tiny(tmp_path)
    stored = tiny.approved()
    cut_short(tiny, short(stored.digest), step=2)
    with (tiny.root / "interlock.yaml").open("a") as file:
        file.write("# a thought\n")
    edited = again(tiny)
    with pytest.raises(StaleError, match="the site file was changed") as caught:
        runner.resume(edited.site, short(stored.digest), tiny.environ, tiny.means())
    assert caught.value.remedy == f"put that back as it was; or: interlock rollback {short(stored.digest)}"
    assert runner.rollback(edited.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0
    assert tiny.look() == OLD


def test_status_asks_for_a_humans_word_about_a_command_that_nobody_else_can_tell_about(tmp_path: Path) -> None:
    """A resume without that word would undo what was done well."""
    tiny = make_tiny(tmp_path, steps="      - command: {run: [bin/deploy], undo: [bin/undeploy]}\n")
    stored = tiny.approved()
    cut_short(tiny, short(stored.digest), step=1)
    assert f"next: interlock resume {short(stored.digest)} --done 1, or --again 1, once you have looked" in status_text(tiny.site, now=NOW)
    assert runner.resume(tiny.site, short(stored.digest), tiny.environ, tiny.means(), {1: Said.DONE}).exit_code == 0


# ---- calls that fail, one after the other


def failing(patch: pytest.MonkeyPatch, name: str, *numbers: int) -> None:
    """Let these calls of a function of `os`, counted from now and from 1, fail with EIO."""
    real, calls = getattr(os, name), itertools.count(1)

    def broken(*arguments: Any, **named: Any) -> Any:
        if next(calls) in numbers:
            raise OSError(5, "Input/output error")
        return real(*arguments, **named)

    patch.setattr(os, name, broken)


def a_journal(folder: Path) -> journals.Journal:
    folder.mkdir(mode=0o700)
    data = {"plan": "sha256:" + "0" * 64, "steps": 1}
    return journals.Journal.begin(folder, id="000001-release-00000000", clock=lambda: NOW, data=data)


def test_a_failed_append_that_could_not_be_taken_back_at_once_is_taken_back_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the line that nobody acted upon stands before the next one, and the journal never verifies again."""
    journal = a_journal(tmp_path / "journal")
    failing(monkeypatch, "fsync", 1)
    failing(monkeypatch, "ftruncate", 1)
    with pytest.raises(EvidenceError, match="cannot be written"):
        journal.append(Kind.WILL_DO, 1, {})
    journal.append(Kind.WILL_UNDO, 1, {})
    journal.close()
    assert [entry.kind for entry in journals.read(tmp_path / "journal", journal.id).entries] == [Kind.BEGUN, Kind.WILL_UNDO]


def test_an_action_that_has_ended_well_is_not_spoiled_by_its_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = a_journal(tmp_path / "journal")
    journal.append(Kind.ENDED, 0, {"end": "done"})
    failing(monkeypatch, "unlink", 1)
    journal.close()


def test_a_staged_file_that_cannot_be_taken_away_is_no_undone_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold secrets; the undo takes it away once that works again, or names the step."""
    tiny = make_tiny(tmp_path, steps="      - write-files: {templates: [conf]}\n")
    stored = tiny.approved()
    failing(monkeypatch, "rename", *range(1, 9))
    real, tries = os.unlink, itertools.count(1)

    def stuck(path: Any, **named: Any) -> None:
        if ".interlock-" in str(path) and Path(tiny.instance / "conf" / str(path)).exists() and next(tries) == 1:
            raise OSError(13, "Permission denied")
        real(path, **named)

    monkeypatch.setattr(os, "unlink", stuck)
    outcome = runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means())
    assert (outcome.exit_code, tiny.look()) == (16, OLD)
    assert standing(tiny).steps[0].state is State.UNDONE
