"""Plans that not enough people have signed: a plan as `interlock plan` keeps it, two people with keys of their own, and what one of them lets slip."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from interlock.facts import moments
from interlock.facts.canonical import canonical, digest
from interlock.facts.signers import NAMESPACE
from interlock.facts.statements import PURPOSE_APPLY, PURPOSE_PLAN, PURPOSE_WITHDRAW, Approval
from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

PLAN = ".interlock/plans/release"
APPROVALS = ".interlock/approvals/release"
AN_HOUR = timedelta(hours=1)


def _signed(folder: Path) -> None:
    """Anna made the plan, and bert has read and signed it."""
    signers = [f'{person} namespaces="{NAMESPACE}" {_new_key(folder, person)}' for person in ("anna", "bert")]
    (folder / "allowed_signers").write_text("".join(signers))
    steps = [{"verify": {"expect": ["here"]}}]
    entry = {"file": {"path": str(folder)}}
    write_site(
        folder, {"approval": {"allowed_signers": "allowed_signers"}, "expect": {"here": entry}, "actions": {"release": {"steps": steps, "gate": ["expect"]}}}
    )
    now = datetime.now(UTC)
    _write_plan(folder, now - 6 * AN_HOUR)
    _sign(folder, "anna", PURPOSE_PLAN, now - 6 * AN_HOUR, folder / PLAN / "planner.json")
    _sign(folder, "bert", PURPOSE_APPLY, now, folder / APPROVALS / "one.json")


def _new_key(folder: Path, person: str) -> str:
    (folder / "keys").mkdir(exist_ok=True)
    _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(folder / "keys" / person))
    return (folder / "keys" / f"{person}.pub").read_text()


def _write_plan(folder: Path, made: datetime, *, timeout: int = 3600) -> None:
    plan: dict[str, Any] = {
        "schema": "interlock/plan/1",
        "interlock": "0",
        "site": {"name": "proof", "file": "interlock.yaml", "digest": digest(b"")},
        "action": "release",
        "approval": "signature",
        "steps": [{"kind": "verify", "expect": ["here"], "needs": []}],
        "timeout": timeout,
        "fingerprint": {},
        "created_at": moments.written(made),
        "expires_at": moments.written(made + 24 * AN_HOUR),
        "made_by": "anna",
        "made_on": "here",
    }
    _write(folder / PLAN / "plan.json", canonical(plan))


def _sign(folder: Path, person: str, purpose: str, at: datetime, path: Path) -> None:
    approval = Approval(
        purpose=purpose,
        plan=digest((folder / PLAN / "plan.json").read_bytes()),
        action="release",
        site="proof",
        principal=person,
        created=moments.written(at),
        expires=moments.written(at + 4 * AN_HOUR),
        nonce=path.stem,
    )
    signature = _ssh_keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(folder / "keys" / person), data=approval.payload())
    _write(path, canonical({"approval": approval.to_json(), "signature": signature}))


def _ssh_keygen(*arguments: str, data: bytes = b"") -> str:
    return subprocess.run(("ssh-keygen", *arguments), input=data, capture_output=True, timeout=20, check=True).stdout.decode("ascii", "replace")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)


def _by_the_planner(folder: Path) -> None:
    _sign(folder, "anna", PURPOSE_APPLY, datetime.now(UTC), folder / APPROVALS / "one.json")


def _yesterday(folder: Path) -> None:
    _sign(folder, "bert", PURPOSE_APPLY, datetime.now(UTC) - 5 * AN_HOUR, folder / APPROVALS / "one.json")


def _another_plan(folder: Path) -> None:
    _write_plan(folder, datetime.now(UTC), timeout=7200)


def _taken_back(folder: Path) -> None:
    _sign(folder, "bert", PURPOSE_WITHDRAW, datetime.now(UTC), folder / APPROVALS / "two.json")


def _fault(describe: str, kind: str, seed: Callable[[Path], None]) -> Fault:
    return Fault(
        guardrail="approval.plan",
        describe=describe,
        kind=kind,
        gate=When.APPLY,
        action="release",
        plan=PLAN,
        healthy=_signed,
        seed=seed,
        blind=lambda folder: (folder / "allowed_signers").unlink(),
    )


FAULTS = (
    _fault("a plan that its own planner alone has signed", "not-enough", _by_the_planner),
    _fault("an approval of yesterday", "does-not-count", _yesterday),
    _fault("an approval of another plan", "no-planner", _another_plan),
    _fault("an approval that was taken back", "does-not-count", _taken_back),
)
