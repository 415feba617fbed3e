"""Which settings does a script write into which file? Line by line, from here-documents, `echo`, `printf` and `tee`, also where a group or function is
redirected.

for text in written(script, values): text.targets, text.settings
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace

from interlock.facts.env_paths import Values
from interlock.facts.shell import (
    AndOr,
    Background,
    Case,
    Command,
    Function,
    Group,
    If,
    Loop,
    Part,
    Pipeline,
    Redirect,
    Script,
    Statement,
    Stream,
    Text,
    Word,
)
from interlock.nouns import dataclass
from interlock.patterns import regex

_SETTING = regex(r"[ \t]*(?P<aside>#+[ \t]?)?(?:export[ \t]+)?(?P<key>[A-Za-z_]\w*)=(?P<rest>.*)", re.DOTALL)
_OPTIONS = regex(r"-[neE]+|--")
_SED = regex(r"s(?P<mark>[|/#,@~!])\^?(?P<key>[A-Za-z_]\w*)=.*?(?P=mark)(?P=key)=(?P<value>.*)", re.DOTALL)
_DEEPEST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One line `KEY=value`. `value` is what stands behind the sign, quotes and all, with the variables in it; `aside`: it is commented out."""

    key: str
    value: tuple[Part, ...] = field(repr=False)
    line: int
    aside: bool = False

    @property
    def computed(self) -> bool:
        """True when only running the script tells the value."""
        return not all(isinstance(part, Text) for part in self.value)

    @property
    def opens_with(self) -> str:
        """The quote that the value begins with, empty for none."""
        first = self.value[0] if self.value else None
        return first.text[:1] if isinstance(first, Text) and first.text[:1] in ("'", '"') else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one command writes. `targets` is what the name of the file may come to; `anew`: the file is another one from here on, else lines are added to it."""

    targets: tuple[str, ...]
    anew: bool
    settings: tuple[Setting, ...]
    line: int


def written(script: Script, values: Values) -> tuple[Written, ...]:
    """Everything that a script writes into a file and whose lines are settings, in the order of the text; a command without any is left out."""
    functions = {one.name: one for one in script.statements if isinstance(one, Function)}
    reader = _Reader(values=values, functions=functions)
    return tuple(one for one in reader.statements(script.statements, None, 0) if one.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Into:
    """A file that what is printed goes to."""

    word: Word
    anew: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    values: Values
    functions: dict[str, Function]

    def statements(self, statements: Iterable[Statement], into: _Into | None, depth: int) -> Iterator[Written]:
        for statement in statements:
            yield from self._statement(statement, into, depth)

    def _statement(self, statement: Statement, into: _Into | None, depth: int) -> Iterator[Written]:
        match statement:
            case Command():
                yield from self._command(statement, _goes(statement.redirects) or into, depth)
            case Pipeline():
                yield from self._pipeline(statement, into, depth)
            case AndOr():
                yield from self.statements((statement.left, statement.right), into, depth)
            case Background():
                yield from self._statement(statement.body, into, depth)
            case Group():
                yield from self._group(statement.body, statement.redirects, into, depth)
            case Loop():
                yield from self._group((*statement.condition, *statement.body), statement.redirects, into, depth)
            case If():
                inner = [one for branch in statement.branches for one in (*branch.condition, *branch.body)]
                yield from self._group((*inner, *statement.otherwise), statement.redirects, into, depth)
            case Case():
                yield from self._group([one for arm in statement.arms for one in arm.body], statement.redirects, into, depth)
            case Function():
                yield from self._group((statement.body,), statement.redirects, None, depth)
            case _:
                return

    def _group(self, body: Sequence[Statement], redirects: Sequence[Redirect], into: _Into | None, depth: int) -> Iterator[Written]:
        goes = _goes(redirects)
        if goes is None:
            yield from self.statements(body, into, depth)
            return
        settings = tuple(setting for one in self.statements(body, goes, depth) if one.targets == self.values.texts(goes.word) for setting in one.settings)
        yield Written(targets=self.values.texts(goes.word), anew=goes.anew, settings=settings, line=goes.word.line)

    def _pipeline(self, pipeline: Pipeline, into: _Into | None, depth: int) -> Iterator[Written]:
        last = pipeline.stages[-1]
        tee = _tee(last) if isinstance(last, Command) else None
        for stage in pipeline.stages[:-1]:
            yield from self._statement(stage, tee, depth)
        if tee is None:
            yield from self._statement(last, into, depth)

    def _command(self, command: Command, into: _Into | None, depth: int) -> Iterator[Written]:
        words = list(command.words)
        while words and words[0].literal in ("sudo", "command", "builtin"):
            words.pop(0)
        name = posixpath.basename(words[0].literal or "") if words else ""
        if name in self.functions and into is not None and depth < _DEEPEST:
            yield from self.statements((self.functions[name].body,), into, depth + 1)
        if name == "sed":
            yield from self._sed(command)
        into = _tee(command) or into if name == "tee" else into
        if into is None or name not in ("echo", "printf", "cat", "tee", "print"):
            return
        lines = _here(command.redirects) if name in ("cat", "tee") else _printed(name, words[1:])
        settings = tuple(setting for line, parts in lines if (setting := _setting(parts, line)) is not None)
        yield Written(targets=self.values.texts(into.word), anew=into.anew, settings=settings, line=command.line)

    def _sed(self, command: Command) -> Iterator[Written]:
        """`sed -i "s|^KEY=.*|KEY=$VALUE|" file`."""
        edits = any(re.fullmatch(r"-[a-zA-Z]*i\S*|--in-place.*", word.literal or "") for word in command.words)
        scripts = [word for word in command.words[1:] if _SED.match("".join(part.text if isinstance(part, Text) else "\0" for part in word.parts))]
        if edits and scripts:
            settings = tuple(setting for word in scripts if (setting := _of_sed(word)) is not None)
            yield Written(targets=self.values.texts(command.words[-1]), anew=False, settings=settings, line=command.line)


def _goes(redirects: Sequence[Redirect]) -> _Into | None:
    """Where the output goes; None for what is thrown away or shown."""
    for redirect in redirects:
        if redirect.creates and redirect.fd in (1, -1) and redirect.target.literal not in ("/dev/null", "/dev/stderr", "/dev/stdout", "/dev/tty"):
            return _Into(word=redirect.target, anew=redirect.stream is Stream.WRITE)
    return None


def _tee(command: Command) -> _Into | None:
    """The file that `tee` writes."""
    words = [word for word in command.words if word.literal not in ("sudo",)]
    if not words or words[0].literal != "tee":
        return None
    named = [word for word in words[1:] if not (word.literal or "").startswith("-")]
    appends = any(word.literal in ("-a", "--append") for word in words)
    return _Into(word=named[0], anew=not appends) if named else None


Line = tuple[int, tuple[Part, ...]]


def _here(redirects: Sequence[Redirect]) -> Iterator[Line]:
    for redirect in redirects:
        if redirect.stream is Stream.HERE_DOCUMENT:
            yield from _lines(redirect.target.parts, redirect.target.line)


def _lines(parts: Iterable[Part], first: int) -> Iterator[Line]:
    """Parts of a text over several lines, line by line."""
    line: list[Part] = []
    at = first
    for part in parts:
        if not isinstance(part, Text):
            line.append(part)
            continue
        head, *rest = part.text.split("\n")
        line.append(replace(part, text=head))
        for more in rest:
            yield at, tuple(line)
            line, at = [replace(part, text=more)], at + 1
    if line:
        yield at, tuple(line)


def _printed(name: str, words: Sequence[Word]) -> Iterator[Line]:
    """What `echo` or `printf` prints: each `%s` of a format is one argument, a `\\n` in it a line's end."""
    words = list(words)
    while words and _OPTIONS.fullmatch(words[0].literal or ""):
        words.pop(0)
    if not words:
        return
    first = words[0].line
    parts: list[Part] = []
    if name == "printf":
        parts += _formatted(words[0].parts, iter(words[1:]))
    else:
        for index, word in enumerate(words):
            parts += [Text(" ")] if index else []
            parts += word.parts
    broken = [replace(part, text=part.text.replace("\\n", "\n")) if isinstance(part, Text) else part for part in parts]
    yield from ((first, line) for _, line in _lines(broken, first))


