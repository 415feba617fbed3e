"""What the processes of running containers may read and write, and who else may: asked of a real engine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.testing import CheckRun, run_check
from interlock.testing.containers import ENGINE
from interlock.testing.faults.live_permissions import FAULTS
from interlock.verdicts import Outcome
from tests.docker_engine import IMAGE, DockerEngine, docker_engine

GUARDRAILS = sorted({fault.guardrail for fault in FAULTS})


@pytest.fixture(scope="module")
def engine(component: Callable[[str], None]) -> Iterator[DockerEngine]:
    component("docker")
    with docker_engine() as running, pytest.MonkeyPatch.context() as patched:
        patched.setenv(ENGINE[0], str(running.socket))
        patched.setenv(ENGINE[1], IMAGE)
        yield running


@pytest.fixture
def folder(engine: DockerEngine) -> Iterator[Path]:
    """A folder that containers of any user reach; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="interlock-running-"))
    yield path
    for container in engine("ps", "--all", "--quiet").split():
        engine("rm", "--force", container)
    shutil.rmtree(path)


def preflight(folder: Path) -> CheckRun:
    return run_check(folder, "preflight", alone=True)


def outcomes(ran: CheckRun) -> dict[str, set[Outcome]]:
    return {guardrail: {verdict.outcome for verdict in ran.verdicts(guardrail)} for guardrail in GUARDRAILS}


def test_what_belongs_to_the_user_of_its_container_holds(folder: Path) -> None:
    FAULTS[0].healthy(folder)
    ran = preflight(folder)
    assert outcomes(ran) == {guardrail: {Outcome.HELD} for guardrail in GUARDRAILS}, ran.output
    assert ran.exit_code == 0


def test_faults_in_one_place_are_each_named_by_their_own_guardrail(folder: Path) -> None:
    FAULTS[0].healthy(folder)
    for fault in FAULTS:
        fault.seed(folder)
    ran = preflight(folder)
    assert ran.broken() == set(GUARDRAILS), ran.output
    assert {fault.kind for fault in FAULTS} <= ran.kinds


def test_without_its_engine_nothing_is_said(folder: Path) -> None:
    FAULTS[0].healthy(folder)
    FAULTS[0].blind(folder)
    assert outcomes(preflight(folder)) == {guardrail: {Outcome.UNPROVEN} for guardrail in GUARDRAILS}
