"""What is read from a YAML text, where is it, and what is wrong with it? The nouns of `interlock.config.yamltext`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

KeyPath = tuple[str | int, ...]
"""Where in the data: keys of mappings, and indexes of lists."""


class Fault(StrEnum):
    """What can be wrong with a text."""

    TOO_LARGE = "too-large"
    NOT_TEXT = "not-text"
    CONFLICT_MARKER = "conflict-marker"
    SYNTAX = "syntax"
    EMPTY = "empty"
    SEVERAL_DOCUMENTS = "several-documents"
    TOO_DEEP = "too-deep"
    TOO_MANY_VALUES = "too-many-values"
    DUPLICATE_KEY = "duplicate-key"
    KEY = "key"
    TAG = "tag"
    ALIAS = "alias"
    MERGE = "merge"


FATAL = frozenset({Fault.TOO_LARGE, Fault.NOT_TEXT, Fault.CONFLICT_MARKER, Fault.SYNTAX, Fault.SEVERAL_DOCUMENTS, Fault.TOO_DEEP, Fault.TOO_MANY_VALUES})
"""With one of these there is no data: what was read before it is not what the text says."""


class Problem(NamedTuple):
    """One fault at one place. `path` is the key path that it belongs to; `first_line` of a duplicate key is where the key stands already."""

    line: int
    column: int
    kind: Fault
    message: str
    why: str = ""
    remedy: str = ""
    path: KeyPath = ()
    first_line: int | None = None


class Rules(NamedTuple):
    """How much is read, and what is let through. `size` in bytes; `values` counts keys and values, an aliased value each time that it is used."""

    size: int
    values: int
    depth: int = 64
    foreign_tags: bool = False  # keep `!reset`, `!override` and the like as Tagged
    several_documents: bool = False
    same_text_is_same_key: bool = False  # 1 and "1" are one key, as for go-yaml
    unseen_characters: bool = False  # let U+0085, U+2028, U+2029 pass, which end a line for YAML 1.1 and for no editor, and U+FEFF


SITE = Rules(size=1_000_000, values=200_000)
COMPOSE = Rules(size=4_000_000, values=1_000_000, foreign_tags=True, several_documents=True, same_text_is_same_key=True, unseen_characters=True)


class Position(NamedTuple):
    """A place in the text, both from 1; columns count characters."""

    line: int
    column: int


class Place(NamedTuple):
    """Where an entry stands. The key of a list item is the item itself."""

    key: Position
    value: Position


class Key(NamedTuple):
    """A key of a mapping: its text as data has it, and where it stands. `merges` is set for a plain `<<`."""

    text: str
    at: Position
    merges: bool = False


@dataclass(slots=True, kw_only=True)
class Node:
    """A value, where it is, and what is below it. `text` is a scalar as its author wrote it, without quotes.

    `size` counts it and all below with aliases spelled out; `height` is how many levels are below.
    """

    at: Position
    data: Any
    text: str | None = None
    members: dict[str, tuple[Key, Node]] | list[Node] | None = None
    size: int = 1
    height: int = 0

    def below(self, step: str | int) -> tuple[Position, Node] | None:
        """Where the member under this key or index begins, and the member; None when there is none."""
        if isinstance(self.members, dict) and isinstance(step, str) and step in self.members:
            key, member = self.members[step]
            return key.at, member
        if isinstance(self.members, list) and isinstance(step, int) and 0 <= step < len(self.members):
            return self.members[step].at, self.members[step]
        return None

    def paths(self, above: KeyPath = ()) -> Iterator[KeyPath]:
        """The key path of everything below, in the order of the data."""
        steps: Iterator[tuple[str | int, Node]] = iter(())
        if isinstance(self.members, dict):
            steps = ((text, member) for text, (_, member) in self.members.items())
        elif self.members is not None:
            steps = enumerate(self.members)
        for step, member in steps:
            yield (*above, step)
            yield from member.paths((*above, step))


class Positions(Mapping[KeyPath, Place]):
    """Where each key path stands in the text. Below an alias or a merge key that is where the text was written; computed when asked for."""

    __slots__ = ("_root",)

    def __init__(self, root: Node | None) -> None:
        self._root = root

    def __getitem__(self, path: KeyPath) -> Place:
        found, place, _ = self._walk(path)
        if found < len(path) or not path:
            raise KeyError(path)
        return place

    def __iter__(self) -> Iterator[KeyPath]:
        return iter(()) if self._root is None else self._root.paths()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def nearest(self, path: KeyPath) -> Place:
        """The place of `path`, else of the nearest thing above it that is in the text, else of the document."""
        return self._walk(path)[1]

    def written(self, path: KeyPath) -> str | None:
        """The scalar at `path` as its author wrote it, without quotes: `0600` where the data says 384. None when no scalar is there."""
        found, _, node = self._walk(path)
        return node.text if node is not None and found == len(path) else None

    def _walk(self, path: KeyPath) -> tuple[int, Place, Node | None]:
        """How many steps of `path` lead somewhere, the place there, and the node there."""
        node = self._root
        at = Position(1, 1) if node is None else node.at
        place = Place(at, at)
        for found, step in enumerate(path):
            below = None if node is None else node.below(step)
            if below is None:
                return found, place, node
            key, node = below
            place = Place(key, node.at)
        return len(path), place, node
