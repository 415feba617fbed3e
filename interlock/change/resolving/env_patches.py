"""What does an env-patch step come to? The digest of every env file once it is patched, and which of its variables become others."""

from __future__ import annotations

from interlock.change.resolving.resolving import Resolving
from interlock.config.actions import EnvPatchStep
from interlock.errors import ConfigError
from interlock.gate.plan import EnvPatchPlan


def resolve_env_patch(resolving: Resolving, step: EnvPatchStep, number: int) -> EnvPatchPlan:
    """One file, or one of each instance. Raises ConfigError."""
    raise ConfigError(f"{step.file} cannot be patched yet", where=resolving.where(number))
