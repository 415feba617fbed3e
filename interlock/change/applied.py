"""What evidence does an action leave? A run folder like a gate's, whose record also names the plan, who approved it, and every step as the journal has it.

Its verdicts are those of the gate that says how things stand at the end: postflight after an action that was done, else the preflight that let it begin.
`plan.json` and `journal.jsonl` lie beside the record, whole.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from interlock.act.private import CREATE, FILE_MODE, write_whole
from interlock.config.models import Site
from interlock.errors import EvidenceError
from interlock.evidence.folder import DETAILS, LoadedRun, latest
from interlock.evidence.publish import Findings, write_run
from interlock.evidence.record import DetailsDigest, FactsDigest, PlanReference, Record
from interlock.facts import moments
from interlock.nouns import dataclass
from interlock.verdicts import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """An action that has ended. `base` is the gate's run that its verdicts are taken from; `files` are kept beside the record; `job` is the CI job that began
    it, empty for a human."""

    site: Site
    action: str
    plan_digest: str
    base: LoadedRun
    exit_code: int
    approvals: Sequence[Mapping[str, Any]]
    steps: Sequence[Mapping[str, Any]]
    started: str
    ended: datetime
    files: Mapping[str, bytes]
    job: str = ""


def write_applied(applied: Applied) -> LoadedRun:
    """Write and publish the evidence of an action. Raises EvidenceError."""
    reports = applied.site.root / applied.site.reports
    name = f"{moments.stamp(applied.ended)}-{applied.action}-{secrets.token_hex(3)}"
    try:
        folder = Path(tempfile.mkdtemp(prefix=".spool-", dir=reports))
        try:
            findings = Findings(
                verdicts=applied.base.record.verdicts,
                spools=_spools(applied.base, folder),
                save_facts=_copier(applied.base.facts) if applied.base.record.facts.sha256 else None,
                extra=applied.files,
                topology=applied.base.topology,
            )
            previous = latest(reports, applied.site.site)
            return write_run(reports, name, findings, lambda details, facts: _record(applied, name, details, facts, previous.digest if previous else None))
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # TemporaryDirectory recurses without end where it may not look into its folder
    except OSError as error:
        raise EvidenceError(
            f"evidence could not be written: {error.strerror}", where=str(reports), remedy="make room, and let this user write there"
        ) from error


def _record(applied: Applied, name: str, details: DetailsDigest, facts: FactsDigest, previous: str | None) -> Record:
    base = applied.base.record
    user = f"{base.run.user} (by {applied.job})" if applied.job else base.run.user
    run = dataclasses.replace(base.run, id=name, action=applied.action, nonce="", started=applied.started, ended=moments.written(applied.ended), user=user)
    return dataclasses.replace(
        base,
        run=run,
        exit_code=applied.exit_code,
        plan=PlanReference(digest=applied.plan_digest, action=applied.action),
        approvals=tuple(applied.approvals),
        steps=tuple(applied.steps),
        details=details,
        facts=facts,
        previous=previous,
    )


def _spools(base: LoadedRun, folder: Path) -> dict[Pair, Path]:
    """The details of each verdict by itself again: in a run's file they follow each other in the record's order."""
    spools = {}
    with (base.path / DETAILS).open("rb") as lines:
        for number, verdict in enumerate(base.record.verdicts):
            if verdict.details.total:
                spools[verdict.pair] = folder / f"{number}.jsonl"
                with spools[verdict.pair].open("wb") as spool:
                    spool.writelines(islice(lines, verdict.details.total))
    return spools


def _copier(source: Path) -> Any:
    def copy(to: Path) -> None:
        import os

        descriptor = os.open(to, CREATE, FILE_MODE)
        try:
            with source.open("rb") as file:
                while chunk := file.read(1 << 20):
                    write_whole(descriptor, chunk)
        finally:
            os.close(descriptor)

    return copy
