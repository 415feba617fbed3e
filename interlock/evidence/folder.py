"""Where does a run's evidence lie, and when is it there? One private folder per run, below the site's reports: complete or not visible at all.

`RunFolder` writes under a name that begins with a dot, syncs every file, and renames the folder at the end; a run that dies leaves a dot folder, which
nobody reads. `load_run`, `latest` and `latest_open` read what is there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from interlock.errors import EvidenceError
from interlock.evidence import topology_file
from interlock.evidence.details import Details, details_of
from interlock.evidence.files import DIRECTORY, create_private, digest_of, open_to_read, unwritable, write_all
from interlock.evidence.record import Decision, Record, Run
from interlock.facts.topology import Topology
from interlock.nouns import dataclass
from interlock.patterns import regex
from interlock.verdicts import When

RECORD, DETAILS, FACTS, JUNIT, SUMMARY, SUMS = "record.json", "details.jsonl", "facts.json", "junit.xml", "summary.md", "SHA256SUMS"
REPORT, TOPOLOGY, PICTURE = "report.html", "topology.json", "topology.svg"
ALLURE = "allure-results"
RUN_NAME = regex(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{6}")

_CHUNK = 1 << 18
_MANY_FILES = 64  # from here on one sync of the file system is cheaper than a sync per file


class SealedFile:
    """A file of a run folder while it is written: digests what goes in."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._digest.update(data)
        write_all(self._file, data)

    @property
    def sha256(self) -> str:
        """`sha256:<hex>` of what was written until now."""
        return "sha256:" + self._digest.hexdigest()


class RunFolder:
    """The evidence folder of one run while it is made. Use it in a `with`: what is not published when it ends is removed.

    Every failure to write is an EvidenceError, whatever the reason: disk full, read-only, no permission, a name that is taken.
    """

    def __init__(self, reports: Path, name: str, handle: int) -> None:
        self._reports = reports
        self.name = name
        self._handle: int | None = handle  # the dot folder, open: nobody can put another in its place
        self._digests: dict[str, str] = {}

    @classmethod
    def create(cls, reports: Path, name: str) -> Self:
        """Begin a folder `name` below `reports` (made, 0700, when it is missing). Raises EvidenceError when it cannot be, or when the name is taken."""
        if not RUN_NAME.fullmatch(name):
            raise EvidenceError(f"{name!r} is no name of a run", where=str(reports), why="runs are named <YYYYMMDDTHHMMSSZ>-<gate or action>-<6 hex digits>")
        hidden = reports / f".{name}"
        with _evidence(reports / name):
            reports.mkdir(mode=0o700, parents=True, exist_ok=True)
            hidden.mkdir(mode=0o700)
            try:
                # Looked at after the dot folder is ours: whoever had it before has either renamed it by now, or never will.
                if os.path.lexists(reports / name):
                    raise FileExistsError(errno.EEXIST, "a run of that name is there already")
                return cls(reports, name, os.open(hidden, DIRECTORY))
            except OSError:
                hidden.rmdir()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._handle is not None:
            self.discard()

    @property
    def path(self) -> Path:
        """Where its files are now: the dot folder, and the final one after `publish`."""
        return self._reports / (f".{self.name}" if self._handle is not None else self.name)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each file that was written, by its path in the folder."""
        return dict(self._digests)

    @contextmanager
    def file(self, name: str) -> Iterator[SealedFile]:
        """Write one new file, 0600. `name` may lie one directory down (`allure-results/x.json`)."""
        with _evidence(self.path / name):
            directory = os.path.dirname(name)  # noqa: PTH120 - a name inside the folder, no path of its own
            if directory:
                self._make(directory)
            with create_private(name, self._open()) as file:
                sealed = SealedFile(file)
                yield sealed
            self._digests[name] = sealed.sha256

    def write(self, name: str, chunks: Iterable[str] | Iterable[bytes]) -> str:
        """Write a file from pieces of text (as UTF-8) or bytes; returns its digest. Memory stays flat."""
        with self.file(name) as file:
            pending: list[bytes] = []
            size = 0
            for chunk in chunks:
                pending.append(chunk.encode("utf-8") if isinstance(chunk, str) else chunk)
                size += len(pending[-1])
                if size >= _CHUNK:
                    file.write(b"".join(pending))
                    pending, size = [], 0
            file.write(b"".join(pending))
        return file.sha256

    def adopt(self, name: str) -> str:
        """Take up a file that somebody else wrote into the folder (0600, no link); returns its digest."""
        with _evidence(self.path / name):
            mode = os.stat(name, dir_fd=self._open(), follow_symlinks=False).st_mode
            if not stat.S_ISREG(mode) or mode & 0o077:
                raise PermissionError(errno.EPERM, f"it is not private: {stat.filemode(mode)}")
            self._digests[name] = digest_of(name, self._open())
        return self._digests[name]

    def publish(self) -> Path:
        """Write SHA256SUMS, sync everything, and give the folder its name. Returns its path."""
        self.write(SUMS, [sums_of(self._digests)])
        with _evidence(self.path):
            handle = self._open()
            self._refuse_strangers()
            _sync(handle, self._digests)
            os.rename(self.path, self._reports / self.name)  # noqa: PTH104
            self._handle = None
            os.close(handle)
            _sync_directory(self._reports)
        return self.path

    def discard(self) -> None:
        """Remove the dot folder with all that is in it."""
        path = self.path
        os.close(self._open())
        self._handle = None
        shutil.rmtree(path, ignore_errors=True)

    def _open(self) -> int:
        if self._handle is None:
            raise EvidenceError(f"{self.name} is published", where=str(self.path), why="evidence is written once")
        return self._handle

    def _make(self, directory: str) -> None:
        try:
            os.mkdir(directory, 0o700, dir_fd=self._open())
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(directory, dir_fd=self._open(), follow_symlinks=False).st_mode):
                raise

    def _refuse_strangers(self) -> None:
        """A file that nobody accounted for would be published without a digest."""
        unknown = sorted(set(files_below(self.path)) - self._digests.keys())
        if unknown:
            raise FileExistsError(errno.EEXIST, f"nobody accounted for {', '.join(unknown)}")


@contextmanager
def _evidence(path: Path) -> Iterator[None]:
    """Turn every failure of the file system into an EvidenceError that says what would help."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def _sync(handle: int, names: Iterable[str]) -> None:
    """Everything on disk before the folder gets its name."""
    names = list(names)
    if len(names) > _MANY_FILES and _sync_file_system(handle):
        return
    for name in names:
        with open_to_read(name, handle) as file:
            os.fsync(file)
    for directory in sorted({os.path.dirname(name) for name in names} - {""}):  # noqa: PTH120
        inner = os.open(directory, DIRECTORY, dir_fd=handle)
        try:
            os.fsync(inner)
        finally:
            os.close(inner)
    os.fsync(handle)


