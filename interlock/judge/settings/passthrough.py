"""Does a setting reach the service that needs it? `interlock.observe.env_passthrough` brings what services read, and what they are given."""

from __future__ import annotations

from interlock.facts.env_passthrough import Dead, Passthrough, Unreached
from interlock.judge.tree import found, scripts
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Unproven, When


def judge_passthrough(seen: Passthrough) -> Held | Broken | Unproven:
    """Held when every service is given the variables that it is seen to read, and every setting of an example is read by something."""
    unresolved = (
        Detail(what=one.chain, outcome=Outcome.UNPROVEN, kind="could-not-look", message=f"the chain {one.chain}: {one.why}") for one in seen.unresolved
    )
    details = (*(_unreached(one) for one in seen.unreached), *(_dead(one) for one in seen.dead), *unresolved)
    held = f"{seen.services} services are given every setting that they are seen to read" if seen.services else "no compose file here is one that is deployed"
    return found(details, held=held, remedy="hand the variable over below `environment:` of the service, or take away what reads or offers it")


def _unreached(one: Unreached) -> Detail:
    others = f" and {one.others} more" if one.others else ""
    beside = f", although {one.given_to} is given it" if one.given_to else ""
    message = (
        f"{one.reader} reads {one.variable}, and compose never hands it to {one.service}{others} ({one.file}:{one.line}){beside}: whatever an operator sets,"
        " the service runs without it"
    )
    return Detail(what=f"{one.service}: {one.variable}", outcome=Outcome.BROKEN, kind="not-handed-over", message=message, file=one.file, line=one.line)


def _dead(one: Dead) -> Detail:
    reads = f"only {one.reader}, in an image, reads it, and compose hands it to no service" if one.reader else "nothing in this tree reads it"
    message = f"{one.file}:{one.line} offers {one.variable}, and {reads}: whoever sets it believes in a setting that does nothing"
    kind = "reaches-nobody" if one.reader else "nothing-reads"
    return Detail(what=f"{one.variable} in {one.file}", outcome=Outcome.BROKEN, kind=kind, message=message, file=one.file, line=one.line)


PASSTHROUGH = Guardrail(
    id="env.passthrough",
    title="a setting reaches the service that reads it",
    severity=Severity.MEDIUM,
    when=frozenset({When.STATIC}),
    rationale="A container sees only the variables that compose hands it. One that is forgotten there is set, documented, and without effect.",
    remedy="hand the variable over below `environment:` of the service that reads it",
    subjects=scripts,
    judge=judge_passthrough,
)
