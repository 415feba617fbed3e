"""Which job of a workflow runs interlock's gate, and on which line? And what does a branch of a forge demand before a merge?

`interlock.judge.automation` says whether a failed gate can be passed over.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from interlock.facts.automation import Sources
from interlock.facts.calls import Calls, Place, Start
from interlock.facts.workflows import Job, NotWorkflow, Step, Workflow, fill
from interlock.nouns import dataclass
from interlock.patterns import regex

MARKS = frozenset({"static", "preflight"})
_ACTION = regex(r"(?:https?://)?(?:[^/@\s]+/)+interlock(?:\.git)?(?:@\S+)?")  # ops/interlock@v1, https://forge.example/ops/interlock@v1


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStep:
    """A step that runs the gate, and the lines of its text on which it does; `line` is that of the file at `path`. None of `lines`: the whole step is the gate.

    `caller` is the job that calls the workflow it is in, when that is another one.
    """

    path: str
    job: Job
    step: Step
    line: int
    lines: frozenset[int]
    caller: Job | None = None

    @property
    def check(self) -> str:
        """The name of its status check: of a called workflow both jobs' names."""
        return f"{self.caller.check} / {self.job.check}" if self.caller else self.job.check


@dataclass(frozen=True, slots=True, kw_only=True)
class GateWorkflow:
    """The workflow that runs the gate. `wanted` is the branch that pull requests are merged into; `why` says what is wrong with the file when it is none."""

    path: str
    workflow: Workflow | NotWorkflow
    steps: tuple[GateStep, ...]
    branch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoGateWorkflow:
    """No workflow of the tree runs the gate, or several do (`several`)."""

    several: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What a branch demands. `checks` are the names (patterns, for Forgejo and Gitea) of the checks that must have passed; `rule` is where that was read.

    `wanted` are the names that the gate's check can have; `patterns` says whether `checks` may hold `*`.
    """

    branch: str
    wanted: tuple[str, ...]
    checks: tuple[str, ...]
    protected: bool
    rule: str
    patterns: bool


def runs_gate(argv: Sequence[str]) -> bool:
    """True for a command that is the gate: `interlock scan`, `interlock preflight`, `pytest -m static`."""
    names = [word.rpartition("/")[2] for word in argv]
    if names[:1] == ["interlock"] or "interlock" in [after for word, after in pairwise(argv) if word == "-m"]:
        return any(word in ("scan", "preflight") for word in argv[1:4])
    if "pytest" in names[:4]:
        given = [after for word, after in pairwise(argv) if word == "-m"] + [word[2:].lstrip("=") for word in argv if re.match(r"-m=?\w", word)]
        return any(MARKS & set(re.findall(r"\w+", mark)) for mark in given)
    return False


_GATE = "the gate"


def _hears_gate(argv: Sequence[str], _stdin: str | None) -> str | None:
    return _GATE if runs_gate(argv) else None


def gate_steps(workflow: Workflow, sources: Sources, *, check: str | None, declared: bool) -> tuple[GateStep, ...]:
    """The steps that run the gate: by what they come to run; in a workflow that the site names, by the name of the check, or all of its only job."""
    found = [gate for job in workflow.jobs for gate in _gates_of(job, workflow, sources)]
    if found or not declared:
        return tuple(found)
    named = [job for job in workflow.jobs if check is not None and check in (job.id, job.name)] or list(workflow.jobs if len(workflow.jobs) == 1 else ())
    steps = [(job, step) for job in named for step in job.steps if step.run]
    return tuple(GateStep(path=workflow.path, job=job, step=step, line=step.line, lines=frozenset()) for job, step in steps)


def _gates_of(job: Job, workflow: Workflow, sources: Sources) -> Iterator[GateStep]:
    """The gate among a job's steps, or in the workflow of this tree that it calls."""
    called = sources.workflow(job.uses[2:].partition("@")[0]) if job.uses.startswith("./") else None
    if isinstance(called, Workflow):
        steps = [(inner, step) for inner in called.jobs for step in inner.steps]
        yield from (replace(gate, caller=job) for inner, step in steps if (gate := _gate_step(inner, step, called, sources)) is not None)
    yield from (gate for step in job.steps if (gate := _gate_step(job, step, workflow, sources)) is not None)


def _gate_step(job: Job, step: Step, workflow: Workflow, sources: Sources) -> GateStep | None:
    if _ACTION.fullmatch(step.uses):
        return GateStep(path=workflow.path, job=job, step=step, line=step.line, lines=frozenset())
    if not step.run:
        return None
    calls = Calls(sources, hears=_hears_gate)
    directory = (step.directory or job.directory).removeprefix("./")
    start = Start(hops=(), place=Place.THROW_AWAY, directory="" if directory == "." else directory)
    for _ in calls.shell(fill(step.run).text, start, file=workflow.path, line=step.run_line):
        pass
    lines = frozenset(heard.hops[0].line for heard in calls.heard if heard.what is _GATE)
    return GateStep(path=workflow.path, job=job, step=step, line=min(lines), lines=lines) if lines else None


def check_names(gate: GateWorkflow, given: str | None, *, github: bool) -> tuple[str, ...]:
    """The names that the gate's status check can have at a forge: the job's at GitHub, `workflow / job (event)` at Forgejo and Gitea."""
    if given is not None:
        return (given,)
    if isinstance(gate.workflow, NotWorkflow):
        return ()
    checks = dict.fromkeys(step.check for step in gate.steps)
    if github:
        return tuple(checks)
    title = gate.workflow.name or posixpath.basename(gate.path)
    return tuple(f"{title} / {check} (pull_request)" for check in checks)
