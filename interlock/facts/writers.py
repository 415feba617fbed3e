"""Whom do the files of the state directory belong to, and who may own them? `interlock.observe.writers` brings both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from interlock.facts.looks import OwnedFiles
from interlock.nouns import dataclass

ROOT = 0
ITSELF = "."  # how a walk names the directory that it began with


class ServiceUser(NamedTuple):
    """As whom a running service that can write to the state directory runs, as the host counts it; None where that could not be seen, and why."""

    service: str
    uid: int | None
    unseen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOwners:
    """The owners of everything at and below the state directory, beside who may own it.

    `complete` is False where there was more than is counted, `unread` are directories that could not be listed. `declared` maps the users that the site names
    to their uids (None: that host knows no such user), None where it names none; `services` are those that run, then.
    """

    path: str
    owners: tuple[OwnedFiles, ...]
    complete: bool
    unread: tuple[str, ...]
    declared: Mapping[str, int | None] | None = None
    services: tuple[ServiceUser, ...] = ()

    @property
    def owner(self) -> int | None:
        """Whom the directory itself belongs to."""
        return next((owned.uid for owned in self.owners if ITSELF in owned.names), None)

    def below(self, owned: OwnedFiles) -> int:
        """How many entries below the directory belong to somebody, without the directory itself."""
        return owned.entries - (ITSELF in owned.names)

    @property
    def writers(self) -> Mapping[int, str]:
        """Who may own what is there, by uid, and who that is in words; empty where nothing tells.

        Of a directory that belongs to root nothing follows: so does every fresh file system. Where no service tells either, and all that is in it belongs to
        one user, that one is the writer.
        """
        if self.declared is not None:
            return {uid: name if name != str(uid) else f"uid {uid}" for name, uid in self.declared.items() if uid is not None}
        found = {user.uid: f"the user of {user.service}" for user in reversed(self.services) if user.uid is not None}
        if self.owner not in (None, ROOT, *found):
            found[self.owner or ROOT] = f"the owner of {self.path}"
        if found or self.services:
            return found
        inside = [owned.uid for owned in self.owners if self.below(owned)]
        return {} if len(inside) > 1 else {inside[0] if inside else ROOT: "the only owner"}
