"""Does a page say what happens? A tutorial is followed as a reader would follow it: its files are saved, its commands typed into one real shell.

A sentence that ends in `` `NAME`: `` and the fenced block below it are a file to save. In a `console` block a line that begins with `$ ` is typed, with
`# exit code N` behind it when it does not end with 0; the lines below it are what it shows, all of it and in this order, where `...` stands for anything.
Every other fenced block is a fault of the page: nobody would notice when it stops being true.

The page is told as kim tells it. Her home, her name, and what is different in each run (time stamps, digests, the ends of run names) become the real ones, and
a digest that the page shows twice must be the same twice. White space is not compared, since lines break where the terminal ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.terminal import Shell, ShownWrongError

HOME, NAME = "/home/kim", "kim"
_FENCE = re.compile(r"(?P<fence>`{3,})(?P<language>\w*)")
_SAVED_AS = re.compile(r"`([^`\s]+)`:$")
_COMMAND = re.compile(r"\$ (?P<command>.*?)(?:\s+# exit code (?P<code>\d+))?")
_STAMP = r"[0-9]{8}T[0-9]{6}Z|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_DIGEST = r"(?<![0-9A-Za-z])(?=[0-9]*[a-f])(?=[a-f]*[0-9])(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{8}|[0-9a-f]{6})(?![0-9A-Za-z])"
_CHANGING = re.compile(f"(?P<stamp>{_STAMP})|(?P<digest>{_DIGEST})")
_ANYTHING = "..."


class PageError(Exception):
    """The page cannot be followed; the text says where."""


class NotSoError(AssertionError):
    """What happened is not what the page says; the text says where, and what happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """A file that the reader saves. `line` is that of the page on which its content begins, from 1."""

    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A command that the reader types, the code that it ends with, and the lines that it shows."""

    command: str
    exit_code: int
    shown: tuple[str, ...]
    line: int


def read_page(text: str) -> tuple[Save | Type, ...]:
    """What a reader of the page does, in its order. Raises PageError for a block that is neither a file to save nor commands, and for one that has no end."""
    return tuple(_steps(text))


def follow(steps: Sequence[Save | Type], *, environ: Mapping[str, str], home: Path, folder: Path, name: str, limit_s: float = 60) -> None:
    """Save and type it all, from `folder` on, as the user `name` whose home is `home`. Raises NotSoError at the first step that is not as the page says."""
    reader = _Reader({HOME: str(home), NAME: name})
    with Shell(who="reader", environ=environ, folder=folder, limit_s=limit_s, show=lambda _text: None) as shell:
        for step in steps:
            if isinstance(step, Save):
                _save(step, reader, _folder_of(shell))
            else:
                reader.compare(step, *_typed(step, reader, shell))


# ---- from the page to steps


def _steps(text: str) -> Iterator[Save | Type]:
    said, numbered = "", enumerate(text.splitlines(), start=1)
    for number, line in numbered:
        fence = _FENCE.fullmatch(line)
        if fence is None:
            said = line or said
            continue
        block = list(_until(fence["fence"], numbered, number))
        name = _SAVED_AS.search(said)
        if fence["language"] == "console":
            yield from _typed_in(block, number + 1)
        elif name is not None:
            yield Save(name=name[1], text="".join(f"{one}\n" for one in block), line=number + 1)
        else:
            raise PageError(f"line {number}: a block that nobody saves or types; write a sentence that ends in `NAME`: above it, or call it console")
        said = ""


def _until(fence: str, numbered: Iterator[tuple[int, str]], began: int) -> Iterator[str]:
    for _, line in numbered:
        if line == fence:
            return
        yield line
    raise PageError(f"line {began}: the block that begins here has no end")


def _typed_in(block: Sequence[str], first: int) -> Iterator[Type]:
    if not block or not _COMMAND.fullmatch(block[0]):
        raise PageError(f"line {first}: a console block begins with a command: `$ command`")
    commands = [index for index, line in enumerate(block) if _COMMAND.fullmatch(line)]
    for index, end in zip(commands, [*commands[1:], len(block)], strict=True):
        match = _COMMAND.fullmatch(block[index])
        assert match is not None
        yield Type(command=match["command"], exit_code=int(match["code"] or 0), shown=tuple(block[index + 1 : end]), line=first + index)


# ---- from steps to what happens


def _folder_of(shell: Shell) -> Path:
    """Where the reader stands."""
    return Path(_without_echo(shell.type("pwd")).strip())


def _save(step: Save, reader: _Reader, folder: Path) -> None:
    path = folder / reader.real(step.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reader.real(step.text))


def _typed(step: Type, reader: _Reader, shell: Shell) -> tuple[str, int]:
    """What it showed, and how it ended."""
    try:
        shown = _without_echo(shell.type(reader.real(step.command), exit_code=None))
        return shown, int(_without_echo(shell.type("echo $?")))
    except ShownWrongError as error:
        raise NotSoError(f"line {step.line} of the page: `{step.command}` did not end: {error}") from error


def _without_echo(shown: str) -> str:
    """What a command showed, without the line that it was typed in."""
    return shown.partition("\n")[2]


@dataclass(slots=True)
class _Reader:
    """Who follows the page: what stands there, and what that is in this run."""

    known: dict[str, str] = field(default_factory=dict)

    def real(self, text: str) -> str:
        """A text of the page as it is here."""
        told = sorted(self.known, key=len, reverse=True)
        return re.sub("|".join(map(_alone, told)), lambda match: self.known[match[0]], text)

    def compare(self, step: Type, shown: str, code: int) -> None:
        """Raises NotSoError when it showed something else, or ended in another way; remembers what it showed for what the page calls otherwise."""
        where = f"line {step.line} of the page: `{step.command}`"
        match = self._match(step.shown, shown)
        if match is None:
            raise NotSoError(f"{where} {self._difference(step, shown)}\nit showed:\n{shown}")
        if code != step.exit_code:
            raise NotSoError(f"{where} ended with {code}, and the page says {step.exit_code}\nit showed:\n{shown}")
        self.known |= {told: match[group] for told, group in _groups(self._new(step.shown)).items()}

    def _difference(self, step: Type, shown: str) -> str:
        """The first line of the page that is not there."""
        for count, line in enumerate(step.shown, start=1):
            if self._match((*step.shown[:count], _ANYTHING), shown) is None:
                return f"does not show, at its place: {line}"
        return "shows more than the page does"

    def _match(self, lines: Sequence[str], shown: str) -> re.Match[str] | None:
        """Each word has white space before and behind it; so has what was shown."""
        groups, begun = _groups(self._new(lines)), set[str]()
        words = " ".join(lines).split()
        pattern = "".join(r"[\s\S]*?" if word == _ANYTHING else rf"\s+{self._word(word, groups, begun)}(?=\s)" for word in words)
        return re.fullmatch(rf"{pattern}\s*", f"\n{shown}\n")

    def _new(self, lines: Sequence[str]) -> list[str]:
        """What the page tells here for the first time of what changes with each run."""
        told = (match[0] for match in _CHANGING.finditer("\n".join(lines)))
        return [one for one in dict.fromkeys(told) if one not in self.known]

    def _word(self, word: str, groups: Mapping[str, str], begun: set[str]) -> str:
        pattern, end = "", 0
        for match in _CHANGING.finditer(word):
            pattern += self._literal(word[end : match.start()]) + self._changing(match, groups, begun)
            end = match.end()
        return pattern + self._literal(word[end:])

    def _changing(self, match: re.Match[str], groups: Mapping[str, str], begun: set[str]) -> str:
        """What is new has a group where it stands first; what stands there again must be the same."""
        told = match[0]
        if told in self.known:
            return re.escape(self.known[told])
        if told in begun:
            return f"(?P={groups[told]})"
        begun.add(told)
        return f"(?P<{groups[told]}>{_STAMP if match['stamp'] else f'[0-9a-f]{{{len(told)}}}'})"

    def _literal(self, text: str) -> str:
        return r"\S*?".join(re.escape(self.real(part)) for part in text.split(_ANYTHING))


def _alone(told: str) -> str:
    """A pattern for a name, a stamp or a digest that is no part of another word; for a path as it is."""
    if told == NAME:
        return rf"(?<![\w./@-]){told}(?![\w@-])"
    return re.escape(told) if told.startswith("/") else rf"(?<![0-9A-Za-z]){re.escape(told)}(?![0-9A-Za-z])"


def _groups(new: Sequence[str]) -> dict[str, str]:
    """The name of the group of each."""
    return {told: f"told{number}" for number, told in enumerate(new)}
