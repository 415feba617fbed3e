"""How does a tree become one compressed archive, and is what lies on the disk really that archive? `tar` and `zstd` (or `gzip`) do the work.

One process a stage, each exit code looked at: in `a | b` a shell forgets the first. The bytes are counted and digested on their way to the disk; then they
are read back from there, decompressed and listed, and must come to the same digest and the same members.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from interlock.act.outcome import StepFailed
from interlock.act.private import write_whole
from interlock.gate.plan import Compression
from interlock.nouns import dataclass
from interlock.patterns import regex

SUFFIX: dict[Compression, str] = {"zstd": ".tar.zst", "gzip": ".tar.gz"}
COMPRESS: dict[Compression, tuple[str, ...]] = {"zstd": ("zstd", "-q", "-T0", "-3", "--check", "-c"), "gzip": ("gzip", "-1", "-c")}
DECOMPRESS: dict[Compression, tuple[str, ...]] = {"zstd": ("zstd", "-q", "-d", "-c"), "gzip": ("gzip", "-d", "-c")}
_NAMES = "--quoting-style=escape"  # one line a member, whatever its name holds
_ARCHIVE = (
    *("tar", "--create", "--file=-", "--format=posix", "--sort=name", "--numeric-owner", "--sparse", "--acls", "--xattrs", "--xattrs-include=*"),
    *(_NAMES, "--verbose", "--directory=/"),
)
_LIST = ("tar", "--list", "--file=-", _NAMES)
_CHUNK = 1 << 20
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
NAMED = 1000  # skipped or changed files that are named at most
_SKIPPED = regex(r"^tar: (.*): socket ignored$")
_CHANGED = regex(r"^tar: (.*?): ((?:[Ff]ile|Directory) (?:changed as we read it|removed before we read it|is new|has been removed|shrank by .*))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """An archive as it was written, or as it was read back. `members` counts files and directories, `members_sha256` is over their listed names."""

    size: int
    sha256: str
    members: int
    members_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`skipped` are sockets, `changed` files that changed or went away while they were read: named, with what tar said."""

    contents: Contents
    skipped: tuple[str, ...]
    changed: tuple[str, ...]


