"""Which compose files does a text start together? `docker compose -f a -f b`, `COMPOSE_FILE=a:b`, and variables that hold either, in any text that people
write commands in: scripts, Makefiles, workflows, units, env files, Dockerfiles, the code blocks of documents and the comments of compose files.

Read word by word and not by a parser of each of these languages: the words are the same in all of them. What a text does not say to its end (a variable
that it does not set, a list that grows under conditions) is left out. `interlock.observe.chains` finds the files that the words mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from interlock.facts.env_layers import ENV_FILES, env_files_read
from interlock.nouns import dataclass
from interlock.patterns import regex

BASES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""What docker compose looks for in a folder, in its order."""
OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml")
"""What it puts on top by itself."""


class Source(NamedTuple):
    """Where a chain is named: a file of the tree, and the line of the command; line 1 where the file itself, its name or its place says so."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChain:
    """Compose files of a tree that are started together, base first, and from what that is known, the most telling place first.

    `files` and `env_files` are paths relative to the tree; `name` is made of the files' own names, and is no other chain's. `guessed`: nobody names it, and
    docker compose does not load it by itself; an overlay that fits the base beside it.
    """

    name: str
    files: tuple[str, ...]
    env_files: tuple[str, ...] = ()
    source: tuple[Source, ...]
    guessed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """One place that names compose files in order, as they are written there: relative to nobody knows what, with variables in them (`$DIR/compose.yaml`)."""

    files: tuple[str, ...]
    env_files: tuple[str, ...] = ()
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A mention before variables are known. `files` holds paths, and `$NAME` for a variable that stands for some; `into` is the variable that takes it.

    `program` is the variable in the place of docker compose, which may hold files too.
    """

    files: tuple[str, ...]
    env_files: tuple[str, ...]
    line: int
    into: str
    program: str
    told: bool  # docker compose itself stands before it, or it is COMPOSE_FILE: a single file is enough


_WORTH_READING = regex(r"(?:-f|--file)[\s=\"',]+[^\s\"']*\.ya?ml|COMPOSE_FILE|\.ya?ml[:;][^\s:;]*\.ya?ml|\$\w*:[^\s:]+\.ya?ml")
_CONTINUED = regex(r"\\[ \t]*\r?$")
_MARGIN = regex(r"^[ \t]*(?:(?:#+|//|\*|>|--)(?=[ \t]))?[ \t]*")
_DEFAULTED = regex(r"\$+\{(\w+):?[-=]([^{}]*)\}")
_BRACED = regex(r"\$+\{(\w+)[^{}]*\}|\$\((\w+)\)")
_COMPUTED = regex(r"\$\([^()]*\)|\$?\{\{[^{}]*\}\}|<[\w -]+>")
_SEMICOLON = regex(r"(?<=\.yml);(?=[^\s;]+\.ya?ml)|(?<=\.yaml);(?=[^\s;]+\.ya?ml)")  # between the files of a list on Windows
_APART = regex(r"(\|\||&&|[;|\n])")
_ARRAY = regex(r"=\([^)]*$")  # opened, and closed on another line
_PUNCTUATION = regex(r"[\"'`(),]|\[(?=\S)|(?<=\S)\]")  # a bracket by itself is a test
_ASSIGNED = regex(r"([A-Za-z_]\w*)(\+?)[:?]?=(.*)", re.DOTALL)
_YAML_KEY = regex(r"([A-Z][A-Z0-9_]*):")
_LIST = regex(r"(?:[^\s:;]+\.ya?ml|\$\w+)(?:[:;](?:[^\s:;]+\.ya?ml|\$\w+))*")
_FILE = regex(r"[^\s:;]+\.ya?ml")
_PROGRAM = regex(r"(?:.*/)?(?:docker|podman)-compose|compose|\$\w*compose\w*", re.IGNORECASE)
_VARIABLE = regex(r"\$(\w+)")
_BEFORE_PROGRAM = frozenset({"docker", "podman", "sudo", "exec", "nice", "command"})
_VALUED = frozenset({"-p", "--project-name", "--profile", "--project-directory", "--ansi", "--progress", "--parallel"})
_MOST_LINES = 40  # of one command
_MOST_VALUES = 8  # of one variable
COMPOSE_FILE = "COMPOSE_FILE"
_ENV_FILES_SET = regex(rf"(?<![\w$]){ENV_FILES}[:?]?[=:][ \t]*[\"']?([^\s\"';|&#]*[^\s\"';|&#,])")


