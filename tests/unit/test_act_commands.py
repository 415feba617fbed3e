"""Programs run as argument tuples, in time, known to the journal before they do anything, with what they say redacted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from interlock.act.commands import TAIL, do_command, still_running, undo_command
from interlock.act.outcome import StepFailed
from interlock.errors import EvidenceError
from interlock.gate.journal import Result, Spawned
from interlock.gate.plan import CommandPlan
from interlock.observe.eyes import boot_id, process_started
from tests.act_bench import child_environ, make_bench
from tests.tiny_site import SECRET


def step(folder: Path, *argv: str, undo: tuple[str, ...] | None = None, done: tuple[str, ...] | None = None, timeout: int = 10) -> CommandPlan:
    return CommandPlan(argv=argv, undo=undo, done=done, directory=str(folder), timeout=timeout, inputs=())


def shell(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


def test_a_program_runs_in_its_directory_and_its_end_is_recorded(tmp_path: Path) -> None:
    done = do_command(step(tmp_path, *shell("pwd; echo oops >&2")), make_bench(tmp_path), again=False)
    assert (done.result, done.changed) == (Result.DONE, True)
    assert (done.data["exit"], done.data["stdout"], done.data["stderr"]) == (0, f"{tmp_path}\n", "oops\n")


def test_arguments_reach_the_program_as_they_are(tmp_path: Path) -> None:
    words = ("a b", "$HOME", "*", "", "'\"", "new\nline", "-n", "$(id)", "`id`", ";", "é")
    done = do_command(step(tmp_path, sys.executable, "-c", "import sys; print(sys.argv[1:])", *words), make_bench(tmp_path), again=False)
    assert done.data["stdout"] == f"{list(words)}\n"


def test_a_program_that_ends_badly_fails_with_its_code_and_its_last_word(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="sh ended with 3: no such table") as caught:
        do_command(step(tmp_path, *shell("echo working; echo no such table >&2; exit 3")), make_bench(tmp_path), again=False)
    assert caught.value.changed
    assert caught.value.data["exit"] == 3


def test_a_program_that_was_killed_says_by_what(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="was killed by SIGKILL"):
        do_command(step(tmp_path, *shell("kill -9 $$")), make_bench(tmp_path), again=False)


@pytest.mark.parametrize("program", ["no-such-program", "./no-such-program", "./no-program"])
def test_a_program_that_cannot_be_started_has_changed_nothing(tmp_path: Path, program: str) -> None:
    (tmp_path / "no-program").write_text("text")
    with pytest.raises(StepFailed, match="there is no program") as caught:
        do_command(step(tmp_path, program), make_bench(tmp_path), again=False)
    assert not caught.value.changed


def test_a_program_that_takes_too_long_is_ended_with_all_its_children(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StepFailed, match="did not end in time"):
        do_command(step(tmp_path, *shell("sleep 60 & echo $! > child; wait"), timeout=1), make_bench(tmp_path), again=False)
    assert time.monotonic() - began < 8
    child, until = int((tmp_path / "child").read_text()), time.monotonic() + 5
    while process_started(child) is not None and time.monotonic() < until:
        time.sleep(0.05)  # it is killed; the system takes it away when it gets to it
    assert process_started(child) is None


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.act.programs.GRACE", 0.3)
    with pytest.raises(StepFailed, match="did not end in time"):
        do_command(step(tmp_path, *shell("trap '' TERM; while :; do sleep 0.1; done"), timeout=1), make_bench(tmp_path), again=False)


def test_a_signal_to_us_stops_the_program(tmp_path: Path) -> None:
    began = time.monotonic()
    asked = threading.Event()
    threading.Timer(0.3, asked.set).start()
    with pytest.raises(StepFailed, match="was stopped: SIGINT"):
        do_command(step(tmp_path, "sleep", "60"), make_bench(tmp_path, interrupted=lambda: "SIGINT" if asked.is_set() else ""), again=False)
    assert time.monotonic() - began < 8


def test_a_service_that_it_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    done = do_command(step(tmp_path, *shell("sleep 30 & echo $! > child; echo started")), make_bench(tmp_path), again=False)
    assert time.monotonic() - began < 8
    assert done.data["stdout"] == "started\n"
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_secrets_are_hidden_in_both_outputs_and_in_messages(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        do_command(step(tmp_path, *shell("echo $PASSWORD; echo cannot log in with $PASSWORD >&2; exit 1")), make_bench(tmp_path), again=False)
    assert SECRET not in str(caught.value) + str(caught.value.data)
    assert "cannot log in with ***" in str(caught.value)


def test_only_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    done = do_command(step(tmp_path, *shell("seq 1 200000; echo the end")), make_bench(tmp_path), again=False)
    said = str(done.data["stdout"])
    assert said.startswith("[...]")
    assert said.endswith("200000\nthe end\n")
    assert len(said) <= TAIL + 5


def test_output_that_is_no_text_is_kept_as_far_as_it_can_be_shown(tmp_path: Path) -> None:
    done = do_command(step(tmp_path, *shell(r"printf 'a\377b\000c'")), make_bench(tmp_path), again=False)
    assert done.data["stdout"] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_it_reads_nothing_and_has_no_terminal(tmp_path: Path) -> None:
    done = do_command(step(tmp_path, *shell("cat; tty; (: < /dev/tty) 2>/dev/null || echo none")), make_bench(tmp_path), again=False)
    assert str(done.data["stdout"]).splitlines() == ["not a tty", "none"]


# ---- the door


def test_a_program_is_announced_before_it_runs(tmp_path: Path) -> None:
    seen: list[tuple[Spawned, bool]] = []

    def announce(spawned: Spawned) -> None:
        time.sleep(0.2)
        seen.append((spawned, (tmp_path / "ran").exists()))

    do_command(step(tmp_path, *shell("echo $$ > ran")), make_bench(tmp_path, announce=announce), again=False)
    [(spawned, ran)] = seen
    assert not ran
    assert spawned.pid == int((tmp_path / "ran").read_text())
    assert spawned.boot == boot_id()


def test_a_program_that_could_not_be_announced_never_runs(tmp_path: Path) -> None:
    def full(_spawned: Spawned) -> None:
        raise EvidenceError("the disk is full")

    with pytest.raises(EvidenceError):
        do_command(step(tmp_path, *shell("touch ran")), make_bench(tmp_path, announce=full), again=False)
    time.sleep(0.2)
    assert not (tmp_path / "ran").exists()


def test_when_we_are_killed_before_the_door_opens_the_program_never_runs(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from interlock.act.commands import do_command
        from interlock.gate.plan import CommandPlan
        from tests.act_bench import make_bench
        step = CommandPlan(argv=("touch", "ran"), undo=None, done=None, directory=sys.argv[1], timeout=10, inputs=())
        def die(spawned):
            print(spawned.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        do_command(step, make_bench(Path(sys.argv[1]), announce=die), again=False)
    """
    argv = (sys.executable, "-c", textwrap.dedent(script), str(tmp_path))
    done = subprocess.run(argv, capture_output=True, text=True, env=child_environ(), check=False)
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 10
    while process_started(int(done.stdout)) is not None and time.monotonic() < until:
        time.sleep(0.02)
    assert not (tmp_path / "ran").exists()


