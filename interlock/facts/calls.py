"""Who calls whom, and does something at the end of it change a running system? Follows a command line through scripts, makefiles and other machines.

    for found in Calls(files, settings).shell(text, start): ...

Followed are `./x.sh`, `bash x`, `source x`, `make target`, `npm run x`, `cd dir && ./x`, `ssh host 'cmd'` and its here-documents, `docker exec`, `sh -c`,
functions and `case "$1"`, and `subprocess` in Python. Every branch is taken. What a name alone tells (`./deploy.sh` that is not there) is `Unfollowed`.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
import shlex
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Protocol, assert_never

from interlock.facts import makefiles, pythoncode
from interlock.facts.applies import RUN_OPTIONS, Act, ApplyKind, after_options, read_act, says_deploy
from interlock.facts.backup_writers import listed
from interlock.facts.failures import Failure, consequence, ends, is_negated, looked_back_at
from interlock.facts.shell import (
    AndOr,
    Assignment,
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
    Statement,
    Stream,
    Substitution,
    Text,
    Unparsed,
    Variable,
    Word,
    parse,
    walk,
)
from interlock.nouns import dataclass
from interlock.patterns import regex

DEEPEST = 14  # calls inside calls; what goes deeper calls itself in circles
MOST_COMMANDS = 10_000  # of one start; a script that runs more does not end

ELSEWHERE = "/"  # a directory that is not known to be the tree's


class Files(Protocol):
    """The files that calls are followed through."""

    def text(self, path: str) -> str | None:
        """The text of a file of the tree, None when there is none, or none that can be read."""

    def called(self, name: str) -> Sequence[str]:
        """The paths of the files with this base name."""


class Place(StrEnum):
    """On what kind of machine a command runs; the values end a sentence."""

    THROW_AWAY = "on a machine that is thrown away"
    UNKNOWN = "on a runner that an expression chooses"
    OWN = "on a runner of your own"
    REMOTE = "over ssh"
    HOST = "on this host"

    @property
    def lasts(self) -> bool:
        """True when what is changed there is still there afterwards."""
        return self is not Place.THROW_AWAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of the way from what starts to what applies: a place in a file."""

    file: str
    line: int
    said: str = ""  # instead of file:line

    def __str__(self) -> str:
        return self.said or f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A command that changes something, and the way to it. `command` is as a reader knows it."""

    hops: tuple[Hop, ...]
    command: str
    act: Act
    place: Place

    @property
    def counts(self) -> bool:
        """False when all that it changes is thrown away with the machine that it runs on."""
        return self.place.lasts or not self.act.local


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfollowed:
    """A call by a name that says that it deploys, and that cannot be looked into."""

    hops: tuple[Hop, ...]
    command: str
    why: str
    place: Place = Place.UNKNOWN


Found = Reached | Unfollowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One level of the way to a command: its line in the script, function or recipe of that level, what its failure there comes to, and the branches
    that its outcome decides on (`Heard.after`)."""

    hop: Hop
    failure: Failure
    shell: int = 0  # the shell that it runs in, among those of the way: a function runs in that of its caller
    decides: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A command that was listened for, in the order in which it is run. `frames` are the levels that it was called through, the outermost first;
    `after` the decisions that let it run; `doubtful`: it stands in a branch that may not be taken."""

    what: object
    command: str
    hops: tuple[Hop, ...]
    frames: tuple[Frame, ...]
    place: Place
    after: frozenset[int] = frozenset()
    branches: frozenset[tuple[int, int]] = frozenset()  # which way was taken where only one of several is
    doubtful: bool = False
    contained: bool = False

    def excludes(self, other: Heard) -> bool:
        """True when no run comes by both: they stand in different arms of one `case`, or branches of one `if`."""
        taken = dict(self.branches)
        return any(taken.get(fork, way) != way for fork, way in other.branches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A crontab that a script writes: its text with what is known put in, where it goes (`-` for that of the user), and the hop of the command."""

    target: str
    text: str
    hop: Hop


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where following begins. `directory` is relative to the tree, `ELSEWHERE` when it is not in it; `shown` gives a text back as its author wrote it."""

    hops: tuple[Hop, ...]
    place: Place
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    shown: Callable[[str], str] = str
    declared: frozenset[str] = frozenset()  # scripts that the site says apply
    errexit: bool = False  # the shell ends with the first command that fails


@dataclass(slots=True, kw_only=True)
class _State:
    """What is known at one point of a script. `file` is the one at hand, `arguments` its positional parameters (None: not known)."""

    start: Start
    file: str
    hops: tuple[Hop, ...]
    place: Place
    directory: str
    variables: dict[str, str]
    arguments: tuple[str, ...] | None = None
    functions: dict[str, Function] = field(default_factory=dict)
    running: tuple[str, ...] = ()  # what is being followed, to end circles
    contained: bool = False  # inside of a container: its engine is not the machine's
    exported: frozenset[str] = frozenset()
    argued: frozenset[str] = frozenset()  # variables that surely hold an argument
    over: bool = False  # after an `exit` that is surely reached
    doubts: int = 0  # branches around this place that may not be taken
    traps: list[str] = field(default_factory=list)  # what the shell runs when it ends
    here: Hop | None = None  # the place that stands for all lines: a step of a Python program
    frames: tuple[Frame, ...] = ()  # the levels above this one
    shell: int = 0  # how many shells are above this one
    deaf: bool = False  # what cleans up at the end is no step of the way
    errexit: bool = False
    tested: bool = False  # what fails here decides something, and `set -e` does not end the shell
    treated: Failure | None = None  # what was written for the failure of what stands here
    decides: frozenset[int] = frozenset()  # the decisions that what stands here makes
    after: frozenset[int] = frozenset()  # those that let it run
    branches: frozenset[tuple[int, int]] = frozenset()  # the ways that were taken to here

    def inside(self, **changes: object) -> _State:
        """A scope of its own: what is set in it does not come back."""
        return replace(self, variables=dict(self.variables), functions=dict(self.functions), **changes)  # type: ignore[arg-type]

    @property
    def failure(self) -> Failure:
        """What becomes of the path when a command fails here."""
        if self.treated is not None:
            return self.treated
        return Failure.ENDS if self.errexit and not self.tested else Failure.PASSES


@lru_cache(maxsize=1024)
def _names_in(function: Function) -> tuple[str, ...]:
    """The variables that a function names itself, sorted."""
    words = (word for statement in walk((function,)) if isinstance(statement, Command) for word in statement.words)
    return tuple(sorted({part.name for word in words for part in word.parts if isinstance(part, Variable)}))


@dataclass(slots=True, kw_only=True)
class _Made:
    """One run of make: its makefile, and what was made already."""

    path: str
    makefile: makefiles.Makefile
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a function or script came to when it was followed: what was found and heard in it, below `depth` frames and `hops` hops, and what it left behind."""

    found: tuple[Found, ...]
    heard: tuple[Heard, ...]
    depth: int
    hops: int  # how many hops before it
    shell: int  # the shell that it was called in
    changed: Mapping[str, str] = field(default_factory=dict)
    over: bool = False


