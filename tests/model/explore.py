"""Does the runner keep its promises after every kill, and every kill of what goes on after it? All states are visited, to a fixpoint.

    python -m tests.model.explore FOLDER --profile prove

From each state every verb is run (apply, resume, rollback, resume with a human's word about a command, a signature in mid-plan); whatever a kill would
leave at any moment of it is a state, too. Two states that come to the same standing, the same files and the same system are one: what the runner does next
depends on nothing else. So no sequence of kills and verbs is left out, however long. (Where two states are one only when every byte of theirs is the same,
there is no end to them: that is tried to a depth.)
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from interlock import runner
from interlock.act import journal as journals
from interlock.change.carrying import Said
from interlock.commands.status import status_text
from interlock.errors import HalfChanged, InterlockError, StaleError
from interlock.facts.canonical import short
from interlock.gate.journal import End, Standing, State, Trail
from interlock.gate.plan import CommandPlan, has_undo
from tests.model.simulated import KINDS, NEW, OLD, Shape, System, refused, simulated, standing
from tests.model.simulated import State as Left
from tests.tiny_site import NOW, SECRET

FAILING = frozenset(
    {
        "files-fail",
        "compose-fails",
        "command-fails",
        "command-fails-oneway",
        "needs-more",
        "verify-fails",
        "gate-shut",
        "endpoint-unanswered",
        "endpoint-not-ready",
    }
)


class WrongError(AssertionError):
    """A promise is not kept."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What was looked at: distinct states, verbs that were run from them, and moments at which a kill was tried."""

    shapes: int = 0
    states: int = 0
    verbs: int = 0
    kills: int = 0
    ends: dict[str, int] = field(default_factory=dict)

    def add(self, other: Found) -> None:
        self.shapes, self.states = self.shapes + other.shapes, self.states + other.states
        self.verbs, self.kills = self.verbs + other.verbs, self.kills + other.kills
        for name, count in other.ends.items():
            self.ends[name] = self.ends.get(name, 0) + count


