"""Steps on another host, over a real ssh to a real sshd: done there, undone there, and the truth told when the way there is cut."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import flocks
from interlock.act.far_hands import FarHands
from interlock.act.hands import Hands
from interlock.change.showing import plan_text
from interlock.commands.status import status_text
from interlock.errors import CouldNotLook, LockHeld, StaleError
from interlock.observe.eyes import process_fields
from tests.far_site import checkout, make_far, patiently
from tests.integration.sshd import PrivateSshd
from tests.tiny_site import NEW, OLD, SECRET, Tiny
from tests.unit.test_observe_shell_probe import tool_box

FAILING = """\
      - write-files: {{templates: [conf, motd]}}
      - command: {{host: far, directory: "{root}", run: ['false'], undo: ['true']}}
"""
SLOW = {"deploy": "cd ../instance; echo begun > begun; sleep 60; touch through"}
PROGRAM_ALONE = """\
      - command: {{host: far, directory: "{root}", run: [bin/deploy], undo: [bin/undeploy], timeout: 30s}}
"""


@pytest.fixture(autouse=True)
def _needs_sshd(component: Callable[[str], None]) -> None:
    component("sshd")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateSshd]:
    with PrivateSshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def tiny(tmp_path: Path, server: PrivateSshd) -> Tiny:
    return make_far(tmp_path, server)


def apply(tiny: Tiny, plan: str, **means: object) -> runner.Outcome:
    return runner.apply(tiny.site, plan, tiny.environ, tiny.means(**means))


def begun(tiny: Tiny) -> list[Path]:
    return [path for path in tiny.books.journals.iterdir() if path.is_dir()]


def once(happened: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
    """Do something as soon as something has happened."""

    def watch() -> None:
        until = time.monotonic() + 20
        while not happened() and time.monotonic() < until:
            time.sleep(0.02)
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def below(parent: int, name: str) -> list[int]:
    """Every process of that name below another one."""
    parents = {int(entry.name): process_fields(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found, level = [], {parent}
    while level:
        level = {pid for pid, fields in parents.items() if fields is not None and int(fields[1]) in level}
        found += [pid for pid in level if name_of(pid) == name]
    return found


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def kill(pids: list[int]) -> None:
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def listener(server: PrivateSshd) -> int:
    return server._processes[0].pid


# ---- a quiet run


def test_files_and_commands_are_done_there_over_one_session(tiny: Tiny, server: PrivateSshd) -> None:
    stored = tiny.approved()
    before = server.accepted()
    assert apply(tiny, stored.folder.name).exit_code == 0
    assert tiny.look() == NEW
    assert server.accepted() == before + 1
    assert tiny.kept[0].steps[0]["written"] == [f"far:{tiny.instance}/conf/app.conf", f"far:{tiny.instance}/motd"]


def test_the_plan_names_the_host_and_stands_on_its_state(tiny: Tiny) -> None:
    plan = tiny.plan().plan
    assert {file.host for file in plan.files()} == {"far"}
    assert f"file far:{tiny.instance}/conf/app.conf" in plan.fingerprint
    assert f"mount far:{tiny.instance}" in plan.fingerprint
    assert f"file far:{tiny.root}/bin/deploy" in plan.fingerprint
    assert "host far" in plan.fingerprint


def test_the_plan_is_shown_with_what_stands_there(tiny: Tiny) -> None:
    shown = plan_text(tiny.plan(), tiny.site, tiny.environ)
    assert f"far:{tiny.instance}/motd: created" in shown
    assert "+workers = 4" in shown
    assert f"on far, in {tiny.root}" in shown


def test_an_env_file_there_is_patched_and_comes_back(tmp_path: Path, server: PrivateSshd) -> None:
    patch = "      - env-patch: {{instances: [main], file: .env, values: {{TAG: '2'}}}}\n"
    failing = "      - command: {{host: far, directory: \"{root}\", run: ['false'], undo: ['true']}}\n"
    tiny = make_far(tmp_path, server, steps=patch + failing)
    (tiny.instance / ".env").write_text("A=1\nTAG=1\n")
    seen: list[str] = []

    def say(what: str) -> None:
        seen.append((tiny.instance / ".env").read_text())

    assert apply(tiny, tiny.approved().folder.name, say=say).exit_code == 16
    assert "A=1\nTAG=2\n" in seen
    assert (tiny.instance / ".env").read_text() == "A=1\nTAG=1\n"


def test_what_was_done_there_is_undone_there(tmp_path: Path, server: PrivateSshd) -> None:
    tiny = make_far(tmp_path, server, steps=FAILING)
    assert apply(tiny, tiny.approved().folder.name).exit_code == 16
    assert tiny.look() == OLD
    assert not list(tiny.instance.rglob(".*"))


def test_no_secret_stays_in_the_lock_or_in_an_argv(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    popen = subprocess.Popen

    def noted(argv: list[str], **options: object) -> subprocess.Popen[bytes]:
        seen.append(" ".join(argv))
        return popen(argv, **options)  # type: ignore[call-overload,no-any-return]

    stored = tiny.approved()
    monkeypatch.setattr(subprocess, "Popen", noted)
    apply(tiny, stored.folder.name)
    assert any(argv.startswith("ssh ") for argv in seen)
    assert not [argv for argv in seen if SECRET in argv or "deploy" in argv]
    assert not [path for path in (tiny.root / "far-lock").iterdir() if SECRET in path.read_text()]


# ---- programs


def test_a_program_there_gets_its_arguments_as_they_are_and_a_clean_environment(tmp_path: Path, server: PrivateSshd) -> None:
    words = ["a b", "$HOME", "*", "'\"", "$(id)", ";", "é"]
    quoted = ", ".join("'" + word.replace("'", "''") + "'" for word in words)
    steps = '      - command: {{host: far, directory: "{root}", run: [bin/deploy, ' + quoted.replace("{", "{{") + "]}}\n"
    tiny = make_far(tmp_path, server, steps=steps, programs={"deploy": "cd ../instance; printf '%s\\n' \"$@\" > words; env > environment"})
    assert apply(tiny, tiny.approved().folder.name).exit_code == 0
    assert (tiny.instance / "words").read_text().splitlines() == words
    names = {line.partition("=")[0] for line in (tiny.instance / "environment").read_text().splitlines()}
    assert names <= {"PATH", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_program_there_that_takes_too_long_is_ended_with_its_children(tmp_path: Path, server: PrivateSshd) -> None:
    tiny = make_far(tmp_path, server, steps=PROGRAM_ALONE.replace("30s", "1s"), programs={"deploy": "cd ../instance; sleep 60 & echo $! > child; wait"})
    outcome = apply(tiny, tiny.approved().folder.name)
    assert outcome.exit_code == 16
    assert "did not end in time" in outcome.text
    assert ended(int((tiny.instance / "child").read_text()))


def test_a_signal_here_ends_the_program_there(tmp_path: Path, server: PrivateSshd) -> None:
    tiny = make_far(tmp_path, server, steps=PROGRAM_ALONE, programs=SLOW)
    watch = once((tiny.instance / "begun").exists, lambda: os.kill(os.getpid(), signal.SIGTERM))
    outcome = apply(tiny, tiny.approved().folder.name)
    watch.join()
    assert outcome.exit_code == 16
    assert "was stopped: SIGTERM" in outcome.text
    assert not (tiny.instance / "through").exists()


def ended(pid: int) -> bool:
    until = time.monotonic() + 10
    while (fields := process_fields(pid)) is not None and fields[0] != "Z" and time.monotonic() < until:
        time.sleep(0.05)
    return fields is None or fields[0] == "Z"


def test_its_program_is_the_planned_one_right_before_it_runs(tmp_path: Path, server: PrivateSshd) -> None:
    steps = """\
      - command: {{host: far, directory: "{root}", run: [sh, -c, 'echo "#" >> bin/deploy'], undo: ['true']}}
      - command: {{host: far, directory: "{root}", run: [bin/deploy], undo: ['true']}}
