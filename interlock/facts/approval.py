"""Who has agreed to a change, apart from those who sign its plan? The design issue on a forge as nouns; workplans are in `interlock.facts.workplans`."""

from __future__ import annotations

from interlock.nouns import dataclass

# What subjects are called.
ISSUE_NAME = "issue "  # and the number
TASK_NAME = "task "  # and the id
READINESS_NAME = "readiness of modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue as its forge has it. `dropped` is why it was closed where it was given up: `not planned`, `duplicate`; a pull request has a number too."""

    number: int
    repository: str
    open: bool
    labels: tuple[str, ...] = ()
    dropped: str = ""
    pull_request: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignIssue:
    """An issue beside what the site demands of it.

    `must_be_open` None: whatever its state. `ignores_case`: its forge takes `Ready` and `ready` for one label.
    """

    issue: Issue
    must_be_open: bool | None
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    ignores_case: bool = False

    @property
    def name(self) -> str:
        """`ops/platform#271`."""
        return f"{self.issue.repository}#{self.issue.number}"
