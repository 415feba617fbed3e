"""Real backups, read by the real look: what the runner archives, what pg_dump and pg_dumpall of PostgreSQL 16 and 18 write, whole and damaged."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from interlock.act.backups import do_backup
from interlock.config.models import BackupClass, Site
from interlock.facts.backup_manifests import Told
from interlock.gate.clearance import OperatorPresent, clear
from interlock.gate.decision import Open
from interlock.gate.plan import BackupPlan, Compression, Directory
from interlock.judge.backups import judge_complete, judge_fresh, judge_intact
from interlock.observe.backups import OBSERVERS
from interlock.observe.eyes import device_of
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Broken, Held, Judgement, Outcome, Subject, Unproven, When
from tests.act_bench import PLAN, make_bench

JUDGES: Mapping[str, Callable[[Any], Judgement]] = {"backups.intact": judge_intact, "backups.fresh": judge_fresh, "backups.complete": judge_complete}
APP = Subject(name="app")


def judged(folder: Path, environ: Mapping[str, str] | None = None, **site: Any) -> dict[str, Judgement]:
    """The three judgements of the module `app`, by one look at this machine."""
    made = Site.model_validate({"interlock": 1, "site": "proof", **site}).placed(folder)
    looks = frozenset(look for name in JUDGES for look in OBSERVERS[name].looks(made, APP))
    hosts = observe(made, {"local": looks}, folder / "spool")
    world = World(site=made, gates=frozenset({When.PREFLIGHT}), tree=Tree(folder), hosts=hosts, environ=environ or {})
    return {name.partition(".")[2]: judge(OBSERVERS[name].see(world, APP)) for name, judge in JUDGES.items()}


def outcomes(found: dict[str, Judgement]) -> dict[str, str]:
    return {name: type(judgement).__name__ for name, judgement in found.items()}


def faults(judgement: Judgement) -> list[str]:
    assert isinstance(judgement, Held | Broken | Unproven)
    return [detail.kind for detail in judgement.details if detail.outcome is Outcome.BROKEN]


# ---- archives that the runner makes


class Bed:
    """A module with files and an embedded database, an hour old."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.backups = folder, folder / "data", folder / "backups"
        self.data.mkdir()
        for name, content in (("rows", b"1\n2\n"), ("app.db", b"pages"), ("app.db-wal", b"frames"), ("large", os.urandom(50_000))):
            (self.data / name).write_bytes(content)
            self.set_time(self.data / name, hours=30)
        self.backups.mkdir(mode=0o700)
        self.now = datetime.now(UTC)

    @staticmethod
    def set_time(path: Path, *, hours: float) -> None:
        then = (datetime.now(UTC) - timedelta(hours=hours)).timestamp()
        os.utime(path, (then, then))

    def back_up(self, compression: Compression) -> Path:
        step = BackupPlan(
            module="app",
            backup_class=BackupClass.E,
            paths=(self._directory(self.data),),
            directory=self._directory(self.backups),
            owner="me",
            owner_uid=os.geteuid(),
            compression=compression,
        )
        present = OperatorPresent(user="u", host="h")
        clearance = clear(plan=PLAN, action="release", gate=Open(), authority=present, now=self.now, lasts=timedelta(hours=1))
        bench = make_bench(self.folder, clock=lambda: self.now, clearance=clearance)
        return Path(str(do_backup(step, bench, timeout=60).data["backup"]))

    @staticmethod
    def _directory(path: Path) -> Directory:
        return Directory(path=str(path), real=os.path.realpath(path), device=device_of(path.stat().st_dev))

    def judged(self, **module: Any) -> dict[str, Judgement]:
        return judged(self.folder, modules={"app": {"class": "E", "paths": [str(self.data)], "backups": str(self.backups), "owner": "me", **module}})


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


@pytest.mark.parametrize("compression", [tool for tool in ("zstd", "gzip") if shutil.which(tool)])
def test_what_the_runner_archives_is_whole_fresh_and_complete(bed: Bed, compression: Compression) -> None:
    bed.back_up(compression)
    found = bed.judged()
    assert outcomes(found) == {"intact": "Held", "fresh": "Held", "complete": "Held"}
    assert isinstance(found["fresh"], Held)
    assert Told.MANIFEST.value in found["fresh"].message


def test_an_archive_that_was_cut_short_is_broken_and_its_age_and_contents_say_nothing(bed: Bed) -> None:
    archive = bed.back_up("gzip")
    archive.write_bytes(archive.read_bytes()[:-100])
    found = bed.judged()
    assert outcomes(found) == {"intact": "Broken", "fresh": "Unproven", "complete": "Unproven"}
    assert faults(found["intact"]) == ["size-differs"]


