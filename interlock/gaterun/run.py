"""One gate run from site to record: what plugin and command line share. `interlock.plugin` lets pytest do the judging in between.

run = GateRun.begin(request, environ)     site, waivers, required set: before anything is collected
run.observe()                             one round trip per host, or a replayed file
run.add(verdict)                          as pytest reports them

`interlock.gaterun.recording` makes the record and the run folder of it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.config.load import find_site, load_site
from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.config.waivers import load_waivers
from interlock.errors import ConfigError, CouldNotLook, EvidenceError, UsageError
from interlock.facts.looks import HostFacts
from interlock.facts.moments import stamp
from interlock.facts.substitution import references
from interlock.gate.decision import Open, Shut, decide, worst
from interlock.gate.required import Absence, Expected, absence, asked, expected, expected_own, is_own, required, with_subjects
from interlock.gate.waivers import Waivers, judge_allows, judge_waivers
from interlock.judge import catalogue, gate_names
from interlock.nouns import dataclass
from interlock.observe.allows import allows
from interlock.observe.judged_scripts import with_found_scripts
from interlock.observe.own_checks import OwnCheck, own_checks
from interlock.observe.tree import Tree
from interlock.observe.world import LIVE_GATES, NamedPlan, World, looks_for
from interlock.verdicts import (
    Broken,
    Detail,
    Guardrail,
    Held,
    Judgement,
    Outcome,
    Pair,
    Severity,
    Subject,
    Unproven,
    Verdict,
    When,
    settle,
)

if TYPE_CHECKING:
    from interlock.checking import Case
    from interlock.evidence.redact import Redactor


def utc_now() -> datetime:
    """Now, aware, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What is asked of a gate run. `site` None: found upwards from `start`. `nonce` is echoed in the record, so that its asker knows that it is fresh.

    `only` are the families, guardrails and own rules of a gate in mid-plan, none of a whole gate; `plan` is the folder of the plan that it is asked for.
    """

    gates: frozenset[When]
    start: Path
    site: Path | None = None
    action: str | None = None
    facts: Path | None = None
    nonce: str = ""
    only: tuple[str, ...] = ()
    plan: Path | None = None

    @property
    def called(self) -> str:
        """`preflight gate`, as an operator calls it; what is judged of a plan itself is a part of the gate before it."""
        named = self.gates - {When.APPLY} or self.gates
        return "gate in mid-plan" if self.only else f"{' and '.join(sorted(named))} gate"


@dataclass(kw_only=True)
class GateRun:
    """The state of one gate run. Verdicts are added as they come; everything else is settled at `begin`."""

    request: GateRequest
    site: Site
    plan: NamedPlan | None
    guardrails: tuple[Guardrail, ...]
    own: tuple[OwnCheck, ...]
    waivers: Waivers
    started: datetime
    spool: Path
    secrets: tuple[str, ...]
    id: str
    verdicts: list[Verdict] = field(default_factory=list)
    details: dict[Pair, Path] = field(default_factory=dict)
    own_collected: dict[str, set[str]] = field(default_factory=dict)
    hosts: Mapping[str, HostFacts | CouldNotLook] = field(default_factory=dict)

    @classmethod
    def begin(cls, request: GateRequest, environ: Mapping[str, str]) -> GateRun:
        """Load the site and its waivers and compute what is required. Raises ConfigError, UsageError or WaiverError before anything is looked at."""
        path = request.site or find_site(request.start)
        if path is None:
            raise ConfigError(
                "no interlock.yaml here or in a folder above",
                where=str(request.start),
                remedy="run it in the site's folder, name one with --site FILE, or make one",
            )
        site, started = load_site(path, environ if request.gates & LIVE_GATES else None, known=gate_names()), utc_now()
        tree = Tree(site.root, patient=True) if When.STATIC in request.gates else None
        if tree is not None:
            site = with_found_scripts(site, tree)
        guardrails = asked(site, catalogue(), request.gates, request.action, request.only)
        own = own_of(site, request)
        own_ids = frozenset(one.guardrail for one in own)
        waivers = judge_waivers(load_waivers(site.root / site.waivers), catalogue(), own_ids, started)
        if tree is not None:
            waivers = judge_allows(waivers, allows(tree), catalogue(), started)
        gate = "-".join(sorted(request.gates))
        return cls(
            request=request,
            site=site,
            plan=named_plan(request.plan, site, request.action) if request.plan is not None else None,
            guardrails=guardrails,
            own=own,
            waivers=waivers,
            started=started,
            spool=_spool(site),
            secrets=tuple(declared_secrets(site, environ)),
            id=f"{stamp(started)}-{request.action or gate}-{os.urandom(3).hex()}",
        )

    @cached_property
    def redactor(self) -> Redactor:
        """Hides what the site takes from the environment, and whatever looks like a secret."""
        from interlock.evidence.redact import Redactor

        return Redactor(self.secrets)

    @property
    def replayed(self) -> bool:
        """True when facts come from a file."""
        return self.request.facts is not None

    def required(self) -> tuple[Expected, ...]:
        """Every pair that must have a verdict: the catalogue's, and those of the site's own checks with the subjects that were collected.

        None in mid-plan where one of the names has nothing to look at.
        """
        pairs = list(required_of(self.site, self.request))
        if self.request.only and not pairs:
            return ()
        for own in self.own:
            for subject in sorted(self.own_collected.get(own.guardrail) or {own.subject}):
                pairs.append(expected_own(self.site, own.guardrail, subject))
        return tuple(sorted(set(pairs), key=lambda one: one.pair))

    def absence(self, guardrail: Guardrail) -> Absence:
        """What a guardrail without a subject comes to here."""
        return absence(self.site, guardrail)

    def observe(self) -> None:
        """Have the facts of every host that a required subject needs: one round trip each, or replayed from a file. Unreachable hosts are kept as errors."""
        if self.replayed:
            from interlock.observe.facts_file import load

            assert self.request.facts is not None
            self.hosts = load(self.request.facts)
            return
        if not self.request.gates & LIVE_GATES:
            return
        from interlock.observe.hosts import observe

        self.hosts = observe(self.site, looks_for(self.site, with_subjects(self.site, self.guardrails, self.request.gates, self.request.action)), self.spool)

    def world(self, environ: Mapping[str, str]) -> World:
        """What fixtures look through."""
        return World(site=self.site, gates=self.request.gates, tree=Tree(self.site.root), hosts=self.hosts, environ=environ, plan=self.plan)

    def taken_at(self, host: str) -> str:
        """When the facts of a host were observed; for a judgement from files, when the run began."""
        from interlock.evidence.record import rfc3339

        facts = self.hosts.get(host)
        return facts.taken_at if isinstance(facts, HostFacts) else rfc3339(self.started)

    def decision(self) -> Open | Shut:
        """Open or shut, on what was added until now."""
        return decide(self.required(), worst(self.verdicts), waiver_problems=self.waivers.problems, replayed=self.replayed)

    def add(self, verdict: Mapping[str, Any], details: Path) -> None:
        """Keep one verdict, as its item reported it in JSON, and the file of its details."""
        from interlock.evidence.record import verdict_from_json

        found = verdict_from_json(verdict)
        self.verdicts.append(found)
        self.details[found.pair] = details


@contextmanager
def observed(site: Site) -> Iterator[Mapping[str, HostFacts | CouldNotLook]]:
    """Everything that a live gate of this site would look at, walks and all, as long as the context lasts."""
    from interlock.observe.hosts import observe

    with tempfile.TemporaryDirectory(prefix="interlock-facts-") as spool:
        yield observe(site, looks_for(site, with_subjects(site, catalogue(), LIVE_GATES, None)), Path(spool))


def required_of(site: Site, request: GateRequest) -> tuple[Expected, ...]:
    """The pairs of the catalogue that a request requires of a site; none in mid-plan where one of the names has nothing to look at."""
    if {name for name in request.only if is_own(name)} - {own.guardrail for own in own_of(site, request)}:
        return ()
    guardrails = asked(site, catalogue(), request.gates, request.action, request.only)
    return required(site, guardrails, request.gates, request.action, request.only)


def own_of(site: Site, request: GateRequest) -> tuple[OwnCheck, ...]:
    """The rules of the site's own that a request asks: all of its gates, in mid-plan those that it names. Raises ConfigError."""
    return tuple(one for one in own_checks(site.root / "checks") if one.when & request.gates and (not request.only or one.guardrail in request.only))


