"""Backups that others can read, that are old, cut short, or hold less than a restore needs. What only files tell: `backup_files`."""

from __future__ import annotations

import getpass
import gzip
import hashlib
import os
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from interlock.testing.faults import Fault, move_to_unreachable_host, write_site
from interlock.verdicts import When

SCRIPT = """\
#!/bin/sh
set -eu
umask 077
pg_dump --format=custom app > "/srv/backups/app-$(date +%F).dump"
"""
PROGRAM = """\
import shutil
from pathlib import Path


def put_aside(database: Path) -> Path:
    broken = database.with_name("app.db.broken")
    shutil.move(str(database), str(broken))
    broken.chmod(0o600)
    return broken
"""


# ---- what lies there


def private_backups(folder: Path) -> None:
    """A module with receipts and an embedded database, and two nights of archives of both, all as it should be."""
    receipts, database, backups = folder / "receipts", folder / "database", folder / "backups"
    for made in (receipts, database):
        made.mkdir()
    for name, content in (("receipts/1.json", "{}"), ("database/app.db", "pages"), ("database/app.db-wal", "frames")):
        (folder / name).write_text(content)
        _set_time(folder / name, _hours_ago(30))
    backups.mkdir(mode=0o700)
    (backups / "app").mkdir(mode=0o700)
    write_private(backups / "app" / "today.tar", b"")
    for hours in (25, 1):
        archive(folder, "receipts", "database", hours=hours)
    paths = [str(receipts), str(database)]
    write_site(folder, {"modules": {"app": {"class": "E", "paths": paths, "backups": str(backups), "owner": _owner()}}})


