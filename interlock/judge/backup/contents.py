"""Does a backup hold all that a restore needs? From the newest backup on its host, and from the text of the script that makes it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from interlock.config.backup_classes import class_of
from interlock.config.models import BackupClass, Site
from interlock.facts.backup_manifests import Manifest
from interlock.facts.backup_writers import UNKNOWN, Language
from interlock.facts.backups import BackupContents, Procedure, State, copied_database, format_of, logs_of, without_stamp
from interlock.facts.looks import Examined
from interlock.judge.backup.newest import DUMPS, FORMATS, moment_of, nothing_to_look_at
from interlock.patterns import regex
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

MUCH_SMALLER = 50  # percent: a backup that lost more than half of the one before has most likely lost what it is made of

STATIC_CLASSES = (BackupClass.A, BackupClass.E)  # whose procedure's text tells something
LIVE = frozenset({When.PREFLIGHT})
FROM_FILES = frozenset({When.STATIC})


def modules_and_procedures(site: Site) -> Sequence[Subject]:
    """Every module on its host; from files alone those whose procedure tells what it takes along, and every other script that writes backups."""
    modules = [
        Subject(name=name, host=module.host, when=None if module.procedure and class_of(site, name) in STATIC_CLASSES else LIVE)
        for name, module in site.modules.items()
    ]
    procedures = {module.procedure for module in site.modules.values()}
    others = (path for path in (site.scripts.files if site.scripts else ()) if path not in procedures and path not in site.modules)
    return modules + [Subject(name=path, when=FROM_FILES) for path in others]


def judge_complete(seen: BackupContents | Procedure) -> Held | Broken | Unproven:
    """Held when nothing that a restore needs is missing from the backup, or from what the script that makes it takes along."""
    return _judge_procedure(seen) if isinstance(seen, Procedure) else _judge_contents(seen)


# ---- what lies there


def _judge_contents(contents: BackupContents) -> Held | Broken | Unproven:
    newest = contents.newest
    if not newest.files:
        return nothing_to_look_at(newest)
    right = [file for file in newest.files if format_of(file) in FORMATS[newest.backup_class]]
    if not right:
        why = f"the newest backup of {newest.module} is of no kind that class {newest.backup_class} knows"
        return Unproven(f"{why}: what is in it cannot be told", remedy="see what backups.intact says of it")
    if damaged := next((file for file in right if file.whole is False), None):
        return Unproven(f"{damaged.name} is damaged: what is in it cannot be told", remedy="see what backups.intact says of it")
    details = tuple(_content_details(contents, right))
    if faults := [detail for detail in details if detail.outcome is Outcome.BROKEN]:
        return Broken(
            f"the newest backup of {newest.module} is not complete: {in_short(faults)}", kind=faults[0].kind, remedy=_remedy(faults[0]), details=details
        )
    if unseen := [detail for detail in details if detail.outcome is Outcome.UNPROVEN]:
        remedy = "let the probe list it: zstd, gzip and PostgreSQL's pg_restore on that host"
        return Unproven(f"nobody can tell whether the newest backup of {newest.module} is complete: {in_short(unseen)}", remedy=remedy, details=details)
    return Held(f"the newest backup of {newest.module} holds what a restore needs: {in_short(details)}", details=details)


_REMEDIES = {
    "no-roles": "dump with pg_dumpall, or add `pg_dumpall --globals-only` under the same stamp",
    "no-tables": "look which database the dump names: a restore of it would restore nothing",
    "no-rows": "dump without --schema-only",
    "no-sequence-values": "dump without --schema-only and without leaving sequences out",
    "no-large-objects": "dump the whole database, or with --large-objects; pg_dump leaves them out when tables or schemas are named",
    "other-database": "name the database in the script that dumps it",
    "path-missing": "add the path to what is archived, or remove it from the module's `paths`",
    "nothing-in-it": "was its disk mounted when the backup was made? Mount it, and back up again",
    "wal-missing": "archive the log beside its database, or copy the database with `sqlite3 DB '.backup FILE'`",
    "much-smaller": "look what is missing before the older backups are gone; waive it when it was meant",
}


def _remedy(fault: Detail) -> str:
    return _REMEDIES[fault.kind]


def _content_details(contents: BackupContents, right: Sequence[Examined]) -> Iterator[Detail]:
    dumps = [file for file in right if format_of(file) in DUMPS]
    if dumps:
        yield from _dump_details(contents, dumps)
    yield from _archive_details(contents, [file for file in right if format_of(file) == "tar"])
    yield from (_size_detail(contents, file) for file in right)


def _detail(contents: BackupContents, file: Examined, outcome: Outcome, what: str, message: str, *, kind: str = "") -> Detail:
    return Detail(what=what, outcome=outcome, kind=kind, message=message, file=f"{contents.newest.directory}/{file.name}")


# a dump


def _dump_details(contents: BackupContents, dumps: Sequence[Examined]) -> Iterator[Detail]:
    newest, first = contents.newest, dumps[0]
    if unlisted := next((file for file in dumps if file.whole is None and not file.members), None):
        message = f"{unlisted.name} could not be looked into: {unlisted.fault}"
        yield _detail(contents, unlisted, Outcome.UNPROVEN, "contents", message, kind="could-not-tell")
        return
    if any("roles" in file.notes.get("globals", "") for file in dumps):
        yield _detail(contents, first, Outcome.HELD, "roles", "roles are in it")
    elif newest.backup_class == "A":
        message = f"no roles are in it, and no file of the same stamp has them: whoever owns the tables of {newest.module} would be missing"
        yield _detail(contents, first, Outcome.BROKEN, "roles", message, kind="no-roles")
    if not any(file.members for file in dumps):
        yield _detail(contents, first, Outcome.BROKEN, "tables", f"{first.name} holds no table at all", kind="no-tables")
    for file in dumps:
        yield from _entry_details(contents, file)
    dumped = {name for file in dumps if (named := file.notes.get("database", "")) for name in named.split(", ")}
    if contents.database and dumped and contents.database not in dumped and all(file.notes.get("database") or not file.members for file in dumps):
        message = f"{first.name} is a dump of {' and '.join(sorted(dumped))}, not of {contents.database}"
        yield _detail(contents, first, Outcome.BROKEN, "database", message, kind="other-database")
    if contents.large_objects and not any(map(_has_large_objects, dumps)):
        message = f"the database has large objects, and none is in {first.name}"
        yield _detail(contents, first, Outcome.BROKEN, "large objects", message, kind="no-large-objects")


def _has_large_objects(file: Examined) -> bool:
    """As the dump says; one in tar format has a member for each."""
    return bool(file.notes.get("large_objects")) or any(posixpath.basename(name).startswith("blob_") for name in file.names if format_of(file) == "pg-tar")


_TABLE = regex(r"TABLE (?!DATA |ATTACH )")
_TABLE_DATA = regex(r"TABLE DATA ")
_SEQUENCE = regex(r"SEQUENCE (?!SET |OWNED )")
_SEQUENCE_SET = regex(r"SEQUENCE SET ")


def _entry_details(contents: BackupContents, file: Examined) -> Iterator[Detail]:
    """What the table of contents of a custom dump says of rows and of the sequences' values."""
    if file.format != "pg-custom" or file.members > len(file.names):
        return
    for kind, what, definition, content, missing in (
        ("no-rows", "rows", _TABLE, _TABLE_DATA, "tables without a row of any of them"),
        ("no-sequence-values", "sequences", _SEQUENCE, _SEQUENCE_SET, "sequences without the value of any of them"),
    ):
        if not any(map(definition.match, file.names)):
            continue
        if any(map(content.match, file.names)):
            yield _detail(contents, file, Outcome.HELD, what, f"{what} are in it")
        else:
            yield _detail(contents, file, Outcome.BROKEN, what, f"{file.name} holds {missing}", kind=kind)