def named_plan(folder: Path, site: Site, action: str | None) -> NamedPlan:
    """The plan that a gate is asked for. Raises UsageError when it cannot be read or is for something else, StaleError when it is not as it was written."""
    from interlock.facts.moments import read
    from interlock.gate.plan import FILE, LIMIT, Plan
    from interlock.observe.private import read_private

    path = folder / FILE
    try:
        raw = read_private(path, limit=LIMIT)
    except (OSError, ValueError) as error:
        raise UsageError("there is no plan to read", where=str(path), why=str(error), remedy="name the folder of a plan") from error
    plan = Plan.parse(raw, where=str(path))
    if (plan.site.name, plan.action) != (site.site, action):
        why = f"it is for {plan.action} of {plan.site.name}"
        raise UsageError("the plan is for something else", where=str(path), why=why, remedy=f"ask the gate for {plan.action} of {plan.site.name}")
    return NamedPlan(digest=plan.digest, action=plan.action, created=read(plan.created_at), folder=folder)


def declared_secrets(site: Site, environ: Mapping[str, str]) -> Iterator[str]:
    """The values that the site takes from the environment: what must never reach a record."""
    for entry in site.expect.values():
        if entry.sql is not None:
            yield environ.get(entry.sql.dsn_env, "")
    for database in site.databases.values():
        yield environ.get(database.dsn_env, "")
    patches = (step.patch for action in site.actions.values() for step in action.steps)
    for values in (*(instance.values for instance in site.instances.values()), *(patch.values for patch in patches if patch is not None)):
        for text in values.values():
            yield from (environ.get(reference.name, "") for reference in references(text))


