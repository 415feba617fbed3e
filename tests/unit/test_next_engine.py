"""The second engine of the tests is fetched beside the system and not into it, once, and where it cannot be had one line says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import setup

SCRIPT = Path(__file__).parents[2] / "tools" / "next_debian.sh"


def place(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> setup.Place:
    """A repository whose `next_debian.sh` is another one."""
    (folder / "tools").mkdir()
    (folder / "tools" / "next_debian.sh").write_text(script)
    (folder / ".setup").mkdir()
    monkeypatch.setattr(setup, "ROOT", folder)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    return setup.Place(folder=folder)


def test_its_programs_are_kept_and_it_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacks = "".join(f'mkdir -p "$2/{Path(program).parent}"; touch "$2/{program}"\n' for program in setup.NEXT_PROGRAMS)
    here = place(tmp_path, monkeypatch, f'test "$*" = "$1 $2 {" ".join(setup.NEXT)}" || exit 1\n{unpacks}')
    assert setup.next_engine(here) == "a second container engine"
    assert sorted(path.name for path in (tmp_path / ".setup/next").iterdir()) == sorted(Path(program).name for program in setup.NEXT_PROGRAMS)
    assert sorted(path.name for path in (tmp_path / ".setup").iterdir()) == ["next", "next.stamp"]
    assert setup.next_engine(here) == ""


def test_where_it_cannot_be_had_one_line_says_so_and_setting_up_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = place(tmp_path, monkeypatch, "echo 'packages of the next Debian cannot be had' >&2; exit 1\n")
    assert setup.next_engine(here) == ""
    assert "setup: optional: packages of the next Debian cannot be had\n" in capsys.readouterr().out
    assert list((tmp_path / ".setup").iterdir()) == []


def test_an_ordinary_user_who_can_start_no_engine_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = place(tmp_path, monkeypatch, "exit 1\n")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert setup.next_engine(here) == ""


def test_a_machine_that_is_no_debian_is_told(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh") or "")
    argv = (str(tools / "sh"), str(SCRIPT), str(tmp_path / "work"), str(tmp_path / "root"), "docker.io")
    done = subprocess.run(argv, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "packages of Debian's trixie cannot be had (docker.io): this is no Debian\n")
    assert not (tmp_path / "root").exists()
