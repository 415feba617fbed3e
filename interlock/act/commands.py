"""How does a program of the operator's run? As an argument tuple in a session of its own, with a time limit, and known to the journal before it does anything.

The program waits behind a door (`interlock.act.programs`). The journal writes the process id in between, so that after a crash of ours nobody takes a
deployment that still runs for one that has ended. Its output is redacted as it comes; the last 4 KB of each kind are kept. On another host it is ended
when the connection is: what nobody leads does not go on there.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from interlock.act.hands import Hearing
from interlock.act.outcome import Bench, StepDone, StepFailed, Stream
from interlock.act.programs import GRACE
from interlock.errors import CouldNotLook, InterlockError, LockHeld
from interlock.gate.journal import Result, Spawned
from interlock.gate.plan import CommandPlan, ComposePlan
from interlock.nouns import dataclass
from interlock.observe.eyes import Eyes, Refused
from interlock.observe.serving import SILENCE
from interlock.patterns import regex

TAIL = 4096  # bytes kept of each output
_COLOUR = regex(rb"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program ended. `code` is negative for a signal; `stopped` says why we ended it, empty when it ended itself; `seconds` its duration."""

    code: int
    stopped: str
    out: str
    err: str
    seconds: float

    @property
    def well(self) -> bool:
        """True when it ended by itself, with 0."""
        return self.code == 0 and not self.stopped

    def __str__(self) -> str:
        """`ended with 3`, `was killed by SIGKILL`, `did not end within 10 s`; then the last line that it wrote."""
        if self.stopped:
            ended = self.stopped
        elif self.code < 0:
            ended = f"was killed by {signal.Signals(-self.code).name}"
        else:
            ended = f"ended with {self.code}"
        said = (self.err.strip() or self.out.strip()).splitlines()
        return f"{ended}: {said[-1].strip()}" if said else ended

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {"exit": self.code, "stopped": self.stopped, "stdout": self.out, "stderr": self.err, "milliseconds": round(self.seconds * 1000)}


def do_command(step: CommandPlan, bench: Bench, *, again: bool) -> StepDone:
    """Run it, unless its `done` check says that it need not; afterwards that check must hold. Raises StepFailed.

    `again`: it was started before, and nobody knows how far it got. Without a `done` check that is for a human to say.
    """
    bench.check()
    if step.done is not None and _run_check(step.done, step, bench, changed=again).well:
        return StepDone(result=Result.NOT_NEEDED, changed=again, data={"done_check": "held before"})
    if again and step.done is None:
        raise StepFailed(
            f"nobody knows whether {step.argv[0]} had ended when the runner died",
            why="it has no `done` check",
            remedy="look, then say it: `interlock resume PLAN --done STEP` or `--again STEP`; or roll back",
            changed=True,
        )
    _demand_inputs(step, bench, again=again)
    ran = run(step.argv, step, bench)
    if not ran.well:
        raise StepFailed(f"{step.argv[0]} {ran}", changed=True, data=ran.to_json())
    if step.done is not None and not _run_check(step.done, step, bench, changed=True).well:
        raise StepFailed(f"{step.argv[0]} ended with 0, but its `done` check does not hold", changed=True, data=ran.to_json())
    return StepDone(data=ran.to_json())


def undo_command(step: CommandPlan, bench: Bench) -> StepDone:
    """Run its undo. Raises StepFailed when it has none, or it does not end well."""
    bench.check_undo()
    if step.undo is None:
        raise StepFailed(f"{step.argv[0]} has no undo", remedy="put back by hand what it did", changed=True)
    try:
        bench.reach.anew(step.host)
    except InterlockError as error:
        what = f"nobody knows what {step.argv[0]} has left on {step.host}: {error.what}"
        raise StepFailed(what, where=error.where, why=error.why, remedy=error.remedy, changed=True) from error
    ran = run(step.undo, step, bench)
    if not ran.well:
        raise StepFailed(f"the undo {step.undo[0]} {ran}", changed=True, data=ran.to_json())
    return StepDone(data=ran.to_json())


def _run_check(argv: tuple[str, ...], step: CommandPlan, bench: Bench, *, changed: bool) -> Ran:
    """A check only looks, so nothing is lost when it is cut short: it is not announced, nor heard. `changed`: what a failure of it says of the step."""
    try:
        return run(argv, step, dataclasses.replace(bench, announce=lambda _spawned: None, hear=lambda _line: None))
    except StepFailed as failure:
        raise StepFailed(failure.what, where=failure.where, why=failure.why, remedy=failure.remedy, changed=changed) from failure


