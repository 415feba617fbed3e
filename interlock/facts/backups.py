"""What lies in a module's backup directory, and what is the newest backup in it? The nouns of the backups family; `interlock.observe.backups` brings them.

Beside it: `backup_manifests` (what vouches for a backup, and when it was taken), `backup_modules` (the module files), `backup_writers` (scripts).
"""

from __future__ import annotations

import ast
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from interlock.errors import CouldNotLook
from interlock.facts import pythoncode
from interlock.facts.backup_writers import BackupWrite, WriterScript, is_python
from interlock.facts.looks import Entry, Examined, Listing, StatAnswer
from interlock.nouns import dataclass
from interlock.patterns import regex

MOST_ENTRIES = 200_000  # of a module's directories that are looked at for its last change


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleBackups:
    """A module's backup directory and everything below it.

    `owner_uid` is None when the host knows no user `owner`.
    `listings` streams the walk, top down, and can be drained once: a directory may hold a million files.
    """

    directory: str
    itself: StatAnswer
    owner: str
    owner_uid: int | None
    listings: Iterator[Listing]


def mode_text(mode: int) -> str:
    """Permission bits as operators write them: `0644`."""
    return f"{mode & 0o7777:04o}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestBackup:
    """The files of a module's newest backup, the newest first; none when there is no backup. `backup_class` is its letter, A to G.

    `in_folders`: no file lies directly in the directory, and some do in folders below it, which nobody looked into.
    """

    module: str
    backup_class: str
    directory: str
    files: tuple[Examined, ...]
    in_folders: bool = False


def holds_files(listings: Iterable[Listing]) -> bool:
    """True when a file that is not hidden lies anywhere in a walk; what could not be listed may hold some."""
    return any(listing.error or any(stat.S_ISREG(entry[1]) and not entry[0].startswith(".") for entry in listing.entries) for listing in listings)


def format_of(file: Examined) -> str:
    """What a file of a backup is: as it was examined, and `pg-tar` for an archive that is a dump (pg_dump's tar format, or its directory format in one)."""
    return "pg-tar" if file.format == "tar" and any(posixpath.basename(name) == "toc.dat" for name in file.names) else file.format


@dataclass(frozen=True, slots=True, kw_only=True)
class Wal:
    """What an embedded database has not yet put into its file: `log` lies beside `database`; both are whole paths."""

    database: str
    log: str
    mtime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One directory of a module as it is now. `changed` is the file below it that changed last, at `mtime` (seconds since the epoch); empty when there is
    none. `filled`: something is in it. `cut`: it holds more than was looked at. `fault` says what could not be looked at."""

    path: str
    changed: str = ""
    mtime: int = 0
    filled: bool = False
    wals: tuple[Wal, ...] = ()
    cut: bool = False
    fault: str = ""

    @classmethod
    def of(cls, path: str, listings: Iterable[Listing], limit: int = MOST_ENTRIES) -> State:
        """From a walk, which is read to its end or to `limit` entries."""
        newest: tuple[int, str] = (0, "")
        wals: list[Wal] = []
        seen, fault, filled = 0, "", False
        try:
            for listing in listings:
                fault = fault or (f"{listing.directory} could not be listed: {listing.error}" if listing.error else "")
                newest = max(newest, _newest(listing))
                wals += _wals(listing)
                filled = filled or bool(listing.entries)
                seen += 1 + len(listing.entries)
                if seen >= limit:
                    return cls(path=path, changed=newest[1], mtime=newest[0], filled=filled, wals=tuple(wals), cut=True, fault=fault)
        except CouldNotLook as error:
            fault = fault or error.sentence
        return cls(path=path, changed=newest[1], mtime=newest[0], filled=filled, wals=tuple(wals), fault=fault)

    @classmethod
    def of_file(cls, path: str, itself: StatAnswer) -> State:
        """Of a path that is a file."""
        return cls(path=path, changed=path, mtime=itself.mtime)


_PASSING = ("-shm", ".lock", ".lck", ".pid", ".sock")  # made anew with every start of their program; nothing that a restore needs


def _newest(listing: Listing) -> tuple[int, str]:
    """The newest of the files that hold something; no sockets and pipes, no directories."""
    kinds = (stat.S_IFREG, stat.S_IFLNK)
    holding = [(entry[5], entry[0]) for entry in listing.entries if stat.S_IFMT(entry[1]) in kinds and not entry[0].endswith(_PASSING)]
    if not holding:
        return (0, "")
    mtime, name = max(holding)
    return mtime, posixpath.join(listing.directory, name)


_EMBEDDED = regex(r"\.(?:db3?|sqlite3?|s3db|duckdb)$", re.IGNORECASE)


def is_embedded_database(path: str) -> bool:
    """True for names of SQLite and DuckDB files."""
    return _EMBEDDED.search(path) is not None


_COMPRESSED = regex(r"\.(?:gz|zst|xz|bz2|lz4)$")
_COPIES = frozenset({"cp", "rsync", "scp", "cat", "dd", "<", "tar", "gtar", "bsdtar", "zip", "gzip", "zstd", "xz", "docker cp", "docker-compose cp"})


def copied_database(write: BackupWrite) -> str:
    """The file of an embedded database that is copied as it is; empty when it is another file, or another program writes it."""
    if write.tool in _COPIES or write.tool.startswith("shutil.copy"):
        return next((word.strip("'\"") for word in write.source.split() if is_embedded_database(word.strip("'\""))), "")
    compressed = _COMPRESSED.sub("", write.target)
    return compressed if write.tool in ("open", "gzip.open", "shutil.copyfileobj") and compressed != write.target and is_embedded_database(compressed) else ""


def logs_of(database: str) -> tuple[str, str]:
    """Where an embedded database keeps what is not in its file yet: SQLite's write-ahead log, DuckDB's."""
    return f"{database}-wal", f"{database}.wal"


def _wals(listing: Listing) -> Iterator[Wal]:
    """The logs beside embedded databases that have something in them."""
    entries = [Entry._make(entry) for entry in listing.entries if entry[0].endswith(("-wal", ".wal")) and entry[4] > 0]
    if entries:
        names = {entry[0] for entry in listing.entries}
        for entry in entries:
            database = entry.name[:-4]
            if database in names:
                above = listing.directory
                yield Wal(database=posixpath.join(above, database), log=posixpath.join(above, entry.name), mtime=entry.mtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupAge:
    """A module's newest backup beside the clock and its last change. `fresh_for` in seconds; `now` is aware, by our own clock, from before the look.

    `state` has the module's directories, none where a change there says nothing (a database, or a module that is written to all the time).
    """

    newest: NewestBackup
    now: datetime
    fresh_for: int
    state: tuple[State, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The backup before a file of the newest one, of the same kind by its name."""

    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupContents:
    """A module's newest backup beside what it should hold. `database` is the name that the database has on its server, empty when that is not known;
    `large_objects`: it has some, None when nobody could ask it.

    `before` maps names of the newest backup's files to the ones before them. `procedure` is the text of the script that made it, without its comments;
    empty when none is named or it cannot be read.
    """

    newest: NewestBackup
    state: tuple[State, ...]
    database: str
    large_objects: bool | None
    before: Mapping[str, Before]
    procedure: str = ""


