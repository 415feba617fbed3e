"""The page on rendering says what the program does."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "rendering.md"


def test_the_examples_of_the_page_are_true() -> None:
    ran = doctest.testfile(str(PAGE), module_relative=False)
    assert ran.attempted > 8
    assert ran.failed == 0
