"""Which backup class does a module's name stand for? The usual names, and what a site says before them.

Precedence: what the module itself declares, then an exact name, then a pattern; the site's rules come before the usual ones. Two patterns that name
different classes are a contradiction, which nobody may settle by order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from interlock.config.models import BackupClass, ClassRule

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


def classes_of(name: str, declared: BackupClass | None, rules: Sequence[ClassRule] = ()) -> tuple[BackupClass, ...]:
    """The class of a module, as a tuple of one; of several when patterns contradict each other."""
    if declared is not None:
        return (declared,)
    for known in ([(rule.name, rule.backup_class) for rule in rules], USUAL):
        exact = [one for pattern, one in known if pattern == name]
        globbed = [one for pattern, one in known if "*" in pattern and _matches(name, pattern)]
        if found := exact or globbed:
            return tuple(dict.fromkeys(found))
    return (DEFAULT_CLASS,)


def one_class(name: str, declared: BackupClass | None, rules: Iterable[ClassRule] = ()) -> BackupClass | None:
    """The class of a module, None when patterns contradict each other."""
    found = classes_of(name, declared, tuple(rules))
    return found[0] if len(found) == 1 else None


def _matches(name: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), name) is not None
