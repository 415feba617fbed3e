"""One action at a time on a target, whichever checkout it is begun from; without its lock nothing begins."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from interlock import runner
from interlock.act import flocks
from interlock.act.lock import Holder
from interlock.act.reach import Reach, local_holder
from interlock.commands.status import status_text
from interlock.errors import LockHeld
from tests.far_site import checkout
from tests.tiny_site import NEW, OLD, Tiny, make_tiny

NAME = "interlock-tiny"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path)


@pytest.fixture
def elsewhere(tiny: Tiny, tmp_path: Path) -> Tiny:
    """The same site in another checkout, with books of its own."""
    return checkout(tiny, tmp_path / "elsewhere")


def lock(tiny: Tiny) -> str:
    return str(tiny.root / "lock")


HOLDER = Holder(pid=4711, user="anna", host="app1", since="2026-11-20T20:58:00Z", doing="apply release 3fa94c1e")


@pytest.mark.parametrize("verb", ["apply", "resume", "rollback"])
def test_every_verb_that_changes_something_is_kept_out_while_another_is_at_work(tiny: Tiny, verb: str) -> None:
    stored = tiny.approved()
    held = flocks.take(lock(tiny), NAME, HOLDER.to_bytes())
    with pytest.raises(LockHeld, match="local is locked: apply release 3fa94c1e by anna on app1, process 4711, since 2026-11-20T20:58:00Z") as caught:
        getattr(runner, verb)(tiny.site, stored.folder.name, tiny.environ, tiny.means())
    assert caught.value.exit_code == 15
    assert tiny.look() == OLD
    held.release()


def test_an_action_of_another_checkout_is_seen(tiny: Tiny, elsewhere: Tiny) -> None:
    first, second = tiny.approved(), elsewhere.approved()
    refused: list[str] = []

    def say(what: str) -> None:
        if what.startswith("step 3"):
            with pytest.raises(LockHeld) as caught:
                runner.apply(elsewhere.site, second.folder.name, elsewhere.environ, elsewhere.means())
            refused.append(caught.value.what)
            refused.append(status_text(elsewhere.site))

    assert runner.apply(tiny.site, first.folder.name, tiny.environ, tiny.means(say=say)).exit_code == 0
    assert tiny.look() == NEW
    assert f"process {os.getpid()}" in refused[0]
    assert f"lock: apply release {first.digest[7:15]} by" in refused[1]
    assert "next: wait: an action is under way" in refused[1]
    assert "lock: free" in status_text(elsewhere.site)


def test_status_says_within_a_second_who_works_on_this_machine(tiny: Tiny, elsewhere: Tiny) -> None:
    elsewhere.plan()
    held = flocks.take(lock(tiny), NAME, HOLDER.to_bytes())
    began = time.monotonic()
    assert "lock: apply release 3fa94c1e by anna on app1" in status_text(elsewhere.site)
    assert time.monotonic() - began < 1
    held.release()


def test_status_says_when_the_lock_cannot_be_seen(tiny: Tiny) -> None:
    tiny.plan()
    Path(lock(tiny)).chmod(0o777)
    assert "lock: cannot be seen" in status_text(tiny.site)


def test_a_lock_directory_that_is_missing_is_15_and_nothing_is_applied(tiny: Tiny) -> None:
    stored = tiny.approved()
    Path(lock(tiny)).rmdir()
    with pytest.raises(LockHeld, match="the lock of local cannot be taken: the directory of the lock is missing") as caught:
        runner.apply(tiny.site, stored.folder.name, tiny.environ, tiny.means())
    assert "install -d" in caught.value.remedy
    assert tiny.look() == OLD
    assert not list(tiny.books.journals.glob("0*"))


def test_a_lock_directory_that_is_a_link_is_15(tiny: Tiny, tmp_path: Path) -> None:
    stored = tiny.approved()
    shutil.move(lock(tiny), tmp_path / "moved")
    Path(lock(tiny)).symlink_to(tmp_path / "moved")
    with pytest.raises(LockHeld, match="cannot be taken"):
        runner.apply(tiny.site, stored.folder.name, tiny.environ, tiny.means())
    assert tiny.look() == OLD


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may mount")
@pytest.mark.parametrize("options", ["ro", "size=4k"])
def test_a_lock_on_a_full_or_read_only_place_is_15(tiny: Tiny, options: str) -> None:
    stored = tiny.approved()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=0700,{options}", "tmpfs", lock(tiny)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs a root who may mount")
    try:
        if options != "ro":
            Path(lock(tiny), "filler").write_bytes(b"x" * 4096)
        with pytest.raises(LockHeld, match=r"the lock of local cannot be taken: (Read-only|No space)") as caught:
            runner.apply(tiny.site, stored.folder.name, tiny.environ, tiny.means())
        assert "make room" in caught.value.remedy
    finally:
        subprocess.run(["umount", lock(tiny)], check=True)
    assert tiny.look() == OLD


def test_a_lock_that_was_removed_fails_the_next_step_and_everything_is_undone(tiny: Tiny) -> None:
    def say(what: str) -> None:
        if what.startswith("step 2"):
            Path(lock(tiny), f"{NAME}.lock").unlink()

    outcome = runner.apply(tiny.site, tiny.approved().folder.name, tiny.environ, tiny.means(say=say))
    assert outcome.exit_code == 16, outcome.text
    assert "the lock of local is lost" in outcome.text
    assert tiny.look() == OLD


def test_an_undo_does_not_go_on_under_a_lock_that_somebody_else_has_taken_meanwhile(tiny: Tiny) -> None:
    taken: list[flocks.Flock] = []

    def say(what: str) -> None:
        if what.startswith("step 3"):
            Path(lock(tiny), f"{NAME}.lock").unlink()
            os.rename(Path(lock(tiny), f"{NAME}.{os.geteuid()}.holder"), Path(lock(tiny), "moved"))
            taken.append(flocks.take(lock(tiny), NAME, HOLDER.to_bytes()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("interlock.act.reach._AGAIN", 0.1)
        outcome = runner.apply(tiny.site, tiny.approved().folder.name, tiny.environ, tiny.means(say=say))
    assert outcome.exit_code == 18
    assert "local is locked: apply release 3fa94c1e by anna on app1" in outcome.text
    taken[0].release()
    assert runner.rollback(tiny.site, next(tiny.books.plans.iterdir()).name, tiny.environ, tiny.means()).exit_code == 0
    assert tiny.look() == OLD


def test_what_a_holder_wrote_cannot_steer_a_terminal(tiny: Tiny) -> None:
    held = flocks.take(lock(tiny), NAME, b'{"pid": 1, "user": "a\\u001b[2Jb", "host": "h", "since": "s", "doing": "' + b"x" * 900 + b'"}')
    seen = local_holder(tiny.site)
    assert seen is not None
    assert seen.user == "a?[2Jb"
    assert len(seen.doing) == 200
    held.release()


def test_a_host_that_the_plan_did_not_lock_is_not_worked_on() -> None:
    with pytest.raises(LockHeld, match="the lock of far is lost"):
        Reach().now("far")
    with pytest.raises(LockHeld, match="far is not locked"):
        Reach().anew("far")