# an archive


def _archive_details(contents: BackupContents, files: Sequence[Examined]) -> Iterator[Detail]:
    """One detail for each path of the module, which any of the archives may hold, and one for each log that is missing."""
    paths = [state.path for state in contents.state]
    archives = [_Archive(file, paths) for file in files if file.names]
    for file in files:
        if file.names:
            continue
        if file.whole is None:
            yield _detail(contents, file, Outcome.UNPROVEN, "contents", f"{file.name} could not be looked into: {file.fault}", kind="could-not-tell")
        else:
            yield _detail(contents, file, Outcome.BROKEN, "contents", f"{file.name} holds nothing", kind="nothing-in-it")
    for state in contents.state if archives else ():
        yield _path_detail(contents, next((one for one in archives if one.place(state.path) is not None), archives[0]), state)
    for archive in archives:
        yield from _wal_details(contents, archive)


class _Archive:
    """The members of an archive as they can be found: each path of the module lies below some end of its own (`/srv/app` as `srv/app`, or as `app`).

    `partly`: it has more members than are named. `manifest_paths` are those that our own manifest says are in it, None without one.
    """

    def __init__(self, file: Examined, paths: Sequence[str]) -> None:
        self.file = file
        self.partly = file.members > len(file.names)
        self.names = frozenset(_plain(name) for name in file.names)
        self.above = frozenset(ancestor for name in self.names for ancestor in _ancestors(name))
        self._relative = any(name in (".", "./") or name.startswith("./") for name in file.names)
        self._paths = paths
        manifest = Manifest.parse(file.manifest) if file.manifest else None
        self.manifest_paths = manifest.paths if manifest is not None and manifest.ours else None

    def place(self, path: str) -> str | None:
        """The name that a path has in it, empty for the top of the archive; None when it is not there."""
        for end in _ends(path):
            if end in self.names or end in self.above:
                return end
        return "" if self._relative and len(self._paths) == 1 else None

    def shared(self, path: str, place: str) -> bool:
        """True when another path of the module would be found at the same place."""
        return any(place in _ends(other) for other in self._paths if other != path)


