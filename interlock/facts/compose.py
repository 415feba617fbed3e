"""What is one compose file, before anything is merged, and what do several come to together? The nouns of the compose family.

`interlock.config.yamltext` reads a file with positions; what a chain comes to only docker compose itself knows (`interlock.observe.stack`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import NamedTuple

from interlock.facts.chains import Source
from interlock.facts.refusals import Refusal
from interlock.facts.stack import ServiceMount, Stack
from interlock.nouns import dataclass
from interlock.patterns import regex


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeText:
    """One compose file as it lies in the site's folder: `path` relative to it, `content` its bytes."""

    path: str
    content: bytes = field(repr=False)


class ChainFault(NamedTuple):
    """One thing for which docker compose refuses a chain, and where the files say it."""

    refusal: Refusal
    file: str
    line: int | None

    @property
    def at(self) -> str:
        """`compose.yaml:12`."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainAnswer:
    """What docker compose answers when it is asked for a chain: how many `services` it has, or for which `faults` it refuses it.

    `named_by` are the places that the chain was found at, `Makefile:3`, none for one of a site file; `assumed` the variables that had no value here.
    """

    chain: str
    files: tuple[str, ...]
    named_by: tuple[str, ...] = ()
    services: int = 0
    assumed: tuple[str, ...] = ()
    faults: tuple[ChainFault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What a file of a chain makes of the files before it: the `stack` up to and with it. `lines` says where it names the volumes of a service."""

    file: str
    stack: Stack
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A `volumes:` under `!override` or `!reset`, in a file that is not the chain's first: the mounts of the service that it takes away.

    `emptied` when it puts nothing in their place; `said` are the targets that a comment beside it names as dropped, `shipped` the targets of binds whose
    source is in the tree.
    """

    file: str
    line: int
    service: str
    dropped: tuple[ServiceMount, ...]
    emptied: bool = False
    said: frozenset[str] = frozenset()
    shipped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainMounts:
    """The mounts of a chain of several files, layer by layer: the first file, and each that says something of a service's volumes.

    `larger` are the site's chains that hold all of its files and more; `named_by` the places that the chain was found at, none for one of a site file.
    """

    chain: str
    files: tuple[str, ...]
    layers: tuple[Layer, ...]
    replaced: tuple[Replaced, ...]
    larger: tuple[Stack, ...] = ()
    named_by: tuple[Source, ...] = ()


_DROPS = regex(r"#.*?\bdrops\b:?(.*)", re.IGNORECASE)
_TARGET = regex(r"/[^\s,;\"'`]*")
_COMMENT = regex(r"[ \t]*#")


def said_dropped(text: str, line: int) -> frozenset[str]:
    """The mount targets that comments beside the key on `line` name as dropped: `# drops: /srv`, in the block above it, on its line, or in its list."""
    lines = text.splitlines()
    key = lines[line - 1]
    indent = len(key) - len(key.lstrip())
    first = line - 1
    while first > 0 and _COMMENT.match(lines[first - 1]):
        first -= 1
    last = line
    while last < len(lines) and _belongs(lines[last], indent):
        last += 1
    return frozenset(_targets(lines[first:last]))


def _belongs(line: str, indent: int) -> bool:
    """Whether a line is below a key: deeper, or an item of its list or a comment as deep, or blank."""
    bare = line.lstrip()
    depth = len(line) - len(bare)
    return not bare or depth > indent or (depth == indent and bare.startswith(("- ", "#")))


def _targets(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if found := _DROPS.search(line):
            yield from (target.rstrip(".:)") or "/" for target in _TARGET.findall(found[1]))
