"""May this process apply? A human at a terminal may; CI runners, cron, at, a unit's main process and git hooks may not; a CI job that the site names may.

A second belt behind the signature, without an option to take it off: nothing applies by itself. Variables that ordinary terminals inherit, too
(`CI`, `INVOCATION_ID`), refuse nobody; `CI` on a terminal is asked about once. A terminal is believed, whoever serves it (sshd, a desktop, tmux, an editor),
but one that sudo, script or the like has opened is only as good as the terminal that they have themselves. `interlock.gate.jobs` knows CI jobs.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from interlock.config.actions import CiJob, CiRunner
from interlock.facts.callers import CallerFacts, Process
from interlock.gate.jobs import Named, NoJob, job_seen, judge_job
from interlock.nouns import dataclass

# Set by the runner itself for each job; nobody exports these in a shell.
CI_VARIABLES = {
    "GITHUB_ACTIONS": "GitHub Actions",
    "GITEA_ACTIONS": "Gitea Actions",
    "FORGEJO_ACTIONS": "Forgejo Actions",
    "GITLAB_CI": "GitLab CI",
    "CI_PIPELINE_ID": "GitLab CI or Woodpecker",
    "CI_PIPELINE_NUMBER": "Woodpecker",
    "DRONE": "Drone",
    "WOODPECKER": "Woodpecker",
    "JENKINS_URL": "Jenkins",
    "BUILDKITE": "Buildkite",
    "CIRCLECI": "CircleCI",
    "TRAVIS": "Travis CI",
    "TEAMCITY_VERSION": "TeamCity",
    "TF_BUILD": "Azure Pipelines",
    "BITBUCKET_BUILD_NUMBER": "Bitbucket Pipelines",
    "CODEBUILD_BUILD_ID": "AWS CodeBuild",
    "CIRRUS_CI": "Cirrus CI",
    "SEMAPHORE": "Semaphore",
    "CONCOURSE_BUILD_ID": "Concourse",
}
CI_PROGRAMS = {
    "act_runner": "the Gitea Actions runner",
    "forgejo-runner": "the Forgejo runner",
    "act": "a local Actions runner",
    "gitlab-runner": "the GitLab runner",
    "Runner.Worker": "the GitHub runner",
    "Runner.Listener": "the GitHub runner",
    "woodpecker-agent": "the Woodpecker agent",
    "drone-runner-exec": "the Drone runner",
    "drone-agent": "the Drone agent",
    "buildkite-agent": "the Buildkite agent",
    "agent.jar": "a Jenkins agent",
    "remoting.jar": "a Jenkins agent",
    "slave.jar": "a Jenkins agent",
    "jenkins.war": "Jenkins",
    "circleci-agent": "the CircleCI agent",
}
SCHEDULERS = {
    "cron": "cron",
    "crond": "cron",
    "anacron": "anacron",
    "fcron": "fcron",
    "dcron": "cron",
    "atd": "at",
    "atrun": "at",
    "supercronic": "supercronic",
    "ofelia": "ofelia",
    "systemd-cron": "cron",
}
# What each runner that a site can name says of itself in a job, and the programs that it may be.
ITS_VARIABLES = {
    CiRunner.GITHUB: frozenset({"GITHUB_ACTIONS"}),
    CiRunner.FORGEJO: frozenset({"FORGEJO_ACTIONS", "GITEA_ACTIONS", "GITHUB_ACTIONS"}),
    CiRunner.GITEA: frozenset({"GITEA_ACTIONS", "GITHUB_ACTIONS"}),
    CiRunner.GITLAB: frozenset({"GITLAB_CI", "CI_PIPELINE_ID"}),
    CiRunner.WOODPECKER: frozenset({"CI_PIPELINE_ID", "CI_PIPELINE_NUMBER", "WOODPECKER"}),
}
ITS_PROGRAMS = {
    CiRunner.GITHUB: frozenset({"Runner.Worker", "Runner.Listener"}),
    CiRunner.FORGEJO: frozenset({"forgejo-runner", "act_runner"}),
    CiRunner.GITEA: frozenset({"act_runner"}),
    CiRunner.GITLAB: frozenset({"gitlab-runner"}),
    CiRunner.WOODPECKER: frozenset({"woodpecker-agent"}),
}
# They open a terminal for the program that they run, and pass on what is typed into their own.
PASS_ON = frozenset({"sudo", "su", "doas", "runuser", "setpriv", "script", "expect", "unbuffer", "socat", "asciinema", "ttyrec"})
# They bring a program into a container that sees the processes of the host; who asked them to is not above it.
BRING_IN = frozenset({"containerd-shim", "containerd-shim-runc-v2", "conmon", "runc", "crun"})
HOOKS = "hooks"

IN_A_TERMINAL = "run it yourself, in a terminal on this host"
ON_THE_HOST = "run it on the host itself, outside of the container; or log in to the container, by ssh"
WITHOUT_HIDEPID = "mount /proc with gid=GROUP beside hidepid= and be in that group; or run it as root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A human at a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedJob:
    """A CI job that the site names, started by a human: it may apply what people have signed, and answers no question. `name` is its key in the site file."""

    name: str
    repository: str

    @property
    def said(self) -> str:
        """How the journal and the evidence name it."""
        return f"job {self.name} of {self.repository}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MustAsk:
    """Probably a human; `question` settles it, once."""

    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Not a human at a terminal, or it cannot be told. `why` is one sentence for each reason."""

    why: tuple[str, ...]
    remedy: str = IN_A_TERMINAL


