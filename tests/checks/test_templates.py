"""The templates family, proven both ways through real pytest."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path

import pytest
import yaml

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, read_site
from interlock.testing.faults.templates import FAULTS


@pytest.fixture
def site(tmp_path: Path) -> Path:
    FAULTS[0].healthy(tmp_path)
    return tmp_path


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.kind) for fault in FAULTS])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, seen: set[Hashable]) -> None:
    assert prove(fault, seen) == ""


def test_a_live_file_that_is_still_to_be_changed_is_no_fault(site: Path) -> None:
    assert (site / "live" / "nginx.conf").read_bytes() != (site / "canonical" / "nginx.conf").read_bytes()
    assert run_check(site, "preflight").outcome("templates.byte_equivalent") == "held"


def test_drift_is_told_although_the_host_cannot_be_reached(site: Path) -> None:
    FAULTS[0].seed(site)
    FAULTS[-1].blind(site)
    ran = run_check(site, "preflight")
    assert ran.exit_code == 1
    (verdict,) = ran.verdicts("templates.byte_equivalent")
    assert (verdict.outcome, verdict.subject, verdict.details.unproven) == ("broken", "main@gone", 1)


def test_no_value_of_the_environment_or_an_env_file_is_in_any_artefact(site: Path) -> None:
    """Canaries in every place that a value can come from, and a canonical file that holds them too."""
    declared = read_site(site)
    declared["instances"]["main"]["values"]["FROM_ENVIRONMENT"] = "user:${CANARY_ONE}"
    (site / "interlock.yaml").write_text(yaml.safe_dump(declared))
    (site / "main.env").write_text("SERVER_NAME=canary-three\nCANARY_TWO\nMULTI='canary-four\ncanary-five'\n")
    template = "${SERVER_NAME} ${INSTANCE}\n${FROM_ENVIRONMENT} ${CANARY_TWO}\n${MULTI}\nthe same\n"
    (site / "templates" / "nginx.conf").write_text(template)
    (site / "canonical" / "nginx.conf").write_text("old canary-three\nuser:canary-one other canary-two\ncanary-four\ncanary-five\nthe same\n")
    ran = run_check(site, "static", environ={"CANARY_ONE": "canary-one", "CANARY_TWO": "canary-two"})
    assert ran.exit_code == 1
    assert ran.folder is not None
    artefacts = [Path(folder) / name for folder, _, names in os.walk(ran.folder) for name in names]
    told = {path.name: path.read_text(errors="replace") for path in artefacts} | {"the terminal": ran.output}
    assert len(told) > 3
    assert [name for name, text in told.items() if "canary" in text] == []
    assert "+${SERVER_NAME} main" in told["details.jsonl"]


def test_the_static_gate_looks_at_no_host(site: Path) -> None:
    FAULTS[-1].blind(site)
    assert run_check(site, "static").exit_code == 0
