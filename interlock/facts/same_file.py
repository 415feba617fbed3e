"""Which Python programs write one and the same file, which of them make it private, and which put a new one in its place with the mode of the umask?

A file is told by the last part of its path, and by the folder above it where both writers say one. A rename carries the mode of the temporary file onto the
path: one careless writer opens for good what the others had closed. Writers whose mode cannot be worked out count as careful.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from interlock.facts.publishes import functions_apart, is_rename, mode_of
from interlock.facts.pythoncode import Module, keyword
from interlock.nouns import dataclass
from interlock.patterns import regex

DEEPEST = 6  # names behind names
_ANY = "?"
_SAME = frozenset({"str", "pathlib.Path", "pathlib.PurePath", "os.fspath", "os.path.abspath", "os.path.realpath", "os.path.expanduser"})
_SAME_METHODS = frozenset({"resolve", "absolute", "expanduser", "as_posix"})
_CHANGES = frozenset({"os.chmod", "os.lchmod"})
_CAREFUL = frozenset(
    {
        "os.umask", "os.fchmod", "os.open", "os.fdopen", "tempfile.mkstemp", "tempfile.NamedTemporaryFile", "tempfile.mkdtemp", "tempfile.TemporaryDirectory",
        "shutil.copy", "shutil.copy2", "shutil.copymode", "shutil.copystat",
    }
)  # fmt: skip
_CAREFUL_NAME = regex(r"chmod|(?:^|_)mode(?:_|$)|permissions?(?:_|$)|secure|private|restrict|umask|mkstemp", re.IGNORECASE)
_COMMON = regex(
    r"(?:config|settings?|data|state|index|meta(?:data)?|cache|manifest|session|status|output|results?|report|info|version|main|app|default|file|log|db|lock)"
    r"(?:\.\w+)?$",
    re.IGNORECASE,
)
_MARKS = (b"os.replace(", b"os.rename", b".rename(", b"shutil.move(")
_REPLACES_ITSELF = regex(rb"\.replace\([^,\n]*\)")
_CHMODS = frozenset({"chmod", "lchmod", "fchmod", "open"})
_MOVES = frozenset({"replace", "rename", "renames", "move"})
_WRITES = frozenset({"open", "write_text", "write_bytes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWriter:
    """A function that writes a file: `name` and `folder` are the last two parts of its path, the folder empty where only running would tell it. `private`: it
    gives the file to its owner alone; otherwise it renames a file of the umask's mode onto it."""

    file: str
    line: int
    function: str
    target: str
    name: str
    folder: str
    private: bool

    def is_same(self, other: FileWriter) -> bool:
        """Whether both write one file; a name that many files have needs its folder."""
        if self.name != other.name:
            return False
        if self.folder and other.folder:
            return self.folder == other.folder
        return _COMMON.match(self.name) is None


def may_close(data: bytes) -> bool:
    """False for a program that gives no file to its owner alone."""
    return b"chmod(" in data or b"0o600" in data


def may_replace(data: bytes, names: frozenset[str]) -> bool:
    """False for a program that puts none of these files in its place by a rename."""
    if not any(mark in data for mark in _MARKS) and not (b"pathlib" in data and _REPLACES_ITSELF.search(data)):
        return False
    texts = (name.encode("utf-8", "replace") + quote for name in names for quote in (b'"', b"'"))
    return any(text in data for text in texts)


def file_writers(path: str, module: Module) -> Iterator[FileWriter]:
    """Each function that makes a file private, or that puts one with the umask's mode in its place."""
    if not any(called & _CHMODS or (called & _MOVES and called & _WRITES) for called in module.calls.values()):
        return
    known = _assigned(module.body)
    for function, nodes in functions_apart(module):
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        look = _Function(path, function, module, {**known, **_assigned(nodes)}, [_Named(call, module.dotted(call.func)) for call in calls])
        yield from look.private()
        yield from look.loose()


def _assigned(nodes: Sequence[ast.AST]) -> Mapping[str, ast.expr]:
    """The last value of each name."""
    found: dict[str, ast.expr] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


class _Named(NamedTuple):
    """A call with the full name of what it calls."""

    call: ast.Call
    name: str


