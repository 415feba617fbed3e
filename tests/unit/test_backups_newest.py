"""The newest backup: whether it is whole, how old it is and by what that is known, and whether something changed after it."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import CouldNotLook
from interlock.facts.backup_manifests import Manifest, Told, in_words, taken
from interlock.facts.backups import BackupAge, NewestBackup, State, before, format_of, without_stamp
from interlock.facts.looks import Entry, Examined, Listing, StatAnswer
from interlock.judge.backup.newest import FORMATS
from interlock.judge.backups import judge_fresh, judge_intact
from interlock.verdicts import Broken, Detail, Held, Judgement, NullSink, Outcome, Unproven, settle

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
DIGEST = hashlib.sha256(b"whole").hexdigest()


def at(**ago: float) -> int:
    return int((NOW - timedelta(**ago)).timestamp())


def examined(name: str = "app.tar.gz", **changed: Any) -> Examined:
    found = {"size": 5, "mtime": at(hours=1), "sha256": f"sha256:{DIGEST}", "format": "tar", "compression": "gzip", "whole": True, "members": 2}
    return Examined(name=name, **{**found, "names": ("srv/app", "srv/app/rows"), **changed})


def newest(*files: Examined, letter: str = "E") -> NewestBackup:
    return NewestBackup(module="app", backup_class=letter, directory="/srv/backups", files=files)


def ours(**changed: Any) -> str:
    said = {"schema": "interlock/backup/1", "module": "app", "bytes": 5, "sha256": f"sha256:{DIGEST}", "started": "2026-11-20T20:00:00Z", "paths": []}
    return json.dumps(said | changed)


def kinds(judgement: Judgement) -> list[str]:
    assert isinstance(judgement, Held | Broken | Unproven)
    return [detail.kind for detail in judgement.details if detail.outcome is not Outcome.HELD]


# ---- whole


def test_a_backup_that_was_read_to_its_end_holds() -> None:
    found = judge_intact(newest(examined()))
    assert isinstance(found, Held)
    assert found.message == "the newest backup of app is whole: app.tar.gz (2 entries) was read to its end"


def test_no_backup_is_never_held() -> None:
    assert isinstance(judge_intact(newest()), Unproven)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (examined(size=0, whole=False), "empty"),
        (examined(whole=False, fault="it ends in the middle of its gzip stream"), "not-whole"),
        (examined(manifest=ours(bytes=6)), "size-differs"),
        (examined(manifest=ours(sha256="sha256:" + "0" * 64)), "digest-differs"),
        (examined(manifest=ours(module="other")), "of-another-module"),
        (examined(manifest=ours()[:-10]), "manifest-unreadable"),
        (examined(manifest="0" * 64 + "  app.tar.gz"), "digest-differs"),
        (examined(manifest="SHA256 (app.tar.gz) = " + "0" * 64), "digest-differs"),
        (examined(format="pg-plain"), "wrong-format"),
        (examined(format="rdb"), "wrong-format"),
    ],
)
def test_what_is_wrong_with_a_backup_is_told(file: Examined, kind: str) -> None:
    found = judge_intact(newest(file))
    assert isinstance(found, Broken)
    assert (found.kind, kinds(found)) == (kind, [kind])


@pytest.mark.parametrize("manifest", ["", ours(), f"{DIGEST}  app.tar.gz", f"{DIGEST.upper()} *app.tar.gz", f"SHA256 (app.tar.gz) = {DIGEST}", DIGEST, "{}"])
def test_a_manifest_that_agrees_or_says_nothing_holds(manifest: str) -> None:
    assert isinstance(judge_intact(newest(examined(manifest=manifest))), Held)


@pytest.mark.parametrize(
    "file", [examined(whole=None, fault="zstd is needed to read it"), examined(format="unknown", whole=None, fault="it was made by age"), examined(format="")]
)
def test_what_nobody_can_read_is_unproven_and_says_what_would_help(file: Examined) -> None:
    found = judge_intact(newest(file))
    assert isinstance(found, Unproven)
    assert file.fault in found.message


@pytest.mark.parametrize(
    ("letter", "good", "bad"),
    [("A", "pg-custom", "tar"), ("A", "pg-plain", "rdb"), ("B", "rdb", "pg-plain"), ("C", "tar", "rdb"), ("D", "tar", "rdb"), ("E", "tar", "pg-custom")],
)
def test_each_class_wants_its_own_kind(letter: str, good: str, bad: str) -> None:
    assert isinstance(judge_intact(newest(examined(format=good), letter=letter)), Held)
    assert kinds(judge_intact(newest(examined(format=bad), letter=letter))) == ["wrong-format"]


def test_the_tar_format_of_pg_dump_is_a_dump() -> None:
    dumped = examined("db.tar", names=("toc.dat", "3312.dat", "restore.sql"))
    assert isinstance(judge_intact(newest(dumped, letter="A")), Held)
    assert kinds(judge_intact(newest(dumped, letter="E"))) == ["wrong-format"]
    assert isinstance(judge_intact(newest(examined("db.tar", names=("db/toc.dat", "db/3312.dat.gz")), letter="A")), Held)


def test_backups_in_folders_of_their_own_are_not_said_to_be_missing() -> None:
    folders = NewestBackup(module="app", backup_class="D", directory="/srv/backups", files=(), in_folders=True)
    for found in (judge_intact(folders), judge_fresh(BackupAge(newest=folders, now=NOW, fresh_for=3600))):
        assert isinstance(found, Unproven)
        assert "folders below it are not looked into" in found.message


def test_a_list_beside_an_archive_is_no_backup_and_no_fault() -> None:
    listed = examined("app-20261120T200000Z.list", format="unknown", whole=None, size=0)
    assert isinstance(judge_intact(newest(listed, examined())), Held)
    assert isinstance(judge_intact(newest(listed)), Broken | Unproven)


def test_a_file_of_another_kind_beside_the_right_one_must_be_whole_too() -> None:
    assert isinstance(judge_intact(newest(examined("db.dump", format="pg-custom"), examined("files.tar.gz"), letter="A")), Held)
    damaged = examined("files.tar.gz", whole=False, fault="it ends in the middle")
    assert kinds(judge_intact(newest(examined("db.dump", format="pg-custom"), damaged, letter="A"))) == ["not-whole"]
    assert kinds(judge_intact(newest(examined("globals.sql", format="pg-plain"), examined("db.age", format="unknown"), letter="A"))) == ["unknown-format"]


def test_what_a_waiver_goes_by_stays_the_same_from_night_to_night() -> None:
    def whats(name: str) -> list[str]:
        found = judge_intact(newest(examined(name, whole=False)))
        assert isinstance(found, Broken)
        return [detail.what for detail in found.details]

    assert whats("app-20261120T200000Z.tar.gz") == whats("app-20261121T200001Z.tar.gz") == ["app-#.tar.gz"]


# ---- young


def age(*files: Examined, state: tuple[State, ...] = (), fresh_for: int = 24 * 3600, letter: str = "E") -> BackupAge:
    return BackupAge(newest=newest(*files, letter=letter), now=NOW, fresh_for=fresh_for, state=state)


def test_a_young_backup_holds_and_both_ages_are_told() -> None:
    found = judge_fresh(age(examined()))
    assert isinstance(found, Held)
    assert found.message == "the newest backup of app, app.tar.gz, was taken 60 min ago (by the time of its file), the limit is 24 h"


def test_an_old_backup_breaks_it() -> None:
    found = judge_fresh(age(examined(mtime=at(hours=26))))
    assert isinstance(found, Broken)
    assert (found.kind, found.message) == (
        "stale",
        "the newest backup of app, app.tar.gz, was taken 26 h ago (by the time of its file), the limit is 24 h",
    )
    (detail,) = found.details
    assert (detail.what, detail.value) == ("age", 26 * 3600)


@pytest.mark.parametrize(("hours", "outcome"), [(24.0, Held), (24.001, Broken)])
def test_the_limit_itself_is_still_fresh(hours: float, outcome: type) -> None:
    assert isinstance(judge_fresh(age(examined(mtime=at(hours=hours)))), outcome)


def test_a_directory_without_a_backup_breaks_it() -> None:
    found = judge_fresh(age())
    assert isinstance(found, Broken)
    assert (found.kind, found.message) == ("no-backup", "there is no backup of app in /srv/backups")


@pytest.mark.parametrize(("ahead", "outcome"), [(timedelta(minutes=4), Held), (timedelta(minutes=6), Broken)])
def test_a_backup_from_the_future_breaks_it_but_for_clocks_that_differ_a_little(ahead: timedelta, outcome: type) -> None:
    found = judge_fresh(age(examined(mtime=int((NOW + ahead).timestamp()))))
    assert isinstance(found, outcome)
    assert kinds(found) == (["from-the-future"] if outcome is Broken else [])


def test_the_age_of_a_backup_that_is_not_whole_says_nothing() -> None:
    found = judge_fresh(age(examined(whole=False, fault="it ends in the middle")))
    assert isinstance(found, Unproven)
    assert "it ends in the middle" in found.message


def test_what_interlock_verified_as_it_made_it_counts_where_no_tool_can_read_it_again() -> None:
    without_zstd = {"whole": None, "fault": "zstd is needed to read it"}
    assert isinstance(judge_fresh(age(examined(**without_zstd, manifest=ours()))), Held)
    assert isinstance(judge_fresh(age(examined(**without_zstd, manifest=f"{DIGEST}  app.tar.gz"))), Unproven)
    assert isinstance(judge_fresh(age(examined(**without_zstd))), Unproven)


def test_a_copied_old_backup_is_as_old_as_its_manifest_or_its_name_says() -> None:
    old = "2026-11-17T20:00:00Z"
    assert kinds(judge_fresh(age(examined(manifest=ours(started=old))))) == ["stale"]
    assert kinds(judge_fresh(age(examined("app-20261117T200000Z.tar.gz")))) == ["stale"]


def test_a_file_that_changed_after_the_backup_breaks_it() -> None:
    changed = State(path="/srv/app", changed="/srv/app/rows", mtime=at(minutes=20), filled=True)
    found = judge_fresh(age(examined(), state=(State(path="/srv/b", changed="/srv/b/x", mtime=at(hours=2)), changed)))
    assert isinstance(found, Broken)
    assert (found.kind, found.message) == ("changed-since", "/srv/app/rows changed 40 min after the newest backup of app was taken")
    assert [detail.what for detail in found.details] == ["age", "/srv/b", "/srv/app"]


def test_a_file_that_changed_while_the_archive_was_made_may_not_be_in_it() -> None:
    changed = State(path="/srv/app", changed="/srv/app/rows", mtime=at(minutes=59), filled=True)
    assert kinds(judge_fresh(age(examined(mtime=at(minutes=30), manifest=ours()), state=(changed,)))) == ["changed-since"]


def test_a_directory_that_could_not_be_looked_at_is_unproven_unless_a_change_was_seen() -> None:
    fault = {"path": "/srv/app", "fault": "/srv/app/private could not be listed: EACCES"}
    assert isinstance(judge_fresh(age(examined(), state=(State(**fault),))), Unproven)  # type: ignore[arg-type]
    seen = State(**fault, changed="/srv/app/rows", mtime=at(minutes=1))  # type: ignore[arg-type]
    assert isinstance(judge_fresh(age(examined(), state=(seen,))), Broken)


# ---- the state that it is compared with


def entry(name: str, mtime: int = 5, *, mode: int = stat.S_IFREG | 0o600, size: int = 10) -> Entry:
    return Entry(name, mode, 0, 0, size, mtime, 1)


def listing(directory: str, *entries: Entry, error: str = "") -> Listing:
    return Listing(directory, entry("", mode=stat.S_IFDIR | 0o755, mtime=99), list(entries), error, "8:1")


def test_the_last_change_is_that_of_the_newest_file() -> None:
    found = State.of("/a", [listing("/a", entry("x", 7), entry("sub", 50, mode=stat.S_IFDIR | 0o700)), listing("/a/sub", entry("y", 9))])
    assert (found.changed, found.mtime, found.filled, found.cut, found.fault) == ("/a/sub/y", 9, True, False, "")


def test_a_path_can_be_a_file() -> None:
    found = State.of_file("/a/x", StatAnswer(present=True, mode=stat.S_IFREG | 0o600, mtime=7))
    assert (found.changed, found.mtime, found.filled) == ("/a/x", 7, False)


@pytest.mark.parametrize(
    "one", [entry("s", 50, mode=stat.S_IFSOCK | 0o600), entry("p", 50, mode=stat.S_IFIFO | 0o600), entry("app.db-shm", 50), entry("app.pid", 50)]
)
def test_what_every_start_of_a_program_makes_anew_is_no_change(one: Entry) -> None:
    assert State.of("/a", [listing("/a", entry("x", 7), one)]).mtime == 7


def test_a_walk_that_is_cut_or_breaks_off_says_so_and_keeps_what_it_saw() -> None:
    assert State.of("/a", [listing("/a", entry("x")), listing("/a/b", entry("y", 9))], limit=2).cut
    assert State.of("/a", [listing("/a", entry("x"), error=""), listing("/a/b", error="EACCES: Permission denied")]).fault

    def breaks_off() -> Iterator[Listing]:
        yield listing("/a", entry("x", 7))
        raise CouldNotLook("/a could not be walked", where="/a")

    found = State.of("/a", breaks_off())
    assert (found.changed, found.fault) == ("/a/x", "/a: /a could not be walked")


def test_a_log_with_something_in_it_is_found_beside_its_database() -> None:
    entries = (
        entry("app.db"),
        entry("app.db-wal", 8),
        entry("duck.duckdb"),
        entry("duck.duckdb.wal", 9),
        entry("lone.db-wal"),
        entry("e.db"),
        entry("e.db-wal", size=0),
    )
    assert [wal.log for wal in State.of("/a", [listing("/a", *entries)]).wals] == ["/a/app.db-wal", "/a/duck.duckdb.wal"]


def test_the_one_before_is_of_the_same_kind_and_older() -> None:
    files = (examined("app-20261120T200000Z.tar.gz", mtime=100), examined("globals-20261120T200000Z.sql", mtime=101))
    seen = [
        listing(
            "/b",
            entry("app-20261118T200000Z.tar.gz", 80, size=1),
            entry("app-20261119T200000Z.tar.gz", 90, size=2),
            entry("app-20261121T200000Z.tar.gz", 110, size=3),
            entry("other-20261119T200000Z.tar.gz", 95),
            entry("app-20261120T200000Z.tar.gz", 100),
            entry("app-20261119T200000Z.tar.gz.json", 96),
        ),
        listing("/b/old", entry("app-20261119T230000Z.tar.gz", 97)),
    ]
    assert {name: (one.name, one.size) for name, one in before(files, "/b", seen).items()} == {files[0].name: ("app-20261119T200000Z.tar.gz", 2)}


# ---- stamps and manifests


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("app-20261120T200000Z.tar.gz", Told.NAME),
        ("app-2026-11-20T20-00-00Z.sql.gz", Told.NAME),
        ("app-2026-11-20T20:00:00Z.dump", Told.NAME),
        ("app-20261120T200000.tar.gz", Told.MTIME),  # of which time zone?
        ("app-20261320T200000Z.tar.gz", Told.MTIME),  # there is no such month
        ("app-2026-11-20.tar.gz", Told.MTIME),
        ("app.tar.gz", Told.MTIME),
    ],
)
def test_only_a_stamp_in_utc_tells_when_a_backup_was_taken(name: str, told: Told) -> None:
    found = taken(examined(name))
    assert (found.told, found.at) == (told, datetime(2026, 11, 20, 20, 0, tzinfo=UTC))


def test_a_manifest_without_a_time_zone_tells_no_time() -> None:
    assert taken(examined(manifest=ours(started="2026-11-17T20:00:00"))).told is Told.MTIME


@given(st.text())
def test_a_manifest_may_be_any_text(text: str) -> None:
    found = Manifest.parse(text)
    assert found is None or not found.sha256 or len(found.sha256) == 64


@given(
    st.dictionaries(
        st.sampled_from(["schema", "sha256", "bytes", "size", "module", "paths", "started"]),
        st.one_of(st.none(), st.integers(), st.text(), st.lists(st.none())),
    )
)
def test_a_manifest_may_say_anything(said: dict[str, Any]) -> None:
    found = Manifest.parse(json.dumps(said))
    assert found is not None
    assert found.started is None or found.started.tzinfo is not None


@given(st.text(), st.integers(-(2**62), 2**62))
def test_every_file_was_taken_at_some_time(name: str, mtime: int) -> None:
    assert taken(examined(name, mtime=mtime)).at.tzinfo is not None


_MOMENTS = st.integers(946_684_800, 4_070_908_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(_MOMENTS, _MOMENTS)
def test_names_that_differ_in_their_stamp_alone_are_of_one_kind(one: datetime, other: datetime) -> None:
    for shape in ("db1-%Y%m%dT%H%M%SZ.sql.gz", "%Y-%m-%d_%H-%M-%S.tar", "app.%Y-%m-%d.dump.1", "x%Y%m%d%H%M"):
        assert without_stamp(one.strftime(shape)) == without_stamp(other.strftime(shape))
    assert without_stamp("db1.sql") != without_stamp("db2.sql")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (26 * 3600, "26 h"), (3 * 86400, "3 d")]
)
def test_an_age_is_told_in_one_unit(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_details_carry_no_ages_in_what_identifies_them() -> None:
    found = judge_fresh(age(examined(mtime=at(hours=26)), state=(State(path="/srv/app", changed="/srv/app/x", mtime=at(hours=1)),)))
    assert isinstance(found, Broken)
    assert [(detail.what, detail.kind) for detail in found.details if isinstance(detail, Detail)] == [("age", "stale"), ("/srv/app", "changed-since")]


# ---- whatever lies there

_MANIFESTS = st.sampled_from(["", ours(), ours(bytes=6), ours(module="b"), ours(started="2026-11-01T00:00:00Z"), f"{DIGEST}  x", "0" * 64, "{", "{}"])
_FILES = st.lists(
    st.builds(
        examined,
        st.sampled_from(["a.tar.gz", "a-20261120T200000Z.tar.gz", "a-20301120T200000Z.sql", "a.list", "a.age"]),
        size=st.sampled_from([0, 5, 6]),
        mtime=st.integers(at(days=40), at(days=-2)),
        format=st.sampled_from(["tar", "pg-custom", "pg-plain", "rdb", "unknown", ""]),
        whole=st.sampled_from([True, False, None]),
        manifest=_MANIFESTS,
        names=st.sampled_from([(), ("srv/app", "srv/app/rows"), ("toc.dat",)]),
    ),
    max_size=3,
)
_LETTERS = st.sampled_from("ABCDEFG")


@given(_FILES, _LETTERS)
def test_nothing_is_held_that_was_not_read_to_its_end(files: list[Examined], letter: str) -> None:
    if isinstance(judge_intact(newest(*files, letter=letter)), Held):
        judged = [file for file in files if format_of(file) in FORMATS[letter] or not file.name.endswith(".list")]
        assert any(format_of(file) in FORMATS[letter] for file in judged)
        assert all(file.whole and file.size for file in judged)


@given(_FILES, _LETTERS, st.integers(1, 10**6))
def test_nothing_is_fresh_that_is_older_than_its_limit_or_was_not_verified(files: list[Examined], letter: str, fresh_for: int) -> None:
    if isinstance(judge_fresh(age(*files, letter=letter, fresh_for=fresh_for)), Held):
        assert not any(file.whole is False or file.size == 0 for file in files if not file.name.endswith(".list"))
        right = [file for file in files if format_of(file) in FORMATS[letter]] or files  # what we verified ourselves counts unread
        assert min(taken(file).at for file in right) >= NOW - timedelta(seconds=fresh_for)
        assert not isinstance(judge_intact(newest(*files, letter=letter)), Broken)


@given(_FILES, _LETTERS)
def test_a_verdict_is_broken_when_a_detail_is_and_only_then(files: list[Examined], letter: str) -> None:
    for found in (judge_intact(newest(*files, letter=letter)), judge_fresh(age(*files, letter=letter))):
        if found.details:  # type: ignore[union-attr]
            assert settle(found, NullSink()).outcome.value == type(found).__name__.lower()
