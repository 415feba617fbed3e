"""docs/scan.md, followed to its end: every command is typed, and shows what the page says it shows; every file on it is one."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import yaml

from interlock.cli import FORMATS, SCAN_FORMATS
from interlock.observe.compose_binary import find_compose
from tests.in_terminal import human_environ
from tests.integration.test_first_hour import home
from tests.tutorial import Save, follow, read_page

__all__ = ["home"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scan.md").read_text()


def test_the_page_is_as_it_tells(home: Path, component: Callable[[str], None]) -> None:
    component("compose")
    compose = find_compose(os.environ)
    assert compose is not None
    environ = human_environ(home, PATH=f"{home / 'bin'}:{os.environ['PATH']}", TERM="dumb", LANG="C.UTF-8", INTERLOCK_COMPOSE=compose.path)
    (home / "shop").mkdir()
    follow(read_page(PAGE), environ=environ, home=home, folder=home, name=pwd.getpwuid(os.getuid()).pw_name)


def test_the_files_for_ci_ask_for_what_there_is() -> None:
    files = {
        step.name: yaml.safe_load(step.text) for step in read_page(PAGE) if isinstance(step, Save) and step.name.endswith(("yml", ".pre-commit-config.yaml"))
    }
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = files[".github/workflows/scan.yml"]["jobs"]["scan"]["steps"][1]
    assert step["with"].keys() <= action["inputs"].keys()
    job = files[".gitlab-ci.yml"]["interlock"]
    assert job["extends"] in yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())
    assert files[".gitlab-ci.yml"]["include"][0]["file"] == "ci/gitlab.yml"
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert files[".pre-commit-config.yaml"]["repos"][0]["hooks"][0]["id"] == hook["id"]
    assert all(f"`{name}`" in PAGE for name in (*action["inputs"], *action["outputs"], *FORMATS, *SCAN_FORMATS))
