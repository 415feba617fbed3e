"""What value does a plain scalar of YAML have? As go-yaml reads it, and so Docker Compose: YAML 1.2, with the octal 0777 of 1.1.

`yes`, `on`, `22:22` and `2026-01-01` are text. Where YAML 1.1 and 1.2 differ, the text that an operator sees is the value that he gets.
Source: gopkg.in/yaml.v3, resolve.go; compared with the real compose binary in tests/integration/test_config_scalars.py.
"""

from __future__ import annotations

import math
from typing import Any

from interlock.nouns import dataclass
from interlock.patterns import regex

Scalar = str | bool | int | float | None

_MAYBE_NOT_TEXT = frozenset("-+.0123456789~nNtTfF")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_INTEGERS = (
    (regex(r"[-+]?0[bB]([01]{1,64})"), 2),
    (regex(r"[-+]?0[oO]?([0-7]{1,64})"), 8),
    (regex(r"[-+]?0[xX]([0-9a-fA-F]{1,64})"), 16),
    (regex(r"[-+]?(0|[1-9][0-9]{0,63})"), 10),
)
_FLOAT = regex(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value under a tag that is not YAML's own, as `!reset` and `!override` of compose files. `tag` is as written."""

    tag: str
    value: Any


def resolve(text: str) -> Scalar:
    """The value of a plain scalar: null, a bool, a number, or the text itself.

    A whole number beyond 64 bits becomes a float, and a float beyond those stays text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAYBE_NOT_TEXT or text[0].isalpha():
        return text
    digits = text.replace("_", "")
    whole = _whole_number(digits)
    if whole is not None:
        return whole
    number = float(digits) if _FLOAT.fullmatch(digits) else math.inf
    return number if math.isfinite(number) else text


def _whole_number(digits: str) -> int | None:
    for pattern, base in _INTEGERS:
        if match := pattern.fullmatch(digits):
            number = int(match[1], base) * (-1 if digits[0] == "-" else 1)
            if -(2**63) <= number < 2**64:
                return number
    return None


def say_type(data: object) -> str:
    """The type of a value in words: `a whole number`."""
    if isinstance(data, Tagged):
        return f"a value tagged {data.tag}"
    return _TYPE_WORDS[type(data)]


_TYPE_WORDS: dict[type, str] = {
    type(None): "nothing",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}