"""
    tiny = make_far(tmp_path, server, steps=steps)
    outcome = apply(tiny, tiny.approved().folder.name)
    assert outcome.exit_code == 16
    assert "bin/deploy is not the one that was planned" in outcome.text
    assert tiny.runs() == 0


def test_what_an_earlier_step_writes_is_what_a_later_command_is_planned_with(tmp_path: Path, server: PrivateSshd) -> None:
    steps = """\
      - write-files: {{templates: [conf, motd]}}
      - command: {{host: far, directory: "{root}", run: [cp, instance/motd, instance/copied], undo: [rm, -f, instance/copied]}}
"""
    tiny = make_far(tmp_path, server, steps=steps)
    stored = tiny.approved()
    assert apply(tiny, stored.folder.name).exit_code == 0
    assert (tiny.instance / "copied").read_text() == "release 2\n"


# ---- nothing begins


def test_a_host_that_cannot_be_reached_is_15_and_nothing_has_happened(tiny: Tiny, server: PrivateSshd) -> None:
    stored = tiny.approved()
    server.__exit__()
    with pytest.raises(LockHeld, match="the lock of far cannot be taken: host far: it cannot be reached") as caught:
        apply(tiny, stored.folder.name)
    assert caught.value.exit_code == 15
    assert tiny.look() == OLD
    assert begun(tiny) == []


def test_a_host_that_cannot_be_reached_cannot_be_planned_for(tiny: Tiny, server: PrivateSshd) -> None:
    server.__exit__()
    with pytest.raises(CouldNotLook, match="host far: it cannot be reached"):
        tiny.plan()


def test_a_file_there_that_was_changed_since_the_plan_is_14(tiny: Tiny) -> None:
    stored = tiny.approved()
    (tiny.instance / "conf" / "app.conf").write_text("by hand\n")
    with pytest.raises(StaleError, match="live state") as caught:
        apply(tiny, stored.folder.name)
    assert f"file far:{tiny.instance}/conf/app.conf" in caught.value.why
    assert begun(tiny) == []


def test_a_host_without_python_is_told_so(tmp_path: Path) -> None:
    box = tool_box(tmp_path / "box")
    with PrivateSshd(tmp_path / "sshd", force=f'PATH={box}; export PATH; exec sh -c "$SSH_ORIGINAL_COMMAND"') as server:
        tiny = make_far(tmp_path, server)
        with pytest.raises(CouldNotLook, match=r"host far has no python3, 3\.6 or newer"):
            tiny.plan()


@pytest.mark.parametrize("noise", ["echo Welcome", "printf 'no newline'", "head -c 20000 /dev/zero | tr '\\\\0' 'x'"])
def test_what_a_login_shell_says_first_is_passed_over(tmp_path: Path, noise: str) -> None:
    with PrivateSshd(tmp_path / "sshd", force=f'{noise}; exec sh -c "$SSH_ORIGINAL_COMMAND"') as server:
        tiny = make_far(tmp_path, server)
        assert tiny.plan().plan.files()[0].host == "far"


# ---- the lock


def test_an_action_of_another_checkout_is_kept_out_and_told_who_is_at_work(tmp_path: Path, server: PrivateSshd) -> None:
    tiny = make_far(tmp_path, server, steps=PROGRAM_ALONE, programs=SLOW)
    other = checkout(tiny, tmp_path / "other")
    first, second = tiny.approved(), other.approved()
    refused: list[LockHeld] = []

    def try_too() -> None:
        try:
            apply(other, second.folder.name)
        except LockHeld as error:
            refused.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    watch = once((tiny.instance / "begun").exists, try_too)
    assert apply(tiny, first.folder.name).exit_code == 16
    watch.join()
    [error] = refused
    assert "far is locked: apply release" in error.what
    assert f"process {os.getpid()}, since 2026-11-20T21:00:00Z" in error.what
    assert begun(other) == []


def test_the_lock_there_is_free_as_soon_as_the_action_has_ended(tiny: Tiny) -> None:
    apply(tiny, tiny.approved().folder.name)
    lock = flocks.take(str(tiny.root / "far-lock"), "interlock-tiny", b"")
    lock.release()


def test_a_lock_there_that_was_removed_fails_the_next_step_and_what_was_done_is_undone(tmp_path: Path, server: PrivateSshd) -> None:
    steps = FAILING.replace("run: ['false'], undo: ['true']", "run: [bin/deploy], undo: [bin/undeploy]")
    tiny = make_far(tmp_path, server, steps=steps)

    def say(what: str) -> None:
        if "step 1 of 2" in what:
            (tiny.root / "far-lock" / "interlock-tiny.lock").unlink()

    outcome = apply(tiny, tiny.approved().folder.name, say=say)
    assert outcome.exit_code == 16, outcome.text
    assert "the lock of far is lost" in outcome.text
    assert tiny.look() == OLD
    assert tiny.runs() == 0


def test_two_names_of_one_machine_are_no_two_actions(tmp_path: Path, server: PrivateSshd) -> None:
    steps = """\
      - write-files: {{templates: [conf, motd]}}
      - command: {{host: twin, directory: "{root}", run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}}
      - command: {{host: local, run: ['true'], undo: ['true']}}
