"""Other hosts, over a real ssh to a real sshd on loopback: one connection a host, and everything that can go wrong on the way."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.looks import Engine, Examine, FailedLook, HostFacts, Look, Mounts, ReadFile, ReadFolder, Secret, Space, Stat, User, Walk
from interlock.observe.hosts import observe
from tests.integration.sshd import PrivateSshd, new_key
from tests.unit.test_observe_shell_probe import by_directory, nasty_tree, tool_box

RUN = 'exec sh -c "$SSH_ORIGINAL_COMMAND"'


@pytest.fixture(autouse=True)
def _needs_sshd(component: Callable[[str], None]) -> None:
    component("sshd")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PrivateSshd]:
    with PrivateSshd(tmp_path / "sshd") as server:
        yield server


@contextmanager
def misbehaving(tmp_path: Path, force: str) -> Iterator[PrivateSshd]:
    with PrivateSshd(tmp_path / "sshd", force=force) as server:
        yield server


def site(ssh: dict[str, object], **host: object) -> Site:
    return Site.model_validate({"interlock": 1, "site": "s", "hosts": {"far": {"ssh": ssh, "timeout": 20} | host}})


def look(where: Site, spool: Path, *looks: Look) -> HostFacts | CouldNotLook:
    return observe(where, {"far": frozenset(looks)}, spool)["far"]


def seen(where: Site, spool: Path, *looks: Look) -> HostFacts:
    found = look(where, spool, *looks)
    assert isinstance(found, HostFacts), str(found)
    return found


def not_seen(where: Site, spool: Path, *looks: Look) -> CouldNotLook:
    """Why not; and nothing half-read is left behind."""
    found = look(where, spool, *(looks or (Stat("/"), Walk("/etc"))))
    assert isinstance(found, CouldNotLook), found
    assert found.why
    assert found.remedy
    assert "Traceback" not in str(found)
    assert list(spool.glob("*")) == []
    return found


def everything(tmp_path: Path) -> tuple[Look, ...]:
    tree = nasty_tree(tmp_path)
    (tmp_path / "content").write_bytes(bytes(range(256)) * 1000)
    files: tuple[Look, ...] = (
        ReadFile(str(tmp_path / "content")),
        ReadFile("/no/such"),
        Stat(str(tree / "a\nb")),
        Stat("/no/such"),
        Mounts(),
        User("root"),
        User("no-such"),
        ReadFolder(str(tree)),
        ReadFolder("/no/such"),
        Secret(str(tmp_path / "content"), "base64"),
        Secret(str(tree)),
    )
    return (*files, Walk(str(tree)), Walk("/no/such"))


def same(far: HostFacts, near: HostFacts, looks: tuple[Look, ...]) -> None:
    for one in looks:
        if isinstance(one, Space):
            continue  # it moves
        if isinstance(near.answers[one], FailedLook):
            assert isinstance(far.answers[one], FailedLook)
            assert far.answers[one].code == near.answers[one].code  # type: ignore[union-attr]
        else:
            assert far.answers[one] == (None if isinstance(one, Walk) else near.answers[one]), one
            if isinstance(one, Walk):
                assert by_directory(list(far.walk(one.root))) == by_directory(list(near.walk(one.root)))


def near(looks: tuple[Look, ...]) -> HostFacts:
    found = observe(Site(interlock=1, site="s"), {"local": frozenset(looks)}, Path("/nowhere"))["local"]
    assert isinstance(found, HostFacts)
    return found


# ---- one connection, whoever answers


def test_a_host_with_python_says_what_this_machine_says_in_one_connection(tmp_path: Path, host: PrivateSshd) -> None:
    (tmp_path / "backups").mkdir()
    with tarfile.open(tmp_path / "backups" / "app-20261120T210000Z.tar.gz", "w:gz") as archive:
        archive.add(__file__)
    looks = (*everything(tmp_path), Examine(str(tmp_path / "backups")), Engine("/no/such"), Space(str(tmp_path)))
    far = seen(site(host.ssh()), tmp_path / "spool", *looks)
    same(far, near(looks), looks)
    assert far.space(str(tmp_path)).bytes_total == near(looks).space(str(tmp_path)).bytes_total
    assert [file.whole for file in far.examine(str(tmp_path / "backups")).files] == [True]
    assert (far.host, far.user, far.replayed) == ("far", host.user, False)
    assert (host.accepted(), host.connections() - 1) == (1, 1)  # the helper itself connects once, to see that it is up


@pytest.mark.parametrize("busybox", [False, True], ids=["gnu", "busybox"])
def test_a_host_without_python_says_the_same_in_one_connection(tmp_path: Path, *, busybox: bool) -> None:
    if busybox and not shutil.which("busybox"):
        pytest.skip("needs busybox")
    box = tool_box(tmp_path / "tools", busybox=busybox)
    for tool in ("env", *(("getfacl",) if busybox else ())):
        found = shutil.which(tool)
        if found and not (box / tool).exists():
            (box / tool).symlink_to(found)
    looks = everything(tmp_path)
    with misbehaving(tmp_path, f"PATH={box}; export PATH; {RUN}") as host:
        far = seen(site(host.ssh()), tmp_path / "spool", *looks)
        assert host.accepted() == 1
    same(far, near(looks), looks)


def not_root(tmp_path: Path, sudo: str = "") -> str:
    """A remote side whose `id` says that it is an ordinary user: root alone can log in as root in these tests, and needs no sudo then.

    With `sudo` a script that stands for it; else the real one, which asks root for nothing.
    """
    box = tmp_path / "bin"
    box.mkdir()
    scripts = {"id": "echo 1000"} | ({"sudo": sudo} if sudo else {})
    for name, script in scripts.items():
        (box / name).write_text(f"#!/bin/sh\n{script}\n")
        (box / name).chmod(0o755)
    return f"PATH={box}:$PATH; export PATH; {RUN}"


def test_become_goes_through_the_real_sudo_in_one_connection(tmp_path: Path) -> None:
    if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "sh", "-c", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs sudo without a password for this user (as root: apt-get install sudo)")
    (tmp_path / "secret").write_bytes(b"for root alone")
    with misbehaving(tmp_path, not_root(tmp_path)) as host:
        far = seen(site(host.ssh(), become="sudo -n"), tmp_path / "spool", ReadFile(str(tmp_path / "secret")), Walk(str(tmp_path / "sshd")))
        assert host.accepted() == 1
    assert far.user == "root"
    assert far.read(str(tmp_path / "secret")) == b"for root alone"
    assert list(far.walk(str(tmp_path / "sshd")))


def test_become_passes_our_command_to_sudo_unchanged(tmp_path: Path) -> None:
    """With a script that stands for sudo, so that this is proven where there is none: it gets -n, -- and the one sh -c."""
    sudo = 'echo "$1 $2 $3 $4" >> "$(dirname "$0")/log"; shift 2; exec "$@"'
    with misbehaving(tmp_path, not_root(tmp_path, sudo)) as host:
        seen(site(host.ssh(), become="sudo -n"), tmp_path / "spool", Stat("/"))
        assert host.accepted() == 1
    assert (tmp_path / "bin" / "log").read_text() == "-n -- sh -c\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone logs in as root here")
def test_become_as_root_needs_no_sudo(tmp_path: Path) -> None:
    box = tool_box(tmp_path / "tools")
    (box / "env").symlink_to(str(shutil.which("env")))
    with misbehaving(tmp_path, f"PATH={box}; export PATH; {RUN}") as host:
        assert seen(site(host.ssh(), become="sudo -n"), tmp_path / "spool", Stat("/")).user == "root"


@pytest.mark.parametrize(
    ("sudo", "what"),
    [("echo 'sudo: a password is required' >&2; exit 1", "asks for a password"), ("echo 'sh: 1: exec: sudo: not found' >&2; exit 127", "there is no sudo")],
)
def test_a_sudo_that_does_not_let_us_says_what_to_change(tmp_path: Path, sudo: str, what: str) -> None:
    with misbehaving(tmp_path, not_root(tmp_path, sudo)) as host:
        error = not_seen(site(host.ssh(), become="sudo -n"), tmp_path / "spool")
    assert what in error.what
    assert "become" in error.remedy


def test_twenty_hosts_are_asked_at_once_and_a_dead_one_holds_up_nobody(tmp_path: Path) -> None:
    addresses = [f"127.0.0.{number}" for number in range(1, 21)]
    with PrivateSshd(tmp_path / "sshd", addresses=addresses) as server:
        hosts: dict[str, Any] = {f"h{number:02d}": {"ssh": server.ssh(address)} for number, address in enumerate(addresses)}
        hosts["dead"] = {"ssh": server.ssh("127.0.0.99")}
        many = Site.model_validate({"interlock": 1, "site": "s", "hosts": hosts})
        looks = frozenset({Stat(str(tmp_path)), Walk(str(tmp_path / "sshd"))})
        found = observe(many, dict.fromkeys([*hosts, "local"], looks), tmp_path / "spool")
        assert server.accepted() == 20
    dead = found.pop("dead")
    assert isinstance(dead, CouldNotLook)
    assert "dead: it cannot be reached" in dead.what
    assert len(found) == 21
    for facts in found.values():
        assert isinstance(facts, HostFacts)
        assert facts.stat(str(tmp_path)).present
        assert list(facts.walk(str(tmp_path / "sshd")))


def test_a_walk_of_thirty_thousand_files_goes_to_a_private_file(tmp_path: Path, host: PrivateSshd) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "0").touch()
    for number in range(1, 30_000):
        os.link(tmp_path / "tree" / "0", tmp_path / "tree" / str(number))
    far = seen(site(host.ssh()), tmp_path / "spool", Walk(str(tmp_path / "tree")))
    assert sum(len(listing.entries) for listing in far.walk(str(tmp_path / "tree"))) == 30_000
    assert max(len(listing.entries) for listing in far.walk(str(tmp_path / "tree"))) <= 5_000
    (kept,) = (tmp_path / "spool").iterdir()
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE((tmp_path / "spool").stat().st_mode)) == (0o600, 0o700)


def test_looking_twice_into_one_spool_keeps_both(tmp_path: Path, host: PrivateSshd) -> None:
    (tmp_path / "tree").mkdir()
    first = seen(site(host.ssh()), tmp_path / "spool", Walk(str(tmp_path / "tree")))
    (tmp_path / "tree" / "new").touch()
    second = seen(site(host.ssh()), tmp_path / "spool", Walk(str(tmp_path / "tree")))
    assert [sum(len(listing.entries) for listing in facts.walk(str(tmp_path / "tree"))) for facts in (first, second)] == [0, 1]


# ---- no connection


def test_a_port_where_nobody_listens(tmp_path: Path, host: PrivateSshd) -> None:
    error = not_seen(site(host.ssh("127.0.0.99")), tmp_path / "spool")
    assert "far: it cannot be reached" in error.what
    assert "Connection refused" in error.why


def test_a_key_that_the_host_does_not_know(tmp_path: Path, host: PrivateSshd) -> None:
    new_key(tmp_path / "other")
    assert "refused our key" in not_seen(site(host.ssh(identity_file=str(tmp_path / "other"))), tmp_path / "spool").what
    assert host.accepted() == 0


def test_a_host_whose_key_is_not_known(tmp_path: Path, host: PrivateSshd) -> None:
    (tmp_path / "known").touch()
    error = not_seen(site(host.ssh(known_hosts=str(tmp_path / "known"))), tmp_path / "spool")
    assert "its host key is not known" in error.what
    assert (tmp_path / "known").read_text() == ""


def test_a_host_whose_key_has_changed(tmp_path: Path, host: PrivateSshd) -> None:
    new_key(tmp_path / "other")
    (tmp_path / "known").write_text(host.known_line("127.0.0.1", tmp_path / "other"))
    error = not_seen(site(host.ssh(known_hosts=str(tmp_path / "known"))), tmp_path / "spool")
    assert "its host key has changed" in error.what
    assert "compared its fingerprint" in error.remedy


def test_no_ssh_on_this_machine(tmp_path: Path, host: PrivateSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "ssh could not be started" in not_seen(site(host.ssh()), tmp_path / "spool").what


# ---- a connection, and nonsense


@pytest.mark.parametrize(
    "noise",
    ["echo Welcome to db1", "printf 'no newline'", "yes | head -c 60000", "printf '\\377\\376\\000 binary'", "echo '{\"interlock_probe\"' ", "echo rc >&2"],
)
def test_a_start_file_that_prints_is_forgiven(tmp_path: Path, noise: str) -> None:
    with misbehaving(tmp_path, f"{noise}; {RUN}") as host:
        assert seen(site(host.ssh()), tmp_path / "spool", Stat("/")).stat("/").present


@pytest.mark.parametrize(
    ("force", "what"),
    [
        ("echo hello", "answered nothing that a probe would"),
        ("echo 'This account is currently not available.'; exit 1", "exit code 1"),
        ("exit 127", "exit code 127"),
        ("exec yes", "something that is no answer"),
        ("exec cat /dev/zero", "something that is no answer"),
        (f"{RUN.removeprefix('exec ')}; echo more; echo more", ""),
        (f"{{ {RUN.removeprefix('exec ')}; }} | sed 's/look/book/'", "something that is no answer"),
        (f"{{ {RUN.removeprefix('exec ')}; }} | head -c 400", "broke off in the middle"),
        (f"{{ {RUN.removeprefix('exec ')}; }} | head -n 3", "broke off in the middle"),
        (f"{{ {RUN.removeprefix('exec ')}; }} | sed '4s/$/ trailing/'", "something that is no answer"),
        (f"{{ {RUN.removeprefix('exec ')}; }} | head -n 2; exec yes", "something that is no answer"),
        (f"{{ {RUN.removeprefix('exec ')}; }} | head -n 2; exec tr '\\000' x </dev/zero", "something that is no answer"),
    ],
)
def test_nonsense_is_never_half_an_answer(tmp_path: Path, force: str, what: str) -> None:
    with misbehaving(tmp_path, force) as host:
        began = time.monotonic()
        if what:
            assert what in not_seen(site(host.ssh()), tmp_path / "spool", Stat("/"), User("root"), Walk(str(tmp_path / "sshd"))).what
        else:  # a farewell after the answer
            assert seen(site(host.ssh()), tmp_path / "spool", Stat("/")).stat("/").present
        assert time.monotonic() - began < 15


def test_a_probe_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    """By name of nobody else's process: the script starts it, and kills exactly that one."""
    force = 'sh -c "$SSH_ORIGINAL_COMMAND" | { head -c 300; kill -9 $$; }'
    with misbehaving(tmp_path, force) as host:
        error = not_seen(site(host.ssh()), tmp_path / "spool", Stat("/"), Walk("/usr/share"))
    assert "broke off in the middle" in error.what


