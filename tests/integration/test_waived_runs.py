"""Waivers through real pytest: exactly this failure, loudly, and for a while."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from interlock.testing import CheckRun, run_check
from interlock.testing.faults import write_site
from interlock.testing.faults.backups import back_up
from interlock.verdicts import Outcome


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A module with two backups, one of them readable by others."""
    backups = tmp_path / "backups"
    backups.mkdir(mode=0o700)
    back_up(backups / "bad.tar", Path("/etc/hostname"), hours=1).chmod(0o644)
    back_up(backups / "good.tar", Path("/etc/hostname"))
    write_site(tmp_path, {"modules": {"app": {"class": "E", "paths": ["/etc/hostname"], "backups": str(backups), "owner": getpass.getuser()}}})
    return tmp_path


def waive(site: Path, key: str, days: float = 30, **more: object) -> None:
    ends = datetime.now(UTC) + timedelta(days=days)
    waiver = {
        "id": "w1",
        "guardrail": "backups.mode_0600",
        "subject": "app",
        "fingerprint": key,
        "reason": "copier",
        "owner": "kim",
        "approver": "sam",
        "ticket": "ops#12",
    }
    (site / "waivers.yaml").write_text(yaml.safe_dump({"waivers": [{**waiver, "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), **more}]}))


def key_of(ran: CheckRun) -> str:
    (verdict,) = ran.verdicts("backups.mode_0600")
    return verdict.where[0].key


def test_a_waived_failure_opens_the_gate_and_shows(site: Path) -> None:
    waive(site, key_of(run_check(site, "preflight")))
    ran = run_check(site, "preflight")
    assert ran.exit_code == 0, ran.output
    assert ran.outcome("backups.mode_0600") is Outcome.WAIVED
    assert "1 waived" in ran.output
    assert "WAIVED" in ran.output
    assert ran.folder is not None
    assert "**WAIVED" in (ran.folder / "summary.md").read_text()
    assert '<skipped message="waived' in (ran.folder / "junit.xml").read_text().lower()


def test_a_new_failure_beside_it_is_not_covered(site: Path) -> None:
    waive(site, key_of(run_check(site, "preflight")))
    (site / "backups" / "good.tar").chmod(0o640)
    ran = run_check(site, "preflight")
    assert ran.exit_code == 1
    (verdict,) = ran.verdicts("backups.mode_0600")
    assert (verdict.details.broken, verdict.details.waived) == (1, 1)


def test_the_same_file_broken_in_another_way_is_not_covered(site: Path) -> None:
    waive(site, key_of(run_check(site, "preflight")))
    (site / "backups" / "bad.tar").unlink()
    (site / "backups" / "bad.tar").symlink_to("/etc/hostname")
    assert run_check(site, "preflight").exit_code == 1


def test_an_expired_waiver_covers_nothing_and_is_named(site: Path) -> None:
    waive(site, key_of(run_check(site, "preflight")), days=-1)
    ran = run_check(site, "preflight")
    assert ran.exit_code == 1
    assert ran.record is not None
    assert {reason.code for reason in ran.record.reasons} == {1, 12}


def test_an_over_long_waiver_shuts_a_gate_that_would_hold(site: Path) -> None:
    key = key_of(run_check(site, "preflight"))
    (site / "backups" / "bad.tar").chmod(0o600)
    waive(site, key, days=91)
    assert run_check(site, "preflight").exit_code == 12


def test_an_unused_waiver_is_a_warning(site: Path) -> None:
    waive(site, key_of(run_check(site, "preflight")))
    (site / "backups" / "bad.tar").chmod(0o600)
    ran = run_check(site, "preflight")
    assert ran.exit_code == 0
    assert "waiver w1 (waivers.yaml:2) covers nothing any more" in ran.output


def test_a_waiver_file_that_cannot_be_read_is_named_with_its_line(site: Path) -> None:
    (site / "waivers.yaml").write_text("waivers:\n- guardrail: backups.mode_0600\n  guardrial: x\n")
    ran = run_check(site, "preflight")
    assert ran.exit_code == 12
    assert "waivers.yaml:3" in ran.output
    assert "Traceback" not in ran.output
