"""What is sent to other hosts: frames come through whole, a far end that nobody leads ends itself, and all of it is Python 3.6."""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.act import far_hands, programs
from interlock.act.hands import ENVIRON, Hands
from interlock.observe import serving
from interlock.observe.eyes import Refused, boot_id, process_fields
from interlock.observe.far import answer_of
from interlock.observe.serving import Frames, Gone, Wire, packed, serve
from tests.strategies import frames

SENT = [Path(str(importlib.import_module(name).__file__)) for name in far_hands._MODULES]


# ---- what it is


@pytest.mark.parametrize("source", SENT, ids=lambda path: path.stem)
def test_it_is_python_3_6_and_needs_nothing_that_is_not_sent_along(source: Path) -> None:
    tree = ast.parse(source.read_text(), feature_version=(3, 6))
    ours = {".".join(path.with_suffix("").parts[-3:]) for path in SENT}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            assert str(node.module) in ours or {f"{node.module}.{alias.name}" for alias in node.names} <= ours
    assert not any(isinstance(node, ast.NamedExpr) for node in ast.walk(tree))


@pytest.mark.parametrize("source", SENT, ids=lambda path: path.stem)
def test_its_annotations_are_never_evaluated(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.FunctionDef):
            arguments = [argument.annotation for argument in (*node.args.args, *node.args.kwonlyargs) if argument.annotation]
            for note in (*arguments, *([node.returns] if node.returns else [])):
                assert isinstance(note, ast.Constant), node.name


# ---- frames


@given(frames(), st.integers(min_value=1, max_value=50))
def test_messages_come_through_in_whatever_pieces_they_are_read(messages: list[Any], size: int) -> None:
    said = b"".join(map(packed, messages))
    reading, heard = Frames(), []
    for start in range(0, len(said), size):
        reading.feed(said[start : start + size])
        while (message := reading.next()) is not None:
            heard.append(message)
    assert heard == messages


@given(st.binary(max_size=200))
def test_what_is_no_frame_is_an_error_or_not_yet_one(noise: bytes) -> None:
    reading = Frames()
    reading.feed(noise)
    with contextlib.suppress(ValueError):
        assert reading.next() is None


@pytest.mark.parametrize(
    "frame",
    [
        b'{"says": 1, "bytes": 5}\n',
        b'{"says": 1, "bytes": {"a": 1}}\n',
        b'{"says": 1, "bytes": [true]}\n',
        b'{"says": 1}\n',
        b"[" * 100_000 + b"\n",
        b'{"says": {"#": 3}, "bytes": []}\n',
        b'{"says": {"#": "x"}, "bytes": [1]}\nx',
        b'{"says": 1, "bytes": [-1]}\n',
        b'{"says": 1, "bytes": [999999999999]}\n',
    ],
)
def test_a_frame_that_promises_what_it_does_not_hold_is_an_error(frame: bytes) -> None:
    reading = Frames()
    reading.feed(frame)
    with pytest.raises(ValueError, match="frame"):
        reading.next()


# ---- the far end


class Near:
    """Our side of a far end that runs in a thread."""

    def __init__(self) -> None:
        self.source, self.write = os.pipe()
        self.read, self.sink = os.pipe()
        self.frames = Frames()

    def say(self, message: Any) -> None:
        os.write(self.write, packed(message))

    def hear(self) -> Any:
        while (message := self.frames.next()) is None:
            self.frames.feed(os.read(self.read, 65536))
        return message

    def close(self) -> None:
        for descriptor in (self.source, self.write, self.read, self.sink):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def near() -> Iterator[Near]:
    near = Near()
    yield near
    near.close()


