"""What was decided, by whom and when? `decided: <what>, <who>, <date>` in a text, and `<who>, <date>` where somebody approves.

All of it is needed: a decision of nobody, or of no day, is none that one can go back to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from interlock.patterns import regex

_DATE = regex(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?(?!\d)")
_NOT_YET = regex(
    r"\b(?:pending|requested|required|awaiting|awaits|waiting|tbd|tbc|todo|rejected|denied|declined|refused|revoked|withdrawn|expired|not|nobody)\b",
    re.IGNORECASE,
)
_FILLERS = frozenset({"yes", "true", "approved", "approval", "granted", "given", "ok", "okay", "by", "on", "at", "the", "date", "and", "signed"})
_DECIDED = regex(r"(?<![\w-])decided[*_`]*\s*:[*_`]*", re.IGNORECASE)
_NOT_DECIDED = frozenset({"be", "not", "yet", "never", "until", "when", "once", "if", "unless", "after", "before"})  # "to be decided: by alice, ..."
_THREE = regex(r"(.+?),\s*([^,]*[^\W\d_][^,]*?),\s*(?:on\s+)?(\d{4}-\d{2}-\d{2})(?!\d)")
_LONGEST = 1000  # characters of a decision
_MARKED = regex(r"(?:[-*+]|\d{1,3}[.)])\s")
_UNSAID = frozenset({"tbd", "tbc", "todo", "pending", "open", "nobody", "unknown", "someone", "none", "who", "what", "<what>", "<who>"})


def flat(value: Any) -> str:
    """All that a value says, in one line: the members of lists and mappings one after another."""
    if isinstance(value, dict):
        return ", ".join(flat(one) for one in value.values())
    if isinstance(value, list):
        return ", ".join(map(flat, value))
    return "" if value is None else " ".join(str(value).split())


def _is_date(text: str) -> bool:
    """Whether the calendar has a day of this name."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def signed(value: Any) -> bool:
    """Whether a value names somebody and a day: `alice, 2026-11-02`, or the same as keys of a mapping."""
    text = flat(value)
    days = [match[1] for match in _DATE.finditer(text)]
    words = re.findall(r"[^\W\d_]+", _DATE.sub(" ", text))
    return any(map(_is_date, days)) and not _NOT_YET.search(text) and any(word.casefold() not in _FILLERS for word in words)


def what_who_when(text: str) -> str:
    """`what, who, date` with which a text begins, empty where one of the three is missing."""
    found = _THREE.match(text.strip()[:_LONGEST])
    if found is None or not _is_date(found[3]):
        return ""
    what, who = found[1].strip(" *_`"), found[2].strip(" *_`")
    return "" if {what.casefold(), who.casefold()} & _UNSAID or not what else f"{what}, {who}, {found[3]}"


def decided(lines: Sequence[str]) -> tuple[str, bool]:
    """What was decided, by whom and when, empty while it is not; and whether the lines say `decided:` at all. What is struck out is not said."""
    text = re.sub(r"~~.*?~~", "", "\n".join(lines), flags=re.DOTALL)
    said = False
    for match in _DECIDED.finditer(text):
        before = re.findall(r"\w+", text[: match.start()].rpartition("\n")[2])
        if before and before[-1].casefold() in _NOT_DECIDED:
            continue
        said = True
        first, *others = text[match.end() :].split("\n")
        end = next((index for index, line in enumerate(others) if _MARKED.match(line)), len(others))
        for candidate in (" ".join([first, *others[:end]]), first):
            if found := what_who_when(candidate):
                return found, True
    return "", said


def undecided_part(line: str) -> str:
    """What stands before `decided:`."""
    return _DECIDED.split(line)[0]
