"""Which modes and owners does a script give to which paths, in which order and under which conditions? And as whom does an image run?

Followed are assignments in the order of the lines, `${NAME:-default}` by its default, loops over words, `sh -c`, `sudo`, `find -exec`. What only running would
tell stands as `${NAME}` or `⟨...⟩`. Functions count where they are defined.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, NamedTuple

from interlock.facts.backup_tools import SHELLS, read_mode
from interlock.facts.backup_writers import UNKNOWN, listed
from interlock.facts.known_images import repository
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
    Redirect,
    Script,
    Statement,
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

TURNS = 12  # of one loop over words
DEEPEST = 4  # shells inside shells
TEMPORARY = "⟨mktemp⟩"
_DEFAULTS = (":-", "-", ":=", "=")
_DECLARES = listed("export local readonly declare typeset")
_OWNER = regex(r"(?P<owner>[^:.\s]*)(?:[:.](?P<group>\S*))?")
_ASKS_OWNER = regex(r"\bid\b|uid|\bstat\b|owner|whoami|getent|EUID|chown|\bUSER\b", re.IGNORECASE)
_CHMOD_OPTION = regex(r"-[Rcfv]+|--(?:recursive|changes|silent|quiet|verbose|preserve-root|no-preserve-root)")


class Did(StrEnum):
    """What a line does."""

    OWNER = "owner"
    MODE = "mode"
    DIRECTORY = "directory"
    FILE = "file"
    MOVED = "moved"
    USER = "user"
    ROOT = "root"  # something that only root can do


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that a line does to a path. `owner` and `group` as they are written, with known variables put in; `private`: group and others get nothing.

    `left_out` are names that a recursive change does not enter; `conditions` the texts of what is asked before. For a user that is made, `path` is its name and
    `owner` its number, empty when the system chooses. `source` is where a moved file comes from.
    """

    did: Did
    path: str
    written: str
    line: int
    owner: str = ""
    group: str = ""
    private: bool = False
    opens: bool = False
    recursive: bool = False
    left_out: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    source: str = ""

    @property
    def asks_owner(self) -> bool:
        """True when something before it looks whose the file is, or who runs."""
        return any(_ASKS_OWNER.search(condition) for condition in self.conditions)

    def covers(self, path: str) -> bool:
        """Whether it reaches a path."""
        if self.path == path:
            return True
        if not self.recursive or not is_below(path, self.path):
            return False
        below = path[len(self.path.rstrip("/")) + 1 :].split("/")
        return not any(part in self.left_out for part in below)


def is_below(path: str, ancestor: str) -> bool:
    """True for what lies below a directory, not for itself."""
    return ancestor not in ("", "/", ".") and path.startswith(ancestor.rstrip("/") + "/")


def acts(script: Script) -> tuple[Act, ...]:
    """All that a script does to modes and owners, in the order of its lines."""
    follower = _Follower()
    follower.statements(script.statements, ())
    return tuple(follower.found)


def is_number(owner: str) -> bool:
    """True for a uid."""
    return owner.isdigit()


