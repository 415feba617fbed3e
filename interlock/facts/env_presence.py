"""Which compose files does a job start, and what did it make before? Walks the steps of a job, or a script that sets up a fresh machine, in their order,
through scripts, make targets and functions; every branch is taken, and whatever mentions a file and does not only read it may have made it.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from itertools import pairwise

from interlock.facts.applies import RUN_OPTIONS, after_options
from interlock.facts.backup_writers import listed
from interlock.facts.calls import ELSEWHERE, Files, joined, shlex_words, unwrapped
from interlock.facts.chains import BASES, COMPOSE_FILE, OVERRIDES
from interlock.facts.env_paths import OWN, TOP, Values
from interlock.facts.makefiles import parse_makefile
from interlock.facts.programs import Unreadable
from interlock.facts.shell import AndOr, Background, Case, Command, Function, Group, If, Loop, Pipeline, Statement, Variable, Word, parse, walk
from interlock.facts.workflows import Step, fill
from interlock.nouns import dataclass
from interlock.patterns import regex

_DEEPEST = 8
_MOST_COMMANDS = 4000
_MOST_CALLS = 3  # of one function or script
_OPTIONS = listed("-f --file -p --project-name --profile --env-file --project-directory --ansi --progress --parallel --context -H --host -c")
_STARTS = listed("up run create config")
_ONLY_LOOKS = regex(r"--(?:services|images|volumes|profiles|no-env-resolution|no-interpolate|help)")
_SHELLS = listed("sh bash dash ash zsh ksh")
_ONLY_READS = listed(
    "cat grep egrep ls rm test [ stat wc head tail diff source . docker docker-compose podman set unset export chmod chown echo printf cd mkdir env true if"
)
_RUNNERS = listed(
    "npm npx yarn pnpm bun just task rake invoke inv poe composer bundle mage gradle tox nox uv poetry python python3 node deno php ruby perl go cargo pip"
)
_COPIES = listed("cp mv install rsync ln")
_FETCHES = listed("tar unzip gh aws gcloud az vault op sops doppler infisical gpg age scp sftp ansible-playbook terraform bw chamber")
_ASKS_A_HUMAN = listed("nano vi vim emacs read")


class Need(StrEnum):
    """Why a file must be there; the values are kinds of findings."""

    SERVICE = "env-file"  # a service names it
    OPTION = "env-file-option"  # the command line names it
    VARIABLE = "required-variable"  # only it could give a variable that must have a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """One command that makes docker compose read a stack: from which folder, with which files (paths in the tree, none where it looks for them itself), env
    files and profiles, for which words behind its verb; and what was made before it. `anything`: something may have made any file."""

    file: str
    line: int
    where: str
    folder: str
    files: tuple[str, ...]
    env_files: tuple[str, ...]
    profiles: tuple[str, ...]
    words: tuple[str, ...]
    given: frozenset[str]
    made: frozenset[str] = field(repr=False)
    anything: bool = False

    def has(self, path: str) -> bool:
        """Whether something before it may have made the file at this path of the tree."""
        name = posixpath.basename(path)
        return self.anything or path in self.made or f"*/{name}" in self.made or f"{posixpath.dirname(path)}/*" in self.made


@dataclass(slots=True, kw_only=True)
class _State:
    """What is known at one point of a walk. `file` and `where` say whose lines are read."""

    file: str
    where: str
    folder: str
    named: dict[str, str]
    made: set[str]
    given: set[str]
    values: Values
    functions: dict[str, Function]
    anything: bool = False
    fresh: bool = True
    running: tuple[str, ...] = ()


@dataclass(slots=True)
class Presence:
    """Walks jobs and scripts of one tree."""

    files: Files
    actions: Mapping[str, Sequence[Step]] | None = None
    _left: int = _MOST_COMMANDS
    _followed: Counter[str] = field(default_factory=Counter)

    def job(self, steps: Iterable[Step], *, file: str, where: str, environment: Mapping[str, str], folder: str = "") -> Iterator[Started]:
        """What the steps of a job start. Nothing is said of a job that has no checkout of this tree."""
        self._begin()
        state = _State(
            file=file, where=where, folder=folder, named=dict(environment), made=set(), given=set(environment), values=Values({}, ()), functions={}, fresh=False
        )
        for step in steps:
            yield from self._step(step, state, 0)

    def script(self, path: str, statements: Sequence[Statement], values: Values) -> Iterator[Started]:
        """What a script starts that fetches a tree onto a fresh machine by itself; nothing is said of any other."""
        self._begin()
        state = _State(file=path, where=path, folder=ELSEWHERE, named={}, made=set(), given=set(), values=values, functions={}, fresh=False)
        yield from self._statements(statements, state)

    def _begin(self) -> None:
        self._left = _MOST_COMMANDS
        self._followed.clear()

    def _again(self, name: str, state: _State) -> bool:
        """Whether to follow a function or script once more: not into itself, and not for every message that it prints."""
        self._followed[name] += 1
        return name not in state.running and len(state.running) < _DEEPEST and self._followed[name] <= _MOST_CALLS

    # ---- steps of a job

    def _step(self, step: Step, state: _State, depth: int) -> Iterator[Started]:
        if step.condition.strip("${} ") == "false":
            return
        if step.uses:
            yield from self._action(step, state, depth)
        if step.run and "python" not in step.shell and "pwsh" not in step.shell:
            filled = fill(step.run)
            script = parse(filled.text, first_line=step.run_line)
            known = {**state.named, **step.environment}
            folder = joined(state.folder if not step.directory else "", step.directory)
            inner = _State(
                file=state.file, where=state.where, folder=folder, named=known, made=state.made, given=state.given | set(step.environment),
                values=Values.of(script), functions={}, anything=state.anything, fresh=state.fresh,
            )  # fmt: skip
            yield from self._statements(script.statements, inner)
            state.anything, state.fresh = inner.anything, inner.fresh
            state.given |= inner.given - set(step.environment)
            for name, value in re.findall(r"([A-Za-z_]\w*)=([^\s\"']*)[^\n]*>>\s*\"?\$\{?GITHUB_ENV", step.run):
                state.named[name] = value
                state.given.add(name)

    def _action(self, step: Step, state: _State, depth: int) -> Iterator[Started]:
        name = step.uses.partition("@")[0]
        if "checkout" in name:
            other = step.inputs.get("repository", "")
            state.fresh = state.fresh or not other or "github.repository" in other
            state.anything = state.anything or bool(other) or step.inputs.get("clean") == "false" or bool(step.inputs.get("path"))
        elif name.startswith("./") and self.actions is not None and depth < _DEEPEST:
            for inner in self.actions.get(posixpath.normpath(name), ()):
                yield from self._step(inner, state, depth + 1)
        elif "compose" in name and "setup" not in name:
            files = tuple(joined(state.folder, file) for key in ("compose-file", "compose_file", "file") for file in step.inputs.get(key, "").split())
            yield self._started(state, step.line, files=files, words=("up", *step.inputs.get("services", "").split()))
        else:
            brings = re.search(r"download-artifact|cache", name) is not None and _lands_here(step.inputs.get("path", ""))
            state.anything = state.anything or brings or re.search(r"env|secret|vault|sops|1password", name) is not None
            for value in step.inputs.values():
                for found in re.findall(r"[\w./-]*env[\w.-]*", value):
                    state.made.add(joined(state.folder, found))
                    state.made.add(f"*/{posixpath.basename(found)}")

    def _started(
        self, state: _State, line: int, *, files: Sequence[str], words: Sequence[str], env_files: Sequence[str] = (), profiles: Sequence[str] = ()
    ) -> Started:
        return Started(
            file=state.file, line=line, where=state.where, folder=state.folder, files=tuple(files), env_files=tuple(env_files), profiles=tuple(profiles),
            words=tuple(words), given=frozenset(state.given), made=frozenset(state.made), anything=state.anything,
        )  # fmt: skip

    # ---- statements, every branch in its order

    def _statements(self, statements: Iterable[Statement], state: _State) -> Iterator[Started]:
        every = tuple(statements)
        state.functions |= {one.name: one for one in every if isinstance(one, Function)}
        for statement in every:
            yield from self._statement(statement, state)

    def _statement(self, statement: Statement, state: _State) -> Iterator[Started]:  # noqa: PLR0912 - one branch for each kind of statement
        match statement:
            case Command():
                yield from self._command(statement, state)
            case Pipeline():
                yield from self._statements(statement.stages, state)
            case AndOr():
                yield from self._statements((statement.left, statement.right), state)
            case Background():
                yield from self._statement(statement.body, state)
            case Group():
                before = state.folder
                yield from self._statements(statement.body, state)
                state.folder = before if statement.subshell else state.folder
            case If():
                for branch in statement.branches:
                    yield from self._statements((*branch.condition, *branch.body), state)
                yield from self._statements(statement.otherwise, state)
            case Loop():
                yield from self._statements((*statement.condition, *statement.body), state)
            case Case():
                for arm in statement.arms:
                    yield from self._statements(arm.body, state)
            case _:
                pass
        for redirect in () if isinstance(statement, (Pipeline, AndOr, Background)) else getattr(statement, "redirects", ()):
            if redirect.creates:
                self._make(redirect.target, state)

    # ---- one command

    def _command(self, command: Command, state: _State) -> Iterator[Started]:
        self._left -= 1
        if self._left < 0:
            return
        for assignment in command.assignments:
            state.given.add(assignment.name)
            stays = not command.words or command.words[0].literal in ("export", "declare", "readonly", "local")
            if assignment.value is not None and stays:
                state.named[assignment.name] = self._texts(assignment.value, state)[0]
        here = {one.name: self._texts(one.value, state)[0] for one in command.assignments if one.value is not None}
        for word in command.words:
            inner = [one for part in word.parts for one in walk(getattr(part, "body", ())) if isinstance(one, Command)]
            for one in inner:
                yield from self._command(one, state)
        argv, script = unwrapped([field for word in command.words for field in self._fields(word, state)])
        if script is not None:
            yield from self._statements(parse(script, first_line=command.line).statements, state)
        elif argv:
            yield from self._argv(argv, command, state, here)

    def _argv(self, argv: list[str], command: Command, state: _State, here: Mapping[str, str]) -> Iterator[Started]:
        name = posixpath.basename(argv[0])
        rest = _compose(argv)
        if rest is not None:
            yield from self._compose(rest, command.line, state, {**state.named, **here})
        elif argv[0] in state.functions and self._again(argv[0], state):
            state.running = (*state.running, argv[0])
            yield from self._statement(state.functions[argv[0]].body, state)
            state.running = state.running[:-1]
        elif name in ("cd", "pushd"):
            self._move(argv[1] if len(argv) > 1 else "", state)
        elif name == "git" and argv[1:2] == ["clone"]:
            state.fresh, state.folder = True, ELSEWHERE
        elif name in _ASKS_A_HUMAN:
            state.anything = state.anything or name != "read" or state.folder == ELSEWHERE or any("tty" in one.target.raw for one in command.redirects)
        elif name in _FETCHES:
            state.anything = True
        elif name in ("make", "gmake"):
            yield from self._make_targets(argv, state)
        else:
            yield from self._other(argv, name, state)

    def _other(self, argv: list[str], name: str, state: _State) -> Iterator[Started]:
        """A script that is followed; else a program that may have made what it names."""
        called = self._called(argv, name, state)
        if called is not None and (text := self.files.text(called)) is not None and self._again(called, state):
            if _is_shell(called, text):
                yield from self._in_script(called, text, state, sources=name in ("source", "."))
                return
            state.made |= {f"*/{posixpath.basename(found)}" for found in re.findall(r"[\w./-]*\.env[\w.-]*|[\w-]+\.env\b", text)}
        if name in _RUNNERS or ("/" in argv[0] and called is None):
            state.anything = True  # what such a program makes nobody sees from here
        if name in _COPIES:
            self._copy(argv, state)
        if name not in _ONLY_READS:
            for word in argv[1:]:
                self._note(word.partition("=")[2] if word.startswith("-") else word, state)

    def _called(self, argv: list[str], name: str, state: _State) -> str | None:
        word = argv[0]
        if name in _SHELLS or name in ("source", "."):
            word = next((one for one in argv[1:] if not one.startswith("-")), "")
        elif "/" not in argv[0] and not name.endswith((".sh", ".py")) and name not in _RUNNERS:
            return None
        elif name in _RUNNERS:
            word = next((one for one in argv[1:] if re.search(r"\.(?:py|js|ts|mjs|rb|php|pl)$", one)), "")
        if not word:
            return None
        path = self._path(word, state)
        known = [path, posixpath.normpath(word.lstrip("/"))] if path is not None else []
        return next((one for one in known if self.files.text(one) is not None), None)

    def _in_script(self, path: str, text: str, state: _State, *, sources: bool) -> Iterator[Started]:
        """A script that is called: what it makes stays, where it goes and what it sets does not, unless it is sourced. Its lines are those of the call."""
        script = parse(text)
        before = state.folder, state.values, state.named, dict(state.functions), state.file
        state.values, state.running, state.named = Values.of(script), (*state.running, path), dict(state.named)
        own = state.file
        state.file = path
        yield from self._statements(script.statements, state)
        state.file = own
        state.running = state.running[:-1]
        if not sources:
            state.folder, state.values, state.named, functions, state.file = before
            state.functions = functions

    def _make_targets(self, argv: Sequence[str], state: _State) -> Iterator[Started]:
        folder = next((after for word, after in pairwise(argv) if word in ("-C", "--directory")), "")
        path = next(
            (one for name in ("GNUmakefile", "makefile", "Makefile") if self.files.text(one := joined(joined(state.folder, folder), name)) is not None), None
        )
        if path is None or path in state.running:
            state.anything = state.anything or path is None
            return
        makefile = parse_makefile(self.files.text(path) or "")
        wanted = [word for word in argv[1:] if not word.startswith("-") and "=" not in word and word != folder] or [makefile.first]
        done: set[str] = set()
        before, file, state.running = state.folder, state.file, (*state.running, path)
        while wanted:
            target = makefile.targets.get(name := wanted.pop(0))
            if name in done:
                continue
            if target is None:
                self._note(name, state)  # a file that a rule by a pattern may make
                continue
            if any(need not in done for need in target.needs if need in makefile.targets) and f"?{name}" not in done:
                done.add(f"?{name}")
                wanted[:0] = [*target.needs, name]
                continue
            done.add(name)
            self._note(name, state)
            for recipe in target.recipe:
                state.folder, state.file = posixpath.dirname(path), path
                yield from self._statements(parse(recipe.text, first_line=recipe.line).statements, state)
        state.folder, state.file, state.running = before, file, state.running[:-1]

    # ---- docker compose

    def _compose(self, rest: list[str], line: int, state: _State, named: Mapping[str, str]) -> Iterator[Started]:
        options, verb = _split(rest)
        if not verb or verb[0] not in _STARTS or any(_ONLY_LOOKS.match(word) for word in verb[1:]) or not state.fresh or state.folder == ELSEWHERE:
            return
        files = options["-f"] or [file for file in re.split("[:;]", named.get(COMPOSE_FILE, "")) if file]
        folder = options["--project-directory"][0] if options["--project-directory"] else ""
        paths = [self._path(file, state) for file in files]
        if any(path is None or "$" in path for path in paths) or "$" in folder or folder.startswith("/"):
            return
        given = [path for file in options["--env-file"] if (path := self._path(file, state)) is not None]
        profiles = [*options["--profile"], *filter(None, named.get("COMPOSE_PROFILES", "").split(","))]
        yield self._started(state, line, files=[path for path in paths if path], words=verb, env_files=given, profiles=profiles)

    # ---- files

    def _texts(self, word: Word, state: _State) -> tuple[str, ...]:
        """What a word may come to; variables of the job are put in where the script has none of its own."""
        return tuple(self._named(text, state) for text in state.values.texts(word)) or ("",)

    def _named(self, text: str, state: _State) -> str:
        return re.sub(r"\$(\w+)", lambda found: state.named.get(found[1], found[0]), text) if "$" in text else text

    def _fields(self, word: Word, state: _State) -> list[str]:
        text = self._texts(word, state)[0]
        only = word.parts[0] if len(word.parts) == 1 else None
        if isinstance(only, Variable) and not word.raw.startswith('"') and " " in text:
            return text.split()
        array = re.fullmatch(r"\"?\$\{(\w+)\[[@*]\]\}\"?", word.raw)
        if array and (given := state.values.given.get(array[1])):
            return shlex_words(given[0].raw.strip("()"))
        return [text]

    def _path(self, text: str, state: _State) -> str | None:
        """A path of the tree; None for one that is elsewhere."""
        if text.startswith((OWN, TOP)):
            return joined(posixpath.dirname(state.file) if text.startswith(OWN) else "", text.removeprefix(OWN).removeprefix(TOP).lstrip("/"))
        known = re.sub(r"^(?:\$\{?(?:GITHUB_WORKSPACE|CI_PROJECT_DIR|PWD)\}?|INTERLOCKEXPRESSION\d+X(?=/))/?", "", text)
        if known != text:
            return joined("", known)
        if text.startswith(("/", "~", "$")) or state.folder == ELSEWHERE or "INTERLOCKEXPRESSION" in text:
            return None
        return joined(state.folder, text)

    def _move(self, text: str, state: _State) -> None:
        path = self._path(text, state) if text else None
        if path is None and state.folder == ELSEWHERE and state.fresh:
            path = ""  # into what was just cloned
        state.folder = path if path is not None and "$" not in path else ELSEWHERE

    def _make(self, word: Word, state: _State) -> None:
        for text in self._texts(word, state):
            self._note(text, state)

    def _note(self, text: str, state: _State) -> None:
        """A file that may be there from here on."""
        path = self._path(text, state)
        state.made.add(path if path is not None else f"*/{posixpath.basename(text)}")
        if "$" in text:
            state.made.add(f"*/{posixpath.basename(text)}")

    def _copy(self, argv: Sequence[str], state: _State) -> None:
        """Into a folder, under the same name; with a wildcard, any name."""
        named = [word for word in argv[1:] if not word.startswith("-")]
        if len(named) < 2:
            return
        target = self._path(named[-1], state)
        for source in named[:-1]:
            name = posixpath.basename(source.rstrip("/"))
            anything = "*" in source or "$" in name or any(re.fullmatch(r"-[a-zA-Z]*[raR][a-zA-Z]*|--recursive", word) for word in argv[1:])
            self._note(posixpath.join(named[-1], name), state)
            if anything:
                state.made.add(f"{target or ''}/*".removeprefix("./"))


def _lands_here(path: str) -> bool:
    """Whether what is brought from elsewhere may hold an env file of the checkout: not where it goes to a folder of its own."""
    return "env" in path or path.strip("./") == "" or "workspace" in path


def _compose(argv: Sequence[str]) -> list[str] | None:
    """What stands behind docker compose; None for another program."""
    name = posixpath.basename(argv[0])
    if name in ("docker-compose", "podman-compose"):
        return list(argv[1:])
    if name in ("docker", "podman"):
        rest = after_options(argv, listed("-H --host -c --context --config -l --log-level"))
        return rest[1:] if rest[:1] == ["compose"] else None
    return None


def _split(rest: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The options before the verb that name files, by name, and the verb with all behind it."""
    found: dict[str, list[str]] = {"-f": [], "--env-file": [], "--profile": [], "--project-directory": []}
    index = 0
    while index < len(rest) and rest[index].startswith("-"):
        name, equals, value = rest[index].partition("=")
        if not equals and name in _OPTIONS and index + 1 < len(rest):
            index += 1
            value = rest[index]
        name = "-f" if name == "--file" else name
        if name in found and value:
            found[name].append(value)
        index += 1
    return found, list(rest[index:])


