"""How is a case measured? Whole processes, interleaved round by round, CPU of the process tree; medians become ratios, and a missing peer is never a win.

CPU time (user and system, of the process and all that it waited for) is what is compared where the work is computing: it moves little on a busy machine. Wall
time is compared where the work is waiting. Memory is the largest single process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WORK = Path(__file__).parent / "work"
PEERS = WORK / "peers" / "usr" / "bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured process."""

    cpu_ms: float
    wall_ms: float
    rss_mb: float


@dataclass(slots=True, kw_only=True)
class Case:
    """One way to do the work. `missing` says why it cannot run here; `prove` looks at what a run left and raises when the work was not done."""

    name: str
    argv: Sequence[str] = ()
    cwd: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = (0,)
    missing: str = ""
    once: bool = False
    prove: Callable[[], None] = lambda: None
    runs: list[Run] = field(default_factory=list)

    def median(self, what: str) -> float | None:
        """The median of `cpu_ms`, `wall_ms` or `rss_mb`; None when it never ran."""
        return statistics.median(getattr(run, what) for run in self.runs) if self.runs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Ours against a peer: at most `limit` times as much of `what`."""

    ours: str
    peer: str
    limit: float
    what: str = "cpu_ms"


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what would falsify: rewritten asserts must be kept, and nothing printed unbuffered."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTEST_ADDOPTS")
    return {name: value for name, value in os.environ.items() if name not in dropped} | dict(extra)


# Starts argv[2:] and writes what it used to argv[1]. In between because a child begins with its parent's peak of memory, and this is as small as one gets.
_LAUNCHER = """
import os, sys, time
began = time.perf_counter()
child = os.fork()
if not child:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - began
with open(sys.argv[1], "w") as result:
    print(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss, file=result)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"""


def measure(case: Case) -> Run:
    """Run a case once. Raises RuntimeError when it did not do its work."""
    used = WORK / "last-usage"
    argv = (sys.executable, "-I", "-S", "-c", _LAUNCHER, str(used), *case.argv)
    with (WORK / "last-output").open("w+b") as output:
        done = subprocess.run(argv, cwd=case.cwd, env=environment(case.environ), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
        if done.returncode not in case.exit_codes:
            output.seek(0, os.SEEK_END)
            output.seek(max(0, output.tell() - 1500))
            raise RuntimeError(f"{case.name} ended with {done.returncode}: {output.read().decode(errors='replace')}")
    case.prove()
    cpu, wall, memory = map(float, used.read_text().split())
    return Run(cpu_ms=cpu * 1000, wall_ms=wall * 1000, rss_mb=memory / 1024)


def interleave(cases: Sequence[Case], rounds: int) -> None:
    """Every case once a round, so that a busy minute hits all of them."""
    WORK.mkdir(exist_ok=True)
    (WORK / "pytest.ini").write_text("[pytest]\n")  # else this project's own configuration would be found above
    for number in range(rounds):
        for case in cases:
            if case.missing or (case.once and number):
                continue
            try:
                case.runs.append(measure(case))
            except (OSError, RuntimeError) as error:
                case.missing = f"failed: {error}"
            if sys.stderr.isatty():
                print(f"\r  round {number + 1} of {rounds}: {case.name:50.50}", end="\r", file=sys.stderr, flush=True)


def ratio(cases: Sequence[Case], ours: str, peer: str, what: str) -> float | None:
    """Ours over theirs, None when one of them never ran."""
    medians = {case.name: case.median(what) for case in cases}
    mine, theirs = medians.get(ours), medians.get(peer)
    return mine / theirs if mine is not None and theirs else None


def report(title: str, cases: Sequence[Case], goals: Sequence[Goal], more: Mapping[str, object] | None = None) -> dict[str, object]:
    """Print the table of one workload and return it for JSON."""
    print(f"\n{title}")
    print(f"  {'case':44} {'CPU ms':>10} {'wall ms':>10} {'RSS MB':>8} {'runs':>5}")
    for case in cases:
        if case.missing:
            print(f"  {case.name:44} missing: {case.missing.splitlines()[0][:150]}")
        else:
            print(f"  {case.name:44} {case.median('cpu_ms'):10.1f} {case.median('wall_ms'):10.1f} {case.median('rss_mb'):8.1f} {len(case.runs):5}")
    results = []
    for goal in goals:
        found = ratio(cases, goal.ours, goal.peer, goal.what)
        verdict = "missing" if found is None else "reached" if found <= goal.limit else "NOT reached"
        shown = "-" if found is None else f"{found:.4f}"
        print(f"  {goal.ours} / {goal.peer} ({goal.what}): {shown}, goal <= {goal.limit}: {verdict}")
        results.append({"ours": goal.ours, "peer": goal.peer, "what": goal.what, "ratio": found, "limit": goal.limit, "verdict": verdict})
    rows = {
        case.name: {what: case.median(what) for what in ("cpu_ms", "wall_ms", "rss_mb")} | {"runs": len(case.runs), "missing": case.missing} for case in cases
    }
    for name, value in (more or {}).items():
        print(f"  {name}: {value}")
    return {"title": title, "cases": rows, "goals": results, "more": dict(more or {})}


def save(name: str, reports: Sequence[dict[str, object]], path: Path | None) -> None:
    """Write the reports of a benchmark as one JSON object."""
    target = path or WORK / f"{name}.json"
    machine = {"python": platform.python_version(), "kernel": platform.release(), "cpus": os.cpu_count(), "load": os.getloadavg()}
    target.write_text(json.dumps({"benchmark": name, "machine": machine, "reports": list(reports)}, indent=2) + "\n")
    print(f"\n{target}")


def arguments(description: str, argv: Sequence[str] | None, add: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    """What every benchmark takes, and its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the figures go (default: benchmarks/work/NAME.json)")
    add(parser)
    return parser.parse_args(argv)


def program(name: str, variable: str) -> tuple[str, str]:
    """The path of a peer and an empty text, or an empty path and why it is missing: `$variable`, then what bench-setup unpacked, then PATH."""
    for found in (os.environ.get(variable, ""), str(PEERS / name), shutil.which(name) or ""):
        if found and Path(found).exists():
            return found, ""
    return "", f"no {name}: make bench-setup, or {variable}=/path"


def pytest_argv(*options: str) -> tuple[str, ...]:
    """pytest with the named options and nothing that the environment has installed besides (see `PYTEST_ALONE`)."""
    return (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options)


PYTEST_ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
