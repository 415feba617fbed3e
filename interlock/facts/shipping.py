"""Which files of a tree are brought to a host, one by one, and which others do those name? The nouns of deliveries, and what shell says of them.

A delivery is a list of single files: a Dockerfile that stages them for the host, a script that downloads or copies them, an archive that is packed of them.
Whoever copies a whole directory forgets nothing in it. `interlock.observe.shipping` finds the lists in a tree.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from interlock.facts.programs import Unreadable
from interlock.facts.shell import Command, Loop, Script, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

Resolve = Callable[[str, str], str | None]
"""The file of the tree that a name means where it stands (its folder), None when there is none or several."""

_ARRAY = regex(r"\A\((?P<words>.*)\)\Z", re.DOTALL)
_ARRAY_WORD = regex(r"\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"'#]+)|#[^\n]*")
_LOOP_VARIABLE = regex(r"\$\{?(\w+)\}?$")
_WHOLE_ARRAY = regex(r"\$\{(\w+)\[[@*]\]\}|^\$(\w+)$|^\$\{(\w+)\}$")
COMPOSE_FILE = regex(r"(?<![\w./*?{}$-])(?:\./)?((?:[\w-]+/)*(?:docker-)?compose(?:[.-][\w-]+)*\.ya?ml)(?![\w.-])")
_COMMENT = regex(r"(?m)(?:^|(?<=\s))#(?![!{]).*$")
_EXISTS = r"\[\[?\s+(?:!\s+)?-[efrs]\s+[\"']?[^\s\"']*{name}[\"']?\s+\]"


class Way(StrEnum):
    """How files come to the host."""

    STAGED = "staged"  # an image carries them, and the host takes them out of it
    FETCHED = "fetched"  # downloaded one by one
    COPIED = "copied"  # by cp, install, scp, rsync or an archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One list: the files that `path` brings to a host, as paths of the tree, and where the list stands. `folders` come whole; `written` are the base names
    of what it writes, or otherwise takes care of, itself."""

    path: str
    line: int
    way: Way
    files: frozenset[str]
    folders: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()

    def brings(self, file: str) -> bool:
        """Whether a file of the tree is in it."""
        return file in self.files or any(folder in ("", ".") or file.startswith(f"{folder}/") for folder in self.folders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A file of the tree that a delivered file names. `why` says as what; `guarded` when it is used only where it exists."""

    by: str
    line: int
    file: str
    why: str
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """All lists of a tree, and what the delivered files name. `unreadable` are the scripts that may hold more."""

    lists: tuple[Delivery, ...]
    mentions: tuple[Mention, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


# ---- what a script brings


def deliveries_of(path: str, script: Script, resolve: Resolve) -> Iterator[Delivery]:
    """The files that a script downloads or copies to where a stack runs, each way its own list."""
    arrays = _arrays(script)
    found: dict[Way, dict[str, int]] = {}
    folders: dict[Way, set[str]] = {}
    for command, loops in _commands(script):
        way = _way(command)
        if way is None:
            continue
        for word in command.words[1:]:
            for name in _names(word.raw.strip("\"'"), loops, arrays):
                if file := resolve(name, posixpath.dirname(path)):
                    found.setdefault(way, {}).setdefault(file, command.line)
                elif way is not Way.FETCHED and name.rstrip("/"):
                    folders.setdefault(way, set()).add(posixpath.normpath(name))
    written = frozenset(_written(script)) if found else frozenset()
    for way, files in found.items():
        yield Delivery(path=path, line=min(files.values()), way=way, files=frozenset(files), folders=frozenset(folders.get(way, ())), written=written)


def _written(script: Script) -> Iterator[str]:
    """The base names of what a script writes, moves, links or edits."""
    for command in script.commands():
        targets = [redirect.target for redirect in command.redirects if redirect.creates]
        name = posixpath.basename(command.words[0].raw) if command.words else ""
        if name in ("cp", "mv", "ln", "tee", "touch", "sed", "envsubst", "install", "mkdir", "git", "unzip", "openssl"):
            targets += command.words[1:]
        yield from (posixpath.basename(target.raw.strip("\"'").rstrip("/")) for target in targets)


def _commands(script: Script) -> Iterator[tuple[Command, Mapping[str, Loop]]]:
    """Every command, with the loops around it by their variable."""
    loops: dict[str, Loop] = {}
    for statement in walk(script.statements):
        if isinstance(statement, Loop) and statement.variable:
            loops[statement.variable] = statement
        elif isinstance(statement, Command) and statement.words:
            yield statement, loops


def _way(command: Command) -> Way | None:
    words = [word.literal or "" for word in command.words]
    name = posixpath.basename(words[0])
    if name == "sudo" and len(words) > 1:
        name = posixpath.basename(next((word for word in words[1:] if word and not word.startswith("-")), ""))
    if name in ("curl", "wget", "fetch", "download", "download_file"):
        return Way.FETCHED
    if name in ("scp", "rsync"):
        return Way.COPIED if any(":" in word.raw for word in command.words[1:]) else None
    return None


def _arrays(script: Script) -> Mapping[str, tuple[str, ...]]:
    found = {}
    for command in script.commands():
        for given in command.assignments:
            match = _ARRAY.match(given.value.raw) if given.value else None
            if match:
                found[given.name] = tuple(word[1] or word[2] or word[3] for word in _ARRAY_WORD.finditer(match["words"]) if word[1] or word[2] or word[3])
            elif given.value is not None and (text := given.value.literal) and " " in text:
                found[given.name] = tuple(text.split())
    return found


def _names(raw: str, loops: Mapping[str, Loop], arrays: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The names that a word comes to: itself, or one for each turn of the loop whose variable it ends with."""
    tail = raw.rstrip("\"'")
    variable = _LOOP_VARIABLE.search(tail)
    if variable is None:
        yield re.sub(r"^.*(?:\$\{?\w+\}?|://[^/]+)/", "", tail) if ("$" in tail or "://" in tail) else tail
        return
    loop = loops.get(variable[1])
    if loop is None:
        return
    for value in loop.values:
        if value.literal is not None:
            yield value.literal
        elif whole := _WHOLE_ARRAY.search(value.raw.strip("\"'")):
            yield from arrays.get(whole[1] or whole[2] or whole[3], ())


# ---- what a file names


def compose_files_named(text: str) -> Iterator[tuple[str, int, bool]]:
    """The compose files that a script names outside of its comments, with the line; True where it asks first whether the file exists."""
    plain = _COMMENT.sub(lambda found: " " * len(found[0]), text)
    seen: set[str] = set()
    for found in COMPOSE_FILE.finditer(plain.replace(":", " ")):
        name = found[1]
        if name not in seen:
            seen.add(name)
            guarded = re.search(_EXISTS.format(name=re.escape(name)), plain) is not None
            yield name, plain.count("\n", 0, found.start()) + 1, guarded


_SOURCES = regex(r"(?m)^[ \t]*(?:source|\.)[ \t]+[\"']?(?:[^\s\"';|&]*/)?([\w.-]+\.(?:sh|bash|env|inc|lib))[\"']?(?=[\s;|&]|$)")
_STARTS = regex(r"(?m)^Exec(?:Start|StartPre|StartPost|Stop|StopPost|Reload)[ \t]*=[ \t]*[-@:+!|]*(?P<command>[^\n]+)")
_SCRIPT_WORD = regex(r"(?:^|(?<=[\s\"'=]))(/[\w./@-]+\.(?:sh|bash|py))(?=[\s\"']|$)")
_TAKES_IN = regex(r"(?mi)^[ \t]*(?:COPY|ADD)[ \t]+(?P<words>(?:[^\n\\]|\\\r?\n)+)")


def sourced(text: str) -> Iterator[tuple[str, int, bool]]:
    """The scripts that one takes in, with the line; True where it asks first whether the file exists."""
    plain = _COMMENT.sub(lambda found: " " * len(found[0]), text)
    for found in _SOURCES.finditer(plain):
        guarded = re.search(_EXISTS.format(name=re.escape(found[1])), plain) is not None
        yield found[1], plain.count("\n", 0, found.start()) + 1, guarded


def started_by_unit(text: str) -> Iterator[tuple[str, int]]:
    """The scripts that a unit starts, with the line."""
    for found in _STARTS.finditer(text):
        for word in _SCRIPT_WORD.finditer(found["command"]):
            yield word[1], text.count("\n", 0, found.start()) + 1


def taken_in(text: str) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """What each COPY of a Dockerfile takes from the tree: the names, where to, and the line. Not what comes from another stage."""
    for found in _TAKES_IN.finditer(text):
        words = found["words"].replace("\\\r\n", " ").replace("\\\n", " ").split()
        if any(word.startswith("--from") for word in words):
            continue
        names = [word.strip('[],"') for word in words if not word.startswith("--")]
        if len(names) > 1:
            yield tuple(names[:-1]), names[-1], text.count("\n", 0, found.start()) + 1


def staged(script: Script) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """What each `cp` or `install` of an image's build puts where, and the line."""
    for command in script.commands():
        words = [word.literal for word in command.words]
        if not words or words[0] is None or posixpath.basename(words[0]) not in ("cp", "install", "mv"):
            continue
        names = [word for word in words[1:] if word and not word.startswith("-")]
        if len(names) > 1:
            yield tuple(names[:-1]), names[-1], command.line
