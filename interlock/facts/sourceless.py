"""What does a compose file need of the repository that an operator's host does not have?"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import NamedTuple

from interlock.facts.chains import Source
from interlock.facts.placed import FileOfChains
from interlock.facts.stack import ServiceMount
from interlock.nouns import dataclass
from interlock.patterns import regex


class Overlay(NamedTuple):
    """A file of a chain that gives services an image which the files before it build: the services that it does so for, and those that are still built."""

    chain: str
    given: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededSources:
    """A compose file with what it needs of the tree. `overlays`: where it gives images, by chain, and `services` the line of its services. `contexts` maps the
    context and Dockerfile of a build to what is missing of them; `absent` are the files that are mounted, and that neither the tree has nor anybody in it
    speaks of."""

    file: FileOfChains
    services: Source
    overlays: tuple[Overlay, ...] = ()
    contexts: Mapping[tuple[str, str], str]
    absent: frozenset[str] = frozenset()


_FILE = regex(r"\.(?:conf|cnf|cfg|ini|ya?ml|toml|json|xml|properties|sh|sql|py|js|hcl|lua|template|tmpl|vcl|rules)$")


def must_be_a_file(mount: ServiceMount) -> bool:
    """Whether a bind is one of a file, by its names: where it is missing the engine makes a folder in its place."""
    return mount.kind == "bind" and bool(_FILE.search(mount.target)) and posixpath.splitext(mount.source)[1] == posixpath.splitext(mount.target)[1]
