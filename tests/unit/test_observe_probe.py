"""The probe: what it answers, what it refuses, and that it leaves everything as it was."""

from __future__ import annotations

import ast
import errno
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.looks import Entry
from interlock.observe import probe
from tests.strategies import FILE_NAMES

SOURCE = Path(probe.__file__)


def walked(root: Path) -> dict[str, list[Any]]:
    """Names below a directory, by directory relative to it."""
    found: dict[str, list[Any]] = {}
    for directory, _, entries, error, _, _ in probe.walk(os.fsencode(root), Entry):
        found.setdefault(os.path.relpath(directory, root), []).extend([error] if error else sorted(entry.name for entry in entries))
    return found


# ---- what it is


def test_it_is_one_script_for_python_3_6_that_needs_the_standard_library_alone() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module.split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
    assert imported <= sys.stdlib_module_names
    assert "typing" not in imported
    assert not any(isinstance(node, ast.NamedExpr) for node in ast.walk(tree))


def test_its_annotations_are_never_evaluated() -> None:
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.FunctionDef):
            notes = [argument.annotation for argument in (*node.args.args, *node.args.kwonlyargs) if argument.annotation] + (
                [node.returns] if node.returns else []
            )
            assert all(isinstance(note, ast.Constant) and isinstance(note.value, str) for note in notes), node.name


# ---- files


def test_a_file_is_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0\xff content")
    (tmp_path / "link").symlink_to("file")
    assert probe.answer(["read", str(tmp_path / "link"), 100]) == {"bytes": b"\0\xff content"}


def test_a_file_of_exactly_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert probe.answer(["read", str(tmp_path / "file"), 5]) == {"bytes": b"12345"}
    assert probe.answer(["read", str(tmp_path / "file"), 4]) == {"failed": ["too-large", "it has 5 bytes, more than the limit of 4"]}


def test_a_file_whose_size_is_a_lie_is_bounded_too() -> None:
    """Files of /proc say that they are empty."""
    assert b"Name:" in probe.answer(["read", "/proc/self/status", 100_000])["bytes"]
    assert probe.answer(["read", "/proc/self/status", 10])["failed"][0] == "too-large"


