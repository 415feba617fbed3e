"""Who says that something is ready, and which design issue do they name? `readiness: ready` in front matter and in module files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from interlock.facts.decided import flat
from interlock.nouns import dataclass
from interlock.patterns import regex

_READY = regex(r"(?:[a-z]\d[\s_-]+)?ready(?:[\s_-]+for[\s_-]+(?:[a-z]\d|cutover|apply|prod(?:uction)?))?(?:\s*[(,].*)?", re.IGNORECASE)
_STANDS_IN = ("", "metadata", "metadata.labels", "metadata.annotations", "spec", "spec.runtime")
_ISSUE = ("design_issue", "design-issue", "designIssue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Somebody says that something is ready, by the words that stand there; `issue` is the design issue that they name for it, empty for none."""

    path: str
    line: int
    said: str
    issue: str


LineOf = Callable[[tuple[str | int, ...]], int]  # of the key that a path leads to, else of what is nearest


def claims_in(path: str, data: Mapping[str, Any], line_of: LineOf) -> Iterator[Claim]:
    """The claims of a file's data, whatever shape that has."""
    for place in _STANDS_IN:
        members = _at(data, place)
        value = members.get("readiness") if isinstance(members, Mapping) else None
        if said := _ready(value):
            key = f"{place}.readiness".lstrip(".")
            line = line_of(tuple(key.split(".")))
            holders = (value, members, data, data.get("metadata"), data.get("spec"))
            issues = (flat(holder.get(name)) for holder in holders if isinstance(holder, Mapping) for name in _ISSUE)
            # A number, alone or at the end of an address: everything else (`TBD`) names no issue.
            yield Claim(path=path, line=line, said=f"{key}: {said}", issue=next((text for text in issues if re.search(r"\d", text)), ""))


def _ready(value: Any) -> str:
    """What a value says, where it says that something is ready: `ready`, `f3-ready`, true, or one of these in a mapping."""
    if isinstance(value, Mapping):
        members = ((key, member) for key, member in value.items() if not isinstance(member, Mapping) and (member is not True or key == "ready"))
        return next((f"{key}: {said}" for key, member in members if (said := _ready(member))), "")
    if value is True:
        return "true"
    return value.strip() if isinstance(value, str) and _READY.fullmatch(value.strip()) else ""


def _at(data: Any, dotted: str) -> Any:
    for key in dotted.split(".") if dotted else ():
        data = data.get(key) if isinstance(data, Mapping) else None
    return data
