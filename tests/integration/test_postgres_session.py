"""A look at a real PostgreSQL: in one snapshot, without a write, with an end to every wait, and without the DSN in a message."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlock.errors import CouldNotLook
from interlock.observe.postgres import Access, StatementRefused, reading
from tools.postgres import Server, running


@pytest.fixture(scope="module")
def server(component: Callable[[str], None]) -> Iterator[Server]:
    component("postgres18")
    with tempfile.TemporaryDirectory(prefix="il-pg-") as folder:
        Path(folder).chmod(0o711)  # as root the server runs as nobody, who must be able to get there
        with running(18, Path(folder) / "d") as one:
            yield one


def access(dsn: str, timeout: int = 2) -> Access:
    return Access.of({"THE_DSN": dsn}, "THE_DSN", timeout=timeout, where="database ledger")


def refusal(dsn: str, timeout: int = 2) -> str:
    """What is said of a database that cannot be looked at."""
    with pytest.raises(CouldNotLook) as refused, reading(access(dsn, timeout)) as session:
        session.rows("select 1")
    assert refused.value.where == "database ledger"
    assert refused.value.remedy
    return str(refused.value)


def test_all_statements_see_one_snapshot(server: Server) -> None:
    import psycopg

    with psycopg.connect(server.dsn(), autocommit=True) as writer, reading(access(server.dsn())) as session:
        writer.execute("create table if not exists seen (id integer)")
        before = session.rows("select count(*) from seen")
        writer.execute("insert into seen values (1)")
        assert session.rows("select count(*) from seen") == before


def test_nothing_can_be_written(server: Server) -> None:
    with reading(access(server.dsn())) as session, pytest.raises(StatementRefused) as refused:
        session.rows("create table written (id integer)")
    assert refused.value.sqlstate == "25006"
    with reading(access(server.dsn())) as session, pytest.raises(StatementRefused) as refused:
        session.rows(b"commit; create table written (id integer)")  # an expectation that ends the transaction
    assert refused.value.sqlstate == "25006"


def test_the_session_says_who_it_is_and_has_its_limits(server: Server) -> None:
    with reading(access(server.dsn() + "&options=-c%20work_mem%3D7MB&application_name=somebody", timeout=20)) as session:
        names = ("application_name", "statement_timeout", "lock_timeout", "transaction_isolation", "transaction_read_only", "work_mem")
        values = [session.rows(f"show {name}")[0][0] for name in names]
    assert values == ["interlock", "20s", "5s", "repeatable read", "on", "7MB"]


def test_a_part_that_fails_leaves_the_rest(server: Server) -> None:
    with reading(access(server.dsn())) as session:
        with pytest.raises(StatementRefused) as refused, session.part():
            session.rows("select * from no_such_table")
        assert (refused.value.sqlstate, session.rows("select 1")) == ("42P01", [(1,)])


def test_a_statement_that_takes_too_long_is_refused(server: Server) -> None:
    with reading(access(server.dsn(), timeout=1)) as session, pytest.raises(StatementRefused) as refused:
        session.rows("select pg_sleep(20)")
    assert refused.value.sqlstate == "57014"
    assert "longer than 1 s" in refused.value.remedy


def test_a_server_that_falls_silent_is_given_up(server: Server) -> None:
    began = time.monotonic()
    with reading(access(server.dsn(), timeout=1)) as session:
        ((backend,),) = session.rows("select pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(CouldNotLook, match="fell silent") as refused:
                session.rows("select 1")
        finally:
            os.kill(backend, signal.SIGCONT)
    assert not isinstance(refused.value, StatementRefused)
    assert time.monotonic() - began < 15


def test_a_connection_that_is_cut_is_no_refused_statement(server: Server) -> None:
    import psycopg

    with reading(access(server.dsn())) as session, psycopg.connect(server.dsn()) as other:
        ((backend,),) = session.rows("select pg_backend_pid()")
        other.execute("select pg_terminate_backend(%s)", (backend,))
        with pytest.raises(CouldNotLook, match="was lost") as refused:
            session.rows("select 1")
    assert not isinstance(refused.value, StatementRefused)


@contextmanager
def answering(words: bytes | None) -> Iterator[int]:
    """A port of this machine where somebody accepts, and says `words` and hangs up, or nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                kept.append(line)
                if words is not None:
                    line.recv(64)
                    line.sendall(words)
                    line.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for line in kept:
            line.close()


