"""Does the demo do what it promises: without a terminal, twice in a row, for every user, and without leaving anything running?"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from interlock.judge import catalogue
from interlock.verdicts import When
from tools.demo_faults import BREAKS
from tools.demo_site import NEW_RELEASE, OLD_RELEASE, data_of, memory_of

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
SHOWN_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that has ended: what it showed, where."""

    run: Path
    shown: str
    code: int


def start(run: Path, script: str = "tools.demo", within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """A demo as CI starts it: no terminal, `CI` set, everything in one pipe. `within` is a program that starts it."""
    environ = {**os.environ, "CI": "true", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    argv = (*within, sys.executable, "-m", script, "--run", str(run))
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - whoever runs the tests in the background has it ignored
    )


def ended(run: Path, process: subprocess.Popen[bytes]) -> Demo:
    """The demo after its end."""
    shown, _ = process.communicate(timeout=180)
    return Demo(run, shown.decode("utf-8", "replace"), process.returncode)


def left_behind(run: Path) -> list[str]:
    """The command lines of processes that belong to the demo in `run`."""
    marks = (os.fsencode(run), os.fsencode(memory_of(run)))
    found = []
    for command_line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = command_line.read_bytes()
            if any(mark in text for mark in marks):
                found.append(text.replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


def nothing_left_within(run: Path, seconds: float) -> bool:
    """Whether the last process of the demo goes away in time."""
    limit = time.monotonic() + seconds
    while left_behind(run):
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def needed(component: Callable[[str], None]) -> None:
    """What the demo stands on."""
    component("postgres16")
    component("postgres18")


def forget(run: Path) -> None:
    """Take away what the demo has beside its own folder."""
    for folder in (data_of(run, memory_of(run)), memory_of(run)):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shown_twice(needed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Demo]]:
    """Two demos in the same folder, one after the other."""
    run = tmp_path_factory.mktemp("demo") / "run"
    yield ended(run, start(run)), ended(run, start(run))
    forget(run)


@pytest.fixture
def run(needed: None, tmp_path: Path) -> Iterator[Path]:
    """A folder for one demo."""
    yield tmp_path / "run"
    forget(tmp_path / "run")


def commands(demo: Demo) -> list[str]:
    """What was typed, by whom, in order: the program and its first word."""
    return [f"{who} {typed}" for who, typed in re.findall(r"^(planner|approver) \[\d+\] \$ (\S+(?: [a-z]+)?)", demo.shown, re.MULTILINE)]


def test_the_demo_carries_a_release_from_a_shut_gate_to_verified_evidence(shown_twice: tuple[Demo, Demo]) -> None:
    demo = shown_twice[0]
    assert demo.code == 0, demo.shown
    assert commands(demo) == [
        "planner interlock preflight",
        "planner sed",
        "planner chmod",
        "planner sed",
        "planner echo",
        "planner interlock plan",
        "planner interlock apply",
        "planner interlock preflight",
        "planner interlock plan",
        "planner interlock apply",
        "approver interlock approve",
        "planner interlock apply",
        "planner interlock verify",
        "planner ls reports",
        "planner interlock preflight",
        "planner bin/copy-to-18",
        "planner interlock preflight",
    ]
    assert f"APP_RELEASE={NEW_RELEASE}" in (demo.run / "instances" / "main" / "app.env").read_text()


def test_the_shut_gate_names_each_of_the_five_faults(shown_twice: tuple[Demo, Demo]) -> None:
    first, _, _ = shown_twice[0].shown.partition("$ sed")
    named = ("automation.no_automatic_apply", "backups.fresh", "backups.mode_0600", "site.undeclared", "templates.byte_equivalent")
    assert [guardrail for guardrail in named if f"broken         {guardrail}" not in first] == []


def test_the_readme_shows_a_shut_gate_as_the_demo_does(shown_twice: tuple[Demo, Demo]) -> None:
    excerpt = re.search(r"^    planner \[0\] \$ interlock preflight[^\n]*\n((?:    .*\n)+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert excerpt is not None
    shown = " ".join(shown_twice[1].shown.split())
    parts = [" ".join(part.split()) for part in re.sub(r"ledger-\d+T\d+Z.*?ago", "...", excerpt[1], flags=re.DOTALL).split("...")]
    assert [part for part in parts if part not in shown] == []


def test_the_copy_lacks_the_rows_that_were_booked_after_it_until_it_is_made_again(shown_twice: tuple[Demo, Demo]) -> None:
    _, _, move = shown_twice[0].shown.partition("# And the move")
    before, _, after = move.partition("$ bin/copy-to-18")
    assert "parity.rows to-18" in before
    assert "parity.rows" not in after


def test_the_second_demo_in_the_same_folder_shows_the_same(shown_twice: tuple[Demo, Demo]) -> None:
    first, second = shown_twice
    assert second.code == 0, second.shown
    assert commands(second) == commands(first)
    assert f"runs release {OLD_RELEASE}" in second.shown


def test_the_demo_ends_with_the_paths_of_reports_that_are_there(shown_twice: tuple[Demo, Demo]) -> None:
    for demo in shown_twice:
        reports = re.search(r"^# The report: (\S+)$\n^# The same as a page for a browser: (\S+)$", demo.shown, re.MULTILINE)
        assert reports is not None, demo.shown
        assert [Path(shown).name for shown in reports.groups()] == ["summary.md", "report.html"]
        assert all((ROOT / shown).is_file() for shown in reports.groups())


def test_the_reports_of_both_demos_are_kept(shown_twice: tuple[Demo, Demo]) -> None:
    records = [json.loads(file.read_bytes()) for file in shown_twice[1].run.glob("reports/*-release-*/record.json")]
    applied = [record for record in records if record["steps"]]
    assert len(applied) == 2
    assert {record["decision"] for record in applied} == {"open"}


def test_the_gate_of_each_release_shows_who_approved_its_plan(shown_twice: tuple[Demo, Demo]) -> None:
    records = [json.loads(file.read_bytes()) for file in shown_twice[1].run.glob("reports/*-release-*/record.json")]
    gates = {record["plan"]["digest"]: record for record in records if record["plan"] and not record["steps"] and record["decision"] == "open"}
    assert gates.keys() == {record["plan"]["digest"] for record in records if record["steps"]}
    for record in gates.values():
        (verdict,) = (one for one in record["verdicts"] if one["guardrail"] == "approval.plan")
        assert (verdict["outcome"], verdict["subject"]) == ("held", "release")
        assert " approved it until " in verdict["message"]


def test_the_demo_leaves_no_process_and_no_server_behind(shown_twice: tuple[Demo, Demo]) -> None:
    run = shown_twice[1].run
    assert left_behind(run) == []
    assert not (memory_of(run) / "pg").exists()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda by: by.name)
def test_an_interrupted_demo_leaves_no_process_behind(run: Path, by: signal.Signals) -> None:
    process = start(run)
    assert process.stdout is not None
    seen, limit = b"", time.monotonic() + SHOWN_LIMIT_S
    while b"planner [0] $ interlock" not in seen:
        assert time.monotonic() < limit, seen
        seen += os.read(process.stdout.fileno(), 65536)
    assert left_behind(run) != []
    process.send_signal(by)
    demo = ended(run, process)
    assert demo.code == (-by if by is signal.SIGKILL else 130)
    assert nothing_left_within(run, 10)


def test_two_demos_at_once_are_refused(run: Path) -> None:
    first = start(run)
    try:
        limit = time.monotonic() + SHOWN_LIMIT_S
        while not (run / "ledger.pid").exists():
            assert time.monotonic() < limit
            time.sleep(0.02)
        second = ended(run, start(run))
        assert second.code == 1
        assert second.shown.count("\n") == 2
        assert "another demo is using" in second.shown
    finally:
        first.terminate()
        first.communicate(timeout=60)


def own_mounts(change: str) -> Sequence[str]:
    """Start a program in a mount namespace of its own, after a change there. Skips where that needs root."""
    if os.getuid() != 0:
        pytest.skip("needs root, for a mount namespace of its own")
    return ("unshare", "--mount", "sh", "-c", f'{change}; exec "$0" "$@"')


def test_the_small_shared_memory_of_a_container_is_enough(run: Path) -> None:
    demo = ended(run, start(run, within=own_mounts("mount -t tmpfs -o size=64m shm /dev/shm")))
    assert demo.code == 0, demo.shown


def test_without_a_disk_in_memory_the_demo_says_why_it_cannot_go_on(run: Path) -> None:
    demo = ended(run, start(run, within=own_mounts("while umount -l /dev/shm || umount -l /run/user/0; do :; done 2>/dev/null")))
    assert demo.code == 1
    assert demo.shown.startswith("\ndemo: no disk in memory: neither /dev/shm nor /run/user/<uid> is a tmpfs mount")
    assert "remedy: " in demo.shown


# The demo site has no updater, no installer and no workflow that starts its stack: `interlock selftest` proves these.
NOT_ON_THE_DEMO = {
    f"env.{name}"
    for name in ("coverage_existing_installs", "file_exists", "file_quoting", "no_default_secret", "preserve_operator_edits", "required_var_blast_radius")
} | {
    *("mounts.others", "mounts.nested_visible", "mounts.read_only_is_read_only", "mounts.shadowed_files", "state_dir.writable_by_service"),
    "compose.chain_matches_persisted_state",  # its application keeps no such choice
}  # they need mounts of their own, or an engine


def test_every_guardrail_has_a_fault_on_the_demo_site() -> None:
    """But for those that apply's own gate alone asks: the demo breaks a site, not a forge or a plan; `interlock selftest` proves them."""
    asked = {guardrail.id for guardrail in catalogue() if guardrail.when != {When.APPLY}} - NOT_ON_THE_DEMO
    assert asked - {one.guardrail for one in BREAKS} == set()


def test_each_fault_on_the_demo_site_is_named_by_its_own_guardrail(run: Path) -> None:
    demo = ended(run, start(run, "tools.demo_break"))
    assert demo.code == 0, demo.shown
    assert demo.shown.count("\nok ") == len(BREAKS)


def test_a_fresh_checkout_shows_the_demo_to_an_ordinary_user(needed: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`make demo` from bare: venv, locked dependencies, compose binary, then the demo. It needs the package index, so only CI and `make prove` run it."""
    if os.environ.get("INTERLOCK_CI") != "1" and os.environ.get("INTERLOCK_PROFILE") != "prove":
        pytest.skip("needs the package index: INTERLOCK_CI=1 runs it")
    user = () if os.getuid() else ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    folder = Path("/tmp", f"interlock-checkout-{os.getpid()}")
    checkout, home = folder / "checkout", folder / "home"
    home.mkdir(parents=True)
    try:
        copy_checkout(checkout)
        if user:
            subprocess.run(("chown", "-R", f"{NOBODY}:{NOBODY}", folder), check=True)
        environ = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("PIP_")}
        environ |= {"HOME": str(home), "LOGNAME": "nobody", "CI": "true"} if user else {"HOME": str(home), "CI": "true"}
        argv = (*user, "make", "--no-print-directory", "demo", f"PYTHON={runnable_python(user)}")
        done = subprocess.run(argv, cwd=checkout, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert left_behind(checkout) == []
    finally:
        subprocess.run((*user, "make", "clean"), cwd=checkout, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def copy_checkout(target: Path) -> None:
    """The files of this checkout that git knows, or would know."""
    listed = subprocess.run(("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def runnable_python(user: Sequence[str]) -> str:
    """A Python that this user may run: root's own may lie in root's home."""
    question = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    names = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
    for candidate in (os.path.realpath(sys.executable), *(shutil.which(name, path="/usr/local/bin:/usr/bin") for name in names)):
        # setpriv itself still has root's way in when it becomes the program; a shell that it became has not
        if candidate and subprocess.run((*user, "sh", "-c", '"$0" -c "$1"', candidate, question), capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 with venv that an ordinary user may run")
