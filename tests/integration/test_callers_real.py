"""Who may apply, asked of real process trees: the real cron, at, git, sshd, tmux, screen, sudo, su, script, namespaces, each with the real command line.

Those that are refused run `interlock apply` on an approved plan; of those that are allowed the real facts are judged, since one apply is like another
(test_apply_terminal.py has it whole). Two are stand-ins: a CI runner is a program of its name with the variables that it documents, and a unit's main process
is one that leads its session and carries the variables of systemd.exec(5), as a unit of a real `systemd --user` was seen to.
"""

from __future__ import annotations

import functools
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from interlock.act import journal as journals
from interlock.act.books import Books
from interlock.evidence.folder import load_run
from tests.by_hand import Hand, approved
from tests.docker_engine import IMAGE, docker_engine
from tests.in_terminal import OWN_TERMINAL, Shown, human_environ, in_terminal
from tests.integration.sshd import PrivateSshd
from tests.tiny_site import SECRET

ALLOWED = "Allowed()"
LIMIT_S = 30
JUDGE = """
import os
from interlock.gate.caller import judge_caller
from interlock.observe.caller import caller_facts
facts = caller_facts(os.environ)
print(judge_caller(facts))
print([(process.pid, process.parent, process.session, process.terminal, process.name) for process in facts.ancestors])
"""


@dataclass(frozen=True)
class Asking:
    """A site with an approved plan, and programs for others to run."""

    hand: Hand
    plan: str

    def program(self, folder: Path, *, judge: bool = False) -> Path:
        """A script that applies the plan (or asks for the judgement alone) and keeps what was shown in `said` beside it, its exit code last."""
        kept = {name: self.hand.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "TINY_PASSWORD") if name in self.hand.environ}
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in kept.items())
        run = f"{sys.executable} -c {shlex.quote(JUDGE)}" if judge else f"{sys.executable} -m interlock apply {self.plan}"
        path = folder / ("judge.sh" if judge else "apply.sh")
        said = folder / "said"
        path.write_text(f'#!/bin/sh\n{exports}\ncd {self.hand.tiny.root}\n{run} > {said}.part 2>&1\necho "exit $?" >> {said}.part\nmv {said}.part {said}\n')
        path.chmod(0o755)
        return path

    def refused(self, folder: Path, *whys: str) -> None:
        """Whoever ran the program was refused, for these reasons among others, and nothing happened."""
        text = said(folder)
        assert "this process may not apply" in text
        assert text.endswith("exit 13\n"), text
        for why in whys:
            assert why in text, text
        assert self.hand.untouched()


def said(folder: Path) -> str:
    """What the program showed, once it has ended."""
    until = time.monotonic() + LIMIT_S
    while not (folder / "said").exists():
        assert time.monotonic() < until, f"it never ended: {[path.read_text() for path in folder.glob('said.part')]}"
        time.sleep(0.02)
    return (folder / "said").read_text()


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    hand = Hand(tmp_path_factory.mktemp("asking"))
    return Asking(hand=hand, plan=approved(hand))


def demand(*programs: str) -> None:
    """Skip where one of these is not installed; in CI everything is."""
    missing = [program for program in programs if not found(program)]
    if missing and os.environ.get("INTERLOCK_CI") == "1" and os.geteuid() == 0:
        pytest.fail(f"this test needs {', '.join(missing)}, and CI has everything")
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (make setup-system)")


def found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


@functools.cache
def may_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/run"), capture_output=True, check=False).returncode == 0


def demand_mounts() -> None:
    if not may_mount():
        pytest.skip("needs root and a mount namespace of its own: spools and pid files of the system are covered there")


def in_shell(asking: Asking, *lines: str) -> Shown:
    """What a human types into a shell of their own terminal."""
    return in_terminal(("/bin/sh", "-c", "\n".join((*lines, "exit 0"))), asking.hand.environ, asking.hand.tiny.root)


def detached(asking: Asking, *argv: str | Path) -> None:
    """Run it in a session of its own, without a terminal."""
    subprocess.run(argv, env=asking.hand.environ, cwd=asking.hand.tiny.root, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True, check=False)


