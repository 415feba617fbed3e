"""How does the probe reach a host, and why did it not? One child process a host, ssh with our own argv or sudo: probe on stdin, reply on stdout."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from interlock.config.models import Host, Ssh
from interlock.errors import CouldNotLook
from interlock.facts.looks import Engine, Examine, List, Look, Mounts, Owners, ReadFile, ReadFolder, Secret, Shadows, Space, Stat, User, Walk
from interlock.nouns import dataclass
from interlock.observe import probe, wire

if TYPE_CHECKING:
    import subprocess

MARK = "#interlock-python#"
STDERR_KEPT = 4096
READ_SIZE = 256 * 1024
CONNECT_LIMIT = 10  # seconds, of which a slow host has the rest for its looks
FAREWELL_LIMIT = 2.0  # seconds that the far side has to hang up once everything was said
BUDGET_SHARE = 0.8  # of the host's time that the probe itself may use, so that it says what hangs before we give up on the host

# No quote, backslash or exclamation mark: this passes through the login shell of the other side, whichever it is (bash, dash, fish, csh).
# What is on stdin serves both: a shell reads its commands up to `exit` and never sees the Python below; Python skips to the mark.
# 126 and 127 are "cannot run it", also our own answer to a Python that is too old: then the shell takes over.
CHOOSE = (
    "for p in python3 /usr/libexec/platform-python; do command -v $p >/dev/null 2>&1 || continue; "
    '$p -I -S -c "import sys;sys.version_info<(3,6)and sys.exit(126);exec(sys.stdin.buffer.read().split(sys.argv[1].encode(),1)[1])" '
    f'"{MARK}"; c=$?; case $c in 126|127) ;; *) exit $c;; esac; done; exec sh -s'
)
_BECOME = 'if [ "$(id -u)" = 0 ]; then exec sh -c "$1"; else exec sudo -n -- sh -c "$1"; fi'


def remote_command(host: Host) -> str:
    """What ssh asks the other side's login shell to run; the same for every request, so it says nothing of what is looked at."""
    return f"env LC_ALL=C sh -c '{_BECOME}' sh '{CHOOSE}'" if host.become else f"env LC_ALL=C sh -c '{CHOOSE}'"


def ssh_argv(host: Host, ssh: Ssh, root: Path, command: str) -> tuple[str, ...]:
    """Our own ssh: no configuration but `config_file`, no shared connection, no forwarding, no question, and only hosts whose key is known.

    `command` is a constant of ours: the other side's login shell reads it.
    """

    def path(text: str) -> str:
        return str(root / Path(text).expanduser()).replace("%", "%%")

    options = [
        "BatchMode=yes",
        f"ConnectTimeout={min(CONNECT_LIMIT, max(1, host.timeout))}",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        "StrictHostKeyChecking=yes",
        "ControlMaster=no",
        "ControlPath=none",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
        "LogLevel=ERROR",
    ]
    if ssh.identity_file:
        options += ["IdentitiesOnly=yes", f'IdentityFile="{path(ssh.identity_file)}"']
    if ssh.known_hosts:
        options += [f'UserKnownHostsFile="{path(ssh.known_hosts)}"', "GlobalKnownHostsFile=none"]
    return (
        "ssh",
        "-F",
        str(root / Path(ssh.config_file).expanduser()) if ssh.config_file else "none",
        "-T",
        "-p",
        str(ssh.port),
        *(part for option in options for part in ("-o", option)),
        "--",
        ssh.destination,
        command,
    )


def argv_for(host: Host, root: Path) -> tuple[str, ...]:
    """The one child process that looks at a host from outside this process: ssh, or sudo for this machine as root."""
    return ssh_argv(host, host.ssh, root, remote_command(host)) if host.ssh else ("sudo", "-n", "--", "sh", "-c", CHOOSE)


def payload(looks: Sequence[Look], nonce: str, seconds: float) -> bytes:
    """What goes to stdin: the shell's probe and its calls, then the mark, then Python's probe and its request. Paths go here and not into an argv."""
    here = Path(__file__)
    calls = "\n".join(f"{_call(number, look)} </dev/null" for number, look in enumerate(looks))
    request = json.dumps({"nonce": nonce, "seconds": seconds, "looks": [wire.look_to_json(look) for look in looks]})
    shell = here.with_name("probe.sh").read_bytes() + f"\ninterlock_start {nonce} </dev/null\n".encode() + probe.to_bytes(calls)
    python = here.with_name("probe.py").read_bytes() + f"\nmain({request!r})\n".encode("ascii")
    return shell + f"\ninterlock_finish\nexit 0\n{MARK}\n".encode() + python