@dataclass(slots=True)
class _Follower:
    """A walk over a script in the order of its lines."""

    found: list[Act] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    depth: int = 0

    def statements(self, statements: Iterable[Statement], conditions: tuple[str, ...]) -> None:
        for statement in statements:
            self.statement(statement, conditions)

    def statement(self, statement: Statement, conditions: tuple[str, ...]) -> None:
        match statement:
            case Command():
                self.command(statement, conditions)
            case AndOr():
                self.statement(statement.left, conditions)
                self.statement(statement.right, (*conditions, *_texts((statement.left,))))
            case If():
                self._if(statement, conditions)
            case Case():
                for arm in statement.arms:
                    self.statements(arm.body, (*conditions, statement.word.raw, *(pattern.raw for pattern in arm.patterns)))
            case Loop():
                self._loop(statement, conditions)
            case Group():
                self.statements(statement.body, conditions)
                self._redirects(statement.redirects, conditions)
            case Function() | Background():
                self.statement(statement.body, conditions)
            case Pipeline():
                self.statements(statement.stages, conditions)
            case Condition() | Unparsed():
                return

    def _if(self, choice: If, conditions: tuple[str, ...]) -> None:
        asked: tuple[str, ...] = ()
        for branch in choice.branches:
            self.statements(branch.condition, (*conditions, *asked))
            asked = (*asked, *_texts(branch.condition))
            self.statements(branch.body, (*conditions, *asked))
        self.statements(choice.otherwise, (*conditions, *asked))

    def _loop(self, loop: Loop, conditions: tuple[str, ...]) -> None:
        values = [self.text(value) for value in loop.values]
        if loop.kind is LoopKind.FOR and values and loop.variable and len(values) <= TURNS:
            for value in values:
                self.known[loop.variable] = value
                self.statements(loop.body, conditions)
            self.known.pop(loop.variable, None)
            return
        self.known.pop(loop.variable, None)
        self.statements(loop.condition, conditions)
        self.statements(loop.body, (*conditions, *_texts(loop.condition)))

    # ---- words

    def text(self, word: Word | None) -> str:
        """A word with what is known put in."""
        return "".join(self._part(part) for part in word.parts) if word is not None else ""

    def _part(self, part: object) -> str:
        match part:
            case Text():
                return part.text
            case Variable():
                if part.name in self.known and part.operator in ("", *_DEFAULTS, ":?", "?"):
                    return self.known[part.name]
                if part.argument is not None and part.operator in _DEFAULTS and (default := self.text(part.argument)):
                    return default
                return f"${{{part.name}}}"
            case Substitution(body=body):
                runs = [one.words[0].literal for one in walk(body) if isinstance(one, Command) and one.words]
                return TEMPORARY if "mktemp" in runs else "⟨⟩"
            case _:
                return "⟨⟩"

    def path(self, text: str) -> str:
        """A path without doubled slashes and dots."""
        return posixpath.normpath(text) if text else ""

    # ---- commands

    def command(self, command: Command, conditions: tuple[str, ...]) -> None:
        declares = bool(command.words) and command.words[0].literal in _DECLARES
        if not command.words or declares:
            for assignment in command.assignments:
                self.known[assignment.name] = self.text(assignment.value)
        self._redirects(command.redirects, conditions)
        for word in command.words:
            for part in word.parts:
                if isinstance(part, Substitution):
                    _Follower(found=self.found, known=dict(self.known), depth=self.depth).statements(part.body, conditions)
        words = [self.text(word) for word in command.words]
        if words and not declares:
            self._run(words, command, conditions)

    def _redirects(self, redirects: Sequence[Redirect], conditions: tuple[str, ...]) -> None:
        for redirect in redirects:
            if redirect.creates and redirect.fd in (1, -1) and not (text := self.text(redirect.target)).startswith(("/dev/", "&")):
                self.add(_Given((), (), redirect.line, conditions), Did.FILE, text, redirect.target.raw)

    def _run(self, words: list[str], command: Command, conditions: tuple[str, ...]) -> None:
        raws = [word.raw for word in command.words]
        while words and posixpath.basename(words[0]) in ("sudo", "command", "exec", "doas", "builtin", "nohup"):
            if posixpath.basename(words[0]) in ("sudo", "doas"):
                self.add(_Given((), (), command.line, conditions), Did.ROOT, "", words[0])
            skip = 1
            while skip < len(words) and words[skip].startswith("-"):
                skip += 2 if words[skip] in ("-u", "-g", "--user", "--group") else 1
            words, raws = words[skip:], raws[skip:]
        if not words:
            return
        name = posixpath.basename(words[0])
        reader = _COMMANDS.get(name)
        if reader is not None:
            reader(self, _Given(tuple(words), tuple(raws), command.line, conditions))
        elif name in SHELLS and "-c" in words and self.depth < DEEPEST and words.index("-c") + 1 < len(words):
            text = words[words.index("-c") + 1].replace("$$", "$")
            inner = _Follower(found=self.found, known=dict(self.known), depth=self.depth + 1)
            inner.statements(parse(text, first_line=command.line).statements, conditions)
        elif name in _ROOTS:
            self.add(_Given((), (), command.line, conditions), Did.ROOT, "", name)

    def add(self, given: _Given, did: Did, path: str, written: str, **more: Any) -> None:
        """Keep what a line does."""
        self.found.append(Act(did=did, path=self.path(path), written=_unquoted(written), line=given.line, conditions=given.conditions, **more))


class _Given(NamedTuple):
    """One command line: its words as far as they are known, as they are written, and where it stands."""

    words: tuple[str, ...]
    raws: tuple[str, ...]
    line: int
    conditions: tuple[str, ...]


@dataclass(slots=True)
class _Owner:
    """Whom something is given to."""

    name: str
    group: str
    recursive: bool = False
    left_out: tuple[str, ...] = ()


_ROOTS = listed("useradd groupadd usermod systemctl apt-get apt yum dnf apk mount mkfs.ext4 mkfs sysctl setfacl chattr update-ca-certificates")


def _unquoted(raw: str) -> str:
    return raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"" else raw


