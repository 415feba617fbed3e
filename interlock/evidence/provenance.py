"""Who made a record, of what, where, and with which versions? The parts of a record that no judgement brings."""

from __future__ import annotations

import os
import platform
import pwd
import socket
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import assert_never

from interlock import __version__
from interlock.config.models import Site
from interlock.config.waivers import Waiver
from interlock.evidence.record import Git, Run, Target, UsedWaiver, WaivedBy, rfc3339
from interlock.evidence.redact import PATTERNS_ONLY
from interlock.facts.allows import Allow
from interlock.gate.known import Baseline, Earlier
from interlock.gate.waivers import Grant, Waivers
from interlock.observe.git import head
from interlock.verdicts import Pair, Verdict, When


def run_of(
    *,
    id: str,  # noqa: A002
    gates: Collection[When],
    started: datetime,
    action: str | None = None,
    nonce: str = "",
    pytest: str = "",
    only: Collection[str] = (),
) -> Run:
    """The run that ends now, on this machine. `pytest` is its version, empty where none took part; `only` is what a gate in mid-plan was asked."""
    return Run(
        id=id,
        gates=tuple(sorted(gates)),
        action=action,
        nonce=nonce,
        started=rfc3339(started),
        ended=rfc3339(datetime.now(UTC).replace(microsecond=0)),
        host=socket.gethostname(),
        user=user_name(),
        interlock=__version__,
        python=platform.python_version(),
        pytest=pytest,
        only=tuple(only),
    )


def user_name() -> str:
    """Who runs this, by the uid and not by the environment; a user without a name is its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def target_of(site: Site) -> Target:
    """What was judged, and the commit that its folder stands at."""
    found = head(site.root)
    git = Git(commit=found.commit, dirty=found.dirty) if found else None
    return Target(site=site.site, file=site.source, sha256=site.digest, git=git)


def used_waivers(waivers: Waivers, verdicts: Iterable[Verdict], file: str) -> tuple[UsedWaiver, ...]:
    """All that covered something in these verdicts, whole, as a record keeps it. `file` is the waiver file as the site names it."""
    return tuple(_used(granted, name, verdict.pair, file) for verdict in verdicts for name in verdict.waivers if (granted := waivers.granted(name)) is not None)


def _used(granted: Grant, name: str, pair: Pair, file: str) -> UsedWaiver:
    """A waiver names its failure; anything else covered the one whose key its id ends with."""
    match granted:
        case Waiver():
            return UsedWaiver(
                id=granted.id,
                guardrail=granted.guardrail,
                subject=granted.subject,
                fingerprint=granted.fingerprint,
                reason=granted.reason,
                owner=granted.owner,
                ticket=granted.ticket,
                approver=granted.approver,
                expires_at=rfc3339(granted.expires_at),
                up_to=granted.up_to,
                source=f"{file}:{granted.line}",
            )
        case Allow():
            by, reason, until, source = WaivedBy.COMMENT, PATTERNS_ONLY.redact(granted.reason), rfc3339(granted.expires_at), granted.place
        case Baseline():
            by, reason, until, source = WaivedBy.BASELINE, "it was known when the baseline was written", "", granted.source
        case Earlier():
            by, reason, until, source = WaivedBy.EARLIER, f"it is not new: {granted.revision} has it", "", granted.commit
        case _:
            assert_never(granted)
    return UsedWaiver(
        id=name,
        guardrail=pair.guardrail,
        subject=pair.subject,
        fingerprint=name.rpartition(".")[2],
        reason=reason,
        owner="",
        ticket="",
        approver="",
        expires_at=until,
        up_to=None,
        by=by,
        source=source,
    )
