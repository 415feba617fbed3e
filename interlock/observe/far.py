"""How is another host asked many things, one after the other, over one ssh session? Our own argv, a constant command, and everything else on stdin.

The far end runs `serving.py` and what it answers with; both ends say that they are alive, so that a cut connection is noticed here within
ServerAliveInterval times ServerAliveCountMax (15 s) and there within `serving.SILENCE` seconds. It needs python3 (3.6 or newer) on the far end.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlock.config.models import Host
from interlock.errors import CouldNotLook
from interlock.observe.conversation import FAREWELL_LIMIT, STDERR_KEPT, Ended, Stop, printable, ssh_argv, why_no_answer
from interlock.observe.eyes import Eyes, Refused
from interlock.observe.serving import ALIVE, Frames, packed

PATIENCE = 120.0  # seconds for one answer: a disk may be slow. That a host is gone shows much earlier
_READING = 3600.0  # seconds for the digests of large files
LOOKING = ("interlock.observe.eyes", "interlock.observe.serving")
_GREETING, _NO_PYTHON = b"interlock-far-end-python\n", b"interlock-far-end-none\n"
_NOISE = 64 * 1024  # bytes that a shell's start files may say before
_READ = 256 * 1024

# No quote, backslash or exclamation mark: this passes through the login shell of the other side, whichever it is (bash, dash, fish, csh).
_BEGIN = (
    "LC_ALL=C.UTF-8; export LC_ALL; for p in python3 /usr/libexec/platform-python; do command -v $p >/dev/null 2>&1 || continue; "
    '$p -I -S -c "import sys;sys.version_info<(3,6)and sys.exit(126);print(sys.argv[1],flush=True);'
    'i=sys.stdin.buffer;exec(i.read(int(i.readline())))" '
    f'"{_GREETING.decode().strip()}"; c=$?; case $c in 126|127) ;; *) exit $c;; esac; done; echo {_NO_PYTHON.decode().strip()}'
)
_COMMAND = f"sh -c '{_BEGIN}'"
_LOADER = """\
import sys, types
for name, text in {modules!r}:
    parts = name.split(".")
    for parent in (".".join(parts[:end]) for end in range(1, len(parts))):
        if parent not in sys.modules:
            sys.modules[parent] = types.ModuleType(parent)
            sys.modules[parent].__path__ = []
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
    setattr(sys.modules[name.rpartition(".")[0]], parts[-1], module)
