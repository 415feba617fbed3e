"""Texts of the picture: measured letter by letter, no line wider than its box, a path broken at its names, and nothing lost that is not marked."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.evidence.svg_text import BOLD, MONO, SANS, Face, cut, wrapped
from interlock.judge import catalogue

TEXTS = st.text(max_size=80) | st.lists(
    st.sampled_from(["state", "of", "/tmp/il-try-qi82t_r5/data/state", "mounts.nested_visible", "W" * 90]), max_size=12
).map(" ".join)
FACES = st.sampled_from([BOLD, MONO, SANS])
EXAMPLES = settings(max_examples=5000 if os.environ.get("INTERLOCK_PROFILE") == "prove" else 60)


@given(TEXTS, st.integers(40, 300), FACES, st.integers(1, 6))
@EXAMPLES
def test_no_line_is_wider_than_its_box_and_what_is_missing_is_marked(text: str, width: int, face: Face, most: int) -> None:
    lines = wrapped(text, width, face, most)
    assert all(face.width(line) <= width for line in lines)
    assert len(lines) <= most
    whole, shown = text.replace(" ", ""), "".join(lines).replace(" ", "")
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]) and len(lines) == most)


@given(TEXTS.filter(str.isprintable), st.integers(40, 300), FACES)
@EXAMPLES
def test_a_name_that_is_cut_fits_and_keeps_both_its_ends(text: str, width: int, face: Face) -> None:
    shown = cut(text, width, face)
    head, mark, tail = shown.partition("…")
    assert face.width(shown) <= width
    assert shown == text or mark
    assert text.startswith(head)
    assert text.endswith(tail) or not mark


@pytest.mark.parametrize("guardrail", [guardrail.id for guardrail in catalogue()])
def test_the_id_of_a_guardrail_is_never_cut_in_the_narrowest_box(guardrail: str) -> None:
    assert "".join(wrapped(f"UNPROVEN {guardrail}", 154, BOLD, 4)).replace(" ", "") == f"UNPROVEN{guardrail}"


def test_capitals_in_bold_are_wider_than_small_letters() -> None:
    assert BOLD.width("UNPROVEN") > 1.1 * BOLD.width("unproven") > 1.1 * SANS.width("unproven")


def test_a_path_is_broken_behind_a_slash() -> None:
    lines = wrapped("api binds /tmp/il-try-qi82t_r5/data without what is mounted below it", 154, SANS, 6)
    assert lines == ["api binds /tmp/", "il-try-qi82t_r5/data", "without what is mounted", "below it"]


def test_a_path_that_fits_into_the_next_line_stays_whole() -> None:
    assert wrapped("after a reboot it has /data/state again", 154, SANS, 6) == ["after a reboot it has", "/data/state again"]


def test_no_line_is_a_single_word_where_a_path_could_fill_it() -> None:
    lines = wrapped("line 2 of /tmp/il-try-qi82t_r5/site/mounts-at-boot mounts /dev/loop2 at /tmp/il-try-qi82t_r5/data, over it", 244, SANS, 8)
    assert all(SANS.width(line) > 244 / 2 for line in lines[:-1])
