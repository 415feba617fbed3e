"""What does the runner need from the rest of the house? Gates, judgements, evidence, the clock, the caller: handed in, so that tests can hand in others."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from interlock.change.applied import Applied, write_applied
from interlock.change.verifying import Expectation, judge_expectations
from interlock.config.models import Site
from interlock.errors import GateShut
from interlock.evidence.folder import LoadedRun, load_run
from interlock.evidence.record import Decision, Record
from interlock.evidence.redact import Redactor
from interlock.evidence.visible import visible
from interlock.facts.callers import CallerFacts
from interlock.gate.decision import NOT_RUN, Open, Reason, Shut
from interlock.nouns import dataclass
from interlock.observe.caller import caller_facts
from interlock.verdicts import When

_SECRET = re.compile(r"(?i)pass|secret|token|credential|private|_key|apikey|dsn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A gate that was run: what it decided, and where its evidence lies. `lasts` is how many seconds its oldest fact may age before it must be run again."""

    decision: Open | Shut
    run: LoadedRun
    lasts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """`gate` runs one gate for an action, None when it asks nothing there; `midway` asks some families and guardrails in the middle of it;
    `keep` writes the evidence of an action, `kept` reads that of an earlier run;
    `ask` asks the human at the terminal, `say` tells them what is being done."""

    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    caller: Callable[[], CallerFacts]
    ask: Callable[[str], str]
    say: Callable[[str], None]
    gate: Callable[[When, str], Gated | None]
    midway: Callable[[str, Sequence[str]], Gated]
    verify: Callable[[Sequence[str]], Sequence[Expectation]]
    keep: Callable[[Applied], LoadedRun]
    kept: Callable[[str], LoadedRun]
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
        redactor=Redactor([*declared_secrets(site, environ), *(value for name, value in environ.items() if _SECRET.search(name))]),
    )


def _say(what: str) -> None:
    """One line on standard error, where a human sees it."""
    if sys.stderr.isatty():
        sys.stderr.write(visible(what) + "\n")


def _gate(site: Site, environ: Mapping[str, str], when: When, action: str) -> Gated | None:
    """Run a gate in a pytest of its own. None for a postflight that no guardrail of the action belongs to: there is nothing to look at afterwards."""
    from interlock.gate.required import asked
    from interlock.gaterun.call import run_gate
    from interlock.judge import catalogue
    from interlock.observe.own_checks import own_checks

    guardrails = asked(site, catalogue(), frozenset({when}), action)
    if when is When.POSTFLIGHT and not guardrails and not any(when in own.when for own in own_checks(site.root / "checks")):
        return None
    run = run_gate(site, when, action=action, facts=None, environ=environ).run
    return Gated(decision=decision_of(run.record, when, action), run=run, lasts=min((guardrail.max_age for guardrail in guardrails), default=300))


def _midway(site: Site, environ: Mapping[str, str], action: str, names: Sequence[str]) -> Gated:
    """Ask these families and guardrails alone, in a pytest of their own."""
    raise GateShut("a gate in mid-plan cannot be asked yet", code=10)


def decision_of(record: Record, when: When, action: str) -> Open | Shut:
    """What a verified record decided. A record of another gate or action, or of replayed facts, opens nothing."""
    asked_for = record.run.gates == (when,) and record.run.action == action
    if record.decision is Decision.OPEN and record.exit_code == 0 and asked_for and not record.replayed:
        return Open()
    other = Reason(code=NOT_RUN, text=f"the record is not of the {when} gate of {action}", remedy="run the gate again")
    return Shut(record.reasons or (other,))
