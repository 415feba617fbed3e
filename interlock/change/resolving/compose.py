"""What does a compose step come to? The chain as docker compose resolves it, the images that its services name, and the containers that run now."""

from __future__ import annotations

from interlock.change.resolving.resolving import Resolving
from interlock.config.actions import ComposeStep
from interlock.errors import ConfigError
from interlock.gate.plan import ComposePlan


def resolve_compose(resolving: Resolving, step: ComposeStep, number: int) -> ComposePlan:
    """The plan of one chain. Raises ConfigError, CouldNotLook."""
    raise ConfigError(f"docker compose {step.run} cannot be planned yet", where=resolving.where(number))
