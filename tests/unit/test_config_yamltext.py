"""The YAML reader: what it says, where, and everything that is wrong; bounded, and never an exception."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.config.yamlsyntax import syntax_problem
from interlock.config.yamltext import COMPOSE, PARSERS, SITE, Fault, Parser, Position, Rules, Tagged, YamlText, read_yaml
from tests.strategies import laid_out_yaml, mutations, yaml_texts


def read(text: str, rules: Rules = SITE) -> YamlText:
    return read_yaml(text.encode(), rules)


def problems(text: str, rules: Rules = SITE) -> list[tuple[int, int, Fault]]:
    return [(problem.line, problem.column, problem.kind) for problem in read(text, rules).problems]


both_parsers = pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)


# ---- what it says


def test_plain_data_comes_out_with_text_keys() -> None:
    found = read("a: 1\nb: [x, 'y', null, 1.5, true]\nc: {d: e}\n")
    assert found.problems == ()
    assert found.data == {"a": 1, "b": ["x", "y", None, 1.5, True], "c": {"d": "e"}}


@pytest.mark.parametrize("written", ["yes", "on", "No", "OFF", "y", "22:22", "2026-01-01", "2026-01-01T00:00:00Z", "="])
def test_what_only_yaml_1_1_takes_for_something_else_is_text(written: str) -> None:
    assert read(f"a: {written}\n").data == {"a": written}


def test_an_explicit_core_tag_decides_the_type() -> None:
    assert read("a: !!str 1\nb: !!int '7'\nc: !!float 1\nd: !!null ''\ne: !!bool 'true'\nf: !!seq [1]\ng: !!map {}\nh: ! 8\n").data == {
        "a": "1",
        "b": 7,
        "c": 1.0,
        "d": None,
        "e": True,
        "f": [1],
        "g": {},
        "h": "8",
    }


def test_aliases_and_merge_keys_are_resolved_and_own_keys_win() -> None:
    found = read("base: &b {image: i, env: {x: 1}}\nother: &o {image: j, user: u}\none:\n  image: k\n  <<: [*b, *o]\ntwo: *b\n")
    assert found.problems == ()
    assert found.data["one"] == {"image": "k", "env": {"x": 1}, "user": "u"}
    assert found.data["two"] == {"image": "i", "env": {"x": 1}}


def test_an_anchor_that_is_set_again_counts_from_there_on() -> None:
    assert read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n").data == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert read("'<<': {a: 1}\n").data == {"<<": {"a": 1}}


def test_foreign_tags_are_kept_for_compose_and_refused_for_a_site() -> None:
    text = "a: !reset\nb: !override [1]\nc: !foo {d: 2}\ne: !reset 'null'\n"
    assert read(text, COMPOSE).data == {
        "a": Tagged("!reset", None),
        "b": Tagged("!override", [1]),
        "c": Tagged("!foo", {"d": 2}),
        "e": Tagged("!reset", "null"),
    }
    assert problems(text) == [(1, 4, Fault.TAG), (2, 4, Fault.TAG), (3, 4, Fault.TAG), (4, 4, Fault.TAG)]


@pytest.mark.parametrize(
    "value", ["!!int x", "!!bool 1", "!!null x", "!!float x", "!!binary aGk=", "!!timestamp 2026-01-01", "!!set {a}", "!!map [1]", "!!seq {a: 1}", "!!str [1]"]
)
@pytest.mark.parametrize("rules", [SITE, COMPOSE], ids=["site", "compose"])
def test_a_core_tag_that_does_not_fit_is_a_problem(value: str, rules: Rules) -> None:
    assert (1, 4, Fault.TAG) in problems(f"a: {value}\n", rules)


def test_a_byte_order_mark_moves_nothing() -> None:
    found = read_yaml(b"\xef\xbb\xbfa: 1\n")
    assert (found.data, found.positions["a",].key) == ({"a": 1}, Position(1, 1))


def test_every_document_of_a_compose_file_is_read() -> None:
    found = read("a: 1\n---\na: 2\na: 3\n", COMPOSE)
    assert [document.data for document in found.documents] == [{"a": 1}, {"a": 3}]
    assert [(problem.line, problem.kind) for problem in found.problems] == [(4, Fault.DUPLICATE_KEY)]


# ---- where it says it


def test_a_key_path_has_the_place_of_its_key_and_of_its_value() -> None:
    positions = read("a:\n  b: [x, {c: 1}]\n").positions
    assert positions["a", "b"] == (Position(2, 3), Position(2, 6))
    assert positions["a", "b", 0] == (Position(2, 7), Position(2, 7))
    assert positions["a", "b", 1, "c"] == (Position(2, 11), Position(2, 14))


def test_the_nearest_place_is_that_of_what_is_there() -> None:
    positions = read("a:\n  b: 1\n").positions
    assert positions.nearest(("a", "zzz", 3)).key == Position(1, 1)
    assert positions.nearest(("a", "b", "c")).value == Position(2, 6)
    assert positions.nearest(()).key == Position(1, 1)
    assert ("a", "zzz") not in positions
    assert ("a", 0) not in positions
    assert () not in positions


def test_what_an_alias_brings_stands_where_it_was_written() -> None:
    positions = read("x: &x\n  k: 1\ny: *x\nz:\n  <<: *x\n  own: 2\n").positions
    assert positions["y",].value == Position(3, 4)
    assert positions["y", "k"].key == Position(2, 3)
    assert positions["z", "k"].key == Position(2, 3)
    assert positions["z", "own"].key == Position(6, 3)


def test_a_scalar_is_given_back_as_it_was_written() -> None:
    positions = read("a: 0600\nb: '0600'\nc: [1_0]\n").positions
    assert [positions.written(path) for path in (("a",), ("b",), ("c", 0), ("c",), ("d",))] == ["0600", "0600", "1_0", None, None]


def test_nothing_readable_has_no_places_and_no_data() -> None:
    found = read("a: [\n")
    assert (found.data, len(found.positions), found.positions.nearest(("a",)).key) == (None, 0, Position(1, 1))


@both_parsers
@given(laid_out=laid_out_yaml())
def test_each_key_path_is_where_it_was_written(laid_out: tuple[str, dict[tuple[str | int, ...], tuple[int, int]]], parser: Parser) -> None:
    text, places = laid_out
    found = read_yaml(text.encode(), parser=parser)
    assert found.problems == ()
    assert {path: tuple(place.key) for path, place in found.positions.items()} == places


# ---- duplicate keys


def test_all_duplicate_keys_are_named_at_any_depth_with_both_lines() -> None:
    found = read("a: 1\nb:\n  c: 1\n  d:\n    - e: 1\n      e: 2\n      e: 3\n  c: 2\na: 2\n")
    assert [(problem.line, problem.first_line, problem.path) for problem in found.problems] == [
        (6, 5, ("b", "d", 0, "e")),
        (7, 5, ("b", "d", 0, "e")),
        (8, 3, ("b", "c")),
        (9, 1, ("a",)),
    ]
    assert all(problem.kind is Fault.DUPLICATE_KEY for problem in found.problems)
    assert found.problems[3].message == "the key 'a' stands here again; it is already on line 1"


def test_quotes_make_no_other_key() -> None:
    assert problems("a: 1\n'a': 2\n\"a\": 3\n") == [(2, 1, Fault.DUPLICATE_KEY), (3, 1, Fault.DUPLICATE_KEY)]


def test_on_and_yes_are_two_keys_and_true_twice_is_one() -> None:
    assert problems("on: 1\nyes: 2\n") == []
    assert problems("true: 1\nTrue: 2\n") == [(1, 1, Fault.KEY), (2, 1, Fault.KEY), (2, 1, Fault.DUPLICATE_KEY)]


def test_a_number_and_its_text_are_two_keys_but_one_for_compose() -> None:
    assert problems("1: a\n'1': b\n") == [(1, 1, Fault.KEY)]
    assert problems("1: a\n'1': b\n", COMPOSE) == [(1, 1, Fault.KEY), (2, 1, Fault.DUPLICATE_KEY)]


def test_a_key_that_overrides_a_merged_one_is_no_duplicate() -> None:
    assert problems("x: &x {a: 1}\ny:\n  a: 2\n  <<: *x\nz:\n  <<: *x\n  a: 3\n") == []


def test_two_merge_keys_in_one_mapping_are_a_duplicate() -> None:
    assert problems("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n", COMPOSE) == [(4, 3, Fault.DUPLICATE_KEY)]


def test_a_duplicate_in_what_is_aliased_is_named_once() -> None:
    assert problems("x: &x {a: 1, a: 2}\ny: *x\nz: {<<: *x}\n") == [(1, 14, Fault.DUPLICATE_KEY)]


def test_a_duplicate_through_an_alias_is_a_duplicate() -> None:
    assert problems("x: &k foo\nfoo: 1\n*k : 2\n", COMPOSE) == [(3, 1, Fault.DUPLICATE_KEY)]


def test_compose_reads_nothing_below_reset() -> None:
    assert problems("a: !reset {b: 1, b: 2}\nc: !override {b: 1, b: 2}\n", COMPOSE) == [(2, 21, Fault.DUPLICATE_KEY)]


@pytest.mark.parametrize(
    ("text", "says"), [("? [a]\n: 1\n", "a list cannot be a key"), ("a: {{ x }}\n", "a mapping cannot be a key"), ("~: 1\n", "the key ~ is nothing, not text")]
)
def test_a_key_must_be_text(text: str, says: str) -> None:
    (problem,) = read(text).problems
    assert (problem.kind, problem.message) == (Fault.KEY, says)


# ---- anchors, merges, tags that are wrong


def test_an_alias_without_an_anchor_is_named_and_reading_goes_on() -> None:
    assert problems("a: *x\nb: 1\nb: 2\n") == [(1, 4, Fault.ALIAS), (3, 1, Fault.DUPLICATE_KEY)]


def test_a_value_cannot_hold_itself() -> None:
    (problem,) = read("a: &x\n  b: [*x]\n").problems
    assert (problem.line, problem.kind, problem.path) == (2, Fault.ALIAS, ("a", "b", 0))


def test_an_anchor_of_an_earlier_document_is_gone() -> None:
    assert problems("a: &x 1\n---\nb: *x\n", COMPOSE) == [(3, 4, Fault.ALIAS)]


@pytest.mark.parametrize("value", ["text", "", "[text]", "[[*x]]", "!t {a: 1}"])
def test_only_mappings_can_be_merged(value: str) -> None:
    assert (2, Fault.MERGE) in [(line, kind) for line, _, kind in problems(f"x: &x {{a: 1}}\ny: {{<<: {value}}}\n", COMPOSE)]


# ---- what cannot be read


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"a: \xff\n", Fault.NOT_TEXT, "the byte 0xff is no UTF-8"),
        ("a: 1\n".encode("utf-16"), Fault.NOT_TEXT, "it is UTF-16, not UTF-8"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0", Fault.NOT_TEXT, "it is a binary file, not text"),
        (b"\0\xff\xfe\x80", Fault.NOT_TEXT, "it is a binary file, not text"),
        (b"a: \0\n", Fault.NOT_TEXT, "it is a binary file, not text"),
        (b"a: \x07\n", Fault.NOT_TEXT, "the character U+0007 may not stand here"),
        ("a: \x85\n".encode(), Fault.NOT_TEXT, "the character U+0085 may not stand here"),
        ("a: \u2028\n".encode(), Fault.NOT_TEXT, "the character U+2028 may not stand here"),
        ("a: \ufeff\n".encode(), Fault.NOT_TEXT, "the character U+FEFF may not stand here"),
        (b"", Fault.EMPTY, "it is empty"),
        (b"# only a comment\n\n", Fault.EMPTY, "it is empty"),
        (b"---\n", Fault.EMPTY, "it is empty"),
        (b"a: 1\n---\nb: 2\n", Fault.SEVERAL_DOCUMENTS, "a second YAML document begins here"),
        (b"a" * 1_000_001, Fault.TOO_LARGE, "it is larger than 1,000,000 bytes"),
    ],
)
def test_what_is_no_single_yaml_text_is_said_in_one_problem(content: bytes, kind: Fault, says: str) -> None:
    (problem,) = read_yaml(content).problems
    assert (problem.kind, problem.message) == (kind, says)


def test_a_wrong_byte_is_found_where_it_is() -> None:
    (problem,) = read_yaml("a: 1\r\né: ".encode() + b"\xe9\n").problems
    assert (problem.line, problem.column) == (2, 4)


def test_the_first_wrong_character_is_told() -> None:
    assert problems("é: \u2028\x07\n") == [(1, 5, Fault.NOT_TEXT)]
    assert problems("é: \x07\n") == [(1, 4, Fault.NOT_TEXT)]
    assert problems("é: \x7f\n") == [(1, 4, Fault.NOT_TEXT)]
    assert problems("e: \x7f\n") == [(1, 4, Fault.NOT_TEXT)]


def test_line_separators_of_unicode_pass_in_a_compose_file() -> None:
    assert problems("# \u2028\na: 1\n", COMPOSE) == []


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))
MERGE_BOMB = "m0: &m0 {a: 1}\n" + "".join(f"m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 9)}], k{i}: 1}}\n" for i in range(1, 40))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000))


@both_parsers
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[" * 100_000, Fault.TOO_DEEP),
        ("{a: " * 50_000, Fault.TOO_DEEP),
        ("- " * 100_000, Fault.TOO_DEEP),
        ("? " * 100_000, Fault.TOO_DEEP),
        ("\n".join(" " * i + "a:" for i in range(200)), Fault.TOO_DEEP),
        (CHAIN, Fault.TOO_DEEP),
        (BOMB, Fault.TOO_MANY_VALUES),
        (MERGE_BOMB, Fault.TOO_MANY_VALUES),
        ('"' + "a" * 900_000, Fault.SYNTAX),
    ],
    ids=["lists", "mappings", "dashes", "questions", "block", "alias-chain", "bomb", "merge-bomb", "open-quote"],
)
def test_texts_made_to_exhaust_a_reader_end_soon_in_one_problem(text: str, kind: Fault, parser: Parser) -> None:
    started = time.process_time()
    found = read_yaml(text.encode(), parser=parser)
    assert [problem.kind for problem in found.problems] == [kind]
    assert found.data is None
    assert time.process_time() - started < 5


def test_sixty_four_levels_are_read() -> None:
    assert read("[" * 64 + "]" * 64).problems == ()
    assert problems("[" * 65 + "]" * 65) == [(1, 65, Fault.TOO_DEEP)]


# ---- syntax errors, in words


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a:\n\tb: 1\n", 2, 1, "a tab stands where only spaces may"),
        ("a:\n  b: 1\n\tc: 2\n", 3, 1, "a tab stands where only spaces may"),
        ("a: b: c\n", 1, 5, "a colon stands where no value can begin"),
        ("a: 1\nfoo\nb: 2\n", 2, 1, "this is neither `key: value` nor an item of a list"),
        ('a: "x\nb: 1\n', 1, 4, "the quote that opens here is never closed"),
        ("a: 'x\n--- \n", 1, 4, "the quote that opens here is never closed"),
        ("a: [1, 2\nb: 1\n", 1, 4, "the list that opens here with [ is not closed, or a comma is missing in it"),
        ("a: {x: 1\nb: 1\n", 1, 4, "the mapping that opens here with { is not closed, or a comma is missing in it"),
        ("a: @x\n", 1, 4, "text cannot begin with @"),
        ("a: %x\n", 1, 4, "text cannot begin with %"),
        ("a: *.log\n", 1, 4, "text cannot begin with *: that is an alias"),
        ("a: & x\n", 1, 4, "text cannot begin with &: that is an anchor"),
        ('a: "\\d"\n', 1, None, "this is no escape of double quotes"),
        ("a:\n    b: 1\n  c: 2\n", 3, 3, "this does not fit into the mapping that begins on line 1"),
        ("a: 'it's\nb: 1\n", 1, 8, "this does not fit into the mapping that begins on line 1"),
        ("a:\n  - 1\n  b: 2\n", 3, 3, "this does not fit into the list that begins on line 2"),
        ("a: - b\n", 1, 4, "an item of a list cannot stand here"),
        ("a: ? b\n", 1, 4, "text cannot begin with a question mark and a space"),
        ("a: 1\n... b\n", 2, 5, "something stands here after the end of the document"),
        ("a: [1,,2]\n", 1, 7, "a value is missing before this"),
        ("a: [", 1, 4, "the list or mapping that opens here is never closed"),
        ("a: {b: [1,\n  \n", 1, 8, "the list or mapping that opens here is never closed"),
        ("a: |x\n  b\n", 1, None, "only + or - and a digit may stand behind | or >"),
        ("a: !<x y\n", 1, None, "text that begins with ! is a tag, and this is none"),
        ("a: !foo!bar x\n", 1, 4, "text that begins with ! is a tag, and this is none"),
        ("%YAML 2.0\n---\na: 1\n", 1, 1, "the %YAML line names a version that is not read"),
        ("%YAML 1.1\n%YAML 1.1\n---\na: 1\n", 2, 1, "a line that begins with % is a directive, and this is none that is known"),
    ],
)
@both_parsers
def test_a_syntax_error_says_where_and_what(text: str, line: int, column: int | None, says: str, parser: Parser) -> None:
    (problem,) = read_yaml(text.encode(), parser=parser).problems
    assert (problem.kind, problem.line, problem.message) == (Fault.SYNTAX, line, says)
    assert column is None or problem.column == column
    assert problem.remedy


def test_an_error_that_nobody_has_words_for_is_given_as_it_is() -> None:
    mark = yaml.Mark("", 0, 1, 2, None, None)
    assert syntax_problem(yaml.YAMLError("odd"), "a").message == "it is no YAML: odd"
    problem = syntax_problem(yaml.MarkedYAMLError(problem="odder", problem_mark=mark), "a\nbcd")
    assert (problem.line, problem.column, problem.message) == (2, 3, "it is no YAML: odder")


def test_half_a_surrogate_pair_is_no_character() -> None:
    for parser in PARSERS:
        (problem,) = read_yaml(b'a: "\\uD800"\n', parser=parser).problems
        assert (problem.line, problem.kind) == (1, Fault.SYNTAX)


# ---- git conflict markers

CONFLICT = "services:\n  app:\n<<<<<<< HEAD\n    image: one\n=======\n    image: two\n>>>>>>> master\n    command: c\n"


def test_each_line_of_a_merge_conflict_is_named_and_nothing_else() -> None:
    found = read(CONFLICT, COMPOSE)
    assert [(problem.line, problem.kind) for problem in found.problems] == [(3, Fault.CONFLICT_MARKER), (5, Fault.CONFLICT_MARKER), (7, Fault.CONFLICT_MARKER)]
    assert found.problems[0].message == "git conflict marker <<<<<<<"
    assert found.data is None


def test_the_marker_of_the_common_ancestor_is_one_too() -> None:
    text = CONFLICT.replace("=======", "||||||| 1234567\n    image: zero\n=======")
    assert [line for line, _, _ in problems(text)] == [3, 5, 7, 9]


def test_duplicates_of_either_side_are_named_beside_the_markers() -> None:
    text = "a: 1\n<<<<<<< x\nb: 1\nb: 2\n=======\na: 3\n>>>>>>> y\nc: 1\nc: 2\n"
    assert [(line, kind) for line, _, kind in problems(text)] == [
        (2, Fault.CONFLICT_MARKER),
        (4, Fault.DUPLICATE_KEY),
        (5, Fault.CONFLICT_MARKER),
        (6, Fault.DUPLICATE_KEY),
        (7, Fault.CONFLICT_MARKER),
        (9, Fault.DUPLICATE_KEY),
    ]


def test_one_marker_that_was_left_is_enough() -> None:
    assert problems("a: 1\n>>>>>>> master\n") == [(2, 1, Fault.CONFLICT_MARKER)]
    assert problems("a:\n  b: 1\n=======\n  c: 2\n") == [(3, 1, Fault.CONFLICT_MARKER)]


def test_a_conflict_in_a_file_with_dos_line_ends_is_named() -> None:
    assert [line for line, _, _ in problems(CONFLICT.replace("\n", "\r\n"))] == [3, 5, 7]


@pytest.mark.parametrize(
    "text", ["a: |\n  <<<<<<< x\n  =======\n", "a: x # =======\n", "a: <<<<<<< x\n", "# <<<<<<< x\na: 1\n", "'<<<<<<<': 1\n", "=======: 1\n"]
)
def test_what_only_looks_like_a_marker_is_none(text: str) -> None:
    assert problems(text) == []


# ---- anything at all


@given(st.one_of(st.binary(max_size=200), yaml_texts().map(str.encode), mutations(CONFLICT).map(str.encode)), st.sampled_from([SITE, COMPOSE]))
def test_nothing_makes_the_reader_raise_and_every_problem_lies_in_the_text(content: bytes, rules: Rules) -> None:
    found = read_yaml(content, rules)
    lines = content.decode("utf-8", "replace").replace("\x85", "\n").replace("\u2028", "\n").replace("\r", "\n").count("\n") + 1
    for problem in found.problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
    assert found.documents or found.problems
    assert all(place.key.line <= lines for place in found.positions.values())


@example("a: &x {? : [1, 'c'], d: null}\n")
@given(st.one_of(yaml_texts(), mutations("a: &x {b: [1, 'c'], d: null}\ne: *x\nf:\n  - g: 0600\n    <<: *x\n")))
def test_both_parsers_of_pyyaml_read_the_same(text: str) -> None:
    """The pure one knows no tabs between tokens, and they differ in byte order marks; whatever else both accept, they accept alike."""
    found = [read_yaml(text.encode(), COMPOSE, parser=parser) for parser in PARSERS]
    if "\ufeff" in text or not all(one.documents for one in found):
        return
    assert len({repr([document.data for document in one.documents]) for one in found}) == 1
    if any(problem.message.startswith("a key is missing") for problem in found[0].problems):
        return  # they differ by a column in where a key stands that is not there
    assert len({repr([dict(document.positions) for document in one.documents]) for one in found}) == 1
    assert len({repr([(problem.line, problem.column, problem.kind, problem.path) for problem in one.problems]) for one in found}) == 1
