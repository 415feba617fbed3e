"""What is fuzzed holds for its seeds, and for everything that was found before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import KEPT, SEEDS, TARGETS, inputs

ROOT = Path(__file__).parents[2]


def test_every_target_has_seeds_and_nothing_is_kept_for_none() -> None:
    assert set(SEEDS) == set(TARGETS)
    assert all(SEEDS.values())
    assert {path.name for path in KEPT.glob("*")} <= set(TARGETS)


@pytest.mark.parametrize(("target", "name"), [(target, name) for target in TARGETS for name in inputs(target)])
def test_nothing_unforeseen_is_raised(target: str, name: str) -> None:
    TARGETS[target](inputs(target)[name])


def test_the_fuzzer_names_what_it_lacks(tmp_path: Path) -> None:
    """Without atheris there is one sentence, and no fuzzing that looks done."""
    (tmp_path / "atheris.py").write_text("raise ImportError('no atheris here')\n")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "INTERLOCK_FUZZ_SECONDS": "1"}
    done = subprocess.run((sys.executable, "-m", "tools.fuzz", "cron"), cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "atheris" in done.stderr) == (2, True)
