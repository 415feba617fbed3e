"""Secrets, folders and free space: Python and the shell say the same, and no secret leaves its host."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.facts.looks import FailedLook, FolderAnswer, Look, ReadFolder, Secret, SecretAnswer, Space, SpaceAnswer
from interlock.observe import conversation, probe, shell_reply
from tests.unit.test_observe_shell_probe import SHELLS, asked, here, tool_box

KEY = """-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,00

bm90IGEga2V5IGJ1dCBs
b25nIGVub3VnaA==
-----END RSA PRIVATE KEY-----
"""
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"


def fault(content: bytes, kind: str, folder: Path) -> str:
    (folder / "secret").write_bytes(content)
    return str(probe.answer(["secret", str(folder / "secret"), kind])["secret"]["fault"])


# ---- what a secret is readable as


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text", b"hunter2"),
        ("text", b"\xff\xfe\0x"),
        ("json", b'{"a": [1, null]}\n'),
        ("json", b'"text"'),
        ("hex", b"00ffAB\n"),
        ("hex", b"00ff\n11\n"),
        ("base64", b"aGVsbG8=\n"),
        ("base64", b"aGVs\nbG8=\n"),
        ("base64", b"aGVsbG8"),
        ("base64", b"_-8"),
        ("base64", b"+/8="),
        ("pem", KEY.encode()),
        ("pem", KEY.replace("\n", "\r\n").encode()),
        ("pem", b"Bag Attributes: none\n" + (CERTIFICATE + KEY).encode().rstrip()),
    ],
)
def test_a_good_secret_has_no_fault(tmp_path: Path, kind: str, content: bytes) -> None:
    assert fault(content, kind, tmp_path) == ""


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("text", b" \n\0\t", "it is blank"),
        ("json", b"", "it is blank"),
        ("json", b'{"password": "hunter2\\q"}', "it is no JSON at line 1, column 22"),
        ("json", b"\xff", "it is no JSON: it is not UTF-8"),
        ("json", b"NaN", "it is no JSON"),
        ("json", b"[" * 100_000, "it is no JSON that can be read: it is nested too deep"),
        ("hex", b"00f", "it has an odd number of hex digits"),
        ("hex", b"00fg", "it has characters that are no hex digits"),
        ("hex", b"00\0f", "it has characters that are no hex digits"),
        ("base64", b"aGVsbG8==", "its length is not one that base64 has: it is cut short, or padded wrongly"),
        ("base64", b"aGVsb", "its length is not one that base64 has: it is cut short, or padded wrongly"),
        ("base64", b"a+b_", "it has characters that are not base64"),
        ("base64", b"a=bc", "it has characters that are not base64"),
        ("base64", b"aGVs\0", "it has characters that are not base64"),
        ("pem", b"hunter2", "it is no PEM: no block begins in it"),
        ("pem", KEY[:-30].encode(), "a PEM block does not end"),
        ("pem", KEY.replace("END RSA", "END EC").encode(), "a PEM block ends that did not begin"),
        ("pem", CERTIFICATE.replace("=", "").encode() + CERTIFICATE.replace("bm90", "bm9").encode(), "a PEM block holds no whole base64"),
        ("pem", b"-----BEGIN A-----\n-----END A-----", "a PEM block holds no whole base64"),
        ("pem", b"-----BEGIN A-----\n-----BEGIN A-----", "a PEM block begins within another one"),
        ("pem", b"-----END A-----", "a PEM block ends that did not begin"),
        ("pem", CERTIFICATE.encode() + b"\0", "it is no PEM: it has a NUL"),
    ],
)
def test_a_bad_secret_has_a_fault_that_does_not_quote_it(tmp_path: Path, kind: str, content: bytes, said: str) -> None:
    assert fault(content, kind, tmp_path) == said


@given(st.binary(max_size=60), st.sampled_from(["json", "pem", "hex", "base64"]))
def test_what_was_encoded_is_readable_and_what_was_cut_is_not(content: bytes, kind: str) -> None:
    if not content:
        return
    lines = base64.encodebytes(content)
    whole = {
        "json": json.dumps({"k": lines.decode()}).encode(),
        "pem": b"-----BEGIN K-----\n" + lines + b"-----END K-----\n",
        "hex": content.hex().encode(),
        "base64": lines,
    }[kind]
    assert probe._SECRET_FAULTS[kind](whole) == ""
    assert probe._SECRET_FAULTS[kind](whole.rstrip(b"\n=")[:-1] + b"!")


def test_a_link_is_followed_and_one_that_leads_nowhere_is_an_absent_secret(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("none")
    (tmp_path / "circle").symlink_to("circle")
    seen = here(Secret(str(tmp_path / "link")))
    assert isinstance(seen, SecretAnswer)
    assert (seen.present, seen.regular, seen.mode, seen.size, seen.uid) == (True, True, 0o640, 1, os.geteuid())
    for name in ("nowhere", "none", "file/below"):
        assert here(Secret(str(tmp_path / name))) == SecretAnswer(present=False)
    assert here(Secret(str(tmp_path / "circle"))) == FailedLook("ELOOP", "Too many levels of symbolic links")


def test_a_directory_where_a_secret_belongs_is_named(tmp_path: Path) -> None:
    """The engine makes one when the source of a bind is missing."""
    seen = here(Secret(str(tmp_path)))
    assert isinstance(seen, SecretAnswer)
    assert (seen.present, seen.regular, seen.fault) == (True, False, "it is a directory, not a regular file")


def test_a_huge_secret_is_none_and_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(probe.SECRET_LIMIT + 1)
    monkeypatch.setattr(probe, "look_read", lambda *_: pytest.fail("it was read"))
    assert probe.answer(["secret", str(tmp_path / "huge"), "text"])["secret"]["fault"] == "it has more than 1048576 bytes, too many for a secret"


def test_an_unknown_format_is_a_failed_look(tmp_path: Path) -> None:
    assert probe.answer(["secret", "/etc/passwd", "xml"]) == {"failed": ["EINVAL", "no such format: xml"]}


@pytest.mark.parametrize("kind", ["text", "json", "pem", "hex", "base64"])
@pytest.mark.parametrize("argv", [(sys.executable, "-I", "-S", "-B", "-"), *SHELLS], ids=" ".join)
def test_no_byte_of_a_secret_leaves_its_host(tmp_path: Path, kind: str, argv: tuple[str, ...]) -> None:
    canary = "canary" + secrets.token_hex(8)
    shapes = {"json": f'{{"k": "{canary}\\q"}}', "pem": f"-----BEGIN {canary}-----\n{canary}\n-----BEGIN {canary}-----\n", "hex": canary + "zz"}
    (tmp_path / "secret").write_text(shapes.get(kind, canary + "!"))
    looks: list[Look] = [Secret(str(tmp_path / "secret"), kind)]
    said = conversation.payload(looks, "n" * 32, 20.0)
    stdin = said.split(conversation.MARK.encode() + b"\n", 1)[1] if "-I" in argv else said
    done = subprocess.run([str(shutil.which(argv[0])), *argv[1:]], input=stdin, capture_output=True, check=False)
    assert b"n" * 32 in done.stdout
    assert canary[:10].encode() not in done.stdout + done.stderr
    assert base64.b64encode(canary.encode())[:10] not in done.stdout
    assert canary.encode().hex()[:10].encode() not in done.stdout.replace(b" ", b"")


# ---- the twins


def as_the_shell_says(mine: object, look: Look) -> object:
    return FailedLook("no-tool", "this host has no python3, which judges json") if isinstance(look, Secret) and look.format == "json" else mine


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("busybox", [False, True], ids=["gnu", "busybox"])
def test_the_shell_says_what_python_says(tmp_path: Path, shell: tuple[str, ...], busybox: bool) -> None:
    if busybox and not shutil.which("busybox"):
        pytest.skip("needs busybox")
    box = tool_box(tmp_path / "tools", busybox=busybox)
    samples = {
        "text": [b"x", b" \n\0", b""],
        "hex": [b"00ff\n", b"00f", b"zz", b"00\0"],
        "base64": [b"aGVsbG8=\n", b"aGVsbG8", b"aGVsb", b"a+b_", b"a=bc", b"====", b"aGVs\0", b"\xff\xff\xff\xff"],
        "pem": [
            KEY.encode(),
            KEY.encode()[:-20],
            KEY.replace("\n", "\r\n").encode(),
            (CERTIFICATE * 2).encode().rstrip(),
            b"x",
            b"-----BEGIN -----\nAAAA\n-----END -----",
            KEY.replace("bm90", "bm 90").encode(),
            b"-----END A-----\n",
            CERTIFICATE.encode() + b"\0",
            b"-----BEGIN A-----\nAAAA\n  -----END A-----  \n\\n%s *\n",
        ],
        "json": [b"{}"],
    }
    looks: list[Look] = []
    for kind, contents in samples.items():
        for number, content in enumerate(contents):
            path = tmp_path / f"{kind} '{number}"
            path.write_bytes(content)
            path.chmod(0o640 if number else 0o600)
            looks.append(Secret(str(path), kind))
    (tmp_path / "huge").write_bytes(b"x" * (probe.SECRET_LIMIT + 1))
    (tmp_path / "link").symlink_to("huge")
    (tmp_path / "nowhere").symlink_to("none")
    looks += [Secret(str(tmp_path / name)) for name in ("huge", "link", "nowhere", "none", "tools", "huge/below")]
    looks += [Space(str(tmp_path)), Space("/"), Space("/none"), Space("/proc"), Space(str(tmp_path / "link"))]
    folder = folder_of_units(tmp_path / "units")
    looks += [ReadFolder(str(folder)), ReadFolder(f"{folder}/", (".timer", ".service")), ReadFolder(str(tmp_path / "none")), ReadFolder(str(tmp_path / "huge"))]
    (tmp_path / "empty").mkdir()
    (tmp_path / "to-units").symlink_to("units")
    looks += [ReadFolder(str(tmp_path / name)) for name in ("empty", "to-units", "nowhere")]
    reply, _ = asked(looks, tmp_path, shell, box)
    for look in looks:
        mine, its = as_the_shell_says(here(look), look), reply.answers[look]
        if isinstance(mine, SpaceAnswer):
            assert isinstance(its, SpaceAnswer)
            assert (its.bytes_total, its.inodes_total, its.read_only) == (mine.bytes_total, mine.inodes_total, mine.read_only), look
            assert abs(its.bytes_free - mine.bytes_free) < 1 << 30  # others write there meanwhile
        elif isinstance(mine, FailedLook):
            assert isinstance(its, FailedLook), look
            assert its.code == mine.code, look
        else:
            assert its == mine, look


@settings(max_examples=25)
@given(
    kind=st.sampled_from(["pem", "hex", "base64", "text"]),
    parts=st.lists(
        st.sampled_from(
            [
                "-----BEGIN A-----",
                "-----END A-----",
                "-----END B-----",
                "AAAA",
                "\n",
                "\n",
                "\n",
                " ",
                "=",
                "A: b",
                "\t",
                "\\",
                "*",
                "'",
                "0",
                "ff",
                "\r\n",
                "-",
                "%s",
                "\x00",
                "é",
            ]
        ),
        max_size=12,
    ),
)
def test_the_shell_judges_any_secret_as_python_does(tmp_path_factory: pytest.TempPathFactory, kind: str, parts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "s").write_bytes("".join(parts).encode())
    look = Secret(str(folder / "s"), kind)
    reply, _ = asked((look,), folder, SHELLS[0])
    assert reply.answers[look] == here(look)
    shutil.rmtree(folder)


# ---- folders


def folder_of_units(folder: Path) -> Path:
    folder.mkdir()
    (folder / "b.timer").write_bytes(b"[Timer]\n\0\xff")
    (folder / "a.service").write_bytes(b"")
    (folder / "a b\nc.timer").write_bytes(b"x")
    for left in (".hidden.timer", "b.timer~", "#b.timer#", "b.timer.dpkg-old", "b.dpkg-dist.timer"):
        (folder / left).write_bytes(b"left out")
    (folder / "multi-user.target.wants").mkdir()
    os.mkfifo(folder / "pipe.timer")
    (folder / "alias.timer").symlink_to("b.timer")
    (folder / "masked.timer").symlink_to("/dev/null")
    (folder / "nowhere.timer").symlink_to("none")
    (folder / "zero.timer").symlink_to("/dev/zero")
    (folder / "large.timer").write_bytes(b"x" * (probe.FOLDER_FILE_LIMIT + 1))
    return folder


def test_a_folder_brings_its_files_by_name_and_nothing_that_cron_would_pass_over(tmp_path: Path) -> None:
    folder = folder_of_units(tmp_path / "units")
    assert here(ReadFolder(str(folder), (".timer",))) == FolderAnswer(
        files={"a b\nc.timer": b"x", "alias.timer": b"[Timer]\n\0\xff", "b.timer": b"[Timer]\n\0\xff", "masked.timer": b""},
        unread={"large.timer": "it has 1048577 bytes, more than the limit of 1048576"},
    )
    every = here(ReadFolder(str(folder)))
    assert isinstance(every, FolderAnswer)
    assert list(every.files) == sorted(every.files)
    assert "a.service" in every.files


def test_a_folder_that_is_not_there_has_no_files_and_a_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert here(ReadFolder(str(tmp_path / "none"))) == FolderAnswer(files={}, unread={})
    assert here(ReadFolder(str(tmp_path / "file"))) == FailedLook("ENOTDIR", "Not a directory")


@pytest.mark.parametrize("limit", ["FOLDER_FILES", "FOLDER_LIMIT"])
def test_a_folder_with_too_much_in_it_is_a_failed_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    for number in range(3):
        (tmp_path / str(number)).write_bytes(b"xx")
    monkeypatch.setattr(probe, limit, {"FOLDER_FILES": 2, "FOLDER_LIMIT": 5}[limit])
    failed = here(ReadFolder(str(tmp_path)))
    assert isinstance(failed, FailedLook)
    assert failed.code == "too-large"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "a").touch(mode=0o000)
    (tmp_path / "units" / "b").touch()
    looks = (ReadFolder(str(tmp_path / "units")), Secret(str(tmp_path / "units" / "a")))
    reply, _ = asked(looks, tmp_path, SHELLS[0])
    expected = FolderAnswer(files={"b": b""}, unread={"a": "Permission denied"})
    assert here(looks[0]) == reply.answers[looks[0]] == expected
    assert here(looks[1]) == reply.answers[looks[1]] == FailedLook("EACCES", "Permission denied")
    (tmp_path / "units").chmod(0o000)
    try:
        assert here(looks[0]) == FailedLook("EACCES", "Permission denied")
    finally:
        (tmp_path / "units").chmod(0o700)


@pytest.mark.parametrize("missing", ["tr", "od"])
def test_without_its_tools_the_shell_judges_no_secret(tmp_path: Path, missing: str) -> None:
    (tmp_path / "s").write_text("x")
    look = Secret(str(tmp_path / "s"))
    reply, _ = asked((look,), tmp_path, SHELLS[0], tool_box(tmp_path / "tools", without=[missing]))
    assert reply.answers[look] == FailedLook("no-tool", "this host has neither python3 nor tr and od")


def test_a_folder_of_many_files_is_a_failed_look_of_the_shell_too(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / str(number)).write_bytes(b"x" * 1_000_000)
    look = ReadFolder(str(tmp_path))
    reply, _ = asked((look,), tmp_path, SHELLS[0])
    its, mine = reply.answers[look], here(look)
    assert isinstance(its, FailedLook)
    assert its == mine
    assert its.code == "too-large"


@pytest.mark.parametrize("record", [b"whole 0", b"content 0 00", b"unread 0 x", b"stat 0 1"])
def test_a_record_that_belongs_to_no_folder_is_refused(record: bytes) -> None:
    shell = shell_reply.ShellReply(looks=(ReadFolder("/f"),), answered=lambda *_: None, write=lambda *_: None)
    with pytest.raises((ValueError, KeyError)):
        shell.take(record)


def test_a_file_that_grew_while_the_shell_read_it_is_unread() -> None:
    answers: dict[int, object] = {}
    shell = shell_reply.ShellReply(looks=(ReadFolder("/f"),), answered=answers.__setitem__, write=lambda *_: None)
    for record in (
        b"name 0 a",
        b"content 0 " + b"00 " * (probe.FOLDER_FILE_LIMIT + 1),
        b"name 0 b",
        b"content 0 78",
        b"unread 0 od: b: I/O error\n",
        b"whole 0 ",
    ):
        shell.take(record)
    assert answers[0] == FolderAnswer(files={}, unread={"a": "it has more bytes than the limit of 1048576", "b": "I/O error"})


# ---- space


def test_space_is_what_an_ordinary_user_may_use(tmp_path: Path) -> None:
    seen: Any = here(Space(str(tmp_path)))
    system = os.statvfs(tmp_path)
    assert (seen.bytes_total, seen.inodes_total, seen.read_only) == (system.f_blocks * system.f_frsize, system.f_files, False)
    assert 0 < seen.bytes_free <= seen.bytes_total
    assert here(Space("/none")) == FailedLook("ENOENT", "No such file or directory")


@pytest.mark.parametrize(
    ("mountinfo", "read_only"),
    [
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n", False),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /srv ro - ext4 /dev/b rw\n", True),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /srv rw - ext4 /dev/b ro\n", True),
        (b"1 0 8:1 / / ro - ext4 /dev/a rw\n2 1 8:2 / /srv rw - ext4 /dev/b rw\n", False),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /srv rw - ext4 /dev/b rw\n3 2 8:3 / /srv ro - ext4 /dev/c rw\n", True),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /srv\\040x ro - ext4 /dev/b rw\n", False),
        (b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /srv/datab ro - ext4 /dev/b rw\n", False),
    ],
)
def test_the_shell_finds_what_is_read_only_in_the_mount_table(mountinfo: bytes, read_only: bool) -> None:
    assert shell_reply._read_only(mountinfo, b"/srv/data") is read_only
