"""What is in a PostgreSQL database, apart from its rows? Everything with a name is an `Object`; `interlock.observe.catalogue` reads them.

Two servers of different majors print the same thing differently, and a thing that was dumped and restored is not always printed as before. What is known of
that is settled here, so that equal things are equal texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from interlock.nouns import dataclass
from interlock.patterns import regex

PLAIN_NAME = regex(r"[a-z_][a-z0-9_$]*")
MAINTAIN = "MAINTAIN"  # a privilege that servers before 17 do not have
MAINTAIN_SINCE = 17
PLAIN_COLUMNS_SINCE = 16  # a view of one table prints its columns without the table's name


class Kind(StrEnum):
    """What an object is, in the operator's words."""

    DATABASE = "database"
    SETTING = "setting"
    ROLE = "role"
    SCHEMA = "schema"
    EXTENSION = "extension"
    COLLATION = "collation"
    TYPE = "type"
    TABLE = "table"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized view"
    COLUMN = "column"
    SEQUENCE = "sequence"
    CONSTRAINT = "constraint"
    INDEX = "index"
    STATISTICS = "statistics"
    FUNCTION = "function"
    OPERATOR = "operator"
    TRIGGER = "trigger"
    EVENT_TRIGGER = "event trigger"
    RULE = "rule"
    POLICY = "policy"
    SERVER = "server"
    TEXT_SEARCH = "text search configuration"
    DEFAULT_PRIVILEGES = "default privileges"


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One thing with a name. `path` is schema first, `suffix` what follows the name (a function's arguments), `parent` the path of what it goes away with.

    `aside` is a role of the server that has nothing to do with this database: it is there for the other side, which may know it.
    `traits` are what else is known of it, by name, each as settled text; `grants` who may do what to it, the owner being called `its owner`.
    """

    kind: Kind
    path: tuple[str, ...]
    suffix: str = ""
    parent: tuple[str, ...] = ()
    aside: bool = False
    traits: tuple[tuple[str, str], ...] = ()
    grants: tuple[tuple[str, frozenset[str]], ...] = ()

    @property
    def key(self) -> tuple[str, tuple[str, ...], str]:
        """What makes it the same thing in another database."""
        return (self.kind, self.path, self.suffix)

    @property
    def name(self) -> str:
        """The kind and the name, quoted as SQL needs it: `column public.orders."Total"`."""
        return f"{self.kind} {dotted(self.path)}{self.suffix}" if self.path else f"the {self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which running server a database is on. `started` is its start as it prints it: no two servers share it and the system identifier."""

    version: int  # server_version_num: 160014
    system_identifier: str
    database_oid: int
    started: str
    in_recovery: bool

    @property
    def major(self) -> int:
        """16 of 160014."""
        return self.version // 10_000

    def same_database(self, other: Server) -> bool:
        """Is it one database: on the same running server, or on a replica that follows it? A copy of the data directory that runs by itself is another one."""
        same_data = (self.system_identifier, self.database_oid) == (other.system_identifier, other.database_oid)
        return same_data and (self.started == other.started or self.in_recovery or other.in_recovery)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All objects of a database that are compared, each key once. `refused` says why they could not be read, and `remedy` what would change that."""

    server: Server
    objects: tuple[Object, ...] = ()
    refused: str = ""
    remedy: str = ""

    def by_key(self) -> dict[tuple[str, tuple[str, ...], str], Object]:
        """The objects by what makes them the same."""
        return {found.key: found for found in self.objects}


def dotted(path: Iterable[str]) -> str:
    """A name as SQL needs it, keywords apart: `public."Odd Table"`."""
    return ".".join(part if PLAIN_NAME.fullmatch(part) else '"' + part.replace('"', '""') + '"' for part in path)


# ---- definitions

# One part of an SQL text: a string (with its E or U& before it), a quoted name, white space, a word with dots in it, or any other character.
_PARTS = regex(r"(?:[eE]|[uU]&)?'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\s+|[\w$.]+|.", re.DOTALL)
_DOTTED = regex(r"(?:[^\d\W][\w$]*)?\.[\w$.]*")  # and no number
_ARRAY_OF_CONSTANTS = ("(", "ARRAY", "[")


def settled(definition: str) -> str:
    """A definition as every server would print it again after a dump and a restore.

    `x in ('a', 'b')` on a varchar column is stored as an array that is cast; printed, restored and printed again, it is an array of casts:
    `(ARRAY['a'::character varying])::text[]` and `ARRAY[('a'::character varying)::text]` are the same. And which words are keywords, to be printed in quotes or
    never, differs between majors: a plain name has none here.
    """
    if '"' not in definition and "(ARRAY[" not in definition:
        return definition
    return "".join(_cast_inside([_unquoted(part) for part in _PARTS.findall(definition)]))


def _unquoted(part: str) -> str:
    return part[1:-1] if part[0] == '"' and PLAIN_NAME.fullmatch(part[1:-1]) else part


def last_names(definition: str) -> str:
    """A definition without what stands before the dot of a name: as a server before 16 and a later one print the same view alike."""
    parts = _PARTS.findall(definition)
    kept = [part for part, following in zip(parts, [*parts[1:], ""], strict=True) if not (part[0] == '"' and following.startswith("."))]
    return "".join(part.rpartition(".")[2] if _DOTTED.fullmatch(part) else part for part in kept)


def _cast_inside(parts: list[str]) -> Iterator[str]:
    at = 0
    while at < len(parts):
        found = _cast_array(parts, at) if tuple(parts[at : at + 3]) == _ARRAY_OF_CONSTANTS else None
        if found is None:
            yield parts[at]
            at += 1
        else:
            text, at = found
            yield text


def _cast_array(parts: list[str], start: int) -> tuple[str, int] | None:
    """`(ARRAY[a, b])::type[]` from `start` on, as `ARRAY[(a)::type, (b)::type]` and where it ends; None when it is something else."""
    elements, at = _elements(parts, start + len(_ARRAY_OF_CONSTANTS))
    if elements is None or parts[at : at + 3] != [")", ":", ":"]:
        return None
    end = at + 3
    while end < len(parts) and parts[end : end + 2] != ["[", "]"]:
        if not (parts[end].isspace() or parts[end][0] == '"' or re.fullmatch(r"[\w$.]+", parts[end])):
            return None
        end += 1
    if end >= len(parts):
        return None
    cast_to = "".join(parts[at + 3 : end])
    return f"ARRAY[{', '.join(f'({element})::{cast_to}' for element in elements)}]", end + 2


def _elements(parts: list[str], at: int) -> tuple[list[str] | None, int]:
    """The elements of an array from behind its `[` on, and where the text behind its `]` begins; None when it never ends."""
    elements, depth = [""], 0
    for number, part in enumerate(parts[at:], at):
        if part == "]" and depth == 0:
            return [element.strip() for element in elements], number + 1
        depth += (part in "([") - (part in ")]")
        if part == "," and depth == 0:
            elements.append("")
        else:
            elements[-1] += part
    return None, len(parts)