def _formatted(parts: Iterable[Part], arguments: Iterator[Word]) -> Iterator[Part]:
    for part in parts:
        if not isinstance(part, Text):
            yield part
            continue
        for piece in re.split(r"(%[sbqd])", part.text):
            given = next(arguments, None) if re.fullmatch("%[sbqd]", piece) else None
            if piece in ("%s", "%b", "%d"):
                yield from given.parts if given is not None else ()
            elif piece:
                yield replace(part, text=piece)


def _setting(parts: Sequence[Part], line: int) -> Setting | None:
    """The setting of a line, None when it is none."""
    whole = list(parts)
    while whole and whole[0] == Text("", quoted=getattr(whole[0], "quoted", False)):
        whole.pop(0)
    first = whole[0] if whole else None
    found = _SETTING.fullmatch(first.text) if isinstance(first, Text) else None
    if found is None or not isinstance(first, Text):
        return None
    rest: list[Part] = [replace(first, text=found["rest"])] if found["rest"] else []
    return Setting(key=found["key"], value=tuple(rest + whole[1:]), line=line, aside=bool(found["aside"]))


def _of_sed(word: Word) -> Setting | None:
    """The setting that a substitution puts in the place of a line."""
    shown = "".join(part.text if isinstance(part, Text) else "\0" for part in word.parts)
    found = _SED.match(shown)
    if found is None:
        return None
    others = [part for part in word.parts if not isinstance(part, Text)]
    before = shown[: found.start("value")].count("\0")
    value = found["value"].rpartition(found["mark"])[0]
    parts: list[Part] = []
    for index, text in enumerate(value.split("\0")):
        parts += [others[before + index - 1]] if index else []
        parts += [Text(text)] if text else []
    return Setting(key=found["key"], value=tuple(parts), line=word.line)