def quoted(*argv: str | Path) -> str:
    return shlex.join(map(str, argv))


# ---- cron and at


def with_cron(folder: Path, job: str) -> None:
    """Run a job by Debian's cron, as soon as it starts, in a mount namespace in which it finds no other job."""
    demand("cron", "unshare")
    demand_mounts()
    (folder / "spool" / "crontabs").mkdir(parents=True)
    script = f"""
        set -e
        mount -t tmpfs tmpfs /run
        mount --bind {folder}/spool /var/spool/cron
        mount -t tmpfs tmpfs /etc/cron.d
        mount --bind /dev/null /etc/crontab
        printf '%s\\n' {shlex.quote(f"@reboot {job}")} > /var/spool/cron/crontabs/root
        chmod 600 /var/spool/cron/crontabs/root
        exec {found("cron")} -f
    """
    with running("unshare", "-m", "sh", "-c", script):
        said(folder)


@contextmanager
def running(*argv: str) -> Iterator[int]:
    """A program and all that it starts in its process group, until the block ends. Gives its process id."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the first of a namespace hears nothing else
        process.wait()


def test_a_job_of_the_real_cron(asking: Asking, tmp_path: Path) -> None:
    with_cron(tmp_path, f"{asking.program(tmp_path)}")
    asking.refused(tmp_path, "(cron) above it)", "it has no controlling terminal")


def test_a_job_of_the_real_cron_that_opens_a_terminal(asking: Asking, tmp_path: Path) -> None:
    demand("script")
    with_cron(tmp_path, f"script -qec {asking.program(tmp_path)} /dev/null")
    asking.refused(tmp_path, "(cron) above it)", "(script) opened its terminal, and has none itself")


def test_a_job_of_the_real_cron_that_opens_a_terminal_by_itself(asking: Asking, tmp_path: Path) -> None:
    program = asking.program(tmp_path)
    (tmp_path / "spawn.py").write_text(f"import pty; pty.spawn([{str(program)!r}])\n")
    with_cron(tmp_path, f"{sys.executable} {tmp_path}/spawn.py")
    asking.refused(tmp_path, "(cron) above it)")
    assert "no controlling terminal" not in said(tmp_path)


def test_a_job_of_the_real_cron_in_a_tmux_that_nobody_looks_at(asking: Asking, tmp_path: Path) -> None:
    """The server leaves cron's tree; what gives it away is that nobody is attached."""
    demand("tmux")
    try:
        with_cron(tmp_path, f"TERM=xterm tmux -S {tmp_path}/tmux -f /dev/null new-session -d {asking.program(tmp_path)}")
    finally:
        subprocess.run(("tmux", "-S", tmp_path / "tmux", "kill-server"), capture_output=True, check=False)
    asking.refused(tmp_path, "nobody is attached to the tmux or screen")


@pytest.mark.parametrize("opens", ["", "script -qec {} /dev/null"])
def test_a_job_of_the_real_at(asking: Asking, tmp_path: Path, opens: str) -> None:
    demand("at", "atd", "unshare")
    demand_mounts()
    program = asking.program(tmp_path)
    script = f"""
        set -e
        mount -t tmpfs tmpfs /run
        mkdir -p {tmp_path}/at/atjobs {tmp_path}/at/atspool
        touch {tmp_path}/at/atjobs/.SEQ
        chown -R daemon:daemon {tmp_path}/at
        chmod 1770 {tmp_path}/at/at*
        mount --bind {tmp_path}/at /var/spool/cron
        {found("atd")} -f &
        while [ ! -s /run/atd.pid ]; do sleep 0.02; done
        echo {shlex.quote(opens.format(program) or str(program))} | at now
        wait
    """
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)  # the spool is the user daemon's
    with running("unshare", "-m", "sh", "-c", script):
        said(tmp_path)
    asking.refused(tmp_path, "(atd) above it)")


# ---- units


AS_UNIT = 'export SYSTEMD_EXEC_PID=$$ INVOCATION_ID=db4f728e100a472a96fb9ae8247ac1ca MANAGERPID=1 JOURNAL_STREAM=8:1; "$@"; exit $?'


