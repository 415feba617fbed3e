"""Run a program as a human would: in a session of its own, with a terminal of its own, and an environment that no CI job left its marks on."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.act_bench import child_environ

INTERLOCK = (sys.executable, "-m", "interlock")
MARKS = re.compile(r"^(CI|GITHUB_|GITLAB_|GITEA_|FORGEJO_|DRONE|WOODPECKER|BUILDKITE|JENKINS|TF_BUILD|INVOCATION_ID|SYSTEMD_EXEC_PID|PYTEST_|COV_CORE|GIT_)")

# The first program of a new session takes the terminal as its own, and becomes what is to be run.
OWN_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


@dataclass(frozen=True)
class Shown:
    """How it ended, and all that the terminal showed."""

    code: int
    text: str


def human_environ(home: Path, **more: str) -> dict[str, str]:
    """The environment of a human at a terminal on this machine."""
    kept = {name: value for name, value in child_environ().items() if not MARKS.match(name) and name != "SSH_AUTH_SOCK"}
    return {**kept, "HOME": str(home), "TERM": "xterm", **more}


def in_terminal(
    argv: Sequence[str], environ: Mapping[str, str], folder: Path, *, replies: Sequence[tuple[str, str | Callable[[str], str]]] = (), limit: float = 60
) -> Shown:
    """Run it to its end. Each reply is a pattern to wait for and the line that is typed then, or what makes it of the text until there, in this order."""
    ours, theirs = pty.openpty()

    process = subprocess.Popen(
        (sys.executable, "-S", "-c", OWN_TERMINAL, *argv), stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=folder, start_new_session=True
    )
    os.close(theirs)
    try:
        text = _converse(ours, process, list(replies), time.monotonic() + limit)
        return Shown(process.wait(limit), text)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)


def _converse(terminal: int, process: subprocess.Popen[bytes], replies: list[tuple[str, str | Callable[[str], str]]], until: float) -> str:
    text, answered = "", 0
    while time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # EIO: everybody has closed it
                return text
            text += data.decode("utf-8", "replace").replace("\r\n", "\n")
            if replies and (match := re.search(replies[0][0], text[answered:])):
                time.sleep(0.05)  # as a human would, after the question is out
                reply = replies.pop(0)[1]
                os.write(terminal, (reply if isinstance(reply, str) else reply(text)).encode() + b"\n")
                answered += match.end()
        elif process.poll() is not None:
            return text
    raise AssertionError(f"it did not end; shown until then:\n{text}")
