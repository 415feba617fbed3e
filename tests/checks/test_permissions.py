"""The permissions family, proven both ways through real pytest."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest

from interlock.commands.selftest import prove
from interlock.testing.faults import Fault, all_faults

FAULTS = [fault for fault in all_faults() if fault.guardrail.startswith("permissions.") and not fault.needs]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.describe) for fault in FAULTS])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, component: Callable[[str], None], seen: set[Hashable]) -> None:
    component("compose")
    assert prove(fault, seen) == ""