def _plain(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


def _ancestors(name: str) -> Iterator[str]:
    at = posixpath.dirname(name)
    while at:
        yield at
        at = posixpath.dirname(at)


def _ends(path: str) -> list[str]:
    """`srv/app/data`, `app/data`, `data`."""
    parts = path.strip("/").split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _path_detail(contents: BackupContents, archive: _Archive, state: State) -> Detail:
    file, path, place = archive.file, state.path, archive.place(state.path)
    by_manifest = archive.manifest_paths is not None and path in archive.manifest_paths
    if (archive.manifest_paths is not None and not by_manifest) or (place is None and not archive.partly):
        return _detail(contents, file, Outcome.BROKEN, path, f"{path} is not in {file.name}", kind="path-missing")
    if place is None and not by_manifest:
        message = f"{path} is not among the first {len(file.names):,} of the {file.members:,} entries of {file.name}"
        return _detail(contents, file, Outcome.UNPROVEN, path, message, kind="could-not-tell")
    if place and archive.shared(path, place):
        message = f"{file.name} holds {place}, and more than one of the module's paths ends so: which it is cannot be told"
        return _detail(contents, file, Outcome.UNPROVEN, path, message, kind="could-not-tell")
    if place and place not in archive.above and state.filled and not archive.partly:
        return _detail(contents, file, Outcome.BROKEN, path, f"{path} is empty in {file.name}, and on the host it is not", kind="nothing-in-it")
    return _detail(contents, file, Outcome.HELD, path, f"{path} is in it")


def _wal_details(contents: BackupContents, archive: _Archive) -> Iterator[Detail]:
    """Embedded databases in the archive whose log was there and did not come along. What is not among the listed entries is not missing."""
    if archive.partly:
        return
    at = moment_of(contents.newest).at.timestamp()
    missing: dict[str, str] = {}
    careful = _TAKEN_CARE_OF.search(contents.procedure) is not None  # then a database without a log is a whole copy
    for state in contents.state if not careful else ():
        place = archive.place(state.path)
        for wal in state.wals if place is not None else ():
            database, log = (posixpath.join(place or "", posixpath.relpath(path, state.path)) for path in (wal.database, wal.log))
            if database in archive.names and log not in archive.names and wal.mtime <= at:
                missing[log] = f"{archive.file.name} holds {database} without {posixpath.basename(log)}, which lay beside it with what was written last"
    for name in sorted(archive.names):
        database = name.removesuffix("-shm")
        if database != name and database in archive.names and f"{database}-wal" not in archive.names:
            missing[f"{database}-wal"] = f"{archive.file.name} holds {database} and its -shm, without the -wal that both belong to"
    for log, message in missing.items():
        yield _detail(contents, archive.file, Outcome.BROKEN, log, message, kind="wal-missing")


def _size_detail(contents: BackupContents, file: Examined) -> Detail:
    before = contents.before.get(file.name)
    what = f"size of {without_stamp(file.name)}"
    if before is None or not before.size:
        return _detail(contents, file, Outcome.HELD, what, f"{file.name} has none before it to compare with")
    smaller = 100 - 100 * file.size // before.size
    message = f"{file.name} has {file.size:,} bytes, the one before it, {before.name}, {before.size:,}"
    if file.size * 100 < before.size * MUCH_SMALLER:
        detail = _detail(contents, file, Outcome.BROKEN, what, message, kind="much-smaller")
        return Detail(what=detail.what, outcome=detail.outcome, kind=detail.kind, message=message, file=detail.file, value=smaller)
    return _detail(contents, file, Outcome.HELD, what, message)


# ---- what the script takes along


def _judge_procedure(procedure: Procedure) -> Held | Broken | Unproven:
    script = procedure.script
    details = tuple(_dump_writes(procedure) if procedure.backup_class == "A" else _embedded_writes(procedure))
    if faults := [detail for detail in details if detail.outcome is Outcome.BROKEN]:
        return Broken(f"{script.path} makes backups that are not complete: {in_short(faults)}", kind=faults[0].kind, remedy=_remedy(faults[0]), details=details)
    if unread := [detail for detail in details if detail.outcome is Outcome.UNPROVEN]:
        return Unproven(in_short(unread), remedy="name the script that makes the dump as the module's `procedure`", details=details)
    whom = f"a restore of {procedure.module}" if procedure.module else "a restore"
    return Held(f"{script.path} takes along what {whom} needs: {in_short(details)}", details=details)


def _said(procedure: Procedure, outcome: Outcome, what: str, message: str, *, kind: str = "", line: int | None = None) -> Detail:
    return Detail(what=what, outcome=outcome, kind=kind, message=message, file=procedure.script.path, line=line)


_WITH_ROLES = regex(r"\bpg_dumpall\b")


def _dump_writes(procedure: Procedure) -> Iterator[Detail]:
    """Roles come with pg_dumpall alone. Where the script names it in a way that cannot be followed, it is not said to be missing."""
    dumps = [write for write in procedure.script.writes if write.tool in ("pg_dump", "pg_dumpall")]
    if _WITH_ROLES.search(procedure.text):
        yield _said(procedure, Outcome.HELD, "roles", "it dumps roles with pg_dumpall")
    elif dumps:
        message = f"line {dumps[0].line}: pg_dump writes {dumps[0].target} without roles, and nothing here dumps them"
        yield _said(procedure, Outcome.BROKEN, "roles", message, kind="no-roles", line=dumps[0].line)
    else:
        unread = procedure.script.unread
        why = f"line {unread[0].line}: {unread[0].why}" if unread else "no dump was found in it"
        yield _said(procedure, Outcome.UNPROVEN, "roles", f"{procedure.script.path}: {why}", kind="no-dump-found")


# what makes a plain copy right: the database's own backup, its log put into it, or its program at rest
_TAKEN_CARE_OF = regex(
    r"\.backup\b|\bVACUUM\s+INTO\b|wal_checkpoint|\bCHECKPOINT\b|EXPORT\s+DATABASE|journal_mode\s*=\s*(?:delete|truncate|persist)"
    r"|\b(?:stop|down|pause|kill|scale|quiesce|fsfreeze|snapshot|lvcreate)\b|-wal\b|\.wal\b",
    re.IGNORECASE,
)
# a program stops and scales many things: only what it does with the database itself counts
_PROGRAM_TAKES_CARE = regex(
    r"(?<!\w)\.backup\b|\bVACUUM\s+INTO\b|wal_checkpoint|\bCHECKPOINT\b|EXPORT\s+DATABASE|journal_mode\s*=\s*(?:delete|truncate|persist)|-wal\b|\.wal\b",
    re.IGNORECASE,
)


def _embedded_writes(procedure: Procedure) -> Iterator[Detail]:
    """Copies of an embedded database's file by its own name, where nothing in the script takes care of its log."""
    care = _PROGRAM_TAKES_CARE if procedure.script.language is Language.PYTHON else _TAKEN_CARE_OF
    careful = care.search(procedure.text) is not None
    for write in procedure.script.writes:
        database = copied_database(write)
        if not database:
            continue
        what = f"{write.tool} {write.written}"
        if careful:
            yield _said(
                procedure,
                Outcome.HELD,
                what,
                f"line {write.line}: {write.tool} copies {posixpath.basename(database)}, whose log the script knows of",
                line=write.line,
            )
        else:
            name = posixpath.basename(database)
            log = logs_of(name)[1 if name.lower().endswith("duckdb") else 0]
            copied = f"copies {name} and leaves {log} behind" if not UNKNOWN.search(name) and "{" not in name else "copies a database and leaves its log behind"
            message = f"line {write.line}: {write.tool} {copied}, which holds what was written last"
            yield _said(procedure, Outcome.BROKEN, what, message, kind="wal-missing", line=write.line)
    yield _said(procedure, Outcome.HELD, "script", f"backups that were found in it: {len(procedure.script.writes)}")


COMPLETE = Guardrail(
    id="backups.complete",
    title="a backup holds all that a restore needs, and so does what the script that makes it takes along",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="A dump without roles, a database without its log, an archive of an empty mount point: each restores without an error, and something is missing.",
    remedy="take along what is missing, back up again, and try the restore",
    subjects=modules_and_procedures,
    judge=judge_complete,
    max_age=3600,
)
