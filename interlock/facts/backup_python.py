"""Which lines of a Python program write a backup, and how private is the file when it comes into being? Follows each function as it would run.

Followed are names with known values, paths put together in the usual ways, modes and umasks set before and after, private directories, open files handed to
other calls, argv lists and command lines of programs, and calls between the functions of one file. Branches are taken one after the other.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from interlock.facts.backup_ledger import At, Backups, Ledger, Standing
from interlock.facts.backup_shell import follow_argv, follow_command
from interlock.facts.backup_tools import DUMPERS, ENGINES, Emission, Made, Making, ModeChange, exported_by
from interlock.facts.backup_writers import UNKNOWN, Followed, Language, Unread, WriterScript, listed, readable, says_backup
from interlock.facts.pythoncode import FunctionNode, Module, NotPython, argument, calls_in_order, keyword, parameters, parse
from interlock.patterns import regex

CALLS = 300  # calls between functions that are followed in one file
DEPTH = 12

_SAME_PATH = listed(
    "str pathlib.Path pathlib.PurePath pathlib.PosixPath os.fspath os.fsdecode os.fsencode "
    "os.path.abspath os.path.realpath os.path.normpath os.path.expanduser os.path.expandvars"
)
_SAME_PATH_METHODS = frozenset({"resolve", "absolute", "expanduser", "as_posix", "strip", "rstrip", "decode", "encode"})
_OPENERS = listed("open builtins.open io.open codecs.open gzip.open bz2.open lzma.open tarfile.open tarfile.TarFile.open zipfile.ZipFile aiofiles.open")
_SERIALIZERS = regex(r"\b(json|yaml|_?json|pickle|toml|orjson|ujson|marshal|tomli_w)\.(safe_)?dumps?\b")
_WRITES = regex(r"[wxa]")


@dataclass(slots=True, kw_only=True)
class _Scope:
    """What is known inside one function: names, open files by name, argv lists by name."""

    name: str
    values: dict[str, Followed] = field(default_factory=dict)
    files: dict[str, Followed] = field(default_factory=dict)
    databases: dict[str, Followed] = field(default_factory=dict)
    lists: dict[str, tuple[Followed, ...]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Follower:
    """One file being followed."""

    module: Module
    ledger: Ledger
    standing: Standing = field(default_factory=Standing)
    scope: _Scope = field(default_factory=lambda: _Scope(name=""))
    around: dict[str, Followed] = field(default_factory=dict)
    entered: set[str] = field(default_factory=set)
    active: list[str] = field(default_factory=list)
    sites: list[tuple[str, int]] = field(default_factory=list)  # from which function and line each of `active` was entered
    telling: frozenset[str] = frozenset()
    calls: int = 0

    # ---- statements, in the order of the text

    def whole(self) -> None:
        """The module's own statements, and then every function that nothing in the file calls, and those that were not reached."""
        self.telling = _telling(self.module)
        called = {name for names in self.module.calls.values() for name in names}
        self.body(self.module.body)
        self.around = self.scope.values
        after = self.standing
        for name, function in sorted(self.module.functions.items(), key=lambda item: (item[0] in called, item[1].lineno)):
            if name in self.telling and name not in self.entered:
                self.ledger.enter()
                self.standing = after.apart()
                self._enter(function, {})

    def body(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:  # noqa: PLR0912 - one line for each kind of statement
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                pass
            case ast.ClassDef():
                self.body(statement.body)
            case ast.Assign():
                self._calls(statement.value)
                for target in statement.targets:
                    self._assign(target, statement.value)
            case ast.AnnAssign() if statement.value is not None:
                self._calls(statement.value)
                self._assign(statement.target, statement.value)
            case ast.AugAssign():
                self._calls(statement.value)
                self._add(statement)
            case ast.With() | ast.AsyncWith():
                self._with(statement)
            case ast.If():
                self._calls(statement.test)
                self.body(statement.body)
                self.body(statement.orelse)
            case ast.For() | ast.AsyncFor():
                self._calls(statement.iter)
                self._forget(statement.target, statement.iter)
                self.body(statement.body)
                self.body(statement.orelse)
            case ast.While():
                self._calls(statement.test)
                self.body(statement.body)
                self.body(statement.orelse)
            case ast.Try() | ast.TryStar():
                self.body(statement.body)
                for handler in statement.handlers:
                    self.body(handler.body)
                self.body(statement.orelse)
                self.body(statement.finalbody)
            case ast.Match():
                self._calls(statement.subject)
                for case in statement.cases:
                    self.body(case.body)
            case _:
                self._calls(statement)

    def _with(self, statement: ast.With | ast.AsyncWith) -> None:
        before, masked = (self.standing.umask, self.standing.umask_line), False
        for item in statement.items:
            self._calls(item.context_expr)
            if isinstance(item.optional_vars, ast.Name):
                self._assign(item.optional_vars, item.context_expr)
            if isinstance(item.context_expr, ast.Call) and "umask" in self.module.dotted(item.context_expr.func):
                self.standing.umask, self.standing.umask_line, masked = True, statement.lineno, True
        self.body(statement.body)
        if masked:
            self.standing.umask, self.standing.umask_line = before

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            self._assign_each(target, value)
            return
        name = _name_of(target)
        if not name:
            return
        followed = self.followed(value)
        file = self._opened_file(value)
        for known in (self.scope.files, self.scope.databases, self.scope.lists):
            known.pop(name, None)
        if file is not None:
            self.scope.files[name] = file
        if (database := self._database(value)) is not None:
            self.scope.databases[name] = database
        if isinstance(value, (ast.List, ast.Tuple, ast.BinOp)) and (words := self._argv(value)):
            self.scope.lists[name] = words
        self.scope.values[name] = Followed(path=followed.path, written=followed.written, hints=f"{followed.hints} {name}")

    def _assign_each(self, target: ast.Tuple | ast.List, value: ast.expr) -> None:
        """`fd, path = tempfile.mkstemp()` is private; pairs are assigned one by one."""
        if isinstance(value, ast.Call) and self.module.dotted(value.func) == "tempfile.mkstemp" and len(target.elts) == 2:
            name = _name_of(target.elts[1])
            path = f"⟨{ast.unparse(value)} {value.lineno}⟩"
            self.scope.values[name] = Followed(path=path, written=name, hints=name)
            self.standing.make_private(path)
        elif isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
            for one, given in zip(target.elts, value.elts, strict=True):
                self._assign(one, given)
        else:
            for one in target.elts:
                self.scope.values.pop(_name_of(one), None)

    def _forget(self, target: ast.expr, values: ast.expr) -> None:
        for name in (node.id for node in ast.walk(target) if isinstance(node, ast.Name)):
            self.scope.values[name] = Followed(path=f"⟨{name}⟩", written=name, hints=ast.unparse(values)[:200])

    def _add(self, statement: ast.AugAssign) -> None:
        name = _name_of(statement.target)
        if name in self.scope.lists:
            self.scope.lists[name] += self._argv(statement.value)
        elif name:
            before, more = self.scope.values.get(name), self.followed(statement.value)
            path = before.path if before else f"⟨{name}⟩"
            self.scope.values[name] = Followed(path=path + more.path, written=name, hints=f"{before.hints if before else ''} {more.hints} {name}")

    # ---- calls

    def _calls(self, node: ast.AST) -> None:
        for call in calls_in_order(node):
            self._call(call)

    def _call(self, call: ast.Call) -> None:
        name = self.module.dotted(call.func)
        last = name.rpartition(".")[2]
        reader = _FUNCTIONS.get(name)
        if reader is not None:
            reader(self, call)
        elif isinstance(call.func, ast.Attribute) and last in _METHODS:
            _METHODS[last](self, call)
        elif last in self.module.functions and (isinstance(call.func, ast.Name) or name.startswith(("self.", "cls."))):
            self._enter(self.module.functions[last], self._bound(self.module.functions[last], call), line=call.lineno)
        elif isinstance(call.func, ast.Attribute):
            self._grow(call)

    def _bound(self, function: FunctionNode, call: ast.Call) -> dict[str, Followed]:
        bound = {name: self.followed(given) for name, given in zip(parameters(function), call.args, strict=False) if not isinstance(given, ast.Starred)}
        return bound | {given.arg: self.followed(given.value) for given in call.keywords if given.arg}

    def _enter(self, function: FunctionNode, bound: dict[str, Followed], *, line: int = 0) -> None:
        """Follow a function of this file with what it is given."""
        self.calls += bool(self.active)
        if function.name in self.active or len(self.active) > DEPTH or (self.active and self.calls > CALLS) or function.name not in self.telling:
            return
        self.entered.add(function.name)
        hidden = {one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
        around = self.around or self.scope.values
        outer, self.scope = self.scope, _Scope(name=function.name, values={name: value for name, value in around.items() if name not in hidden} | bound)
        self.active.append(function.name)
        self.sites.append((outer.name, line))
        self.body(function.body)
        self.sites.pop()
        self.active.pop()
        self.scope = outer

    def _grow(self, call: ast.Call) -> None:
        """`argv.append(x)` and `argv.extend([...])`."""
        assert isinstance(call.func, ast.Attribute)
        name = _name_of(call.func.value)
        if name in self.scope.lists and call.args:
            if call.func.attr == "append":
                self.scope.lists[name] += (self.followed(call.args[0]),)
            elif call.func.attr == "extend":
                self.scope.lists[name] += self._argv(call.args[0])

    # ---- what files come into being

    def make(self, call: ast.Call, target: Followed, content: Emission, making: Making, *, sources: Sequence[Followed] = (), private: bool = False) -> None:
        """A file is made by a call."""
        made = Made(target=target, content=content, making=making, sources=tuple(source.path for source in sources), private=private)
        self.ledger.made(made, target.path, made.sources, self._at(call))

    def _at(self, call: ast.Call) -> At:
        return At(line=call.lineno, scope=self.scope.name, standing=self.standing)

    def set_mode(self, call: ast.Call, path: Followed, mode: ast.expr | None) -> None:
        """chmod and its like; a mode that cannot be followed says nothing."""
        bits = self._number(mode)
        if bits is not None:
            self.ledger.mode_set(path, path.path, ModeChange.of_bits(bits), self._at(call))
        elif mode is not None and self.ledger.seeks.any_output:
            self.ledger.mode_set(path, path.path, ModeChange(private=True), self._at(call))  # worked out: somebody thought of it

    def private_mode(self, mode: ast.expr | None) -> bool | None:
        """True for a mode that leaves group and others nothing, None when it cannot be told."""
        number = self._number(mode)
        return None if number is None else number & 0o077 == 0

    def _number(self, value: ast.expr | None) -> int | None:
        match value:
            case ast.Constant(value=int()):
                return int(value.value)  # type: ignore[arg-type]  # the pattern says int
            case ast.BinOp(op=ast.BitOr()):
                left, right = self._number(value.left), self._number(value.right)
                return left | right if left is not None and right is not None else None
            case ast.Attribute() | ast.Name():
                name = self.module.dotted(value)
                bits = _STAT_BITS.get(name.rpartition(".")[2])
                return bits if bits is not None else _module_number(self.module, name)
            case _:
                return None

    # ---- values

    def followed(self, value: ast.expr | None) -> Followed:
        """A value as far as reading can follow it."""
        if value is None:
            return Followed(path="", written="")
        hints: list[str] = []
        path = self._path(value, hints, 0)
        written = value.id if isinstance(value, ast.Name) else ast.unparse(value)
        return Followed(path=path, written=written, hints=" ".join(hints), shown=readable(path))

    def _path(self, value: ast.expr, hints: list[str], depth: int) -> str:  # noqa: PLR0912 - one line for each way to write a path
        if depth > 30:
            return "⟨…⟩"
        deeper = depth + 1
        match value:
            case ast.Constant(value=bytes() as given):
                return given.decode("utf-8", "replace")
            case ast.Constant():
                return str(value.value)
            case ast.Name() | ast.Attribute() if (known := self.scope.values.get(_name_of(value))) is not None:
                hints.append(known.hints)
                return known.path
            case ast.JoinedStr():
                return "".join(self._path(part, hints, deeper) for part in value.values)
            case ast.FormattedValue():
                return self._path(value.value, hints, deeper)
            case ast.BinOp(op=ast.Add()):
                return self._path(value.left, hints, deeper) + self._path(value.right, hints, deeper)
            case ast.BinOp(op=ast.Div()):
                return _join(self._path(value.left, hints, deeper), self._path(value.right, hints, deeper))
            case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str())):
                hints.append(ast.unparse(value.right))
                return re.sub(r"%[\d.]*[sdri]", "⟨%⟩", ast.literal_eval(value.left))
            case ast.Attribute(attr="parent"):
                inner = self._path(value.value, hints, deeper)
                return posixpath.dirname(inner) if "/" in inner else f"⟨{ast.unparse(value)}⟩"
            case ast.Call():
                return self._path_of_call(value, hints, deeper)
            case ast.Attribute(attr="name") if (inner := self._path(value.value, [], deeper)) in self.standing.private:
                return inner
            case ast.IfExp():
                hints.append(ast.unparse(value))
        return f"⟨{_short(value)}⟩"

    def _path_of_call(self, call: ast.Call, hints: list[str], depth: int) -> str:
        name = self.module.dotted(call.func)
        last = name.rpartition(".")[2]
        if name in _SAME_PATH and call.args:
            return _join(*(self._path(one, hints, depth) for one in call.args)) if name.startswith("pathlib.") else self._path(call.args[0], hints, depth)
        if name == "os.path.join":
            return _join(*(self._path(one, hints, depth) for one in call.args))
        if isinstance(call.func, ast.Attribute):
            of = call.func.value
            if last in _SAME_PATH_METHODS:
                return self._path(of, hints, depth)
            if last == "joinpath":
                return _join(self._path(of, hints, depth), *(self._path(one, hints, depth) for one in call.args))
            if last in ("with_suffix", "with_name", "with_stem") and call.args:
                inner, new = self._path(of, hints, depth), self._path(call.args[0], hints, depth)
                return f"{inner}{new}" if last == "with_suffix" else _join(posixpath.dirname(inner) or f"⟨{_short(of)}.parent⟩", new)
            if last == "format" and isinstance(of, ast.Constant):
                hints.append(ast.unparse(call))
                return re.sub(r"\{[^}]*\}", "⟨{}⟩", str(of.value))
        if name in ("tempfile.mkdtemp", "tempfile.TemporaryDirectory", "tempfile.NamedTemporaryFile", "tempfile.mkstemp"):
            path = f"⟨{_short(call)} {call.lineno}⟩"
            self.standing.make_private(path)
            return path
        return f"⟨{_short(call)}⟩"

    def _argv(self, value: ast.expr) -> tuple[Followed, ...]:
        """An argv list; empty when it is none."""
        match value:
            case ast.List() | ast.Tuple():
                words: list[Followed] = []
                for one in value.elts:
                    words += self._argv(one.value) if isinstance(one, ast.Starred) else [self.followed(one)]
                return tuple(words)
            case ast.BinOp(op=ast.Add()):
                return self._argv(value.left) + self._argv(value.right)
            case ast.Name() | ast.Attribute():
                return self.scope.lists.get(ast.unparse(value), ())
            case _:
                return ()

    def file(self, value: ast.expr | None) -> Followed | None:
        """The path of an open file, by the name that it is held under, or opened on the spot."""
        if value is None:
            return None
        return self.scope.files.get(ast.unparse(value)) or self._opened_file(value)

    def _opened_file(self, value: ast.expr) -> Followed | None:
        if isinstance(value, ast.Await):
            return self._opened_file(value.value)
        if not isinstance(value, ast.Call):
            return None
        name = self.module.dotted(value.func)
        if name in _OPENERS and value.args:
            return self.followed(value.args[0])
        if name == "os.fdopen" and value.args:
            return self.scope.files.get(ast.unparse(value.args[0])) or self._opened_file(value.args[0])
        if name == "os.open" and value.args:
            return self.followed(value.args[0])
        if isinstance(value.func, ast.Attribute) and value.func.attr == "open":
            return self.followed(value.func.value)
        return None

    def _database(self, value: ast.expr) -> Followed | None:
        if isinstance(value, ast.Call) and self.module.dotted(value.func) in ("sqlite3.connect", "aiosqlite.connect", "contextlib.closing"):
            inner = value.args[0] if value.args else None
            return self._database(inner) if isinstance(inner, ast.Call) else self.followed(inner)
        return self.scope.databases.get(ast.unparse(value)) if isinstance(value, (ast.Name, ast.Attribute)) else None

    def source(self, *values: ast.expr | None) -> str:
        """All that names what goes into a file, without the words of serializers."""
        names = []
        for value in values:
            if value is not None:
                followed = self.followed(value)
                names += [_SERIALIZERS.sub("", followed.written), followed.hints, followed.path]
        return " ".join(names)

    def standing_for(self, call: ast.Call) -> Standing:
        """What is in force for a program that is started: `umask=0o077` of the call counts."""
        mask = self._number(keyword(call, "umask"))
        if mask is None or mask < 0:
            return self.standing
        return Standing(umask=mask & 0o066 == 0o066, umask_line=call.lineno, private=self.standing.private, directories=self.standing.directories)

    def is_open_on(self, value: ast.expr) -> Followed | None:
        """The database that a connection is to."""
        return self._database(value)


