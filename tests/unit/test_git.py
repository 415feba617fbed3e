"""The commit that a folder stands at, asked of git without running what the checkout configures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from interlock.observe.git import head


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        subprocess.run(("git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.invalid", *arguments), check=True, capture_output=True)

    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    return tmp_path


def test_a_folder_that_is_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert head(tmp_path) is None


def test_a_changed_file_makes_it_dirty(checkout: Path) -> None:
    clean = head(checkout)
    assert clean is not None
    assert (len(clean.commit), clean.dirty) == (40, False)
    (checkout / "file").write_text("two")
    changed = head(checkout)
    assert changed is not None
    assert (changed.commit, changed.dirty) == (clean.commit, True)


def test_a_program_that_the_checkout_configures_is_not_started(checkout: Path) -> None:
    trap = checkout / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {checkout}/started\n")
    trap.chmod(0o755)
    subprocess.run(("git", "-C", str(checkout), "config", "core.fsmonitor", str(trap)), check=True)
    assert head(checkout) is not None
    assert not (checkout / "started").exists()
