"""What does the text of one compose file say, line by line? Keys that stand twice, conflict markers, and where YAML breaks off.

Read event by event, never built into a tree: a hostile file can nest as deep and refer to itself as it likes. What the files come to together is the
business of the program itself (`interlock.observe.compose_binary`); this is about one file, whatever it is merged with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import yaml

MAX_DEPTH = 1000  # real files nest seven deep; the parser would follow a hostile one to any depth, and take hours for it
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, whose port to Go is the reader of Docker Compose

# As `git diff --check` knows them: seven at the very start of a line, then white space. A row of `=` alone is somebody's ruler until the file breaks.
_MARKER = re.compile(rb"^(<{7}|\|{7}|={7}|>{7})(?=[ \t\r]|$)[^\r\n]{0,80}", re.MULTILINE)
_NEEDS_QUOTES = re.compile(r"[.\[\]\s]|^$")


class Duplicate(NamedTuple):
    """A key that stands more than once in one mapping: its path from the top, and every line that it stands on."""

    path: str
    lines: tuple[int, ...]


class Marker(NamedTuple):
    """A line that a merge left behind. `conflict` counts from 1 through the file; `text` is the line, as far as 80 characters."""

    conflict: int
    text: str
    line: int


class Break(NamedTuple):
    """Where the file stops being YAML, or a compose file at all, and why; counted from 1."""

    line: int
    column: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeText:
    """One compose file as text: `path` inside the site's folder, and what is wrong with it. `keys` counts what was read before any break."""

    path: str
    keys: int
    duplicates: tuple[Duplicate, ...]
    markers: tuple[Marker, ...]
    broken_off: Break | None

    @classmethod
    def parse(cls, data: bytes, *, path: str) -> Self:
        """Everything that is wrong with the bytes of a compose file; never raises for what is in them."""
        reader = _Reader()
        broken_off = reader.read(data)
        markers = _markers(data, broken=broken_off is not None)
        return cls(path=path, keys=reader.keys, duplicates=reader.duplicates, markers=markers, broken_off=broken_off)


def _markers(data: bytes, *, broken: bool) -> tuple[Marker, ...]:
    """The conflict markers. A row of `=` counts only beside another marker, or where the file is broken."""
    found = list(_MARKER.finditer(data))
    if not broken and all(match[1][:1] == b"=" for match in found):
        return ()
    markers, conflict, line, at = [], 0, 1, 0
    for match in found:
        conflict += match[1][:1] == b"<" or not conflict
        line, at = line + data.count(b"\n", at, match.start()), match.start()
        markers.append(Marker(conflict, match[0].decode("utf-8", "replace").rstrip(), line))
    return tuple(markers)


class _Mark(Protocol):
    """A place as either parser gives it, counted from 0."""

    line: int
    column: int


