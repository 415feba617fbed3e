"""On which lines do the files of a chain say what docker compose made of them? It merges them and forgets; an operator needs the place.

`interlock.observe.placed` finds the places. Subject of a rule about places is the file that has to be changed, with all chains that it is part of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import NamedTuple

from interlock.facts.chains import Source
from interlock.facts.stack import Service, ServiceMount, Stack
from interlock.nouns import dataclass

Keys = tuple[str, ...]
"""`services`, a service, a key of it, and below `volumes` the target of a mount; `volumes`, a volume, and a key of it."""


class Shipped(StrEnum):
    """What the tree has at the source of a bind."""

    FILE = "a file"
    FOLDER = "a folder with files"
    EMPTY = "a folder that is only kept"  # a .gitkeep and the like: what comes into it is made later
    NOTHING = "nothing"
    OUTSIDE = "outside of the tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedChain:
    """A chain as docker compose resolves it, and where its files say what: the last one that does, since later ones win. `files` are those that it takes in by
    `include` and `extends` too; `binds` says of each bind's source what the tree has there; `root` is the
    tree's own folder, which no message shows; `bases` the images that services built here are made from, where that changes nothing about their data."""

    stack: Stack
    files: tuple[str, ...]
    places: Mapping[Keys, Source]
    binds: Mapping[str, Shipped] = field(default_factory=dict)
    root: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)

    def at(self, *several: Keys) -> Source:
        """Where the first of these that any file has stands; the first file where none has."""
        found = (self.places[keys] for keys in several if keys in self.places)
        return next(found, Source(self.stack.files[0], 1))

    def shown(self, mount: ServiceMount) -> str:
        """What is mounted, as an operator names it: `the volume data`, `the directory ./data`."""
        if mount.kind == "volume":
            return f"the volume {mount.source}" if mount.source else "an anonymous volume"
        inside = self.root and (mount.source == self.root or mount.source.startswith(f"{self.root}/"))
        return f"the directory {f'.{mount.source[len(self.root) :]}' if inside else mount.source}"

    def as_published(self, service: Service) -> Service:
        """A service that is built here as one of the image that it is made from."""
        base = self.bases.get(service.name)
        return replace(service, image=base, built=False) if base else service

    def mount_at(self, service: str, target: str) -> Source:
        """Where a service mounts something at a target."""
        return self.at(("services", service, "volumes", target), ("services", service, "volumes"), ("services", service))


class Found(NamedTuple):
    """Something wrong at one place of a chain: `what` and `kind` are stable, `message` is a sentence."""

    what: str
    kind: str
    message: str
    place: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOfChains:
    """A compose file with the chains that hold it. `own` are the files whose findings are told here: itself, and those that no subject has. `unread` are
    chains that nobody could look at, with the reason. `alone`: no chain holds it, and the one here is the file by itself, without what others give it."""

    path: str
    chains: tuple[PlacedChain, ...]
    own: frozenset[str]
    unread: tuple[tuple[str, str], ...] = ()
    alone: bool = False

    def found(self, look: Callable[[PlacedChain], Iterable[Found]]) -> Iterator[Found]:
        """What `look` finds in any of the chains at a place of this file, each once."""
        seen: set[tuple[str, str, int]] = set()
        for chain in self.chains:
            for one in look(chain):
                if one.place.file in self.own and (key := (one.what, *one.place)) not in seen:
                    seen.add(key)
                    yield one


def own_files(path: str, chains: Iterable[tuple[tuple[str, ...], tuple[str, ...]]], subjects: Collection[str]) -> frozenset[str]:
    """The files whose findings the file `path` tells: itself, and what a chain that begins with it takes in and no subject is. `chains` are the files of each
    chain as it is named, and with what those take in."""
    taken_in = (file for named, every in chains if named[0] == path for file in every if file not in subjects)
    return frozenset((path, *taken_in))
