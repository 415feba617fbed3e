"""The one edit of a review: the mark of one noun goes, however it is written, and nothing else changes."""

from __future__ import annotations

import pytest

from interlock.commands.review import marked, without_mark
from interlock.config.yamltext import KeyPath, read_yaml


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("a:\n  b: 1\n  unconfirmed: true\n  c: 2\n", ("a",), "a:\n  b: 1\n  c: 2\n"),
        ("a:\n  unconfirmed: true   # from this host\n  c: 2", ("a",), "a:\n  c: 2"),
        ("a: {b: 1, unconfirmed: true}\n", ("a",), "a: {b: 1}\n"),
        ("a: {unconfirmed: true, b: 1}  # x\n", ("a",), "a: {b: 1}  # x\n"),
        ("a: {b: 1, unconfirmed: true , c: 2}\n", ("a",), "a: {b: 1 , c: 2}\n"),
        ("a:\n- {port: 1,unconfirmed: true}\n- b: 2\n  unconfirmed: true\n", ("a", 1), "a:\n- {port: 1,unconfirmed: true}\n- b: 2\n"),
        ("a:\n- {port: 1,unconfirmed: true}\n- b: 2\n  unconfirmed: true\n", ("a", 0), "a:\n- {port: 1}\n- b: 2\n  unconfirmed: true\n"),
        ("a:\r\n  b: 1\r\n  unconfirmed: true\r\n", ("a",), "a:\r\n  b: 1\r\n"),
        ("\ufeffa: {unconfirmed: true, b: 1}\n", ("a",), "\ufeffa: {b: 1}\n"),
        ("a:\n  é: 'ü #'\n  unconfirmed: true\n# end\n", ("a",), "a:\n  é: 'ü #'\n# end\n"),
    ],
)
def test_the_mark_goes_and_nothing_else(before: str, path: KeyPath, after: str) -> None:
    assert without_mark(before.encode(), path) == after.encode()
    assert read_yaml(after.encode()).problems == ()


@pytest.mark.parametrize("text", ["a: {b: 1}\n", "a: {unconfirmed: false}\n", "b: {unconfirmed: true}\n", "a:\n  unconfirmed:\n    true\n"])
def test_where_there_is_no_such_mark_nothing_is_changed(text: str) -> None:
    assert without_mark(text.encode(), ("a",)) is None


def test_each_marked_noun_is_shown_with_its_own_lines() -> None:
    text = "a:\n  # from this host: x\n  b:\n    c: 1\n    unconfirmed: true\n\n  d: {unconfirmed: true}\ne: 1\n"
    assert [(one.path, one.first, one.lines) for one in marked(text.encode())] == [
        (("a", "b"), 2, ("  # from this host: x", "  b:", "    c: 1", "    unconfirmed: true", "")),
        (("a", "d"), 7, ("  d: {unconfirmed: true}",)),
    ]
