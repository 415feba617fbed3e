"""Facts to verdicts: one module per family, pure. Each rule is a `Guardrail` constant beside its judgement; the catalogue is all of them."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache

from interlock.errors import CouldNotLook
from interlock.verdicts import Detail, Guardrail, HeldRun, Judgement, Outcome, Streamed


@cache
def catalogue() -> tuple[Guardrail, ...]:
    """Every guardrail of every family, sorted by id. A new family is a new module here; there is no list to edit."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Guardrail):
                found[value.id] = value
    return tuple(found[name] for name in sorted(found))


@cache
def gate_names() -> frozenset[str]:
    """What an action's `gate:` may name: every guardrail and every family. A name that is none of these would make the gate smaller without a word."""
    return frozenset(name for known in catalogue() for name in (known.id, known.family))


def guardrail(name: str) -> Guardrail | None:
    """The guardrail of that id, None when there is none."""
    return next((known for known in catalogue() if known.id == name), None)


def guarded(judgement: Judgement) -> Judgement:
    """The same judgement, whose details end with an unproven one where looking failed half way: what was found broken until then stays broken."""
    if isinstance(judgement, Streamed):
        return dataclasses.replace(judgement, details=_until_it_fails(judgement.details))
    return judgement


def _until_it_fails(details: Iterable[Detail | HeldRun]) -> Iterator[Detail | HeldRun]:
    try:
        yield from details
    except CouldNotLook as error:
        yield Detail(what="", outcome=Outcome.UNPROVEN, kind="could-not-look", message=error.sentence)
