"""A copy that lost something.

Two databases are needed: `INTERLOCK_PROOF_DSN` and `INTERLOCK_PROOF_TARGET_DSN` name two empty throw-away ones, whose roles may create a schema. In each of
them the schema `interlock_proof` is dropped and made again, and left behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, read_site, rewrite_site, write_site
from interlock.verdicts import When

SOURCE, TARGET = "INTERLOCK_PROOF_DSN", "INTERLOCK_PROOF_TARGET_DSN"
SCHEMA = "interlock_proof"
LEDGER = (
    "drop schema if exists {schema} cascade",
    "create schema {schema}",
    "create table {schema}.accounts (id integer primary key, owner text not null default 'nobody', status varchar(9) check (status in ('open', 'closed')))",
    "create table {schema}.entries (id bigint generated always as identity primary key, account integer references {schema}.accounts, amount numeric(12, 2))",
    "create index entries_by_account on {schema}.entries (account)",
    "insert into {schema}.accounts select n, 'owner ' || n, 'open' from generate_series(1, 20) n",
    "insert into {schema}.entries (account, amount) select n % 20 + 1, n from generate_series(1, 100) n",
)


def _run(variable: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(os.environ[variable], autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.format(schema=SCHEMA).encode())


def _healthy(folder: Path) -> None:
    """The same ledger in both databases."""
    for variable in (SOURCE, TARGET):
        _run(variable, *LEDGER)
    write_site(
        folder,
        {
            "databases": {"ledger": {"dsn_env": SOURCE, "timeout": "10s"}, "ledger-new": {"dsn_env": TARGET, "timeout": "10s"}},
            "parity": {"move": {"source": "ledger", "target": "ledger-new", "schemas": [SCHEMA], "grants": False}},
        },
    )


def _in_the_copy(statement: str) -> Callable[[Path], None]:
    return lambda _folder: _run(TARGET, statement)


def _no_dsn(folder: Path) -> None:
    site = read_site(folder)
    site["databases"]["ledger-new"]["dsn_env"] = "INTERLOCK_NO_SUCH_DSN"
    rewrite_site(folder, site)


def _nowhere(folder: Path) -> None:
    """The schema that is compared is nowhere: nobody has looked at anything."""
    site = read_site(folder)
    site["parity"]["move"]["schemas"] = ["interlock_no_such_schema"]
    rewrite_site(folder, site)


def _fault(guardrail: str, describe: str, kind: str, statement: str, blind: Callable[[Path], None] = _no_dsn) -> Fault:
    return Fault(
        guardrail=guardrail,
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=_in_the_copy(statement),
        blind=blind,
        needs=(SOURCE, TARGET),
    )


PROGRAM = """\
import psycopg

def rows(connection, table):
    return connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]

def verify(source, target, tables):
    for table in tables:
        before, after = rows(source, table), rows(target, table)
        if before != after:
            raise SystemExit(f"{table}: {before} and {after} rows")
"""


def _verifies(folder: Path) -> None:
    """A migration that compares row counts, and fails where one cannot be had."""
    (folder / "migrate.py").write_text(PROGRAM)
    write_site(folder, {"scripts": {"files": ["migrate.py"]}})


def _takes_missing_for_empty(folder: Path) -> None:
    counts = "    return connection"
    lenient = PROGRAM.replace(counts, f"    try:\n    {counts}").replace("\n\ndef verify", "\n    except psycopg.Error:\n        return 0\n\ndef verify")
    (folder / "migrate.py").write_text(lenient)


def _no_program(folder: Path) -> None:
    (folder / "migrate.py").unlink()
    (folder / "migrate.py").mkdir()


MODELS = """\
class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)

class Entry(Base):
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)

class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)

class Member(Base):
    __tablename__ = "members"
    account_id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)

class Setting(Base):
    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)

class Rate(Base):
    __tablename__ = "rates"
    __table_args__ = (PrimaryKeyConstraint("currency", "day"),)
    currency: Mapped[str] = mapped_column(String)
    day: Mapped[date] = mapped_column(Date)
"""
KEYS = 'PK_COLUMNS = {"members": ["account_id", "role"], "settings": ["name"], "rates": ["currency", "day"]}\n'


def _knows_all_keys(folder: Path) -> None:
    """A migration with a list of the keys that are not `id`."""
    (folder / "models.py").write_text(MODELS)
    (folder / "copy_tables.py").write_text(KEYS)
    write_site(folder, {"scripts": {"files": ["copy_tables.py"]}})


def _new_table(folder: Path) -> None:
    more = 'class Consent(Base):\n    __tablename__ = "consents"\n    email: Mapped[str] = mapped_column(primary_key=True)\n'
    (folder / "models.py").write_text(f"{MODELS}\n{more}")


def _unreadable_models(folder: Path) -> None:
    (folder / "models.py").write_text(f"{MODELS}\nclass Consent(:\n")


FAULTS = (
    Fault(
        guardrail="parity.inventory",
        describe="a new table that a migration's list of keys forgets",
        kind="forgotten-table",
        gate=When.STATIC,
        healthy=_knows_all_keys,
        seed=_new_table,
        blind=_unreadable_models,
    ),
    Fault(
        guardrail="parity.rows",
        describe="a program that takes a missing table for an empty one",
        kind="zero-for-missing",
        gate=When.STATIC,
        healthy=_verifies,
        seed=_takes_missing_for_empty,
        blind=_no_program,
    ),
    _fault("parity.inventory", "an index that was not restored", "missing", "drop index {schema}.entries_by_account"),
    _fault("parity.inventory", "a column that lost its default", "default", "alter table {schema}.accounts alter column owner drop default"),
    _fault("parity.inventory", "a table that only the copy has", "extra", "create table {schema}.leftover (id integer)", blind=_nowhere),
    _fault("parity.rows", "a row that was not copied", "fewer-rows", "delete from {schema}.entries where id = 7"),
    _fault("parity.rows", "rows that were copied twice", "more-rows", "insert into {schema}.entries (account, amount) values (1, 1)", blind=_nowhere),
)
