"""How is a site written down so that each line says from what it was inferred? A document of plain data with origins, as YAML that a tired human can read.

What could not be inferred is an `Offer`: lines that stand there as comments until somebody completes them, so that the file loads as it is. The question
above them begins with `#?`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from interlock.config.yamlscalars import resolve
from interlock.patterns import regex

WIDTH = 150  # columns; an origin that does not fit behind its line stands above it
_PLAIN = regex(r"[A-Za-z0-9_./(](?:[A-Za-z0-9 _./()@%+=*^|<>~;?!'$&-]|:(?=[A-Za-z0-9_./(@%+=*~$-]))*")  # what no reader of YAML takes for anything else
_LITERAL = (("state_dir", "default"), ("state_dir", "values"))  # where `${` is meant as it stands


class From(NamedTuple):
    """A value, and from what it was inferred."""

    value: Any
    origin: str


class Offer(NamedTuple):
    """What only a human can complete: written as comments. `ask` says what is missing and where to find it; one line or several."""

    value: Any
    ask: str


MISSING = ""
"""What stands in an offer where only a human knows the value: nothing. Uncommented as it is, the file says that it has no value there."""


def plain(value: Any) -> Any:
    """The data alone: without origins, and without what is only offered."""
    match value:
        case Offer():
            return None
        case From():
            return plain(value.value)
        case dict():
            return {key: plain(member) for key, member in value.items() if not isinstance(member, Offer)}
        case list() | tuple():
            return [plain(member) for member in value if not isinstance(member, Offer)]
    return value


def may_be_written(text: str) -> bool:
    """Whether a site file can hold this name: UTF-8, and no control characters."""
    return text.isprintable() and not any("\ud800" <= letter <= "\udfff" for letter in text)


def render(document: Mapping[str, Any], head: Sequence[str]) -> str:
    """The YAML text. `head` are comment lines that it begins with. A section has a blank line before it, but for the scalars at the top."""
    lines = [_comment(line).replace("# !", "#!", 1) for line in head]
    for key, value in document.items():
        if not isinstance(_bare(value), str | int):
            lines.append("")
        lines += _entry(key, value, 0, (key,))
    return "\n".join(lines) + "\n"


def _bare(value: Any) -> Any:
    return _bare(value.value) if isinstance(value, From) else value


def _entry(key: str, value: Any, indent: int, path: tuple[str, ...]) -> Iterator[str]:
    """The lines of one key and what is below it."""
    margin = "  " * indent
    if isinstance(value, Offer):
        yield from (f"{margin}#? {line}" for line in _asked(value.ask))
        yield from (f"{margin}# {line[len(margin) :]}" for line in _entry(key, value.value, indent, path))
        return
    origin = ""
    while isinstance(value, From):
        value, origin = value.value, origin or value.origin
    named = f"{margin}{scalar(key)}:"
    match value:
        case dict() if is_only_offered(value):
            yield from _entry(key, Offer({step: _taken(member) for step, member in value.items()}, "\n".join(_asks(value))), indent, path)
        case dict() if value:
            yield from _with_origin(named, origin, margin)
            for step, member in value.items():
                yield from _entry(step, member, indent + 1, (*path, step))
        case dict():
            yield from _with_origin(f"{named} {{}}", origin, margin)
        case list() | tuple():
            yield from _listed(named, list(value), origin, indent, path)
        case _:
            yield from _with_origin(f"{named} {_value(value, path)}".rstrip(), origin, margin)


def is_only_offered(value: Any) -> bool:
    """Whether a human must complete all of it: nothing would be left below its key."""
    if isinstance(value, From):
        return is_only_offered(value.value)
    return isinstance(value, Offer) or (isinstance(value, dict) and bool(value) and all(map(is_only_offered, value.values())))


def _taken(value: Any) -> Any:
    """What is offered, as if it were taken."""
    match value:
        case Offer():
            return value.value
        case From():
            return From(_taken(value.value), value.origin)
        case dict() if is_only_offered(value):
            return {key: _taken(member) for key, member in value.items()}
    return value


def _asks(value: Any) -> Iterator[str]:
    match value:
        case Offer():
            yield from filter(None, (value.ask,))
        case From():
            yield from _asks(value.value)
        case dict():
            for member in value.values():
                yield from _asks(member)


def _listed(named: str, members: list[Any], origin: str, indent: int, path: tuple[str, ...]) -> Iterator[str]:
    """A list: on one line where it is short and its members need no origin of their own."""
    margin = "  " * indent
    if all(isinstance(member, str | int) for member in members):
        flow = f"{named} [{', '.join(_value(member, path) for member in members)}]"
        if len(flow) <= WIDTH - 30 or len(members) == 1:
            yield from _with_origin(flow, origin, margin)
            return
    yield from _with_origin(named, origin, margin)
    for member in members:
        yield from _item(member, indent + 1, path)


def _item(member: Any, indent: int, path: tuple[str, ...]) -> Iterator[str]:
    margin = "  " * indent
    if isinstance(member, Offer):
        yield from (f"{margin}#? {line}" for line in _asked(member.ask))
        yield from (f"{margin}# {line[len(margin) :]}" for line in _item(member.value, indent, path))
        return
    origin = ""
    while isinstance(member, From):
        member, origin = member.value, origin or member.origin
    if isinstance(member, dict) and len(flow := _flow(member, path)) + len(margin) < WIDTH // 2:
        yield from _with_origin(f"{margin}- {flow}", origin, margin)
    elif isinstance(member, dict):
        below = [line for step, value in member.items() for line in _entry(step, value, indent + 1, (*path, step))]
        first = next((number for number, line in enumerate(below) if not line.lstrip().startswith("#")), None)
        if first is not None:
            below[first] = f"{margin}- {below[first].lstrip()}"
        yield from ([margin + _comment(origin)] if origin else [])
        yield from below
    else:
        yield from _with_origin(f"{margin}- {_value(member, path)}", origin, margin)


def _flow(member: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """A short mapping on one line; one that is not flat is as long as a line never is."""
    if not all(isinstance(value, str | int) for value in member.values()):
        return " " * WIDTH
    return "{" + ", ".join(f"{scalar(key)}: {_value(value, path)}" for key, value in member.items()) + "}"


def _with_origin(line: str, origin: str, margin: str) -> Iterator[str]:
    if not origin:
        yield line
    elif len(line) + len(origin) + 4 <= WIDTH:
        yield f"{line}  {_comment(origin)}"
    else:
        yield margin + _comment(origin)
        yield line


def _asked(ask: str) -> Iterator[str]:
    return (_comment(line)[2:] for line in ask.split("\n") if line)


def _comment(text: str) -> str:
    """One line of a comment, whatever names are in it."""
    return f"# {printable(text)}"


def printable(text: str) -> str:
    """The same text for a line of a comment or a terminal: what does not show is spelled out."""
    return "".join(letter if letter.isprintable() and not "\ud800" <= letter <= "\udfff" else ascii(letter)[1:-1] for letter in text)


def _value(value: Any, path: tuple[str, ...]) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    text = str(value)
    if text == MISSING:
        return ""
    return scalar(text if path[:2] in _LITERAL else text.replace("${", "$${"))


def scalar(text: str) -> str:
    """Text as YAML: as it stands where that is read as the same text, else in double quotes."""
    if _PLAIN.fullmatch(text) and text == text.strip() and " #" not in text and resolve(text) == text and isinstance(resolve(text), str):
        return text
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    return f"\\U{ord(letter):08x}" if ord(letter) > 0xFFFF else f"\\u{ord(letter):04x}"
