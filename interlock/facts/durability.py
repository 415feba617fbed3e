"""Which keys does a tree make where they do not last? The nouns; `interlock.observe.secrets` finds them."""

from __future__ import annotations

from enum import StrEnum

from interlock.facts.programs import Unreadable
from interlock.nouns import dataclass


class Kept(StrEnum):
    """Where a key ends up. The values are the kinds of findings."""

    IN_CONTAINER = "in-the-container"
    IN_IMAGE = "in-the-image"
    ANEW = "made-at-each-start"
    FLEETING = "in-a-temporary-directory"
    NEVER = "never-made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """A key that does not last: its variable or file, and the place that makes it. `by` is the program that needs it, where nobody makes it."""

    kept: Kept
    path: str
    line: int
    name: str
    by: str = ""
    certificate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """All of a tree."""

    lost: tuple[Ephemeral, ...]
    unreadable: tuple[Unreadable, ...] = ()
