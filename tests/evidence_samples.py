"""Runs to show: built by the real writers from judgements, so that what the evidence tests look at is what a gate run leaves."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interlock import __version__
from interlock.evidence.details import DetailWriter
from interlock.evidence.folder import LoadedRun
from interlock.evidence.publish import Findings, write_run
from interlock.evidence.record import Git, PlanReference, Record, Required, Run, Target, UsedWaiver, places
from interlock.evidence.redact import PATTERNS_ONLY, Redactor
from interlock.facts.topology import Topology
from interlock.gate.decision import Reason, decide, worst
from interlock.gate.required import Expected
from interlock.verdicts import Broken, Detail, Held, HeldRun, Judgement, Outcome, Pair, Severity, Streamed, Unproven, Verdict, When, fingerprint, settle
from tests.topology_samples import HIDDEN, host, nested
from tests.topology_samples import topology as picture

MOMENT, LATER, NAME = "2026-11-20T21:00:00Z", "2026-11-20T21:00:09Z", "20261120T210000Z-preflight-abcdef"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One pair and what was judged of it; `judgement` None is a pair without details, of `outcome`."""

    guardrail: str
    subject: str
    judgement: Judgement | None = None
    outcome: Outcome = Outcome.NOT_APPLICABLE
    message: str = ""
    severity: Severity = Severity.HIGH
    duration: float = 0.25
    attempts: int = 1

    @property
    def pair(self) -> Pair:
        return Pair(self.guardrail, self.subject)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Everything that a run is made of, with defaults that hold."""

    judged: Sequence[Judged]
    required: Sequence[Pair] | None = None
    waivers: Sequence[UsedWaiver] = ()
    problems: Sequence[Reason] = ()
    not_used: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False
    facts: bytes | None = b'{"hosts":{}}\n'
    previous: str | None = None
    action: str | None = None
    plan: PlanReference | None = None
    steps: Sequence[Mapping[str, object]] = ()
    approvals: Sequence[Mapping[str, object]] = ()
    exit_code: int | None = None
    extra: Mapping[str, bytes] = field(default_factory=dict)
    topology: Topology | None = None
    gates: tuple[When, ...] = (When.PREFLIGHT,)
    only: tuple[str, ...] = ()
    site: str = "platform"
    name: str = NAME
    version: str = __version__
    redactor: Redactor = PATTERNS_ONLY
    change: Callable[[Record], Record] = dataclasses.field(default=lambda record: record)


def waiver(pair: Pair, detail: Detail, **parts: object) -> UsedWaiver:
    """A waiver for exactly this failure."""
    whole = UsedWaiver(
        id="W-1",
        guardrail=pair.guardrail,
        subject=pair.subject,
        fingerprint=fingerprint(pair, detail),
        reason="moves to the new volume on Tuesday",
        owner="anna",
        ticket="OPS-12",
        approver="ben",
        expires_at="2026-12-01T00:00:00Z",
        up_to=None,
    )
    return dataclasses.replace(whole, **parts)  # type: ignore[arg-type]


def publish(reports: Path, sample: Sample) -> LoadedRun:
    """Judge, write and publish it, as a gate run does."""
    reports.mkdir(parents=True, exist_ok=True)
    spool = Path(tempfile.mkdtemp(prefix=".spool-", dir=reports))
    try:
        return _publish(reports, sample, spool)
    finally:
        shutil.rmtree(spool)


def _publish(reports: Path, sample: Sample, spool: Path) -> LoadedRun:
    spools: dict[Pair, Path] = {}
    verdicts = []
    for number, judged in enumerate(sample.judged):
        spools[judged.pair] = spool / f"details-{number}.jsonl"
        verdicts.append(_verdict(judged, sample, spools[judged.pair]))
    severities = {judged.pair: judged.severity for judged in sample.judged}
    pairs = sample.required if sample.required is not None else [judged.pair for judged in sample.judged]
    expected = [Expected(pair=pair, host="local", severity=severities.get(pair, Severity.HIGH), shuts=True) for pair in sorted(pairs)]
    expected = [dataclasses.replace(one, shuts=one.severity.at_least(Severity.HIGH)) for one in expected]
    decision = decide(expected, worst(verdicts), waiver_problems=sample.problems, replayed=sample.replayed)
    run = Run(
        id=sample.name,
        gates=sample.gates,
        action=sample.action,
        nonce="",
        started=MOMENT,
        ended=LATER,
        host="ops1",
        user="anna",
        interlock=sample.version,
        python="3.11.7",
        pytest="9.2.0",
        only=sample.only,
    )
    findings = Findings(verdicts=tuple(verdicts), spools=spools, save_facts=_saver(sample.facts), extra=sample.extra, topology=sample.topology)
    return write_run(
        reports,
        sample.name,
        findings,
        lambda details, facts: sample.change(
            Record.of(
                run=run,
                target=Target(site=sample.site, file="interlock.yaml", sha256="sha256:" + "5" * 64, git=Git(commit="c" * 40, dirty=False)),
                decision=decision,
                required=[Required(guardrail=one.pair.guardrail, subject=one.pair.subject, severity=one.severity, shuts=one.shuts) for one in expected],
                verdicts=verdicts,
                details=details,
                facts=facts,
                waivers=sample.waivers,
                not_used=sample.not_used,
                replayed=sample.replayed,
                plan=sample.plan,
                steps=sample.steps,
                approvals=sample.approvals,
                exit_code=sample.exit_code,
                previous=sample.previous,
                redact=sample.redactor.redact,
            )
        ),
    )


def _saver(facts: bytes | None) -> Callable[[Path], object] | None:
    if facts is None:
        return None

    def save(path: Path) -> None:
        path.touch(mode=0o600)
        path.write_bytes(facts)

    return save


def _verdict(judged: Judged, sample: Sample, path: Path) -> Verdict:
    base = Verdict(
        guardrail=judged.guardrail,
        subject=judged.subject,
        host="local",
        outcome=judged.outcome,
        severity=judged.severity,
        message=judged.message,
        taken_at=MOMENT,
        duration=judged.duration,
        attempts=judged.attempts,
    )
    if judged.judgement is None:
        return base
    mine = {one.fingerprint: one.id for one in sample.waivers if Pair(one.guardrail, one.subject) == judged.pair}
    with DetailWriter(path, judged.pair, waive=lambda _, key: mine.get(key), redactor=sample.redactor) as writer:
        settled = settle(judged.judgement, writer)
    return dataclasses.replace(
        base,
        outcome=settled.outcome,
        message=settled.message,
        remedy=settled.remedy,
        where=places(judged.pair, settled.tally),
        details=writer.close(),
        waivers=writer.waivers,
    )


# ---- the runs that golden files show

STATE_DISK = Judged(guardrail="mounts.state_disk", subject="state", judgement=Held("/data-state shows /dev/sdb1"), severity=Severity.CRITICAL)
NO_PARITY = {"parity": "no cutover is planned"}
WORLD_READABLE = Detail(
    what="/srv/backups/app/app-20261120.tar.zst",
    outcome=Outcome.BROKEN,
    kind="mode",
    message="/srv/backups/app/app-20261120.tar.zst is 0644",
    file="/srv/backups/app/app-20261120.tar.zst",
)
DRIFT = Detail(what="proxy@north", outcome=Outcome.BROKEN, kind="content", message="line 7 differs: listen 8080, not 80", file="deploy/proxy.conf", line=7)


def backups(*others: Detail) -> Judged:
    """A module's backups: three held files, and whatever else."""
    files = HeldRun(prefix="/srv/backups/app/", names=("app-20261117.tar.zst", "app-20261118.tar.zst", "app-20261119.tar.zst"), message="0600")

    def says(tally: object) -> str:
        return (
            f"{len(others)} of {3 + len(others)} below /srv/backups/app can be read by others" if others else "3 files below /srv/backups/app are root's alone"
        )

    return Judged(
        guardrail="backups.mode_0600",
        subject="app",
        judgement=Streamed(details=[files, *others], says=says, remedy="chmod 0600 the files; make new ones under `umask 077`"),
        severity=Severity.CRITICAL,
    )


