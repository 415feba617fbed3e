"""What stands for a variable without a value: something of the type that its place asks for."""

from __future__ import annotations

import pytest

from interlock.facts.env import Scalar
from interlock.facts.placeholders import VALUES, Asked, placeholders


def scalar(text: str, *path: str | int) -> Scalar:
    return Scalar(file="compose.yaml", line=1, text=text, path=path or ("services", "app", "image"))


@pytest.mark.parametrize(
    ("text", "path", "asked"),
    [
        ("registry/app:${X}", ("image",), Asked.WORD),
        ("${X:?say}:80", ("ports", 0), Asked.PORT),
        ("${X}:80:80", ("ports", 0), Asked.ADDRESS),
        ("${X}", ("ports", 0, "published"), Asked.PORT),
        ("${X}:/data", ("volumes", 0), Asked.PATH),
        ("$X/sub:/data", ("volumes", 0), Asked.PATH),
        ("./a/${X}:/data", ("volumes", 0), Asked.WORD),
        ("./a:/data:${X}", ("volumes", 0), Asked.MODE),
        ("${X}", ("volumes", 0, "source"), Asked.PATH),
        ("${X}", ("healthcheck", "interval"), Asked.DURATION),
        ("${X}", ("mem_limit",), Asked.SIZE),
        ("${X}", ("deploy", "replicas"), Asked.NUMBER),
        ("${X}", ("privileged",), Asked.FLAG),
        ("${X}", ("environment", "timeout_seconds"), Asked.WORD),
    ],
)
def test_the_place_says_what_it_asks_for(text: str, path: tuple[str | int, ...], asked: Asked) -> None:
    assert placeholders([scalar(text, "services", "app", *path)], {}) == {"X": VALUES[asked]}


def test_one_that_stands_in_several_places_takes_what_suits_them_all() -> None:
    texts = [scalar("$X", "services", "app", "environment", "PORT"), scalar("$X:80", "services", "app", "ports", 0)]
    assert placeholders(texts, {}) == {"X": VALUES[Asked.PORT]}


@pytest.mark.parametrize("text", ["${X:-a}", "${X-a}", "${X:+a}", "$$X", "${HOME}", "${X"])
def test_what_comes_to_something_gets_none(text: str) -> None:
    assert placeholders([scalar(text)], {}) == {}


def test_a_value_that_is_there_stays_unless_it_is_empty_and_must_not_be() -> None:
    assert placeholders([scalar("${X} ${Y:?} ${Z?}")], {"X": "1", "Y": "2", "Z": ""}) == {}
    assert placeholders([scalar("${X} ${Y:?} ${Z?}")], {"X": "", "Y": "", "Z": ""}) == {"Y": VALUES[Asked.WORD]}
