"""Where does a Python program say that state lives? Its reads of the environment, with their defaults; `interlock.facts.state_dir_readers` has the other kinds.

Followed are texts, f-strings, `Path` and `/`, `os.path.join`, names that are set once, and reads of other variables; all else is unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import field

from interlock.facts.pythoncode import Module, NotPython, parse
from interlock.nouns import dataclass

_READS = frozenset({"os.environ.get", "os.getenv", "environ.get", "getenv"})
_SETS_DEFAULT = frozenset({"os.environ.setdefault", "environ.setdefault"})
_ENVIRONMENTS = frozenset({"os.environ", "environ"})
_PATHS = frozenset({"pathlib.Path", "pathlib.PurePath", "pathlib.PurePosixPath", "Path", "os.path.join", "str", "os.fspath"})
_KEEPS = frozenset({"resolve", "absolute", "expanduser", "rstrip", "strip", "as_posix"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonReading:
    """One place of a program. `text` is what it says, as a text with references; None where that cannot be followed, empty where it takes the value from
    the environment alone. `fixed`: whatever the environment says. `only_unset`: a value that is set to nothing is taken as it is."""

    line: int
    text: str | None
    fixed: bool = False
    only_unset: bool = False


def python_readings(data: bytes, variable: str) -> tuple[PythonReading, ...] | NotPython:
    """Every place of a program that reads the variable, or sets it, in the order of its lines."""
    module = parse(data)
    if isinstance(module, NotPython):
        return module
    nodes = [node for statement in module.body for node in ast.walk(statement)]
    program = _Program(module=module, variable=variable, constants=dict(_constants(nodes)))
    return tuple(sorted(dict.fromkeys(reading for node in nodes for reading in program.readings(node)), key=lambda reading: reading.line))


def _constants(nodes: list[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """The names that are assigned in one place alone, with what they get."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            assigned.setdefault(node.target.id, []).append(node.value)
    return ((name, values[0]) for name, values in assigned.items() if len(values) == 1)


@dataclass(slots=True, kw_only=True)
class _Program:
    """A program while it is read. `asked` are the names that are being followed, so that none goes round."""

    module: Module
    variable: str
    constants: Mapping[str, ast.expr]
    asked: set[str] = field(default_factory=set)

    def readings(self, node: ast.AST) -> Iterator[PythonReading]:
        """What one node says of the variable."""
        match node:
            case ast.Call() if self._read(node) == self.variable:
                default = _default_of(node)
                empty = default is None or (isinstance(default, ast.Constant) and not default.value)
                yield PythonReading(line=node.lineno, text="" if empty or default is None else self.text(default), only_unset=not empty)
            case ast.Call() if self.module.dotted(node.func) in _SETS_DEFAULT and len(node.args) == 2 and self._names_it(node.args[0]):
                yield PythonReading(line=node.lineno, text=self.text(node.args[1]), only_unset=True)
            case ast.BoolOp(op=ast.Or(), values=[first, second, *_]) if self._reads_it(first):
                yield PythonReading(line=node.lineno, text=self.text(second))
            case ast.Subscript(ctx=ast.Load()) if self._element(node) == self.variable:
                yield PythonReading(line=node.lineno, text="")
            case ast.Assign(targets=[target]) if self._is_it(target) and not self._reads_it(node.value):
                yield PythonReading(line=node.lineno, text=self.text(node.value), fixed=True)
            case ast.Dict():
                for key, value in zip(node.keys, node.values, strict=True):
                    if key is not None and self._names_it(key) and isinstance(value, ast.Constant):
                        yield PythonReading(line=key.lineno, text=self.text(value), fixed=True)
            case _:
                return

    def _is_it(self, target: ast.expr) -> bool:
        """A name like the variable's, or its place in the environment."""
        if isinstance(target, ast.Subscript):
            return self._element(target) == self.variable
        return isinstance(target, ast.Name) and target.id == self.variable

    def _names_it(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) and node.value == self.variable

    def _reads_it(self, node: ast.expr) -> bool:
        return any(
            (isinstance(inner, ast.Call) and self._read(inner) == self.variable) or (isinstance(inner, ast.Subscript) and self._element(inner) == self.variable)
            for inner in ast.walk(node)
        )

    def _read(self, call: ast.Call) -> str | None:
        """The variable that a call reads from the environment."""
        if self.module.dotted(call.func) not in _READS or not call.args:
            return None
        return _literal(call.args[0])

    def _element(self, node: ast.Subscript) -> str | None:
        return _literal(node.slice) if self.module.dotted(node.value) in _ENVIRONMENTS else None

    def text(self, node: ast.expr) -> str | None:
        """An expression as a text with references; None where it cannot be followed."""
        match node:
            case ast.Constant(value=str() as value):
                return value.replace("$", "$$")
            case ast.JoinedStr():
                return _together("", [self.text(part) for part in node.values])
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.text(value)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return _together("/", [self.text(left), self.text(right)])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _together("", [self.text(left), self.text(right)])
            case ast.Name(id=name) if name in self.constants and name not in self.asked:
                return self._named(name)
            case ast.Subscript():
                element = self._element(node)
                return f"${{{element}}}" if element else None
            case ast.Call():
                return self._called(node)
            case _:
                return None

    def _named(self, name: str) -> str | None:
        self.asked.add(name)
        try:
            return self.text(self.constants[name])
        finally:
            self.asked.discard(name)

    def _called(self, node: ast.Call) -> str | None:
        if (name := self._read(node)) is not None:
            default = _default_of(node)
            text = self.text(default) if default is not None else ""
            return None if text is None else f"${{{name}:-{text}}}" if text else f"${{{name}}}"
        if self.module.dotted(node.func) in _PATHS and node.args and not node.keywords:
            return _together("/", [self.text(part) for part in node.args])
        if isinstance(node.func, ast.Attribute) and node.func.attr in _KEEPS:
            return self.text(node.func.value)
        return None


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _default_of(call: ast.Call) -> ast.expr | None:
    if len(call.args) > 1:
        return call.args[1]
    return next((keyword.value for keyword in call.keywords if keyword.arg == "default"), None)


def _together(between: str, parts: list[str | None]) -> str | None:
    known = [part for part in parts if part is not None]
    return between.join(known) if len(known) == len(parts) else None
