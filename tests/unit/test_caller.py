"""A human at a terminal may apply; CI runners, cron, at, a unit's main process and git hooks may not. Facts are handed in.

tests/unit/test_caller_jobs.py has the CI jobs that a site names, tests/integration/test_callers_real.py the real processes.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.callers import CallerFacts, Process
from interlock.gate.caller import BRING_IN, CI_PROGRAMS, CI_VARIABLES, PASS_ON, SCHEDULERS, Allowed, MustAsk, Refused, judge_caller
from interlock.observe.caller import _process, caller_facts, who
from interlock.observe.eyes import process_started

TTY = 34816
OURS = Process(pid=200, parent=199, session=100, terminal=TTY, name="python", argv=("python", "-m", "interlock"))
SSHD = Process(pid=50, parent=1, session=50, terminal=0, name="sshd", program="sshd")
INIT = Process(pid=1, parent=0, session=1, terminal=0, name="systemd", program="systemd")


def one(name: str, pid: int = 150, *, session: int = 100, terminal: int = TTY, **changed: object) -> Process:
    """A process, above ours unless told otherwise."""
    process = Process(pid=pid, parent=pid - 1, session=session, terminal=terminal, name=name[:15], argv=(f"/usr/bin/{name}",))
    return dataclasses.replace(process, **changed)  # type: ignore[arg-type]


def at_terminal(*names: str, environment: tuple[str, ...] = (), above: tuple[Process, ...] = (SSHD, INIT), **changed: object) -> CallerFacts:
    """Facts of a process below these ancestors, nearest first; the last one leads the session, and `above` serve its terminal."""
    names = names or ("bash",)
    ancestors = [one(name, 199 - place) for place, name in enumerate(names[:-1])] + [one(names[-1], 100, parent=50)]
    facts = CallerFacts(environment=frozenset(environment), ancestors=(OURS, *ancestors, *above), complete=True, terminal_opens=True)
    return dataclasses.replace(facts, **changed)  # type: ignore[arg-type]


def without_terminal(facts: CallerFacts) -> CallerFacts:
    return dataclasses.replace(facts, ancestors=tuple(dataclasses.replace(process, terminal=0) for process in facts.ancestors), terminal_opens=False)


def below(process: Process, facts: CallerFacts | None = None) -> CallerFacts:
    """The same facts with this process right above ours."""
    facts = facts or at_terminal()
    return dataclasses.replace(facts, ancestors=(facts.ancestors[0], process, *facts.ancestors[1:]))


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


@pytest.mark.parametrize("changed", [{"program": "crond"}, {"argv": ("/usr/sbin/crond", "-f")}])
def test_a_name_that_a_process_gave_itself_hides_nothing(changed: dict[str, object]) -> None:
    """PR_SET_NAME changes the kernel's name, a process its own argv; its file stays."""
    assert "cron runs this" in why(below(one("innocent", **{"argv": ("innocent",), **changed})))


def test_a_name_that_the_kernel_cut_is_known() -> None:
    assert "Woodpecker agent" in why(below(one("woodpecker-agent", argv=())))


def test_a_jenkins_agent_is_known_by_its_archive() -> None:
    assert "Jenkins agent" in why(below(one("java", argv=("/usr/bin/java", "-Xmx64m", "-jar", "/opt/jenkins/agent.jar"))))


def test_an_archive_that_is_no_program_means_nothing() -> None:
    assert judge_caller(below(one("java", argv=("/usr/bin/java", "-javaagent:/opt/apm/agent.jar", "-jar", "/opt/ide/ide.jar")))) == Allowed()


@pytest.mark.parametrize("scheduler", ["cron", "atd", "crond", "anacron"])
def test_a_job_of_cron_or_at_has_no_terminal_and_a_scheduler_above_its_session(scheduler: str) -> None:
    said = why(without_terminal(at_terminal("sh", above=(one(scheduler, 50, session=50), INIT))))
    assert "no controlling terminal" in said
    assert f"runs this (process 50 ({scheduler}) above it)" in said


def test_a_terminal_that_a_job_of_cron_opened_is_no_humans() -> None:
    """Whatever it was opened with."""
    assert "cron runs this" in why(at_terminal("bash", above=(one("python3", 60, session=60, terminal=0), one("cron", 50, session=50, terminal=0), INIT)))


@pytest.mark.parametrize("opener", sorted(PASS_ON))
def test_a_terminal_that_was_opened_where_there_is_none_is_refused(opener: str) -> None:
    facts = at_terminal("bash", above=(one(opener, 50, session=40, terminal=0), one("deploy.sh", 40, session=40, terminal=0), INIT))
    assert why(facts) == f"process 50 ({opener[:15]}) opened its terminal, and has none itself"


