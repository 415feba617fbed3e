"""Which lines of a shell script write a backup, and how private is the file when it comes into being? Follows the script as the shell would run it.

Followed are umask, directories and files made private before the write, the current directory, variables with known values, functions and the scopes of
subshells, and the scripts inside `sh -c`, `ssh`, `docker exec` and here-documents. Branches are both taken; a umask counts when it is in force in each.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from interlock.facts.backup_ledger import At, Backups, Ledger, Standing
from interlock.facts.backup_tools import (
    DUMPERS,
    SHELLS,
    Emission,
    Inner,
    Made,
    ModeChange,
    is_private_mode,
    is_private_umask,
    program,
    read_argv,
    read_mode,
    unwrap,
)
from interlock.facts.backup_writers import UNKNOWN, Followed, Language, Unread, WriterScript, below, listed, readable
from interlock.facts.shell import (
    AndOr,
    Background,
    Case,
    Command,
    Condition,
    Function,
    Group,
    If,
    Loop,
    Opaque,
    Pipeline,
    ProcessSubstitution,
    Redirect,
    Script,
    Statement,
    Stream,
    Substitution,
    Text,
    Unparsed,
    Variable,
    Word,
    parse,
)
from interlock.patterns import regex

CALLS = 400  # function calls that are followed in one script; beyond it a script calls itself in circles
DEPTH = 25  # scripts inside scripts, functions inside functions

_TELLS = regex(r"\b(" + "|".join(sorted(DUMPERS - SHELLS - {"cat", "cp", "mv", "dd"})) + r"|backup|snapshot)\b")
_FILTER = regex("compress|zip|crypt|filter|pipe", re.IGNORECASE)  # in the name of a variable
_ELSEWHERE = "⟨elsewhere⟩"
_DECLARES = frozenset({"export", "local", "readonly", "declare", "typeset"})
_SCRIPT_START = regex(r"\s*#![^\n]*\b(?:ba|da|k|a|z)?sh\b")


@dataclass(slots=True, kw_only=True)
class _State(Standing):
    """What is in force at one point of the script, and what is known of its variables. Copied for every scope of its own."""

    directory: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    over: bool = False  # after exit or return

    def copy(self) -> _State:
        """The same, apart."""
        return replace(
            self,
            variables=dict(self.variables),
            hints=dict(self.hints),
            private=set(self.private),
            directories=set(self.directories),
            functions=dict(self.functions),
        )


def _joined(ways: Sequence[_State]) -> _State:
    """What holds after a fork, whichever way was taken; ways that ended the script do not count."""
    left = [way for way in ways if not way.over] or list(ways[:1])
    first, rest = left[0].copy(), left[1:]
    first.over = all(way.over for way in ways)
    for way in rest:
        if first.umask is not way.umask:
            first.umask = None
        first.directory = first.directory if first.directory == way.directory else ""
        for name in set(first.variables) | set(way.variables):
            mine, theirs = first.variables.get(name), way.variables.get(name)
            if mine != theirs:
                first.variables.pop(name, None)
                first.hints[name] = f"{first.hints.get(name, '')} {mine or ''} {theirs or ''}"
        first.private |= way.private
        first.directories |= way.directories
        first.functions |= way.functions
        first.doubt = first.doubt or way.doubt
    return first


@dataclass(slots=True, kw_only=True)
class _Run:
    """One script being followed. The ledger is shared with the scripts inside it."""

    ledger: Ledger
    state: _State
    scope: str = ""
    elsewhere: bool = False
    fleeting: bool = False
    mounts: tuple[tuple[str, str], ...] = ()
    depth: int = 0
    calls: list[int] = field(default_factory=lambda: [0])
    called: set[str] = field(default_factory=set)

    # ---- statements; each says what reaches its standard output

    def script(self, script: Script) -> Emission | None:
        """A whole script, and then the functions that nothing in it calls: others may source it."""
        emits = self.body(script.statements, None)
        after = self.state
        for name, function in list(after.functions.items()):
            if name not in self.called:
                self.ledger.enter()
                self.state = after.copy()
                self.state.over = False
                self._call(function, ())
        self.state = after
        return emits

    def body(self, statements: Iterable[Statement], stdin: Emission | None) -> Emission | None:
        """Statements one after the other; what the first that writes data writes."""
        emits: Emission | None = None
        for statement in statements:
            if self.state.over:
                break
            emits = self._both(emits, self.statement(statement, stdin))
        return emits

    def _both(self, first: Emission | None, then: Emission | None) -> Emission | None:
        """What two statements write one after the other: the data of one, or where any output counts that of both."""
        if first is None or then is None or not self.ledger.seeks.any_output:
            return then or first
        return replace(then, source=f"{first.source}\n{then.source}")

    def statement(self, statement: Statement, stdin: Emission | None) -> Emission | None:
        """One statement, with what it is fed on its standard input."""
        match statement:
            case Command():
                return self._command(statement, stdin)
            case Pipeline():
                return self._pipeline(statement, stdin)
            case AndOr():
                return self._and_or(statement, stdin)
            case Background():
                return self._apart((statement.body,), stdin)
            case Group():
                return self._group(statement, stdin)
            case If():
                return self._redirected(statement.redirects, self._if(statement, stdin))
            case Loop():
                return self._redirected(statement.redirects, self._loop(statement, stdin))
            case Case():
                return self._redirected(statement.redirects, self._case(statement, stdin))
            case Function():
                self.state.functions[statement.name] = statement
            case Condition():
                self._apart(statement.body, None)
            case Unparsed():
                self._unparsed(statement)
        return None

    def _unparsed(self, statement: Unparsed) -> None:
        if re.search(r"\bumask\b", statement.raw):
            self.state.doubt = True
        if _TELLS.search(statement.raw) or self.state.doubt:
            lines = f"lines {statement.line} to {statement.last_line}" if statement.last_line > statement.line else f"line {statement.line}"
            self.ledger.unread[statement.line] = Unread(line=statement.line, why=f"{lines} could not be read as shell")

    def _apart(self, statements: Sequence[Statement], stdin: Emission | None) -> Emission | None:
        """In a subshell: nothing that it sets lasts ..."""
        before, self.state = self.state, self.state.copy()
        emits = self.body(statements, stdin)
        before.private, before.directories = self.state.private, self.state.directories  # but what it does to files
        self.state = before
        return emits

    def _pipeline(self, pipeline: Pipeline, stdin: Emission | None) -> Emission | None:
        if len(pipeline.stages) == 1:
            return self.statement(pipeline.stages[0], stdin)
        flowing = stdin
        for stage in pipeline.stages:
            flowing = self._apart((stage,), flowing)
        return flowing

    def _and_or(self, both: AndOr, stdin: Emission | None) -> Emission | None:
        emits = self.statement(both.left, stdin)
        if self.state.over:
            return emits
        before = self.state.copy()
        also = self.statement(both.right, stdin)
        ended = self.state.over
        # `umask 077 && dump` goes on under the umask: without it the script's next step is not the one that was meant
        self.state = before if ended else self.state if both.operator == "&&" and before.umask is None and self.state.umask else _joined((self.state, before))
        return also or emits

    def _group(self, group: Group, stdin: Emission | None) -> Emission | None:
        targets = self._opened(group.redirects)  # by the shell outside, before the first command inside
        emits = self._apart(group.body, stdin) if group.subshell else self.body(group.body, stdin)
        return self._into(targets, emits)

    def _if(self, choice: If, stdin: Emission | None) -> Emission | None:
        ways: list[_State] = []
        emits: Emission | None = None
        for branch in choice.branches:
            self.body(branch.condition, None)
            before = self.state.copy()
            emits = self.body(branch.body, stdin) or emits
            ways.append(self.state)
            self.state = before
        emits = self.body(choice.otherwise, stdin) or emits
        self.state = _joined((self.state, *ways))
        return emits

    def _loop(self, loop: Loop, stdin: Emission | None) -> Emission | None:
        self.body(loop.condition, None)
        before = self.state.copy()
        if loop.variable:
            self.state.variables.pop(loop.variable, None)
            self.state.hints.pop(loop.variable, None)
        emits = self.body(loop.body, stdin)
        self.state = _joined((self.state, before))
        return emits

    def _case(self, case: Case, stdin: Emission | None) -> Emission | None:
        before = self.state
        ways = [before.copy()]
        emits: Emission | None = None
        for arm in case.arms:
            self.state = before.copy()
            emits = self.body(arm.body, stdin) or emits
            ways.append(self.state)
        self.state = _joined(ways)
        return emits

    # ---- commands

    def _command(self, command: Command, stdin: Emission | None) -> Emission | None:
        self._substitutions(command)
        argv = self._argv(command)
        if not argv or (command.words and command.words[0].literal in _DECLARES):
            for assignment in command.assignments:
                self._assign(assignment.name, assignment.value, appends=assignment.appends)
        fed = stdin or self._fed(command.redirects)
        targets = self._opened(command.redirects)
        emits = self._run(argv, command, fed) if argv else None
        if emits is None and argv and self.ledger.seeks.any_output:
            emits = Emission(tool=program(argv[0]), source=" ".join(word.written for word in argv))
        return self._into(targets, emits)

    def _run(self, argv: Sequence[Followed], command: Command, stdin: Emission | None) -> Emission | None:
        name = program(argv[0])
        function = self.state.functions.get(argv[0].path)
        if function is not None:
            return self._call(function, argv[1:], stdin)
        builtin = _BUILTINS.get(name)
        if builtin is not None:
            builtin(self, argv, command.line)
            return None
        inner = unwrap(argv)
        document = next((redirect for redirect in command.redirects if redirect.stream is Stream.HERE_DOCUMENT), None)
        if inner.script is not None:
            return self._inside(inner, inner.script.path, command.line, stdin)
        if document is not None:
            self._document(argv, inner, document)
        return self._effect(inner, argv[0].path, stdin, command.line)

    def _document(self, argv: Sequence[Followed], inner: Inner, document: Redirect) -> None:
        """A here-document that is a script: fed to a shell, or written to a file that starts with a shebang."""
        text = document.target.raw if not document.expands else document.target.raw.replace("\\$", "$").replace("\\`", "`")
        runs = bool(inner.argv) and program(inner.argv[0]) in SHELLS
        if runs:
            self._inside(inner, text, document.target.line, None)
        elif program(argv[0]) in ("cat", "tee") and _SCRIPT_START.match(text):
            nested = _Run(ledger=self.ledger, state=_State(), scope=self.scope, depth=self.depth + 1, calls=self.calls)
            if self.depth < DEPTH:
                nested.script(parse(text, first_line=document.target.line))

    def _inside(self, inner: Inner, text: str, line: int, stdin: Emission | None) -> Emission | None:
        """A script inside this one. In a container or on another host it starts with a umask that is not ours."""
        if self.depth >= DEPTH:
            return None
        state = _State(variables=dict(self.state.variables), private=self.state.private | {"/root"}) if inner.elsewhere else self.state.copy()
        nested = _Run(
            ledger=self.ledger,
            state=state,
            scope=self.scope,
            elsewhere=self.elsewhere or inner.elsewhere,
            fleeting=self.fleeting or inner.fleeting,
            mounts=(*inner.mounts, *self.mounts),
            depth=self.depth + 1,
            calls=self.calls,
        )
        script = parse(text, first_line=line)
        emits = nested.body(script.statements, None if inner.remote else stdin)
        nested.script(Script(statements=()))
        return emits

    def _call(self, function: Function, arguments: Sequence[Followed], stdin: Emission | None = None) -> Emission | None:
        self.called.add(function.name)
        self.calls[0] += 1
        if self.calls[0] > CALLS or self.depth >= DEPTH:
            return None
        scope, self.scope = self.scope, function.name
        positional = {str(number): argument.path for number, argument in enumerate(arguments, 1)}
        kept = {name: value for name, value in self.state.variables.items() if name.isdigit()}
        for name in kept:
            del self.state.variables[name]
        self.state.variables |= positional
        self.depth += 1
        targets = self._opened(function.redirects)
        emits = self._into(targets, self.statement(function.body, stdin))
        self.depth -= 1
        self.scope = scope
        for name in positional:
            self.state.variables.pop(name, None)
        self.state.variables |= kept
        self.state.over = False
        return emits

    def _effect(self, inner: Inner, called: str, stdin: Emission | None, line: int) -> Emission | None:
        """What a program does, as the table of tools knows it; `$COMPRESS` passes on what it is fed, whatever it is."""
        if not inner.argv:
            return stdin if _FILTER.search(called) else None
        if self.ledger.seeks.any_output and program(inner.argv[0]) == "sed":
            self._edited(inner, line)
        effect = read_argv(inner.argv, None if inner.remote else stdin)
        state = replace(self.state, umask=None) if inner.elsewhere else self.state
        away = replace(
            self, state=state, elsewhere=self.elsewhere or inner.elsewhere, fleeting=self.fleeting or inner.fleeting, mounts=(*inner.mounts, *self.mounts)
        )
        for made in effect.made:
            away._made(made, line)
        return effect.emits

    # ---- files

    def _edited(self, inner: Inner, line: int) -> None:
        """`sed -i`: what this script made holds what the expression puts in; a file from elsewhere keeps the mode that others gave it."""
        if inner.elsewhere or not any(re.match(r"-[a-zA-Z]*i|--in-place", word.path) for word in inner.argv[1:]):
            return
        target = inner.argv[-1]
        if self._path(target.path) in self.ledger.begun:
            content = Emission(tool="sed -i", source=" ".join(word.written for word in inner.argv[1:-1]))
            self._made(Made(target=target, content=content), line)

    def _opened(self, redirects: Sequence[Redirect]) -> list[tuple[Followed, int, _State, tuple[Statement, ...]]]:
        """Where the standard output goes, opened now, under the umask of now; the last one wins and the others only exist."""
        opened = []
        for redirect in redirects:
            if not redirect.creates and not (redirect.stream is Stream.DUPLICATE and redirect.fd == 1):
                continue
            if redirect.fd not in (1, -1):
                continue
            if redirect.stream is Stream.APPEND and self.ledger.seeks.any_output and self._path(self._followed(redirect.target).path) not in self.ledger.begun:
                continue  # what was there before has the mode that others gave it
            part = redirect.target.parts[0] if len(redirect.target.parts) == 1 else None
            body = part.body if isinstance(part, ProcessSubstitution) else ()
            target = Followed(path="", written="") if redirect.stream is Stream.DUPLICATE or body else self._followed(redirect.target)
            opened = [(target, redirect.line, self.state.copy(), body)]
        return opened

    def _into(self, targets: Sequence[tuple[Followed, int, _State, tuple[Statement, ...]]], emits: Emission | None) -> Emission | None:
        """What is left of the output after the redirections; data that goes to a file makes it."""
        if not targets:
            return emits
        for target, line, state, body in targets:
            if body:
                self._apart(body, emits)
            elif emits is not None and target.path:
                replace(self, state=state)._made(Made(target=target, content=emits), line)
        return None

    def _redirected(self, redirects: Sequence[Redirect], emits: Emission | None) -> Emission | None:
        return self._into(self._opened(redirects), emits) if redirects else emits

    def _fed(self, redirects: Sequence[Redirect]) -> Emission | None:
        """`< file`: a copy of what the file holds."""
        for redirect in redirects:
            if redirect.stream is Stream.READ and redirect.fd == 0:
                source = self._followed(redirect.target)
                return Emission(tool="<", source=source.names)
            if redirect.stream in (Stream.HERE_DOCUMENT, Stream.HERE_STRING) and self.ledger.seeks.any_output:
                return Emission(tool="<<", source=re.sub(r"\\\$\{?", "", redirect.target.raw) if redirect.expands else "")
        return None

    def _made(self, made: Made, line: int) -> None:
        """A program makes a file; what is off the mounts of a container that is thrown away stays there."""
        path = self._path(made.target.path)
        if not (self.fleeting and path.startswith(_ELSEWHERE)):
            self.ledger.made(made, path, map(self._path, made.sources), At(line=line, scope=self.scope, standing=self.state))

    def mode_set(self, target: Followed, change: ModeChange, line: int) -> None:
        """chmod and its like."""
        self.ledger.mode_set(target, self._path(target.path), change, At(line=line, scope=self.scope, standing=self.state))

    def make_private(self, path: str, *, directory: bool = False) -> None:
        """What is written to a path from now on is private."""
        self.state.make_private(self._path(path), directory=directory)

    def forget(self, path: str) -> None:
        """A path is removed: what is made there next is new."""
        self.state.forget(self._path(path))

    def _path(self, path: str) -> str:
        """A followed path on the host, absolute where the current directory is known."""
        for inside, outside in self.mounts:
            if below(path, inside):
                return outside + path[len(inside) :]
        if self.elsewhere:
            return f"{_ELSEWHERE}/{path.lstrip('/')}"
        if path.startswith(("/", "~", "⟨")) or not self.state.directory:
            return _normal(path)
        return _normal(posixpath.join(self.state.directory, path))

    # ---- words

    def _argv(self, command: Command) -> list[Followed]:
        return [field for word in command.words for field in self._fields(word)]

    def _fields(self, word: Word) -> list[Followed]:
        """A word after expansion; an unquoted variable with a known value of several words is several."""
        followed = self._followed(word)
        part = word.parts[0] if len(word.parts) == 1 else None
        if isinstance(part, Variable) and not word.raw.startswith('"') and " " in followed.path and not UNKNOWN.search(followed.path):
            return [Followed(path=one, written=one) for one in followed.path.split()]
        return [followed]

    def _followed(self, word: Word) -> Followed:
        hints: list[str] = []
        path = "".join(self._part(part, hints if number == 0 else []) for number, part in enumerate(word.parts))
        return Followed(path=path, written=_shown(word.raw), hints=" ".join(hints))

    def _part(self, part: Text | Variable | Substitution | ProcessSubstitution | Opaque, hints: list[str]) -> str:
        match part:
            case Text():
                return part.text
            case Variable():
                return self._variable(part, hints)
            case Substitution() | ProcessSubstitution() | Opaque():
                return f"⟨{_shown(part.raw)}⟩"

    def _variable(self, variable: Variable, hints: list[str]) -> str:
        known = self.state.variables.get(variable.name)
        if hint := self.state.hints.get(variable.name):
            hints.append(hint)
        if known is not None and variable.operator in ("", ":-", "-", ":=", "=", ":?", "?", "["):
            hints.append(variable.name)
            return known
        if variable.argument is not None and variable.operator in (":-", "-", ":=", "="):
            hints.append("".join(self._part(part, hints) for part in variable.argument.parts))
            return f"⟨{variable.name}⟩"
        return f"⟨{variable.name}{variable.operator}{known or ''}⟩" if variable.operator else f"⟨{variable.name}⟩"

    def _assign(self, name: str, value: Word | None, *, appends: bool) -> None:
        if value is None:
            self.state.variables.pop(name, None)
            return
        followed = self._followed(value)
        temporary = _temporary(value)
        path = f"⟨{temporary} {name} {value.line}⟩" if temporary else followed.path
        if temporary:
            self.state.make_private(path)
        if appends:
            path = (self.state.variables.get(name) or f"⟨{name}⟩") + path
        self.state.hints[name] = followed.hints
        self.state.variables[name] = path

    def _substitutions(self, command: Command) -> None:
        """Run what stands in `$(...)` and `<(...)`, each in its own subshell."""
        values = (given.value for given in command.assignments if given.value is not None)
        for word in (*command.words, *values, *(redirect.target for redirect in command.redirects)):
            for part in word.parts:
                if isinstance(part, (Substitution, Opaque)) or (isinstance(part, ProcessSubstitution) and not part.writes):
                    self._apart(part.body, None)


def _normal(path: str) -> str:
    """Without doubled slashes and single dots; `..` stays, for a link may stand before it."""
    start = "/" if path.startswith("/") else ""
    return start + "/".join(part for part in path.split("/") if part not in ("", "."))


def _shown(raw: str) -> str:
    """A word as a report shows it, without its outer quotes."""
    text = readable(raw)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1] else text


def _temporary(value: Word) -> str:
    """`mktemp` when a word is nothing but its output: the file is 0600, the directory 0700 (mktemp(1)), unless only a name was asked for."""
    if len(value.parts) != 1 or not isinstance(value.parts[0], Substitution):
        return ""
    for statement in value.parts[0].body:
        left = statement.left if isinstance(statement, AndOr) else statement
        if isinstance(left, Command) and left.words and left.words[0].literal == "mktemp" and not any(word.raw in ("-u", "--dry-run") for word in left.words):
            return "mktemp"
    return ""


# ---- what the shell's own commands, and the programs that only set modes, change


def _umask(run: _Run, argv: Sequence[Followed], line: int) -> None:
    masks = [word.path for word in argv[1:] if word.path not in ("-S", "-p")]
    if masks:
        run.state.umask, run.state.umask_line = is_private_umask(masks[0]), line


def _cd(run: _Run, argv: Sequence[Followed], _line: int) -> None:
    targets = [word for word in argv[1:] if not word.path.startswith("-")]
    if not targets:
        run.state.directory = "" if len(argv) > 1 else "~"
        return
    to = targets[0].path
    run.state.directory = _normal(to if to.startswith(("/", "~", "⟨")) or not run.state.directory else posixpath.join(run.state.directory, to))


def _end(run: _Run, _argv: Sequence[Followed], _line: int) -> None:
    run.state.over = True


def _chmod(run: _Run, argv: Sequence[Followed], line: int) -> None:
    options = [word.path for word in argv[1:] if re.fullmatch(r"-[Rcfv]+|--[a-z-]+(=.*)?", word.path)]
    rest = [word for word in argv[1:] if word.path not in options]
    if len(rest) < 2:
        return
    recursive = any("R" in option and not option.startswith("--") for option in options) or "--recursive" in options
    change = read_mode(rest[0].path, recursive=recursive)
    if change is not None:
        for target in rest[1:]:
            run.mode_set(target, change, line)


def _mkdir(run: _Run, argv: Sequence[Followed], _line: int) -> None:
    _made_directories(run, argv[1:])


def _made_directories(run: _Run, words: Sequence[Followed]) -> None:
    """Directories made with a mode of their own, or under a private umask."""
    private: bool | None = run.state.umask
    paths: list[str] = []
    waits = False
    for word in words:
        text = word.path
        if waits:
            private, waits = is_private_mode(text), False
        elif text in ("-m", "--mode") or re.fullmatch(r"-[dpv]+m", text):
            waits = True
        elif text.startswith("--mode="):
            private = is_private_mode(text.removeprefix("--mode="))
        elif re.fullmatch(r"-[dpv]*m.+", text):
            private = is_private_mode(text.partition("m")[2].lstrip("="))
        elif not text.startswith("-"):
            paths.append(text)
    if private:
        for path in paths:
            run.make_private(path, directory=True)


def _install(run: _Run, argv: Sequence[Followed], line: int) -> None:
    """install(1): with `-d` a directory, else a copy whose mode is set before anything is in it; 0755 when none is asked for."""
    if any(re.fullmatch(r"-[a-zA-Z]*d[a-zA-Z]*|--directory", word.path) and not word.path.startswith("-m") for word in argv[1:]):
        left = [word for before, word in pairwise(argv) if before.path not in ("-o", "-g", "--owner", "--group")]
        _made_directories(run, left)
        return
    operands, private, waits = [], None, ""
    for word in argv[1:]:
        text = word.path
        if waits:
            private = run.ledger.seeks.is_private_mode(text) if waits == "m" else private
            waits = ""
        elif text in ("-m", "--mode", "-o", "-g", "-t", "-S"):
            waits = text.lstrip("-")[0]
        elif text.startswith(("--mode=", "-m")):
            private = run.ledger.seeks.is_private_mode(text.removeprefix("--mode=").removeprefix("-m"))
        elif not text.startswith("-"):
            operands.append(word)
    if len(operands) < 2:
        return
    source, target = operands[0], operands[-1]
    if private:
        run.make_private(target.path)
    run._made(Made(target=target, content=Emission(tool="install", source=source.names), private=bool(private)), line)


def _remove(run: _Run, argv: Sequence[Followed], _line: int) -> None:
    for word in argv[1:]:
        if not word.path.startswith("-"):
            run.forget(word.path)


def _read(run: _Run, argv: Sequence[Followed], _line: int) -> None:
    for word in argv[1:]:
        if not word.path.startswith("-"):
            run.state.variables.pop(word.path, None)


def _eval(run: _Run, argv: Sequence[Followed], line: int) -> None:
    run._inside(Inner(argv=()), " ".join(word.path for word in argv[1:]), line, None)


def _trap(run: _Run, argv: Sequence[Followed], line: int) -> None:
    if len(argv) > 2 and not argv[1].path.startswith("-"):
        run._inside(Inner(argv=()), argv[1].path, line, None)


def _find(run: _Run, argv: Sequence[Followed], line: int) -> None:
    """`find DIR ... -exec chmod 600 {} +`."""
    texts = [word.path for word in argv]
    if "chmod" in texts and len(texts) > 1:
        mode = texts[texts.index("chmod") + 1 : texts.index("chmod") + 2]
        change = read_mode(mode[0], recursive=True) if mode else None
        if change is not None:
            run.mode_set(argv[1], change, line)


def _set(_run: _Run, _argv: Sequence[Followed], _line: int) -> None:
    """`set`, `shift`, `test` and the like change nothing that is followed here."""


_BUILTINS: Mapping[str, Callable[[_Run, Sequence[Followed], int], None]] = {
    "umask": _umask,
    "cd": _cd,
    "pushd": _cd,
    "exit": _end,
    "return": _end,
    "eval": _eval,
    "trap": _trap,
    "read": _read,
    "unset": _read,
    "chmod": _chmod,
    "mkdir": _mkdir,
    "install": _install,
    "rm": _remove,
    "find": _find,
    **dict.fromkeys(listed("set shift test [ echo printf export local readonly declare typeset : true false source ."), _set),
}


def writers_in_shell(path: str, data: bytes, seeks: Backups | None = None) -> WriterScript:
    """Every backup, or whatever is sought, that a shell script writes. Templates are read as far as their marks let them."""
    script = parse(_without_template_marks(data))
    ledger = Ledger(name=path, language=Language.SHELL, seeks=seeks or Backups())
    _Run(ledger=ledger, state=_State()).script(script)
    return ledger.script()


def follow_command(ledger: Ledger, text: str, standing: Standing, *, line: int, scope: str) -> None:
    """A command line that a program hands to a shell, under what is in force there."""
    state = _State(umask=standing.umask, umask_line=standing.umask_line, private=standing.private, directories=standing.directories, doubt=standing.doubt)
    _Run(ledger=ledger, state=state, scope=scope).body(parse(text, first_line=line).statements, None)


def follow_argv(ledger: Ledger, argv: Sequence[Followed], standing: Standing, *, line: int, scope: str) -> Emission | None:
    """A program that another one starts without a shell; what it writes to its standard output."""
    state = _State(umask=standing.umask, umask_line=standing.umask_line, private=standing.private, directories=standing.directories, doubt=standing.doubt)
    return _Run(ledger=ledger, state=state, scope=scope)._run(argv, Command(words=(), line=line), None)


def _without_template_marks(data: bytes) -> bytes:
    """Terraform's `$${name}` is the shell's `${name}`, and its `%{ if ... }` lines are none of the script's."""
    if b"%{" not in data and b"$${" not in data:
        return data
    plain = re.sub(rb"(?m)^[ \t]*%\{[^\n]*$", b"", data)
    return re.sub(rb"\$\$\{\$\{(\w+)\}\}", rb"${\1}", plain).replace(b"$${", b"${")