def _short(value: ast.AST) -> str:
    text = " ".join(ast.unparse(value).split())
    return (text if len(text) <= 80 else text[:79] + "…").replace("⟨", "").replace("⟩", "")


def _join(*parts: str) -> str:
    return posixpath.join(*parts) if parts else ""


def _name_of(value: ast.expr) -> str:
    """The name that a value is known by: `x`, `self.x`; empty for what has none."""
    if isinstance(value, ast.Name):
        return value.id
    return ast.unparse(value) if isinstance(value, ast.Attribute) else ""


_STAT_BITS: Mapping[str, int] = {
    "S_IRUSR": 0o400, "S_IWUSR": 0o200, "S_IXUSR": 0o100, "S_IRWXU": 0o700, "S_IREAD": 0o400, "S_IWRITE": 0o200, "S_IEXEC": 0o100,
    "S_IRGRP": 0o040, "S_IWGRP": 0o020, "S_IXGRP": 0o010, "S_IRWXG": 0o070, "S_IROTH": 0o004, "S_IWOTH": 0o002, "S_IXOTH": 0o001, "S_IRWXO": 0o007,
}  # fmt: skip


def _module_number(module: Module, name: str) -> int | None:
    """The value of a constant of the module: `_PRIVATE = 0o600`."""
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=int(number))) if target == name:
                return number
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.Constant(value=int(number))) if target == name:
                return number
    return None