def mentions(text: str, *, env_file: bool = False) -> tuple[Mention, ...]:
    """Every place of a text that names a chain in full, in the order of the text. One that names no env files of its own has those of COMPOSE_ENV_FILES, where
    the text sets that to one value; in an `env_file` it does nothing."""
    found = tuple(_resolved(tuple(_runs(text))))
    listed = tuple({match[1]: None for match in _ENV_FILES_SET.finditer(text)}) if not env_file else ()
    if len(listed) != 1:
        return found
    env_files = env_files_read((), {ENV_FILES: listed[0]}, "").paths
    return tuple(one if one.env_files else replace(one, env_files=env_files) for one in found)


# ---- from text to runs


def _runs(text: str) -> Iterator[_Run]:
    lines = text.split("\n")
    done = -1
    starts = _line_starts(text)
    for found in _WORTH_READING.finditer(text):
        number = starts(found.start())
        if number <= done:
            continue
        first, done = _command(lines, number)
        joined = " ".join(_CONTINUED.sub("", _MARGIN.sub("", line)) for line in lines[first : done + 1])
        yield from _runs_of(joined, first + 1)


class _line_starts:  # noqa: N801 - a counter that goes on from where it was asked last
    def __init__(self, text: str) -> None:
        self.text, self.at, self.line = text, 0, 0

    def __call__(self, offset: int) -> int:
        self.line += self.text.count("\n", self.at, offset)
        self.at = offset
        return self.line


def _command(lines: Sequence[str], number: int) -> tuple[int, int]:
    """The first and last line of the command that a line is part of: as far as lines end in a backslash, and the whole of an array."""
    first = last = number
    while first > 0 and number - first < _MOST_LINES and _CONTINUED.search(lines[first - 1]):
        first -= 1
    while last + 1 < len(lines) and last - number < _MOST_LINES and _CONTINUED.search(lines[last]):
        last += 1
    above = next((line for line in range(first, max(first - _MOST_LINES, -1), -1) if "(" in lines[line] or ")" in lines[line]), first)
    if _ARRAY.search(lines[above]):
        first = above
        last = next((below for below in range(last, min(last + _MOST_LINES, len(lines))) if ")" in lines[below]), last)
    return first, last


def _runs_of(line: str, number: int) -> Iterator[_Run]:
    """The runs of one logical line."""
    line = _DEFAULTED.sub(lambda found: found[2] if ".y" in found[2] or "$" in found[2] else f"${found[1]}", line)
    line = _COMPUTED.sub("$_", _BRACED.sub(lambda found: f"${found[1] or found[2]}", line))
    for part in _APART.split(_SEMICOLON.sub(":", line.replace("\\", " "))):
        yield from _Words(number).read(_PUNCTUATION.sub(" ", part).split())