"""
    tiny = make_far(tmp_path, server, steps=steps, twin=True)
    assert apply(tiny, tiny.approved().folder.name).exit_code == 0
    assert tiny.look() == NEW


# ---- the way there is cut


@pytest.mark.parametrize("end", ["client", "session"])
def test_a_connection_lost_while_a_program_runs_is_undone_over_another_one(tmp_path: Path, server: PrivateSshd, end: str) -> None:
    tiny = make_far(tmp_path, server, steps=PROGRAM_ALONE, programs=SLOW)

    def cut() -> None:
        kill(below(os.getpid(), "ssh") if end == "client" else below(listener(server), "sshd"))

    watch = once((tiny.instance / "begun").exists, cut)
    outcome = apply(tiny, tiny.approved().folder.name)
    watch.join()
    assert outcome.exit_code == 16, outcome.text
    assert "nobody knows how far bin/deploy got: the connection to far was lost" in outcome.text
    assert below(listener(server), "sleep") == []
    assert not (tiny.instance / "through").exists()


def test_a_connection_that_says_nothing_any_more_is_given_up_after_the_programs_time(
    tmp_path: Path, server: PrivateSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.act.far_hands._LATE", 0.5)
    tiny = make_far(tmp_path, server, steps=PROGRAM_ALONE.replace("30s", "2s"), programs=SLOW)
    watch = once((tiny.instance / "begun").exists, lambda: os.kill(below(os.getpid(), "ssh")[0], signal.SIGSTOP))
    outcome = apply(tiny, tiny.approved().folder.name)
    watch.join()
    assert outcome.exit_code == 16, outcome.text
    assert "it has not said how the program ended" in outcome.text
    assert below(listener(server), "sleep") == []


def test_a_host_that_is_gone_for_good_leaves_18_and_names_what_is_not_known(tmp_path: Path, server: PrivateSshd) -> None:
    tiny = make_far(tmp_path, server, steps="      - write-files: {{templates: [conf, motd]}}\n" + PROGRAM_ALONE, programs=SLOW)
    stored = tiny.approved()

    def cut() -> None:
        kill([*below(listener(server), "sshd"), listener(server)])

    watch = once((tiny.instance / "begun").exists, cut)
    outcome = apply(tiny, stored.folder.name)
    watch.join()
    assert outcome.exit_code == 18
    assert f"far:{tiny.instance}/motd: the lock of far cannot be taken: host far: it cannot be reached" in outcome.text
    assert "nobody knows what bin/deploy has left on far" in outcome.text
    assert "HALF-CHANGED" in status_text(tiny.site)
    with pytest.raises(LockHeld, match="cannot be reached"):
        runner.rollback(tiny.site, stored.folder.name, tiny.environ, tiny.means())


def test_a_connection_lost_while_files_are_written_is_undone_over_another_one(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = FarHands.rename

    def cut(hands: FarHands, folder: int, name: str, target: str) -> None:
        renamed(hands, folder, name, target)
        monkeypatch.setattr(FarHands, "rename", renamed)
        kill([hands.far._process.pid])

    monkeypatch.setattr(FarHands, "rename", cut)
    outcome = apply(tiny, tiny.approved().folder.name)
    assert outcome.exit_code == 16, outcome.text
    assert "the connection to far was lost" in outcome.text
    assert tiny.look() == OLD
    assert not list(tiny.instance.rglob(".*"))


def test_a_connection_lost_between_steps_fails_the_next_one_before_it_starts(tiny: Tiny) -> None:
    def say(what: str) -> None:
        if what.startswith("step 1 of 3"):
            once((tiny.instance / "motd").exists, lambda: kill(below(os.getpid(), "ssh"))).join(0)

    outcome = apply(tiny, tiny.approved().folder.name, say=say)
    assert outcome.exit_code == 16, outcome.text
    assert tiny.look() == OLD


def test_a_disk_there_that_fills_up_shows_before_any_file_has_changed(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the far end's write ends in an error half way."""
    with PrivateSshd(tmp_path / "sshd", force='ulimit -f 4; exec sh -c "$SSH_ORIGINAL_COMMAND"') as server:
        tiny = make_far(tmp_path, server)
        (tiny.root / "templates" / "motd").write_text("x" * 9000)
        outcome = apply(tiny, tiny.approved().folder.name)
        assert outcome.exit_code == 16
        assert f"far:{tiny.instance}/motd: a file cannot be written: File too large" in outcome.text
        assert tiny.look() == OLD
        assert not list(tiny.instance.rglob(".*"))


