"""Env files: entries, lines and problems. That Docker Compose agrees is tests/integration/test_compose_binary.py."""

from __future__ import annotations

import pytest
from hypothesis import given

from interlock.errors import ConfigError
from interlock.facts.dotenv import EnvFile, Quote
from interlock.facts.substitution import Fault, SubstitutionError
from tests.strategies import env_files

ENVIRON = {"HOME": "/root", "TOKEN": "s3cret", "EMPTY": ""}


def values(text: str | bytes) -> dict[str, str]:
    data = text.encode() if isinstance(text, str) else text
    return {key: value.text for key, value in EnvFile.parse(data, where="x.env").resolve(ENVIRON).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("A=1", {"A": "1"}),
        ("A=1\n", {"A": "1"}),
        ("\n\n  A=1\n", {"A": "1"}),
        ("export A=1\n", {"A": "1"}),
        ("export=1\n", {"export": "1"}),
        ("A: 1\n", {"A": "1"}),
        ("A =  1  \n", {"A": "1"}),
        ("A=\nB=2\n", {"A": "", "B": "2"}),
        ("A=b=c\n", {"A": "b=c"}),
        ("A=x # comment\n", {"A": "x"}),
        ("A=x#y\n", {"A": "x#y"}),
        ("A= #x\n", {"A": "#x"}),
        ("A=x\t# y\n", {"A": "x\t# y".rstrip()}),
        ("A='x # y'\n", {"A": "x # y"}),
        ('A="x" # comment\nB=2\n', {"A": "x", "B": "2"}),
        ("A='$HOME'\n", {"A": "$HOME"}),
        ("A='it\\'s'\n", {"A": "it's"}),
        ("A='a\\nb'\n", {"A": "a\\nb"}),
        ('A="a\\nb\\t\\\\"\n', {"A": "a\nb\t\\"}),
        ('A="say \\"x\\""\n', {"A": 'say "x"'}),
        ('A="\\$HOME $HOME"\n', {"A": "$HOME /root"}),
        ('A="\\0101\\0\\08\\c"\n', {"A": "A\\\\8\\c"}),
        ('A="one\ntwo"\nB=3\n', {"A": "one\ntwo", "B": "3"}),
        ("A=$HOME/x\n", {"A": "/root/x"}),
        ("A=${NO:-${HOME}}\n", {"A": "/root"}),
        ("A=$$HOME\n", {"A": "$HOME"}),
        ("A=1\nB=$A\nA=2\nC=$A\n", {"A": "2", "B": "1", "C": "2"}),
        ("HOME=mine\nB=$HOME\n", {"HOME": "mine", "B": "/root"}),
        ("TOKEN\n", {"TOKEN": "s3cret"}),
        ("NOT_SET\n", {}),
        ("A=1\r\nB='x'\r\nTOKEN\r\n", {"A": "1", "B": "x", "TOKEN": "s3cret"}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("A.b-c[0]=1\n", {"A.b-c[0]": "1"}),
        ("grün=ja\n", {"grün": "ja"}),
        ("A=`x`;y\n", {"A": "`x`;y"}),
    ],
)
def test_an_env_file_says(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


def test_bytes_that_are_no_text_pass_through() -> None:
    assert values(b"A=\xff\xfe\n") == {"A": "\udcff\udcfe"}


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("A=1\nB C=2\n", 2, 1, "there is a space in the name 'B C'"),
        ("A=1\n\nB*=2\n", 3, 2, "'*' in the name of a variable"),
        ('A="x\n', 1, 1, "the quote that opens the value of A is never closed"),
        ("A='x\\'\n", 1, 1, "the quote that opens the value of A is never closed"),
        ("A=1\nexport ", 2, 1, "nothing follows export"),
        ("'A'=1\n", 1, 1, '"\'" in the name of a variable'),
    ],
)
def test_a_line_that_is_refused_is_named_by_place(text: str, line: int, column: int, what: str) -> None:
    (problem,) = EnvFile.parse(text.encode()).problems
    assert (problem.line, problem.column, problem.what, problem.refused) == (line, column, what, True)


