"""How do variables change in an env file, and come back? By the same way as rendered files: whole or not at all, old bytes kept."""

from __future__ import annotations

from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.gate.plan import EnvPatchPlan


def do_env_patch(step: EnvPatchPlan, bench: Bench, *, again: bool) -> StepDone:
    """Patch every file that does not hold its new values yet. Raises StepFailed."""
    bench.check()
    raise StepFailed("env files cannot be patched yet", changed=again)


def undo_env_patch(step: EnvPatchPlan, bench: Bench) -> StepDone:
    """Put the old bytes back. Raises StepFailed."""
    bench.check_undo()
    raise StepFailed("env files cannot be put back yet", changed=True)
