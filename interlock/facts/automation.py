"""What starts by itself, and does it change a running system? Workflows and crontabs with every way that leads from them to a command that applies.

`interlock.facts.workflows`, `cron` and `makefiles` read the texts, `calls` follows the commands, `applies` knows what they change. A git hook, a timer or a
pipeline of another forge is one more `Starter`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from itertools import pairwise
from typing import Protocol

from interlock.facts.applies import Act, ApplyKind, Effect, read_act, rehearsed, says_deploy, says_publish, torn_down
from interlock.facts.calls import Calls, Files, Found, Heard, Hop, Place, Reached, Start, Unfollowed
from interlock.facts.conditions import may_run, runs_after_failure
from interlock.facts.cron import Crontab, parse_crontab
from interlock.facts.workflows import CALLED, HUMAN, Job, NotWorkflow, RunnerKind, Step, Trigger, Workflow, fill, runner_kind
from interlock.nouns import dataclass
from interlock.patterns import regex

DEEPEST_WORKFLOWS = 5  # reusable workflows and composite actions inside of each other; GitHub allows four

_PLACES = {RunnerKind.THROW_AWAY: Place.THROW_AWAY, RunnerKind.OWN: Place.OWN, RunnerKind.UNKNOWN: Place.UNKNOWN}
_TEST = regex(r"(?<![a-z])(?:(?:unit|smoke|integration)?-?tests?|testing|pytest|e2e|smoke|integration|lint|bench\w*|checks?|ci|verify)(?![a-z])", re.IGNORECASE)
_THROW_AWAY_CLUSTER = regex(
    r"kind-action|setup-kind|setup-minikube|setup-k3\w|k3d-action|action-k3s|microk8s|action-k8s-helm"
    r"|\bkind create cluster|\bminikube start|\bk3d cluster create|\bk3s server|\bget\.k3s\.io|\bctlptl create"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPath:
    """One way from something that starts by itself to a command that changes a running system, or to a call that cannot be looked into (`unseen` says why).

    `what` is stable: no line numbers. `hops` are the places between, for a reader; `gate` is the forge's environment that the job runs in.
    """

    what: str
    starts: str
    hops: tuple[str, ...]
    command: str
    kind: str
    where: str
    file: str
    line: int
    gate: str = ""
    unseen: str = ""

    @property
    def told(self) -> str:
        """The whole way in one line."""
        return " → ".join((self.starts, *self.hops, f"{self.command} {self.where}".strip()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A part of a file that could not be understood."""

    line: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A path that may apply by itself: who says so, and why."""

    reason: str
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """One file that starts things: `events` by themselves, `by_hand` what a human starts in it. `called_only`: it runs when another workflow calls it."""

    path: str
    events: tuple[str, ...]
    applies: tuple[ApplyPath, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    by_hand: bool = False
    called_only: bool = False
    reviewed: frozenset[str] = frozenset()  # environments that wait for a reviewer; only GitHub's do
    knows_environments: bool = False
    declared: Declared | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Starters:
    """Several files that are looked at together. `blind` says why more of them may lie where nobody looked."""

    name: str
    files: tuple[Starter, ...]
    blind: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedEnvironment:
    """An environment of the forge that the site says waits for a reviewer, and whether it does."""

    name: str
    asks: bool


class Sources(Files, Protocol):
    """The files of a tree, and the workflows and actions among them."""

    def workflow(self, path: str) -> Workflow | NotWorkflow:
        """A workflow file."""

    def action(self, folder: str) -> tuple[Step, ...]:
        """The steps of the composite action in a folder."""


# ---- workflows


def starter_of_workflow(path: str, sources: Sources, *, declared: frozenset[str] = frozenset()) -> Starter:
    """What a workflow starts by itself. `declared` are the scripts that the site says apply."""
    workflow = sources.workflow(path)
    if isinstance(workflow, NotWorkflow):
        return Starter(path=path, events=(), unreadable=(Unreadable(line=workflow.line, why=workflow.why),))
    following = _Following(sources=sources, declared=declared, calls=Calls(sources))
    automatic = [trigger for trigger in workflow.triggers if trigger.automatic]
    applies = [found for trigger in automatic for found in _of_trigger(workflow, trigger, following)]
    events = {trigger.event for trigger in workflow.triggers}
    return Starter(
        path=path,
        events=tuple(str(trigger) for trigger in automatic),
        applies=tuple(dict.fromkeys(applies)),
        by_hand=bool(events & HUMAN),
        called_only=events == {CALLED},
        knows_environments=workflow.forge in ("github", ""),
    )


def heard_in_workflow(
    workflow: Workflow, sources: Sources, hears: Callable[[Sequence[str], str | None], object | None], *, by_itself: bool
) -> Iterator[tuple[Job, str, bool, tuple[Heard, ...]]]:
    """What is heard in each job of a workflow that changes a running system, the trigger that starts it, and whether that is no human; a job once.

    Events are asked for `by_itself` alone: whether one of them comes to change anything is known before.
    """
    told: set[str] = set()
    for trigger in sorted((one for one in workflow.triggers if by_itself or not one.automatic), key=lambda one: not one.automatic):
        for job in running_jobs(workflow, trigger.event):
            if job.id in told or job.uses:
                continue
            following = _Following(sources=sources, declared=frozenset(), calls=Calls(sources, hears=hears))
            inside = _In(workflow=workflow, job=job, hops=(), event=trigger.event, called=False, depth=0)
            if any(isinstance(one, Reached) for one in _of_job(inside, following)):
                told.add(job.id)
                yield job, str(trigger), trigger.automatic, tuple(following.calls.heard)


@dataclass(slots=True, kw_only=True)
class _Following:
    """What following a workflow's jobs needs, and what was followed already."""

    sources: Sources
    declared: frozenset[str]
    calls: Calls
    known: dict[tuple[tuple[str, ...], int, str], tuple[Found, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _In:
    """The job that a step stands in, and the way to it."""

    workflow: Workflow
    job: Job
    hops: tuple[Hop, ...]
    event: str
    called: bool
    depth: int


def _of_trigger(workflow: Workflow, trigger: Trigger, following: _Following) -> Iterator[ApplyPath]:
    for found, gate in _of_jobs(workflow, (), trigger.event, following, depth=0):
        yield _path(workflow, trigger, found, gate)


def _of_jobs(workflow: Workflow, hops: tuple[Hop, ...], event: str, following: _Following, *, depth: int) -> Iterator[tuple[Found, str]]:
    """What the jobs of a workflow come to change, with the environment of each."""
    if depth > DEEPEST_WORKFLOWS:
        return
    called = depth > 0
    for job in running_jobs(workflow, event, called=called):
        here = Hop(file=workflow.path, line=job.line, said=f"{workflow.path}: job {job.id}")
        if not job.uses:
            inside = _In(workflow=workflow, job=job, hops=hops, event=event, called=called, depth=depth)
            yield from ((found, job.gate) for found in _of_job(inside, following))
        elif job.uses.startswith("./"):
            target = following.sources.workflow(job.uses[2:].partition("@")[0])
            if isinstance(target, Workflow):
                yield from _of_jobs(target, (*hops, here), event, following, depth=depth + 1)
        elif says_deploy(posixpath.basename(job.uses.partition("@")[0]).replace("_", "-")) and not says_publish(job.id, job.name):
            why = "a workflow of another repository is not looked into"
            yield Unfollowed(hops=(*hops, here), command=job.uses, why=why, place=Place.UNKNOWN), job.gate


def running_jobs(workflow: Workflow, event: str, *, called: bool = False) -> tuple[Job, ...]:
    """The jobs that can run for an event: their own `if:` may hold, and so may that of each job that they need, unless they look at its outcome themselves."""
    runs: dict[str, bool] = {}

    def may(job: Job, above: tuple[str, ...]) -> bool:
        if job.id in runs or job.id in above:
            return runs.get(job.id, False)
        needed = [found for name in job.needs if (found := workflow.job(name)) is not None]
        needed_run = runs_after_failure(job.condition) or all(may(one, (*above, job.id)) for one in needed)
        runs[job.id] = needed_run and may_run(job.condition, event, called=called)
        return runs[job.id]

    return tuple(job for job in workflow.jobs if may(job, ()))


def _of_job(inside: _In, following: _Following) -> Iterator[Found]:
    """What a job changes, without what it only rehearses, publishes, or does to a machine or cluster that is thrown away."""
    found = [one for step in inside.job.steps for one in _of_step(step, inside, following)]
    reached = [one for one in found if isinstance(one, Reached)]
    throw_away_cluster = any(_THROW_AWAY_CLUSTER.search(text) for text in _texts_of(inside.job.steps, following.sources, inside.depth))
    counting = [one for one in reached if _counts(one, reached, inside, throw_away_cluster=throw_away_cluster)]
    engaged = any(one.act.kind is not ApplyKind.FILES for one in counting)
    for one in found:
        if isinstance(one, Unfollowed):
            if not says_publish(one.hops[-1].said, inside.job.id, inside.job.name):
                yield one
        elif one in counting and (one.act.kind is not ApplyKind.FILES or engaged or not _publishes(one, inside)):
            yield one


def _texts_of(steps: Sequence[Step], sources: Sources, depth: int) -> Iterator[str]:
    """What the steps of a job use and run, those of composite actions too."""
    for step in steps:
        yield f"{step.uses} {step.run}"
        if step.uses.startswith("./") and depth < DEEPEST_WORKFLOWS:
            yield from _texts_of(sources.action(step.uses[2:].rstrip("/")), sources, depth + 1)


def _publishes(found: Reached, inside: _In) -> bool:
    names = (inside.workflow.name, posixpath.basename(inside.workflow.path), inside.job.id, inside.job.name, found.hops[0].said)
    return says_publish(found.command.rpartition(" ")[2], *names)


def _counts(found: Reached, others: Sequence[Reached], inside: _In, *, throw_away_cluster: bool) -> bool:
    act, place = found.act, found.place
    acts = [one.act for one in others if one.place is place]
    tests = _is_test(found, inside)
    whole = tests or (place in (Place.OWN, Place.UNKNOWN) and torn_down(acts))
    if not found.counts or rehearsed(acts, acts.index(act), whole=whole):
        return False
    if act.kind is ApplyKind.CLUSTER:
        return not throw_away_cluster
    if act.kind is ApplyKind.FILES:
        came_down = any(one.act.effect is Effect.DOWN for one in others)
        return not (tests and came_down) and (not act.local or place is Place.REMOTE)  # local: a checkout that is moved on
    if not act.local or place is Place.REMOTE:
        return True
    if place is Place.UNKNOWN or act.kind is ApplyKind.DATABASE:  # neither a chosen runner nor a migration is more than a build, unless a name says so
        return any(says_deploy(name) for name in (inside.job.id, inside.job.name, inside.workflow.name))
    return not tests


def _is_test(found: Reached, inside: _In) -> bool:
    """True when a job, its workflow or the step says that it tests, and the job does not say that it deploys."""
    job = f"{inside.job.id} {inside.job.name}"
    step = found.hops[len(inside.hops)].said.partition(", step ")[2] if len(found.hops) > len(inside.hops) else ""
    return not says_deploy(job) and _TEST.search(f"{job} {inside.workflow.name} {step}") is not None


# ---- steps


def _of_step(step: Step, inside: _In, following: _Following) -> tuple[Found, ...]:
    if not may_run(step.condition, inside.event, called=inside.called):
        return ()
    way = (inside.workflow.path, inside.job.id, *(str(hop) for hop in inside.hops))
    key = (way, step.number, "" if step.run else f"{inside.event} {inside.called}")  # a composite action has conditions of its own
    if key not in following.known:
        hop = Hop(file=inside.workflow.path, line=step.line, said=f"{inside.workflow.path}: job {inside.job.id}, {step.called}")
        following.known[key] = tuple(_in_step(step, replace(inside, hops=(*inside.hops, hop)), following, inside.workflow.path))
    return following.known[key]


def _in_step(step: Step, inside: _In, following: _Following, file: str) -> Iterator[Found]:
    place = _PLACES[runner_kind(inside.job)]
    if step.run:
        if not step.shell or re.match(r"(?:ba|da|z|)sh\b|bash", step.shell):
            yield from _shell(step.run, inside, following, place, file=file, line=step.run_line, step=step)
    elif step.uses.startswith("./"):
        if inside.depth < DEEPEST_WORKFLOWS:
            folder = step.uses[2:].rstrip("/")
            deeper = replace(inside, depth=inside.depth + 1, called=True)
            for inner in following.sources.action(folder):
                if may_run(inner.condition, inside.event, called=True):
                    yield from _in_step(inner, deeper, following, posixpath.join(folder, "action.yml"))
    elif step.uses:
        yield from _foreign(step, inside, following, place, file)


def _shell(text: str, inside: _In, following: _Following, place: Place, *, file: str, line: int, step: Step) -> Iterator[Found]:
    filled = fill(text)
    environment: dict[str, str] = {}
    expressions = dict(filled.expressions)
    for name, value in {**inside.workflow.environment, **inside.job.environment, **step.environment}.items():
        environment[name] = value if "${{" not in value else ""
        if "${{" in value:
            environment[name] = f"INTERLOCKEXPRESSION{name}X"
            expressions[environment[name]] = value
    everything = replace(filled, expressions=expressions)
    directory = fill(step.directory or inside.job.directory).text.removeprefix("./")
    start = Start(
        hops=inside.hops,
        place=place,
        directory="" if directory in (".", "") else directory,
        environment=environment,
        shown=everything.shown,
        declared=following.declared,
        errexit=place is not Place.REMOTE,  # a forge's shell is `bash -e`
    )
    yield from following.calls.shell(filled.text, start, file=file, line=line)


_APPLYING_ACTIONS = (
    (regex(r"azure/k8s-deploy|.*/.*k(?:8s|ubernetes)-deploy.*|.*deploy-to-(?:gke|eks|aks|kubernetes).*", re.IGNORECASE), ApplyKind.CLUSTER),
    (
        regex(r"aws-actions/amazon-ecs-deploy.*|google-github-actions/deploy-(?:cloudrun|appengine).*|akhileshns/heroku-deploy", re.IGNORECASE),
        ApplyKind.PLATFORM,
    ),
    (regex(r"azure/(?:webapps-deploy|container-apps-deploy-action|aci-deploy)|caprover/deploy.*", re.IGNORECASE), ApplyKind.PLATFORM),
    (regex(r"dawidd6/action-ansible-playbook", re.IGNORECASE), ApplyKind.INFRASTRUCTURE),
    (regex(r"[^/]+/(?:.*-)?(?:scp|sftp|rsync|rsync-deploy\w*|ssh-deploy|ftp-deploy)(?:-.*)?", re.IGNORECASE), ApplyKind.FILES),
)
_NO_DEPLOYMENT = regex(r"setup|status|wait|create-deployment|delete|cleanup|deployments?$|preview|docker-deploy-key|deploy-key|notify|comment", re.IGNORECASE)
_SCRIPT_INPUTS = ("script", "command", "commands", "cmd", "run")


def _foreign(step: Step, inside: _In, following: _Following, place: Place, file: str) -> Iterator[Found]:
    """A step of somebody else's action: known ones by what they do, the script of an ssh one as if it were ours, and by its name alone what says it deploys."""
    action = step.uses.partition("@")[0]
    hops = (*inside.hops, Hop(file=file, line=step.line))
    if re.search(r"(?:^|[/-])ssh(?:-|$)", action, re.IGNORECASE) and (given := next((name for name in _SCRIPT_INPUTS if name in step.inputs), None)):
        line = step.input_lines[given]
        yield from _shell(step.inputs[given], inside, following, Place.REMOTE, file=file, line=line, step=replace(step, directory="/"))
        return
    if re.search(r"oc-runner|kubectl|kube-?tools", action) and (given := next((name for name in _SCRIPT_INPUTS if name in step.inputs), None)):
        yield from _shell(step.inputs[given], inside, following, place, file=file, line=step.input_lines[given], step=step)
        return
    if re.search(r"workflow-dispatch|dispatch-workflow|workflow-run", action) and "repo" not in step.inputs and inside.depth < DEEPEST_WORKFLOWS:
        started = posixpath.join(posixpath.dirname(inside.workflow.path), step.inputs.get("workflow", ""))
        target = following.sources.workflow(started)
        if isinstance(target, Workflow):
            yield from (found for found, _ in _of_jobs(target, inside.hops, "workflow_dispatch", following, depth=inside.depth + 1))
        return
    if (argv := _argv_of_action(action, step)) and (act := read_act(argv, {})) is not None:
        yield Reached(hops=hops, command=" ".join(argv), act=act, place=place)
        return
    kind = next((kind for pattern, kind in _APPLYING_ACTIONS if pattern.fullmatch(action)), None)
    if kind is not None:
        yield Reached(hops=hops, command=action, act=Act(kind=kind, effect=Effect.UP), place=place)
    elif says_deploy(action) and not _NO_DEPLOYMENT.search(action):
        yield Unfollowed(hops=hops, command=action, why="an action of another repository is not looked into", place=place)


_PROGRAMS = {"flyctl-actions": "flyctl", "kubectl": "kubectl", "helm": "helm", "actions": "", "ansible": "ansible-playbook"}


def _argv_of_action(action: str, step: Step) -> list[str]:
    """The command line of an action that runs one program with the arguments that it is given."""
    name = action.rpartition("/")[2]
    if action.lower() == "pulumi/actions":
        return ["pulumi", step.inputs.get("command", "")]
    program = _PROGRAMS.get(name, "")
    return [program, *step.inputs.get("args", "").split()] if program and step.inputs.get("args") else []


# ---- crontabs


def starter_of_crontab(path: str, crontab: Crontab, files: Files, *, declared: frozenset[str] = frozenset()) -> Starter:
    """What the lines of a crontab come to change on the host that they run on."""
    calls = Calls(files)
    applies: list[ApplyPath] = []
    for line in crontab.lines:
        said = f"{line.when} as {line.user}" if line.user else line.when
        start = Start(hops=(), place=Place.HOST, directory="/", environment=crontab.variables, declared=declared)
        found = list(calls.shell(line.command, start, file=path, line=line.line))
        applies += _paths_on_host(found, f"cron {said}", path)
    unreadable = tuple(Unreadable(line=one.line, why="cron would refuse this line, and the file with it") for one in crontab.refused)
    return Starter(path=path, events=tuple(line.when for line in crontab.lines), applies=tuple(dict.fromkeys(applies)), unreadable=unreadable)


def starter_of_installer(path: str, text: str, files: Files, *, declared: frozenset[str] = frozenset()) -> Starter:
    """What the crontabs that a script writes come to change on the host that it runs on. A schedule in a variable is any schedule."""
    calls = Calls(files)
    for _ in calls.shell(text, Start(hops=(), place=Place.THROW_AWAY), file=path, line=1):
        pass
    events: list[str] = []
    applies: list[ApplyPath] = []
    for installed in dict.fromkeys(calls.installed):
        if installed.hop.file != path:
            continue  # that script is looked at by itself
        known = re.sub(r"^(?:\$\{?\w+\}?)(?=[ \t])", "0 0 * * *", installed.text, flags=re.MULTILINE)
        crontab = parse_crontab(known, system=None if installed.target == "-" else True)
        for line in crontab.lines:
            events.append(line.when)
            start = Start(hops=(installed.hop,), place=Place.HOST, directory="/", environment=crontab.variables, declared=declared)
            found = list(calls.shell(line.command, start, file=path, line=installed.hop.line))
            applies += _paths_on_host(found, "cron", path)
    return Starter(path=path, events=tuple(events), applies=tuple(dict.fromkeys(applies)))


def starter_of_run_parts(path: str, when: str, text: str, files: Files, *, declared: frozenset[str] = frozenset()) -> Starter:
    """What a script in /etc/cron.daily and the like comes to change."""
    start = Start(hops=(), place=Place.HOST, directory="/", declared=declared)
    found = list(Calls(files).shell(text, start, file=path, line=1))
    return Starter(path=path, events=(when,), applies=tuple(dict.fromkeys(_paths_on_host(found, f"cron {when}", path))))


def _paths_on_host(found: Sequence[Found], starts: str, path: str) -> Iterator[ApplyPath]:
    acts = [one.act for one in found if isinstance(one, Reached)]
    for one in found:
        if isinstance(one, Reached):
            if not one.counts or rehearsed(acts, acts.index(one.act)) or (one.act.kind is ApplyKind.FILES and one.act.local and one.place is Place.HOST):
                continue
            if one.act.kind is ApplyKind.FILES and says_backup_or_publish(f"{one.command} {one.hops[-1].file}"):
                continue
        yield _made(starts, starts, one, path, "")


_COPIES = regex(r"backup|bkp|snapshot|archive|dump|offsite|mirror|wal|certs?\b|letsencrypt|logs?\b", re.IGNORECASE)


def says_backup_or_publish(command: str) -> bool:
    """A nightly copy to another machine is a backup, as a rule: it changes no running system."""
    return _COPIES.search(command) is not None or says_publish(command)


# ---- what was found, for a reader


def _path(workflow: Workflow, trigger: Trigger, found: Found, gate: str) -> ApplyPath:
    return _made(trigger.event, str(trigger), found, workflow.path, gate)


def _made(event: str, starts: str, found: Found, path: str, gate: str) -> ApplyPath:
    last = found.hops[-1]
    own_hops = [hop for before, hop in pairwise((None, *found.hops)) if hop is not None and _is_shown(hop, before, path)]
    shown = own_hops if any(hop.file == path for hop in own_hops) else [found.hops[0], *own_hops]
    stable = [hop.said or hop.file for hop in shown]
    where = str(found.place.value) if found.place is not Place.THROW_AWAY and _needs_place(found) else ""
    return ApplyPath(
        what=" → ".join((event, *dict.fromkeys(stable), found.command)),
        starts=starts,
        hops=tuple(dict.fromkeys(str(hop) for hop in shown)),
        command=found.command,
        kind=found.act.kind.value if isinstance(found, Reached) else "not-looked-into",
        where=where,
        file=last.file,
        line=last.line,
        gate=gate,
        unseen=found.why if isinstance(found, Unfollowed) else "",
    )


def _is_shown(hop: Hop, before: Hop | None, path: str) -> bool:
    """A line of the file whose step was just named tells a reader nothing; the finding has it."""
    return bool(hop.said) or (hop.file != path and not (before is not None and before.said and before.file == hop.file))


def _needs_place(found: Found) -> bool:
    if isinstance(found, Unfollowed):
        return found.place is Place.REMOTE
    return found.act.local or found.place is Place.REMOTE
