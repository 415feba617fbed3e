"""Ports that anybody can reach: of a stack, of a host, of a service that answers strangers."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.facts.exposure import CLIENTS, LISTEN, UNCONNECTED, Port, parse_sockets
from interlock.testing.faults import UNREACHABLE, Fault, lose_compose_file, read_site, rewrite_site, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  db:
    image: postgres:17
    ports:
      - "127.0.0.1:5432:5432"
    volumes:
      - data:/var/lib/postgresql/data
  web:
    image: nginx:1.27
    ports:
      - "443:443"
volumes:
  data: {}
"""
PUBLIC = [{"port": 443, "reason": "the web"}]
EXCLUDED = [{"container": "*", "reason": "this folder proves another guardrail"}]
_servers: list[object] = []  # sockets and servers live as long as this process


def _stack(site: dict[str, Any]) -> Callable[[Path], None]:
    def healthy(folder: Path) -> None:
        (folder / "compose.yaml").write_text(COMPOSE)
        write_site(folder, {"compose": {"files": ["compose.yaml"]}, "excluded": EXCLUDED, **site})

    return healthy


def _publish(before: str, after: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder / "compose.yaml", COMPOSE.replace(before, after, 1))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


# ---- a host


def _open() -> set[Port]:
    """All that waits for strangers on this machine, wherever it is bound."""
    found = set()
    for protocol, state in (("tcp", LISTEN), ("udp", UNCONNECTED)):
        for table in (Path(f"/proc/net/{protocol}"), Path(f"/proc/net/{protocol}6")):
            sockets = parse_sockets(table.read_bytes(), byte_order="little", where=str(table)) if table.exists() else ()
            found |= {Port(one.port, protocol) for one in sockets if one.state == state}
    return found - CLIENTS


def _host(folder: Path) -> None:
    server = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - what is proven is that this is seen
    _servers.append(server)
    (folder / "port").write_text(str(server.getsockname()[1]))
    public = [{"port": port.number, "protocol": port.protocol, "reason": "was there before"} for port in sorted(_open())]
    write_site(folder, {"exposure": {"public": public}})


def _undeclare(folder: Path) -> None:
    site = read_site(folder)
    port = int((folder / "port").read_text())
    site["exposure"]["public"] = [one for one in site["exposure"]["public"] if one["port"] != port]
    rewrite_site(folder, site)


def _unreachable(folder: Path) -> None:
    site = read_site(folder)
    site["exposure"]["hosts"] = ["gone"]
    site["hosts"] = {"gone": UNREACHABLE}
    rewrite_site(folder, site)


# ---- an address


class _Guarded(http.server.BaseHTTPRequestHandler):
    """Answers with the status that stands in a file of the proof's folder."""

    file: Path

    def do_GET(self) -> None:
        self.send_response(int(self.file.read_text()))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _guarded(folder: Path) -> None:
    status = folder / "status"
    status.write_text("401")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Guarded", (_Guarded,), {"file": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _host(folder)
    site = read_site(folder)
    site["exposure"]["refused"] = {"api": {"url": f"http://127.0.0.1:{server.server_port}/"}}
    rewrite_site(folder, site)


def _elsewhere(folder: Path) -> None:
    site = read_site(folder)
    site["exposure"]["refused"]["api"]["url"] = "http://no-such-host.invalid/"
    rewrite_site(folder, site)


def _of_a_stack(describe: str, kind: str, site: dict[str, Any], before: str, after: str) -> Fault:
    return Fault(
        guardrail="exposure.private_only",
        describe=describe,
        kind=kind,
        gate=When.STATIC,
        healthy=_stack(site),
        seed=_publish(before, after),
        blind=lose_compose_file,
    )


FAULTS = (
    _of_a_stack("a database that is published on every address", "published-database", {}, '"127.0.0.1:5432:5432"', '"5432:5432"'),
    _of_a_stack("a port that nobody declared", "published", {"exposure": {"public": PUBLIC}}, '"443:443"', '"443:443"\n      - "8080:8080"'),
    _of_a_stack("a port that the engine chooses", "any-port", {"exposure": {"public": PUBLIC}}, '"443:443"', '"443:443"\n      - "8080"'),
    Fault(
        guardrail="exposure.private_only",
        describe="a socket on every address that nobody declared",
        kind="listening",
        gate=When.PREFLIGHT,
        healthy=_host,
        seed=_undeclare,
        blind=_unreachable,
    ),
    Fault(
        guardrail="exposure.private_only",
        describe="an address that answers a request without credentials",
        kind="not-refused",
        gate=When.PREFLIGHT,
        healthy=_guarded,
        seed=lambda folder: _write(folder / "status", "200"),
        blind=_elsewhere,
    ),
)
