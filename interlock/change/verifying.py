"""Do these expectations of the site hold now? In the middle of an action, in this process: the same observers and judgements that a gate uses."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.judge import catalogue, guarded
from interlock.nouns import dataclass
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.observe.world import LIVE_GATES, World, looks_for, observer
from interlock.verdicts import Guardrail, NullSink, Outcome, Settled, Subject, Unproven, settle

FAMILY = "expect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What one `expect:` entry came to. `attempts` says how often it was looked at."""

    name: str
    outcome: Outcome
    message: str
    attempts: int

    def to_json(self) -> dict[str, str | int]:
        """As the journal keeps it."""
        return {"name": self.name, "outcome": self.outcome.value, "message": self.message, "attempts": self.attempts}


def judge_expectations(site: Site, names: Sequence[str], environ: Mapping[str, str]) -> tuple[Expectation, ...]:
    """One answer for each name, in this order; each is looked at afresh as often as its entry allows, until it holds."""
    found = {subject.name: (guardrail, subject) for guardrail in catalogue() if guardrail.family == FAMILY for subject in guardrail.subjects(site)}
    return tuple(_settled(site, *found[name], environ) for name in names)


def _settled(site: Site, guardrail: Guardrail, subject: Subject, environ: Mapping[str, str]) -> Expectation:
    entry = site.expect[subject.name]
    for attempt in range(1, entry.attempts + 1):
        settled = _look(site, guardrail, subject, environ)
        if settled.outcome is Outcome.HELD or attempt == entry.attempts:
            break
        time.sleep(entry.every)
    return Expectation(name=subject.name, outcome=settled.outcome, message=settled.message, attempts=attempt)


def _look(site: Site, guardrail: Guardrail, subject: Subject, environ: Mapping[str, str]) -> Settled:
    with tempfile.TemporaryDirectory(prefix="interlock-verify-") as spool:
        try:
            hosts = observe(site, looks_for(site, [(guardrail, subject)]), Path(spool))
            world = World(site=site, gates=LIVE_GATES, tree=Tree(site.root), hosts=hosts, environ=environ)
            judgement = guarded(guardrail.judge(observer(guardrail).see(world, subject)))
            return settle(judgement, NullSink())
        except CouldNotLook as error:
            return settle(Unproven(str(error), remedy=error.remedy), NullSink())
