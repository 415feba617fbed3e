"""What `.gitignore` files say of a path: as git itself says it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.facts.gitignore import ignored

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge here")

PARTS = st.sampled_from(["a", "b", "env", ".env", "x.yml", "conf.d"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join).filter(lambda path: path != "a")  # that one is a folder
PATTERNS = st.sampled_from(
    [
        ".env",
        "/.env",
        "a/",
        "/a/b",
        "a/*",
        "*.yml",
        "!x.yml",
        "**/b",
        "a/**",
        "a/**/b",
        "?",
        "[ab]",
        "[!a]",
        "conf.*",
        "!a/.env",
        "# note",
        "",
        "/*",
        "\\#x",
        "b ",
    ]
)


def git_says(folder: Path, path: str) -> bool:
    done = subprocess.run(["git", "-C", str(folder), "check-ignore", "--no-index", "-q", path], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ignored")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / "a").mkdir()
    return folder


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(patterns=st.lists(PATTERNS, max_size=4), deeper=st.lists(PATTERNS, max_size=2), path=PATHS)
def test_git_ignores_what_we_call_ignored_and_no_more(checkout: Path, patterns: list[str], deeper: list[str], path: str) -> None:
    files = {"": "\n".join(patterns) + "\n", "a": "\n".join(deeper) + "\n"}
    for folder, text in files.items():
        (checkout / folder / ".gitignore").write_text(text)
    assert ignored(path, files) == git_says(checkout, path)