def test_a_far_end_that_hears_nothing_gives_up(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SILENCE", 0.3)
    with pytest.raises(Gone, match="nothing was heard"):
        Wire(near.source, near.sink).receive()


def test_signs_of_life_keep_it_and_are_no_messages(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SILENCE", 0.4)

    def live() -> None:
        for _ in range(6):
            near.say({"alive": True})
            time.sleep(0.15)
        near.say({"ask": "x", "with": []})

    thread = threading.Thread(target=live)
    thread.start()
    assert Wire(near.source, near.sink).receive() == {"ask": "x", "with": []}
    thread.join()


def test_the_end_of_its_input_is_its_end(near: Near) -> None:
    os.close(near.write)
    with pytest.raises(Gone, match="has ended"):
        Wire(near.source, near.sink).receive()


def test_when_nobody_takes_what_it_says_it_gives_up(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SILENCE", 0.3)
    with pytest.raises(Gone, match="nothing was heard"):
        Wire(near.source, near.sink).send({"answer": b"x" * 10_000_000})
    os.close(near.read)
    with pytest.raises(Gone, match="nobody listens"):
        Wire(near.source, near.sink).send({"answer": b"x" * 10_000_000})


def test_a_near_end_that_is_there_may_take_its_time_to_listen(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who has stopped the terminal with Ctrl-S ends no program."""
    monkeypatch.setattr(serving, "SILENCE", 0.4)
    heard: list[Any] = []

    def wait() -> None:
        for _ in range(6):
            near.say({"alive": True})
            time.sleep(0.15)
        heard.append(near.hear())

    thread = threading.Thread(target=wait)
    thread.start()
    Wire(near.source, near.sink).send({"heard": ["out", b"x" * 1_000_000]})
    thread.join()
    assert heard == [{"heard": ["out", b"x" * 1_000_000]}]


def test_a_program_is_ended_when_its_near_end_is_gone(near: Near, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its door was opened it never runs; after that it is ended with its group."""
    monkeypatch.setattr(programs, "GRACE", 0.5)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            Hands().run(Wire(near.source, near.sink), ["sh", "-c", "touch ran; sleep 60"], str(tmp_path), 30)
        except Gone as gone:
            ended.append(gone)

    thread = threading.Thread(target=work)
    thread.start()
    spawned = near.hear()["spawned"]
    assert spawned["boot"] == boot_id()
    near.say({"go": True})
    while not (tmp_path / "ran").exists():
        time.sleep(0.01)
    os.close(near.write)
    thread.join(10)
    assert ended
    assert process_fields(spawned["pid"]) is None


def test_a_program_that_was_not_let_go_never_runs(near: Near, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "GRACE", 0.5)

    def work() -> None:
        with pytest.raises(Gone):
            Hands().run(Wire(near.source, near.sink), ["touch", "ran"], str(tmp_path), 30)

    thread = threading.Thread(target=work)
    thread.start()
    near.hear()
    os.close(near.write)
    thread.join(10)
    assert not (tmp_path / "ran").exists()


def test_what_a_program_gets_of_the_environment_is_a_path_and_a_language() -> None:
    assert ENVIRON.keys() == {"PATH", "LC_ALL"}


class Answers:
    """What a far end may be asked in these tests."""

    TALKS = ()

    def fail(self) -> None:
        raise PermissionError(13, "Permission denied", "/etc/shadow")

    def refuse(self) -> None:
        raise Refused("no", where="there", why="so", remedy="that")

    def stumble(self) -> None:
        raise ZeroDivisionError("it was me")

    def _own(self) -> None:
        raise AssertionError("nobody may ask for it")


def test_faults_come_through_as_what_they_are(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.signal, "signal", lambda *_: None)
    thread = threading.Thread(target=serve, args=(Wire(near.source, near.sink), Answers()))
    thread.start()
    assert near.hear() == {"ready": True}
    near.say({"ask": "fail", "with": []})
    with pytest.raises(PermissionError, match="/etc/shadow"):
        answer_of(near.hear(), "far")
    near.say({"ask": "refuse", "with": []})
    with pytest.raises(Refused) as caught:
        answer_of(near.hear(), "far")
    assert (caught.value.what, caught.value.where, caught.value.why, caught.value.remedy) == ("no", "there", "so", "that")
    for name in ("stumble", "_own", "nothing"):
        near.say({"ask": name, "with": []})
        assert "wrong" in near.hear()
    os.close(near.write)
    thread.join(5)
    assert not thread.is_alive()
