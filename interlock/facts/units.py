"""What does a systemd unit say, with its drop-ins, and how does a path become the name of a unit? `interlock.facts.mount_units` reads mounts in it.

Sources: systemd.syntax(7), systemd.unit(5) (drop-ins, "String Escaping for Inclusion in Unit Names").
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from interlock.nouns import dataclass


class Setting(NamedTuple):
    """One `Key=value` of a unit, with its line and the section that it stands in."""

    line: int
    section: str
    key: str
    value: str


def unit_settings(data: bytes) -> Iterator[Setting]:
    """Each `Key=value`; a backslash at a line's end goes on with the next, over comments."""
    begun: tuple[int, str] | None = None
    section = ""
    for number, raw in enumerate(data.decode("utf-8", "replace").split("\n"), start=1):
        line = raw.strip()
        if line.startswith(("#", ";")) or (begun is None and not line):
            continue
        if begun is None and line.startswith("["):
            section = line.strip("[]")
            continue
        at, text = (number, line) if begun is None else (begun[0], f"{begun[1]} {line}")
        if text.endswith("\\"):
            begun = at, text[:-1].rstrip()
            continue
        begun = None
        key, equals, value = text.partition("=")
        if equals:
            yield Setting(at, section, key.strip(), value.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit as systemd has it after its drop-ins. `file` is where its main text lies."""

    name: str
    file: str
    settings: tuple[Setting, ...]

    def value(self, section: str, key: str) -> str:
        """What is said last; empty when nothing is."""
        return next((one.value for one in reversed(self.settings) if (one.section, one.key) == (section, key)), "")

    def values(self, section: str, key: str) -> tuple[str, ...]:
        """All that is said, an empty assignment forgets what stands before it."""
        found: list[str] = []
        for one in self.settings:
            if (one.section, one.key) == (section, key):
                found = [*found, one.value] if one.value else []
        return tuple(found)

    def words(self, section: str, key: str) -> tuple[str, ...]:
        """The words of a list setting; a dependency cannot be forgotten by an empty assignment (systemd.unit(5)), and is not here."""
        said = (one.value for one in self.settings if (one.section, one.key) == (section, key))
        return tuple(word.replace("%%", "%") for value in said for word in _words(value))


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value.replace("\\", "\\\\"))  # a backslash is part of a unit's name
    except ValueError:
        return value.split()


def assembled(name: str, file: str, main: bytes, drop_ins: Iterable[bytes]) -> Unit:
    """A unit's own text, then its drop-ins in their order."""
    return Unit(name=name, file=file, settings=tuple(setting for text in (main, *drop_ins) for setting in unit_settings(text)))


def drop_in_folders(name: str) -> tuple[str, ...]:
    """The folders whose files are drop-ins of a unit, the most telling first: `srv-state.mount.d`, `srv-.mount.d`, `mount.d`."""
    stem, _, kind = name.rpartition(".")
    template = [f"{stem.split('@')[0]}@.{kind}.d"] if "@" in stem and not stem.endswith("@") else []
    dashes = [index for index, letter in enumerate(stem) if letter == "-" and index < len(stem) - 1]
    return (f"{name}.d", *template, *(f"{stem[: index + 1]}.{kind}.d" for index in reversed(dashes)), f"{kind}.d")


def drop_ins(name: str, roots: Sequence[str], folders: Mapping[str, Mapping[str, bytes]]) -> tuple[bytes, ...]:
    """The texts of a unit's drop-ins, in the order in which they are read: by their file names, of several with one name the first folder's.

    `folders` maps the path of a folder to its files; `roots` are the directories of units, the most important first.
    """
    found: dict[str, bytes] = {}
    for folder in drop_in_folders(name):
        for root in roots:
            for file, content in folders.get(f"{root}/{folder}", {}).items():
                found.setdefault(file, content)
    return tuple(found[file] for file in sorted(found) if file.endswith(".conf"))


def unit_name(path: str, kind: str) -> str:
    r"""The name of the unit of this kind for a path: `/srv/my data` is `srv-my\x20data.mount`."""
    inner = posixpath.normpath(path).strip("/")
    if not inner:
        return f"-.{kind}"
    escaped = "".join("-" if letter == "/" else _escaped(letter, first=index == 0) for index, letter in enumerate(inner))
    return f"{escaped}.{kind}"


def _escaped(letter: str, *, first: bool) -> str:
    if letter.isascii() and (letter.isalnum() or letter in ":_" or (letter == "." and not first)):
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))


def unit_path(name: str) -> str:
    """The path that the name of a mount or automount unit stands for."""
    stem = name.rpartition(".")[0]
    plain = stem.replace("-", "/").encode("utf-8", "surrogateescape")
    return "/" + re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16)]), plain).decode("utf-8", "surrogateescape").lstrip("/")
