"""What does an env patch set? The values of its step in the site file, with what they take from the environment: stored nowhere, so read there each time."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.config.actions import EnvPatchStep
from interlock.config.models import Site
from interlock.errors import StaleError
from interlock.gate.plan import EndpointPlan, EnvFilePlan, EnvPatchPlan, Plan
from interlock.render import value_of_site


def patch_values(step: EnvPatchStep, environ: Mapping[str, str], *, where: str) -> dict[str, str]:
    """The variables and what each is to be. `where` names the step. Raises CouldNotLook for a variable of the environment that is not set."""
    return {key: value_of_site(text, environ, of=f"the env patch's {key}", where=where).text for key, text in step.values.items()}


def step_of(site: Site, plan: Plan, file: EnvFilePlan) -> EnvPatchStep:
    """The step of the site that a file of a plan is patched by, be it by itself or to switch an endpoint. Raises StaleError: the site has another there."""
    parts = (step.switch if isinstance(step, EndpointPlan) else step for step in plan.steps)
    number = next(part.step for part in parts if isinstance(part, EnvPatchPlan) and file in part.files)
    steps = site.actions[plan.action].steps if site.digest == plan.site.digest else ()
    patch = steps[number].patch if number < len(steps) else None
    if patch is None:
        why = f"it says what {file.target} is to be"
        raise StaleError("the site file was changed since the plan was made", where=site.source, why=why, remedy="make a new plan")
    return patch