def _telling(module: Module) -> frozenset[str]:
    """The functions that make files or set modes, themselves or through others of the file: no other needs to be followed."""
    reached = {name for name in module.functions if not module.calls[name].isdisjoint(_TELLING)}
    while more := {name for name in module.functions if name not in reached and not module.calls[name].isdisjoint(reached)}:
        reached |= more
    return frozenset(reached)


# ---- what the standard library does to files


def _moves(follower: _Follower, call: ast.Call) -> None:
    source, target = argument(call, 0, "src"), argument(call, 1, "dst")
    if source is not None and target is not None:
        _transfer(follower, call, source, target, Making.MOVED)


def _copies(follower: _Follower, call: ast.Call) -> None:
    """copy, copy2 and copytree put the source's mode over the new file at the end, whatever the umask; copyfile leaves it to the umask."""
    source, target = argument(call, 0, "src"), argument(call, 1, "dst")
    if source is not None and target is not None:
        by_umask = follower.module.dotted(call.func) == "shutil.copyfile"
        _transfer(follower, call, source, target, Making.CREATED if by_umask else Making.CARRIED)


def _transfer(follower: _Follower, call: ast.Call, source: ast.expr, target: ast.expr, making: Making) -> None:
    name = _shown_name(follower, call)
    content = Emission(tool=name, source=follower.source(source))
    follower.make(call, follower.followed(target), content, making, sources=(follower.followed(source),))