@dataclass(slots=True)
class Calls:
    """Follows calls through the files of one tree; the number of commands is bounded for each start."""

    files: Files
    hears: Callable[[Sequence[str], str | None], object | None] | None = None  # what a command and its input are to the listener, None for nothing
    heard: list[Heard] = field(default_factory=list)  # in order: what `hears` knows, and every `Act`
    installed: list[Installed] = field(default_factory=list)  # the crontabs that the commands write
    sourced: list[str] = field(default_factory=list)  # the files that were taken into a shell
    keeps: bool = False  # what a script came to is known to the next start too: all of them declare the same, and show their texts as they are
    drafts: list[Installed] = field(default_factory=list)  # what the commands write into other files
    _left: int = MOST_COMMANDS
    _decisions: int = 0
    _known: dict[tuple[Hashable, ...], _Known] = field(default_factory=dict)

    def shell(self, text: str, start: Start, *, file: str, line: int) -> Iterator[Found]:
        """What a piece of shell that begins on `line` of `file` comes to change."""
        self._left = MOST_COMMANDS
        if not self.keeps:
            self._known.clear()
        state = _State(start=start, file=file, hops=start.hops, place=start.place, directory=start.directory, variables=dict(start.environment))
        state.errexit = start.errexit or _SETS_ERREXIT.match(text) is not None
        yield from self._shell(text, state, line)

    def _shell(self, text: str, state: _State, line: int) -> Iterator[Found]:
        if len(state.running) > DEEPEST:
            return
        script = parse(text, first_line=line)
        around, state.traps = state.traps, []
        yield from self._statements(script.statements, state)
        at_exit, state.traps = state.traps, around
        for trap in at_exit:
            cleaning = self._nested(state, line)
            cleaning.deaf = True
            yield from self._shell(trap, cleaning, line)

    # ---- the statements of a script, every branch

    def _statements(self, statements: Sequence[Statement], state: _State) -> Iterator[Found]:
        for statement in statements:
            if isinstance(statement, Function):
                state.functions[statement.name] = statement
        for index, statement in enumerate(statements):
            if state.over:
                return
            following = statements[index + 1] if index + 1 < len(statements) else None
            looked_at = self.hears is not None and following is not None and looked_back_at(following, state.functions)
            if looked_at and state.failure is Failure.PASSES:
                yield from self._asked((statement,), state, Failure.STOPS, self._decision())
            else:
                yield from self._statement(statement, state)

    def _decision(self) -> int:
        self._decisions += 1
        return self._decisions

    def _asked(self, statements: Sequence[Statement], state: _State, failure: Failure | None, decision: int) -> Iterator[Found]:
        """Statements whose outcome decides something, and what their failure comes to; None where that is as for what is around them."""
        before = state.tested, state.treated, state.decides
        state.tested, state.treated, state.decides = True, failure or state.treated, state.decides | {decision}
        for statement in statements:
            yield from self._statement(statement, state)
        state.tested, state.treated, state.decides = before

    def _decided_on(
        self, statements: Sequence[Statement], state: _State, decision: int, *, perhaps: bool = True, way: tuple[int, int] | None = None
    ) -> Iterator[Found]:
        """Statements that run by the outcome of a decision; `way`: instead of those that are another way of the same fork."""
        before = state.after, state.branches
        state.after, state.branches = state.after | {decision}, state.branches | {way} if way is not None else state.branches
        yield from (self._perhaps if perhaps else self._statements)(statements, state)
        state.after, state.branches = before

    def _perhaps(self, statements: Sequence[Statement], state: _State) -> Iterator[Found]:
        """Statements that may not be reached: an `exit` among them does not end what comes after."""
        state.doubts += 1
        yield from self._statements(statements, state)
        state.doubts -= 1

    def _if(self, statement: If, state: _State) -> Iterator[Found]:
        """Every branch that what is known of the arguments does not rule out."""
        negated: list[int] = []
        fork = self._decision()
        for index, branch in enumerate(statement.branches):
            taken, decision = _decided(branch.condition, state), self._decision()
            rest = [*(one for later in statement.branches[index + 1 :] for one in later.body), *statement.otherwise]
            failed = branch.body if is_negated(branch.condition) else rest
            yield from self._asked(branch.condition, state, _after_test(failed, branch.body, state), decision)
            if is_negated(branch.condition):
                negated.append(decision)
                decision = self._decision()
            if taken:
                yield from self._decided_on(branch.body, state, decision, perhaps=False)
                return
            if taken is None:
                yield from self._decided_on(branch.body, state, decision, way=(fork, index))
        undecided = any(_decided(branch.condition, state) is None for branch in statement.branches)
        otherwise = negated[0] if negated else self._decision()
        yield from self._decided_on(statement.otherwise, state, otherwise, perhaps=undecided, way=(fork, len(statement.branches)))

    def _loop(self, loop: Loop, state: _State) -> Iterator[Found]:
        """`while (( $# ))` is gone through for each argument that is left; any other loop perhaps."""
        asked = " ".join(one.raw for one in loop.condition if isinstance(one, Condition))
        if state.arguments is None or re.search(r"\$#|\$\{#\}", asked) is None:
            state.argued = state.argued.difference((loop.variable,))
            yield from self._perhaps((*loop.condition, *loop.body), state)
            return
        for _ in state.arguments:
            if state.arguments and not state.over:
                yield from self._statements(loop.body, state)

    def _statement(self, statement: Statement, state: _State) -> Iterator[Found]:
        match statement:
            case Command():
                yield from self._command(statement, state)
            case Pipeline():
                yield from self._pipeline(statement, state)
            case AndOr():
                yield from self._and_or(statement, state)
            case Condition():
                self._listen(("[[", statement.raw), state, statement.line, None)
                yield from self._statements(statement.body, state.inside())
            case Background():
                yield from self._statement(statement.body, state.inside())
            case Group():
                yield from self._statements(statement.body, state.inside() if statement.subshell else state)
            case If():
                yield from self._if(statement, state)
            case Loop():
                yield from self._loop(statement, state)
            case Case():
                yield from self._case(statement, state)
            case Unparsed():
                yield from self._unparsed(statement, state)
            case Function():  # followed where it is called
                return
            case _:
                assert_never(statement)

    def _pipeline(self, pipeline: Pipeline, state: _State) -> Iterator[Found]:
        self._note_crontab(pipeline, state)
        for index, stage in enumerate(pipeline.stages):
            fed = self._written(pipeline.stages[index - 1], state) if index else None
            yield from self._command(stage, state.inside(), fed) if isinstance(stage, Command) else self._statement(stage, state.inside())

    def _and_or(self, both: AndOr, state: _State) -> Iterator[Found]:
        """The right side may run; with `||` it says what the failure of the left one comes to, with `&&` it runs by the left one's outcome."""
        decision, alternative = self._decision(), both.operator == "||"
        failure = consequence((both.right,), state.functions) if alternative and not isinstance(both.right, Condition) else None
        if not alternative and ends((both.right,), state.functions):  # `[ -e lock ] && exit`
            failure = Failure.STOPS
        yield from self._asked((both.left,), state, failure, decision)
        yield from self._decided_on((both.right,), state, self._decision() if alternative else decision)

    def _case(self, case: Case, state: _State) -> Iterator[Found]:
        """The arms that a known word can take; all of them for one that is not known."""
        word = _expanded(case.word, state)
        known = word if word is not None and "$" not in word and _is_asked_for(case.word, state) else None
        fork = self._decision()
        for number, arm in enumerate(case.arms):
            patterns = [_expanded(pattern, state) or "*" for pattern in arm.patterns]
            if known is None or any(_matches(known, pattern) for pattern in patterns):
                yield from self._decided_on(arm.body, state, self._decision(), perhaps=known is None, way=(fork, number))
                if known is not None:
                    return

    def _unparsed(self, part: Unparsed, state: _State) -> Iterator[Found]:
        telling = re.search(r"\b(?:docker[ -]compose\b[^\n]*\bup|kubectl\s+apply|helm\s+upgrade|terraform\s+apply|ansible-playbook|ssh\s)", part.raw)
        if telling is not None:
            why = "these lines are no shell that can be read"
            yield Unfollowed(hops=(*state.hops, self._hop(state, part.line)), command=_short(part.raw), why=why, place=state.place)

    # ---- one command

    def _command(self, command: Command, state: _State, fed: str | None = None) -> Iterator[Found]:
        self._left -= 1
        if self._left == -1 and state.place.lasts:  # an installer that is tried on a machine that is thrown away is the usual case
            why = f"more than {MOST_COMMANDS:,} commands are called, and the others were not followed"
            yield Unfollowed(hops=(*state.hops, self._hop(state, command.line)), command="...", why=why, place=state.place)
        if self._left < 0:
            return
        for word in (*command.words, *(given.value for given in command.assignments if given.value), *(redirect.target for redirect in command.redirects)):
            for part in word.parts:
                if isinstance(part, (Substitution, ProcessSubstitution, Opaque)):
                    yield from self._statements(part.body, state.inside())
        environment = {given.name: _expanded(given.value, state) or "" for given in command.assignments if given.value is not None and not given.appends}
        if not command.words or command.words[0].literal in ("export", "local", "readonly", "declare", "typeset"):
            state.variables |= environment
            state.argued = state.argued.difference(environment) | _argued(command.assignments, state)
            if command.words and command.words[0].literal == "export":
                state.exported = state.exported.union(environment, (word.literal or "" for word in command.words[1:]))
            return
        argv = [text for word in command.words for text in _fields(word, state)]
        self._note_cron_file(command, argv, state)
        if argv:
            yield from self._argv(argv, state, command.line, self._stdin(command.redirects, state, fed), environment)

    def _argv(self, argv: list[str], state: _State, line: int, stdin: str | None = None, environment: Mapping[str, str] | None = None) -> Iterator[Found]:
        given = environment or {}
        environment = {**state.variables, **given}
        self._listen(argv, state, line, stdin)
        wrapped = argv
        argv, script = unwrapped(argv)
        if argv and argv != wrapped:
            self._listen(argv, state, line, stdin)
        if script is not None:
            yield from self._shell(script, self._nested(state, line), line)
            return
        if not argv:
            return
        if argv[0] in state.functions and len(state.running) < DEEPEST and f"{state.file}#{argv[0]}" not in state.running:
            yield from self._function(argv, state, line)
            return
        match argv[0].rpartition("/")[2]:
            case "cd" | "pushd":
                state.directory = _moved(state, argv[1] if len(argv) > 1 else "")
            case "shift":
                state.arguments = _shifted(argv, state)
            case "set":
                state.arguments = None if "--" in argv else state.arguments
                state.errexit = _errexit(argv, before=state.errexit)
            case "read" | "getopts" | "mapfile" | "readarray":
                state.argued = state.argued.difference(argv)
            case "exit":
                state.over = not state.doubts
            case "trap":
                state.traps += argv[1:2] if {"EXIT", "0"} & set(argv[2:]) else []
            case "ssh" | "autossh":
                yield from self._ssh(argv, state, line, stdin)
            case _:
                scope = replace(state, variables=environment, exported=state.exported.union(given)) if given else state
                yield from self._act(argv, scope, line, stdin, environment)

    def _function(self, argv: Sequence[str], state: _State, line: int) -> Iterator[Found]:
        """What a function comes to; asked again with the same words, and the same in the variables that it names, it comes to the same."""
        function = state.functions[argv[0]]
        named = tuple((name, state.variables.get(name)) for name in _names_in(function))
        stops = state.failure is Failure.ENDS
        circumstances = (state.file, function.line, tuple(argv), state.place, state.contained, state.directory, named, state.argued, stops)
        known = self._known.get(circumstances)
        if known is None:
            running = (*state.running, f"{state.file}#{argv[0]}")
            inner = state.inside(arguments=tuple(argv[1:]), running=running, **self._below(state, line))
            begun = len(self.heard)
            found = tuple(self._statement(function.body, inner))
            changed = {name: value for name, value in inner.variables.items() if state.variables.get(name) != value}
            known = _Known(
                found=found, heard=tuple(self.heard[begun:]), depth=len(state.frames), hops=len(state.hops), shell=state.shell, changed=changed, over=inner.over
            )
            self._known[circumstances] = known
            state.errexit = inner.errexit
        else:
            self._hear_again(known, state, state.hops, line)
        yield from _on_this_way(known, state.hops)
        state.variables |= known.changed
        state.argued = state.argued.difference(known.changed)
        state.over = state.over or (known.over and not state.doubts)

    def _frame(self, state: _State, line: int) -> Frame:
        return Frame(hop=self._hop(state, line), failure=state.failure, shell=state.shell, decides=state.decides)

    def _below(self, state: _State, line: int) -> dict[str, object]:
        """What changes one level below a call: what its failure comes to is told by the frame of the call."""
        return {"frames": (*state.frames, self._frame(state, line)), "treated": None, "decides": frozenset()}

    def _listen(self, argv: Sequence[str], state: _State, line: int, stdin: str | None) -> None:
        if self.hears is not None and (what := self.hears([state.start.shown(word) for word in argv], stdin)) is not None:
            self._note(what, self._told(argv, state), state, line)

    def _note(self, what: object, command: str, state: _State, line: int) -> None:
        if len(self.heard) < MOST_COMMANDS and not state.deaf:
            self.heard.append(
                Heard(
                    what=what,
                    command=command,
                    hops=(*state.hops, self._hop(state, line)),
                    frames=(*state.frames, self._frame(state, line)),
                    place=state.place,
                    after=state.after,
                    branches=state.branches,
                    doubtful=state.doubts > 0,
                    contained=state.contained,
                )
            )

    def _hear_again(self, known: _Known, state: _State, hops: tuple[Hop, ...], line: int) -> None:
        """What was heard the first time is heard again, on this way."""
        above, deeper = (*state.frames, self._frame(state, line)), state.shell - known.shell
        for one in known.heard[: max(0, MOST_COMMANDS - len(self.heard))]:
            self.heard.append(
                replace(
                    one,
                    hops=(*hops, *one.hops[known.hops :]),
                    frames=(*above, *(replace(frame, shell=frame.shell + deeper) if deeper else frame for frame in one.frames[known.depth + 1 :])),
                    after=one.after | state.after,
                    branches=one.branches | state.branches,
                    doubtful=one.doubtful or state.doubts > 0,
                )
            )

    def _act(self, argv: list[str], state: _State, line: int, stdin: str | None, environment: Mapping[str, str]) -> Iterator[Found]:
        """What a program changes by itself, or whom it calls."""
        act = read_act([state.start.shown(word) for word in argv], environment)
        if act is None or (state.contained and act.kind in (ApplyKind.ENGINE, ApplyKind.SERVICE)):
            yield from self._call(argv, state, line, stdin)
            return
        act = replace(act, local=False) if self._is_remote_database(act, argv, environment, state) else act
        if self.hears is not None:
            self._note(act, self._told(argv, state), state, line)
        yield Reached(hops=(*state.hops, self._hop(state, line)), command=self._told(argv, state), act=act, place=state.place)

    def _is_remote_database(self, act: Act, argv: Sequence[str], environment: Mapping[str, str], state: _State) -> bool:
        """A migration whose database comes from the forge's secrets is not that of the machine it runs on."""
        if act.kind is not ApplyKind.DATABASE:
            return False
        told = [*argv, *(value for name, value in environment.items() if re.search(r"DATABASE|DB_|PG|DSN|POSTGRES|MYSQL", name))]
        return any(re.search(r"secrets\.\w*(?:DATABASE|DB|DSN|PG|POSTGRES|MYSQL)\w*(?:URL|URI|DSN|HOST)", state.start.shown(text)) for text in told)

    def _call(self, argv: list[str], state: _State, line: int, stdin: str | None) -> Iterator[Found]:
        """A command that runs others: a script, a shell, make, a container, a runner of tasks."""
        name = argv[0].rpartition("/")[2]
        if name in _SHELLS:
            yield from self._by_shell(argv, state, line, stdin)
        elif name in ("source", "."):
            yield from self._sourced(argv, state, line)
        elif name in ("docker", "podman", "nerdctl", "docker-compose", "podman-compose", "kubectl"):
            yield from self._in_container(argv, state, line, stdin)
        elif name in ("make", "gmake"):
            yield from self._make(argv, state, line)
        elif re.fullmatch(r"python[\d.]*", name):
            script = next((word for word in argv[1:] if not word.startswith("-")), "")
            if script.endswith(".py"):
                yield from self._script(script, argv, state, line)
        elif name in ("npm", "yarn", "pnpm", "bun"):
            yield from self._package_script(argv, state, line)
        elif "/" in argv[0] or name.endswith((".sh", ".bash", ".py")):
            yield from self._script(argv[0], argv, state, line)
        elif name == "gh" and argv[1:3] == ["workflow", "run"] and any(says_deploy(word) for word in argv[3:]):
            why = "what a workflow does that is started from a command is not followed"
            yield Unfollowed(hops=(*state.hops, self._hop(state, line)), command=self._told(argv, state), why=why, place=state.place)
        elif (name in _TASKS and any(says_deploy(word) for word in argv[1:4])) or (argv[1:2] == ["deploy"] and name not in _SITES):
            why = f"what {name} does is not known here"
            yield Unfollowed(hops=(*state.hops, self._hop(state, line)), command=self._told(argv, state), why=why, place=state.place)

    def _by_shell(self, argv: list[str], state: _State, line: int, stdin: str | None) -> Iterator[Found]:
        rest = list(argv[1:])
        while rest and rest[0].startswith(("-", "+")) and rest[0] not in ("-s", "-"):
            option = rest.pop(0)
            if option in ("-o", "-O", "+o", "--rcfile", "--init-file") and rest:
                rest.pop(0)
        if rest and rest[0] not in ("-s", "-"):
            yield from self._script(rest[0], rest, state, line)
        elif stdin is not None:
            yield from self._shell(stdin, self._nested(state, line), line)

    def _sourced(self, argv: list[str], state: _State, line: int) -> Iterator[Found]:
        """In the same shell: what is set and defined there stays."""
        path = self._resolve(argv[1], state) if len(argv) > 1 else None
        text = self.files.text(path) if path is not None else None
        if path is None or text is None or path in state.running or len(state.running) >= DEEPEST:
            return
        self.sourced.append(path)
        before = state.file, state.hops, state.running, state.here
        level = state.frames, state.treated, state.decides
        state.frames, state.treated, state.decides = (*state.frames, self._frame(state, line)), None, frozenset()
        state.file, state.hops, state.running, state.here = path, (*state.hops, self._hop(state, line)), (*state.running, path), None
        yield from self._shell(text, state, 1)
        state.file, state.hops, state.running, state.here = before
        state.frames, state.treated, state.decides = level

    def _script(self, word: str, argv: Sequence[str], state: _State, line: int) -> Iterator[Found]:
        path = self._resolve(word, state)
        hops = (*state.hops, self._hop(state, line))
        if path is not None and path in state.start.declared:
            act = Act(kind=ApplyKind.DECLARED)
            yield Reached(hops=hops, command=self._told(argv, state), act=act, place=state.place)
            return
        text = self.files.text(path) if path is not None else None
        if path is None or text is None:
            if says_deploy(posixpath.basename(word)) and not word.endswith((".yml", ".yaml", ".json")):
                yield Unfollowed(hops=hops, command=self._told(argv, state), why=f"{state.start.shown(word)} is not in this tree", place=state.place)
            return
        if path in state.running or len(state.running) >= DEEPEST:
            return
        exported = tuple((name, state.variables.get(name)) for name in sorted(state.exported))
        circumstances = (path, tuple(argv[1:]), state.place, state.contained, state.directory, exported)
        known = self._known.get(circumstances)
        if known is None:
            begun = len(self.heard)
            found = tuple(self._in_script(path, text, argv, replace(state, hops=hops, **self._below(state, line))))  # type: ignore[arg-type]
            known = _Known(found=found, heard=tuple(self.heard[begun:]), depth=len(state.frames), hops=len(hops), shell=state.shell)
            self._known[circumstances] = known
        else:
            self._hear_again(known, state, hops, line)
        yield from _on_this_way(known, hops)

    def _in_script(self, path: str, text: str, argv: Sequence[str], state: _State) -> Iterator[Found]:
        """A script has the environment of its caller, and none of its other variables."""
        running, arguments = (*state.running, path), tuple(argv[1:])
        variables = {**state.start.environment, **{name: state.variables[name] for name in state.exported if name in state.variables}}
        inner = replace(
            state, file=path, arguments=arguments, running=running, here=None, functions={}, variables=variables, argued=frozenset(), over=False, doubts=0
        )
        inner.shell, inner.tested, inner.errexit = state.shell + 1, False, _SETS_ERREXIT.match(text) is not None
        if path.endswith(".py") or re.match(r"#![^\n]*python", text):
            yield from self._python(text, inner)
        elif path.endswith((".sh", ".bash")) or re.match(r"#![^\n]*\b(?:ba|da|k|a)?sh\b", text) or "." not in posixpath.basename(path):
            yield from self._shell(text, inner, 1)

    # ---- other machines, containers

    def _ssh(self, argv: list[str], state: _State, line: int, stdin: str | None) -> Iterator[Found]:
        rest = after_options(argv, _SSH_OPTIONS)
        if not rest:
            return
        host = rest[0].rpartition("@")[2]
        place = state.place if re.fullmatch(r"localhost|127\.[\d.]+|::1", host) else Place.REMOTE
        inner = self._nested(state, line, place=place, directory=ELSEWHERE)
        script = " ".join(rest[1:])
        if script and _by_stdin(rest[1:]) and stdin is not None:
            script = stdin
        text = script or stdin
        if text:
            yield from self._shell(text, inner, line)

    def _in_container(self, argv: list[str], state: _State, line: int, stdin: str | None) -> Iterator[Found]:
        """`docker exec`, `docker run`, `docker compose exec` and `run`: the command inside, whose engine is not the machine's."""
        at = next((index for index, word in enumerate(argv[1:], 1) if word in ("exec", "run")), None)
        if at is None:
            return
        inner = after_options(argv[at:], RUN_OPTIONS)[1:]
        if inner[:1] == ["--"]:
            inner = inner[1:]
        if inner:
            yield from self._argv(list(inner), state.inside(contained=True, directory=ELSEWHERE), line, stdin)

    # ---- makefiles, packages, Python

    def _make(self, argv: list[str], state: _State, line: int) -> Iterator[Found]:
        directory, name, rest = state.directory, "", list(argv[1:])
        targets: list[str] = []
        while rest:
            word = rest.pop(0)
            if word in ("-C", "--directory") and rest:
                directory = joined(directory, rest.pop(0))
            elif word in ("-f", "--file", "--makefile") and rest:
                name = rest.pop(0)
            elif word in ("-j", "-l", "-o", "-W", "-I") and rest and re.fullmatch(r"\d+", rest[0]):
                rest.pop(0)
            elif not word.startswith("-") and "=" not in word:
                targets.append(word)
        path = self._makefile(directory, name)
        if path is None:
            if any(says_deploy(target) for target in targets):
                hops = (*state.hops, self._hop(state, line))
                yield Unfollowed(hops=hops, command=self._told(argv, state), why="its makefile is not in this tree", place=state.place)
            return
        made = _Made(path=path, makefile=makefiles.parse_makefile(self.files.text(path) or ""))
        for target in targets or [made.makefile.first]:
            yield from self._target(made, target, state, line)

    def _makefile(self, directory: str, name: str) -> str | None:
        below = "" if directory == ELSEWHERE else directory
        names = [name] if name else ["GNUmakefile", "makefile", "Makefile"]
        return next((path for one in names if self.files.text(path := joined(below, one)) is not None), None)

    def _target(self, made: _Made, name: str, state: _State, line: int) -> Iterator[Found]:
        target = made.makefile.targets.get(name)
        if target is None or name in made.names or len(state.running) >= DEEPEST or f"{made.path}:{name}" in state.running:
            return
        made.names.add(name)
        for need in target.needs:
            yield from self._target(made, need, state, line)
        path, directory = made.path, posixpath.dirname(made.path)
        for recipe in target.recipe:
            inner = replace(
                state,
                file=path,
                hops=(*state.hops, self._hop(state, line)),
                directory=directory,
                running=(*state.running, f"{path}:{name}"),
                here=None,
                functions={},
                variables=dict(state.variables),
                frames=(*state.frames, self._frame(state, line)),
                treated=None,
                decides=frozenset(),
                tested=False,
                errexit=True,  # make ends with the first line that fails
            )
            yield from self._shell(recipe.text, inner, recipe.line)

    def _package_script(self, argv: list[str], state: _State, line: int) -> Iterator[Found]:
        words = [word for word in argv[1:] if not word.startswith("-")]
        name = words[1] if words[:1] in (["run"], ["run-script"]) and len(words) > 1 else words[0] if words else ""
        path = joined("" if state.directory == ELSEWHERE else state.directory, "package.json")
        command = _script_of_package(self.files.text(path), name)
        key = f"{path}#{name}"
        if command and key not in state.running and len(state.running) < DEEPEST:
            hop = Hop(file=path, line=1, said=f"{path}: {name}")
            inner = replace(state, hops=(*state.hops, self._hop(state, line)), here=hop, running=(*state.running, key), variables=dict(state.variables))
            inner.frames, inner.treated, inner.decides = (*state.frames, self._frame(state, line)), None, frozenset()
            yield from self._shell(command, inner, 1)

    def _python(self, text: str, state: _State) -> Iterator[Found]:
        module = pythoncode.parse(text.encode("utf-8", "surrogateescape"))
        if isinstance(module, pythoncode.NotPython):
            return
        for statement in module.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and _RUNS.fullmatch(module.dotted(node.func)) and node.args:
                    yield from self._python_call(node, state)

    def _python_call(self, call: ast.Call, state: _State) -> Iterator[Found]:
        given = call.args[0]
        if isinstance(given, (ast.List, ast.Tuple)):
            argv = [_constant(element) for element in given.elts]
            if argv and "$" not in argv[0]:
                yield from self._argv(argv, state.inside(), call.lineno)
        elif isinstance(given, ast.Constant) and isinstance(given.value, str):
            yield from self._shell(given.value, replace(state.inside(), here=Hop(file=state.file, line=call.lineno)), call.lineno)

    # ---- crontabs that a script writes

    def _note_cron_file(self, command: Command, argv: Sequence[str], state: _State) -> None:
        """`cat > /etc/cron.d/x <<EOF`, `echo "..." > /etc/cron.d/x`, `... | tee /etc/cron.d/x`, `crontab - <<EOF`."""
        targets = [_expanded(redirect.target, state) or "" for redirect in command.redirects if redirect.creates]
        if argv[:1] == ["tee"] or argv[:2] == ["sudo", "tee"]:
            targets += argv[1:]
        target = next((one for one in targets if _CRON_FILE.search(one)), None)
        if target is None and argv[-2:] == ["crontab", "-"]:
            target = "-"
        if target is None and targets:
            self._note_draft(command, targets[0], state)
        if argv[:1] == ["crontab"] or argv[:2] == ["sudo", "crontab"]:
            self.installed += [replace(draft, target="-") for draft in self.drafts if draft.target == argv[-1]]
        text = self._written(command, state) or self._stdin(command.redirects, state, None) if target is not None else None
        if target is not None and text is not None:
            self.installed.append(Installed(target=target, text=text, hop=self._hop(state, command.line)))

    def _note_draft(self, command: Command, target: str, state: _State) -> None:
        """`echo "..." >> new; crontab new`: a file may be a crontab later."""
        text = self._written(command, state) or self._stdin(command.redirects, state, None)
        if text is not None:
            self.drafts.append(Installed(target=target, text=text, hop=self._hop(state, command.line)))

    def _note_crontab(self, pipeline: Pipeline, state: _State) -> None:
        """`(crontab -l; echo "...") | crontab -`, `echo "..." | sudo tee /etc/cron.d/x`."""
        last = pipeline.stages[-1]
        if not isinstance(last, Command):
            return
        argv = unwrapped([text for word in last.words for text in _fields(word, state)])[0]
        installs = argv[:1] == ["crontab"] and all(word in ("-", "-u") or not word.startswith("-") for word in argv[1:]) and "-" in argv[1:]
        target = "-" if installs else next((word for word in argv[1:] if argv[0] == "tee" and _CRON_FILE.search(word)), None) if argv else None
        if target is None:
            return
        for one in walk(pipeline.stages[:-1]):
            if isinstance(one, Command) and (text := self._written(one, state)) is not None:
                self.installed.append(Installed(target=target, text=text, hop=self._hop(state, one.line)))

    # ---- where a name leads

    def _stdin(self, redirects: Sequence[Redirect], state: _State, fed: str | None) -> str | None:
        """The text that a command is fed, where it can be known."""
        for redirect in redirects:
            if redirect.stream in (Stream.HERE_DOCUMENT, Stream.HERE_STRING):
                return _expanded(redirect.target, state)
            if redirect.stream is Stream.READ and (path := self._resolve(_expanded(redirect.target, state) or "", state)) is not None:
                return self.files.text(path)
        return fed

    def _resolve(self, word: str, state: _State) -> str | None:
        """The file of the tree that a word names; a path of another machine is looked for by its end, since what runs there is a checkout of this tree."""
        if not word or "\n" in word or word.startswith(("http:", "https:", "~")):
            return None
        known = re.sub(r"^(?:\$\{?(?:GITHUB_WORKSPACE|CI_PROJECT_DIR)\}?|\$\(git rev-parse --show-toplevel\)|INTERLOCKEXPRESSION\d+X)/", "", word)
        candidates = []
        if known != word:
            candidates.append(known)
        elif word.startswith("$"):
            rest = re.sub(r"^(?:\$\([^)]*\)[^/]*|\$\{?[^/]*)/", "", word)
            candidates += [joined(posixpath.dirname(state.file), rest), rest] if rest != word else []
        elif word.startswith("/") or state.directory == ELSEWHERE:
            parts = [part for part in word.split("/") if part not in ("", ".")]
            candidates += ["/".join(parts[index:]) for index in range(len(parts))]
        else:
            candidates.append(joined(state.directory, word))
        found = next((path for path in candidates if path and not path.startswith("../") and self.files.text(posixpath.normpath(path)) is not None), None)
        if found is not None:
            return posixpath.normpath(found)
        if word.startswith(("/", "$")) or state.directory == ELSEWHERE:
            same = self.files.called(posixpath.basename(word))
            return same[0] if len(same) == 1 else None
        return None

    def _written(self, stage: Statement, state: _State) -> str | None:
        """What `echo`, `printf` and `cat` write into a pipe."""
        if not isinstance(stage, Command) or not stage.words:
            return None
        words = [text for word in stage.words[1:] for text in _fields(word, state) if text not in ("-e", "-n", "-en", "-ne")]
        match stage.words[0].literal:
            case "echo" | "printf":
                return _printed(words)
            case "cat" if words and (path := self._resolve(words[0], state)) is not None:
                return self.files.text(path)
            case "cat":
                return self._stdin(stage.redirects, state, None)
            case _:
                return None

    def _hop(self, state: _State, line: int) -> Hop:
        return state.here or Hop(file=state.file, line=line)

    def _nested(self, state: _State, line: int, *, place: Place | None = None, directory: str | None = None) -> _State:
        """A script that stands inside of a word: its lines are those of the command around it."""
        inner = replace(state, variables=dict(state.variables), functions=dict(state.functions), here=self._hop(state, line), running=(*state.running, ""))
        inner.frames, inner.treated, inner.decides = (*state.frames, self._frame(state, line)), None, frozenset()
        inner.over, inner.doubts, inner.tested, inner.errexit, inner.shell = False, 0, False, False, state.shell + 1
        inner.place = place or state.place
        inner.directory = state.directory if directory is None else directory
        return inner

    def _told(self, argv: Sequence[str], state: _State) -> str:
        return _short(state.start.shown(" ".join(argv)))


