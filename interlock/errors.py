"""What can go wrong, in words that an operator can act on: every error names what, where, why and the remedy.

One small family. Each class knows the exit code that the command line answers with (docs/gate.md); nothing else maps errors to codes.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class InterlockError(Exception):
    """The base of all errors that are shown to an operator; never raised itself.

    `what` is one sentence; `where` is `file:line:column`, a host or a path; `why` and `remedy` are one sentence each, or empty.
    """

    exit_code: ClassVar[int]

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.remedy = remedy

    @property
    def sentence(self) -> str:
        """Where, what and why in one line, without the remedy, which a verdict keeps apart."""
        said = f"{self.where}: {self.what}" if self.where else self.what
        return f"{said} ({self.why})" if self.why else said

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  remedy: {self.remedy}"] if self.remedy else []
        return "\n".join(lines)


class UsageError(InterlockError):
    """The command line asks for something that does not exist."""

    exit_code = 64


class ConfigError(InterlockError):
    """One fault of a site file, or several: `problems` holds them all, in the order of the file."""

    exit_code = 78

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "", problems: tuple[ConfigError, ...] = ()) -> None:
        super().__init__(what, where=where, why=why, remedy=remedy)
        self.problems = problems or (self,)

    @property
    def sentence(self) -> str:
        """Several faults in one line: the first of them, and how many there are beside it."""
        if self.problems == (self,):
            return super().sentence
        others = len(self.problems) - 1
        return f"{self.what}: {self.problems[0].sentence}{f'; and {others} more' if others else ''}"

    def __str__(self) -> str:
        if self.problems == (self,):
            return super().__str__()
        return "\n".join([self.what, *(str(problem) for problem in self.problems)])


class CouldNotLook(InterlockError):
    """A fact could not be had: unreachable, no permission, tool missing, timeout, unreadable. Becomes the outcome `unproven`."""

    exit_code = 11


class PlanNotNamed(CouldNotLook):
    """What is asked is about a plan, and nobody has named one: only apply's own gate does."""


class TooLarge(CouldNotLook):
    """A file is larger than what is read of one: generated, or data; nobody writes so much by hand."""


class WaiverError(InterlockError):
    """A waiver that waives nothing it may waive."""

    exit_code = 12


class ApprovalError(InterlockError):
    """No valid approval for exactly this plan."""

    exit_code = 13


class StaleError(InterlockError):
    """The plan, or the system that it was made for, has moved on."""

    exit_code = 14


class LockHeld(InterlockError):
    """Another action is under way on this target, or its lock cannot be seen."""

    exit_code = 15


class ActionUndone(InterlockError):
    """An action failed, and everything that it had changed is undone."""

    exit_code = 16


class EvidenceError(InterlockError):
    """Evidence could not be written, or does not verify."""

    exit_code = 17


class HalfChanged(InterlockError):
    """An action failed and could not be undone: the journal names what is left."""

    exit_code = 18


class GateShut(InterlockError):
    """The gate is shut; `code` is the decision's, `run` the folder of its evidence where there is one, `reasons` code and guardrail of each reason."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        code: int,
        where: str = "",
        why: str = "",
        remedy: str = "",
        run: Path | None = None,
        reasons: frozenset[tuple[int, str]] = frozenset(),
    ) -> None:
        super().__init__(what, where=where, why=why, remedy=remedy)
        self.code = code
        self.run = run
        self.reasons = reasons
