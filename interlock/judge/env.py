"""Does every instance give the variables that the compose files ask for? `interlock.observe.env` brings both."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config.models import Site
from interlock.facts.env import InstanceEnv, Missing
from interlock.facts.substitution import Fault
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

LIVE = frozenset({When.PREFLIGHT, When.POSTFLIGHT})


def instances(site: Site) -> Sequence[Subject]:
    """Every instance, where compose files are declared; one whose env file lies in the site's folder is judged from there too."""
    if site.compose is None:
        return []
    return [Subject(name=name, host=instance.host, when=None if instance.env_file else LIVE) for name, instance in site.instances.items()]


def judge_coverage(env: InstanceEnv) -> Held | Broken | Unproven:
    """Held when every variable without a default is given by the instance's env file. The counts are of variables, each once."""
    needed = env.needed()
    missing = {one.name: one for one in env.missing()}
    if not env.present and missing:
        return Broken(f"{env.where} does not exist, and {len(missing)} variables have no default", kind="no-env-file", remedy=f"create {env.where}")
    names = sorted(needed | missing.keys())
    details = tuple(_detail(env, name, missing.get(name)) for name in names)
    if not names:
        return Held("the compose files ask for no variable without a default")
    lacking = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not lacking:
        return Held(f"{env.where} gives all {len(names)} variables", details)
    said = f"{env.where} gives {len(names) - len(lacking)} of {len(names)} variables; missing: {', '.join(detail.what for detail in lacking)}"
    remedy = f"add them to {env.where}, or give them a default where they are used"
    if any(detail.outcome is Outcome.BROKEN for detail in lacking):
        return Broken(said, remedy=remedy, details=details)
    return Unproven(said, remedy=f"write a value in {env.where}: what the shell will give cannot be looked at", details=details)


def _detail(env: InstanceEnv, name: str, missing: Missing | None) -> Detail:
    """One variable; its value is shown nowhere."""
    if missing is None:
        return Detail(what=name, outcome=Outcome.HELD, message="given")
    at = f"{missing.file}:{missing.line}"
    if name in env.inherited:
        return _lacking(missing, Outcome.UNPROVEN, "inherited", f"{name} stands in {env.where} without a value: compose takes it from the shell ({at})")
    match missing.fault:
        case Fault.REQUIRED:
            return _lacking(missing, Outcome.BROKEN, "required", f"{name} is required and has no value: compose refuses to start ({at})")
        case _:
            return _lacking(missing, Outcome.BROKEN, "undefined", f"{name} is not defined: compose puts nothing in its place ({at})")


def _lacking(missing: Missing, outcome: Outcome, kind: str, message: str) -> Detail:
    return Detail(what=missing.name, outcome=outcome, kind=kind, message=message, file=missing.file, line=missing.line)


COVERAGE = Guardrail(
    id="env.coverage",
    title="every variable that a compose file uses without a default is given by the instance's env file",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="Compose puts nothing in the place of an undefined variable and starts the stack: with an empty password, or with its data below `/`.",
    remedy="add the variable to the instance's env file, or give it a default where it is used",
    subjects=instances,
    judge=judge_coverage,
)
