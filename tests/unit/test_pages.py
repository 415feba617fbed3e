"""Do the pages lead on to each other? Every link of the documentation to a file leads to one, and the first page knows all others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS) for path in DOCS.rglob("*.md"))


def links(page: Path) -> list[str]:
    """The files that a page links to, as it says."""
    prose = re.sub(r"^```.*?^```", "", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", prose)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_to_a_page_of_the_documentation(page: Path) -> None:
    """mkdocs builds what lies below docs/ alone: a link that leads out of it leads nowhere."""
    found = [(DOCS / page.parent / link).resolve() for link in links(page)]
    assert [path for path in found if not (path.is_file() and path.is_relative_to(DOCS))] == []


def test_the_first_page_links_to_every_page_but_those_of_the_families() -> None:
    """`guardrails/index.md`, the catalogue, links to these."""
    of_families = {path for path in PAGES if path.parent.name == "guardrails" and path.name != "index.md"}
    assert of_families
    assert {Path(link) for link in links(Path("index.md"))} == set(PAGES) - of_families - {Path("index.md")}
