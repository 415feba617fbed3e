"""A stand-in for a forge's HTTP API, for proofs: it is no forge, and answers what a file of the proof's folder says it should.

    url = stand_in(folder)  # answers GETs from folder/forge.json: {"repos/ops/platform/branch_protections": [...]}

The shapes are those of the APIs that `interlock.observe.forge` names; what is not in the file is answered with 404, and without a file everything with 403.
"""

from __future__ import annotations

import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

ANSWERS = "forge.json"


def stand_in(folder: Path) -> str:
    """The address of an API that answers for this folder for as long as this process lives."""
    host, port = _server().server_address[:2]
    return f"http://{host!s}:{port}/{quote(str(folder), safe='')}"


def answer(folder: Path, answers: dict[str, object]) -> None:
    """Say what it answers; a path that is not named is answered with 404."""
    (folder / ANSWERS).write_text(json.dumps(answers))


@cache
def _server() -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True, name="stand-in forge").start()
    return server


class _Answers(BaseHTTPRequestHandler):
    """Answers from the file; writes no log."""

    def do_GET(self) -> None:
        _, folder, path = self.path.split("/", 2)
        try:
            answers = json.loads((Path(unquote(folder)) / ANSWERS).read_text())
        except OSError:
            self._say(403, {"message": "this token may not look"})
            return
        if path in answers:
            self._say(200, answers[path])
        else:
            self._say(404, {"message": "Not Found"})

    def _say(self, status: int, data: object) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""
