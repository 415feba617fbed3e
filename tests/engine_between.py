"""Who counts what an engine is asked, and changes what it answers? A socket before a real engine's, which hands every request on."""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

Changing = Callable[[str, Any], Any]  # of a path and the JSON that the engine has for it, the JSON that is answered
Refusing = Callable[[str], bool]  # whether a path is answered with 500


@dataclass(slots=True, kw_only=True)
class Between:
    """The socket of it, and what was asked through it. `server` False: no `Server` header is handed on."""

    socket: Path
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    change: Changing = lambda _, said: said
    refuse: Refusing = lambda _: False
    server: bool = True


@contextmanager
def between(engine: Path) -> Iterator[Between]:
    """A socket that everybody may use."""

    class Real(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(engine))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            it.connections += 1

        def do_GET(self) -> None:
            it.asked.append(self.path)
            real = Real("localhost")
            real.request("GET", self.path)
            response = real.getresponse()
            content = response.read()
            real.close()
            if response.status == 200:
                content = json.dumps(it.change(self.path, json.loads(content))).encode()
            self.send_response_only(500 if it.refuse(self.path) else response.status)
            if it.server:
                self.send_header("Server", response.getheader("Server") or "")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        block_on_close = False

    with tempfile.TemporaryDirectory(prefix="il-") as folder, Server(f"{folder}/s", Handler) as server:  # the path of a socket must be short
        it = Between(socket=Path(folder, "s"))
        Path(folder).chmod(0o755)
        it.socket.chmod(0o777)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield it
        finally:
            server.shutdown()
