"""Kill the runner at every write, rename, fsync and spawn of a whole action, and see whether what is left can be told, finished and undone.

    python -m tests.faults.explorer FOLDER --seed 7 --points 60

Real files, real keys, real tar, real programs; only the gate and the caller are handed in. Each try is a fork that lays out a site, has a plan approved,
and applies it until the chosen system call; there it dies by SIGKILL, before the call or (for a write) half way through it. What comes after happens in
further forks, which may be killed themselves. The product knows nothing of this: the calls are wrapped here, in the process that is to die.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock import runner
from interlock.act import journal as journals
from interlock.commands.status import status_text
from interlock.errors import InterlockError, LockHeld, StaleError, UsageError
from interlock.facts.canonical import digest
from interlock.gate.decision import Open
from interlock.gate.journal import End, Standing
from interlock.verdicts import When
from tests.tiny_site import NEW, OLD, PROGRAMS, SECRET, STEPS, Tiny, make_tiny

CALLS = ("write", "pwrite", "fsync", "rename", "replace", "link", "unlink", "mkdir", "ftruncate", "fchmod", "posix_fallocate")
FAILING = """\
      - backup: {modules: [app]}
      - write-files: {templates: [conf, motd]}
      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}
      - command: {run: ['false'], undo: ['true']}