def _shown_name(follower: _Follower, call: ast.Call) -> str:
    """How a report names a call: in full for functions, `Path.rename` for methods of something unknown."""
    name = follower.module.dotted(call.func)
    return name if name in _FUNCTIONS else name.rpartition(".")[2]


def _copies_open_file(follower: _Follower, call: ast.Call) -> None:
    target = follower.file(argument(call, 1, "fdst"))
    source = argument(call, 0, "fsrc")
    if target is not None and source is not None:
        origin = follower.file(source)
        content = Emission(tool="shutil.copyfileobj", source=f"{follower.source(source)} {origin.names if origin else ''}")
        follower.make(call, target, content, Making.CREATED, sources=(target,))


def _archives(follower: _Follower, call: ast.Call) -> None:
    target = follower.followed(argument(call, 0, "base_name"))
    content = Emission(tool="shutil.make_archive", source=follower.source(argument(call, 2, "root_dir")), archive=True)
    follower.make(call, target, content, Making.CREATED)


def _opens(follower: _Follower, call: ast.Call) -> None:
    """`open` and its kin, where the mode writes; an `opener` sets a mode of its own."""
    name = follower.module.dotted(call.func)
    mode = argument(call, 1, "mode")
    target = argument(call, 0) or keyword(call, "file") or keyword(call, "name") or keyword(call, "filename")
    if target is None or not _writes(mode) or keyword(call, "opener") is not None or keyword(call, "fileobj") is not None:
        return
    content = Emission(tool=name, archive=name.startswith(("tarfile.", "zipfile.")))
    follower.make(call, follower.followed(target), content, Making.CREATED)


