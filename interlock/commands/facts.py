"""What does `interlock facts` write? What was seen of the live system, to be judged later, and a picture of its disks that shows what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from interlock.commands.report import write_output
from interlock.config.chain_subjects import chain_of
from interlock.config.models import Site
from interlock.errors import CouldNotLook, UsageError
from interlock.evidence import topology_svg
from interlock.evidence.redact import Redactor
from interlock.evidence.topology_file import redacted
from interlock.facts.looks import HostFacts
from interlock.facts.topology import FAMILIES, Finding
from interlock.gate.required import with_subjects
from interlock.gaterun.run import declared_secrets, observed
from interlock.judge import catalogue
from interlock.observe.facts_file import save
from interlock.observe.topology import topology
from interlock.observe.tree import Tree
from interlock.observe.world import World, observer
from interlock.verdicts import Detail, Guardrail, HeldRun, NullSink, Outcome, Subject, Unproven, When, settle


def look_once(site: Site, output: Path | None, picture: Path | None, environ: Mapping[str, str]) -> Iterator[str]:
    """Look at the live system once, write what was asked for, and say a line of each. Raises UsageError for nothing, and for a site without disks to draw."""
    if output is None and picture is None:
        raise UsageError("what shall be written?", remedy="name a file with --output FILE, --picture FILE.svg, or both")
    if picture is not None and site.mounts is None:
        raise UsageError("there is nothing to draw", where=site.source, why="the site declares no disks", remedy="declare `mounts:`, or leave --picture out")
    with observed(site) as hosts:
        if output is not None:
            save(output, hosts, site)
            many = "1 host" if len(hosts) == 1 else f"{len(hosts)} hosts"
            yield f"{output}: {many} looked at; judge it with `interlock preflight --facts {output}`"
        if picture is not None:
            yield _drawn(site, hosts, picture, environ)


def _drawn(site: Site, hosts: Mapping[str, HostFacts | CouldNotLook], picture: Path, environ: Mapping[str, str]) -> str:
    world = World(site=site, gates=frozenset({When.PREFLIGHT}), tree=Tree(site.root), hosts=hosts, environ=environ)
    redactor = Redactor(tuple(declared_secrets(site, environ)))
    seen = topology(world)
    assert seen is not None  # the site declares disks, and their hosts were asked
    findings = tuple(_findings(world, redactor))
    write_output(picture, topology_svg.render(topology_svg.Picture(redacted(seen, redactor.redact), findings)))
    bad = sorted({finding.guardrail for finding in findings if finding.outcome is Outcome.BROKEN})
    unproven = sorted({finding.guardrail for finding in findings if finding.outcome is Outcome.UNPROVEN} - set(bad))
    said = [f"{word}: {', '.join(names)}" for word, names in (("broken", bad), ("unproven", unproven)) if names]
    return f"{picture}: drawn; {'; '.join(said) or 'nothing of it is broken'}. No gate was asked: waivers and actions count there"


def _findings(world: World, redactor: Redactor) -> Iterator[Finding]:
    """What the rules about disks and state say of these facts; those that read the files of the tree are the gate's."""
    rules = (guardrail for guardrail in catalogue() if guardrail.family in FAMILIES)
    for guardrail, subject in with_subjects(world.site, rules, world.gates, None):
        if chain_of(subject) is None:
            yield from _judged(world, guardrail, subject, redactor)


def _judged(world: World, guardrail: Guardrail, subject: Subject, redactor: Redactor) -> Iterable[Finding]:
    kept = _Kept()
    try:
        settle(guardrail.judge(observer(guardrail).see(world, subject)), kept)
    except CouldNotLook as error:
        settle(Unproven(error.sentence), kept)
    return [
        Finding(
            guardrail=guardrail.id,
            subject=subject.id,
            host=subject.host,
            outcome=detail.outcome,
            what=redactor.redact(detail.what),
            message=redactor.redact(detail.message),
        )
        for detail in kept.details
    ]


class _Kept(NullSink):
    """A sink that keeps the first details, those that do not hold before those that do."""

    def __init__(self) -> None:
        self._bad: list[Detail] = []
        self._held: list[Detail] = []

    @property
    def details(self) -> list[Detail]:
        return (self._bad + self._held)[: topology_svg.MOST_FINDINGS]

    def detail(self, detail: Detail) -> Detail:
        """Keep it as long as there is room."""
        kept = self._held if detail.outcome is Outcome.HELD else self._bad
        if len(kept) < topology_svg.MOST_FINDINGS:
            kept.append(detail)
        return detail

    def held_run(self, run: HeldRun) -> None:
        """Keep nothing: a picture has no place for so many."""