def _sync_file_system(handle: int) -> bool:
    """syncfs(2), which Python does not have; False where the C library has none."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):
        return False
    if library.syncfs(handle) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return True


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sums_of(digests: dict[str, str]) -> bytes:
    """SHA256SUMS as `sha256sum -c` reads it, sorted by name, without itself."""
    return b"".join(f"{digests[name].removeprefix('sha256:')}  {name}\n".encode() for name in sorted(digests) if name != SUMS)


def files_below(folder: Path) -> Iterator[str]:
    """Every entry of a run folder that is no directory, as a path inside it; nothing is followed."""
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with os.scandir(folder / inner) as entries:
            for entry in entries:
                name = f"{inner}/{entry.name}" if inner else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                else:
                    yield name


# ---- reading


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRun:
    """A published run. `digest` is that of record.json as it lies there; `details` can be read again and again."""

    path: Path
    record: Record
    digest: str

    @property
    def details(self) -> Details:
        """Its details, as renderings take them."""
        return details_of(self.path / DETAILS)

    @property
    def facts(self) -> Path:
        """Its facts file, which need not be there."""
        return self.path / FACTS

    @property
    def topology(self) -> Topology | None:
        """What its picture shows; None for a run that saw no disks. Raises EvidenceError when it cannot be read."""
        return topology_of(self.path)


def load_run(path: Path) -> LoadedRun:
    """The run in a folder, or the one whose record.json `path` is. Raises EvidenceError when there is none, or it cannot be read."""
    folder = path.parent if path.name == RECORD and not path.is_dir() else path
    file = folder / RECORD
    try:
        with open_to_read(file) as opened:
            data = opened.read()
    except OSError as error:
        remedy = "name a folder below reports/ that holds a record.json"
        raise EvidenceError(f"there is no run to read: {error.strerror}", where=str(file), remedy=remedy) from error
    record = Record.parse(data, where=str(file))
    return LoadedRun(path=folder, record=record, digest="sha256:" + hashlib.sha256(data).hexdigest())


def topology_of(folder: Path) -> Topology | None:
    """What the picture of a run folder shows; None where it holds none. Raises EvidenceError when it cannot be read."""
    try:
        with open_to_read(folder / TOPOLOGY) as file:
            return topology_file.parse(file.read(), where=str(folder / TOPOLOGY))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvidenceError(f"the topology cannot be read: {error.strerror}", where=str(folder / TOPOLOGY)) from error


def runs(reports: Path) -> Iterator[Path]:
    """The published runs below `reports`, newest first, by the second in their names and by when they were written within one. Dot folders of runs that
    died are none."""
    try:
        with os.scandir(reports) as entries:
            found = [entry for entry in entries if RUN_NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]
        names = [(entry.name.partition("-")[0], entry.stat(follow_symlinks=False).st_mtime_ns, entry.name) for entry in found]
    except FileNotFoundError:
        return
    except OSError as error:
        raise EvidenceError(f"runs cannot be read: {error.strerror}", where=str(reports)) from error
    yield from (reports / name for _, _, name in sorted(names, reverse=True))


def _of_site(reports: Path, site: str) -> Iterator[LoadedRun]:
    for path in runs(reports):
        try:
            run = load_run(path)
        except EvidenceError:
            continue  # a damaged record is `interlock verify`'s business, and must not keep a new run from being written
        if run.record.target.site == site:
            yield run


def latest(reports: Path, site: str) -> LoadedRun | None:
    """The site's newest readable run: its digest is the next record's `previous`."""
    return next(_of_site(reports, site), None)


def latest_open(reports: Path, like: Record) -> LoadedRun | None:
    """The site's newest run of the same gate, for the same action, that was open: what a shut one is compared with."""
    same = (run for run in _of_site(reports, like.target.site) if _asked(run.record.run) == _asked(like.run))
    return next((run for run in same if run.record.decision is Decision.OPEN), None)


def _asked(run: Run) -> tuple[object, ...]:
    """What makes two runs comparable. Apply's own gate is the one before it that was asked by itself, and more; one in mid-plan is only like itself."""
    return (set(run.gates) - {When.APPLY}, run.action, set(run.only))


def applied_by(reports: Path, plan: str) -> LoadedRun | None:
    """The newest evidence of an action that carried out this plan, by its digest; that of its gates, which carry out nothing, is none."""
    for path in runs(reports):
        with suppress(EvidenceError):
            run = load_run(path)
            if run.record.steps and run.record.plan is not None and run.record.plan.digest == plan:
                return run
    return None