def test_the_main_process_of_a_unit(asking: Asking, tmp_path: Path) -> None:
    detached(asking, "/bin/sh", "-c", AS_UNIT, "unit", asking.program(tmp_path))
    asking.refused(tmp_path, "main process of a systemd unit", "no controlling terminal")


def test_the_main_process_of_a_unit_that_opens_a_terminal(asking: Asking, tmp_path: Path) -> None:
    demand("script")
    detached(asking, "/bin/sh", "-c", AS_UNIT, "unit", "script", "-qec", str(asking.program(tmp_path)), "/dev/null")
    asking.refused(tmp_path, "(script) opened its terminal, and has none itself", "main process of a systemd unit")


def test_a_terminal_that_a_units_main_process_serves(asking: Asking, tmp_path: Path) -> None:
    """As a desktop's terminal emulator, or an editor's server: its shells inherit the variables of the unit."""
    program = asking.program(tmp_path, judge=True)
    serve = f"import os, pty\nos.environ['SYSTEMD_EXEC_PID'] = str(os.getpid())\npty.spawn(['/bin/sh', '-c', '{program}; exit 0'])\n"
    (tmp_path / "serve.py").write_text(serve)
    detached(asking, "/bin/sh", "-c", AS_UNIT.replace('"$@"; exit $?', 'exec "$@"'), "unit", sys.executable, tmp_path / "serve.py")
    assert ALLOWED in said(tmp_path)


# ---- git


@pytest.fixture
def git(asking: Asking, tmp_path: Path) -> Callable[..., str]:
    """An empty repository in `work`, and how git is called there."""
    demand("git")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always", "-c", "safe.directory=*")
    subprocess.run(("git", "init", "-q", tmp_path / "work"), check=True, env=asking.hand.environ)
    return lambda *words: quoted("git", "-C", tmp_path / "work", *identity, *words)


