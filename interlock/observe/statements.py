"""Which signed statements lie beside a plan, and does each verify? The runner and the guardrail `approval.plan` look through the same eyes.

`interlock.observe.signatures` verifies one signature, `interlock.judge.agreement.plans` judges what they come to.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from interlock.facts import moments
from interlock.facts.signers import SignatureSeen
from interlock.facts.statements import PURPOSE_WITHDRAW, Approval, ApprovalSeen, is_lasting
from interlock.observe.private import read_private
from interlock.observe.signatures import Voters, verify

FOLDER = ".interlock"  # beside the site file: plans, approvals, journals and lock (`interlock.act.books`)
APPROVALS = "approvals"
PLANNER = "planner.json"  # in a plan's folder: who made it
_LIMIT = 64 * 1024


def statement_files(folder: Path) -> list[Path]:
    """Every file of a plan's approvals, sorted by name; none where nobody has approved it."""
    return sorted(folder.glob("*.json")) if folder.is_dir() else []


def read_signed(path: Path) -> tuple[Any, str]:
    """The approval and the signature of a file. Raises ValueError, or OSError, when it holds none."""
    try:
        document = json.loads(read_private(path, limit=_LIMIT))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict) or document.keys() != {"approval", "signature"} or not isinstance(document["signature"], str):
        raise ValueError("it is no signed approval")
    return document["approval"], document["signature"]


def statement(path: Path, voters: Voters, now: datetime) -> ApprovalSeen | None:
    """One signed statement, verified; None for a file that holds none (it approves nothing). Raises CouldNotLook when nobody can verify it."""
    try:
        fields, signature = read_signed(path)
        approval = Approval.from_json(fields)
    except (OSError, ValueError):
        return None
    return ApprovalSeen(where=path.name, approval=approval, signature=verified(approval, signature, voters, now))


def statements(folder: Path, voters: Voters, now: datetime) -> tuple[ApprovalSeen, ...]:
    """Every signed statement of a folder, verified, sorted by name. Raises CouldNotLook."""
    return tuple(seen for path in statement_files(folder) if (seen := statement(path, voters, now)) is not None)


def verified(approval: Approval, signature: str, voters: Voters, now: datetime) -> SignatureSeen:
    """What `ssh-keygen` says of the signature over a statement. Raises CouldNotLook.

    A withdrawal and a follow-up do not expire: their keys must have been good when they signed. And a withdrawal stands even when its key was revoked since:
    doubt must keep a plan from being applied.
    """
    at = moments.read(approval.created) if is_lasting(approval.purpose) else now
    revoked = None if approval.purpose == PURPOSE_WITHDRAW else voters.revoked
    return verify(approval.payload(), signature, principal=approval.principal, allowed=voters.data, at=at, revoked=revoked)
