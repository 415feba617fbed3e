"""One action at a time on a target, and whoever is refused is told who holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from interlock.act.lock import NAME, Holder, holder, locked
from interlock.errors import LockHeld
from tests.act_bench import child_environ

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)

HOLD = """
    import sys, time
    from datetime import UTC, datetime
    from pathlib import Path
    from interlock.act.lock import locked
    with locked(Path(sys.argv[1]), doing="apply release 3fa94c1e", user="anna", host="app1", now=datetime(2026, 11, 20, 21, tzinfo=UTC)):
        print("held", flush=True)
        time.sleep(60)
"""


def take(folder: Path):  # type: ignore[no-untyped-def]
    return locked(folder, doing="apply release", user="bert", host="app1", now=NOW)


@pytest.fixture
def other(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Another process that holds the lock."""
    process = subprocess.Popen((sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)), stdout=subprocess.PIPE, env=child_environ())
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_action_is_refused_and_told_who_is_at_work(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    with pytest.raises(LockHeld, match=f"apply release 3fa94c1e by anna on app1, process {other.pid}, since 2026-11-20T21:00:00Z") as caught, take(tmp_path):
        pass
    assert caught.value.exit_code == 15
    assert "interlock status" in caught.value.remedy


def test_status_sees_the_holder(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    seen = holder(tmp_path)
    assert seen is not None
    assert (seen.pid, seen.user) == (other.pid, "anna")


def test_the_lock_of_a_dead_holder_is_free_whatever_its_text_says(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    other.kill()
    other.wait()
    assert "anna" in (tmp_path / NAME).read_text()
    assert holder(tmp_path) is None
    with take(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["user"] == "bert"


def test_the_lock_file_is_private_and_says_who(tmp_path: Path) -> None:
    with take(tmp_path):
        assert (tmp_path / NAME).stat().st_mode & 0o7777 == 0o600
        assert Holder.parse((tmp_path / NAME).read_bytes()) == Holder(
            pid=os.getpid(), user="bert", host="app1", since="2026-11-20T21:00:00Z", doing="apply release"
        )


def test_a_lock_can_be_taken_again_once_it_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        with take(tmp_path):
            pass
    assert holder(tmp_path) is None


def test_nobody_has_ever_locked_a_new_target(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff" * 5000, b"[" * 10_000])
def test_a_holder_that_has_not_said_who_it_is_still_holds(tmp_path: Path, other: subprocess.Popen[bytes], text: bytes) -> None:
    (tmp_path / NAME).write_bytes(text)
    with pytest.raises(LockHeld, match="has not said who it is"), take(tmp_path):
        pass
    assert holder(tmp_path) is not None


def test_a_lock_that_cannot_be_seen_is_held(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LockHeld, match="cannot be taken"), take(tmp_path):
        pass
    with pytest.raises(LockHeld, match="cannot be taken"), take(tmp_path / "missing"):
        pass


def test_a_lock_whose_holder_cannot_be_written_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LockHeld, match="No space left"), take(tmp_path):
        pass


def test_a_look_at_the_lock_does_not_keep_an_action_from_starting(tmp_path: Path) -> None:
    """`status` holds it for an instant; taking it is tried more than once."""
    import fcntl
    import threading
    import time

    with take(tmp_path):
        pass
    descriptor = os.open(tmp_path / NAME, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    release = threading.Thread(target=lambda: (time.sleep(0.07), os.close(descriptor)))
    release.start()
    with take(tmp_path):
        pass
    release.join()
