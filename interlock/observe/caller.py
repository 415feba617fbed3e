"""Who started this process? Reads its environment's names and its ancestors from /proc; `interlock.gate.caller` judges."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from interlock.facts.callers import CallerFacts, Process

_LIMIT = 64  # ancestors; a session is never that deep
_PASSES_ON = ("sudo", "su", "doas", "runuser")  # they open a session with a terminal of their own; whose it is stands above them


def caller_facts(environ: Mapping[str, str], *, proc: Path = Path("/proc")) -> CallerFacts:
    """The facts of this process, as far as they can be read."""
    ancestors, complete = _ancestors(proc)
    leader = ancestors[-1] if ancestors else None
    above = _process(proc, leader.parent) if leader is not None and leader.parent else None
    return CallerFacts(
        environment=frozenset(environ).union(*(_environment(proc, process.pid) for process in ancestors[1:])),
        ancestors=ancestors,
        complete=complete,
        terminal_opens=_terminal_opens(),
        parent_of_leader=above.name if above else "",
        systemd_exec_pid=_number(environ.get("SYSTEMD_EXEC_PID", "")),
    )


def who(environ: Mapping[str, str]) -> tuple[str, str]:
    """The user behind this process, for the journal (behind sudo: who called it), and this host's name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.geteuid()}"
    behind = environ.get("SUDO_USER", "")
    return (f"{user} ({behind} by sudo)" if behind and behind != user else user), socket.gethostname()


def boot_id() -> str:
    """The kernel's id of this boot: process ids mean nothing after it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def process_started(pid: int, *, proc: Path = Path("/proc")) -> int | None:
    """When a process started, in clock ticks since the boot; None when there is none, or only its remains."""
    fields = _stat(proc, pid)
    return None if fields is None or fields[0] in ("Z", "X") else _number(fields[19])


def _ancestors(proc: Path) -> tuple[tuple[Process, ...], bool]:
    """This process and those above it up to the leader of the session that a human opened; False when it could not be reached."""
    found: list[Process] = []
    pid = os.getpid()
    session: int | None = None
    while len(found) < _LIMIT:
        process = _process(proc, pid)
        if process is None or session not in (None, process.session):
            return tuple(found), False
        found.append(process)
        leads = process.pid == process.session
        if leads and process.name not in _PASSES_ON:
            return tuple(found), True
        session = None if leads else process.session
        pid = process.parent
    return tuple(found), False


def _environment(proc: Path, pid: int) -> frozenset[str]:
    """The names of another process's variables; none where they may not be read. What `sudo` or `env -i` took away shows here."""
    try:
        raw = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return frozenset()
    return frozenset(part.partition(b"=")[0].decode("utf-8", "replace") for part in raw.split(b"\0") if part)


def _process(proc: Path, pid: int) -> Process | None:
    fields = _stat(proc, pid)
    if fields is None:
        return None
    try:
        raw = (proc / str(pid) / "cmdline").read_bytes()
        name = (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError:
        return None
    argv = tuple(part.decode("utf-8", "replace") for part in raw.rstrip(b"\0").split(b"\0")) if raw else ()
    return Process(pid=pid, parent=int(fields[1]), session=int(fields[3]), terminal=int(fields[4]), name=name, argv=argv)


def _stat(proc: Path, pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, state first (proc_pid_stat(5)); the name itself may hold blanks and brackets."""
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 20 else None


def _terminal_opens() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
