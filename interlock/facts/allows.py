"""Which comments of a file say that a finding may pass, and for which lines? `# interlock: allow RULE because REASON until DATE`.

Pure: from the bytes of one file. `interlock.observe.allows` looks through a tree, `interlock.gate.waivers` judges what may be allowed, and for how long.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from datetime import UTC, datetime

from interlock.nouns import dataclass
from interlock.patterns import regex

MARK = b"interlock:"
FORM = "# interlock: allow RULE because REASON until YYYY-MM-DD"

_OPENERS = r"#+|//|;+|--|<!--|\{\{!--|\{\{!|\{#|/\*"
_COMMENT = regex(rf"(?:^|(?<=\s))(?P<opener>{_OPENERS})\s*interlock:\s*allow(?![\w-])(?P<said>.*)")
_CLOSERS = regex(r"\s*(?:-->|--\}\}|\}\}|#\}|\*/)\s*$")
_SAID = regex(r"\s+(?P<rule>\S+)\s+because\s+(?P<reason>\S.*?)\s+until\s+(?P<until>\S+)")
_DAY = regex(r"\d{4}-\d{2}-\d{2}")
_MOMENT = regex(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")
_PAGES = (".md", ".markdown", ".mdx", ".rst", ".txt", ".adoc", ".html", ".htm", ".xml", ".svg")  # `#` and `--` are no comments there
_FENCE = regex(r"\s*(?:```|~~~)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """One comment that lets findings of `rule` pass. `file` is relative to the tree; it covers the lines `line` to `last`, counted from 1, and where it stands
    in the head of the file what has no line. `expires_at` is aware, UTC."""

    file: str
    line: int
    last: int
    head: bool
    rule: str
    reason: str
    expires_at: datetime

    @property
    def place(self) -> str:
        """`compose.yaml:4`."""
        return f"{self.file}:{self.line}"

    def covers(self, file: str, line: int | None) -> bool:
        """Whether it stands at what was found there."""
        return file == self.file and (self.head if line is None else self.line <= line <= self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAllow:
    """A comment that was meant to allow something, and cannot: what is wrong, and what to do."""

    file: str
    line: int
    what: str
    remedy: str

    @property
    def place(self) -> str:
        """`compose.yaml:4`."""
        return f"{self.file}:{self.line}"


def allows_in(file: str, data: bytes) -> tuple[Allow | BadAllow, ...]:
    """Every such comment of a file, in its order. Never raises; a binary file has none."""
    if MARK not in data or b"\0" in data:
        return ()
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return tuple(_read(file, lines, index, match) for index, match in _comments(file, lines))


def _comments(file: str, lines: list[str]) -> Iterator[tuple[int, re.Match[str]]]:
    page = file.lower().endswith(_PAGES)
    fenced = False
    real = _comment_lines("\n".join(lines)) if file.endswith(".py") else None
    for index, line in enumerate(lines):
        if page and _FENCE.match(line):
            fenced = not fenced
        match = _COMMENT.search(line) if "interlock:" in line else None
        if match is None or (page and (fenced or match["opener"] != "<!--")) or (real is not None and index + 1 not in real):
            continue
        yield index, match


def _comment_lines(text: str) -> frozenset[int] | None:
    """The lines of a Python program on which a comment stands: one in a string is a string. None for a text that is no Python."""
    try:
        return frozenset(token.start[0] for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT)
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
        return None


def _read(file: str, lines: list[str], index: int, match: re.Match[str]) -> Allow | BadAllow:
    said = _SAID.fullmatch(_CLOSERS.sub("", match["said"]).rstrip())
    if said is None:
        return BadAllow(file=file, line=index + 1, what=_lacking(match["said"]), remedy=f"write it in one line: {FORM}")
    expires_at = _moment(said["until"])
    if expires_at is None:
        what = f"ends with {said['until'][:40]!r}, which is no date"
        return BadAllow(file=file, line=index + 1, what=what, remedy="write `until 2026-03-31`, or a moment with its offset: `until 2026-03-31T12:00:00Z`")
    alone = not lines[index][: match.start("opener")].strip()
    opener = re.sub("^([#;])[#;]*$", r"\1", match["opener"])  # `##` is a comment among those with one `#`
    return Allow(
        file=file,
        line=index + 1,
        last=_last(lines, index, opener, alone=alone),
        head=alone and _in_head(lines, index, opener),
        rule=said["rule"],
        reason=said["reason"],
        expires_at=expires_at,
    )


def _lacking(said: str) -> str:
    words = said.split()
    if not words or words[0] == "because":
        return "names no guardrail"
    if "because" not in words or words[-1] == "because" or words[words.index("because") + 1 :][:1] == ["until"]:
        return "gives no reason: `because` and a few words"
    return "gives no date: `until` and the day from which it holds no longer"


def _moment(text: str) -> datetime | None:
    """A day begins at midnight UTC, and with it the finding counts again."""
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return datetime.fromisoformat(text.upper()).astimezone(UTC) if _MOMENT.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def _last(lines: list[str], index: int, opener: str, *, alone: bool) -> int:
    """The last line, counted from 1, that a comment speaks of: its own, or behind it and further comments the next one, to its end where it goes on."""
    if alone:
        index += 1
        while index < len(lines) - 1 and _is_comment(lines[index], opener):
            index += 1
    while index < len(lines) - 1 and lines[index].rstrip().endswith("\\"):
        index += 1
    return min(index + 1, len(lines))


def _is_comment(line: str, opener: str) -> bool:
    shown = line.lstrip()
    return shown.startswith(opener) and not shown.startswith("---")


def _in_head(lines: list[str], index: int, opener: str) -> bool:
    """Nothing but comments and empty lines stand above."""
    return all(not line.strip() or _is_comment(line, opener) or line.startswith("#!") for line in lines[:index])
