"""What does a backup step come to? One archive for each module, of directories that are there, by a user who may make it."""

from __future__ import annotations

import os
import pwd
import shutil

from interlock.change.resolving.resolving import Resolving
from interlock.config.actions import BackupStep
from interlock.config.backup_classes import classes_of
from interlock.config.models import BackupClass
from interlock.errors import ConfigError
from interlock.facts.mounts import is_below
from interlock.gate.plan import BackupPlan, Compression
from interlock.observe.statements import FOLDER


def resolve_backups(resolving: Resolving, step: BackupStep, number: int) -> list[BackupPlan]:
    """A plan for each module. Raises ConfigError."""
    return [_backup(resolving, name, number) for name in step.modules]


def _backup(resolving: Resolving, name: str, number: int) -> BackupPlan:
    module = resolving.site.modules[name]
    resolving.demand_here(module.host, number, f"the backup of {name}")
    owner = _uid(module.owner, resolving, number)
    for path in module.paths:
        if is_below(os.path.realpath(module.backups), os.path.realpath(path)):
            raise ConfigError(
                f"the backups of {name} would be inside themselves",
                where=resolving.where(number),
                why=f"{module.backups} lies below {path}",
                remedy="keep backups outside of what they are of",
            )
    own = str(resolving.site.root.resolve() / FOLDER)
    return BackupPlan(
        module=name,
        backup_class=_archived(resolving, name, number),
        paths=tuple(resolving.directory(path, number, f"install -d {path}") for path in module.paths),
        directory=resolving.directory(module.backups, number, f"install -d -m 0700 -o {module.owner} {module.backups}"),
        owner=module.owner,
        owner_uid=owner,
        compression=_compression(resolving, number),
        exclude=(own,) if any(is_below(own, path) for path in module.paths) else (),
    )


def _archived(resolving: Resolving, name: str, number: int) -> BackupClass:
    """The class of a module that this runner can back up. Raises ConfigError for the others: an archive of a running database is no backup of it."""
    site = resolving.site
    found = classes_of(name, site.modules[name].backup_class, site.inventory.classes if site.inventory else ())
    if found == (BackupClass.E,):
        return BackupClass.E
    shown = " and ".join(found)
    raise ConfigError(
        f"{name} is of backup class {shown}, which the runner cannot make yet",
        where=resolving.where(number),
        why="it archives directories (class E)",
        remedy="back it up by a command step of your own, or write `class: E` if an archive of its directories is enough",
    )


def _uid(name: str, resolving: Resolving, number: int) -> int:
    try:
        owner = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(f"this host has no user {name}", where=resolving.where(number), remedy="correct the module's `owner`") from None
    if os.geteuid() not in (0, owner):
        raise ConfigError(f"backups that belong to {name} can only be made by {name} or root", where=resolving.where(number), remedy=f"run interlock as {name}")
    return owner


def _compression(resolving: Resolving, number: int) -> Compression:
    path = resolving.environ.get("PATH")
    found: Compression | None = "zstd" if shutil.which("zstd", path=path) else "gzip" if shutil.which("gzip", path=path) else None
    if found is None or shutil.which("tar", path=path) is None:
        raise ConfigError("backups need tar, and zstd or gzip", where=resolving.where(number), remedy="install tar and zstd")
    return found