class _Words:
    """Walks over the words of one simple command."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.into = ""
        self.program = False
        self.called = ""
        self.open = True  # before the subcommand, where -f names a compose file
        self.files: list[str] = []
        self.env_files: list[str] = []

    def read(self, words: list[str]) -> Iterator[_Run]:
        waiting = [part for word in reversed(words) for part in reversed(_option(word))]
        while waiting:
            word = waiting.pop()
            if assigned := _assignment(word, waiting):
                yield from self._ended()
                self.open = True
                self.into, rest, grows = assigned
                self.files += [f"${self.into}"] if grows else []
                waiting += [rest] if rest else []
            elif word in ("-f", "--file") and self.open and waiting:
                self.files.append(waiting.pop())
            elif word == "--env-file" and waiting:
                self.env_files.append(waiting.pop())
            elif word in _VALUED and waiting:
                waiting.pop()
            elif _PROGRAM.fullmatch(word):
                yield from self._ended()
                self.program = self.open = True
                self.called = word.removeprefix("$") if word.startswith("$") else ""
            elif self._is_list(word):
                yield from self._listed(word)
            elif self.open and _VARIABLE.fullmatch(word):
                self._variable(word)
            elif not word.startswith("-"):
                yield from self._ended()
                self.open = False
                self.into = self.into if word in _BEFORE_PROGRAM else ""
            elif not self.program:
                yield from self._ended()
        yield from self._ended()

    def _variable(self, word: str) -> None:
        """Part of a chain, or, where nothing stands before it, perhaps docker compose itself."""
        if self.program or self.files:
            self.files.append(word)
        else:
            self.called = word[1:]

    def _is_list(self, word: str) -> bool:
        """A value that some variable is given: `a.yml:b.yml`, and one file alone where the variable is COMPOSE_FILE itself."""
        several = ":" in word or ";" in word
        return bool(self.into) and _LIST.fullmatch(word) is not None and (several or (self.into == COMPOSE_FILE and _FILE.fullmatch(word) is not None))

    def _listed(self, word: str) -> Iterator[_Run]:
        yield _Run(files=tuple(re.split("[:;]", word)), env_files=(), line=self.line, into=self.into, program="", told=self.into == COMPOSE_FILE)
        self.files, self.env_files = [], []

    def _ended(self) -> Iterator[_Run]:
        if self.files:
            yield _Run(files=tuple(self.files), env_files=tuple(self.env_files), line=self.line, into=self.into, program=self.called, told=self.program)
        self.files, self.env_files, self.program, self.called = [], [], False, ""


def _option(word: str) -> tuple[str, ...]:
    """`--file=a.yml` as two words."""
    name, equals, value = word.partition("=")
    return (name, value) if equals and name in ("--file", "--env-file") else (word,)


def _assignment(word: str, waiting: list[str]) -> tuple[str, str, bool] | None:
    """The variable that a word assigns to, the rest of the word, and whether it grows by it; of `NAME := value` the sign is taken from what waits."""
    if found := _ASSIGNED.fullmatch(word):
        return found[1], found[3], found[2] == "+"
    if key := _YAML_KEY.fullmatch(word):
        return key[1], "", False
    if waiting and waiting[-1] in ("=", ":=", "?=", "+=", "::=") and re.fullmatch(r"[A-Za-z_]\w*", word):
        return word, "", waiting.pop() == "+="
    return None


# ---- from runs to mentions


def _resolved(runs: Sequence[_Run]) -> Iterator[Mention]:
    """The runs with their variables replaced. A variable that grows by itself is known to nobody; what others build on is no chain by itself."""
    growing = frozenset(run.into for run in runs if run.into and f"${run.into}" in run.files)
    built_on = frozenset(name for run in runs for name in _variables(run) if len(run.files) > 1 or run.program == name)
    values: dict[str, list[_Run]] = {}
    for run in runs:
        if run.into and len(known := values.setdefault(run.into, [])) < _MOST_VALUES:
            known.append(run)
    for run in runs:
        if not run.into or (run.into not in growing and run.into not in built_on):
            yield from (
                Mention(files=whole.files, env_files=whole.env_files, line=whole.line)
                for whole in _expanded(run, values, growing)
                if len(whole.files) > 1 or whole.told
            )


def _variables(run: _Run) -> Iterator[str]:
    """The variables that a run is made of."""
    if run.program:
        yield run.program
    yield from (file[1:] for file in run.files if _VARIABLE.fullmatch(file))


def _expanded(run: _Run, values: Mapping[str, Sequence[_Run]], growing: Collection[str]) -> tuple[_Run, ...]:
    """The run for each value of its variables; none when one of them is not known here. A variable alone says what is said where it is set."""
    if all(_VARIABLE.fullmatch(file) for file in run.files):
        return ()
    made = [replace(run, files=())]
    for file in (*((f"${run.program}",) if run.program in values else ()), *run.files):
        if not _VARIABLE.fullmatch(file):
            made = [replace(one, files=(*one.files, file)) for one in made]
            continue
        known = [] if file[1:] in growing else values.get(file[1:], [])
        if any(_VARIABLE.fullmatch(part) for value in known for part in value.files):
            return ()
        made = [replace(one, files=one.files + value.files, env_files=one.env_files + value.env_files) for one in made for value in known][:_MOST_VALUES]
    return tuple(made)
