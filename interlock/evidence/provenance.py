"""Who made a record, of what, where, and with which versions? The parts of a record that no judgement brings."""

from __future__ import annotations

import os
import platform
import pwd
import socket
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from interlock import __version__
from interlock.config.models import Site
from interlock.config.waivers import Waiver
from interlock.evidence.record import Git, Run, Target, UsedWaiver, rfc3339
from interlock.observe.git import head
from interlock.verdicts import When


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


def used_waivers(waivers: Iterable[Waiver], used: Collection[str]) -> tuple[UsedWaiver, ...]:
    """Those of `waivers` that covered something, whole, as a record keeps them."""
    return tuple(
        UsedWaiver(
            id=waiver.id,
            guardrail=waiver.guardrail,
            subject=waiver.subject,
            fingerprint=waiver.fingerprint,
            reason=waiver.reason,
            owner=waiver.owner,
            ticket=waiver.ticket,
            approver=waiver.approver,
            expires_at=rfc3339(waiver.expires_at),
            up_to=waiver.up_to,
        )
        for waiver in waivers
        if waiver.id in used
    )
