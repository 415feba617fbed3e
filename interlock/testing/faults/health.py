"""Checks that ask where nobody answers, and endpoints that are not well."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, lose_compose_file, read_site, rewrite_site, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  events:
    image: clickhouse/clickhouse-server:25.3
    healthcheck:
      test: ["CMD-SHELL", "wget -nv -t1 --spider http://localhost:8123/ping || exit 1"]
      start_period: 60s
    volumes:
      - events:/var/lib/clickhouse
  app:
    image: registry.example.org/ledger:2
    depends_on:
      events: {condition: service_healthy}
  cache:
    image: redis:7.4
    healthcheck:
      test: ["CMD", "nc", "-z", "localhost", "6379"]
volumes:
  events: {}
"""
EXCLUDED = [{"container": "*", "reason": "this folder proves another guardrail"}]


def _stack(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "excluded": EXCLUDED})


def _ask(before: str, after: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder / "compose.yaml", COMPOSE.replace(before, after, 1))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


class _Service(http.server.BaseHTTPRequestHandler):
    """`/health` says what lies in a file of the proof's folder, `/entries` what lies in another: a service whose database can be gone while it is there."""

    folder: Path

    def do_GET(self) -> None:
        file = self.folder / self.path.strip("/")
        body = file.read_bytes() if file.exists() else b"gone"
        self.send_response(200 if file.exists() else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _service(folder: Path) -> None:
    (folder / "health").write_text('{"status": "ok"}')
    (folder / "entries").write_text("[1]")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Service", (_Service,), {"folder": folder}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    entry = {"url": f"{url}/health", "json": {"status": "ok"}, "reads": {"url": f"{url}/entries"}, "attempts": 2, "every": "0s"}
    write_site(folder, {"health": {"app": entry}})


def _elsewhere(folder: Path) -> None:
    site = read_site(folder)
    site["health"]["app"]["url"] = "http://no-such-host.invalid/"
    rewrite_site(folder, site)


def _fault(describe: str, kind: str, gate: When, seed: Callable[[Path], None]) -> Fault:
    files = gate is When.STATIC
    return Fault(
        guardrail="health.endpoint",
        describe=describe,
        kind=kind,
        gate=gate,
        healthy=_stack if files else _service,
        seed=seed,
        blind=lose_compose_file if files else _elsewhere,
    )


FAULTS = (
    _fault("a check that speaks HTTP to a port of another protocol", "not-http", When.STATIC, _ask("localhost:8123/ping", "localhost:9000/")),
    _fault("a check of a port on which nobody listens", "nobody-listens", When.STATIC, _ask('"6379"', '"6380"')),
    Fault(
        guardrail="health.start_window",
        describe="a check that gives up while the server is still starting",
        kind="short-window",
        gate=When.STATIC,
        healthy=_stack,
        seed=_ask("      start_period: 60s\n", "      interval: 1s\n      retries: 5\n"),
        blind=lose_compose_file,
    ),
    _fault("a service that answers and is not well", "json", When.PREFLIGHT, lambda folder: _write(folder / "health", '{"status": "degraded"}')),
    _fault("a service whose database is gone", "status", When.POSTFLIGHT, lambda folder: (folder / "entries").unlink()),
)
