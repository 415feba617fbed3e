"""Does anything apply by itself, and can a failed gate be passed over? `interlock.observe.automation` brings the workflows, crontabs and branches."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, assert_never

from interlock.config.models import Site
from interlock.facts.automation import ApplyPath, Declared, ReviewedEnvironment, Starter, Starters
from interlock.facts.conditions import UNKNOWN, evaluate, runs_after_failure
from interlock.facts.gate_workflow import GateStep, GateWorkflow, NoGateWorkflow, Protection
from interlock.facts.shell import AndOr, Background, Command, Group, If, Pipeline, Statement, parse, walk
from interlock.facts.workflows import PULL_REQUESTS, Job, NotWorkflow, Trigger, Workflow, fill
from interlock.judge import apply_paths
from interlock.patterns import regex
from interlock.verdicts import Broken, Detail, Guardrail, Held, Outcome, Severity, Subject, Unproven, When, in_short

SHOWN = 3  # findings that the one sentence names; the details name all
LIVE = frozenset({When.PREFLIGHT})
FROM_FILES = frozenset({When.STATIC})
BY_HAND = "start it by hand: `on: workflow_dispatch` alone; or declare it below `automation.automatic`, with reason and owner"
REVIEWED = "; or, if the environment {} waits for a reviewer, name it in `automation.reviewed`"
BY_HAND_CRON = "take the line out and apply by hand; or declare it below `automation.automatic`, with reason and owner"


# ---- nothing applies by itself


def starters(site: Site) -> Sequence[Subject]:
    """Each workflow and crontab that the site names; those beside them that are found in the tree; and on live systems the crontabs of each host."""
    automation = site.automation
    if automation is None:
        return ()
    named = [Subject(name=path) for path in (*(automation.workflows or ()), *(automation.crontabs or ()))]
    found = [Subject(name="workflows"), Subject(name="crontabs")]
    hosts = [Subject(name="cron", host=host, when=LIVE) for host in _hosts(site)]
    return [*named, *found, *hosts, *(Subject(name=f"environment {name}", when=LIVE) for name in automation.reviewed or ())]


def _hosts(site: Site) -> Sequence[str]:
    """The hosts whose crontabs are asked for: an ordinary user cannot read those of others, so a host that no one looks at as root has to be named."""
    if site.automation is not None and site.automation.hosts is not None:
        return site.automation.hosts
    return [name for name, host in site.hosts.items() if host.become or (host.ssh is not None and host.ssh.destination.startswith("root@"))]


def judge_no_automatic_apply(seen: Starters | ReviewedEnvironment) -> Held | Broken | Unproven:
    """Held when no way leads from what starts by itself to a command that changes a running system, but for those that the site declares."""
    if isinstance(seen, ReviewedEnvironment):
        return _judge_environment(seen)
    found = [finding for file in seen.files for finding in _file(file)]
    if seen.blind:
        found.append(Finding(Detail(what="", outcome=Outcome.UNPROVEN, kind="not-seen", message=seen.blind), seen.remedy))
    details = tuple(one.detail for one in found)
    for outcome, kind in ((Outcome.BROKEN, Broken), (Outcome.UNPROVEN, Unproven)):
        these = [one for one in found if one.detail.outcome is outcome]
        if these:
            return kind(_in_words(these), remedy=these[0].remedy, details=details)
    return Held(_held_in_words(seen), details=details)


def _judge_environment(seen: ReviewedEnvironment) -> Held | Broken:
    if seen.asks:
        return Held(f"a job in {seen.name} waits for a reviewer")
    remedy = "protect the environment with required reviewers in the forge, or take it out of `automation.reviewed`"
    return Broken(f"{seen.name} lets every job run without a reviewer", kind="no-reviewer", remedy=remedy)


class Finding(NamedTuple):
    """A detail, and what to do about it."""

    detail: Detail
    remedy: str = ""


def _in_words(findings: Sequence[Finding]) -> str:
    return in_short([finding.detail for finding in findings], SHOWN)


def _held_in_words(seen: Starters) -> str:
    declared = [f"{file.path} is automatic by declaration ({_by(file.declared)})" for file in seen.files if file.applies and file.declared]
    if len(seen.files) == 1 and not declared:
        return _nothing(seen.files[0])
    looked = f"{len(seen.files)} {seen.name}" if seen.files else f"there are no {seen.name}"
    return "; ".join((f"{looked}: nothing {'else ' if declared else ''}applies by itself", *declared))


def _by(declared: Declared) -> str:
    return f"{declared.owner}: {declared.reason}"


def _file(file: Starter) -> Iterator[Finding]:
    for part in file.unreadable:
        message = f"{file.path}:{part.line}: {part.why}"
        detail = Detail(what=f"{file.path} {part.why}", outcome=Outcome.UNPROVEN, kind="unreadable", message=message, file=file.path, line=part.line)
        yield Finding(detail, "correct the file: what it starts cannot be told")
    for path in file.applies:
        yield _apply(path, file)
    if not file.unreadable and not file.applies:
        yield Finding(Detail(what=file.path, outcome=Outcome.HELD, message=_nothing(file), file=file.path))


def _nothing(file: Starter) -> str:
    if file.called_only:
        return f"{file.path} runs when another workflow calls it, and is judged there"
    if not file.events:
        return f"{file.path} is started by hand alone" if file.by_hand else f"{file.path} starts nothing"
    shown = ", ".join(dict.fromkeys(file.events[:SHOWN])) + (" and more" if len(file.events) > SHOWN else "")
    return f"{file.path}: what starts by itself ({shown}) changes no running system"


def _apply(path: ApplyPath, file: Starter) -> Finding:
    if file.declared is not None:
        return _finding(path, Outcome.HELD, f"automatic by declaration ({_by(file.declared)}): {path.told}")
    if path.gate and path.gate in file.reviewed and file.knows_environments:
        return _finding(path, Outcome.HELD, f"a reviewer of {path.gate} says yes to each run: {path.told}")
    remedy = BY_HAND if file.path.endswith((".yml", ".yaml")) else BY_HAND_CRON
    if path.gate and file.knows_environments and path.gate not in file.reviewed:
        remedy += REVIEWED.format(path.gate)
    if path.unseen:
        message = f"{path.told}: {path.unseen}"
        return _finding(path, Outcome.UNPROVEN, message, f"put what it calls into this tree; or {remedy}")
    return _finding(path, Outcome.BROKEN, path.told, remedy)


def _finding(path: ApplyPath, outcome: Outcome, message: str, remedy: str = "") -> Finding:
    kind = "" if outcome is Outcome.HELD else path.kind
    return Finding(Detail(what=path.what, outcome=outcome, kind=kind, message=message, file=path.file, line=path.line), remedy)


NO_AUTOMATIC_APPLY = Guardrail(
    id="automation.no_automatic_apply",
    title="nothing but a human's dispatch starts what changes a running system",
    severity=Severity.CRITICAL,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="A change that a push, a tag or the clock starts goes past the gate, the backup and the human who would have said: not now.",
    remedy=BY_HAND,
    subjects=starters,
    judge=judge_no_automatic_apply,
)


# ---- a failed gate stops the merge


def gates(site: Site) -> Sequence[Subject]:
    """The gate of a site that says it has one, and the branch that must demand it."""
    automation = site.automation
    if automation is None or (automation.gate is None and automation.gate_check is None and automation.forge is None):
        return ()
    branch = [Subject(name=f"branch {automation.forge.branch}", when=LIVE)] if automation.forge is not None else []
    return [Subject(name="gate", when=FROM_FILES), *branch]


def judge_gate_is_required(seen: GateWorkflow | NoGateWorkflow | Protection) -> Held | Broken | Unproven:
    """Held when the job that runs the gate cannot be skipped or passed over, and when the branch demands its check."""
    match seen:
        case Protection():
            return _judge_protection(seen)
        case NoGateWorkflow():
            several = f"several workflows run the gate: {', '.join(seen.several)}" if seen.several else "no workflow runs the gate"
            return Broken(several, kind="no-gate", remedy="name the one that does in `automation.gate`, with a job that runs `interlock scan .`")
        case GateWorkflow():
            return _judge_workflow(seen)
        case _:
            assert_never(seen)


def _judge_workflow(seen: GateWorkflow) -> Held | Broken | Unproven:
    workflow = seen.workflow
    if isinstance(workflow, NotWorkflow):
        return Unproven(f"{seen.path}:{workflow.line}: {workflow.why}", remedy="correct the workflow")
    if not seen.steps:
        return Broken(f"no job of {seen.path} runs the gate", kind="no-gate", remedy="let a job run `interlock scan .`, or correct `automation.gate`")
    faults = [*_triggers(workflow, seen.branch), *(fault for step in seen.steps for fault in _step(step))]
    faults = list(dict.fromkeys(faults))
    if not faults:
        jobs = " and ".join(dict.fromkeys(step.check for step in seen.steps))
        return Held(f"{seen.path}: job {jobs} runs the gate on every pull request, and its failure fails the job")
    details = tuple(_detail(fault.path or seen.path, fault) for fault in faults)
    return Broken("; ".join(detail.message for detail in details[:SHOWN]), remedy=faults[0].remedy, kind=faults[0].kind, details=details)


def _detail(path: str, fault: Fault) -> Detail:
    told = f"{path}:{fault.line}: {fault.message}"
    return Detail(what=f"{path} {fault.about}", outcome=Outcome.BROKEN, kind=fault.kind, message=told, file=path, line=fault.line)


class Fault(NamedTuple):
    """One way past the gate; `about` is what it is in, without line numbers. `path` is that of the file, empty for the gate's own."""

    kind: str
    about: str
    line: int
    message: str
    remedy: str
    path: str = ""


