"""Which commit does a folder stand at, which files are in it, and when did one last change? Read by git itself; without a checkout or git, nobody knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from interlock.errors import CouldNotLook
from interlock.facts.backups import LastChange
from interlock.nouns import dataclass

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
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None


def last_change(folder: Path, path: str) -> LastChange | None:
    """When a file below `folder` last changed, by the commit that changed it. None when that is not known: no checkout, no git, or a file that git ignores."""
    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return None
    spec = f":(literal){path}"
    changed = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", spec)
    said = _git(folder, "log", "-1", "--format=%ct %P", "--", spec)
    if changed is None or (said is None and not changed.strip()):
        return None
    if said is None or not said.strip():
        return LastChange(committed=0, uncommitted=True) if changed.strip() else None
    committed, *parents = said.split()
    first = not parents and (_git(folder, "rev-parse", "--is-shallow-repository") or "").strip() == "true"
    return LastChange(committed=int(committed), uncommitted=bool(changed.strip()), oldest_known=first)


def tracked(folder: Path) -> frozenset[str] | None:
    """The files below `folder` that are under version control, relative to it. None when there is no checkout. Raises `CouldNotLook` when git does not say."""
    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return None
    said = _git(folder, "ls-files", "-z")
    if said is None:
        remedy = f"see what `git -C {folder} ls-files` says: it refuses the checkout of another user, and it may not be installed"
        raise CouldNotLook("git does not say which files are under version control", where=str(folder), remedy=remedy)
    return frozenset(name for name in said.split("\0") if name)


def tags(folder: Path) -> dict[str, str]:
    """The tags of the checkout that `folder` is, each with the commit that it leads to; none where there is no checkout, or git does not say."""
    if not (folder / ".git").exists():
        return {}
    said = _git(folder, "for-each-ref", "--format=%(refname:strip=2)%00%(objectname)%00%(*objectname)", "refs/tags") or ""
    found = (line.split("\0") for line in said.splitlines())
    return {line[0]: line[2] or line[1] for line in found if len(line) == 3}
