"""What is new? A scan beside what was there already: a baseline that is read or written, an earlier commit that is judged as the tree is now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from interlock.commands.report import write_output
from interlock.commands.scan import Known, scan
from interlock.config.baseline import Entry, Finding, baseline_text, load_baseline
from interlock.errors import UsageError
from interlock.evidence.details import DetailLine, Details, HeldLines
from interlock.evidence.record import Record, WaivedBy
from interlock.evidence.wording import number
from interlock.gate.known import Baseline, Earlier, by_pair
from interlock.judge import catalogue
from interlock.nouns import dataclass
from interlock.observe.revision import earlier
from interlock.verdicts import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What is asked of a scan on the command line."""

    root: Path
    environ: Mapping[str, str]
    site_file: Path | None = None
    baseline: Path | None = None
    write_baseline: Path | None = None
    changed_since: str | None = None
    only_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A scan's record and details, and `notes` on what it was compared with: sentences that open and shut nothing."""

    record: Record
    details: Details
    notes: tuple[str, ...] = ()


def scanned(request: ScanRequest) -> Scanned:
    """Judge the tree of a request. Raises as `scan` does, and UsageError for a baseline or a commit that is not there."""
    if not request.root.is_dir():
        raise UsageError(f"{request.root} is no folder", where=str(request.root), remedy="name the folder to scan: interlock scan PATH")
    never = frozenset(guardrail.id for guardrail in catalogue() if guardrail.never_waivable)
    known = Known(baseline=_baseline(request, never), earlier=_earlier(request, never))
    record, details = scan(request.root, request.environ, request.site_file, known)
    notes: list[str] = []
    if request.write_baseline is not None:
        count = _write_baseline(request.write_baseline, record, details)
        notes.append(f"{request.write_baseline}: {number(count, 'finding')} written; with --baseline {request.write_baseline} only others shut the gate")
    elif known.baseline is not None and (gone := known.baseline.gone(_finding(line) for line in _findings(details))):
        again = f"write it anew with --write-baseline {request.baseline}"
        notes.append(f"{request.baseline}: {number(gone, 'finding')} that it lists {'is' if gone == 1 else 'are'} gone: {again}")
    return Scanned(record=record, details=details, notes=tuple(notes))


def _baseline(request: ScanRequest, never: frozenset[str]) -> Baseline | None:
    if request.write_baseline is not None:
        return Baseline(source=str(request.write_baseline), findings={}, never=never, everything=True)
    if request.baseline is None:
        return None
    return Baseline(source=str(request.baseline), findings=by_pair(load_baseline(request.baseline)), never=never)


def _earlier(request: ScanRequest, never: frozenset[str]) -> Earlier | None:
    """The findings of the earlier commit, judged by the site file of now where there is one: a rule that came with the change is no reason to call a finding
    new that was there before."""
    if request.changed_since is None:
        return None
    with earlier(request.root, request.changed_since, request.environ) as then:
        site_file = request.site_file or _site_file(request.root)
        _, details = scan(then.root, {**request.environ, "INTERLOCK_CACHE": "off"}, site_file, Known(bare=True))
        counted: dict[Finding, int] = {}
        for line in _findings(details):
            finding = _finding(line)
            counted[finding] = counted.get(finding, 0) + 1
    return Earlier(revision=request.changed_since, commit=then.commit, findings=by_pair(counted), never=never, only_new=request.only_new)


def _site_file(root: Path) -> Path | None:
    return next((root / name for name in ("interlock.yaml", "interlock.yml") if os.path.lexists(root / name)), None)


def _findings(details: Details) -> Iterator[DetailLine]:
    """All that does not hold, waived or not."""
    return (line for line in details() if not isinstance(line, HeldLines) and line["outcome"] != Outcome.HELD)


def _finding(line: DetailLine) -> Finding:
    return Finding(guardrail=line["guardrail"], subject=line["subject"], file=line.get("file", ""), key=line["key"])


def _write_baseline(path: Path, record: Record, details: Details) -> int:
    """Write what passes by the baseline alone: what a waiver or a comment covers ends by itself. Returns how many findings there are."""
    entries = list(_entries(record, _findings(details)))
    write_output(path, [baseline_text(entries)])
    path.chmod(0o644)  # it belongs into the repository, for everybody to read
    return len(entries)


def _entries(record: Record, lines: Iterable[DetailLine]) -> Iterator[Entry]:
    mine = {waiver.id for waiver in record.waivers if waiver.by is WaivedBy.BASELINE}
    return (Entry(finding=_finding(line), message=line["message"]) for line in lines if line.get("waiver") in mine)
