"""What was seen of an `expect:` entry? One noun for each of the five kinds; `interlock.observe.expect` looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlock.facts.looks import StatAnswer
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSeen:
    """A path, and what was expected of it. `content` is None unless the entry asks for it, `owner_uid` when no owner is
    stated, or nobody of that name is there."""

    path: str
    seen: StatAnswer
    mode: int | None
    owner: str | None
    owner_uid: int | None
    contains: str | None
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSeen:
    """A TCP address, whether it accepted a connection, and what was expected. `how` says what happened otherwise."""

    address: str
    accepted: bool
    listening: bool
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSeen:
    """An HTTP answer. `failure` is set, and status 0, when there was none: refused, timed out, a certificate that does not verify."""

    url: str
    status: int
    body: bytes
    failure: str
    expected_status: int
    contains: str | None
    json_values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSeen:
    """A command that ended: its exit code and the first MiB of its standard output, decoded as UTF-8 with replacements."""

    argv: tuple[str, ...]
    exit: int
    stdout: str
    stderr_tail: str
    expected_exit: int
    stdout_contains: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSeen:
    """The first two rows of a query's result, and the single value that was expected."""

    query: str
    rows: tuple[tuple[Any, ...], ...]
    value: str | int | bool | None


def json_at(document: Any, path: str) -> tuple[bool, Any]:
    """The value at a dotted path (`db.status`, `items.0.id`) and whether it is there."""
    for part in path.split("."):
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return False, None
    return True, document
