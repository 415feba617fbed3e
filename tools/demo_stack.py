"""What runs while the demo is shown? PostgreSQL 16 with the ledger's rows, a copy of them on 18 that is older, and the app; all ends with this process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo_site import DemoError, DemoSite, private_folder
from tools.postgres import Server, dies_with_parent, programs, running, stop

KEPT_VARIABLES = ("HOME", "LOGNAME", "USER", "LANG", "LC_ALL", "TZ", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")  # the last two while tests measure it
ROWS = 500
ENTRIES = "INSERT INTO entries (account, amount) SELECT (ARRAY['alice', 'bob', 'carol'])[1 + n %% 3], 100 + n FROM generate_series(1, %s) AS n"
RECEIPTS = 12  # booked after the copy was made
START_LIMIT_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The running stack: `source` holds the rows, `target` a copy that was made before the last of them were booked."""

    site: DemoSite
    source: Server
    target: Server

    @property
    def url(self) -> str:
        """The app."""
        return f"http://127.0.0.1:{self.site.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What the operator's shells have: the references to the databases that the site files name, and PostgreSQL's own programs."""
        own = operator_environ()
        path = f"{programs(self.target.major)}{os.pathsep}{own['PATH']}"
        return {**own, "PATH": path, "LEDGER_DSN": self.source.dsn("ledger"), "LEDGER_18_DSN": self.target.dsn("ledger")}

    def get(self, path: str) -> Any:
        """What the app answers, as JSON."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def copy(self) -> None:
        """Copy the ledger to the other server, as the operator does. Raises DemoError."""
        done = subprocess.run((str(self.site.run / "bin" / "copy-to-18"),), env=self.environ, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise DemoError(f"the copy failed:\n{done.stderr}")


def operator_environ() -> dict[str, str]:
    """The environment of an operator who just logged in, with the venv's programs first; nothing of a CI runner's or of a test's."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    looks = {"TERM": os.environ.get("TERM", "dumb")} if sys.stdout.isatty() else {"TERM": "dumb", "NO_COLOR": "1"}
    return {**kept, **looks, "PATH": path}


@contextmanager
def running_stack(site: DemoSite) -> Iterator[Stack]:
    """Start everything, load it, and stop everything again, whatever happens between."""
    with ExitStack() as stack:
        servers = site.servers
        shutil.rmtree(servers, ignore_errors=True)
        private_folder(servers, 0o711 if os.getuid() == 0 else 0o700)
        stack.callback(shutil.rmtree, servers, ignore_errors=True)
        source = stack.enter_context(running(16, servers / "16"))
        target = stack.enter_context(running(18, servers / "18"))
        _load(source, site.run / "app" / "schema.sql")
        started = Stack(site=site, source=source, target=target)
        _create_database(target)
        started.copy()
        stack.enter_context(_app(started))
        _use(started)
        yield started


def _load(source: Server, schema: Path) -> None:
    import psycopg

    _create_database(source)
    with psycopg.connect(source.dsn("ledger")) as ledger:
        ledger.execute(schema.read_bytes())
        ledger.execute(ENTRIES, (ROWS,))


def _create_database(server: Server) -> None:
    import psycopg

    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE ledger")


def _environ(stack: Stack) -> dict[str, str]:
    return {"PATH": os.defpath, "STATE_DIR": str(stack.site.state), "DATABASE_URL": stack.source.dsn("ledger"), "PYTHONUNBUFFERED": "1"}


@contextmanager
def _app(stack: Stack) -> Iterator[None]:
    run = stack.site.run
    log, pid = run / "ledger.log", run / "ledger.pid"
    argv = (sys.executable, str(run / "app" / "server.py"), "--port", str(stack.site.port), "--env-file", str(run / "instances" / "main" / "app.env"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=run,
            env=_environ(stack),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509, no other thread runs here
        )
    try:
        pid.write_text(f"{process.pid}\n")
        _wait_until_healthy(stack, process, log)
        yield
    finally:
        stop(process, signal.SIGTERM, signal.SIGKILL)
        pid.unlink(missing_ok=True)


def _wait_until_healthy(stack: Stack, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while True:
        try:
            stack.get("/health")
        except (urllib.error.URLError, OSError) as error:
            if process.poll() is not None or time.monotonic() > limit:
                raise DemoError(f"the app does not come up: {error}\n{log.read_text(errors='replace')[-2000:]}") from error
            time.sleep(0.02)
        else:
            return


def _use(stack: Stack) -> None:
    """Some entries through the app, each with its receipt below STATE_DIR, and the statements."""
    for number in range(RECEIPTS):
        body = json.dumps({"account": ("alice", "bob", "carol")[number % 3], "amount": 500 + number}).encode()
        urllib.request.urlopen(urllib.request.Request(stack.url + "/entries", data=body), timeout=10).close()
    statements = (sys.executable, str(stack.site.run / "app" / "statements.py"))
    subprocess.run(statements, env=_environ(stack), check=True, capture_output=True, timeout=30)
