"""How does a program of the operator's run? As an argument tuple in a session of its own, with a time limit, and known to the journal before it does anything.

The program is started behind a door: `sh` waits for one line before it becomes the program. The journal writes the process id in between, so that after a
crash of ours nobody takes a deployment that still runs for one that has ended. Its output is redacted as it comes; the last 4 KB of each kind are kept.
"""

from __future__ import annotations

import dataclasses
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from interlock.act.outcome import Bench, StepDone, StepFailed, Stream
from interlock.gate.journal import Result, Spawned
from interlock.gate.plan import CommandPlan
from interlock.nouns import dataclass
from interlock.observe.caller import boot_id, process_started

TAIL = 4096  # bytes kept of each output
_DOOR = ("/bin/sh", "-c", 'read -r interlock_go || exit 125; exec "$@" </dev/null', "interlock")
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_AFTER_EXIT = 0.5  # seconds that a program's children may keep its output open
_LOOK_AROUND = 0.1  # seconds between two looks whether to stop
_CHUNK = 65536
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


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
    if step.done is not None and _run_check(step.done, step, bench).well:
        return StepDone(result=Result.NOT_NEEDED, changed=again, data={"done_check": "held before"})
    if again and step.done is None:
        raise StepFailed(
            f"nobody knows whether {step.argv[0]} had ended when the runner died",
            why="it has no `done` check",
            remedy="look, then say it: `interlock resume PLAN --done STEP` or `--again STEP`; or roll back",
            changed=True,
        )
    ran = run(step.argv, step, bench)
    if not ran.well:
        raise StepFailed(f"{step.argv[0]} {ran}", changed=True, data=ran.to_json())
    if step.done is not None and not _run_check(step.done, step, bench).well:
        raise StepFailed(f"{step.argv[0]} ended with 0, but its `done` check does not hold", changed=True, data=ran.to_json())
    return StepDone(data=ran.to_json())


def undo_command(step: CommandPlan, bench: Bench) -> StepDone:
    """Run its undo. Raises StepFailed when it has none, or it does not end well."""
    bench.check_undo()
    if step.undo is None:
        raise StepFailed(f"{step.argv[0]} has no undo", remedy="put back by hand what it did", changed=True)
    ran = run(step.undo, step, bench)
    if not ran.well:
        raise StepFailed(f"the undo {step.undo[0]} {ran}", changed=True, data=ran.to_json())
    return StepDone(data=ran.to_json())


def _run_check(argv: tuple[str, ...], step: CommandPlan, bench: Bench) -> Ran:
    """A check only looks, so nothing is lost when it is cut short: it is not announced, nor heard."""
    return run(argv, step, dataclasses.replace(bench, announce=lambda _spawned: None, hear=lambda _line: None))


def run(argv: tuple[str, ...], step: CommandPlan, bench: Bench) -> Ran:
    """Run a program of a step to its end. Raises StepFailed, with nothing changed, when it cannot be started; whatever `announce` raises, then it never ran."""
    _demand_program(argv[0], step.directory, bench.environ)
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            (*_DOOR, *argv),
            cwd=step.directory,
            env=bench.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise StepFailed(f"{argv[0]} cannot be started", where=step.directory, why=error.strerror or str(error), changed=False) from error
    with process:
        try:
            bench.announce(Spawned(pid=process.pid, started=process_started(process.pid) or 0, boot=boot_id()))
            _open_door(process)
            listening = _Listening(process, until=began + step.timeout, bench=bench)
            listening.listen()
        except BaseException:
            _end(process)
            raise
    out, err = listening.texts()
    return Ran(code=process.returncode, stopped=listening.stopped, out=out, err=err, seconds=time.monotonic() - began)


def still_running(spawned: Spawned) -> bool:
    """True while the program that a journal names has not ended."""
    return spawned.boot == boot_id() and process_started(spawned.pid) == spawned.started


def _demand_program(program: str, directory: str, environ: Mapping[str, str]) -> None:
    there = os.access(Path(directory, program), os.X_OK) if "/" in program else shutil.which(program, path=environ.get("PATH")) is not None
    if not there:
        raise StepFailed(f"there is no program {program}", where=directory, remedy="install it, or correct the action in the site file", changed=False)


def _open_door(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.close()


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


class _Listening:
    """Takes a program's output until it has ended, is to be stopped, or its time is over."""

    def __init__(self, process: subprocess.Popen[bytes], *, until: float, bench: Bench) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._until = until
        self._interrupted = bench.interrupted
        self._out, self._err = _Tail(bench.redacting()), _Tail(bench.redacting())
        self._tails: dict[Any, _Tail] = {process.stdout: self._out, process.stderr: self._err}
        self._lines = {file: _Lines(bench.hear) for file in self._tails}
        self._ended_at: float | None = None
        self.stopped = ""

    def listen(self) -> None:
        """What a child that lives on writes after the program itself has ended is not waited for."""
        with selectors.DefaultSelector() as selector:
            for file in self._tails:
                selector.register(file, selectors.EVENT_READ)
            while not self._over():
                if not selector.get_map():
                    self._wait()
                for key, _ in selector.select(_LOOK_AROUND) if selector.get_map() else ():
                    self._take(key.fileobj, selector)
        if self.stopped:
            _end(self._process)

    def texts(self) -> tuple[str, str]:
        """The ends of both outputs."""
        for lines in self._lines.values():
            lines.end()
        return self._out.text(), self._err.text()

    def _over(self) -> bool:
        now = time.monotonic()
        if self._process.poll() is not None:
            self._ended_at = self._ended_at or now
            return self._quiet or now >= self._ended_at + _AFTER_EXIT
        if now >= self._until:
            self.stopped = "did not end in time, and was stopped"
        elif signal_name := self._interrupted():
            self.stopped = f"was stopped: {signal_name}"
        return bool(self.stopped)

    @property
    def _quiet(self) -> bool:
        """True once both outputs are at their end."""
        return not self._tails

    def _wait(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LOOK_AROUND)

    def _take(self, file: Any, selector: selectors.BaseSelector) -> None:
        data = os.read(file.fileno(), _CHUNK)
        if data:
            self._tails[file].feed(data)
            self._lines[file].feed(data)
        else:
            selector.unregister(file)
            del self._tails[file]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the program and its whole group to end, then make them; a group that outlives its leader is killed, too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
