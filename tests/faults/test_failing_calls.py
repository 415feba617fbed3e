"""Whichever call of the runner fails, once or from then on: nothing is hidden, and it can be finished or undone (`tests/faults/failing_calls.py`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.act_bench import child_environ

ROOT = Path(__file__).parent.parent.parent
POINTS = {"test": 40, "prove": 1500}


def test_whatever_call_fails_the_system_is_all_old_or_all_new_or_told_and_can_be_undone(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    points = POINTS.get(os.environ.get("INTERLOCK_PROFILE", "test"), POINTS["test"])
    seed = getattr(request.config.option, "randomly_seed", 0) or 0
    argv = (sys.executable, "-m", "tests.faults.failing_calls", str(tmp_path), "--points", str(points), "--seed", str(int(seed) % 1000))
    done = subprocess.run(argv, cwd=ROOT, env=child_environ(), capture_output=True, text=True, check=False)
    said = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"wrong": done.stderr}
    assert "wrong" not in said, f"{said.get('case')}\n{said['wrong']}"
    assert said["points"] == points
    assert len(said["ends"]) > 2