def test_all_refused_lines_come_in_one_error() -> None:
    with pytest.raises(ConfigError) as caught:
        values("A B=1\nC=2\nD*=3\n")
    assert [problem.where for problem in caught.value.problems] == ["x.env:1:1", "x.env:3:2"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("A=1\nA=2\n", "A stands on line 1 too; this one counts"),
        ("A=1\nTOKEN", "a value without a name"),
        ("A='x' B=2\n", "what follows the closing quote is read as a statement of its own"),
        ("=x\n", "a value without a name"),
        ("export \nA=1\n", "no name"),
    ],
)
def test_what_is_read_but_hardly_meant_is_noticed_and_not_refused(text: str, what: str) -> None:
    assert [(problem.what, problem.refused) for problem in EnvFile.parse(text.encode()).problems] == [(what, False)]


def test_an_entry_knows_its_line_its_quote_and_whether_a_dollar_means_something() -> None:
    entries = EnvFile.parse(b"# top\nA=$B\nB='$C'\nC=\"x\ny\"\nD\nE=1\n").entries
    assert [(entry.key, entry.text, entry.line, entry.column, entry.quote, entry.literal) for entry in entries] == [
        ("A", "$B", 2, 3, Quote.NONE, False),
        ("B", "$C", 3, 3, Quote.SINGLE, True),
        ("C", "x\ny", 4, 3, Quote.DOUBLE, False),
        ("D", None, 6, 1, Quote.NONE, False),
        ("E", "1", 7, 3, Quote.NONE, False),
    ]


def test_an_entry_knows_where_it_stands() -> None:
    text = "# top\n  export A = 'x y' # one\nB=  z # two\nC=\r\nD \n\nE: \"a\nb\" F=1\nG"
    stretches = [entry.stretch for entry in EnvFile.parse(f"\ufeff{text}".encode()).entries]
    assert [(text[place.begin : place.value], text[place.value : place.end]) for place in stretches] == [
        ("export A = ", "'x y'"),
        ("B=  ", "z"),
        ("C=", ""),
        ("D", ""),
        ("E: ", '"a\nb"'),
        ("F=", "1"),
        ("", "G"),
    ]


def test_a_value_with_an_undefined_variable_says_so_and_so_do_those_made_of_it() -> None:
    resolved = EnvFile.parse(b'A=1\nB="x\n$NOPE"\nC=<$B>\nD=$A\nE=${NOPE:-e}\n', where="x.env").resolve(ENVIRON)
    found = {key: (value.undefined.variable, value.undefined.where) for key, value in resolved.items() if value.undefined}
    assert found == {"B": ("NOPE", "x.env:2:3"), "C": ("NOPE", "x.env:2:3")}


@pytest.mark.parametrize(("value", "fault"), [("${", Fault.SYNTAX), ("${NOPE:?set it}", Fault.REQUIRED)])
def test_a_value_that_docker_compose_refuses_is_an_error_at_its_place(value: str, fault: Fault) -> None:
    with pytest.raises(SubstitutionError) as caught:
        values(f"A=1\nB={value}\n")
    assert (caught.value.fault, caught.value.where) == (fault, "x.env:2:3")


def test_a_value_knows_which_variables_of_the_environment_went_into_it() -> None:
    resolved = EnvFile.parse(b"TOKEN\nA=$TOKEN\nB=${A}x\nC=plain\nD=$C\n").resolve(ENVIRON)
    assert {key: sorted(value.environment) for key, value in resolved.items()} == {"TOKEN": ["TOKEN"], "A": ["TOKEN"], "B": ["TOKEN"], "C": [], "D": []}


def test_a_file_of_a_million_lines_is_read_in_linear_time() -> None:
    data = b"".join(b"KEY_%d=value\n" % number for number in range(30_000))
    assert EnvFile.parse(data).entries[-1].line == 30_000


def test_an_unclosed_quote_over_many_lines_is_one_problem() -> None:
    assert len(EnvFile.parse(b'KEY="-----BEGIN\n' + b"MIIB+/=\n" * 10_000).problems) == 1


@given(env_files())
def test_any_bytes_are_entries_and_problems_in_the_order_of_their_lines(data: bytes) -> None:
    parsed = EnvFile.parse(data)
    lines = [entry.line for entry in parsed.entries]
    assert lines == sorted(lines)
    assert all(1 <= line <= data.count(b"\n") + 1 for line in lines)
    assert all(1 <= problem.line <= data.count(b"\n") + 1 for problem in parsed.problems)
