"""Looking at this machine: in process, nothing opened twice, no child, and every failure an answer of its own look."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from interlock.config.models import Host, Site, Ssh
from interlock.errors import CouldNotLook
from interlock.facts.looks import (
    Engine,
    Examine,
    FailedLook,
    HostFacts,
    Mounts,
    Owners,
    ReadFile,
    ReadFolder,
    Secret,
    Shadows,
    Space,
    Stat,
    StatAnswer,
    User,
    Walk,
)
from interlock.observe import hosts, probe
from interlock.observe.hosts import observe

SITE = Site(interlock=1, site="s")


def look_here(*looks: Any, spool: Path = Path("/nowhere")) -> HostFacts:
    found = observe(SITE, {"local": frozenset(looks)}, spool)["local"]
    assert isinstance(found, HostFacts)
    return found


def test_every_look_has_its_answer(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    facts = look_here(
        ReadFile(str(tmp_path / "f")),
        Stat(str(tmp_path / "f")),
        Stat(str(tmp_path / "none")),
        Mounts(),
        User("root"),
        User("no-such-user"),
        Walk(str(tmp_path)),
        Space(str(tmp_path)),
        ReadFolder(str(tmp_path)),
        Secret(str(tmp_path / "f"), "base64"),
        Examine(str(tmp_path)),
        Owners(str(tmp_path)),
        Shadows((str(tmp_path),)),
    )
    assert facts.read(str(tmp_path / "f")) == b"content"
    assert facts.stat(str(tmp_path / "f")).size == 7
    assert facts.stat(str(tmp_path / "none")) == StatAnswer(present=False)
    assert facts.mounts().mountinfo == Path("/proc/self/mountinfo").read_bytes()
    assert (facts.uid("root"), facts.uid("no-such-user")) == (0, None)
    assert [entry.name for listing in facts.walk(str(tmp_path)) for entry in listing.entries] == ["f"]
    assert facts.space(str(tmp_path)).bytes_total > 0
    assert facts.folder(str(tmp_path)).files == {"f": b"content"}
    assert facts.secret(str(tmp_path / "f"), "base64").size == 7
    assert [(file.name, file.whole) for file in facts.examine(str(tmp_path)).files] == [("f", None)]
    assert facts.owners(str(tmp_path)).owners == ((os.getuid(), 2, (".", "f")),)
    assert facts.shadows((str(tmp_path),)).shadows == ()
    assert list(facts.answers)[-3:] == [Walk(str(tmp_path)), Owners(str(tmp_path)), Examine(str(tmp_path))]  # what may take long comes last
    assert (facts.host, facts.replayed) == ("local", False)
    assert facts.taken_at.endswith("Z")


def test_a_failed_look_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path)
    facts = look_here(
        ReadFile(str(tmp_path / "f"), 4),
        ReadFile("/dev/null"),
        Walk(str(tmp_path / "link")),
        Walk(str(tmp_path / "f")),
        Walk(str(tmp_path / "none")),
        User("root"),
    )
    assert {
        type(look).__name__ + look.path if isinstance(look, ReadFile) else look: answer.code
        for look, answer in facts.answers.items()
        if isinstance(answer, FailedLook)
    } == {
        f"ReadFile{tmp_path / 'f'}": "too-large",
        "ReadFile/dev/null": "not-regular",
        Walk(str(tmp_path / "link")): "ELOOP",
        Walk(str(tmp_path / "f")): "ENOTDIR",
        Walk(str(tmp_path / "none")): "ENOENT",
    }
    assert facts.uid("root") == 0
    with pytest.raises(CouldNotLook, match="more than the limit of 4") as caught:
        facts.read(str(tmp_path / "f"))
    assert caught.value.where == "local"
    with pytest.raises(CouldNotLook, match="No such file") as caught:
        next(facts.walk(str(tmp_path / "none")))
    assert "create it" in caught.value.remedy


def test_what_was_not_looked_at_is_not_guessed(tmp_path: Path) -> None:
    facts = look_here(User("root"))
    for ask in (
        lambda: facts.read("/etc/passwd"),
        lambda: facts.stat("/"),
        facts.mounts,
        lambda: facts.uid("bin"),
        lambda: next(facts.walk("/etc")),
        lambda: facts.space("/"),
        lambda: facts.folder("/etc"),
        lambda: facts.secret("/etc/passwd", "text"),
        lambda: facts.examine("/srv"),
        lambda: facts.engine(Engine("/run/docker.sock")),
        lambda: facts.owners("/srv"),
        lambda: facts.shadows(("/srv",)),
    ):
        with pytest.raises(CouldNotLook, match=r"not looked at|not walked"):
            ask()


def test_a_host_that_the_site_does_not_declare_is_not_this_machine() -> None:
    found = observe(SITE, {"typo": frozenset({User("root")})}, Path("/nowhere"))["typo"]
    assert isinstance(found, CouldNotLook)
    assert "declares no host typo" in found.what


def test_a_declared_host_without_ssh_is_this_machine() -> None:
    site = Site(interlock=1, site="s", hosts={"here": Host()})
    found = observe(site, {"here": frozenset({User("root")})}, Path("/nowhere"))["here"]
    assert isinstance(found, HostFacts)
    assert found.host == "here"


def test_hosts_come_in_the_order_of_their_names() -> None:
    site = Site(interlock=1, site="s", hosts={"b": Host(), "a": Host()})
    assert list(observe(site, {name: frozenset() for name in ("local", "b", "a")}, Path("/nowhere"))) == ["a", "b", "local"]


def test_a_look_that_hangs_costs_its_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    real = probe.look_stat
    monkeypatch.setattr(probe, "look_stat", lambda path: release.wait(30) if path == b"/dead" else real(path))
    site = Site(interlock=1, site="s", hosts={"local": Host(timeout=1)})
    found = observe(site, {"local": frozenset({Stat("/dead"), Stat("/"), Mounts()})}, Path("/nowhere"))["local"]
    release.set()
    assert isinstance(found, HostFacts)
    assert found.stat("/").present
    assert found.mounts().mountinfo
    with pytest.raises(CouldNotLook, match="in time") as caught:
        found.stat("/dead")
    assert "dead network mount" in caught.value.remedy


# ---- counts

COUNTED = """
import os, subprocess, sys
from pathlib import Path
opened, children = [], []
def hook(event, args):
    if event == "open":
        opened.append(os.fsdecode(args[0]) if isinstance(args[0], (str, bytes)) else str(args[0]))
    elif event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system"):
        children.append(event)
