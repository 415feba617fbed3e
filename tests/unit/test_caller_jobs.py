"""A CI job may apply what people have signed when the site names it and a human dispatched it: each runner's own words, and all that speaks against it."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from interlock.act import journal as journals
from interlock.act.books import find_plan
from interlock.change.means import Means
from interlock.commands.status import status_text
from interlock.config.actions import CiJob, CiRunner
from interlock.errors import ApprovalError
from interlock.facts.callers import TOLD_BY_RUNNERS, CallerFacts, Process
from interlock.gate.caller import ITS_PROGRAMS, ITS_VARIABLES, AllowedJob, MustAsk, Refused, judge_caller
from interlock.gate.jobs import JobSeen, Named, NoJob, dispatched, job_seen, judge_job
from interlock.runner import apply, guard, resume, rollback
from tests.tiny_site import NEW, STEPS, Tiny, again, key_of, make_tiny

ACTIONS = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "ops/platform",
    "GITHUB_WORKFLOW": "Apply",
    "GITHUB_WORKFLOW_REF": "ops/platform/.forgejo/workflows/apply.yaml@refs/heads/main",
    "GITHUB_JOB": "apply",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_EVENT_NAME": "workflow_dispatch",
}
TOLD = {
    CiRunner.GITHUB: ACTIONS,
    CiRunner.FORGEJO: ACTIONS | {"GITEA_ACTIONS": "true", "FORGEJO_ACTIONS": "true"},
    CiRunner.GITEA: {name: value for name, value in ACTIONS.items() if name != "GITHUB_WORKFLOW_REF"}
    | {"GITEA_ACTIONS": "true", "GITHUB_WORKFLOW": "apply.yaml"},
    CiRunner.GITLAB: {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_PROJECT_PATH": "ops/platform",
        "CI_CONFIG_PATH": "ci/apply.yaml",
        "CI_JOB_NAME": "apply",
        "CI_COMMIT_BRANCH": "main",
        "CI_PIPELINE_SOURCE": "web",
    },
    CiRunner.WOODPECKER: {
        "CI": "woodpecker",
        "CI_REPO": "ops/platform",
        "CI_WORKFLOW_NAME": "apply",
        "CI_STEP_NAME": "apply",
        "CI_COMMIT_REF": "refs/heads/main",
        "CI_PIPELINE_EVENT": "manual",
    },
}
ITS_MARK = {CiRunner.WOODPECKER: "CI_PIPELINE_NUMBER", CiRunner.GITLAB: "GITLAB_CI"}
RUNNERS = pytest.mark.parametrize("runner", list(CiRunner))


def a_job(runner: CiRunner = CiRunner.FORGEJO, **changed: object) -> CiJob:
    """As a site names it."""
    fields = {"runner": runner.value, "repository": "ops/platform", "workflow": "apply.yaml", "job": "apply"}
    return CiJob.model_validate(fields | changed)


def in_job(runner: CiRunner = CiRunner.FORGEJO, *above: Process, told: dict[str, str] | None = None, **changed: object) -> CallerFacts:
    """Facts of a job's process on a host: a shell without a terminal, below its runner, which is a unit's main process."""
    told = TOLD[runner] if told is None else told
    program = min(ITS_PROGRAMS[runner])
    tree = (
        Process(pid=40, parent=30, session=30, terminal=0, name="python3"),
        Process(pid=30, parent=20, session=30, terminal=0, name="bash"),
        *above,
        Process(pid=20, parent=1, session=20, terminal=0, name=program[:15], program=program, unit=20),
        Process(pid=1, parent=0, session=1, terminal=0, name="systemd"),
    )
    marks = frozenset(told) | {ITS_MARK.get(runner, "GITHUB_ACTIONS")}
    facts = CallerFacts(environment=marks, ancestors=tree, complete=True, terminal_opens=False, told={k: v for k, v in told.items() if k in TOLD_BY_RUNNERS})
    return dataclasses.replace(facts, **changed)  # type: ignore[arg-type]


def judged(facts: CallerFacts, runner: CiRunner = CiRunner.FORGEJO, action: str = "release", **changed: object) -> object:
    return judge_caller(facts, {"deploy": a_job(runner, **changed)}, action)


def why(facts: CallerFacts, runner: CiRunner = CiRunner.FORGEJO, action: str = "release", **changed: object) -> str:
    refused = judged(facts, runner, action, **changed)
    assert isinstance(refused, Refused)
    return "; ".join(refused.why)


# ---- who it is


@RUNNERS
def test_a_job_that_the_site_names_may_apply(runner: CiRunner) -> None:
    allowed = judged(in_job(runner), runner)
    assert allowed == AllowedJob(name="deploy", repository="ops/platform")
    assert isinstance(allowed, AllowedJob)
    assert allowed.said == "job deploy of ops/platform"


@RUNNERS
def test_a_site_that_names_no_job_refuses_every_job(runner: CiRunner) -> None:
    assert isinstance(judge_caller(in_job(runner), {}, "release"), Refused)


@RUNNERS
@pytest.mark.parametrize("missing", range(8))
def test_a_job_that_does_not_say_everything_of_itself_is_refused(runner: CiRunner, missing: int) -> None:
    needed = sorted(TOLD[runner].keys() - {"GITHUB_WORKFLOW", "CI", "GITHUB_ACTIONS", "GITEA_ACTIONS", "GITHUB_WORKFLOW_REF"})
    gone = needed[missing % len(needed)]
    told = {name: value for name, value in TOLD[runner].items() if name != gone}
    refused = judged(in_job(runner, told=told), runner)
    assert isinstance(refused, Refused)


@RUNNERS
@pytest.mark.parametrize(
    "changed",
    [
        {"repository": "ops/other"},
        {"job": "test"},
        {"ref": "refs/heads/feature"},
        {"ref": "refs/tags/main"},
        {"workflow": "other.yaml"},
        {"actions": ["other"]},
    ],
)
def test_another_job_is_refused_and_says_what_differs(runner: CiRunner, changed: dict[str, object]) -> None:
    said = why(in_job(runner), runner, **changed)
    assert "none of those that the site names (deploy: " in said


@RUNNERS
@pytest.mark.parametrize("other", list(CiRunner))
def test_a_job_of_another_runner_is_refused(runner: CiRunner, other: CiRunner) -> None:
    assert isinstance(judged(in_job(other), runner), AllowedJob if runner is other else Refused)


@pytest.mark.parametrize(
    ("runner", "name", "events"),
    [
        (CiRunner.GITHUB, "GITHUB_EVENT_NAME", ("push", "schedule", "pull_request", "pull_request_target", "repository_dispatch", "workflow_run", "release")),
        (CiRunner.FORGEJO, "GITHUB_EVENT_NAME", ("push", "schedule", "pull_request", "issues")),
        (CiRunner.GITEA, "GITHUB_EVENT_NAME", ("push", "schedule", "pull_request")),
        (CiRunner.GITLAB, "CI_PIPELINE_SOURCE", ("push", "schedule", "merge_request_event", "api", "trigger", "pipeline", "parent_pipeline", "chat")),
        (CiRunner.WOODPECKER, "CI_PIPELINE_EVENT", ("push", "cron", "pull_request", "pull_request_closed", "tag", "release")),
    ],
)
def test_what_no_human_dispatched_is_refused(runner: CiRunner, name: str, events: tuple[str, ...]) -> None:
    for event in events:
        assert f"{event!r}, and not by a human's dispatch" in why(in_job(runner, told=TOLD[runner] | {name: event}), runner)


def test_a_manual_job_of_a_pushed_pipeline_is_no_dispatch() -> None:
    told = TOLD[CiRunner.GITLAB] | {"CI_PIPELINE_SOURCE": "push", "CI_JOB_MANUAL": "true"}
    assert "dispatch" in why(in_job(CiRunner.GITLAB, told=told), CiRunner.GITLAB)


def test_a_tag_and_a_branch_of_gitlab_are_not_mixed_up() -> None:
    tag = {name: value for name, value in TOLD[CiRunner.GITLAB].items() if name != "CI_COMMIT_BRANCH"} | {"CI_COMMIT_TAG": "main"}
    assert "refs/tags/main" in why(in_job(CiRunner.GITLAB, told=tag), CiRunner.GITLAB)
    assert isinstance(judged(in_job(CiRunner.GITLAB, told=tag), CiRunner.GITLAB, ref="refs/tags/main"), AllowedJob)
    both = TOLD[CiRunner.GITLAB] | {"CI_COMMIT_TAG": "main"}
    assert "on a branch and on a tag" in why(in_job(CiRunner.GITLAB, told=both), CiRunner.GITLAB)


@pytest.mark.parametrize(
    "reference", ["evil/platform/.forgejo/workflows/apply.yaml@refs/heads/main", "ops/platform/.forgejo/workflows/apply.yaml@refs/heads/x", "x"]
)
def test_a_workflow_of_another_repository_or_ref_is_refused(reference: str) -> None:
    assert "which is not of 'ops/platform'" in why(in_job(told=TOLD[CiRunner.FORGEJO] | {"GITHUB_WORKFLOW_REF": reference}))


def test_a_workflow_is_named_by_its_file_or_its_path() -> None:
    for workflow in ("apply.yaml", ".forgejo/workflows/apply.yaml", None):
        assert isinstance(judged(in_job(), workflow=workflow), AllowedJob)
    assert isinstance(judged(in_job(), workflow="Apply"), Refused)


def test_only_woodpecker_leaves_the_ending_of_a_workflow_away() -> None:
    told = TOLD[CiRunner.GITHUB] | {"GITHUB_WORKFLOW": "apply"}
    told.pop("GITHUB_WORKFLOW_REF")
    assert "its workflow is 'apply', not 'apply.yaml'" in why(in_job(CiRunner.GITHUB, told=told), CiRunner.GITHUB)


def test_a_human_who_is_refused_is_told_nothing_of_jobs() -> None:
    assert "job" not in why(in_job(environment=frozenset(), told={}))


def test_two_runners_at_once_are_none() -> None:
    told = TOLD[CiRunner.FORGEJO] | TOLD[CiRunner.GITLAB]
    assert "both say that they run this job" in why(in_job(told=told))


def test_a_job_that_the_site_names_twice_is_refused() -> None:
    refused = judge_caller(in_job(), {"one": a_job(), "two": a_job(workflow=None)}, "release")
    assert isinstance(refused, Refused)
    assert "more than once: one, two" in "; ".join(refused.why)


@given(st.dictionaries(st.sampled_from(sorted(TOLD_BY_RUNNERS)), st.sampled_from(["", "true", "ops/platform", "main", "web", "woodpecker", "a@b"])))
def test_any_words_of_a_runner_are_read(told: dict[str, str]) -> None:
    seen = job_seen(told)
    assert isinstance(seen, NoJob) or all((seen.repository, seen.job, seen.ref, seen.started))


WORDS = st.sampled_from(["ops/platform", "apply", "refs/heads/main", "apply.yaml", "web", "manual", "workflow_dispatch"])


@given(st.builds(JobSeen, runner=st.sampled_from(list(CiRunner)), repository=WORDS, workflow=WORDS, job=WORDS, ref=WORDS, started=WORDS))
def test_only_what_agrees_in_everything_is_a_named_job(seen: JobSeen) -> None:
    jobs = {"deploy": a_job(seen.runner)}
    agrees = (seen.repository, seen.job, seen.ref) == ("ops/platform", "apply", "refs/heads/main") and dispatched(seen)
    agrees = agrees and (seen.workflow == "apply.yaml" or (seen.runner is CiRunner.WOODPECKER and seen.workflow == "apply"))
    assert isinstance(judge_job(seen, jobs, "release"), Named) is agrees


# ---- what still refuses


@RUNNERS
@pytest.mark.parametrize("name", ["cron", "atd", "git", "git-receive-pack", "drone-agent"])
def test_what_refuses_a_human_refuses_a_job(runner: CiRunner, name: str) -> None:
    said = why(in_job(runner, Process(pid=25, parent=20, session=30, terminal=0, name=name)), runner)
    assert f"(process 25 ({name})" in said


def test_a_unit_that_sets_the_variables_is_no_job() -> None:
    unit = (Process(pid=40, parent=30, session=30, terminal=0, name="python3"), Process(pid=30, parent=1, session=30, terminal=0, name="bash", unit=30))
    said = why(in_job(ancestors=(*unit, Process(pid=1, parent=0, session=1, terminal=0, name="systemd"))))
    assert "main process of a systemd unit (process 30" in said
    assert "no runner of forgejo is above it" in said


def test_a_shell_that_sets_the_variables_is_no_job() -> None:
    tree = (
        Process(pid=40, parent=30, session=30, terminal=5, name="python3"),
        Process(pid=30, parent=10, session=30, terminal=5, name="bash"),
        Process(pid=10, parent=1, session=10, terminal=0, name="sshd"),
        Process(pid=1, parent=0, session=1, terminal=0, name="systemd"),
    )
    assert "no runner of forgejo is above it" in why(in_job(ancestors=tree, terminal_opens=True))


@pytest.mark.parametrize("shell", [Process(pid=1, parent=0, session=1, terminal=0, name="sh"), Process(pid=77, parent=0, session=77, terminal=0, name="bash")])
def test_a_job_in_a_container_shows_no_runner(shell: Process) -> None:
    """Started as its first process, or brought in by `docker exec`: its runner is outside."""
    for session in (shell.session, 99):
        tree = (Process(pid=99, parent=shell.pid, session=session, terminal=0, name="python3"), shell)
        assert isinstance(judged(in_job(ancestors=tree)), AllowedJob if shell.pid != 1 or session == 1 else Refused)


def test_a_job_in_a_container_that_sees_the_processes_of_the_host() -> None:
    tree = (
        Process(pid=40, parent=30, session=30, terminal=0, name="python3"),
        Process(pid=30, parent=20, session=30, terminal=0, name="bash"),
        Process(pid=20, parent=1, session=20, terminal=0, name="containerd-shim"),
        Process(pid=1, parent=0, session=1, terminal=0, name="systemd"),
    )
    assert isinstance(judged(in_job(ancestors=tree)), AllowedJob)


def test_a_job_whose_ancestors_are_hidden_is_refused() -> None:
    assert "cannot be seen" in why(in_job(complete=False))


@pytest.mark.parametrize("mark", ["JENKINS_URL", "DRONE", "GITLAB_CI"])
def test_the_mark_of_another_runner_above_it_is_refused(mark: str) -> None:
    above = Process(pid=25, parent=20, session=30, terminal=0, name="bash", environment=frozenset({mark}))
    assert f"runs this as well ({mark} is set)" in why(in_job(CiRunner.FORGEJO, above))


def test_ci_alone_is_still_asked_about() -> None:
    tree = (Process(pid=40, parent=30, session=30, terminal=5, name="python3"), Process(pid=30, parent=9, session=30, terminal=5, name="bash"))
    tree = (*tree, Process(pid=9, parent=0, session=9, terminal=0, name="sshd"))
    facts = CallerFacts(environment=frozenset({"CI"}), ancestors=tree, complete=True, terminal_opens=True, told={"CI": "true"})
    assert isinstance(judge_caller(facts, {"deploy": a_job()}, "release"), MustAsk)


def test_every_runner_has_variables_and_programs() -> None:
    assert ITS_VARIABLES.keys() == ITS_PROGRAMS.keys() == TOLD.keys() == set(CiRunner)


# ---- the page

PAGE = Path(__file__).parents[2] / "docs" / "callers.md"


def test_the_example_of_the_page_names_a_job_that_may_apply() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    jobs = {name: CiJob.model_validate(fields) for name, fields in yaml.safe_load(text)["approval"]["jobs"].items()}
    assert judge_caller(in_job(), jobs, "release") == AllowedJob(name="deploy", repository="ops/platform")
    assert isinstance(judge_caller(in_job(), jobs, "migrate"), Refused)


def test_the_page_names_every_variable_and_program_that_is_believed() -> None:
    named = set(re.findall(r"`([\w.-]+)`", PAGE.read_text()))
    assert named >= TOLD_BY_RUNNERS
    assert named >= frozenset().union(*ITS_PROGRAMS.values())


# ---- through the runner

JOBS = """\
  jobs:
    deploy: {runner: forgejo, repository: ops/platform, workflow: apply.yaml, job: apply}
