"""What in a script holds on one host alone? A compose project's name written out, a filter that eats characters of it, the engine's data root.

The project's name is the operator's: a folder, COMPOSE_PROJECT_NAME, `-p`. The engine's root is `data-root` in daemon.json, another one for podman and
for rootless engines. Both are asked for: `docker compose config --format json`, `docker volume inspect --format '{{.Mountpoint}}'`, `docker info`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from interlock.facts.backup_writers import listed
from interlock.facts.commandlines import CommandLines, engine_words
from interlock.facts.shell import Assignment, Command, Loop, Pipeline, Script, Statement, Stream, Word, walk
from interlock.nouns import dataclass
from interlock.patterns import regex


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What compose makes of a tree's files: keys that get the project's name in front, and the names that the project may have here."""

    names: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()  # names that a script of the tree gives the project itself: they hold wherever it is run
    fixed: frozenset[str] = frozenset()  # whole names that somebody makes as they stand, `docker volume create shop_data`


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLiteral:
    """One place in a script. `kind` is what is written out; `text` what a reader finds there; `why` ends the sentence."""

    kind: str
    text: str
    line: int
    why: str


# ---- the engine's root

ENGINE_ROOT = regex(rb"/var/lib/(?:docker|containers/storage)/volumes|/var/snap/docker/common/var-lib-docker/volumes")
_VOLUME_PATH = regex(r"(?:/var/lib/(?:docker|containers/storage)|/var/snap/docker/common/var-lib-docker)/volumes(?:/[^\s:\"';,)]*)?")
_ASKED = regex(r"DockerRootDir|\.Mountpoint|volumePath|graphRoot", re.IGNORECASE)
_ONLY_TELLS = listed("echo printf log info warn error df du ls grep die fail usage print_info print_warning log_info log_warn log_error logger")


def engine_roots(script: Script) -> Iterator[HostLiteral]:
    """Each path below the engine's own directory of volumes that a command gets, or a variable for it. Nothing where the script asks the engine."""
    if any(_ASKED.search(word.raw) for command in script.commands() for word in _words(command)):
        return
    for command in script.commands():
        if command.words and (command.words[0].literal or "") in _ONLY_TELLS:
            continue
        for word in _words(command):
            for found in _VOLUME_PATH.finditer(word.raw):
                if "exclude" not in word.raw and not _is_default(word.raw, found.start()):
                    yield HostLiteral(kind="engine-root", text=found[0], line=word.line, why="the engine's data may lie elsewhere")


def _is_default(raw: str, at: int) -> bool:
    return re.search(r"\$\{\w+:?[-=]$", raw[:at]) is not None


def _words(command: Command) -> Iterator[Word]:
    yield from command.words
    yield from (given.value for given in command.assignments if given.value is not None)
    yield from (redirect.target for redirect in command.redirects if redirect.stream is not Stream.HERE_DOCUMENT)


# ---- the project's name, filtered

ABOUT_PROJECTS = regex(rb"project|_prj|prj_", re.IGNORECASE)
_PROJECT_VARIABLE = regex(r"\$\{?(?P<name>\w*(?:PROJECT|PRJ)\w*)", re.IGNORECASE)
_IS_PROJECT = regex(r"\w*(?:PROJECT|PRJ)\w*", re.IGNORECASE)
_NOT_ITS_NAME = regex(r"DIR|PATH|ROOT|FILE|ID\b|URL|VERSION|SLUG|TITLE|DOMAIN", re.IGNORECASE)
_REPLACED = regex(r"\$\{(?P<name>\w+)//(?P<pattern>(?:\[[^]]*\]|[^/{}\[])+)(?:/(?P<by>[^}]*))?\}")
_SED = regex(r"s(?P<mark>[/|#,:])(?P<pattern>.+?)(?P=mark)(?P=mark)(?P<flags>[a-zA-Z]*)")
_KEPT = "abcdefghijklmnopqrstuvwxyz0123456789_-"
_CLASS = regex(r"\[:(\w+):\]")
_CLASSES: Mapping[str, str] = {
    "alnum": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "alpha": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "lower": "abcdefghijklmnopqrstuvwxyz",
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digit": "0123456789",
    "punct": "_-!\"#$%&'()*+,./:;<=>?@[]^`{|}~",
    "space": " \t\r\n",
    "blank": " \t",
}


def name_filters(script: Script) -> Iterator[HostLiteral]:
    """Each place where a filter takes characters out of a project's name that compose leaves in it."""
    for statement in walk(script.statements):
        if isinstance(statement, Pipeline) and len(statement.stages) > 1 and _is_about_project(_raw(statement.stages[0])):
            for stage in statement.stages[1:]:
                yield from _of_filter(stage)
        if isinstance(statement, Command):
            if any(redirect.stream is Stream.HERE_STRING and _is_about_project(redirect.target.raw) for redirect in statement.redirects):
                yield from _of_filter(statement)
            for assignment in statement.assignments:
                yield from _of_replacement(assignment)
                if _IS_PROJECT.fullmatch(assignment.name) and not _NOT_ITS_NAME.search(assignment.name) and assignment.value is not None:
                    yield from _of_folder(assignment.value)


