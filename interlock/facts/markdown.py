"""What does a page of Markdown consist of, as far as somebody keeps data in it? Front matter, headings, list items with all below them, fenced blocks.

A text of any kind is a page; nothing is raised. What HTML comments hold is not there for a reader, and not here. What a fence or a comment swallows that is
never closed is told as `Swallowed`: a page that ends early hides what it should say. `interlock.facts.workplans` says what the blocks mean.
Source: CommonMark 0.31, with list items taken as people indent them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from interlock.nouns import dataclass
from interlock.patterns import regex

_BREAK = regex(r"\r\n|\n|\r")
_FENCE = regex(r"( *)(`{3,}|~{3,})(.*)")
_ATX = regex(r" {0,3}(#{1,6})(?:[ ]+(.*?))?(?:[ ]+#+)?[ ]*")
_SETEXT = regex(r" {0,3}(=+|-+) *")
_RULE = regex(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})")
_MARKER = regex(r"( *)([-*+]|\d{1,3}[.)])(?:( +)(.*))?")
_BOLD = regex(r"(?:\*\*|__)([^*_]+)(?:\*\*|__)\s*:?")
BOLD_LEVEL = 7  # a line in bold that stands alone is a heading to its reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """Lines between fences: `info` is the first word behind the opening one, `line` the number of that fence. `closed` is False where the page ends first."""

    line: int
    info: str
    text: str
    closed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A heading; `level` from 1, `BOLD_LEVEL` for a line in bold that stands alone."""

    line: int
    level: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Text outside of lists."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a list that is in no other item, with the lines of all that is below it. `number` is the one that is written, None for a bullet."""

    line: int
    number: int | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swallowed:
    """What is read as a comment because it is never closed, from `line` to the end of the page."""

    line: int
    text: str


