"""Which lines of a Python program read a directory's variable, and which make its path without it? Follows names to what they are set to in their scope.

Texts have references: `${DATA_DIR}` for a read of the environment, `⟨name⟩` for a value that comes from elsewhere (a parameter, another module, an attribute).
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from interlock.facts.pythoncode import FunctionNode, Module, children, keyword
from interlock.facts.state_places import NAME, NEAR, Past, PathUse, Place, Read, is_called, is_state
from interlock.nouns import dataclass
from interlock.patterns import regex

DEEPEST = 12
SHORT = 30  # lines of a function that does nothing but find a directory
_READS = frozenset({"os.environ.get", "os.getenv", "environ.get", "getenv", "os.environ.setdefault", "env", "env.str", "config", "decouple.config", "env.path"})
_ENVIRONMENTS = frozenset({"os.environ", "environ"})
_JOINS = frozenset({"pathlib.Path", "pathlib.PurePath", "pathlib.PurePosixPath", "pathlib.PosixPath", "Path", "os.path.join", "posixpath.join"})
_SAME = frozenset({"str", "os.fspath", "os.path.abspath", "os.path.realpath", "os.path.normpath", "os.path.expanduser", "os.path.expandvars"})
_KEEPS = frozenset({"resolve", "absolute", "expanduser", "rstrip", "strip", "as_posix"})
_REFERENCE = regex(r"^(?:\$\{(?P<read>\w+)\}|⟨(?P<name>[^⟩]*)⟩)/(?P<rest>.+)$")
_READ_TEXT = regex(rb"""(?:environ\.get|getenv|environ\.setdefault)\(\s*["'](?P<name>[A-Z][A-Z0-9_]*)["']\s*,\s*["'](?P<default>[^"'\n]*)["']""")


def defaults_in_python(path: str, data: bytes) -> Iterator[Read]:
    """The reads whose default stands beside them, of any such variable: by their text, for many programs read one and few are worth parsing for it."""
    for found in _READ_TEXT.finditer(data):
        name = found["name"].decode()
        if NAME.fullmatch(name):
            yield Read(variable=name, default=found["default"].decode("utf-8", "replace"), file=path, line=data.count(b"\n", 0, found.start()) + 1)


def reads_in_python(path: str, module: Module) -> Iterator[Read]:
    """Every read of a variable that is called like a directory of state, with its default; what a resolver falls back to counts as one."""
    program = _Program(module)
    for scope in program.scopes:
        for node in scope.nodes:
            name, default = program.read_of(node)
            if name and is_state(name) and NAME.fullmatch(name):
                yield Read(variable=name, default=_as_reference(program.text(default, scope) or "") if default is not None else "", file=path, line=_line(node))
                yield from _fallbacks(program, scope, name, path)


def _fallbacks(program: _Program, scope: _Scope, variable: str, path: str) -> Iterator[Read]:
    """The paths made of another variable that stand in for this one: what its resolver returns, or what is set where it would be set."""
    for node in scope.nodes:
        match node:
            case ast.Return(value=ast.expr() as value) if scope.function is not None and _is_short(scope.function):
                given = value
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value) if is_called(name, variable):
                given = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if is_called(name, variable):
                given = value
            case _:
                continue
        for part in (given, *((given.body, given.orelse) if isinstance(given, ast.IfExp) else ())):
            found = _REFERENCE.match(program.text(part, scope) or "")
            if found and (other := found["read"]) and other != variable and NAME.fullmatch(other):
                yield Read(variable=variable, default=f"${{{other}}}/{found['rest']}", file=path, line=_line(node))


def _is_short(function: FunctionNode) -> bool:
    return (function.end_lineno or function.lineno) - function.lineno <= SHORT


def _as_reference(text: str) -> str:
    found = _REFERENCE.match(text)
    return text if found is None or found["read"] else ""


def uses_in_python(path: str, module: Module, places: Sequence[Place]) -> Iterator[PathUse]:
    """Every expression that comes to a path at or below a place without a read of its variable beside it."""
    program = _Program(module)
    for scope in program.scopes:
        telling = [node for node in scope.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str) and _tells(node.value, places)]
        if not telling:
            continue
        above = {id(child): node for node in scope.nodes for child in children(node)}
        mentions = {place.variable: _mentions(scope, place) for place in places}
        seen: set[int] = set()
        for constant in telling:
            whole = _whole(program, constant, above)
            if id(whole) not in seen and not isinstance(above.get(id(whole)), ast.Expr):  # a docstring is nobody's path
                seen.add(id(whole))
                near = [place for place in places if not any(abs(line - _line(whole)) <= NEAR for line in mentions[place.variable])]
                if (use := _use(program.text(whole, scope) or "", near)) is not None:
                    yield PathUse(file=path, line=_line(constant), written=use[2], how=use[1], place=use[0])


def _tells(value: str, places: Sequence[Place]) -> bool:
    """True when a text can be the part of a path that makes it one of these places. A text of several words is a sentence or a command line."""
    if not value or any(mark in value for mark in " \n"):
        return False
    parts = value.split("/")
    return any(
        any(literal in value or literal.rpartition("/")[2] in parts for literal in place.literals)
        or any(rest.rpartition("/")[2] in parts for _, rest in place.made_of)
        for place in places
    )


def _whole(program: _Program, node: ast.expr, above: Mapping[int, ast.AST]) -> ast.expr:
    """The path that an expression is a part of."""
    while True:
        over = above.get(id(node))
        match over:
            case ast.BinOp(op=ast.Div() | ast.Add()) | ast.JoinedStr() | ast.FormattedValue():
                node = over
            case ast.Attribute(attr="joinpath"):
                call = above.get(id(over))
                if not isinstance(call, ast.Call):
                    return node
                node = call
            case ast.Call(args=given) if node in given and (
                (dotted := program.module.dotted(over.func)) in _JOINS or dotted in _SAME or dotted.endswith(".joinpath")
            ):
                node = over
            case _:
                return node


def _use(text: str, places: Sequence[Place]) -> tuple[Place, Past, str] | None:
    """Which place a path lies in, and how it goes past the variable."""
    path = posixpath.normpath(text) if text.startswith("/") else ""
    found = _REFERENCE.match(text)
    for place in places:
        if path and place.literal_in(path):
            return place, Past.LITERAL, path
        if found is None:
            continue
        for other, rest in place.made_of:
            below = posixpath.normpath(found["rest"])
            named = found["read"] == other or (found["name"] is not None and is_called(found["name"], other))
            if named and (below == rest or below.startswith(rest + "/")):
                return place, Past.MADE, f"{other}/{below}"
    return None


def _mentions(scope: _Scope, place: Place) -> frozenset[int]:
    """The lines of a scope that read the variable, or set what programs call it."""
    lines = set()
    if scope.function is not None and is_called(scope.function.name, place.variable):
        lines |= set(range(scope.function.lineno, (scope.function.end_lineno or scope.function.lineno) + 1))
    for node in scope.nodes:
        match node:
            case ast.Constant(value=str() as value) if value == place.variable:
                lines.add(node.lineno)
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)]) | ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name)):
                if is_called(name, place.variable):
                    lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            case ast.keyword(arg=str() as name) if is_called(name, place.variable):
                lines.add(node.lineno)
            case ast.Name(id=name) | ast.Attribute(attr=name) if is_called(name, place.variable):
                lines.add(node.lineno)
            case _:
                pass
    return frozenset(lines)


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