NO_JOBS: Mapping[str, CiJob] = MappingProxyType({})


def judge_caller(facts: CallerFacts, jobs: Mapping[str, CiJob] = NO_JOBS, action: str = "") -> Allowed | AllowedJob | MustAsk | Refused:
    """Judge the process and all above it; `jobs` are those that may apply `action`. Every reason is given, not only the first."""
    if not facts.ancestors:
        return Refused(why=("its own process cannot be looked at",))
    below = _below_its_terminal(facts)
    reasons = [*_runners(facts, below), *_schedulers(facts), *_git(below), *_unit(facts.ancestors[: _place_above(facts.ancestors)]), *_terminal(facts)]
    if not reasons:
        if "CI" in facts.environment:
            return MustAsk(question="CI is set in this environment. Are you a human at this terminal, and is this no CI job?")
        return Allowed()
    if jobs and CI_VARIABLES.keys() & facts.environment:
        job = _job(facts, jobs, action)
        if isinstance(job, AllowedJob):
            return job
        reasons += job
    return Refused(why=tuple(dict.fromkeys(reasons)), remedy=_remedy(facts))


# ---- a human at a terminal


def _sessions(ancestors: Sequence[Process]) -> Iterator[int]:
    """Where each session ends that a human would sit in, this process's first: above its leader. Those above the last one serve its terminal.

    One that cannot be seen whole ends it all at the end.
    """
    place = 0
    while True:
        leader = _leader(ancestors, place)
        place = len(ancestors) if leader is None else leader + 1
        yield place
        if leader is None or place == len(ancestors) or not ancestors[leader].terminal or not _is(ancestors[place], PASS_ON):
            return


def _place_above(ancestors: Sequence[Process]) -> int:
    """Where those begin who serve the terminal; the end, when that cannot be seen."""
    return [*_sessions(ancestors)][-1]


def _leader(ancestors: Sequence[Process], place: int) -> int | None:
    """Where the leader of this one's session stands."""
    return next((at for at in range(place, len(ancestors)) if ancestors[at].pid == ancestors[place].session), None)


def _below_its_terminal(facts: CallerFacts) -> Sequence[Process]:
    """Those who are above this process and below what serves its terminal; without a terminal, all."""
    return facts.ancestors[1 : _place_above(facts.ancestors)] if facts.ancestors[0].terminal else facts.ancestors[1:]


def _terminal(facts: CallerFacts) -> list[str]:
    reasons = []
    if not facts.ancestors[0].terminal:
        reasons.append("it has no controlling terminal")
    elif not facts.terminal_opens:
        reasons.append("its controlling terminal cannot be opened")
    if not facts.complete:
        reasons.append("its ancestors cannot be seen: not every process above it is shown in /proc")
    elif _leader(facts.ancestors, 0) is None:
        reasons.append("its ancestors cannot be seen up to the session's leader")
    elif facts.ancestors[0].terminal and _brought_in(facts.ancestors):
        reasons.append("what opened its terminal is outside of this container, and cannot be seen")
    openers = [facts.ancestors[place] for place in [*_sessions(facts.ancestors)][:-1]]
    reasons += [f"{_shown(process)} opened its terminal, and has none itself" for process in openers if not process.terminal]
    if facts.attached is False:
        reasons.append("nobody is attached to the tmux or screen that its terminal belongs to")
    return reasons


def _brought_in(ancestors: Sequence[Process]) -> bool:
    """True when nothing that serves the terminal is above it, or only what brings programs into containers."""
    return all(_is(process, BRING_IN) for process in ancestors[_place_above(ancestors) :][:1])