def _triggers(workflow: Workflow, branch: str) -> Iterator[Fault]:
    """The gate must run on every pull request, whatever it touches and wherever it is to be merged."""
    asked = [trigger for trigger in workflow.triggers if trigger.event in PULL_REQUESTS]
    pushed = [trigger for trigger in workflow.triggers if trigger.event == "push" and not trigger.filters]
    if not asked and not pushed:
        yield Fault("not-on-pull-request", "on", 1, "the gate does not run on pull requests", "add `pull_request:` to its `on:`")
    for trigger in asked:
        yield from _filters(trigger, branch)


def _filters(trigger: Trigger, branch: str) -> Iterator[Fault]:
    given, at = trigger.filters, trigger.line
    for name in ("paths", "paths-ignore"):
        if name in given:
            message = f"`{name}` of {trigger.event} skips the gate for a pull request that touches other files"
            yield Fault("path-filter", f"{trigger.event} {name}", at, message, f"remove `{name}`; let the job decide what it looks at")
    left_out = "branches" in given and branch and not _any_fits(branch, given["branches"])
    ignored = "branches-ignore" in given and (not branch or _any_fits(branch, given["branches-ignore"]))
    if left_out or ignored:
        message = f"{trigger.event} is filtered by branch, and leaves out pull requests into {branch or 'some branches'}"
        yield Fault("branch-filter", f"{trigger.event} branches", at, message, "remove the filter, or name the protected branch in it")
    if "types" in given and not {"opened", "synchronize"} <= set(given["types"]):
        message = f"`types` of {trigger.event} leaves out what was pushed later"
        yield Fault("types-filter", f"{trigger.event} types", at, message, "remove `types`, or add opened, synchronize and reopened")


