"""A noun whose methods are written late is the same as one whose methods are written at once."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import threading
from collections.abc import Mapping
from dataclasses import field
from types import FunctionType
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.nouns import dataclass


def nouns(decorate: Any) -> Any:
    @decorate(frozen=True, slots=True, kw_only=True)
    class Place:
        """A place."""

        path: str
        size: int = 3
        parts: tuple[str, ...] = ()
        extra: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
        known: ClassVar[int] = 7

        @property
        def double(self) -> int:
            return self.size * 2

    @decorate(frozen=True, slots=True, kw_only=True)
    class Disk(Place):
        device: str = "none"

        def __post_init__(self) -> None:
            if self.device == "wrong":
                raise ValueError("wrong")

    return Place, Disk


LATE, AT_ONCE = nouns(dataclass), nouns(dataclasses.dataclass)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """At the top of a module, where pickle finds it."""

    path: str
    size: int = 0


values = st.fixed_dictionaries({"path": st.text(max_size=3)}, optional={"size": st.integers(), "parts": st.tuples(st.text(max_size=2))})


@given(values, values, st.sampled_from([0, 1]))
def test_it_is_made_compared_hashed_and_shown_alike(one: dict[str, Any], other: dict[str, Any], which: int) -> None:
    late, at_once = LATE[which], AT_ONCE[which]
    assert (late(**one) == late(**other)) == (at_once(**one) == at_once(**other))
    assert repr(late(**one)) == repr(at_once(**one))
    assert dataclasses.asdict(late(**one)) == dataclasses.asdict(at_once(**one))
    assert dataclasses.replace(late(**one), path="x") == late(**{**one, "path": "x"})


def test_it_hashes_as_its_values_do() -> None:
    late, at_once = Kept(path="a"), dataclasses.make_dataclass("Kept", [("path", str), ("size", int)], frozen=True)
    assert hash(late) == hash(at_once("a", 0))
    assert len({late, Kept(path="a"), Kept(path="b")}) == 2


@pytest.mark.parametrize("which", [0, 1])
def test_what_a_dataclass_refuses_it_refuses(which: int) -> None:
    late = LATE[which]
    with pytest.raises(TypeError):
        late()
    with pytest.raises(TypeError):
        late("positional")
    with pytest.raises(TypeError):
        late(path="a", unknown=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        late(path="a").path = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del late(path="a").path
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(late(path="a"), "new", 1)


def test_its_class_tells_of_its_fields_before_there_is_an_object() -> None:
    late, at_once = nouns(dataclass), nouns(dataclasses.dataclass)
    for mine, other in zip(late, at_once, strict=True):
        assert [one.name for one in dataclasses.fields(mine)] == [one.name for one in dataclasses.fields(other)]
        assert dataclasses.is_dataclass(mine)
        assert (mine.known, mine.__doc__ is not None) == (7, other.__doc__ is not None)


def test_one_that_inherits_is_written_whether_or_not_the_other_was() -> None:
    for order in ((0, 1), (1, 0)):
        late = nouns(dataclass)
        made = {index: late[index](path="a") for index in order}
        assert made[1].device == "none"
        assert made[0].double == made[1].double == 6
        assert made[0] != made[1]
    with pytest.raises(ValueError, match="wrong"):
        LATE[1](path="a", device="wrong")


def test_a_default_object_is_made_for_each() -> None:
    assert LATE[0](path="a").extra is not LATE[0](path="a").extra


def test_it_can_be_copied_and_kept() -> None:
    kept = Kept(path="a", size=4)
    assert pickle.loads(pickle.dumps(kept)) == copy.deepcopy(kept) == copy.copy(kept) == kept


def test_a_default_that_all_would_share_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="mutable default"):

        @dataclass(frozen=True, slots=True, kw_only=True)
        class Shared:
            parts: list[str] = []  # noqa: RUF012 - this is what is refused


def test_a_class_that_is_not_frozen_is_made_as_ever() -> None:
    @dataclass(slots=True)
    class Open:
        size: int = 1

    one = Open()
    one.size = 2
    assert one == Open(2)


def test_nothing_is_written_for_a_noun_that_is_only_imported() -> None:
    late, _ = nouns(dataclass)
    assert not isinstance(vars(late)["__init__"], FunctionType)
    late(path="a")
    assert isinstance(vars(late)["__init__"], FunctionType)


def test_threads_that_meet_at_a_class_for_the_first_time_all_find_it_whole() -> None:
    for _ in range(200):
        places, disks = nouns(dataclass)[:2]
        together, wrong = threading.Barrier(8), []

        def make(number: int, kinds: tuple[Any, Any] = (places, disks), gate: threading.Barrier = together, said: list[object] = wrong) -> None:
            gate.wait()
            try:
                one = kinds[number % 2](path="a")
                assert (one, one.size, hash(one)) == (kinds[number % 2](path="a"), 3, hash(kinds[number % 2](path="a")))
                with pytest.raises(dataclasses.FrozenInstanceError):
                    one.size = 4
            except Exception as error:  # a thread's own would be lost
                said.append(error)

        threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_what_has_an_order_keeps_it() -> None:
    @dataclass(frozen=True, slots=True, order=True)
    class Version:
        major: int
        minor: int

    assert sorted([Version(2, 1), Version(1, 3)]) == [Version(1, 3), Version(2, 1)]
    assert Version(1, 2) <= Version(1, 2)
