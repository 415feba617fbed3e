"""What others wrote is shown, and does nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.evidence.visible import clipped, visible, visible_lines

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢字 🙂 עברית", "plain é 漢字 🙂 עברית"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("\ufffe\U000e0041", r"\ufffe\U000e0041"),
        ("a\u2028b", r"a\u2028b"),
        ("\x00", r"\x00"),
    ],
)
def test_what_does_not_show_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(text=ANY_TEXT)
def test_nothing_invisible_is_left_and_it_can_be_written(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not any(
        unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for letter in shown
    )
    assert visible(shown) == shown


@given(text=ANY_TEXT)
def test_lines_stay_lines_and_nothing_else_ends_one(text: str) -> None:
    assert visible_lines(text).splitlines() == [visible(line) for line in text.split("\n")][: len(visible_lines(text).splitlines())]


@given(text=ANY_TEXT, limit=st.integers(8, 60))
def test_a_clipped_text_is_never_longer_and_says_that_it_is_clipped(text: str, limit: int) -> None:
    cut = clipped(text, limit)
    assert len(cut.encode()) <= limit
    assert cut == visible(text) or cut.endswith("[...]")