class _Function(NamedTuple):
    """One function, with the names that it knows and the calls that it makes."""

    path: str
    name: str
    module: Module
    known: Mapping[str, ast.expr]
    calls: list[_Named]

    def _renames(self) -> Iterator[tuple[ast.Call, ast.expr, ast.expr]]:
        """Each rename: the call, what is renamed, and to what."""
        for call, name in self.calls:
            if is_rename(call, name):
                source = call.args[0] if len(call.args) > 1 else call.func.value if isinstance(call.func, ast.Attribute) else None
                if source is not None:
                    yield call, source, call.args[-1]

    def private(self) -> Iterator[FileWriter]:
        """The files that it gives to their owner alone."""
        renames = [(ast.unparse(source), target) for _, source, target in self._renames()]
        for call, name in self.calls:
            for subject in self._closed(call, name):
                text = ast.unparse(subject)
                yield from self._writer(call, next((target for source, target in renames if source == text), subject), private=True)
            if name == "os.fchmod" and _is_private(mode_of(call, name, self.module)) and len(renames) == 1:
                yield from self._writer(call, renames[0][1], private=True)

    def _closed(self, call: ast.Call, name: str) -> Iterator[ast.expr]:
        if name == "os.open":
            if len(call.args) > 2 and _is_private(mode_of(call, "os.chmod", self.module)):
                yield call.args[0]
        elif name in _CHANGES:
            if call.args and _is_private(mode_of(call, name, self.module)):
                yield call.args[0]
        elif isinstance(call.func, ast.Attribute) and call.func.attr == "chmod" and _is_private(mode_of(call, name, self.module)):
            yield call.func.value

    def loose(self) -> Iterator[FileWriter]:
        """The files that it puts in their place with the mode of the umask."""
        for call, source, target in self._renames():
            temporary, place = ast.unparse(source), ast.unparse(target)
            if self._writes(temporary) and not self._takes_care(temporary, place, target):
                yield from self._writer(call, target, private=False)

    def _writes(self, temporary: str) -> bool:
        """True when it makes the file itself."""
        for call, name in self.calls:
            if name in ("open", "io.open", "builtins.open") and call.args and ast.unparse(call.args[0]) == temporary and _opens_new(call, 1):
                return keyword(call, "opener") is None
            written = call.func.attr if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == temporary else ""
            if written in ("write_text", "write_bytes") or (written == "open" and _opens_new(call, 0)):
                return True
        return False

    def _takes_care(self, temporary: str, place: str, target: ast.expr) -> bool:
        """True when something in it may give the file a mode; a chmod of a file with another name does not."""
        wanted = self._tail(target, DEEPEST)[-1]
        for call, name in self.calls:
            if name in _CAREFUL:
                return True
            if _CAREFUL_NAME.search(name.rpartition(".")[2]):
                subject = call.args[0] if name in _CHANGES and call.args else call.func.value if isinstance(call.func, ast.Attribute) else None
                if name.endswith("chmod") and subject is not None and self._tail(subject, DEEPEST)[-1] in (_ANY, wanted):
                    return True
                texts = {ast.unparse(one) for one in (*call.args, *(() if subject is None else (subject,)))}
                if texts & {temporary, place} or not (call.args or name.endswith("chmod")):
                    return True
        return False

    def _writer(self, call: ast.Call, target: ast.expr, *, private: bool) -> Iterator[FileWriter]:
        parts = self._tail(target, DEEPEST)
        name, folder = parts[-1], parts[-2] if len(parts) > 1 else ""
        if len(name) > 3 and _ANY not in name:
            shown = " ".join(ast.unparse(target).split())
            yield FileWriter(
                file=self.path,
                line=call.lineno,
                function=self.name,
                target=shown if len(shown) <= 80 else shown[:79] + "…",
                name=name,
                folder="" if _ANY in folder else folder,
                private=private,
            )

    def _tail(self, value: ast.expr, depth: int) -> tuple[str, ...]:
        """The last parts of a path, never none; `?` for what only running would tell."""
        if depth == 0:
            return (_ANY,)
        match value:
            case ast.Constant(value=str() as text):
                return tuple(text.rstrip("/").split("/"))
            case ast.JoinedStr(values=[*_, ast.Constant(value=str() as text)]) if "/" in text:
                return (_ANY, *text.rstrip("/").split("/")[1:])
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return (*self._tail(left, depth - 1), *self._tail(right, depth - 1))
            case ast.Name(id=name) if name in self.known:
                return self._tail(self.known[name], depth - 1)
            case ast.Call(func=ast.Attribute(value=inner, attr=attr), args=[]) if attr in _SAME_METHODS:
                return self._tail(inner, depth - 1)
            case ast.Call(func=func, args=[*_, last]) if not value.keywords:
                name = self.module.dotted(func)
                if name in _SAME and len(value.args) == 1:
                    return self._tail(last, depth - 1)
                if name in ("os.path.join", "pathlib.Path") or name.endswith(".joinpath"):
                    return tuple(part for one in value.args for part in self._tail(one, depth - 1))
                return (_ANY,)
            case ast.Call(func=ast.Name(id=name), args=[]) if name in self.module.functions:
                returns = [one.value for one in ast.walk(self.module.functions[name]) if isinstance(one, ast.Return) and one.value is not None]
                return self._tail(returns[0], depth - 1) if len(returns) == 1 else (_ANY,)
            case _:
                return (_ANY,)


def _is_private(mode: int | None) -> bool:
    return mode is not None and mode & 0o077 == 0


def _opens_new(call: ast.Call, at: int) -> bool:
    mode = call.args[at] if len(call.args) > at else keyword(call, "mode")
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and mode.value[:1] in ("w", "x")
