"""The run folder: private, complete or not visible, and found again."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.errors import EvidenceError
from interlock.evidence import folder as folder_module
from interlock.evidence.details import HeldLines
from interlock.evidence.folder import RunFolder, latest, latest_open, load_run, runs, sums_of
from interlock.evidence.publish import Findings, write_run
from interlock.gate.decision import Open
from interlock.verdicts import When
from tests.evidence_samples import NAME, OPEN, SAMPLES, SHUT, Sample, publish

EARLIER, LATER = "20261119T210000Z-preflight-000001", "20261121T210000Z-preflight-000002"


def modes(path: Path) -> dict[str, str]:
    return {str(one.relative_to(path.parent)): f"{stat.S_IMODE(one.lstat().st_mode):04o}" for one in [path, *path.rglob("*")]}


@pytest.mark.parametrize("umask", [0, 0o077])
def test_folder_and_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        run = publish(tmp_path / "reports", OPEN)
    finally:
        os.umask(old)
    assert {mode for name, mode in modes(run.path).items() if not (run.path.parent / name).is_dir()} == {"0600"}
    assert {mode for name, mode in modes(run.path).items() if (run.path.parent / name).is_dir()} == {"0700"}
    assert stat.S_IMODE((tmp_path / "reports").stat().st_mode) & 0o077 == 0 or umask == 0


def test_a_missing_reports_folder_is_made_private(tmp_path: Path) -> None:
    a_run(tmp_path / "reports")
    assert stat.S_IMODE((tmp_path / "reports").stat().st_mode) == 0o700


def test_sha256sum_itself_agrees(tmp_path: Path) -> None:
    run = publish(tmp_path / "reports", SHUT)
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=run.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = {line.split("  ", 1)[1] for line in (run.path / "SHA256SUMS").read_text().splitlines()}
    assert listed == {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()} - {"SHA256SUMS"}


def test_nothing_is_visible_before_it_is_complete(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, NAME) as folder:
        folder.write("record.json", [b"{}"])
        assert list(runs(tmp_path)) == []
        assert not (tmp_path / NAME).exists()
        folder.publish()
    assert list(runs(tmp_path)) == [tmp_path / NAME]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_run_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def die() -> None:
        with RunFolder.create(tmp_path, NAME) as folder:
            folder.write("record.json", [b"{}"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_an_error_and_what_was_there_stays(tmp_path: Path) -> None:
    run = publish(tmp_path, OPEN)
    before = (run.path / "record.json").read_bytes()
    with pytest.raises(EvidenceError, match="there already"):
        publish(tmp_path, SHUT)
    assert (run.path / "record.json").read_bytes() == before
    assert not (tmp_path / f".{NAME}").exists()


def test_two_runs_of_one_name_at_once_do_not_mix(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, NAME) as first:
        with pytest.raises(EvidenceError):
            RunFolder.create(tmp_path, NAME)
        first.write("record.json", [b"{}"])
        first.publish()


@pytest.mark.parametrize("name", ["", "..", "../x", "x", "20261120T210000Z-pre/flight-abcdef", "20261120T210000Z-preflight-ABCDEF"])
def test_a_name_that_is_no_run_s_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EvidenceError, match="no name of a run"):
        RunFolder.create(tmp_path / "reports", name)
    assert not (tmp_path / "reports").exists()


def test_a_dead_run_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / f".{EARLIER}").mkdir()
    (tmp_path / f".{EARLIER}" / "record.json").write_text("{")
    (tmp_path / ".spool-x").mkdir()
    run = publish(tmp_path, OPEN)
    assert list(runs(tmp_path)) == [run.path]


def test_a_file_is_written_once(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, NAME) as folder:
        folder.write("record.json", [b"1"])
        with pytest.raises(EvidenceError, match="File exists"):
            folder.write("record.json", [b"2"])
        folder.publish()
        with pytest.raises(EvidenceError, match="is published"):
            folder.write("more.json", [b"3"])


def test_a_link_planted_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    with RunFolder.create(tmp_path / "reports", NAME) as folder:
        (folder.path / "record.json").symlink_to(tmp_path / "victim")
        (folder.path / "allure-results").symlink_to(tmp_path)
        with pytest.raises(EvidenceError):
            folder.write("record.json", [b"2"])
        with pytest.raises(EvidenceError):
            folder.write("allure-results/x", [b"2"])
        with pytest.raises(EvidenceError):
            folder.adopt("record.json")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "x").exists()


def test_what_others_wrote_is_taken_up_only_when_it_is_private(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, NAME) as folder:
        (folder.path / "facts.json").write_text("{}")
        (folder.path / "facts.json").chmod(0o644)
        with pytest.raises(EvidenceError, match="not private"):
            folder.adopt("facts.json")
        (folder.path / "facts.json").chmod(0o600)
        assert folder.adopt("facts.json").startswith("sha256:")


def test_a_file_that_nobody_accounted_for_is_not_published(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, NAME) as folder:
        (folder.path / "stray").write_text("x")
        with pytest.raises(EvidenceError, match="nobody accounted for stray"):
            folder.publish()
    assert list(tmp_path.iterdir()) == []


def a_run(reports: Path) -> None:
    with RunFolder.create(reports, NAME) as folder:
        folder.write("record.json", [b"{}"])
        folder.publish()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync", "rename"])
def test_every_failure_to_write_is_one_clear_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str) -> None:
    def fail(*_arguments: object, **_more: object) -> None:
        raise OSError(code, os.strerror(code))

    reports = tmp_path / "reports"
    reports.mkdir()
    match call:
        case "mkdir":
            monkeypatch.setattr(Path, "mkdir", fail)
        case "open":
            monkeypatch.setattr(folder_module, "create_private", fail)
        case "write":
            monkeypatch.setattr(folder_module, "write_all", fail)
        case _:
            monkeypatch.setattr(folder_module.os, call, fail)
    with pytest.raises(EvidenceError) as caught:
        a_run(reports)
    monkeypatch.undo()
    assert caught.value.exit_code == 17
    assert os.strerror(code) in str(caught.value)
    assert caught.value.remedy
    assert list(reports.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where root may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", place], capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("needs root and mount(8)")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_no_run_and_the_older_ones(small_disk: Path) -> None:
    publish(small_disk, Sample(judged=OPEN.judged, name=EARLIER))
    with pytest.raises(EvidenceError, match="No space left") as caught:
        publish(small_disk, Sample(judged=OPEN.judged, extra={"big.bin": b"x" * 100_000}))
    assert "make room" in caught.value.remedy
    assert [path.name for path in small_disk.iterdir()] == [EARLIER]


def test_a_reports_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(EvidenceError, match="Permission denied"):
            RunFolder.create(tmp_path / "reports", NAME)
    finally:
        tmp_path.chmod(0o700)


def test_a_file_where_the_reports_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(EvidenceError):
        RunFolder.create(tmp_path / "reports", NAME)


def test_many_files_are_synced_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(folder_module, "_sync_file_system", lambda handle: synced.append(handle) or True)
    with RunFolder.create(tmp_path, NAME) as folder:
        for number in range(100):
            folder.write(f"allure-results/{number}.json", ["{}"])
        folder.publish()
    assert len(synced) == 1


def test_the_file_system_can_be_synced(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        assert folder_module._sync_file_system(handle)
    finally:
        os.close(handle)


# ---- reading


def test_a_run_is_loaded_from_its_folder_or_its_record(tmp_path: Path) -> None:
    run = publish(tmp_path, SHUT)
    for path in (run.path, run.path / "record.json"):
        loaded = load_run(path)
        assert (loaded.record, loaded.digest, loaded.path) == (run.record, run.record.digest, run.path)
    assert sum(len(found.whats) if isinstance(found, HeldLines) else 1 for found in load_run(run.path).details()) == run.record.details.count
    assert load_run(run.path).facts.is_file()


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no run to read"):
        load_run(tmp_path)


def test_the_latest_run_is_the_site_s_own(tmp_path: Path) -> None:
    first = publish(tmp_path, Sample(judged=OPEN.judged, name=EARLIER))
    publish(tmp_path, SHUT)
    publish(tmp_path, Sample(judged=OPEN.judged, name=LATER, site="other"))
    (tmp_path / "20261122T210000Z-preflight-000003").mkdir()
    (tmp_path / "20261122T210000Z-preflight-000003" / "record.json").write_text("damaged")
    newest, newest_open, nobody = latest(tmp_path, "platform"), latest_open(tmp_path, first.record), latest(tmp_path, "nobody")
    assert newest is not None
    assert newest.path.name == NAME
    assert newest_open is not None
    assert newest_open.path.name == EARLIER
    assert nobody is None
    other_gate = replace(first.record, run=replace(first.record.run, gates=(When.POSTFLIGHT,)))
    assert latest_open(tmp_path, other_gate) is None, "a gate is compared with the same gate"


def test_there_are_no_runs_where_there_is_no_reports_folder(tmp_path: Path) -> None:
    assert latest(tmp_path / "reports", "platform") is None


def test_a_link_to_a_run_is_no_run(tmp_path: Path) -> None:
    run = publish(tmp_path / "elsewhere", OPEN)
    (tmp_path / NAME).symlink_to(run.path)
    assert list(runs(tmp_path)) == []


def test_sums_are_sorted_and_without_themselves() -> None:
    assert sums_of({"b": "sha256:2", "a": "sha256:1", "SHA256SUMS": "sha256:3"}) == b"1  a\n2  b\n"


# ---- writing a run


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_published_run_holds_what_was_recorded(tmp_path: Path, name: str) -> None:
    run = publish(tmp_path, SAMPLES[name])
    names = {path.name for path in run.path.iterdir()} - SAMPLES[name].extra.keys()
    drawn = {"topology.json", "topology.svg"} if SAMPLES[name].topology else set()
    assert names == {"record.json", "details.jsonl", "facts.json", "junit.xml", "summary.md", "report.html", "allure-results", "SHA256SUMS"} | drawn
    assert load_run(run.path).topology == SAMPLES[name].topology
    assert load_run(run.path).record == run.record


def test_a_run_without_facts_says_so(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=OPEN.judged, facts=None))
    assert run.record.facts.sha256 == ""
    assert not run.facts.exists()


def test_a_record_about_other_verdicts_is_not_written(tmp_path: Path) -> None:
    run = publish(tmp_path / "a", OPEN)
    with pytest.raises(EvidenceError, match="not about the verdicts"):
        write_run(tmp_path / "b", NAME, Findings(verdicts=(), spools={}), lambda _details, _facts: run.record)
    assert list((tmp_path / "b").iterdir()) == []


def test_an_open_run_is_open(tmp_path: Path) -> None:
    assert publish(tmp_path, OPEN).record.exit_code == Open().exit_code


def test_of_two_runs_of_one_second_the_one_that_was_written_last_is_the_newest(tmp_path: Path) -> None:
    first, last = tmp_path / "20261120T210000Z-preflight-ffffff", tmp_path / "20261120T210000Z-release-000000"
    for path, written in ((first, 1), (last, 2)):
        path.mkdir()
        os.utime(path, ns=(written, written))
    assert list(runs(tmp_path)) == [last, first]