"""


def tiny_with_jobs(folder: Path, **changed: object) -> Tiny:
    site: dict[str, object] = {"people": ("anna", "bert"), "approval": JOBS}
    tiny = make_tiny(folder, **site | changed)  # type: ignore[arg-type]
    tiny.caller = in_job()
    return tiny


def means(tiny: Tiny) -> Means:
    def never(question: str) -> str:
        raise AssertionError(question)

    return tiny.means(ask=never)


def test_a_job_applies_what_somebody_else_signed_and_is_named_everywhere(tmp_path: Path) -> None:
    tiny = tiny_with_jobs(tmp_path)
    stored = tiny.approved("bert")
    assert apply(tiny.site, str(stored.folder), tiny.environ, means(tiny)).exit_code == 0
    assert tiny.look() == NEW
    trail = journals.newest(tiny.books.journals)
    assert trail is not None
    assert trail.entries[0].data["by"]["job"] == "job deploy of ops/platform"
    assert tiny.kept[-1].job == "job deploy of ops/platform"
    assert "by job deploy of ops/platform on the word of bert" in status_text(tiny.site, now=tiny.now)


def test_a_job_does_not_apply_what_nobody_signed(tmp_path: Path) -> None:
    tiny = tiny_with_jobs(tmp_path)
    with pytest.raises(ApprovalError):
        apply(tiny.site, str(tiny.plan().folder), tiny.environ, means(tiny))
    assert not list(tiny.books.journals.glob("0*"))


def test_a_job_does_not_apply_what_its_planner_approved(tmp_path: Path) -> None:
    tiny = tiny_with_jobs(tmp_path, people=("anna",))
    stored = tiny.approved("anna")
    with pytest.raises(ApprovalError, match="job deploy of ops/platform may not apply this plan") as raised:
        apply(tiny.site, str(stored.folder), tiny.environ, means(tiny))
    assert "its planner approved it" in str(raised.value)
    assert not list(tiny.books.journals.glob("0*"))


def test_a_job_does_not_apply_what_needs_an_operator(tmp_path: Path) -> None:
    tiny = tiny_with_jobs(tmp_path, kind="operator")
    with pytest.raises(ApprovalError, match="may not apply this plan"):
        apply(tiny.site, str(tiny.plan().folder), tiny.environ, means(tiny))
    assert not list(tiny.books.journals.glob("0*"))


def test_a_job_answers_nothing_in_mid_plan_and_what_it_began_humans_finish(tmp_path: Path) -> None:
    asks = '      - approval: {asks: "are the counts right?"}\n'
    tiny = tiny_with_jobs(tmp_path, steps=STEPS.replace("      - command", f"{asks}      - command"))
    shutil.copytree(key_of("bert").parent, tmp_path / ".ssh")
    (tmp_path / ".ssh" / "bert").rename(tmp_path / ".ssh" / "id_ed25519")
    (tmp_path / ".ssh" / "bert.pub").rename(tmp_path / ".ssh" / "id_ed25519.pub")  # whoever holds a key would be asked
    stored = tiny.approved("bert")
    outcome = apply(tiny.site, str(stored.folder), tiny.environ, means(tiny))
    assert (outcome.exit_code, "waits at step 3" in outcome.text) == (13, True)
    assert "there is nobody to ask" in outcome.text
    for verb in (resume, rollback):
        with pytest.raises(ApprovalError, match="may not apply"):
            verb(tiny.site, str(stored.folder), tiny.environ, means(tiny))


def test_a_job_that_guards_a_script_is_told_who_approves_it(tmp_path: Path) -> None:
    tiny = tiny_with_jobs(tmp_path, steps="      - backup: {modules: [app]}\n")
    script = tiny.root / "bin" / "deploy"

    def run() -> int:
        return guard(tiny.site, "release", [str(script)], tiny.environ, directory=tiny.root, key=key_of("anna"), means=means(tiny)).exit_code

    with pytest.raises(ApprovalError, match="waits for its approval") as raised:
        run()
    assert "interlock approve release-" in str(raised.value)
    assert tiny.runs() == 0
    (plan,) = (tiny.root / ".interlock" / "plans").iterdir()
    tiny.approve(find_plan(tiny.books, plan.name), "bert")
    (tiny.instance / "conf" / "app.conf").touch()
    assert run() == 0
    assert tiny.runs() == 1


def test_a_job_that_the_site_does_not_name_is_refused_before_the_gate_runs(tmp_path: Path) -> None:
    tiny = again(tiny_with_jobs(tmp_path))
    stored = tiny.approved("bert")
    tiny.caller = in_job(told=TOLD[CiRunner.FORGEJO] | {"GITHUB_EVENT_NAME": "push"})
    with pytest.raises(ApprovalError, match="may not apply") as raised:
        apply(tiny.site, str(stored.folder), tiny.environ, means(tiny))
    assert "not by a human's dispatch (workflow_dispatch)" in str(raised.value)
    assert tiny.gates == []