def _call(number: int, look: Look) -> str:  # noqa: PLR0912 (one for each look)
    parts = [text for part in wire.look_to_json(look) for text in (part if isinstance(part, list) else [part])]
    if any("\0" in text for text in parts if isinstance(text, str)):
        return f"refused_unasked {number} EINVAL 'it has a NUL in it'"  # which a shell would drop, and look at something else
    match look:
        case ReadFile():
            return f"look_read {number} {shlex.quote(look.path)} {look.limit + 1}"
        case Stat():
            return f"look_stat {number} {shlex.quote(look.path)}"
        case Mounts():
            return f"look_mounts {number}"
        case User():
            return f"look_user {number} {shlex.quote(look.name)}"
        case Walk():
            return f"look_walk {number} {shlex.quote(look.root)}"
        case Space():
            return f"look_space {number} {shlex.quote(look.path)}"
        case ReadFolder():
            return f"look_folder {number} {shlex.join((look.path, *look.suffixes))}"
        case List():
            return f"look_list {number} {shlex.quote(look.path)}"
        case Secret():
            return f"look_secret {number} {shlex.quote(look.path)} {shlex.quote(look.format)}"
        case Examine():
            return f"refused_unasked {number} no-tool 'this host has no python3, which reads a backup to its end'"
        case Engine():
            return f"refused_unasked {number} no-tool 'this host has no python3, which asks a container engine'"
        case Shadows():
            return f"refused_unasked {number} no-tool 'this host has no python3, which looks below mountpoints'"
        case Owners():
            return f"refused_unasked {number} no-tool 'this host has no python3, which counts whom files belong to'"
        case _:
            assert_never(look)


class Stop(Enum):
    """Why we stopped listening."""

    HUNG_UP = "it hung up"
    TOO_LATE = "it did not finish in time"
    TOO_MUCH = "it sent more than any answer has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a conversation ended: the exit code (None when we had to leave the process), and the last words on stderr."""

    stop: Stop
    exit_code: int | None
    stderr: str


class Conversation:
    """One child process, ended and reaped with the block that holds it. `kill` may be called from another thread."""

    def __init__(self, argv: tuple[str, ...], environ: dict[str, str]) -> None:
        import subprocess

        pipe = subprocess.PIPE
        # ssh in a session of its own has no terminal to ask on, and can be killed with its helpers; sudo must stay, for its ticket belongs to the terminal
        self._own_group = argv[0] == "ssh"
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environ, cwd="/", start_new_session=self._own_group
        )

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(killing=True)

    def hold(self, said: bytes, hear: Callable[[bytes], bool], *, until: float, limit: int) -> Ended:
        """Say `said`, and pass what comes back to `hear` until it hangs up, says True and lingers, `until` (monotonic) passes or `limit` bytes came.

        Whatever `hear` raises goes through.
        """
        stop, stderr = self._talk(said, hear, until, limit)
        return Ended(stop=stop, exit_code=self._leave(killing=stop is not Stop.HUNG_UP), stderr=printable(stderr))

    def _talk(self, said: bytes, hear: Callable[[bytes], bool], until: float, limit: int) -> tuple[Stop, bytes]:
        import selectors

        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        words, rest = b"", memoryview(said)
        with selectors.DefaultSelector() as selector:
            for stream, events in ((stdin, selectors.EVENT_WRITE), (stdout, selectors.EVENT_READ), (stderr, selectors.EVENT_READ)):
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, events)
            while stdout in selector.get_map() or stderr in selector.get_map():
                ready = selector.select(max(0.0, until - time.monotonic()))
                if not ready or time.monotonic() > until:
                    return Stop.TOO_LATE, words
                for key, _ in ready:
                    if key.fileobj is stdin:
                        rest = rest[_write(stdin.fileno(), rest) :]
                        if not rest:
                            selector.unregister(stdin)
                            stdin.close()
                        continue
                    data = os.read(key.fd, READ_SIZE)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is stderr:
                        words = (words + data)[-STDERR_KEPT:]
                    else:
                        limit -= len(data)
                        if limit < 0:
                            return Stop.TOO_MUCH, words
                        if hear(data):
                            until = min(until, time.monotonic() + FAREWELL_LIMIT)
        return Stop.HUNG_UP, words

    def _leave(self, *, killing: bool) -> int | None:
        """Close everything and wait for the process; one that cannot be killed (sudo's belongs to root) ends by itself when nobody listens."""
        import subprocess

        if killing:
            self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        try:
            return self._process.wait(FAREWELL_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
        try:
            return self._process.wait(FAREWELL_LIMIT)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End the process now, unless it has ended: its number may be somebody else's by now."""
        if self._process.poll() is not None:
            return
        try:
            if self._own_group:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except (ProcessLookupError, PermissionError):
            pass


def _write(descriptor: int, data: memoryview) -> int:
    """How much was taken; all of it when nobody reads any more, for why is said elsewhere."""
    try:
        return os.write(descriptor, data[:READ_SIZE])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)


