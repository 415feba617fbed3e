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


# ---- workplans

PLAN = "workplans/LED-0007-move.md"
WORKPLAN = """\
---
id: LED-0007
type: workplan
title: "The ledger moves to the new cluster"
status: active
readiness: ready
design_issue: 271
---

# The ledger moves

The instance on host01 is kept as fallback until the new one has proven itself.

## Open Human Decisions

Resolve these before T02/T03 can be live work:

1. Name under which it is reached.
   decided: ledger.example.org, alice, 2026-11-02
2. When writes may be frozen.
   - asked: 2026-11-01
   - decided: Sunday 06:00 to 07:00 UTC, bob, 2026-11-05

## Tasks

### T01 - Drill a restore

```task
id: LED-0007-T01
status: done
```

Done when the counts are the same:

- rows of each table
- the summary of the interface

---

### T02 - Copy the data and compare

```task
id: LED-0007-T02
status: in_progress
```

### T03 - Cut over

```task
id: LED-0007-T03
status: todo
needs_human: true
approved: alice, 2026-11-06
after: [T01]
```

### T04 - Watch it, with host01 as fallback

```task
id: LED-0007-T04
status: todo
```

### T05 - Retire host01

```task
id: LED-0007-T05
status: todo
needs_human: true
```
"""
MODULE = """\
metadata: {name: ledger}
spec:
  readiness: ready
  design_issue: ops/platform#271
  runtime: {statefulness: stateless}
"""


def _planned(folder: Path) -> None:
    for path, text in ((PLAN, WORKPLAN), ("modules/ledger/module.yaml", MODULE)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    steps = [{"command": {"run": ["true"]}}]
    action = {"steps": steps, "approval": "operator", "gate": ["approval.decisions"], "task": "LED-0007-T03"}
    site = {"workplans": {"files": ["workplans/*.md"]}, "inventory": {"modules": ["modules/*/module.yaml"]}, "actions": {"cutover": action}}
    write_site(folder, {**site, "approval": {"allowed_signers": "allowed_signers"}})


def _rewritten(path: str, *edits: tuple[str, str]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        text = (folder / path).read_text()
        for old, new in edits:
            assert old in text, f"{path} holds no {old!r}"
            text = text.replace(old, new)
        (folder / path).write_text(text)

    return rewrite


def _directory_at(path: str) -> Callable[[Path], None]:
    """Nobody can read a page that is a directory, root neither."""

    def blind(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).mkdir()

    return blind


def _decisions(describe: str, kind: str, *edits: tuple[str, str], gate: When = When.STATIC, path: str = PLAN) -> Fault:
    return Fault(
        guardrail="approval.decisions",
        describe=describe,
        kind=kind,
        gate=gate,
        action="cutover" if gate is When.PREFLIGHT else None,
        healthy=_planned,
        seed=_rewritten(path, *edits),
        blind=_directory_at(path) if path != PLAN else _rewritten(PLAN, ("id: LED-0007-T03", "id: [LED-0007-T03")),
    )


_OPEN_AGAIN = ("   - decided: Sunday 06:00 to 07:00 UTC, bob, 2026-11-05\n", "")
_DONE, _TODO = "status: done", "status: todo"

FAULTS = (
    _issue("an operator who says not yet", "forbidden-label", partial(_says, {"labels": [READY, {"id": 8, "name": "needs-operator-decision"}]})),
    _issue("an issue that nobody has called ready", "missing-label", partial(_says, {"labels": []})),
    _issue("an issue that was closed", "state", partial(_says, {"state": "closed"})),
    _issue("a pull request in its place", "pull-request", partial(_says, {"pull_request": {"merged": False, "draft": False}})),
    _decisions("a task that has begun while a decision is open", "open-decision", _OPEN_AGAIN),
    _decisions("a decision that nobody has made", "open-decision", ("ledger.example.org, alice, 2026-11-02", "ledger.example.org")),
    _decisions("a task that has overtaken another", "out-of-order", (_DONE, _TODO)),
    _decisions(
        "a cutover that nobody approved",
        "no-approval",
        ("approved: alice, 2026-11-06\nafter", "after"),
        ("id: LED-0007-T03\nstatus: todo", "id: LED-0007-T03\nstatus: done"),
    ),
    _decisions(
        "a fallback that is tidied away",
        "fallback-retired",
        ("needs_human: true\n```\n", "approved: bob, 2026-11-09\n```\n"),
        ("id: LED-0007-T05\nstatus: todo", "id: LED-0007-T05\nafter: [T01]\nstatus: in_progress"),
    ),
    _decisions("a plan that calls itself ready", "no-design-issue", ("design_issue: 271\n", "")),
    _decisions("a module that calls itself ready", "no-design-issue", ("ops/platform#271", "to be written"), path="modules/ledger/module.yaml"),
    _decisions("an action whose task has an open decision", "open-decision", _OPEN_AGAIN, gate=When.PREFLIGHT),
    _decisions("an action whose task comes after one that is not done", "out-of-order", (_DONE, _TODO), gate=When.PREFLIGHT),
    _decisions("an action whose task nobody approved", "no-approval", ("approved: alice, 2026-11-06\n", ""), gate=When.PREFLIGHT),
    _decisions("an action for a task that no workplan has", "unknown-task", ("id: LED-0007-T03", "id: LED-0007-T13"), gate=When.PREFLIGHT),
)
