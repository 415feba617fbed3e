"""What asks an engine in the mounts family, proven both ways through real pytest, on a real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from interlock.commands.selftest import prove
from interlock.testing.faults import Fault, all_faults
from interlock.testing.faults.mounts import ENGINE
from tests.docker_engine import IMAGE, DockerEngine, docker_engine

FAULTS = [fault for fault in all_faults() if fault.guardrail.startswith("mounts.") and fault.needs == ENGINE]


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine() as running:
        yield running


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.kind}") for fault in FAULTS])
def test_a_guardrail_that_asks_the_engine_is_proven(
    fault: Fault, engine: DockerEngine, component: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    component("compose")
    for name, value in zip(ENGINE, (str(engine.socket), IMAGE), strict=True):
        monkeypatch.setenv(name, value)
    assert prove(fault) == ""
