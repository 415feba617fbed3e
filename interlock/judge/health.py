"""Is what says that the stack is well asked where somebody answers, and does it answer well? `interlock.observe.health` looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from interlock.config.chain_subjects import FROM_FILES, chain_subjects
from interlock.config.models import Site
from interlock.facts.expect import HttpSeen
from interlock.facts.health import ChainProbes, CheckedPort, EndpointSeen
from interlock.facts.known_images import Speaks, recognise
from interlock.facts.start_window import APPLICATION_WINDOW, SHORTEST_START, ChainWaits, Waited
from interlock.judge.expect import judge_http
from interlock.verdicts import LIVE, Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, When, in_short


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


# ---- what waits for health


def judge_start_window(seen: ChainWaits) -> Held | Broken:
    """Held when each service whose health others wait for has a check, and time to become healthy."""
    details = tuple(_waited(one) for one in seen.waited)
    broken = [detail for detail in details if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(f"the chain {seen.chain}: {in_short(broken)}", remedy=START_WINDOW.remedy, kind=broken[0].kind, details=details)
    return Held("every service that others wait for has time to start" if details else "no service waits for the health of another", details)


def _waited(one: Waited) -> Detail:
    kind, why = _too_early(one) or ("", f"{one.service} has time to start")
    who = " and ".join(one.waiting[:2]) + (f" and {len(one.waiting) - 2} more" if len(one.waiting) > 2 else "")
    said = f"{why}: {who} would not be started" if kind else why
    return Detail(what=one.service, outcome=Outcome.BROKEN if kind else Outcome.HELD, kind=kind, message=said, file=one.file, line=one.line)


def _too_early(one: Waited) -> tuple[str, str] | None:
    """Kind and sentence of what is wrong with a service that others wait for."""
    if one.has_check is False:
        return "no-check", f"{one.service} has no health check, and others wait for its health"
    if one.window is None:
        return None
    shown = f"{one.window:g} s"
    if one.known is not None:
        least = SHORTEST_START.get(one.known.server.name, 0)
        if one.window < least:
            return "short-window", f"{one.service} is given {shown} to start, and a first start of {one.known.server.name} takes longer on many a host"
        return None
    if one.keeps_data and not one.start_period and one.window <= APPLICATION_WINDOW:
        return "no-start-period", f"{one.service} keeps data and is given {shown} and no start_period: a start that migrates first is called unhealthy"
    return None


START_WINDOW = Guardrail(
    id="health.start_window",
    title="a service whose health others wait for has a check, and time to start",
    severity=Severity.MEDIUM,
    when=FROM_FILES,
    rationale="What turns unhealthy while it is still starting is never waited for again: docker compose gives up, and the services behind it are created and "
    "never run, after exactly the update that had most to migrate.",
    remedy="give the health check a `start_period` as long as the slowest start: it costs nothing, for the first success ends it",
    subjects=chain_subjects,
    judge=judge_start_window,
)
