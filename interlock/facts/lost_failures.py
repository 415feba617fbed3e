"""Where does a script go on as if a backup, a restore or a migration had worked, though it failed? Followed as the shell runs it: `set -e` and where it does
not count, pipes with and without pipefail, `||`, conditions, functions, `$?` and PIPESTATUS.

    for lost in lost_failures(script, strict=Strict(...)): ...

A failure is lost when its status reaches nobody: no exit, no handler that does more than tell, no variable, no look at the file that was made. It is a
finding together with what the script does next (`interlock.facts.steps.Next`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum

from interlock.facts.backup_writers import listed
from interlock.facts.commandlines import CommandLines, Run, engine_words
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
    LoopKind,
    Pipeline,
    Script,
    Statement,
    Stream,
    Substitution,
    Unparsed,
    parse,
    walk,
)
from interlock.facts.steps import Next, Step, StepKind, Then, next_of, step_of
from interlock.nouns import dataclass
from interlock.patterns import regex


class How(StrEnum):
    """How a failure is lost; the values are kinds of findings, and `told` says it."""

    PIPE = "pipe-without-pipefail"
    IGNORED = "ignored"
    UNCHECKED = "unchecked"
    ONLY_TOLD = "only-told"
    IN_CONDITION = "set-e-off-in-condition"
    EXIT_ZERO = "exit-zero"

    @property
    def told(self) -> str:
        """Why nobody hears of it, as the middle of a sentence."""
        return {
            How.PIPE: "its failure is lost in the pipe (no pipefail)",
            How.IGNORED: "its failure is ignored",
            How.UNCHECKED: "nobody looks whether it failed",
            How.ONLY_TOLD: "its failure is only told",
            How.IN_CONDITION: "set -e does not count inside a function that a condition calls, so its failure is lost",
            How.EXIT_ZERO: "when it fails the script ends with 0",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strict:
    """What is in force before the first line: an interpreter's options, or those of the scripts that source this one."""

    errexit: bool = False
    pipefail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LostFailure:
    """A step whose failure is lost, and what the script goes on with."""

    step: Step
    how: How
    goes_on: Next


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A step that may have failed with the statement that was just run. `exempt`: `set -e` does not see it."""

    step: Step
    marks: frozenset[str]
    how: How = How.UNCHECKED
    exempt: bool = False

    @property
    def in_pipe(self) -> bool:
        return self.how is How.PIPE


MENTIONS = regex(
    rb"dump|backup|restor|migrat|alembic|borg |restic|rsync|snapshot|xtrabackup|slapcat|db upgrade|sqitch|dbmate|flyway|liquibase", re.IGNORECASE
)  # what a text has to say before it is worth following
STEP_WORDS = regex(
    r"pg_dump|mysqldump|mariadb-dump|mongodump|pg_restore|mongorestore|borg create|restic\b.*\bbackup|alembic upgrade|manage\.py migrate|db:migrate"
)
_DEEPEST = 10
_DECLARES = listed("local export declare readonly typeset")
_ENDS = listed("exit return")
_HARMLESS = listed("true : echo printf logger sleep cat date tee")
_TELLS = regex(r"(?:log|warn|info|echo|print|notice|debug|msg|message|say|note)(?:[_-]\w+)?|\w+[_-](?:log|warn|warning|info|echo|msg|notice)", re.IGNORECASE)
_STATUS = regex(r"\$\{?\?")
_PIPE_STATUS = regex(r"PIPESTATUS|pipestatus")
_OPTIONS = regex(r"[-+][a-zA-Z]+")
_FILE_OPTIONS = listed("-f --file -D --pgdata -o --out --output --result-file -r --target-dir --archive")


def lost_failures(script: Script, *, strict: Strict) -> tuple[LostFailure, ...]:
    """Each step whose failure is lost, with the gravest of what comes after it, in the order of the lines."""
    run = _Run(
        lines=CommandLines.of(script),
        functions={statement.name: statement for statement in walk(script.statements) if isinstance(statement, Function)},
        errexit=strict.errexit,
        pipefail=strict.pipefail,
    )
    run.sequence(script.statements, off=False)
    for name, function in run.functions.items():
        if name not in run.called:
            alone = replace(
                run, lost=[], over=False, errexit=run.errexit or run.ever_strict, pipefail=run.pipefail or run.ever_strict, paused=False, upgraded=False
            )
            alone.call(function, off=False)
    return tuple(sorted(run.found.values(), key=lambda one: one.step.line))


@dataclass(slots=True, kw_only=True)
class _Run:
    """One script being followed; `lost` are the failures that nobody has heard of so far."""

    lines: CommandLines
    functions: dict[str, Function]
    errexit: bool
    pipefail: bool
    ever_strict: bool = False
    paused: bool = False
    upgraded: bool = False
    over: bool = False
    lost: list[_Pending] = field(default_factory=list)
    found: dict[tuple[int, str], LostFailure] = field(default_factory=dict)
    calling: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)

    # ---- statements: each comes to the steps that its status tells of

    def sequence(self, statements: Sequence[Statement], *, off: bool) -> tuple[_Pending, ...]:
        """Statements one after the other. `off`: a condition is waiting for them, and `set -e` does not count."""
        pending: tuple[_Pending, ...] = ()
        for statement in statements:
            if self.over:
                return ()
            for one in pending:
                if not _looked_at(statement, in_pipe=one.in_pipe):
                    self.lose(one, How.IN_CONDITION if off and self.errexit and one.how is How.UNCHECKED and self.calling else one.how)
            pending = self.statement(statement, off=off)
            if self.errexit and not off:
                pending = tuple(one for one in pending if one.exempt or one.in_pipe)
        return pending

    def lose(self, one: _Pending, how: How) -> None:
        """From here on nobody knows that it failed."""
        self.lost.append(replace(one, how=how))

    def statement(self, statement: Statement, *, off: bool) -> tuple[_Pending, ...]:
        """One statement."""
        match statement:
            case Command():
                return self.command(statement, off=off)
            case Pipeline():
                return self.pipeline(statement, off=off)
            case AndOr():
                return self.and_or(statement, off=off)
            case Group():
                return self.group(statement, off=off)
            case If():
                return self.choice(statement, off=off)
            case Loop():
                return self.loop(statement, off=off)
            case Case():
                return self.ways([arm.body for arm in statement.arms], off=off)
            case Condition():
                self.forgive(statement.raw)
                return ()
            case Background() | Function() | Unparsed():
                return ()

    def group(self, group: Group, *, off: bool) -> tuple[_Pending, ...]:
        before = (self.errexit, self.pipefail)
        pending = self.sequence(group.body, off=off)
        if group.subshell:
            self.errexit, self.pipefail = before
            self.over = False
        return tuple(replace(one, marks=one.marks | _targets(group)) for one in pending)

    def pipeline(self, pipeline: Pipeline, *, off: bool) -> tuple[_Pending, ...]:
        *first, last = pipeline.stages
        source = " ".join(_raw(stage) for stage in first)
        targets = frozenset(mark for stage in pipeline.stages for mark in _targets(stage))
        early = [one for stage in first for one in self.statement(stage, off=True)]
        late = self.command(last, off=off, source=source) if isinstance(last, Command) else self.statement(last, off=off)
        if pipeline.negated:
            return ()
        kept = [replace(one, how=one.how if self.pipefail else How.PIPE) for one in early]
        return tuple(replace(one, marks=one.marks | targets) for one in (*kept, *late))

    def and_or(self, both: AndOr, *, off: bool) -> tuple[_Pending, ...]:
        left = self.statement(both.left, off=True)
        if both.operator == "&&":
            self.lost += [one for one in left if one.in_pipe]
            right = self.branch(both.right, off=off)
            return (*(replace(one, exempt=True) for one in left if not one.in_pipe), *right)
        self.lost += [one for one in left if one.in_pipe]
        left = tuple(one for one in left if not one.in_pipe)
        if left and _ends_well(both.right, self.functions):
            for one in left:
                self.note(one, How.EXIT_ZERO, Next(then=Then.REPORTS, command="exit 0", line=both.right.line))
        elif left and self.is_harmless(both.right):
            for one in left:
                self.lose(one, How.IGNORED)
        return self.branch(both.right, off=off)

    def branch(self, statement: Statement, *, off: bool) -> tuple[_Pending, ...]:
        """A statement that may not be run: what ends the script there does not end it here."""
        before = self.over
        pending = self.statement(statement, off=off)
        self.over = before
        return pending

    def choice(self, choice: If, *, off: bool) -> tuple[_Pending, ...]:
        first, before = choice.branches[0], len(self.lost)
        pending = self.sequence(first.condition, off=True)
        negated = len(first.condition) == 1 and isinstance(first.condition[0], Pipeline) and first.condition[0].negated
        asked = self.negated_steps(first.condition[0]) if negated else pending
        bodies = [branch.body for branch in choice.branches]
        for branch in choice.branches[1:]:
            self.sequence(branch.condition, off=True)
        told = " ".join(_raw(statement) for branch in choice.branches for statement in branch.condition)
        self.forgive(told if any(_acts(body) for body in (*bodies, choice.otherwise)) or re.search(r"\[|test ", told) else "")
        self.lost += [one for one in asked if one.in_pipe]
        asked = tuple(one for one in asked if not one.in_pipe)
        told_well = tuple(self.lost[before:])  # lost in the condition: it holds all the same
        failing = first.body if negated else (choice.otherwise if len(choice.branches) == 1 else choice.branches[1].body)
        left = self.ways([*bodies, choice.otherwise], off=off, unless={id(failing): told_well})
        if asked and all(self.is_harmless(statement) for statement in failing):
            for one in asked:
                self.lose(one, How.ONLY_TOLD)
        elif asked and failing and _ends_well(failing[-1], self.functions):
            for one in asked:
                self.note(one, How.EXIT_ZERO, Next(then=Then.REPORTS, command="exit 0", line=failing[-1].line))
        return left

    def negated_steps(self, statement: Statement) -> tuple[_Pending, ...]:
        """The steps of `! step`."""
        assert isinstance(statement, Pipeline)
        return self.pipeline(replace(statement, negated=False), off=True)

    def ways(self, bodies: Sequence[Sequence[Statement]], *, off: bool, unless: Mapping[int, Sequence[_Pending]] | None = None) -> tuple[_Pending, ...]:
        """Several ways, one of which is taken. `unless`: a way that is not taken when these failed, by its identity."""
        before, over, strict = list(self.lost), self.over, (self.errexit, self.pipefail)
        pending: list[_Pending] = []
        ends: list[tuple[list[_Pending], bool, bool]] = []
        for body in bodies:
            known = (unless or {}).get(id(body), ())
            self.lost, self.over, (self.errexit, self.pipefail) = [one for one in before if one not in known], over, strict
            pending += self.sequence(body, off=off)
            if not self.over:
                ends.append((self.lost, self.errexit, self.pipefail))
        self.over = over or (not ends and bool(bodies))
        self.lost = list(dict.fromkeys(one for lost, _, _ in ends for one in lost))
        self.errexit = any(errexit for _, errexit, _ in ends) if ends else strict[0]
        self.pipefail = any(pipefail for _, _, pipefail in ends) if ends else strict[1]
        return tuple(pending)

    def loop(self, loop: Loop, *, off: bool) -> tuple[_Pending, ...]:
        if loop.kind in (LoopKind.WHILE, LoopKind.UNTIL):
            self.sequence(loop.condition, off=True)
        before = self.over
        pending = self.sequence(loop.body, off=off)
        self.over = before
        for one in pending:
            self.lose(one, one.how)  # the next turn goes on
        return ()

    # ---- commands

    def command(self, command: Command, *, off: bool, source: str = "") -> tuple[_Pending, ...]:
        name = command.words[0].literal or "" if command.words else ""
        if name == "set":
            self.set(self.lines.words(command)[1:])
        elif name == "trap" and any(word.literal == "ERR" for word in command.words):
            self.errexit = self.ever_strict = True
        substituted = self.substitutions(command)
        if name in _DECLARES:
            for one in substituted:
                self.lose(one, one.how)
            return ()
        if name in self.functions:
            given = frozenset(mark for word in command.words[1:] if len(mark := _mark(word.raw)) > 2)
            return self.call(self.functions[name], off=off, given=given)
        read = " ".join(redirect.target.raw for redirect in command.redirects if redirect.stream is Stream.READ) or source
        pending = [one for run in self.lines.runs(command) for one in self.program(run, command, read)]
        if name in _ENDS or (name == "exec" and len(command.words) > 1):
            self.over = True
        return (*(substituted if not command.words else ()), *pending)

    def program(self, run: Run, command: Command, source: str) -> tuple[_Pending, ...]:
        """One program of a command: a step, or what goes on after one."""
        if run.text:
            return self.nested(run.text, command)
        step = step_of(run, command.line, source=source)
        goes_on = next_of(run, command.line, paused=self.paused)
        if step is not None and step.kind is not StepKind.BACKUP:
            goes_on = Next(then=Then.CHANGES, command=step.name, line=command.line, migrates=step.kind is StepKind.MIGRATION)
        if goes_on is not None and not any(stage.stream is Stream.WRITE and goes_on.then is Then.REPORTS for stage in command.redirects if stage.fd == 1):
            for one in self.lost:
                self.went_on(one, goes_on)
        verb = engine_words(run.argv)[:1]
        self.paused = self.paused or verb in (["stop"], ["down"], ["pause"], ["kill"]) or (run.program == "systemctl" and "stop" in run.argv)
        self.upgraded = self.upgraded or (goes_on is not None and goes_on.then is Then.UPGRADES) or verb in (["pull"], ["build"])
        return (_Pending(step=step, marks=_marks(run, command)),) if step is not None else ()

    def nested(self, text: str, command: Command) -> tuple[_Pending, ...]:
        """What a shell is given as a text, with options of its own."""
        script = parse(text, first_line=command.line)
        before = (self.errexit, self.pipefail, self.over, self.lines, self.calling)
        self.errexit = any(re.fullmatch(r"-[a-z]*e[a-z]*c", word.literal or "") for word in command.words)
        self.pipefail, self.lines = False, CommandLines({**self.lines.constants, **CommandLines.of(script).constants})
        pending = self.sequence(script.statements, off=False)
        self.errexit, self.pipefail, self.over, self.lines, self.calling = before
        return pending

    def call(self, function: Function, *, off: bool, given: frozenset[str] = frozenset()) -> tuple[_Pending, ...]:
        """A function, where it is called; `given` are the names of what it is given."""
        if function.name in self.calling or len(self.calling) >= _DEEPEST:
            return ()
        self.called.add(function.name)
        self.calling.append(function.name)
        before, known = (self.errexit, self.pipefail), frozenset(self.lost)
        pending = self.statement(function.body, off=off)
        if self.over:
            self.errexit, self.pipefail = self.errexit or before[0], self.pipefail or before[1]
        self.calling.pop()
        self.over = False
        self.lost = [one if one in known else replace(one, marks=one.marks | given) for one in self.lost]
        return tuple(replace(one, marks=one.marks | given) for one in pending)

    def substitutions(self, command: Command) -> tuple[_Pending, ...]:
        """The steps in `x=$(...)`."""
        values = [assignment.value for assignment in command.assignments if assignment.value is not None]
        bodies = [part.body for value in values for part in value.parts if isinstance(part, Substitution)]
        return tuple(one for body in bodies for one in self.sequence(body, off=True))

    def set(self, words: Sequence[str]) -> None:
        """`set -euo pipefail`, `set +e`."""
        on = True
        for index, word in enumerate(words):
            if _OPTIONS.fullmatch(word):
                on = word.startswith("-")
                if "e" in word[1:]:
                    self.errexit = on
                    self.ever_strict = self.ever_strict or on
            elif index and words[index - 1].endswith("o"):
                if word == "pipefail":
                    self.pipefail = on
                elif word == "errexit":
                    self.errexit = on
                    self.ever_strict = self.ever_strict or on

    # ---- what becomes of a lost failure

    def forgive(self, told: str) -> None:
        """Somebody looks at what the step made."""
        status = (_STATUS.search(told) is not None, _PIPE_STATUS.search(told) is not None)
        self.lost = [one for one in self.lost if not any(mark in told for mark in one.marks) and not status[one.in_pipe]]

    def went_on(self, one: _Pending, goes_on: Next) -> None:
        """A finding, where going on matters after this step."""
        then = goes_on.then
        names_it = any(mark in goes_on.command for mark in one.marks)
        if then is Then.DELETES and names_it and not goes_on.command.startswith("find"):
            return  # what it made itself
        if goes_on.by_age and not names_it:
            return  # what is old somewhere else
        if one.step.kind is StepKind.RESTORE and then is Then.CHANGES and not goes_on.migrates:
            return  # one part after the other
        if goes_on.line == one.step.line and then is not Then.REPORTS and then is not Then.STARTS and goes_on.command.startswith(one.step.name):
            return
        if then is Then.STARTS and one.step.kind is StepKind.BACKUP:
            if not self.upgraded:
                return
            then = Then.UPGRADES
        if then is Then.KEEPS and (one.step.kind is not StepKind.BACKUP or one.step.packs or one.how in (How.IGNORED, How.ONLY_TOLD)):
            return
        if then is Then.REPORTS and (one.how in (How.IGNORED, How.ONLY_TOLD) or one.step.kind is StepKind.MIGRATION):
            return
        if then is Then.CHANGES and one.step.kind is StepKind.MIGRATION:
            return  # one migration after the other: the second finds what is missing
        self.note(one, one.how, replace(goes_on, then=then))

    def note(self, one: _Pending, how: How, goes_on: Next) -> None:
        """The gravest of what comes after a step is kept."""
        key = (one.step.line, one.step.name)
        known = self.found.get(key)
        order = list(Then)
        if known is None or order.index(goes_on.then) < order.index(known.goes_on.then):
            self.found[key] = LostFailure(step=one.step, how=how, goes_on=goes_on)

    def is_harmless(self, statement: Statement) -> bool:
        """Whether a handler only tells: no exit, no variable, nothing that is not known to."""
        match statement:
            case Command():
                if not statement.words:
                    return False
                name = statement.words[0].literal or ""
                if name in self.functions:
                    return all(self.is_harmless(inner) or _is_local(inner) for inner in _leaves(self.functions[name].body))
                return name in _HARMLESS or _TELLS.fullmatch(name) is not None
            case AndOr():
                return self.is_harmless(statement.left) and self.is_harmless(statement.right)
            case Group():
                return all(self.is_harmless(inner) for inner in statement.body)
            case Pipeline():
                return all(self.is_harmless(inner) for inner in statement.stages)
            case _:
                return False


def _leaves(statement: Statement) -> Iterator[Statement]:
    return (inner for inner in walk((statement,)) if isinstance(inner, Command))


def _is_local(statement: Statement) -> bool:
    return isinstance(statement, Command) and (not statement.words or (statement.words[0].literal or "") in (_DECLARES | {"shift"}))


def _looked_at(statement: Statement, *, in_pipe: bool) -> bool:
    """Whether a statement reads the status of the one before it."""
    told = _raw(statement)
    return _PIPE_STATUS.search(told) is not None or (not in_pipe and _STATUS.search(told) is not None)


def _acts(body: Sequence[Statement]) -> bool:
    """Whether something in a body ends the script, or leaves it: what was tested counts."""
    return any(isinstance(inner, Command) and inner.words and (inner.words[0].literal or "") in ("exit", "return", "continue", "break") for inner in walk(body))


def _ends_well(statement: Statement, functions: dict[str, Function]) -> bool:
    """`exit 0`, or a group that ends with it."""
    if isinstance(statement, Group) and statement.body:
        return _ends_well(statement.body[-1], functions)
    return isinstance(statement, Command) and [word.literal for word in statement.words] == ["exit", "0"]


def _marks(run: Run, command: Command) -> frozenset[str]:
    """How later lines would name what a step makes."""
    files = {after for word, after in zip(run.argv, run.argv[1:], strict=False) if word in _FILE_OPTIONS}
    files |= {word.partition("=")[2] for word in run.argv if word.partition("=")[0] in _FILE_OPTIONS and "=" in word}
    names = {
        name
        for word in command.words
        for name in re.findall(r"\$\{?(\w*(?:FILE|file|DEST|dest|OUT|out|PATH|path|DUMP|dump|ARCHIVE|archive|TARGET|target|DIR|dir)\w*)", word.raw)
    }
    files |= {word for word in run.argv[1:] if run.program in ("tar", "gtar", "bsdtar") and re.search(r"\.t(?:ar|gz|bz|zst|xz)", word)}
    bases = {base for file in files if len(base := file.rpartition("/")[2]) > 4}
    return frozenset(_mark(file) for file in files if len(_mark(file)) > 2) | bases | frozenset(names) | _targets(command)


def _targets(statement: Statement) -> frozenset[str]:
    redirects = statement.redirects if isinstance(statement, (Command, Group)) else ()
    return frozenset(mark for redirect in redirects if redirect.creates and redirect.fd in (1, -1) and len(mark := _mark(redirect.target.raw)) > 2)


def _mark(raw: str) -> str:
    """A variable's name, else the file's own."""
    variable = re.search(r"\$\{?(\w{3,})", raw)
    return variable[1] if variable else raw.strip("\"'").rpartition("/")[2]


def _raw(statement: Statement) -> str:
    """About what a statement says, for looking for names in it."""
    match statement:
        case Condition() | Unparsed():
            return statement.raw
        case _:
            return " ".join(_told(inner) for inner in walk((statement,)))


def _told(statement: Statement) -> str:
    match statement:
        case Command():
            values = (assignment.value.raw for assignment in statement.assignments if assignment.value is not None)
            targets = (redirect.target.raw for redirect in statement.redirects if redirect.stream is not Stream.HERE_DOCUMENT)
            return " ".join((*values, *(word.raw for word in statement.words), *targets))
        case Condition() | Unparsed():
            return statement.raw
        case Case():
            return statement.word.raw
        case _:
            return ""