def test_a_host_that_never_answers_is_left_in_time(tmp_path: Path) -> None:
    with misbehaving(tmp_path, "exec sleep 60") as host:
        began = time.monotonic()
        error = not_seen(site(host.ssh(), timeout=2), tmp_path / "spool")
        assert time.monotonic() - began < 8
    assert "did not answer within 2 s" in error.what
    assert "timeout" in error.remedy


def test_a_host_that_stops_in_the_middle_is_left_in_time(tmp_path: Path) -> None:
    with misbehaving(tmp_path, f"{{ {RUN.removeprefix('exec ')}; }} | head -n 2; exec sleep 60") as host:
        assert "did not answer within 3 s" in not_seen(site(host.ssh(), timeout=3), tmp_path / "spool").what


def test_a_look_that_hangs_there_is_one_failed_look(tmp_path: Path) -> None:
    """A name service that hangs stands for a dead mount: the probe itself gives up on it, and answers the rest."""
    if not shutil.which("busybox"):
        pytest.skip("needs busybox")
    instead = "source.replace(b'pwd.getpwnam(name).pw_uid', b'time.sleep(60)')"
    slow = f"import sys;source=sys.stdin.buffer.read().split(sys.argv[1].encode(),1)[1];exec({instead})"
    box = tmp_path / "bin"
    box.mkdir()
    (box / "python3").write_text(f'#!/bin/sh\nexec {shutil.which("python3")} -I -S -c "{slow}" "$5"\n')
    (box / "python3").chmod(0o755)
    with misbehaving(tmp_path, f"PATH={box}:$PATH; export PATH; {RUN}") as host:
        far = seen(site(host.ssh(), timeout=6), tmp_path / "spool", User("root"), Stat("/"), Walk(str(tmp_path / "sshd")))
    assert far.answers[User("root")] == FailedLook("timeout", "it did not answer in time")
    assert far.stat("/").present
    assert list(far.walk(str(tmp_path / "sshd")))


def test_a_spool_that_cannot_be_written(tmp_path: Path, host: PrivateSshd) -> None:
    (tmp_path / "spool").write_text("in the way")
    found = look(site(host.ssh()), tmp_path / "spool", Walk("/etc"))
    assert isinstance(found, CouldNotLook)
    assert "could not be kept" in found.what


def test_a_full_disk_below_the_spool(tmp_path: Path, host: PrivateSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    from interlock.observe import reply

    monkeypatch.setattr(reply, "open_private", lambda _path: open("/dev/full", "wb"))  # noqa: SIM115 (the walk's file closes it)
    found = look(site(host.ssh()), tmp_path / "spool", Walk("/etc"))
    assert isinstance(found, CouldNotLook)
    assert "could not be kept" in found.what
    assert "make room" in found.remedy