_SETS_ERREXIT = regex(r"#![^\n]*\s-[a-zA-Z]*e")
_CRON_FILE = regex(r"/cron\.d/[^/]+$|/etc/crontab$|/var/spool/cron/")
_SHELLS = listed("sh bash dash ash zsh ksh")
_TASKS = listed("just task invoke inv mage rake gradle gradlew nox composer mise")
_SITES = listed("mkdocs mike wrangler vercel netlify firebase surge gh-pages hugo ng docusaurus mvn echo printf")  # what these deploy is read, not run
_SSH_OPTIONS = listed("-i -p -l -o -F -J -L -R -D -b -c -E -e -I -m -O -Q -S -W -w -B")
_RUNS = regex(r"subprocess\.(?:run|call|check_call|check_output|Popen)|os\.(?:system|popen|execvp?)")
_PREFIXES: Mapping[str, frozenset[str]] = {  # a program that runs the one behind it -> its options with a value
    "sudo": listed("-u -g -p -C -D -h -r -t -T -U --user --group"), "doas": listed("-u -C"), "nice": listed("-n"), "ionice": listed("-c -n -p"),
    "time": listed("-f -o"), "nohup": frozenset(), "exec": listed("-a"), "command": frozenset(), "builtin": frozenset(), "stdbuf": listed("-i -o -e"),
    "setsid": frozenset(), "chronic": frozenset(), "cronic": frozenset(), "env": listed("-u -C -S"), "xargs": listed("-I -n -P -L -d -a -s"),
    "npx": frozenset(), "bunx": frozenset(), "sshpass": listed("-p -f -d"), "systemd-run": listed("-p --unit --on-calendar"),
}  # fmt: skip
_PREFIXES_WITH_WORD: Mapping[str, frozenset[str]] = {  # the same, with a word of their own before it
    "timeout": listed("-k -s --signal --kill-after"), "flock": listed("-w -E --timeout --wait"), "gosu": frozenset(), "su-exec": frozenset(),
    "chroot": frozenset(), "taskset": frozenset(), "retry": frozenset(), "uv": listed("--directory --project --python -p"), "poetry": frozenset(),
    "pipenv": frozenset(), "pdm": frozenset(), "bundle": frozenset(), "hatch": frozenset(),
}  # fmt: skip


