"""What does a Python file define and call? Parses one file, never imports it: functions by name, imported names in full, statements in order.

The parser is Python's own `ast`, so a file written for a newer Python than this one cannot be read; `parse` says so instead of guessing.
"""

from __future__ import annotations

import ast
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import cast

from interlock.nouns import dataclass
from interlock.patterns import regex

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_APART = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

LARGEST = 1024 * 1024  # bytes; generated code is larger, and nobody's backup script
_DEEPEST = regex(rb"[(\[{]{90}")  # the parser's own limit is 200; what is nested so is no program


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One parsed file. `functions` maps bare names to definitions, methods too; a name that is defined twice maps to the last. `names` maps what an import
    binds to its full dotted name: `mv` to `shutil.move`. `calls` maps each function, and the empty name for the rest, to the bare names that it calls."""

    body: tuple[ast.stmt, ...]
    functions: Mapping[str, FunctionNode]
    names: Mapping[str, str]
    calls: Mapping[str, Set[str]]

    def dotted(self, expression: ast.expr) -> str:
        """The full name of what an expression refers to: `shutil.move` for `mv`, `self.path.rename` as it stands, `?.rename` below a call."""
        match expression:
            case ast.Name():
                return self.names.get(expression.id, expression.id)
            case ast.Attribute():
                return f"{self.dotted(expression.value)}.{expression.attr}"
            case _:
                return "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPython:
    """A file that this Python's parser does not take: where, and why."""

    line: int
    why: str


@lru_cache(maxsize=8)  # several readers ask for one file after another; a tree takes a hundred times the room of its text
def parse(data: bytes) -> Module | NotPython:
    """One file. Never raises, whatever the bytes are."""
    if len(data) > LARGEST:
        return NotPython(line=1, why=f"the file is larger than {LARGEST // 1024} KiB")
    if _DEEPEST.search(data):
        return NotPython(line=1, why="it nests deeper than a program does")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes like "\d" are the author's business
            tree = ast.parse(data)
    except SyntaxError as error:
        return NotPython(line=error.lineno or 1, why=error.msg or "it is no Python of this version")
    except (ValueError, RecursionError, MemoryError, OverflowError, UnicodeError) as error:
        return NotPython(line=1, why=f"it cannot be parsed ({type(error).__name__})")
    reader = _Definitions()
    reader.visit(tree)
    return Module(body=tuple(tree.body), functions=reader.functions, names=reader.names, calls=reader.calls)


class _Definitions:
    """One pass over a tree: what it defines, imports, and calls from where."""

    def __init__(self) -> None:
        self.functions: dict[str, FunctionNode] = {}
        self.names: dict[str, str] = {}
        self.calls: dict[str, set[str]] = {"": set()}

    def visit(self, tree: ast.AST) -> None:
        """Everything below `tree`; no recursion, for trees can be deep."""
        pending = deque([(tree, "")])
        while pending:
            node, inside = pending.popleft()
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    inside = node.name
                    self.functions[node.name] = node
                    self.calls.setdefault(node.name, set())
                case ast.Import():
                    for alias in node.names:
                        top = alias.name.partition(".")[0]
                        self.names[alias.asname or top] = alias.name if alias.asname else top
                case ast.ImportFrom():
                    module = f"{node.module}." if node.module and not node.level else ""
                    self.names |= {alias.asname or alias.name: f"{module}{alias.name}" for alias in node.names}
                case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)):
                    self.calls[inside].add(called)
            pending += [(child, inside) for child in children(node)]


_NEVER_BELOW = frozenset({"ctx", "op", "ops", "id", "attr", "type_comment", "lineno", "kind"})
_NOTHING_BELOW = (ast.Name, ast.Constant, ast.alias, ast.Global, ast.Nonlocal, ast.Pass, ast.Break, ast.Continue)


class _Below(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of a kind of node that can hold statements and expressions."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        fields = () if issubclass(kind, _NOTHING_BELOW) else tuple(name for name in kind._fields if name not in _NEVER_BELOW)
        return self.setdefault(kind, fields)


_BELOW = _Below()


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly below one, in the order of its fields, without operators and contexts: `ast.iter_child_nodes` in a fifth of the time, and this is
    where the time goes."""
    found: list[ast.AST] = []
    for name in _BELOW[type(node)]:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def calls_in_order(node: ast.AST) -> Iterator[ast.Call]:
    """The calls of an expression or simple statement as they are made: arguments before the call they are given to. Not into lambdas and definitions."""
    stack: list[tuple[ast.AST, bool]] = [(node, False)]
    while stack:
        current, seen = stack.pop()
        if seen:
            yield cast("ast.Call", current)
            continue
        if isinstance(current, ast.Call):
            stack.append((current, True))
        stack += [(child, False) for child in reversed(children(current)) if not isinstance(child, _APART)]


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((given.value for given in call.keywords if given.arg == name), None)


def argument(call: ast.Call, position: int, name: str = "") -> ast.expr | None:
    """A positional argument, or the keyword that it can be given as. None where a `*args` stands in the way."""
    given = call.args[: position + 1]
    if len(given) > position and not any(isinstance(one, ast.Starred) for one in given):
        return given[position]
    return keyword(call, name) if name else None


def parameters(function: FunctionNode) -> tuple[str, ...]:
    """The names of the positional parameters, `self` and `cls` left out."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    return tuple(names[1:] if names[:1] in (["self"], ["cls"]) else names)