def _writes(mode: ast.expr | None) -> bool:
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and _WRITES.match(mode.value) is not None


def _opens_low(follower: _Follower, call: ast.Call) -> None:
    """`os.open(path, flags, mode)`: the mode is 0777 less the umask when none is given."""
    flags, mode = argument(call, 1, "flags"), argument(call, 2, "mode")
    if flags is None or "O_CREAT" not in ast.unparse(flags) or not call.args:
        return
    target = follower.followed(call.args[0])
    private = follower.private_mode(mode) if mode is not None else False
    if private:
        follower.standing.make_private(target.path)
    elif private is False:
        follower.make(call, target, Emission(tool="os.open"), Making.CREATED)


def _sets_mode(follower: _Follower, call: ast.Call) -> None:
    if call.args:
        follower.set_mode(call, follower.followed(call.args[0]), argument(call, 1, "mode"))


def _sets_mode_of_open(follower: _Follower, call: ast.Call) -> None:
    """`os.fchmod(file.fileno(), mode)`: nothing was in the file when it was opened, so what follows is private from its first byte."""
    given = call.args[0] if call.args else None
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute) and given.func.attr == "fileno":
        given = given.func.value
    path = follower.file(given)
    if path is not None:
        follower.set_mode(call, path, argument(call, 1, "mode"))


