"""How do two files differ, in the mildest words that are true, and how is that shown? Bytes in, words and a bounded unified diff out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from typing import NamedTuple, assert_never

from interlock.patterns import regex

BOM = b"\xef\xbb\xbf"
CONTEXT = 2  # lines that are the same, shown around those that are not
WINDOW = 200  # lines of each side that a diff is made from: comparing more takes long, and shows no more
SHOWN_LINES = 40
SHOWN_COLUMNS = 160

_LINE = regex(rb"[^\n]*\n|[^\n]+")
_COMMENT = regex(rb"[ \t]*(#|//|;|--|<!--|/\*|\*|$)")
# Control characters, marks that turn the direction of writing, and blanks at the end of a line, which nobody can see.
_UNSEEN = regex("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[ \t]+(?=\r?\n?\\Z)")


class Difference(StrEnum):
    """What has to be undone to make two files equal; the value is the stable kind of a finding."""

    BYTE_ORDER_MARK = "byte-order-mark"
    LINE_ENDS = "line-ends"
    FINAL_NEWLINE = "final-newline"
    WHITESPACE = "whitespace"
    HEADER = "header"
    CONTENT = "content"

    @property
    def in_words(self) -> str:
        """The middle of a sentence about two files."""
        match self:
            case Difference.BYTE_ORDER_MARK:
                return "only one of them begins with a byte order mark"
            case Difference.LINE_ENDS:
                return "their line ends differ"
            case Difference.FINAL_NEWLINE:
                return "they end with a different number of line ends"
            case Difference.WHITESPACE:
                return "white space alone differs"
            case Difference.HEADER:
                return "the comments at the top alone differ"
            case Difference.CONTENT:
                return "they differ"
            case _:
                assert_never(self)

    @property
    def can_be_shown(self) -> bool:
        """True when a diff shows more than the words say."""
        return self in (Difference.WHITESPACE, Difference.HEADER, Difference.CONTENT)


def differences(one: bytes, other: bytes) -> tuple[Difference, ...]:
    """Everything in which two files differ, the mildest words first; empty when they are equal.

    Line ends and final line ends are told apart from other white space only where nothing else differs.
    """
    found: list[Difference] = []
    if one.startswith(BOM) != other.startswith(BOM):
        found.append(Difference.BYTE_ORDER_MARK)
        one, other = one.removeprefix(BOM), other.removeprefix(BOM)
    if one == other:
        return tuple(found)
    one_unix, other_unix = one.replace(b"\r\n", b"\n"), other.replace(b"\r\n", b"\n")
    if one_unix.rstrip(b"\n") == other_unix.rstrip(b"\n"):
        found += _line_ends(one, other, same_count=one_unix == other_unix)
    elif one.split() == other.split():
        found.append(Difference.WHITESPACE)
    elif _below_comments(one_unix) == _below_comments(other_unix):
        found.append(Difference.HEADER)
    else:
        found.append(Difference.CONTENT)
    return tuple(found)


def _line_ends(one: bytes, other: bytes, *, same_count: bool) -> Iterator[Difference]:
    if same_count or one.rstrip(b"\r\n") != other.rstrip(b"\r\n"):
        yield Difference.LINE_ENDS
    if not same_count:
        yield Difference.FINAL_NEWLINE


def _below_comments(data: bytes) -> bytes:
    """A file from its first line on that is neither a comment nor empty."""
    at = 0
    for match in _LINE.finditer(data):
        if not _COMMENT.match(match[0].rstrip(b"\n")):
            break
        at = match.end()
    return data[at:]


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a file, each with its line end, counted as editors and diff count them: a lone carriage return ends none."""
    return _LINE.findall(data)


def common_prefix(one: bytes, other: bytes) -> int:
    """How many bytes two files begin with in common, by halving: each step is one comparison of memory."""
    same, limit = 0, min(len(one), len(other))
    while same < limit:
        middle = (same + limit + 1) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            limit = middle - 1
    return same


class Side(NamedTuple):
    """One of two files of a diff: its lines, as many lines as they are to be shown, and the number of lines above the first of them."""

    name: str
    lines: Sequence[bytes]
    shown: Sequence[bytes]
    above: int = 0


def unified_diff(old: Side, new: Side) -> Iterator[str]:
    """A unified diff, from the first difference on, at most `SHOWN_LINES` lines that end nowhere in a line end; the last says so when there is more."""
    same = next((at for at, (one, other) in enumerate(zip(old.lines, new.lines, strict=False)) if one != other), min(len(old.lines), len(new.lines)))
    begin = max(0, same - CONTEXT)
    lines = [f"--- {old.name}", f"+++ {new.name}", *_hunks(old, new, begin)]
    yield from lines[:SHOWN_LINES]
    if len(lines) > SHOWN_LINES or max(len(old.lines), len(new.lines)) > begin + WINDOW:
        yield "(more may differ)"


def _hunks(old: Side, new: Side, begin: int) -> Iterator[str]:
    matcher = SequenceMatcher(None, old.lines[begin : begin + WINDOW], new.lines[begin : begin + WINDOW], autojunk=False)
    for hunk in matcher.get_grouped_opcodes(CONTEXT):
        (_, old_from, _, new_from, _), (_, _, old_to, _, new_to) = hunk[0], hunk[-1]
        at_old, at_new = old.above + begin + old_from + 1, new.above + begin + new_from + 1
        yield f"@@ -{at_old},{old_to - old_from} +{at_new},{new_to - new_from} @@"
        for tag, old_at, old_end, new_at, new_end in hunk:
            if tag == "equal":
                yield from (" " + visible(line) for line in new.shown[begin + new_at : begin + new_end])
            else:
                yield from ("-" + visible(line) for line in old.shown[begin + old_at : begin + old_end])
                yield from ("+" + visible(line) for line in new.shown[begin + new_at : begin + new_end])


def visible(line: bytes) -> str:
    """A line for a terminal and a report: nothing in it acts, what cannot be seen is written as an escape, and it is not too long."""
    text = _UNSEEN.sub(lambda match: "".join(_escape(character) for character in match[0]), line.decode("utf-8", "backslashreplace"))
    text = text.removesuffix("\n")
    return text if len(text) <= SHOWN_COLUMNS else f"{text[:SHOWN_COLUMNS]}... ({len(text) - SHOWN_COLUMNS} more)"


def _escape(character: str) -> str:
    return "\\x20" if character == " " else character.encode("unicode_escape").decode()
