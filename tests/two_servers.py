"""A real PostgreSQL 16 and a real 18, the edge database in the one and its dump restored in the other: what the tests of parity look at."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.postgres import Server, programs, running

HERE = Path(__file__).parent
EDGE = "edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoServers:
    """The server that is copied from and the one that is copied to."""

    source: Server
    target: Server

    def execute(self, server: Server, database: str, *statements: str) -> None:
        """Run statements, each committed by itself."""
        import psycopg

        with psycopg.connect(server.dsn(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def load_edge(self) -> None:
        """The edge database in the source, and its dump restored in the target, whose types have other numbers."""
        for server in (self.source, self.target):
            self.execute(server, "postgres", (HERE / "edge_roles.sql").read_text(), f"create database {EDGE}")
        self.execute(self.source, EDGE, (HERE / "edge_database.sql").read_text())
        self.execute(self.target, EDGE, "create type shift as enum ('a', 'b', 'c', 'd')", "drop type shift")
        self.copy(EDGE)

    def copy(self, database: str) -> None:
        """pg_dump | pg_restore into an empty database of the same name; any error stops it."""
        dump = subprocess.run((_program("pg_dump"), "-Fc", self.source.dsn(database)), capture_output=True, check=True).stdout
        subprocess.run((_program("pg_restore"), "-e", "-d", self.target.dsn(database)), input=dump, capture_output=True, check=True)


def _program(name: str) -> str:
    return str(programs(18) / name)


@contextmanager
def two_servers() -> Iterator[TwoServers]:
    """Fresh ones in a folder of their own, in memory where there is such a disk."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="il-pg-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        Path(folder).chmod(0o711)  # as root the servers run as nobody, who must be able to get there
        with running(16, Path(folder) / "a") as source, running(18, Path(folder) / "b") as target:
            yield TwoServers(source=source, target=target)
