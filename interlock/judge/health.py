"""Is what says that the stack is well asked where somebody answers, and does it answer well? `interlock.observe.health` looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from interlock.config.chain_subjects import chain_subjects
from interlock.config.models import Site
from interlock.facts.expect import HttpSeen
from interlock.facts.health import ChainProbes, CheckedPort, EndpointSeen
from interlock.facts.known_images import Speaks, recognise
from interlock.judge.expect import judge_http
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, When


def subjects(site: Site) -> Sequence[Subject]:
    """Every chain, from the files, and every declared endpoint, live."""
    return [*chain_subjects(site), *(Subject(name=name, host=entry.host, when=frozenset(map(When, entry.when))) for name, entry in site.health.items())]


def judge_endpoint(seen: ChainProbes | EndpointSeen) -> Held | Broken:
    """Held when an endpoint answers as declared, through the database too, and when no container check asks where surely nobody answers so."""
    match seen:
        case ChainProbes():
            return _judge_chain(seen)
        case EndpointSeen():
            return _judge_endpoint(seen)
        case _:
            assert_never(seen)


# ---- container checks


def _judge_chain(chain: ChainProbes) -> Held | Broken:
    details = tuple(detail for checks in chain.checks for detail in _check(checks))
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if bad:
        remedy = "ask the port that answers; see which with `ss -lnt` in the container"
        return Broken("; ".join(detail.message for detail in bad), remedy=remedy, details=details)
    if not details:
        return Held("no health check of a service asks an address of the stack")
    return Held("every health check asks where somebody may answer", details)


def _check(checks: Sequence[CheckedPort]) -> Sequence[Detail]:
    """The probes of one health check. It is broken only when none of them can be answered: they may be alternatives."""
    faults = [_fault(one) for one in checks]
    wrong = all(fault is not None for fault in faults)
    return [_detail(one, fault if wrong else None) for one, fault in zip(checks, faults, strict=True)]


def _fault(one: CheckedPort) -> tuple[str, str] | None:
    """Kind and sentence of what is surely wrong with a probe; None for what may be right: we do not know every image."""
    known = recognise(one.image)
    if known is None:
        return None
    server, speaks = known.server, known.server.ports.get(one.probe.port)
    if one.probe.http and speaks is Speaks.OWN and not one.http_mentioned and one.own_program:
        over = [str(port) for port, spoken in sorted(server.ports.items()) if spoken is Speaks.HTTP]
        instead = f"; HTTP is on {' and '.join(over)}" if over else ""
        return "not-http", f"it speaks HTTP to port {one.probe.port}, where {server.name} speaks {speaks.value}{instead}"
    if speaks is None and known.official and one.plain and not one.mentioned:
        return "nobody-listens", f"it asks port {one.probe.port}, where {server.name} does not listen"
    return None


def _detail(one: CheckedPort, fault: tuple[str, str] | None) -> Detail:
    what = f"{one.service}: {one.target}:{one.probe.port}"
    if fault is None:
        said = f"the health check of {one.service} asks {one.probe.host}:{one.probe.port}"
        return Detail(what=what, outcome=Outcome.HELD, message=said, file=one.file, line=one.line)
    kind, why = fault
    said = f"the health check of {one.service} never succeeds: {why}"
    return Detail(what=what, outcome=Outcome.BROKEN, kind=kind, message=said, file=one.file, line=one.line)


# ---- endpoints


def _judge_endpoint(seen: EndpointSeen) -> Held | Broken:
    answers = {"endpoint": seen.endpoint, **({"reads": seen.reads} if seen.reads else {})}
    details = tuple(_answered(what, answer) for what, answer in answers.items())
    bad = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    said = "; ".join(detail.message for detail in bad or details)
    tried = f" (try {seen.tries} of {seen.attempts})" if seen.attempts > 1 else ""
    if bad:
        return Broken(f"{said}{tried}", remedy="look at the log of the service; give it more `attempts` when it only needs longer", details=details)
    return Held(f"{said}{tried}", details)


def _answered(what: str, seen: HttpSeen) -> Detail:
    judged = judge_http(seen)
    match judged:
        case Held():
            return Detail(what=what, outcome=Outcome.HELD, message=judged.message)
        case Broken():
            return Detail(what=what, outcome=Outcome.BROKEN, kind=judged.kind, message=judged.message)


ENDPOINT = Guardrail(
    id="health.endpoint",
    title="what says that the stack is well is asked where it answers, and answers as declared, through the database too",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, *LIVE}),
    rationale="A check that asks the wrong port never turns healthy and what waits for it never starts; one that asks nothing behind the door vouches for a "
    "service whose database is gone.",
    remedy="ask the port that answers; let the endpoint, or what `reads` names, go through the database",
    subjects=subjects,
    judge=judge_endpoint,
    max_age=60,
)
