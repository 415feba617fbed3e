"""A backup is private from its first byte, has its name only when it is complete and verified, and its failure touches no older one. Real tar, zstd, gzip."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.act import archives
from interlock.act.archives import Conditions, read_back, write_archive
from interlock.act.backups import do_backup, undo_backup
from interlock.act.outcome import Bench, StepFailed
from interlock.config.models import BackupClass
from interlock.errors import ApprovalError
from interlock.facts.canonical import digest
from interlock.gate.plan import BackupPlan, Compression, Directory
from interlock.observe.eyes import device_of
from tests.act_bench import PLAN, child_environ, make_bench

CONDITIONS = Conditions(environ={"PATH": "/usr/local/bin:/usr/bin:/bin"}, seconds=60, interrupted=lambda: "")
NAME = "app-20261120T210000Z"


class Bed:
    """A module with something to keep, and its backup directory with an older backup in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.backups = folder / "backups"
        (self.data / "inner").mkdir(parents=True)
        (self.data / "rows").write_text("1\n2\n")
        (self.data / "inner" / "blob").write_bytes(os.urandom(20_000))
        self.backups.mkdir(mode=0o700)
        self.older = self.backups / "app-20261101T000000Z.tar.zst"
        self.older.write_bytes(b"an older backup")
        self.older.chmod(0o600)

    def step(self, **changed: object) -> BackupPlan:
        step = BackupPlan(
            module="app",
            backup_class=BackupClass.E,
            paths=(self.directory(self.data),),
            directory=self.directory(self.backups),
            owner="me",
            owner_uid=os.geteuid(),
            compression="zstd" if shutil.which("zstd") else "gzip",
        )
        return step.model_copy(update=changed)

    @staticmethod
    def directory(path: Path) -> Directory:
        return Directory(path=str(path), real=os.path.realpath(path), device=device_of(path.stat().st_dev))

    def bench(self, **changed: object) -> Bench:
        return make_bench(self.folder, **changed)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.backups))

    def untouched(self) -> bool:
        return self.names() == [self.older.name] and self.older.read_bytes() == b"an older backup"


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def unpack(archive: Path, to: Path) -> Path:
    """The archive, unpacked by the tools themselves."""
    to.mkdir()
    tool = "zstd" if archive.name.endswith("zst") else "gzip"
    raw = subprocess.run((tool, "-d", "-c", archive), capture_output=True, check=True).stdout
    subprocess.run(("tar", "--extract", "--acls", "--xattrs", "--sparse", "--directory", to), input=raw, check=True)
    return to


