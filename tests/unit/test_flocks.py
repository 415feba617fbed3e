"""The lock of a target: between processes, between users, and in directories that cannot be trusted."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlock.act import flocks
from interlock.observe.eyes import Refused

NAME = "interlock-shop"
HOLD = """
    import sys, time
    from interlock.act import flocks
    try:
        held = flocks.take(sys.argv[1], "interlock-shop", sys.argv[2].encode())
    except flocks.Held as other:
        print("kept out by", other.text.decode(), flush=True)
    else:
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    path = tmp_path / "lock"
    path.mkdir(mode=0o700)
    return str(path)


@contextmanager
def other(folder: str, text: str = "anna", *, user: str | None = None, source: Path | None = None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Another process that tries to hold the lock, and what it says of that."""
    path = os.pathsep.join([str(source or Path(__file__).parent.parent.parent), *filter(None, sys.path)])
    argv = (shutil.which("python3", path="/usr/bin:/bin") or sys.executable) if user else sys.executable
    process = subprocess.Popen(
        (argv, "-c", textwrap.dedent(HOLD), folder, text), stdout=subprocess.PIPE, env={"PYTHONPATH": path}, user=user, extra_groups=[] if user else None
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def free(folder: str) -> bool:
    return flocks.holder(folder, NAME) is None


# ---- who holds it


def test_whoever_comes_second_is_told_who_holds_it(folder: str) -> None:
    with other(folder) as (_, said):
        assert said == "held"
        assert flocks.holder(folder, NAME) == b"anna"
        with pytest.raises(flocks.Held) as caught:
            flocks.take(folder, NAME, b"bert")
        assert caught.value.text == b"anna"


def test_the_lock_of_a_killed_holder_is_free_at_once_whatever_its_text_says(folder: str) -> None:
    with other(folder) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert free(folder)
        assert Path(folder, f"{NAME}.{os.geteuid()}.holder").read_text() == "anna"
        flocks.take(folder, NAME, b"bert").release()


def test_a_lock_that_was_let_go_of_can_be_taken_again_and_its_files_stay(folder: str) -> None:
    for text in (b"one", b"two"):
        held = flocks.take(folder, NAME, text)
        assert not free(folder)
        held.release()
        assert free(folder)
    assert sorted(os.listdir(folder)) == [f"{NAME}.{os.geteuid()}.holder", f"{NAME}.lock"]


def test_two_sites_on_one_host_do_not_wait_for_each_other(folder: str) -> None:
    one, two = flocks.take(folder, NAME, b""), flocks.take(folder, "interlock-blog", b"")
    one.release()
    two.release()


def test_a_look_at_the_lock_does_not_keep_anybody_out(folder: str) -> None:
    flocks.take(folder, NAME, b"").release()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            flocks.holder(folder, NAME)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            flocks.take(folder, NAME, b"").release()
    finally:
        stop.set()
        looking.join()


def test_one_who_has_patience_gets_it_once_it_is_free(folder: str) -> None:
    with other(folder) as (process, _):
        timer = threading.Timer(0.5, process.kill)
        timer.start()
        flocks.take(folder, NAME, b"", patience=10).release()
        timer.join()


def test_everybody_may_read_who_holds_it_whatever_the_umask(folder: str) -> None:
    before = os.umask(0o077)
    try:
        held = flocks.take(folder, NAME, b"anna")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in Path(folder).iterdir()} == {0o644}
    held.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can be two users")
def test_users_with_different_ids_exclude_each_other_in_a_shared_directory() -> None:
    """Whoever of them made the files, and with the kernel's rule against opening files of others in such directories."""
    place = Path(tempfile.mkdtemp(prefix="interlock-flocks-"))
    try:
        place.chmod(0o755)
        for name in ("observe/eyes.py", "act/flocks.py"):
            copy = place / "interlock" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((Path(flocks.__file__).parent.parent / name).read_bytes())
        shared = place / "shared"
        shared.mkdir()
        shared.chmod(0o1777)
        somebody = pwd.getpwnam("nobody").pw_name
        for _ in range(2):
            with other(str(shared), "by nobody", user=somebody, source=place) as (_, said):
                assert said == "held"
                with pytest.raises(flocks.Held) as caught:
                    flocks.take(str(shared), NAME, b"by root")
                assert caught.value.text == b"by nobody"
            held = flocks.take(str(shared), NAME, b"by root")
            with other(str(shared), "by nobody", user=somebody, source=place) as (_, said):
                assert said == "kept out by by root"
            held.release()
    finally:
        shutil.rmtree(place)


# ---- where it cannot be trusted


def test_a_directory_that_is_missing_is_named_with_its_remedy(folder: str) -> None:
    with pytest.raises(Refused, match="the directory of the lock is missing") as caught:
        flocks.take(f"{folder}/none", NAME, b"")
    assert f"install -d -m 1777 {folder}/none" in caught.value.remedy


def test_no_link_leads_to_the_lock(folder: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(Refused, match="cannot be used") as caught:
        flocks.take(str(tmp_path / "link"), NAME, b"")
    assert "a link or a file stands there" in caught.value.why


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_directory_in_which_others_could_swap_the_file_is_refused(folder: str, mode: int) -> None:
    os.chmod(folder, mode)
    with pytest.raises(Refused, match="somebody else could put another lock"):
        flocks.take(folder, NAME, b"")
    os.chmod(folder, mode | 0o1000)
    flocks.take(folder, NAME, b"").release()


def test_a_directory_above_in_which_others_could_swap_it_is_refused(folder: str) -> None:
    Path(folder, "inner").mkdir(mode=0o700)
    os.chmod(folder, 0o777)
    with pytest.raises(Refused, match="somebody else could put another lock") as caught:
        flocks.take(f"{folder}/inner", NAME, b"")
    assert caught.value.where == folder


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can give a directory away")
def test_a_directory_that_belongs_to_somebody_else_is_refused(folder: str) -> None:
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(Refused, match="somebody else could put another lock"):
        flocks.take(folder, NAME, b"")


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _twin(path: Path) -> None:
    path.with_name("twin").touch()
    path.hardlink_to(path.with_name("twin"))


@pytest.mark.parametrize("make", [_link, _twin, os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", [f"{NAME}.lock", f"{NAME}.{os.geteuid()}.holder"])
def test_what_is_no_file_of_its_own_is_no_lock(folder: str, make: Callable[[Path], None], name: str) -> None:
    make(Path(folder, name))
    with pytest.raises((Refused, OSError)):
        flocks.take(folder, NAME, b"")


def test_a_holder_file_that_only_looks_like_one_says_nothing(folder: str) -> None:
    Path(folder, f"{NAME}.{os.geteuid() + 1}.holder").write_text("somebody famous")
    with other(folder):
        assert flocks.holder(folder, NAME) == b"anna"


def test_a_lock_whose_file_was_removed_or_replaced_is_lost(folder: str) -> None:
    held = flocks.take(folder, NAME, b"")
    assert held.lost() == ""
    Path(folder, f"{NAME}.lock").unlink()
    assert "cannot be seen any more" in held.lost()
    Path(folder, f"{NAME}.lock").touch()
    assert "another file stands" in held.lost()
    held.release()


def test_a_full_place_gives_no_lock_and_holds_none(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            flocks.take(folder, NAME, b"anna")
    assert free(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_where_this_user_may_not_write_gives_no_lock(folder: str) -> None:
    os.chmod(folder, 0o500)
    with pytest.raises(PermissionError):
        flocks.take(folder, NAME, b"anna")


def test_no_descriptor_is_left_open_when_it_cannot_be_taken(folder: str) -> None:
    with other(folder):
        before = os.listdir("/proc/self/fd")
        for _ in range(5):
            with pytest.raises(flocks.Held):
                flocks.take(folder, NAME, b"")
        assert set(os.listdir("/proc/self/fd")) <= set(before)  # what another test left to the collector may be closed meanwhile


def test_the_usual_directory_is_one_in_which_every_user_may_keep_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks comes to the same one, whatever they may do there themselves: a host whose /run/lock is root's alone has its locks in /tmp."""
    assert flocks.usual() in flocks.USUAL
    (tmp_path / "mine").mkdir(mode=0o700)
    monkeypatch.setattr(flocks, "USUAL", (str(tmp_path / "missing"), str(tmp_path / "mine"), "/tmp"))
    assert flocks.usual() == "/tmp"
    monkeypatch.setattr(flocks, "USUAL", (str(tmp_path / "mine"),))
    with pytest.raises(Refused, match="in none of the usual directories"):
        flocks.take("", "interlock-x", b"{}")
