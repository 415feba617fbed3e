"""Looks, answers and listings as JSON: there and back unchanged, and nothing else gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.looks import Entry, FailedLook, Listing, Mounts, Owners, ReadFile, Shadows, Stat, StatAnswer, User, Walk
from interlock.observe import probe, wire
from tests.strategies import listings, looks_and_answers

GOOD = ("/d", Entry("", 0o040700, 0, 0, 4096, 1, 2), [Entry("a", 0o100600, 0, 0, 5, 1, 1), Entry("b", 0o100644, 0, 0, 5, 1, 1, "user:1:r--")], "", "8:1", ())


def through_json(value: object) -> Any:
    return json.loads(json.dumps(value))


@given(listings())
def test_a_listing_comes_back_as_it_was(listing: tuple[Any, ...]) -> None:
    assert wire.listing_from_json(through_json(probe.pack(listing))) == Listing(*listing)


@given(looks_and_answers())
def test_looks_and_answers_come_back_as_they_were(facts: dict[Any, Any]) -> None:
    for look, answer in facts.items():
        back = wire.look_from_json(through_json(wire.look_to_json(look)))
        assert (back, getattr(back, "limit", None)) == (look, getattr(look, "limit", None))
        assert wire.answer_from_json(look, through_json(wire.answer_to_json(look, answer))) == answer


def test_a_column_of_equal_numbers_is_sent_once() -> None:
    packed = probe.pack(GOOD)
    assert packed[4] == 0  # all of uid 0
    assert packed[3] == [0o100600, 0o100644]


def test_entries_are_named_tuples() -> None:
    (entry, _) = wire.listing_from_json(through_json(probe.pack(GOOD))).entries
    assert entry.mode == 0o100600
    assert isinstance(entry, Entry)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 7),
        (1, []),
        (1, ["", 1, 2]),
        (2, "ab"),
        (2, ["a", 1]),
        (3, [1]),
        (3, "x"),
        (3, [1, "2"]),
        (3, [1, True]),
        (9, {"2": "x"}),
        (9, {"0": 1}),
        (9, []),
        (11, None),
        (13, "x"),
        (13, [1]),
    ],
)
def test_a_listing_with_one_wrong_part_is_none(place: int, value: object) -> None:
    packed = through_json(probe.pack(GOOD))
    packed[place] = value
    with pytest.raises(ValueError, match=r"no |type|int"):
        wire.listing_from_json(packed)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=14) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=20,
    )
)
def test_other_json_is_no_listing_and_no_look(value: Any) -> None:
    for parse in (wire.listing_from_json, wire.look_from_json):
        with pytest.raises(ValueError, match="no "):
            parse(value)


@pytest.mark.parametrize(
    ("look", "value"),
    [
        (Stat("/x"), {"bytes": ""}),
        (Stat("/x"), {"stat": {"present": "yes"}}),
        (Stat("/x"), {"stat": {"mode": 1}}),
        (Stat("/x"), {"stat": {"present": True, "colour": 1}}),
        (Stat("/x"), {"stat": {"present": True, "mode": 1.5}}),
        (ReadFile("/x"), {"bytes": "not base64!"}),
        (ReadFile("/x"), {"uid": 1}),
        (User("x"), {"uid": "0"}),
        (Mounts(), {"mounts": {"mountinfo": "", "devices": {"a": 1}, "links": {}}}),
        (Mounts(), {"mounts": {}}),
        (Walk("/x"), {}),
        (Walk("/x"), {"failed": ["EACCES"]}),
        (Walk("/x"), []),
        (Shadows(("/x",)), {"shadows": {}}),
        (Shadows(("/x",)), {"shadows": [["/x", "/", [], 0, 0, True]]}),
        (Shadows(("/x",)), {"shadows": [["/x", "/", [1], 0, 0, True, ""]]}),
        (Shadows(("/x",)), {"shadows": [["/x", "/", [], 0, 0, 1, ""]]}),
        (Owners("/x"), {"owners": []}),
        (Owners("/x"), {"owners": {"owners": [], "complete": 1, "unread": []}}),
        (Owners("/x"), {"owners": {"owners": [[0, 1]], "complete": True, "unread": []}}),
        (Owners("/x"), {"owners": {"owners": [[0, 1, [2]]], "complete": True, "unread": []}}),
        (Owners("/x"), {"owners": {"owners": [], "complete": True, "unread": [1]}}),
    ],
)
def test_an_answer_to_another_question_is_none(look: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.answer_from_json(look, value)


def test_a_failed_look_answers_every_question() -> None:
    for look in (Stat("/x"), ReadFile("/x"), User("x"), Mounts(), Walk("/x"), Shadows(("/x",)), Owners("/x")):
        assert wire.answer_from_json(look, {"failed": ["EIO", "broken disk"]}) == FailedLook("EIO", "broken disk")


def test_an_absent_path_is_an_answer() -> None:
    assert wire.answer_from_json(Stat("/x"), {"stat": {"present": False}}) == StatAnswer(present=False)
