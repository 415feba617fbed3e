"""Which env file does a word of a script mean? Its variables are put in, whichever branch set them, and the path is compared with the env files that docker
compose reads.

    values = Values.of(script)
    files.meant(values.texts(word), script="bin/upgrade.sh", folders=values.folders())
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from interlock.facts.shell import Command, Function, Loop, LoopKind, Opaque, Script, Substitution, Text, Variable, Word, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

OWN = "\0own"  # the folder of the script
TOP = "\0top"  # the folder of the checkout
ARGUMENT = "\0arg"  # followed by its number, and another \0
MOST = 8  # texts of one word
_DEEPEST = 6
_OWN_FOLDER = regex(
    r"dirname\s+(?:--\s+)?[\"']?(?:\$\(\s*(?:readlink|realpath)\s+(?:-\w+\s+)*)?[\"']?\$\{?(?:BASH_SOURCE|0)\b[^)]*\)*[\"']?(?P<rest>(?:/[\w.-]+)*)"
)
_OWN_FOLDER_TWICE = regex(r"dirname\s+[\"']?\$\(\s*dirname")
_TOP_FOLDER = regex(r"git\s+rev-parse\s+--show-toplevel")
_OF_THE_SYSTEM = regex(r"/etc/(?:default|sysconfig|conf\.d|profile\.d|systemd)/|/etc/(?:environment|os-release|lsb-release|profile)$|/proc/|/run/secrets/")


@dataclass(frozen=True, slots=True)
class Values:
    """What the variables of a script may hold: every value that is assigned to each, in whichever branch."""

    given: Mapping[str, tuple[Word, ...]] = field(repr=False)
    moved: tuple[Word, ...] = field(repr=False)

    @classmethod
    def of(cls, script: Script) -> Values:
        """Those of a whole script: assignments, `for x in a b`, and where it goes by `cd`."""
        given: dict[str, list[Word]] = {}
        moved: list[Word] = []
        for statement in walk(script.statements):
            match statement:
                case Command():
                    for assignment in statement.assignments:
                        if assignment.value is not None and not assignment.appends:
                            given.setdefault(assignment.name, []).append(assignment.value)
                    if len(statement.words) > 1 and statement.words[0].literal in ("cd", "pushd"):
                        moved.append(statement.words[1])
                case Loop(kind=LoopKind.FOR):
                    given.setdefault(statement.variable, []).extend(statement.values)
                case _:
                    continue
        return cls({name: tuple(words[:MOST]) for name, words in given.items()}, tuple(moved[:MOST]))

    def texts(self, word: Word) -> tuple[str, ...]:
        """What a word may come to, at most `MOST` texts. What is not known stays as `$name`, or begins with one of the marks of this module."""
        return self._texts(word, ())

    def folders(self) -> tuple[str, ...]:
        """Where the script may be when it names something."""
        return tuple(text for word in self.moved for text in self.texts(word))

    def _texts(self, word: Word, inside: tuple[str, ...]) -> tuple[str, ...]:
        """`inside` are the variables whose value this word is part of."""
        made = [""]
        for part in word.parts:
            texts = self._part(part, inside)
            made = [f"{text}{more}" for text in made for more in texts][:MOST]
        return tuple(dict.fromkeys(made))

    def _part(self, part: object, inside: tuple[str, ...]) -> tuple[str, ...]:
        match part:
            case Text():
                return (part.text,)
            case Variable():
                return self._variable(part, inside)
            case Substitution():
                return (_folder(part.raw),)
            case Opaque():
                return (f"${part.raw}",) if re.fullmatch(r"\w+", part.raw) else ("$_",)
            case _:
                return ("$_",)

    def _variable(self, variable: Variable, inside: tuple[str, ...]) -> tuple[str, ...]:
        if variable.name in ("BASH_SOURCE", "0"):
            return (OWN,) if variable.operator.startswith("%") else (f"{OWN}/.",)
        if variable.name == "PWD":
            return (".",)
        if variable.operator.strip(":") not in ("", "-", "=", "?"):
            return (f"${variable.name}",)
        itself = f"{ARGUMENT}{variable.name}\0" if variable.name.isdigit() else f"${variable.name}"
        found = {itself: None} if variable.name.isdigit() else {}
        if variable.name not in inside and len(inside) < _DEEPEST:
            words = list(self.given.get(variable.name, ()))
            words += [variable.argument] if variable.argument is not None and variable.operator.strip(":") in ("-", "=") else []
            for word in words:
                if len(found) < MOST:
                    found |= dict.fromkeys(self._texts(word, (*inside, variable.name)))
        return tuple(found)[:MOST] or (itself,)


def _folder(raw: str) -> str:
    """The folder that `$(...)` prints, where it is a common way to say one's own."""
    if own := _OWN_FOLDER.search(raw):
        above = "/.." if _OWN_FOLDER_TWICE.search(raw) else ""
        return f"{OWN}{above}{own['rest']}"
    if _TOP_FOLDER.search(raw):
        return TOP
    return "." if re.fullmatch(r"\$\(\s*pwd(?:\s+-\w)?\s*\)|`pwd`", raw) else "$_"


