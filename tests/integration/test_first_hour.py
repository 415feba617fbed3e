"""docs/first-hour.md, followed to its end by a reader with an empty home: every command is typed, and shows what the page says it shows."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.observe.compose_binary import find_compose
from tests.in_terminal import human_environ
from tests.tutorial import follow, read_page

PAGE = Path(__file__).parents[2] / "docs" / "first-hour.md"
GIT_IDENTITY = "[user]\nname = Kim\nemail = kim@example.org\n"
INSTALLED = {"interlock": "-m interlock ", "pytest": "-m pytest ", "python3": ""}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of somebody who has git and has installed interlock."""
    (tmp_path / ".gitconfig").write_text(GIT_IDENTITY)
    (tmp_path / "bin").mkdir()
    for name, arguments in INSTALLED.items():
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        program.chmod(0o755)
    return tmp_path


def test_the_first_hour_is_as_the_page_tells_it(home: Path, component: Callable[[str], None]) -> None:
    component("compose")
    compose = find_compose(os.environ)
    assert compose is not None
    environ = human_environ(home, PATH=f"{home / 'bin'}:{os.environ['PATH']}", TERM="dumb", LANG="C.UTF-8", INTERLOCK_COMPOSE=compose.path)
    follow(read_page(PAGE.read_text()), environ=environ, home=home, folder=home, name=pwd.getpwuid(os.getuid()).pw_name)
    assert sorted(path.name for path in home.iterdir() if not path.name.startswith(".")) == [
        "bin", "pull-request", "shop", "shop-backups", "shop-state", "stand-in",
    ]  # fmt: skip
