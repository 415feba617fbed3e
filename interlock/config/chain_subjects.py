"""Which subjects has a rule that judges each chain of compose files from its text, beside others that it judges live?

They are asked by a scan, and by a preflight too: what stands in the files is what an action would start.

Their names begin with `chain:`, which no name of a site file can: a chain and an endpoint may both be called `app`.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config.models import Site
from interlock.verdicts import Subject, When

FROM_FILES = frozenset({When.STATIC, When.PREFLIGHT})
_PREFIX = "chain:"


def chain_subjects(site: Site) -> Sequence[Subject]:
    """One for each chain of the site."""
    return [Subject(name=f"{_PREFIX}{name}", when=FROM_FILES) for name in site.chains]


def chain_of(subject: Subject) -> str | None:
    """The name of the chain that a subject stands for; None for another subject."""
    return subject.name.removeprefix(_PREFIX) if subject.name.startswith(_PREFIX) else None
