"""Do running containers tell the chain that they were started from, and is it the one that the kept choice needs? Asked of a real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing import run_check
from interlock.testing.faults import read_site, rewrite_site
from interlock.testing.faults.persisted import FAULTS
from interlock.verdicts import Outcome
from tests.docker_engine import IMAGE, docker_engine

CONFIG_FILES, DIRECTORY = "com.docker.compose.project.config_files", "com.docker.compose.project.working_dir"


def test_containers_of_the_old_chain_do_not_follow_the_new_choice(component: Callable[[str], None], tmp_path: Path) -> None:
    component("docker")
    component("compose")
    guardrail = FAULTS[0].guardrail
    FAULTS[0].healthy(tmp_path)
    site = read_site(tmp_path)
    del site["instances"]["main"]["chain"]
    (tmp_path / ".env").unlink()
    with docker_engine() as engine:
        rewrite_site(tmp_path, {**site, "hosts": {"local": {"engine": str(engine.socket)}}})
        assert run_check(tmp_path, "preflight", alone=True).outcome(guardrail) is Outcome.UNPROVEN

        def start(name: str, *files: str) -> None:
            labels = (f"{CONFIG_FILES}={','.join(f'{tmp_path}/{file}' for file in files)}", f"{DIRECTORY}={tmp_path}", "com.docker.compose.service=app")
            engine("run", "--detach", "--network", "none", "--name", name, *(part for label in labels for part in ("--label", label)), IMAGE)

        start("new", "compose.yaml", "compose.postgres.yaml")
        assert run_check(tmp_path, "preflight", alone=True).outcome(guardrail) is Outcome.HELD
        start("old", "compose.yaml")
        (verdict,) = run_check(tmp_path, "preflight", alone=True).verdicts(guardrail)
        assert verdict.outcome is Outcome.BROKEN
        assert "app has the chain small" in verdict.message