class _Lines(threading.Thread):
    """Reads one output to its end: counts and digests its lines, keeps the first and the last."""

    def __init__(self, file: IO[bytes], keep: int = 0) -> None:
        super().__init__(daemon=True)
        self._file = file
        self._keep = keep
        self._digest = hashlib.sha256()
        self.count = 0
        self.kept: list[str] = []
        self.last = ""
        self.start()

    def run(self) -> None:
        with suppress(ValueError):  # whoever started it has closed the output: nobody asks for the rest
            self._read()

    def _read(self) -> None:
        for line in self._file:
            self.count += 1
            self._digest.update(line)
            if self._keep:
                self.last = line.decode("utf-8", "backslashreplace").rstrip("\n")
                if len(self.kept) < self._keep:
                    self.kept.append(self.last)

    @property
    def sha256(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


class _Stage:
    """One program of a pipeline, in a session of its own so that a Ctrl-C reaches us first."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], *, stdin: IO[bytes] | int, descriptors: tuple[int, ...] = ()) -> None:
        self.name = argv[0]
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=descriptors,
                start_new_session=True,
                env={**environ, **_ENVIRONMENT},
            )
        except OSError as error:
            raise StepFailed(f"{argv[0]} cannot be started", why=error.strerror or str(error), remedy=f"install {argv[0]}", changed=False) from error
        assert self.process.stderr is not None
        self.errors = _Lines(self.process.stderr, keep=2 * NAMED)

    @property
    def out(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def ended(self, allowed: tuple[int, ...] = (0,)) -> int:
        """Wait for it. Raises StepFailed for another exit code, with the last line that it wrote."""
        code = self.process.wait()
        self.errors.join()
        if code not in allowed:
            raise StepFailed(f"{self.name} ended with {code}", why=self._complaint(), changed=False)
        return code

    def _complaint(self) -> str:
        """The first thing that it was unhappy about; tar's last line says only that there was something."""
        telling = (line for line in self.errors.kept if not _SKIPPED.match(line))
        return next(telling, self.errors.last)

    def stop(self) -> None:
        """End it if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout):
            if file is not None:
                file.close()
        self.errors.join()
        if self.process.stderr is not None:
            self.process.stderr.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under what a pipeline works: the environment of its programs, and when to give up: after `seconds`, or when `interrupted` names a signal."""

    environ: Mapping[str, str]
    seconds: float
    interrupted: Callable[[], str]

    def demand_on(self) -> None:
        """Raise StepFailed when a signal asked to stop."""
        if name := self.interrupted():
            raise StepFailed(f"stopped: {name}", changed=False)

    def late(self) -> StepFailed:
        """The failure of a pipeline that took too long."""
        return StepFailed("the archive did not get ready in time", why=f"the action allows {self.seconds:.0f} s", remedy="raise its `timeout:`", changed=False)


@contextmanager
def _stages(conditions: Conditions) -> Iterator[_Started]:
    """A pipeline whose programs are ended with it, however it ends, and when their time is over in any case."""
    started = _Started()
    timer = threading.Timer(conditions.seconds, started.give_up)
    timer.daemon = True
    timer.start()
    try:
        yield started
    except StepFailed as failure:
        if started.late:
            raise conditions.late() from failure
        raise
    finally:
        timer.cancel()
        for stage in started.stages:
            stage.stop()
    if started.late:
        raise conditions.late()


class _Started:
    """The stages of one pipeline."""

    def __init__(self) -> None:
        self.stages: list[_Stage] = []
        self.late = False

    def add(self, stage: _Stage) -> _Stage:
        self.stages.append(stage)
        if self.late:
            stage.process.kill()
        return stage

    def give_up(self) -> None:
        self.late = True
        for stage in self.stages:
            stage.process.kill()


def write_archive(paths: Sequence[str], exclude: Sequence[str], into: int, *, compression: Compression, conditions: Conditions) -> Written:
    """Archive `paths` (absolute) into the open file `into`, synced. Raises StepFailed; OSError when the file cannot be written (a full disk)."""
    with ExitStack() as stack:
        read, write = os.pipe()
        index = stack.enter_context(os.fdopen(read, "rb"))
        started = stack.enter_context(_stages(conditions))
        try:
            tar = started.add(_Stage(_tar(paths, exclude, write), conditions.environ, stdin=subprocess.DEVNULL, descriptors=(write,)))
        finally:
            os.close(write)
        members = _Lines(index)
        compressor = started.add(_Stage(COMPRESS[compression], conditions.environ, stdin=tar.out))
        tar.out.close()
        size, sha256 = _pump(compressor.out, into, conditions)
        changed = tar.ended(allowed=(0, 1)) == 1
        compressor.ended()
        members.join()
        os.fsync(into)
    contents = Contents(size=size, sha256=sha256, members=members.count, members_sha256=members.sha256)
    return Written(contents=contents, skipped=_named(_SKIPPED, tar.errors.kept), changed=_changes(tar.errors) if changed else ())


def _tar(paths: Sequence[str], exclude: Sequence[str], index: int) -> tuple[str, ...]:
    left_out = tuple(f"--exclude={_literal(path)}" for path in exclude)
    return (*_ARCHIVE, "--anchored", "--no-wildcards", *left_out, f"--index-file=/dev/fd/{index}", "--", *(_literal(path) for path in paths))


def _literal(path: str) -> str:
    """Relative to /, so that the archive unpacks anywhere and nothing is said about leading slashes."""
    return path.lstrip("/") or "."


def _pump(source: IO[bytes], into: int, conditions: Conditions) -> tuple[int, str]:
    """Copy until the end; bytes and digest."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        conditions.demand_on()
        digest.update(chunk)
        size += len(chunk)
        write_whole(into, chunk)
    return size, f"sha256:{digest.hexdigest()}"


def _named(pattern: re.Pattern[str], lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"/{match[1]}" for line in lines if (match := pattern.match(line)))[:NAMED]


def _changes(errors: _Lines) -> tuple[str, ...]:
    """What tar's exit code 1 was about. Raises StepFailed when it says nothing that we know: an unknown complaint is a failure."""
    found = tuple(f"/{match[1]}: {match[2]}" for line in errors.kept if (match := _CHANGED.match(line)))[:NAMED]
    if not found:
        raise StepFailed("tar ended with 1", why=errors.last, changed=False)
    return found


def read_back(file: int, *, compression: Compression, conditions: Conditions) -> Contents:
    """Read an archive from the disk (not from memory, where the system can tell), decompress it and list it. Raises StepFailed when it is not whole."""
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, size = hashlib.sha256(), 0
    with _stages(conditions) as started:
        decompressor = started.add(_Stage(DECOMPRESS[compression], conditions.environ, stdin=subprocess.PIPE))
        lister = started.add(_Stage(_LIST, conditions.environ, stdin=decompressor.out))
        decompressor.out.close()
        members = _Lines(lister.out)
        assert decompressor.process.stdin is not None
        try:
            while chunk := os.pread(file, _CHUNK, size):
                conditions.demand_on()
                digest.update(chunk)
                size += len(chunk)
                decompressor.process.stdin.write(chunk)
            decompressor.process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended early: its exit code says why
        decompressor.ended()
        lister.ended()
        members.join()
    return Contents(size=size, sha256=f"sha256:{digest.hexdigest()}", members=members.count, members_sha256=members.sha256)


def tool_version(name: str, environ: Mapping[str, str]) -> str:
    """The first line of `NAME --version`."""
    try:
        done = subprocess.run((name, "--version"), env={**environ, **_ENVIRONMENT}, capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else "unknown"