from interlock.config.models import Site
from interlock.facts.looks import *
from interlock.observe.hosts import observe
top = sys.argv[1]
sys.addaudithook(hook)
looks = [ReadFile(top + "/f"), ReadFile(top + "/d/g"), ReadFile("/etc/passwd"), Stat(top + "/f"), Mounts(), User("root"), Walk(top)]
facts = observe(Site(interlock=1, site="s"), {"local": frozenset(looks)}, Path("/nowhere"))["local"]
for look in looks[:3]:
    facts.read(look.path)
facts.mounts()
assert sum(len(listing.entries) for listing in facts.walk(top)) == 3
print("\\n".join(["children", *children, "opened", *opened]))
"""


def test_no_child_no_file_twice_and_one_read_of_mountinfo(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    (tmp_path / "d" / "g").touch()
    done = subprocess.run([sys.executable, "-c", COUNTED, str(tmp_path)], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    children, _, opened = done.stdout.partition("opened\n")
    counts = Counter(opened.splitlines())
    ours = {path: count for path, count in counts.items() if path.startswith(("/proc", str(tmp_path))) or path == "/etc/passwd"}
    assert children == "children\n"
    assert ours == {"/proc/self/mountinfo": 1, str(tmp_path / "f"): 1, str(tmp_path / "d" / "g"): 1, "/etc/passwd": 1, str(tmp_path): 1}


def test_no_child_process_even_if_somebody_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a child process")

    for owner, name in ((subprocess, "Popen"), (os, "fork"), (os, "posix_spawn"), (os, "system")):
        monkeypatch.setattr(owner, name, forbidden)
    facts = look_here(Mounts(), Walk(str(tmp_path)), User("root"))
    assert list(facts.walk(str(tmp_path)))


def test_nothing_is_written_to_the_spool_for_this_machine(tmp_path: Path) -> None:
    facts = look_here(Walk("/etc"), Mounts(), spool=tmp_path / "spool")
    next(facts.walk("/etc"))
    assert list(tmp_path.iterdir()) == []


# ---- asking others, without a network: a script stands for ssh


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ssh` that writes its pid and then says nothing."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text(f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}.new; mv {tmp_path / 'pid'}.new {tmp_path / 'pid'}; exec sleep 60\n")
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "pid"


FAR = Site(interlock=1, site="s", hosts={"far": Host(ssh=Ssh(destination="far"), timeout=30)})


def test_an_interrupt_leaves_no_child(tmp_path: Path, fake_ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        while not fake_ssh.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(hosts, "_look_here", interrupted)
    with pytest.raises(KeyboardInterrupt):
        observe(FAR, {"far": frozenset({Stat("/")}), "local": frozenset({Stat("/")}), "a": frozenset()}, tmp_path / "spool")
    pid = int(fake_ssh.read_text())
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_a_fault_of_our_own_in_a_thread_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_ssh: Path) -> None:
    def faulty(*_: object) -> bytes:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(hosts, "payload", faulty)
    with pytest.raises(ZeroDivisionError, match="ours"):
        observe(FAR, {"far": frozenset({Stat("/")})}, tmp_path / "spool")


@pytest.mark.parametrize(("euid", "children"), [(0, []), (1000, ["far"])])
def test_become_on_this_machine_takes_a_child_only_when_we_are_not_root(monkeypatch: pytest.MonkeyPatch, euid: int, children: list[str]) -> None:
    monkeypatch.setattr(hosts.os, "geteuid", lambda: euid)
    site = Site(interlock=1, site="s", hosts={"far": Host(become="sudo -n")})
    assert [name for name in ("far", "local") if hosts._from_outside(site, name)] == children