OPEN = Sample(judged=[STATE_DISK, backups()], not_used=NO_PARITY)
SHUT = Sample(
    judged=[
        STATE_DISK,
        backups(WORLD_READABLE),
        Judged(
            guardrail="templates.byte_equivalent",
            subject="proxy@north",
            judgement=Broken("1 of 1 rendered files differs", remedy="render it again, or take the edit over into the template", details=(DRIFT,)),
        ),
        Judged(guardrail="expect.http", subject="health", judgement=Held("200, as expected"), attempts=3, severity=Severity.MEDIUM),
    ],
    not_used=NO_PARITY,
    problems=[
        Reason(code=12, guardrail="backups.mode_0600", subject="db", text="waiver W-7 (line 3) expired at 2026-11-01T00:00:00Z", remedy="mend the fault")
    ],
    action="release",
)
WAIVED = Sample(judged=[STATE_DISK, backups(WORLD_READABLE)], waivers=[waiver(Pair("backups.mode_0600", "app"), WORLD_READABLE)], not_used=NO_PARITY)
UNPROVEN = Sample(
    judged=[
        Judged(
            guardrail="mounts.state_disk", subject="state", judgement=Unproven("db1 could not be reached: timed out after 30 s", remedy="look at the network")
        ),
        Judged(guardrail="compose.strict_parse", subject="none-declared", message="interlock.yaml declares nothing for compose.strict_parse"),
    ],
    required=[Pair("mounts.state_disk", "state"), Pair("compose.strict_parse", "none-declared"), Pair("backups.mode_0600", "app")],
    not_used=NO_PARITY,
    replayed=True,
)
NASTY_TEXT = (
    "a`b``c</details><script>alert(1)</script>|x|\\|@everyone #12 [l](http://x) \x1b[31mred\x07\u202egnirts\u200b\n# h\r\n\ttab\udcff\ud800"
    " ]]>&amp; \ufffe {{x}} :tada: é 🙂 --><!--"
)
NASTY_DETAIL = Detail(what=NASTY_TEXT, outcome=Outcome.BROKEN, kind=NASTY_TEXT, message=NASTY_TEXT, file=f"sub/{NASTY_TEXT}", line=3)
NASTY = Sample(
    judged=[
        Judged(
            guardrail="own.nasty",
            subject=NASTY_TEXT,
            judgement=Broken(NASTY_TEXT, remedy=NASTY_TEXT, details=(Detail(what=NASTY_TEXT, outcome=Outcome.HELD, message=NASTY_TEXT), NASTY_DETAIL)),
        ),
        Judged(guardrail="own.skipped", subject="x", message=NASTY_TEXT),
    ],
    not_used={NASTY_TEXT: NASTY_TEXT},
    problems=[Reason(code=12, text=NASTY_TEXT, remedy=NASTY_TEXT)],
    site=NASTY_TEXT,
)
APPLIED = Sample(
    judged=[STATE_DISK, backups()],
    not_used=NO_PARITY,
    action="release",
    plan=PlanReference(digest="sha256:" + "7" * 64, action="release"),
    approvals=[{"principal": "anna@example.org", "plan": "sha256:" + "7" * 64, "self_approved": True}],
    steps=[
        {"number": 1, "kind": "backup", "state": "done", "files": ["app-20261120.tar.zst"]},
        {"number": 2, "kind": "write-files", "state": "done"},
        {"number": 3, "kind": "command", "state": "undone", "exit": 3},
    ],
    exit_code=16,
    extra={"plan.json": b"{}\n"},
)
GLASS = dataclasses.replace(
    APPLIED,
    approvals=[
        {
            "principal": "anna@example.org",
            "plan": "sha256:" + "7" * 64,
            "purpose": "break-glass: the disk dies `now`, and nobody answers <b>",
            "self_approved": True,
        }
    ],
    exit_code=0,
)
APPLY_GATE = Sample(
    judged=[
        STATE_DISK,
        Judged(guardrail="approval.plan", subject="release", judgement=Held("ben approved it until 2026-11-21T01:00:00Z"), severity=Severity.CRITICAL),
    ],
    not_used=NO_PARITY,
    gates=(When.APPLY, When.PREFLIGHT),
    action="release",
    plan=PlanReference(digest="sha256:" + "7" * 64, action="release"),
)
MIDWAY = Sample(
    judged=[Judged(guardrail="health.endpoint", subject="app", judgement=Held("200, as expected"))],
    gates=(When.POSTFLIGHT, When.PREFLIGHT),
    action="release",
    only=("health", "own.smoke.app_answers"),
)
DISKS = Sample(
    judged=[
        STATE_DISK,
        Judged(guardrail="mounts.data_disk", subject="data", judgement=Held("/data shows /dev/sda1"), severity=Severity.CRITICAL),
        Judged(
            guardrail="mounts.nested_visible",
            subject="running",
            judgement=Broken(
                "1 of 2 containers does not see the disks of the host",
                remedy="bind with rbind, and start billing again",
                details=(
                    Detail(what="api /data/state", outcome=Outcome.HELD, message="api sees /dev/sdb1 at /data/state"),
                    Detail(what="billing /data/state", outcome=Outcome.BROKEN, kind="hidden", message=HIDDEN),
                ),
            ),
            severity=Severity.CRITICAL,
        ),
    ],
    topology=picture(host([nested("api"), nested("billing", hidden=True)])),
)
SAMPLES = {
    "disks": DISKS,
    "open": OPEN,
    "shut": SHUT,
    "waived": WAIVED,
    "unproven": UNPROVEN,
    "nasty": NASTY,
    "applied": APPLIED,
    "glass": GLASS,
    "apply_gate": APPLY_GATE,
    "midway": MIDWAY,
}
