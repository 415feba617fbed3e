"""Reaching a host: our own argv, a payload that no path can break, and every way to get no answer told apart."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.models import Host, Ssh
from interlock.facts.looks import Mounts, ReadFile, Stat, User, Walk
from interlock.observe import conversation as conversation_module
from interlock.observe.conversation import CHOOSE, MARK, Conversation, Ended, Stop, argv_for, payload, printable, remote_command, why_no_answer
from tests.strategies import file_texts

FAR = Host(ssh=Ssh(destination="deploy@db1", port=2222), timeout=20)
BECOME = Host(ssh=Ssh(destination="db1"), become="sudo -n")
ROOT = Path("/site")


def options(argv: tuple[str, ...]) -> dict[str, str]:
    return dict(value.split("=", 1) for flag, value in itertools.pairwise(argv) if flag == "-o")


# ---- argv


def test_ssh_takes_nothing_from_anybodys_configuration_and_asks_nobody() -> None:
    argv = argv_for(FAR, ROOT)
    assert argv[:6] == ("ssh", "-F", "none", "-T", "-p", "2222")
    assert argv[-3:-1] == ("--", "deploy@db1")
    wanted = {"BatchMode": "yes", "StrictHostKeyChecking": "yes", "ControlMaster": "no", "ControlPath": "none", "ForwardAgent": "no", "ConnectTimeout": "10"}
    assert wanted.items() <= options(argv).items()
    assert not any("Kex" in part for part in argv)


def test_what_the_site_names_is_used_relative_to_its_folder_and_literally() -> None:
    ssh = Ssh(destination="h", identity_file="keys/my %h key", known_hosts="/etc/known hosts", config_file="ssh_config")
    argv = argv_for(Host(ssh=ssh), ROOT)
    assert argv[1:3] == ("-F", "/site/ssh_config")
    assert options(argv)["IdentityFile"] == '"/site/keys/my %%h key"'
    assert options(argv)["IdentitiesOnly"] == "yes"
    assert options(argv)["UserKnownHostsFile"] == '"/etc/known hosts"'


def test_ssh_itself_reads_our_argv_as_we_mean_it(tmp_path: Path) -> None:
    (tmp_path / "a key").touch()
    ssh = Ssh(destination="u@h", port=77, identity_file="a key", known_hosts="known %h hosts")
    argv = argv_for(Host(ssh=ssh, timeout=3), tmp_path)
    done = subprocess.run([argv[0], "-G", *argv[1:]], capture_output=True, text=True, check=True)
    seen = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert (seen["user"], seen["hostname"], seen["port"], seen["batchmode"], seen["connecttimeout"]) == ("u", "h", "77", "yes", "3")
    assert seen["identityfile"] == str(tmp_path / "a key")
    assert seen["stricthostkeychecking"] in ("yes", "true")
    assert seen["userknownhostsfile"].strip('"') in (f"{tmp_path}/known %h hosts", f"{tmp_path}/known %%h hosts")
    assert seen["permitlocalcommand"] == seen["forwardagent"] == "no"


def test_this_machine_as_root_is_sudo_and_never_asks() -> None:
    assert argv_for(Host(become="sudo -n"), ROOT) == ("sudo", "-n", "--", "sh", "-c", CHOOSE)


@pytest.mark.parametrize("host", [FAR, BECOME])
def test_the_remote_command_passes_any_login_shell_and_says_nothing_of_what_is_looked_at(host: Host) -> None:
    command = remote_command(host)
    inside = shlex.split(command)
    assert inside[:4] == ["env", "LC_ALL=C", "sh", "-c"]
    assert not set("\\!\n`") & set(command)
    assert all("'" not in part for part in inside)


# ---- payload


def test_a_shell_reads_its_commands_up_to_exit_and_python_begins_at_the_mark() -> None:
    said = payload((Stat("/x"),), "n" * 8, 10.0)
    shell, mark, python = said.partition(MARK.encode())
    assert mark
    assert MARK.encode() not in python
    assert shell.rstrip().endswith(b"interlock_finish\nexit 0")
    compile(python, "probe", "exec")


@given(
    st.lists(
        st.one_of(
            file_texts().map("/{}".format).flatmap(lambda path: st.sampled_from([ReadFile(path, 7), Stat(path), Walk(path)])),
            file_texts().map(User),
            st.just(Mounts()),
        ),
        max_size=6,
    )
)
def test_no_path_breaks_out_of_the_payload(looks: list[object]) -> None:
    """Each call is one line of words to a POSIX shell, whatever is in a path."""
    shell = payload(tuple(looks), "n" * 8, 10.0).partition(b"interlock_start nnnnnnnn </dev/null\n")[2].partition(b"\ninterlock_finish")[0]  # type: ignore[arg-type]
    words = shlex.split(shell.decode("utf-8", "surrogateescape"))
    expected: list[str] = []
    for number, look in enumerate(looks):
        match look:
            case ReadFile():
                expected += ["look_read", str(number), look.path, "8"]
            case Stat():
                expected += ["look_stat", str(number), look.path]
            case Walk():
                expected += ["look_walk", str(number), look.root]
            case User():
                expected += ["look_user", str(number), look.name]
            case Mounts():
                expected += ["look_mounts", str(number)]
        expected.append("</dev/null")
    assert words == expected


# ---- holding a conversation


def hold(script: str, *, said: bytes = b"", seconds: float = 10.0, limit: int = 10**6, hear: Callable[[bytes], bool] = lambda _: False) -> tuple[Ended, float]:
    began = time.monotonic()
    with Conversation(("sh", "-c", script), dict(os.environ)) as conversation:
        return conversation.hold(said, hear, until=time.monotonic() + seconds, limit=limit), time.monotonic() - began


def test_what_is_said_and_heard_arrives_whole_in_both_directions() -> None:
    said = os.urandom(3_000_000)
    heard: list[bytes] = []
    ended, _ = hold("exec cat", said=said, limit=10**8, hear=lambda data: bool(heard.append(data)))
    assert (ended.stop, ended.exit_code, b"".join(heard) == said) == (Stop.HUNG_UP, 0, True)


def test_who_does_not_listen_is_no_failure_by_itself() -> None:
    ended, _ = hold("exec 0<&-; echo done", said=b"x" * 1_000_000)
    assert (ended.stop, ended.exit_code) == (Stop.HUNG_UP, 0)


def test_the_last_words_on_stderr_are_kept_and_no_more() -> None:
    ended, _ = hold("yes complaint | head -n 100000 >&2; echo 'the last' >&2; exit 3")
    assert ended.exit_code == 3
    assert ended.stderr.endswith("the last")
    assert len(ended.stderr) <= 600


def test_who_never_answers_is_ended_in_time() -> None:
    ended, took = hold("exec sleep 60", seconds=0.3)
    assert ended.stop is Stop.TOO_LATE
    assert took < 5


def test_who_talks_for_ever_is_ended() -> None:
    ended, took = hold("exec yes", limit=10**6)
    assert ended.stop is Stop.TOO_MUCH
    assert took < 5


def test_who_holds_the_line_after_the_answer_is_left() -> None:
    ended, took = hold("echo answer; exec sleep 60", hear=lambda _: True)
    assert ended.stop is Stop.TOO_LATE
    assert took < 8


def test_who_hangs_up_and_stays_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_module, "FAREWELL_LIMIT", 0.2)
    ended, took = hold("exec sleep 60 >&- 2>&-")
    assert (ended.stop, ended.exit_code) == (Stop.HUNG_UP, -9)
    assert took < 5


def test_who_cannot_be_ended_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What sudo runs belongs to root; it ends by itself when nobody listens."""
    monkeypatch.setattr(conversation_module, "FAREWELL_LIMIT", 0.2)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda _self: (_ for _ in ()).throw(PermissionError(1, "Operation not permitted")))
    with Conversation(("sh", "-c", "exec sleep 2"), dict(os.environ)) as conversation:
        ended = conversation.hold(b"", lambda _: False, until=time.monotonic() + 0.2, limit=10)
    assert (ended.stop, ended.exit_code) == (Stop.TOO_LATE, None)
    conversation._process.wait(10)