@dataclass(slots=True)
class Explorer:
    """Visits every state of one shape."""

    system: System
    exact: bool = False
    depth: int = 1000
    found: Found = field(default_factory=lambda: Found(shapes=1))
    _path: tuple[str, ...] = ()

    def all(self) -> Found:
        """Raises WrongError with the way that led to it."""
        first = self.system.state()
        ways: dict[Any, tuple[str, ...]] = {self.key(first): ()}
        waiting = deque([(first, ways[self.key(first)])])
        while waiting:
            state, way = waiting.popleft()
            self.found.states += 1
            self._path = way
            self._looked_at(state)
            if len(way) >= self.depth:
                continue
            for name, verb in self.verbs(state):
                for number, left in self._run(state, name, verb):
                    key = self.key(left)
                    if key not in ways:
                        ways[key] = (*way, f"{name} killed at {number}" if number else name)
                        waiting.append((left, ways[key]))
        return self.found

    def key(self, left: Left) -> Any:
        """What the runner's next step depends on."""
        if self.exact:
            return left
        trail = _newest(left)
        names = [name for name, _ in left.books]
        # Times, digests and running numbers are not the same twice; what kinds of files lie there is.
        others = frozenset(re.sub(r"[0-9a-f]{8,}|\d{6}", "#", name) for name in names if not name.endswith("journal.jsonl"))
        return (_summed(trail), others, _signed(left), self._head(left), left.things)

    @staticmethod
    def _head(left: Left) -> bool:
        """Whether the head lags behind: by how many entries does not matter."""
        books = dict(left.books)
        head = json.loads(books["journal/head"]) if "journal/head" in books else {"seq": 0}
        lines = [len(data.splitlines()) for name, data in books.items() if name.endswith("journal.jsonl")]
        return max(lines, default=0) > int(head["seq"])

    # ---- what can be done

    def verbs(self, left: Left) -> Iterator[tuple[str, Callable[[], runner.Outcome]]]:
        self.system.restore(left)
        shown = standing(self.system)
        if shown is None:
            yield "apply", self.system.apply
            return
        if shown.finished:
            return
        if not shown.rolling_back:
            yield "resume", self.system.resume
            if shown.numbers([State.WAITING]) and shown.end is None and _signed(left) < 3:
                yield "approve", self.system.approve
            for number in _questions(self.system, shown):
                if dict(left.things).get(str(number), NEW) == NEW:  # nobody says what is not so
                    yield f"resume --done {number}", partial(self.system.resume, {number: Said.DONE})
                yield f"resume --again {number}", partial(self.system.resume, {number: Said.AGAIN})
        yield "rollback", self.system.rollback

    def _run(self, left: Left, name: str, verb: Callable[[], runner.Outcome]) -> list[tuple[int, Left]]:
        """Run a verb; returns every state that a kill in it leaves, and (as number 0) the one that it ends in."""
        system = self.system
        system.restore(left)
        before = standing(system)
        seen: dict[Left, int] = {}
        moments = itertools.count(1)

        def watch() -> None:
            self.found.kills += 1
            seen.setdefault(system.state(), next(moments))

        system.watch = watch
        try:
            ended = refused(verb)
        finally:
            system.watch = _nothing
        self.found.verbs += 1
        after = system.state()
        seen.pop(after, None)
        self._judge(name, before, ended)
        return [(0, after), *((number, state) for state, number in seen.items())]

    # ---- what must hold

    def demand(self, holds: object, otherwise: str) -> None:
        if not holds:
            trail = self.system.trail()
            lines = [f"{entry.kind} {entry.step} {dict(entry.data)}" for entry in trail.entries] if trail else []
            way = " -> ".join(self._path) or "the start"
            raise WrongError("\n".join([f"{self.system.shape}: {way}: {otherwise}", f"  the system: {self.system.things}", *(f"  {line}" for line in lines)]))

    def _looked_at(self, left: Left) -> None:
        """What holds of every state, whoever comes next."""
        system = self.system
        system.restore(left)
        shown = standing(system)
        self.demand(not any(SECRET.encode() in data for _, data in left.books), "a secret in the books")
        journals.verify_chain(system.journals)
        if shown is None:
            self.demand(system.all_old and not system.started, "nothing was begun, and something changed")
        else:
            for number, step in enumerate(shown.steps, start=1):
                self.demand(self._old(number) or step.may_have_changed, f"step {number} left something, and the journal does not know")
        self._status(shown)
        if shown is not None:
            self._not_applied_again(left)

    def _old(self, number: int) -> bool:
        return self.system.things.get(str(number), OLD) == OLD

    def _status(self, shown: Standing | None) -> None:
        """The screen says what is so, and the command that it names does what it says."""
        system = self.system
        text = status_text(system.site, now=NOW)
        if "done and verified" in text:
            self.demand(system.all_new, f"status says done:\n{text}")
        if "everything is as it was" in text or "none was ever begun" in text:
            self.demand(system.all_old, f"status says undone:\n{text}")
        if not system.all_old and not system.all_new:
            self.demand(any(word in text for word in ("UNFINISHED", "HALF-CHANGED", "NOT VERIFIED", "WAITS for a human")), f"status hides a change:\n{text}")
        following = text.rpartition("next: ")[2]
        digits = short(system.stored.digest)
        if shown is None:
            self.demand(following.startswith(f"interlock apply {digits}"), f"an approved plan can be applied, and status says:\n{text}")
        elif not shown.finished:
            verbs = ["rollback"] if shown.rolling_back else ["approve", "resume"] if shown.numbers([State.WAITING]) else ["resume"]
            self.demand(any(following.startswith(f"interlock {verb} {digits}") for verb in verbs), f"{verbs} is next, and status says:\n{text}")
            for number in _open_questions(system, shown):
                self.demand(f"--done {number}" in text, f"nobody but a human can say what became of step {number}, and status does not ask:\n{text}")

    def _not_applied_again(self, left: Left) -> None:
        system = self.system
        system.restore(left)
        ended = refused(system.apply)
        self.demand(isinstance(ended, StaleError | HalfChanged), f"a plan was applied twice: {ended}")
        self.demand(not system.started and tuple(sorted(system.things.items())) == left.things, "a refused apply changed something")

    def _judge(self, name: str, before: Standing | None, ended: runner.Outcome | InterlockError) -> None:
        """What holds after a verb that was not killed."""
        system = self.system
        now = standing(system)
        self.demand(not system.wrong, f"{name}: {system.wrong}")
        self._path = (*self._path, name) if not self._path or self._path[-1] != name else self._path
        try:
            if name == "approve":
                self.demand(isinstance(ended, runner.Outcome), f"could not sign: {ended}")
                return
            self.demand(isinstance(ended, runner.Outcome), f"{name} was refused: {ended!r}")
            assert isinstance(ended, runner.Outcome)
            assert now is not None
            end = now.end
            self.found.ends[str(end)] = self.found.ends.get(str(end), 0) + 1
            self._ended(name, end, now, ended)
            self._programs(name, before)
        finally:
            self._path = self._path[:-1]

    def _ended(self, name: str, end: End | None, now: Standing, ended: runner.Outcome) -> None:
        system = self.system
        shape = system.shape
        code = ended.exit_code
        match end:
            case End.DONE:
                self.demand(system.all_new, f"{name}: done, and not all is new")
                self.demand(shape.postflight and not FAILING.intersection(shape.steps), f"{name}: done, and it cannot be")
                self.demand(code == (0 if shape.evidence else 17), f"{name}: done, and the exit code is {code}")
            case End.UNDONE:
                self.demand(system.all_old, f"{name}: undone, and not all is old")
                expected = 16 if name != "rollback" else 0 if shape.evidence else 17
                self.demand(code == expected, f"{name}: undone, and the exit code is {code}")
            case End.HALF:
                self.demand(code == 18, f"{name}: half, and the exit code is {code}")
                self._named(name, now, ended.text)
            case End.UNVERIFIED:
                self.demand(code == 18 and not shape.postflight, f"{name}: unverified, and the exit code is {code}")
                self.demand(system.all_new, f"{name}: every step is said to be done")
            case None:
                self.demand(code == 13 and now.numbers([State.WAITING]) and name != "rollback", f"{name}: not ended, and the exit code is {code}")
        for word in ("staged 1a", "staged 1b", "staged 2a", "staged 2b"):
            self.demand(end is None or word not in system.things, f"{name}: {word} is left")

    def _named(self, name: str, now: Standing, text: str) -> None:
        """A half-changed end names exactly what is not as it was: what is left, and what has no undo or one that failed."""
        left = list(now.end_data["left"])
        plan = self.system.stored.plan
        for number, step in enumerate(plan.steps, start=1):
            self.demand(self._old(number) or number in left, f"{name}: step {number} is left, and not named")
            self.demand(number not in left or f"step {number}, {step.kind}" in text, f"{name}: step {number} is left, and the operator is not told")
            undoable = has_undo(step) and not self.system.shape.steps[number - 1].startswith("undo-fails")
            self.demand(number not in left or not undoable, f"{name}: step {number} is named, and was put back")
        self.demand(left, f"{name}: half, and nothing is named")

    def _programs(self, name: str, before: Standing | None) -> None:
        """No command is run again that is known to be done, or of which only a human knows."""
        started = [(what, int(number)) for what, number in self.system.started if what in ("do", "break", "vanish")]
        self.demand(len(started) == len(set(started)), f"{name}: ran twice: {started}")
        for _, number in started:
            state = before.steps[number - 1].state if before is not None else State.PENDING
            self.demand(state in (State.PENDING, State.UNDERWAY), f"{name}: step {number} was {state}, and ran again")
            if state is State.UNDERWAY and number in _open_questions(self.system, before):
                self.demand(name == f"resume --again {number}", f"{name}: step {number} ran again, and nobody said so")
            self.demand(name != "rollback", f"{name}: a rollback does nothing anew")


