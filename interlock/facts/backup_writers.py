"""Which lines of a script or program write a backup, and with which mode does the file come into being? The nouns, and the words that give a backup away.

`interlock.facts.backup_shell` and `backup_python` find the writes; `find_writers` chooses between them. Nothing here is run: a write that cannot be
followed (a command in a variable, a destination from elsewhere) is left out rather than guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from interlock.nouns import dataclass
from interlock.patterns import regex

_COMMAND = regex(r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)|`[^`]*`")
_ONE_VARIABLE = regex(r"\$\w+|\$\{\w+\}")
UNKNOWN = regex("⟨[^⟩]*⟩")  # stands in a followed path for what only running it would tell


class Care(StrEnum):
    """How private a backup is at the moment when its file comes into being; the order is from good to bad. The values are the kinds of findings."""

    PRIVATE = "private"
    CHMOD_AFTER = "chmod-after"  # readable while it is written, tightened afterwards
    MODE_INHERITED = "mode-inherited"  # moved here with whatever mode it had
    WIDENED = "widened"  # made private, then opened up
    NO_UMASK = "no-umask"  # whatever the caller's umask is, usually 0644

    @property
    def gravity(self) -> int:
        """Its place in that order."""
        return list(Care).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupWrite:
    """One place that creates a backup: `target` as a reader knows it, `tool` what writes it, `scope` the function around it (or empty).

    `written` is the target as it stands there, which stays the same whoever calls the function.
    `because` names what made it private, tightened or opened it: `umask of line 3`, `the chmod of line 20`. `source` is all that names what it is made from.
    """

    target: str
    written: str
    tool: str
    scope: str
    line: int
    care: Care
    because: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A stretch that could not be read in a file that writes backups: nothing can be said about it."""

    line: int
    why: str


class Language(StrEnum):
    """What a script or program is written in."""

    SHELL = "shell"
    PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterScript:
    """One script or program, and every backup that it writes, in the order of its lines."""

    path: str
    language: Language
    writes: tuple[BackupWrite, ...]
    unread: tuple[Unread, ...] = ()


def listed(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


_WORD = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]")
_BACKUP = listed("backup backups bak baks bkp bkup dump dumps snapshot snapshots broken corrupt corrupted preserved")
_BACKUP_INSIDE = regex("backup|snapshot|sqldump|dbdump|pgdump|mysqldump|premigrat|preupgrade|precutover|prerestore")
_BEFORE_WHAT = listed("migrate migration migrations upgrade update cutover restore cloud apply deploy change")
_STATE = listed("db dbs wal rdb aof pg sql env accounts auth cookie cookies vmail maildir tfstate etcd ldap ldif pgdump sqldump kdbx")
_STATE_INSIDE = regex("sqlite|duckdb|postgres|pgdata|mysql|mariadb|mongo|redis|vault|secret|passw|credential|token|keystore|database|privkey")
_STATE_AT_THE_END = listed("data state volume volumes users sessions storage uploads media mail key keys")  # too common in the directories above
_SECRET_FILE = regex(
    r"secret|credential|token|passw|privkey|keystore|(?<![a-z])(key|keys|kek|pem|certs?|ssl|tls|ssh|gnupg|shadow)(?![a-z])|certificate", re.IGNORECASE
)
_NOT_SECRET = regex(  # documents, programs, certificates, lists of what there is
    r"\.(md|html?|css|js|ts|tsx|py|sh|rb|go|rs|php|java|svg|png|jpe?g|gif|txt|patch|diff|rst|vue|scss|lock|mod|sum"
    r"|crt|csr|pub|list|log|pid|status|stamp|prom)\b|(?<![a-z])(full)?(chain|cert)\.pem\b",
    re.IGNORECASE,
)
_SETTINGS = regex(r"\.(ya?ml|conf|cfg|ini|toml|json|xml|cnf|properties|service|timer|rules|list)\b", re.IGNORECASE)
_BACK_AGAIN = listed("restore restored restores rollback recover recovery import load prune rotate clean cleanup verify list")