# ---- the runner is killed


def killed(tiny: Tiny, plan: str, method: str, *, after: bool) -> None:
    """Apply in a fork that dies by SIGKILL at its first call of a method of the far hands, before or after it was done there."""
    pid = os.fork()
    if pid == 0:
        call = getattr(FarHands, method)

        def die(hands: FarHands, *arguments: object) -> None:
            if after:
                call(hands, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(FarHands, method, die)
        try:
            apply(tiny, plan)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["write_beside", "rename", "sync"])
@pytest.mark.parametrize("onward", ["resume", "rollback"])
def test_a_runner_killed_while_it_writes_there_is_resumed_or_rolled_back(tiny: Tiny, method: str, after: bool, onward: str) -> None:
    plan = tiny.approved().folder.name
    killed(tiny, plan, method, after=after)
    outcome = patiently(getattr(runner, onward), tiny, plan)
    assert outcome.exit_code == 0, outcome.text
    assert tiny.look() == (NEW if onward == "resume" else OLD)
    assert not list(tiny.instance.rglob(".*"))


def test_a_runner_killed_while_a_program_runs_there_ends_that_program(tmp_path: Path, server: PrivateSshd) -> None:
    tiny = make_far(tmp_path, server, steps=PROGRAM_ALONE, programs=SLOW)
    plan = tiny.approved().folder.name
    pid = os.fork()
    if pid == 0:
        try:
            apply(tiny, plan)
        finally:
            os._exit(1)
    once((tiny.instance / "begun").exists, lambda: os.kill(pid, signal.SIGKILL)).join()
    os.waitpid(pid, 0)
    assert patiently(runner.rollback, tiny, plan).exit_code == 0
    assert below(listener(server), "sleep") == []


