"""Measuring: a peer that is missing or fails is never a win, and what is compared is what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.measure import Case, Goal, Run, interleave, report, save


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "WORK", tmp_path / "work")


def case(name: str, code: str = "pass", **other: object) -> Case:
    return Case(name=name, argv=(sys.executable, "-I", "-S", "-c", code), **other)  # type: ignore[arg-type]


def measured(name: str, *cpu: float) -> Case:
    return Case(name=name, runs=[Run(cpu_ms=value, wall_ms=value, rss_mb=1) for value in cpu])


def verdicts(cases: list[Case], *goals: Goal) -> list[object]:
    found = report("t", cases, goals)["goals"]
    assert isinstance(found, list)
    return [(one["verdict"], one["ratio"]) for one in found]


def test_a_goal_is_a_ratio_of_medians() -> None:
    cases = [measured("ours", 1, 2, 300), measured("peer", 8, 10, 9)]
    assert verdicts(cases, Goal(ours="ours", peer="peer", limit=0.25), Goal(ours="ours", peer="peer", limit=0.2)) == [
        ("reached", 2 / 9),
        ("NOT reached", 2 / 9),
    ]


def test_a_missing_peer_is_missing_and_no_win() -> None:
    cases = [measured("ours", 1), Case(name="peer", missing="not installed")]
    assert verdicts(cases, Goal(ours="ours", peer="peer", limit=100), Goal(ours="ours", peer="nobody", limit=100)) == [("missing", None)] * 2


def test_a_case_that_fails_is_missing() -> None:
    cases = [
        case("works"),
        case("fails", "import sys; sys.exit('no such flag')"),
        case("lies", prove=lambda: (_ for _ in ()).throw(RuntimeError("nothing was done"))),
    ]
    interleave(cases, 2)
    assert [(len(one.runs), bool(one.missing)) for one in cases] == [(2, False), (0, True), (0, True)]
    assert "no such flag" in cases[1].missing
    assert "nothing was done" in cases[2].missing


def test_cpu_of_children_counts() -> None:
    burn = "import time\nuntil = time.process_time() + 0.15\nwhile time.process_time() < until: pass"
    parent = case("parent", f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {burn!r}], check=True)")
    interleave([parent], 1)
    assert parent.runs[0].cpu_ms >= 150


def test_what_would_falsify_is_not_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")
    found = measure.environment({"MORE": "1"})
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS"} & set(found)
    assert found["MORE"] == "1"


def test_figures_are_written_as_json(tmp_path: Path) -> None:
    save("name", [report("t", [measured("ours", 5)], ())], tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["reports"][0]["cases"]["ours"]["cpu_ms"] == 5


def test_generated_backups_are_private_and_as_many_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import permissions

    monkeypatch.setattr(permissions, "WORK", tmp_path)
    top = permissions.generate(1_500)
    found = permissions.names(top)
    assert len(found) == 1_500
    assert {Path(name).stat().st_mode & 0o777 for name in found} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in top.iterdir()} == {0o700}
