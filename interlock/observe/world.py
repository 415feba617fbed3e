"""What do fixtures, scan and the runner look through? One `World` a run: the site, its tree of files, and the facts of its hosts.

A family's `observe` module registers an `Observer` for each of its guardrails: what the one probe per host must bring, and how its answers become the
noun that the judgement takes. Nothing else needs to know a family.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from interlock.errors import CouldNotLook
from interlock.facts.looks import HostFacts, Look
from interlock.nouns import dataclass
from interlock.observe.tree import Tree
from interlock.verdicts import Guardrail, Subject, When

if TYPE_CHECKING:
    from interlock.config.models import Site  # what only discovers files must not wait for the nouns

Seen = TypeVar("Seen")
LIVE_GATES = frozenset({When.PREFLIGHT, When.DRILL, When.POSTFLIGHT, When.APPLY})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPlan:
    """The plan that apply's own gate is asked for: its digest, its action, when it was made, and the folder that it lies in."""

    digest: str
    action: str
    created: datetime
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that may be looked at in one run. `hosts` holds an error instead of facts for a host that could not be reached; `plan` is None but in
    apply's own gate."""

    site: Site
    gates: frozenset[When]
    tree: Tree
    hosts: Mapping[str, HostFacts | CouldNotLook]
    environ: Mapping[str, str]
    plan: NamedPlan | None = None
    memory: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Hashable, look: Callable[[], Seen]) -> Seen:
        """What `look` comes to, made once in this run whoever asks: a resolved compose chain, a database's snapshot. A `CouldNotLook` is kept too."""
        if key not in self.memory:
            try:
                self.memory[key] = look()
            except CouldNotLook as error:
                self.memory[key] = error
        found = self.memory[key]
        if isinstance(found, CouldNotLook):
            raise CouldNotLook(found.what, where=found.where, why=found.why, remedy=found.remedy) from found
        return cast("Seen", found)

    @property
    def live(self) -> bool:
        """True when this run looks at the running system, not at files alone."""
        return bool(self.gates & LIVE_GATES)

    def host(self, name: str) -> HostFacts:
        """The facts of a host. Raises `CouldNotLook` when there are none."""
        facts = self.hosts.get(name)
        if facts is None:
            raise CouldNotLook(f"host {name} was not observed", where=name, remedy="observe again, with this host among the site's hosts")
        if isinstance(facts, CouldNotLook):
            raise CouldNotLook(facts.what, where=facts.where, why=facts.why, remedy=facts.remedy) from facts
        return facts


def _no_looks(_site: Site, _subject: Subject) -> Iterable[Look]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """How one guardrail's facts are had: `looks` for the probe of the subject's host, `see` to make the noun. `see` raises `CouldNotLook`."""

    see: Callable[[World, Subject], Any]
    looks: Callable[[Site, Subject], Iterable[Look]] = _no_looks


def observer(guardrail: Guardrail) -> Observer:
    """The observer of a guardrail, from the module named after its family."""
    module = importlib.import_module(f"interlock.observe.{guardrail.family}")
    found: Observer = module.OBSERVERS[guardrail.id]
    return found


def looks_for(site: Site, wanted: Iterable[tuple[Guardrail, Subject]]) -> dict[str, frozenset[Look]]:
    """What each host's probe must bring for these subjects, so that one round trip is enough. Hosts with nothing to look at are left out."""
    looks: dict[str, set[Look]] = {}
    for guardrail, subject in wanted:
        for look in observer(guardrail).looks(site, subject):
            looks.setdefault(subject.host, set()).add(look)
    return {host: frozenset(found) for host, found in looks.items()}