def words_of(text: str) -> tuple[str, ...]:
    """The words of a name, in lower case: `preMigrate_db.bak` is pre, migrate, db, bak."""
    return tuple(word.lower() for word in _WORD.findall(text))


def says_backup(text: str) -> bool:
    """True when a path or a name says that it is a backup, a dump, or something preserved from before."""
    words = words_of(text)
    if any(word in _BACKUP or _BACKUP_INSIDE.search(word) for word in words):
        return True
    return any(first == "pre" and second in _BEFORE_WHAT for first, second in pairwise(words))


def says_state(text: str) -> bool:
    """True when one of the paths or names in a text says that there is state or a secret in it."""
    if any(word in _STATE or _STATE_INSIDE.search(word) for word in words_of(text)):
        return True
    return any(word in _STATE_AT_THE_END for one in text.split() for word in words_of(one.rstrip("/⟩").rpartition("/")[2]))


def is_secret_file(text: str) -> bool:
    """True for names of keys, certificates and credentials: such a file is 0600 by custom, and permissions.secret_file_0600 is about it."""
    return _SECRET_FILE.search(text) is not None


def goes_back(text: str) -> bool:
    """True for names of what reads backups instead of making them: restore, prune, verify."""
    return any(word in _BACK_AGAIN for word in words_of(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A path as far as reading can follow it: `path` with known variables put in and `⟨name⟩` for the others, `written` as it stands in the file.

    `hints` are other texts that say what it is, such as a variable's default; `shown` is how a report shows it where that is not as it is written.
    """

    path: str
    written: str
    hints: str = ""
    shown: str = ""

    @property
    def names(self) -> str:
        """All that names it, for `says_backup` and `says_state`."""
        return f"{_named(self.path)} {_named(self.written)} {_named(self.hints)}"

    @property
    def directory_names(self) -> str:
        """The same without its last component."""
        return f"{_directory(_named(self.path))} {_directory(_named(self.written))} {_directory(self.hints)}"


def _named(path: str) -> str:
    """A path without what only says where an unknown part comes from: the command of `$(...)`, the arguments of a call."""
    return _COMMAND.sub("⟨⟩", UNKNOWN.sub(lambda found: "⟨⟩" if found[0][1] in "$`" else f"{found[0].partition('(')[0].rstrip('⟩')}⟩", path))


def readable(path: str) -> str:
    """A followed path as a report shows it: on one line, not too long, what is unknown in braces."""
    text = " ".join(path.replace("⟨", "{").replace("⟩", "}").split())
    return text if len(text) <= 120 else text[:119] + "…"


def _directory(path: str) -> str:
    """The path's directory; a path that ends in a slash or is one name of a variable is a directory itself."""
    return path if path.endswith("/") or UNKNOWN.fullmatch(path) or _ONE_VARIABLE.fullmatch(path) else path.rpartition("/")[0]


def is_backup_of_state(source: str, target: Followed, *, whatever: bool) -> bool:
    """True when a copy of what `source` names at `target` is a backup of state, not of a document, a program or somebody's settings.

    What goes to a directory of backups counts without a name that says state, where `whatever` is set: in what says of itself that it makes backups.
    """
    if not says_backup(target.names) or says_backup(source):
        return False
    plain = UNKNOWN.sub("/", source)
    if _NOT_SECRET.search(plain) or _NOT_SECRET.search(UNKNOWN.sub("/", target.path)):
        return False
    if whatever and source and says_backup(target.directory_names):
        return True
    return says_state(plain if _SETTINGS.search(plain) else f"{source} {target.names}")


def names_a_backup_file(target: Followed) -> bool:
    """True when the last part of a path says that the file is a backup, and it is no document or program."""
    last = UNKNOWN.sub(lambda found: found[0].replace("/", " "), target.path).rpartition("/")[2]
    return says_backup(last) and _NOT_SECRET.search(UNKNOWN.sub("/", target.path)) is None


def below(path: str, ancestor: str) -> bool:
    """True when `path` is `ancestor` or lies below it; both as followed, with what is unknown standing for itself."""
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")


def is_a_file(path: str) -> bool:
    """False for what leaves no file behind on this host: devices, the standard streams, another host, a bucket."""
    if path in ("", "-") or path.startswith(("/dev/", "&")) or "://" in path:
        return False
    host, colon, _ = UNKNOWN.sub("_", path).partition(":")
    return not colon or "/" in host


_TOOLS = (
    *(b"pg_dump", b"mysqldump", b"mariadb-dump", b"mariabackup", b"xtrabackup", b"mongodump", b"--rdb", b"slapcat"),
    *(b"export database", b"vacuum into", b"raft/snapshot"),
)
_NAMES = (
    *(b"backup", b"bak", b"bkp", b"dump", b"snapshot", b"broken", b"corrupt", b"preserved"),
    *(b"migrat", b"upgrad", b"cutover", b"prerestore", b"pre-restore", b"pre_restore"),
)
_NAMED = regex(
    rb"backup|(?<![a-z])baks?(?![a-z])|bkp|(?<!model)[._]dump(?!s?\()|dump_|[a-z]dump(?![a-z])|snapshot|broken|corrupt|preserved"
    rb"|pre.?(migrat|upgrad|cutover|restore)"
)
_AROUND = 12  # bytes around a name that say whether it is one
_PYTHON_WRITES = regex(
    rb"(?:rename|renames|move|copy|copy2|copyfile|copytree|copyfileobj|make_archive|write_text|write_bytes|backup)\(|\.replace\([^,\n]*\)|os\.replace\("
    rb"|open\([^\n]*[\"'][wxa][bt]?[:|\"']|o_creat|zipfile\(|\bcp\b|\btar\b"
)
NEAR = 1500  # bytes on either side of a write in which a program says that it is a backup; a file without is not read any further


def may_write_backups(path: str, data: bytes) -> bool:
    """False for files that need no parsing to know it: nothing in them is called a backup, and no program that makes one is named."""
    lower = data.lower()
    if any(tool in lower for tool in _TOOLS):
        return True
    named = _named_places(lower)
    if not is_python(path, data):
        return next(named, None) is not None
    searched = 0
    for place in sorted(named):
        if _PYTHON_WRITES.search(lower, max(searched, place - NEAR), place + NEAR):
            return True
        searched = max(searched, place + NEAR - _AROUND)
    return False


def _named_places(lower: bytes) -> Iterator[int]:
    """Where something is called a backup. By `find`, for an expression looks at every byte of every program several times."""
    for name in _NAMES:
        place = lower.find(name)
        while place >= 0:
            if _NAMED.search(lower, max(0, place - _AROUND), place + _AROUND):
                yield place
            place = lower.find(name, place + len(name))


def writes_backups(path: str, data: bytes) -> bool:
    """True for a script or program that writes a backup, or that may and cannot be read. For `discover`: what a site file names is read in any case."""
    if not may_write_backups(path, data):
        return False
    script = find_writers(path, data)
    return bool(script.writes or script.unread)


def is_python(path: str, data: bytes) -> bool:
    """By its suffix, else by its first line."""
    return path.endswith(".py") or (not path.endswith((".sh", ".bash")) and re.match(rb"#![^\n]*\bpython", data) is not None)


@lru_cache(maxsize=512)  # discovery and judgement ask for the same file
def find_writers(path: str, data: bytes) -> WriterScript:
    """Every backup that the script or program at `path` writes. Raises nothing, whatever the bytes are."""
    from interlock.facts.backup_python import writers_in_python
    from interlock.facts.backup_shell import writers_in_shell

    language, reader = (Language.PYTHON, writers_in_python) if is_python(path, data) else (Language.SHELL, writers_in_shell)
    try:
        return reader(path, data)
    except RecursionError:
        return WriterScript(path=path, language=language, writes=(), unread=(Unread(line=1, why="it nests deeper than can be followed"),))
