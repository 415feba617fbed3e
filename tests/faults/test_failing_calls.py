"""Whichever call of the runner fails, once or from then on: nothing is hidden, and it can be finished or undone (`tests/faults/failing_calls.py`)."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from interlock import runner
from interlock.change.applied import write_applied
from interlock.errors import EvidenceError
from interlock.evidence.folder import runs
from interlock.evidence.verify import verify_run
from interlock.facts.canonical import short
from tests.act_bench import child_environ
from tests.evidence_samples import OPEN, publish
from tests.faults.failing_calls import ALL, ERRORS, Failing
from tests.tiny_site import make_tiny

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


def test_evidence_that_cannot_be_written_whole_is_none_and_is_told(tmp_path: Path) -> None:
    """Whatever call fails: the runner hears EvidenceError (17), and what lies below reports/ afterwards verifies."""
    tiny = make_tiny(tmp_path, steps="      - write-files: {templates: [conf]}\n")
    reports = tiny.root / tiny.site.reports
    base = publish(reports, dataclasses.replace(OPEN, site="tiny"))
    assert runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means()).exit_code == 0
    applied = dataclasses.replace(tiny.kept[-1], base=base)
    counting = Failing(at=ALL)
    with counting.installed():
        write_applied(applied)
    cases = list(itertools.product(range(1, len(counting.seen) + 1), ERRORS, (1, 2, ALL)))
    told = 0
    for at, error, count in cases if os.environ.get("INTERLOCK_PROFILE") == "prove" else random.sample(cases, 40):
        before = set(runs(reports))
        with Failing(at=at, error=error, count=count).installed():
            try:
                write_applied(applied)
            except EvidenceError:
                told += 1
        new = set(runs(reports)) - before
        assert not [verify_run(path).problems for path in new if verify_run(path).problems], (at, error, count)
    assert told
