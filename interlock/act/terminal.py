"""Is there a human, and what do they say? Asked on the controlling terminal itself: what is piped into a command answers nothing."""

from __future__ import annotations

import os
import termios

from interlock.errors import ApprovalError

_LONGEST = 4096


def ask(question: str) -> str:
    """Write to the terminal, and return the line that was typed there, without its end. Raises ApprovalError when there is no terminal, or it is closed."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise ApprovalError("there is no terminal to ask at", why=error.strerror or "", remedy="run it yourself, in a terminal on this host") from error
    try:
        termios.tcflush(descriptor, termios.TCIFLUSH)  # what was typed before the question answers nothing
        os.write(descriptor, question.encode("utf-8", "replace"))
        answer = os.read(descriptor, _LONGEST)
    except OSError as error:
        raise ApprovalError("the terminal was closed", why=error.strerror or "", remedy="run it again") from error
    finally:
        os.close(descriptor)
    return answer.decode("utf-8", "replace").rstrip("\r\n").strip()