def _is_about_project(raw: str) -> bool:
    return any(not _NOT_ITS_NAME.search(found["name"]) for found in _PROJECT_VARIABLE.finditer(raw))


def _of_folder(value: Word) -> Iterator[HostLiteral]:
    """`PROJECT=$(basename "$PWD" | tr -d -)`: what compose does itself, done differently."""
    for part in value.parts:
        for statement in walk(getattr(part, "body", ())):
            if isinstance(statement, Pipeline) and not _is_about_project(_raw(statement.stages[0])) and re.search(r"basename|pwd|PWD", _raw(statement)):
                for stage in statement.stages[1:]:
                    yield from _of_filter(stage)


def _of_filter(stage: Statement) -> Iterator[HostLiteral]:
    if not isinstance(stage, Command) or not stage.words:
        return
    lines = CommandLines({})
    argv = lines.words(stage)
    program = argv[0].rpartition("/")[2]
    if program == "tr":
        lost = _lost_by_tr(argv[1:])
    elif program == "sed":
        lost = "".join(_lost_by_pattern(found["pattern"]) for word in argv[1:] for found in _SED.finditer(word) if "g" in found["flags"])
    else:
        return
    if lost:
        yield HostLiteral(kind="name-filter", text=" ".join(" ".join(argv).split()), line=stage.line, why=f"it drops {_named(lost)}, which compose keeps")


def _of_replacement(assignment: Assignment) -> Iterator[HostLiteral]:
    if assignment.value is None:
        return
    for found in _REPLACED.finditer(assignment.value.raw):
        if found["by"] or not _IS_PROJECT.fullmatch(found["name"]) or _NOT_ITS_NAME.search(found["name"]):
            continue
        if lost := _lost_by_pattern(found["pattern"].replace("\\", "")):
            yield HostLiteral(kind="name-filter", text=found[0], line=assignment.line, why=f"it drops {_named(lost)}, which compose keeps")


def _lost_by_tr(words: tuple[str, ...]) -> str:
    """The characters of a project's name that `tr -d` takes out; all others of tr change and do not drop."""
    options = "".join(word.lstrip("-") for word in words if word.startswith("-") and len(word) > 1)
    options += "d" if "--delete" in words else ""
    sets = [word for word in words if not word.startswith("-") or word == "-"]
    if "d" not in options or len(sets) != 1:
        return ""
    named = _of_set(sets[0])
    complement = "c" in options.lower() or "complement" in options
    return "".join(character for character in _KEPT if (character in named) is not complement)


def _of_set(text: str) -> frozenset[str]:
    """The characters of a set of tr: ranges, classes, and brackets that stand for themselves."""
    found: set[str] = set()
    for name in _CLASS.findall(text):
        found.update(_CLASSES.get(name, ""))
    text = _CLASS.sub("", text)
    text = text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")
    index = 0
    while index < len(text):
        if text[index + 1 : index + 2] == "-" and index + 2 < len(text) and text[index] <= text[index + 2]:
            found |= {chr(code) for code in range(ord(text[index]), ord(text[index + 2]) + 1)}
            index += 3
        else:
            found.add(text[index])
            index += 1
    return frozenset(found)


def _lost_by_pattern(pattern: str) -> str:
    """The characters that `s/pattern//g` or `${x//pattern}` takes out, where the pattern is about single ones."""
    bracket = re.fullmatch(r"\\?\[(?P<not>[!^])?(?P<set>(?:\[:\w+:\]|[^]])+)\](?:\\?[+*]|\{1,\})?", pattern)
    if bracket is None:
        return pattern if len(pattern) == 1 and pattern in _KEPT else ""
    named = _of_set(bracket["set"])
    return "".join(character for character in _KEPT if (character in named) is not bool(bracket["not"]))


def _named(lost: str) -> str:
    """The lost characters in words."""
    parts = [word for word, every in (("letters", _CLASSES["lower"]), ("digits", _CLASSES["digit"])) if set(every) <= set(lost)]
    parts += [f"`{character}`" for character in "_-" if character in lost]
    return " and ".join(parts) or "characters"


# ---- the project's name, written out

NAMES = regex(rb"volume|network|/_data|docker|podman|compose")
_CONTAINER_VERBS = listed("exec cp logs inspect start stop restart rm kill wait port top stats commit export")
_SETS_PROJECT = regex(
    r"\bcompose\b[^\n|;&]*?\s(?:-p|--project-name)[ =][\"']?(?P<option>[a-z0-9][a-z0-9_-]*)|\bCOMPOSE_PROJECT_NAME=[\"']?(?P<variable>[a-z0-9][a-z0-9_-]*)"
)
_PARTS = regex(r"^(?P<prefix>[a-z0-9][a-z0-9_-]*?)(?P<between>[_-])(?P<key>[A-Za-z0-9][\w.-]*)$")
_PLAIN_KEYS = listed(
    "data db default state config cache logs log media static backup backups test app web postgres redis mysql uploads storage backend frontend internal"
)


