"""Changes that nobody agreed to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from interlock.testing.faults import Fault, write_site
from interlock.testing.forge_stand_in import ANSWERS, answer, stand_in
from interlock.verdicts import When

# ---- the design issue

ISSUE = "repos/ops/platform/issues/271"
READY = {"id": 7, "name": "flow/ready", "color": "00aa00", "exclusive": True, "is_archived": False}
FORGEJO = {
    "id": 901,
    "number": 271,
    "title": "Move the ledger to the new disk",
    "state": "open",
    "labels": [READY],
    "pull_request": None,
    "repository": {"id": 3, "name": "platform", "owner": "ops", "full_name": "ops/platform"},
}


def _agreed(folder: Path) -> None:
    rule = {"forge": {"kind": "forgejo", "url": stand_in(folder), "repository": "ops/platform"}, "require_labels": ["flow/ready"]}
    action = {"steps": [{"command": {"run": ["true"]}}], "approval": "operator", "gate": ["approval.issue"], "issue": 271}
    write_site(folder, {"approval": {"allowed_signers": "allowed_signers", "issue": rule}, "actions": {"release": action}})
    answer(folder, {ISSUE: FORGEJO})


def _says(changes: dict[str, Any], folder: Path) -> None:
    answer(folder, {ISSUE: FORGEJO | changes})


def _issue(describe: str, kind: str, seed: Callable[[Path], None]) -> Fault:
    return Fault(
        guardrail="approval.issue",
        describe=describe,
        kind=kind,
        gate=When.APPLY,
        action="release",
        healthy=_agreed,
        seed=seed,
        blind=lambda folder: (folder / ANSWERS).unlink(),
    )


FAULTS = (
    _issue("an operator who says not yet", "forbidden-label", partial(_says, {"labels": [READY, {"id": 8, "name": "needs-operator-decision"}]})),
    _issue("an issue that nobody has called ready", "missing-label", partial(_says, {"labels": []})),
    _issue("an issue that was closed", "state", partial(_says, {"state": "closed"})),
    _issue("a pull request in its place", "pull-request", partial(_says, {"pull_request": {"merged": False, "draft": False}})),
)
