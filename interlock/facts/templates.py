"""What does a template come to for one instance, and what lies at its canonical file? The nouns of rendering; `interlock.render` makes them.

Two files are compared as bytes. Everything that is shown of a rendered file goes through `Rendered.shown_lines`: a value that came from the environment or
from an env file is written there as the name of its variable, `${DB_PASSWORD}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import lru_cache

from interlock.facts.differences import lines_of
from interlock.facts.looks import StatAnswer
from interlock.facts.substitution import Piece
from interlock.nouns import dataclass
from interlock.patterns import regex

HIDDEN = b"***"
SHORTEST_FOUND = 4  # of a secret, as `interlock.evidence.redact` has it: shorter ones stand in every other line by chance
LONGEST_HEADER = 100  # lines; a marker further down would exempt most of the file
MUCH = 20  # percent: a file that grows or shrinks by more needs an explicit yes


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Values that must not be shown: the `names` of the variables that hold one, and the `texts` themselves."""

    names: frozenset[str] = frozenset()
    texts: frozenset[str] = field(default=frozenset(), repr=False)

    def hide(self, line: bytes) -> bytes:
        """A line of some other file with every secret in it hidden, but for those that are too short to be told from chance."""
        for secret in _needles(self.texts):
            line = line.replace(secret, HIDDEN)
        return line