def _makes_directory(follower: _Follower, call: ast.Call) -> None:
    if call.args:
        _directory(follower, follower.followed(call.args[0]), argument(call, 1, "mode"))


def _directory(follower: _Follower, path: Followed, mode: ast.expr | None) -> None:
    if follower.private_mode(mode) or (mode is None and follower.standing.umask):
        follower.standing.make_private(path.path, directory=True)


def _sets_umask(follower: _Follower, call: ast.Call) -> None:
    mask = follower._number(call.args[0]) if call.args else None
    follower.standing.umask, follower.standing.umask_line = None if mask is None else mask & 0o066 == 0o066, call.lineno


def _runs_program(follower: _Follower, call: ast.Call) -> None:
    """An argv list, or with `shell=True` a command line; what it writes to an open file makes that file."""
    given = argument(call, 0, "args")
    if given is None or keyword(call, "preexec_fn") is not None:
        return
    shell = keyword(call, "shell")
    if isinstance(shell, ast.Constant) and shell.value is True:
        _runs_line(follower, call)
    else:
        _runs(follower, call, follower._argv(given))


def _runs_exec(follower: _Follower, call: ast.Call) -> None:
    """`asyncio.create_subprocess_exec(program, *arguments)`."""
    words: list[Followed] = []
    for one in call.args:
        words += follower._argv(one.value) if isinstance(one, ast.Starred) else [follower.followed(one)]
    _runs(follower, call, tuple(words))


