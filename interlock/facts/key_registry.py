"""Does a program that copies tables know the key of each? Its list of keys, beside the tables that the tree's SQLAlchemy models declare.

A table that such a list forgets is copied and compared by the default key, or not at all. Python by its syntax tree; nothing is imported or run. A key that is
made at run time is left out rather than guessed at.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from interlock.facts import pythoncode
from interlock.nouns import dataclass
from interlock.patterns import regex

_MODEL = b"__tablename__"
_KEY_WORDS = tuple(
    regex(word) for word in (rb"pks?(?<![a-z]pk)(?<![a-z]pks)(?![a-z])", rb"primary_?key", rb"conflict_?col", rb"key_?col")
)  # each begins with letters: those are found fast
_DICTIONARY = regex(rb"^\w[^\n=]*=[ \t]*\{", re.MULTILINE)  # with a name, in the module itself
FEWEST = 3  # entries that must be right before a list of texts counts as a list of keys


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedTable:
    """A table that a model declares, with the columns of its primary key in their order."""

    name: str
    key: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """A dictionary of names and texts in a program, which may be tables and the columns of their keys."""

    name: str
    line: int
    entries: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLists:
    """One script or program with its lists, and the tables of the tree that it lies in. `unread` says why it could not be read, empty when it could."""

    path: str
    lists: tuple[KeyList, ...] = ()
    tables: tuple[MappedTable, ...] = ()
    unread: str = ""

    def of_keys(self) -> tuple[KeyList, ...]:
        """The lists that really are tables and their keys: most of the entries say what the models say."""
        return tuple(one for one in self.lists if self._right(one) >= max(FEWEST, len(one.entries) * 2 / 3))

    def _right(self, one: KeyList) -> int:
        keys = {table.name: set(table.key) for table in self.tables}
        return sum(keys.get(name) == set(columns) for name, columns in one.entries.items())

    def forgotten(self, one: KeyList) -> tuple[MappedTable, ...]:
        """The tables that a list should have and has not. The commonest key is the default, which a list need not name."""
        if not self.tables:
            return ()
        ((default, _),) = Counter(table.key for table in self.tables).most_common(1)
        return tuple(table for table in self.tables if table.key != default and table.name not in one.entries)


@lru_cache(maxsize=1024)  # discovery and judgement ask for the same file
def key_lists(path: str, data: bytes) -> KeyLists:
    """The lists in a program that may be of keys, without the tables. Raises nothing, whatever the bytes are."""
    if not path.endswith(".py") or not _DICTIONARY.search(data) or not _says_key(data.lower()):
        return KeyLists(path=path)
    module = pythoncode.parse(data)
    if isinstance(module, pythoncode.NotPython):
        return KeyLists(path=path, unread=f"line {module.line}: {module.why}")
    found = [one for statement in module.body for one in _lists(statement)]
    return KeyLists(path=path, lists=tuple(found))


def _says_key(lower: bytes) -> bool:
    return any(word.search(lower) for word in _KEY_WORDS)


def _lists(statement: ast.stmt) -> Iterator[KeyList]:
    """The dictionaries that a statement of a module gives a name."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as value) | ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() as value):
            entries = {_text(key): _texts(one) for key, one in zip(value.keys, value.values, strict=True)}
            if len(entries) >= FEWEST and all(entries.values()) and "" not in entries:
                yield KeyList(name=name, line=statement.lineno, entries=entries)


def _texts(value: ast.expr) -> tuple[str, ...]:
    """The texts of a literal: one, or a list, tuple or set of them; none when it is something else."""
    elements = value.elts if isinstance(value, (ast.List, ast.Tuple, ast.Set)) else [value]
    texts = tuple(_text(one) for one in elements)
    return texts if all(texts) else ()


def mapped_tables(path: str, data: bytes) -> tuple[MappedTable, ...] | str:
    """The tables that the models of a file declare, or why the file cannot be read. A model without a key of its own (it inherits) is left out."""
    if _MODEL not in data:
        return ()
    module = pythoncode.parse(data)
    if isinstance(module, pythoncode.NotPython):
        return f"{path}:{module.line} cannot be read: {module.why}"
    return tuple(table for node in _classes(module.body) for table in _table(node, path))


def _classes(body: Sequence[ast.stmt]) -> Iterator[ast.ClassDef]:
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield statement
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from _classes(statement.body)


def _table(node: ast.ClassDef, path: str) -> Iterator[MappedTable]:
    given = {target.id: (statement, value) for statement in node.body for target, value in _given(statement)}
    _, name = given.get("__tablename__", (None, None))
    columns = tuple(_column_name(value) or attribute for attribute, (_, value) in given.items() if _is_key_column(value))
    arguments = given.get("__table_args__")
    key = _key_constraint(arguments[1]) if arguments else ()
    if _text(name) and (key or columns):
        yield MappedTable(name=_text(name), key=key or columns, file=path, line=node.lineno)


def _given(statement: ast.stmt) -> Iterator[tuple[ast.Name, ast.expr]]:
    match statement:
        case ast.Assign(targets=[ast.Name() as target], value=value):
            yield target, value
        case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
            yield target, value


def _is_key_column(value: ast.expr) -> bool:
    """Is it `Column(..., primary_key=True)`, whatever the function is called?"""
    flag = pythoncode.keyword(value, "primary_key") if isinstance(value, ast.Call) else None
    return isinstance(flag, ast.Constant) and flag.value is True


def _column_name(value: ast.expr) -> str:
    """The name that a column has in the database when it is not that of the attribute."""
    return _text(value.args[0]) if isinstance(value, ast.Call) and value.args else ""


def _key_constraint(value: ast.expr) -> tuple[str, ...]:
    """The columns of a `PrimaryKeyConstraint` among the arguments of a table."""
    for call in ast.walk(value):
        match call:
            case ast.Call(func=ast.Name(id="PrimaryKeyConstraint") | ast.Attribute(attr="PrimaryKeyConstraint"), args=columns):
                return tuple(_text(one) for one in columns)
    return ()


def _text(node: ast.AST | None) -> str:
    """What a literal text says; empty when it is something else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