def test_one_bit_that_turned_is_seen(bed: Bed) -> None:
    archive = bed.back_up("gzip")
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    assert faults(bed.judged()["intact"]) == ["digest-differs"]
    archive.with_name(archive.name + ".json").unlink()
    assert faults(bed.judged()["intact"]) == ["not-whole"]


def test_a_file_written_after_the_backup_is_seen_unless_the_module_is_busy(bed: Bed) -> None:
    bed.now -= timedelta(minutes=5)
    bed.back_up("gzip")
    (bed.data / "rows").write_text("1\n2\n3\n")
    found = bed.judged()
    assert outcomes(found) == {"intact": "Held", "fresh": "Broken", "complete": "Held"}
    assert faults(found["fresh"]) == ["changed-since"]
    assert outcomes(bed.judged(busy=True)) == {"intact": "Held", "fresh": "Held", "complete": "Held"}


def test_a_module_directory_that_is_gone_proves_nothing_fresh(bed: Bed) -> None:
    bed.back_up("gzip")
    shutil.rmtree(bed.data)
    assert outcomes(bed.judged())["fresh"] == "Unproven"


def test_a_directory_of_backups_that_is_not_there_holds_none(bed: Bed) -> None:
    bed.backups.rmdir()
    assert outcomes(bed.judged()) == {"intact": "Unproven", "fresh": "Broken", "complete": "Unproven"}


def test_a_mirror_in_folders_is_unproven_and_empty_folders_hold_no_backup(bed: Bed) -> None:
    (bed.backups / "2026-11-20").mkdir(mode=0o700)
    assert outcomes(bed.judged()) == {"intact": "Unproven", "fresh": "Broken", "complete": "Unproven"}
    (bed.backups / "2026-11-20" / "object").write_text("x")
    assert outcomes(bed.judged()) == {"intact": "Unproven", "fresh": "Unproven", "complete": "Unproven"}


@pytest.mark.parametrize("arguments", [("-C", "/", "{data}"), ("-C", "{parent}", "data"), ("-C", "{data}", "."), ("--absolute-names", "{data}")])
def test_an_archive_of_plain_tar_is_understood_however_it_was_called(bed: Bed, arguments: tuple[str, ...]) -> None:
    words = [word.format(data=bed.data, parent=bed.data.parent) for word in arguments]
    words = [word.lstrip("/") if index == 2 and words[0] == "-C" and words[1] == "/" else word for index, word in enumerate(words)]
    subprocess.run(("tar", "-czf", str(bed.backups / "app.tar.gz"), *words), check=True, capture_output=True, timeout=30)
    assert outcomes(bed.judged()) == {"intact": "Held", "fresh": "Held", "complete": "Held"}


def test_a_log_that_was_left_out_on_purpose_is_missed(bed: Bed) -> None:
    subprocess.run(("tar", "-czf", str(bed.backups / "app.tar.gz"), "--exclude=*-wal", "-C", "/", str(bed.data).lstrip("/")), check=True, timeout=30)
    assert faults(bed.judged()["complete"]) == ["wal-missing"]


# ---- dumps of real servers


@contextmanager
def server(major: int) -> Iterator[Any]:
    from tools.postgres import running

    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as short:  # a socket's path is short
        os.chmod(short, 0o755)  # as root, the server runs as nobody
        with running(major, Path(short) / "s") as one:
            yield one


def fill(dsn: str) -> None:
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE ledger LOGIN")
        connection.execute("CREATE DATABASE ledger OWNER ledger")
    with psycopg.connect(dsn.replace("/postgres?", "/ledger?"), autocommit=True) as connection:
        connection.execute("CREATE TABLE entries (id bigserial PRIMARY KEY, said text)")
        connection.execute("INSERT INTO entries (said) SELECT repeat(md5(n::text), 20) FROM generate_series(1, 500) n")
        connection.execute("SELECT lo_from_bytea(0, 'a large object')")


