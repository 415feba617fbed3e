"""On which line of which file does a chain of compose files say something? docker compose merges them and forgets; an operator needs the place.

The place is the last file of the chain that says it, since later ones win; what no file of the chain says (`extends`, `include`) is in its first file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interlock.config.yamlnodes import COMPOSE, KeyPath, Positions
from interlock.config.yamltext import read_yaml
from interlock.errors import CouldNotLook
from interlock.observe.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file of the tree, and the line; None where only the file is known."""

    file: str
    line: int | None


def written(world: World, files: Sequence[str], *paths: KeyPath) -> Written:
    """Where a chain says the first of these key paths that any of its files has."""
    for path in paths:
        for file in reversed(files):
            known = positions(world, file)
            if path in known:
                return Written(file=file, line=known[path].key.line)
    return Written(file=files[0], line=None)


def positions(world: World, file: str) -> Positions:
    """Where each key of a compose file of the tree stands; empty for one that cannot be read."""

    def read() -> Positions:
        try:
            return read_yaml(world.tree.read(file), COMPOSE).positions
        except CouldNotLook:
            return Positions(None)  # it will be said by who needs its text: a place is only a help

    return world.once(("positions", file), read)