def test_an_error_of_the_listener_ends_the_process() -> None:
    def fails(_: bytes) -> bool:
        raise KeyError("mine")

    with pytest.raises(KeyError), Conversation(("sh", "-c", "echo x; exec sleep 60"), dict(os.environ)) as conversation:
        conversation.hold(b"", fails, until=time.monotonic() + 20, limit=10)
    assert conversation._process.poll() is not None


def test_another_thread_may_end_it() -> None:
    began = time.monotonic()
    with Conversation(("sh", "-c", "exec sleep 60"), dict(os.environ)) as conversation:
        threading.Timer(0.2, conversation.kill).start()
        ended = conversation.hold(b"", lambda _: False, until=time.monotonic() + 30, limit=10)
    assert (ended.stop, time.monotonic() - began < 10) == (Stop.HUNG_UP, True)


def test_a_foreign_host_cannot_steer_the_terminal() -> None:
    assert printable(b"\x1b[2J\x1b]0;title\x07evil\r\nsecond\n") == "?[2J?]0;title?evil / second"
    assert printable(b"@@@@@@@\n\nwords") == "words"
    assert printable("caf\u00e9".encode()) == "caf\u00e9"


# ---- why there is no answer


def why(host: Host, stderr: str, *, stop: Stop = Stop.HUNG_UP, code: int = 255, started: bool = False, noise: bytes = b"") -> tuple[str, str]:
    error = why_no_answer(host, "db1", Ended(stop=stop, exit_code=code, stderr=stderr), noise=noise, started=started)
    assert error.why
    return error.what, error.remedy


