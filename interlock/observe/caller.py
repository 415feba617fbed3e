"""Who started this process? Reads its environment's names and its ancestors from /proc; `interlock.gate.caller` judges."""

from __future__ import annotations

import getpass
import os
import socket
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from interlock.facts.callers import TOLD_BY_RUNNERS, CallerFacts, Process
from interlock.observe.eyes import process_fields

_LIMIT = 256  # ancestors; nothing is ever that deep
_LOOKS = 5  # two of them in a row must agree: processes end and begin while they are looked at
_SCREENS = ("/run/screen", "/var/run/screen", "/tmp/screens")  # noqa: S108, where screen itself keeps its sockets


def caller_facts(environ: Mapping[str, str], *, proc: Path = Path("/proc")) -> CallerFacts:
    """The facts of this process, as far as they can be read."""
    ancestors, complete = _settled(proc)
    return CallerFacts(
        environment=frozenset(environ),
        ancestors=ancestors,
        complete=complete,
        terminal_opens=_terminal_opens(),
        told=MappingProxyType({name: environ[name] for name in sorted(TOLD_BY_RUNNERS & environ.keys())}),
        attached=_attached(proc, ancestors),
    )


def who(environ: Mapping[str, str]) -> tuple[str, str]:
    """The user behind this process, for the journal (behind sudo: who called it), and this host's name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.geteuid()}"
    behind = environ.get("SUDO_USER", "")
    return (f"{user} ({behind} by sudo)" if behind and behind != user else user), socket.gethostname()


def _settled(proc: Path) -> tuple[tuple[Process, ...], bool]:
    """This process and all above it; False when one of them cannot be seen, or when no two looks agree."""
    before = _ancestors(proc)
    for _ in range(_LOOKS):
        now = _ancestors(proc)
        if now == before:
            return now
        before = now
    return before[0], False


def _ancestors(proc: Path) -> tuple[tuple[Process, ...], bool]:
    """This process and those above it, up to the first that has nobody above it; False when one could not be read."""
    found: list[Process] = []
    pid = _own_pid(proc)
    if pid is None:
        return (), False
    while pid != 0:
        process = _process(proc, pid) if len(found) < _LIMIT else None
        if process is None:
            return tuple(found), False
        found.append(process)
        pid = process.parent
    return tuple(found), True


def _own_pid(proc: Path) -> int | None:
    """What this process is called in there: where /proc is that of another namespace, it is another number than the one that it knows of itself."""
    try:
        return _number((proc / "self").readlink().name)
    except OSError:
        return None


def _process(proc: Path, pid: int) -> Process | None:
    fields = process_fields(pid, str(proc))
    if fields is None:
        return None
    folder = proc / str(pid)
    try:
        raw = (folder / "cmdline").read_bytes()
        name = (folder / "comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError:
        return None
    argv = tuple(part.decode("utf-8", "replace") for part in raw.rstrip(b"\0").split(b"\0")) if raw else ()
    variables = _environment(folder)
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        terminal=int(fields[4]),
        name=name,
        argv=argv,
        program=_program(folder),
        environment=frozenset(variable.decode("utf-8", "replace") for variable in variables),
        unit=_number(variables.get(b"SYSTEMD_EXEC_PID", b"").decode("ascii", "replace")),
    )


def _environment(folder: Path) -> dict[bytes, bytes]:
    """The environment that a process was started with; none where it may not be read. What `sudo` or `env -i` took away shows above."""
    try:
        raw = (folder / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (part.partition(b"=") for part in raw.split(b"\0") if part)
    return {name: value for name, _, value in pairs}


def _program(folder: Path) -> str:
    """The name of the file that it runs: neither argv nor a name that a process gave itself changes it. Empty where that may not be read."""
    try:
        return (folder / "exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return ""


def _attached(proc: Path, ancestors: tuple[Process, ...]) -> bool | None:
    """Does anybody look at the tmux or screen above? Both keep their socket executable exactly while a terminal is attached; None when there is none of
    them, or no socket can be found.

    Source: `server_update_socket` of tmux; `MakeServerSocket` and `screen -ls` of screen. Both are tried out in tests/integration/test_callers_real.py.
    """
    for below, server in pairwise(ancestors):
        variables = _environment(proc / str(below.pid))
        for path in _SOCKETS[server.name](variables, server.pid) if server.name in _SOCKETS else ():
            with suppress(OSError):
                return bool(path.stat().st_mode & stat.S_IXUSR)
    return None


def _of_tmux(variables: Mapping[bytes, bytes], server: int) -> list[Path]:
    """TMUX is `path,server,session`."""
    path, _, pid = variables.get(b"TMUX", b"").rpartition(b",")[0].rpartition(b",")
    return [Path(os.fsdecode(path))] if pid == str(server).encode() else []


def _of_screen(variables: Mapping[bytes, bytes], server: int) -> list[Path]:
    """STY is `server.name`, a file in SCREENDIR, or in one folder for each user."""
    name = variables.get(b"STY", b"")
    if name.partition(b".")[0] != str(server).encode():
        return []
    given = variables.get(b"SCREENDIR")
    folders = [Path(os.fsdecode(given))] if given else [folder for place in _SCREENS for folder in Path(place).glob("S-*")]
    return [folder / os.fsdecode(name) for folder in folders]


_SOCKETS: Mapping[str, Callable[[Mapping[bytes, bytes], int], list[Path]]] = {"tmux: server": _of_tmux, "tmux": _of_tmux, "screen": _of_screen}


def _terminal_opens() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
