"""Which scripts hand an env file of docker compose to a shell? By `source`, `eval`, `export $(...)`, in functions and loops, in the scripts inside of scripts.

docker compose reads such a file by rules of its own; to a shell it is a program. A script that takes the one key that it needs out of it does no harm.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from interlock.facts.env_paths import ARGUMENT, EnvFiles, Values, functions_of
from interlock.facts.programs import ShellText, Unreadable
from interlock.facts.shell import Command, Loop, ProcessSubstitution, Redirect, Statement, Stream, Substitution, Word, parse, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

_MAY = regex(r"\bsource\b|(?:^|[\s;&|({])\.[ \t]|\beval\b|\bexport\b|\bxargs\b|\bdeclare\b|\bset\b|\benv[ \t]", re.MULTILINE)
_BY_VARIABLE = regex(r"(?:\bsource|\s\.)[ \t]+[\"']?\$\{?(?:\d|\w*(?:env|conf|file)\w*)", re.IGNORECASE)
_SHELLS = frozenset({"bash", "sh", "dash", "ash", "zsh", "ksh"})
_TAKES_TEXT = frozenset({"su", "runuser", "ssh", "sudo", "timeout", "nohup", "env", "exec", "command", "systemd-run", "flock", "nice", "setsid"}) | _SHELLS
_ONE_KEY = regex(r"\^?[A-Za-z_]\w*=?(?:\.\*)?\$?")
_READS = frozenset({"cat", "grep", "egrep", "sed", "awk", "xargs", "tr", "cut", "envsubst", "head", "tail", "sort"})
_READ_ALONE = regex(r"\$\(\s*<\s*[\"']?(?P<path>[^\s\"')]+)")
_SHEBANG = regex(r"\s*#![^\n]*\b(?:ba|da|k|a|z)?sh\b")
_DEEPEST = 3


class Hands(StrEnum):
    """How a shell is given an env file; the values are the kinds of findings, and `told` says it."""

    SOURCE = "sourced"
    EVAL = "evaluated"
    EXPORT = "exported"

    @property
    def told(self) -> str:
        """The middle of a sentence: the script ... the file."""
        return {Hands.SOURCE: "runs", Hands.EVAL: "evaluates", Hands.EXPORT: "takes apart at blanks"}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """One script that hands an env file (by its path in the tree) to a shell, and the first line that does."""

    script: str
    line: int
    env_file: str
    how: Hands


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedFiles:
    """What is judged by `env.file_not_sourced`: the env files of the stack, what hands one to a shell, how many scripts were read, which could not be."""

    files: EnvFiles
    handed: tuple[Handed, ...]
    scripts: int
    unreadable: tuple[Unreadable, ...] = ()


def handed(texts: Sequence[ShellText], files: EnvFiles) -> tuple[Handed, ...]:
    """Each script and env file once, in the order of the scripts."""
    names = files.names
    telling = (text for text in texts if any(name in text.text for name in names) or _BY_VARIABLE.search(text.text))
    scripts = [one for text in telling if _MAY.search(text.text) for one in _scripts(text)]
    calls = _calls_with_arguments(scripts)
    found: dict[tuple[str, str], Handed] = {}
    for script in scripts:
        for one in script.handed(files, calls):
            found.setdefault((one.script, one.env_file), one)
    return tuple(found.values())


Arguments = Mapping[str, Sequence[tuple[str, tuple[tuple[str, ...], ...]]]]
"""By the name of a function: the script that calls it, and what each of its arguments may come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Script:
    """One script, or one that stands inside of another, with the values of its variables."""

    path: str
    statements: tuple[Statement, ...]
    values: Values
    owners: Mapping[int, str]  # of commands: the function that they stand in

    def handed(self, files: EnvFiles, calls: Arguments) -> Iterator[Handed]:
        """What this script hands to a shell."""
        for statement in walk(self.statements):
            for word, how in _words(statement):
                meant = self._meant(word, files, calls.get(self.owners.get(id(statement), ""), ()))
                if meant is not None:
                    yield Handed(script=self.path, line=word.line, env_file=meant, how=how)

    def _meant(self, word: Word, files: EnvFiles, calls: Sequence[tuple[str, tuple[tuple[str, ...], ...]]]) -> str | None:
        texts = self.values.texts(word)
        found = files.meant(texts, script=self.path, folders=self.values.folders())
        if found is not None or not any(ARGUMENT in text for text in texts):
            return found
        for path, arguments in calls:
            filled = [more for text in texts for more in _filled(text, arguments)]
            if meant := files.meant(filled, script=path, folders=self.values.folders()):
                return meant
        return None


