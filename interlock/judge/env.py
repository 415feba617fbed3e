"""Does every instance give the variables that its chain of compose files asks for? `interlock.observe.env` brings both. What else is asked of env files lies in
`interlock.judge.settings`, by its subject, and is named here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interlock.config.models import Site
from interlock.facts.env import InstanceEnv, Missing
from interlock.facts.substitution import Fault
from interlock.judge.settings.defaults import NO_DEFAULT_SECRET, REQUIRED_VAR_BLAST_RADIUS, judge_blast_radius, judge_secrets
from interlock.judge.settings.existing import COVERAGE_EXISTING_INSTALLS, judge_existing
from interlock.judge.settings.passthrough import PASSTHROUGH, judge_passthrough
from interlock.judge.settings.presence import FILE_EXISTS, judge_presence
from interlock.judge.settings.quoting import FILE_QUOTING, judge_quoting
from interlock.judge.settings.rewriting import PRESERVE_OPERATOR_EDITS, judge_rewrites
from interlock.judge.settings.sourcing import FILE_NOT_SOURCED, judge_sourcing
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When

__all__ = [
    "COVERAGE",
    "COVERAGE_EXISTING_INSTALLS",
    "FILE_EXISTS",
    "FILE_NOT_SOURCED",
    "FILE_QUOTING",
    "NO_DEFAULT_SECRET",
    "PASSTHROUGH",
    "PRESERVE_OPERATOR_EDITS",
    "REQUIRED_VAR_BLAST_RADIUS",
    "instances",
    "judge_blast_radius",
    "judge_coverage",
    "judge_existing",
    "judge_passthrough",
    "judge_presence",
    "judge_quoting",
    "judge_rewrites",
    "judge_secrets",
    "judge_sourcing",
]

UNKNOWN_CHAIN = "unknown-chain"


def instances(site: Site) -> Sequence[Subject]:
    """Every instance, where compose files are started; judged from files alone where these say what it is given, or what every new one is."""
    if not site.chains or site.compose is None:
        return []
    told = site.compose.env_sources is not None or not site.source
    return [Subject(name=name, host=instance.host, when=None if instance.env_file or told else LIVE) for name, instance in site.instances.items()]


def judge_coverage(env: InstanceEnv) -> Held | Broken | Unproven:
    """Held when every variable without a default is given. The counts are of variables, each once."""
    missing = env.missing()
    if not env.present and missing:
        return Broken(f"{env.where} does not exist, and {len(missing)} variables have no default", kind="no-env-file", remedy=f"create {env.where}")
    names = sorted(env.needed() | missing.keys())
    if not names:
        return Held(f"the compose files of {_chains(env)} ask for no variable without a default")
    details = tuple(_detail(env, name, missing.get(name, {})) for name in names)
    lacking = [detail for detail in details if detail.outcome is not Outcome.HELD]
    if not lacking:
        return Held(f"{env.where} gives all {len(names)} variables of {_chains(env)}", details)
    said = f"{env.where} gives {len(names) - len(lacking)} of {len(names)} variables of {_chains(env)}; missing: {', '.join(one.what for one in lacking)}"
    if any(detail.outcome is Outcome.BROKEN for detail in lacking):
        return Broken(said, remedy=f"add them to {env.where}, or give them a default where they are used", details=details)
    if any(detail.kind == UNKNOWN_CHAIN for detail in lacking):
        return Unproven(said, remedy=f"say which chain it runs: `instances.{env.instance}.chain`", details=details)
    return Unproven(said, remedy=f"write a value in {env.where}: what the shell will give cannot be looked at", details=details)


def _chains(env: InstanceEnv) -> str:
    names = [chain.chain for chain in env.chains]
    return f"the chain {names[0]}" if len(names) == 1 else f"{len(names)} chains"


def _detail(env: InstanceEnv, name: str, missing: Mapping[str, Missing]) -> Detail:
    """One variable, with the chains that lack it; its value is shown nowhere."""
    if not missing:
        return Detail(what=name, outcome=Outcome.HELD, message="given")
    first = next(iter(missing.values()))
    at = f"{first.file}:{first.line}"
    if name in env.inherited:
        return _lacking(first, Outcome.UNPROVEN, "inherited", f"{name} stands in {env.where} without a value: compose takes it from the shell ({at})")
    if len(missing) < len(env.chains) and not env.template:
        others = f"the chain {next(iter(missing))}" if len(missing) == 1 else f"the chains {', '.join(missing)}"
        return _lacking(first, Outcome.UNPROVEN, UNKNOWN_CHAIN, f"{name} is asked for by {others} alone, and nobody says which one it runs ({at})")
    match first.fault:
        case Fault.REQUIRED:
            return _lacking(first, Outcome.BROKEN, "required", f"{name} is required and has no value: compose refuses to start ({at})")
        case _:
            return _lacking(first, Outcome.BROKEN, "undefined", f"{name} is not defined: compose puts nothing in its place ({at})")


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
