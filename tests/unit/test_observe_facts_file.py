"""Facts in a file: what comes back is what was seen, and a file that somebody touched is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.models import Site
from interlock.errors import ConfigError, CouldNotLook, EvidenceError
from interlock.facts.looks import (
    Engine,
    EngineAnswer,
    Examine,
    ExamineAnswer,
    Examined,
    FailedLook,
    FolderAnswer,
    HostFacts,
    Listing,
    Mounts,
    MountsAnswer,
    ReadFile,
    ReadFolder,
    User,
    Walk,
)
from interlock.observe import facts_file, files
from interlock.observe.facts_file import load, save
from tests.strategies import listings, looks_and_answers

SITE = Site(interlock=1, site="s")


def facts(answers: dict[Any, Any], walks: dict[str, list[Any]] | None = None) -> HostFacts:
    kept = walks or {}
    return HostFacts(
        host="h",
        taken_at="2026-11-20T21:00:00Z",
        user="deploy",
        answers=answers | dict.fromkeys(map(Walk, kept)),
        walks=lambda root: iter([Listing(*listing) for listing in kept[root]]),
    )


def refused(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.exit_code == 78
    assert caught.value.remedy
    return caught.value


@given(answers=looks_and_answers(), found=st.lists(listings(), max_size=4), other=st.lists(listings(), max_size=2))
def test_facts_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, answers: dict[Any, Any], found: list[Any], other: list[Any]) -> None:
    path = tmp_path_factory.mktemp("facts") / "facts.json"
    seen = facts(answers, {"/one": found, "/two": other})
    gone = CouldNotLook("it was away", where="there", why="because", remedy="wait")
    digest = save(path, {"h": seen, "gone": gone}, SITE)
    back = load(path)
    mine, lost = back["h"], back["gone"]
    assert isinstance(mine, HostFacts)
    assert (mine.host, mine.taken_at, mine.user, mine.answers, mine.replayed) == ("h", "2026-11-20T21:00:00Z", "deploy", seen.answers, True)
    assert [[tuple(listing) for listing in mine.walk(root)] for root in ("/one", "/two", "/one")] == [found, other, found]
    assert isinstance(lost, CouldNotLook)
    assert (lost.what, lost.where, lost.why, lost.remedy) == (gone.what, gone.where, gone.why, gone.remedy)
    assert digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    json.loads(path.read_bytes())


def test_a_real_walk_comes_back(tmp_path: Path) -> None:
    (tmp_path / "tree" / "d").mkdir(parents=True)
    (tmp_path / "tree" / "d" / "f").touch()
    root = str(tmp_path / "tree")
    seen = HostFacts(host="h", taken_at="", user="u", answers={Walk(root): None}, walks=files.walk)
    save(tmp_path / "facts.json", {"h": seen}, SITE)
    back = load(tmp_path / "facts.json")["h"]
    assert isinstance(back, HostFacts)
    assert list(back.walk(root)) == list(files.walk(root))


def test_the_file_is_private_and_replaces_what_was_there(tmp_path: Path) -> None:
    path, other = tmp_path / "facts.json", tmp_path / "other"
    other.write_text("untouched")
    path.symlink_to(other)
    save(path, {"h": facts({User("x"): 1})}, SITE)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_ISREG(path.lstat().st_mode)
    assert other.read_text() == "untouched"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_contents_are_redacted_before_they_are_written(tmp_path: Path) -> None:
    examined = Examined(name="a", size=1, mtime=1, manifest="by hunter2", fault="pg_restore says hunter2")
    answers = {
        ReadFile("/f"): b"password=hunter2",
        Mounts(): MountsAnswer(mountinfo=b"//nas hunter2", devices={}, links={}),
        User("x"): 1,
        ReadFolder("/cron.d"): FolderAnswer(files={"job": b"hunter2 \xff"}, unread={}),
        Examine("/backups"): ExamineAnswer(files=(examined,)),
        Engine("/s"): EngineAnswer(content=b'{"label": "hunter2"}'),
    }
    lost = CouldNotLook("x", why="the server said hunter2")
    save(tmp_path / "f", {"h": facts(answers), "g": lost}, SITE, redact=lambda content: content.replace(b"hunter2", b"***"))
    back = load(tmp_path / "f")
    assert isinstance(back["h"], HostFacts)
    assert back["h"].read("/f") == b"password=***"
    assert back["h"].mounts().mountinfo == b"//nas ***"
    assert back["h"].folder("/cron.d").files == {"job": b"*** \xff"}
    assert [(file.manifest, file.fault) for file in back["h"].examine("/backups").files] == [("by ***", "pg_restore says ***")]
    assert back["h"].engine(Engine("/s")).content == b'{"label": "***"}'
    assert isinstance(back["g"], CouldNotLook)
    assert back["g"].why == "the server said ***"


def test_a_walk_that_breaks_off_while_it_is_written_is_a_failed_look(tmp_path: Path) -> None:
    def breaks_off(_root: str) -> Iterator[Listing]:
        yield next(files.walk(str(tmp_path)))
        raise CouldNotLook("it hung")

    seen = HostFacts(host="h", taken_at="", user="u", answers={Walk("/w"): None, Walk("/x"): FailedLook("EACCES", "no")}, walks=breaks_off)
    save(tmp_path / "f", {"h": seen}, SITE)
    back = load(tmp_path / "f")["h"]
    assert isinstance(back, HostFacts)
    with pytest.raises(CouldNotLook, match="it hung"):
        next(back.walk("/w"))
    with pytest.raises(CouldNotLook, match="/x could not be looked at: no"):
        next(back.walk("/x"))
    with pytest.raises(CouldNotLook, match="not walked"):
        next(back.walk("/other"))


def saved(tmp_path: Path) -> Path:
    path = tmp_path / "facts.json"
    listing = ("/w", ["", 1, 0, 0, 1, 1, 1, "", ""], [("a", 1, 0, 0, 1, 1, 1, "", "")], "", "", ())
    save(path, {"h": facts({User("x"): 1}, {"/w": [listing, listing]})}, SITE)
    return path


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_a_file_changed_in_any_byte_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{}", b"{}\n", b"\xff\xfe\0", b"[" * 100_000 + b"\n", b'{"schema":"interlock/facts/1"}\n', b'["schema"]\n', b"null\n", b"{}\n" * 1000],
)
def test_what_is_no_facts_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    assert "no facts" in refused(tmp_path / "f").what


def test_something_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with path.open("ab") as stream:
        stream.write(b"\n")
    refused(path)


def test_facts_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"interlock/facts/1", b"interlock/facts/2"))
    assert "interlock/facts/2" in refused(path).why


def test_facts_that_are_no_regular_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    refused(tmp_path / "fifo")
    refused(tmp_path)
    refused(tmp_path / "missing")


def test_a_file_exchanged_after_it_was_loaded_is_not_walked(tmp_path: Path) -> None:
    path = saved(tmp_path)
    back = load(path)["h"]
    assert isinstance(back, HostFacts)
    path.write_bytes(path.read_bytes())
    os.utime(path, (1, 1))
    with pytest.raises(CouldNotLook, match="changed meanwhile"):
        next(back.walk("/w"))


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_facts_that_cannot_be_written_leave_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text("the old one")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "write":
        monkeypatch.setattr(facts_file._Digested, "write", full)
    else:
        monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), full)
    with pytest.raises(EvidenceError, match="could not be written") as caught:
        save(path, {}, SITE)
    assert caught.value.exit_code == 17
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("facts.json", "the old one")]


def test_a_folder_that_is_missing_is_an_evidence_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError):
        save(tmp_path / "no" / "folder" / "f", {}, SITE)


def test_what_another_version_looked_at_was_not_looked_at(tmp_path: Path) -> None:
    """The engine was once asked for less: whoever needs more is told to observe again, and everything else is judged."""
    path = tmp_path / "facts.json"
    save(path, {"h": facts({User("x"): 1, Engine("/s"): EngineAnswer(content=b"{}")})}, SITE)
    before = path.read_bytes().rpartition(b'"sha256"')[0].replace(b'["engine","/s",[],false,[]]', b'["engine","/s",[]]')
    path.write_bytes(before + b'"sha256":"sha256:%s"}\n' % hashlib.sha256(before).hexdigest().encode())
    back = load(path)["h"]
    assert isinstance(back, HostFacts)
    assert back.uid("x") == 1
    with pytest.raises(CouldNotLook) as caught:
        back.engine(Engine("/s"))
    assert caught.value.remedy == "observe again"
