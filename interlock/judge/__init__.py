"""Facts to verdicts: one module per family, pure. Each rule is a `Guardrail` constant beside its judgement; the catalogue is all of them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from interlock.verdicts import Guardrail


@cache
def catalogue() -> tuple[Guardrail, ...]:
    """Every guardrail of every family, sorted by id. A new family is a new module here; there is no list to edit."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Guardrail):
                found[value.id] = value
    return tuple(found[name] for name in sorted(found))


def guardrail(name: str) -> Guardrail | None:
    """The guardrail of that id, None when there is none."""
    return next((known for known in catalogue() if known.id == name), None)
