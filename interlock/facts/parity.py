"""What are the two sides of a copied database? Their catalogues, and how many rows each table has in one snapshot; `interlock.observe.parity` looks."""

from __future__ import annotations

import re

from interlock.facts.catalogue import Catalogue, dotted
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Tables that the site leaves out, and why. `pattern` is schema.table, unquoted, in which `*` stands for anything."""

    pattern: str
    reason: str

    def covers(self, path: tuple[str, ...]) -> bool:
        """Is this schema and table among them?"""
        words = ".*".join(re.escape(part) for part in self.pattern.split("*"))
        return re.fullmatch(words, ".".join(path), re.DOTALL) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """One thing whose rows are counted: a table, a partition by itself, or all hash partitions of one table together.

    `rows` is the exact count, None when it was not counted: `left_out` says why nobody wants to, else `refused`, `kind` and `remedy` why nobody could.
    """

    path: tuple[str, ...]
    rows: int | None = None
    left_out: str = ""
    refused: str = ""
    kind: str = ""
    remedy: str = ""

    @property
    def name(self) -> str:
        """As SQL writes it; the large objects have a name without a schema."""
        return f"table {dotted(self.path)}" if len(self.path) > 1 else self.path[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One database of a copy, all of it seen in one snapshot. `name` is the site's for it."""

    name: str
    catalogue: Catalogue
    tables: tuple[TableRows, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCopy:
    """A database and what should be the same one. `schemas` are those that are compared, None for all."""

    name: str
    source: Side
    target: Side
    ignored: tuple[Ignored, ...] = ()
    schemas: tuple[str, ...] | None = None

    @property
    def itself(self) -> bool:
        """Is the target no other database than the source?"""
        return self.source.catalogue.server.same_database(self.target.catalogue.server)

    def reason_to_ignore(self, path: tuple[str, ...]) -> str:
        """Why a table is left out; empty when it is compared."""
        return ignored_because(self.ignored, path)


def ignored_because(ignored: tuple[Ignored, ...], path: tuple[str, ...]) -> str:
    """The reason of the first entry that covers a table; empty when none does."""
    return next((one.reason for one in ignored if one.covers(path)), "")
