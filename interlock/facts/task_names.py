"""Which tasks does a sentence name? `CUST-WP-0011-T04`, `T04`, `T4`, `T04/T05`, `T04/05`, `T04 to T06`, `T04-T06`; a task of another plan is none of these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from interlock.patterns import regex

_TOKEN = regex(r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*")
_TO = regex(r"\s*(?:-|\u2013|\u2014|\.{2,3}|\u2026|to|through|thru)\s*", re.IGNORECASE)
_BESIDE = regex(r"\s*[-/,&\u2013]\s*|\s*\.{2,3}\s*")  # what may stand between T04 and a number that goes without its T
_SHORT = regex(r"([A-Za-z]+)[-_.]?0*(\d+)([a-z]?)", re.IGNORECASE)
_BEFORE = regex(r"\b(?:before|prior to|ahead of|until|blocks?|blocking|gates?|gating|needed (?:for|by)|required (?:for|by))\b", re.IGNORECASE)


class Names:
    """What the tasks of these ids are called."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = tuple(ids)
        self._by_name: dict[str, list[int]] = {}
        for index, identifier in enumerate(self.ids):
            tail = _SHORT.fullmatch(re.split(r"[-_./:]", identifier)[-1])
            for name in {_plain(identifier), *([_short(tail)] if tail else [])}:
                self._by_name.setdefault(name, []).append(index)

    def mentioned(self, text: str) -> tuple[str, ...]:
        """The ids of the tasks that a text names, in the order of the plan."""
        found: set[int] = set()
        last: list[int] = []
        letters = ""
        for gap, word in self._words(text):
            here = self._of(word)
            if not here and last and word.isdigit() and _BESIDE.fullmatch(gap):
                here = self._of(letters + word)
            if here and last and _TO.fullmatch(gap):
                found.update(range(min(last), max(here) + 1))
            if here and not word.isdigit():
                letters = re.sub(r"\d.*", "", re.split(r"[-_.]", word)[-1])
            found.update(here)
            last = here
        return tuple(self.ids[index] for index in sorted(found))

    def waiting(self, text: str) -> tuple[str, ...]:
        """The ids of the tasks that wait, says a text: those behind the `before` of a sentence, else all that it names."""
        sentences = re.split(r"(?<=[.!?;])\s+", " ".join(text.split()))
        behind = [one[match.end() :] for one in sentences if (match := _BEFORE.search(one))]
        found = {identifier for one in behind for identifier in self.mentioned(one)}
        return tuple(identifier for identifier in self.ids if identifier in found) or self.mentioned(text)

    def _of(self, token: str) -> list[int]:
        short = _SHORT.fullmatch(token)
        return self._by_name.get(_plain(token)) or (self._by_name.get(_short(short), []) if short else [])

    def _words(self, text: str) -> Iterator[tuple[str, str]]:
        """The words with a digit, each behind what stands between it and the one before. `T04-T06` is two, unless a task is called so."""
        end = 0
        for token in _TOKEN.finditer(text):
            if not re.search(r"\d", token[0]):
                continue
            gap, end = text[end : token.start()], token.end()
            first, _, second = token[0].partition("-")
            if not self._of(token[0]) and self._of(first) and (self._of(second) or second.isdigit()):
                yield gap, first
                yield "-", second
            else:
                yield gap, token[0]


def _short(name: re.Match[str]) -> str:
    """`t4` of T04, t-4 and T4."""
    return f"{name[1]}{int(name[2])}{name[3]}".casefold()


def _plain(identifier: str) -> str:
    """One spelling of `WP-1-T04`, `wp-1-t4`."""
    return re.sub(r"(?<!\d)0+(\d+[a-z]?)$", r"\1", identifier.casefold())
