"""After every kill, and every kill of what goes on after it, the runner keeps its promises (`tests/model/explore.py` says which, and how it is tried)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model.explore import FEW, Found, all_shapes, explore
from tests.model.simulated import KINDS, Shape

PROVE = os.environ.get("INTERLOCK_PROFILE") == "prove"
SHAPES = tuple(dict.fromkeys(all_shapes())) if PROVE else FEW
TOTAL = Found()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: nothing here depends on a disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_sequence_of_kills_and_verbs_breaks_a_promise(shape: Shape, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = explore(folder, [shape])
    TOTAL.add(found)
    with capsys.disabled():
        print(f"\n{shape}: {found.states} states, {found.kills} kills; {TOTAL.states} states and {TOTAL.kills} kills of {TOTAL.shapes} shapes until now")
    assert found.states > 1
    assert found.kills > found.states


@pytest.mark.skipif(not PROVE, reason="the long counts are for `make prove`")
@pytest.mark.parametrize("shape", ["command", "files", "word", "command-blind", "undo-fails-once"])
def test_states_that_are_no_more_alike_than_their_bytes_keep_the_promises_too(shape: str, folder: Path) -> None:
    """To two verbs that are killed, one after the other, and what can be done then."""
    assert explore(folder, [Shape(steps=(shape,))], exact=True, depth=2).states > 100


def test_every_kind_of_step_is_explored() -> None:
    assert {name for shape in all_shapes() for name in shape.steps} == set(KINDS)