"""
HANGS = 60  # seconds after which a fork counts as hanging


class WrongError(AssertionError):
    """An invariant does not hold."""


@dataclass
class Killer:
    """Counts system calls, and dies at the one numbered `at`: before it, half way through a write, or `delay` seconds after it. `at` 0 counts only."""

    at: int = 0
    torn: bool = False
    delay: float = 0
    seen: list[str] = field(default_factory=list)

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.seen.append(name)
            if len(self.seen) == self.at and self.delay:
                answer = call(*arguments, **named)
                signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
                signal.setitimer(signal.ITIMER_REAL, self.delay)
                return answer
            if len(self.seen) == self.at:
                if self.torn and name in ("write", "pwrite"):
                    half = bytes(arguments[1])[: len(arguments[1]) // 2]
                    call(arguments[0], half, *arguments[2:])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return called

    @contextmanager
    def installed(self) -> Iterator[None]:
        kept = {name: getattr(os, name) for name in CALLS}
        popen = subprocess.Popen
        for name, call in kept.items():
            setattr(os, name, self.wrap(name, call))
        subprocess.Popen = self.wrap("spawn", popen)  # type: ignore[misc]
        try:
            yield
        finally:
            for name, call in kept.items():
                setattr(os, name, call)
            subprocess.Popen = popen  # type: ignore[misc]


def forked(work: Callable[[], object]) -> object:
    """What `work` returned in a fork of its own, "killed" when it died by SIGKILL. Raises WrongError when it raised or hung."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            answer = {"ok": work()}
        except BaseException:
            answer = {"wrong": traceback.format_exc()}
        os.write(write, json.dumps(answer, default=str).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    answer = json.loads(said)
    if "wrong" in answer:
        raise WrongError(answer["wrong"])
    return answer["ok"]


def laid_out(folder: Path, *, failing: bool) -> Tiny:
    """The site. Its program takes a while, so that it can outlive the runner that started it."""
    programs = PROGRAMS | {"deploy": PROGRAMS["deploy"].replace("echo run >> runs;", "echo run >> runs; sleep 0.1;")}
    return make_tiny(folder, steps=FAILING if failing else STEPS, programs=programs)


Verb = Callable[[Tiny, str], runner.Outcome]


def apply(tiny: Tiny, plan: str) -> runner.Outcome:
    return runner.apply(tiny.site, plan, tiny.environ, tiny.means())


def resume(tiny: Tiny, plan: str) -> runner.Outcome:
    return runner.resume(tiny.site, plan, tiny.environ, _patient(tiny))


def rollback(tiny: Tiny, plan: str) -> runner.Outcome:
    return runner.rollback(tiny.site, plan, tiny.environ, _patient(tiny))


def _patient(tiny: Tiny) -> Any:
    """The gate that opened the action was run by a process that is dead: any run will do for its evidence."""
    run = tiny._gated(When.PREFLIGHT, "release", Open()).run
    return tiny.means(kept=lambda _name: run)


def attempt(verb: Verb, tiny: Tiny, plan: str, killer: Killer) -> object:
    """One verb in a fork, killed or not: its exit code, "killed", or the name of the error that it refused with."""

    def work() -> object:
        with killer.installed():
            try:
                return {"exit": verb(tiny, plan).exit_code, "calls": len(killer.seen)}
            except InterlockError as error:
                return {"refused": type(error).__name__, "what": error.what, "calls": len(killer.seen)}

    until = time.monotonic() + HANGS
    while True:
        answer = forked(work)
        held = isinstance(answer, dict) and answer.get("refused") == LockHeld.__name__
        if not held:
            return answer
        if time.monotonic() > until:
            raise WrongError(f"still locked: {answer}")
        time.sleep(0.01)  # the program of the step lives on for a moment; nobody goes on before it has ended


@dataclass(frozen=True)
class Case:
    """One try: which call of `apply` to die at, and how to go on; `second` kills what goes on, too."""

    at: int
    torn: bool
    onward: str
    failing: bool = False
    second: int = 0
    delay: float = 0

    def __str__(self) -> str:
        what = "failing apply" if self.failing else "apply"
        second = f" killed at {self.second}" if self.second else ""
        how = " (torn)" if self.torn else f" + {self.delay} s" if self.delay else ""
        return f"{what} killed at {self.at}{how}, {self.onward}{second}"


def explore(folder: Path, case: Case) -> str:
    """Run one case, and check every invariant. Returns what became of it. Raises WrongError."""
    tiny = laid_out(folder, failing=case.failing)
    plan = tiny.approved().folder.name
    first = attempt(apply, tiny, plan, Killer(at=case.at, torn=case.torn, delay=case.delay))
    check_status(tiny)
    if not begun(tiny):
        demand(tiny.look() == OLD, "nothing was begun, and something changed")
        demand(first == "killed", f"nothing was begun: {first}")
        first = attempt(apply, tiny, plan, Killer())
        demand(isinstance(first, dict) and first["exit"] == (16 if case.failing else 0), f"the plan cannot be applied any more: {first}")
    tiny.later(seconds=5)
    verbs = {"resume": resume, "rollback": rollback}
    if first == "killed" and case.second:
        attempt(verbs[case.onward], tiny, plan, Killer(at=case.second))
        check_status(tiny)
        tiny.later(seconds=5)
    onward = case.onward
    if onward == "resume" and standing(tiny).rolling_back:
        refused = attempt(resume, tiny, plan, Killer())
        demand(isinstance(refused, dict) and refused.get("refused") == UsageError.__name__, f"resumed what is being rolled back: {refused}")
        onward = "rollback"
    last = attempt(verbs[onward], tiny, plan, Killer())
    return check_end(tiny, plan, case, last)


def begun(tiny: Tiny) -> bool:
    return journals.newest(tiny.books.journals) is not None


def standing(tiny: Tiny) -> Standing:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return Standing.of(trail)


def demand(holds: object, otherwise: str) -> None:
    if not holds:
        raise WrongError(otherwise)


def check_status(tiny: Tiny) -> None:
    """The screen says what is so."""
    text, seen = status_text(tiny.site), tiny.look()
    if "done and verified" in text:
        demand(seen == NEW, f"status says done:\n{text}\n{seen}")
    if "everything is as it was" in text or "none was ever begun" in text:
        demand(seen == OLD, f"status says undone:\n{text}\n{seen}")
    if seen not in (OLD, NEW):
        demand("UNFINISHED" in text or "HALF-CHANGED" in text, f"status hides a change that stopped half way:\n{text}\n{seen}")


def check_end(tiny: Tiny, plan: str, case: Case, last: object) -> str:
    """All-old or all-new, told so, nothing left lying about, nothing used twice."""
    end = standing(tiny).end
    expected = {End.DONE: NEW, End.UNDONE: OLD}
    demand(end in expected, f"{case}: ended {end}, {last}")
    assert end is not None
    demand(tiny.look() == expected[end], f"{case}: ended {end}, and looks like {tiny.look()}")
    demand(not (case.failing and end is End.DONE), f"{case}: a failing action is done")
    demand(case.failing or case.onward == "rollback" or end is End.DONE, f"{case}: was to be finished, and was not: {last}")
    check_status(tiny)
    demand(tiny.runs() <= 1, f"{case}: the command ran {tiny.runs()} times")
    demand(end is not End.DONE or tiny.runs() == 1, f"{case}: done without running the command")
    check_leftovers(tiny, case)
    journals.verify_chain(tiny.books.journals)
    refused = attempt(apply, tiny, plan, Killer())
    demand(isinstance(refused, dict) and refused.get("refused") == StaleError.__name__, f"{case}: a plan was applied twice: {refused}")
    return end.value


def check_leftovers(tiny: Tiny, case: Case) -> None:
    names = [str(path) for path in tiny.root.rglob("*")]
    demand(not [name for name in names if ".interlock-" in name or name.endswith(".part")], f"{case}: left {names}")
    archives = sorted(tiny.backups.glob("*.zst"))
    demand(archives[0].read_bytes() == b"an older backup", f"{case}: an older backup was touched")
    for archive in archives[1:]:
        manifest = json.loads(archive.with_name(archive.name + ".json").read_bytes())
        demand(manifest["sha256"] == digest(archive.read_bytes()), f"{case}: {archive.name} is not what its manifest says")
        demand(archive.stat().st_mode & 0o7777 == 0o600, f"{case}: {archive.name} is not private")
    demand(len(list(tiny.backups.glob("*.json"))) == len(archives) - 1, f"{case}: a manifest without its archive")
    books = [path for path in tiny.books.folder.rglob("*") if path.is_file()]
    demand(not [path for path in books if SECRET.encode() in path.read_bytes()], f"{case}: a secret in the books")
    demand(not [path for path in books if path.stat().st_mode & 0o077], f"{case}: a book that others can read")


def count_calls(folder: Path, *, failing: bool) -> list[str]:
    """The names of all calls of an undisturbed run, in order."""
    tiny = laid_out(folder, failing=failing)
    plan = tiny.approved().folder.name
    killer = Killer()
    with killer.installed():
        apply(tiny, plan)
    return killer.seen


def cases(calls: list[str], failing_calls: list[str], points: int, seed: int) -> list[Case]:
    """Every point as often as `points` has room for; where there is room for some only, others with each seed, which also draws how to go on."""
    draw = random.Random(seed)
    places = [place for failing, names in ((False, calls), (True, failing_calls)) for place in _places(names, failing)]
    if points < len(places):
        first = draw.randrange(len(places))
        places = [places[(first + index * len(places) // points) % len(places)] for index in range(points)]
    return [
        Case(at=at, torn=torn, delay=delay, failing=failing, onward=draw.choice(["resume", "rollback"]), second=draw.choice([0, 0, draw.randint(1, 60)]))
        for failing, at, torn, delay in (places * (points // len(places) + 1))[:points]
    ]


def _places(names: list[str], failing: bool) -> Iterator[tuple[bool, int, bool, float]]:
    """Where to die: before every call, half way through every write, and a little after every program was started."""
    for at, name in enumerate(names, start=1):
        yield failing, at, False, 0
        if name in ("write", "pwrite"):
            yield failing, at, True, 0
        if name == "spawn":
            yield from ((failing, at, False, delay) for delay in (0.002, 0.02, 0.06))


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--points", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    base = Path(tempfile.mkdtemp(dir=asked.folder))
    (base / "a").mkdir()
    (base / "b").mkdir()
    calls, failing_calls = count_calls(base / "a", failing=False), count_calls(base / "b", failing=True)
    found: dict[str, int] = {}
    for number, case in enumerate(cases(calls, failing_calls, asked.points, asked.seed)):
        folder = base / str(number)
        folder.mkdir()
        try:
            end = explore(folder, case)
        except WrongError as error:
            print(json.dumps({"case": str(case), "wrong": str(error), "folder": str(folder)}))
            return 1
        found[end] = found.get(end, 0) + 1
        shutil.rmtree(folder)
    shutil.rmtree(base)
    print(json.dumps({"calls": len(calls), "failing_calls": len(failing_calls), "points": sum(found.values()), "ends": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
