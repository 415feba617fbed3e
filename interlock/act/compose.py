"""How does docker compose pull, build, start and stop the services of a chain, and how does the stack come back as it was?"""

from __future__ import annotations

from interlock.act.outcome import Bench, StepDone, StepFailed
from interlock.gate.plan import ComposePlan


def do_compose(step: ComposePlan, bench: Bench, *, again: bool) -> StepDone:
    """Run it. Raises StepFailed."""
    bench.check()
    raise StepFailed("docker compose cannot be run yet", changed=again)


def undo_compose(step: ComposePlan, bench: Bench) -> StepDone:
    """Bring back the images and containers that the plan saw. Raises StepFailed, naming what is left."""
    bench.check_undo()
    raise StepFailed("what docker compose did cannot be undone yet", changed=True)
