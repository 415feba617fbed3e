"""What do the files of a tree alone say? `interlock scan`: every static guardrail on every file that it is about, without pytest, daemon or network.

The same observers, judgements, waivers and decision as `pytest -m static`; a tree without an `interlock.yaml` is judged as what it looks like
(`interlock.discover`). Whatever lies in the tree, there is a record: what cannot be read or judged is unproven, by name.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path

from interlock.commands.kept import Kept
from interlock.config.load import SITE_FILE, find_site, load_site
from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.config.waivers import load_waivers
from interlock.discover.site import site_of
from interlock.discover.whole import discover
from interlock.errors import CouldNotLook, UsageError
from interlock.evidence.details import Details, DetailWriter, Lines, concatenate, read_lines
from interlock.evidence.provenance import run_of, target_of, used_waivers
from interlock.evidence.record import Compared, DetailsDigest, FactsDigest, Record, Required, in_order, places, rfc3339, sha256
from interlock.facts.moments import stamp
from interlock.gate.decision import NOT_RUN, WAIVER, Reason, decide
from interlock.gate.known import Baseline, Earlier
from interlock.gate.required import Expected, absence, asked, expected, expected_own, pairs, required
from interlock.gate.waivers import Waivers, idle_comment, judge_allows, judge_waivers
from interlock.judge import catalogue, gate_names, guarded
from interlock.nouns import dataclass
from interlock.observe.allows import allows
from interlock.observe.chains import compose_files
from interlock.observe.judged_scripts import with_found_scripts
from interlock.observe.own_checks import OwnCheck, own_checks
from interlock.observe.stack import reads_outside, resolve_ahead
from interlock.observe.tree import Tree
from interlock.observe.world import World, observer
from interlock.verdicts import Detail, Guardrail, Judgement, Outcome, Pair, Settled, Severity, Sink, Subject, Unproven, Verdict, When, settle

GATES = frozenset({When.STATIC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was there already (`interlock.commands.comparing`): a baseline, an earlier commit, both or neither. A `bare` scan takes no waiver and no comment
    into account, and tells every finding as it is."""

    baseline: Baseline | None = None
    earlier: Earlier | None = None
    bare: bool = False


NOTHING_KNOWN = Known()


def scan(root: Path, environ: Mapping[str, str], site_file: Path | None = None, known: Known = NOTHING_KNOWN) -> tuple[Record, Details]:
    """Judge the tree at `root`. `site_file` says what it is, else the `interlock.yaml` in it, else what it looks like.

    The details can be read as often as wanted, as long as they are held. Raises UsageError when there is no such tree, ConfigError for a site or waiver file
    that is wrong.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is no folder", where=str(root), remedy="name the folder to scan: interlock scan PATH")
    started, tree, spool = datetime.now(UTC).replace(microsecond=0), Tree(root, patient=True), _Spool()
    site_file = site_file or _site_file(root)
    kept = Kept.place(tree, site_file, environ, given=(repr(known),))
    again = kept.load(started) if kept is not None else None
    if again is not None:
        record, details = again
        spool.whole.write_bytes(details)
        return record, spool.details
    begun = _Scan.begin(tree, environ, site_file, started, known)
    begun.judge(spool)
    record = begun.record(spool)
    if kept is not None and not reads_outside(begun.world):
        kept.keep(record, spool.whole)
    return record, spool.details


def _site_file(root: Path) -> Path | None:
    """The site file of the tree itself; those of folders above it are about other trees."""
    if not any(os.path.lexists(root / name) for name in (SITE_FILE, "interlock.yml")):
        return None
    return find_site(root)


def site_of_tree(root: Path, site_file: Path | None = None) -> Site:
    """The site that a scan of `root` judges: what `site_file` says, else the `interlock.yaml` in it, else what it looks like. Raises as `scan` does."""
    if not root.is_dir():
        raise UsageError(f"{root} is no folder", where=str(root), remedy="name a folder")
    tree = Tree(root, patient=True)
    return with_found_scripts(_site_of(tree, root, site_file or _site_file(root)), tree)


def _site_of(tree: Tree, root: Path, site_file: Path | None) -> Site:
    if site_file is None:
        return site_of(discover(tree, compose_files(tree), root=root), root)
    declared = load_site(site_file, None, known=gate_names())
    return declared.placed(root, source=declared.source, digest=declared.digest)


class _Spool:
    """A private folder for details, there as long as somebody holds it or its details."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="interlock-scan-"))
        self.whole = self.folder / "details.jsonl"
        self._count = 0
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def next(self) -> Path:
        """A file of its own for one pair."""
        self._count += 1
        return self.folder / str(self._count)

    def details(self) -> Lines:
        """All details, from the first line on."""
        return read_lines(self.whole)


