"""How are a module's backups had? Which looks the backups family needs, and how their answers become its nouns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.config.models import Site
from interlock.facts.backups import ModuleBackups
from interlock.facts.looks import Look, Stat, User, Walk
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    module = site.modules[subject.name]
    return (Stat(module.backups), User(module.owner), Walk(module.backups))


def module_backups(world: World, subject: Subject) -> ModuleBackups:
    """What lies in the module's backup directory. Raises `CouldNotLook`, also later while `listings` is drained."""
    module, facts = world.site.modules[subject.name], world.host(subject.host)
    return ModuleBackups(
        directory=module.backups,
        itself=facts.stat(module.backups),
        owner=module.owner,
        owner_uid=facts.uid(module.owner),
        listings=facts.walk(module.backups),
    )


OBSERVERS: Mapping[str, Observer] = {"backups.mode_0600": Observer(looks=_looks, see=module_backups)}