def _texts(statements: Iterable[Statement]) -> tuple[str, ...]:
    """What a condition says: its words, and those of the programs that it runs."""
    found = []
    for statement in walk(statements):
        if isinstance(statement, Condition):
            found.append(statement.raw)
        elif isinstance(statement, Command):
            found.append(" ".join(word.raw for word in statement.words))
    return tuple(found)


def _chown(run: _Follower, given: _Given) -> None:
    options = [word for word in given.words[1:] if word.startswith("-") and word != "-"]
    rest = [(word, raw) for word, raw in zip(given.words[1:], given.raws[1:], strict=True) if word not in options]
    if len(rest) < 2 or any(option.startswith("--reference") for option in options):
        return
    owner = _Owner(*_owner(rest[0][0]))
    owner.recursive = _is_recursive(options)
    for path, raw in rest[1:]:
        _owned(run, given, path, raw, owner)


def _owner(text: str) -> tuple[str, str]:
    if "⟨" in text or "${" in text:
        user, _, group = text.partition(":")
        return user, group
    found = _OWNER.fullmatch(text)
    return (found["owner"], found["group"] or "") if found else ("", "")


def _owned(run: _Follower, given: _Given, path: str, raw: str, owner: _Owner) -> None:
    whole = path.endswith("/*") and len(path) > 2
    plain = path[:-2] if whole else path
    run.add(given, Did.OWNER, plain, raw, owner=owner.name, group=owner.group, recursive=owner.recursive or whole, left_out=owner.left_out)


def _is_recursive(options: Iterable[str]) -> bool:
    return any(option == "--recursive" or re.fullmatch(r"-[a-zA-Z]*R[a-zA-Z]*", option) for option in options)


def _chmod(run: _Follower, given: _Given) -> None:
    options = [word for word in given.words[1:] if _CHMOD_OPTION.fullmatch(word)]
    rest = [(word, raw) for word, raw in zip(given.words[1:], given.raws[1:], strict=True) if word not in options]
    change = read_mode(rest[0][0]) if len(rest) > 1 else None
    if change is None:
        return
    for path, raw in rest[1:]:
        run.add(given, Did.MODE, path, raw, private=change.private, opens=not change.private, recursive=_is_recursive(options))


def _mkdir(run: _Follower, given: _Given) -> None:
    mode, skip = "", False
    for index, (word, raw) in enumerate(zip(given.words[1:], given.raws[1:], strict=True), 1):
        if skip:
            skip = False
        elif word in ("-m", "--mode") or re.fullmatch(r"-[pv]+m", word):
            mode, skip = given.words[index + 1] if index + 1 < len(given.words) else "", True
        elif word.startswith(("--mode=", "-m")):
            mode = word.removeprefix("--mode=").removeprefix("-m")
        elif not word.startswith("-"):
            for one in dict.fromkeys(_braces(word)):
                run.add(given, Did.DIRECTORY, one, raw)
                _with_mode(run, given, one, raw, mode)


def _braces(word: str) -> Iterator[str]:
    """`/data/{a,b}` is two."""
    found = re.search(r"\{([^{}$]*,[^{}]*)\}", word)
    if found is None:
        yield word
        return
    for part in found[1].split(","):
        yield from _braces(word[: found.start()] + part + word[found.end() :])


def _with_mode(run: _Follower, given: _Given, path: str, raw: str, mode: str) -> None:
    change = read_mode(mode) if mode else None
    if change is not None:
        run.add(given, Did.MODE, path, raw, private=change.private, opens=not change.private)


def _install(run: _Follower, given: _Given) -> None:
    """install(1): `-d` makes directories; the owner is set with the mode."""
    valued = {"-m": "mode", "--mode": "mode", "-o": "owner", "--owner": "owner", "-g": "group", "--group": "group", "-t": "", "-S": ""}
    asked: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    directory, waits = False, None
    for word, raw in zip(given.words[1:], given.raws[1:], strict=True):
        if waits is not None:
            asked[waits], waits = word, None
        elif word in valued:
            waits = valued[word]
        elif word.startswith("--") and "=" in word:
            asked[valued.get(word.partition("=")[0], "")] = word.partition("=")[2]
        elif re.fullmatch(r"-m[0-7]+", word):
            asked["mode"] = word[2:]
        elif word.startswith("-") and len(word) > 1:
            directory = directory or word == "--directory" or ("d" in word and not word.startswith("--"))
        else:
            rest.append((word, raw))
    for path, raw in rest if directory else rest[-1:] if len(rest) > 1 else ():
        for one in dict.fromkeys(_braces(path)):
            run.add(given, Did.DIRECTORY if directory else Did.FILE, one, raw)
            if asked.get("owner"):
                _owned(run, given, one, raw, _Owner(asked["owner"], asked.get("group", "")))
            _with_mode(run, given, one, raw, asked.get("mode", ""))