def test_a_kernel_that_refuses_quiet_opening_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root in a user namespace owns less than it believes."""
    (tmp_path / "f").write_bytes(b"x")
    flags_seen: list[int] = []
    real = os.open

    def refuses(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        flags_seen.append(flags & os.O_NOATIME)
        if flags & os.O_NOATIME:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(probe.os, "open", refuses)
    assert probe.answer(["read", str(tmp_path / "f"), 10]) == {"bytes": b"x"}
    assert flags_seen == [os.O_NOATIME, 0]
    monkeypatch.setattr(probe.os, "geteuid", lambda: 4_000_000)
    assert probe.answer(["read", str(tmp_path / "f"), 10]) == {"bytes": b"x"}
    assert flags_seen[2:] == [0]


def test_only_regular_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("fifo")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        opened: list[object] = []
        monkeypatch.setattr(probe.os, "open", lambda *args, **kwargs: opened.append(args))
        for name in ("fifo", "folder", "link", "socket"):
            assert probe.answer(["read", str(tmp_path / name), 10])["failed"][0] == "not-regular"
        assert probe.answer(["read", "/dev/null", 10]) == {"failed": ["not-regular", "it is a character device, not a regular file"]}
    assert opened == []


def test_a_missing_file_and_a_path_with_a_nul_are_failed_looks() -> None:
    assert probe.answer(["read", "/no/such/file", 1]) == {"failed": ["ENOENT", "No such file or directory"]}
    assert probe.answer(["read", "/a\0b", 1])["failed"][0] == "EINVAL"


# ---- stat


def test_a_stat_says_what_is_there_and_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "file").chmod(0o640)
    os.utime(tmp_path / "file", (1, 1_700_000_000.9))
    (tmp_path / "link").symlink_to("file")
    real = str((tmp_path / "file").resolve())
    device = tmp_path.stat().st_dev
    plain, link = (probe.answer(["stat", str(tmp_path / name)])["stat"] for name in ("file", "link"))
    number = f"{os.major(device)}:{os.minor(device)}"
    assert (plain["present"], plain["mode"], plain["size"], plain["mtime"], plain["device"], plain["realpath"]) == (
        True,
        0o100640,
        3,
        1_700_000_000,
        number,
        real,
    )
    assert (plain["uid"], plain["gid"]) == (os.geteuid(), (tmp_path / "file").stat().st_gid)
    assert (link["mode"] & 0o170000, link["realpath"], link["device"]) == (0o120000, real, plain["device"])


def test_an_absent_path_is_an_answer_and_a_dangling_link_is_present_without_a_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    assert probe.answer(["stat", str(tmp_path / "none")]) == {"stat": {"present": False}}
    assert probe.answer(["stat", str(tmp_path / "file" / "below")]) == {"stat": {"present": False}}
    for name in ("dangling", "circle"):
        found = probe.answer(["stat", str(tmp_path / name)])["stat"]
        assert (found["present"], found["device"]) == (True, "")


def test_where_a_link_leads_may_be_hidden_and_that_is_a_failed_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(_path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "link").symlink_to("/root/secret")
    monkeypatch.setattr(probe.os, "stat", hidden)
    assert probe.answer(["stat", str(tmp_path / "link")]) == {"failed": ["EACCES", "Permission denied"]}


# ---- mounts and users


def test_mountinfo_is_read_once_and_whole() -> None:
    found = probe.answer(["mounts"])["mounts"]
    assert found["mountinfo"] == Path("/proc/self/mountinfo").read_bytes()
    assert all(path.startswith("/dev/") and ":" in number for path, number in found["devices"].items())


def test_sources_of_mounts_are_named_without_escapes() -> None:
    line = rb"36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/my\040disk\134 rw"
    assert probe.mount_source(line) == b"/dev/my disk\\"
    assert probe.mount_source(b"garbage") == b""


def test_device_links_lead_to_devices_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_disk_links", lambda _top: iter([(os.fsencode(tmp_path / "by-label"), b"state")]))
    (tmp_path / "by-label").mkdir()
    (tmp_path / "by-label" / "state").symlink_to("/dev/null")
    found = probe.look_mounts()
    assert found["links"] == {"by-label/state": "/dev/null"}
    assert found["devices"]["/dev/null"] == "1:3"


def test_only_links_below_by_folders_are_followed(tmp_path: Path) -> None:
    for name in ("by-label/b", "by-label/a", "by-uuid/c", "other/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to("/dev/null")
    top = os.fsencode(tmp_path)
    assert list(probe._disk_links(top)) == [(top + b"/by-label", b"a"), (top + b"/by-label", b"b"), (top + b"/by-uuid", b"c")]
    assert list(probe._disk_links(top + b"/none")) == []


def test_users_are_known_or_not() -> None:
    assert probe.answer(["user", "root"]) == {"uid": 0}
    assert probe.answer(["user", "nobody-of-that-name"]) == {"uid": None}


# ---- the walk


def test_a_walk_sees_everything_once_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").touch()
    (tmp_path / "a" / "b" / "g").touch()
    (tmp_path / "a" / "up").symlink_to("..")
    assert walked(tmp_path) == {".": ["a"], "a": ["b", "f", "up"], "a/b": ["g"]}


def test_the_first_listing_is_the_root_with_its_own_entry(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    directory, itself, _, error, device, vanished = next(probe.walk(os.fsencode(tmp_path), Entry))
    number = tmp_path.stat().st_dev
    assert (directory, itself.name, itself.mode, itself.uid, error, vanished) == (str(tmp_path), "", 0o040700, os.geteuid(), "", ())
    assert device == f"{os.major(number)}:{os.minor(number)}"


def test_an_entry_has_what_lstat_says_and_a_link_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12")
    (tmp_path / "file").chmod(0o604)
    (tmp_path / "link").symlink_to("to \n nowhere")
    (entries,) = (entries for _, _, entries, _, _, _ in probe.walk(os.fsencode(tmp_path), Entry))
    for entry in entries:
        seen = (tmp_path / entry.name).lstat()
        assert entry[1:7] == (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_size, int(seen.st_mtime), seen.st_nlink)
    assert {entry.name: entry.target for entry in entries} == {"file": "", "link": "to \n nowhere"}


@given(st.sets(FILE_NAMES, min_size=1, max_size=8))
def test_names_of_any_bytes_come_through(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]) -> None:
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        os.close(os.open(os.fsencode(folder) + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o600))
    found = [probe.to_bytes(entry.name) for listing in probe.walk(os.fsencode(folder), Entry) for entry in listing[2]]
    shutil.rmtree(folder)
    assert sorted(found) == sorted(names)


def test_a_large_directory_comes_in_several_listings_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "CHUNK", 3)
    for number in range(8):
        (tmp_path / f"f{number}").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "g").touch()
    found = list(probe.walk(os.fsencode(tmp_path), Entry))
    assert [(Path(listing[0]).name, len(listing[2])) for listing in found] == [*[(tmp_path.name, 3)] * 3, ("d", 1)]
    assert {entry.name for listing in found for entry in listing[2]} == {*(f"f{number}" for number in range(8)), "d", "g"}


@pytest.mark.parametrize("make", ["missing", "file", "link"])
def test_a_root_that_cannot_be_walked_raises(tmp_path: Path, make: str) -> None:
    path = tmp_path / "x"
    if make == "file":
        path.touch()
    elif make == "link":
        path.symlink_to(tmp_path)
    with pytest.raises(probe.CouldNot) as caught:
        next(probe.walk(os.fsencode(path)))
    assert caught.value.code == {"missing": "ENOENT", "file": "ENOTDIR", "link": "ELOOP"}[make]


def refuse(monkeypatch: pytest.MonkeyPatch, name: bytes, error: OSError) -> None:
    """Opening `name` fails, whoever asks: root may read everything."""
    real = os.open

    def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if isinstance(path, bytes) and path.rpartition(b"/")[2] == name:
            raise error
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(probe.os, "open", opened)


def test_a_directory_that_cannot_be_read_is_a_listing_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir(mode=0o750)
    (tmp_path / "after").mkdir()
    refuse(monkeypatch, b"shut", PermissionError(errno.EACCES, "Permission denied"))
    found = {Path(listing[0]).name: listing for listing in probe.walk(os.fsencode(tmp_path), Entry)}
    directory, itself, entries, error, _, _ = found["shut"]
    assert (directory, itself.mode, entries, error) == (str(tmp_path / "shut"), 0o040750, [], "EACCES: Permission denied")
    assert found["after"][3] == ""


def test_a_root_that_cannot_be_read_is_a_listing_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, os.fsencode(tmp_path.name), PermissionError(errno.EACCES, "Permission denied"))
    ((directory, itself, entries, error, _, _),) = probe.walk(os.fsencode(tmp_path), Entry)
    assert (directory, itself.name, entries, error) == (str(tmp_path), "", [], "EACCES: Permission denied")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_ordinary_user_learns_which_directory_is_shut(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o000)
    (tmp_path / "names-only").mkdir()
    (tmp_path / "names-only" / "f").touch()
    (tmp_path / "names-only").chmod(0o400)
    found = walked(tmp_path)
    (tmp_path / "names-only").chmod(0o700)
    assert found["shut"] == found["names-only"] == ["EACCES: Permission denied"]


def test_a_link_swapped_in_for_a_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "walked" / "folder").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "inside").touch()
    steps = probe.walk(os.fsencode(tmp_path / "walked"), Entry)
    next(steps)
    (tmp_path / "walked" / "folder").rmdir()
    (tmp_path / "walked" / "folder").symlink_to(tmp_path / "secret")
    ((_, _, entries, error, _, _),) = steps
    assert entries == []
    assert error.startswith(("ENOTDIR: ", "ELOOP: "))


def test_a_directory_that_vanished_is_noted(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "stays").mkdir()
    steps = probe.walk(os.fsencode(tmp_path), Entry)
    next(steps)
    (tmp_path / "gone").rmdir()
    assert {Path(listing[0]).name: (listing[3], listing[5]) for listing in steps} == {"gone": ("", (".",)), "stays": ("", ())}


class Vanishing:
    """A scan one of whose entries is gone when it is looked at."""

    def __init__(self, scan: Any, name: str, error: OSError) -> None:
        self._scan, self._name, self._error = scan, name, error

    def __iter__(self) -> Iterator[Any]:
        for item in self._scan:
            yield self._Gone(item.name, self._error) if item.name == self._name else item

    def close(self) -> None:
        self._scan.close()

    class _Gone:
        def __init__(self, name: str, error: OSError) -> None:
            self.name, self._error = name, error

        def stat(self, follow_symlinks: bool) -> None:
            raise self._error


@pytest.mark.parametrize(
    ("error", "seen"),
    [(FileNotFoundError(errno.ENOENT, "gone"), (["b"], "", ("a",))), (OSError(errno.EIO, "Input/output error"), ([], "EIO: Input/output error", ()))],
)
def test_an_entry_that_vanished_is_noted_and_one_that_cannot_be_seen_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, seen: tuple[object, ...]
) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    real = probe._scan
    monkeypatch.setattr(probe, "_scan", lambda descriptor: Vanishing(real(descriptor), "a", error))
    ((_, _, found, text, _, gone),) = probe.walk(os.fsencode(tmp_path), Entry)
    assert ([entry.name for entry in found], text, gone) == seen


def test_a_tree_too_deep_for_the_descriptors_is_an_error_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "DEPTH", 4)
    (tmp_path / "1/2/3/4/5").mkdir(parents=True)
    errors = [(Path(listing[0]).name, listing[3]) for listing in probe.walk(os.fsencode(tmp_path), Entry) if listing[3]]
    assert errors == [("4", "too-deep: more than 4 directories deep")]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_walk_that_is_left_early_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    (tmp_path / "1/2/3").mkdir(parents=True)
    gc.collect()  # what an earlier test left may be closed at any time
    before, threads = descriptors(), set(threading.enumerate())
    for make in (probe.walk(os.fsencode(tmp_path)), probe.patient_walk(os.fsencode(tmp_path), lambda: 5.0)):
        next(make)
        make.close()
    assert descriptors() == before
    assert set(threading.enumerate()) - threads == set()


def test_python_3_6_cannot_scan_a_descriptor_and_sees_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    expected = sorted(probe.walk(os.fsencode(tmp_path), Entry))
    monkeypatch.setattr(probe, "_SCANDIR_TAKES_FD", False)
    assert sorted(probe.walk(os.fsencode(tmp_path), Entry)) == expected


def test_a_locale_without_utf8_changes_no_name(tmp_path: Path) -> None:
    names = ["caf\u00e9", "\udcff", "plain"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "inside").touch()
    request = {
        "nonce": "n",
        "seconds": 20,
        "looks": [["walk", str(tmp_path)], ["stat", str(tmp_path / names[0])], ["read", str(tmp_path / names[1] / "inside"), 9]],
    }
    code = SOURCE.read_text() + f"\nassert not _UTF8_NAMES\nmain({json.dumps(request)!r})\n"
    command = [sys.executable, "-I", "-S", "-X", "utf8=0", "-"]
    done = subprocess.run(command, input=code.encode(), env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line]
    listed = {line["listing"][0]: line["listing"][2] for line in lines if "listing" in line}
    assert sorted(listed[str(tmp_path)]) == sorted(names)
    assert all(listed[str(tmp_path / name)] == ["inside"] for name in names)
    assert next(line["stat"]["present"] for line in lines if line.get("look") == 1) is True
    assert next(line["bytes"] for line in lines if line.get("look") == 2) == ""


# ---- ACLs


def attribute(*entries: tuple[int, int, int]) -> bytes:
    import struct

    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF


def test_an_acl_reads_as_setfacl_takes_it() -> None:
    raw = attribute((1, 6, NOBODY), (2, 4, 1000), (4, 0, NOBODY), (8, 5, 50), (16, 7, NOBODY), (32, 0, NOBODY))
    assert probe.parse_acl(raw) == ["user::rw-", "user:1000:r--", "group::---", "group:50:r-x", "mask::rwx", "other::---"]


@pytest.mark.parametrize("raw", [b"", b"\2\0\0", b"\3\0\0\0", attribute((1, 6, 0))[:-1], attribute((3, 6, 0))])
def test_an_acl_of_another_shape_is_an_error_and_never_no_acl(raw: bytes) -> None:
    with pytest.raises(OSError, match="its ACL"):
        probe.parse_acl(raw)


def acl(path: Path, *arguments: str) -> None:
    done = subprocess.run(["setfacl", *arguments, str(path)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("this file system keeps no ACLs")


@pytest.mark.skipif(not shutil.which("setfacl"), reason="needs setfacl (Debian: apt-get install acl)")
def test_acls_that_take_effect_are_seen(tmp_path: Path) -> None:
    for name in ("wide", "masked", "plain"):
        (tmp_path / name).touch(mode=0o600)
    (tmp_path / "inherits").mkdir(mode=0o700)
    acl(tmp_path / "wide", "-m", "u:12345:r")
    acl(tmp_path / "masked", "-m", "u:12345:r,m::-")
    acl(tmp_path / "inherits", "-d", "-m", "g:54321:rx")
    found = {listing[0]: listing for listing in probe.walk(os.fsencode(tmp_path), Entry)}
    acls = {entry.name: entry.acl for entry in found[str(tmp_path)][2]}
    assert acls["wide"] == "user::rw-,user:12345:r--,group::---,mask::r--,other::---"
    assert acls["masked"] == acls["plain"] == ""
    assert "default:group:54321:r-x" in acls["inherits"]
    assert found[str(tmp_path / "inherits")][1].acl == acls["inherits"]


def test_acls_that_cannot_be_read_are_an_error_of_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").touch(mode=0o600)
    (tmp_path / "f").chmod(0o640)

    def refuse_acl(*_: object, **__: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(probe.os, "getxattr", refuse_acl)
    with pytest.raises(OSError, match="Input/output"):
        probe.acl_text(b"/x", 0o100640)
    errors = [error for _, _, _, error, _, _ in probe.walk(os.fsencode(tmp_path), Entry)]
    assert errors == ["EIO: Input/output error"]


def test_without_proc_acls_are_an_error_and_never_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").touch(mode=0o600)
    (tmp_path / "f").chmod(0o640)
    monkeypatch.setattr(probe, "_by_descriptor", lambda _descriptor, _name: b"/no/proc/here")
    ((_, _, entries, error, _, _),) = probe.walk(os.fsencode(tmp_path), Entry)
    assert (entries, error) == ([], "ENOSYS: /proc is not mounted, so ACLs cannot be read")


# ---- it only looks


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything that can be seen of a tree, access times too."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        seen = path.lstat()
        found[str(path)] = (seen.st_mode, seen.st_uid, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_atime_ns)
    return found


def test_looking_changes_nothing_not_even_access_times(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x" * 100)
    (tmp_path / "l").symlink_to("d/f")
    for path in (tmp_path, tmp_path / "d", tmp_path / "d" / "f"):
        os.utime(path, (1, 1))  # long ago: relatime would move them now
    before = snapshot(tmp_path)
    list(probe.walk(os.fsencode(tmp_path)))
    for look in (["read", str(tmp_path / "l"), 1000], ["stat", str(tmp_path / "l")], ["mounts"], ["user", "root"]):
        assert "failed" not in probe.answer(look)
    after = snapshot(tmp_path)
    assert {path: value[:5] for path, value in after.items()} == {path: value[:5] for path, value in before.items()}
    assert after[str(tmp_path / "d" / "f")] == before[str(tmp_path / "d" / "f")]


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_no_system_call_of_the_probe_writes_but_to_its_output(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    (tmp_path / "backups").mkdir()
    with tarfile.open(tmp_path / "backups" / "app-20261120T210000Z.tar.gz", "w:gz") as archive:
        archive.add(SOURCE)
    looks = [["read", str(tmp_path / "d/f"), 10], ["stat", "/etc"], ["mounts"], ["user", "root"], ["walk", str(tmp_path)], ["space", "/"]]
    looks += [["folder", "/etc", []], ["secret", str(SOURCE), "pem"], ["engine", str(tmp_path / "none"), [], True, []], ["examine", str(tmp_path / "backups")]]
    looks += [["owners", str(tmp_path), 100], ["shadows", [str(tmp_path)]]]
    code = SOURCE.read_text() + f"\nmain({json.dumps({'nonce': 'n', 'seconds': 20, 'looks': looks})!r})\n"
    log = tmp_path / "strace.log"
    argv = ["strace", "-f", "-qq", "-e", "trace=%file,%desc,%process", "-o", str(log), sys.executable, "-I", "-S", "-B", "-"]
    done = subprocess.run(argv, input=code.encode(), capture_output=True, check=False)
    if done.returncode and b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert b"interlock_probe_end" in done.stdout
    assert b'"whole":true' in done.stdout
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
        "execve",
    )
    changed = [call for call in calls if call.startswith(changing)][1:]  # the first is strace's own execve of Python
    writing = [call for call in calls if call.startswith("open") and any(flag in call for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"))]
    assert (changed, writing) == ([], [])


def test_what_may_take_long_is_looked_at_last(tmp_path: Path) -> None:
    looks = [["examine", str(tmp_path)], ["walk", str(tmp_path)], ["user", "root"]]
    code = SOURCE.read_text() + f"\nmain({json.dumps({'nonce': 'n', 'seconds': 20, 'looks': looks})!r})\n"
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-"], input=code.encode(), capture_output=True, check=True)
    answered = [json.loads(line) for line in done.stdout.splitlines()[2:-1]]
    assert [line["look"] for line in answered if "listing" not in line] == [2, 1, 0]


# ---- time


def test_patience_hands_over_every_item_in_order() -> None:
    assert list(probe.patient(iter(range(1000)), lambda: 5.0)) == list(range(1000))


def test_listings_are_handed_over_in_batches_by_size_and_by_time(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    assert [len(batch) for batch in probe.batched(probe.walk(os.fsencode(tmp_path)), 60.0)] == [4]
    assert [len(batch) for batch in probe.batched(probe.walk(os.fsencode(tmp_path)), 0.0)] == [1] * 4


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.os, "geteuid", lambda: 4_000_000)
    assert (probe.header("n")["user"], probe.header("n")["uid"]) == ("4000000", 4_000_000)


def test_patience_carries_an_error_to_who_asked() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("inside")

    items = probe.patient(broken(), lambda: 5.0)
    assert next(items) == 1
    with pytest.raises(KeyError, match="inside"):
        next(items)


def test_a_look_that_hangs_is_a_timeout_and_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setitem(probe._LOOKS, "hang", lambda: {"uid": release.wait(20)})
    found = list(probe.answers([["user", "root"], ["hang"], ["user", "root"]], lambda: 0.2))
    release.set()
    assert found == [{"uid": 0}, {"failed": ["timeout", "it did not answer in time"]}, {"uid": 0}]


def test_a_walk_that_hangs_is_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    real = probe._read_chunk

    def hangs(level: Any, kind: Any) -> Any:
        release.wait(20)
        return real(level, kind)

    monkeypatch.setattr(probe, "_read_chunk", hangs)
    with pytest.raises(probe.CouldNot) as caught:
        list(probe.patient_walk(os.fsencode(tmp_path), lambda: 0.1))
    release.set()
    assert caught.value.code == "timeout"


def test_a_spent_budget_answers_the_rest_at_once() -> None:
    until = time.monotonic() - 1
    began = time.monotonic()
    found = list(probe.answers([["stat", "/"]] * 50, lambda: until - time.monotonic()))
    assert len(found) == 50
    assert time.monotonic() - began < 2
