"""Who started this process? The facts of its environment and ancestors; `interlock.observe.caller` reads them, `interlock.gate.caller` judges."""

from __future__ import annotations

from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One running process. `name` is the kernel's (at most 15 bytes), `argv` its command line as far as it can be read, `session` its session's id.

    `terminal` is the device number of its controlling terminal, 0 without one.
    """

    pid: int
    parent: int
    session: int
    terminal: int
    name: str
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerFacts:
    """`ancestors` starts with this process and ends with its session's leader, or with the last one that could be read (`complete` is False then).

    `parent_of_leader` is the name of what started the leader, empty when unknown. `environment` holds names of variables, never values;
    `systemd_exec_pid` is what SYSTEMD_EXEC_PID says: the main process of the unit that this environment comes from.
    """

    environment: frozenset[str]
    ancestors: tuple[Process, ...]
    complete: bool
    terminal_opens: bool
    parent_of_leader: str = ""
    systemd_exec_pid: int | None = None