def unwrapped(argv: list[str]) -> tuple[list[str], str | None]:
    """What really runs behind `sudo`, `timeout` and the like: an argv, or the text that a shell is given."""
    for _ in range(10):
        if not argv:
            return [], None
        name = argv[0].rpartition("/")[2]
        if name in _PREFIXES:
            argv = after_options(argv, _PREFIXES[name])
            while name == "env" and argv and "=" in argv[0]:
                argv = argv[1:]
        elif name in _PREFIXES_WITH_WORD:
            argv = after_options(argv, _PREFIXES_WITH_WORD[name])[1:]
            if name == "flock" and argv[:1] in (["-c"], ["--command"]):
                return [], argv[1] if len(argv) > 1 else None
        elif name in _SHELLS or name in ("su", "runuser"):
            at = next((index for index, word in enumerate(argv[1:], 1) if re.fullmatch(r"-[a-zA-Z]*c|--command", word)), None)
            if at is not None and at + 1 < len(argv):
                return [], argv[at + 1]
            if name in _SHELLS:
                break
            rest = after_options(argv, listed("-u -g -s -w"))
            argv = rest if "-u" in argv else rest[1:]
            argv = argv[1:] if argv[:1] == ["--"] else argv
        else:
            break
    return argv, None


# ---- words to text


