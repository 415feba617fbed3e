"""docs/init.md says what is so: its example is run, its table names the sections that there are."""

from __future__ import annotations

import re
from pathlib import Path

from interlock.config.models import Site
from interlock.discover.document import render
from interlock.discover.whole import discover
from interlock.observe.chains import compose_files
from interlock.observe.tree import Tree

PAGE = (Path(__file__).parents[2] / "docs" / "init.md").read_text()


def test_the_example_is_written_as_it_stands_there(tmp_path: Path) -> None:
    (compose,) = re.findall(r"```compose\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "compose.yaml").write_text(compose)
    tree = Tree(tmp_path / "shop", patient=True)
    written = render(discover(tree, compose_files(tree), root=tree.root).document, [])
    parts = re.findall(r"```written\n(.*?)```", PAGE, re.DOTALL)
    assert len(parts) == 2
    for part in parts:
        assert f"\n\n{part}\n" in written


def test_every_section_that_it_names_is_one_of_a_site_file() -> None:
    rows = re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE)
    assert {"modules", "health"} <= set(rows) <= set(Site.model_fields)
