"""Is this one of the CI jobs that the site names, started by a human's dispatch? Judges what a runner tells its jobs of themselves.

Whoever can set variables on the host can say the same. This keeps jobs that are meant for something else from applying; the signatures are the lock.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import assert_never

from interlock.config.actions import CiJob, CiRunner
from interlock.nouns import dataclass

IN_WORDS = {
    CiRunner.GITHUB: "GitHub Actions",
    CiRunner.FORGEJO: "Forgejo Actions",
    CiRunner.GITEA: "Gitea Actions",
    CiRunner.GITLAB: "GitLab CI",
    CiRunner.WOODPECKER: "Woodpecker",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeen:
    """A running job, as its runner tells it. `workflow` may be empty, nothing else is; `started` is the event in the runner's own word."""

    runner: CiRunner
    repository: str
    workflow: str
    job: str
    ref: str
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoJob:
    """No job, or one that does not say enough of itself."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The site names this job: `name` is its key there."""

    name: str
    seen: JobSeen


def job_seen(told: Mapping[str, str]) -> JobSeen | NoJob:
    """Read what the runner says of this job. Exactly one runner may speak, and must tell everything."""
    runner = _runner(told)
    if isinstance(runner, NoJob):
        return runner
    match runner:
        case CiRunner.GITHUB | CiRunner.FORGEJO | CiRunner.GITEA:
            return _of_actions(runner, told)
        case CiRunner.GITLAB:
            return _of_gitlab(told)
        case CiRunner.WOODPECKER:
            return _of_woodpecker(told)
        case _:
            assert_never(runner)


def judge_job(seen: JobSeen | NoJob, jobs: Mapping[str, CiJob], action: str) -> Named | NoJob:
    """Find the one job of the site that this is, for this action. Why not is said of the jobs of this repository and this name first."""
    if isinstance(seen, NoJob):
        return seen
    if not dispatched(seen):
        return NoJob(why=f"{IN_WORDS[seen.runner]} started this job by {seen.started!r}, and not by a human's dispatch ({_DISPATCHES[seen.runner]})")
    faults = {name: _fault(seen, job, action) for name, job in jobs.items()}
    matching = [name for name, fault in faults.items() if not fault]
    if len(matching) == 1:
        return Named(name=matching[0], seen=seen)
    if matching:
        return NoJob(why=f"the site names this job more than once: {', '.join(sorted(matching))}")
    shown = "; ".join(f"{name}: {fault}" for name, fault in sorted(faults.items()))
    return NoJob(why=f"this job is none of those that the site names ({shown})")


def dispatched(seen: JobSeen) -> bool:
    """True when it was dispatched. A schedule, a push, a pull request and another pipeline are no dispatch; an API token is one where its runner says so."""
    match seen.runner:
        case CiRunner.GITHUB | CiRunner.FORGEJO | CiRunner.GITEA:
            return seen.started == "workflow_dispatch"
        case CiRunner.GITLAB:
            return seen.started == "web"
        case CiRunner.WOODPECKER:
            return seen.started in ("manual", "deployment")
        case _:
            assert_never(seen.runner)


_DISPATCHES = {
    CiRunner.GITHUB: "workflow_dispatch",
    CiRunner.FORGEJO: "workflow_dispatch",
    CiRunner.GITEA: "workflow_dispatch",
    CiRunner.GITLAB: "web",
    CiRunner.WOODPECKER: "manual, deployment",
}


def _runner(told: Mapping[str, str]) -> CiRunner | NoJob:
    """Who runs it. Forgejo says that it is Gitea and GitHub as well, Gitea that it is GitHub; nobody else says two names."""
    speaking = []
    actions = [name for name in ("FORGEJO_ACTIONS", "GITEA_ACTIONS", "GITHUB_ACTIONS") if told.get(name) == "true"]
    if actions:
        speaking.append({"FORGEJO_ACTIONS": CiRunner.FORGEJO, "GITEA_ACTIONS": CiRunner.GITEA, "GITHUB_ACTIONS": CiRunner.GITHUB}[actions[0]])
    if told.get("GITLAB_CI") == "true":
        speaking.append(CiRunner.GITLAB)
    if told.get("CI") == "woodpecker":
        speaking.append(CiRunner.WOODPECKER)
    if len(speaking) == 1:
        return speaking[0]
    if speaking:
        return NoJob(why=f"{' and '.join(IN_WORDS[runner] for runner in speaking)} both say that they run this job")
    return NoJob(why="no runner that a site can name says that it runs this job")


