"""What did a tree look like at an earlier commit? Its files are read out of git's objects into a private folder: no worktree, no checkout, no filter or hook.

The folder is a checkout for whoever asks git in it: the same history, tags and files under version control, by git's own borrowing of objects.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from interlock.errors import UsageError
from interlock.nouns import dataclass
from interlock.observe.tree import SIZE_LIMIT

TIMEOUT_S = 60
_OURS = ("DIR", "INDEX_FILE", "WORK_TREE", "PREFIX", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "NAMESPACE", "COMMON_DIR", "QUARANTINE_PATH")
_FOLDER, _LINK, _SUBMODULE = 0o040000, 0o120000, 0o160000


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A commit, and the folder in which the scanned part of its tree lies; the folder is empty where that commit had no such part."""

    commit: str
    root: Path


@contextmanager
def earlier(root: Path, revision: str, environ: Mapping[str, str]) -> Iterator[Earlier]:
    """The tree at `root` as `revision` had it, as long as the context lasts. Raises UsageError when there is no such thing."""
    git = _Git(root, environ)
    prefix = git.asks("rev-parse", "--show-prefix").rstrip("\n")
    commit = git.commit(revision)
    with tempfile.TemporaryDirectory(prefix="interlock-earlier-") as folder:
        top = Path(folder) / Path(git.asks("rev-parse", "--show-toplevel").rstrip("\n")).name
        inside = top / prefix
        inside.mkdir(parents=True)
        try:
            _write(git, f"{commit}:{prefix.rstrip('/')}", os.fsencode(inside), os.fsencode(root))
        except OSError as error:
            why = f"{error.strerror}: {os.fsdecode(error.filename or b'')}"
            raise UsageError(f"the tree of {revision} could not be written out", where=folder, why=why, remedy="make room there, or set TMPDIR") from error
        _borrow(git, top, commit)
        yield Earlier(commit=commit, root=inside)


class _Git:
    """git in one folder, without what a hook that started us told its own git, and without anything that fetches or acts."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = {name: value for name, value in environ.items() if name.removeprefix("GIT_") not in _OURS or not name.startswith("GIT_")}
        self.environ |= {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def argv(self, *arguments: str) -> tuple[str, ...]:
        return ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(self.folder), *arguments)

    def asks(self, *arguments: str, given: str = "") -> str:
        """What git says. Raises UsageError with its own words."""
        try:
            done = subprocess.run(
                self.argv(*arguments),
                input=given.encode("utf-8", "surrogateescape"),
                capture_output=True,
                env=self.environ,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError("git does not answer", where=str(self.folder), why=str(error), remedy="install git, or leave --changed-since out") from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            remedy = "--changed-since needs the checkout of a git repository that this user may read"
            raise UsageError("git cannot say what was there before", where=str(self.folder), why=said[-1] if said else "it failed", remedy=remedy)
        return done.stdout.decode("utf-8", "surrogateescape")

    def commit(self, revision: str) -> str:
        """The commit that a name stands for."""
        try:
            return self.asks("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()
        except UsageError as error:
            shallow = self.asks("rev-parse", "--is-shallow-repository").strip() == "true"
            remedy = f"fetch it first: git fetch --depth=1 origin {revision}" if shallow else "name a branch, tag or commit that this repository has"
            more = "this clone is shallow: it lacks most of the history" if shallow else error.why
            raise UsageError(f"there is no commit {revision} here", where=str(self.folder), why=more, remedy=remedy) from error


def _write(git: _Git, tree: str, into: bytes, beside: bytes) -> None:
    """Every file of a tree; links last, so that none is written through. `beside` is the checkout of today, in which submodules lie."""
    try:
        listed = git.asks("ls-tree", "-r", "-z", "-l", "--full-tree", tree)
    except UsageError:
        return  # that commit had no such folder
    links: list[tuple[bytes, bytes]] = []
    with _Blobs(git) as blobs:
        for line in listed.encode("utf-8", "surrogateescape").split(b"\0"):
            if not line:
                continue
            words, _, name = line.partition(b"\t")
            mode, _, blob, size = words.split()
            if any(part in (b"", b".", b"..", b".git") for part in name.split(b"/")):
                continue
            path = into + b"/" + name
            kind = int(mode, 8)
            if stat.S_IFMT(kind) == _SUBMODULE:
                os.makedirs(path, exist_ok=True)  # noqa: PTH103 - names are bytes
                _write_submodule(git, blob.decode(), path, beside + b"/" + name)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            if stat.S_IFMT(kind) == _LINK:
                links.append((blobs.read(blob), path))
            else:
                _write_file(path, kind & 0o777, int(size), blobs, blob)
    for target, path in links:
        os.symlink(target, path)  # noqa: PTH211


def _write_file(path: bytes, mode: int, size: int, blobs: _Blobs, blob: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        if size > SIZE_LIMIT:
            file.truncate(size)  # nobody reads that much of a file
        else:
            file.write(blobs.read(blob))


def _write_submodule(git: _Git, commit: str, into: bytes, beside: bytes) -> None:
    """What a submodule had, where its checkout is here and knows that commit."""
    if not os.path.exists(beside + b"/.git"):  # noqa: PTH110
        return
    its = _Git(Path(os.fsdecode(beside)), git.environ)
    _write(its, f"{commit}:", into, beside)


class _Blobs:
    """The contents of git's objects, one after the other from one process."""

    def __init__(self, git: _Git) -> None:
        self._git = git

    def __enter__(self) -> _Blobs:
        self._process = subprocess.Popen(self._git.argv("cat-file", "--batch"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._git.environ)
        return self

    def __exit__(self, *_raised: object) -> None:
        with self._process:
            self._input.close()
            self._output.close()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def read(self, name: bytes) -> bytes:
        """The bytes of one. Raises UsageError when the repository lacks it."""
        self._input.write(name + b"\n")
        self._input.flush()
        head = self._output.readline().split()
        if len(head) != 3:
            why = "a partial clone does not have every file of its history"
            raise UsageError(f"object {name.decode()} is not here", where=str(self._git.folder), why=why, remedy="fetch the commit with its files")
        content = self._output.read(int(head[2]))
        self._output.read(1)
        return content


def _borrow(git: _Git, top: Path, commit: str) -> None:
    """Make the folder a checkout of the commit that borrows the objects of the repository: for guardrails that ask git."""
    objects = Path(os.path.realpath(git.folder / git.asks("rev-parse", "--git-path", "objects").rstrip("\n")))
    shallow = git.folder / git.asks("rev-parse", "--git-path", "shallow").rstrip("\n")
    kind = "sha256" if len(commit) == 64 else "sha1"
    here = _Git(top, git.environ)
    here.asks("init", "--quiet", "--template=", f"--object-format={kind}")
    (top / ".git" / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (top / ".git" / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
    if shallow.is_file():
        (top / ".git" / "shallow").write_bytes(shallow.read_bytes())
    refs = git.asks("for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
    (top / ".git" / "packed-refs").write_text(f"# pack-refs with: sorted \n{refs}", encoding="utf-8", errors="surrogateescape")
    (top / ".git" / "HEAD").write_text(f"{commit}\n")
    here.asks("read-tree", commit)
