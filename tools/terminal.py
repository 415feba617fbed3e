"""How does a script show what an operator would see? A real shell on a real pseudo-terminal, typed into visibly.

    with Shell(who="planner", ...) as planner:
        planner.type("interlock preflight", exit_code=1)
        planner.type("interlock approve plan.json", replies=[Reply(after="first 8 characters.*: ", say=first_eight)])

Nothing is simulated: the commands run as children of an interactive shell that leads its own session and owns its own terminal, so programs that want a human
at a terminal find one, also where this script runs without any.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.postgres import dies_with_parent, stop

SIZE = (120, 50)  # columns and rows where nobody's terminal says another
READ_BYTES = 65536
KEY_DELAY_S = 0.012  # how fast keys are typed when a human watches


class ShownWrongError(Exception):
    """What came out on the terminal is not what the script expected; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is typed once the pattern `after` stands at the end of the output; `say` makes it from all that the command has shown."""

    after: str
    say: Callable[[str], str]


@dataclass(slots=True, kw_only=True)
class Shell:
    """An interactive shell of one person. `environ` is its whole environment; `limit_s` bounds each command."""

    who: str
    environ: Mapping[str, str]
    folder: Path
    limit_s: float = 120
    show: Callable[[str], None] = field(default_factory=lambda: _show)
    _terminal: int = -1
    _held: str = ""  # a prompt is shown when something is typed after it: two terminals share one screen here
    _process: subprocess.Popen[bytes] | None = None
    _decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))

    def __enter__(self) -> Self:
        self._terminal, inner = pty.openpty()
        columns, rows = shutil.get_terminal_size(SIZE)
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        die = dies_with_parent(signal.SIGHUP)

        def own_terminal() -> None:
            die()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self._process = subprocess.Popen(
            _interactive_shell(),
            cwd=self.folder,
            env={**self.environ, "PS1": f"{self.who} [$?] $ ", "PS2": "> "},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=own_terminal,  # noqa: PLW1509, no other thread runs here
        )
        os.close(inner)
        self._until(self._prompt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None
        session = self._process.pid
        os.close(self._terminal)  # hangs up: the kernel tells the session
        stop(self._process, signal.SIGHUP, signal.SIGKILL)
        for straggler in _processes_of(session):
            with suppress(ProcessLookupError):
                os.kill(straggler, signal.SIGKILL)

    @property
    def _prompt(self) -> re.Pattern[str]:
        return re.compile(rf"(?:^|\n|\r){re.escape(self.who)} \[(\d+)\] \$ \Z")

    def type(self, command: str, *, exit_code: int | None = 0, replies: Sequence[Reply] = ()) -> str:
        """Type a command, answer what it asks, wait for the next prompt. Returns what it showed.

        Raises ShownWrongError when it ends with another code than `exit_code` (None: any), or does not end.
        """
        self.show(self._held)
        self._held = ""
        self._keys(command + "\n")
        shown = ""
        for reply in replies:
            shown += self._until(re.compile(f"(?:{reply.after})\\Z"), also=self._prompt)
            if self._prompt.search(shown):
                raise ShownWrongError(f"`{command}` ended without asking for {reply.after!r}")
            self._keys(reply.say(shown) + "\n")
        shown += self._until(self._prompt)
        ended = self._prompt.search(shown)
        assert ended is not None
        if exit_code is not None and int(ended[1]) != exit_code:
            raise ShownWrongError(f"`{command}` ended with {ended[1]}, expected {exit_code}")
        return shown[: ended.start()]

    def _keys(self, text: str) -> None:
        delay = KEY_DELAY_S if sys.stdout.isatty() else 0
        for key in text if delay else [text]:
            os.write(self._terminal, key.encode())
            time.sleep(delay)

    def _until(self, pattern: re.Pattern[str], also: re.Pattern[str] | None = None) -> str:
        """Show and return what comes until `pattern` (or `also`) stands at its end."""
        seen, limit = "", time.monotonic() + self.limit_s
        while not (pattern.search(seen) or (also and also.search(seen))):
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                raise ShownWrongError(f"{self.who}'s terminal did not show {pattern.pattern!r} within {self.limit_s:.0f} s")
            try:
                data = os.read(self._terminal, READ_BYTES)
            except OSError as error:  # EIO: the shell has gone
                raise ShownWrongError(f"{self.who}'s shell ended before it showed {pattern.pattern!r}") from error
            text = self._decoder.decode(data).replace("\r\n", "\n")
            seen += text
            self._show_but_prompt(text)
        return seen

    def _show_but_prompt(self, text: str) -> None:
        """Show what came; hold back a last line that is, or may become, the prompt."""
        begun, start = self._held + text, f"{self.who} ["
        line = begun.rpartition("\n")[2]
        self._held = line if line and (start.startswith(line) or line.startswith(start)) else ""
        self.show(begun.removesuffix(self._held))


def _interactive_shell() -> tuple[str, ...]:
    """dash edits no lines and so sends no escape sequences of its own; bash does not when told."""
    dash = shutil.which("dash")
    return (dash, "-i") if dash else (shutil.which("bash") or "bash", "--noediting", "--noprofile", "--norc", "-i")


def _processes_of(session: int) -> Sequence[int]:
    """The processes of a session that are still there."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(status.parent.name))
    return found


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
