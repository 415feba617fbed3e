"""How does a program run behind its door, and how is it ended with all its children? On the host that this code runs on.

The program is started behind a door: `sh` waits for one line before it becomes the program. Whoever started it writes its process id down in between.
In process for this machine (`interlock.act.commands`), sent to others (`interlock.act.hands`): standard library of Python 3.6 and `eyes`.
"""

# Python 3.6: no future annotations, no walrus, quoted types.

import contextlib
import os
import selectors
import signal
import subprocess
import time

from interlock.observe.eyes import Refused, boot_id, process_started, program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
LATE = "did not end in time, and was stopped"
_DOOR = ("/bin/sh", "-c", 'read -r interlock_go || exit 125; exec "$@" </dev/null', "interlock")
_AFTER_EXIT = 0.5  # seconds that a program's children may keep its output open
_LOOK_AROUND = 0.1  # seconds between two looks whether to stop
_CHUNK = 65536


class Program:
    """A program that waits behind its door until `open_door`. Whoever makes one calls `end`, or listens until it has ended."""

    def __init__(self, argv: "Sequence[str]", directory: "str", environ: "Mapping[str, str]") -> "None":
        """Raises Refused when there is no such program, OSError when it cannot be started."""
        if program(argv[0], directory, environ.get("PATH")) is None:
            raise Refused(f"there is no program {argv[0]}", where=directory, remedy="install it, or correct the action in the site file")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [*_DOOR, *argv], cwd=directory, env=dict(environ), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, bufsize=0
        )
        self._began = time.monotonic()
        self._ended_at: float | None = None

    def spawned(self) -> "dict[str, Any]":
        """Its process id, when it started in clock ticks, and in which boot: the three together are never used again."""
        return {"pid": self._process.pid, "started": process_started(self._process.pid) or 0, "boot": boot_id()}

    def open_door(self) -> "None":
        """Let it run."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()

    def listen(self, seconds: "float", asked: "Callable[[], str]", hear: "Callable[[str, bytes], None]") -> "str":
        """Pass on what it writes (`out` or `err`, and the bytes) until it has ended; after `seconds`, or once `asked` says why, it is ended. Returns that why.

        What a child that lives on writes after the program itself has ended is not waited for.
        """
        outputs = {self._process.stdout: "out", self._process.stderr: "err"}
        with selectors.DefaultSelector() as selector:
            for file in outputs:
                assert file is not None
                selector.register(file, selectors.EVENT_READ)
            while True:
                stopped = self._stopped(seconds, asked)
                if stopped or self._over(quiet=not selector.get_map()):
                    break
                self._take(selector, outputs, hear)
        if stopped:
            self.end()
        return stopped

    def _stopped(self, seconds: "float", asked: "Callable[[], str]") -> "str":
        if self._process.poll() is not None:
            return ""
        return LATE if time.monotonic() >= self._began + seconds else asked()

    def _over(self, *, quiet: "bool") -> "bool":
        if self._process.poll() is None:
            return False
        self._ended_at = self._ended_at or time.monotonic()
        return quiet or time.monotonic() >= self._ended_at + _AFTER_EXIT

    def _take(self, selector: "selectors.BaseSelector", outputs: "Mapping[Any, str]", hear: "Callable[[str, bytes], None]") -> "None":
        if not selector.get_map():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_AROUND)
            return
        for key, _ in selector.select(_LOOK_AROUND):
            data = os.read(key.fd, _CHUNK)
            if data:
                hear(outputs[key.fileobj], data)
            else:
                selector.unregister(key.fileobj)

    def end(self) -> "None":
        """Ask it and its whole group to end, then make them; a group that outlives its leader is killed, too."""
        _signal(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        _signal(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> "tuple[int, float]":
        """Let go of it once it has ended: its exit code (negative for a signal), and how many seconds it took."""
        for file in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert file is not None
            with contextlib.suppress(OSError):
                file.close()
        return self._process.wait(), time.monotonic() - self._began


def end_group(pid: "int", started: "int", boot: "str") -> "bool":
    """End a program that somebody else started, with its group. False when it lives all the same. Raises OSError when it is not ours to end."""
    if boot != boot_id():
        return True
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + GRACE
        if process_started(pid) == started:
            _signal(pid, number)
        while process_started(pid) == started:
            if time.monotonic() >= until:
                break
            time.sleep(_LOOK_AROUND)
    return process_started(pid) != started


def _signal(group: "int", number: "int") -> "None":
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
