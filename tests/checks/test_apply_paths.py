"""Ways to a change, proven both ways through real pytest: a lock, the disk, a backup and a human stand before it."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from interlock.commands.selftest import prove
from interlock.testing.faults import Fault
from interlock.testing.faults.apply_paths import FAULTS


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.guardrail) for fault in FAULTS])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, seen: set[Hashable]) -> None:
    assert prove(fault, seen) == ""