def run(argv: tuple[str, ...], step: CommandPlan | ComposePlan, bench: Bench) -> Ran:
    """Run a program of a step to its end, on the step's host.

    Raises StepFailed, with nothing changed, when it cannot be started, and with `changed` when the host was lost while it ran: nobody knows how it ended
    then. Whatever `announce` raises, then it never ran.
    """
    told = _Told(bench, step.host)
    try:
        ended = bench.reach.now(step.host).conduct(argv, step.directory, bench.environ, step.timeout, told)
    except Refused as error:
        raise StepFailed(error.what, where=error.where, why=error.why, remedy=error.remedy, changed=False) from error
    except OSError as error:
        if told.announced:
            raise
        raise StepFailed(f"{argv[0]} cannot be started", where=step.directory, why=error.strerror or str(error), changed=False) from error
    except (CouldNotLook, LockHeld) as error:
        raise _lost(argv[0], step.host, error, announced=told.announced) from error
    bench.reach.leaves(step.host, None)
    out, err = told.texts()
    return Ran(code=ended["code"], stopped=ended["stopped"], out=out, err=err, seconds=ended["seconds"])


def _lost(program: str, host: str, error: InterlockError, *, announced: bool) -> StepFailed:
    if not announced:
        return StepFailed(f"{program} was not started", where=host, why=f"{error.what}: {error.why}", remedy=error.remedy, changed=False)
    why = f"{error.why}; it is ended there once {host} notices, within {SILENCE + GRACE:.0f} s"
    return StepFailed(f"nobody knows how far {program} got: {error.what}", where=host, why=why, remedy=error.remedy, changed=True)


def still_running(spawned: Spawned, eyes: Eyes | None = None) -> bool:
    """True while the program that a journal names has not ended. `eyes` are those of its host; this machine's, when not given. Raises CouldNotLook."""
    return (eyes or Eyes()).running(spawned.pid, spawned.started, spawned.boot)


def _demand_inputs(step: CommandPlan, bench: Bench, *, again: bool) -> None:
    """Its program and the files that its arguments name are those of the plan. What it may have changed itself, when it was started before, is not asked."""
    own = {str(Path(step.directory, part)) for part in step.argv[1:]} if again else set()
    planned = {file.path: file.digest for file in step.inputs if file.path not in own}
    try:
        found = bench.reach.now(step.host).digests(sorted(planned)) if planned else {}
    except (OSError, CouldNotLook, LockHeld) as error:
        raise StepFailed("what it runs cannot be looked at", where=step.host, why=str(error).replace("\n", "; "), changed=False) from error
    for path, digest in planned.items():
        if found.get(path) != digest:
            raise StepFailed(
                f"{path} is not the one that was planned",
                where=path,
                why=f"it comes to {found.get(path, 'nothing')}, not to {digest}",
                remedy="make a new plan, and have it approved; no command before it may change it",
                changed=False,
            )


class _Tail:
    """The end of one output, redacted on the way."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._kept = b""
        self._cut = False

    def feed(self, data: bytes) -> None:
        self._keep(self._stream.feed(data))

    def _keep(self, data: bytes) -> None:
        joined = self._kept + data
        self._cut = self._cut or len(joined) > TAIL
        self._kept = joined[-TAIL:]

    def text(self) -> str:
        self._keep(self._stream.close())
        return ("[...]" if self._cut else "") + self._kept.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


class _Lines:
    """Tells each line of one output as soon as it is whole, and the rest of the last one at its end."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear
        self._begun = b""

    def feed(self, data: bytes) -> None:
        *whole, self._begun = (self._begun + data).split(b"\n")
        for line in whole:
            self._tell(line)
        if len(self._begun) > TAIL:
            self.end()

    def end(self) -> None:
        if self._begun:
            self._tell(self._begun)
        self._begun = b""

    def _tell(self, line: bytes) -> None:
        self._hear(_COLOUR.sub(b"", line).rstrip(b"\r").decode("utf-8", "replace"))


class _Told(Hearing):
    """Keeps what a program says, and tells the journal and the human of it."""

    def __init__(self, bench: Bench, host: str) -> None:
        self._bench, self._host = bench, host
        self._tails = {"out": _Tail(bench.redacting()), "err": _Tail(bench.redacting())}
        self._lines = {output: _Lines(bench.hear) for output in self._tails}
        self.announced = False

    def announce(self, spawned: Mapping[str, Any]) -> None:
        program = Spawned(pid=int(spawned["pid"]), started=int(spawned["started"]), boot=str(spawned["boot"]))
        self._bench.announce(program)
        self._bench.reach.leaves(self._host, program)
        self.announced = True

    def hear(self, output: str, data: bytes) -> None:
        self._tails[output].feed(data)
        self._lines[output].feed(data)

    def asked(self) -> str:
        name = self._bench.interrupted()
        return f"was stopped: {name}" if name else ""

    def texts(self) -> tuple[str, str]:
        """The ends of both outputs."""
        for lines in self._lines.values():
            lines.end()
        return self._tails["out"].text(), self._tails["err"].text()
