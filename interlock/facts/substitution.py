"""Which variables does a text with `${VAR:-default}` refer to, and what does it come to? The interpolation of the compose specification, exactly.

Read as Docker Compose 2.40 reads it, its odd corners included: a reference ends at the first brace that closes it, and reaches no further than its line;
a default may hold references of its own; `$` before anything but a name, `{` or `$` is itself. `interlock.facts.dotenv` reads env files with it,
`interlock.render` templates. Source: compose-spec, chapter "Interpolation"; where that is silent, what the program does:
tests/integration/test_compose_binary.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, assert_never

from interlock.errors import ConfigError
from interlock.nouns import dataclass
from interlock.patterns import regex

MAX_DEPTH = 50  # of references inside defaults; each level costs a frame of Python's stack

# The long s and the Kelvin sign are letters too: the program's own pattern ignores case, and they fold to s and k.
_LETTERS = "A-Za-z_\u017f\u212a"
_NAME = regex(f"[{_LETTERS}][{_LETTERS}0-9]*")
_OPERATOR = regex(":?[-+?]")
_BRACE = regex(r"\{.?|\}", re.DOTALL)


class Operator(StrEnum):
    """What stands between the name and the argument of a reference."""

    NONE = ""
    DEFAULT_IF_EMPTY = ":-"
    DEFAULT_IF_UNSET = "-"
    REQUIRED_NOT_EMPTY = ":?"
    REQUIRED_SET = "?"
    OTHER_IF_NOT_EMPTY = ":+"
    OTHER_IF_SET = "+"

    @property
    def has_default(self) -> bool:
        """True when an undefined variable is provided for: by a default, or by `+`, which stands for nothing then."""
        match self:
            case Operator.DEFAULT_IF_EMPTY | Operator.DEFAULT_IF_UNSET | Operator.OTHER_IF_NOT_EMPTY | Operator.OTHER_IF_SET:
                return True
            case Operator.NONE | Operator.REQUIRED_NOT_EMPTY | Operator.REQUIRED_SET:
                return False
            case _:
                assert_never(self)


class Fault(StrEnum):
    """What can be wrong with a text, as the stable kind of a finding."""

    SYNTAX = "template-syntax"
    UNDEFINED = "undefined-variable"
    REQUIRED = "required-variable"


class Place(NamedTuple):
    """Where something stands in a file: both count from 1, columns in characters."""

    line: int
    column: int


class SubstitutionError(ConfigError):
    """A text that cannot be substituted, and the place of the reference that is at fault. `variable` is empty for a syntax error, `file` is as given."""

    def __init__(self, fault: Fault, place: Place, *, where: str = "", variable: str = "", why: str = "") -> None:
        what, remedy = _said(fault, variable)
        super().__init__(what, where=f"{where}:{place.line}:{place.column}".removeprefix(":"), why=why, remedy=remedy)
        self.fault = fault
        self.file = where
        self.place = place
        self.variable = variable


def _said(fault: Fault, variable: str) -> tuple[str, str]:
    """What is wrong, and the remedy."""
    match fault:
        case Fault.SYNTAX:
            return "this is no variable reference", "write ${NAME}, ${NAME:-default}, or $$ for a dollar sign"
        case Fault.UNDEFINED:
            return f"variable {variable} is not defined", f"define {variable}, or write ${{{variable}:-default}} where it stands"
        case Fault.REQUIRED:
            return f"required variable {variable} has no value", f"define {variable}"
        case _:
            assert_never(fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One `$VAR` or `${VAR...}` of a text. `nested` is True inside the argument of another reference."""

    name: str
    operator: Operator
    line: int
    column: int
    nested: bool

    @property
    def has_default(self) -> bool:
        """True when the text says what stands here while the variable is undefined."""
        return self.operator.has_default


class Piece(NamedTuple):
    """A stretch of substituted text: the value of variable `name`, or the template's own words (name empty). `offset` is its place in the template."""

    text: str
    name: str
    offset: int
    undefined: bool = False


class _Literal(NamedTuple):
    text: str
    offset: int


class _Variable(NamedTuple):
    name: str
    operator: Operator
    argument: tuple[_Literal | _Variable, ...]
    offset: int


_Node = _Literal | _Variable


def references(text: str, *, where: str = "") -> tuple[Reference, ...]:
    """Every reference of a text in order, those inside a default after the one that it belongs to. Raises SubstitutionError on bad syntax."""
    source = _Source(text, where)
    return tuple(_references(source.nodes(), source, nested=False))


def substitute(text: str, values: Mapping[str, str], *, where: str = "", lenient: bool = False) -> str:
    """The text with its references replaced; a value's own `$` is left alone.

    An undefined variable without a default is an error, never empty; with `lenient` it is empty, as Docker Compose has it.
    Raises SubstitutionError for it, for an unmet `:?` or `?`, and for bad syntax.
    """
    return "".join(piece.text for piece in expand(text, values, where=where, lenient=lenient))


def expand(text: str, values: Mapping[str, str], *, where: str = "", at: Place | None = None, lenient: bool = False) -> tuple[Piece, ...]:
    """As `substitute`, but in pieces that say which variable each came from. Errors name the place `at` where the text is a value inside another file."""
    if "$" not in text:
        return (Piece(text, "", 0),) if text else ()
    source = _Source(text, where, at)
    pieces = tuple(_expanded(source.nodes(), values, source))
    if not lenient:
        for piece in pieces:
            if piece.undefined:
                raise source.error(Fault.UNDEFINED, piece.offset, variable=piece.name)
    return pieces