def _runs(follower: _Follower, call: ast.Call, argv: tuple[Followed, ...]) -> None:
    if not argv:
        return
    emits = follow_argv(follower.ledger, argv, follower.standing_for(call), line=call.lineno, scope=follower.scope.name)
    target = follower.file(keyword(call, "stdout"))
    if emits is not None and target is not None:
        follower.make(call, target, emits, Making.CREATED, sources=(target,))


def _runs_line(follower: _Follower, call: ast.Call) -> None:
    """A command line; where it is the parameter of a little `run(command)`, the place to look at is that function's caller."""
    given = argument(call, 0, "args")
    line = follower.followed(given)
    if not any(tool in line.path for tool in DUMPERS | ENGINES):
        return
    scope, number = follower.scope.name, call.lineno
    if isinstance(given, ast.Name) and follower.active and follower.sites[-1][1] and given.id in parameters(follower.module.functions[follower.active[-1]]):
        scope, number = follower.sites[-1]
    text = UNKNOWN.sub(lambda found: re.sub(r"[^\w.⟨⟩-]+", "_", found[0]), line.path)
    follow_command(follower.ledger, text, follower.standing_for(call), line=number, scope=scope)


_FUNCTIONS: Mapping[str, Callable[[_Follower, ast.Call], None]] = {
    **dict.fromkeys(("shutil.move", "os.rename", "os.replace", "os.renames", "os.link"), _moves),
    **dict.fromkeys(("shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree"), _copies),
    "shutil.copyfileobj": _copies_open_file,
    "shutil.make_archive": _archives,
    **dict.fromkeys(sorted(_OPENERS), _opens),
    "os.open": _opens_low,
    "os.chmod": _sets_mode,
    "os.fchmod": _sets_mode_of_open,
    **dict.fromkeys(("os.mkdir", "os.makedirs"), _makes_directory),
    "os.umask": _sets_umask,
    **dict.fromkeys(("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen"), _runs_program),
    "asyncio.create_subprocess_exec": _runs_exec,
    **dict.fromkeys(("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"), _runs_line),
}


