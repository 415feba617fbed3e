"""Which commands show a secret to others: on a command line that `ps` prints, in a log, in the trace of `set -x`? Read from a parsed script.

What a program is given in its environment or on its standard input is nobody else's. `curl -u` blanks its argument out, and a header is left alone.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise

from interlock.facts.programs import Unreadable
from interlock.facts.secrets import names_secret
from interlock.facts.shell import (
    AndOr,
    Background,
    Case,
    Command,
    Function,
    Group,
    If,
    Loop,
    Opaque,
    Pipeline,
    ProcessSubstitution,
    Script,
    Statement,
    Substitution,
    Variable,
    Word,
)
from interlock.nouns import dataclass
from interlock.patterns import regex


class Leak(StrEnum):
    """How a secret is shown. The values are the kinds of findings."""

    ARGUMENT = "on-a-command-line"
    LITERAL = "literal-on-a-command-line"
    PRINTED = "printed"
    TRACED = "traced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One place that shows a secret. `name` is the variable that holds it, or the option that it is given to; never the secret itself."""

    leak: Leak
    program: str
    name: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """All of a tree: the file, and what it shows. `scripts` is how many pieces of shell were read."""

    places: tuple[tuple[str, Shown], ...]
    scripts: int
    unreadable: tuple[Unreadable, ...] = ()


