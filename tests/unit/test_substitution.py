"""`${VAR}` substitution: the values, the errors and their places. That Docker Compose agrees is tests/integration/test_compose_binary.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ConfigError
from interlock.facts.substitution import MAX_DEPTH, Fault, Operator, SubstitutionError, expand, references, substitute
from tests.strategies import VARIABLES, references_as_text, substitution_texts

VALUES = {"HOST": "db.example.org", "EMPTY": "", "DOLLAR": "$HOST ${NOPE", "BRACE": "}"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$HOST", "db.example.org"),
        ("${HOST}", "db.example.org"),
        ("$HOST:5432", "db.example.org:5432"),
        ("${HOST}s", "db.example.orgs"),
        ("$$HOST", "$HOST"),
        ("$$$HOST", "$db.example.org"),
        ("$$$$", "$$"),
        ("${EMPTY}", ""),
        ("${EMPTY-x}", ""),
        ("${EMPTY:-x}", "x"),
        ("${NOPE-x}", "x"),
        ("${NOPE:-x}", "x"),
        ("${NOPE:-}", ""),
        ("${HOST:-x}", "db.example.org"),
        ("${HOST+x}", "x"),
        ("${HOST:+x}", "x"),
        ("${EMPTY+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${NOPE+x}", ""),
        ("${NOPE:+x}", ""),
        ("${HOST?none}", "db.example.org"),
        ("${EMPTY?none}", ""),
        ("${HOST:?none}", "db.example.org"),
        ("${NOPE:-${HOST}}", "db.example.org"),
        ("${NOPE:-${NADA:-${HOST}}}", "db.example.org"),
        ("${NOPE:-$HOST}/x", "db.example.org/x"),
        ("${NOPE:-$$5}", "$5"),
        ("${NOPE:-a:-b?c}", "a:-b?c"),
        ("${NOPE:-{}}", "{}"),
        ("${NOPE:-x} {y}", "x {y}"),
        ("${NOPE:-x} ${NOPE:-y}", "x y"),
        ("a $ b", "a $ b"),
        ("$1 $-", "$1 $-"),
        ("end $", "end $"),
        ("return 301 https://$$host$$request_uri;", "return 301 https://$host$request_uri;"),
    ],
)
def test_a_text_comes_to(text: str, expected: str) -> None:
    assert substitute(text, VALUES) == expected


def test_a_dollar_in_a_value_is_not_looked_at_again() -> None:
    assert substitute("<$DOLLAR>", VALUES) == "<$HOST ${NOPE>"


def test_a_brace_in_a_value_closes_nothing() -> None:
    assert substitute("${NOPE:-${BRACE}}", VALUES) == "}"


def fault(text: str) -> tuple[Fault, str, int, int]:
    with pytest.raises(SubstitutionError) as caught:
        substitute(text, VALUES, where="nginx.conf")
    return caught.value.fault, caught.value.variable, *caught.value.place


@pytest.mark.parametrize(
    "text", ["${", "${}", "${ HOST}", "${HOST", "${1A}", "${HOST:x}", "${HOST!}", "${NOPE:-x", "${-x}", "${NOPE:-a\nb}", "${HOST }", "${a-b", "${NOPE:-${}}"]
)
def test_bad_syntax_is_an_error(text: str) -> None:
    assert fault(f"one\ntwo {text}")[0] is Fault.SYNTAX


def test_an_undefined_variable_is_an_error_and_never_empty() -> None:
    assert fault("server {\n  name $NOPE;\n}") == (Fault.UNDEFINED, "NOPE", 2, 8)


def test_an_undefined_variable_in_a_default_that_is_not_used_is_none() -> None:
    assert substitute("${HOST:-$NOPE}", VALUES) == "db.example.org"


def test_an_undefined_variable_in_a_default_that_is_used_is_named_where_it_stands() -> None:
    assert fault("x ${NOPE:-${NADA}}") == (Fault.UNDEFINED, "NADA", 1, 11)


@pytest.mark.parametrize(("text", "column"), [("${NOPE?set it}", 1), ("a ${EMPTY:?set it}", 3), ("${HOST:-${NOPE?set it}}", 9)])
def test_an_unmet_requirement_is_an_error_even_where_its_value_is_not_used(text: str, column: int) -> None:
    kind, _, line, at = fault(text)
    assert (kind, line, at) == (Fault.REQUIRED, 1, column)


def test_the_message_says_what_where_why_and_the_remedy() -> None:
    with pytest.raises(ConfigError) as caught:
        substitute("a\nb ${NOPE:?the operator sets it, not $HOST}", VALUES, where="templates/app.env")
    assert str(caught.value) == ("templates/app.env:2:3: required variable NOPE has no value\n  why: the operator sets it, not ${HOST}\n  remedy: define NOPE")


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    nested = "${A:-" * 20_000 + "}" * 20_000
    assert fault(nested)[0] is Fault.SYNTAX
    assert substitute("${NOPE:-" * MAX_DEPTH + "x" + "}" * MAX_DEPTH, {}) == "x"


def test_lenient_takes_an_undefined_variable_for_empty() -> None:
    assert substitute("<$NOPE>", VALUES, lenient=True) == "<>"


def test_references_are_named_with_their_places_and_defaults() -> None:
    found = references("a: ${HOST}\nb: ${PORT:-$FALLBACK} $$NOT\nc: $LAST")
    assert [(ref.name, ref.operator, ref.line, ref.column, ref.nested, ref.has_default) for ref in found] == [
        ("HOST", Operator.NONE, 1, 4, False, False),
        ("PORT", Operator.DEFAULT_IF_EMPTY, 2, 4, False, True),
        ("FALLBACK", Operator.NONE, 2, 12, True, False),
        ("LAST", Operator.NONE, 3, 4, False, False),
    ]


@pytest.mark.parametrize("operator", list(Operator))
def test_only_what_stands_in_for_an_undefined_variable_is_a_default(operator: Operator) -> None:
    text = f"${{NOPE{operator}x}}" if operator is not Operator.NONE else "${NOPE}"
    (reference,) = references(text)
    if reference.has_default:
        substitute(text, {})
    else:
        with pytest.raises(SubstitutionError):
            substitute(text, {})


@given(references_as_text())
def test_references_finds_exactly_what_was_written(written: tuple[str, list[tuple[str, Operator]]]) -> None:
    text, expected = written
    assert [(reference.name, reference.operator) for reference in references(text)] == expected


def answer(text: str, values: dict[str, str], *, lenient: bool) -> str | SubstitutionError:
    try:
        return substitute(text, values, lenient=lenient)
    except SubstitutionError as error:
        return error


@given(substitution_texts(), VARIABLES)
def test_what_is_strict_is_what_is_lenient_or_an_error(text: str, values: dict[str, str]) -> None:
    strict, lenient = answer(text, values, lenient=False), answer(text, values, lenient=True)
    if isinstance(lenient, SubstitutionError):
        assert str(strict) == str(lenient)
    elif isinstance(strict, SubstitutionError):
        assert strict.fault is Fault.UNDEFINED
        assert strict.variable not in values
    else:
        assert strict == lenient


@given(st.text())
def test_a_text_whose_dollars_are_doubled_comes_to_itself(text: str) -> None:
    assert substitute(text.replace("$", "$$"), {}) == text


@given(substitution_texts(), VARIABLES)
def test_pieces_are_in_the_order_of_the_text_and_say_where_they_came_from(text: str, values: dict[str, str]) -> None:
    try:
        pieces = expand(text, values, lenient=True)
    except SubstitutionError:
        return
    assert all(piece.text == values.get(piece.name, "") for piece in pieces if piece.name)
    assert all(text.startswith("$", piece.offset) for piece in pieces if piece.name)
    assert [piece.offset for piece in pieces] == sorted(piece.offset for piece in pieces)