def tree(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (oct(status.st_mode), status.st_uid, int(status.st_mtime), content)
    return found


# ---- the good way


def tools() -> list[Compression]:
    return [tool for tool in ("zstd", "gzip") if shutil.which(tool)]


@pytest.mark.parametrize("compression", tools())
def test_a_backup_restores_to_what_was_there(bed: Bed, tmp_path: Path, compression: Compression) -> None:
    os.link(bed.data / "rows", bed.data / "second-name")
    (bed.data / "link").symlink_to("rows")
    (bed.data / "new\nline").write_text("x")
    os.mkfifo(bed.data / "pipe")
    (bed.data / "empty").mkdir(mode=0o751)
    with (bed.data / "sparse").open("wb") as file:
        file.truncate(5_000_000)
    (bed.data / "rows").chmod(0o640)
    done = do_backup(bed.step(compression=compression), bed.bench(), timeout=60)
    archive = Path(str(done.data["backup"]))
    assert archive.stat().st_size < 100_000
    assert tree(unpack(archive, tmp_path / "out") / str(bed.data).lstrip("/")) == tree(bed.data)


def test_it_is_private_named_after_module_and_time_and_changes_nothing(bed: Bed) -> None:
    before = tree(bed.data)
    done = do_backup(bed.step(), bed.bench(), timeout=60)
    suffix = Path(str(done.data["backup"])).name.removeprefix(NAME)
    assert bed.names() == [bed.older.name, NAME + suffix, NAME + suffix + ".json"]
    assert {(bed.backups / name).stat().st_mode & 0o7777 for name in bed.names()} == {0o600}
    assert not done.changed
    assert tree(bed.data) == before


def test_its_manifest_says_what_it_is_and_how_it_was_verified(bed: Bed) -> None:
    done = do_backup(bed.step(), bed.bench(), timeout=60)
    archive = Path(str(done.data["backup"]))
    manifest = json.loads(archive.with_name(archive.name + ".json").read_bytes())
    assert manifest["schema"] == "interlock/backup/1"
    assert (manifest["module"], manifest["class"], manifest["file"]) == ("app", "E", archive.name)
    assert (manifest["bytes"], manifest["sha256"]) == (archive.stat().st_size, digest(archive.read_bytes()))
    assert manifest["members"]["count"] == 4
    assert manifest["verification"]["level"] == "V1"
    assert manifest["paths"] == [bed.directory(bed.data).model_dump()]
    assert (manifest["plan"], manifest["journal"]) == (PLAN, "000001-release-aaaaaaaa")
    assert "tar" in manifest["tools"]["tar"]


def test_nobody_else_can_read_it_at_any_moment_whatever_the_umask(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    modes, real = set(), os.write

    def spied(descriptor: int, data: bytes) -> int:
        modes.add(os.fstat(descriptor).st_mode & 0o7777)
        modes.update(path.stat().st_mode & 0o7777 for path in bed.backups.iterdir())
        return real(descriptor, data)

    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "write", spied)
        do_backup(bed.step(), bed.bench(), timeout=60)
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_its_name_is_not_there_before_it_is_verified(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spied(*arguments: object, **named: object) -> object:
        seen.append([name for name in bed.names() if not name.startswith(".")])
        return read_back(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("interlock.act.backups.read_back", spied)
    do_backup(bed.step(), bed.bench(), timeout=60)
    assert seen == [[bed.older.name]]


def test_sockets_are_left_out_and_named(bed: Bed) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(bed.data)  # a socket's path is short, a test's is not
        try:
            listening.bind("app.sock")
        finally:
            os.chdir(here)
        done = do_backup(bed.step(), bed.bench(), timeout=60)
    assert done.data["skipped"] == [f"{bed.data}/app.sock"]


def fake(folder: Path, **tools: str) -> dict[str, str]:
    """An environment whose PATH begins with programs of these names."""
    place = folder / "fake"
    place.mkdir(exist_ok=True)
    for name, text in tools.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    return {"PATH": f"{place}:/usr/local/bin:/usr/bin:/bin"}


REAL_TAR = shutil.which("tar") or "tar"


def test_a_file_that_changed_while_it_was_read_is_a_finding(bed: Bed) -> None:
    changing = f'{REAL_TAR} "$@"; code=$?; case "$*" in *--create*) echo "tar: srv/app/log: file changed as we read it" >&2; exit 1;; esac; exit $code'
    done = do_backup(bed.step(), bed.bench(environ=fake(bed.folder, tar=changing)), timeout=60)
    assert done.data["changed_while_read"] == ["/srv/app/log: file changed as we read it"]


def test_a_big_file_that_really_changes_while_it_is_read_is_a_finding_or_unharmed(bed: Bed) -> None:
    """Whether tar notices depends on timing; whatever it says, the archive is whole."""
    (bed.data / "log").write_bytes(os.urandom(8_000_000))
    script = "import sys\nwhile True:\n    open(sys.argv[1], 'ab').write(b'x')"
    writer = subprocess.Popen((sys.executable, "-c", script, bed.data / "log"))
    try:
        done = do_backup(bed.step(), bed.bench(), timeout=60)
    finally:
        writer.kill()
        writer.wait()
    assert all("changed as we read it" in finding for finding in done.data["changed_while_read"])
    assert done.data["members"] == 5


# ---- faults


@pytest.mark.parametrize(
    ("tool", "text", "why"),
    [
        ("tar", "echo 'tar: data: Cannot open: Input/output error' >&2; exit 2", "tar ended with 2: tar: data: Cannot open"),
        ("tar", f'{REAL_TAR} "$@"; exit 1', "tar ended with 1"),
        ("tar", "kill -9 $$", "tar ended with -9"),
        ("zstd", "cat >/dev/null; exit 3", "zstd ended with 3"),
        ("zstd", "head -c 100; exit 0", "zstd ended with|tar ended with|is not the one that was written"),
        ("zstd", "cat >/dev/null", "tar ended with|is not the one|is empty"),
    ],
)
def test_a_tool_that_fails_leaves_no_name_and_no_harm(bed: Bed, tool: str, text: str, why: str) -> None:
    if tool == "zstd" and not shutil.which("zstd"):
        pytest.skip("needs zstd")
    with pytest.raises(StepFailed, match=why) as caught:
        do_backup(bed.step(), bed.bench(environ=fake(bed.folder, **{tool: text})), timeout=60)
    assert not caught.value.changed
    assert bed.untouched()


def test_a_producer_that_dies_in_mid_stream_is_not_taken_for_one_that_ended(bed: Bed) -> None:
    """The compressor ends well; the shell's `tar | zstd` would have said 0."""
    with pytest.raises(StepFailed, match="tar ended with 7"):
        do_backup(bed.step(), bed.bench(environ=fake(bed.folder, tar=f'{REAL_TAR} "$@" | head -c 9000; exit 7')), timeout=60)
    assert bed.untouched()


@given(st.data())
@settings(max_examples=20)
def test_every_damage_to_what_lies_on_the_disk_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("bed")
    bed = Bed(folder)
    compression = data.draw(st.sampled_from(tools()))
    with (folder / "a").open("w+b") as file:
        written = write_archive([str(bed.data)], (), file.fileno(), compression=compression, conditions=CONDITIONS).contents
        assert read_back(file.fileno(), compression=compression, conditions=CONDITIONS) == written
        place = data.draw(st.integers(0, 999_999)) * written.size // 1_000_000
        if data.draw(st.booleans()):
            file.truncate(place)
        else:
            byte = os.pread(file.fileno(), 1, place)[0]
            os.pwrite(file.fileno(), bytes([byte ^ data.draw(st.integers(1, 255))]), place)
        try:
            found = read_back(file.fileno(), compression=compression, conditions=CONDITIONS)
        except StepFailed:
            return
        assert found != written


def test_bytes_that_changed_on_the_disk_leave_no_name(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(file: int, **named: object) -> object:
        path = bed.backups / next(name for name in bed.names() if name.endswith(".part"))
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(bytes(raw))
        return read_back(file, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("interlock.act.backups.read_back", damaged)
    with pytest.raises(StepFailed):
        do_backup(bed.step(), bed.bench(), timeout=60)
    assert bed.untouched()


def test_an_archive_that_takes_too_long_is_given_up(bed: Bed) -> None:
    with pytest.raises(StepFailed, match="did not get ready in time"):
        do_backup(bed.step(), bed.bench(environ=fake(bed.folder, tar="exec sleep 60")), timeout=1)
    assert bed.untouched()


def test_a_signal_stops_it(bed: Bed) -> None:
    with pytest.raises(StepFailed, match="stopped: SIGTERM"):
        do_backup(bed.step(), bed.bench(interrupted=lambda: "SIGTERM"), timeout=60)
    assert bed.untouched()


def test_a_full_disk_leaves_the_older_backups_alone(bed: Bed) -> None:
    script = """
        import resource, signal, sys
        from pathlib import Path
        from interlock.act.backups import do_backup
        from interlock.act.outcome import StepFailed
        from interlock.gate.plan import BackupPlan
        from tests.act_bench import make_bench
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        try:
            do_backup(BackupPlan.model_validate_json(sys.argv[2]), make_bench(Path(sys.argv[1])), timeout=60)
        except StepFailed as failure:
            print(failure.changed, failure.why)
    """
    argv = (sys.executable, "-c", textwrap.dedent(script), str(bed.folder), bed.step().model_dump_json())
    done = subprocess.run(argv, capture_output=True, text=True, env=child_environ(), check=False)
    assert done.stdout == f"False {os.strerror(errno.EFBIG)}\n", done.stderr
    assert bed.untouched()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_really_fills_up_leaves_the_older_backups_alone(bed: Bed) -> None:
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", bed.backups), check=True)
    try:
        bed.older.write_bytes(b"an older backup")
        bed.older.chmod(0o600)
        older = bed.backups / "app-20261101T000000Z.tar.zst.json"
        older.write_text("{}")
        (bed.data / "big").write_bytes(os.urandom(500_000))
        with pytest.raises(StepFailed, match="cannot be backed up") as caught:
            do_backup(bed.step(), bed.bench(), timeout=60)
        assert os.strerror(errno.ENOSPC) in str(caught.value)
        older.unlink()
        assert bed.untouched()
    finally:
        subprocess.run(("umount", bed.backups), check=True)


def test_too_little_room_is_said_before_anything_is_written(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstatvfs

    def small(descriptor: int) -> object:
        values = list(real(descriptor))
        values[4] = 1
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", small)
    with pytest.raises(StepFailed, match="there is no room"):
        do_backup(bed.step(), bed.bench(), timeout=60)
    assert bed.untouched()


def test_the_last_backup_says_how_much_room_the_next_one_needs(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    (bed.data / "zeros").write_bytes(b"\0" * 10_000_000)
    do_backup(bed.step(), bed.bench(), timeout=60)
    real = os.fstatvfs

    def enough_for_the_archive_alone(descriptor: int) -> object:
        values = list(real(descriptor))
        values[4] = 1_000_000 // values[1]
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", enough_for_the_archive_alone)
    from datetime import timedelta

    from tests.tiny_site import NOW

    do_backup(bed.step(), bed.bench(clock=lambda: NOW + timedelta(minutes=1)), timeout=60)
    assert len(bed.names()) == 5


# ---- the directory


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777, 0o770])
def test_a_directory_that_others_can_enter_is_refused(bed: Bed, mode: int) -> None:
    bed.backups.chmod(mode)
    with pytest.raises(StepFailed, match="not private"):
        do_backup(bed.step(), bed.bench(), timeout=60)


def test_a_link_on_the_way_is_refused(bed: Bed, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bed.backups)
    directory = bed.directory(bed.backups).model_copy(update={"path": str(tmp_path / "link")})
    with pytest.raises(StepFailed, match="a link stands on the way"):
        do_backup(bed.step(directory=directory), bed.bench(), timeout=60)
    (tmp_path / "far").symlink_to(tmp_path)
    directory = directory.model_copy(update={"path": str(tmp_path / "far" / "backups")})
    with pytest.raises(StepFailed, match="a link stands on the way"):
        do_backup(bed.step(directory=directory), bed.bench(), timeout=60)
    assert bed.untouched()


def test_a_parent_that_anybody_may_write_to_is_refused(bed: Bed) -> None:
    bed.folder.chmod(0o777)
    try:
        with pytest.raises(StepFailed, match="anybody could put another directory"):
            do_backup(bed.step(), bed.bench(), timeout=60)
        bed.folder.chmod(0o1777)
        do_backup(bed.step(), bed.bench(), timeout=60)
    finally:
        bed.folder.chmod(0o700)


def test_another_owner_than_declared_is_refused(bed: Bed) -> None:
    with pytest.raises(StepFailed, match="it belongs to uid"):
        do_backup(bed.step(owner_uid=os.geteuid() + 1), bed.bench(), timeout=60)


def test_another_disk_than_planned_is_refused(bed: Bed) -> None:
    with pytest.raises(StepFailed, match="it shows device"):
        do_backup(bed.step(directory=bed.directory(bed.backups).model_copy(update={"device": "99:99"})), bed.bench(), timeout=60)
    with pytest.raises(StepFailed, match="shows something else now"):
        do_backup(bed.step(paths=(bed.directory(bed.data).model_copy(update={"device": "99:99"}),)), bed.bench(), timeout=60)
    assert bed.untouched()


def test_an_access_control_list_that_lets_others_in_is_refused(bed: Bed) -> None:
    setfacl = shutil.which("setfacl")
    if not setfacl or subprocess.run((setfacl, "-d", "-m", "u:65534:r", bed.backups), capture_output=True, check=False).returncode != 0:
        pytest.skip("needs setfacl and a file system with ACLs")
    with pytest.raises(StepFailed, match="access control list"):
        do_backup(bed.step(), bed.bench(), timeout=60)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_makes_backups_that_belong_to_the_declared_owner(bed: Bed) -> None:
    os.chown(bed.backups, 65534, -1)
    done = do_backup(bed.step(owner_uid=65534), bed.bench(), timeout=60)
    archive = Path(str(done.data["backup"]))
    assert {path.stat().st_uid for path in (archive, archive.with_name(archive.name + ".json"))} == {65534}


def test_a_planted_file_or_link_in_the_way_is_not_written_through(bed: Bed, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    name = f"{NAME}{archives.SUFFIX[bed.step().compression]}"
    (bed.backups / f".{name}.part").symlink_to(tmp_path / "victim")
    do_backup(bed.step(), bed.bench(), timeout=60)
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("taken", ["", ".json"])
def test_a_name_that_is_taken_is_never_replaced(bed: Bed, taken: str) -> None:
    name = f"{NAME}{archives.SUFFIX[bed.step().compression]}"
    (bed.backups / (name + taken)).write_text("somebody's")
    with pytest.raises(StepFailed, match=r"another backup has that name|cannot be backed up") as caught:
        do_backup(bed.step(), bed.bench(), timeout=60)
    assert not caught.value.changed
    assert (bed.backups / (name + taken)).read_text() == "somebody's"
    assert bed.names() == sorted([bed.older.name, name + taken])


def test_an_empty_source_is_no_backup(bed: Bed) -> None:
    done = do_backup(bed.step(paths=(bed.directory(bed.data / "inner"),)), bed.bench(), timeout=60)
    assert done.data["members"] == 2
    with pytest.raises(StepFailed, match="the archive is empty"):
        do_backup(bed.step(exclude=(str(bed.data),)), bed.bench(clock=_later), timeout=60)


def _later() -> object:
    from datetime import timedelta

    from tests.tiny_site import NOW

    return NOW + timedelta(minutes=5)


# ---- leftovers


def leftovers(bed: Bed) -> Callable[[], BackupPlan]:
    step = bed.step()
    name = f"{NAME}{archives.SUFFIX[step.compression]}"
    (bed.backups / f".{name}.part").write_bytes(b"half an archive")
    (bed.backups / f".{name}.json.part").write_bytes(b"its manifest")
    os.link(bed.backups / f".{name}.json.part", bed.backups / f"{name}.json")
    (bed.backups / ".other-20261120T210000Z.tar.zst.part").write_bytes(b"another module's")
    return lambda: step


def test_what_a_crash_left_is_removed_with_the_manifest_that_has_no_archive(bed: Bed) -> None:
    step = leftovers(bed)()
    undo_backup(step, bed.bench())
    assert bed.names() == [".other-20261120T210000Z.tar.zst.part", bed.older.name]


def test_a_manifest_whose_archive_has_its_name_stays(bed: Bed) -> None:
    step = leftovers(bed)()
    name = f"{NAME}{archives.SUFFIX[step.compression]}"
    os.link(bed.backups / f".{name}.part", bed.backups / name)
    undo_backup(step, bed.bench())
    assert bed.names() == [".other-20261120T210000Z.tar.zst.part", bed.older.name, name, f"{name}.json"]


def test_without_clearance_there_is_no_backup(bed: Bed) -> None:
    for act in (lambda bench: do_backup(bed.step(), bench, timeout=60), lambda bench: undo_backup(bed.step(), bench)):
        with pytest.raises(ApprovalError, match="another plan"):
            act(bed.bench(plan="sha256:" + "b" * 64))
    assert bed.untouched()
