"""Which commit does a folder stand at? Read by git itself; a folder that is no checkout, or a machine without git, has none."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The commit (40 or 64 hex digits), and whether tracked files differ from it."""

    commit: str
    dirty: bool


def head(folder: Path) -> Head | None:
    """The commit of a checkout that `folder` lies in, None when there is none. Takes no lock in the repository, and starts no git outside of one."""
    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return None
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return Head(commit=commit.strip(), dirty=bool(changed is None or changed.strip()))


def _git(folder: Path, *arguments: str) -> str | None:
    # A checkout can configure a program for git to start; we look at other people's.
    argv = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
