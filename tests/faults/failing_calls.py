"""Let any system call of the runner fail, once or from then on: a disk that is full or broken, a folder that may not be written to any more.

    python -m tests.faults.failing_calls FOLDER --seed 7 --points 60

Each try is as in `tests/faults/explorer.py`, but the runner lives on: one call, a few, or all from there on raise ENOSPC, EIO or EACCES; a failing write may
have written its first half. Afterwards the disk is well again. Journal, undo folder, targets and archives are all hit, since every call is, in turn.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.gate.journal import End
from tests.faults import explorer
from tests.faults.explorer import SHAPES, Case, Killer, WrongError, attempt, begun, check_end, check_files, check_status, demand, laid_out, standing
from tests.tiny_site import Tiny

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
ALL = 1_000_000  # so many calls fail: all from there on


@dataclass
class Failing(Killer):
    """In place of dying, `count` calls from the one numbered `at` on fail with `error`, a write half way through it when it is `torn`."""

    error: int = errno.EIO
    count: int = 1

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.seen.append(name)
            if not self.at <= len(self.seen) < self.at + self.count:
                return call(*arguments, **named)
            if self.torn and name in ("write", "pwrite"):
                call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], *arguments[2:])
            raise OSError(self.error, os.strerror(self.error))

        return called

    @contextmanager
    def installed(self) -> Any:
        real = os.open
        os.open = self.wrap("open", real)
        try:
            with super().installed():
                yield
        finally:
            os.open = real


@dataclass(frozen=True)
class Fault:
    """One try: what fails in which action, where, and how."""

    shape: str
    at: int
    error: int
    count: int
    torn: bool

    def __str__(self) -> str:
        how = "all calls" if self.count == ALL else f"{self.count} calls"
        return f"{self.shape}: {how} from {self.at} on fail with {errno.errorcode[self.error]}{' (torn)' if self.torn else ''}"


def explore(folder: Path, fault: Fault, onward: str) -> str:
    """Run one case, and check every invariant. Returns what became of it. Raises WrongError."""
    tiny = laid_out(folder, fault.shape)
    old = tiny.look()
    plan = tiny.approved().folder.name
    case = Case(at=fault.at, torn=fault.torn, onward="rollback", shape=fault.shape)
    first = attempt(explorer.apply, tiny, plan, Failing(at=fault.at, torn=fault.torn, error=fault.error, count=fault.count), patient=False)
    demand(isinstance(first, dict), f"{fault}: {first}")
    check_status(tiny, case, old)
    if not begun(tiny):
        demand(tiny.look() == old, f"{fault}: nothing was begun, and something changed")
        demand("refused" in first, f"{fault}: nothing was begun: {first}")  # type: ignore[operator]
        again = attempt(explorer.apply, tiny, plan, Killer())
        demand(
            isinstance(again, dict) and again.get("exit") == (0 if SHAPES[fault.shape].end is End.DONE else 16), f"{fault}: cannot be applied any more: {again}"
        )
        return "not begun"
    tiny.later(seconds=5)
    ended = standing(tiny).end
    code = first.get("exit", {"HalfChanged": 18, "EvidenceError": 17}.get(str(first.get("refused"))))  # type: ignore[attr-defined]
    expected = {
        End.DONE: (0, 17, 18),
        End.UNDONE: (16, 18),
        End.HALF: (18,),
        None: (13, 17, 18),
    }  # 13: a signature could not be kept; 17: a first entry that could not be taken back
    demand(ended in expected and code in expected[ended], f"{fault}: ended {ended}, and was told as {first}")
    if ended is None and onward == "resume" and not standing(tiny).rolling_back:
        attempt(explorer.resume, tiny, plan, Killer())
    elif ended not in (End.DONE, End.UNDONE):
        attempt(explorer.rollback, tiny, plan, Killer())
    last = standing(tiny).end
    demand(last in (End.DONE, End.UNDONE), f"{fault}: the disk is well again, and it ended {last} after {ended}, {first}")
    check_end(tiny, plan, case, first, old, leftovers=nothing_beside_targets if fault.count < ALL else check_files)
    return f"{ended or 'not ended'}, then {last}"


def nothing_beside_targets(tiny: Tiny, case: Case) -> None:
    """A part of an archive that cannot be taken away lies under a hidden name until the next backup; what was staged beside a target may not."""
    demand(not [path for path in tiny.instance.rglob("*") if ".interlock-" in path.name], f"{case}: left a staged file")
    check_files(tiny, case)


def faults(calls: dict[str, list[str]], points: int, seed: int) -> list[Fault]:
    """All of them where `points` has room; else others with each seed, spread over all calls."""
    every = [
        Fault(shape, at, error, count, torn)
        for shape, names in calls.items()
        for at, name in enumerate(names, start=1)
        for error in ERRORS
        for count in (1, 2, ALL)
        for torn in ((False, True) if name in ("write", "pwrite") else (False,))
    ]
    return random.Random(seed).sample(every, min(points, len(every)))


def count_calls(folder: Path, shape: str) -> list[str]:
    """The names of all calls of an undisturbed run, in order."""
    explorer.count_calls(folder, shape)
    (folder / "again").mkdir()
    tiny = laid_out(folder / "again", shape)
    plan = tiny.approved().folder.name
    counting = Failing(at=ALL)
    with counting.installed():
        explorer.apply(tiny, plan)
    return counting.seen


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--points", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    base = Path(tempfile.mkdtemp(dir=asked.folder))
    calls: dict[str, list[str]] = {}
    for shape in SHAPES:
        (base / shape).mkdir()
        calls[shape] = count_calls(base / shape, shape)
    draw = random.Random(asked.seed)
    tried = faults(calls, asked.points, asked.seed)
    found: dict[str, int] = {}
    for number, fault in enumerate(tried):
        folder = base / str(number)
        folder.mkdir()
        try:
            end = explore(folder, fault, draw.choice(["resume", "rollback"]))
        except WrongError as error:
            print(json.dumps({"case": str(fault), "wrong": str(error), "folder": str(folder)}))
            return 1
        found[end] = found.get(end, 0) + 1
        shutil.rmtree(folder)
    shutil.rmtree(base)
    print(json.dumps({"points": len(tried), "calls": {shape: len(names) for shape, names in calls.items()}, "ends": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