def hook(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_git_hook_in_a_terminal_and_without_one(asking: Asking, tmp_path: Path, git: Callable[..., str]) -> None:
    hook(tmp_path / "work/.git/hooks/post-commit", str(asking.program(tmp_path)))
    commit = git("commit", "-q", "--allow-empty", "-m", "x")
    in_shell(asking, commit)
    asking.refused(tmp_path, "git runs this", "a hook or an alias")
    (tmp_path / "said").unlink()
    detached(asking, "/bin/sh", "-c", commit)
    asking.refused(tmp_path, "git runs this", "it has no controlling terminal")


def test_a_git_hook_in_another_folder_and_behind_a_script_of_its_own(asking: Asking, tmp_path: Path, git: Callable[..., str]) -> None:
    """As husky lays them out: core.hooksPath names a folder of launchers, which run the hooks proper."""
    hook(tmp_path / "husky/_/pre-commit", f"sh -e {tmp_path}/husky/pre-commit")
    hook(tmp_path / "husky/pre-commit", str(asking.program(tmp_path)))
    in_shell(asking, git("-c", f"core.hooksPath={tmp_path}/husky/_", "commit", "-q", "--allow-empty", "-m", "x"))
    asking.refused(tmp_path, "git runs this")


def test_a_git_hook_that_opens_a_terminal(asking: Asking, tmp_path: Path, git: Callable[..., str]) -> None:
    demand("script")
    hook(tmp_path / "work/.git/hooks/post-commit", f"script -qec {asking.program(tmp_path)} /dev/null")
    in_shell(asking, git("commit", "-q", "--allow-empty", "-m", "x"))
    asking.refused(tmp_path, "git runs this")


def test_a_git_hook_of_the_receiving_side(asking: Asking, tmp_path: Path, git: Callable[..., str]) -> None:
    subprocess.run(("git", "init", "-q", "--bare", tmp_path / "bare"), check=True, env=asking.hand.environ)
    hook(tmp_path / "bare/hooks/post-receive", str(asking.program(tmp_path)))
    in_shell(asking, git("commit", "-q", "--allow-empty", "-m", "x"), git("push", "-q", str(tmp_path / "bare"), "HEAD:main"))
    asking.refused(tmp_path, "git runs this")


def test_a_git_alias(asking: Asking, tmp_path: Path, git: Callable[..., str]) -> None:
    in_shell(asking, git("-c", f"alias.x=!{asking.program(tmp_path)}", "x"))
    asking.refused(tmp_path, "a hook or an alias")


# ---- CI runners


def runner(folder: Path, name: str) -> Path:
    """A shell of this name stands in for a CI runner."""
    path = folder / "bin" / name
    path.parent.mkdir()
    shutil.copy2("/bin/sh", path)
    return path


@pytest.mark.parametrize("name", ["act_runner", "forgejo-runner", "gitlab-runner", "woodpecker-agent", "Runner.Worker"])
def test_a_ci_runner(asking: Asking, tmp_path: Path, name: str) -> None:
    detached(asking, runner(tmp_path, name), "-c", f"setsid -w {asking.program(tmp_path)}; exit 0")
    asking.refused(tmp_path, f"({name[:15]}) above it)", "it has no controlling terminal")


def test_a_ci_runner_whose_job_opens_a_terminal(asking: Asking, tmp_path: Path) -> None:
    demand("script")
    detached(asking, runner(tmp_path, "Runner.Worker"), "-c", f"script -qec {asking.program(tmp_path)} /dev/null; exit 0")
    asking.refused(tmp_path, "the GitHub runner runs this", "(script) opened its terminal")


def test_a_ci_job_that_clears_its_environment(asking: Asking, tmp_path: Path) -> None:
    in_shell(asking, f"GITHUB_ACTIONS=true sh -c {shlex.quote(f'env -i {asking.program(tmp_path)}; exit 0')}")
    asking.refused(tmp_path, "GitHub Actions runs this (GITHUB_ACTIONS is set)")


def test_a_scheduler_that_gave_itself_another_name(asking: Asking, tmp_path: Path) -> None:
    in_shell(asking, quoted(runner(tmp_path, "crond"), "-c", f"echo innocent > /proc/$$/comm; {asking.program(tmp_path)}; exit 0"))
    asking.refused(tmp_path, "cron runs this")
    assert "(innocent) above it" in said(tmp_path)


JOB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITEA_ACTIONS": "true",
    "FORGEJO_ACTIONS": "true",
    "GITHUB_REPOSITORY": "ops/platform",
    "GITHUB_WORKFLOW": "Apply",
    "GITHUB_WORKFLOW_REF": "ops/platform/.forgejo/workflows/apply.yaml@refs/heads/main",
    "GITHUB_JOB": "apply",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_EVENT_NAME": "workflow_dispatch",
}
JOBS = "  jobs:\n    deploy: {runner: forgejo, repository: ops/platform, workflow: apply.yaml, job: apply, actions: [release]}\n"


def test_a_ci_job_that_the_site_names_applies_what_somebody_else_signed(tmp_path: Path) -> None:
    hand = Hand(tmp_path, people=("anna", "bert"), approval=JOBS)
    asking = Asking(hand=hand, plan=hand.plan())
    program = asking.program(tmp_path)

    def job(**changed: str) -> str:
        (tmp_path / "said").unlink(missing_ok=True)
        script = " ".join((quoted("env", *(f"{name}={value}" for name, value in (JOB | changed).items())), "setsid", "-w", str(program), "; exit 0"))
        detached(asking, tmp_path / "bin" / "forgejo-runner", "-c", script)
        return said(tmp_path)

    runner(tmp_path, "forgejo-runner")
    assert job().endswith("exit 13\n")  # nobody has signed
    assert hand.untouched()
    assert hand.approve(asking.plan, "bert").code == 0
    job(GITHUB_EVENT_NAME="schedule")
    asking.refused(tmp_path, "'schedule', and not by a human's dispatch")
    job(GITHUB_REF="refs/heads/feature", GITHUB_WORKFLOW_REF=JOB["GITHUB_WORKFLOW_REF"].replace("main", "feature"))
    asking.refused(tmp_path, "deploy: its ref is 'refs/heads/feature', not 'refs/heads/main'")
    assert job().endswith("exit 0\n"), said(tmp_path)
    trail = journals.newest(Books.open(hand.tiny.root).journals)
    assert trail is not None
    assert trail.entries[0].data["by"]["job"] == "job deploy of ops/platform"
    evidence = re.search(r"evidence: (\S+)", said(tmp_path))
    assert evidence
    assert load_run(Path(evidence[1])).record.run.user.endswith(" (by job deploy of ops/platform)")