def _any_fits(branch: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(branch, pattern.replace("**", "*")) for pattern in patterns)


def _step(gate: GateStep) -> Iterator[Fault]:
    """What is wrong with the step, with its job, and with the job that calls it."""
    yield from (fault._replace(path=gate.path) for fault in (*_of_step(gate), *_of_job(gate.job, gate), *_swallowed(gate)))
    if gate.caller is not None:
        yield from _of_job(gate.caller, gate)


def _of_step(gate: GateStep) -> Iterator[Fault]:
    step, about = gate.step, f"job {gate.job.id} {gate.step.called}"
    if step.continues not in ("", "false"):
        yield _continues(step.continues, about, step.continues_line)
    if not _always_runs(step.condition):
        yield Fault("condition", about, step.line, f"`if: {step.condition}` of {step.called} can skip the gate", "remove the condition")


def _continues(said: str, about: str, line: int) -> Fault:
    return Fault("continue-on-error", about, line, f"`continue-on-error: {said}` of {about} lets a broken gate pass", "remove `continue-on-error`")


def _of_job(job: Job, gate: GateStep) -> Iterator[Fault]:
    """A job that is skipped counts as passed for a branch that demands it."""
    about = f"job {job.id}"
    if job.continues not in ("", "false"):
        yield _continues(job.continues, about, job.continues_line)
    if not _always_runs(job.condition):
        message = f"`if: {job.condition}` can skip job {job.id}, and a skipped job counts as passed"
        yield Fault("condition", about, job.condition_line, message, "remove the condition, or decide inside of the job")
    if not job.needs:
        return
    needed = " and ".join(job.needs)
    if not runs_after_failure(job.condition):
        message = f"job {job.id} is skipped when {needed} fails or is skipped, and a skipped job counts as passed"
        yield Fault("needs", about, job.line, message, "add `if: always()`, and a step that fails unless the result of each needed job is success")
    elif not _looks_at_needed(job, gate):
        message = f"job {job.id} passes although {needed} failed: no step looks at the result"
        yield Fault("needs-unchecked", about, job.line, message, f"add a step that fails unless needs.{job.needs[0]}.result is success")