class _Frame:
    """A mapping or a sequence that is being read. `name` is where it stands: the key, or the position, that the next value belongs to."""

    __slots__ = ("anchor", "awaits_value", "is_mapping", "lines", "name")

    def __init__(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.anchor: str | None = event.anchor
        self.lines: dict[str, list[int]] = {}  # of each key so far
        self.name = "" if self.is_mapping else "[-1]"
        self.awaits_value = False

    def next_item(self) -> None:
        self.name = f"[{int(self.name[1:-1]) + 1}]"


class _Reader:
    """Follows the events of all documents of a stream, and keeps what it saw until the stream broke off."""

    def __init__(self) -> None:
        self.keys = 0
        self.documents = 0
        self._repeated: list[tuple[str, list[int]]] = []
        self._open: list[_Frame] = []
        self._anchors: dict[str, bool] = {}  # whether it is a scalar

    @property
    def duplicates(self) -> tuple[Duplicate, ...]:
        return tuple(Duplicate(path, tuple(lines)) for path, lines in self._repeated)

    def read(self, data: bytes) -> Break | None:
        try:
            for event in yaml.parse(data, Loader=_LOADER):
                if broken_off := self._follow(event):
                    return broken_off
        except yaml.MarkedYAMLError as error:
            return _break(error.problem_mark or error.context_mark, error.problem or str(error))
        except yaml.reader.ReaderError as error:
            before = data[: error.position]
            return Break(before.count(b"\n") + 1, len(before) - before.rfind(b"\n"), f"a byte that is no text: {error.reason}")
        return None

    def _follow(self, event: yaml.Event) -> Break | None:
        match event:
            case yaml.DocumentStartEvent():
                return self._document(event)
            case yaml.AliasEvent():
                return self._alias(event)
            case yaml.ScalarEvent():
                return self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                return self._enter(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
        return None

    def _document(self, event: yaml.DocumentStartEvent) -> Break | None:
        self.documents += 1
        self._anchors = {}
        if event.version in (None, (1, 1)):
            return None
        return _break(event.start_mark, "docker compose reads YAML 1.1 and refuses any other version")

    def _enter(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> Break | None:
        frame = _Frame(event)
        if not self._open and not frame.is_mapping:
            return _break(event.start_mark, "a list stands at the top, where a mapping should")
        if len(self._open) == MAX_DEPTH:
            return _break(event.start_mark, f"it nests deeper than {MAX_DEPTH} levels")
        if self._expects_key():
            return _break(event.start_mark, "a mapping or a list stands where a key should; a {{ }} that was never rendered looks so")
        self._begin(event, key="")
        self._anchor(event.anchor, is_scalar=False)
        self._open.append(frame)
        return None

    def _scalar(self, event: yaml.ScalarEvent) -> Break | None:
        if not self._open:
            return _break(event.start_mark, "a single value stands at the top, where a mapping should" if event.value else "nothing stands in this document")
        self._anchor(event.anchor, is_scalar=True)
        self._begin(event, key=event.value)
        return None

    def _alias(self, event: yaml.AliasEvent) -> Break | None:
        if event.anchor not in self._anchors:
            return _break(event.start_mark, f"*{event.anchor} refers to an anchor that does not stand above it")
        if any(frame.anchor == event.anchor for frame in self._open):
            return _break(event.start_mark, f"*{event.anchor} stands inside &{event.anchor}, which would contain itself")
        if self._expects_key() and not self._anchors[event.anchor]:
            return _break(event.start_mark, f"*{event.anchor} is a mapping or a list, and stands where a key should")
        self._begin(event, key=f"*{event.anchor}")
        return None

    def _anchor(self, name: str | None, *, is_scalar: bool) -> None:
        if name is not None:
            self._anchors[name] = is_scalar

    def _expects_key(self) -> bool:
        return bool(self._open) and self._open[-1].is_mapping and not self._open[-1].awaits_value

    def _begin(self, event: yaml.NodeEvent, *, key: str) -> None:
        """A node begins: the next item of a sequence, a key of a mapping, or the value of its last key."""
        if not self._open:
            return
        frame = self._open[-1]
        if not frame.is_mapping:
            frame.next_item()
        elif frame.awaits_value:
            frame.awaits_value = False
        else:
            frame.awaits_value, frame.name = True, key
            self._key(frame, event.start_mark)

    def _key(self, frame: _Frame, mark: _Mark | None) -> None:
        self.keys += 1
        lines = frame.lines.setdefault(frame.name, [])
        lines.append(mark.line + 1 if mark else 0)
        if len(lines) == 2:
            self._repeated.append((self._path(), lines))

    def _path(self) -> str:
        """Where the reader stands: `services.web.ports[0]`; a second document of the same file says so."""
        document = f"document {self.documents}: " if self.documents > 1 else ""
        parts = (frame.name if not frame.is_mapping else f".{_quoted(frame.name)}" for frame in self._open)
        return document + "".join(parts).removeprefix(".")


def _quoted(key: str) -> str:
    return f'"{key}"' if _NEEDS_QUOTES.search(key) else key


def _break(mark: _Mark | None, why: str) -> Break:
    return Break(mark.line + 1, mark.column + 1, why) if mark else Break(1, 1, why)