def _is_shell(path: str, text: str) -> bool:
    return path.endswith((".sh", ".bash")) or re.match(r"#![^\n]*\b(?:ba|da|k|a)?sh\b", text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A file that a start needs and that nothing makes before it. `needs` says who, `compose` the files that are started."""

    started: Started
    path: str
    needs: str
    compose: tuple[str, ...]
    kind: Need


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """What is judged by `env.file_exists`: how many starts of the tree's stacks were looked at, what they lack, and the scripts that could not be read."""

    count: int
    lacking: tuple[Lacking, ...]
    unreadable: tuple[Unreadable, ...] = ()


def loaded(started: Started, known: Iterable[str]) -> tuple[str, ...]:
    """The compose files that a command reads: those that it names, else what docker compose finds by itself in the folder. `known` are those of the tree."""
    there = frozenset(known)
    if started.files:
        return started.files if all(file in there for file in started.files) else ()
    for name in BASES:
        base = joined(started.folder, name)
        if base in there:
            over = next((path for one in OVERRIDES if (path := joined(started.folder, one)) in there), None)
            return (base, over) if over else (base,)
    return ()


def services_named(started: Started, known: Iterable[str]) -> tuple[str, ...]:
    """The services that a command names; none: all of them."""
    there = frozenset(known)
    words = after_options(("run", *started.words[1:]), RUN_OPTIONS)[:1] if started.words[:1] == ("run",) else started.words[1:]
    return tuple(word for word in words if word in there)
