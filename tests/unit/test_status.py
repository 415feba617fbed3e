"""One screen that tells the truth about lock, action, plans and backups, at once, offline, and changes nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from interlock import runner
from interlock.act.lock import locked
from interlock.commands.status import status_text
from interlock.errors import EvidenceError
from interlock.facts.canonical import short
from interlock.verdicts import When
from tests.tiny_site import NOW, Tiny, make_tiny, shut


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path)


def status(tiny: Tiny, ahead: int = 0) -> list[str]:
    return status_text(tiny.site, ahead, now=tiny.now).splitlines()


def test_a_site_where_nothing_was_ever_planned(tiny: Tiny) -> None:
    lines = status(tiny)
    assert lines[0] == "tiny: nothing was ever planned here"
    assert lines[1] == "last record: none yet"
    assert lines[-1] == "next: interlock plan release"
    assert not (tiny.root / ".interlock").exists()


def test_the_next_command_is_the_one_that_goes_on(tiny: Tiny) -> None:
    stored = tiny.plan()
    digits = short(stored.digest)
    assert status(tiny)[-1] == f"next: interlock approve {digits}"
    tiny.approve(stored, "anna")
    assert status(tiny)[-1] == f"next: interlock apply {digits}"
    runner.apply(tiny.site, digits, tiny.environ, tiny.means())
    assert status(tiny)[-1] == "next: interlock plan release"


def test_an_approval_is_shown_with_its_end_and_is_gone_by_then(tiny: Tiny) -> None:
    stored = tiny.approved()
    digits = short(stored.digest)
    assert f"plan {digits} release: to be applied before 2026-11-21T21:00:00Z; approved by anna until 2026-11-21T01:00:00Z" in status(tiny)
    later = status(tiny, ahead=5 * 3600)
    assert later[0] == "tiny (as it will be in 5 h)"
    assert f"plan {digits} release: to be applied before 2026-11-21T21:00:00Z; not approved" in later
    assert later[-1] == f"next: interlock approve {digits}"
    assert status(tiny, ahead=25 * 3600)[-1] == "next: interlock plan release"


def test_the_lock_is_shown_with_its_holder(tiny: Tiny) -> None:
    tiny.plan()
    assert "lock: free" in status(tiny)
    with locked(tiny.books.folder, doing="apply release 3fa94c1e", user="anna", host="app1", now=NOW):
        lines = status(tiny)
    assert any(line.startswith("lock: apply release 3fa94c1e by anna on app1") for line in lines)
    assert lines[-1] == "next: wait: an action is under way"


def test_a_half_changed_action_names_what_is_left_and_why(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: [touch, instance/left]}\n      - command: {run: ['false']}\n")
    digits = short(tiny.approved().digest)
    runner.apply(tiny.site, digits, tiny.environ, tiny.means())
    lines = status(tiny)
    assert any("HALF-CHANGED" in line for line in lines)
    assert "  why: false ended with 1" in lines
    assert "  step 1: NOT undone: touch has no undo" in lines
    assert lines[-1] == f"next: interlock rollback {digits}   (it cannot undo step 1, 2: mend that by hand, then interlock plan release)"


def test_an_action_that_was_not_verified_says_so(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, steps="      - command: {run: ['true']}\n")
    digits = short(tiny.approved().digest)
    tiny.shut[When.POSTFLIGHT] = shut(text="the app does not answer")
    runner.apply(tiny.site, digits, tiny.environ, tiny.means())
    lines = status(tiny)
    assert any("NOT VERIFIED" in line for line in lines)
    assert any("the app does not answer" in line for line in lines)
    assert lines[-1].startswith(f"next: interlock resume {digits}")


def test_the_newest_backup_is_shown_with_its_age_and_when_it_will_be_too_old(tiny: Tiny) -> None:
    runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means())
    tiny.later(hours=3)
    [line] = [line for line in status(tiny) if line.startswith("backup of app")]
    assert line.startswith("backup of app: app-20261120T210000Z.tar.zst, 3 h old (too old in 21 h), ")
    assert line.endswith(" bytes, read back when interlock made it")
    [later] = [line for line in status(tiny, ahead=22 * 3600) if line.startswith("backup of app")]
    assert "25 h old (TOO OLD, 24 h are allowed)" in later


def test_a_backup_that_somebody_else_made_is_shown_too(tiny: Tiny) -> None:
    [line] = [line for line in status(tiny) if line.startswith("backup of app")]
    assert line == "backup of app: app-20261101T000000Z.tar.zst, 19 d old (TOO OLD, 24 h are allowed), 15 bytes, whether it is whole, the gate looks"
    for path in tiny.backups.iterdir():
        path.unlink()
    assert f"backup of app: none in {tiny.backups}" in status(tiny)
    tiny.backups.rmdir()
    assert f"backup of app: none in {tiny.backups}" in status(tiny)


@pytest.mark.parametrize("text", ["", "{}", "null", "[" * 5000, '{"schema": "interlock/backup/2"}'])
def test_a_manifest_that_is_none_vouches_for_nothing(tiny: Tiny, text: str) -> None:
    (tiny.backups / "app-20261101T000000Z.tar.zst.json").write_text(text)
    assert any(line.endswith("whether it is whole, the gate looks") for line in status(tiny))


def test_a_waiver_is_shown_with_what_is_left_of_it(tiny: Tiny) -> None:
    entry = "guardrail: backups.fresh, subject: app, fingerprint: 3f1c0a9b7d2e4c58, reason: the new disk comes, owner: kim, ticket: t, approver: sam"
    (tiny.root / "waivers.yaml").write_text(f"waivers: [{{{entry}, expires_at: '2026-11-21T00:00:00Z'}}]\n")
    assert "waiver of backups.fresh [app]: for 3 h more, the new disk comes" in status(tiny)
    assert "waiver of backups.fresh [app]: EXPIRED, the new disk comes" in status(tiny, ahead=4 * 3600)
    (tiny.root / "waivers.yaml").write_text("waivers: 1\n")
    assert any(line.startswith("waivers: ") and line.endswith("the gate stays shut") for line in status(tiny))


def test_an_action_that_waits_for_a_human_says_what_it_asks_and_what_to_type(tmp_path: Path) -> None:
    steps = "      - write-files: {templates: [conf]}\n      - approval: {asks: May the writers be moved?}\n"
    tiny = make_tiny(tmp_path, steps=steps, people=("anna", "bert"), approval="  self_approval: false")
    digits = short(tiny.approved("bert").digest)
    runner.apply(tiny.site, digits, tiny.environ, tiny.means())
    lines = status(tiny)
    assert any("WAITS for a human" in line for line in lines)
    assert "  step 2: WAITS for its approval: May the writers be moved?" in lines
    assert lines[-1] == f"next: interlock approve {digits}; then interlock resume {digits}   (or: interlock rollback {digits})"


def test_a_damaged_journal_is_not_talked_over(tiny: Tiny) -> None:
    outcome = runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means())
    path = tiny.books.journals / outcome.id / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"end":"done"', b'"end":"half"'))
    with pytest.raises(EvidenceError, match="does not verify"):
        status(tiny)


def test_it_takes_no_time_and_changes_nothing(tiny: Tiny) -> None:
    for _ in range(3):
        runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means())
        tiny.later(minutes=1)
        (tiny.instance / "conf" / "app.conf").write_text("port = 8080\npassword = an-older-one\n")
        (tiny.instance / "motd").unlink()
        (tiny.instance / "deployed").unlink()
    for _ in range(20):
        tiny.plan()
        tiny.later(seconds=1)
    before = {path: path.stat().st_mtime_ns for path in tiny.root.rglob("*")}
    began = time.process_time()
    status(tiny)
    assert time.process_time() - began < 1
    assert {path: path.stat().st_mtime_ns for path in tiny.root.rglob("*")} == before
