"""How are a module's backups had? Which looks the backups family needs, and how their answers become its nouns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlock.config.models import Site
from interlock.facts.backup_writers import WriterScript, find_writers
from interlock.facts.backups import ModuleBackups
from interlock.facts.looks import Look, Stat, User, Walk
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject, When


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    if _is_script(site, subject):
        return ()
    module = site.modules[subject.name]
    return (Stat(module.backups), User(module.owner), Walk(module.backups))


def _is_script(site: Site, subject: Subject) -> bool:
    """A script is asked from files alone, a module's backups on the live system alone."""
    return site.scripts is not None and subject.when is not None and When.STATIC in subject.when


def see(world: World, subject: Subject) -> ModuleBackups | WriterScript:
    """What the subject names: a module's backups, or a script that may write some. Raises `CouldNotLook`."""
    return writer_script(world, subject) if _is_script(world.site, subject) else module_backups(world, subject)


def writer_script(world: World, subject: Subject) -> WriterScript:
    """The backups that a script of the site's tree writes. Raises `CouldNotLook`."""
    return find_writers(subject.name, world.tree.read(subject.name))


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


OBSERVERS: Mapping[str, Observer] = {"backups.mode_0600": Observer(looks=_looks, see=see)}