def _fields(word: Word, state: _State) -> list[str]:
    """The words that one word comes to: what a variable holds is split where nothing quotes it, `"$@"` is every argument."""
    only = word.parts[0] if len(word.parts) == 1 else None
    if isinstance(only, Variable) and only.name in ("@", "*") and not only.operator:
        return list(state.arguments) if state.arguments is not None else ["$@"]
    text = _expanded(word, state)
    if text is None:
        return [word.raw]
    if isinstance(only, Variable) and not word.raw.startswith('"') and "$" not in text:
        return text.split()
    if isinstance(only, Opaque) and re.fullmatch(r"\"?\$\{\w+\[@\]\}\"?", word.raw):
        return _array(word.raw, state)
    return [text]


def _array(raw: str, state: _State) -> list[str]:
    name = re.sub(r"\W", "", raw)
    return state.variables.get(name, raw).split()


def _expanded(word: Word | None, state: _State) -> str | None:
    """A word as text: what is known put in, what is not as it stands."""
    if word is None:
        return None
    parts = [_part(part, state) for part in word.parts]
    text = "".join(parts)
    array = re.fullmatch(r"\((.*)\)", text, re.DOTALL)
    return " ".join(shlex_words(array[1])) if array and len(word.parts) == 1 and isinstance(word.parts[0], Opaque) else text