Block = Fenced | Heading | Paragraph | Item | Swallowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A text as its blocks, in order. `front` is the text of its front matter and begins on line 2; None where there is none that ends."""

    front: str | None
    blocks: tuple[Block, ...]

    @classmethod
    def parse(cls, text: str) -> Page:
        """Any text. Lines end with LF, CRLF or CR; they are counted from 1."""
        lines = _BREAK.split(text.removeprefix("\ufeff"))
        end = _front_ends(lines)
        front = "\n".join(lines[1:end]) if end else None
        return cls(front=front, blocks=tuple(sorted(_Reader(lines, end + 1 if end else 0).blocks(), key=lambda block: block.line)))


def _front_ends(lines: Sequence[str]) -> int:
    """The index of the line that ends the front matter, 0 where there is none."""
    if lines[0].rstrip() != "---":
        return 0
    return next((index for index, line in enumerate(lines[1:], start=1) if line.rstrip() in ("---", "...")), 0)


class _Reader:
    """One walk over the lines, from a first index on."""

    def __init__(self, lines: Sequence[str], first: int) -> None:
        self.lines, self.first = lines, first
        self.paragraph: list[tuple[int, str]] = []
        self.item: list[tuple[int, str]] = []
        self.number: int | None = None
        self.indent = self.content = 0  # of the open item: of its marker, and of the text behind it
        self.blank = True  # the line before was one
        self.comment = 0  # the line on which an HTML comment began that is still open

    def blocks(self) -> Iterator[Block]:
        index = self.first
        while index < len(self.lines):
            written = self.lines[index].expandtabs(4)
            line = self._seen(index + 1, written)
            if written.strip() and not line.strip():  # all of it is a comment, which ends nothing
                index += 1
                continue
            if not line.strip():
                yield from self._paragraph_ends()
                self.blank = True
                index += 1
                continue
            fence = self._fence(line)
            if fence is not None:
                yield from self._before_fence(index + 1, line, fence)
                block, index = self._fenced(index, fence)
                yield block
                self.blank = True  # nothing behind it goes on with what was before
                continue
            yield from self._line(index + 1, line)
            index += 1
            self.blank = False
        yield from self._ends()
        if self.comment:
            yield Swallowed(line=self.comment, text="\n".join(self.lines[self.comment - 1 :]))

    # ---- comments

    def _seen(self, number: int, line: str) -> str:
        """The line without what HTML comments hold."""
        if not self.comment and "<!--" not in line:
            return line
        kept: list[str] = []
        at = counted = ticks = 0
        while at < len(line):
            if self.comment:
                end = line.find("-->", at)
                if end < 0:
                    break
                self.comment, at, counted, ticks = 0, end + 3, end + 3, 0
            begin = line.find("<!--", at)
            while begin >= 0:
                ticks, counted = ticks + line.count("`", counted, begin), begin
                if ticks % 2 == 0:
                    break
                begin = line.find("<!--", begin + 4)  # that one is spoken of, in code
            if begin < 0:
                kept.append(line[at:])
                break
            kept.append(line[at:begin])
            at, self.comment = begin + 4, number
        return "".join(kept)

    # ---- fences

    def _fence(self, line: str) -> re.Match[str] | None:
        """An opening fence, where it may stand: not so far to the right that it is code, but as far as the item that it is in; also behind a list marker."""
        marker = _MARKER.fullmatch(line)
        start = marker.start(4) if marker and marker[4] and marker[4].startswith(("```", "~~~")) else 0
        match = _FENCE.fullmatch(line, start)
        if match is None or (match[2][0] == "`" and "`" in match[3]):
            return None
        deepest = self.content + 3 if self.item else 3
        return match if start or len(match[1]) <= deepest else None

    def _before_fence(self, number: int, line: str, fence: re.Match[str]) -> Iterator[Block]:
        """What ends or begins where a fence opens, which may stand behind a list marker."""
        yield from self._paragraph_ends()
        if self.item_holds(len(line) - len(line.lstrip(" "))):
            return
        yield from self._item_ends()
        if fence.start():
            yield from self._item_begins(number, line[: fence.start()])

    def _fenced(self, index: int, fence: re.Match[str]) -> tuple[Fenced, int]:
        """The block that begins on the line of this index, and the index behind it."""
        mark, indent = fence[2], fence.start(2)
        closing = re.compile(rf" {{0,{indent + 3}}}{re.escape(mark[0])}{{{len(mark)},}} *")
        inside: list[str] = []
        info = (fence[3].split() or [""])[0]
        for behind in range(index + 1, len(self.lines)):
            line = self.lines[behind]
            if closing.fullmatch(line.expandtabs(4)):
                return Fenced(line=index + 1, info=info, text="\n".join(inside)), behind + 1
            inside.append(_less_indented(line, indent))
        return Fenced(line=index + 1, info=info, text="\n".join(inside), closed=False), len(self.lines)

    # ---- lines

    def item_holds(self, indent: int) -> bool:
        """Whether something so far to the right is in the open item. People indent by less than the rules ask for."""
        return bool(self.item) and indent >= min(self.content, self.indent + 2)

    def _line(self, number: int, line: str) -> Iterator[Block]:
        indent = len(line) - len(line.lstrip(" "))
        if self.paragraph and not self.item and (underline := _SETEXT.fullmatch(line)):
            yield Heading(line=self.paragraph[0][0], level=1 if underline[1][0] == "=" else 2, title=" ".join(text for _, text in self.paragraph))
            self.paragraph.clear()
        elif not self.item_holds(indent) and (atx := _ATX.fullmatch(line)):
            yield from self._ends()
            yield Heading(line=number, level=len(atx[1]), title=(atx[2] or "").strip())
        elif not self.item_holds(indent) and _RULE.fullmatch(line):
            yield from self._ends()
        elif marker := self._marker(line, indent):
            yield from self._paragraph_ends()
            yield from self._item_begins(number, marker[0])
        elif self.item and (self.item_holds(indent) or not self.blank):
            self.item.append((number, line.strip()))
        elif indent < 4 or self.paragraph:
            yield from self._item_ends()
            self.paragraph.append((number, line.strip()))
        else:  # indented code
            yield from self._item_ends()

    def _marker(self, line: str, indent: int) -> re.Match[str] | None:
        """The marker of an item that is in no other one."""
        marker = _MARKER.fullmatch(line)
        if marker is None or self.item_holds(indent) or (indent > 3 and not self.item):
            return None
        return marker

    def _item_begins(self, number: int, line: str) -> Iterator[Block]:
        marker = _MARKER.fullmatch(line)
        assert marker is not None
        yield from self._item_ends()
        self.item = [(number, (marker[4] or "").strip())]
        self.number = int(marker[2][:-1]) if marker[2][0].isdigit() else None
        self.indent = len(marker[1])
        self.content = marker.end(2) + min(len(marker[3] or " "), 4)

    # ---- ends

    def _ends(self) -> Iterator[Block]:
        yield from self._paragraph_ends()
        yield from self._item_ends()

    def _paragraph_ends(self) -> Iterator[Block]:
        if not self.paragraph:
            return
        (line, first), *more = self.paragraph
        bold = None if more else _BOLD.fullmatch(first)
        yield (
            Heading(line=line, level=BOLD_LEVEL, title=bold[1].strip()) if bold else Paragraph(line=line, text="\n".join([first, *(text for _, text in more)]))
        )
        self.paragraph.clear()

    def _item_ends(self) -> Iterator[Block]:
        if self.item:
            yield Item(line=self.item[0][0], number=self.number, lines=tuple(text for _, text in self.item))
            self.item = []


def _less_indented(line: str, indent: int) -> str:
    """The line without as many blanks in front as its fence has."""
    wide = line.expandtabs(4) if "\t" in line[:indent] else line
    blanks = len(wide) - len(wide.lstrip(" "))
    return wide[min(blanks, indent) :]