def test_whether_a_program_still_runs_is_known_by_id_start_and_boot(tmp_path: Path) -> None:
    process = subprocess.Popen(("sleep", "60"))
    try:
        started = process_started(process.pid)
        assert started is not None
        spawned = Spawned(pid=process.pid, started=started, boot=boot_id())
        assert still_running(spawned)
        assert not still_running(Spawned(pid=process.pid, started=started + 1, boot=boot_id()))
        assert not still_running(Spawned(pid=process.pid, started=started, boot="another"))
    finally:
        process.kill()
        process.wait()
    assert not still_running(spawned)


# ---- done and undo


def test_what_is_done_already_is_not_run(tmp_path: Path) -> None:
    done = do_command(step(tmp_path, *shell("touch ran"), done=("true",)), make_bench(tmp_path), again=False)
    assert (done.result, done.changed) == (Result.NOT_NEEDED, False)
    assert not (tmp_path / "ran").exists()


def test_after_a_run_the_done_check_must_hold(tmp_path: Path) -> None:
    do_command(step(tmp_path, "touch", "ran", done=("test", "-e", "ran")), make_bench(tmp_path), again=False)
    with pytest.raises(StepFailed, match="its `done` check does not hold"):
        do_command(step(tmp_path, "true", done=("test", "-e", "never")), make_bench(tmp_path), again=False)


def test_a_done_check_that_cannot_run_does_not_count_as_done(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="there is no program"):
        do_command(step(tmp_path, "true", done=("no-such-check",)), make_bench(tmp_path), again=False)


def test_an_interrupted_command_is_settled_by_its_done_check(tmp_path: Path) -> None:
    assert do_command(step(tmp_path, "touch", "again", done=("true",)), make_bench(tmp_path), again=True).result is Result.NOT_NEEDED
    assert do_command(step(tmp_path, "touch", "ran", done=("test", "-e", "ran")), make_bench(tmp_path), again=True).result is Result.DONE


def test_an_interrupted_command_without_one_is_not_run_twice(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="nobody knows whether touch had ended") as caught:
        do_command(step(tmp_path, "touch", "ran"), make_bench(tmp_path), again=True)
    assert caught.value.changed
    assert not (tmp_path / "ran").exists()


def test_undo_runs_the_undo_and_says_when_there_is_none(tmp_path: Path) -> None:
    undo_command(step(tmp_path, "true", undo=("touch", "undone")), make_bench(tmp_path))
    assert (tmp_path / "undone").exists()
    with pytest.raises(StepFailed, match="true has no undo"):
        undo_command(step(tmp_path, "true"), make_bench(tmp_path))
    with pytest.raises(StepFailed, match="the undo sh ended with 4"):
        undo_command(step(tmp_path, "true", undo=shell("exit 4")), make_bench(tmp_path))
