"""Do the tools around the project keep their word: which Python, which place, a shell that is typed into, a server that dies with its parent?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tools.postgres import running
from tools.terminal import Reply, Shell, ShownWrongError

ROOT = Path(__file__).resolve().parents[2]
OLD = '#!/bin/sh\ncase "$2" in *print*) echo 3.9 ;; *version_info*) exit 1 ;; esac\n'
WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *print*) echo 3.12 ;; *ensurepip*) exit 1 ;; esac\n'
GOOD = '#!/bin/sh\ncase "$2" in *print*) echo 3.12 ;; esac\n'
NOBODY = 65534


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that is all the PATH there is; it holds what `tools/python.sh` itself needs."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("cat", "id", "tr"):
        (folder / name).symlink_to(shutil.which(name, path="/usr/bin:/bin") or name)
    return folder


def program(folder: Path, name: str, text: str) -> None:
    """A fake interpreter."""
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def choose_python(programs: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """What `tools/python.sh` says."""
    return subprocess.run(("/bin/sh", str(ROOT / "tools" / "python.sh")), env={"PATH": str(programs), **environ}, capture_output=True, text=True, check=False)


def test_a_newer_python_beside_an_old_one_is_taken(programs: Path) -> None:
    program(programs, "python3", OLD)
    program(programs, "python3.12", GOOD)
    assert choose_python(programs).stdout == f"{programs}/python3.12\n"


def test_without_a_usable_python_each_found_one_is_named_with_its_fault_and_a_remedy(programs: Path) -> None:
    program(programs, "python3", OLD)
    program(programs, "python3.12", WITHOUT_VENV)
    done = choose_python(programs)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{programs}/python3 is Python 3.9, too old" in done.stderr
    assert f"{programs}/python3.12 is Python 3.12, but without venv (Debian, Ubuntu: apt-get install python3.12-venv)" in done.stderr
    assert "remedy: install one" in done.stderr


def test_a_python_that_is_named_and_not_there_is_no_reason_to_take_another(programs: Path) -> None:
    program(programs, "python3", GOOD)
    done = choose_python(programs, PYTHON="python9")
    assert done.returncode == 1
    assert "python9 is not on PATH" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root has programs that nobody else may run")
def test_root_takes_the_python_that_others_may_run_too(programs: Path, tmp_path: Path) -> None:
    (programs / "setpriv").symlink_to(shutil.which("setpriv") or "setpriv")
    program(programs, "python3", GOOD)
    open_to_all = Path("/tmp", f"interlock-python-{os.getpid()}")  # pytest's own folders are closed to others
    open_to_all.mkdir()
    try:
        program(open_to_all, "python3.12", GOOD)
        (open_to_all / "sh").symlink_to("/bin/sh")
        assert choose_python(programs, PATH=f"{programs}:{open_to_all}").stdout == f"{open_to_all}/python3.12\n"
    finally:
        shutil.rmtree(open_to_all)


def place_of(checkout: Path) -> str:
    """Where `tools/place.sh` of a checkout puts the venv."""
    (checkout / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "place.sh", checkout / "tools")
    return subprocess.run(("sh", str(checkout / "tools" / "place.sh")), capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(os.getuid() != 0, reason="only root's servers run as somebody else")
def test_root_keeps_the_venv_outside_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert re.fullmatch(r"/var/tmp/interlock-0/\d+", place_of(closed / "checkout"))


def test_everybody_else_keeps_the_venv_in_the_checkout(tmp_path: Path) -> None:
    if os.getuid() == 0:
        folder = Path("/tmp", f"interlock-open-{os.getpid()}")  # pytest's own folders are closed to others
        folder.mkdir()
    else:
        folder = tmp_path
    try:
        assert place_of(folder / "checkout") == str(folder / "checkout")
    finally:
        if os.getuid() == 0:
            shutil.rmtree(folder)


def test_the_lock_files_hold_every_dependency_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *(one for group in project["dependency-groups"].values() for one in group)]
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE))
    names = {re.split(r"[\[<>=~!]", one)[0].lower().replace("_", "-") for one in wanted}
    assert names <= locked


def test_the_smaller_locks_are_parts_of_the_large_one() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    assert pins("runtime.txt") < pins("demo.txt") < pins("dev.txt")


# ---- the shell that is typed into


@pytest.fixture
def shown() -> list[str]:
    """All that the shell showed."""
    return []


@pytest.fixture
def shell(tmp_path: Path, shown: list[str]) -> Iterator[Shell]:
    """An operator at a terminal of their own."""
    with Shell(who="ada", environ={"PATH": os.defpath, "TERM": "dumb"}, folder=tmp_path, limit_s=20, show=shown.append) as opened:
        yield opened


def test_a_typed_command_runs_on_a_terminal_that_its_session_owns(shell: Shell) -> None:
    assert "yes" in shell.type("test -t 0 && test -t 1 && (: </dev/tty) && echo yes")


def test_what_was_typed_and_answered_is_shown_as_on_a_screen(shell: Shell, shown: list[str]) -> None:
    shell.type("printf 'name? '; read name; echo hello $name", replies=[Reply(after="name[?] ", say=lambda _: "ada")])
    shell.type("false", exit_code=1)
    assert "".join(shown) == "ada [0] $ printf 'name? '; read name; echo hello $name\nname? ada\nhello ada\nada [0] $ false\n"


def test_another_exit_code_than_expected_is_an_error(shell: Shell) -> None:
    with pytest.raises(ShownWrongError, match="`false` ended with 1, expected 0"):
        shell.type("false")


def test_a_question_that_is_not_asked_is_an_error(shell: Shell) -> None:
    with pytest.raises(ShownWrongError, match="ended without asking"):
        shell.type("true", replies=[Reply(after="name[?] ", say=lambda _: "ada")])


def test_a_command_that_hangs_is_an_error_and_does_not_outlive_the_shell(tmp_path: Path) -> None:
    with (
        pytest.raises(ShownWrongError, match="did not show"),
        Shell(who="ada", environ={"PATH": os.defpath}, folder=tmp_path, limit_s=0.5, show=lambda _: None) as shell,
    ):
        shell.type(f"(trap '' HUP; exec sleep 1{os.getpid()})")
    until = time.monotonic() + 5
    while running_with(f"sleep\x001{os.getpid()}") and time.monotonic() < until:
        time.sleep(0.05)  # it is killed; the system takes it away when it gets to it
    assert not running_with(f"sleep\x001{os.getpid()}")


def running_with(command_line: str) -> bool:
    """Whether a process with this command line is there."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if command_line.encode() in file.read_bytes():
                return True
    return False


# ---- PostgreSQL


@pytest.fixture
def short_folder(component: Callable[[str], None]) -> Iterator[Path]:
    """A folder whose path leaves room for a socket, and that the user nobody may enter."""
    component("postgres16")
    folder = Path("/tmp", f"interlock-pg-{os.getpid()}")
    folder.mkdir(mode=0o711)
    yield folder
    shutil.rmtree(folder)


def test_a_server_answers_on_its_socket_alone_and_is_gone_afterwards(short_folder: Path) -> None:
    import psycopg

    with running(16, short_folder / "16") as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.info.server_version // 10000 == 16
    assert not running_with(str(short_folder))


def test_a_server_dies_with_the_process_that_started_it(short_folder: Path) -> None:
    server = f"running(16, Path({str(short_folder)!r}, '16'))"
    script = f"from pathlib import Path\nfrom tools.postgres import running\nwith {server}:\n  print('up', flush=True)\n  input()\n"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen((sys.executable, "-c", script), env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        assert running_with(str(short_folder))
        parent.send_signal(signal.SIGKILL)
    limit = time.monotonic() + 20
    while running_with(f"{short_folder}/16"):
        assert time.monotonic() < limit
        time.sleep(0.05)