_INLINE: Mapping[str, str] = {  # programs whose option has the password in the same word: the beginning of the word
    **dict.fromkeys(("mysql", "mariadb", "mysqldump", "mariadb-dump", "mysqladmin", "mariadb-admin", "mariabackup", "xtrabackup", "mysqlcheck"), "-p"),
    **dict.fromkeys(("7z", "7za"), "-p"),
}
_NEXT: Mapping[str, tuple[str, ...]] = {  # programs whose option has it in the next word, or after `=`
    **dict.fromkeys(("redis-cli", "valkey-cli"), ("-a", "--pass")),
    **dict.fromkeys(("mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"), ("-p", "--password")),
    "sshpass": ("-p",),
    "htpasswd": (),
    "wget": ("--password", "--http-password", "--ftp-password"),
    "ldapsearch": ("-w",),
    "ldapadd": ("-w",),
    "ldapmodify": ("-w",),
    "zip": ("-P", "--password"),
    "gpg": ("--passphrase",),
    "restic": (),
    "rabbitmqadmin": ("-p", "--password"),
    "docker": ("--password",),
    "podman": ("--password",),
    "helm": ("--password",),
}
_LONG = ("--password", "--root-password", "--db-password", "--admin-password", "--secret-key", "--token", "--api-key", "--passwd", "--dbpass", "--dbpassword")
_WRAPS = frozenset({"sudo", "env", "nice", "ionice", "timeout", "exec", "time", "nohup", "command"})
_ENGINES = frozenset({"docker", "podman", "docker-compose", "nerdctl", "kubectl"})
_PRINTS = frozenset({"echo", "printf", "logger"})
_INSTALLS = regex(
    r"install|setup|init|generate|gen[-_]|create|bootstrap|configure|wizard|quickstart|reset|passw|secret|token|key|user|account|add[-_]", re.IGNORECASE
)
_PLAIN = regex(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9!@#%^*+._-]{8,}")  # not the `postgres` or `changeme` of a container that is thrown away
_SURELY = regex(
    r"(?:password|passwd|passphrase|token|api_?key|private_?key)\d*$|^[A-Z0-9_]+_SECRET(?:_KEY)?$", re.IGNORECASE
)  # `secret` may be the name of one
_MASKS = "::add-mask::"


def leaks(name: str, script: Script, *, host: bool, runner: bool = False) -> Iterator[Shown]:
    """Every place of a script that shows a secret. `host`: it runs where others may look at the list of processes; `runner`: on a forge's runner, which is
    thrown away and takes the secrets that it knows out of the log.

    What an installer prints is for the one who runs it: there printing is no leak.
    """
    reader = _Reader(host=host, prints=_INSTALLS.search(posixpath.basename(name)) is None)
    yield from reader.statements(script.statements, loud=True)
    if not runner:
        yield from _traced(script)


class _Reader:
    """Goes through a script; `loud` is False where what is printed goes somewhere else than to the one who watches, or to a log."""

    def __init__(self, *, host: bool, prints: bool) -> None:
        self.host, self.prints = host, prints
        self.functions: set[str] = set()

    def statements(self, statements: Sequence[Statement], *, loud: bool) -> Iterator[Shown]:
        for statement in statements:
            yield from self.statement(statement, loud=loud)

    def statement(self, statement: Statement, *, loud: bool) -> Iterator[Shown]:  # noqa: PLR0912 - one branch for each kind of statement
        match statement:
            case Command():
                yield from self._command(statement, loud=loud and not _redirected(statement))
            case Pipeline():
                for stage in statement.stages[:-1]:
                    yield from self.statement(stage, loud=False)
                yield from self.statement(statement.stages[-1], loud=loud)
            case AndOr():
                yield from self.statements((statement.left, statement.right), loud=loud)
            case Background():
                yield from self.statement(statement.body, loud=loud)
            case Function():
                yield from self.statement(statement.body, loud=False)  # its output may be caught
            case Group():
                yield from self.statements(statement.body, loud=loud and not _redirected(statement))
            case If():
                for branch in statement.branches:
                    yield from self.statements((*branch.condition, *branch.body), loud=loud and not _redirected(statement))
                yield from self.statements(statement.otherwise, loud=loud and not _redirected(statement))
            case Loop():
                yield from self.statements((*statement.condition, *statement.body), loud=loud and not _redirected(statement))
            case Case():
                for arm in statement.arms:
                    yield from self.statements(arm.body, loud=loud and not _redirected(statement))
            case _:
                return

    def _command(self, command: Command, *, loud: bool) -> Iterator[Shown]:
        for word in (*command.words, *(one.value for one in command.assignments if one.value is not None)):
            for part in word.parts:
                if isinstance(part, (Substitution, ProcessSubstitution, Opaque)):
                    yield from self.statements(part.body, loud=False)
        if not command.words:
            return
        program = posixpath.basename(command.words[0].raw.strip("\"'"))
        if program in _PRINTS:
            if loud and self.prints:
                yield from _printed(program, command)
        elif self.host:
            yield from _arguments(command)


def _redirected(statement: Command | Group | If | Loop | Case) -> bool:
    return any(
        redirect.creates and not redirect.target.raw.strip("\"'").startswith(("/dev/std", "/proc/"))
        for redirect in statement.redirects
        if redirect.fd in (1, -1)
    )


def _printed(program: str, command: Command) -> Iterator[Shown]:
    words = command.words[1:]
    if any(_MASKS in word.raw for word in words) or any(redirect.fd == 1 for redirect in command.redirects if redirect.creates):
        return
    name = next((name for word in words for name in _secrets_in(word) if _SURELY.search(name)), None)
    if name is not None:
        yield Shown(leak=Leak.PRINTED, program=program, name=name, line=command.line)


def _secrets_in(word: Word) -> Iterator[str]:
    """The variables of a word that put a secret into it: not `${#X}`, `${X:+set}`, nor a part of it."""
    for part in word.parts:
        if isinstance(part, Variable) and part.operator in ("", ":-", "-", ":?", "?", ":=", "=") and names_secret(part.name):
            yield part.name


def _arguments(command: Command) -> Iterator[Shown]:
    """What programs are told on their command line."""
    words = list(command.words)
    while words and posixpath.basename(words[0].raw.strip("\"'")) in _WRAPS:
        words = words[1:]
        while words and (words[0].raw.startswith("-") or "=" in words[0].raw.partition("$")[0]):
            words = words[1:]
    if not words:
        return
    program = posixpath.basename(words[0].raw.strip("\"'"))
    if program in _ENGINES:
        yield from _environment(program, words)
        inner = next(
            (index for index, word in enumerate(words) if index and posixpath.basename(word.raw.strip("\"'")) in (*_INLINE, *_NEXT) and index > 1), None
        )
        if inner is not None:
            words = words[inner:]
            program = posixpath.basename(words[0].raw.strip("\"'"))
    yield from _given(program, words)


def _environment(program: str, words: Sequence[Word]) -> Iterator[Shown]:
    """`docker run -e PASSWORD=value`: the value is in the list of processes; `-e PASSWORD` is not."""
    for before, word in pairwise(words):
        if before.raw not in ("-e", "--env"):
            continue
        text = word.raw.strip("\"'")
        name, equals, value = text.partition("=")
        if equals and names_secret(name) and value.strip("\"'"):
            leak = Leak.LITERAL if word.literal is not None else Leak.ARGUMENT
            if (leak is Leak.LITERAL and _PLAIN.fullmatch(value.strip("\"'"))) or any(_secrets_in(word)):
                yield Shown(leak=leak, program=program, name=name, line=word.line)


def _given(program: str, words: Sequence[Word]) -> Iterator[Shown]:
    inline, following = _INLINE.get(program), _NEXT.get(program, ())
    for index, word in enumerate(words[1:], 1):
        raw = word.raw.strip("\"'")
        option, equals, _ = raw.partition("=")
        if inline is not None and raw.startswith(inline) and len(raw) > len(inline) and not raw.startswith(("--", "-p=")):
            yield from _shown(program, inline, word, text=raw[len(inline) :])
        elif equals and option in (*_LONG, *(name for name in following if name.startswith("--"))):
            yield from _shown(program, option, word, text=raw.partition("=")[2])
        elif raw in following and index + 1 < len(words):
            yield from _shown(program, raw, words[index + 1], text=words[index + 1].raw.strip("\"'"))


def _shown(program: str, option: str, word: Word, *, text: str) -> Iterator[Shown]:
    """A password in a word: a variable's, or a literal one."""
    names = list(_secrets_in(word))
    if names:
        yield Shown(leak=Leak.ARGUMENT, program=program, name=names[0], line=word.line)
    elif word.literal is not None and option.startswith("--") and _PLAIN.fullmatch(text.strip("\"'")):
        yield Shown(leak=Leak.LITERAL, program=program, name=option, line=word.line)


# ---- the trace


def _traced(script: Script) -> Iterator[Shown]:
    """The first command that handles a secret while `set -x` is on, in the order of the text; what the trace is switched off for is right.

    Only a trace that every run has: one behind a condition is asked for by whoever debugs.
    """
    always = {statement.line for statement in script.statements if isinstance(statement, Command)}
    on: int | None = None
    for command in script.commands():
        words = [word.raw for word in command.words]
        if words[:1] == ["set"]:
            on = _switched(words[1:], command.line, on, starts=command.line in always)
        elif on is not None and words[:1] != ["export"]:
            names = [name for word in command.words[1:] for name in _secrets_in(word) if _SURELY.search(name)]
            if names:
                yield Shown(leak=Leak.TRACED, program=posixpath.basename(words[0].strip("\"'")), name=names[0], line=on)
                return


def _switched(words: Sequence[str], line: int, on: int | None, *, starts: bool) -> int | None:
    for word in words:
        if re.fullmatch(r"-[a-z]*x[a-z]*", word) or word == "xtrace":
            return line if starts else on
        if re.fullmatch(r"\+[a-z]*x[a-z]*", word):
            return None
    return on