def _nothing() -> None:
    """Nobody watches."""


def _signed(left: Left) -> int:
    """How many approvals lie there."""
    return sum(name.startswith("approvals/") and name.endswith(".json") for name, _ in left.books)


def _newest(left: Left) -> Trail | None:
    """The newest journal that has an entry."""
    for name, data in reversed(left.books):
        if name.endswith("journal.jsonl"):
            trail = Trail.parse(data, id=name.split("/")[1], where=name)
            if trail.entries:
                return trail
    return None


def _summed(trail: Trail | None) -> Any:
    """A standing without its times and digests; how many bytes are torn does not matter, that some are does."""
    if trail is None:
        return None
    shown = Standing.of(trail)
    told = [(step.state, _plain(step.data), step.spawned is not None) for step in shown.steps]
    return (tuple(told), shown.rolling_back, shown.end, _plain(shown.end_data), trail.torn > 0)


def _plain(data: Any) -> str:
    return re.sub(r"sha256:[0-9a-f]+|\"nonce\":\"[0-9a-f]+\"", "#", json.dumps(data, sort_keys=True, separators=(",", ":"), default=str))


def _questions(system: System, shown: Standing) -> list[int]:
    return [number for number in shown.numbers([State.UNDERWAY]) if isinstance(system.stored.plan.steps[number - 1], CommandPlan)]


