"""What does a small stateful app look like? A ledger: entries are rows in PostgreSQL, receipts are files below STATE_DIR.

    STATE_DIR=/data-state DATABASE_URL=postgresql://... python3 server.py --port 8000 --env-file app.env

`STATE_DIR` is the one variable that says where state lives (default `${DATA_DIR}/state`). SIGHUP makes the app read its env file again.

GET /health         {"status": "ok", "release": ..., "entries": ...}, with one read through the database; 503 when that read fails
GET /state/summary  {"entries": ..., "balance": ..., "receipts": ..., "receipt_bytes": ...}
POST /entries       {"account": "...", "amount": 5}: one row and one receipt; 503 while STATE_DIR/maintenance is there
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

log = logging.getLogger("ledger")
MAX_BODY_BYTES = 10_000


class BadEntryError(Exception):
    """The client sent something that is no entry."""


def state_directory() -> Path:
    """Where the receipts live: STATE_DIR, else `state` below DATA_DIR; neither set is an error, never a guess."""
    state = os.environ.get("STATE_DIR") or (f"{os.environ['DATA_DIR']}/state" if os.environ.get("DATA_DIR") else "")
    if not state.startswith("/"):
        raise SystemExit(f"ledger: STATE_DIR is {state!r}: set it to an absolute path, or set DATA_DIR")
    return Path(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger; `amount` in cents."""

    account: str
    amount: int

    @classmethod
    def parse(cls, body: bytes) -> Entry:
        """An entry from JSON. Raises BadEntryError."""
        try:
            given = json.loads(body)
            account, amount = given["account"], given["amount"]
        except (ValueError, TypeError, KeyError) as error:
            raise BadEntryError("send a JSON object with account and amount") from error
        if not (isinstance(account, str) and account.isalnum() and len(account) <= 40 and type(amount) is int and abs(amount) < 2**40):
            raise BadEntryError("account is letters and digits, amount a whole number of cents")
        return cls(account=account, amount=amount)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The app's two stores, and the release that its env file names."""

    database: str
    receipts: Path
    env_file: Path
    release: str = "unknown"

    def reload(self) -> None:
        """Read the env file; a missing key keeps the release that is running."""
        for line in self.env_file.read_text().splitlines():
            key, _, value = line.partition("=")
            if key == "APP_RELEASE":
                self.release = value
        log.info("running release %s", self.release)

    def in_maintenance(self) -> bool:
        """Whether the operator asked that nothing is booked."""
        return (self.receipts.parent / "maintenance").exists()

    def health(self) -> dict[str, Any]:
        """One read through the database."""
        return {"status": "ok", "release": self.release, "entries": self._one("SELECT count(*) FROM entries")}

    def summary(self) -> dict[str, Any]:
        """What this app holds, in numbers that a copy of it must show too."""
        sizes = [file.stat().st_size for file in self.receipts.iterdir()]
        return {
            "entries": self._one("SELECT count(*) FROM entries"),
            "balance": self._one("SELECT coalesce(sum(amount), 0) FROM entries"),
            "receipts": len(sizes),
            "receipt_bytes": sum(sizes),
        }

    def add(self, entry: Entry) -> int:
        """The row and its receipt: the receipt is complete under its name before the row is committed."""
        with psycopg.connect(self.database, connect_timeout=5) as connection:
            row = connection.execute("INSERT INTO entries (account, amount) VALUES (%s, %s) RETURNING id", (entry.account, entry.amount)).fetchone()
            assert row is not None
            with tempfile.NamedTemporaryFile("w", dir=self.receipts.parent, delete=False) as receipt:
                json.dump({"id": row[0], "account": entry.account, "amount": entry.amount}, receipt)
            Path(receipt.name).rename(self.receipts / f"{row[0]:08d}.json")
        return int(row[0])

    def _one(self, query: str) -> int:
        with psycopg.connect(self.database, connect_timeout=5, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


class Handler(BaseHTTPRequestHandler):
    """HTTP on the outside; errors are told in full to the log and in general words to the client."""

    ledger: Ledger

    def do_GET(self) -> None:
        """/health and /state/summary."""
        match self.path:
            case "/health":
                self._answer(self.ledger.health)
            case "/state/summary":
                self._answer(self.ledger.summary)
            case _:
                self._send(HTTPStatus.NOT_FOUND, {"error": "no such page"})

    def do_POST(self) -> None:
        """/entries."""
        if self.path != "/entries":
            self._send(HTTPStatus.NOT_FOUND, {"error": "no such page"})
            return
        if self.ledger.in_maintenance():
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "maintenance", "error": "nothing is booked now, try again in a minute"})
            return
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES))
        self._answer(lambda: {"id": self.ledger.add(Entry.parse(body))})

    def _answer(self, make: Any) -> None:
        try:
            self._send(HTTPStatus.OK, make())
        except BadEntryError as error:
            self._send(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (psycopg.Error, OSError):
            log.exception("%s failed", self.path)
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "down", "error": "the ledger cannot reach its data"})

    def _send(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the base class names it so
        """Requests go where everything else goes."""
        log.info(format, *args)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--env-file", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.umask(0o077)
    receipts = state_directory() / "receipts"
    receipts.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(database=os.environ["DATABASE_URL"], receipts=receipts, env_file=given.env_file)
    ledger.reload()
    Handler.ledger = ledger
    signal.signal(signal.SIGHUP, lambda *_: ledger.reload())
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # every answer is complete on disk before it is sent
    with ThreadingHTTPServer((given.address, given.port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