def _looks_at_needed(job: Job, gate: GateStep) -> bool:
    """Somewhere in the job, or in what is handed to the one that it calls, the result of a needed job is asked for."""
    steps = (*job.steps, *gate.job.steps)
    told = (job.condition, *job.environment.values(), *job.inputs.values(), *(f"{step.run} {step.condition} {step.environment}" for step in steps))
    return re.search(r"needs\.[\w.*-]+\.result|toJSON\(needs\)|join\(needs", " ".join(told), re.IGNORECASE) is not None


def _always_runs(condition: str) -> bool:
    """True for a condition that holds on every pull request that is not cancelled."""
    if not condition.strip():
        return True
    settled = re.sub(r"\b(?:cancelled|failure)\s*\(\s*\)", "false", re.sub(r"\b(?:always|success)\s*\(\s*\)", "true", condition))
    value = evaluate(settled, "pull_request")
    return value is not UNKNOWN and bool(value)


# ---- what a shell makes of its exit code

_NOTHING = regex(r"true|:|exit\s+0|echo\b.*|printf\b.*")


def _swallowed(gate: GateStep) -> Iterator[Fault]:
    step, about = gate.step, f"job {gate.job.id} {gate.step.called}"
    script = parse(fill(step.run).text, first_line=step.run_line)
    remedy = "let the gate's exit code end the step"
    for line, why in _ways_past(script.statements, gate.lines, pipefail=_has_pipefail(step.shell, step.run)):
        yield Fault("swallowed", f"{about} {why}", line, f"{why}: the step succeeds when the gate is broken", remedy)


def _has_pipefail(shell: str, run: str) -> bool:
    """GitHub runs `shell: bash` with pipefail, and the shell that it takes by itself without."""
    return shell == "bash" or "pipefail" in shell or re.search(r"set\s+-\w*o?\s*\w*pipefail|set -o pipefail", run) is not None


def _ways_past(statements: Sequence[Statement], lines: frozenset[int], *, pipefail: bool) -> Iterator[tuple[int, str]]:
    going_on = False
    for index, statement in enumerate(statements):
        if isinstance(statement, Command) and [word.literal for word in statement.words][:1] == ["set"]:
            flags = [word.literal or "" for word in statement.words[1:]]
            going_on = (going_on or any(re.fullmatch(r"\+\w*e\w*", flag) for flag in flags)) and not any(re.fullmatch(r"-\w*e\w*", flag) for flag in flags)
        if not _runs(statement, lines):
            continue
        rest = statements[index + 1 :]
        if going_on and rest and not _looks_at_status(rest):  # the last command's exit code is the step's
            yield statement.line, "`set +e` before it, and nothing looks at its exit code"
        yield from _around(statement, lines, pipefail=pipefail)


