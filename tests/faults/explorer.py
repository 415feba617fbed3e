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
from interlock.facts.canonical import digest, short
from interlock.gate.decision import Open
from interlock.gate.journal import End, Kind, Standing
from interlock.verdicts import When
from tests.tiny_site import PROGRAMS, SECRET, STEPS, Tiny, key_of, make_tiny

CALLS = ("write", "pwrite", "fsync", "rename", "replace", "link", "unlink", "mkdir", "ftruncate", "fchmod", "posix_fallocate")
ENV = "RELEASE=1\nDB_PASSWORD=an-older-one\n"
FAILING = """\
      - backup: {modules: [app]}
      - write-files: {templates: [conf, motd]}
      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}
      - command: {run: ['false'], undo: ['true']}
"""
PATCHING = """\
      - env-patch: {file: .env, instances: [main], values: {RELEASE: '2', DB_PASSWORD: '${TINY_PASSWORD}'}}
      - gate: {guardrails: [templates]}
      - approval: {asks: May it be switched?}
      - endpoint: {command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}, before: [ready], after: [deployed]}
"""
SWITCHING = """\
      - command: {run: [bin/deploy], undo: [bin/undeploy], done: [bin/deployed]}
      - endpoint: {write-files: {templates: [conf, motd]}, before: [deployed], after: [ready]}
"""


@dataclass(frozen=True)
class Shape:
    """An action that is tried: its steps, and how it ends when nobody kills it. `failing` are expectations that do not hold."""

    steps: str
    end: End = End.DONE
    failing: frozenset[str] = frozenset()


SHAPES = {
    "plain": Shape(STEPS),
    "failing": Shape(FAILING, End.UNDONE),
    "patching": Shape(PATCHING),
    "not answering": Shape(SWITCHING, End.UNDONE, frozenset({"ready"})),
}
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


def laid_out(folder: Path, shape: str) -> Tiny:
    """The site. Its program takes a while, so that it can outlive the runner that started it; its human has a key in ~/.ssh."""
    programs = PROGRAMS | {"deploy": PROGRAMS["deploy"].replace("echo run >> runs;", "echo run >> runs; sleep 0.1;")}
    tiny = make_tiny(folder, steps=SHAPES[shape].steps, programs=programs)
    (tiny.instance / ".env").write_text(ENV)
    (folder / ".ssh").mkdir(mode=0o700)
    for key in (key_of("anna"), key_of("anna").with_suffix(".pub")):
        shutil.copy2(key, folder / ".ssh" / key.name)
    tiny.failing |= SHAPES[shape].failing
    return tiny


def means(tiny: Tiny, **changed: Any) -> Any:
    """At the terminal sits a human who agrees to whatever the action waits for."""

    def types(_question: str) -> str:
        trail = journals.newest(tiny.books.journals)
        assert trail is not None
        return next(short(entry.digest) for entry in reversed(trail.entries) if entry.kind is Kind.WAITS)

    return tiny.means(ask=types, **changed)


Verb = Callable[[Tiny, str], runner.Outcome]
Look = dict[str, str]
NEW_LOOKS: dict[str, Look] = {}  # of each shape that can be done: how everything looks then


def apply(tiny: Tiny, plan: str) -> runner.Outcome:
    return runner.apply(tiny.site, plan, tiny.environ, means(tiny))


def resume(tiny: Tiny, plan: str) -> runner.Outcome:
    return runner.resume(tiny.site, plan, tiny.environ, _patient(tiny))


def rollback(tiny: Tiny, plan: str) -> runner.Outcome:
    return runner.rollback(tiny.site, plan, tiny.environ, _patient(tiny))


def _patient(tiny: Tiny) -> Any:
    """The gate that opened the action was run by a process that is dead: any run will do for its evidence."""
    run = tiny._gated(When.PREFLIGHT, "release", Open()).run
    return means(tiny, kept=lambda name: tiny.runs_kept.get(name, run))


def attempt(verb: Verb, tiny: Tiny, plan: str, killer: Killer, *, patient: bool = True) -> object:
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
        if not held or not patient:
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
    shape: str = "plain"
    second: int = 0
    delay: float = 0

    def __str__(self) -> str:
        second = f" killed at {self.second}" if self.second else ""
        how = " (torn)" if self.torn else f" + {self.delay} s" if self.delay else ""
        return f"{self.shape} apply killed at {self.at}{how}, {self.onward}{second}"


def explore(folder: Path, case: Case) -> str:
    """Run one case, and check every invariant. Returns what became of it. Raises WrongError."""
    tiny = laid_out(folder, case.shape)
    old = tiny.look()
    plan = tiny.approved().folder.name
    first = attempt(apply, tiny, plan, Killer(at=case.at, torn=case.torn, delay=case.delay))
    check_status(tiny, case, old)
    if not begun(tiny):
        demand(tiny.look() == old, "nothing was begun, and something changed")
        demand(first == "killed", f"nothing was begun: {first}")
        first = attempt(apply, tiny, plan, Killer())
        demand(isinstance(first, dict) and first["exit"] == (0 if SHAPES[case.shape].end is End.DONE else 16), f"the plan cannot be applied any more: {first}")
    tiny.later(seconds=5)
    verbs = {"resume": resume, "rollback": rollback}
    if first == "killed" and case.second:
        attempt(verbs[case.onward], tiny, plan, Killer(at=case.second))
        check_status(tiny, case, old)
        tiny.later(seconds=5)
    onward = case.onward
    if onward == "resume" and standing(tiny).rolling_back and not standing(tiny).finished:
        refused = attempt(resume, tiny, plan, Killer())
        demand(isinstance(refused, dict) and refused.get("refused") == UsageError.__name__, f"resumed what is being rolled back: {refused}")
        onward = "rollback"
    last = attempt(verbs[onward], tiny, plan, Killer())
    return check_end(tiny, plan, case, last, old)


