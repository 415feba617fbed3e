"""Does a compose file say a secret aloud, or ask everybody for what only some need? `interlock.observe.env_defaults` brings what stands in it."""

from __future__ import annotations

from interlock.facts.env_defaults import FileSecrets, FileVariables, HeldBack, LiteralSecret
from interlock.judge.stack.places import compose_files
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, When, in_short


def judge_secrets(file: FileSecrets) -> Held | Broken:
    """Held when no secret stands in a compose file of a chain that is deployed."""
    if file.chain is None:
        return Held(f"{file.path} is part of no chain that is deployed")
    if not file.secrets:
        return Held(f"no secret stands in {file.path}")
    details = tuple(_secret(file, one) for one in file.secrets)
    first = file.secrets[0]
    remedy = f"write ${{{first.name}:?set it in the env file}}, and let the installer make one" if first.default else f"give {first.name} by the env file"
    return Broken(in_short(details), remedy=remedy, kind=details[0].kind, details=details)


def _secret(file: FileSecrets, one: LiteralSecret) -> Detail:
    stands = f"a default for {one.name}" if one.default else f"the value of {one.name}"
    message = (
        f"{file.path}:{one.line} has {stands} (service {one.service}): every installation of the chain {file.chain} has the same secret, and everybody knows it"
    )
    kind = "default-secret" if one.default else "literal-secret"
    return Detail(what=f"{one.service}: {one.name}", outcome=Outcome.BROKEN, kind=kind, message=message, file=file.path, line=one.line)


def judge_blast_radius(file: FileVariables) -> Held | Broken:
    """Held when no variable must have a value for services alone that a profile holds back."""
    if not file.held_back:
        return Held(f"no variable of {file.path} must have a value for services of a profile alone")
    details = tuple(_held_back(file, one) for one in file.held_back)
    first = file.held_back[0].variable
    return Broken(in_short(details), remedy=f"write ${{{first}:-}}, and let the service itself refuse to start without", kind=details[0].kind, details=details)


def _held_back(file: FileVariables, one: HeldBack) -> Detail:
    message = (
        f"{file.path}:{one.line}: {one.variable} must have a value, and only {one.service} of the profile {' or '.join(one.profiles)} uses it: without it"
        " docker compose refuses every command, also for those who never start that profile"
    )
    return Detail(what=one.variable, outcome=Outcome.BROKEN, kind="required-for-all", message=message, file=file.path, line=one.line)


NO_DEFAULT_SECRET = Guardrail(
    id="env.no_default_secret",
    title="no secret stands in a compose file that is deployed",
    severity=Severity.LOW,
    when=frozenset({When.STATIC}),
    rationale="A default password is the password of every installation whose operator did not change it, and it is written where everybody reads it.",
    remedy="demand the variable with `:?`, and let the installer write a random value",
    subjects=compose_files,
    judge=judge_secrets,
)
REQUIRED_VAR_BLAST_RADIUS = Guardrail(
    id="env.required_var_blast_radius",
    title="what must have a value is needed by everybody",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="Compose interpolates the whole file before it looks at profiles: one `:?` in an optional service stops every command for those without it.",
    remedy="give the variable an empty default, and check it where the optional service starts",
    subjects=compose_files,
    judge=judge_blast_radius,
)
