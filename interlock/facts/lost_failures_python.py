"""Where does a Python program go on as if a backup, a restore or a migration had worked? An exception that is only logged, an exit code that nobody takes.

The same finding as in a shell script (`interlock.facts.lost_failures`), and the same steps: programs that are started, Alembic's and Django's own calls, and
functions that are called what they do. One function at a time; what a caller makes of a returned value is not followed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from interlock.facts.commandlines import CommandLines, Run
from interlock.facts.lost_failures import How, LostFailure
from interlock.facts.pythoncode import Module, NotPython, calls_in_order, keyword
from interlock.facts.shell import parse
from interlock.facts.steps import Next, Step, StepKind, Then, next_of, step_of
from interlock.nouns import dataclass
from interlock.patterns import regex

_SWALLOWS = (b"except", b"subprocess.run", b"subprocess.call(", b"from subprocess", b"os.system")
_NAMES = (b"dump", b"backup", b"migrat", b"restore", b"snapshot", b"alembic", b"command.upgrade", b"upgrade_", b"restic", b"borg")
_AROUND = 48  # bytes around a name that say whether it is a step
_RAISES = frozenset({"subprocess.check_call", "subprocess.check_output"})
_STARTS = frozenset({"subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "os.system", "os.popen"})
_BROAD = frozenset(
    {"Exception", "BaseException", "CalledProcessError", "SubprocessError", "subprocess.CalledProcessError", "subprocess.SubprocessError", "OSError"}
)
_BROAD |= {"CommandError", "CommandException", "RuntimeError", "DatabaseError", "OperationalError", "ProgrammingError"}
_TELLS = regex(
    r"(?:.*\.)?(?:debug|info|warning|warn|error|exception|critical|log|print|echo|secho|print_exc|capture_exception|capture_message|write|format_exc|notice)"
)
_STEP = (
    r"_?(?:run_|do_|take_|make_|create_|perform_|apply_|execute_|start_)?(?:"
    r"(?P<backup>backup(?:_(?:db|database|all|data|state|volumes?|postgres|mysql|sqlite|duckdb|before\w*|now|to_\w+))?|db_backup|database_backup"
    r"|(?:dump|snapshot)_(?:db|database|postgres|mysql|sqlite|duckdb|state|volumes?|before\w*)|pre_?(?:migration|migrate|upgrade|cutover)_(?:backup|snapshot|dump))"
    r"|(?P<restore>restore_(?:db|database|backup|dump|snapshot|from_backup|postgres|mysql|data|state)|db_restore)"
    r"|(?P<migration>migrations?|db_migrations?|migrate(?:_(?:db|database|schema|up|all|to_head))?|upgrade_(?:db|database|schema)|database_migrations?|db_upgrade))"
)
_STEP_NAME = regex(_STEP)
_MENTIONS = regex(
    rb"[\"' /](?:pg_dump(?:all)?|mysqldump|mariadb-dump|mongodump|pg_restore|mongorestore|pg_basebackup|mariabackup|restic|borg|xtrabackup)[\"' ]"
    rb"|\bcommand\.upgrade\(|call_command\(\s*[\"']migrate[\"']|[\"' /]alembic[\"' ]|[\"' /]manage\.py[\"' ]"
    rb"|(?<!def )(?<![\w])" + _STEP.encode() + rb"\("
)  # what a program has to say before it is worth parsing
_NEXT_NAME = regex(
    r"_?(?:run_|do_|perform_|apply_|execute_)?(?:(?P<changes>migrations?|migrate(?:_\w+)?|cut_?over(?:_\w+)?|switch_?over(?:_\w+)?|upgrade_(?:db|database|schema)|promote(?:_\w+)?)"
    r"|(?P<deletes>(?:drop|wipe|purge|truncate|delete|prune|rotate|remove)_(?:old|all|data|db|database|tables?|backups?|dumps?|volumes?|source|state|schema)\w*))"
)
_SERVERS = frozenset({"uvicorn.run", "os.execv", "os.execvp", "os.execl", "os.execlp", "hypercorn.run", "waitress.serve"})
_KEPT = regex(r"backup|dump|snapshot|data|state|volume|database|\bdb\b|pgdata", re.IGNORECASE)
_SCRATCH = regex(r"te?mp|scratch|staging|partial|cache|lock|pid|\bwork", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """A step that may have failed without anybody hearing of it."""

    step: Step
    how: How


def swallows(data: bytes) -> bool:
    """False for a program that needs no parsing to know it: no step of ours is named in it, or nothing in it could lose a failure."""
    return any(word in data for word in _SWALLOWS) and any(_MENTIONS.search(data, max(0, place - _AROUND), place + _AROUND) for place in _places(data))


def _places(data: bytes) -> Iterator[int]:
    """Where something is called like a step. By `find`, for an expression looks at every byte of every program."""
    for name in _NAMES:
        place = data.find(name)
        while place >= 0:
            yield place
            place = data.find(name, place + len(name))


def lost_in_python(code: Module | NotPython) -> Iterator[LostFailure]:
    """Each step whose failure is lost, with the first thing that comes after it. A program that cannot be parsed has none that can be told."""
    if isinstance(code, NotPython):
        return
    found: dict[tuple[int, str], LostFailure] = {}
    for body in (code.body, *(function.body for function in code.functions.values())):
        _Following(code, found).sequence(body, [])
    yield from sorted(found.values(), key=lambda one: one.step.line)


class _Following:
    """One body of statements, followed as it runs."""

    def __init__(self, code: Module, found: dict[tuple[int, str], LostFailure]) -> None:
        self.code = code
        self.found = found

    def sequence(self, body: Sequence[ast.stmt], lost: list[_Failed]) -> list[_Failed]:
        """The failures that nobody has heard of after a body."""
        for statement in body:
            lost = self._statement(statement, lost)
        return lost

    def _statement(self, statement: ast.stmt, lost: list[_Failed]) -> list[_Failed]:
        match statement:
            case ast.Try():
                return self._try(statement, lost)
            case ast.If():
                self._goes_on(statement.test, lost)
                ways = [self.sequence(body, list(lost)) for body in (statement.body, statement.orelse) if not _ends(body)]
                return list(dict.fromkeys(one for way in ways for one in way))
            case ast.With() | ast.AsyncWith():
                return self.sequence(statement.body, lost)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self.sequence(statement.orelse, self.sequence(statement.body, lost))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return lost
            case _:
                self._goes_on(statement, lost)
                return [*lost, *self._unchecked(statement)]

    def _try(self, statement: ast.Try, lost: list[_Failed]) -> list[_Failed]:
        after = self.sequence(statement.body, list(lost))
        steps = [step for step in self._steps(statement.body) if self._tells_by_raising(step[1])]
        for handler in statement.handlers:
            if not _is_broad(handler):
                continue
            how = How.IGNORED if all(isinstance(one, ast.Pass) for one in handler.body) else How.ONLY_TOLD
            if _is_harmless(handler.body):
                after += [_Failed(step=step, how=how) for step, _ in steps]
            elif steps and _exits_well(handler.body[-1]):
                line = handler.body[-1].lineno
                for step, _ in steps:
                    self._note(_Failed(step=step, how=How.EXIT_ZERO), Next(then=Then.REPORTS, command="sys.exit(0)", line=line))
        return self.sequence(statement.finalbody, after)

    def _steps(self, body: Sequence[ast.stmt]) -> Iterator[tuple[Step, ast.Call]]:
        """The steps of a body, but for those whose failure a `try` inside of it takes."""
        for statement in body:
            if isinstance(statement, ast.Try):
                continue
            blocks = [getattr(statement, name) for name in ("body", "orelse") if isinstance(getattr(statement, name, None), list)]
            if blocks and isinstance(statement, (ast.If, ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While)):
                for block in blocks:
                    yield from self._steps(block)
            elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                for call in calls_in_order(statement):
                    if (step := self._step(call)) is not None:
                        yield step, call

    def _step(self, call: ast.Call) -> Step | None:
        name = self.code.dotted(call.func)
        if name in _STARTS:
            return next((step for run in _runs(call) if (step := step_of(run, call.lineno)) is not None), None)
        if name.endswith("command.upgrade") and "alembic" in " ".join(self.code.names.values()):
            return Step(kind=StepKind.MIGRATION, name="alembic upgrade", line=call.lineno)
        if name.endswith("call_command") and call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == "migrate":
            return Step(kind=StepKind.MIGRATION, name="migrate", line=call.lineno)
        last = name.rpartition(".")[2]
        named = _STEP_NAME.fullmatch(last)
        if named is None or not (name in (last, f"self.{last}") or name.rpartition(".")[0] in self.code.names.values() or name in self.code.names.values()):
            return None
        kind = StepKind.BACKUP if named["backup"] else StepKind.RESTORE if named["restore"] else StepKind.MIGRATION
        return Step(kind=kind, name=f"{last}()", line=call.lineno)

    def _tells_by_raising(self, call: ast.Call) -> bool:
        name = self.code.dotted(call.func)
        return name not in _STARTS or name in _RAISES or _is_true(keyword(call, "check"))

    def _unchecked(self, statement: ast.stmt) -> Iterator[_Failed]:
        """A program that is started, and whose exit code is thrown away."""
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            name = self.code.dotted(statement.value.func)
            if name in _STARTS and name not in _RAISES and keyword(statement.value, "check") is None and (step := self._step(statement.value)) is not None:
                yield _Failed(step=step, how=How.UNCHECKED)

    def _goes_on(self, node: ast.AST, lost: Sequence[_Failed]) -> None:
        for call in calls_in_order(node) if lost else ():
            if (goes_on := self._next(call)) is None:
                continue
            for one in lost:
                if _matters(one, goes_on):
                    self._note(one, goes_on)

    def _next(self, call: ast.Call) -> Next | None:
        name = self.code.dotted(call.func)
        line = call.lineno
        if name in _STARTS:
            return next((goes_on for run in _runs(call) if (goes_on := next_of(run, line, paused=True)) is not None), None)
        if name in _SERVERS:
            return Next(then=Then.STARTS, command=name, line=line)
        if name.endswith(("shutil.rmtree", "os.remove", "os.unlink")) and call.args:
            told = ast.unparse(call.args[0])
            return Next(then=Then.DELETES, command=f"{name}({told})", line=line) if _KEPT.search(told) and not _SCRATCH.search(told) else None
        step = self._step(call)
        if step is not None and step.kind is not StepKind.BACKUP:
            return Next(then=Then.CHANGES, command=step.name, line=line)
        last = name.rpartition(".")[2]
        named = _NEXT_NAME.fullmatch(last)
        if named is None or not (name in (last, f"self.{last}") or name in self.code.names.values()):
            return None
        return Next(then=Then.CHANGES if named["changes"] else Then.DELETES, command=f"{last}()", line=line)

    def _note(self, one: _Failed, goes_on: Next) -> None:
        self.found.setdefault((one.step.line, one.step.name), LostFailure(step=one.step, how=one.how, goes_on=goes_on))


def _matters(one: _Failed, goes_on: Next) -> bool:
    if goes_on.then is Then.REPORTS or (goes_on.then is Then.STARTS and one.step.kind is StepKind.BACKUP) or goes_on.line == one.step.line:
        return False
    return one.step.kind is StepKind.BACKUP or goes_on.then is not Then.CHANGES


def _runs(call: ast.Call) -> Iterator[Run]:
    """What a call of `subprocess` or `os.system` starts: an argv, or the commands of a text."""
    given = call.args[0] if call.args else keyword(call, "args")
    if isinstance(given, (ast.List, ast.Tuple)):
        words = tuple(_word(one) for one in given.elts)
        yield from CommandLines({}).inside(words)
    elif given is not None and (text := _word(given)) and not text.startswith("$"):
        script = parse(text, first_line=call.lineno)
        lines = CommandLines.of(script)
        for command in script.commands():
            yield from lines.runs(command)


def _word(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr():
            return "".join(part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "$x" for part in node.values)
        case ast.Starred():
            return "$x"
        case _:
            return "$" + (re.sub(r"\W", "_", ast.unparse(node))[:40] or "x")


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether a handler takes what a failed step raises."""
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(kind) in _BROAD or ast.unparse(kind).rpartition(".")[2] in _BROAD for kind in kinds)


def _is_harmless(body: Sequence[ast.stmt]) -> bool:
    """A handler that tells, and does nothing else."""
    return all(isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and _tells(statement.value)) for statement in body)


def _tells(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return True
    return isinstance(value, ast.Call) and _TELLS.fullmatch(ast.unparse(value.func)) is not None


def _exits_well(statement: ast.stmt) -> bool:
    """`sys.exit(0)`."""
    call = statement.value if isinstance(statement, ast.Expr) else statement.exc if isinstance(statement, ast.Raise) else None
    if not isinstance(call, ast.Call) or ast.unparse(call.func) not in ("sys.exit", "exit", "os._exit", "SystemExit"):
        return False
    return len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


def _ends(body: Sequence[ast.stmt]) -> bool:
    """Whether nothing follows a body: it returns or raises."""
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))