@dataclass(slots=True, kw_only=True)
class _Scan:
    """One scan from the site to the record."""

    site: Site
    world: World
    guardrails: tuple[Guardrail, ...]
    own: tuple[OwnCheck, ...]
    waivers: Waivers
    started: datetime
    verdicts: list[Verdict] = field(default_factory=list)
    spools: dict[Pair, Path] = field(default_factory=dict)

    @classmethod
    def begin(cls, tree: Tree, environ: Mapping[str, str], site_file: Path | None, started: datetime, known: Known) -> _Scan:
        """Know what is to be judged, and what must be."""
        named, waivers = _site_of(tree, tree.root, site_file), Waivers()
        seen = World(site=named, gates=GATES, tree=tree, hosts={}, environ=environ)
        resolve_ahead(seen)  # docker compose works while the scripts are read
        site = with_found_scripts(named, tree)
        own: tuple[OwnCheck, ...] = ()
        if site_file is not None:
            folder = site_file.absolute().parent
            own = tuple(one for one in own_checks(folder / "checks") if one.when & GATES)
            waivers = judge_waivers(load_waivers(folder / site.waivers), catalogue(), frozenset(one.guardrail for one in own), started)
        waivers = Waivers() if known.bare else judge_allows(waivers, allows(tree), catalogue(), started).with_known(known.baseline, known.earlier)
        world = replace(seen, site=site)
        return cls(site=site, world=world, guardrails=asked(site, catalogue(), GATES, None), own=own, waivers=waivers, started=started)

    def required(self) -> tuple[Expected, ...]:
        """Every pair that must have a verdict."""
        own = [expected_own(self.site, one.guardrail, one.subject) for one in self.own]
        declared = required if self.site.source else pairs
        return tuple(sorted((*declared(self.site, self.guardrails, GATES, None), *own), key=lambda one: one.pair))

    def judge(self, spool: _Spool) -> None:
        """One verdict for each guardrail and subject, in the record's order; what needs pytest is said to be not run."""
        for guardrail in self.guardrails:
            subjects = guardrail.subjects_when(self.site, GATES, None)
            self.verdicts += [self._verdict(guardrail, subject, spool.next()) for subject in subjects] if subjects else [self._absent(guardrail)]
        self.verdicts += [self._not_run(one) for one in self.own]
        self.verdicts = list(in_order(self.verdicts))
        with spool.whole.open("wb") as file:
            concatenate(((verdict, self.spools.get(verdict.pair)) for verdict in self.verdicts), file.write)

    def _verdict(self, guardrail: Guardrail, subject: Subject, path: Path) -> Verdict:
        wanted, began = expected(self.site, guardrail, subject), time.monotonic()
        settled, writer = self._settled(guardrail, subject, path)
        counts = writer.close()
        self.spools[wanted.pair] = path
        return Verdict(
            guardrail=guardrail.id,
            subject=subject.id,
            host=subject.host,
            outcome=settled.outcome,
            severity=wanted.severity,
            message=settled.message,
            remedy=settled.remedy,
            where=places(wanted.pair, settled.tally),
            details=counts,
            taken_at=rfc3339(self.started),
            duration=round(time.monotonic() - began, 6),
            waivers=writer.waivers,
        )

    def _settled(self, guardrail: Guardrail, subject: Subject, path: Path) -> tuple[Settled, DetailWriter]:
        """What a guardrail says of a subject; a look that fails, or a judgement that does, proves nothing."""
        pair = Pair(guardrail.id, subject.id)

        def writer() -> DetailWriter:
            return DetailWriter(path, pair, waive=self.waivers.covering(pair), compare=self.waivers.comparing(pair))

        sink = writer()
        try:
            return settle(guarded(self._judgement(guardrail, subject)), sink), sink
        except CouldNotLook as error:
            return settle(_unproven(subject, error.sentence, error.remedy), sink), sink
        except Exception as error:  # whatever lies in a tree, there is a record
            sink.discard()
            why = f"{subject.name} could not be judged: {type(error).__name__}: {error}"
            again: Sink = (fresh := writer())
            return settle(_unproven(subject, why, "this is a fault of interlock, not of the file: report it"), again), fresh

    def _judgement(self, guardrail: Guardrail, subject: Subject) -> Judgement:
        return guardrail.judge(observer(guardrail).see(self.world, subject))

    def _absent(self, guardrail: Guardrail) -> Verdict:
        nothing, (none,) = absence(self.site, guardrail), pairs(self.site, [guardrail], GATES, None)
        return Verdict(
            guardrail=guardrail.id,
            subject=none.pair.subject,
            host=LOCAL,
            outcome=nothing.outcome,
            severity=none.severity,
            message=nothing.message,
            remedy=nothing.remedy,
            taken_at=rfc3339(self.started),
        )

    def _not_run(self, own: OwnCheck) -> Verdict:
        return Verdict(
            guardrail=own.guardrail,
            subject=own.subject,
            host=LOCAL,
            outcome=Outcome.NOT_RUN,
            severity=Severity.HIGH,
            message=f"{own.path.name}::{own.function} is Python of the site's own, which a scan does not run",
            remedy="run `pytest -m static` in the site's folder",
            taken_at=rfc3339(self.started),
        )

    def record(self, spool: _Spool) -> Record:
        """The record of the scan."""
        wanted = self.required()
        used = {name for verdict in self.verdicts for name in verdict.waivers}
        by_pair = {verdict.pair: verdict for verdict in self.verdicts}
        problems = (*self.waivers.problems, *self._unused(wanted, used), *self._nothing_seen())
        data = spool.whole.read_bytes()
        return Record.of(
            run=run_of(id=f"{stamp(self.started)}-scan-{secrets.token_hex(3)}", gates=GATES, started=self.started),
            target=target_of(self.site),
            decision=decide(wanted, by_pair, waiver_problems=problems),
            required=[Required(guardrail=one.pair.guardrail, subject=one.pair.subject, severity=one.severity, shuts=one.shuts) for one in wanted],
            verdicts=self.verdicts,
            details=DetailsDigest(count=data.count(b"\n"), sha256=sha256(data)),
            facts=FactsDigest(sha256=""),
            waivers=used_waivers(self.waivers, self.verdicts, self.site.waivers),
            not_used=self.site.not_used,
            compared=_compared(self.waivers.earlier),
        )

    def _nothing_seen(self) -> Iterator[Reason]:
        """A tree in which nothing was found to judge is most likely the wrong one."""
        if not self.site.source and all(verdict.outcome is Outcome.NOT_APPLICABLE for verdict in self.verdicts):
            text, remedy = "no file of this tree is one that a guardrail is about: nothing is proven", "name the folder that holds the stack's files"
            yield Reason(code=NOT_RUN, text=text, remedy=remedy)

    def _unused(self, wanted: Sequence[Expected], used: set[str]) -> Iterator[Reason]:
        """A waiver that waives nothing is an error here: it would lie in wait. Those for the live gates are none of a scan's."""
        pairs = {one.pair for one in wanted}
        from_files_alone = {one.id for one in self.guardrails if one.when <= GATES}
        for waiver in self.waivers.unused(used):
            if Pair(waiver.guardrail, waiver.subject) in pairs or waiver.guardrail in from_files_alone:
                text = f"waiver {waiver.id} covers nothing that is broken"
                yield Reason(code=WAIVER, guardrail=waiver.guardrail, subject=waiver.subject, text=text, remedy="remove it from the waiver file")
        yield from map(idle_comment, self.waivers.idle(used))


def _compared(earlier: Earlier | None) -> Compared | None:
    return Compared(revision=earlier.revision, commit=earlier.commit, only_new=earlier.only_new) if earlier else None


def _unproven(subject: Subject, why: str, remedy: str) -> Unproven:
    """Unproven, with one detail that names the subject's file."""
    return Unproven(why, remedy=remedy, details=(Detail(what=subject.name, outcome=Outcome.UNPROVEN, kind="could-not-look", message=why, file=subject.name),))
