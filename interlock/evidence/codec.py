"""How does a frozen noun become JSON and come back exactly? Its dataclass fields are the JSON's keys, all of them required, none beside them.

`plain` and `read` are inverse: `read(type(noun), plain(noun)) == noun`. Types are read once per class and kept as small functions.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T")
JsonObject = Mapping[str, Any]  # an object whose inside belongs to somebody else, frozen all the way down


class Misfit(ValueError):
    """A JSON value is not what its noun asks for. `path` is where, from the outside in: `verdicts`, `3`, `outcome`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    def below(self, part: str) -> Misfit:
        """The same, seen from one level further out."""
        self.path.insert(0, part)
        return self

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.why}" if self.path else self.why


def canonical(value: object) -> bytes:
    """One JSON text for one value: sorted keys, no blanks, ASCII (so that it is safe to show), a newline at the end. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def parse(data: bytes) -> object:
    """The value of a JSON text. Raises Misfit for what is no JSON, for a key given twice, for NaN, and for nesting without end."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Misfit(f"this is no JSON: {error}") from error
    except RecursionError as error:
        raise Misfit("this is no JSON of ours: it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise Misfit(f"the key {twice!r} is given twice")
    return found


def _no_constant(name: str) -> object:
    raise Misfit(f"{name} is no JSON number")


def plain(value: Any) -> Any:
    """A noun as dicts, lists, strings, numbers and null."""
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    noun: Any = type(value)
    return {name: plain(getattr(value, name)) for name in field_names(noun)}


def frozen(value: Any) -> Any:
    """A JSON value that nobody can change: tuples for lists, read-only mappings for objects."""
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, Mapping):
        return MappingProxyType({key: frozen(item) for key, item in value.items()})
    return value


@cache
def field_names(noun: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields, which are its JSON's keys."""
    return tuple(field.name for field in dataclasses.fields(noun))


def read(noun: type[T], value: object) -> T:
    """The noun that a JSON value says. Raises Misfit, with the path to the first value that does not fit."""
    wanted: Any = noun
    found: T = _reader(wanted)(value)
    return found


@cache
def _reader(wanted: Any) -> Callable[[object], Any]:
    """The function that turns a JSON value into `wanted`: a dataclass, an enum, a plain type, a union with None, `tuple[X, ...]` or a mapping."""
    if wanted == JsonObject:
        return _json_object
    if typing.get_origin(wanted) is not None:
        return _reader_of_generic(typing.get_origin(wanted), typing.get_args(wanted))
    if dataclasses.is_dataclass(wanted):
        return _noun(typing.cast("type", wanted))
    return _member(wanted) if issubclass(wanted, StrEnum) else _PLAIN[wanted]


def _reader_of_generic(origin: Any, arguments: tuple[Any, ...]) -> Callable[[object], Any]:
    if origin is tuple:
        return _list(_reader(arguments[0]))
    if origin is Mapping:
        return _mapping(_reader(arguments[1]))
    if origin in (types.UnionType, typing.Union):
        return _optional(_reader(next(one for one in arguments if one is not type(None))))
    raise TypeError(f"no JSON is read as {origin}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Misfit(f"{_shown(value)} is no text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Misfit(f"{_shown(value)} is neither true nor false")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misfit(f"{_shown(value)} is no whole number")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Misfit(f"{_shown(value)} is no number")
    return float(value)


_PLAIN: Mapping[type, Callable[[object], Any]] = {str: _text, bool: _flag, int: _whole, float: _number}


def _json_object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise Misfit(f"{_shown(value)} is no object")
    kept: JsonObject = frozen(value)
    return kept


def _optional(inner: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else inner(value)


def _list(inner: Callable[[object], Any]) -> Callable[[object], Any]:
    def read_list(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Misfit(f"{_shown(value)} is no list")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(inner(item))
            except Misfit as misfit:
                raise misfit.below(str(index)) from None
        return tuple(items)

    return read_list


def _mapping(inner: Callable[[object], Any]) -> Callable[[object], Any]:
    def read_mapping(value: object) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise Misfit(f"{_shown(value)} is no object")
        items = {}
        for key, item in value.items():
            try:
                items[key] = inner(item)
            except Misfit as misfit:
                raise misfit.below(key) from None
        return MappingProxyType(items)

    return read_mapping


def _member(members: type[StrEnum]) -> Callable[[object], Any]:
    known = {member.value: member for member in members}

    def read_member(value: object) -> StrEnum:
        if not isinstance(value, str) or value not in known:
            raise Misfit(f"{_shown(value)} is none of {', '.join(known)}")
        return known[value]

    return read_member


def _noun(noun: type) -> Callable[[object], Any]:
    hints = typing.get_type_hints(noun)
    fields = tuple((name, _reader(hints[name])) for name in field_names(noun))
    names = frozenset(field_names(noun))

    def read_noun(value: object) -> Any:
        if not isinstance(value, dict):
            raise Misfit(f"{_shown(value)} is no object")
        if value.keys() != names:
            raise Misfit(_keys_in_words(names, frozenset(value)))
        parts = {}
        for name, inner in fields:
            try:
                parts[name] = inner(value[name])
            except Misfit as misfit:
                raise misfit.below(name) from None
        try:
            return noun(**parts)
        except Misfit:
            raise
        except ValueError as error:
            raise Misfit(str(error)) from error

    return read_noun


def _keys_in_words(wanted: frozenset[str], given: frozenset[str]) -> str:
    missing, unknown = sorted(wanted - given), sorted(given - wanted)
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has the unknown {', '.join(repr(key) for key in unknown)}"] if unknown else []
    return " and ".join(parts)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
