"""Which directory belongs to which variable, and which line goes past it? The nouns, and what of a text tells a path; one module for each language beside it.

A place is a directory that somebody can move by one variable: its default is its own (`/data/state`), or made of another variable (`${DATA_DIR}/state`).
Whoever writes that path down, or makes it of the other variable, stays behind on the day when the directory moves.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from interlock.facts.backup_writers import listed
from interlock.facts.programs import Unreadable
from interlock.nouns import dataclass
from interlock.patterns import regex

NAME = regex(
    r"(?<![A-Za-z0-9_])((?:[A-Z][A-Z0-9]*_)*(?:STATE|APP_?DATA|DATA|STORAGE|PERSIST(?:ENT|ENCE)?)_?(?:DIR|DIRECTORY|PATH|ROOT|HOME|LOCATION|FOLDER))(?![A-Za-z0-9_])"
)
MARKS = (b"STATE", b"DATA", b"STORAGE", b"PERSIST")
"""What a file has to hold before it is searched for such a name."""
NEAR = 8  # lines around a read of the variable in which the rest of its resolver stands
_DEFAULTED = regex(r"\$\{(\w+):?[-=]([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_MADE_OF = regex(r"\$\{?(\w+)(?::?[-=][^}]*)?\}?/(?P<rest>[\w./-]+)")
_IMAGE_SETS = regex(r"^[ \t]*ENV[ \t]+(?P<name>\w+)[= \t]\"?(?P<path>/[\w./-]+)\"?[ \t]*\\?$", re.MULTILINE)
_GENERAL = listed(
    "/ /app /bin /boot /config /data /dev /etc /home /lib /media /mnt /opt /proc /root /run /srv /storage /sys /tmp /usr /var /var/data /var/lib /var/www"
    " /usr/src /usr/src/app /usr/share /usr/local /usr/local/share /var/lib/docker /var/lib/postgresql/data /var/lib/postgresql /var/lib/mysql /opt/data"
    " /home/data /mnt/data /var/run /data/db /bitnami /usr/share/elasticsearch/data /etc/ssl"
)
"""Directories that many have for reasons of their own."""
_NOBODYS = ("/tmp/", "/dev/", "/proc/", "/sys/")  # noqa: S108 - nothing is kept there
_WORDS = regex(r"STATE|APP_?DATA|DATA|STORAGE|PERSIST")
PLAIN = regex(r"/[\w.@%+-]+(?:/[\w.@%+-]+)*/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One place where a program takes a directory from a variable. `default` is a text with references, empty when there is none."""

    variable: str
    default: str
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory with a variable of its own. `literals` are its defaults that are whole paths, `made_of` those that begin with another variable: its name,
    and the rest of the path."""

    variable: str
    literals: tuple[str, ...]
    made_of: tuple[tuple[str, str], ...] = ()

    @property
    def identifier(self) -> str:
        """What programs call it: `state_dir` of SHOP_STATE_DIR."""
        return identifier_of(self.variable)

    def literal_in(self, path: str) -> str | None:
        """The default that a whole path lies at or below."""
        return next((one for one in self.literals if path == one or path.startswith(one + "/")), None)


class Past(StrEnum):
    """How a line goes past the variable; the values are the kinds of findings."""

    LITERAL = "literal-path"
    MADE = "made-of-another-variable"
    UNNAMED = "no-variable"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathUse:
    """One line that names a path at or below a place without its variable. `written` is the path as it stands there."""

    file: str
    line: int
    written: str
    how: Past
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlaces:
    """Every such place of a tree, and who goes past its variable. `looked_at` counts the files that were read for it; `unread` are those that name a place
    and could not be read."""

    places: tuple[Place, ...]
    uses: tuple[PathUse, ...]
    looked_at: int
    unread: tuple[Unreadable, ...] = ()


def identifier_of(variable: str) -> str:
    """The end of a variable's name from the word on that says what it is, in lower case."""
    found = list(_WORDS.finditer(variable))
    return variable[found[-1].start() :].lower() if found else variable.lower()


def is_called(identifier: str, variable: str) -> bool:
    """True when a name of a program (`_data_dir`, `get_data_dir`, `dataDir`) is what programs call a variable."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().strip("_")
    wanted = identifier_of(variable)
    return plain == wanted or plain.endswith("_" + wanted)


def is_state(variable: str) -> bool:
    """True when a variable's own name says state, not data."""
    return "STATE" in variable


def is_its_own(path: str) -> bool:
    """True for a whole path that nothing else has by chance: with two parts, or called state."""
    plain = path.rstrip("/")
    if not PLAIN.fullmatch(plain) or plain in _GENERAL or plain.startswith(_NOBODYS):
        return False
    return plain.count("/") > 1 or "state" in plain.lower()


def places_of(reads: Iterable[Read]) -> tuple[Place, ...]:
    """The places that these reads come to. One about data has to be read in two files, or it is that file's own affair."""
    found: dict[str, list[Read]] = {}
    for read in reads:
        found.setdefault(read.variable, []).append(read)
    return tuple(place for name, mine in sorted(found.items()) if (place := _place(name, mine)) is not None)


def _place(name: str, reads: list[Read]) -> Place | None:
    if not is_state(name) and len({read.file for read in reads}) < 2:
        return None
    literals, made_of = [], []
    for read in reads:
        whole = posixpath.normpath(read.default) if read.default.startswith("/") else ""
        if whole and is_its_own(whole):
            literals.append(whole)
        if (made := _MADE_OF.fullmatch(read.default)) and NAME.fullmatch(made[1]) and made[1] != name:
            made_of.append((made[1], posixpath.normpath(made["rest"])))
    if not literals and not made_of:
        return None
    return Place(variable=name, literals=tuple(dict.fromkeys(literals)), made_of=tuple(dict.fromkeys(made_of)))


def merged_places(places: Iterable[Place]) -> tuple[Place, ...]:
    """One place for each variable, with all that is known of it."""
    found: dict[str, Place] = {}
    for place in places:
        known = found.get(place.variable, place)
        literals, made_of = dict.fromkeys((*known.literals, *place.literals)), dict.fromkeys((*known.made_of, *place.made_of))
        found[place.variable] = Place(variable=place.variable, literals=tuple(literals), made_of=tuple(made_of))
    return tuple(found[name] for name in sorted(found))


def reads_in_text(path: str, text: str) -> Iterator[Read]:
    """`${STATE_DIR:-/data/state}` in shell, compose files and units; `ENV STATE_DIR=/data/state` of what an image is built from."""
    for number, line in enumerate(text.splitlines(), start=1):
        if "_" not in line or line.lstrip().startswith("#"):
            continue
        for found in _DEFAULTED.finditer(line):
            if NAME.fullmatch(found[1]):
                yield Read(variable=found[1], default=found[2].strip("\"'"), file=path, line=number)
    for found in _IMAGE_SETS.finditer(text):
        if NAME.fullmatch(found["name"]):
            yield Read(variable=found["name"], default=found["path"], file=path, line=text.count("\n", 0, found.start()) + 1)


def stands_in(literal: str, text: str) -> Iterator[tuple[int, str]]:
    """Where a path or one below it stands in a text: the offset, and the path as far as it goes."""
    at = text.find(literal)
    while at >= 0:
        end = at + len(literal)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not re.match(r"[\w./}@:#-]", before) and not re.match(r"[\w.@%+-]", after):
            tail = re.match(r"[\w./@%+*$\{\}-]*", text[end:])
            yield at, (literal + (tail[0] if tail else "")).rstrip("/.")
        at = text.find(literal, end)