def functions_of(script: Script) -> Iterator[tuple[Function, Command]]:
    """The commands that stand in functions, each with the innermost function around it."""
    owners: dict[int, tuple[Function, Command]] = {}
    for statement in walk(script.statements):
        if isinstance(statement, Function):
            for inner in walk((statement.body,)):
                if isinstance(inner, Command):
                    owners[id(inner)] = (statement, inner)
    yield from owners.values()


@dataclass(frozen=True, slots=True)
class EnvFiles:
    """The env files that docker compose reads in a tree, by their paths: `.env` beside a compose file, what services and chains name, what a script writes
    for them. They need not be there: an operator makes them."""

    paths: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """Their base names."""
        return frozenset(posixpath.basename(path) for path in self.paths)

    def meant(self, texts: Iterable[str], *, script: str, folders: Iterable[str] = ()) -> str | None:
        """The env file that one of the texts names, as `script` would find it; None when it is none of them."""
        places = tuple(folders)
        return next((found for text in texts for found in self._meant(text, script, places) if found), None)

    def _meant(self, text: str, script: str, folders: tuple[str, ...]) -> Iterator[str | None]:
        own = posixpath.dirname(script)
        name = posixpath.basename(text)
        if name not in self.names or "\n" in text or ARGUMENT in text:
            return
        if text.startswith((OWN, TOP)):
            yield self._known(text.removeprefix(OWN).removeprefix(TOP).lstrip("/"), own if text.startswith(OWN) else "")
        elif text.startswith(("/", "$", "~")):
            yield self._elsewhere(text, own)
        else:
            yield from (self._known(text, base) for base in ("", own))
            for folder in folders:
                yield from self._meant(posixpath.join(folder, text), script, ())

    def _known(self, path: str, base: str) -> str | None:
        found = posixpath.normpath(posixpath.join(base, path))
        return found if found in self.paths else None

    def _elsewhere(self, text: str, own: str) -> str | None:
        """A path of a host, whose checkout lies somewhere: told by its end. A name alone is that of the folder above the script."""
        if _OF_THE_SYSTEM.search(text):
            return None
        rest = text.partition("/")[2] if text.startswith(("$", "~")) else text.lstrip("/")
        parts = [part for part in posixpath.normpath(rest).split("/") if part != ".."]
        ends = ["/".join(parts[index:]) for index in range(len(parts) - 1)] if text.startswith("/") or len(parts) > 1 else []
        found = next((path for end in ends for path in sorted(self.paths) if "/" in end and (path == end or path.endswith(f"/{end}"))), None)
        if found is not None or (len(parts) > 1 and text.startswith("$")):
            return found
        above = [own]
        while above[-1]:
            above.append(posixpath.dirname(above[-1]))
        return next((path for folder in above if (path := posixpath.join(folder, parts[-1])) in self.paths), None)
