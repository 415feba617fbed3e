"""Which choice does the application keep on its host, and which chains were its containers started from? `interlock.observe.persisted` asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from interlock.nouns import dataclass


class Followed(NamedTuple):
    """Somebody who starts the stack, or was started with it, and the chains that his compose files are; none when no chain is made of those. `by` says where
    that stands."""

    who: str
    by: str
    files: tuple[str, ...]
    chains: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistedChoice:
    """The value that a file keeps under a key, beside what follows it. `value` is None where the file or the key is not there; `needed` maps each value to the
    chain that it needs, and `default` is the one without a value."""

    file: str
    key: str
    value: str | None
    needed: Mapping[str, str]
    default: str | None
    followers: tuple[Followed, ...]
