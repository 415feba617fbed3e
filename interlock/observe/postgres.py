"""How is a PostgreSQL database looked at without a trace? One read-only transaction in one snapshot, with limits on every wait, and errors that name no DSN.

psycopg and libpq put parts of the connection string into their errors, a password with an @ in it among them; what they say is never passed on. What the server
says is, without the values of the DSN.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from interlock.errors import CouldNotLook
from interlock.nouns import dataclass

GRACE_S = 3  # how much longer than its own limit a server is waited for
LOCK_LIMIT_S = 5  # a table that somebody alters is not waited for: whoever comes next would wait behind us
SHORTEST_CONNECT_S = 2  # libpq knows no shorter one
CANCELED, LOCKED, DENIED = "57014", "55P03", "42501"

# What libpq says of a connection that was not made, and what it means.
_MEANINGS = (
    ("Connection refused", "nothing listens where it points"),
    ("No such file or directory", "there is no socket where it points"),
    ("failed to resolve host", "its host name does not resolve"),
    ("could not translate host name", "its host name does not resolve"),
    ("invalid integer value", "its port is none"),
    ("invalid port number", "its port is none"),
    ("could not parse network address", "its address is none"),
    ("timeout expired", "nobody answers there"),
    ("No route to host", "there is no way to its host"),
    ("Network is unreachable", "there is no way to its host"),
    ("no password supplied", "the server wants a password, and the DSN has none"),
    ("expected authentication request", "what answers there is no PostgreSQL"),
    ("received invalid response", "what answers there is no PostgreSQL"),
    ("server closed the connection", "what answers there hangs up: it is no PostgreSQL, or one that is going down"),
    ("certificate", "the server's certificate is not accepted"),
    ("SSL", "no TLS connection could be made"),
)


class StatementRefused(CouldNotLook):
    """The server did not answer one statement; the session goes on. `sqlstate` is its code (PostgreSQL manual, appendix A)."""

    def __init__(self, what: str, *, sqlstate: str, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.sqlstate = sqlstate


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a database is reached: the variable that holds its DSN, and how long one statement may take, in seconds. `where` is the operator's name for it."""

    variable: str
    timeout: int
    where: str
    dsn: str = field(repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str], variable: str, *, timeout: int, where: str) -> Access:
        """Raises `CouldNotLook` when the variable is not set, empty, or no connection string."""
        dsn = environ.get(variable, "").strip()
        if not dsn:
            how = "empty" if variable in environ else "not set"
            raise CouldNotLook(f"the environment variable {variable} is {how}", where=where, remedy=f"export {variable} with the DSN")
        access = cls(variable=variable, timeout=timeout, where=where, dsn=dsn)
        if not access.values():
            raise CouldNotLook(f"the DSN in {variable} names no database", where=where, remedy=f"export {variable} as postgresql://user@host/database")
        return access

    def values(self) -> dict[str, str]:
        """The parts of the DSN by their names. Raises `CouldNotLook` when it has none, or psycopg is missing."""
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise CouldNotLook("psycopg is not installed", where=self.where, remedy="pip install 'interlock[postgres]'") from error
        try:
            return {name: str(value) for name, value in conninfo_to_dict(self.dsn).items() if value}
        except psycopg.Error:
            how = f"export {self.variable} as postgresql://user:password@host:port/database, special characters as %40"
            raise CouldNotLook(f"the DSN in {self.variable} cannot be read", where=self.where, remedy=how) from None

    def without_dsn(self, text: str) -> str:
        """What the server says, without what it repeats of the DSN."""
        values = self.values()
        if password := values.pop("password", ""):
            text = text.replace(password, "***")
        for value in values.values():
            text = text.replace(f'"{value}"', '"***"')
        return text


