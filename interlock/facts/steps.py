"""Which commands protect or change data, and which go on from there as if that had worked? A backup, a restore, a migration; and what deletes, upgrades,
starts or reports afterwards. `interlock.facts.lost_failures` follows a script from the one to the other.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from enum import StrEnum

from interlock.facts.applies import ApplyKind, after_options, read_act
from interlock.facts.backup_writers import listed, says_backup, words_of
from interlock.facts.commandlines import ENGINES, Run, engine_words, shown
from interlock.nouns import dataclass
from interlock.patterns import regex


class StepKind(StrEnum):
    """What a step does for the data; the values stand in sentences."""

    BACKUP = "backup"
    RESTORE = "restore"
    MIGRATION = "migration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command that protects or changes data. `name` is what a reader calls it, and stays the same when other lines move; `packs`: it copies files."""

    kind: StepKind
    name: str
    line: int
    packs: bool = False


class Then(StrEnum):
    """What a script does next; the values are kinds of findings, and `told` says it."""

    DELETES = "deletes"
    UPGRADES = "upgrades"
    CHANGES = "changes-data"
    STARTS = "starts"
    KEEPS = "keeps"
    REPORTS = "reports-success"

    @property
    def told(self) -> str:
        """The end of a sentence: the script goes on, and ..."""
        return {
            Then.DELETES: "deletes",
            Then.UPGRADES: "upgrades",
            Then.CHANGES: "changes the data",
            Then.STARTS: "starts on what is there",
            Then.KEEPS: "packs or sends away what is there as if it were whole",
            Then.REPORTS: "says that all went well",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """One command that goes on. `migrates`: it is a migration itself."""

    then: Then
    command: str
    line: int
    migrates: bool = False
    by_age: bool = False  # deletes what is old, wherever that is: matters where it is the step's own directory


_DUMPS = listed("pg_dump pg_dumpall pg_basebackup mysqldump mariadb-dump mysqlpump mydumper mariabackup mariadb-backup xtrabackup mongodump slapcat")
_SCHEMA_ONLY = regex(r"--schema-only|--no-data|--help|--version|-V|-s|--roles-only|--globals-only|-g")
_VERBS = (  # program, words that follow it in this order, kind
    ("borg", "create", StepKind.BACKUP), ("restic", "backup", StepKind.BACKUP), ("etcdctl", "snapshot save", StepKind.BACKUP),
    ("vault", "snapshot save", StepKind.BACKUP), ("bao", "snapshot save", StepKind.BACKUP), ("consul", "snapshot save", StepKind.BACKUP),
    ("influx", "backup", StepKind.BACKUP), ("influxd", "backup", StepKind.BACKUP),
    ("pgbackrest", "backup", StepKind.BACKUP), ("barman", "backup", StepKind.BACKUP),
    ("wal-g", "backup-push", StepKind.BACKUP), ("clickhouse-backup", "create", StepKind.BACKUP), ("kopia", "snapshot create", StepKind.BACKUP),
    ("borg", "extract", StepKind.RESTORE), ("restic", "restore", StepKind.RESTORE),
    ("influx", "restore", StepKind.RESTORE), ("influxd", "restore", StepKind.RESTORE),
    ("etcdctl", "snapshot restore", StepKind.RESTORE), ("pgbackrest", "restore", StepKind.RESTORE), ("vault", "snapshot restore", StepKind.RESTORE),
    ("clickhouse-backup", "restore", StepKind.RESTORE), ("barman", "recover", StepKind.RESTORE), ("wal-g", "backup-fetch", StepKind.RESTORE),
)  # fmt: skip
_RESTORES = listed("pg_restore mongorestore")
_CLIENTS = listed("psql mysql mariadb sqlite3")
_DUMP_NAME = regex(r"\.(?:sql|dump|bak|psql|pgdump|pg_dump)(?:\.(?:gz|zst|xz|bz2))?\b|backup|(?<![a-z])dump(?![a-z])|restore", re.IGNORECASE)
_COMMAND = regex(r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)?|`[^`]*`?")
_SETTINGS = regex(r"/etc/|\.(?:conf|cnf|cfg|ini|ya?ml|json|toml|sh|py|php|html?)\b|script|conf(?:ig)?(?:_|\b)|\blogs?\b", re.IGNORECASE)
_SCRIPT = regex(r"(?:\./|/|\.\./|\$[\w{}]+/|\w+/)[^\s]*|[\w.-]+\.(?:sh|py|bash)")
_ASKS_ONLY = listed("--help -h --version --list -l list status check --check --dry-run -n plan --plan showmigrations current heads history")


def step_of(run: Run, line: int, *, source: str = "") -> Step | None:
    """The step that a program is, None for every other program. `source` is what it reads from: a file, or the stages before it in its pipe."""
    argv, program = run.argv, run.program
    if not argv or (any(word in _ASKS_ONLY for word in argv[1:]) and program not in _DUMPS | _RESTORES | _CLIENTS):
        return None
    if program in _DUMPS:
        only = program.startswith(("pg_dump", "mysql", "mariadb-d"))
        if only and any(_SCHEMA_ONLY.fullmatch(word) for word in argv[1:]):
            return None
        if program in ("mariabackup", "xtrabackup", "mariadb-backup") and "--backup" not in argv:
            return None
        return Step(kind=StepKind.BACKUP, name=program, line=line)
    if program in _RESTORES:
        return None if {"-l", "--list", "--help", "--version"} & set(argv) else Step(kind=StepKind.RESTORE, name=program, line=line)
    for name, verb, kind in _VERBS:
        if program == name and _has_verb(argv, verb.split()):
            return Step(kind=kind, name=f"{name} {verb}", line=line)
    return _of_client(run, line, source) or _of_files(run, line) or _of_migration(run, line) or _of_script(run, line)


def _has_verb(argv: Sequence[str], verb: Sequence[str]) -> bool:
    plain = [word for word in argv[1:] if not word.startswith("-")]
    return any(list(plain[index : index + len(verb)]) == list(verb) for index in range(len(plain)))


def _of_client(run: Run, line: int, source: str) -> Step | None:
    """A database's own client that is fed a dump."""
    if run.program == "redis-cli" and any(word == "--rdb" for word in run.argv):
        return Step(kind=StepKind.BACKUP, name="redis-cli --rdb", line=line)
    if run.program == "sqlite3" and any(re.match(r"\.(?:backup|clone)\b|VACUUM INTO", word, re.IGNORECASE) for word in run.argv[1:]):
        return Step(kind=StepKind.BACKUP, name="sqlite3 .backup", line=line)
    if run.program not in _CLIENTS:
        return None
    files = [after for word, after in zip(run.argv, run.argv[1:], strict=False) if word in ("-f", "--file")]
    files += [word.partition("=")[2] for word in run.argv if word.startswith("--file=")]
    read = next((name for name in (*files, source) if _DUMP_NAME.search(name)), None)
    if read is None or not (files or source):
        return None
    return Step(kind=StepKind.RESTORE, name=f"{run.program} < {_base(read)}", line=line) if says_backup(read) or "restore" in read.lower() else None


def _of_files(run: Run, line: int) -> Step | None:
    """`tar czf backup.tgz`, `rsync -a data/ backups/`, `cp -a data backups/`: an archive or copy whose target says that it is a backup."""
    program, argv = run.program, run.argv
    plain = [word for word in argv[1:] if not word.startswith("-")]
    if program in ("tar", "gtar", "bsdtar") and len(argv) > 2:
        if not _creates_archive(argv):
            return None
        target = next((word for word in plain if re.search(r"\.(?:tar|tgz|tzst|txz|tbz)|\.t?gz\b", word)), "")
        return Step(kind=StepKind.BACKUP, name=f"tar {_base(target)}", line=line, packs=True) if target and says_backup(target) else None
    if program in ("rsync", "cp") and len(plain) >= 2:
        recursive = program == "rsync" or any(re.fullmatch(r"-[a-zA-Z]*[raR][a-zA-Z]*|--recursive|--archive", word) for word in argv)
        source, target = (_COMMAND.sub("", word) for word in plain[-2:])
        if recursive and says_backup(target) and not says_backup(source) and not _SETTINGS.search(source) and not _SETTINGS.search(target):
            return Step(kind=StepKind.BACKUP, name=f"{program} to {_base(plain[-1])}", line=line, packs=True)
    return None


def _creates_archive(argv: Sequence[str]) -> bool:
    """Whether tar is told to create: `czf`, `-Pcvpf`, `--create`."""
    options = [word for index, word in enumerate(argv[1:]) if re.fullmatch(r"-[a-zA-Z]+", word) or (index == 0 and re.fullmatch(r"[a-zA-Z]+", word))]
    return "--create" in argv or any("c" in word for word in options)


def _of_migration(run: Run, line: int) -> Step | None:
    act = read_act(run.argv, {})
    if act is None or act.kind is not ApplyKind.DATABASE:
        return None
    return Step(kind=StepKind.MIGRATION, name=_short(run.argv), line=line)


_BACKUP_WORDS = listed("backup backups dump snapshot")
_NOT_STEPS = listed(
    "list clean cleanup prune rotate delete remove check verify test status show config settings"
    " install setup schedule cron monitor upload restore view log logs notify"
)


def _of_script(run: Run, line: int) -> Step | None:
    """A script of its own whose name says what it does: `./backup.sh`, `scripts/restore-db.sh`."""
    word = run.argv[0]
    if run.program in ("source", "."):
        return None  # most often a library
    if run.program in ("bash", "sh", "dash", "python", "python3"):
        rest = after_options(run.argv, frozenset({"-c", "-m"}))
        word = rest[0] if rest else ""
    if not word or not _SCRIPT.fullmatch(word) or word.startswith("/dev") or "$(" in word:
        return None
    words = set(words_of(posixpath.basename(word)))
    told = set(words_of(" ".join(run.argv[1:])))
    if {"restore"} & words and not told & _BACKUP_WORDS:
        return Step(kind=StepKind.RESTORE, name=_base(word), line=line) if not words & (_NOT_STEPS - {"restore"}) else None
    if words & _BACKUP_WORDS and not words & _NOT_STEPS and not told & _NOT_STEPS:
        return Step(kind=StepKind.BACKUP, name=_base(word), line=line)
    return None


# ---- what goes on afterwards

_UPGRADES = (
    ("git", "pull"), ("git", "checkout"), ("git", "merge"), ("git", "reset"), ("apt", "upgrade"), ("apt-get", "upgrade"), ("apt-get", "dist-upgrade"),
    ("apt", "full-upgrade"), ("dnf", "upgrade"), ("yum", "update"), ("apt-get", "autoremove"), ("apt-get", "remove"), ("apt-get", "purge"), ("apt", "remove"),
    ("helm", "upgrade"), ("kubectl", "apply"), ("pg_upgrade", ""), ("pg_upgradecluster", ""), ("pg_dropcluster", ""),
)  # fmt: skip
_SERVERS = listed("gunicorn uvicorn daphne hypercorn puma unicorn supervisord uwsgi granian waitress-serve apache2-foreground php-fpm nginx")
_RUNNERS = listed("rails node npm yarn pnpm bun java celery flask uvicorn python python3 bundle")
_SERVES = regex(r"s|server|serve|start|start:\w+|runserver|worker|-jar|[\w/.-]*(?:server|main|index|app)\.(?:c|m)?js")
_KEEPS_OLD = regex(r"backup|dump|snapshot|\.sql|\.bak|archive|(?<![a-z])old(?![a-z])", re.IGNORECASE)
_SCRATCH = regex(r"\.tmp\b|/tmp(?:/|\b)|temp|\.partial|\.lock|\.pid|scratch|\.part\b|\$\(mktemp|\.log\b|pg_wal|\.err\b", re.IGNORECASE)
_SUCCESS = regex(
    r"(?<!un)success(?!or)|complete(?:d|\b)|(?<!not )\bdone\b|finished|succeeded|\ball (?:good|set)\b|backup (?:created|saved|written|is at|stored)|backed up",
    re.IGNORECASE,
)
_NO_SUCCESS = regex(r"\bfail|error|warn|\bnot\b|unsuccessful|incomplete|\bif\b|wait|until|once|when|after|before|skip|would|usage|\bpartial", re.IGNORECASE)
_SAYS = listed("echo printf log log_info info print_info print_success success log_success say print_notice write_log logger ok print_msg message msg log_msg")


def next_of(run: Run, line: int, *, paused: bool) -> Next | None:
    """What a program goes on with, None when that does not matter. `paused`: the script stopped the stack itself, so that starting it is no change."""
    argv, program = run.argv, run.program
    if not argv:
        return None
    then = _deletes(argv, program) or _changes(argv, program, paused=paused) or _keeps(run) or _reports(argv, program)
    by_age = then is None and program == "find" and "-delete" in argv and bool({"-mtime", "-mmin", "-ctime"} & set(argv))
    if by_age:
        then = Then.DELETES
    return Next(then=then, command=_short(argv), line=line, by_age=by_age) if then is not None else None


def _deletes(argv: Sequence[str], program: str) -> Then | None:
    rest = engine_words(argv)
    plain = [word for word in argv[1:] if not word.startswith("-")]
    removes = rest[:2] in (["volume", "rm"], ["volume", "remove"], ["volume", "prune"]) or (
        rest[:1] == ["down"] and any(re.fullmatch(r"--volumes|-[a-z]*v[a-z]*", word) for word in rest)
    )
    find = program == "find" and ("-delete" in argv or ("-exec" in argv and "rm" in argv))
    rm = program == "rm" and any(_is_kept(word, argv) for word in plain) and not any(_SCRATCH.search(word) for word in plain)
    database = program in ("dropdb", "pg_dropcluster") or (program in _CLIENTS and re.search(r"\bdrop\s+database\b", " ".join(argv), re.IGNORECASE) is not None)
    prune = program in ("restic", "borg") and any(word in ("forget", "prune", "--prune") for word in argv)
    keeps = find and any(_KEEPS_OLD.search(word) or _DATA.search(word) for word in argv[1:]) and not _SCRATCH.search(argv[1] if len(argv) > 1 else "")
    return Then.DELETES if removes or keeps or rm or database or prune else None


_DATA = regex(
    r"(?<![a-z])(?:data|pgdata|volumes?|postgres\w*|mysql|mariadb|state|uploads|vmail)(?:[_-]?dir)?/?(?:\*|\"|'|$|\s)|/var/lib/[\w-]+/?\*?$", re.IGNORECASE
)


def _is_kept(word: str, argv: Sequence[str]) -> bool:
    """Whether a path that is removed is a backup or data: a whole directory of it, or a file that is one by its name."""
    if any(re.fullmatch(r"-[a-zA-Z]*[rR][a-zA-Z]*|--recursive", option) for option in argv):
        return _KEEPS_OLD.search(word) is not None or _DATA.search(word) is not None
    return _DUMP_FILE.search(word) is not None or ("*" in word and _KEEPS_OLD.search(word) is not None)


_DUMP_FILE = regex(r"\.(?:sql|dump|bak|tar|tgz|rdb|sqlite3?|db)(?:\.\w+)?(?:\*|$)|\.gz$", re.IGNORECASE)


def _changes(argv: Sequence[str], program: str, *, paused: bool) -> Then | None:
    rest = engine_words(argv)
    plain = [word for word in argv[1:] if not word.startswith("-")]
    if rest[:1] == ["pull"] or (program in ENGINES and rest[:2] == ["stack", "deploy"]):
        return Then.UPGRADES
    for name, verb in _UPGRADES:
        if program == name and (not verb or plain[:1] == [verb]):
            return Then.UPGRADES
    if program in ENGINES and rest[:2] == ["volume", "create"]:
        return None
    act = read_act(argv, {})
    if act is not None and act.kind is ApplyKind.DATABASE and not any(word in _ASKS_ONLY for word in argv[1:]):
        return Then.CHANGES
    if rest[:1] == ["up"] and not paused:
        return Then.STARTS
    if argv[:1] == ("$@",) or program in _SERVERS or (program in _RUNNERS and any(_SERVES.fullmatch(word) for word in argv[1:3])):
        return Then.STARTS
    return None


_SENDS = (
    ("aws", "s3"),
    ("rclone", "copy"),
    ("rclone", "sync"),
    ("rclone", "copyto"),
    ("gsutil", "cp"),
    ("s3cmd", "put"),
    ("mc", "cp"),
    ("mc", "mirror"),
    ("scp", ""),
    ("sftp", ""),
)


def _keeps(run: Run) -> Then | None:
    """It archives, or sends to another place, what a dump left behind."""
    argv, program = run.argv, run.program
    plain = [word for word in argv[1:] if not word.startswith("-")]
    sends = any(program == name and (not verb or plain[:1] == [verb]) for name, verb in _SENDS)
    packs = program in ("tar", "gtar", "bsdtar") and _creates_archive(argv)
    return Then.KEEPS if sends or packs or (program == "zip" and len(plain) > 1) else None


def _reports(argv: Sequence[str], program: str) -> Then | None:
    said = " ".join(argv[1:])
    return Then.REPORTS if program in _SAYS and _SUCCESS.search(said) and not _NO_SUCCESS.search(said) else None


def _base(word: str) -> str:
    return posixpath.basename(word.rstrip("/")) or word


def _short(argv: Sequence[str]) -> str:
    return shown([argv[0].rpartition("/")[2], *argv[1:7]], 80)