def _moves(run: _Follower, given: _Given) -> None:
    rest = [(word, raw) for word, raw in zip(given.words[1:], given.raws[1:], strict=True) if not word.startswith("-")]
    if len(rest) == 2:
        target = rest[1][0] + posixpath.basename(rest[0][0]) if rest[1][0].endswith("/") else rest[1][0]
        run.add(given, Did.MOVED if given.words[0].endswith("mv") else Did.FILE, target, rest[1][1], source=run.path(rest[0][0]))


def _find(run: _Follower, given: _Given) -> None:
    """`find DIR ... ! -name x -exec chown -R 1:1 {} +`."""
    if "-exec" not in given.words or len(given.words) < 2:
        return
    at = given.words.index("-exec")
    inner = given.words[at + 1 :]
    if not inner or posixpath.basename(inner[0]) != "chown":
        return
    owner = next((word for word in inner[1:] if not word.startswith("-") and word != "{}"), "")
    left_out = tuple(
        given.words[index + 2]
        for index, word in enumerate(given.words[:at])
        if word in ("!", "-not") and index + 2 < at and given.words[index + 1] in ("-name", "-path")
    )
    names = tuple(posixpath.basename(name.rstrip("/*")) for name in left_out)
    pruned = tuple(
        posixpath.basename(given.words[index + 1].rstrip("/*"))
        for index, word in enumerate(given.words[:at])
        if word in ("-path", "-name") and "-prune" in given.words[index:at]
    )
    if not any(word in ("-user", "-uid") for word in given.words[:at]):
        _owned(run, given, given.words[1], given.raws[1], _Owner(*_owner(owner), recursive=True, left_out=(*names, *pruned)))


def _useradd(run: _Follower, given: _Given) -> None:
    number, waits = "", False
    name = ""
    for word in given.words[1:]:
        if waits:
            number, waits = word, False
        elif word in ("-u", "--uid"):
            waits = True
        elif word.startswith("--uid="):
            number = word.removeprefix("--uid=")
        elif re.fullmatch(r"-[a-zA-Z]*u", word) and not word.startswith("--"):
            waits = True
        elif not word.startswith("-"):
            name = word
    run.add(given, Did.ROOT, "", given.words[0])
    if name:
        run.found.append(Act(did=Did.USER, path=name, written=name, line=given.line, owner=number, conditions=given.conditions))


def _writes(run: _Follower, given: _Given) -> None:
    """`tee`, `touch`: each operand is a file."""
    for word, raw in zip(given.words[1:], given.raws[1:], strict=True):
        if not word.startswith("-"):
            run.add(given, Did.FILE, word, raw)


_COMMANDS = {
    "chown": _chown, "chmod": _chmod, "mkdir": _mkdir, "install": _install, "mv": _moves, "cp": _moves, "find": _find,
    "useradd": _useradd, "adduser": _useradd, "touch": _writes, "tee": _writes,
}  # fmt: skip


# ---- as whom an image runs

_USER = regex(r"^[ \t]*USER[ \t]+[\"']?(?P<user>[^\s\"']+)", re.MULTILINE | re.IGNORECASE)
_FROM = regex(r"^[ \t]*FROM[ \t]+", re.MULTILINE | re.IGNORECASE)
_ARGUMENT = regex(r"^[ \t]*(?:ARG|ENV)[ \t]+(?P<name>\w+)[= ][\"']?(?P<value>[\w.-]+)", re.MULTILINE | re.IGNORECASE)
_PINS = regex(r"(?:useradd|adduser)\b(?P<words>[^\n;&|]*(?:\\\n[^\n;&|]*)*)")

_RUNS_AS: Mapping[str, int] = {
    "grafana/grafana": 472, "grafana/grafana-oss": 472, "grafana/grafana-enterprise": 472, "grafana/loki": 10001, "grafana/tempo": 10001,
    "prom/prometheus": 65534, "prom/alertmanager": 65534, "elasticsearch": 1000, "elasticsearch/elasticsearch": 1000, "kibana/kibana": 1000,
    "opensearchproject/opensearch": 1000, "jenkins/jenkins": 1000, "nodered/node-red": 1000, "n8nio/n8n": 1000, "sonarqube": 1000, "keycloak/keycloak": 1000,
    "nginxinc/nginx-unprivileged": 101, "dpage/pgadmin4": 5050, "mssql/server": 10001, "confluentinc/cp-kafka": 1000, "confluentinc/cp-zookeeper": 1000,
    "apache/kafka": 1000, "bitnami/postgresql": 1001, "bitnami/redis": 1001, "bitnami/kafka": 1001, "bitnami/mariadb": 1001, "bitnami/mongodb": 1001,
    "bitnami/minio": 1001, "bitnami/rabbitmq": 1001, "mattermost/mattermost-team-edition": 2000, "mattermost/mattermost-enterprise-edition": 2000,
    "sonatype/nexus3": 200, "solr": 8983,
}  # fmt: skip
"""Images that run as a user of their own from their first process on. Source: their Dockerfiles."""