def _hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def _set_time(path: Path, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


def write_private(path: Path, content: bytes, *, hours: float = 0) -> Path:
    """A file of the owner's alone, last written some hours ago."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    _set_time(path, _hours_ago(hours))
    return path


def back_up(path: Path, *sources: Path, hours: float = 0) -> Path:
    """An archive of these files and directories as tar makes one of them from /, taken some hours ago."""
    write_private(path, b"")
    with path.open("wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for source in sources:
            tar.add(source)
    _set_time(path, _hours_ago(hours))
    return path


def archive(folder: Path, *members: str, hours: float = 1) -> Path:
    """A backup of parts of the folder, named after when it was taken."""
    return back_up(folder / "backups" / f"app-{_hours_ago(hours):%Y%m%dT%H%M%SZ}.tar.gz", *(folder / member for member in members), hours=hours)


def newest(folder: Path) -> Path:
    """The newest of the archives."""
    return max(path for path in (folder / "backups").iterdir() if path.is_file())


def _again(folder: Path, *members: str) -> None:
    """The newest archive, made anew of these members alone."""
    newest(folder).unlink()
    archive(folder, *members)


def _owner() -> str:
    """Whoever runs this owns what was just made."""
    return getpass.getuser()


def _lies_there(describe: str, kind: str, seed: Callable[[Path], object]) -> Fault:
    return Fault(
        guardrail="backups.mode_0600",
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=private_backups,
        seed=lambda folder: _do(seed, folder / "backups"),
        blind=lambda folder: move_to_unreachable_host(folder, "modules", "app"),
    )


def _do(seed: Callable[[Path], object], backups: Path) -> None:
    seed(backups)


# ---- what scripts and programs write


def _careful_scripts(folder: Path) -> None:
    (folder / "backup.sh").write_text(SCRIPT)
    (folder / "recover.py").write_text(PROGRAM)
    write_site(folder, {"scripts": {"files": ["backup.sh", "recover.py"]}})


def _writes(describe: str, kind: str, file: str, change: tuple[str, str]) -> Fault:
    def seed(folder: Path) -> None:
        text = (folder / file).read_text()
        assert change[0] in text
        (folder / file).write_text(text.replace(*change))

    return Fault(guardrail="backups.mode_0600", describe=describe, kind=kind, gate=When.STATIC, healthy=_careful_scripts, seed=seed, blind=_unreadable)


def _unreadable(folder: Path) -> None:
    (folder / "backup.sh").unlink()
    (folder / "backup.sh").mkdir()


# ---- the newest one


def _live(guardrail: str, describe: str, kind: str, seed: Callable[[Path], object]) -> Fault:
    return Fault(
        guardrail=f"backups.{guardrail}",
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=private_backups,
        seed=lambda folder: _do(seed, folder),
        blind=lambda folder: move_to_unreachable_host(folder, "modules", "app"),
    )


def _age(folder: Path, hours: float) -> None:
    """The newest archive was taken then, and no other is younger."""
    for path in sorted((folder / "backups").glob("*.tar.gz"))[:-1]:
        path.unlink()
    aged = newest(folder).rename(folder / "backups" / f"app-{_hours_ago(hours):%Y%m%dT%H%M%SZ}.tar.gz")
    _set_time(aged, _hours_ago(hours))
    for path in (folder / "receipts" / "1.json", folder / "database" / "app.db", folder / "database" / "app.db-wal"):
        _set_time(path, _hours_ago(hours + 10))


def _no_backup(folder: Path) -> None:
    for path in (*(folder / "backups").glob("*.tar.gz"), folder / "backups" / "app" / "today.tar"):
        path.unlink()


def _replace(folder: Path, content: bytes) -> None:
    write_private(newest(folder), content, hours=1)


def _other_digest(folder: Path) -> None:
    path = newest(folder)
    write_private(path.with_name(f"{path.name}.sha256"), f"{hashlib.sha256(b'as it was').hexdigest()}  {path.name}\n".encode())


# ---- what is in it

CLUSTER = """\
--
-- PostgreSQL database cluster dump
--

SET default_transaction_read_only = off;

--
-- Roles
--

CREATE ROLE ledger;
ALTER ROLE ledger WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;

--
-- Database "ledger" dump
--

\\connect ledger

--
-- PostgreSQL database dump
--

-- Dumped from database version 16.4
-- Dumped by pg_dump version 16.4

CREATE TABLE public.entries (
    id bigint NOT NULL
);

COPY public.entries (id) FROM stdin;
1
2
\\.

--
-- PostgreSQL database dump complete
--

--
-- PostgreSQL database cluster dump complete
--

"""


def one_database(text: str) -> str:
    """What pg_dump would have written: the part of its one database."""
    first, last = "--\n-- PostgreSQL database dump\n", "-- PostgreSQL database dump complete\n--\n"
    return first + text.partition(first)[2].partition(last)[0] + last


def _dumped(folder: Path) -> None:
    (folder / "backups").mkdir(mode=0o700)
    write_private(folder / "backups" / f"all-{_hours_ago(1):%Y%m%dT%H%M%SZ}.sql.gz", gzip.compress(CLUSTER.encode()), hours=1)
    write_site(folder, {"modules": {"app": {"class": "A", "backups": str(folder / "backups"), "owner": _owner()}}})


def _dump(describe: str, kind: str, text: str) -> Fault:
    return Fault(
        guardrail="backups.complete",
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=_dumped,
        seed=lambda folder: _replace(folder, gzip.compress(text.encode())),
        blind=lambda folder: move_to_unreachable_host(folder, "modules", "app"),
    )


def _empty_mount_point(folder: Path) -> None:
    """The archive was made while the disk of the receipts was not mounted."""
    (folder / "receipts" / "1.json").rename(folder / "1.json")
    _again(folder, "receipts", "database")
    (folder / "1.json").rename(folder / "receipts" / "1.json")


def _without_its_log(folder: Path) -> None:
    (folder / "database" / "app.db-wal").rename(folder / "app.db-wal")
    _again(folder, "receipts", "database")
    (folder / "app.db-wal").rename(folder / "database" / "app.db-wal")


def _larger_before(folder: Path) -> None:
    older = min((folder / "backups").glob("*.tar.gz"))
    write_private(older, os.urandom(20_000), hours=25)


FAULTS = (
    _lies_there("a backup that everybody can read", "mode", lambda backups: (backups / "app" / "today.tar").chmod(0o644)),
    _lies_there("a directory of backups that the group may enter", "directory-mode", lambda backups: (backups / "app").chmod(0o750)),
    _lies_there("a backup that is a link to somewhere else", "link-leads-out", lambda backups: (backups / "app-3.tar").symlink_to("/etc/hostname")),
    _writes("a dump under the caller's umask", "no-umask", "backup.sh", ("umask 077\n", "")),
    _writes(
        "a dump that is tightened when it is done",
        "chmod-after",
        "backup.sh",
        (
            'umask 077\npg_dump --format=custom app > "/srv/backups/app-$(date +%F).dump"\n',
            "pg_dump app > /srv/backups/app.dump\nchmod 600 /srv/backups/app.dump\n",
        ),
    ),
    _writes(
        "a dump that is opened again",
        "widened",
        "backup.sh",
        ('app > "/srv/backups/app-$(date +%F).dump"\n', "app > /srv/backups/app.dump\nchmod 644 /srv/backups/app.dump\n"),
    ),
    _writes("a database put aside with the mode that it had", "mode-inherited", "recover.py", ("    broken.chmod(0o600)\n", "")),
    _live("fresh", "a backup job that failed three nights ago", "stale", lambda folder: _age(folder, 80)),
    _live("fresh", "a receipt that came after the backup", "changed-since", lambda folder: (folder / "receipts" / "2.json").write_text("{}")),
    _live("fresh", "a backup that says it was taken tomorrow", "from-the-future", lambda folder: _age(folder, -24)),
    _live("fresh", "a directory without a backup", "no-backup", _no_backup),
    _live("intact", "an archive that was cut short", "not-whole", lambda folder: _replace(folder, newest(folder).read_bytes()[:-20])),
    _live("intact", "an archive of no bytes", "empty", lambda folder: _replace(folder, b"")),
    _live("intact", "an archive that is not what its checksum says", "digest-differs", _other_digest),
    _live("intact", "a dump where an archive should be", "wrong-format", lambda folder: _replace(folder, gzip.compress(CLUSTER.encode()))),
    _live("complete", "an archive without one of the module's directories", "path-missing", lambda folder: _again(folder, "database")),
    _live("complete", "an archive of an empty mount point", "nothing-in-it", _empty_mount_point),
    _live("complete", "a database without its write-ahead log", "wal-missing", _without_its_log),
    _live("complete", "an archive that is a fraction of the one before", "much-smaller", _larger_before),
    _dump("a dump without roles", "no-roles", one_database(CLUSTER)),
    _dump("a dump of a database without a table", "no-tables", CLUSTER.replace("TABLE public.entries (", "VIEW public.entries AS (").replace("COPY ", "-- ")),
)
