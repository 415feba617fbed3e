"""What does a gate in mid-plan ask? The names of its step, as long as each of them has something to look at while the action is under way."""

from __future__ import annotations

from interlock.change.resolving.resolving import Resolving
from interlock.config.actions import GateStep
from interlock.errors import ConfigError
from interlock.gate.plan import GatePlan
from interlock.gate.required import asked, idle, is_own
from interlock.judge import catalogue
from interlock.observe.own_checks import own_checks
from interlock.verdicts import LIVE


def resolve_gate(resolving: Resolving, step: GateStep, number: int) -> GatePlan:
    """The plan of such a step. Raises ConfigError for a name that nothing on the live system answers to for this action: its gate would always be shut."""
    site, names = resolving.described(number, afterwards=step.afterwards), step.guardrails
    action = resolving.action if resolving.action in site.actions else None
    own = {one.guardrail for one in own_checks(site.root / "checks") if one.when & LIVE}
    live = asked(site, catalogue(), LIVE, action, names)
    for name in names:
        if is_own(name) and name not in own:
            raise _refused(resolving, number, name, "no rule of that name in checks/ is asked before or after an action", "name one that is there")
        if not is_own(name) and not any(name in (guardrail.id, guardrail.family) for guardrail in live):
            raise _refused(resolving, number, name, "it is judged from files or of the plan alone", "`interlock guardrails` says which are asked live")
    for name in idle(site, live, LIVE, action, names):
        raise _refused(resolving, number, name, f"the site declares nothing that it would look at for {resolving.action}", "declare it, or leave the name out")
    return GatePlan(guardrails=names, afterwards=step.afterwards)


def _refused(resolving: Resolving, number: int, name: str, why: str, remedy: str) -> ConfigError:
    return ConfigError(f"{name} cannot be asked in mid-plan", where=resolving.where(number), why=why, remedy=remedy)
