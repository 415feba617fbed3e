"""The JSON Schema of a site file: current, pleasant to edit with, and true of every example in the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from interlock.config.load import load_site
from interlock.config.models import Learned, Site
from interlock.config.scalars import Noun
from interlock.config.schema import SCHEMA_FILE, site_schema, site_schema_text
from interlock.config.waivers import load_waivers
from interlock.config.yamltext import read_yaml
from interlock.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent
WHOLE = ROOT / "tests" / "golden" / "config" / "whole.yaml"
# A fenced block of a page that begins a site file.
EXAMPLES = [
    (page.relative_to(ROOT).as_posix(), number, match[1])
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, match in enumerate(re.finditer(r"^```yaml\n((?:#[^\n]*\n)*interlock: 1\n.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL), start=1)
]


def test_the_checked_in_schema_is_the_one_that_the_models_make() -> None:
    assert SCHEMA_FILE.read_text() == site_schema_text(), "run: python -m interlock.config.schema"


def test_it_is_a_json_schema_of_2020_12() -> None:
    assert site_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(site_schema())


def test_it_knows_the_version_and_no_key_that_the_loader_sets() -> None:
    properties = site_schema()["properties"]
    assert properties["interlock"]["const"] == 1
    assert not {"root", "source", "digest"} & set(properties)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of the schema that describes a mapping with keys of its own."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


def test_every_mapping_is_closed_and_every_key_described() -> None:
    found = list(objects(site_schema()))
    assert len(found) == len(nouns(Noun))
    for noun in found:
        assert noun["additionalProperties"] is False
        assert noun["description"]
        assert all(key["description"].endswith(".") for key in noun["properties"].values())


PAGES = ("interlock.config.models", "interlock.config.actions", "interlock.config.forges")


def nouns(noun: type[Noun]) -> set[type[Noun]]:
    """The nouns of the site file; a plan is made of nouns too, which are none of it."""
    return {below for direct in noun.__subclasses__() for below in (direct, *nouns(direct)) if below.__module__ in PAGES and below is not Learned}


def test_the_golden_site_holds_every_key_there_is() -> None:
    """So that whoever adds a key shows how it is written."""
    written = {key for path in read_yaml(WHOLE.read_bytes()).positions for key in path if isinstance(key, str)}
    assert {key for noun in objects(site_schema()) for key in noun["properties"]} <= written


def test_the_golden_site_loads_and_is_valid() -> None:
    site = load_site(WHOLE, {"APP_PASSWORD": "x"}, known={"mounts", "backups", "approval"})
    assert (site.instances["spare"].values["PASSWORD"], site.instances["spare"].values["PRICE"]) == ("${APP_PASSWORD}", "5$$")
    jsonschema.validate(read_yaml(WHOLE.read_bytes()).data, site_schema())


@pytest.mark.parametrize(("page", "number", "text"), EXAMPLES, ids=[f"{page}-{number}" for page, number, _ in EXAMPLES])
def test_every_site_in_the_documentation_loads_and_is_valid(page: str, number: int, text: str, tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_text(text)
    variables = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", text), "x")
    assert isinstance(load_site(tmp_path / "interlock.yaml", variables), Site)
    jsonschema.validate(read_yaml(text.encode()).data, site_schema())


def test_the_documentation_has_an_example() -> None:
    assert "docs/site-file.md" in {page for page, _, _ in EXAMPLES}


def test_the_page_names_every_key_there_is() -> None:
    page = (ROOT / "docs" / "site-file.md").read_text()
    missing = {key for noun in objects(site_schema()) for key in noun["properties"] if f"`{key}`" not in page}
    assert not missing


def test_the_refusal_that_the_page_shows_is_a_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "modules:\n  ledger:\n    backups: /srv/backups/ledger\n    paths: /data\n    owner: backup\n    hots: db1\n"
    (tmp_path / "interlock.yaml").write_text(f"interlock: 1\nsite: shop\n\n{module}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_site(Path("interlock.yaml"), {})
    assert f"```text\n{caught.value}\n```" in (ROOT / "docs" / "site-file.md").read_text()


def test_the_waiver_file_that_the_page_shows_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(waivers:\n.*?)^```", (ROOT / "docs" / "site-file.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "waivers.yaml").write_text(example)
    assert len(load_waivers(tmp_path / "waivers.yaml")) == 1


def test_the_text_ends_with_a_line_end_and_is_json() -> None:
    assert site_schema_text().endswith("}\n")
    assert json.loads(site_schema_text()) == site_schema()
