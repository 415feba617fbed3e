"""Python files become what they define and call, without being imported; and no bytes make the parser raise."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.pythoncode import LARGEST, Module, NotPython, argument, calls_in_order, keyword, parameters, parse


def module(text: str) -> Module:
    found = parse(text.encode())
    assert isinstance(found, Module)
    return found


def call(text: str) -> ast.Call:
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Call)
    return node


def test_functions_are_found_by_bare_name_wherever_they_stand() -> None:
    found = module("def a(): pass\nclass C:\n    def b(self):\n        def c(): pass\n    async def d(self): pass\n")
    assert set(found.functions) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("text", "expression", "name"),
    [
        ("import shutil", "shutil.move", "shutil.move"),
        ("import shutil as s", "s.move", "shutil.move"),
        ("import os.path", "os.path.join", "os.path.join"),
        ("import os.path as p", "p.join", "os.path.join"),
        ("from shutil import move", "move", "shutil.move"),
        ("from shutil import move as mv", "mv", "shutil.move"),
        ("from os import path", "path.join", "os.path.join"),
        ("from . import x", "x.y", "x.y"),
        ("", "self.path.rename", "self.path.rename"),
        ("", "Path(x).rename", "?.rename"),
    ],
)
def test_names_are_known_by_what_was_imported(text: str, expression: str, name: str) -> None:
    assert module(text).dotted(ast.parse(expression, mode="eval").body) == name


def test_calls_are_listed_for_the_function_that_makes_them() -> None:
    found = module("a()\ndef f():\n    b(c())\n    def g():\n        x.d()\n")
    assert {name: set(calls) for name, calls in found.calls.items()} == {"": {"a"}, "f": {"b", "c"}, "g": {"d"}}


def test_arguments_are_called_before_what_they_are_given_to() -> None:
    calls = calls_in_order(ast.parse("a(b(), c(d()))\nlambda: e()\n"))
    assert [found.func.id for found in calls if isinstance(found.func, ast.Name)] == ["b", "d", "c", "a"]


def test_arguments_are_found_by_position_and_by_name() -> None:
    found = call("f(1, b=2, *rest)")
    assert [ast.unparse(one) if one else None for one in (argument(found, 0), argument(found, 1, "b"), keyword(found, "c"))] == ["1", "2", None]
    assert argument(call("f(*x, 1)"), 1) is None


def test_parameters_leave_self_out() -> None:
    function = ast.parse("def f(self, a, /, b, *, c): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert parameters(function) == ("a", "b")


@pytest.mark.parametrize(
    "data",
    [
        b"def f(:\n",
        b"print 'x'\n",
        b"\x00",
        b"# coding: nonsense\n",
        b"\xff = 1\n",
        b"(" * 150,
        b"x = " + b"-" * 100_000 + b"1\n",
        b"if x:\n" * 1 + b"\tpass\n        pass\n",
        b"a" * (LARGEST + 1),
    ],
)
def test_what_is_no_python_is_an_answer_not_an_error(data: bytes) -> None:
    found = parse(data)
    assert isinstance(found, NotPython)
    assert found.line >= 1
    assert found.why


def test_warnings_about_a_file_stay_its_own() -> None:
    assert isinstance(parse(b'x = "\\d"\nassert (1, 2)\n'), Module)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    assert isinstance(parse(data), Module | NotPython)
