"""Which kinds of values does a site file hold? Durations, modes, paths, names: text at the border, a type that cannot be wrong behind it.

The nouns made of them: `interlock.config.models`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Strict,
    WithJsonSchema,
    WrapSerializer,
)

from interlock.patterns import regex

SCHEMA_VERSION: Final = 1
LOCAL = "local"
DEFAULT_CHAIN = "default"  # all compose files in their order, where the site names no chains
DECLARED_BY = {  # the sections of a site file that make a headline family used
    "mounts": ("mounts",),
    "state_dir": ("state_dir",),
    "backups": ("modules", "inventory"),
    "parity": ("parity",),
    "templates": ("templates",),
    "automation": ("automation",),
}
HEADLINE_FAMILIES = ("mounts", "state_dir", "backups", "parity", "templates", "automation")

# The digits are bounded so that every duration fits any clock and timer; the longest is about 32 years.
_DURATION = regex(r"([0-9]{1,9})s|([0-9]{1,7})m|([0-9]{1,5})h|([0-9]{1,4})d")
_UNIT_SECONDS = (1, 60, 3600, 86400)
_LONGEST_SECONDS = 999_999_999
_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CONTROL = regex(r"[\x00-\x1f\x7f]")

Item = TypeVar("Item")
Value = TypeVar("Value")


class WrongValueError(ValueError):
    """A value that is of the right type and still wrong. `remedy` says what to write instead."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


def check_version(value: object) -> object:
    """The number 1 itself: `true`, `1.0` and `"1"` are not it."""
    if type(value) is not int or value != SCHEMA_VERSION:
        raise WrongValueError(f"{_shown(value)} is no version of this format that this interlock reads", f"write interlock: {SCHEMA_VERSION}")
    return value


def parse_duration(value: object) -> int:
    """Seconds from `90`, `90s`, `5m`, `4h` or `30d`. Raises WrongValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LONGEST_SECONDS:
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return next(int(digits) * seconds for digits, seconds in zip(match.groups(), _UNIT_SECONDS, strict=True) if digits)
    raise WrongValueError(f"{_shown(value)} is no duration", "write seconds, or a number and s, m, h or d, like 4h")


def check_positive(value: int) -> int:
    """A time limit of nothing would refuse everything."""
    if value < 1:
        raise WrongValueError("0 is no time limit", "write at least 1s")
    return value


def parse_mode(value: object) -> int:
    """Permission bits from the text `0600`. Raises WrongValueError otherwise: an unquoted 0600 in YAML is the number 384."""
    if isinstance(value, str) and re.fullmatch("0[0-7]{3}", value):
        return int(value, 8)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        raise WrongValueError(f"without quotes this is the number {value}, and no file mode", f'write the mode in quotes, like "{value:04o}"')
    raise WrongValueError(f"{_shown(value)} is no file mode", 'write it in quotes as 0 and three octal digits, like "0600"')


def show_mode(mode: int) -> str:
    """`0600`: a mode as operators write it."""
    return f"{mode:04o}"


def check_name(value: str) -> str:
    """A name is what an operator can type: letters, digits, dot, dash, underscore."""
    if not _NAME.fullmatch(value):
        raise WrongValueError(f"{_shown(value)} is no name", "use letters, digits, dot, dash and underscore, at most 63, starting with a letter or digit")
    return value


def check_absolute(value: str) -> str:
    """An absolute path without `..`: what a probe looks at must not depend on where it starts."""
    parts = _path_parts(value)
    if not value.startswith("/") or ".." in parts:
        raise WrongValueError(f"{_shown(value)} is no absolute path without '..'", "write the whole path, from / on")
    return "/" + "/".join(parts)


def check_relative(value: str) -> str:
    """A path inside the site's folder: relative, no `..`."""
    parts = _path_parts(value)
    if not parts or value.startswith("/") or ".." in parts:
        raise WrongValueError(f"{_shown(value)} is no path inside the site's folder", "write it relative to the folder of the site file, without '..'")
    return "/".join(parts)


def check_family(value: str) -> str:
    """A headline family: the one that a site must use, or say why not."""
    if value not in HEADLINE_FAMILIES:
        raise WrongValueError(f"{_shown(value)} is no headline family", f"it is one of {', '.join(HEADLINE_FAMILIES)}")
    return value


def check_printable(value: str) -> str:
    """Text that can be an argument or a path: the kernel ends it at a NUL."""
    if "\0" in value:
        raise WrongValueError("a NUL character stands in this text", "remove the \\0")
    return value


