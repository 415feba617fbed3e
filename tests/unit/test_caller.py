"""A human at a terminal may apply; CI runners, cron, at, a unit's main process and git hooks may not. Facts are handed in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.callers import CallerFacts, Process
from interlock.gate.caller import CI_PROGRAMS, CI_VARIABLES, SCHEDULERS, Allowed, MustAsk, Refused, judge_caller
from interlock.observe.caller import _ancestors, _process, caller_facts, process_started, who

TTY = 34816


def at_terminal(*names: str, environment: tuple[str, ...] = (), **changed: object) -> CallerFacts:
    """Facts of a process below these ancestors, nearest first; the last one leads the session."""
    session = 100
    ancestors = [Process(pid=200, parent=199, session=session, terminal=TTY, name="python", argv=("python", "-m", "interlock"))]
    for place, name in enumerate(names or ("bash",)):
        pid = session if place == len(names or ("bash",)) - 1 else 199 - place
        ancestors.append(Process(pid=pid, parent=1, session=session, terminal=TTY, name=name[:15], argv=(f"/usr/bin/{name}",)))
    facts = CallerFacts(environment=frozenset(environment), ancestors=tuple(ancestors), complete=True, terminal_opens=True, parent_of_leader="sshd")
    return dataclasses.replace(facts, **changed)  # type: ignore[arg-type]


def without_terminal(facts: CallerFacts) -> CallerFacts:
    return dataclasses.replace(facts, ancestors=tuple(dataclasses.replace(one, terminal=0) for one in facts.ancestors), terminal_opens=False)


def why(facts: CallerFacts) -> str:
    judged = judge_caller(facts)
    assert isinstance(judged, Refused)
    return "; ".join(judged.why)


@pytest.mark.parametrize("names", [("bash",), ("sh", "zsh"), ("make", "bash"), ("sudo", "bash"), ("tmux: server",), ("fish",), ("python", "ipython", "bash")])
def test_a_human_at_a_terminal_may_apply(names: tuple[str, ...]) -> None:
    assert judge_caller(at_terminal(*names)) == Allowed()


@pytest.mark.parametrize("variable", ["INVOCATION_ID", "JOURNAL_STREAM", "SSH_CONNECTION", "GIT_EDITOR", "SYSTEMD_EXEC_PID", "GITHUB_TOKEN"])
def test_what_ordinary_terminals_inherit_refuses_nobody(variable: str) -> None:
    assert judge_caller(at_terminal(environment=(variable,))) == Allowed()


def test_ci_alone_is_asked_about() -> None:
    assert isinstance(judge_caller(at_terminal(environment=("CI", "PATH"))), MustAsk)


@pytest.mark.parametrize("variable", sorted(CI_VARIABLES))
def test_a_ci_runner_is_known_by_its_own_variable(variable: str) -> None:
    assert variable in why(at_terminal(environment=(variable, "CI")))


@pytest.mark.parametrize("program", sorted(CI_PROGRAMS.keys() | SCHEDULERS.keys()))
def test_a_runner_or_scheduler_above_it_is_known_by_its_name(program: str) -> None:
    assert "runs this" in why(at_terminal("sh", program, "bash"))


def test_a_jenkins_agent_is_known_by_its_archive() -> None:
    java = Process(pid=150, parent=100, session=100, terminal=TTY, name="java", argv=("/usr/bin/java", "-Xmx64m", "-jar", "/opt/jenkins/agent.jar"))
    facts = at_terminal("sh", "bash")
    facts = dataclasses.replace(facts, ancestors=(facts.ancestors[0], java, *facts.ancestors[1:]))
    assert "Jenkins agent" in why(facts)


@pytest.mark.parametrize("scheduler", ["cron", "atd", "crond"])
def test_a_job_of_cron_or_at_has_no_terminal_and_a_scheduler_above_its_session(scheduler: str) -> None:
    said = why(without_terminal(at_terminal("sh", parent_of_leader=scheduler)))
    assert "no controlling terminal" in said
    assert f"{scheduler} started its session" in said


def test_the_parent_of_a_terminal_session_says_nothing() -> None:
    """A tmux server that cron started at boot is used by humans."""
    assert judge_caller(at_terminal(parent_of_leader="cron")) == Allowed()


def test_the_main_process_of_a_unit_is_refused_even_with_a_terminal() -> None:
    assert "main process of a systemd unit" in why(at_terminal("sh", "deploy.sh", systemd_exec_pid=100))
    assert judge_caller(at_terminal(systemd_exec_pid=7)) == Allowed()


@pytest.mark.parametrize("name", ["git", "git-receive-pack", "git-remote-http"])
def test_git_above_it_is_a_hook_or_an_alias(name: str) -> None:
    assert "hook" in why(at_terminal("sh", name, "bash"))


def test_a_hook_script_is_known_by_its_place() -> None:
    hook = Process(pid=150, parent=100, session=100, terminal=TTY, name="sh", argv=("/bin/sh", "/srv/app/.git/hooks/post-merge"))
    facts = at_terminal()
    assert "git hook" in why(dataclasses.replace(facts, ancestors=(facts.ancestors[0], hook, *facts.ancestors[1:])))


def test_whoever_cannot_be_seen_may_not_apply() -> None:
    assert "cannot be seen" in why(at_terminal(complete=False))
    assert "cannot be opened" in why(at_terminal(terminal_opens=False))
    assert "cannot be looked at" in why(at_terminal(ancestors=()))


def test_every_reason_is_given() -> None:
    said = why(without_terminal(at_terminal("gitlab-runner", "git", environment=("GITLAB_CI",))))
    assert all(part in said for part in ("GitLab CI runs this", "the GitLab runner runs this", "git runs this", "no controlling terminal"))


@given(
    st.frozensets(st.sampled_from(["CI", "PATH", "GITHUB_ACTIONS", "INVOCATION_ID", "DRONE"])),
    st.lists(st.sampled_from(["bash", "cron", "git", "make", "act_runner", "sudo"]), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_nobody_is_allowed_for_whom_something_speaks_against_it(
    environment: frozenset[str], names: list[str], terminal: bool, opens: bool, complete: bool
) -> None:
    facts = at_terminal(*names, environment=tuple(environment), terminal_opens=opens, complete=complete)
    facts = facts if terminal else without_terminal(facts)
    suspicious = bool(environment & {"GITHUB_ACTIONS", "DRONE"}) or bool({"cron", "git", "act_runner"} & set(names)) or not (terminal and opens and complete)
    judged = judge_caller(facts)
    assert isinstance(judged, Refused) is suspicious
    assert isinstance(judged, MustAsk) is (not suspicious and "CI" in environment)


# ---- reading /proc


def proc_entry(proc: Path, pid: int, *, parent: int, session: int, name: str = "bash", terminal: int = TTY, environ: bytes = b"") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    numbers = ["S", str(parent), str(pid), str(session), str(terminal), "-1", *["0"] * 13, "4711", *["0"] * 20]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(numbers)}\n")
    (folder / "comm").write_text(name + "\n")
    (folder / "cmdline").write_bytes(f"/bin/{name}".encode() + b"\0-l\0")
    (folder / "environ").write_bytes(environ)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("os.getpid", lambda: 400)
    return tmp_path


def test_ancestors_are_read_up_to_the_leader_of_the_session(proc: Path) -> None:
    proc_entry(proc, 400, parent=300, session=200, name="py (x) thon")
    proc_entry(proc, 300, parent=200, session=200)
    proc_entry(proc, 200, parent=100, session=200)
    proc_entry(proc, 100, parent=1, session=100, name="sshd")
    facts = caller_facts({"HOME": "/root", "SYSTEMD_EXEC_PID": "77"}, proc=proc)
    assert [process.pid for process in facts.ancestors] == [400, 300, 200]
    assert facts.complete
    assert facts.ancestors[0].name == "py (x) thon"
    assert facts.ancestors[1].argv == ("/bin/bash", "-l")
    assert facts.parent_of_leader == "sshd"
    assert facts.systemd_exec_pid == 77
    assert facts.environment == {"HOME", "SYSTEMD_EXEC_PID"}
    assert process_started(300, proc=proc) == 4711


def test_sudo_with_a_terminal_of_its_own_is_looked_through(proc: Path) -> None:
    """What `sudo` hides (its environment is clean, its session new) stands above it."""
    proc_entry(proc, 400, parent=300, session=300)
    proc_entry(proc, 300, parent=250, session=300, name="sudo")
    proc_entry(proc, 250, parent=200, session=200, name="sudo", environ=b"GITHUB_ACTIONS=true\0PATH=/bin\0")
    proc_entry(proc, 200, parent=1, session=200)
    facts = caller_facts({}, proc=proc)
    assert facts.complete
    assert [process.pid for process in facts.ancestors] == [400, 300, 250, 200]
    assert "GITHUB_ACTIONS" in facts.environment


def test_an_ancestor_that_cannot_be_read_leaves_it_incomplete(proc: Path) -> None:
    proc_entry(proc, 400, parent=300, session=200)
    assert not caller_facts({}, proc=proc).complete


def test_a_session_without_a_leader_in_sight_is_incomplete(proc: Path) -> None:
    """As in a container whose session was opened outside of it."""
    proc_entry(proc, 400, parent=1, session=0)
    proc_entry(proc, 1, parent=0, session=1, name="init")
    assert _ancestors(proc)[1] is False


@pytest.mark.parametrize("text", ["", "garbage", "400 (x) S 1", "400 (x"])
def test_a_stat_that_is_none_is_no_process(proc: Path, text: str) -> None:
    (proc / "400").mkdir()
    (proc / "400" / "stat").write_text(text)
    assert _process(proc, 400) is None


def test_the_remains_of_a_process_are_not_running(proc: Path) -> None:
    proc_entry(proc, 400, parent=1, session=400)
    path = proc / "400" / "stat"
    path.write_text(path.read_text().replace(") S ", ") Z "))
    assert process_started(400, proc=proc) is None


def test_who_is_behind_sudo_is_named() -> None:
    user, host = who({"SUDO_USER": "anna-of-another-name"})
    assert user.endswith("(anna-of-another-name by sudo)")
    assert host
    assert "by sudo" not in who({})[0]
