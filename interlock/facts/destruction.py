"""Which command of a script deletes data for good, and did anybody look or ask before it? Volumes, databases, file systems, directories of state.

    for found in destructions(path, script): ...

A command counts when every run of its script comes to it: not behind a test of what is there or of what the caller said, not after a question, not on what
the script made itself. Functions are followed where they are called; a function that nothing in the file calls belongs to another script.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from enum import StrEnum
from itertools import pairwise

from interlock.facts.applies import after_options
from interlock.facts.backup_writers import listed, words_of
from interlock.facts.commandlines import CommandLines, engine_words, shown
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
from interlock.nouns import dataclass
from interlock.patterns import regex


class Loss(StrEnum):
    """What is gone afterwards; the values are the kinds of findings."""

    VOLUME = "volume"
    STACK = "volumes-of-the-stack"
    PRUNE = "all-unused-volumes"
    DATABASE = "database"
    DISK = "file-system"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """One command that deletes data whatever is there: `command` as a reader knows it, `what` of it stays the same; `forced` hides that it failed."""

    loss: Loss
    what: str
    command: str
    line: int
    forced: bool


_DEEPEST = 12
MENTIONS = regex(
    rb"\bvolume\b|\bdown\b|\bprune\b|\bdropdb\b|drop\s+database|\bmkfs|\bwipefs\b|\bsgdisk\b|\brm\s[^\n]*-[a-zA-Z-]*[rR]|\brm\s+-", re.IGNORECASE
)  # what a text has to say before it is worth following

LOSS_WORDS = regex(r"volume (?:rm|remove|prune)|\bdown\b[^\n]*(?:\s-v\b|--volumes)|dropdb|drop\s+database|\bmkfs|wipefs", re.IGNORECASE)

# ---- what one command deletes

_STATE_NAME = regex(
    r"(?:.*[._-])?(?:data|state|volumes?|pgdata|postgres(?:ql)?|mysql|mariadb|mongo(?:db)?|redis|clickhouse|minio|database|db|uploads|media|vmail|storage)"
    r"(?:[._-]?(?:data|db|volumes?|dir|files))?",
    re.IGNORECASE,
)
_STATE_VARIABLE = regex(
    r"\$(?:\w*_)?(?:DATA|STATE|VOLUMES?|PG|PGDATA|DB|DATABASE|STORAGE|UPLOADS?|MEDIA|MYSQL|POSTGRES|REDIS)(?:_?(?:DIR|PATH|ROOT|HOME|FOLDER|DIRECTORY))?",
    re.IGNORECASE,
)
_PASSING = regex(r"/(?:tmp|var/tmp|var/cache|run)/")
_SYSTEM_STATE = regex(r"/var/lib/(?:postgresql|mysql|mariadb|redis|mongodb?|clickhouse|ldap|docker/volumes|docker|containerd|grafana|influxdb|vault)(?:/|$)")
_OWN = listed(
    "tmp temp temporary scratch test tests testing canary verify drill check rehearsal trial sandbox new old previous next copy shadow cache caches log logs"
    " lock locks run build dist staging bak backup backups dummy example sample demo dev ci"
)
_DROP = regex(r"\bdrop\s+(?:database|schema)\s+(?:if\s+exists\s+)?[`\"'\\]*(?P<name>[^\s;`\"'\\]+)(?P<cascade>[^;]*)", re.IGNORECASE)
_CREATES = regex(r"\bcreate\s+(?:database|schema)\s+(?:if\s+not\s+exists\s+)?[`\"'\\]*(?P<name>[^\s;`\"'\\]+)", re.IGNORECASE)
_SQL_CLIENTS = listed("psql mysql mariadb mysqladmin clickhouse-client sqlcmd")
_EMPTIES_DISKS = regex(r"mkfs(?:\.\w+)?|wipefs|mke2fs|mkswap|blkdiscard")


def loss_of(argv: Sequence[str], fed: str) -> tuple[Loss, str, bool] | None:
    """What a program deletes, its name, and whether it is told to say nothing of it."""
    program = argv[0].rpartition("/")[2]
    if rest := engine_words(argv):
        return _of_engine(rest, named=not program.startswith("$"))
    if program == "dropdb":
        names = after_options(argv, listed("-h --host -p --port -U --username --maintenance-db"))
        return (Loss.DATABASE, names[-1] if names else "the database", False)
    if program in _SQL_CLIENTS:
        found = _DROP.search(" ".join((*argv[1:], fed)))
        if found and (found[0][4:].lstrip()[:8].lower() == "database" or "cascade" in found["cascade"].lower()):
            return (Loss.DATABASE, found["name"], False)
        return None
    if _EMPTIES_DISKS.fullmatch(program) and len(argv) > 1 and not (program == "wipefs" and not any(re.match(r"-\w*a|--all", word) for word in argv)):
        return (Loss.DISK, argv[-1], False)
    if program == "sgdisk" and any(word in ("-Z", "--zap-all", "-o", "--clear") for word in argv):
        return (Loss.DISK, argv[-1], False)
    return _of_rm(argv) if program == "rm" else None


def _of_engine(rest: Sequence[str], *, named: bool) -> tuple[Loss, str, bool] | None:
    verb, options = tuple(rest[:2]), [word for word in rest if word.startswith("-")]
    forced = any(re.fullmatch(r"-\w*f\w*|--force", word) for word in options)
    names = [word for word in rest[2:] if not word.startswith("-")]
    if verb in (("volume", "rm"), ("volume", "remove")):
        return (Loss.VOLUME, " ".join(names) or "a volume", forced)
    if verb == ("volume", "prune") and not any(word.startswith("--filter") for word in options):
        return (Loss.PRUNE, "every volume that no container uses", False)
    if verb == ("system", "prune") and "--volumes" in options:
        return (Loss.PRUNE, "every volume that no container uses", False)
    if rest[:1] == ["down"] and any(re.fullmatch(r"--volumes(?:=true)?|-[a-zA-Z]*v[a-zA-Z]*", word) for word in options):
        return (Loss.STACK, "every volume of the stack", False) if named or len(rest) > 1 else None
    return None


def _of_rm(argv: Sequence[str]) -> tuple[Loss, str, bool] | None:
    options = [word for word in argv[1:] if word.startswith("-")]
    if not any(re.fullmatch(r"-[a-zA-Z]*[rR][a-zA-Z]*|--recursive", word) for word in options):
        return None
    for path in argv[1:]:
        if not path.startswith("-") and _is_state(path):
            return (Loss.DIRECTORY, path, False)
    return None


def _is_state(path: str) -> bool:
    """A directory of data by its name, or all that is in one."""
    whole = path.rstrip("/").removesuffix("/*").removesuffix("/.*").rstrip("/")
    if "$(" in whole or "`" in whole or _PASSING.match(whole) or "*" in whole:
        return False
    last = posixpath.basename(whole)
    if set(words_of(whole.replace("$", " "))) & _OWN:
        return False
    if _SYSTEM_STATE.match(whole):
        return True
    if last.startswith("$"):
        return _STATE_VARIABLE.fullmatch(last) is not None
    return _STATE_NAME.fullmatch(last) is not None and "node_modules" not in whole


# ---- who looked, and who asked

_ASKS = listed("whiptail dialog zenity gum fzf")
_ASKING_NAME = regex(
    r"confirm|(?:^|_)(?:ask|prompt|sure|consent|yesno|yes_no|proceed|really|warn_and|are_you)(?:_|$|\d)|(?:^|_)read_(?:from_)?input|user_input", re.IGNORECASE
)
_SAYS_SO = listed(
    "reset uninstall destroy nuke wipe purge teardown delete drop remove rm clean cleanup clear erase prune factory restore rollback import recover recreate"
    " reinstall deinstall decommission scrub obliterate hdown reinit hard disable goodbye"
)
_GIVES_BACK = listed("restore rollback import recover revert")
_FOR_TRYING = listed(
    "test tests testing e2e ci dev demo smoke bench benchmark integration local playground sandbox example sample mock fixtures vagrant preview"
)
_ORDINARY = listed("start stop restart up update upgrade pull deploy reload reconfig reconfigure build backup migrate install run status")
_ABOUT_THE_MACHINE = regex(
    r"^!?\s*(?:\[\[?\s*)?(?:command -v|which|type|hash|\$EUID|\"?\$\{?EUID|\"?\$\(id -u|\"?\$\{?OSTYPE|\"?\$\(uname|\"?\$\(whoami|\"?\$\{?UID\b|true\b|:\s*$)"
)
_LOOKS = listed("test [ [[ grep egrep rg blkid lsblk findmnt mountpoint stat ls find pg_isready psql mysql mariadb volume_exists compgen diff cmp")


def destructions(path: str, script: Script, *, started_as: str = "") -> tuple[Destruction, ...]:
    """What a script deletes on every run, whoever starts it, in the order of its lines. `started_as` is a make target or the like."""
    names = set(words_of(posixpath.basename(path))) | set(words_of(started_as))
    if names & (_SAYS_SO | _FOR_TRYING) or set(words_of(path)) & _FOR_TRYING:
        return ()
    return tuple(_Following.of(script).found(script.statements))


@dataclass(slots=True)
class _Following:
    """One script, followed as it runs."""

    lines: CommandLines
    functions: dict[str, Function]
    made: frozenset[str]
    asked: bool = False
    calling: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, script: Script) -> _Following:
        lines = CommandLines.of(script)
        functions = {statement.name: statement for statement in walk(script.statements) if isinstance(statement, Function)}
        return cls(lines, functions, frozenset(_made(lines, script)))

    def found(self, statements: Iterable[Statement]) -> Iterator[Destruction]:
        for statement in statements:
            yield from self._statement(statement)

    def _statement(self, statement: Statement) -> Iterator[Destruction]:
        match statement:
            case Command():
                yield from self._command(statement)
            case Pipeline():
                yield from self.found(statement.stages)
            case AndOr():
                yield from self._statement(statement.left)
                if not self._looks((statement.left,)):
                    yield from self._statement(statement.right)
            case Group():
                yield from self.found(statement.body)
            case Background():
                yield from self._statement(statement.body)
            case If():
                yield from self._if(statement)
            case Loop():
                yield from self._loop(statement)
            case Case():
                yield from self._case(statement)
            case Condition() | Function() | Unparsed():
                pass

    def _if(self, choice: If) -> Iterator[Destruction]:
        conditions = [branch.condition for branch in choice.branches]
        for condition in conditions:
            yield from self.found(condition)
            self.asked = self.asked or any(self._asks(statement) for statement in walk(condition))
        if any(self._looks(condition) for condition in conditions):
            self.asked = self.asked or any(self._asks(inner) for branch in choice.branches for inner in walk((*branch.body, *choice.otherwise)))
            return
        for branch in choice.branches:
            yield from self.found(branch.body)
        yield from self.found(choice.otherwise)

    def _loop(self, loop: Loop) -> Iterator[Destruction]:
        if loop.kind in (LoopKind.WHILE, LoopKind.UNTIL):
            yield from self.found(loop.condition)
            if self._looks(loop.condition) or any(isinstance(one, Command) and _literal(one) == "read" for one in walk(loop.condition)):
                self.asked = self.asked or any(self._asks(statement) for statement in walk((*loop.condition, *loop.body)))
                return
        elif loop.kind is LoopKind.SELECT:
            self.asked = True
        elif any(isinstance(part, Substitution) for word in loop.values for part in word.parts):
            return  # over what was found to be there
        yield from self.found(loop.body)

    def _case(self, case: Case) -> Iterator[Destruction]:
        for arm in case.arms:
            said = {word for pattern in arm.patterns for word in words_of(pattern.raw)}
            if said & _ORDINARY and not said & _SAYS_SO:
                yield from self.found(arm.body)

    def _command(self, command: Command) -> Iterator[Destruction]:
        if self._asks(command):
            self.asked = True
        for word in command.words:
            for part in word.parts:
                if isinstance(part, Substitution):
                    yield from self.found(part.body)
        if self.asked:
            return
        name = _literal(command)
        if name in self.functions:
            yield from self._function(self.functions[name], [self.lines.text(word) for word in command.words[1:]])
            return
        yield from self._own(command)

    def _function(self, function: Function, arguments: Sequence[str]) -> Iterator[Destruction]:
        if function.name in self.calling or len(self.calling) > _DEEPEST or set(words_of(function.name)) & _GIVES_BACK:
            return
        self.calling.append(function.name)
        for found in self._statement(function.body):
            what = re.sub(r"\$(\d)", lambda number: _given(arguments, int(number[1])) or number[0], found.what)
            if not self._is_own(what):
                yield Destruction(loss=found.loss, what=what, command=found.command, line=found.line, forced=found.forced)
        self.calling.pop()

    def _own(self, command: Command) -> Iterator[Destruction]:
        fed = self.lines.fed(command)
        for run in self.lines.runs(command):
            if run.text:
                nested = parse(run.text, first_line=command.line)
                inner = _Following(CommandLines({**self.lines.constants, **CommandLines.of(nested).constants}), self.functions, self.made)
                yield from (found for found in inner.found(nested.statements) if not run.inside or found.loss is not Loss.DISK)
                continue
            loss = loss_of(run.argv, fed)
            if loss is None or self._is_own(loss[1]):
                continue
            yield Destruction(loss=loss[0], what=loss[1], command=shown([word.raw.strip('"') for word in command.words]), line=command.line, forced=loss[2])

    def _is_own(self, what: str) -> bool:
        """Made by this script, or named as something for the time being."""
        return what in self.made or bool(set(words_of(what.removeprefix("/dev/").replace("$", " "))) & _OWN)

    def _looks(self, condition: Sequence[Statement]) -> bool:
        """Whether a condition says something of what is there, or of what the caller wants; not of the machine alone."""
        for statement in condition:
            match statement:
                case Condition():
                    if not _ABOUT_THE_MACHINE.search(statement.raw.strip("[ (")):
                        return True
                case AndOr():
                    if self._looks((statement.left,)) or self._looks((statement.right,)):
                        return True
                case Pipeline() | Group():
                    if self._looks(statement.stages if isinstance(statement, Pipeline) else statement.body):
                        return True
                case Command():
                    if self._is_look(statement):
                        return True
                case _:
                    pass
        return False

    def _is_look(self, command: Command) -> bool:
        name = _literal(command)
        if name in self.functions and (self._looks(_body(self.functions[name])) or re.search(r"exist|has_|is_|need|should|want", name)):
            return True
        if name in _LOOKS or self._asks(command) or re.search(r"exist", name):
            return not _ABOUT_THE_MACHINE.search(" ".join(word.raw for word in command.words[1:]))
        for run in self.lines.runs(command):
            rest = engine_words(run.argv) if run.argv else []
            if rest[:2] in (["volume", "inspect"], ["volume", "ls"], ["volume", "exists"], ["volume", "list"]) or rest[:1] in (["inspect"], ["ps"], ["ls"]):
                return True
            if run.inside and run.program in _LOOKS:
                return True
        return name.startswith("$")  # `if $force`

    def _asks(self, statement: Statement) -> bool:
        """Whether a human is asked there."""
        if not isinstance(statement, Command):
            return False
        name = _literal(statement)
        if name == "read":
            return not any(
                redirect.stream in (Stream.READ, Stream.HERE_STRING, Stream.HERE_DOCUMENT) and "tty" not in redirect.target.raw
                for redirect in statement.redirects
            )
        if name in _ASKS or (name and _ASKING_NAME.search(name)):
            return True
        function = self.functions.get(name)
        return function is not None and any(isinstance(inner, Command) and _literal(inner) == "read" and self._asks(inner) for inner in walk((function.body,)))


def _given(arguments: Sequence[str], number: int) -> str:
    return arguments[number - 1] if 0 < number <= len(arguments) else ""


def _body(function: Function) -> tuple[Statement, ...]:
    return function.body.body if isinstance(function.body, Group) else (function.body,)


def _literal(command: Command) -> str:
    """The name of what runs, as it is written; `$name` for a variable."""
    if not command.words:
        return ""
    return command.words[0].literal or command.words[0].raw.strip('"').replace("{", "").replace("}", "")


def _made(lines: CommandLines, script: Script) -> Iterator[str]:
    """The volumes, databases and directories that a script makes before it deletes them."""
    gone: set[str] = set()
    for command in script.commands():
        for run in lines.runs(command):
            if not run.argv:
                continue
            if (loss := loss_of(run.argv, lines.fed(command))) is not None:
                gone.add(loss[1])
            yield from (name for name in _makes(run.argv, lines.fed(command)) if name not in gone)


def _makes(argv: Sequence[str], fed: str) -> Iterator[str]:
    program = argv[0].rpartition("/")[2]
    if engine_words(argv)[:2] == ["volume", "create"]:
        names = [word for word in engine_words(argv)[2:] if not word.startswith("-")]
        yield from names[-1:]
        yield from (after for word, after in pairwise(argv) if word == "--name")
    elif program == "createdb":
        yield from after_options(argv, listed("-h --host -p --port -U --username -O --owner -T --template -E -l"))[:1]
    elif program in _SQL_CLIENTS:
        yield from (found["name"] for found in _CREATES.finditer(" ".join((*argv[1:], fed))))
    elif program == "mkdir":
        yield from (word for word in argv[1:] if not word.startswith("-") and "-p" not in argv)
