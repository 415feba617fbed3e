r"""How is text that others wrote shown without it doing anything? Every rendering shows names and messages through `visible`.

Control characters, ANSI escapes, invisible and direction-changing characters and undecodable bytes become `\xNN` or `\uNNNN`. The set is written out
here rather than taken from `str.isprintable`, which changes with Python's Unicode tables: a rendering must be the same bytes in ten years.
"""

from __future__ import annotations

import re

from interlock.patterns import regex

_UNSEEN = regex(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: the terminal's own
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"  # soft hyphen, joiner, letter mark, fillers, vowel separator
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line and paragraph separators, bidirectional controls
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"  # fillers, byte order mark, annotations, noncharacters
    "\ufdd0-\ufdef\U000e0000-\U000e0fff"  # noncharacters, tags
    "\ud800-\udfff"  # surrogates: bytes that were no UTF-8, or half a character
    "]"
)


def visible(text: str) -> str:
    r"""The same text on one line, with nothing in it that does not show: `a\nb` becomes `a\x0ab`, an undecodable byte 0xE9 `\xe9`."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(_shown, text)


def visible_lines(text: str) -> str:
    """Like `visible`, but newlines stay newlines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: the byte itself (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def clipped(text: str, limit: int) -> str:
    """What `visible` makes of a text, at most `limit` bytes of UTF-8 of it, and a mark where something is missing."""
    shown = visible(text[: limit + 1])  # no letter is shown as less than a byte
    if len(shown) * 4 <= limit or len(shown.encode()) <= limit:
        return shown
    return shown.encode()[: limit - 5].decode(errors="ignore") + "[...]"