def _filled(text: str, arguments: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """A text that holds an argument, with each value that the call may give it; of several arguments the first is enough to know a path by."""
    number = re.search(rf"{ARGUMENT}(\d)\0", text)
    if number is None or not 0 < int(number[1]) <= len(arguments):
        return ()
    return tuple(text.replace(number[0], value) for value in arguments[int(number[1]) - 1])


def _scripts(text: ShellText) -> Iterator[_Script]:
    """A script and those inside of it."""
    waiting: list[tuple[tuple[Statement, ...], Values, int]] = [(text.script.statements, Values.of(text.script), 0)]
    owners = {id(command): function.name for function, command in functions_of(text.script)}
    while waiting:
        statements, values, depth = waiting.pop(0)
        yield _Script(path=text.path, statements=statements, values=values, owners=owners if depth == 0 else {})
        for line, inner in _inner(statements) if depth < _DEEPEST else ():
            script = parse(inner, first_line=line)
            own = Values.of(script)
            waiting.append((script.statements, Values({**values.given, **own.given}, (*values.moved, *own.moved)), depth + 1))


def _inner(statements: Iterable[Statement]) -> Iterator[tuple[int, str]]:
    """The scripts inside of a script, each with its first line: `bash -c '...'`, `ssh host '...'`, a here-document for a shell or for a new script."""
    for statement in walk(statements):
        if not isinstance(statement, Command) or not statement.words:
            continue
        names = [posixpath.basename(word.literal or "") for word in statement.words]
        if names[0] in _TAKES_TEXT:
            shells = [index for index, name in enumerate(names[:8]) if name in _SHELLS or name in ("su", "runuser")]
            told = [word for word, before in zip(statement.words[1:], names, strict=False) if shells and re.fullmatch(r"-\w*c|--command", before)]
            yield from ((word.line, _plain(word)) for word in (told or (statement.words[2:] if names[0] == "ssh" else ())) if " " in word.raw)
        for redirect in statement.redirects:
            if redirect.stream is Stream.HERE_DOCUMENT:
                text = redirect.target.raw.replace("\\$", "$") if redirect.expands else redirect.target.raw
                if _SHEBANG.match(text) or (names[0] in _TAKES_TEXT and not {"docker", "podman", "kubectl"} & set(names)):
                    yield redirect.target.line, text


def _plain(word: Word) -> str:
    """The text of a quoted word as the shell that gets it sees it."""
    raw = word.raw
    if raw[:1] in "\"'" and raw[-1:] == raw[:1] and len(raw) > 1:
        return raw[1:-1].replace('\\"', '"').replace("\\$", "$") if raw[0] == '"' else raw[1:-1]
    return word.literal or raw


def _calls_with_arguments(scripts: Iterable[_Script]) -> Arguments:
    """The calls of functions that are given at least one word, whichever script defines them."""
    every = tuple(scripts)
    defined = {name for script in every for name in script.owners.values()}
    found: dict[str, list[tuple[str, tuple[tuple[str, ...], ...]]]] = {}
    for script in every:
        for statement in walk(script.statements):
            name = statement.words[0].literal if isinstance(statement, Command) and len(statement.words) > 1 else None
            if name in defined and isinstance(statement, Command):
                found.setdefault(name, []).append((script.path, tuple(script.values.texts(word) for word in statement.words[1:4])))
    return found


# ---- the words that name what a shell is given


def _words(statement: Statement) -> Iterator[tuple[Word, Hands]]:
    match statement:
        case Command():
            yield from _of_command(statement)
        case Loop():
            yield from _of_loop(statement)
        case _:
            return


def _of_command(command: Command) -> Iterator[tuple[Word, Hands]]:
    words = list(command.words)
    while words and words[0].literal in ("builtin", "command", "\\."):
        words.pop(0)
    name = words[0].literal if words else None
    match name:
        case "source" | "." if len(words) > 1:
            yield words[1], Hands.SOURCE
            yield from ((word, Hands.SOURCE) for word in _read_in(words[1:2], processes=True))
        case "eval":
            yield from ((word, Hands.EVAL) for word in _read_in(words[1:], processes=False))
        case "export" | "declare" | "typeset" | "env" | "set":
            bare = [word for word in words[1:] if not word.raw.startswith('"')]
            yield from ((word, Hands.EXPORT) for word in _read_in(bare, processes=False, whole=True))
        case _:
            return


def _of_loop(loop: Loop) -> Iterator[tuple[Word, Hands]]:
    """`while read -r line; do eval "$line"; done < .env`."""
    if any(isinstance(one, Command) and one.words and one.words[0].literal == "eval" for one in walk(loop.body)):
        yield from ((redirect.target, Hands.EVAL) for redirect in loop.redirects if redirect.stream is Stream.READ)


def _read_in(words: Iterable[Word], *, processes: bool, whole: bool = False) -> Iterator[Word]:
    """The files that the substitutions of words read. `whole`: not those of which a single key is taken."""
    for word in words:
        for part in word.parts:
            if isinstance(part, ProcessSubstitution) if processes else isinstance(part, Substitution):
                assert isinstance(part, (Substitution, ProcessSubstitution))
                if alone := _READ_ALONE.match(part.raw):
                    yield from _as_word(alone["path"], word.line)
                commands = [one for one in walk(part.body) if isinstance(one, Command)]
                if not (whole and any(_takes_one_key(one) for one in commands)):
                    yield from (named for command in commands for named in _read_by(command))


def _as_word(path: str, line: int) -> Iterator[Word]:
    """A path that the shell reads by itself, `$(< path)`."""
    first = parse(f": {path}", first_line=line).statements[0]
    if isinstance(first, Command):
        yield from first.words[1:2]


def _read_by(command: Command) -> Iterator[Word]:
    if command.words and posixpath.basename(command.words[0].literal or "") in _READS:
        yield from command.words[1:]
    yield from _read_redirects(command.redirects)


def _read_redirects(redirects: Collection[Redirect]) -> Iterator[Word]:
    yield from (redirect.target for redirect in redirects if redirect.stream is Stream.READ)


def _takes_one_key(command: Command) -> bool:
    """`grep ^KEY= .env`: a single key is taken."""
    if not command.words or command.words[0].literal not in ("grep", "egrep", "sed", "awk"):
        return False
    return any(_ONE_KEY.fullmatch(word.literal or "") is not None for word in command.words[1:2] if word.literal) or any(
        re.fullmatch(r"\^[A-Za-z_]\w*=.*", word.literal or "") for word in command.words[1:4]
    )
