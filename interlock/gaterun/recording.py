"""How does a finished gate run become its record and its run folder? And what is said of it on a terminal."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from interlock.config.load import find_site
from interlock.config.models import Site
from interlock.config.waivers import load_waivers
from interlock.errors import ConfigError, CouldNotLook
from interlock.evidence.changes import changes
from interlock.evidence.folder import LoadedRun, latest, latest_open
from interlock.evidence.provenance import run_of, target_of, used_waivers
from interlock.evidence.publish import Findings, write_run
from interlock.evidence.record import (
    Decision,
    DetailsDigest,
    FactsDigest,
    PlanReference,
    Record,
    Required,
    sha256,
)
from interlock.evidence.text import Style, gate_text
from interlock.evidence.topology_file import redacted
from interlock.facts.looks import HostFacts, Walk
from interlock.facts.topology import Topology
from interlock.gate.decision import UNPROVEN, worst
from interlock.gate.waivers import idle_comment, judge_allows, judge_waivers
from interlock.gaterun.run import GateRun, utc_now
from interlock.judge import catalogue
from interlock.observe.allows import allows
from interlock.observe.facts_file import load, save
from interlock.observe.own_checks import own_checks
from interlock.observe.tree import Tree
from interlock.observe.world import World
from interlock.verdicts import Verdict, When


def write_evidence(run: GateRun, world: World | None) -> LoadedRun:
    """Write the run folder of a finished gate run, which looked through `world`. Raises EvidenceError, with nothing half-visible left."""
    reports, verdicts = run.site.root / run.site.reports, tuple(worst(run.verdicts).values())
    hosts = {name: _without_walks(facts) for name, facts in run.hosts.items()}
    findings = Findings(
        verdicts=verdicts,
        spools=run.details,
        save_facts=(lambda path: save(path, hosts, run.site, redact=_told_apart)) if hosts else None,
        topology=_topology(run, world),
    )
    previous = latest(reports, run.site.site)
    return write_run(reports, run.id, findings, lambda details, facts: _record(run, verdicts, details, facts, previous.digest if previous else None))


def _topology(run: GateRun, world: World | None) -> Topology | None:
    """What the report's picture shows, with its texts redacted; None where no disk was looked at."""
    if world is None or not run.hosts or run.site.mounts is None:
        return None
    from interlock.observe.topology import topology

    seen = topology(world)
    return redacted(seen, run.redactor.redact) if seen is not None else None


def _told_apart(content: bytes) -> bytes:
    """What evidence keeps of a file that was read: enough to see that it changed. An env file or a token has no place in something that is shown around."""
    return f"{sha256(content)}, {len(content)} bytes".encode()


def _without_walks(facts: HostFacts | CouldNotLook) -> HostFacts | CouldNotLook:
    """What was seen of a host without its walks, whose every entry is a detail already."""
    if isinstance(facts, CouldNotLook):
        return facts
    return replace(facts, answers={look: answer for look, answer in facts.answers.items() if not isinstance(look, Walk)})


def _record(run: GateRun, verdicts: Sequence[Verdict], details: DetailsDigest, facts: FactsDigest, previous: str | None) -> Record:
    return Record.of(
        run=run_of(
            id=run.id,
            gates=run.request.gates,
            started=run.started,
            action=run.request.action,
            nonce=run.request.nonce,
            only=run.request.only,
            pytest=importlib.metadata.version("pytest"),
        ),
        target=target_of(run.site),
        decision=run.decision(),
        required=[Required(guardrail=one.pair.guardrail, subject=one.pair.subject, severity=one.severity, shuts=one.shuts) for one in run.required()],
        verdicts=verdicts,
        details=details,
        facts=facts,
        waivers=used_waivers(run.waivers, verdicts, run.site.waivers),
        not_used=run.site.not_used,
        replayed=run.replayed,
        plan=PlanReference(digest=run.plan.digest, action=run.plan.action) if run.plan is not None else None,
        redact=run.redactor.redact,
        previous=previous,
    )


