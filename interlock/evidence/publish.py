"""How does a run become evidence? Spools, facts and verdicts go in, a published folder comes out: record, details, facts and every rendering, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path

from interlock.errors import EvidenceError
from interlock.evidence import allure, html, junit, markdown, topology_file, topology_svg
from interlock.evidence.details import concatenate, details_of
from interlock.evidence.folder import ALLURE, DETAILS, FACTS, JUNIT, PICTURE, RECORD, REPORT, SUMMARY, TOPOLOGY, LoadedRun, RunFolder
from interlock.evidence.record import DetailsDigest, FactsDigest, Record, in_order
from interlock.facts.topology import Topology
from interlock.nouns import dataclass
from interlock.verdicts import Pair, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a run brings. `spools` are the files of the `DetailWriter`s by pair; `extra` further files by name (a plan, a journal), kept as they are.

    `save_facts` writes the facts, private, to the path that it is given; None for a run without facts. `topology` is what the picture
    shows, redacted; None where no disk was looked at.
    """

    verdicts: tuple[Verdict, ...]
    spools: Mapping[Pair, Path]
    save_facts: Callable[[Path], object] | None = None
    extra: Mapping[str, bytes] = field(default_factory=dict)
    topology: Topology | None = None


def write_run(reports: Path, name: str, findings: Findings, make_record: Callable[[DetailsDigest, FactsDigest], Record]) -> LoadedRun:
    """Write and publish the evidence of a run below `reports`. Raises EvidenceError; then nothing of it can be seen.

    `make_record` is called once details and facts are on disk, with their digests; its verdicts are those of `findings`.
    """
    verdicts = in_order(findings.verdicts)
    with RunFolder.create(reports, name) as folder:
        with folder.file(DETAILS) as file:
            count = concatenate(((verdict, findings.spools.get(verdict.pair)) for verdict in verdicts), file.write)
        facts = _facts(folder, findings)
        for extra, data in findings.extra.items():
            folder.write(extra, [data])
        if findings.topology is not None:
            folder.write(TOPOLOGY, [topology_file.to_json(findings.topology)])
        record = make_record(DetailsDigest(count=count, sha256=file.sha256), FactsDigest(sha256=facts))
        if [verdict.pair for verdict in record.verdicts] != [verdict.pair for verdict in verdicts]:
            raise EvidenceError("the record is not about the verdicts whose details were written", where=str(folder.path))
        folder.write(RECORD, [record.to_json()])
        for rendering, chunks in renderings(record, folder.path / DETAILS, findings.topology):
            folder.write(rendering, chunks)
        path = folder.publish()
    return LoadedRun(path=path, record=record, digest=record.digest)


def _facts(folder: RunFolder, findings: Findings) -> str:
    if findings.save_facts is None:
        return ""
    findings.save_facts(folder.path / FACTS)
    return folder.adopt(FACTS)


def renderings(record: Record, details: Path, topology: Topology | None) -> Iterable[tuple[str, Iterable[str]]]:
    """Every file of a run folder that is a pure function of record, details and topology: its name and its text in pieces, to be taken one after the other."""
    source = details_of(details)
    yield JUNIT, junit.render(record, source)
    yield SUMMARY, markdown.render(record, source)
    picture = topology_svg.Picture.of(record, source, topology)
    yield REPORT, html.render(record, source, picture)
    if picture is not None:
        yield PICTURE, topology_svg.render(picture)
    for name, chunks in allure.render(record, source):
        yield f"{ALLURE}/{name}", chunks
