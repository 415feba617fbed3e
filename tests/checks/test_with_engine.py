"""What asks a container engine, proven both ways through real pytest, on a real one."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator

import pytest

from interlock.commands.selftest import prove
from interlock.testing.containers import ENGINE
from interlock.testing.faults import Fault, all_faults
from tests.docker_engine import IMAGE, DockerEngine, docker_engine

ALL = os.environ.get("INTERLOCK_PROFILE") == "prove"  # those of permissions are seeded together in test_permissions_running.py
FAULTS = [fault for fault in all_faults() if fault.needs == ENGINE and (ALL or not fault.guardrail.startswith("permissions."))]


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine() as running:
        yield running


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.kind}") for fault in FAULTS])
def test_a_guardrail_that_asks_the_engine_is_proven(
    fault: Fault, engine: DockerEngine, component: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, seen: set[Hashable]
) -> None:
    component("compose")
    for name, value in zip(ENGINE, (str(engine.socket), IMAGE), strict=True):
        monkeypatch.setenv(name, value)
    assert prove(fault, seen) == ""
    assert engine("ps", "--all", "--quiet") == ""
    assert engine("volume", "ls", "--quiet") == ""