def printable(words: bytes) -> str:
    """The last lines of stderr without control characters: what a foreign host says must not steer the operator's terminal."""
    lines = [re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", "?", line).strip() for line in words.decode("utf-8", "replace").splitlines()]
    return " / ".join([line for line in lines if line.strip("?@ ")][-4:])[-600:]


@dataclass(frozen=True, slots=True)
class _Cause:
    """What a pattern in ssh's or sudo's words means."""

    pattern: str
    what: str
    remedy: str


_SSH_CAUSES = (
    _Cause(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed",
        "its host key has changed",
        "find out why; if the host was rebuilt, remove the old key with `ssh-keygen -R` and add the new one after you compared its fingerprint",
    ),
    _Cause(
        r"No \S+ host key is known|Host key verification failed",
        "its host key is not known",
        "add it to known_hosts after you compared its fingerprint (`ssh-keyscan`, then `ssh-keygen -lf`)",
    ),
    _Cause(
        r"Permission denied \(|Too many authentication failures|Load key .*(?:invalid|denied)",
        "it refused our key",
        "check `destination` and `identity_file`, and the host's authorized_keys",
    ),
    _Cause(r"Could not resolve hostname|Name or service not known", "its name is not known", "correct `destination`, or the name service"),
    _Cause(
        r"Connection refused|timed out|No route to host|Network is unreachable|Connection reset|Connection closed|not responding",
        "it cannot be reached",
        "see whether it is up, and `destination` and `port` are right",
    ),
    _Cause(
        r"Can't open user config file|Bad configuration option|not accessible",
        "ssh cannot use what the site file names",
        "correct `config_file` or `identity_file`",
    ),
)
_SUDO_CAUSES = (
    _Cause(
        r"sudo: (?:a password is required|a terminal is required|no tty present|sorry, you must have a tty)"
        r"|not in the sudoers file|not allowed to execute|may not run sudo",
        "sudo asks for a password there",
        "write `USER ALL=(root) NOPASSWD: /usr/bin/sh` into /etc/sudoers.d/interlock there, with that user's name; or take `become` out",
    ),
    _Cause(r"sudo: (?:command )?not found|exec: sudo|No such file or directory: 'sudo'", "there is no sudo", "install sudo, or take `become` out"),
)


def why_no_answer(host: Host, name: str, ended: Ended, *, noise: bytes, started: bool) -> CouldNotLook:
    """Why there is no complete reply, as an operator can act on it. `started` when the probe's header came."""
    said = ended.stderr or printable(noise) or "it said nothing"
    causes = (*(_SUDO_CAUSES if host.become else ()), *(_SSH_CAUSES if host.ssh and not started else ()))
    cause = next((one for one in causes if re.search(one.pattern, ended.stderr)), None)
    where = host.ssh.destination if host.ssh else name
    match ended.stop:
        case Stop.TOO_LATE:
            what, remedy = f"host {name} did not answer within {host.timeout} s", "raise the host's `timeout`, or look why it is slow"
        case Stop.TOO_MUCH:
            what, remedy = f"host {name} sent more than any answer has", "look what its shell prints when `ssh HOST true` is run"
        case Stop.HUNG_UP if cause is not None and not started:
            what, remedy = f"host {name}: {cause.what}", cause.remedy
        case Stop.HUNG_UP if started:
            what, remedy = (
                f"host {name} broke off in the middle of its answer",
                "observe again; if it stays so, look for what ends processes there (memory, a time limit)",
            )
        case Stop.HUNG_UP:
            what = f"host {name} answered nothing that a probe would (exit code {ended.exit_code})"
            remedy = "it needs python3 or a POSIX sh; see what `ssh HOST true` prints"
        case _:
            assert_never(ended.stop)
    return CouldNotLook(what, where=where, why=said, remedy=remedy)