_DATA_OWNER: Mapping[str, frozenset[int]] = {
    "postgres": frozenset({999, 70}), "postgis/postgis": frozenset({999, 70}), "pgvector/pgvector": frozenset({999}),
    "timescale/timescaledb": frozenset({70, 1000}),
    "mysql": frozenset({999, 27}), "mariadb": frozenset({999}), "percona": frozenset({1001}), "mongo": frozenset({999}),
    "redis": frozenset({999}), "valkey/valkey": frozenset({999}), "rabbitmq": frozenset({999, 100}), "clickhouse/clickhouse-server": frozenset({101}),
    "elasticsearch": frozenset({1000}), "elasticsearch/elasticsearch": frozenset({1000}), "opensearchproject/opensearch": frozenset({1000}),
    "cassandra": frozenset({999}), "couchdb": frozenset({5984}), "influxdb": frozenset({1000}), "grafana/grafana": frozenset({472}),
    "prom/prometheus": frozenset({65534}), "bitnami/postgresql": frozenset({1001}), "zookeeper": frozenset({1000}), "solr": frozenset({8983}),
}  # fmt: skip
"""Engines whose data belongs to a user of theirs: the numbers by the variants of the image (Debian's, Alpine's). Source: their Dockerfiles."""
_ALPINE: Mapping[str, int] = {"postgres": 70, "postgis/postgis": 70, "rabbitmq": 100}
_STRICT = frozenset({"postgres", "postgis/postgis", "pgvector/pgvector", "timescale/timescaledb", "bitnami/postgresql"})


def runs_as(image: str) -> int | None:
    """The uid that a well-known image runs as; None when it starts as root, or is not known."""
    return _RUNS_AS.get(repository(image))


def data_owners(image: str) -> frozenset[int]:
    """The uids that the data of an engine can belong to, by the variant of its image where its tag says one; empty when it is none of the table."""
    name = repository(image)
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if name in _ALPINE and tag and "interlock-placeholder" not in tag:
        return frozenset({_ALPINE[name]}) if "alpine" in tag else _DATA_OWNER[name] - {_ALPINE[name]}
    return _DATA_OWNER.get(name, frozenset())


def is_strict(image: str) -> bool:
    """True for an engine that does not start when others may read its data."""
    return repository(image) in _STRICT


def user_of_dockerfile(text: str) -> int | None:
    """The uid that an image runs as by its Dockerfile's last stage; None for root, for a name without a number, and where an entry point changes user."""
    last = [found.start() for found in _FROM.finditer(text)]
    stage = text[last[-1] :] if last else text
    users = [found["user"] for found in _USER.finditer(stage)]
    if not users:
        return None
    values = {found["name"]: found["value"] for found in _ARGUMENT.finditer(text)}
    user = re.sub(r"\$\{?(\w+)(?::-[^}]*)?\}?", lambda found: values.get(found[1], found[0]), users[-1]).partition(":")[0]
    if user.isdigit():
        return int(user) or None
    for found in _PINS.finditer(text):
        words = found["words"].replace("\\\n", " ").split()
        if user in words:
            number = _uid_in(words, values)
            if number is not None:
                return number
    return 1000 if user == "node" and re.search(r"^[ \t]*FROM[ \t]+(?:\S+/)?node[:@ \n]", text, re.MULTILINE | re.IGNORECASE) else None


def _uid_in(words: Sequence[str], values: Mapping[str, str]) -> int | None:
    for index, word in enumerate(words):
        given = words[index + 1] if word in ("-u", "--uid") and index + 1 < len(words) else word.removeprefix("--uid=") if word.startswith("--uid=") else ""
        number = re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], found[0]), given).strip("\"'")
        if number.isdigit():
            return int(number)
    return None


def is_unknown(path: str) -> bool:
    """True for a path that begins with what only running would tell."""
    return path.startswith(("⟨", "${")) or UNKNOWN.fullmatch(path) is not None
