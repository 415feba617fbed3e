"""Which files of a tree say of themselves that they are a copy of another one, and which are compared by a check? And are they the same?

Only what the tree itself says counts: two files that look alike may differ on purpose.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from interlock.facts.shell import Script
from interlock.nouns import dataclass
from interlock.patterns import regex

_PATH = r"[`'\"(<]?(?P<path>(?:[\w.@-]+/)*[\w@-][\w.@-]*\.\w{1,8}|(?:[\w.@-]+/)+[\w@-]+)[`'\")>]?"
_SAYS = regex(
    rb"copy of|copied|identical|in[ -]sync|synchroni[sz]ed|mirror(?:s|ed)? (?:of|from)|must match|same as|duplicate of|duplicated from|vendored from",
    re.IGNORECASE,
)
_COPY = regex(
    r"(?:(?:exact|verbatim|literal|byte-for-byte|identical|1:1)[ -]cop(?:y|ied)(?: of| from)?|\bis an? copy of|copied verbatim from"
    r"|byte-for-byte (?:identical|equal) (?:to|with)|(?:must|should|has to) (?:be|stay|remain) (?:byte-)?identical (?:to|with)"
    r"|(?:keep|kept|stay) (?:this file |this |it |them |both )?(?:byte-)?(?:identical|in[ -]sync|synchroni[sz]ed) (?:to|with))"
    r"[ \t]+(?:the (?:one|file|copy|version|script) (?:in|at|of) )?(?:the )?" + _PATH,
    re.IGNORECASE,
)
_COMMENT = regex(r"^[ \t]*(?:#|//|--|;|\*|<!--)[ \t]?(?P<said>.*)$")
_HEAD = 40  # lines in which a file says what it is
ALIKE = 0.6  # of their lines: files that have less in common share a value, not their text
_PLAIN_FLAGS = frozenset({"-q", "-u", "-s", "--brief", "--quiet", "--silent", "-a", "--strip-trailing-cr", "--exit-code", "--no-index"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Two files that the tree says are the same. `said_at` is where it says so, `check` whether a check compares every byte."""

    file: str
    other: str
    said_at: str
    line: int
    check: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Twins, and what they turned out to be: `differs` is the first line of `other` in which they do not agree, None when they do."""

    twin: Twin
    differs: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """All pairs of a tree."""

    pairs: tuple[Compared, ...]


def may_say(data: bytes) -> bool:
    """Whether a file may say that it is a copy: by its bytes, before anything is read."""
    return _SAYS.search(data, 0, 8192) is not None


def said_copies(text: str) -> Iterator[tuple[str, int]]:
    """The paths that a file says it is a copy of, in the comments that it opens with, each with its line."""
    lines = text.splitlines()[:_HEAD]
    comments = [match["said"] if (match := _COMMENT.match(line)) else "" for line in lines]
    joined = " ".join(comment or "\n" for comment in comments)
    for found in _COPY.finditer(joined):
        name = found["path"].rstrip(".")
        line = next((number for number, comment in enumerate(comments, 1) if posixpath.basename(name) in comment), 1)
        yield name, line


def compared_by(script: Script) -> Iterator[tuple[str, str, int]]:
    """The pairs of files that a script compares byte for byte by `cmp` or `diff`, with the line."""
    for command in script.commands():
        words = [word.literal for word in command.words]
        if not words or (words[0] not in ("cmp", "diff") and words[:2] != ["git", "diff"]):
            continue
        flags = [word for word in words[1:] if word and word.startswith("-")]
        names = [word for word in words[1:] if word is not None and not word.startswith("-") and word != "diff"]
        if len(names) == 2 and len(names) + len(flags) + (2 if words[0] == "git" else 1) == len(words) and set(flags) <= _PLAIN_FLAGS:
            yield names[0], names[1], command.line


def first_difference(one: str, other: str, *, whole: bool) -> int | None:
    """The first line of `other` that is not in `one` where it should be, None when they agree, or are too different to be copies at all.

    Comments and empty lines do not count unless `whole`: a copy says that it is one.
    """
    left, right = _lines(one, whole=whole), _lines(other, whole=whole)
    if [text for _, text in left] == [text for _, text in right]:
        return None
    matcher = SequenceMatcher(None, [text for _, text in left], [text for _, text in right], autojunk=False)
    if not whole and matcher.ratio() < ALIKE:
        return None
    at = next(block for block in matcher.get_opcodes() if block[0] != "equal")[3]
    return right[at][0] if at < len(right) else (right[-1][0] if right else 1)


def _lines(text: str, *, whole: bool) -> list[tuple[int, str]]:
    numbered = enumerate(text.splitlines(), 1)
    return [(number, line.rstrip()) for number, line in numbered if whole or (line.strip() and not _COMMENT.match(line))]
