"""Which expressions of a JavaScript or TypeScript program read a directory's variable, and which make its path without it?

Not a parser: what is read are texts, `process.env.NAME`, `a || b`, `path.join(...)` and `${...}` in a template, after comments are gone. What is more than that
is left out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from interlock.facts.state_places import NAME, NEAR, Past, PathUse, Place, Read, is_called
from interlock.patterns import regex

_TOKENS = regex(r"""//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`""", re.DOTALL)
_ENVIRONMENT = r"""(?:process|Bun|Deno|import\.meta)\.env(?:\.(?P<dot>\w+)|\[['"](?P<key>\w+)['"]\]|\.get\(['"](?P<got>\w+)['"]\))"""
_READ = regex(_ENVIRONMENT)
_DEFAULT = regex(r"""\s*\)?\s*(?:\|\||\?\?)\s*(?:['"`](?P<text>[^'"`\n]*)['"`]|(?P<join>(?:[\w$]+\.)?(?:join|resolve)\())""")
_JOIN = regex(r"(?<![\w$])(?:[\w$]+\.)?(?:join|resolve)\(")
_TEXT = regex(r"""['"](?P<plain>[^'"\n]*)['"]|`(?P<template>[^`]*)`""")
_TEMPLATE = regex(r"^\$\{(?P<value>[^}]+)\}/(?P<rest>[\w./-]+)")
_LAST_NAME = regex(r"([\w$]+)(?:\(\))?\s*$")
MARK = regex(rb"process\.env|Bun\.env|Deno\.env|import\.meta\.env")


def without_comments(text: str) -> str:
    """The same text with blanks for comments, so that every offset and line stays."""
    return _TOKENS.sub(lambda found: re.sub(r"[^\n]", " ", found[0]) if found[0].startswith("/") else found[0], text)


def reads_in_script(path: str, text: str) -> Iterator[Read]:
    """Every read of a variable that is called like a directory of state or data, with its default."""
    plain = without_comments(text)
    for found in _READ.finditer(plain):
        name = _variable(found)
        if NAME.fullmatch(name):
            yield Read(variable=name, default=_default(plain, found.end()), file=path, line=_line(plain, found.start()))


def _variable(found: re.Match[str]) -> str:
    return found["dot"] or found["key"] or found["got"] or ""


def _default(text: str, at: int) -> str:
    found = _DEFAULT.match(text, at)
    if found is None:
        return ""
    if found["join"] is None:
        return re.sub(r"\$\{" + _ENVIRONMENT + r"[^}]*\}", lambda one: f"${{{_variable(one)}}}", found["text"])
    first, rest = _joined(text, found.end())
    read = _READ.search(first)
    if read is not None:
        return f"${{{_variable(read)}}}/{rest}"
    plain = _TEXT.fullmatch(first.strip())
    return posixpath.join(plain["plain"], rest) if plain and plain["plain"] else ""


def _joined(text: str, at: int) -> tuple[str, str]:
    """The first argument of a call whose bracket opens before `at`, and the texts after it as one path, as far as they are texts."""
    arguments: list[str] = [""]
    depth = 0
    while at < len(text) and len(arguments[-1]) < 400:
        token = _TOKENS.match(text, at)
        piece = token[0] if token else text[at]
        if piece in "([{":
            depth += 1
        elif piece in ")]}":
            depth -= 1
            if depth < 0:
                break
        if piece == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += piece
        at += len(piece)
    rest: list[str] = []
    for argument in arguments[1:]:
        found = _TEXT.fullmatch(argument.strip())
        if found is None or found["plain"] is None:
            break
        rest.append(found["plain"].strip("/"))
    return arguments[0], "/".join(part for part in rest if part)


def uses_in_script(path: str, text: str, places: Sequence[Place]) -> Iterator[PathUse]:
    """Every text or join that comes to a path at or below a place, without the variable or what programs call it beside it."""
    plain = without_comments(text)
    lines = plain.split("\n")
    resolvers = {place.variable: frozenset(_resolves(lines, place)) for place in places}
    for at, written, first, rest in (*_texts(plain), *_joins(plain)):
        line = _line(plain, at)
        for place in places:
            if any(abs(one - line) <= NEAR // 2 for one in resolvers[place.variable]):
                continue
            if written.startswith("/") and place.literal_in(posixpath.normpath(written)):
                yield PathUse(file=path, line=line, written=posixpath.normpath(written), how=Past.LITERAL, place=place)
            for other, below in place.made_of:
                if rest and _is_it(first, other) and (rest == below or rest.startswith(below + "/")):
                    yield PathUse(file=path, line=line, written=f"{other}/{rest}", how=Past.MADE, place=place)


def _resolves(lines: Sequence[str], place: Place) -> Iterator[int]:
    for number, line in enumerate(lines, start=1):
        if place.variable in line or any(is_called(name, place.variable) for name in re.findall(r"([\w$]+)\s*[=:](?!=)", line)):
            yield number


def _is_it(first: str, variable: str) -> bool:
    read = _READ.search(first)
    if read is not None:
        return _variable(read) == variable
    name = _LAST_NAME.search(first.strip())
    return name is not None and is_called(name[1], variable)


def _texts(text: str) -> Iterator[tuple[int, str, str, str]]:
    for found in _TOKENS.finditer(text):
        value = found[0][1:-1]
        if not value or found[0].startswith("/") or any(mark in value for mark in " \n"):
            continue
        template = _TEMPLATE.match(value) if found[0].startswith("`") else None
        yield (
            found.start(),
            value if value.startswith("/") else "",
            template["value"] if template else "",
            posixpath.normpath(template["rest"]) if template else "",
        )


def _joins(text: str) -> Iterator[tuple[int, str, str, str]]:
    for found in _JOIN.finditer(text):
        first, rest = _joined(text, found.end())
        if rest:
            yield found.start(), "", first, posixpath.normpath(rest)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
