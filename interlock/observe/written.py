"""On which line of which file does a chain of compose files say something? docker compose merges them and forgets; an operator needs the place.

The place is the last file of the chain that says it, since later ones win; what no file of the chain says (`extends`, `include`) is in its first file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from interlock.config.yamlnodes import COMPOSE, KeyPath, Positions
from interlock.config.yamltext import YamlText, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.placeholders import placeholders
from interlock.facts.stack import Stack
from interlock.nouns import dataclass
from interlock.observe.stack import chain_values, scalars
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unset:
    """A text with variables that have no value here. `key` is its last key where it is the value of one (`host_ip`), else empty."""

    text: str
    key: str
    variables: tuple[str, ...]

    def filled(self, value: str) -> str:
        """The text with `value` in the place of each of these variables: nothing, as docker compose does, or what stood in for them."""
        names = "|".join(self.variables)
        return re.sub(rf"\$\{{(?:{names})\}}|\$(?:{names})\b", value, self.text)


def unset_at(world: World, model: Stack, path: KeyPath) -> Iterator[Unset]:
    """The texts at and below a key path of a chain whose variables neither its env files nor a default gives: nobody knows from the files what they say."""
    values = chain_values(world, model.chain)
    for file in model.files:
        for scalar in scalars(world, file):
            variables = tuple(placeholders([scalar], values)) if scalar.path[: len(path)] == path else ()
            if variables:
                key = scalar.path[-1] if len(scalar.path) > len(path) + 1 else ""
                yield Unset(text=scalar.text, key=str(key), variables=variables)


def positions(world: World, file: str) -> Positions:
    """Where each key of a compose file of the tree stands; empty for one that cannot be read."""
    return _read(world, file).positions


def _read(world: World, file: str) -> YamlText:
    """A compose file of the tree; nothing for one that cannot be read: that is said by who needs its text, a place is only a help."""
    try:
        return world.once(("yaml", file), lambda: read_yaml(world.tree.read(file), COMPOSE))
    except CouldNotLook:
        return YamlText((), ())