def open_case(run: GateRun, key: tuple[str, str], name: str) -> Case:
    """A case whose details are streamed to a file of the run, with the waivers that name its pair."""
    from interlock.checking import Case
    from interlock.evidence.details import DetailWriter

    pair, path = Pair(*key), run.spool / f"details-{name}.jsonl"
    return Case(sink=DetailWriter(path, pair, waive=run.waivers.covering(pair), redactor=run.redactor), path=path)


def settle_test(case: Case, raised: BaseException | None, *, own: bool, none_declared: bool) -> None:
    """Say what a check came to from what it raised, where it did not settle that itself. Everything unforeseen is unproven."""
    import pytest

    from interlock.checking import NotHeld, NotProven

    if case.settled is not None and (raised is None or isinstance(raised, NotHeld | NotProven)):
        return
    match raised:
        case pytest.skip.Exception() if none_declared:
            case.skipped = str(raised)
            return
        case pytest.skip.Exception():
            judgement: Judgement = Unproven(f"was skipped: {raised}", remedy="let it run: a skip hides inside green")
        case CouldNotLook():
            judgement = Unproven(raised.sentence, remedy=raised.remedy)
        case NotProven():
            judgement = Unproven(str(raised))
        case AssertionError() if own:
            judgement = Broken(str(raised) or "an assertion failed", kind="assertion")
        case None if own:
            judgement = Held("passed")
        case None:
            judgement = Unproven("the check judged nothing", remedy="end it with assert_held(...)")
        case _:
            judgement = Unproven(f"the check itself failed: {type(raised).__name__}: {raised}", remedy="this is a fault of the check, not of the system")
    case.settled = settle(judgement, case.sink)


def settle_teardown(case: Case, raised: BaseException | None) -> None:
    """What fails after the check leaves it unproven at best."""
    if raised is None:
        return
    failure = Detail(what="teardown", outcome=Outcome.UNPROVEN, kind="teardown", message=f"its teardown failed: {type(raised).__name__}: {raised}")
    settled = case.settled or settle(Unproven(failure.message), case.sink)
    settled.tally.add(case.sink.detail(failure))
    case.settled = replace(settled, outcome=settled.tally.outcome, message=f"{settled.message}; {failure.message}")


def conclude(run: GateRun, key: tuple[str, str], guardrail: Guardrail | None, subject: Subject | None, case: Case) -> dict[str, Any]:
    """The verdict of one item, as JSON. Closes its file of details."""
    from interlock.evidence.details import DetailWriter
    from interlock.evidence.record import places, verdict_to_json

    pair, writer = Pair(*key), case.sink
    assert isinstance(writer, DetailWriter)
    counts = writer.close()
    host = subject.host if subject is not None else LOCAL
    severity = expected(run.site, guardrail, subject).severity if guardrail is not None and subject is not None else Severity.HIGH
    settled = case.settled
    verdict = Verdict(
        guardrail=pair.guardrail,
        subject=pair.subject,
        host=host,
        outcome=settled.outcome if settled else Outcome.NOT_APPLICABLE,
        severity=severity,
        message=run.redactor.redact(settled.message if settled else case.skipped),
        remedy=run.redactor.redact(settled.remedy) if settled else "",
        where=places(pair, settled.tally) if settled else (),
        details=counts,
        taken_at=run.taken_at(host),
        duration=round(time.monotonic() - case.began, 6),
        attempts=case.attempts,
        waivers=writer.waivers,
    )
    return verdict_to_json(verdict)


def _spool(site: Site) -> Path:
    """A private folder below the site's reports for what is streamed during the run; removed at its end."""
    reports = site.root / site.reports
    try:
        reports.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".spool-", dir=reports))
    except OSError as error:
        raise EvidenceError(
            f"evidence cannot be written below {reports}: {error.strerror}",
            where=site.source,
            remedy="let this user write there, or set `reports:` to another folder",
        ) from error