def _moves_itself(follower: _Follower, call: ast.Call) -> None:
    """`path.rename(target)`, `path.replace(target)`; with two arguments it is a text's."""
    assert isinstance(call.func, ast.Attribute)
    if len(call.args) == 1 and not call.keywords:
        _transfer(follower, call, call.func.value, call.args[0], Making.MOVED)


def _writes_itself(follower: _Follower, call: ast.Call) -> None:
    """`path.write_text(data)`, `path.write_bytes(data)`."""
    assert isinstance(call.func, ast.Attribute)
    content = Emission(tool=call.func.attr, source=follower.source(argument(call, 0, "data")))
    follower.make(call, follower.followed(call.func.value), content, Making.CREATED)


def _opens_itself(follower: _Follower, call: ast.Call) -> None:
    assert isinstance(call.func, ast.Attribute)
    if _writes(argument(call, 0, "mode")):
        follower.make(call, follower.followed(call.func.value), Emission(tool="open"), Making.CREATED)


def _sets_own_mode(follower: _Follower, call: ast.Call) -> None:
    assert isinstance(call.func, ast.Attribute)
    follower.set_mode(call, follower.followed(call.func.value), argument(call, 0, "mode"))


def _makes_itself_a_directory(follower: _Follower, call: ast.Call) -> None:
    assert isinstance(call.func, ast.Attribute)
    _directory(follower, follower.followed(call.func.value), argument(call, 0, "mode"))


def _touches(follower: _Follower, call: ast.Call) -> None:
    assert isinstance(call.func, ast.Attribute)
    if follower.private_mode(argument(call, 0, "mode")):
        follower.standing.make_private(follower.followed(call.func.value).path)


def _backs_up_database(follower: _Follower, call: ast.Call) -> None:
    """`source.backup(target)` of sqlite3."""
    target = follower.is_open_on(call.args[0]) if call.args else None
    if target is not None and target.path != ":memory:":
        follower.make(call, target, Emission(tool="sqlite3.backup", dump=True), Making.CREATED)


def _executes(follower: _Follower, call: ast.Call) -> None:
    """A statement that writes a whole database to a path."""
    if not call.args:
        return
    statement = follower.followed(call.args[0])
    target = exported_by(statement)
    if target is None and re.search(r"VACUUM\s+INTO\s+\?", statement.path, re.IGNORECASE) and len(call.args) > 1:
        target = next(iter(follower._argv(call.args[1])), None)
    if target is not None:
        follower.make(call, target, Emission(tool="VACUUM INTO" if "VACUUM" in statement.path.upper() else "EXPORT DATABASE", dump=True), Making.CREATED)


_METHODS: Mapping[str, Callable[[_Follower, ast.Call], None]] = {
    **dict.fromkeys(("rename", "replace"), _moves_itself),
    **dict.fromkeys(("write_text", "write_bytes"), _writes_itself),
    "open": _opens_itself,
    "chmod": _sets_own_mode,
    "mkdir": _makes_itself_a_directory,
    "touch": _touches,
    "backup": _backs_up_database,
    **dict.fromkeys(("execute", "sql"), _executes),
}
_TELLING = frozenset(name.rpartition(".")[2] for name in _FUNCTIONS) | frozenset(_METHODS)


def writers_in_python(path: str, data: bytes, seeks: Backups | None = None) -> WriterScript:
    """Every backup, or whatever is sought, that a Python program writes."""
    ledger = Ledger(name=path, language=Language.PYTHON, seeks=seeks or Backups())
    module = parse(data)
    if isinstance(module, NotPython):
        if says_backup(posixpath.basename(path)):
            ledger.unread[module.line] = Unread(line=module.line, why=f"it could not be read as Python: {module.why}")
        return ledger.script()
    follow_module(ledger, module)
    return ledger.script()


def follow_module(ledger: Ledger, module: Module) -> None:
    """Enter all that a parsed program makes into a book."""
    _Follower(module=module, ledger=ledger).whole()