serving = sys.modules["interlock.observe.serving"]
serving.serve(serving.Wire(0, 1), sys.modules[{where!r}].{what}())
"""


class Lost(CouldNotLook):
    """The connection to a host is gone; what was asked last may have happened or not."""


class Far:
    """One session with a host, from the first question to `close`. Not for two threads at once."""

    def __init__(self, name: str, host: Host, root: Path, *, modules: Sequence[str] = LOOKING, answering: str = "interlock.observe.eyes.Eyes") -> None:
        """Connect. Raises CouldNotLook, which says why it could not."""
        assert host.ssh is not None
        self.name, self.where = name, host.ssh.destination
        self._host = host
        self._frames, self._words, self._why = Frames(), b"", ""
        self._writing, self._ended = threading.Lock(), threading.Event()
        self._alive = threading.Thread(target=self._live, name=f"interlock holds {name}", daemon=True)
        argv = ssh_argv(host, host.ssh, root, _COMMAND)
        pipe = subprocess.PIPE
        try:  # in a session of its own: it has no terminal to ask on, and a Ctrl-C at ours does not end it
            self._process = subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, cwd="/", start_new_session=True, env=os.environ | {"LC_ALL": "C"}
            )
        except OSError as error:
            raise CouldNotLook("ssh could not be started", where=name, why=error.strerror or "", remedy="install ssh on this machine") from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ, "out")
        self._selector.register(self._process.stderr, selectors.EVENT_READ, "err")
        try:
            self._greet()
            self._say(_program(modules, answering))
            self._demand_ready(self.receive(host.timeout))
        except BaseException:
            self.close()
            raise
        self._alive.start()

    @property
    def lost(self) -> str:
        """Why there is no connection any more, empty while there is one."""
        if not self._why and self._process.poll() is not None:
            self._read(0)
            self._give_up(self._last_words())
        return self._why

    def call(self, ask: str, *arguments: Any, patience: float = PATIENCE) -> Any:
        """Ask, and wait for the answer. Raises Lost; OSError and Refused as the far end raised them; CouldNotLook for what it cannot do."""
        self.send({"ask": ask, "with": list(arguments)})
        return answer_of(self.receive(patience), self.name)

    def send(self, message: Any) -> None:
        """Raises Lost."""
        if self.lost:
            raise self._lost()
        self._say(packed(message))

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next message. Raises Lost, also when none came in time: whoever does not answer is not there."""
        until = time.monotonic() + seconds
        while (message := self.poll(until - time.monotonic())) is None:
            if time.monotonic() >= until:
                self._give_up(f"no answer within {seconds:.0f} s")
                raise self._lost()
        return message

    def poll(self, seconds: float) -> dict[str, Any] | None:
        """A message that came, or comes within so many seconds; None when none did. Raises Lost."""
        try:
            message = self._frames.next()
            if message is None and not self._why:
                self._read(seconds)
                message = self._frames.next()
        except ValueError as error:
            self._give_up(f"it answers with something that is no answer: {error}")
            raise self._lost() from error
        if message is None and self._why:
            raise self._lost()
        return message if message is None or isinstance(message, dict) else {}

    def drop(self, why: str) -> None:
        """Break off at once. The far end ends what it is doing."""
        self._give_up(why)

    def close(self) -> None:
        """End the session: the far end sees the end of its input, lets go of what it holds, and ends. Waited for, for two seconds."""
        self._ended.set()
        if self._alive.ident is not None:
            self._alive.join()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL_LIMIT)
        self._give_up("it was closed")
        for file in (self._process.stdout, self._process.stderr):
            if file is not None:
                file.close()
        self._selector.close()

    def _greet(self) -> None:
        """Wait for the far end to say what it is. Raises CouldNotLook."""
        noise, until = b"", time.monotonic() + self._host.timeout
        assert self._process.stdout is not None
        while not noise.endswith((_GREETING, _NO_PYTHON)):
            stop = Stop.TOO_LATE if time.monotonic() >= until else Stop.TOO_MUCH if len(noise) > _NOISE else None
            said = b"" if stop else self._pieces(until - time.monotonic())
            if stop or said is None:
                raise why_no_answer(self._host, self.name, self._ended_as(stop or Stop.HUNG_UP), noise=noise, started=False)
            noise += said
        if noise.endswith(_NO_PYTHON):
            why = "files are written and programs run there through it"
            raise CouldNotLook(f"host {self.name} has no python3, 3.6 or newer", where=self.where, why=why, remedy="install python3 there")

    def _demand_ready(self, message: dict[str, Any]) -> None:
        """Nothing is sent before: whoever loads the program may read ahead. Raises CouldNotLook."""
        if "ready" not in message:
            answer_of(message, self.name)

    def _ended_as(self, stop: Stop) -> Ended:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL_LIMIT)
        return Ended(stop=stop, exit_code=self._process.poll(), stderr=printable(self._words))

    def _pieces(self, seconds: float) -> bytes | None:
        """What the far end has written, perhaps nothing yet; None once it has ended."""
        said = b""
        for key, _ in self._selector.select(max(0.0, seconds)):
            data = os.read(key.fd, _READ)
            if not data:
                self._selector.unregister(key.fileobj)
            elif key.data == "err":
                self._words = (self._words + data)[-STDERR_KEPT:]
            else:
                said += data
        over = not any(key.data == "out" for key in self._selector.get_map().values())
        return None if over and not said else said

    def _read(self, seconds: float) -> None:
        said = self._pieces(seconds)
        if said is None:
            self._give_up(self._last_words())
        else:
            self._frames.feed(said)

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL_LIMIT)
        return printable(self._words) or "it hung up"

    def _give_up(self, why: str) -> None:
        self._why = self._why or why
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _lost(self) -> Lost:
        return Lost(f"the connection to {self.name} was lost", where=self.where, why=self._why, remedy="see whether the host is up, and the way to it")

    def _say(self, data: bytes) -> None:
        """Raises Lost."""
        assert self._process.stdin is not None
        try:
            with self._writing:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._process.stdin.write(rest) or 0 :]
        except (OSError, ValueError) as error:
            self._read(0)
            self._give_up(self._last_words())
            raise self._lost() from error

    def _live(self) -> None:
        """Say that we are there, until the session ends."""
        assert self._process.stdin is not None
        while not self._ended.wait(ALIVE):
            try:
                with self._writing:
                    self._process.stdin.write(packed({"alive": True}))
            except (OSError, ValueError):
                return


def answer_of(message: dict[str, Any], name: str) -> Any:
    """What an answer says. Raises what the far end raised: OSError, Refused; CouldNotLook for a fault of its own."""
    match message:
        case {"answer": answer}:
            return answer
        case {"refused": [str(what), str(where), str(why), str(remedy)]}:
            raise Refused(what, where, why, remedy)
        case {"error": [number, str(text), filename]}:
            raise OSError(number, text, filename)
        case _:
            raise CouldNotLook(f"host {name} could not do what it was asked", where=name, why=f"{message}"[:600], remedy="look at its python3")


def _program(modules: Sequence[str], answering: str) -> bytes:
    """The source that the far end runs, after its length."""
    files = [(name, Path(str(importlib.import_module(name).__file__))) for name in modules]
    texts = [(name, file.read_text(encoding="utf-8")) for name, file in files]
    where, _, what = answering.rpartition(".")
    source = _LOADER.format(modules=texts, where=where, what=what).encode("utf-8")
    return f"{len(source)}\n".encode() + source


class FarEyes(Eyes):
    """The looks of `Eyes`, at another host."""

    def __init__(self, far: Far) -> None:
        self.far = far

    def look(self, wanted: Sequence[Sequence[str]]) -> dict[str, Any]:
        return dict(self.far.call("look", wanted, patience=_READING))

    def directory(self, path: str) -> list[str]:
        return list(self.far.call("directory", path))

    def open_below(self, directory: str, real: str | None, device: str | None, folder: str) -> int:
        return int(self.far.call("open_below", directory, real, device, folder))

    def device(self, folder: int) -> str:
        return str(self.far.call("device", folder))

    def close(self, folder: int) -> None:
        self.far.call("close", folder)

    def see(self, name: str, folder: int) -> dict[str, Any] | None:
        found = self.far.call("see", name, folder)
        return None if found is None else dict(found)

    def program(self, name: str, directory: str, search: str) -> str | None:
        found = self.far.call("program", name, directory, search)
        return None if found is None else str(found)

    def digests(self, paths: Sequence[str]) -> dict[str, str]:
        return dict(self.far.call("digests", paths, patience=_READING))

    def running(self, pid: int, started: int, boot: str) -> bool:
        return bool(self.far.call("running", pid, started, boot))