# ---- terminals of humans


@pytest.mark.parametrize("by", ["{}", "nohup {}", "sh -c 'sh -c {}; true'", "env -i {}", "nice {}", "timeout 20 {}", "make -f {makefile}"])
def test_a_human_in_a_terminal(asking: Asking, tmp_path: Path, by: str) -> None:
    program = asking.program(tmp_path, judge=True)
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"all:\n\t{program}\n")
    demand(*re.findall(r"^\w+", by))
    in_shell(asking, by.format(program, makefile=makefile))
    assert ALLOWED in said(tmp_path), said(tmp_path)


@pytest.mark.parametrize("by", ["script -qec {} /dev/null", "script -qec 'script -qec {} /dev/null' /dev/null"])
def test_a_human_who_records_the_terminal(asking: Asking, tmp_path: Path, by: str) -> None:
    demand("script")
    in_shell(asking, by.format(asking.program(tmp_path, judge=True)))
    assert ALLOWED in said(tmp_path)


@pytest.mark.parametrize(
    "by", ["sudo -n {}", "su root -c {}", "su - root -c {}", "su --pty root -c {}", "runuser -u root -- {}", "runuser --pty -u root -- {}"]
)
def test_a_human_who_becomes_another_user(asking: Asking, tmp_path: Path, by: str) -> None:
    demand(*re.findall(r"^\w+", by))
    if os.geteuid() != 0:
        pytest.skip("needs root: nobody types a password here")
    in_shell(asking, by.format(asking.program(tmp_path, judge=True)))
    assert ALLOWED in said(tmp_path), said(tmp_path)


def test_a_session_of_its_own_has_no_terminal(asking: Asking, tmp_path: Path) -> None:
    in_shell(asking, f"setsid -w {asking.program(tmp_path)}")
    asking.refused(tmp_path, "it has no controlling terminal")


def test_a_program_whose_shell_has_gone(asking: Asking, tmp_path: Path) -> None:
    """It still has the terminal, and nobody can tell who started it."""
    program = asking.program(tmp_path)
    in_shell(
        asking,
        f"(sh -c 'while [ ! -e {tmp_path}/gone ]; do sleep 0.02; done; {program}; exit 0' & )",
        f"touch {tmp_path}/gone; while [ ! -e {tmp_path}/said ]; do sleep 0.05; done",
    )
    asking.refused(tmp_path, "its ancestors cannot be seen up to the session's leader")