def shlex_words(text: str) -> list[str]:
    """The words of a text as a shell splits it; by blanks where a quote is not closed."""
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _part(part: object, state: _State) -> str:
    match part:
        case Text():
            return part.text
        case Variable():
            return _variable(part, state)
        case Substitution() | ProcessSubstitution() | Opaque():
            return part.raw
        case _:
            return ""


def _variable(variable: Variable, state: _State) -> str:
    value = _parameter(variable.name, state)
    if variable.operator in ("", ":-", "-", ":=", "=", ":?", "?"):
        if value is not None and (value or not variable.operator.startswith(":")):
            return value
        if variable.operator.strip(":") in ("-", "=") and variable.argument is not None and (value is not None or variable.name.isdigit()):
            return _expanded(variable.argument, state) or ""
    return value if variable.operator in ("[",) and value is not None else f"${variable.name}"


def _parameter(name: str, state: _State) -> str | None:
    if name.isdigit() and name != "0":
        if state.arguments is None:
            return None
        return state.arguments[int(name) - 1] if int(name) <= len(state.arguments) else ""
    return state.variables.get(name)


_COMPARISON = regex(r'\[\[?\s+"?\$\{?(?P<name>\w+)(?::?-(?P<default>[^}"]*))?\}?"?\s+(?P<sign>==?|!=)\s+["\']?(?P<word>[\w./*-]*)["\']?\s+\]\]?')


