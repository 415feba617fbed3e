"""Entries below `expect:` that stop holding."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.testing.faults import Fault, move_to_unreachable_host, read_site, rewrite_site, write_site
from interlock.verdicts import When


def _site(entry: Callable[[Path], dict[str, Any]]) -> Callable[[Path], None]:
    return lambda folder: write_site(folder, {"expect": {"entry": entry(folder)}})


def _rewrite(*keys: str, value: Any) -> Callable[[Path], None]:
    """Change one value of the entry in the site file."""

    def seed(folder: Path) -> None:
        site = read_site(folder)
        noun = site["expect"]["entry"]
        for key in keys[:-1]:
            noun = noun[key]
        noun[keys[-1]] = value
        rewrite_site(folder, site)

    return seed


def _file(folder: Path) -> dict[str, Any]:
    path = folder / "token"
    path.touch(mode=0o600)
    path.chmod(0o600)
    return {"file": {"path": str(path), "mode": "0600"}}


def _free_port(_folder: Path) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return {"port": {"address": f"127.0.0.1:{port}", "listening": False}}


class _Answer(http.server.BaseHTTPRequestHandler):
    """Answers with what lies in a file of the proof's folder, so that a seed can change it."""

    file: Path

    def do_GET(self) -> None:
        body = self.file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _url(folder: Path) -> dict[str, Any]:
    """A service on a free port of this machine, for as long as this process lives."""
    answer = folder / "answer"
    answer.write_text('{"status": "ok"}')
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Answer", (_Answer,), {"file": answer}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return {"http": {"url": f"http://127.0.0.1:{server.server_port}/", "json": {"status": "ok"}}}


def _degrade(folder: Path) -> None:
    (folder / "answer").write_text('{"status": "degraded"}')


FAULTS = (
    Fault(
        guardrail="expect.file",
        describe="a token file that others can read",
        kind="mode",
        gate=When.PREFLIGHT,
        healthy=_site(_file),
        seed=lambda folder: (folder / "token").chmod(0o644),
        blind=lambda folder: move_to_unreachable_host(folder, "expect", "entry"),
    ),
    Fault(
        guardrail="expect.port",
        describe="a service that should listen and does not",
        kind="silent",
        gate=When.PREFLIGHT,
        healthy=_site(_free_port),
        seed=_rewrite("port", "listening", value=True),
        blind=_rewrite("port", "address", value="no-such-host.invalid:80"),
    ),
    Fault(
        guardrail="expect.http",
        describe="a service that answers 200 and is not well",
        kind="json",
        gate=When.PREFLIGHT,
        healthy=_site(_url),
        seed=_degrade,
        blind=_rewrite("http", "url", value="http://no-such-host.invalid/"),
    ),
    Fault(
        guardrail="expect.sql",
        describe="a query that returns another value",
        kind="value",
        gate=When.PREFLIGHT,
        healthy=_site(lambda _folder: {"sql": {"dsn_env": "INTERLOCK_PROOF_DSN", "query": "select 1", "value": 1}}),
        seed=_rewrite("sql", "query", value="select 2"),
        blind=_rewrite("sql", "dsn_env", value="INTERLOCK_NO_SUCH_DSN"),
        needs=("INTERLOCK_PROOF_DSN",),
    ),
    Fault(
        guardrail="expect.command",
        describe="a command that fails",
        kind="exit",
        gate=When.PREFLIGHT,
        healthy=_site(lambda _folder: {"command": {"run": ["true"]}}),
        seed=_rewrite("command", "run", value=["false"]),
        blind=_rewrite("command", "run", value=["no-such-program-anywhere"]),
    ),
)
