"""Copies of embedded databases without their log, in scripts that nobody declared: found in a tree, judged from their text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given

from interlock.commands.scan import site_of_tree
from interlock.facts.backups import text_of_deeds
from interlock.judge.backup.contents import COMPLETE, judge_complete
from interlock.observe.backups import contents_or_procedure
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Detail, Held, Outcome, Unproven, When
from tests.strategies import texts

STATIC = frozenset({When.STATIC})


def judged(folder: Path, name: str, text: str) -> Held | Broken | Unproven:
    (folder / name).write_text(text)
    site = site_of_tree(folder)
    world = World(site=site, gates=STATIC, tree=Tree(folder, patient=True), hosts={}, environ=os.environ)
    (subject,) = COMPLETE.subjects_when(site, STATIC, None)
    return judge_complete(contents_or_procedure(world, subject))


def broken(found: Held | Broken | Unproven) -> list[Detail]:
    return [one for one in found.details if one.outcome is Outcome.BROKEN]


@pytest.mark.parametrize(
    ("copy", "log"),
    [
        ("cp /srv/app/app.db /srv/backups/", "app.db-wal"),
        ("gzip -c /srv/app/app.sqlite3 > /srv/backups/app.sqlite3.gz", "app.sqlite3-wal"),
        ('docker cp app:/data/app.db "/srv/backups/app-$(date +%F).db"', "app.db-wal"),
        ("rsync -a /srv/app/events.duckdb /srv/backups/events.duckdb", "events.duckdb.wal"),
    ],
)
def test_a_script_that_copies_the_file_alone_leaves_its_log_behind(tmp_path: Path, copy: str, log: str) -> None:
    (fault,) = broken(judged(tmp_path, "backup.sh", f"#!/bin/sh\n{copy}\n"))
    assert (fault.kind, fault.line) == ("wal-missing", 2)
    assert f"leaves {log} behind" in fault.message


@pytest.mark.parametrize(
    "script",
    [
        "sqlite3 /srv/app/app.db '.backup /srv/backups/app.db'",
        "sqlite3 /srv/app/app.db 'PRAGMA wal_checkpoint(TRUNCATE)'\ncp /srv/app/app.db /srv/backups/",
        "cp /srv/app/app.db /srv/app/app.db-wal /srv/backups/",
        "docker compose stop app\ncp /srv/app/app.db /srv/backups/",
        "tar -czf /srv/backups/all.tar.gz -C /srv app",
    ],
)
def test_a_script_that_takes_care_of_the_log_holds(tmp_path: Path, script: str) -> None:
    assert isinstance(judged(tmp_path, "backup.sh", f"#!/bin/sh\n{script}\n"), Held)


COPY = '''\
"""Copies the database before a migration. A CHECKPOINT would be needed; .wal files exist."""
import shutil
from pathlib import Path


def snapshot(connection, state: Path) -> None:
    database = state / "app.duckdb"
{care}
    shutil.copy2(str(database), str(state / "backups" / "app.duckdb.pre-migrate"))
'''


def test_what_a_program_says_of_itself_is_no_care(tmp_path: Path) -> None:
    (fault,) = broken(judged(tmp_path, "migrate.py", COPY.format(care="    # CHECKPOINT first?")))
    assert "copies app.duckdb and leaves app.duckdb.wal behind" in fault.message


@pytest.mark.parametrize("care", ['    connection.execute("CHECKPOINT")', '    shutil.copy2(str(database) + ".wal", "x")', "    connection.backup(other)"])
def test_what_it_does_is(tmp_path: Path, care: str) -> None:
    assert isinstance(judged(tmp_path, "migrate.py", COPY.format(care=care)), Held)


def test_a_compressed_copy_is_one_by_its_name(tmp_path: Path) -> None:
    text = "import subprocess\nfrom pathlib import Path\n\n\ndef backup(database: Path, backups: Path) -> None:\n"
    text += '    with open(backups / "app.duckdb.gz", "wb") as out:\n        subprocess.run(["gzip", "-c", str(database)], stdout=out, check=True)\n'
    assert [one.kind for one in broken(judged(tmp_path, "tool.py", text))] == ["wal-missing"]


@given(texts())
def test_the_text_of_what_a_script_does_is_had_of_anything(text: str) -> None:
    for path in ("x.py", "x.sh"):
        assert isinstance(text_of_deeds(path, text.encode("utf-8", "surrogateescape")), str)