def _open_questions(system: System, shown: Standing | None) -> list[int]:
    """Commands under way of which nobody but a human can tell."""
    if shown is None or shown.rolling_back:
        return []
    steps = system.stored.plan.steps
    return [number for number in _questions(system, shown) if getattr(steps[number - 1], "done", None) is None]


def explore(folder: Path, shapes: Iterable[Shape], *, exact: bool = False, depth: int = 1000) -> Found:
    """Every shape, one after the other. Raises WrongError at the first promise that is not kept."""
    total = Found()
    current: list[System] = []
    with simulated(lambda: current[-1]):
        for shape in shapes:
            current.append(_Starting())  # type: ignore[arg-type]
            current.append(System.laid_out(folder, shape))
            total.add(Explorer(current[-1], exact=exact, depth=depth).all())
    return total


class _Starting:
    """Stands in while the site is laid out: nobody watches."""

    @staticmethod
    def watch() -> None:
        """Not yet."""


FEW = (
    Shape(steps=("command-oneway",)),
    Shape(steps=("undo-fails-once",), postflight=False),
    Shape(steps=("word",), at_terminal=True, evidence=False),
    Shape(steps=("endpoint-files",)),
    Shape(steps=("gate", "verify-fails")),
)
PAIRS = (
    *("backup command", "backup files-fail", "files command-blind", "files endpoint-unanswered", "files gate-shut", "command word", "word word"),
    *("command-oneway command-fails", "command-oneway word", "command-unchecked verify-fails", "command-vanishes files", "undo-fails command-fails"),
    *("undo-fails-once gate-shut", "word command-blind", "gate endpoint-not-ready", "endpoint command-fails-oneway", "endpoint-files word"),
    *("compose command-fails", "files compose-fails", "compose files", "compose compose-fails", "word compose"),
    *("done-already command-fails", "command needs-more", "command-blind command-blind"),
)
LONG = ("files compose command-fails", "backup files command verify", "gate word endpoint verify", "command-oneway word gate-shut")


def all_shapes() -> Iterator[Shape]:
    """Every kind of step alone, before a postflight that is open and one that is shut; pairs of which one goes back over the other; and longer ones."""
    yield from FEW
    for name, postflight in itertools.product(KINDS, (True, False)):
        yield Shape(steps=(name,), postflight=postflight)
    yield from (Shape(steps=(name,), evidence=False) for name in ("command", "command-fails", "undo-fails"))
    yield from (Shape(steps=tuple(pair.split())) for pair in PAIRS)
    yield from (Shape(steps=tuple(pair.split()), postflight=False) for pair in PAIRS[:4])
    yield from (Shape(steps=tuple(steps.split()), at_terminal=True) for steps in LONG)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--profile", choices=("test", "prove"), default="test")
    asked = arguments.parse_args()
    began = time.process_time()
    found = explore(asked.folder, FEW if asked.profile == "test" else all_shapes())
    print(json.dumps({**dataclasses.asdict(found), "seconds": round(time.process_time() - began)}))


if __name__ == "__main__":
    main()
