"""Was the runner asked to stop? A signal is noted, and looked at where stopping is safe: between steps, and while a program runs.

An exception out of a signal handler could fall between a journal line and its count. So nothing is raised: the step under way ends, and is undone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Interruption:
    """`requested` is the name of the signal that asked to stop, empty until then. While `ignored`, it stays so: an undo is not stopped half way."""

    noted: str = ""
    ignored: bool = False

    def requested(self) -> str:
        """Empty, or the signal's name."""
        return "" if self.ignored else self.noted


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Note the signals that ask to stop while the block runs. Outside of the main thread signals cannot be caught: they act as ever."""
    noted = Interruption()

    def note(number: int, _frame: FrameType | None) -> None:
        noted.noted = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, note) for number in _STOPPING}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