# ---- on a terminal


def next_command(record: Record, site: Site) -> str:
    """The one command that an operator types next, where they are; where something is broken, once the first reason is mended."""
    aim = _named(site) + (f" --for {record.run.action}" if record.run.action else "")
    if record.run.only:
        return f"interlock status{_named(site)}"
    gate = next((gate for gate in record.run.gates if gate is not When.APPLY), When.PREFLIGHT)
    if record.decision is Decision.OPEN and record.plan is not None:
        return ""
    if record.decision is Decision.OPEN:
        return _acting(site, record.run.action) if record.run.action and gate == "preflight" else ""
    if all(reason.code == UNPROVEN for reason in record.reasons) and not record.replayed:
        return f"interlock doctor{aim}"
    return f"interlock {gate}{aim}"


def _acting(site: Site, action: str) -> str:
    """How an action is gone on with: one without a step that changes something can guard a script of the operator's."""
    steps = site.actions[action].steps if action in site.actions else ()
    if all(step.kind in ("backup", "verify") for step in steps) and any(step.kind == "backup" for step in steps):
        return f"interlock plan{_named(site)} {action}, or around a script of your own: interlock guard{_named(site)} --for {action} -- SCRIPT"
    return f"interlock plan{_named(site)} {action}"


def _named(site: Site) -> str:
    """How the site file is named on a command line; nothing where it is found without a name."""
    file, here = (site.root / Path(site.source).name).resolve(), Path.cwd()
    try:
        found = find_site(here)
    except ConfigError:
        found = None
    if found is not None and found.resolve() == file:
        return ""
    return f" --site {shlex.quote(os.path.relpath(file, here) if file.is_relative_to(here.resolve()) else str(file))}"


def changed_since_open(run: LoadedRun) -> Sequence[str]:
    """What changed since the site's gate was last open, in short sentences; nothing when it never was."""
    before = latest_open(run.path.parent, run.record)
    if before is None or before.digest == run.digest:
        return ()
    return changes(before.record, run.record, _facts(before), _facts(run))


def _facts(run: LoadedRun) -> Mapping[str, HostFacts | CouldNotLook] | None:
    """The facts of a run, when it kept some that can still be read: what changed is a courtesy, and must not hide the decision."""
    try:
        return load(run.facts) if run.facts.exists() else None
    except ConfigError:
        return None


def unused_waivers(site: Site, record: Record) -> tuple[str, ...]:
    """A line for each valid waiver that covered nothing in a run that asked for everything: it should go before it covers something new."""
    if record.run.action is not None:
        return ()
    own = frozenset(one.guardrail for one in own_checks(site.root / "checks"))
    waivers = judge_waivers(load_waivers(site.root / site.waivers), catalogue(), own, utc_now())
    if When.STATIC in record.run.gates:
        waivers = judge_allows(waivers, allows(Tree(site.root, patient=True)), catalogue(), utc_now())
    used = {waiver.id for waiver in record.waivers}
    return (
        *(f"warning: waiver {waiver.id} ({site.waivers}:{waiver.line}) covers nothing any more: remove it" for waiver in waivers.unused(used)),
        *(f"warning: {idle_comment(allow).text}: remove it" for allow in waivers.idle(used)),
    )


def decision_text(site: Site, run: LoadedRun, style: Style) -> str:
    """The gate in one screen, and where the evidence lies."""
    since = changed_since_open(run) if run.record.decision is Decision.SHUT else ()
    text = gate_text(run.record, since, next_command(run.record, site), style)
    return "\n".join([text, *unused_waivers(site, run.record), f"evidence: {run.path}"])


def too_short(run: GateRun) -> tuple[str, ...]:
    """A warning where a declared secret is too short to be searched for in what is written."""
    count = run.redactor.too_short
    return (f"warning: {count} of the site's secrets are too short to be hidden in evidence: use longer ones",) if count else ()