def _of_actions(runner: CiRunner, told: Mapping[str, str]) -> JobSeen | NoJob:
    missing = _missing(told, "GITHUB_REPOSITORY", "GITHUB_JOB", "GITHUB_REF", "GITHUB_EVENT_NAME")
    if missing is not None:
        return missing
    # Gitea has only the name of the workflow; where a reference stands, its file is believed and it must be of this repository and ref.
    workflow = told.get("GITHUB_WORKFLOW", "")
    if reference := told.get("GITHUB_WORKFLOW_REF", ""):
        path, _, ref = reference.partition("@")
        repository = told["GITHUB_REPOSITORY"]
        if not path.startswith(f"{repository}/") or ref != told["GITHUB_REF"]:
            return NoJob(why=f"its workflow is {reference!r}, which is not of {repository!r} at {told['GITHUB_REF']!r}")
        workflow = path.removeprefix(f"{repository}/")
    return JobSeen(
        runner=runner,
        repository=told["GITHUB_REPOSITORY"],
        workflow=workflow,
        job=told["GITHUB_JOB"],
        ref=told["GITHUB_REF"],
        started=told["GITHUB_EVENT_NAME"],
    )


def _of_gitlab(told: Mapping[str, str]) -> JobSeen | NoJob:
    """CI_JOB_MANUAL is not asked: what it says of the job's definition says nothing of the one who started it."""
    missing = _missing(told, "CI_PROJECT_PATH", "CI_JOB_NAME", "CI_PIPELINE_SOURCE")
    if missing is not None:
        return missing
    refs = [f"{kind}{told[name]}" for name, kind in (("CI_COMMIT_BRANCH", "refs/heads/"), ("CI_COMMIT_TAG", "refs/tags/")) if told.get(name)]
    if len(refs) != 1:
        return NoJob(why="neither CI_COMMIT_BRANCH nor CI_COMMIT_TAG says what it runs on" if not refs else "it says that it runs on a branch and on a tag")
    return JobSeen(
        runner=CiRunner.GITLAB,
        repository=told["CI_PROJECT_PATH"],
        workflow=told.get("CI_CONFIG_PATH", ""),
        job=told["CI_JOB_NAME"],
        ref=refs[0],
        started=told["CI_PIPELINE_SOURCE"],
    )


def _of_woodpecker(told: Mapping[str, str]) -> JobSeen | NoJob:
    missing = _missing(told, "CI_REPO", "CI_STEP_NAME", "CI_COMMIT_REF", "CI_PIPELINE_EVENT")
    if missing is not None:
        return missing
    return JobSeen(
        runner=CiRunner.WOODPECKER,
        repository=told["CI_REPO"],
        workflow=told.get("CI_WORKFLOW_NAME", ""),
        job=told["CI_STEP_NAME"],
        ref=told["CI_COMMIT_REF"],
        started=told["CI_PIPELINE_EVENT"],
    )


def _missing(told: Mapping[str, str], *names: str) -> NoJob | None:
    missing = [name for name in names if not told.get(name)]
    return NoJob(why=f"its runner does not say {', '.join(missing)}") if missing else None


def _fault(seen: JobSeen, job: CiJob, action: str) -> str:
    """What is another than the site says, empty when nothing is."""
    differences = [
        f"its {what} is {is_!r}, not {named!r}"
        for what, is_, named in (
            ("runner", seen.runner.value, job.runner.value),
            ("repository", seen.repository, job.repository),
            ("job", seen.job, job.job),
            ("ref", seen.ref, job.ref),
        )
        if is_ != named
    ]
    if job.workflow is not None and job.workflow not in _names_of(seen):
        differences.append(f"its workflow is {seen.workflow!r}, not {job.workflow!r}")
    if job.actions is not None and action not in job.actions:
        differences.append(f"it may not apply {action}")
    return ", ".join(differences)


def _names_of(seen: JobSeen) -> set[str]:
    """What a workflow may be called in a site file: its path, its file, and of Woodpecker, which leaves the ending away, with either of them."""
    names = {seen.workflow, posixpath.basename(seen.workflow)} - {""}
    return names | {f"{name}{ending}" for name in names for ending in (".yaml", ".yml")} if seen.runner is CiRunner.WOODPECKER else names