class _Source:
    """A text while it is parsed: where its parts stand, and the errors that say so."""

    def __init__(self, text: str, where: str, at: Place | None = None) -> None:
        self.text = text
        self.where = where
        self.at = at

    def nodes(self) -> tuple[_Node, ...]:
        return tuple(self._nodes(0, len(self.text), depth=0))

    def place(self, offset: int) -> Place:
        """Line and column of an offset, unless all of the text stands at one place."""
        return self.at or Place(self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset))

    def error(self, fault: Fault, offset: int, *, variable: str = "", why: str = "") -> SubstitutionError:
        return SubstitutionError(fault, self.place(offset), where=self.where, variable=variable, why=why)

    def _nodes(self, start: int, end: int, *, depth: int) -> Iterator[_Node]:
        """The nodes of text[start:end]; whatever stands between two of them is literal."""
        if depth > MAX_DEPTH:
            raise self.error(Fault.SYNTAX, start, why=f"references are nested more than {MAX_DEPTH} deep")
        literal = start
        while (dollar := self.text.find("$", literal, end)) >= 0:
            follows = self.text[dollar + 1 : dollar + 2] if dollar + 1 < end else ""
            if follows == "$":
                yield _Literal(self.text[literal : dollar + 1], literal)
                literal = dollar + 2
                continue
            variable = self._variable(dollar, end, follows, depth)
            if variable is None:
                yield _Literal(self.text[literal : dollar + 1], literal)
                literal = dollar + 1
                continue
            if literal < dollar:
                yield _Literal(self.text[literal:dollar], literal)
            yield variable[0]
            literal = variable[1]
        if literal < end:
            yield _Literal(self.text[literal:end], literal)

    def _variable(self, dollar: int, end: int, follows: str, depth: int) -> tuple[_Variable, int] | None:
        """The reference that starts at `dollar` and the offset after it; None when the dollar sign is only itself."""
        if follows == "{":
            return self._braced(dollar, end, depth)
        name = _NAME.match(self.text, dollar + 1, end)
        return (_Variable(name[0], Operator.NONE, (), dollar), name.end()) if name else None

    def _braced(self, dollar: int, end: int, depth: int) -> tuple[_Variable, int]:
        name = _NAME.match(self.text, dollar + 2, end)
        if name is None:
            raise self.error(Fault.SYNTAX, dollar, why="no name follows ${")
        if self.text.startswith("}", name.end(), end):
            return _Variable(name[0], Operator.NONE, (), dollar), name.end() + 1
        operator = _OPERATOR.match(self.text, name.end(), end)
        if operator is None:
            raise self.error(Fault.SYNTAX, dollar, why=f"{name[0]} is followed by none of }} :- - :? ? :+ +")
        close = self._closing_brace(dollar, end)
        if close < operator.end():
            raise self.error(Fault.SYNTAX, dollar, why="no } closes it on this line")
        argument = tuple(self._nodes(operator.end(), close, depth=depth + 1))
        return _Variable(name[0], Operator(operator[0]), argument, dollar), close + 1

    def _closing_brace(self, dollar: int, end: int) -> int:
        """The offset of the brace that closes the reference, -1 when there is none on its line.

        Every `{` opens, and hides the character after it; where the braces of the line do not balance, the last one closes.
        """
        line_end = self.text.find("\n", dollar, end)
        last = self.text.rfind("}", dollar, line_end if line_end >= 0 else end)
        open_braces = 0
        for brace in _BRACE.finditer(self.text, dollar, last + 1):
            open_braces += 1 if brace[0][0] == "{" else -1
            if open_braces == 0:
                return brace.start()
        return last


def _references(nodes: tuple[_Node, ...], source: _Source, *, nested: bool) -> Iterator[Reference]:
    for node in nodes:
        if isinstance(node, _Variable):
            line, column = source.place(node.offset)
            yield Reference(name=node.name, operator=node.operator, line=line, column=column, nested=nested)
            yield from _references(node.argument, source, nested=True)


def _expanded(nodes: tuple[_Node, ...], values: Mapping[str, str], source: _Source) -> Iterator[Piece]:
    for node in nodes:
        if isinstance(node, _Literal):
            yield Piece(node.text, "", node.offset)
        else:
            yield from _value(node, values, source)


def _value(variable: _Variable, values: Mapping[str, str], source: _Source) -> tuple[Piece, ...]:
    """What one reference comes to. Its argument is evaluated even where it is not used: an unmet `:?` in there counts, as in Docker Compose."""
    argument = tuple(_expanded(variable.argument, values, source))
    value = values.get(variable.name)
    itself = (Piece(value or "", variable.name, variable.offset),)
    match variable.operator:
        case Operator.NONE:
            return itself if value is not None else (Piece("", variable.name, variable.offset, undefined=True),)
        case Operator.DEFAULT_IF_EMPTY:
            return itself if value else argument
        case Operator.DEFAULT_IF_UNSET:
            return itself if value is not None else argument
        case Operator.OTHER_IF_NOT_EMPTY:
            return argument if value else itself
        case Operator.OTHER_IF_SET:
            return argument if value is not None else itself
        case Operator.REQUIRED_NOT_EMPTY | Operator.REQUIRED_SET:
            if value or (value is not None and variable.operator is Operator.REQUIRED_SET):
                return itself
            reason = "".join(f"${{{piece.name}}}" if piece.name else piece.text for piece in argument)
            raise source.error(Fault.REQUIRED, variable.offset, variable=variable.name, why=reason)
        case _:
            assert_never(variable.operator)
