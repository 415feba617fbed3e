"""What a restore needs: each thing that is missing from a dump or an archive is told, and what was made another way is no fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.facts.backup_writers import find_writers
from interlock.facts.backups import BackupContents, Before, NewestBackup, Procedure, State, Wal, without_comments
from interlock.facts.looks import Examined
from interlock.judge.backups import judge_complete
from interlock.verdicts import Broken, Held, Judgement, Outcome, Unproven

NAME = "app-20261120T200000Z.tar.gz"
TAKEN = 1_795_000_000


def archive(*names: str, **changed: Any) -> Examined:
    found = {"name": NAME, "size": 500, "mtime": TAKEN, "format": "tar", "compression": "gzip", "whole": True, "members": len(names), "names": names}
    return Examined(**{**found, **changed})


def dump(name: str = "app.dump", **changed: Any) -> Examined:
    found = {"name": name, "size": 500, "mtime": TAKEN, "format": "pg-plain", "whole": True, "members": 1, "names": ("TABLE public.entries",)}
    return Examined(**{**found, "notes": {"globals": "roles", "database": "postgres, ledger"}, **changed})


def contents(*files: Examined, letter: str = "E", state: tuple[State, ...] = (), **changed: Any) -> BackupContents:
    newest = NewestBackup(module="app", backup_class=letter, directory="/srv/backups", files=files)
    return BackupContents(**{"newest": newest, "state": state, "database": "", "large_objects": None, "before": {}, **changed})


def state(path: str, *wals: Wal, filled: bool = True) -> State:
    return State(path=path, filled=filled, wals=wals)


def kinds(judgement: Judgement) -> list[str]:
    assert isinstance(judgement, Held | Broken | Unproven)
    return [detail.kind for detail in judgement.details if detail.outcome is not Outcome.HELD]


def broken(noun: BackupContents | Procedure) -> list[str]:
    found = judge_complete(noun)
    assert isinstance(found, Broken)
    return kinds(found)


# ---- archives


@pytest.mark.parametrize(
    "names",
    [
        ("srv/app", "srv/app/rows"),
        ("/srv/app/rows",),
        ("app/", "app/rows"),
        ("./", "./rows"),  # tar -C /srv/app .
        ("./srv/app/rows",),
    ],
)
def test_a_path_is_found_however_tar_was_called(names: tuple[str, ...]) -> None:
    assert isinstance(judge_complete(contents(archive(*names), state=(state("/srv/app"),))), Held)


def test_a_path_that_is_not_in_the_archive_breaks_it() -> None:
    found = judge_complete(contents(archive("srv/app/rows"), state=(state("/srv/app"), state("/srv/mail"))))
    assert isinstance(found, Broken)
    assert (found.kind, [detail.what for detail in found.details if detail.kind]) == ("path-missing", ["/srv/mail"])


def test_paths_may_lie_in_several_archives_of_one_stamp() -> None:
    files = (archive("srv/app/rows"), archive("srv/mail/1", name="mail-20261120T200000Z.tar.gz"))
    assert isinstance(judge_complete(contents(*files, state=(state("/srv/app"), state("/srv/mail")))), Held)


def test_paths_that_end_the_same_are_not_taken_for_each_other() -> None:
    both = (state("/srv/a/data"), state("/srv/b/data"))
    assert isinstance(judge_complete(contents(archive("data/rows"), state=both)), Unproven)
    assert isinstance(judge_complete(contents(archive("srv/a/data/rows", "srv/b/data/rows"), state=both)), Held)
    assert broken(contents(archive("srv/a/data/rows"), state=both)) == ["path-missing"]


def test_what_is_not_among_the_listed_entries_is_unproven_unless_our_manifest_says_it() -> None:
    partly = {"members": 20_000}
    assert isinstance(judge_complete(contents(archive("srv/app/rows", **partly), state=(state("/srv/mail"),))), Unproven)
    manifest = json.dumps({"schema": "interlock/backup/1", "paths": [{"path": "/srv/mail"}]})
    assert isinstance(judge_complete(contents(archive("srv/app/rows", **partly, manifest=manifest), state=(state("/srv/mail"),))), Held)
    assert broken(contents(archive("srv/app/rows", **partly, manifest=manifest), state=(state("/srv/app"),))) == ["path-missing"]


def test_an_archive_of_an_empty_mount_point_breaks_it_where_the_host_has_something_there() -> None:
    assert broken(contents(archive("srv/app"), state=(state("/srv/app"),))) == ["nothing-in-it"]
    assert isinstance(judge_complete(contents(archive("srv/app"), state=(state("/srv/app", filled=False),))), Held)


def wal(mtime: int = TAKEN - 10) -> Wal:
    return Wal(database="/srv/app/app.db", log="/srv/app/app.db-wal", mtime=mtime)


@pytest.mark.parametrize("above", ["srv/app/", "./", "app/"])
def test_a_database_whose_log_did_not_come_along_breaks_it(above: str) -> None:
    assert broken(contents(archive(above, f"{above}app.db"), state=(state("/srv/app", wal()),))) == ["wal-missing"]
    assert isinstance(judge_complete(contents(archive(above, f"{above}app.db", f"{above}app.db-wal"), state=(state("/srv/app", wal()),))), Held)


def test_a_log_that_is_younger_than_the_archive_need_not_be_in_it() -> None:
    assert isinstance(judge_complete(contents(archive("srv/app/app.db"), state=(state("/srv/app", wal(mtime=TAKEN + 10_000_000)),))), Held)


def test_a_copy_that_the_database_itself_made_needs_no_log() -> None:
    script = "sqlite3 /srv/app/app.db '.backup /srv/stage/app/app.db'\ntar -C /srv/stage -czf /srv/backups/app.tar.gz app\n"
    assert isinstance(judge_complete(contents(archive("app/app.db"), state=(state("/srv/app", wal()),), procedure=script)), Held)


def test_a_shared_memory_file_gives_away_that_the_log_was_left_out() -> None:
    assert broken(contents(archive("srv/app/app.db", "srv/app/app.db-shm"), state=(state("/srv/app"),))) == ["wal-missing"]


@pytest.mark.parametrize(("size", "outcome"), [(500, Held), (499, Broken), (5000, Held)])
def test_less_than_half_of_the_one_before_breaks_it(size: int, outcome: type) -> None:
    one_before = {NAME: Before(name="app-20261119T200000Z.tar.gz", size=1000)}
    found = judge_complete(contents(archive("srv/app/rows", size=size), state=(state("/srv/app"),), before=one_before))
    assert isinstance(found, outcome)
    if isinstance(found, Broken):
        (detail,) = [detail for detail in found.details if detail.outcome is Outcome.BROKEN]
        assert (detail.kind, detail.what, detail.value) == ("much-smaller", "size of app-#.tar.gz", 51)


def test_what_is_damaged_or_could_not_be_listed_is_unproven() -> None:
    assert isinstance(judge_complete(contents()), Unproven)
    assert isinstance(judge_complete(contents(archive(whole=False), state=(state("/srv/app"),))), Unproven)
    assert isinstance(judge_complete(contents(archive(whole=None, fault="zstd is needed"), state=(state("/srv/app"),))), Unproven)
    assert isinstance(judge_complete(contents(dump(), state=(state("/srv/app"),))), Unproven)  # no archive: intact says so


# ---- dumps


def test_a_dump_of_the_whole_cluster_holds() -> None:
    assert isinstance(judge_complete(contents(dump(), letter="A", database="ledger")), Held)


def test_a_dump_without_roles_breaks_it_unless_a_file_of_its_stamp_has_them() -> None:
    alone = dump(notes={"database": "ledger"})
    assert broken(contents(alone, letter="A")) == ["no-roles"]
    roles = dump("globals.sql", members=0, names=(), notes={"globals": "roles"})
    assert isinstance(judge_complete(contents(alone, roles, letter="A", database="ledger")), Held)


def test_roles_alone_are_no_dump() -> None:
    assert broken(contents(dump(members=0, names=(), notes={"globals": "roles"}), letter="A")) == ["no-tables"]


def test_a_dump_of_another_database_breaks_it() -> None:
    assert broken(contents(dump(), letter="A", database="orders")) == ["other-database"]
    assert isinstance(judge_complete(contents(dump(notes={"globals": "roles"}), letter="A", database="orders")), Held)  # it does not say of which


def test_large_objects_are_asked_for_where_the_database_has_some() -> None:
    assert broken(contents(dump(), letter="A", large_objects=True)) == ["no-large-objects"]
    assert isinstance(judge_complete(contents(dump(), letter="A", large_objects=False)), Held)
    with_them = dump(notes={"globals": "roles", "large_objects": "yes"})
    assert isinstance(judge_complete(contents(with_them, letter="A", large_objects=True)), Held)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("TABLE public.entries", "TABLE DATA public.entries"), []),
        (("TABLE public.entries",), ["no-rows"]),
        (("TABLE public.e", "TABLE DATA public.e", "SEQUENCE public.s", "SEQUENCE OWNED BY public.s"), ["no-sequence-values"]),
        (("TABLE public.e", "TABLE DATA public.e", "SEQUENCE public.s", "SEQUENCE SET public.s"), []),
        (("TABLE ATTACH public.part", "TABLE public.part", "TABLE DATA public.part"), []),
    ],
)
def test_a_table_of_contents_tells_of_rows_and_sequences(names: tuple[str, ...], kind: list[str]) -> None:
    file = dump(format="pg-custom", names=names, members=len(names))
    assert kinds(judge_complete(contents(file, letter="A"))) == kind


def test_a_table_of_contents_that_is_too_long_to_be_known_is_not_said_to_lack_anything() -> None:
    assert isinstance(judge_complete(contents(dump(format="pg-custom", members=20_000), letter="A")), Held)


# ---- scripts


def procedure(text: str, letter: str = "A", path: str = "backup.sh") -> Procedure:
    return Procedure(module="app", backup_class=letter, script=find_writers(path, text.encode()), text=without_comments(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "pg_dumpall | gzip > /srv/backups/all.sql.gz\n",
        "pg_dump ledger > /srv/backups/ledger.sql\npg_dumpall --globals-only > /srv/backups/globals.sql\n",
        "docker exec db pg_dumpall -U postgres > /srv/backups/all.sql\n",
        'DUMP="pg_dumpall -U postgres"\ndocker exec db sh -c "$DUMP" > /srv/backups/all.sql\n',
        'for base in $BASES; do pg_dump "$base" > "/srv/backups/$base.sql"; done\nrun_in_db pg_dumpall -g > /srv/backups/g.sql\n',
    ],
)
def test_a_script_that_dumps_roles_holds(text: str) -> None:
    assert isinstance(judge_complete(procedure(text)), Held)


@pytest.mark.parametrize(
    "text",
    [
        "pg_dump ledger > /srv/backups/ledger.sql\n",
        "docker compose exec -T db pg_dump -U ledger -Fc ledger > /srv/backups/ledger.dump\n",
        "# pg_dumpall would take the roles along\npg_dump ledger | zstd > /srv/backups/ledger.sql.zst\n",
    ],
)
def test_a_script_that_dumps_one_database_alone_breaks_it(text: str) -> None:
    assert broken(procedure(text)) == ["no-roles"]


def test_a_script_in_which_no_dump_is_found_is_unproven() -> None:
    assert isinstance(judge_complete(procedure("exec /usr/local/bin/borgmatic\n")), Unproven)


@pytest.mark.parametrize(
    "text",
    [
        "cp /srv/app/app.db /srv/backups/app.db\n",
        "cp /srv/app/app.sqlite3 /srv/backups/\n",
        "tar -czf /srv/backups/app.tar.gz /srv/app/app.db /srv/app/uploads\n",
        "cp /srv/app/store.duckdb /srv/backups/store.duckdb\n",
    ],
)
def test_a_script_that_copies_an_embedded_database_alone_breaks_it(text: str) -> None:
    assert broken(procedure(text, "E")) == ["wal-missing"]


@pytest.mark.parametrize(
    "text",
    [
        "cp /srv/app/app.db /srv/app/app.db-wal /srv/backups/\n",
        "tar -czf /srv/backups/app.tar.gz /srv/app\n",
        "sqlite3 /srv/app/app.db '.backup /srv/backups/app.db'\n",
        "sqlite3 /srv/app/app.db 'PRAGMA wal_checkpoint(TRUNCATE)'\ncp /srv/app/app.db /srv/backups/app.db\n",
        "docker compose stop app\ncp /srv/app/app.db /srv/backups/app.db\ndocker compose start app\n",
        "systemctl stop app\ntar -czf /srv/backups/app.tar.gz /srv/app/app.db\n",
        "restic backup /srv/app\n",
        "cp /srv/backups/app.db /srv/app/app.db  # back again\n",
    ],
)
def test_a_script_that_takes_care_of_the_log_holds(text: str) -> None:
    assert isinstance(judge_complete(procedure(text, "E")), Held)


def test_a_program_is_followed_as_a_script_is() -> None:
    text = 'import shutil\n\n\ndef backup():\n    shutil.copy2("/srv/app/app.db", "/srv/backups/app.db")\n'
    assert broken(procedure(text, "E", "backup.py")) == ["wal-missing"]