@dataclass(slots=True, kw_only=True)
class _Scope:
    """A function, or what stands outside of all of them. `tops` are its statements, `nodes` everything in it but what stands in functions inside."""

    function: FunctionNode | None
    tops: tuple[ast.AST, ...]
    nodes: list[ast.AST]
    values: dict[str, list[ast.expr]]
    above: _Scope | None
    asked: set[str] = field(default_factory=set)


class _Program:
    """A module taken apart into scopes."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.scopes: list[_Scope] = []
        self.top = self._scope(None, module.body, None)
        self._returned: dict[str, str | None] = {}
        self._asked: set[str] = set()

    def _scope(self, function: FunctionNode | None, tops: Sequence[ast.AST], above: _Scope | None) -> _Scope:
        inside: list[FunctionNode] = []
        nodes: list[ast.AST] = []
        waiting = list(tops)
        while waiting:
            node = waiting.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inside.append(node)
                waiting += [*node.decorator_list, *(one for one in (*node.args.defaults, *node.args.kw_defaults) if one is not None)]
                continue
            nodes.append(node)
            waiting += children(node)
        scope = _Scope(function=function, tops=tuple(tops), nodes=nodes, values=_values(nodes), above=above)
        self.scopes.append(scope)
        for one in inside:
            self._scope(one, one.body, scope)
        return scope

    def read_of(self, node: ast.AST) -> tuple[str, ast.expr | None]:
        """The variable of the environment that an expression reads, and its default."""
        match node:
            case ast.Call(args=[ast.Constant(value=str() as name), *rest]) if self.module.dotted(node.func) in _READS:
                return name, rest[0] if rest else keyword(node, "default")
            case ast.Subscript(slice=ast.Constant(value=str() as name)) if self.module.dotted(node.value) in _ENVIRONMENTS:
                return name, None
            case ast.BoolOp(op=ast.Or(), values=[first, second, *_]):
                name, default = self.read_of(first)
                return (name, second) if default is None or (isinstance(default, ast.Constant) and not default.value) else ("", None)
            case _:
                return "", None

    def text(self, node: ast.expr | None, scope: _Scope, depth: int = 0) -> str | None:
        """An expression as a path with references; None where it is none."""
        if node is None or depth > DEEPEST:
            return None
        name, _ = self.read_of(node)
        if name:
            return f"${{{name}}}"
        match node:
            case ast.Constant(value=str() as value):
                return value
            case ast.JoinedStr(values=values):
                return self._joined("", values, scope, depth)
            case ast.FormattedValue(value=value):
                return self.text(value, scope, depth + 1)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._joined("/", (left, right), scope, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined("", (left, right), scope, depth)
            case ast.Name(id=called):
                return self._named(called, scope, depth)
            case ast.Attribute(attr=called):
                return f"⟨{called}⟩"
            case ast.IfExp(body=body):
                return self.text(body, scope, depth + 1)
            case ast.Call():
                return self._called(node, scope, depth)
            case _:
                return None

    def _joined(self, between: str, parts: Sequence[ast.expr], scope: _Scope, depth: int) -> str | None:
        texts = [self.text(part, scope, depth + 1) for part in parts]
        if not texts or texts[0] is None:
            return None
        return between.join("⟨⟩" if text is None else text for text in texts).replace("//", "/")

    def _named(self, name: str, scope: _Scope, depth: int) -> str:
        at: _Scope | None = scope
        while at is not None:
            if name in at.values and name not in at.asked:
                at.asked.add(name)
                try:
                    texts = {self.text(value, at, depth + 1) for value in at.values[name]}
                finally:
                    at.asked.discard(name)
                found = texts.pop() if len(texts) == 1 else None
                return found if found and found.startswith(("/", "$", "⟨")) else f"⟨{name}⟩"
            at = at.above
        return f"⟨{name}⟩"

    def _called(self, node: ast.Call, scope: _Scope, depth: int) -> str | None:
        dotted = self.module.dotted(node.func)
        if dotted in _JOINS and node.args and not node.keywords:
            return self._joined("/", node.args, scope, depth)
        if dotted in _SAME and len(node.args) == 1:
            return self.text(node.args[0], scope, depth + 1)
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "joinpath" and node.args:
                return self._joined("/", (node.func.value, *node.args), scope, depth)
            if node.func.attr in _KEEPS:
                return self.text(node.func.value, scope, depth + 1)
            return f"⟨{node.func.attr}⟩"
        return self._returns(node.func.id, depth) if isinstance(node.func, ast.Name) else None

    def _returns(self, name: str, depth: int) -> str:
        """What a function of this file comes to, when it has one answer that can be followed; else its name."""
        if name not in self._returned and name not in self._asked:
            self._asked.add(name)
            scope = next((one for one in self.scopes if one.function is not None and one.function.name == name), None)
            answers = [one.value for one in scope.nodes if isinstance(one, ast.Return) and one.value is not None] if scope else []
            self._returned[name] = self.text(answers[0], scope, depth + 1) if scope is not None and len(answers) == 1 else None
        found = self._returned.get(name)
        return found if found and found.startswith(("/", "$")) else f"⟨{name}⟩"


def _values(nodes: Sequence[ast.AST]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found.setdefault(name, []).append(value)
            case ast.For(target=ast.Name(id=name), iter=value) | ast.AugAssign(target=ast.Name(id=name), value=value):
                found.setdefault(name, []).extend((value, ast.Constant(value=None)))
            case _:
                pass
    return found