def test_a_program_that_outlives_its_far_end_is_seen_there_and_nothing_goes_on(tmp_path: Path, server: PrivateSshd) -> None:
    tiny = make_far(tmp_path, server, steps=PROGRAM_ALONE, programs=SLOW)
    plan = tiny.approved().folder.name
    pid = os.fork()
    if pid == 0:
        try:
            apply(tiny, plan)
        finally:
            os._exit(1)

    def both() -> None:
        program = below(listener(server), "deploy")
        os.kill(pid, signal.SIGSTOP)
        kill(below(listener(server), "python3"))
        os.kill(pid, signal.SIGKILL)
        assert program

    once((tiny.instance / "begun").exists, both).join()
    os.waitpid(pid, 0)
    time.sleep(0.5)
    with pytest.raises(LockHeld, match="the program of step 1 still runs") as caught:
        runner.rollback(tiny.site, plan, tiny.environ, tiny.means())
    assert "on far" in caught.value.where
    assert "on far: not asked from here" in status_text(tiny.site)
    assert "lock on far: not asked from here" in status_text(tiny.site)
    program = int(caught.value.where.split()[1])
    os.killpg(program, signal.SIGKILL)
    assert ended(program)
    assert patiently(runner.rollback, tiny, plan).exit_code == 0


def test_every_change_is_asked_of_the_far_end() -> None:
    """What `FarHands` left out would be done here, to the wrong host."""
    public = {name for name in dir(Hands) if not name.startswith("_") and callable(getattr(Hands, name))} - {"run"}
    own = {name for kind in FarHands.__mro__[: FarHands.__mro__.index(Hands)] for name in vars(kind)}
    assert public <= own
