"""How is a record shown, and a run found, for the command line? Renderings are `interlock.evidence`'s; here they meet terminals and files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from interlock.config.models import Site
from interlock.errors import EvidenceError
from interlock.evidence import html, sarif
from interlock.evidence.details import Details
from interlock.evidence.folder import LoadedRun, load_run, runs
from interlock.evidence.record import Record
from interlock.evidence.renderings import RENDERINGS
from interlock.evidence.text import Style
from interlock.evidence.text import render as render_text
from interlock.evidence.topology_svg import Picture
from interlock.facts.topology import Topology
from interlock.gaterun.recording import decision_text
from interlock.judge import catalogue


def render(record: Record, details: Details, form: str, *, to_terminal: bool, topology: Topology | None = None) -> Iterator[str]:
    """The record in one of the formats; text is fitted to the terminal that it goes to, and a page has the picture where there is one."""
    if form == "sarif":
        return sarif.render(record, details, catalogue())
    if form == "html":
        return html.render(record, details, Picture.of(record, details, topology))
    if form == "text" and to_terminal:
        return render_text(record, details, Style.of(sys.stdout, os.environ))
    return RENDERINGS[form](record, details)


def gate_screen(site: Site, run: LoadedRun) -> str:
    """What an operator reads after a gate run: the decision, why, the next command, and where the evidence lies."""
    return decision_text(site, run, Style.of(sys.stdout, os.environ)) + "\n"


def write_output(path: Path, chunks: Iterable[str]) -> None:
    """Write a file whole or not at all, 0600. Raises EvidenceError."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise EvidenceError(
            f"the output could not be written: {error.strerror}", where=str(path), remedy="name a file in a folder that this user may write to"
        ) from error


def newest_run(site: Site) -> LoadedRun:
    """The newest evidence of a site. Raises EvidenceError when there is none."""
    reports = site.root / site.reports
    newest = next(runs(reports), None)
    if newest is None:
        raise EvidenceError("there is no run to report", where=str(reports), remedy="run a gate first: interlock preflight")
    return load_run(newest)