def _remedy(facts: CallerFacts) -> str:
    """What to do: about what hides the human, where something does."""
    if not facts.complete:
        return WITHOUT_HIDEPID
    in_container = facts.ancestors[0].terminal and _leader(facts.ancestors, 0) is not None and _brought_in(facts.ancestors)
    return ON_THE_HOST if in_container else IN_A_TERMINAL


# ---- who else may have started it


def _runners(facts: CallerFacts, below: Sequence[Process]) -> list[str]:
    variables = facts.environment.union(*(process.environment for process in below))
    said = [f"{runner} runs this ({variable} is set)" for variable, runner in CI_VARIABLES.items() if variable in variables]
    return said + [reason for process in below for reason in _known(process, CI_PROGRAMS)]


def _schedulers(facts: CallerFacts) -> list[str]:
    """Whoever opened a terminal below cron, nobody sits at it."""
    return [reason for process in facts.ancestors[1:] for reason in _known(process, SCHEDULERS)]


def _git(below: Sequence[Process]) -> list[str]:
    reasons = []
    for process in below:
        if any(name == "git" or name.startswith("git-") for name in (process.name, process.program)):
            reasons.append(f"git runs this ({_shown(process)}): a hook or an alias")
        elif any(posixpath.basename(posixpath.dirname(argument)) == HOOKS and ".git" in argument for argument in process.argv[:3]):
            reasons.append(f"a git hook runs this ({_shown(process)})")
    return reasons


def _unit(processes: Sequence[Process]) -> list[str]:
    """Shells of a desktop inherit the variable, too; in them it names what serves their terminal, and that is above."""
    units = {process.unit for process in processes}
    return [f"it belongs to the main process of a systemd unit ({_shown(process)})" for process in processes if process.pid in units]


def _shown(process: Process) -> str:
    return f"process {process.pid} ({process.name})"


def _names(process: Process) -> set[str]:
    """What a process may be known by: the kernel's name, its own, its file's, and the archive that a Java machine runs."""
    jars = {posixpath.basename(jar) for flag, jar in zip(process.argv, process.argv[1:], strict=False) if flag == "-jar"}
    return {process.name, process.program, *(posixpath.basename(argument) for argument in process.argv[:1])} - {""} | jars


def _known(process: Process, programs: Mapping[str, str]) -> list[str]:
    """What a process of this name means, if it means something."""
    return [f"{meaning} runs this ({_shown(process)} above it)" for program, meaning in programs.items() if _is(process, (program,))]


def _is(process: Process, programs: Collection[str]) -> bool:
    """Is it one of these programs? The kernel cuts names after 15 bytes."""
    return any(name == program or (len(name) == 15 and program.startswith(name)) for name in _names(process) for program in programs)


# ---- a CI job


def _job(facts: CallerFacts, jobs: Mapping[str, CiJob], action: str) -> AllowedJob | list[str]:
    """The job of the site that this is; else why it is none, or what else speaks against it. A job needs no terminal, but its runner must be above it."""
    match judge_job(job_seen(facts.told), jobs, action):
        case NoJob(why=why):
            return [why]
        case Named(name=name, seen=seen):
            pass
    above = facts.ancestors[1:]
    runner = next((place for place, process in enumerate(above) if _is(process, ITS_PROGRAMS[seen.runner])), None)
    below = above if runner is None else above[:runner]
    others = {program: meaning for program, meaning in CI_PROGRAMS.items() if program not in ITS_PROGRAMS[seen.runner]}
    variables = facts.environment.union(*(process.environment for process in below))
    reasons = [
        *(
            f"{meaning} runs this as well ({variable} is set)"
            for variable, meaning in CI_VARIABLES.items()
            if variable in variables - ITS_VARIABLES[seen.runner]
        ),
        *(reason for process in above for reason in _known(process, others)),
        *_schedulers(facts),
        *_git(above),
        *_unit((facts.ancestors[0], *below)),
    ]
    if not facts.complete:
        reasons.append("its ancestors cannot be seen: not every process above it is shown in /proc")
    elif runner is None and not _in_container(facts.ancestors):
        reasons.append(f"no runner of {seen.runner.value} is above it")
    return reasons or AllowedJob(name=name, repository=seen.repository)


def _in_container(ancestors: Sequence[Process]) -> bool:
    """True when what started its session is outside: a runner that works in containers is never above its jobs."""
    outside = ancestors[-1].pid != 1 or ancestors[-1].session == ancestors[0].session
    return outside or any(_is(process, BRING_IN) for process in ancestors)
