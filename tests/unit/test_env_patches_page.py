"""docs/env-patches.md says what is so: its example is planned, shown and applied, and its table is tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from interlock import runner
from interlock.change.showing import plan_text
from interlock.config.load import load_site
from interlock.facts.canonical import short
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_patches import HEADING, patched
from tests.tiny_site import Tiny, make_tiny

PAGE = (Path(__file__).parents[2] / "docs" / "env-patches.md").read_text()
ROWS = re.findall(r"^\| `(A.*?)` \| `(.*?)` \| `(.*?)` \|$", PAGE, re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """The site of the page, in a folder of this test."""
    tiny = make_tiny(tmp_path)
    path = tiny.root / "interlock.yaml"
    said = yaml.safe_load(path.read_text())
    (example,) = blocks("yaml")
    said["actions"]["release"] |= yaml.safe_load(example)["actions"]["release"]
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    tiny.environ["NEW_DB_PASSWORD"] = "the-new-one"
    tiny.site = load_site(path, tiny.environ)
    (tiny.instance / ".env").write_text(blocks("env")[0])
    return tiny


def test_the_example_is_shown_and_comes_to_what_stands_there(tiny: Tiny) -> None:
    stored = tiny.approved()
    (shown,) = blocks("text")
    there = plan_text(stored, tiny.site, tiny.environ).replace(str(tiny.instance), "/srv/app")
    assert "".join(f"  {line}\n" for line in shown.splitlines()) in there
    assert runner.apply(tiny.site, short(stored.digest), tiny.environ, tiny.means()).exit_code == 0
    assert (tiny.instance / ".env").read_text() == blocks("env")[1]


@pytest.mark.parametrize(("line", "value", "becomes"), ROWS)
def test_a_row_of_the_table_is_so(line: str, value: str, becomes: str) -> None:
    assert patched(f"{line}\n".encode(), {"A": value}).data.decode() == f"{becomes}\n"
    assert EnvFile.parse(f"{becomes}\n".encode()).resolve({"HOME": "/root"})["A"].text == value


def test_the_table_has_rows_and_the_page_names_the_comment() -> None:
    assert len(ROWS) == len(re.findall(r"^\| `A", PAGE, re.MULTILINE)) > 5
    assert f"`{HEADING}`" in PAGE
