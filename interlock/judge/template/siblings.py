"""Do the variants of a stack agree where nothing makes them differ? `interlock.observe.siblings` brings them."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from interlock.config.models import Site
from interlock.facts.siblings import Dissent, Siblings
from interlock.judge.tree import found
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

STACKS = "compose files"
_FEWEST = 3


def variants(site: Site) -> Sequence[Subject]:
    """All compose files together, where there are enough to be variants of each other."""
    return [Subject(name=STACKS)] if site.compose is not None and len(set(site.compose.files)) >= _FEWEST else []


def judge_sibling_variants(seen: Siblings) -> Held | Broken | Unproven:
    """Held when no variant of a stack has a value of its own for what all variants like it have otherwise."""
    groups = seen.groups
    held = f"{len(groups)} groups of variants agree where nothing makes them differ" if groups else "no three compose files here are variants of one stack"
    return found([_dissent(one) for one in seen.dissents], held=held, remedy=SIBLING_VARIANTS.remedy)


def _dissent(one: Dissent) -> Detail:
    others = " and ".join(posixpath.basename(file) if len({posixpath.basename(f) for f in one.others}) > 1 else file for file in one.others[:2])
    more = f" and {len(one.others) - 2} more" if len(one.others) > 2 else ""
    if one.kind == "mount":
        said = f"{one.file}: {one.service} has its volume at {one.value}, and {others}{more} have it at {one.others_value} for the same image"
        does = "in one of them the data is not where the volume is"
    else:
        said = f"{one.file}: {one.service} sets {one.key} to {one.value}, and {others}{more} set it to {one.others_value}"
        does = "who takes this variant may start an application that does not know the value"
    return Detail(
        what=f"{one.file}: {one.service}.{one.key}", outcome=Outcome.BROKEN, kind=f"odd-{one.kind}", message=f"{said}: {does}", file=one.file, line=one.line
    )


SIBLING_VARIANTS = Guardrail(
    id="templates.sibling_variants",
    title="the variants of a stack agree where nothing makes them differ",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC}),
    rationale="Variants are copied and then edited one by one. A value that all others like it write otherwise was mistyped or forgotten, and only those who "
    "take this variant find out, when it does not start or keeps its data elsewhere.",
    remedy="give it the value of its siblings, or let the variants share one file",
    subjects=variants,
    judge=judge_sibling_variants,
)
