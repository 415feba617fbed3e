"""probe.sh says what probe.py says, in every shell and with every tool box that is here, or says that it cannot."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.config.models import Host, Ssh
from interlock.facts.looks import Entry, FailedLook, Listing, Look, Mounts, MountsAnswer, ReadFile, ReadFolder, Secret, Space, Stat, StatAnswer, User, Walk
from interlock.observe import conversation, probe, shell_reply, wire
from interlock.observe.reply import Reply, WalkFile, read_listings
from tests.strategies import FILE_NAMES

TOOLS = ("sh", "stat", "find", "od", "readlink", "id", "tr", "uname", "date", "cat", "ls", "cut", "grep", "getent", "getfacl")
SHELLS = [argv for argv in (("dash", "-s"), ("bash", "--posix", "-s"), ("busybox", "sh", "-s")) if shutil.which(argv[0])]


@functools.cache
def busybox_applets() -> frozenset[str]:
    return frozenset(subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split())


def tool_box(folder: Path, *, busybox: bool = False, without: Sequence[str] = ()) -> Path:
    """A folder for PATH with the tools that probe.sh may use, of GNU or of busybox, and nothing else."""
    folder.mkdir()
    for tool in sorted(set(TOOLS) - set(without)):
        found = shutil.which("busybox") if busybox and tool in busybox_applets() else None if busybox else shutil.which(tool)
        if found:
            (folder / tool).symlink_to(found)
    return folder


def asked(looks: Sequence[Look], spool: Path, argv: Sequence[str], path: Path | None = None) -> tuple[Reply, dict[str, list[Listing]]]:
    """The reply of a shell to our payload, and its walks."""
    nonce = secrets.token_hex(16)
    reply = Reply(looks=looks, nonce=nonce, new_walk=lambda number: WalkFile(spool / f"{nonce}-{number}"))
    program = shutil.which(argv[0])
    assert program
    environ = dict(os.environ) | ({"PATH": str(path)} if path else {})
    done = subprocess.run(
        [program, *argv[1:]], executable=program, input=conversation.payload(looks, nonce, 20.0), capture_output=True, env=environ, check=False
    )
    reply.feed(done.stdout)
    reply.close()
    assert reply.complete, (done.returncode, done.stderr[-500:], done.stdout[-300:])
    walks = {looks[number].root: list(read_listings(file.path, file.listings, where="h")) for number, file in reply.walks.items()}  # type: ignore[union-attr]
    return reply, walks


def by_directory(listings: Iterator[tuple[object, ...]] | list[Listing]) -> dict[object, object]:
    """What a walk says, whatever the order in which directories have their entries."""
    found: dict[object, tuple[object, list[Entry], object, object, list[object]]] = {}
    for directory, itself, entries, error, device, vanished in listings:
        one = found.setdefault(directory, (itself, [], error, device, []))
        one[1].extend(entries)  # type: ignore[arg-type]
        one[4].extend(vanished)  # type: ignore[arg-type]
    return {directory: (itself, sorted(entries), error, device, gone) for directory, (itself, entries, error, device, gone) in found.items()}


def here(look: Look) -> object:
    return wire.answer_of(look, probe.answer(wire.look_to_json(look)))


def nasty_tree(folder: Path) -> Path:
    top = os.fsencode(folder / "tree")
    os.makedirs(top + b"/d \n e/\xff\xfe")
    for name in (b"a\nb", b" lead", b"trail\n", b"-n", b"x'y", b"d \n e/\xff\xfe/deep"):
        os.close(os.open(top + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o600))
    os.symlink(b"a\nb", top + b"/link\n1")
    os.symlink(b"/nowhere\n", top + b"/link 2")
    os.mkfifo(top + b"/fifo")
    os.mkdir(top + b"/empty")
    return folder / "tree"


@pytest.fixture(params=["gnu", "busybox"])
def tools(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    busybox = request.param == "busybox"
    if busybox and not shutil.which("busybox"):
        pytest.skip("needs busybox")
    box = tool_box(tmp_path / "tools", busybox=busybox)
    if busybox and shutil.which("getfacl"):
        (box / "getfacl").symlink_to(str(shutil.which("getfacl")))
    return box


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_shell_and_tool_box_answers_as_python_does(tmp_path: Path, shell: tuple[str, ...], tools: Path) -> None:
    tree = nasty_tree(tmp_path)
    for name in ("content", "long"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 300)
    (tmp_path / "empty").touch()
    files = ("content", "long", "empty", "tree/link\n1", "none", "tree", "tree/fifo")
    reads = [ReadFile(str(tmp_path / name), 256 * 300 - 1 if name == "long" else 10**6) for name in files]
    stats = [Stat(str(tmp_path / name)) for name in ("tree", "tree/link\n1", "tree/trail\n", "none", "empty/x", "tree/link 2")]
    walks_asked = [Walk(str(tmp_path / name)) for name in ("tree", "none", "tree/link\n1", "empty")]
    looks = (*reads, *stats, Stat("/"), Mounts(), User("root"), User("nobody-of-that-name"), *walks_asked)
    reply, walks = asked(looks, tmp_path, shell, tools)
    assert reply.header is not None
    assert (reply.header.python, reply.header.uid) == ("", os.geteuid())
    for look in looks:
        mine, its = here(look), reply.answers[look]
        if isinstance(mine, FailedLook):
            assert isinstance(its, FailedLook), look
            assert its.code == mine.code
        elif look == Stat(str(tree / "link 2")):  # where a link that leads nowhere leads, readlink need not say
            assert isinstance(its, FailedLook) or its == mine
        else:
            assert its == mine, look
    assert by_directory(walks[str(tree)]) == by_directory(list(probe.walk(os.fsencode(tree), Entry)))


@settings(max_examples=15)
@given(names=st.sets(FILE_NAMES, min_size=1, max_size=6))
def test_names_of_any_bytes_come_through(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]) -> None:
    folder = tmp_path_factory.mktemp("names")
    (folder / "tree").mkdir()
    for name in names:
        os.close(os.open(os.fsencode(folder / "tree") + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o600))
    looks = (Walk(str(folder / "tree")), *(Stat(probe.to_text(os.fsencode(folder / "tree") + b"/" + name)) for name in sorted(names)))
    reply, walks = asked(looks, folder, SHELLS[0])
    assert by_directory(walks[str(folder / "tree")]) == by_directory(list(probe.walk(os.fsencode(folder / "tree"), Entry)))
    assert all(reply.answers[look] == here(look) for look in looks[1:])
    shutil.rmtree(folder)


def test_a_path_with_a_nul_is_refused_and_not_shortened(tmp_path: Path) -> None:
    looks = (Stat("/etc\0/passwd"), ReadFile("/etc/pass\0wd"), User("ro\0ot"), ReadFolder("/etc", ("a", "\0b")), Stat("/"))
    reply, _ = asked(looks, tmp_path, SHELLS[0])
    assert [answer.code for answer in reply.answers.values() if isinstance(answer, FailedLook)] == ["EINVAL"] * 4
    assert reply.answers[Stat("/")] == here(Stat("/"))


def test_a_file_name_that_looks_like_a_record_is_a_file_name(tmp_path: Path) -> None:
    forged = "x\n0123 entry 0 81a4 0 0 1 1 1 1 /forged"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / forged.replace("/", "_")).touch()
    _, walks = asked((Walk(str(tmp_path / "tree")),), tmp_path, SHELLS[0])
    assert [entry.name for listing in walks[str(tmp_path / "tree")] for entry in listing.entries] == [forged.replace("/", "_")]


def test_acls_are_seen_as_python_sees_them(tmp_path: Path) -> None:
    if not shutil.which("setfacl"):
        pytest.skip("needs setfacl (Debian: apt-get install acl)")
    tree = tmp_path / "tree"
    (tree / "inherits \n x").mkdir(parents=True)
    for name in ("wide \n 1", "masked", "plain"):
        (tree / name).touch(mode=0o600)
    for argv in (
        ["-m", "u:12345:r", str(tree / "wide \n 1")],
        ["-m", "u:12345:r,m::-", str(tree / "masked")],
        ["-d", "-m", "g:54321:rx", str(tree / "inherits \n x")],
    ):
        if subprocess.run(["setfacl", *argv], check=False, capture_output=True).returncode:
            pytest.skip("this file system keeps no ACLs")
    _, walks = asked((Walk(str(tree)),), tmp_path, SHELLS[0])
    assert by_directory(walks[str(tree)]) == by_directory(list(probe.walk(os.fsencode(tree), Entry)))
    without = tool_box(tmp_path / "without", without=["getfacl"])
    reply, _ = asked((Walk(str(tree)),), tmp_path, SHELLS[0], without)
    failed = reply.answers[Walk(str(tree))]
    assert isinstance(failed, FailedLook)
    assert (failed.code, failed.text) == ("no-tool", "it has ACLs, and this host has neither python3 nor getfacl")


def test_without_getfacl_gnu_ls_proves_that_there_are_no_acls(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir(mode=0o700)
    (tmp_path / "tree" / "f").touch()
    reply, walks = asked((Walk(str(tmp_path / "tree")),), tmp_path, SHELLS[0], tool_box(tmp_path / "without", without=["getfacl"]))
    assert reply.answers[Walk(str(tmp_path / "tree"))] is None
    assert len(walks[str(tmp_path / "tree")]) == 1


@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox")
def test_where_nothing_shows_acls_a_walk_is_a_failed_look_and_everything_else_works(tmp_path: Path) -> None:
    looks = (Walk(str(tmp_path)), Stat(str(tmp_path)), User("root"))
    reply, _ = asked(looks, tmp_path, ("busybox", "sh", "-s"), tool_box(tmp_path / "tools", busybox=True, without=["getfacl"]))
    failed = reply.answers[looks[0]]
    assert isinstance(failed, FailedLook)
    assert failed.text == "ACLs cannot be seen: this host has neither python3 nor getfacl"
    assert isinstance(reply.answers[looks[1]], StatAnswer)
    assert reply.answers[looks[2]] == 0


def test_without_stat_every_look_at_files_fails_and_says_so(tmp_path: Path) -> None:
    files = (ReadFile("/etc/passwd"), Stat("/"), Mounts(), Walk("/etc"), Space("/"), ReadFolder("/etc"), Secret("/etc/passwd"))
    looks = (*files, User("root"))
    reply, _ = asked(looks, tmp_path, SHELLS[0], tool_box(tmp_path / "tools", without=["stat"]))
    assert all(reply.answers[look] == FailedLook("no-tool", "this host has neither python3 nor a stat that takes -c") for look in files)
    assert reply.answers[User("root")] == 0


def test_without_getent_a_name_is_asked_of_id_and_a_number_is_no_name(tmp_path: Path) -> None:
    looks = (User("root"), User("nobody-of-that-name"), User("0"))
    reply, _ = asked(looks, tmp_path, SHELLS[0], tool_box(tmp_path / "tools", without=["getent"]))
    assert (reply.answers[looks[0]], reply.answers[looks[1]]) == (0, None)
    assert isinstance(reply.answers[looks[2]], FailedLook)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_what_may_not_be_read_is_an_error_of_its_directory(tmp_path: Path, shell: tuple[str, ...], tools: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("shut", "names-only", "open"):
        (tree / name).mkdir(parents=True)
        (tree / name / "f").touch()
    (tree / "shut").chmod(0o000)
    (tree / "names-only").chmod(0o400)
    (tmp_path / "secret").touch(mode=0o000)
    try:
        reply, walks = asked((Walk(str(tree)), ReadFile(str(tmp_path / "secret")), Stat(str(tree / "shut" / "f"))), tmp_path, shell, tools)
        assert by_directory(walks[str(tree)]) == by_directory(list(probe.walk(os.fsencode(tree), Entry)))
    finally:
        (tree / "shut").chmod(0o700)
        (tree / "names-only").chmod(0o700)
    assert [answer.code for answer in reply.answers.values() if isinstance(answer, FailedLook)] == ["EACCES", "EACCES"]


# ---- the same payload, whoever reads it


def test_python_takes_its_part_of_the_payload_and_the_shell_its_own(tmp_path: Path) -> None:
    looks = (Stat("/"), User("root"), Walk(str(tmp_path)))
    chosen, _ = asked(looks, tmp_path, ("sh", "-c", conversation.CHOOSE))
    assert chosen.header is not None
    assert chosen.header.python
    alone, _ = asked(looks, tmp_path, ("sh", "-c", conversation.CHOOSE), tool_box(tmp_path / "tools"))
    assert alone.header is not None
    assert alone.header.python == ""


@pytest.mark.parametrize("script", ["echo broken >&2; exit 127", "exit 126"])
def test_a_python_that_cannot_run_leaves_it_to_the_shell(tmp_path: Path, script: str) -> None:
    box = tool_box(tmp_path / "tools")
    (box / "python3").write_text(f"#!{shutil.which('sh')}\n{script}\n")
    (box / "python3").chmod(0o700)
    reply, _ = asked((Stat("/"),), tmp_path, ("sh", "-c", conversation.CHOOSE), box)
    assert reply.header is not None
    assert reply.header.python == ""


def test_a_python_that_is_too_old_leaves_it_to_the_shell() -> None:
    """The bootstrap itself, with a version that is not ours: it ends with 126 before it has read anything."""
    bootstrap = conversation.CHOOSE.partition('-c "')[2].partition('"')[0]
    old = f"import sys;sys.version_info=(3,5,9);{bootstrap}"
    assert subprocess.run([sys.executable, "-I", "-S", "-c", old, conversation.MARK], stdin=subprocess.DEVNULL, check=False).returncode == 126


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_no_tool_opens_anything_for_writing(tmp_path: Path) -> None:
    tree = nasty_tree(tmp_path)
    (tmp_path / "pem").write_text("-----BEGIN A-----\nAAAA\n-----END A-----\n")
    secrets_asked = [Secret(str(tmp_path / "pem"), kind) for kind in ("text", "pem", "hex", "base64")]
    looks = (ReadFile("/etc/passwd"), Stat("/"), Mounts(), User("root"), Walk(str(tree)), Space("/"), ReadFolder(str(tree)), *secrets_asked)
    log = tmp_path / "log"
    argv = ["strace", "-f", "-qq", "-e", "trace=%file,%desc", "-o", str(log), "dash", "-s"]
    done = subprocess.run(argv, input=conversation.payload(looks, "a" * 32, 20.0), capture_output=True, check=False)
    if b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert b" end 11" in done.stdout
    calls = [line.split(maxsplit=1)[1] for line in log.read_text(errors="replace").splitlines()]
    changing = (
        "mkdir",
        "unlink",
        "rename",
        "link",
        "symlink",
        "chmod",
        "fchmod",
        "chown",
        "fchown",
        "lchown",
        "truncate",
        "ftruncate",
        "utime",
        "mknod",
        "setxattr",
    )
    writing = [call for call in calls if call.startswith("open") and any(flag in call for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"))]
    assert [call for call in calls if call.startswith(changing)] == []
    assert [call for call in writing if '"/dev/null"' not in call] == []


# ---- reading its records


def test_words_of_tools_become_codes() -> None:
    assert shell_reply.failed_look(b"stat: cannot statx '/x: Permission denied': No such file or directory\n") == FailedLook(
        "ENOENT", "No such file or directory"
    )
    assert shell_reply.failed_look(b"cat: /x: I/O error") == FailedLook("EIO", "I/O error")
    assert shell_reply.failed_look(b"something new").code == "failed"
    assert shell_reply.failed_look(b"").text


@given(st.integers(0, 2**12 - 1), st.integers(0, 2**20 - 1))
def test_device_numbers_are_read_as_the_kernel_makes_them(major: int, minor: int) -> None:
    assert shell_reply.device_text(os.makedev(major, minor)) == f"{major}:{minor}"


WALK = Walk("/w")
ENTRY = b"entry 0 41c0 0 0 1 1 2 2049 "


def walk_records(*records: bytes) -> tuple[object, list[Listing]]:
    answers: dict[int, object] = {}
    lines: list[bytes] = []
    shell = shell_reply.ShellReply(looks=(WALK,), answered=answers.__setitem__, write=lambda _, line: lines.append(line))
    for record in records:
        assert not shell.take(record)
    import json

    return answers.get(0), [wire.listing_from_json(json.loads(line)) for line in lines]


def test_a_complaint_that_nobody_can_explain_fails_the_walk() -> None:
    answer, listings = walk_records(ENTRY + b"/w\n", b"walked 0 1 find: '/w/x': Input/output error\n")
    assert answer == FailedLook("EIO", "Input/output error")
    assert listings == []


def test_an_exit_code_without_a_word_fails_the_walk() -> None:
    answer, _ = walk_records(ENTRY + b"/w\n", b"walked 0 137 ")
    assert answer == FailedLook("failed", "find ended with 137 and said nothing")


@pytest.mark.parametrize(
    "words",
    [
        b"stat: cannot statx '/w/x': No such file or directory\n",
        b"stat: can't stat '/w/x': No such file or directory\n",
        b"find: /w/x: No such file or directory\n",
    ],
)
def test_what_vanished_is_noted(words: bytes) -> None:
    answer, listings = walk_records(ENTRY + b"/w\n", b"walked 0 1 " + words)
    assert answer is None
    assert [(listing.directory, listing.vanished) for listing in listings] == [("/w", ("x",))]


def test_entries_of_a_directory_that_was_not_seen_fail_the_walk() -> None:
    answer, _ = walk_records(ENTRY + b"/w\n", ENTRY + b"/w/gone/sub\n", b"walked 0 0 ")
    assert isinstance(answer, FailedLook)
    assert answer.code == "unsettled"


def test_more_entries_than_can_be_sorted_fail_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_reply, "HELD_LIMIT", 2)
    answer, _ = walk_records(ENTRY + b"/w\n", *(ENTRY + b"/w/%d\n" % number for number in range(3)), b"walked 0 0 ")
    assert isinstance(answer, FailedLook)
    assert answer.code == "no-tool"


@pytest.mark.parametrize(
    "record", [b"", b"entry", b"entry 0", b"entry 1 x", b"entry x x", b"entry 0 zz 0 0 1 1 2 3 /w", b"nonsense 0 x", b"end 7 ", b"walked 0 ", b"uid 0 7"]
)
def test_a_record_that_is_none_is_refused(record: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        walk_records(record)


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox", "mksh", "zsh", "tcsh", "fish"])
@pytest.mark.parametrize("become", [None, "sudo -n"])
def test_the_remote_command_works_in_every_login_shell(tmp_path: Path, shell: str, become: Literal["sudo -n"] | None) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    box = tool_box(tmp_path / "tools")
    (box / "env").symlink_to(str(shutil.which("env")))
    (box / "sudo").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')  # stands for sudo, which is not what is proven here
    (box / "sudo").chmod(0o700)
    command = conversation.remote_command(Host(ssh=Ssh(destination="h"), become=become))
    argv = (shell, "sh", "-c", command) if shell == "busybox" else (shell, "-c", command)
    for path in (None, box) if become is None or os.geteuid() == 0 else (box,):
        reply, _ = asked((Stat("/"), User("root")), tmp_path, argv, path)
        assert reply.header is not None
        assert bool(reply.header.python) is (path is None)


def answered(look: Look, *records: bytes) -> object:
    answers: dict[int, object] = {}
    shell = shell_reply.ShellReply(looks=(look,), answered=answers.__setitem__, write=lambda *_: None)
    for record in records:
        assert not shell.take(record)
    return answers[0]


def test_the_mount_table_has_the_devices_that_it_names_and_no_others() -> None:
    info = b"36 35 98:0 / /mnt rw - ext3 /dev/my\\040disk rw\n"
    devices = [
        b"rdev 0 8 11 block special file//dev/sdb1\n",
        b"rdev 0 8 12 block special file//dev/my disk\n",
        b"rdev 0 1 3 character special file//dev/null\n",
    ]
    found = answered(Mounts(), b"mountinfo 0 " + info, b"link 0 by-label/state\n/dev/sdb1", *devices, b"rdev 0 0 0 directory//dev/fd\n", b"whole 0 ")
    assert found == MountsAnswer(mountinfo=info, devices={"/dev/sdb1": "8:17", "/dev/my disk": "8:18"}, links={"by-label/state": "/dev/sdb1"})


@pytest.mark.parametrize(
    ("records", "answer"),
    [
        ((b"nodevice 0 stat: cannot statx '/x': Permission denied", b"realpath 0 /x\n"), FailedLook("EACCES", "Permission denied")),
        ((b"device 0 2049", b"realpath 0 "), FailedLook("ENOENT", "it is a link, and where it leads cannot be seen")),
        (
            (b"nodevice 0 stat: cannot statx '/x': No such file or directory", b"realpath 0 /y\n\n"),
            StatAnswer(present=True, mode=0o120777, size=1, realpath="/y\n"),
        ),
    ],
)
def test_a_link_whose_end_is_hidden_is_a_failed_look(records: tuple[bytes, ...], answer: object) -> None:
    assert answered(Stat("/x"), b"stat 0 a1ff 0 0 1 0", *records) == answer


def test_a_shut_directory_is_an_error_and_its_complaints_are_explained() -> None:
    complaints = b"find: '/w/shut': Permission denied\nfind: '/w/names/f': Permission denied\n"
    answer, listings = walk_records(
        b"closed 0 /w/shut", b"closed 0 /w/names", ENTRY + b"/w\n", ENTRY + b"/w/shut\n", ENTRY + b"/w/names\n", b"walked 0 1 " + complaints
    )
    assert answer is None
    assert [(listing.directory, listing.error) for listing in listings] == [
        ("/w", ""),
        ("/w/shut", "EACCES: Permission denied"),
        ("/w/names", "EACCES: Permission denied"),
    ]


def test_a_complaint_about_a_neighbour_of_a_shut_directory_is_not_explained_by_it() -> None:
    answer, _ = walk_records(b"closed 0 /w/shut", ENTRY + b"/w\n", ENTRY + b"/w/shut\n", b"walked 0 1 find: '/w/shutter': Permission denied\n")
    assert answer == FailedLook("EACCES", "Permission denied")