def _after_test(failed: Sequence[Statement], body: Sequence[Statement], state: _State) -> Failure:
    """What the outcome of a test comes to: it stops the way where one branch leaves the script, whichever that is."""
    told = consequence(failed, state.functions)
    return Failure.STOPS if told in (Failure.IGNORED, Failure.PASSES) and ends(body, state.functions) else told


def _on_this_way(known: _Known, hops: tuple[Hop, ...]) -> Iterator[Found]:
    """What a function or script came to, with the way to it that leads there now."""
    for one in known.found:
        yield one if one.hops[: known.hops] == hops else replace(one, hops=(*hops, *one.hops[known.hops :]))


def _errexit(argv: Sequence[str], *, before: bool) -> bool:
    """Whether the shell ends with the first command that fails, after a `set`."""
    for option, value in pairwise((*argv[1:], "")):
        if re.fullmatch(r"[-+][a-zA-Z]*e[a-zA-Z]*", option) or (option[1:].endswith("o") and value == "errexit"):
            before = option.startswith("-")
    return before


def _shifted(argv: Sequence[str], state: _State) -> tuple[str, ...] | None:
    """The arguments that are left; not known where the shift may not be reached."""
    if state.arguments is None or state.doubts or not all(word.isdigit() for word in argv[1:2]):
        return None
    return state.arguments[int(argv[1]) if len(argv) > 1 else 1 :]