@lru_cache(maxsize=16)
def _needles(texts: frozenset[str]) -> tuple[bytes, ...]:
    """What to look for in a line: the lines of the secrets, the longest first, since one may hold another."""
    parts = {part.strip() for text in texts for part in text.encode("utf-8", "surrogateescape").splitlines()}
    return tuple(sorted((part for part in parts if len(part) >= SHORTEST_FOUND), key=lambda part: (-len(part), part)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One template rendered for one instance: the exact `content`, and where it goes.

    `template` and `instance` are names of the site; `target` is the absolute path on `host`, to be written with permission bits `mode`; `canonical` is the
    path of the canonical file inside the site's folder; `keys` names the values that went into it, sorted.
    """

    template: str
    instance: str
    content: bytes = field(repr=False)
    mode: int
    host: str
    target: str
    canonical: str
    keys: tuple[str, ...]
    pieces: tuple[Piece, ...] = field(default=(), repr=False)  # none for a copied file
    secrets: Secrets = Secrets()

    def shown_lines(self) -> list[bytes]:
        """The lines of `content`, as many, with the names of the variables where their secret values stand."""
        if not self.secrets.names.intersection(self.keys):
            return lines_of(self.content)
        return lines_of(b"".join(self._shown()))

    def _shown(self) -> Iterator[bytes]:
        for piece in self.pieces:
            text = piece.text
            if piece.name in self.secrets.names:
                text = "\n".join(f"${{{piece.name}}}" if part else "" for part in text.split("\n"))
            yield text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRendered:
    """A template that cannot be rendered, for a reason that lies in the files of the site: `kind` is stable, `file` inside the site's folder."""

    kind: str
    message: str
    remedy: str
    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """What could not be looked at, in one sentence, and what would help."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The top of a file that may differ: its first `lines`, or everything up to and with the line `marker`; exactly one of them is set."""

    lines: int | None = None
    marker: bytes | None = None

    def end(self, data: bytes) -> int | None:
        """The offset at which the header of a file ends. None when the file has no line that is the marker among its first hundred."""
        at = 0
        for number, line in enumerate(lines_of(data)[:LONGEST_HEADER], start=1):
            at += len(line)
            if number == self.lines or (self.marker is not None and line.rstrip(b"\r\n") == self.marker):
                return at
        return at if self.lines is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Canonical:
    """The file that a rendered one must equal, as it lies in the site's folder."""

    path: str
    content: bytes = field(repr=False)
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What lies where a rendered file is written to."""

    path: str
    seen: StatAnswer | Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """One template of an instance, with everything that its judgement needs. `canonical` is None when there is no such file; `target` when nobody asked.

    `mode` is what a new file gets; `mode_stated` is False where the site leaves it to the file that is there. `source` is the template itself, None when it
    could not be read; `names` are the variables that the instance has; `resized` says that each step that writes the file says yes to another size.
    """

    template: str
    rendered: Rendered | NotRendered | Unseen
    canonical_path: str
    canonical: Canonical | Unseen | None
    mode: int
    mode_stated: bool = True
    header: Header | None = None
    target: Target | None = None
    source_path: str = ""
    source: bytes | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset()
    resized: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFiles:
    """Every file that the site renders for one instance. `files` can be drained once: each is rendered when its turn comes, and not kept."""

    instance: str
    files: Iterable[TemplateFile]


# ---- what was to be replaced, and was not


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A placeholder or a marker in a rendered file, on which line. `text` may be shown: a secret value in it stands as `<NAME>`; `kind` is stable."""

    kind: str
    text: str
    line: int


_MARKER = regex(r"^(?:<{7}|>{7}|\|{7})(?= |\r?$).*", re.MULTILINE)
_PLACEHOLDERS = (
    regex(r"\{\{\{?[#/^&>!~-]?\s*(?P<name>[A-Za-z_][\w.-]*)[^{}\n]*\}\}\}?"),  # Handlebars, Mustache, Jinja; `{{ $x }}` and `{{ .X }}` are Go's
    regex(r"\{%[-+]?\s*(?P<name>[a-z]+)\b[^%\n]*[-+]?%\}"),
    regex(r"<%[=-]?\s*(?P<name>[A-Za-z_@][\w.]*)[^%\n]*%>"),
    regex(r"(?<![\w@])@(?P<name>[A-Z][A-Z0-9_]{2,})@(?!\w)"),
)
_UNDERSCORES = regex(r"(?<!\w)__(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)__(?!\w)")
_REFERENCE = regex(r"\$\{(?P<name>[A-Za-z_]\w*)[^{}\n]*\}")
_HANDLEBARS_BRACES = regex(r"\$\{[^{}\n]*\{\{[^{}\n]*\}\}\}(?!\})")


def leftovers(rendered: Rendered, canonical: Canonical | None, names: frozenset[str]) -> Iterator[Leftover]:
    """What is left in a rendered file that something should have replaced. `names` are the variables of the instance.

    What the canonical file holds too is meant: Prometheus, Ansible and Go templates are full of braces. That does not go for a placeholder whose name is a
    variable of the instance, for it has a value, nor for a merge marker. `${X}` in a rendered file is the shell's or nginx's, unless a value brought it in.
    """
    text = _maskable(rendered)
    meant = canonical.content.decode("utf-8", "surrogateescape") if canonical is not None else ""
    same = canonical is not None and canonical.content == rendered.content
    for found in _MARKER.finditer(text):
        yield Leftover(kind="merge-marker", text=found[0][:7], line=_line(text, found))
    for pattern in (*_PLACEHOLDERS, *([_UNDERSCORES] if names else [])):
        for found in pattern.finditer(text):
            named = found["name"] in names
            if named or (pattern is not _UNDERSCORES and found[0] not in meant and not (same and "<" in found[0])):
                yield Leftover(kind="placeholder", text=found[0], line=_line(text, found))
    yield from _in_values(rendered, meant)
    if not rendered.pieces:
        yield from _references(text, meant, names)


def _references(text: str, meant: str, names: frozenset[str]) -> Iterator[Leftover]:
    """A file that is copied as it is: `${X}` of a variable that the instance has was to be substituted, unless the reviewed file has it too."""
    for found in _REFERENCE.finditer(text):
        if found["name"] in names and found[0] not in meant:
            yield Leftover(kind="variable", text=found[0], line=_line(text, found))


def _in_values(rendered: Rendered, meant: str) -> Iterator[Leftover]:
    """Values are not looked at again when they are put in, so a reference in one stays."""
    line = 1
    told: set[str] = set()
    for piece in rendered.pieces:
        if piece.name and piece.name not in told:
            held = [found[0] for pattern in (_REFERENCE, _PLACEHOLDERS[0]) for found in pattern.finditer(piece.text) if found[0] not in meant]
            if held:
                told.add(piece.name)
                yield Leftover(kind="placeholder-in-value", text=f"${{{piece.name}}}", line=line)
        line += piece.text.count("\n")


def _maskable(rendered: Rendered) -> str:
    """The text of a rendered file with `<NAME>` where the value of a variable stands: a value is looked at by itself."""
    if not rendered.pieces:
        return rendered.content.decode("utf-8", "surrogateescape")
    return "".join(f"<{piece.name}>" + "\n" * piece.text.count("\n") if piece.name else piece.text for piece in rendered.pieces)


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def handlebars_braces(source: bytes) -> Iterator[Leftover]:
    """`${VAR:-{{x}}}` in a Handlebars template: it reads the three braces as the end of a raw `{{{`, and refuses the file."""
    text = source.decode("utf-8", "surrogateescape")
    for found in _HANDLEBARS_BRACES.finditer(text):
        yield Leftover(kind="handlebars-braces", text=found[0], line=_line(text, found))
