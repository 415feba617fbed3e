"""Whom everything below a directory belongs to: counted to the end or said to be more, with what could not be read, without what is the file system's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.facts.looks import OwnedFiles, Owners, OwnersAnswer
from interlock.observe import probe, wire
from interlock.testing.faults import own_namespace
from tests.unit.test_observe_shadows import run

ME = os.getuid()


def owners(root: Path | str, most: int = 1_000_000) -> OwnersAnswer:
    look = Owners(str(root), most)
    answer = wire.answer_of(look, probe.answer(wire.look_to_json(look)))
    assert isinstance(answer, OwnersAnswer), answer
    return answer


@pytest.fixture
def userns(component: Callable[[str], None]) -> None:
    if not own_namespace():
        component("userns")


def test_every_entry_counts_once_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").touch()
    (tmp_path / "out").symlink_to("/etc")
    assert owners(tmp_path) == OwnersAnswer(owners=(OwnedFiles(ME, 5, (".", "d", "d/e", "d/e/f", "out")),), complete=True)


def test_a_directory_that_a_link_leads_to_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").touch()
    (tmp_path / "link").symlink_to("real")
    assert owners(tmp_path / "link").owners == (OwnedFiles(ME, 2, (".", "f")),)


def test_an_absent_directory_and_a_file_are_failed_looks(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    found = [probe.answer(["owners", str(tmp_path / name), 10])["failed"][0] for name in ("none", "f")]
    assert found == ["ENOENT", "ENOTDIR"]


def test_exactly_as_many_as_may_be_counted_are_complete_and_one_more_is_not(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    assert owners(tmp_path, 4).complete
    more = owners(tmp_path, 3)
    assert not more.complete
    assert sum(owned.entries for owned in more.owners) == 3


def test_the_first_hundred_names_of_each_are_kept_and_of_thousands_of_users_some(tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / f"{number:03}").touch()
    (mine,) = owners(tmp_path).owners
    assert (mine.entries, len(mine.names)) == (121, 100)
    assert list(mine.names) == sorted(mine.names)
    assert "." in mine.names
    counted = probe._Counted(10**6)
    for uid in range(300):
        for number in range(200):
            counted.add(uid, str(number))
    rows = counted.rows()
    assert [row[:2] for row in rows] == [[uid, 200] for uid in range(300)]
    assert sum(len(row[2]) for row in rows) == probe.OWNED_NAMES_OF_ALL


def test_odd_names_come_back_as_they_are(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\n")
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff\n/ x", os.O_CREAT))
    assert owners(tmp_path).owners[0].names == (".", "\udcff\n", "\udcff\n/ x")


def test_a_directory_that_cannot_be_listed_is_named(tmp_path: Path, userns: None) -> None:
    code = """
import pwd
os.mkdir(TOP + "/open"); os.mkdir(TOP + "/shut"); os.mkdir(TOP + "/shut/in"); os.chmod(TOP + "/shut", 0)
print(json.dumps(probe.answer(["owners", TOP, 100])))
"""
    caps = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
    found = run(tmp_path, "", code, before=caps)["owners"]
    assert found["unread"] == ["shut/: EACCES: Permission denied"]
    assert (found["complete"], [row[1] for row in found["owners"]]) == (True, [3])


def test_what_is_mounted_below_counts_and_lost_and_found_does_only_where_it_is_not_the_file_systems_own(tmp_path: Path, userns: None) -> None:
    script = """
    mount -t tmpfs state "$TOP"; cd "$TOP"; mkdir lost+found inner plain; touch lost+found/x; mkdir plain/lost+found; touch plain/lost+found/y
    mount -t tmpfs inner inner; mkdir inner/lost+found; touch inner/lost+found/z inner/f
    """
    found = run(tmp_path, script, 'print(json.dumps([probe.answer(["owners", TOP + end, 100]) for end in ("", "/lost+found")]))')
    whole, asked_for = ([name for row in one["owners"]["owners"] for name in row[2]] for one in found)
    assert whole == [".", "inner", "inner/f", "plain", "plain/lost+found", "plain/lost+found/y"]
    assert asked_for == [".", "x"]


def test_a_lost_and_found_of_an_ordinary_user_counts(tmp_path: Path, userns: None) -> None:
    script = 'mount -t tmpfs state "$TOP"; cd "$TOP"; mkdir lost+found'
    fake = """
real = probe.walk
def walk(top):
    for directory, itself, entries, *rest in real(top):
        yield (directory, itself, [(entry[0], entry[1], 1000, *entry[3:]) for entry in entries], *rest)
probe.walk = walk
print(json.dumps(probe.answer(["owners", TOP, 100])))
"""
    assert [row[:2] for row in run(tmp_path, script, fake)["owners"]["owners"]] == [[0, 1], [1000, 1]]


def test_a_walk_that_takes_too_long_is_a_failed_look(tmp_path: Path) -> None:
    assert probe.answer(["owners", str(tmp_path), 100], time.monotonic() - 1) == {"failed": ["timeout", "it did not answer in time"]}


def test_two_hundred_thousand_entries_take_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk: list[Any] = [(f"f{number}", 0o100644, number % 7, 0, 1, 1, 1, "", "") for number in range(5000)]
    monkeypatch.setattr(probe, "walk", lambda top: ((f"/x/{number}", (), chunk, "", "8:1", ()) for number in range(40)))
    monkeypatch.setattr(probe, "look_root", lambda top: os.stat("/"))
    began = time.process_time()
    found = probe.look_owners(b"/x", 10**6, began + 10**6)
    assert sum(row[1] for row in found["owners"]) == 200_001
    assert time.process_time() - began < 3  # 0.2 s on an idle machine