def _around(statement: Statement, lines: frozenset[int], *, pipefail: bool) -> Iterator[tuple[int, str]]:
    match statement:
        case AndOr(left=left, operator="||", right=right) if _runs(left, lines):
            said = _said(right.body[-1] if isinstance(right, Group) and right.body else right)
            if said is not None and _NOTHING.fullmatch(said):
                yield statement.line, f"`|| {said.partition(' ')[0] if said.startswith(('echo', 'printf')) else said}` after it"
            yield from _around(left, lines, pipefail=pipefail)
        case AndOr():
            for part in (statement.left, statement.right):
                yield from _around(part, lines, pipefail=pipefail)
        case Pipeline() if not pipefail and any(_runs(stage, lines) for stage in statement.stages[:-1]):
            yield statement.line, "a pipe without pipefail"
        case Background():
            yield statement.line, "`&` after it"
        case Group():
            yield from _ways_past(statement.body, lines, pipefail=pipefail)
        case If():
            for branch in statement.branches:
                yield from _ways_past(branch.body, lines, pipefail=pipefail)
                asked = any(_runs(one, lines) for one in branch.condition)
                if asked and not any(_fails(one) for one in walk((*branch.body, *statement.otherwise))):
                    yield statement.line, "an `if` around it that never fails"
            yield from _ways_past(statement.otherwise, lines, pipefail=pipefail)
        case _:
            return


def _runs(statement: Statement, lines: frozenset[int]) -> bool:
    return any(isinstance(one, Command) and one.line in lines for one in walk((statement,)))


def _said(statement: Statement) -> str | None:
    return " ".join(word.raw for word in statement.words) if isinstance(statement, Command) else None


def _fails(statement: Statement) -> bool:
    """`exit 1`, `exit $code`, `false`, `return 1`."""
    said = _said(statement)
    return said is not None and re.fullmatch(r"(?:exit|return)(?!\s+0$).*|false", said) is not None


def _looks_at_status(rest: Sequence[Statement]) -> bool:
    """`$?` is kept or asked, and something fails by it."""
    told = repr(rest)
    return "'?'" in told and any(_fails(one) for one in walk(rest))


# ---- what the branch demands


def _judge_protection(seen: Protection) -> Held | Broken:
    remedy = f"require the check {seen.wanted[0]!r} for {seen.branch} in the forge's branch protection"
    if not seen.protected:
        return Broken(f"{seen.branch} is not protected: a pull request is merged whatever the gate says", kind="not-protected", remedy=remedy)
    if any(_is_check(name, wanted, patterns=seen.patterns) for name in seen.checks for wanted in seen.wanted):
        return Held(f"{seen.branch} demands the check {' or '.join(seen.wanted)} ({seen.rule})")
    demanded = ", ".join(seen.checks) or "no check at all"
    return Broken(f"{seen.branch} does not demand {' or '.join(seen.wanted)}, but {demanded}", kind="not-required", remedy=remedy)


def _is_check(name: str, wanted: str, *, patterns: bool) -> bool:
    """Whether a demanded name is the gate's. Forgejo and Gitea demand patterns, and call a check `workflow / job (event)`."""
    if name == wanted:
        return True
    if not patterns:
        return False
    job = re.fullmatch(r".* / (.*?)(?: \(\w+\))?", name)
    return fnmatch.fnmatchcase(wanted, name) or (job is not None and job[1] == wanted)


GATE_IS_REQUIRED = Guardrail(
    id="automation.gate_is_required",
    title="the gate runs on every pull request, its failure fails the job, and the branch demands it",
    severity=Severity.HIGH,
    when=frozenset({When.STATIC, When.PREFLIGHT}),
    rationale="A gate that is skipped, or whose red is painted green, is believed all the same.",
    remedy="let the job run always, take away what swallows its exit code, and require its check in the branch protection",
    subjects=gates,
    judge=judge_gate_is_required,
)

EXCLUSIVE_LOCK = apply_paths.EXCLUSIVE_LOCK
