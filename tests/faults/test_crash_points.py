"""A kill -9 at any write, rename, fsync or spawn leaves what can be told, finished and undone (`tests/faults/explorer.py` says how it is tried)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.act_bench import child_environ

ROOT = Path(__file__).parent.parent.parent
POINTS = {"test": 60, "prove": 1000}
DISTINCT = {"test": 60, "prove": 500}  # of them: action, call and way to die


def test_after_a_kill_at_any_point_the_system_is_all_old_or_all_new(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    points = POINTS[os.environ.get("INTERLOCK_PROFILE", "test")]
    seed = getattr(request.config.option, "randomly_seed", 0) or 0
    argv = (sys.executable, "-m", "tests.faults.explorer", str(tmp_path), "--points", str(points), "--seed", str(int(seed) % 1000))
    done = subprocess.run(argv, cwd=ROOT, env=child_environ(), capture_output=True, text=True, check=False)
    said = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"wrong": done.stderr}
    assert "wrong" not in said, f"{said.get('case')}\n{said['wrong']}"
    assert said["points"] == points
    assert said["distinct"] >= DISTINCT[os.environ.get("INTERLOCK_PROFILE", "test")], said
    assert set(said["ends"]) == {"done", "undone"}
