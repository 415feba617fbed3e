"""Who started this process? The facts of its environment and ancestors; `interlock.observe.caller` reads them, `interlock.gate.caller` judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from interlock.nouns import dataclass

NOTHING_TOLD: Mapping[str, str] = MappingProxyType({})

# What a CI runner tells its jobs of themselves: the only variables whose values are taken, since values are shown in errors.
# Sources: docs.github.com "Variables reference"; forgejo.org "Forgejo Actions | Reference" (each FORGEJO_* is there as GITHUB_*, too, and GITEA_ACTIONS is set
# as well); docs.gitlab.com "Predefined CI/CD variables reference"; woodpecker-ci.org "Environment variables".
TOLD_BY_RUNNERS = frozenset(
    {
        "CI",
        "GITHUB_ACTIONS",
        "GITEA_ACTIONS",
        "FORGEJO_ACTIONS",
        "GITHUB_REPOSITORY",
        "GITHUB_WORKFLOW_REF",
        "GITHUB_WORKFLOW",
        "GITHUB_JOB",
        "GITHUB_REF",
        "GITHUB_EVENT_NAME",
        "GITLAB_CI",
        "CI_PROJECT_PATH",
        "CI_CONFIG_PATH",
        "CI_JOB_NAME",
        "CI_COMMIT_BRANCH",
        "CI_COMMIT_TAG",
        "CI_PIPELINE_SOURCE",
        "CI_REPO",
        "CI_WORKFLOW_NAME",
        "CI_STEP_NAME",
        "CI_COMMIT_REF",
        "CI_PIPELINE_EVENT",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One running process. `name` is the kernel's (at most 15 bytes), `argv` its command line and `program` its executable's name, as far as they can be read.

    `terminal` is the device number of its controlling terminal, 0 without one; `session` is its session's id. `environment` has the names of its variables,
    never values, empty where it may not be read; `unit` is what SYSTEMD_EXEC_PID says there: the main process of the unit that its environment comes from.
    """

    pid: int
    parent: int
    session: int
    terminal: int
    name: str
    argv: tuple[str, ...] = ()
    program: str = ""
    environment: frozenset[str] = frozenset()
    unit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerFacts:
    """`ancestors` starts with this process and ends with the first of this machine or container; `complete` is False when one of them cannot be seen, or
    when they changed while they were looked at.

    `environment` holds the names of this process's variables, `told` the values of those in `TOLD_BY_RUNNERS`. `attached` says whether anybody looks at the
    tmux or screen that the terminal belongs to, None when it belongs to none or that cannot be told.
    """

    environment: frozenset[str]
    ancestors: tuple[Process, ...]
    complete: bool
    terminal_opens: bool
    told: Mapping[str, str] = field(default_factory=lambda: NOTHING_TOLD)
    attached: bool | None = None