@pytest.mark.parametrize("major", [16, 18])
def test_dumps_of_a_real_server_are_judged_as_what_they_are(major: int, tmp_path: Path, component: Callable[[str], None]) -> None:
    component(f"postgres{major}")
    from tools.postgres import programs

    backups = tmp_path / "backups"
    path = f"{programs(major)}:{os.environ['PATH']}"

    def dump(name: str, tool: str, *arguments: str) -> Path:
        done = subprocess.run((str(programs(major) / tool), *arguments), check=True, capture_output=True, timeout=60)
        target = backups / name
        target.write_bytes(gzip.compress(done.stdout) if name.endswith(".gz") else done.stdout)
        return target

    def look(**module: Any) -> dict[str, Judgement]:
        said = {"class": "A", "backups": str(backups), "owner": "me", "database": "ledger", **module}
        return judged(tmp_path, {"LEDGER_DSN": dsn}, modules={"app": said}, databases={"ledger": {"dsn_env": "LEDGER_DSN"}, "orders": {"dsn_env": "NOT_SET"}})

    def fresh_folder() -> None:
        shutil.rmtree(backups, ignore_errors=True)
        backups.mkdir(mode=0o700)

    with pytest.MonkeyPatch.context() as patch, server(major) as one:
        patch.setenv("PATH", path)
        fill(one.dsn())
        dsn = one.dsn("ledger")
        good = {"intact": "Held", "fresh": "Held", "complete": "Held"}

        fresh_folder()
        whole = dump("all-20261120T200000Z.sql.gz", "pg_dumpall", "--dbname", one.dsn())
        whole = whole.rename(backups / "all.sql.gz")
        assert outcomes(look()) == good
        whole.write_bytes(gzip.compress(gzip.decompress(whole.read_bytes())[:-200]))
        assert outcomes(look()) == {"intact": "Broken", "fresh": "Unproven", "complete": "Unproven"}

        fresh_folder()
        custom = dump("ledger.dump", "pg_dump", "--format=custom", "--dbname", dsn)
        found = look()
        assert (outcomes(found)["intact"], faults(found["complete"])) == ("Held", ["no-roles"])
        custom = custom.rename(backups / f"ledger-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump")
        dump(custom.name.replace("ledger", "globals").replace(".dump", ".sql"), "pg_dumpall", "--globals-only", "--dbname", one.dsn())
        assert outcomes(look()) == good
        data = custom.read_bytes()
        custom.write_bytes(data[: len(data) * 2 // 3])
        assert outcomes(look())["intact"] == "Broken"

        fresh_folder()
        dump("ledger.tar", "pg_dump", "--format=tar", "--dbname", dsn)
        found = look()
        assert (outcomes(found)["intact"], faults(found["complete"])) == ("Held", ["no-roles"])

        fresh_folder()
        dump("schema.dump", "pg_dump", "--format=custom", "--schema-only", "--dbname", dsn)
        assert set(faults(look()["complete"])) >= {"no-roles", "no-rows", "no-sequence-values"}

        fresh_folder()
        dump("tables.dump", "pg_dump", "--format=custom", "--table=entries", "--dbname", dsn)
        assert faults(look()["complete"]) == ["no-roles", "no-large-objects"]

        fresh_folder()
        dump("postgres.sql", "pg_dump", "--create", "--dbname", one.dsn())  # the database that is always there
        assert set(faults(look()["complete"])) == {"no-roles", "no-tables", "other-database", "no-large-objects"}

        fresh_folder()
        dump("all.sql", "pg_dumpall", "--dbname", one.dsn())
        assert outcomes(look(database="orders")) == good  # what its DSN would tell is not asked


def test_a_path_that_is_a_file_is_archived_as_one(bed: Bed) -> None:
    bed.data = bed.data / "rows"
    subprocess.run(("tar", "-czf", str(bed.backups / "app.tar.gz"), "-C", "/", str(bed.data).lstrip("/")), check=True, timeout=30)
    assert outcomes(bed.judged()) == {"intact": "Held", "fresh": "Held", "complete": "Held"}
    bed.data.write_text("another row\n")
    Bed.set_time(bed.data, hours=-1)
    assert faults(bed.judged()["fresh"]) == ["changed-since"]


@pytest.mark.parametrize("letter", ["B", "C", "D"])
def test_of_a_running_server_the_age_alone_is_asked_and_its_snapshot_is_no_archive_of_its_paths(bed: Bed, letter: str) -> None:
    snapshot = bed.folder / "state.bin"
    snapshot.write_text("raft")
    subprocess.run(("tar", "-czf", str(bed.backups / "vault.snap"), "-C", str(bed.folder), "state.bin"), check=True, timeout=30)
    Bed.set_time(bed.backups / "vault.snap", hours=1)
    (bed.data / "rows").write_text("written by the server itself")
    assert outcomes(bed.judged(**{"class": letter})) == {"intact": "Held", "fresh": "Held", "complete": "Held"}
