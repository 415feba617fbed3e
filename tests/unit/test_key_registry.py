"""A table that a program's list of keys forgets, and what is no such list."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.key_registry import KeyLists, MappedTable, key_lists, mapped_tables

MODELS = b"""
from sqlalchemy import Column, Integer, PrimaryKeyConstraint, String, Table
import sqlalchemy as sa

class Base(DeclarativeBase):
    pass

class Account(Base):
    __tablename__ = "accounts"
    id = Column(Integer, primary_key=True)
    name = Column(String, primary_key=False)

class Member(Base):
    __tablename__: str = "members"
    account: Mapped[int] = mapped_column("account_id", ForeignKey("accounts.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)

if True:
    class Rate(Base):
        __tablename__ = "rates"
        __table_args__ = (sa.PrimaryKeyConstraint("currency", "day"), {"schema": "app"})
        currency: Mapped[str] = mapped_column(String)

class Inherits(Account):
    __tablename__ = "inherits"

class Mixin:
    id = Column(Integer, primary_key=True)

class Computed(Base):
    __tablename__ = PREFIX + "computed"
    id = Column(Integer, primary_key=True)
"""


def test_tables_and_their_keys_are_read_from_models() -> None:
    tables = mapped_tables("models.py", MODELS)
    assert not isinstance(tables, str)
    assert {table.name: table.key for table in tables} == {"accounts": ("id",), "members": ("account_id", "role"), "rates": ("currency", "day")}


def test_a_model_that_cannot_be_parsed_says_where() -> None:
    assert str(mapped_tables("models.py", MODELS + b"\nclass X(:\n")).startswith("models.py:")
    assert mapped_tables("other.py", b"class X(:\n") == ()


TABLES = tuple(
    MappedTable(name=name, key=key, file="models.py", line=1)
    for name, key in {"a": ("id",), "b": ("id",), "c": ("id",), "d": ("id",), "e": ("x", "y"), "f": ("name",), "g": ("email",), "h": ("day", "name")}.items()
)
FULL = {"e": ["y", "x"], "f": "name", "g": ("email",), "h": ["day", "name"]}


def forgotten(entries: dict[str, object], name: str = "PK_COLUMNS") -> list[str]:
    """What a program with this list forgets, of those lists that are of keys."""
    program = replace(key_lists("copy.py", f"{name}: dict = {entries!r}\n".encode()), tables=TABLES)
    return [table.name for one in program.of_keys() for table in program.forgotten(one)]


def test_a_list_that_names_every_key_of_its_own_forgets_none() -> None:
    assert forgotten(FULL) == []


@pytest.mark.parametrize("name", ["e", "f", "g", "h"])
def test_each_table_that_it_forgets_is_named(name: str) -> None:
    assert forgotten({key: value for key, value in FULL.items() if key != name}) == [name]


@pytest.mark.parametrize(
    "entries",
    [
        {"e": ["x", "y"], "f": "name"},  # too few to be sure what it is
        {"e": ["note"], "f": ["title"], "g": ["email"]},  # columns of another kind
        {"host": "name", "port": "number", "user": "email"},  # no tables
        {"e": 1, "f": 2, "g": 3},
        {"e": ["x", "y"], "f": ["name"], "g": compile},  # made at run time
    ],
)
def test_what_is_no_list_of_keys_is_left_alone(entries: dict[str, object]) -> None:
    assert forgotten(entries) == []


def test_a_list_of_something_else_by_its_words_is_not_looked_at() -> None:
    assert key_lists("copy.py", f"TITLES = {FULL!r}\n".encode()) == KeyLists(path="copy.py")


def test_a_program_that_cannot_be_parsed_is_unread() -> None:
    assert key_lists("copy.py", b"PK_COLUMNS = {\n").unread.startswith("line 1")


@given(st.binary(max_size=80))
def test_nothing_is_raised_whatever_the_bytes_are(data: bytes) -> None:
    assert key_lists("copy.py", b"PK = 1\n" + data).path == "copy.py"
    mapped_tables("models.py", b"__tablename__ = 'x'\n" + data)