class Session:
    """One read-only transaction, all of it in one snapshot. Raises `StatementRefused` for a statement, `CouldNotLook` when the connection is gone."""

    def __init__(self, connection: Any, access: Access) -> None:
        self.connection = connection
        self.access = access
        self._cut = False

    def rows(self, query: Any, parameters: Mapping[str, Any] | None = None, *, limit: int | None = None) -> Sequence[tuple[Any, ...]]:
        """The rows of a statement, at most `limit` of them; none when it has no result."""
        import psycopg

        patience = threading.Timer(self.access.timeout + GRACE_S, self._hang_up)
        patience.daemon = True
        patience.start()
        try:
            cursor = self.connection.execute(query, parameters)
            if not cursor.description:
                return ()
            return [tuple(row) for row in (cursor.fetchall() if limit is None else cursor.fetchmany(limit))]
        except psycopg.Error as error:
            raise self._refused(error) from None
        finally:
            patience.cancel()

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of the transaction that may fail: what was seen before it stays valid."""
        self.rows("savepoint part")
        try:
            yield
        except StatementRefused:
            self.rows("rollback to savepoint part")
            raise
        self.rows("release savepoint part")

    def pin(self, settings: Mapping[str, str]) -> None:
        """Set these for the rest of the transaction."""
        calls = ", ".join(f"set_config('{name}', %({name})s, true)" for name in settings)
        self.rows(f"select {calls}", settings)

    def _hang_up(self) -> None:
        """End the wait for a server that says nothing at all: its own limit was over long ago."""
        self._cut = True
        with socket.socket(fileno=os.dup(self.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _refused(self, error: Any) -> CouldNotLook:
        access, sqlstate = self.access, error.sqlstate
        if self._cut:
            return CouldNotLook(
                f"the database fell silent: no answer within {access.timeout + GRACE_S} s", where=access.where, remedy="look at the server and the way to it"
            )
        if sqlstate is None or self.connection.closed:
            return CouldNotLook("the connection to the database was lost", where=access.where, remedy="look at the server's log, and try again")
        said = access.without_dsn(error.diag.message_primary or type(error).__name__)
        return StatementRefused(f"the database refuses: {said} ({sqlstate})", sqlstate=sqlstate, where=access.where, remedy=_remedy(access, sqlstate))


def _remedy(access: Access, sqlstate: str) -> str:
    match sqlstate:
        case "57014":
            return f"let a statement take longer than {access.timeout} s (`timeout:` in the site file), or look at what slows the server down"
        case "55P03":
            return "wait for whoever holds the lock, and look again"
        case "42501":
            return f"give the role in {access.variable} the right, or name another one"
        case "22021":
            return "a name or value in it is no text of any encoding that the database declares: rename it, or give the database its encoding"
        case _:
            return f"look at the server's log, the rights of the role, and {access.variable}"


@contextmanager
def reading(access: Access) -> Iterator[Session]:
    """A session on the database. Raises `CouldNotLook` when there is no connection; what its statements raise stands in `Session`."""
    import psycopg

    limits = {
        "default_transaction_read_only": "on",
        "statement_timeout": str(access.timeout * 1000),
        "lock_timeout": str(min(access.timeout * 500, LOCK_LIMIT_S * 1000)),  # it must be over before the statement's, to be told apart
        "idle_in_transaction_session_timeout": str(10 * access.timeout * 1000),
    }
    options = " ".join([access.values().get("options", ""), *(f"-c {name}={value}" for name, value in limits.items())])
    try:
        connection = psycopg.connect(
            access.dsn,
            options=options,
            application_name="interlock",
            client_encoding="utf8",  # else names come as bytes from a database that says SQL_ASCII
            connect_timeout=max(SHORTEST_CONNECT_S, access.timeout),
            prepare_threshold=None,  # nothing is left behind in a session that a pool gives to somebody else
        )
    except psycopg.Error as error:
        why = _not_connected(access, error)
        remedy = f"look at the server, and at what {access.variable} says of it"
        raise CouldNotLook(f"no connection to the database: {why}", where=access.where, remedy=remedy) from None
    try:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield Session(connection, access)
    finally:
        connection.close()


def _not_connected(access: Access, error: Any) -> str:
    """Why, in words that hold nothing of the DSN."""
    import psycopg

    text = str(error)
    said = re.search(r"(?:FATAL|ERROR):\s+(.*)", text)
    if said:
        return access.without_dsn(said[1].strip())
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return f"nobody answers there within {max(SHORTEST_CONNECT_S, access.timeout)} s"
    return next((meaning for sign, meaning in _MEANINGS if sign in text), f"its reason cannot be shown ({type(error).__name__})")
