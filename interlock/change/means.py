"""What does the runner need from the rest of the house? Gates, judgements, evidence, the clock, the caller: handed in, so that tests can hand in others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from interlock.act.books import StoredPlan
from interlock.change.applied import Applied, write_applied
from interlock.change.becoming import site_afterwards
from interlock.change.verifying import Expectation, judge_expectations
from interlock.config.models import Site
from interlock.evidence.folder import LoadedRun, applied_by, load_run
from interlock.evidence.record import Decision, Record
from interlock.evidence.redact import Redactor
from interlock.evidence.visible import visible
from interlock.facts.callers import CallerFacts
from interlock.gate.decision import NOT_RUN, Open, Reason, Shut
from interlock.gate.plan import GatePlan
from interlock.nouns import dataclass
from interlock.observe.caller import caller_facts
from interlock.patterns import regex
from interlock.verdicts import LIVE, When

if TYPE_CHECKING:
    from interlock.gaterun.run import GateRequest

SECRET_NAME = regex(r"(?i)pass|secret|token|credential|private|_key|apikey|dsn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A gate that was run: what it decided, and where its evidence lies. `lasts` is how many seconds its oldest fact may age before it must be run again."""

    decision: Open | Shut
    run: LoadedRun
    lasts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """`gate` runs one gate for a plan's action, None when it asks nothing there (`When.APPLY`: apply's own, preflight and what is judged of the plan);
    `midway` asks the families and guardrails of a gate step, in the middle of an action;
    `keep` writes the evidence of an action, `kept` reads that of an earlier run, `evidence_of` finds that of a plan by its digest;
    `ask` asks the human at the terminal, `say` tells them what is being done."""

    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    caller: Callable[[], CallerFacts]
    ask: Callable[[str], str]
    say: Callable[[str], None]
    gate: Callable[[When, StoredPlan], Gated | None]
    midway: Callable[[StoredPlan, GatePlan], Gated]
    verify: Callable[[Sequence[str]], Sequence[Expectation]]
    keep: Callable[[Applied], LoadedRun]
    kept: Callable[[str], LoadedRun]
    evidence_of: Callable[[str], LoadedRun | None]
    redactor: Redactor


def real_means(site: Site, environ: Mapping[str, str]) -> Means:
    """The real ones."""
    from interlock.act.terminal import ask
    from interlock.gaterun.run import declared_secrets

    return Means(
        environ=environ,
        clock=lambda: datetime.now(UTC),
        caller=lambda: caller_facts(environ),
        ask=ask,
        say=_say,
        gate=partial(_gate, site, environ),
        midway=partial(_midway, site, environ),
        verify=lambda names: judge_expectations(site, names, environ),
        keep=write_applied,
        kept=lambda name: load_run(site.root / site.reports / name),
        evidence_of=lambda plan: applied_by(site.root / site.reports, plan),
        redactor=Redactor([*declared_secrets(site, environ), *(value for name, value in environ.items() if SECRET_NAME.search(name))]),
    )


def _say(what: str) -> None:
    """One line on standard error, where a human sees it."""
    if sys.stderr.isatty():
        sys.stderr.write(visible(what) + "\n")


def _gate(site: Site, environ: Mapping[str, str], when: When, stored: StoredPlan) -> Gated | None:
    """Run a gate in a pytest of its own; a postflight asks of the site that the action ends with.

    None for a postflight that no guardrail of the action belongs to: there is nothing to look at afterwards.
    """
    from interlock.gate.required import asked
    from interlock.gaterun.call import run_gate
    from interlock.gaterun.run import GateRequest
    from interlock.judge import catalogue
    from interlock.observe.own_checks import own_checks

    applying = when is When.APPLY
    site, action = _described(site, environ, stored, afterwards=when is When.POSTFLIGHT)
    system = When.PREFLIGHT if applying else when
    guardrails = asked(site, catalogue(), frozenset({system}), action)
    if when is When.POSTFLIGHT and not guardrails and not any(when in own.when for own in own_checks(site.root / "checks")):
        return None
    request = GateRequest(gates=frozenset({system, when}), start=site.root, action=action, plan=stored.folder if applying else None)
    run = run_gate(site, request, environ=environ).run
    # What the humans said is settled once the action has begun: only what was seen of the system grows too old.
    lasts = min((guardrail.max_age for guardrail in guardrails), default=300)
    return Gated(decision=decision_of(run.record, request, plan=stored.digest if applying else None), run=run, lasts=lasts)


def _described(site: Site, environ: Mapping[str, str], stored: StoredPlan, *, afterwards: bool) -> tuple[Site, str | None]:
    """The site that a gate is asked of, and the action that it is asked for: None where that site does not know the action, so that all is asked."""
    if afterwards:
        site = site_afterwards(site, stored.plan, environ)
    return site, stored.plan.action if stored.plan.action in site.actions else None


def _midway(site: Site, environ: Mapping[str, str], stored: StoredPlan, step: GatePlan) -> Gated:
    """Ask the step's families, guardrails and own rules alone, before and after kinds alike, in a pytest of their own."""
    from interlock.gaterun.call import run_gate
    from interlock.gaterun.run import GateRequest

    site, action = _described(site, environ, stored, afterwards=step.afterwards)
    request = GateRequest(gates=LIVE, start=site.root, action=action, only=step.guardrails)
    run = run_gate(site, request, environ=environ).run
    return Gated(decision=decision_of(run.record, request, plan=None), run=run, lasts=0)


def decision_of(record: Record, request: GateRequest, *, plan: str | None) -> Open | Shut:
    """What a verified record decided. One of other gates, another action, another plan (by its digest), of some guardrails where all are asked or the other way
    round, of an action, or of replayed facts, opens nothing."""
    run = record.run
    seen = (frozenset(run.gates), run.action, run.only, record.plan.digest if record.plan is not None else None)
    asked_for = seen == (request.gates, request.action, request.only, plan) and not record.of_action and not record.replayed
    if record.decision is Decision.OPEN and record.exit_code == 0 and asked_for:
        return Open()
    other = Reason(code=NOT_RUN, text=f"the record is not of the {request.called} of {request.action}", remedy="run the gate again")
    return Shut(record.reasons or (other,))
