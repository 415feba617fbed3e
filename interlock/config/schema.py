"""What may an `interlock.yaml` hold, for editors and other programs? Its JSON Schema (2020-12), made from the models that read it.

`site.schema.json` beside this file is the same, checked in; a test holds it current, `python -m interlock.config.schema` rewrites it. What names what
(a module of a step, a host of an instance) no JSON Schema can say: `interlock.config.crosscheck` does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interlock.config.models import Site

SCHEMA_FILE = Path(__file__).with_name("site.schema.json")
_ID = "https://interlock.invalid/schemas/site/1"


def site_schema() -> dict[str, Any]:
    """The schema as data."""
    made = Site.model_json_schema(by_alias=True, mode="validation")
    nouns = {name: {"title": name, **_tidy(noun)} for name, noun in sorted(made.pop("$defs").items())}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": _ID, "title": "interlock.yaml"}
    return {**head, **_tidy(made), "$defs": nouns}


def site_schema_text() -> str:
    """The schema as the checked-in file holds it."""
    return json.dumps(site_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any, *, of_properties: bool = False) -> Any:
    """The same schema as a person would write it: a key that is left out is left out and not null, no title repeats its key, descriptions come first."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if of_properties:
        return {key: _tidy(part) for key, part in schema.items()}
    tidy = {key: _tidy(part, of_properties=key == "properties") for key, part in schema.items() if key != "title"}
    if "default" in tidy and tidy["default"] is None:
        tidy = _not_null(tidy)
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return {key: tidy[key] for key in sorted(tidy, key=_rank)}


def _not_null(optional: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional key without `null` and without the default that says so: `ssh:` with nothing behind it is refused."""
    parts = [part for part in optional["anyOf"] if part != {"type": "null"}]
    rest = {key: value for key, value in optional.items() if key not in ("anyOf", "default")}
    return {**parts[0], **rest} if len(parts) == 1 else {"anyOf": parts, **rest}


def _rank(key: str) -> tuple[int, str]:
    return (_ORDER.index(key) if key in _ORDER else len(_ORDER), key)


_ORDER = ("title", "description", "type", "const", "enum", "$ref", "pattern", "default", "examples", "required", "properties")


if __name__ == "__main__":
    SCHEMA_FILE.write_text(site_schema_text(), encoding="utf-8")
