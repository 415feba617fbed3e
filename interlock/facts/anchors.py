"""Do the patterns of an installer's edits still find what they were written for? An `Anchor` is one edit beside the templates that it may edit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from interlock.facts.programs import Unreadable
from interlock.facts.text_edits import ANYTHING, Edit
from interlock.nouns import dataclass
from interlock.patterns import regex

_COMMENT_MARK = regex(r"^\^?\(?(?:\^|\\s\*|\[\[:space:\]\]\*|[ \t]*)*\(?(?:\[?\\?#+;?\]?|//|;)\)?(?:\\s|[ \t]|\[\[:space:\]\]|\\?[*?+])*")
_SHORTEST = 4  # characters of what is written that tell that it was written already
_NEAR = 8  # characters that a near line shares with what is sought, at least
_SHARE = 0.6  # of what is sought
_SETTING = regex(r"^\^?\(?(?:#|\[#\]|\\?[?*]|\\s|[ \t])*(?P<key>[A-Z][A-Z0-9_]{3,})(?:\\s\*|[ \t]*)=")
_SETTING_LINE = regex(r"^[ \t]*#?[ \t]*(?:export[ \t]+)?(?P<key>[A-Z][A-Z0-9_]*)=")
_SETTINGS = 3  # lines that set something make a file of settings
_SYNTAX = regex(r"\\s[*+]?|\[\[:\w+:\]\][*+]?|\.\*|\[\^[^\]]*\][*+]?|\[[^\]]*\][*+]?|\\[(){}|<>bB]|[\^$()]|\\(?=[^\w\s])|(?<=[\w ])[*+?](?!\w)| (?=[*+?])")
_LAYOUT = regex(r"[\s\"']+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One edit of a script at `path`: it looks for `sought` in `target`, which is made from the files `templates` of the tree. `found`: one of them has it.
    `near` is where one nearly has it, as `file:line`, or a file of settings without the one that is sought: only then it is surely wanted."""

    path: str
    line: int
    sought: str
    target: str
    verb: str
    templates: tuple[str, ...]
    found: bool
    near: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """All edits of a tree whose template is known, and how many scripts were read. `unread` are scripts and templates that nobody could read."""

    scripts: int
    anchors: tuple[Anchor, ...]
    unread: tuple[Unreadable, ...] = ()


def is_found(edit: Edit, templates: Iterable[Sequence[str]], elsewhere: Sequence[str]) -> bool:
    """Whether a line of a template, or one that the script itself brings, is changed by the edit; or needs it no more: it is written there already, or is
    no comment any more."""
    lines = [line for found in templates for line in found]
    every = [*lines, *elsewhere]
    if any(edit.applies(line) for line in lines) or any(_applies_inside(edit, line) for line in elsewhere):
        return True
    written = edit.written.strip()
    if len(written) >= _SHORTEST and ANYTHING not in written and any(written in line for line in every):
        return True
    return _is_uncommented(edit, every)


def _applies_inside(edit: Edit, line: str) -> bool:
    """Whether a script brings what is sought somewhere in one of its lines: `echo 'KEY=' >> file`."""
    return all(re.search(re.sub(r"^\^|(?<!\\)\$$", "", pattern.pattern), line, pattern.flags) for pattern in edit.patterns)


def _is_uncommented(edit: Edit, lines: Sequence[str]) -> bool:
    """Whether a line is already what the edit would make of it by taking its comment mark away."""
    pattern = edit.patterns[-1].pattern
    mark = _COMMENT_MARK.match(pattern)
    words = re.findall(r"\w{4,}", pattern[mark.end() :]) if mark else []
    return bool(words) and any(all(word in line for word in words) for line in lines)


# ---- what was surely meant


def near(edit: Edit, shown: str, lines: Sequence[str]) -> int | None:
    """The line, counted from 1, that nearly has what is sought: the same but for blanks and quotes, or the better part of it. 0 for a file of settings that
    lacks the one that is set. None where nothing tells that the template should have it. A deletion may only clean up: it has to be nearly the same."""
    sought = _SYNTAX.sub("", shown).strip()
    bare = _LAYOUT.sub("", sought)
    if len(bare) < _NEAR:
        return None
    for number, line in enumerate(lines, start=1):
        if bare in _LAYOUT.sub("", line):
            return number
    if edit.verb == "d":
        return None
    pieces = _pieces(sought)
    for number, line in enumerate(lines, start=1):
        if any(piece in line for piece in pieces):
            return number
    return 0 if _lacks_setting(edit, shown, lines) else None


def _pieces(sought: str) -> tuple[str, ...]:
    """The better part of what is sought, from its beginning and from its end, in whole words. One word alone has no parts: another name is no near line."""
    words = re.findall(r"\w+|\W+", sought)
    if sum(1 for word in words if word[0].isalnum() or word[0] == "_") < 2:
        return ()
    enough = max(_NEAR, int(len(sought) * _SHARE))
    heads = ("".join(words[:count]) for count in range(1, len(words)))
    tails = ("".join(words[-count:]) for count in range(1, len(words)))
    return tuple(piece for found in (heads, tails) for piece in [next((one for one in found if len(one) >= enough and re.search(r"\w{3}", one)), "")] if piece)


def _lacks_setting(edit: Edit, shown: str, lines: Sequence[str]) -> bool:
    """Whether a variable is set by an edit in a file of many that does not have it."""
    setting = _SETTING.match(shown)
    if setting is None or setting["key"] not in edit.written:
        return False
    keys = [found["key"] for line in lines if (found := _SETTING_LINE.match(line))]
    return len(keys) >= _SETTINGS and setting["key"] not in keys
