"""The journal: whatever is taken from it, added to it or edited in it is found, and what it says of an action is what its entries say."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.act import journal as journals
from interlock.act.journal import FILE, HEAD, RESERVE, Journal
from interlock.errors import EvidenceError
from interlock.gate.journal import End, Entry, Head, Kind, Standing, State, Trail
from tests.strategies import journal_trails

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
PLAN = "sha256:" + "a" * 64


def begin(folder: Path, name: str = "000001-release-aaaaaaaa") -> Journal:
    return Journal.begin(folder, id=name, clock=lambda: NOW, data={"plan": PLAN, "action": "release", "steps": 2, "principals": ["anna"]})


# ---- pure


@given(journal_trails())
def test_a_journal_reads_back_as_it_was_written(trail: Trail) -> None:
    raw = b"".join(entry.line() for entry in trail.entries)
    assert Trail.parse(raw, id=trail.id, where="j") == trail


@given(journal_trails(), st.data())
def test_every_edited_byte_is_found(trail: Trail, data: st.DataObject) -> None:
    raw = bytearray(b"".join(entry.line() for entry in trail.entries))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    head = Head(id=trail.id, seq=len(trail.entries), digest=trail.entries[-1].digest)
    with pytest.raises(EvidenceError, match="does not verify"):
        Trail.parse(bytes(raw), id=trail.id, where="j", head=head)


@given(journal_trails(), st.data())
def test_every_truncation_is_found(trail: Trail, data: st.DataObject) -> None:
    raw = b"".join(entry.line() for entry in trail.entries)
    cut = data.draw(st.integers(0, len(raw) - 1))
    head = Head(id=trail.id, seq=len(trail.entries), digest=trail.entries[-1].digest)
    with pytest.raises(EvidenceError, match="does not verify"):
        Trail.parse(raw[:cut], id=trail.id, where="j", head=head)


@given(journal_trails(), st.data())
def test_entries_that_were_moved_doubled_or_taken_out_of_the_middle_are_found_without_the_head(trail: Trail, data: st.DataObject) -> None:
    lines = [entry.line() for entry in trail.entries]
    place = data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["double", "drop", "swap"]))
    other = list(lines)
    if how == "double":
        other.insert(place, lines[place])
    elif how == "drop" and place < len(lines) - 1:
        del other[place]
    elif how == "swap" and place < len(lines) - 1:
        other[place], other[place + 1] = other[place + 1], other[place]
    if other == lines:
        return
    with pytest.raises(EvidenceError, match="does not verify"):
        Trail.parse(b"".join(other), id=trail.id, where="j")


@given(journal_trails(), st.integers(1, 200))
def test_a_write_that_a_crash_cut_short_is_known_as_such(trail: Trail, kept: int) -> None:
    """The head lags behind by the entry that was being written: nothing of it was ever acted upon."""
    lines = [entry.line() for entry in trail.entries]
    if len(lines) < 2:
        return
    torn = lines[-1][: min(kept, len(lines[-1]) - 1)]
    head = Head(id=trail.id, seq=len(lines) - 1, digest=trail.entries[-2].digest)
    read = Trail.parse(b"".join(lines[:-1]) + torn, id=trail.id, where="j", head=head)
    assert read.entries == trail.entries[:-1]
    assert read.torn == len(torn)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"null",
        b'{"seq":1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"data":{},"digest":"","kind":"begun","prev":"","seq":true,"step":0,"time":"2026-11-20T21:00:00Z"}',
        b'{"data":{},"digest":"","kind":"sang","prev":"","seq":1,"step":0,"time":"2026-11-20T21:00:00Z"}',
    ],
)
def test_a_line_that_no_runner_wrote_is_found(line: bytes) -> None:
    with pytest.raises(EvidenceError, match="does not verify"):
        Trail.parse(line + b"\n", id="x", where="j")


def entry(kind: Kind, step: int, **data: object) -> tuple[Kind, int, dict[str, object]]:
    return kind, step, data


def trail_of(*said: tuple[Kind, int, dict[str, object]]) -> Trail:
    entries: list[Entry] = []
    for kind, step, data in (entry(Kind.BEGUN, 0, steps=2, plan=PLAN, action="release"), *said):
        prev = entries[-1].digest if entries else ""
        entries.append(Entry(seq=len(entries) + 1, time="2026-11-20T21:00:00Z", kind=kind, step=step, data=data, prev=prev))
    return Trail(id="x", entries=tuple(entries))


@pytest.mark.parametrize(
    ("said", "states"),
    [
        ([], [State.PENDING, State.PENDING]),
        ([entry(Kind.WILL_DO, 1)], [State.UNDERWAY, State.PENDING]),
        ([entry(Kind.WILL_DO, 1), entry(Kind.DID, 1, result="done")], [State.DONE, State.PENDING]),
        ([entry(Kind.WILL_DO, 1), entry(Kind.DID, 1, result="not-needed")], [State.DONE, State.PENDING]),
        ([entry(Kind.WILL_DO, 1), entry(Kind.DID, 1, result="failed")], [State.FAILED, State.PENDING]),
        ([entry(Kind.WILL_DO, 1), entry(Kind.WILL_UNDO, 1)], [State.UNDOING, State.PENDING]),
        ([entry(Kind.WILL_DO, 1), entry(Kind.WILL_UNDO, 1), entry(Kind.UNDID, 1, result="done")], [State.UNDONE, State.PENDING]),
        ([entry(Kind.WILL_DO, 1), entry(Kind.WILL_UNDO, 1), entry(Kind.UNDID, 1, result="failed")], [State.NOT_UNDONE, State.PENDING]),
    ],
)
def test_a_step_stands_where_its_last_entry_says(said: list[tuple[Kind, int, dict[str, object]]], states: list[State]) -> None:
    assert [step.state for step in Standing.of(trail_of(*said)).steps] == states


def test_what_may_have_changed_is_everything_but_what_is_known_not_to_have() -> None:
    def may(*said: tuple[Kind, int, dict[str, object]]) -> bool:
        return Standing.of(trail_of(*said)).steps[0].may_have_changed

    begun = entry(Kind.WILL_DO, 1)
    assert not may()
    assert may(begun)
    assert may(begun, entry(Kind.DID, 1, result="done"))
    assert not may(begun, entry(Kind.DID, 1, result="done", changed=False))
    assert may(begun, entry(Kind.DID, 1, result="failed"))
    assert not may(begun, entry(Kind.DID, 1, result="failed", changed=False))
    assert may(begun, entry(Kind.WILL_UNDO, 1))
    assert not may(begun, entry(Kind.WILL_UNDO, 1), entry(Kind.UNDID, 1, result="done"))
    assert may(begun, entry(Kind.WILL_UNDO, 1), entry(Kind.UNDID, 1, result="failed"))


def test_after_a_failed_step_there_is_no_way_on() -> None:
    assert Standing.of(trail_of(entry(Kind.WILL_DO, 1), entry(Kind.DID, 1, result="failed"))).rolling_back
    assert not Standing.of(trail_of(entry(Kind.WILL_DO, 1))).rolling_back
    assert Standing.of(trail_of(entry(Kind.CONTINUED, 0, how="rollback"))).rolling_back


@pytest.mark.parametrize(("end", "finished"), [(End.DONE, True), (End.UNDONE, True), (End.HALF, False), (End.UNVERIFIED, False)])
def test_only_a_good_end_and_a_whole_undo_finish_an_action(end: End, finished: bool) -> None:
    assert Standing.of(trail_of(entry(Kind.ENDED, 0, end=end.value))).finished is finished


@pytest.mark.parametrize(
    "said",
    [
        [entry(Kind.WILL_DO, 3)],
        [entry(Kind.WILL_DO, 0)],
        [entry(Kind.DID, 1)],
        [entry(Kind.DID, 1, result="sung")],
        [entry(Kind.ENDED, 0, end="happily")],
        [entry(Kind.ENDED, 0)],
        [entry(Kind.CONTINUED, 0)],
        [entry(Kind.SPAWNED, 1, pid=-1)],
    ],
)
def test_a_story_that_no_runner_tells_is_damage(said: list[tuple[Kind, int, dict[str, object]]]) -> None:
    with pytest.raises(EvidenceError, match="does not verify"):
        Standing.of(trail_of(*said))


# ---- on the disk


def test_an_entry_is_on_disk_when_append_returns_and_private(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    path = tmp_path / journal.id / FILE
    before = path.read_bytes()
    written = journal.append(Kind.WILL_DO, 1, {"kind": "command"})
    assert path.read_bytes() == before + written.line()
    assert path.stat().st_mode & 0o7777 == 0o600
    assert (tmp_path / journal.id).stat().st_mode & 0o7777 == 0o700
    assert Head.parse((tmp_path / HEAD).read_bytes(), where="head") == Head(id=journal.id, seq=2, digest=written.digest)
    journal.close()


def test_each_append_is_synced_before_the_head_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begin(tmp_path)
    said: list[str] = []
    for name in ("write", "fsync", "pwrite"):
        real = getattr(os, name)

        def noted(*arguments: object, _real: Callable[..., object] = real, _name: str = name) -> object:
            said.append(_name)
            return _real(*arguments)

        monkeypatch.setattr(os, name, noted)
    journal.append(Kind.WILL_DO, 1, {})
    monkeypatch.undo()
    assert said == ["write", "fsync", "pwrite"]
    journal.close()


def test_an_append_that_does_not_fit_leaves_no_part_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begin(tmp_path)
    path = tmp_path / journal.id / FILE
    (tmp_path / journal.id / RESERVE).unlink()
    before, real = path.read_bytes(), os.write

    def half(descriptor: int, data: bytes) -> int:
        real(descriptor, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(EvidenceError, match="No space left"):
        journal.append(Kind.WILL_DO, 1, {})
    monkeypatch.undo()
    assert path.read_bytes() == before
    journal.append(Kind.WILL_DO, 1, {})
    assert len(journals.read(tmp_path, journal.id).entries) == 2
    journal.close()


def test_on_a_full_disk_the_reserve_makes_room_for_what_must_still_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begin(tmp_path)
    real = os.write

    def full_while_reserved(descriptor: int, data: bytes) -> int:
        if (tmp_path / journal.id / RESERVE).exists():
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full_while_reserved)
    journal.append(Kind.WILL_DO, 1, {})
    monkeypatch.undo()
    assert len(journals.read(tmp_path, journal.id).entries) == 2
    journal.close()


def test_a_torn_line_is_cut_off_before_anything_is_added(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.close()
    path = tmp_path / journal.id / FILE
    with path.open("ab") as file:
        file.write(b'{"data":{"kind":"comm')
    trail = journals.read(tmp_path, journal.id)
    assert trail.torn == 21
    again = Journal.reopen(tmp_path, trail, clock=lambda: NOW)
    again.append(Kind.CONTINUED, 0, {"how": "resume"})
    again.close()
    assert [entry.kind for entry in journals.read(tmp_path, journal.id).entries] == [Kind.BEGUN, Kind.CONTINUED]


def test_lines_taken_off_the_end_are_missed(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.append(Kind.WILL_DO, 1, {})
    journal.close()
    path = tmp_path / journal.id / FILE
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(EvidenceError, match="does not verify"):
        journals.read(tmp_path, journal.id)


def test_a_journal_that_is_gone_is_missed(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.close()
    shutil.rmtree(tmp_path / journal.id)
    with pytest.raises(EvidenceError, match="is gone"):
        journals.newest(tmp_path)


@pytest.mark.parametrize("text", [b"", b"x", b"{}", b'{"digest":"sha256:0","id":"x","seq":1}\n'])
def test_a_head_that_was_written_over_is_damage(tmp_path: Path, text: bytes) -> None:
    journal = begin(tmp_path)
    journal.close()
    (tmp_path / HEAD).write_bytes(text)
    with pytest.raises(EvidenceError, match="does not verify"):
        journals.read(tmp_path, journal.id)


def test_actions_are_chained(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        begin(tmp_path, f"00000{number}-release-aaaaaaaa").close()
    journals.verify_chain(tmp_path)
    assert [len(journals.begun_with(tmp_path, digest)) for digest in (PLAN, "sha256:" + "b" * 64)] == [3, 0]
    shutil.rmtree(tmp_path / "000002-release-aaaaaaaa")
    with pytest.raises(EvidenceError, match="does not follow the action before it"):
        journals.verify_chain(tmp_path)


def test_a_folder_whose_first_entry_was_never_written_is_no_action(tmp_path: Path) -> None:
    begin(tmp_path).close()
    (tmp_path / "000002-release-bbbbbbbb").mkdir()
    trail = journals.newest(tmp_path)
    assert trail is not None
    assert trail.id == "000001-release-aaaaaaaa"
    assert journals.next_id(tmp_path, action="release", plan_digest=PLAN) == "000003-release-aaaaaaaa"
    journals.verify_chain(tmp_path)


def test_the_running_number_does_not_depend_on_the_clock(tmp_path: Path) -> None:
    assert journals.next_id(tmp_path, action="release", plan_digest=PLAN) == "000001-release-aaaaaaaa"
    begin(tmp_path, "000009-release-aaaaaaaa").close()
    assert journals.next_id(tmp_path, action="other", plan_digest=PLAN) == "000010-other-aaaaaaaa"


def test_a_journal_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    journal = begin(tmp_path)
    journal.close()
    path = tmp_path / journal.id / FILE
    path.rename(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    with pytest.raises(EvidenceError, match="does not verify"):
        journals.read(tmp_path, journal.id)


def test_a_journal_that_cannot_be_begun_says_so_before_anything_happens(tmp_path: Path) -> None:
    (tmp_path / "000001-release-aaaaaaaa").mkdir()
    with pytest.raises(EvidenceError, match="cannot be written"):
        begin(tmp_path)


def test_entries_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        trail_of().entries[0].seq = 7  # type: ignore[misc]
