"""Is what one could go back to taken out of use for good? `Retire the WSL2 fallback` says so; `defer the retirement` and `remove old screenshots` do not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from interlock.patterns import regex

_SYSTEM = (
    r"(?:databases?|dbs?|servers?|hosts?|instances?|clusters?|stacks?|nodes?|vms?|machines?|volumes?|disks?|deployments?|services?|postgres(?:ql)?|redis|hub"
    r"|environments?|sites?|primary|writer|systems?|containers?|workstations?|copy|copies|data)\b"
)
_NO_SYSTEM = (
    r"(?:code|logic|paths?|fonts?|locales?|languages?|branch(?:es)?|values?|defaults?|config\w*|options?|flags?|routes?|images?|icons?|texts?|behaviou?rs?"
    r"|handling|handlers?|mechanisms?|parsers?|keys?|docs?)\b"
)
_FOR_GOOD = (
    r"(?:retir(?:e|es|ing|ement of)|decommission(?:s|ing)?(?: of)?|sunset(?:ting)?|shut(?:ting)?[ -]?down(?: of)?|(?:turn|switch|power)(?:ing)? off"
    r"|tear(?:ing)?[ -]?down(?: of)?|dismantl(?:e|ing)|destroy(?:ing)?|wip(?:e|ing))"
)
_AWAY = r"(?:remov(?:e|ing|al of)|delet(?:e|ing|ion of)|drop(?:ping)?|scrap(?:ping)?)"
_OLD = (
    rf"(?:(?:fallback|standby)s?\b(?!\s+{_NO_SYSTEM})|(?:old|source|legacy|previous|former|original)\s+(?:[\w.-]+\s+){{0,2}}?{_SYSTEM}"
    r"|(?:old|source)\s*(?=$|[.,;:)\n]))"
)
_RETIRES = regex(rf"\b(?:{_FOR_GOOD}|{_AWAY})\s+(?:[\w.'-]+\s+){{0,3}}?{_OLD}", re.IGNORECASE)
_NAMED = regex(rf"\b{_FOR_GOOD}\s+(?:[\w.'-]+\s+){{0,2}}?([\w.-]*\d[\w.-]*)", re.IGNORECASE)
_ONLY_SPOKEN_OF = regex(
    r"\b(?:defer\w*|postpon\w*|not|never|no|without|before|until|avoid\w*|prevent\w*|document\w*|plan|plans|planning|prepar\w*|propos\w*|describ\w*|decid(?:e|ing)"
    r"|discuss\w*|if|whether|when|how|\w+n['\u2019]t)\s+(?:(?!and\b|then\b)[\w.'-]+\s+){0,3}$",
    re.IGNORECASE,
)
_STANDS_BY = regex(r"\b(?:fallback|standby|roll[ -]?back)\b", re.IGNORECASE)
_SENTENCE = regex(r"(?<=[.!?;])\s+")


def retired(text: str, fallbacks: frozenset[str] = frozenset()) -> str:
    """The words that say so, empty where there are none. `fallbacks` are the names of what stands by (`fallbacks_in`)."""
    named = (match for match in _NAMED.finditer(text) if match[1].strip(".-").casefold() in fallbacks)
    for match in (*_RETIRES.finditer(text), *named):
        if not _ONLY_SPOKEN_OF.search(text[: match.start()].rpartition("\n")[2]):
            return " ".join(match[0].split())
    return ""


def fallbacks_in(texts: Iterable[str]) -> frozenset[str]:
    """The names with a number in them (`wsl2`, `host01`) that stand in a sentence about a fallback."""
    sentences = (sentence for text in texts if _STANDS_BY.search(text) for sentence in _SENTENCE.split(text) if _STANDS_BY.search(sentence))
    return frozenset(
        token[0].casefold()
        for sentence in sentences
        for token in re.finditer(r"[A-Za-z][\w-]*\d[\w-]*", sentence)
        if not re.fullmatch(r"(?:.*-)?T-?\d+", token[0])  # a task
    )
