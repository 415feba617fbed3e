"""Where does a Python program put a file in its place by a temporary one, and with which mode? `mkstemp` makes 0600, and a rename keeps it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from interlock.facts.permissions import Published
from interlock.facts.pythoncode import FunctionNode, Module, children

_MARKS = (b"os.replace", b"os.rename", b".rename(", b"shutil.move")
_RENAMES = frozenset({"os.replace", "os.rename", "os.renames", "shutil.move"})
_MODES = frozenset({"os.chmod", "os.fchmod", "os.lchmod"})
_KEEPS_MODE = frozenset({"shutil.copymode", "shutil.copystat", "shutil.copy2", "os.umask", "os.fchown", "os.chown", "shutil.chown"})
_PRIVATE = frozenset({"tempfile.mkstemp", "tempfile.NamedTemporaryFile", "NamedTemporaryFile", "mkstemp"})


def may_publish(data: bytes) -> bool:
    """False for programs that need no parsing to know it."""
    temporary = b"mkstemp" in data or b"NamedTemporaryFile" in data
    return (temporary or b"chmod" in data) and (any(mark in data for mark in _MARKS) or (temporary and b".replace(" in data))


def publishes(path: str, module: Module) -> Iterator[Published]:
    """Every rename of a temporary file into its place, each by the function around it; one for each function."""
    for function, nodes in functions_apart(module):
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        names = {id(call): module.dotted(call.func) for call in calls}
        renames = [call for call in calls if is_rename(call, names[id(call)])]
        if not renames:
            continue
        temporary = [call for call in calls if names[id(call)] in _PRIVATE]
        keeps = any(names[id(call)] in _KEEPS_MODE or names[id(call)].endswith((".copymode", ".copystat")) for call in calls)
        modes = [mode_of(call, names[id(call)], module) for call in calls if names[id(call)] in _MODES or names[id(call)].endswith(".chmod")]
        if keeps or (not temporary and not modes):
            continue
        rename = renames[0]
        known = [mode for mode in modes if mode is not None]
        if modes and not known:
            continue  # a mode that is worked out: somebody thought of it
        yield Published(
            file=path,
            line=(temporary[0] if temporary else rename).lineno,
            function=function,
            target=_target(rename),
            private=bool(temporary),
            mode=known[-1] if known else None,
        )


def functions_apart(module: Module) -> Iterator[tuple[str, list[ast.AST]]]:
    """The functions of a module with the nodes that are theirs alone, and what stands outside."""
    waiting: list[tuple[str, list[ast.AST]]] = [("", list(module.body))]
    while waiting:
        name, tops = waiting.pop()
        nodes: list[ast.AST] = []
        stack = list(tops)
        while stack:
            node = stack.pop()
            if isinstance(node, FunctionNode):
                waiting.append((node.name, list(node.body)))
                continue
            nodes.append(node)
            stack += children(node)
        yield name, sorted(nodes, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))


def is_rename(call: ast.Call, name: str) -> bool:
    """True for what puts a file at another path; `name` is the full name of what is called."""
    if name in _RENAMES:
        return len(call.args) == 2
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("replace", "rename") and len(call.args) == 1 and not call.keywords


def _target(call: ast.Call) -> str:
    text = " ".join(ast.unparse(call.args[-1]).split())
    return text if len(text) <= 80 else text[:79] + "…"


_BITS: Mapping[str, int] = {
    "S_IRUSR": 0o400,
    "S_IWUSR": 0o200,
    "S_IRGRP": 0o040,
    "S_IWGRP": 0o020,
    "S_IROTH": 0o004,
    "S_IWOTH": 0o002,
    "S_IRWXU": 0o700,
    "S_IRWXG": 0o070,
}


def mode_of(call: ast.Call, name: str, module: Module) -> int | None:
    """The mode that a chmod gives, None when it is worked out."""
    given = call.args[-1] if call.args else next((one.value for one in call.keywords if one.arg == "mode"), None)
    return _number(given, module) if given is not None and (name in _MODES or len(call.args) <= 1) else None


def _number(value: ast.expr, module: Module) -> int | None:
    match value:
        case ast.Constant(value=int() as number):
            return number
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            first, second = _number(left, module), _number(right, module)
            return None if first is None or second is None else first | second
        case ast.Attribute(attr=name) | ast.Name(id=name) if name in _BITS:
            return _BITS[name]
        case ast.Name(id=name):
            for statement in module.body:
                if isinstance(statement, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in statement.targets):
                    return _number(statement.value, module)
            return None
        case _:
            return None