_ROTATED = regex(r"\.\d{1,3}$")
_STAMPS = regex(r"(?<!\d)(?:\d{4}[-_.]?\d{2}[-_.]?\d{2}(?:[T_ .-]?\d{2}[-:_.]?\d{2}(?:[-:_.]?\d{2})?Z?)?|\d{9,})(?!\d)")


def without_stamp(name: str) -> str:
    """A name without its time stamp and the number of a rotation: two backups of one kind have the same."""
    return _STAMPS.sub("#", _ROTATED.sub("", name))


def before(files: Iterable[Examined], directory: str, listings: Iterable[Listing]) -> dict[str, Before]:
    """For each of the files the newest one directly in the directory that is older and of the same kind, where there is one."""
    wanted = {without_stamp(file.name): file for file in files}
    found: dict[str, Entry] = {}
    for listing in listings:
        if listing.directory != directory:
            break  # the walk is top down
        for entry in map(Entry._make, listing.entries):
            shape = without_stamp(entry.name)
            newest = wanted.get(shape)
            if newest is None or not stat.S_ISREG(entry.mode) or (entry.mtime, entry.name) >= (newest.mtime, newest.name):
                continue
            if shape not in found or (entry.mtime, entry.name) > (found[shape].mtime, found[shape].name):
                found[shape] = entry
    return {wanted[shape].name: Before(name=entry.name, size=entry.size) for shape, entry in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """The script that backs a module up, as far as it can be followed. `text` is the script without its comment lines."""

    module: str
    backup_class: str
    script: WriterScript
    text: str


def without_comments(data: bytes) -> str:
    """A script's lines that are no comments."""
    return "\n".join(line for line in data.decode("utf-8", "replace").splitlines() if not line.lstrip().startswith("#"))


def text_of_deeds(path: str, data: bytes) -> str:
    """What a script does, as text, without what it says of itself: of a shell script the lines that are no comments; of a Python program its string constants,
    one a line, but for docstrings, and the attributes that it calls as `.name`. Of a program that cannot be read all that is no comment."""
    if not is_python(path, data):
        return without_comments(data)
    code = pythoncode.parse(data)
    if isinstance(code, pythoncode.NotPython):
        return without_comments(data)
    said = [node for statement in code.body for node in ast.walk(statement)]
    docstrings = {id(node.value) for node in said if isinstance(node, ast.Expr)}
    words = [node.value for node in said if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings]
    called = [f".{node.func.attr}" for node in said if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return "\n".join((*words, *called))


@dataclass(frozen=True, slots=True, kw_only=True)
class LastChange:
    """When a file of a checkout last changed: the time of the commit, in seconds since the epoch. `uncommitted`: it differs from that commit, or has none.
    `oldest_known`: the checkout is shallow and this is its first commit, so that the change may be older."""

    committed: int
    uncommitted: bool = False
    oldest_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreNote:
    """How a module is restored, in words. `path` and `text` are empty when none is named, `text` is None when the file is not there.

    `procedure` is the script that backs it up; the changes are None when nobody knows them: no checkout, no git.
    """

    module: str
    backup_class: str
    path: str
    text: str | None
    decision: str
    procedure: str
    note_changed: LastChange | None
    procedure_changed: LastChange | None


_FRONT_MATTER = regex(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_COMMENT = regex(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_UNDERLINE = regex(r"[=\-~^*_#\s]+")
PLACEHOLDER = regex(
    r"[\W_]*(?:to[ -]?do|tbd|tba|fix ?me|xxx|n/?a|none|nothing|pending|unknown|coming soon"
    r"|who,? when(?:,? where)?|to be (?:written|done|decided|determined))?[\W_]*"
)


def prose(text: str) -> tuple[str, ...]:
    """The lines of a note that say something: no front matter, comments, headings, rules, and no `TODO`."""
    said = _COMMENT.sub("", _FRONT_MATTER.sub("", text.replace("\r\n", "\n").removeprefix("\ufeff")))
    lines = [line.strip() for line in said.split("\n")]
    kept = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        heading = line.startswith("#") or (len(after) > 2 and set(after) in ({"="}, {"-"}))
        if not heading and not _UNDERLINE.fullmatch(line) and not PLACEHOLDER.fullmatch(line.lower()):
            kept.append(line)
    return tuple(kept)
