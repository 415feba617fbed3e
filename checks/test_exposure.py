"""Exposure: what can be reached from outside was meant to be."""

from interlock.checking import assert_held, check
from interlock.facts.exposure import ChainPorts, HostPorts, RefusedSeen
from interlock.judge import exposure


@check(exposure.PRIVATE_ONLY)
def test_nothing_can_be_reached_from_outside_but_what_is_declared(exposed: ChainPorts | HostPorts | RefusedSeen) -> None:
    assert_held(exposure.judge_private_only(exposed))
