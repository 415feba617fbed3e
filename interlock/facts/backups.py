"""What lies in a module's backup directory? The nouns of the backups family; `interlock.observe.backups` brings the listings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from interlock.facts.looks import Listing, StatAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleBackups:
    """A module's backup directory and everything below it.

    `owner_uid` is None when the host knows no user `owner`.
    `listings` streams the walk, top down, and can be drained once: a directory may hold a million files.
    """

    directory: str
    itself: StatAnswer
    owner: str
    owner_uid: int | None
    listings: Iterator[Listing]


def mode_text(mode: int) -> str:
    """Permission bits as operators write them: `0644`."""
    return f"{mode & 0o7777:04o}"
