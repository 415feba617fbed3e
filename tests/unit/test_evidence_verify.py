"""Verification: what is whole verifies, and any single change of any byte, line or file is found."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence.files import digest_of
from interlock.evidence.folder import LoadedRun, sums_of
from interlock.evidence.record import Decision, PlanReference, Record
from interlock.evidence.verify import Verification, verify_run
from interlock.gate.decision import Open, Reason
from interlock.verdicts import Held, Outcome, Pair
from tests.evidence_samples import MOMENT, OPEN, SAMPLES, SHUT, WAIVED, WORLD_READABLE, Judged, Sample, backups, publish, waiver


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_published_run_verifies(tmp_path: Path, name: str) -> None:
    found = verify_run(publish(tmp_path, SAMPLES[name]).path)
    assert (found.problems, found.notes, found.exit_code) == ((), (), 0)


def test_it_says_in_words_what_is_proven_and_what_is_not(tmp_path: Path) -> None:
    text = str(verify_run(publish(tmp_path, SHUT).path))
    assert ": verified\n" in text
    assert "the gate was shut (exit code 1): the gate's decision follows from 4 required pairs and 4 verdicts" in text
    assert "who made it, and when: it is not signed" in text


def test_replayed_facts_and_approvals_are_not_vouched_for(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=OPEN.judged, replayed=True, change=lambda record: dataclasses.replace(record, approvals=({"principal": "anna"},))))
    said = " ".join(verify_run(run.path).not_proven)
    assert "its facts were replayed" in said
    assert "approvals are true" in said


def test_the_record_before_it_is_looked_up_beside_it(tmp_path: Path) -> None:
    first = publish(tmp_path, Sample(judged=OPEN.judged, name="20261119T210000Z-preflight-000001"))
    second = publish(tmp_path, Sample(judged=OPEN.judged, previous=first.digest))
    assert f"the record before it is {first.path.name}, unchanged" in verify_run(second.path).proven
    shutil.rmtree(first.path)
    found = verify_run(second.path)
    assert found.holds
    assert any(first.digest in sentence for sentence in found.not_proven)


def test_a_copy_with_other_modes_verifies_with_a_note(tmp_path: Path) -> None:
    run = publish(tmp_path / "reports", SHUT)
    copy = tmp_path / "downloads" / "attached (1)"
    shutil.copytree(run.path, copy)
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    found = verify_run(copy)
    assert found.holds
    assert "record.json is 0644" in " ".join(found.notes)
    assert verify_run(copy / "record.json").holds


def test_the_allure_results_of_many_verdicts_do_not_flood_the_notes(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=[Judged(guardrail=f"g.x{number}", subject="s", judgement=Held("m")) for number in range(30)]))
    for path in run.path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert len(verify_run(run.path).notes) == 21


def test_where_there_is_no_folder_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot be read"):
        verify_run(tmp_path / "nothing")


def test_an_empty_folder_does_not_verify(tmp_path: Path) -> None:
    found = verify_run(tmp_path)
    assert found.exit_code == 17
    assert found.record is None


# ---- any change is found


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def change_a_byte(folder: Path, chance: random.Random) -> None:
    file = chance.choice(files(folder))
    data = bytearray(file.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def remove_a_byte(folder: Path, chance: random.Random) -> None:
    file = chance.choice(files(folder))
    data = bytearray(file.read_bytes())
    del data[chance.randrange(len(data))]
    file.write_bytes(data)


def add_a_byte(folder: Path, chance: random.Random) -> None:
    file = chance.choice(files(folder))
    data = bytearray(file.read_bytes())
    data.insert(chance.randrange(len(data) + 1), chance.choice(b'\n \t"0a{'))
    file.write_bytes(data)


def lines_of(folder: Path, chance: random.Random) -> tuple[Path, list[bytes]]:
    file = chance.choice([path for path in files(folder) if path.read_bytes().count(b"\n") > 1])
    return file, file.read_bytes().splitlines(keepends=True)


def remove_a_line(folder: Path, chance: random.Random) -> None:
    file, lines = lines_of(folder, chance)
    del lines[chance.randrange(len(lines))]
    file.write_bytes(b"".join(lines))


def double_a_line(folder: Path, chance: random.Random) -> None:
    file, lines = lines_of(folder, chance)
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    file.write_bytes(b"".join(lines))


def reorder_lines(folder: Path, chance: random.Random) -> None:
    file, lines = lines_of(folder, chance)
    before = list(lines)
    while lines == before:
        chance.shuffle(lines)
        if len(set(lines)) == 1:
            return remove_a_line(folder, chance)
    return file.write_bytes(b"".join(lines)) and None


def remove_a_file(folder: Path, chance: random.Random) -> None:
    chance.choice(files(folder)).unlink()


def add_a_file(folder: Path, chance: random.Random) -> None:
    place = chance.choice([folder, folder / "allure-results"])
    (place / chance.choice(["x", ".hidden", "record.json.bak", "zz-result.json"])).write_bytes(chance.choice([b"", b"{}"]))


def add_a_folder(folder: Path, chance: random.Random) -> None:
    (chance.choice([folder, folder / "allure-results"]) / "extra").mkdir()


def swap_two_files(folder: Path, chance: random.Random) -> None:
    first, second = chance.sample(files(folder), 2)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def rename_a_file(folder: Path, chance: random.Random) -> None:
    file = chance.choice(files(folder))
    file.rename(file.with_name(file.name + "x"))


def put_a_link(folder: Path, chance: random.Random) -> None:
    file = chance.choice(files(folder))
    shutil.copy(file, folder.parent / "elsewhere")
    file.unlink()
    file.symlink_to(folder.parent / "elsewhere")


def empty_a_file(folder: Path, chance: random.Random) -> None:
    chance.choice(files(folder)).write_bytes(b"")


def drop_allure(folder: Path, _chance: random.Random) -> None:
    shutil.rmtree(folder / "allure-results")


TAMPERING: tuple[Callable[[Path, random.Random], None], ...] = (
    change_a_byte,
    remove_a_byte,
    add_a_byte,
    remove_a_line,
    double_a_line,
    reorder_lines,
    remove_a_file,
    add_a_file,
    add_a_folder,
    swap_two_files,
    rename_a_file,
    put_a_link,
    empty_a_file,
    drop_allure,
)


def summed_anew(folder: Path) -> None:
    """What a forger does next: write sums that fit."""
    names = {str(path.relative_to(folder)): digest_of(path) for path in files(folder) if path.name != "SHA256SUMS" and not path.is_symlink()}
    (folder / "SHA256SUMS").write_bytes(sums_of(names))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    """A run with every kind of verdict, to be copied and spoiled."""
    sample = Sample(
        judged=[*SHUT.judged, *(Judged(guardrail=f"own.{one.guardrail}", subject=one.subject, judgement=one.judgement) for one in WAIVED.judged)],
        waivers=[waiver(Pair("own.backups.mode_0600", "app"), WORLD_READABLE)],
        extra={"plan.json": b'{"a":1}\n'},
        not_used={"parity": "none"},
        required=[*(one.pair for one in SHUT.judged), Pair("own.backups.mode_0600", "app"), Pair("gone", "s")],
    )
    run = publish(tmp_path_factory.mktemp("whole"), sample)
    assert verify_run(run.path).holds
    return run


@given(seed=st.integers(0, 2**40), how=st.sampled_from(TAMPERING))
def test_any_single_change_is_found(tmp_path_factory: pytest.TempPathFactory, whole: LoadedRun, seed: int, how: Callable[[Path, random.Random], None]) -> None:
    folder = tmp_path_factory.mktemp("tampered") / whole.path.name
    shutil.copytree(whole.path, folder)
    how(folder, random.Random(seed))
    found = verify_run(folder)
    shutil.rmtree(folder.parent)
    assert not found.holds
    assert found.exit_code == 17
    assert "DOES NOT VERIFY" in str(found)


@given(seed=st.integers(0, 2**40), how=st.sampled_from(TAMPERING))
def test_a_change_is_found_even_when_the_sums_are_written_anew(
    tmp_path_factory: pytest.TempPathFactory, whole: LoadedRun, seed: int, how: Callable[[Path, random.Random], None]
) -> None:
    """Everything but what is only kept (extra files) is tied to the record too."""
    folder = tmp_path_factory.mktemp("tampered") / whole.path.name
    shutil.copytree(whole.path, folder)
    (folder / "plan.json").unlink()
    (folder / "SHA256SUMS").unlink()
    before = {str(path.relative_to(folder)) for path in files(folder)}
    how(folder, random.Random(seed))
    added = {path.name for path in files(folder) if path.parent == folder and str(path.relative_to(folder)) not in before}
    summed_anew(folder)
    found = verify_run(folder)
    shutil.rmtree(folder.parent)
    assert found.holds == (how is add_a_file and bool(added)), "only a further file, beside the others, can be passed off as kept"


def test_every_byte_of_a_small_run_matters(tmp_path: Path) -> None:
    run = publish(tmp_path / "reports", Sample(judged=[Judged(guardrail="g.x", subject="s", judgement=Held("m"))], facts=b"{}"))
    for file in files(run.path):
        data = file.read_bytes()
        for position in range(0, len(data), 7):
            file.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            assert not verify_run(run.path).holds, f"{file.name} byte {position}"
        file.write_bytes(data)
    assert verify_run(run.path).holds


# ---- a forger who edits the record, and writes everything else to fit


def forged(tmp_path: Path, sample: Sample, change: Callable[[Record], Record]) -> Verification:
    """A run whose record was changed before it was rendered and summed: all digests fit."""
    return verify_run(publish(tmp_path, dataclasses.replace(sample, change=change)).path)


def with_verdict(record: Record, index: int, **parts: Any) -> Record:
    verdicts = list(record.verdicts)
    verdicts[index] = dataclasses.replace(verdicts[index], **parts)
    return dataclasses.replace(record, verdicts=tuple(verdicts))


def opened(record: Record) -> Record:
    return dataclasses.replace(record, decision=Decision.OPEN, exit_code=0, reasons=())


FORGERIES: dict[str, tuple[Sample, Callable[[Record], Record], str]] = {
    "a shut gate called open": (SHUT, opened, "the record says open, its verdicts and required pairs come to shut"),
    "an open gate called shut": (
        OPEN,
        lambda record: dataclasses.replace(record, decision=Decision.SHUT, exit_code=1, reasons=(Reason(code=1, text="x"),)),
        "the record says shut",
    ),
    "another exit code": (SHUT, lambda record: dataclasses.replace(record, exit_code=12), "ends with exit code 12, its reasons come to 1"),
    "a reason left out": (SHUT, lambda record: dataclasses.replace(record, reasons=record.reasons[1:]), "follows, and is not recorded"),
    "a reason made up": (
        SHUT,
        lambda record: dataclasses.replace(record, reasons=(*record.reasons, Reason(code=11, guardrail="g", subject="s", text="x"))),
        "is recorded, and does not follow",
    ),
    "a broken verdict called held": (SHUT, lambda record: with_verdict(record, 0, outcome=Outcome.HELD), "is recorded as held, its details come to broken"),
    "a held verdict called broken": (OPEN, lambda record: with_verdict(record, 1, outcome=Outcome.BROKEN), "is recorded as broken, its details come to held"),
    "a broken verdict called not applicable": (SHUT, lambda record: with_verdict(record, 0, outcome=Outcome.NOT_APPLICABLE), "its details come to broken"),
    "fewer details counted": (
        OPEN,
        lambda record: with_verdict(record, 0, details=dataclasses.replace(record.verdicts[0].details, held=2)),
        "its details are not those that it counts",
    ),
    "another digest of details": (
        OPEN,
        lambda record: with_verdict(record, 0, details=dataclasses.replace(record.verdicts[0].details, sha256="sha256:" + "0" * 64)),
        "its details are not those that it counts",
    ),
    "places left out": (SHUT, lambda record: with_verdict(record, 0, where=()), "names other places than its details"),
    "a required pair left out of the verdicts": (
        OPEN,
        lambda record: dataclasses.replace(record, required=(dataclasses.replace(record.required[0], guardrail="a.missing"), *record.required[1:])),
        "come to shut",
    ),
    "nothing required": (OPEN, lambda record: dataclasses.replace(record, required=()), "come to shut"),
    "a verdict twice": (OPEN, lambda record: dataclasses.replace(record, required=(record.required[0], *record.required)), "is required twice"),
    "required pairs in disorder": (OPEN, lambda record: dataclasses.replace(record, required=record.required[::-1]), "not in order"),
    "a waiver left out": (WAIVED, lambda record: dataclasses.replace(record, waivers=()), "is waived by W-1, which the record does not hold"),
    "an expired waiver": (
        WAIVED,
        lambda record: dataclasses.replace(record, waivers=(dataclasses.replace(record.waivers[0], expires_at=MOMENT),)),
        "which had expired at 2026-11-20T21:00:00Z",
    ),
    "a waiver of another pair": (
        WAIVED,
        lambda record: dataclasses.replace(record, waivers=(dataclasses.replace(record.waivers[0], subject="db"),)),
        "which is for backups.mode_0600 [db]",
    ),
    "a waiver of another failure": (
        WAIVED,
        lambda record: dataclasses.replace(record, waivers=(dataclasses.replace(record.waivers[0], fingerprint="0" * 16),)),
        "which is for another failure",
    ),
    "a waiver that waived nothing": (
        OPEN,
        lambda record: dataclasses.replace(record, waivers=(waiver(Pair("g", "s"), WORLD_READABLE),)),
        "recorded as used, and nothing is waived by it",
    ),
    "other waivers named": (WAIVED, lambda record: with_verdict(record, 0, waivers=("W-1", "W-2")), "names other waivers than its details"),
    "facts denied": (OPEN, lambda record: dataclasses.replace(record, facts=dataclasses.replace(record.facts, sha256="")), "the record knows of no facts"),
    "other facts": (
        OPEN,
        lambda record: dataclasses.replace(record, facts=dataclasses.replace(record.facts, sha256="sha256:" + "0" * 64)),
        "facts.json is not the file that the record names",
    ),
    "other details": (
        OPEN,
        lambda record: dataclasses.replace(record, details=dataclasses.replace(record.details, sha256="sha256:" + "0" * 64)),
        "details.jsonl is not the file that the record names",
    ),
    "another number of details": (
        OPEN,
        lambda record: dataclasses.replace(record, details=dataclasses.replace(record.details, count=3)),
        "the record counts 3 details, details.jsonl holds 4",
    ),
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_a_record_that_does_not_follow_from_itself_is_found(tmp_path: Path, name: str) -> None:
    sample, change, said = FORGERIES[name]
    found = forged(tmp_path, sample, change)
    assert not found.holds
    assert said in " ".join(found.problems), found.problems


def test_an_action_that_failed_behind_an_open_gate_is_no_contradiction(tmp_path: Path) -> None:
    asked = dataclasses.replace(OPEN, plan=PlanReference(digest="sha256:" + "1" * 64, action="release"))
    applied = dataclasses.replace(asked, steps=[{"number": 1, "kind": "backup", "state": "done"}])
    assert forged(tmp_path / "failed", applied, lambda record: dataclasses.replace(record, exit_code=16)).holds
    assert not forged(tmp_path / "broken", applied, lambda record: dataclasses.replace(record, exit_code=1)).holds
    assert not forged(tmp_path / "no action", OPEN, lambda record: dataclasses.replace(record, exit_code=16)).holds
    assert not forged(tmp_path / "a gate for a plan", asked, lambda record: dataclasses.replace(record, exit_code=16)).holds


def test_another_way_to_decide_can_be_handed_in(tmp_path: Path) -> None:
    assert "come to open" in " ".join(verify_run(publish(tmp_path, SHUT).path, lambda _record: Open()).problems)


def test_details_that_are_not_written_our_way_are_found(tmp_path: Path) -> None:
    """Same meaning, other bytes: blanks after the colons, with every digest made to fit."""
    run = publish(tmp_path, Sample(judged=[backups(WORLD_READABLE)]))
    text = (run.path / "details.jsonl").read_text()
    spaced = "".join(json.dumps(json.loads(line)) + "\n" for line in text.splitlines())
    (run.path / "details.jsonl").write_text(spaced)
    digest = digest_of(run.path / "details.jsonl")
    (verdict,) = run.record.verdicts
    record = dataclasses.replace(
        run.record,
        verdicts=(dataclasses.replace(verdict, details=dataclasses.replace(verdict.details, sha256=digest)),),
        details=dataclasses.replace(run.record.details, sha256=digest),
    )
    (run.path / "record.json").write_bytes(record.to_json())
    summed_anew(run.path)
    assert "its details are not those that it counts" in " ".join(verify_run(run.path).problems)


def test_a_record_with_blanks_in_it_is_found(tmp_path: Path) -> None:
    run = publish(tmp_path, OPEN)
    (run.path / "record.json").write_text(json.dumps(json.loads((run.path / "record.json").read_text()), indent=1))
    summed_anew(run.path)
    assert "record.json is not written as interlock writes it" in verify_run(run.path).problems


def test_a_key_that_is_not_the_failure_s_own_is_found(tmp_path: Path) -> None:
    run = publish(tmp_path, SHUT)
    text = (run.path / "details.jsonl").read_text()
    key = json.loads(next(line for line in text.splitlines() if '"key"' in line))["key"]
    (run.path / "details.jsonl").write_text(text.replace(key, "0" * 16))
    data = (run.path / "record.json").read_text().replace(run.record.details.sha256, digest_of(run.path / "details.jsonl"))
    (run.path / "record.json").write_text(data)
    summed_anew(run.path)
    assert "1 detail with a key that is not its own" in " ".join(verify_run(run.path).problems)


def test_renderings_of_another_version_are_not_proven_instead_of_wrong(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=OPEN.judged, version="0.0.9"))
    assert verify_run(run.path).holds
    (run.path / "summary.md").write_text("as 0.0.9 wrote it\n")
    summed_anew(run.path)
    found = verify_run(run.path)
    assert found.holds
    assert any("interlock 0.0.9 wrote them" in sentence for sentence in found.not_proven)


def test_files_that_were_only_kept_are_told_apart(tmp_path: Path) -> None:
    run = publish(tmp_path, Sample(judged=OPEN.judged, extra={"plan.json": b"{}"}))
    assert any("1 of them kept as they are" in sentence for sentence in verify_run(run.path).proven)


def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read anything")
    run = publish(tmp_path, OPEN)
    (run.path / "junit.xml").chmod(0)
    with pytest.raises(EvidenceError, match="Permission denied"):
        verify_run(run.path)


def test_a_verdict_without_details_has_an_outcome_that_needs_none(tmp_path: Path) -> None:
    judged = [Judged(guardrail="g.x", subject="s", outcome=Outcome.HELD, message="trust me")]
    assert "is recorded as held without a detail" in " ".join(verify_run(publish(tmp_path, Sample(judged=judged)).path).problems)