@pytest.fixture
def ssh(tmp_path: Path, component: Callable[[str], None]) -> Iterator[Callable[..., str]]:
    """How somebody comes here over ssh, with these options: what they type."""
    component("sshd")
    with PrivateSshd(tmp_path / "sshd") as server:
        options = ("-F", "none", "-i", server.key, "-p", str(server.port), "-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "BatchMode=yes")
        yield lambda program, *more: quoted("ssh", *options, *more, f"{server.user}@127.0.0.1", program)


def test_over_ssh_without_a_terminal(asking: Asking, tmp_path: Path, ssh: Callable[..., str]) -> None:
    in_shell(asking, ssh(asking.program(tmp_path)))
    asking.refused(tmp_path, "it has no controlling terminal")


def test_over_ssh_with_a_terminal(asking: Asking, tmp_path: Path, ssh: Callable[..., str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: the sshd of an ordinary user may not hand out terminals")
    in_shell(asking, ssh(asking.program(tmp_path, judge=True), "-t"))
    assert ALLOWED in said(tmp_path)


# ---- tmux and screen


@contextmanager
def attached(argv: Sequence[str | Path], environ: dict[str, str]) -> Iterator[None]:
    """A human's terminal with this in it, which is read all the time."""
    ours, theirs = pty.openpty()
    human = (sys.executable, "-S", "-c", OWN_TERMINAL, *map(str, argv))
    process = subprocess.Popen(human, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    reader = subprocess.Popen(("cat",), stdin=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(theirs)
    os.close(ours)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGHUP)
        process.wait(LIMIT_S)
        reader.wait(LIMIT_S)


def executable(folder: Path, *, wanted: bool) -> None:
    """Wait until the socket in this folder says that somebody is attached, or nobody."""
    until = time.monotonic() + LIMIT_S
    while not [path for path in folder.iterdir() if path.is_socket() and bool(path.stat().st_mode & 0o100) is wanted]:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_in_tmux_a_human_is_who_looks_at_it(asking: Asking, tmp_path: Path) -> None:
    demand("tmux")
    program, judge = asking.program(tmp_path), asking.program(tmp_path, judge=True)
    sockets = tmp_path / "t"
    sockets.mkdir(mode=0o700)
    tmux = ("tmux", "-S", sockets / "s", "-f", "/dev/null")
    environ = asking.hand.environ
    subprocess.run((*tmux, "new-session", "-d", "sh"), env=environ, check=True)
    try:
        subprocess.run((*tmux, "send-keys", str(program), "Enter"), env=environ, check=True)
        asking.refused(tmp_path, "nobody is attached to the tmux or screen that its terminal belongs to")
        (tmp_path / "said").unlink()
        with attached((*tmux, "attach"), environ):
            executable(sockets, wanted=True)
            subprocess.run((*tmux, "send-keys", str(judge), "Enter"), env=environ, check=True)
            assert ALLOWED in said(tmp_path)
    finally:
        subprocess.run((*tmux, "kill-server"), env=environ, check=False)


def test_in_screen_a_human_is_who_looks_at_it(asking: Asking, tmp_path: Path) -> None:
    demand("screen")
    program, judge = asking.program(tmp_path), asking.program(tmp_path, judge=True)
    sockets = tmp_path / "s"
    sockets.mkdir(mode=0o700)
    environ = asking.hand.environ | {"SCREENDIR": str(sockets), "SHELL": "/bin/sh"}
    screen = ("screen", "-c", "/dev/null")
    subprocess.run((*screen, "-dmS", "x", "sh"), env=environ, check=True)
    try:
        executable(sockets, wanted=False)
        subprocess.run((*screen, "-S", "x", "-p", "0", "-X", "stuff", f"{program}\n"), env=environ, check=True)
        asking.refused(tmp_path, "nobody is attached")
        (tmp_path / "said").unlink()
        with attached((*screen, "-r", "x"), environ):
            executable(sockets, wanted=True)
            subprocess.run((*screen, "-S", "x", "-p", "0", "-X", "stuff", f"{judge}\n"), env=environ, check=True)
            assert ALLOWED in said(tmp_path)
    finally:
        subprocess.run((*screen, "-S", "x", "-X", "quit"), env=environ, capture_output=True, check=False)


# ---- what cannot be seen


@functools.cache
def own_processes() -> tuple[str, ...]:
    """How a namespace of its own is opened: by root, or in a user namespace; empty where neither is allowed."""
    for more in (() if os.geteuid() == 0 else ("-Ur",), ("-Ur",)):
        argv = ("unshare", *more, "--mount", "--pid", "--fork", "--mount-proc")
        if subprocess.run((*argv, "true"), capture_output=True, check=False).returncode == 0:
            return argv
    return ()


@pytest.mark.parametrize("way", ["first", "entered"])
def test_a_terminal_that_was_opened_outside_of_a_container(asking: Asking, tmp_path: Path, way: str) -> None:
    """As by `docker run -t` (its first process) and `docker exec -t` (one without a parent): a job of cron can do both."""
    demand("unshare", "nsenter")
    if not own_processes():
        pytest.skip("needs root or user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0)")
    program = asking.program(tmp_path, judge=True)  # in a user namespace nobody owns the folders above the site, and it stops at that
    with_terminal = (sys.executable, "-S", "-c", OWN_LEADER, "/bin/sh", "-c", f"{program}; exit 0")
    if way == "first":
        on_a_terminal(asking, (*own_processes(), *with_terminal))
    else:
        if os.geteuid() != 0:
            pytest.skip("needs root to enter it")
        with running(*own_processes(), "sleep", "60") as outside:
            on_a_terminal(asking, ("nsenter", "-t", str(child_of(outside)), "-p", "-m", *with_terminal))
    assert "why=('what opened its terminal is outside of this container, and cannot be seen',)" in said(tmp_path)
    assert "on the host itself" in said(tmp_path)


def test_in_a_real_container(asking: Asking, tmp_path: Path, component: Callable[[str], None]) -> None:
    """`-t` gives a terminal where nobody has one, as to a job of cron: brought in at its start or later, with processes of its own or those of the host."""
    component("docker")
    judge = asking.program(tmp_path, judge=True)
    own = f"mount -t proc proc /host/proc && chroot /host {judge}; while [ ! -e /host{tmp_path}/end ]; do sleep 0.1; done"
    refused = "why=('what opened its terminal is outside of this container, and cannot be seen',)"
    with docker_engine() as docker:
        may_mount_proc = ("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined", "--security-opt", "seccomp=unconfined")
        run = ("run", "--detach", "--tty", "--network", "none", *may_mount_proc, "--volume", "/:/host")
        docker(*run, "--name", "own", IMAGE, "sh", "-c", own)
        assert refused in said(tmp_path)
        (tmp_path / "said").unlink()
        docker("exec", "--tty", "own", "sh", "-c", f"chroot /host {judge}")
        assert refused in said(tmp_path)
        (tmp_path / "said").unlink()
        docker(*run, "--pid", "host", IMAGE, "sh", "-c", f"chroot /host {judge}; exit 0")
        assert refused in said(tmp_path)
        (tmp_path / "end").touch()


def test_a_human_in_a_namespace_whose_proc_is_still_the_one_outside(asking: Asking, tmp_path: Path) -> None:
    """The numbers that /proc knows are not those that the process knows of itself."""
    demand("unshare")
    if not own_processes():
        pytest.skip("needs root or user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0)")
    outer = [word for word in own_processes() if word not in ("--mount", "--mount-proc")]
    in_shell(asking, quoted(*outer, asking.program(tmp_path, judge=True)))
    assert ALLOWED in said(tmp_path), said(tmp_path)


# A container's runtime makes the first process lead a session of its own, and gives it the terminal.
OWN_LEADER = "import os; os.setsid()\n" + OWN_TERMINAL.replace("; ", "\n")


def on_a_terminal(asking: Asking, argv: Sequence[str]) -> None:
    """Run it on a new terminal that is nobody's controlling terminal yet."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=asking.hand.environ, cwd=asking.hand.tiny.root, timeout=LIMIT_S, check=False)
    finally:
        os.close(theirs)
        os.close(ours)


def child_of(parent: int) -> int:
    """The child of a process, once it has one that has become `sleep`: the namespace is ready then."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == "sleep\n":
                return int(child)
        time.sleep(0.02)
    raise AssertionError("there is no such namespace")


def test_processes_that_are_hidden(asking: Asking, tmp_path: Path) -> None:
    """`hidepid=2`, as one who may not look at the processes of others."""
    demand("unshare", "setpriv")
    demand_mounts()
    program = asking.program(tmp_path)
    blind = f"mount -t proc -o hidepid=2,gid=65534 proc /proc && setpriv --bounding-set=-all --inh-caps=-all -- {program}; exit 0"
    in_shell(asking, quoted("unshare", "-m", "sh", "-c", blind))
    asking.refused(tmp_path, "its ancestors cannot be seen: not every process above it is shown in /proc", "hidepid=")


def test_these_trees_begin_without_the_marks_of_ci(asking: Asking) -> None:
    assert not {"CI", "GITHUB_ACTIONS", "INVOCATION_ID"} & human_environ(Path("/home/anna")).keys()
    assert asking.hand.environ["TINY_PASSWORD"] == SECRET
