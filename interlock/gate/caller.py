"""May this process apply? A human at a terminal may; CI runners, cron, at, a unit's main process and git hooks may not.

A second belt behind the signature, without an option to take it off: nothing applies by itself. Variables that ordinary terminals inherit, too
(`CI`, `INVOCATION_ID`), refuse nobody; `CI` on a terminal is asked about once.
"""

from __future__ import annotations

import posixpath

from interlock.facts.callers import CallerFacts, Process
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
HOOKS = "hooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A human at a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MustAsk:
    """Probably a human; `question` settles it, once."""

    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Not a human at a terminal, or it cannot be told. `why` is one sentence for each reason."""

    why: tuple[str, ...]
    remedy: str = "run it yourself, in a terminal on this host"


def judge_caller(facts: CallerFacts) -> Allowed | MustAsk | Refused:
    """Judge the process from its session's leader down. Every reason is given, not only the first."""
    reasons = (*_environment(facts), *_ancestors(facts), *_terminal(facts))
    if reasons:
        return Refused(why=tuple(dict.fromkeys(reasons)))
    if "CI" in facts.environment:
        return MustAsk(question="CI is set in this environment. Are you a human at this terminal, and is this no CI job?")
    return Allowed()


def _environment(facts: CallerFacts) -> list[str]:
    return [f"{runner} runs this ({variable} is set)" for variable, runner in CI_VARIABLES.items() if variable in facts.environment]


def _terminal(facts: CallerFacts) -> list[str]:
    if not facts.ancestors:
        return ["its own process cannot be looked at"]
    reasons = []
    if not facts.ancestors[0].terminal:
        reasons.append("it has no controlling terminal")
    elif not facts.terminal_opens:
        reasons.append("its controlling terminal cannot be opened")
    if not facts.complete:
        reasons.append("its ancestors cannot be seen up to the session's leader")
    return reasons


def _ancestors(facts: CallerFacts) -> list[str]:
    reasons = []
    for process in facts.ancestors[1:]:
        reasons += _process(process)
    if not (facts.ancestors and facts.ancestors[0].terminal):
        reasons += _named(facts.parent_of_leader, f"{facts.parent_of_leader} started its session")
    if any(process.pid == facts.systemd_exec_pid for process in facts.ancestors):
        reasons.append("it belongs to the main process of a systemd unit")
    return reasons


def _process(process: Process) -> list[str]:
    reasons = []
    shown = f"process {process.pid} ({process.name})"
    for name in sorted(_names(process)):
        reasons += _named(name, f"{shown} above it")
    if process.name == "git" or process.name.startswith("git-"):
        reasons.append(f"git runs this ({shown}): a hook or an alias")
    elif any(posixpath.basename(posixpath.dirname(argument)) == HOOKS and ".git" in argument for argument in process.argv[:3]):
        reasons.append(f"a git hook runs this ({shown})")
    return reasons


def _names(process: Process) -> set[str]:
    """What a process may be known by: the kernel's name, its own, and the archives that a Java machine runs."""
    jars = {posixpath.basename(argument) for argument in process.argv if argument.endswith((".jar", ".war"))}
    return {process.name, *(posixpath.basename(argument) for argument in process.argv[:1])} | jars


def _named(name: str, where: str) -> list[str]:
    """What a program of this name means, if it means something. The kernel cuts names after 15 bytes."""
    for known in (CI_PROGRAMS, SCHEDULERS):
        for program, meaning in known.items():
            if name == program or (len(name) == 15 and program.startswith(name)):
                return [f"{meaning} runs this ({where})"]
    return []