@pytest.mark.parametrize("opener", sorted(PASS_ON))
def test_a_terminal_that_was_opened_in_a_humans_terminal_is_theirs(opener: str) -> None:
    inner = (one(opener, 50, session=40, terminal=TTY + 1), one("bash", 40, session=40, terminal=TTY + 1), SSHD, INIT)
    assert judge_caller(at_terminal("bash", above=inner)) == Allowed()
    hook = (inner[0], one("git", 45, session=40, terminal=TTY + 1), *inner[1:])
    assert "git runs this" in why(at_terminal("bash", above=hook))


def test_what_serves_a_terminal_is_believed() -> None:
    """Humans sit at terminals of desktops, editors, multiplexers and web servers, whatever started those."""
    for name in ("sshd", "gnome-terminal-server", "code", "node", "emacs", "python3", "tmux: server", "login"):
        assert judge_caller(at_terminal("bash", above=(one(name, 50, session=50, terminal=0), INIT))) == Allowed()


def test_nobody_attached_to_the_multiplexer_is_nobody() -> None:
    server = (one("tmux: server", 50, session=50, terminal=0), INIT)
    assert "nobody is attached" in why(at_terminal("bash", above=server, attached=False))
    assert judge_caller(at_terminal("bash", above=server, attached=True)) == Allowed()


def test_the_main_process_of_a_unit_is_refused_even_with_a_terminal() -> None:
    unit = one("deploy.sh", 100, unit=100, parent=1)
    facts = at_terminal(above=(INIT,))
    assert "main process of a systemd unit (process 100" in why(dataclasses.replace(facts, ancestors=(OURS, one("sh", unit=100), unit, INIT)))


def test_a_shell_that_a_units_main_process_serves_is_a_humans() -> None:
    """The terminal emulator of a desktop is a unit, and its shells inherit the variable."""
    server = one("gnome-terminal-", 50, session=50, terminal=0, unit=50)
    facts = at_terminal("bash", above=(server, INIT))
    assert judge_caller(dataclasses.replace(facts, ancestors=tuple(dataclasses.replace(each, unit=50) for each in facts.ancestors))) == Allowed()


@pytest.mark.parametrize("name", ["git", "git-receive-pack", "git-remote-http"])
def test_git_above_it_is_a_hook_or_an_alias(name: str) -> None:
    assert "hook" in why(at_terminal("sh", name, "bash"))


def test_a_hook_script_is_known_by_its_place() -> None:
    assert "git hook" in why(below(one("sh", argv=("/bin/sh", "/srv/app/.git/hooks/post-merge"))))


@pytest.mark.parametrize("mark", ["GITHUB_ACTIONS", "GITLAB_CI"])
def test_what_env_took_away_shows_above(mark: str) -> None:
    assert mark in why(below(one("sh", environment=frozenset({mark}))))
    assert judge_caller(at_terminal(above=(dataclasses.replace(SSHD, environment=frozenset({mark})), INIT))) == Allowed()


def test_inside_of_a_container_nobody_can_tell() -> None:
    """`docker exec -t` in a job of cron gives a terminal, and what started it is outside."""
    judged = judge_caller(at_terminal("bash", above=()))
    assert isinstance(judged, Refused)
    assert judged.why == ("what opened its terminal is outside of this container, and cannot be seen",)
    assert "on the host itself" in judged.remedy


@pytest.mark.parametrize("runtime", sorted(BRING_IN))
def test_inside_of_a_container_that_sees_the_processes_of_the_host_nobody_can_tell_either(runtime: str) -> None:
    judged = judge_caller(at_terminal("bash", above=(one(runtime, 50, session=50, terminal=0), INIT)))
    assert isinstance(judged, Refused)
    assert judged.why == ("what opened its terminal is outside of this container, and cannot be seen",)
    assert "on the host itself" in judged.remedy


def test_a_session_without_a_leader_in_sight_is_refused() -> None:
    """As of a program in the background whose shell has gone."""
    facts = at_terminal()
    assert why(dataclasses.replace(facts, ancestors=(OURS, INIT))) == "its ancestors cannot be seen up to the session's leader"


def test_whoever_cannot_be_seen_may_not_apply() -> None:
    judged = judge_caller(at_terminal(complete=False))
    assert isinstance(judged, Refused)
    assert "cannot be seen" in "; ".join(judged.why)
    assert "hidepid" in judged.remedy
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
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self").symlink_to("400")
    return tmp_path