@pytest.mark.parametrize(
    ("stderr", "what", "remedy"),
    [
        ("ssh: connect to host db1 port 22: Connection refused", "cannot be reached", "port"),
        ("ssh: connect to host db1 port 22: No route to host", "cannot be reached", "port"),
        ("ssh: Could not resolve hostname db1: Name or service not known", "name is not known", "destination"),
        ("deploy@db1: Permission denied (publickey).", "refused our key", "identity_file"),
        ("No ED25519 host key is known for db1 and you have requested strict checking. / Host key verification failed.", "key is not known", "fingerprint"),
        ("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! / Host key verification failed.", "key has changed", "find out why"),
        ("Can't open user config file /x: No such file or directory", "what the site file names", "config_file"),
    ],
)
def test_each_failure_of_ssh_has_its_own_remedy(stderr: str, what: str, remedy: str) -> None:
    said = why(FAR, stderr)
    assert what in said[0]
    assert remedy in said[1]


@pytest.mark.parametrize(
    ("stderr", "what"),
    [
        ("sudo: a password is required", "asks for a password"),
        ("sh: 1: exec: sudo: not found", "there is no sudo"),
        ("deploy is not in the sudoers file.", "asks for a password"),
    ],
)
def test_each_failure_of_sudo_has_its_own_words(stderr: str, what: str) -> None:
    assert what in why(BECOME, stderr, code=1)[0]


def test_a_probe_that_ended_in_the_middle_is_not_blamed_on_the_network() -> None:
    assert "broke off in the middle" in why(FAR, "Connection to db1 closed by remote host.", started=True)[0]


def test_the_other_ends_have_words_too() -> None:
    assert "did not answer within 20 s" in why(FAR, "", stop=Stop.TOO_LATE)[0]
    assert "more than any answer" in why(FAR, "", stop=Stop.TOO_MUCH)[0]
    error = why_no_answer(FAR, "db1", Ended(stop=Stop.HUNG_UP, exit_code=1, stderr=""), noise=b"This account is currently not available.\n", started=False)
    assert "exit code 1" in error.what
    assert error.why == "This account is currently not available."


def test_importing_the_observers_starts_no_heavy_library() -> None:
    code = "import sys; import interlock.observe.hosts, interlock.observe.tree; print(sorted({'subprocess', 'selectors', 'socket'} & set(sys.modules)))"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    assert subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True).stdout.strip() == "[]"