def begun(tiny: Tiny) -> bool:
    return journals.newest(tiny.books.journals) is not None


def standing(tiny: Tiny) -> Standing:
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    return Standing.of(trail)


def demand(holds: object, otherwise: str) -> None:
    if not holds:
        raise WrongError(otherwise)


def check_status(tiny: Tiny, case: Case, old: Look) -> None:
    """The screen says what is so."""
    new = NEW_LOOKS.get(case.shape)
    text, seen = status_text(tiny.site), tiny.look()
    if "done and verified" in text:
        demand(seen == new, f"status says done:\n{text}\n{seen}")
    if "everything is as it was" in text or "none was ever begun" in text:
        demand(seen == old, f"status says undone:\n{text}\n{seen}")
    if seen not in (old, new):
        demand(
            any(word in text for word in ("UNFINISHED", "HALF-CHANGED", "WAITS for a human")), f"status hides a change that stopped half way:\n{text}\n{seen}"
        )


def check_end(tiny: Tiny, plan: str, case: Case, last: object, old: Look, *, leftovers: Callable[[Tiny, Case], None] | None = None) -> str:
    """All-old or all-new, told so, nothing left lying about, nothing used twice."""
    end = standing(tiny).end
    expected = {End.DONE: NEW_LOOKS.get(case.shape), End.UNDONE: old}
    fails = SHAPES[case.shape].end is End.UNDONE
    demand(end in expected, f"{case}: ended {end}, {last}")
    assert end is not None
    demand(tiny.look() == expected[end], f"{case}: ended {end}, and looks like {tiny.look()}")
    demand(not (fails and end is End.DONE), f"{case}: a failing action is done")
    demand(fails or case.onward == "rollback" or end is End.DONE, f"{case}: was to be finished, and was not: {last}")
    check_status(tiny, case, old)
    demand(tiny.runs() <= 1, f"{case}: the command ran {tiny.runs()} times")
    demand(end is not End.DONE or tiny.runs() == 1, f"{case}: done without running the command")
    (leftovers or check_leftovers)(tiny, case)
    journals.verify_chain(tiny.books.journals)
    refused = attempt(apply, tiny, plan, Killer())
    demand(isinstance(refused, dict) and refused.get("refused") == StaleError.__name__, f"{case}: a plan was applied twice: {refused}")
    return end.value


def check_leftovers(tiny: Tiny, case: Case) -> None:
    left = [str(path) for path in tiny.root.rglob("*") if ".interlock-" in path.name or path.name.endswith(".part")]
    demand(not left, f"{case}: left {left}")
    check_files(tiny, case)


def check_files(tiny: Tiny, case: Case) -> None:
    """Archives are whole and private, and so are the books, without a secret."""
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


def count_calls(folder: Path, shape: str) -> list[str]:
    """The names of all calls of an undisturbed run, in order. What it leaves is how the new state looks."""
    tiny = laid_out(folder, shape)
    old = tiny.look()
    plan = tiny.approved().folder.name
    killer = Killer()
    with killer.installed():
        apply(tiny, plan)
    demand(standing(tiny).end is SHAPES[shape].end, f"{shape}: undisturbed, it ended {standing(tiny).end}")
    if SHAPES[shape].end is End.DONE:
        NEW_LOOKS[shape] = tiny.look()
    else:
        demand(tiny.look() == old, f"{shape}: undisturbed, it left {tiny.look()}")
    return killer.seen


Place = tuple[str, int, bool, float]


def cases(places: list[Place], points: int, seed: int) -> list[Case]:
    """Every point as often as `points` has room for; where there is room for some only, others with each seed, which also draws how to go on."""
    draw = random.Random(seed)
    if points < len(places):
        first = draw.randrange(len(places))
        places = [places[(first + index * len(places) // points) % len(places)] for index in range(points)]
    return [
        Case(at=at, torn=torn, delay=delay, shape=shape, onward=draw.choice(["resume", "rollback"]), second=draw.choice([0, 0, draw.randint(1, 60)]))
        for shape, at, torn, delay in (places * (points // len(places) + 1))[:points]
    ]


def all_places(names: list[str], shape: str) -> Iterator[Place]:
    """Where to die: before every call, half way through every write, and a little after every program was started."""
    for at, name in enumerate(names, start=1):
        yield shape, at, False, 0
        if name in ("write", "pwrite"):
            yield shape, at, True, 0
        if name == "spawn":
            yield from ((shape, at, False, delay) for delay in (0.002, 0.02, 0.06))


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
    places = [place for shape, names in calls.items() for place in all_places(names, shape)]
    tried = cases(places, asked.points, asked.seed)
    found: dict[str, int] = {}
    for number, case in enumerate(tried):
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
    distinct = len({(case.shape, case.at, case.torn, case.delay) for case in tried})
    counted = {shape: len(names) for shape, names in calls.items()}
    print(json.dumps({"calls": counted, "places": len(places), "points": sum(found.values()), "distinct": distinct, "ends": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
