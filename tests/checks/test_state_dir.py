"""The state_dir family, proven both ways through real pytest; what needs a container engine in tests/integration/test_state_dir_running.py."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest

from interlock.commands.selftest import prove
from interlock.testing.faults import Fault, all_faults
from interlock.verdicts import When

FAULTS = [fault for fault in all_faults() if fault.guardrail.startswith("state_dir.") and not fault.needs]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.describe}") for fault in FAULTS])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, component: Callable[[str], None], seen: set[Hashable]) -> None:
    if fault.gate is When.STATIC:
        component("compose")
    assert prove(fault, seen) == ""
