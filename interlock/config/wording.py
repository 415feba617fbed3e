"""What did pydantic find wrong, in an operator's words? Its errors name types and locations; these name keys, values and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from interlock.config.models import Site
from interlock.config.refusal import Remedy, did_you_mean, dotted
from interlock.config.scalars import Noun, WrongValueError
from interlock.config.yamltext import KeyPath, Positions, say_type
from interlock.patterns import regex


class Told(NamedTuple):
    """One error as it is told. `of_key`: the key is wrong, not its value."""

    path: KeyPath
    what: str
    why: str
    remedy: Remedy
    of_key: bool = False


_QUOTED = regex(r"'([^']*)'")
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
}


def tell(error: ErrorDetails, positions: Positions) -> Told | None:
    """Say an error of validating `Site`; None for one that says nothing new.

    Only what the file itself says is quoted, and nothing at all of an instance's values: they may be secret.
    """
    if error["type"] == "too_short" and error["input"]:  # pydantic counts the items that are right: those that are wrong have errors of their own
        return None
    location = tuple(error["loc"])
    of_key = location[-1:] == ("[key]",)
    path = location[:-1] if of_key else location
    field = field_at(path)
    secret = path[:1] == ("instances",) and path[2:3] == ("values",)
    what, remedy = _say(error, path, field, None if secret else positions.written(path))
    why = field.description if field is not None and field.description else ""
    return Told(path, f"{dotted(path)}{what}", why, remedy, of_key or error["type"] in ("missing", "extra_forbidden"))


def _say(error: ErrorDetails, path: KeyPath, field: FieldInfo | None, written: str | None) -> tuple[str, Remedy]:
    """What is wrong, to be read behind the key path, and what to write instead. `written` is the value as the file has it."""
    context: Mapping[str, Any] = error.get("ctx", {})
    found = say_type(error["input"])
    what, remedy = f": {error['msg']}", cast(Remedy, "")
    match error["type"]:
        case "missing":
            what, remedy = " is missing", f"add `{path[-1]}:`"
        case "extra_forbidden":
            what, remedy = " is no key that exists", did_you_mean(str(path[-1]), keys_at(path[:-1]), "it can be one of")
        case "value_error" if isinstance(wrong := context.get("error"), WrongValueError):
            what, remedy = f": {wrong.what}", wrong.remedy
        case "enum" | "literal_error":
            what, remedy = f" cannot be {_shown(written, found)}", did_you_mean(written or "", _QUOTED.findall(context["expected"]), "it can be one of")
        case "string_pattern_mismatch":
            what, remedy = f" cannot be {_shown(written, found)}", f"write it like {field.examples[0]}" if field is not None and field.examples else ""
        case "too_short":
            what, remedy = " is an empty list", "name at least one"
        case "string_too_short":
            what, remedy = " is empty text", "write it, or remove the key"
        case "greater_than_equal":
            what = f" is {written}, and must be at least {context['ge']}"
        case "less_than_equal":
            what = f" is {written}, and must be at most {context['le']}"
        case kind if kind in _WANTED:
            what, remedy = f" must be {_WANTED[kind]}, and is {found}", _rewritten(_WANTED[kind], found, written)
    return what, remedy


def _shown(written: str | None, found: str) -> str:
    if written is None:
        return found
    return repr(written) if len(written) <= 60 else f"{written[:57]!r}..."


def _rewritten(wanted: str, found: str, written: str | None) -> str:
    """How to turn what was found into what is wanted."""
    match wanted, found:
        case "text", "a whole number" | "a number" | "true or false":
            return "put it in quotes" if written is None else f'put it in quotes: "{written}"'
        case "a list", "text" if written is not None and written.isprintable() and len(written) <= 60:
            return f"write it as a list: [{written}]"
        case "a list", "a mapping":
            return "begin each item with `- `"
        case "a mapping", "a list":
            return "write keys with colons, without the `- ` before them"
        case "a whole number" | "true or false", "text":
            return f"write {wanted}, without quotes"
    return f"write {wanted}"


# ---- the fields of the models, by key path


def field_at(path: KeyPath) -> FieldInfo | None:
    """The field that a key path leads to; None for a name that the operator chose, an item of a list, and what does not exist."""
    nouns = _nouns_at(path[:-1]) if path else ()
    return next((field for noun in nouns for key, field in _fields(noun) if key == path[-1]), None)


def keys_at(path: KeyPath) -> list[str]:
    """The keys that the mapping at `path` can have."""
    return [key for noun in _nouns_at(path) for key, _ in _fields(noun)]


def _fields(noun: type[Noun]) -> Iterator[tuple[str, FieldInfo]]:
    return ((field.alias or name, field) for name, field in noun.model_fields.items())


def _nouns_at(path: KeyPath) -> tuple[type[Noun], ...]:
    annotation: Any = Site
    for step in path:
        annotation = next((below for part in _parts(annotation) if (below := _below(part, step)) is not None), None)
    return tuple(part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, Noun))


def _parts(annotation: Any) -> Iterator[Any]:
    """The alternatives of a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _parts(part)
    else:
        yield annotation


def _below(annotation: Any, step: str | int) -> Any:
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Noun):
        return next((field.annotation for key, field in _fields(annotation) if key == step), None)
    if get_origin(annotation) is tuple and isinstance(step, int):
        return arguments[0]
    return arguments[1] if len(arguments) == 2 and isinstance(step, str) else None
