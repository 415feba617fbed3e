"""What does a syntax error of the YAML parser mean to an operator? The words of libyaml and of PyYAML's own parser, said so that one can act on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from interlock.config.yamlnodes import Fault, Position, Problem
from interlock.patterns import regex

_BREAK = regex("\r\n|[\n\r\x85\u2028\u2029]")


class _Word(NamedTuple):
    """How one kind of error is told: `seen` are pieces of the parsers' messages; `{begin}` is the line where the surrounding thing begins.

    With `at_begin` the problem is placed there: an unclosed quote is noticed at the end of the file, and mended where it opens.
    """

    seen: tuple[str, ...]
    what: str
    remedy: str
    at_begin: bool = False


_TAB = _Word(("tab character",), "a tab stands where only spaces may", "indent with spaces")
_UNFINISHED = _Word((), "the list or mapping that opens here is never closed", "close it with ] or }", True)
_WORDS = (
    _TAB,
    _Word(("mapping values are not allowed",), "a colon stands where no value can begin", "quote text that holds a colon and a space, or mend the indentation"),
    _Word(("could not find expected ':'",), "this is neither `key: value` nor an item of a list", "put a colon behind the key, or mend the indentation", True),
    _Word(("quoted scalar", "unexpected end of stream"), "the quote that opens here is never closed", "close it", True),
    _Word(("quoted scalar", "document indicator"), "the quote that opens here is never closed", "close it", True),
    _Word(("quoted scalar", "document separator"), "the quote that opens here is never closed", "close it", True),
    _Word(("escape character",), "this is no escape of double quotes", r"write \\ for a backslash, or use single quotes"),
    _Word(("Unicode character escape",), "this escape is no character", "write the character itself"),
    _Word(("',' or ']'",), "the list that opens here with [ is not closed, or a comma is missing in it", "close it with ]", True),
    _Word(("',' or '}'",), "the mapping that opens here with {{ is not closed, or a comma is missing in it", "close it with }", True),
    _Word(
        ("a block mapping",),
        "this does not fit into the mapping that begins on line {begin}",
        "indent the keys alike; put a whole value in quotes, or none of it",
    ),
    _Word(("a block collection",), "this does not fit into the list that begins on line {begin}", "begin each item with `- `, and indent the items alike"),
    _Word(("alphabetic or numeric character", "alias"), "text cannot begin with *: that is an alias", "put the text in quotes", True),
    _Word(("alphabetic or numeric character", "anchor"), "text cannot begin with &: that is an anchor", "put the text in quotes", True),
    _Word(("sequence entries are not allowed",), "an item of a list cannot stand here", "begin the list on a line of its own"),
    _Word(("mapping keys are not allowed",), "text cannot begin with a question mark and a space", "put the text in quotes"),
    _Word(("document start",), "something stands here after the end of the document", "remove it, or the `---` or `...` before it"),
    _Word(("node content",), "a value is missing before this", "write the value, or put the text in quotes"),
    _Word(("block scalar",), "only + or - and a digit may stand behind | or >", "begin the text on the next line"),
    _Word(("incompatible YAML document",), "the %YAML line names a version that is not read", "remove the %YAML line"),
    _Word(("directive",), "a line that begins with % is a directive, and this is none that is known", "remove the line, or put the text in quotes"),
    _Word(("tag",), "text that begins with ! is a tag, and this is none", "put the text in quotes"),
)


def syntax_problem(error: yaml.YAMLError, text: str, opened: Position | None = None) -> Problem:
    """The problem that a parser's error says. `text` is what was parsed; `opened` is where the innermost list or mapping begins that was not closed."""
    mark: Any = getattr(error, "problem_mark", None)
    said: str = getattr(error, "problem", None) or str(error)
    if mark is None:
        return Problem(line=1, column=1, kind=Fault.SYNTAX, message=f"it is no YAML: {said}")
    lines = _BREAK.split(text)
    at = _inside(lines, mark)
    context: Any = getattr(error, "context_mark", None)
    begin = at if context is None else _inside(lines, context)
    word = _word(f"{getattr(error, 'context', None)}: {said}", "\n".join([lines[at.line - 1][at.column - 1 :], *lines[at.line :]]))
    if word is _UNFINISHED:
        begin = opened or begin
    if word is None:
        return Problem(line=at.line, column=at.column, kind=Fault.SYNTAX, message=f"it is no YAML: {said}")
    line, column = begin if word.at_begin else at
    noticed = f"the reader noticed on line {at.line}" if at.line != line else ""
    return Problem(line=line, column=column, kind=Fault.SYNTAX, message=word.what.format(begin=begin.line), why=noticed, remedy=word.remedy)


def _inside(lines: list[str], mark: Any) -> Position:
    """The place of a mark; libyaml puts the end of a text without a last line break on a line that is not there."""
    if mark.line >= len(lines):
        return Position(len(lines), len(lines[-1]) + 1)
    return Position(mark.line + 1, mark.column + 1)


def _word(said: str, ahead: str) -> _Word | None:
    """How to tell it. `ahead` is the text from the place of the error on."""
    if "cannot start any token" in said:
        return (
            _TAB if ahead.startswith("\t") else _Word((), f"text cannot begin with {ahead[:1]}".replace("{", "{{").replace("}", "}}"), "put the text in quotes")
        )
    if "node content" in said and not ahead.strip():
        return _UNFINISHED
    return next((word for word in _WORDS if all(piece in said for piece in word.seen)), None)
