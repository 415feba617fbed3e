"""Was this very tree judged before? The record of a scan is kept by a digest of all that it depends on, and told again where that digest is the same.

What a scan depends on: every byte, mode and name of the tree, the commit, the tags and the files under version control, interlock itself, docker compose and
the shell that it asks, the environment that these are given, and the day (UTC): a date in a file may have passed. Nothing else is trusted, and nothing is kept
that could not be looked at: a look that failed is tried again. Deleting the folder costs time, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import interlock
from interlock.errors import InterlockError
from interlock.evidence.record import Git, Record, rfc3339, sha256
from interlock.facts.moments import read as moment
from interlock.facts.moments import stamp
from interlock.nouns import dataclass
from interlock.observe.compose_binary import candidates
from interlock.observe.git import Head, head, tags, tracked
from interlock.observe.private import read_private
from interlock.observe.tree import Tree
from interlock.verdicts import Outcome

NAMED_BY = "INTERLOCK_CACHE"  # a folder, or `off`
LARGEST = 64 * 1024 * 1024  # bytes of one file that is kept
MOST = 40  # trees
RECORD, DETAILS = "record.json", "details.jsonl"
_GIVEN = ("PATH", "HOME", "DOCKER_CONFIG", "INTERLOCK_COMPOSE")
_ASKED = ("bash", "sh", "git")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where the record of one tree is kept, whether it is there or not."""

    folder: Path
    head: Head | None

    @classmethod
    def place(cls, tree: Tree, site_file: Path | None, environ: Mapping[str, str], *, given: Sequence[str] = ()) -> Kept | None:
        """The place for what a scan of this tree comes to; None where nothing may be kept: the cache is off, or the site file lies in another tree.
        `given` are the options that decide what comes out."""
        base = _base(environ)
        if base is None or not _private(base) or (site_file is not None and site_file.absolute().parent != tree.root.absolute()):
            return None
        site = site_file.name if site_file is not None else ""
        found = head(tree.root)
        told = [_ourselves(), str(tree.root.absolute()), site, *given, *_surroundings(environ), *_version_control(tree.root, found), tree.digest()]
        return cls(folder=base / hashlib.sha256(json.dumps(told).encode()).hexdigest(), head=found)

    def load(self, started: datetime) -> tuple[Record, bytes] | None:
        """The record as of `started`, and its details; None when there is none that is whole."""
        try:
            record = Record.parse(read_private(self.folder / RECORD, limit=LARGEST), str(self.folder))
            details = read_private(self.folder / DETAILS, limit=LARGEST)
        except (OSError, ValueError, InterlockError):
            return None
        if sha256(details) != record.details.sha256 or any(waiver.expires_at and moment(waiver.expires_at) <= started for waiver in record.waivers):
            return None
        os.utime(self.folder)
        return self._again(record, started), details

    def _again(self, record: Record, started: datetime) -> Record:
        """The same judgements of the same bytes, which were read just now."""
        run = replace(
            record.run, id=f"{stamp(started)}-scan-{secrets.token_hex(3)}", started=rfc3339(started), ended=rfc3339(datetime.now(UTC).replace(microsecond=0))
        )
        target = replace(record.target, git=Git(commit=self.head.commit, dirty=self.head.dirty) if self.head else None)
        return replace(record, run=run, target=target, verdicts=tuple(replace(verdict, taken_at=rfc3339(started)) for verdict in record.verdicts))

    def keep(self, record: Record, details: Path) -> None:
        """Keep a record, whole or not at all. A disk that is full, or a folder that cannot be written, keeps nothing."""
        if any(verdict.outcome is Outcome.UNPROVEN for verdict in record.verdicts):
            return
        part = self.folder.with_name(f".{self.folder.name}.{secrets.token_hex(4)}")
        try:
            part.mkdir(mode=0o700)
            for name, data in ((RECORD, record.to_json()), (DETAILS, details.read_bytes())):
                with os.fdopen(os.open(part / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(data)
            shutil.rmtree(self.folder, ignore_errors=True)
            part.rename(self.folder)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
        _forget_the_oldest(self.folder.parent)


def _base(environ: Mapping[str, str]) -> Path | None:
    """The folder of all that is kept, None when nothing shall be."""
    named = environ.get(NAMED_BY, "")
    if named == "off":
        return None
    if named:
        return Path(named) / "scan"
    home = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    return Path(home) / "interlock" / "scan" if home.startswith("/") else None


def _private(base: Path) -> bool:
    """Whether the folder is there now, ours, and nobody else's to write: a record that somebody puts there would be believed."""
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = base.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o022


def _ourselves() -> str:
    """This very interlock: a newer one may judge otherwise."""
    folder = Path(interlock.__file__).parent
    files = sorted((str(path.relative_to(folder)), path.stat()) for path in folder.rglob("*.py"))
    stamps = [(name, seen.st_size, seen.st_mtime_ns) for name, seen in files]
    return sha256(json.dumps([interlock.__version__, platform.python_version(), os.geteuid(), stamps]).encode())


def _surroundings(environ: Mapping[str, str]) -> Iterator[str]:
    yield f"{datetime.now(UTC):%Y-%m-%d}"
    yield from (f"{name}={environ[name]}" for name in _GIVEN if name in environ)
    programs = (*candidates(environ), *(found for name in _ASKED if (found := shutil.which(name, path=environ.get("PATH")))))
    for program in programs:
        seen = Path(program).stat()
        yield f"{program} {seen.st_size} {seen.st_mtime_ns}"


def _version_control(root: Path, found: Head | None) -> Iterator[str]:
    if found is not None:
        yield found.commit
        yield hashlib.sha256(
            "\0".join((*(f"{name} {commit}" for name, commit in sorted(tags(root).items())), "", *sorted(tracked(root) or ()))).encode(
                "utf-8", "surrogateescape"
            )
        ).hexdigest()


def _forget_the_oldest(base: Path) -> None:
    try:
        found = sorted((path for path in base.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return
    for path in found[MOST:]:
        shutil.rmtree(path, ignore_errors=True)