def sets_project(text: str) -> frozenset[str]:
    """The names that a text gives the project itself."""
    return frozenset(found["option"] or found["variable"] for found in _SETS_PROJECT.finditer(text))


def made_names(script: Script) -> Iterator[str]:
    """The volumes and networks that a script creates by a literal name: they are what they are called."""
    lines = CommandLines.of(script)
    for command in script.commands():
        for run in lines.runs(command):
            rest = engine_words(run.argv) if run.argv else []
            if rest[:2] in (["volume", "create"], ["network", "create"]):
                yield from (word for word in rest[2:] if not word.startswith(("-", "$")))
                yield from (word.partition("=")[2] for word in rest[2:] if word.startswith("--name="))


def project_names(script: Script, project: Project) -> Iterator[HostLiteral]:
    """Each name of a volume, network or container of the stack that has the project's name written out in front."""
    lines = CommandLines.of(script)
    for command in script.commands():
        if command.words and (command.words[0].literal or "") in _ONLY_TELLS:
            continue
        for word in (*(one for one in _words(command)),):
            for found in re.finditer(r"/volumes/(?P<name>[a-z0-9][\w.-]*)(?:/|$)", word.raw):
                yield from _named_so(found["name"], "volume", project.volumes, word.line, project)
        for run in lines.runs(command):
            rest = engine_words(run.argv) if run.argv else []
            for name, sort, keys in _names_in(rest, project):
                yield from _named_so(name, sort, keys, command.line, project)
    for statement in walk(script.statements):
        if isinstance(statement, Loop):
            for value in statement.values:
                if value.literal and "_" in value.literal:
                    yield from _named_so(value.literal, "volume", project.volumes, value.line, project)


def _names_in(rest: list[str], project: Project) -> Iterator[tuple[str, str, frozenset[str]]]:
    """The words of an engine's command line that name something, what it is, and the keys that it may have in compose files."""
    if rest[:1] == ["volume"] and rest[1:2] != ["create"]:
        yield from ((word.rpartition("name=")[2].strip("^$"), "volume", project.volumes) for word in rest[2:])
    elif rest[:1] == ["network"] and rest[1:2] != ["create"]:
        yield from ((word.rpartition("name=")[2].strip("^$"), "network", project.networks) for word in rest[2:])
    elif rest[:1] == ["run"] and "--rm" in rest:  # a tool on somebody else's volume; without --rm it is a container of its own
        for option, value in zip(rest, (*rest[1:], ""), strict=False):
            if option in ("-v", "--volume"):
                yield value.partition(":")[0], "volume", project.volumes
            elif option in ("--network", "--net") or option.startswith(("--network=", "--net=")):
                yield (option.partition("=")[2] or value), "network", project.networks
            elif option == "--mount" or option.startswith("--mount="):
                yield from (
                    (part.partition("=")[2], "volume", project.volumes) for part in f"{option},{value}".split(",") if part.startswith(("source=", "src="))
                )
            elif option.startswith(("--volume=", "-v=")):
                yield option.partition("=")[2].partition(":")[0], "volume", project.volumes
    elif rest and rest[0] in _CONTAINER_VERBS:
        yield from ((word.partition(":")[0], "container", project.services) for word in rest[1:4])


def _named_so(name: str, sort: str, keys: frozenset[str], line: int, project: Project) -> Iterator[HostLiteral]:
    if name in keys or name in project.fixed or "$" in name:
        return
    key = _key_of(name, sort, keys, project)
    if key:
        prefix = name[: -len(key) - 1] if sort != "container" else _PARTS.sub(lambda found: found["prefix"], name)
        yield HostLiteral(kind=f"{sort}-of-a-project", text=name, line=line, why=f"its first part, {prefix.rstrip('_-')}, is the project's name on one host")


def _key_of(name: str, sort: str, keys: frozenset[str], project: Project) -> str:
    """The key of a compose file that a name ends with, behind a prefix that may be a project's; empty for other names."""
    if sort == "container":
        found = re.fullmatch(r"(?P<rest>.+)(?P<between>[_-])\d+", name)
        if found is None:
            return ""
        rest, mark = found["rest"], found["between"]
    else:
        rest, mark = name, "_"
    for key in sorted(keys, key=len, reverse=True):
        prefix, between, last = rest[: -len(key) - 1], rest[-len(key) - 1 : -len(key)], rest[-len(key) :]
        if last == key and between == mark and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", prefix):
            if prefix in project.called:
                return ""
            known = prefix in project.names
            return key if known or (key not in _PLAIN_KEYS and len(key) > 4 and sort != "container") else ""
    return ""


def _raw(statement: Statement) -> str:
    return " ".join(
        " ".join((*(word.raw for word in one.words), *(redirect.target.raw for redirect in one.redirects)))
        for one in walk((statement,))
        if isinstance(one, Command)
    )
