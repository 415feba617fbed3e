"""The site family, proven both ways through real pytest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import pytest

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, all_faults, write_site
from interlock.verdicts import Outcome, When


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.describe) for fault in all_faults() if fault.guardrail.startswith("site.")])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(
    fault: Fault, component: Callable[[str], None], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, seen: set[Hashable]
) -> None:
    if fault.gate is When.STATIC:
        component("compose")
    for name in fault.needs:
        monkeypatch.setenv(name, request.getfixturevalue("proof_dsn"))
    assert prove(fault, seen) == ""


@pytest.fixture
def proof_dsn(component: Callable[[str], None]) -> Iterator[str]:
    component("postgres18")
    from tools.postgres import running

    with tempfile.TemporaryDirectory(prefix="il-pg-") as folder:
        Path(folder).chmod(0o711)  # as root the server runs as nobody, who must be able to get there
        with running(18, Path(folder) / "d") as server:
            yield server.dsn()


def test_an_action_with_a_narrow_gate_still_asks_whether_the_site_is_confirmed(tmp_path: Path) -> None:
    action = {"steps": [{"command": {"run": ["true"]}}], "gate": ["expect"], "approval": "operator"}
    public = [{"port": 443, "reason": "the web", "unconfirmed": True}]
    site = {"exposure": {"public": public}, "expect": {"well": {"command": {"run": ["true"]}}}, "actions": {"release": action}}
    write_site(tmp_path, site)
    ran = run_check(tmp_path, "preflight", "--for", "release")
    assert ran.exit_code == 1
    assert ran.outcome("site.confirmed") is Outcome.BROKEN
    assert ran.verdicts("exposure.private_only") == ()
    place = ran.verdicts("site.confirmed")[0].where[0]
    lines = (tmp_path / "interlock.yaml").read_text().splitlines()
    assert place.file == "interlock.yaml"
    assert "unconfirmed" in lines[(place.line or 0) - 1]


def test_no_waiver_covers_what_nobody_confirmed(tmp_path: Path) -> None:
    write_site(tmp_path, {"exposure": {"public": [{"port": 443, "reason": "the web", "unconfirmed": True}]}})
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    key = run_check(tmp_path, "static").verdicts("site.confirmed")[0].where[0].key
    waiver = f"guardrail: site.confirmed, subject: site, fingerprint: '{key}', reason: in a hurry, owner: kim, ticket: x, approver: sam"
    (tmp_path / "waivers.yaml").write_text(f"waivers: [{{{waiver}, expires_at: 2026-12-01T00:00:00Z}}]\n")
    assert run_check(tmp_path, "static").exit_code != 0
