"""Which backup class does a module's name stand for? The usual names, and what a site says before them.

Precedence: what is declared for the module itself, then an exact name, then a pattern; the site's rules come before the usual ones. Two patterns that name
different classes are a contradiction, which nobody may settle by order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import assert_never

from interlock.config.models import BackupClass, ClassRule, Site
from interlock.nouns import dataclass

DEFAULT_CLASS = BackupClass.E
USUAL: tuple[tuple[str, BackupClass], ...] = (
    ("postgres", BackupClass.A),
    ("*postgres", BackupClass.A),
    ("redis", BackupClass.B),
    ("*redis", BackupClass.B),
    ("vault", BackupClass.C),
    ("minio", BackupClass.D),
    ("karakeep-meilisearch", BackupClass.F),
    ("searxng", BackupClass.F),
    ("agaria-postgres", BackupClass.G),
    ("agaria-redis", BackupClass.G),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The class of a module, as a tuple of one; of several when patterns contradict each other. `because` names what says so."""

    classes: tuple[BackupClass, ...]
    because: str


def assigned(name: str, rules: Sequence[ClassRule] = ()) -> Assigned:
    """The class that a module has by its name."""
    for known in ([(rule.name, rule.backup_class) for rule in rules], USUAL):
        if exact := [one for pattern, one in known if pattern == name]:
            return Assigned(classes=tuple(dict.fromkeys(exact)), because="its name")
        if globbed := [(pattern, one) for pattern, one in known if "*" in pattern and _matches(name, pattern)]:
            return Assigned(classes=tuple(dict.fromkeys(one for _, one in globbed)), because=" and ".join(dict.fromkeys(pattern for pattern, _ in globbed)))
    return Assigned(classes=(DEFAULT_CLASS,), because="no pattern, so the default")


def classes_of(name: str, declared: BackupClass | None, rules: Sequence[ClassRule] = ()) -> tuple[BackupClass, ...]:
    """The class of a module, as a tuple of one; of several when patterns contradict each other."""
    return (declared,) if declared is not None else assigned(name, rules).classes


def one_class(name: str, declared: BackupClass | None, rules: Iterable[ClassRule] = ()) -> BackupClass | None:
    """The class of a module, None when patterns contradict each other."""
    found = classes_of(name, declared, tuple(rules))
    return found[0] if len(found) == 1 else None


def class_of(site: Site, module: str) -> BackupClass | None:
    """The class of a module of the site, None when patterns contradict each other."""
    return one_class(module, site.modules[module].backup_class, site.inventory.classes if site.inventory else ())


def procedure_of(backup_class: BackupClass) -> str:
    """How modules of a class are backed up, in a few words."""
    match backup_class:
        case BackupClass.A:
            return "`pg_dumpall`, compressed"
        case BackupClass.B:
            return "`BGSAVE` where it can be had, then an archive of its data"
        case BackupClass.C:
            return "raft snapshot with `VAULT_TOKEN`, else an archive of its data"
        case BackupClass.D:
            return "`mc mirror` with `MINIO_MC_ALIAS`, else an archive of its data"
        case BackupClass.E:
            return "archive of its mounted data"
        case BackupClass.F:
            return "placeholder for a dump of its own engine: an archive of its data until that is proven"
        case BackupClass.G:
            return "archive of its own compose root, apart from the others"
        case _:
            assert_never(backup_class)


def _matches(name: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), name) is not None
