"""The runner, or its connection, dies before or after any word that it says to another host: the host is all old or all new, and it is told so."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock import runner
from interlock.commands.status import status_text
from interlock.errors import CouldNotLook, LockHeld
from interlock.observe.far import Far
from tests.far_site import make_far, patiently
from tests.faults.explorer import forked
from tests.integration.sshd import PrivateSshd
from tests.tiny_site import NEW, OLD, Tiny

POINTS = {"test": 4, "prove": 1000}
SEND = Far.send


@pytest.fixture
def server(tmp_path: Path, component: Callable[[str], None]) -> Iterator[PrivateSshd]:
    component("sshd")
    with PrivateSshd(tmp_path / "sshd") as server:
        yield server


def dying(at: int, how: Callable[[Far], None], seen: list[int], *, after: bool) -> Callable[[Far, Any], None]:
    """`Far.send`, at whose call `at` something dies, before or after the word is on its way."""

    def send(far: Far, message: Any) -> None:
        seen.append(1)
        if len(seen) == at and not after:
            how(far)
        SEND(far, message)
        if len(seen) == at and after:
            how(far)

    return send


def kill_runner(_far: Far) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_connection(far: Far) -> None:
    os.kill(far._process.pid, signal.SIGKILL)


def applied(tiny: Tiny, plan: str, at: int, how: Callable[[Far], None], *, after: bool) -> Any:
    """Apply in a fork, with a death on the way: its exit code and how many words it said; "refused" when it did not begin; "killed"."""

    def work() -> dict[str, int] | str:
        seen: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Far, "send", dying(at, how, seen, after=after))
            try:
                return {"exit": runner.apply(tiny.site, plan, tiny.environ, tiny.means()).exit_code, "words": len(seen)}
            except (LockHeld, CouldNotLook):
                return "refused"

    return forked(work)


def test_a_death_at_any_word_leaves_all_old_or_all_new(tmp_path: Path, server: PrivateSshd, request: pytest.FixtureRequest) -> None:
    (tmp_path / "quiet").mkdir()
    quiet = make_far(tmp_path / "quiet", server)
    words = applied(quiet, quiet.approved().folder.name, 0, kill_runner, after=False)["words"]
    cases = [(at, how, after) for how in (kill_connection, kill_runner) for at in range(1, words + 1) for after in (False, True)]
    points = POINTS[os.environ.get("INTERLOCK_PROFILE", "test")]
    first = int(getattr(request.config.option, "randomly_seed", 0) or 0) % len(cases)
    chosen = cases if points >= len(cases) else [cases[(first + number * len(cases) // points) % len(cases)] for number in range(points)]
    for number, (at, how, after) in enumerate(chosen):
        folder = tmp_path / str(number)
        folder.mkdir()
        try_one(make_far(folder, server), at, how, after=after, onward=("resume", "rollback")[number % 2])


def try_one(tiny: Tiny, at: int, how: Callable[[Far], None], *, after: bool, onward: str) -> None:
    case = f"{how.__name__} {'after' if after else 'before'} word {at}, {onward}"
    plan = tiny.approved().folder.name
    ended = applied(tiny, plan, at, how, after=after)
    text, seen = status_text(tiny.site), tiny.look()
    if "everything is as it was" in text or "none was ever begun" in text:
        assert seen == OLD, case
    if ended == "killed" and "UNFINISHED" in text:
        assert patiently(getattr(runner, onward), tiny, plan).exit_code == 0, case
        assert tiny.look() == (NEW if onward == "resume" else OLD), case
    elif isinstance(ended, dict):
        assert (ended["exit"], tiny.look()) in ((0, NEW), (16, OLD)), (case, ended, text)
    else:
        assert tiny.look() == (NEW if "done and verified" in text else OLD), (case, ended, text)
        assert ended == "killed" or "none was ever begun" in text, (case, text)
    assert not list(tiny.instance.rglob(".*")), case
