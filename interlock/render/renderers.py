"""What does each renderer do with the bytes of a template? The engines behind `RendererName`, and nothing about sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, assert_never

from interlock.config.models import RendererName
from interlock.errors import ConfigError
from interlock.facts.substitution import Piece, expand


class Output(NamedTuple):
    """Rendered bytes, and the pieces that they are made of (none when the template was copied as it is)."""

    content: bytes
    pieces: tuple[Piece, ...]


def render(renderer: RendererName, template: bytes, values: Mapping[str, str], where: str) -> bytes:
    """The bytes that `template` comes to with `values`. `where` names the template in errors.

    Bytes that are not UTF-8 pass through unharmed. A `$` in a value is not looked at again.
    Raises SubstitutionError with line and column for bad syntax and for a variable without a value, ConfigError for a value that is no text.
    """
    return output(renderer, template, values, where).content


def output(renderer: RendererName, template: bytes, values: Mapping[str, str], where: str) -> Output:
    """As `render`, and where each piece came from."""
    match renderer:
        case RendererName.COPY:
            return Output(template, ())
        case RendererName.SUBSTITUTE:
            return _substituted(template, values, where)
        case _:
            assert_never(renderer)


def _substituted(template: bytes, values: Mapping[str, str], where: str) -> Output:
    if b"$" not in template:
        return Output(template, ())
    pieces = expand(template.decode("utf-8", "surrogateescape"), values, where=where)
    try:
        return Output(b"".join(piece.text.encode("utf-8", "surrogateescape") for piece in pieces), pieces)
    except UnicodeEncodeError as error:
        name = next(piece.name for piece in pieces if not _is_text(piece.text))
        raise ConfigError(f"the value of {name} is no text", where=where, why="it holds half of a surrogate pair", remedy=f"correct {name}") from error


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