def check_json(value: object) -> object:
    """A value that JSON can say: an answer can never equal another."""
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongValueError(f"{value} is nothing that JSON can hold", "write a number, text, true, false or null")
    return value


def check_cell(value: object) -> object:
    """What a single cell of a query can be compared with."""
    if value is None or isinstance(value, str | int):
        return value
    raise WrongValueError(f"a cell is not compared with {type(value).__name__}", "write text, a whole number, true, false or null; cast the query to text")


def check_no_repeats(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """Each item once: a repeated one is a slip, and often stands where another was meant."""
    seen: set[Item] = set()
    for value in values:
        if value in seen:
            raise WrongValueError(f"{_shown(value)} stands here twice", "name each once")
        seen.add(value)
    return values


def _path_parts(value: str) -> list[str]:
    if _CONTROL.search(value):
        raise WrongValueError(f"{_shown(value)} holds a control character", "write the path without it")
    return [part for part in value.split("/") if part not in ("", ".")]


def _shown(value: object) -> str:
    """A value as a message may show it: short."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def to_plain(value: Mapping[str, Any], serialize: SerializerFunctionWrapHandler) -> Any:
    """A table as a plain dictionary."""
    return serialize(dict(value))


def nothing() -> MappingProxyType[str, Any]:
    """An empty table."""
    return MappingProxyType({})


_SIZE = regex(r"([0-9]{1,12})([KMGT]?)")
_SIZE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def parse_size(value: object) -> int:
    """Bytes from `4096`, `512M`, `20G` or `1T` (powers of 1024). Raises WrongValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        return int(match[1]) * _SIZE_UNITS[match[2]]
    raise WrongValueError(f"{_shown(value)} is no size", "write bytes, or a number and K, M, G or T, like 20G")


_NAME_SCHEMA = {"type": "string", "pattern": f"^{_NAME.pattern}$"}
_SECONDS_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": _LONGEST_SECONDS}, {"type": "string", "pattern": f"^({_DURATION.pattern})$"}]}
_TIMEOUT_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": _LONGEST_SECONDS}, {"type": "string", "pattern": f"^(?!0+[smhd])({_DURATION.pattern})$"}]
}
_ABSOLUTE_SCHEMA = {"type": "string", "pattern": r"^(?!.*/\.\.(/|$))/[^\x00-\x1f\x7f]*$"}
_RELATIVE_SCHEMA = {"type": "string", "pattern": r"^(?!/)(?!(.*/)?\.\.(/|$))(?!(\.?/)*\.?$)[^\x00-\x1f\x7f]+$"}

Name = Annotated[str, AfterValidator(check_name), WithJsonSchema(_NAME_SCHEMA)]
Seconds = Annotated[int, BeforeValidator(parse_duration), WithJsonSchema(_SECONDS_SCHEMA)]
Timeout = Annotated[int, BeforeValidator(parse_duration), AfterValidator(check_positive), WithJsonSchema(_TIMEOUT_SCHEMA)]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0, "exclusiveMaximum": 10**18}, {"type": "string", "pattern": f"^({_SIZE.pattern})$"}]}),
]
FileMode = Annotated[
    int,
    BeforeValidator(parse_mode),
    PlainSerializer(show_mode, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^0[0-7]{3}$"}),
]
AbsolutePath = Annotated[str, AfterValidator(check_absolute), WithJsonSchema(_ABSOLUTE_SCHEMA)]
TreePath = Annotated[str, AfterValidator(check_relative), WithJsonSchema(_RELATIVE_SCHEMA)]
Text = Annotated[str, Field(min_length=1), AfterValidator(check_printable)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Names = Annotated[tuple[Name, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)]
TreePaths = Annotated[tuple[TreePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)]
AbsolutePaths = Annotated[tuple[AbsolutePath, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(check_no_repeats)]
Argv = Annotated[tuple[Annotated[str, AfterValidator(check_printable)], ...], Field(min_length=1)]
Family = Annotated[str, AfterValidator(check_family), WithJsonSchema({"type": "string", "enum": list(HEADLINE_FAMILIES)})]
Json = Annotated[Any, AfterValidator(check_json)]
Table = Annotated[Mapping[Name, Value], AfterValidator(MappingProxyType), WrapSerializer(to_plain)]
"""Named things: immutable, keyed by a name that an operator can type."""


def exactly_one(*keys: str) -> Callable[[dict[str, Any]], None]:
    """For a JSON Schema: of these properties exactly one is given."""

    def extra(schema: dict[str, Any]) -> None:
        schema["oneOf"] = [{"required": [key]} for key in keys]

    return extra


class Noun(BaseModel):
    """The base of every noun of a site file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
