"""Do the pages of the guardrails say what the constants say? `make golden` writes them anew; the prose is a human's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.judge import catalogue
from tools import guardrail_pages
from tools.guardrail_pages import BEGIN, END, PAGES, page

STATE_DISK = next(one for one in catalogue() if one.id == "mounts.state_disk")


@pytest.mark.parametrize("name", [guardrail_pages.CATALOGUE, *sorted({f"{one.family}.md" for one in catalogue()})])
def test_golden_page_of_a_family(name: str) -> None:
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        guardrail_pages.main()
    assert (PAGES / name).read_text() == guardrail_pages.pages()[name], "run `make golden`, and read the difference"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\r"), max_size=80).filter(lambda text: BEGIN not in text))
def test_writing_a_page_twice_changes_nothing_and_keeps_the_prose(prose: str) -> None:
    once = page(f"# mounts\n\n## mounts.state_disk\n\n{prose}", [STATE_DISK])
    assert page(once, [STATE_DISK]) == once
    assert once.endswith(f"{END}\n\n{prose.lstrip()}")


def test_a_guardrail_without_a_heading_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"has no heading `## mounts\.state_disk`"):
        page("# mounts\n\nmounts.state_disk is told of here\n", [STATE_DISK])


def test_every_page_of_the_folder_belongs_to_a_family() -> None:
    assert {path.name for path in Path(PAGES).glob("*.md")} == set(guardrail_pages.pages())
