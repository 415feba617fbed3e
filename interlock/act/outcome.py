"""How did a step end, and what does it need to run? What backups, files and commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from interlock.act.reach import Reach
from interlock.gate.clearance import Clearance
from interlock.gate.journal import Result, Spawned
from interlock.gate.plan import TargetPlan
from interlock.nouns import dataclass


class Stream(Protocol):
    """Redacts bytes that come in pieces (`interlock.evidence.redact.StreamRedactor`)."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece; returns what is safe to keep now."""

    def close(self) -> bytes:
        """The rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where a step works: its clearance, the plan it belongs to, and the journal's services.

    `content(file, old)` brings the bytes of a new file, given those that it replaces; `announce` puts a spawned program on disk before it runs;
    `undo_folder` keeps old bytes; `id` is the action's, and part of every temporary name; `interrupted` names the signal that asked to stop, or is empty;
    `hear` takes each line that a program writes while it runs, redacted; `reach` brings the hands that work on a host.
    """

    clearance: Clearance
    plan: str
    action: str
    id: str
    clock: Callable[[], datetime]
    environ: Mapping[str, str]
    content: Callable[[TargetPlan, bytes | None], bytes]
    undo_folder: Path
    announce: Callable[[Spawned], None]
    redacting: Callable[[], Stream]
    interrupted: Callable[[], str]
    hear: Callable[[str], None]
    reach: Reach = field(default_factory=Reach)

    def check(self) -> None:
        """Raise unless a step may be done now."""
        self.clearance.check(plan=self.plan, action=self.action, now=self.clock())

    def check_undo(self) -> None:
        """Raise unless a step may be undone."""
        self.clearance.check_undo(plan=self.plan, action=self.action)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """A step, or its undo, that ended well. `changed` False: the system is as it was before. `data` goes to the journal and the record."""

    result: Result = Result.DONE
    changed: bool = True
    data: Mapping[str, Any] = field(default_factory=dict)


class StepFailed(Exception):
    """A step, or its undo, that did not end well. `changed` False: it is known to have left nothing."""

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "", changed: bool, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.remedy = remedy
        self.changed = changed
        self.data = data or {}

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.what, self.why) if part)
