"""Where does a program compare numbers of rows, and put 0 in the place of a number that it could not have? A missing table then equals an empty one.

Python by its syntax tree, shell scripts by theirs (`interlock.facts.count_checks_shell`); nothing is run. A number of rows is what a `select count(` gives.
What cannot be followed is left out rather than guessed at.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeGuard

from interlock.facts import pythoncode
from interlock.nouns import dataclass
from interlock.patterns import regex

COUNT = regex(r"\bselect\s+count\s*\(", re.IGNORECASE)
_COUNT_BYTES = regex(rb"\bselect\s+count\s*\(", re.IGNORECASE)
_COUNT_WORD = regex(r"(?<![a-z])(?:row_?)?(?:counts?|rows|cnt)(?![a-z])", re.IGNORECASE)
_SOURCE = regex(r"(?<![a-z])(?:src|source|old|orig|origin|original|before|legacy)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroForMissing:
    """One place where a number of rows becomes 0 when it could not be had. `name` is what holds it, `scope` the function around it (or empty)."""

    name: str
    scope: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChecks:
    """One script or program. `compares` says whether it compares numbers of rows at all; `unread` why it could not be read, empty when it could."""

    path: str
    compares: bool = False
    zeros: tuple[ZeroForMissing, ...] = ()
    unread: str = ""
    unread_line: int = 0


@lru_cache(maxsize=1024)  # discovery and judgement ask for the same file
def count_checks(path: str, data: bytes) -> CountChecks:
    """What the script or program at `path` does with numbers of rows. Raises nothing, whatever the bytes are."""
    if not _COUNT_BYTES.search(data):
        return CountChecks(path=path)
    from interlock.facts.count_checks_shell import checks_in_shell

    try:
        return _in_python(path, data) if _is_python(path, data) else checks_in_shell(path, data)
    except RecursionError:
        return CountChecks(path=path, unread="it nests deeper than can be followed", unread_line=1)


def _is_python(path: str, data: bytes) -> bool:
    return path.endswith(".py") or re.match(rb"#![^\n]*\bpython", data) is not None


# ---- Python


def _in_python(path: str, data: bytes) -> CountChecks:
    module = pythoncode.parse(data)
    if isinstance(module, pythoncode.NotPython):
        return CountChecks(path=path, unread=module.why, unread_line=module.line)
    whole = _Whole(module.body)
    queries = whole.around(lambda node: isinstance(node, ast.Constant) and isinstance(node.value, str) and COUNT.search(node.value) is not None)
    scopes = {name: _Scope(name, function.body, queries) for name, function in module.functions.items()}
    names = frozenset(name for name, scope in scopes.items() if scope.returns_count)
    counting = whole.around(lambda node: isinstance(node, ast.Call) and _called(node) in names)
    comparing = frozenset(name for name, scope in scopes.items() if scope.compares(counting))
    top = _Scope("", [statement for statement in module.body if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))], queries)
    comparing |= {""} if top.compares(counting) else set()
    found = [
        zero
        for scope in (*scopes.values(), top)
        for zero in that_hide(scope.zeros())
        if scope.name in comparing or any(scope.name in module.calls.get(caller, ()) for caller in comparing)
    ]
    return CountChecks(path=path, compares=bool(comparing), zeros=tuple(sorted(found, key=lambda zero: zero.line)))


def that_hide(zeros: Iterable[ZeroForMissing]) -> list[ZeroForMissing]:
    """None of them where only what is copied from may be missing: nothing can be lost of a table that was not there."""
    found = list(zeros)
    return [] if all(_SOURCE.search(zero.name) for zero in found) else found


class _Whole:
    """Every node of a file with the one above it, in one pass."""

    def __init__(self, body: Sequence[ast.stmt]) -> None:
        self._above: dict[ast.AST, ast.AST | None] = dict.fromkeys(body)
        pending: list[ast.AST] = list(body)
        while pending:
            node = pending.pop()
            below = pythoncode.children(node)
            self._above.update(dict.fromkeys(below, node))
            pending += below

    def around(self, sought: Callable[[ast.AST], bool]) -> frozenset[ast.AST]:
        """The nodes that are sought, and all in which one of them stands."""
        found: set[ast.AST] = set()
        for node in self._above:
            inside: ast.AST | None = node if sought(node) else None
            while inside is not None and inside not in found:
                found.add(inside)
                inside = self._above[inside]
        return frozenset(found)


class _Scope:
    """The statements of one function, or of the module around them. `queries` are the nodes in which a number of rows is asked for."""

    def __init__(self, name: str, body: Sequence[ast.stmt], queries: frozenset[ast.AST]) -> None:
        self.name = name
        self.body = list(body)
        self.queries = queries
        self.nodes = [node for statement in body for node in _below(statement)]
        self.counted = {
            ast.unparse(target) for node in self.nodes for target in _targets(node) if node in queries or _is_lookup_with_zero(getattr(node, "value", None))
        }
        self.returns_count = any(isinstance(node, ast.Return) and self._is_count(node.value, frozenset()) for node in self.nodes)

    def compares(self, counting: frozenset[ast.AST]) -> bool:
        """Does it compare one number of rows with another? `counting` are the nodes that call a function which gives one."""
        known = {ast.unparse(target) for node in self.nodes for target in _targets(node) if node in counting}
        return any(
            isinstance(node, ast.Compare)
            and len(node.comparators) == 1
            and all(self._is_count(side, counting, known) for side in (node.left, node.comparators[0]))
            for node in self.nodes
        )

    def _is_count(self, value: ast.expr | None, counting: frozenset[ast.AST], known: set[str] | frozenset[str] = frozenset()) -> bool:
        """Is it a number of rows, or several: by where it comes from, or by its name where a name is all there is?"""
        if value is None or isinstance(value, ast.Constant):
            return False
        if value in self.queries or value in counting:
            return True
        names = {ast.unparse(node) for node in ast.walk(value) if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript))}
        return bool(names & (self.counted | known)) or any(_COUNT_WORD.search(name) for name in names)

    def zeros(self) -> Iterator[ZeroForMissing]:
        """Every `try` that counts and gives 0 when that fails, and every compared `counts.get(table, 0)`."""
        blocks = [self.body, *(value for node in self.nodes for value in vars(node).values() if isinstance(value, list))]
        before = {id(after): first for block in blocks for first, after in pairwise(block) if isinstance(after, ast.Try)}
        yield from self._looked_up()
        for node in self.nodes:
            if isinstance(node, ast.Try):
                counted = [inner for statement in node.body for inner in _below(statement) if self._asks(inner)]
                yield from self._zeros_of(node, counted, before.get(id(node)))

    def _looked_up(self) -> Iterator[ZeroForMissing]:
        """What is looked up among counts with 0 for a table that is not there, and compared with a count, right there or by the name that it gets."""
        sides = [side for node in self.nodes if isinstance(node, ast.Compare) and len(node.comparators) == 1 for side in _two(node)]
        compared = {ast.unparse(side): other for side, other in sides if self._is_count(other, frozenset())}
        for node in self.nodes:
            call = getattr(node, "value", None) if _targets(node) else node
            if _is_lookup_with_zero(call):
                given = {ast.unparse(target) for target in _targets(node)} or {ast.unparse(call)}
                if given & compared.keys():
                    yield ZeroForMissing(name=ast.unparse(call), scope=self.name, line=call.lineno)

    def _zeros_of(self, node: ast.Try, counted: Sequence[ast.AST], before: ast.stmt | None) -> Iterator[ZeroForMissing]:
        names = {ast.unparse(target) for inner in counted for target in _targets(inner)}
        returns = any(isinstance(inner, ast.Return) for inner in counted)
        for handler in node.handlers:
            inside = [inner for statement in handler.body for inner in _below(statement) if isinstance(inner, ast.stmt)]
            if any(isinstance(inner, ast.Raise) for inner in inside):
                continue
            given = [(name, inner) for inner in inside for name in _made_zero(inner) & names]
            if before is not None and not any(isinstance(inner, _ELSEWHERE) for inner in inside):
                given += [(name, before) for name in _made_zero(before) & names]
            given += [(self.name, inner) for inner in inside if returns and isinstance(inner, ast.Return) and _is_zero(inner.value)]
            yield from (ZeroForMissing(name=name, scope=self.name, line=inner.lineno) for name, inner in given)

    def _asks(self, node: ast.AST) -> bool:
        """Does it ask for a number of rows? A simple statement or an expression that holds such a query."""
        return node in self.queries and (not isinstance(node, ast.stmt) or isinstance(node, (ast.Assign, ast.AnnAssign, ast.Return)))


_ELSEWHERE = (ast.Return, ast.Continue, ast.Break, ast.Assign)  # a handler that goes on with something else than what was there before


def _made_zero(statement: ast.stmt) -> set[str]:
    """What an assignment sets to 0."""
    return {ast.unparse(target) for target in _targets(statement)} if _is_zero(getattr(statement, "value", None)) else set()


def _below(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what is below it, but no definitions."""
    pending = [node]
    while pending:
        current = pending.pop()
        if not isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield current
            pending += pythoncode.children(current)


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _two(comparison: ast.Compare) -> tuple[tuple[ast.expr, ast.expr], tuple[ast.expr, ast.expr]]:
    """Each side beside the other one."""
    left, right = comparison.left, comparison.comparators[0]
    return (left, right), (right, left)


def _is_lookup_with_zero(call: ast.AST | None) -> TypeGuard[ast.Call]:
    """Is it `target_counts.get(table, 0)`?"""
    match call:
        case ast.Call(func=ast.Attribute(value=counts, attr="get"), args=[_, instead]):
            return _is_zero(instead) and _COUNT_WORD.search(ast.unparse(counts)) is not None
        case _:
            return False


def _targets(node: ast.AST) -> list[ast.expr]:
    """What an assignment sets; of `a, b = ...` both."""
    match node:
        case ast.Assign():
            return [one for target in node.targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
        case ast.AnnAssign() if node.value is not None:
            return [node.target]
        case _:
            return []


def _is_zero(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Constant) and value.value == 0 and type(value.value) is int