def _argued(assignments: Sequence[Assignment], state: _State) -> frozenset[str]:
    """The variables that an assignment surely gives an argument: `action="${1:-help}"`."""
    if state.doubts:
        return frozenset()
    given = ((one.name, one.value) for one in assignments if one.value is not None and not one.appends)
    return frozenset(
        name for name, value in given if any(isinstance(part, Variable) and part.name.isdigit() for part in value.parts) and _is_asked_for(value, state)
    )


def _is_asked_for(word: Word, state: _State) -> bool:
    """True for a word of constants, arguments and variables that hold one: what else a variable holds may depend on branches that were not taken."""
    return all(not isinstance(part, Variable) or part.name.isdigit() or part.name in state.argued for part in word.parts)


def _decided(condition: Sequence[Statement], state: _State) -> bool | None:
    """Whether `[[ $1 == backup ]]` holds, where the argument is known; None where nothing decides."""
    found = _COMPARISON.fullmatch(condition[0].raw) if len(condition) == 1 and isinstance(condition[0], Condition) else None
    value = _parameter(found["name"], state) if found is not None and (found["name"].isdigit() or found["name"] in state.argued) else None
    if found is None or value is None or "$" in value:
        return None
    value = value or found["default"] or ""
    return _matches(value, found["word"]) == (found["sign"] != "!=")


def _matches(word: str, pattern: str) -> bool:
    """Whether a word fits the pattern of a `case`."""
    expression = "".join(".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.fullmatch(expression, word, re.DOTALL) is not None


def _printed(words: Sequence[str]) -> str:
    """What `echo` or `printf` writes: each `%s` of a format is one argument, a `\\n` in it a line's end."""
    if not words or "%s" not in words[0]:
        return " ".join(words).replace("\\n", "\n")
    arguments = iter(words[1:])
    return re.sub("%s", lambda _found: next(arguments, ""), words[0]).replace("\\n", "\n")


def _by_stdin(argv: Sequence[str]) -> bool:
    """`bash -s`, `bash`, `sudo bash -s`: the command reads what it does from its input."""
    return re.fullmatch(r"(?:sudo\s+(?:-\w+\s+)*)?(?:ba|da|z)?sh(?:\s+-[a-z]*)*(?:\s+--(?:\s.*)?)?", " ".join(argv)) is not None


def _moved(state: _State, directory: str) -> str:
    if not directory or directory.startswith(("/", "~", "-")):
        return ELSEWHERE
    inside = re.sub(r"^(?:\$\{?GITHUB_WORKSPACE\}?)/?", "", directory)
    if inside != directory:
        return joined("", inside or ".")
    if directory.startswith("$"):
        own = re.search(r"dirname|BASH_SOURCE", directory)
        return joined(posixpath.dirname(state.file), re.sub(r"^.*\)\"?/?", "", directory) or ".") if own else ELSEWHERE
    return ELSEWHERE if state.directory == ELSEWHERE or "$" in directory or "INTERLOCKEXPRESSION" in directory else joined(state.directory, directory)


def joined(directory: str, path: str) -> str:
    """A path as seen from a directory of the tree; one that is not known leaves it as it is said."""
    if directory == ELSEWHERE:
        return path
    whole = posixpath.normpath(posixpath.join(directory, path))
    return "" if whole == "." else whole


def _constant(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "${" + ast.unparse(node) + "}"


def _script_of_package(text: str | None, name: str) -> str:
    try:
        scripts = json.loads(text or "{}").get("scripts", {})
        return str(scripts.get(name, ""))
    except (ValueError, AttributeError):
        return ""


def _short(text: str) -> str:
    """One line of at most 120 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:117]}..."
