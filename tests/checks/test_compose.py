"""The compose family, proven both ways through real pytest."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import pytest

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, all_faults, write_site

FAULTS = [fault for fault in all_faults() if fault.guardrail.startswith("compose.")]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.describe}") for fault in FAULTS])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, seen: set[Hashable]) -> None:
    assert prove(fault, seen) == ""


def test_each_file_has_a_verdict_that_names_the_lines(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  app:\n    image: x\n    image: y\n")
    (tmp_path / "over.yaml").write_text("services: {app: {ports: !override []}}\n")
    write_site(tmp_path, {"compose": {"files": ["compose.yaml", "over.yaml"]}})
    ran = run_check(tmp_path, "static")
    assert ran.exit_code == 1
    broken, held = ran.verdicts("compose.strict_parse")
    assert (broken.subject, held.subject) == ("compose.yaml", "over.yaml")
    assert broken.message == "compose.yaml: line 4: the key 'image' stands here again; it is already on line 3 (services.app.image)"
    assert [(place.file, place.line) for place in broken.where] == [("compose.yaml", 4)]
    assert held.outcome == "held"


def test_a_file_that_is_not_there_is_unproven(tmp_path: Path) -> None:
    write_site(tmp_path, {"compose": {"files": ["compose.yaml"]}})
    ran = run_check(tmp_path, "static")
    assert (ran.exit_code, ran.outcome("compose.strict_parse")) == (11, "unproven")