def test_a_port_that_accepts_and_never_answers_is_given_up() -> None:
    began = time.monotonic()
    with answering(None) as port:
        assert "nobody answers there within 2 s" in refusal(f"postgresql://a@127.0.0.1:{port}/x", timeout=1)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_what_is_no_postgresql_is_named_so(words: bytes) -> None:
    with answering(words) as port:
        assert "no PostgreSQL" in refusal(f"postgresql://a@127.0.0.1:{port}/x?sslmode=disable")


SECRET = "s3cr3t-word"


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (f"postgresql://teller:{SECRET}@127.0.0.1:1/ledger-base", "nothing listens where it points"),
        (f"postgresql://teller:{SECRET}@/ledger-base?host=/no/such/secret-folder", "there is no socket where it points"),
        (f"postgresql://teller:{SECRET}@no-such-host.invalid/ledger-base", "its host name does not resolve"),
        (f"postgresql://teller:{SECRET}@127.0.0.1:port-word/ledger-base", "its port is none"),
        (f"postgresql://teller:half@{SECRET}@127.0.0.1/ledger-base", "its host name does not resolve"),
        (f"teller {SECRET} ledger-base", "cannot be read"),
        (f"postgresql://teller:{SECRET}@[127.0.0.1/ledger-base", "cannot be read"),
        (f"postgresql://teller:{SECRET}@127.0.0.1/ledger-base?no_such_option=1", "cannot be read"),
    ],
)
def test_a_dsn_that_leads_nowhere_is_not_repeated(dsn: str, said: str) -> None:
    message = refusal(dsn)
    assert said in message
    assert "THE_DSN" in message
    for word in (SECRET, "teller", "ledger-base", "half", "port-word", "secret-folder", "no-such-host", "127.0.0.1"):
        assert word not in message


@pytest.mark.parametrize("environ", [{}, {"THE_DSN": ""}, {"THE_DSN": "  "}, {"THE_DSN": "postgresql://"}])
def test_a_variable_with_nothing_in_it_leads_to_no_default_database(environ: dict[str, str], component: Callable[[str], None]) -> None:
    with pytest.raises(CouldNotLook, match=r"THE_DSN (is not set|is empty|names no database)"):
        Access.of(environ, "THE_DSN", timeout=2, where="database ledger")


def test_what_the_server_says_is_kept_without_the_names_of_the_dsn(server: Server) -> None:
    folder = server.folder
    assert 'database "***" does not exist' in refusal(f"postgresql://ledger_admin@/ledger-base?host={folder}")
    assert 'role "***" does not exist' in refusal(f"postgresql://teller@/postgres?host={folder}")


def test_a_wrong_password_is_named_and_not_repeated(server: Server) -> None:
    import psycopg

    rules = server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all teller scram-sha-256\n" + before)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create role teller login password 'the right one'")
        connection.execute("select pg_reload_conf()")
        message = refusal(f"postgresql://teller:{SECRET}@/postgres?host={server.folder}")
        without = refusal(f"postgresql://teller@/postgres?host={server.folder}")
        rules.write_text(before)
        connection.execute("select pg_reload_conf()")
        connection.execute("drop role teller")
    assert 'password authentication failed for user "***"' in message
    assert SECRET not in message
    assert "the DSN has none" in without


def test_the_dsn_is_in_no_repr(server: Server) -> None:
    reached = access(f"postgresql://ledger_admin:{SECRET}@/postgres?host={server.folder}")
    assert SECRET not in repr(reached)
