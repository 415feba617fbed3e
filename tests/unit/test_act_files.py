"""Files are written whole or not at all, over exactly what the plan found there, and come back byte for byte."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.act.files import do_files, open_below, undo_files
from interlock.act.outcome import Bench, StepFailed
from interlock.errors import ApprovalError, StaleError
from interlock.facts.canonical import digest
from interlock.gate.journal import Result
from interlock.gate.plan import FilePlan, FilesPlan, NewFile, OldFile
from interlock.observe.eyes import device_of
from tests.act_bench import child_environ, make_bench


class Bed:
    """An instance's directory with a step that writes into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance = folder / "instance"
        (self.instance / "conf").mkdir(parents=True, mode=0o755)
        self.contents: dict[str, bytes] = {}

    def file(self, name: str, old: bytes | None, new: bytes, *, old_mode: int = 0o644, mode: str = "0644") -> FilePlan:
        target = self.instance / name
        kept = None
        if old is not None:
            target.write_bytes(old)
            target.chmod(old_mode)
            status = target.stat()
            kept = OldFile(digest=digest(old), size=len(old), mode=f"{old_mode:04o}", uid=status.st_uid, gid=status.st_gid)
        self.contents[digest(new)] = new
        return FilePlan(
            template="t",
            instance="main",
            directory=str(self.instance),
            real=os.path.realpath(self.instance),
            device=device_of(target.parent.stat().st_dev),
            target=str(target),
            new=NewFile(digest=digest(new), size=len(new), mode=mode, content="blob"),
            old=kept,
        )

    def step(self, *files: FilePlan) -> FilesPlan:
        return FilesPlan(files=files)

    def bench(self, **changed: object) -> Bench:
        return make_bench(self.folder, self.contents, **changed)

    def look(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(path.relative_to(self.instance)): (path.read_bytes(), path.lstat().st_mode & 0o7777)
            for path in sorted(self.instance.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def test_files_are_replaced_and_created_with_their_modes_and_come_back(bed: Bed) -> None:
    step = bed.step(bed.file("conf/a", b"old a", b"new a", old_mode=0o600, mode="0600"), bed.file("b", None, b"new b", mode="0640"))
    before = bed.look()
    done = do_files(step, bed.bench(), again=False)
    assert bed.look() == {"b": (b"new b", 0o640), "conf/a": (b"new a", 0o600)}
    assert (done.result, done.changed) == (Result.DONE, True)
    undone = undo_files(step, bed.bench())
    assert bed.look() == before
    assert (undone.result, undone.changed) == (Result.DONE, False)


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([0o600, 0o640, 0o644, 0o755, 0o400]), st.sampled_from(["0600", "0644", "0755"]))
def test_whatever_stood_there_comes_back(tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes, old_mode: int, mode: str) -> None:
    bed = Bed(tmp_path_factory.mktemp("bed"))
    step = bed.step(bed.file("f", old, new, old_mode=old_mode, mode=mode))
    before = bed.look()
    do_files(step, bed.bench(), again=False)
    assert bed.look() == {"f": (new, int(mode, 8))}
    undo_files(step, bed.bench())
    assert bed.look() == before


def test_a_file_is_never_seen_half_written(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    step = bed.step(bed.file("f", b"old", b"new" * 1000))
    real, seen = os.write, []

    def spied(descriptor: int, data: bytes) -> int:
        seen.append(bed.look()["f"][0])
        return real(descriptor, bytes(data)[:100])

    monkeypatch.setattr(os, "write", spied)
    do_files(step, bed.bench(), again=False)
    assert set(seen) == {b"old"}
    assert bed.look()["f"][0] == b"new" * 1000


def test_new_bytes_are_private_until_they_have_their_mode(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    step = bed.step(bed.file("f", b"old", b"secret", mode="0644"))
    modes, real = [], os.write

    def spied(descriptor: int, data: bytes) -> int:
        modes.append(os.fstat(descriptor).st_mode & 0o7777)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", spied)
    do_files(step, bed.bench(), again=False)
    assert set(modes) == {0o600}


def test_old_bytes_are_kept_before_anything_changes(bed: Bed) -> None:
    step = bed.step(bed.file("f", b"old", b"new"))

    def gone(_file: object, _old: object) -> bytes:
        assert (bed.folder / "undo" / digest(b"old").removeprefix("sha256:")).read_bytes() == b"old"
        raise StaleError("the template was changed")

    with pytest.raises(StepFailed, match="the template was changed") as caught:
        do_files(step, bed.bench(content=gone), again=False)
    assert not caught.value.changed
    assert bed.look() == {"f": (b"old", 0o644)}


def test_a_target_that_was_changed_since_the_plan_is_left_alone_with_all_others(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old a", b"new a"), bed.file("b", b"old b", b"new b"))
    (bed.instance / "b").write_bytes(b"edited")
    before = bed.look()
    with pytest.raises(StepFailed, match="b is not what the plan found there") as caught:
        do_files(step, bed.bench(), again=False)
    assert bed.look() == before
    assert not caught.value.changed


@pytest.mark.parametrize("how", ["mode", "appeared", "vanished"])
def test_a_changed_mode_a_new_and_a_missing_file_are_changes_too(bed: Bed, how: str) -> None:
    step = bed.step(bed.file("f", None if how == "appeared" else b"old", b"new"))
    if how == "mode":
        (bed.instance / "f").chmod(0o600)
    elif how == "appeared":
        (bed.instance / "f").write_bytes(b"somebody's")
    else:
        (bed.instance / "f").unlink()
    with pytest.raises(StepFailed, match="is not what the plan found there"):
        do_files(step, bed.bench(), again=False)


def test_a_file_that_is_new_already_counts_only_the_second_time(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old a", b"new a"), bed.file("b", b"old b", b"new b"))
    (bed.instance / "a").write_bytes(b"new a")
    with pytest.raises(StepFailed, match="is not what the plan found there"):
        do_files(step, bed.bench(), again=False)
    done = do_files(step, bed.bench(), again=True)
    assert done.data["written"] == [str(bed.instance / "b")]
    assert bed.look() == {"a": (b"new a", 0o644), "b": (b"new b", 0o644)}


def test_a_file_that_is_as_it_should_be_is_not_touched(bed: Bed) -> None:
    step = bed.step(bed.file("f", b"same", b"same"))
    before = (bed.instance / "f").stat()
    done = do_files(step, bed.bench(), again=False)
    assert (done.result, done.changed) == (Result.NOT_NEEDED, False)
    assert (bed.instance / "f").stat() == before


def test_content_that_is_not_the_planned_bytes_is_not_written(bed: Bed) -> None:
    step = bed.step(bed.file("f", b"old", b"new"))
    with pytest.raises(StepFailed, match="does not come to the planned bytes"):
        do_files(step, bed.bench(content=lambda _file, _old: b"something else"), again=False)
    assert bed.look() == {"f": (b"old", 0o644)}


# ---- links and places


def test_a_symlinked_target_is_not_written_through(bed: Bed, tmp_path: Path) -> None:
    step = bed.step(bed.file("f", b"old", b"new"))
    (tmp_path / "outside").write_bytes(b"old")
    (bed.instance / "f").unlink()
    (bed.instance / "f").symlink_to(tmp_path / "outside")
    with pytest.raises(StepFailed, match="a link stands at a target"):
        do_files(step, bed.bench(), again=False)
    assert (tmp_path / "outside").read_bytes() == b"old"


def test_a_folder_that_became_a_link_is_not_followed(bed: Bed, tmp_path: Path) -> None:
    step = bed.step(bed.file("conf/f", b"old", b"new"))
    (bed.instance / "conf").rename(tmp_path / "outside")
    (bed.instance / "conf").symlink_to(tmp_path / "outside")
    with pytest.raises(StepFailed, match="a link or a file stands where a folder was"):
        do_files(step, bed.bench(), again=False)
    assert (tmp_path / "outside" / "f").read_bytes() == b"old"


def test_an_instance_directory_that_leads_elsewhere_now_is_refused(bed: Bed, tmp_path: Path) -> None:
    step = bed.step(bed.file("f", b"old", b"new"))
    bed.instance.rename(tmp_path / "moved")
    (tmp_path / "instance").symlink_to(tmp_path / "moved")
    with pytest.raises(StepFailed, match="leads elsewhere now"):
        do_files(step, bed.bench(), again=False)


def test_a_folder_on_another_disk_is_refused(bed: Bed) -> None:
    file = bed.file("f", b"old", b"new").model_copy(update={"device": "99:99"})
    with pytest.raises(StepFailed, match="shows another disk now"):
        do_files(bed.step(file), bed.bench(), again=False)
    assert bed.look() == {"f": (b"old", 0o644)}


def test_after_a_reboot_an_undo_knows_its_files_by_their_bytes(bed: Bed) -> None:
    file = bed.file("f", b"old", b"new")
    do_files(bed.step(file), bed.bench(), again=False)
    undo_files(bed.step(file.model_copy(update={"device": "99:99"})), bed.bench())
    assert bed.look() == {"f": (b"old", 0o644)}


@pytest.mark.parametrize("kind", ["fifo", "directory", "twin"])
def test_what_is_no_regular_file_of_its_own_is_refused(bed: Bed, kind: str) -> None:
    step = bed.step(bed.file("f", b"old", b"new"))
    path = bed.instance / "f"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"old")
        (bed.instance / "twin").hardlink_to(path)
    with pytest.raises(StepFailed, match="cannot be replaced"):
        do_files(step, bed.bench(), again=False)


def test_open_below_holds_the_folder_that_was_checked(bed: Bed) -> None:
    descriptor = open_below(str(bed.instance), os.path.realpath(bed.instance), None, str(bed.instance / "conf"))
    try:
        assert os.path.samestat(os.fstat(descriptor), (bed.instance / "conf").stat())
    finally:
        os.close(descriptor)


# ---- undo


def test_what_somebody_else_wrote_since_is_not_overwritten_by_an_undo(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old a", b"new a"), bed.file("b", None, b"new b"), bed.file("c", b"old c", b"new c"))
    do_files(step, bed.bench(), again=False)
    (bed.instance / "a").write_bytes(b"by the app itself")
    (bed.instance / "b").unlink()
    with pytest.raises(StepFailed, match="1 of 3 files are not put back") as caught:
        undo_files(step, bed.bench())
    assert str(bed.instance / "a") in caught.value.why
    assert bed.look() == {"a": (b"by the app itself", 0o644), "c": (b"old c", 0o644)}


def test_an_undo_of_nothing_does_nothing_and_can_be_repeated(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old", b"new"), bed.file("b", None, b"new b"))
    before = bed.look()
    assert undo_files(step, bed.bench()).result is Result.NOT_NEEDED
    do_files(step, bed.bench(), again=False)
    for _ in range(2):
        undo_files(step, bed.bench())
        assert bed.look() == before


def test_damaged_old_bytes_are_not_put_back(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old", b"new"))
    do_files(step, bed.bench(), again=False)
    (bed.folder / "undo" / digest(b"old").removeprefix("sha256:")).write_bytes(b"odl")
    with pytest.raises(StepFailed, match="not put back"):
        undo_files(step, bed.bench())
    assert bed.look() == {"a": (b"new", 0o644)}


def test_leftovers_of_a_crash_are_swept_away(bed: Bed) -> None:
    step = bed.step(bed.file("conf/a", b"old", b"new"))
    (bed.instance / "conf" / ".a.interlock-000001-aaaaaaaa").write_bytes(b"half")
    (bed.instance / "conf" / ".a.interlock-000009-bbbbbbbb").write_bytes(b"not ours")
    undo_files(step, bed.bench())
    assert sorted(bed.look()) == ["conf/.a.interlock-000009-bbbbbbbb", "conf/a"]


# ---- authority


def test_without_clearance_for_this_plan_nothing_is_written(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old", b"new"))
    with pytest.raises(ApprovalError, match="another plan"):
        do_files(step, bed.bench(plan="sha256:" + "b" * 64), again=False)
    with pytest.raises(ApprovalError, match="another plan"):
        undo_files(step, bed.bench(action="other"))
    assert bed.look() == {"a": (b"old", 0o644)}


# ---- full disks and permissions


def test_a_disk_that_fills_up_shows_before_any_file_has_changed(bed: Bed) -> None:
    """A limit on the size of files is met in the middle of the second of two; the first one is not renamed yet."""
    step = bed.step(bed.file("a", b"old a", b"new a"), bed.file("b", b"old b", b"new b" * 5000))
    before = bed.look()
    script = """
        import resource, signal, sys
        from pathlib import Path
        from interlock.act.files import do_files
        from interlock.act.outcome import StepFailed
        from interlock.gate.plan import FilesPlan
        from tests.act_bench import make_bench
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        contents = {}
        for data in (b"new a", b"new b" * 5000):
            from interlock.facts.canonical import digest
            contents[digest(data)] = data
        try:
            do_files(FilesPlan.model_validate_json(sys.argv[2]), make_bench(Path(sys.argv[1]), contents), again=False)
        except StepFailed as failure:
            print(failure.changed, failure.why, failure.where)
    """
    argv = (sys.executable, "-c", textwrap.dedent(script), str(bed.folder), step.model_dump_json())
    done = subprocess.run(argv, capture_output=True, text=True, env=child_environ(), check=False)
    assert done.stdout == f"False {os.strerror(errno.EFBIG)} {bed.instance}/b\n", done.stderr
    assert bed.look() == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 8192


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_shows_before_any_file_has_changed(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old a", b"new a"), bed.file("conf/b", b"old b", b"new b"))
    (bed.instance / "conf").chmod(0o555)
    before = bed.look()
    with pytest.raises(StepFailed, match="cannot be written") as caught:
        do_files(step, bed.bench(), again=False)
    (bed.instance / "conf").chmod(0o755)
    assert not caught.value.changed
    assert bed.look() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_is_kept_and_comes_back(bed: Bed) -> None:
    file = bed.file("a", b"old", b"new")
    os.chown(bed.instance / "a", 65534, 65534)
    assert file.old is not None
    file = file.model_copy(update={"old": file.old.model_copy(update={"uid": 65534, "gid": 65534})})
    for act in (lambda: do_files(bed.step(file), bed.bench(), again=False), lambda: undo_files(bed.step(file), bed.bench())):
        act()
        status = (bed.instance / "a").stat()
        assert (status.st_uid, status.st_gid) == (65534, 65534)


def test_extended_attributes_stay_with_the_target(bed: Bed) -> None:
    step = bed.step(bed.file("a", b"old", b"new"))
    try:
        os.setxattr(bed.instance / "a", "user.origin", b"installer")
    except OSError:
        pytest.skip("this file system has no user attributes")
    do_files(step, bed.bench(), again=False)
    assert os.getxattr(bed.instance / "a", "user.origin") == b"installer"
    undo_files(step, bed.bench())
    assert os.getxattr(bed.instance / "a", "user.origin") == b"installer"
