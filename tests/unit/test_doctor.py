"""What does doctor make of failed looks? Each cause once, and the line that changes it; a look's own trouble stays its own."""

from __future__ import annotations

import pytest

from interlock.commands.doctor import Barrier, HeldBack, Lack, barrier_of, grouped
from interlock.facts.looks import Answer, Engine, FailedLook, Look, Owners, OwnersAnswer, Shadows, StatAnswer

NO_PYTHON = FailedLook("no-tool", "this host has no python3, which asks a container engine")


@pytest.mark.parametrize(
    ("look", "answer", "user", "barrier"),
    [
        (Shadows(("/data",)), FailedLook("EPERM", "Operation not permitted"), "kim", Barrier.ROOT),
        (Shadows(("/data",)), FailedLook("EPERM", "Operation not permitted"), "root", None),  # in a container: no line of sudo changes that
        (Engine("/run/docker.sock"), FailedLook("engine-closed", "Permission denied"), "kim", Barrier.ENGINE),
        (Engine("/run/docker.sock"), FailedLook("engine-absent", "nothing listens"), "kim", None),
        (Engine("/run/docker.sock"), NO_PYTHON, "root", Barrier.PYTHON),
        (Engine("/run/docker.sock"), FailedLook("no-tool", "this host's python3 is not whole: no _socket"), "root", None),
        (Owners("/data"), OwnersAnswer(owners=(), complete=True, unread=("keys/: EACCES: Permission denied",)), "kim", Barrier.ROOT),
        (Owners("/data"), OwnersAnswer(owners=(), complete=True), "kim", None),
        (Owners("/data"), StatAnswer(present=False), "kim", None),
        (Owners("/data"), None, "kim", None),
    ],
)
def test_what_a_whole_host_lacks_is_told_from_what_one_look_lacks(look: Look, answer: Answer, user: str, barrier: Barrier | None) -> None:
    assert barrier_of(look, answer, user) is barrier


def test_one_cause_is_told_once_and_what_holds_back_most_comes_first() -> None:
    own, shared = Lack(why="the query is not set", remedy="set it"), Lack(why="kim is not root", remedy="become")
    first, second = HeldBack(guardrail="mounts.shadowed_files", subject="state"), HeldBack(guardrail="mounts.two_writers", subject="state")
    found = grouped([(HeldBack(guardrail="expect.sql", subject="rows"), own), (first, shared), (second, shared)])
    assert list(found.items()) == [(shared, [first, second]), (own, [HeldBack(guardrail="expect.sql", subject="rows")])]
