"""A document written down: every line with its origin, what is missing as comments, and whatever text is in it the file says it back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.yamltext import read_yaml
from interlock.discover.document import MISSING, From, Offer, may_be_written, plain, render, scalar


def read(text: str) -> Any:
    found = read_yaml(text.encode())
    assert found.problems == (), (text, found.problems)
    return found.data


def test_each_value_has_its_origin_behind_it_and_an_offer_is_a_comment() -> None:
    document = {
        "interlock": 1,
        "site": From("shop", "the folder's name"),
        "mounts": Offer({"state": {"path": "/data", "device": MISSING}}, "which disk is it?"),
        "modules": {"db": From({"class": From("A", "postgres:16"), "paths": ["/a", "/b"], "decision": Offer(MISSING, "who decided?")}, "compose.yml:3")},
    }
    assert render(document, ["written by a test"]) == (
        "# written by a test\n"
        "interlock: 1\n"
        "site: shop  # the folder's name\n"
        "\n"
        "#? which disk is it?\n"
        "# mounts:\n"
        "#   state:\n"
        "#     path: /data\n"
        "#     device:\n"
        "\n"
        "modules:\n"
        "  db:  # compose.yml:3\n"
        "    class: A  # postgres:16\n"
        "    paths: [/a, /b]\n"
        "    #? who decided?\n"
        "    # decision:\n"
    )


def test_a_section_of_offers_alone_is_an_offer() -> None:
    text = render({"exposure": {"public": Offer([{"port": 9000, "reason": MISSING}], "who may reach it?")}}, [])
    assert text == "\n#? who may reach it?\n# exposure:\n#   public:\n#     - {port: 9000, reason: }\n"


def test_an_origin_that_does_not_fit_stands_above_its_line() -> None:
    text = render({"a": {"b": From("x" * 100, "y" * 60)}}, [])
    assert text == f"\na:\n  # {'y' * 60}\n  b: {'x' * 100}\n"


@pytest.mark.parametrize("name", ["new\nline: x", "nul\0", "caf\udce9", "\u2028", "\x85"])
def test_a_name_of_any_kind_ends_no_comment(name: str) -> None:
    assert not may_be_written(name)
    assert read(render({"a": {"b": From(1, name), "c": Offer({"x": 1}, name.replace("\n", " "))}}, [name])) == {"a": {"b": 1}}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(texts)
def test_any_text_reads_back_as_itself(text: str) -> None:
    assert read(f"a: {scalar(text)}\nb: [{scalar(text)}, x]\n") == {"a": text, "b": [text, "x"]}


scalars = st.one_of(st.integers(-5, 70000), st.booleans(), texts.filter(lambda text: text != "" and "${" not in text))
keys = texts.filter(bool)
found = st.recursive(  # what discovery makes: lists hold scalars and mappings that begin with a scalar; an offer is never a value with an origin
    st.one_of(scalars, st.builds(From, scalars, texts)),
    lambda below: st.one_of(
        st.lists(
            st.one_of(scalars, st.builds(lambda first, rest: {"port": first, **rest}, scalars, st.dictionaries(keys, below, max_size=2))),
            min_size=1,
            max_size=3,
        ),
        st.dictionaries(keys, st.one_of(below, st.builds(Offer, below, texts)), min_size=1, max_size=3),
        st.builds(From, st.dictionaries(keys, below, min_size=1, max_size=3), texts),
    ),
    max_leaves=12,
)
values = st.one_of(found, st.builds(Offer, found, texts))


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), values, min_size=1, max_size=4))
def test_any_document_reads_back_as_its_plain_data(document: dict[str, Any]) -> None:
    said = read(render({"first": 1, **document}, ["head"]))
    assert said == _without_nothing(plain({"first": 1, **document}))


def _without_nothing(value: Any) -> Any:
    """A mapping or list of which nothing but offers was left is not written; YAML has no word for it."""
    if isinstance(value, dict):
        return {key: one for key, member in value.items() if (one := _without_nothing(member)) not in ({}, [], None)}
    if isinstance(value, list):
        return [one for member in value if (one := _without_nothing(member)) not in ({}, [], None)]
    return value


def test_a_dollar_and_a_brace_are_literal_but_where_the_state_directory_is_meant() -> None:
    said = render({"state_dir": {"default": "${DATA_DIR}/state", "path": "/a"}, "health": {"x": {"url": "http://a/${b}"}}}, [])
    assert "default: ${DATA_DIR}/state" in said.replace('"', "")
    assert "http://a/$${b}" in said