def test_ancestors_are_read_up_to_the_first_of_the_machine(proc: Path) -> None:
    proc_entry(proc, 400, parent=300, session=200, name="py (x) thon")
    proc_entry(proc, 300, parent=200, session=200, environ=b"GITHUB_ACTIONS=true\0SYSTEMD_EXEC_PID=200\0PASSWORD=hush\0")
    proc_entry(proc, 200, parent=1, session=200)
    proc_entry(proc, 1, parent=0, session=1, name="init", terminal=0)
    (proc / "200" / "exe").symlink_to("/usr/bin/bash-5 (deleted)")
    facts = caller_facts({"HOME": "/root", "GITHUB_REF": "refs/heads/main", "GITHUB_TOKEN": "hush"}, proc=proc)
    assert [process.pid for process in facts.ancestors] == [400, 300, 200, 1]
    assert facts.complete
    assert facts.ancestors[0].name == "py (x) thon"
    assert facts.ancestors[1].argv == ("/bin/bash", "-l")
    assert facts.ancestors[1].environment == {"GITHUB_ACTIONS", "SYSTEMD_EXEC_PID", "PASSWORD"}
    assert facts.ancestors[1].unit == 200
    assert facts.ancestors[2].program == "bash-5"
    assert facts.environment == {"HOME", "GITHUB_REF", "GITHUB_TOKEN"}
    assert facts.told == {"GITHUB_REF": "refs/heads/main"}
    assert "hush" not in repr(facts)
    assert process_started(300, str(proc)) == 4711


@pytest.mark.parametrize("link", ["", "x"])
def test_a_proc_that_does_not_know_this_process_shows_nothing(tmp_path: Path, link: str) -> None:
    """As where the /proc of another namespace is mounted: the number that this process knows of itself is somebody else there."""
    if link:
        (tmp_path / "self").symlink_to(link)
    proc_entry(tmp_path, os.getpid(), parent=0, session=os.getpid())
    facts = caller_facts({}, proc=tmp_path)
    assert (facts.ancestors, facts.complete) == ((), False)
    assert isinstance(judge_caller(facts), Refused)


def test_an_ancestor_that_cannot_be_read_leaves_it_incomplete(proc: Path) -> None:
    proc_entry(proc, 400, parent=300, session=200)
    assert not caller_facts({}, proc=proc).complete


def test_processes_that_change_while_they_are_looked_at_leave_it_incomplete(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc_entry(proc, 400, parent=0, session=200)
    looks = itertools.count()
    monkeypatch.setattr("interlock.observe.caller._program", lambda _folder: f"another-{next(looks)}")
    assert not caller_facts({}, proc=proc).complete


def test_a_process_that_ends_while_it_is_looked_at_is_looked_at_again(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc_entry(proc, 400, parent=0, session=200)
    looks = itertools.count()
    monkeypatch.setattr("interlock.observe.caller._program", lambda _folder: "first" if next(looks) == 0 else "second")
    facts = caller_facts({}, proc=proc)
    assert facts.complete
    assert facts.ancestors[0].program == "second"


@pytest.mark.parametrize("attached", [True, False])
def test_a_socket_that_can_be_executed_says_that_somebody_is_attached(proc: Path, attached: bool) -> None:
    socket = proc / "socket"
    socket.touch(mode=0o770 if attached else 0o660)
    proc_entry(proc, 400, parent=300, session=400, environ=f"TMUX={socket},300,0\0".encode())
    proc_entry(proc, 300, parent=0, session=300, name="tmux: server")
    assert caller_facts({}, proc=proc).attached is attached


@pytest.mark.parametrize("variables", [b"", b"TMUX=/nowhere/socket,300,0\0", b"TMUX=/dev/null,299,0\0", b"TMUX=x\0", b"STY=299.x\0"])
def test_a_multiplexer_without_a_socket_in_sight_says_nothing(proc: Path, variables: bytes) -> None:
    proc_entry(proc, 400, parent=300, session=400, environ=variables)
    proc_entry(proc, 300, parent=0, session=300, name="tmux: server")
    assert caller_facts({}, proc=proc).attached is None


@given(st.lists(st.sampled_from([INIT, SSHD, OURS, one("git"), one("script", terminal=0), one("bash", 100)]), max_size=6), st.booleans())
def test_any_tree_is_judged(ancestors: list[Process], complete: bool) -> None:
    facts = CallerFacts(environment=frozenset(), ancestors=tuple(ancestors), complete=complete, terminal_opens=True)
    judged = judge_caller(facts)
    assert complete or isinstance(judged, Refused)
    assert (ancestors and ancestors[0].terminal) or isinstance(judged, Refused)


@pytest.mark.parametrize("text", ["", "garbage", "400 (x) S 1", "400 (x"])
def test_a_stat_that_is_none_is_no_process(proc: Path, text: str) -> None:
    (proc / "400").mkdir()
    (proc / "400" / "stat").write_text(text)
    assert _process(proc, 400) is None


def test_the_remains_of_a_process_are_not_running(proc: Path) -> None:
    proc_entry(proc, 400, parent=1, session=400)
    path = proc / "400" / "stat"
    path.write_text(path.read_text().replace(") S ", ") Z "))
    assert process_started(400, str(proc)) is None


def test_who_is_behind_sudo_is_named() -> None:
    user, host = who({"SUDO_USER": "anna-of-another-name"})
    assert user.endswith("(anna-of-another-name by sudo)")
    assert host
    assert "by sudo" not in who({})[0]
