"""Is a requested image well-formed, and does the tag that somebody sets reach it? References of images as compose files say them, and variables for tags.

Source: the grammar of references in github.com/distribution/reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from interlock.facts.env import Scalar
from interlock.nouns import dataclass
from interlock.patterns import regex

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d+)?"
_REFERENCE = regex(
    rf"(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{{32,}})?",
    re.ASCII,
)
_SIMPLE = regex(r"\$(?P<bare>[A-Za-z_]\w*)|\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-?+])(?P<word>[^${}]*))?\}")
_OTHER_SYNTAX = regex(r"[{}<>%]|\$|__\w+__|@@")
_TAG_VARIABLE = regex(r"[^/]:(?P<tag>[^/@]*)$")
TAG_NAME = regex(r"[A-Z][A-Z0-9_]*(?:TAG|VERSION|RELEASE)|TAG")
_NO_OWN_WORDS = frozenset({"IMAGE", "TAG", "VERSION", "DOCKER", "CONTAINER", "RELEASE", "APP"})
_GIVEN = "x1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageText:
    """An image as a compose file says it: `written`, and `filled` with the defaults of its variables. `variables` are those of its tag that have a default."""

    file: str
    line: int | None
    service: str
    written: str
    filled: str
    variables: tuple[str, ...]

    @property
    def is_malformed(self) -> bool:
        """Whether no registry could have it; a text in another syntax than compose's is not judged."""
        return not _OTHER_SYNTAX.search(self.filled) and _REFERENCE.fullmatch(self.filled) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTag:
    """A variable for a tag that is set at a place and that nothing reads, beside the one that the image takes its tag from and that nothing sets."""

    file: str
    line: int
    name: str
    wanted: str
    image_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTags:
    """The images of all compose files, and the tags that do not reach them."""

    images: tuple[ImageText, ...]
    lost: tuple[LostTag, ...]


def image_text(scalar: Scalar, service: str) -> ImageText:
    """An image of a service."""
    return ImageText(
        file=scalar.file, line=scalar.line, service=service, written=scalar.text, filled=_filled(scalar.text), variables=tuple(_tag_variables(scalar.text))
    )


def _filled(text: str) -> str:
    """With the defaults of its variables, inner ones first, and something for those that have none."""
    for _ in range(5):
        filled = _SIMPLE.sub(_value, text)
        if filled == text:
            break
        text = filled
    return text


def _value(found: re.Match[str]) -> str:
    operator, word = found["operator"] or "", found["word"] or ""
    return word if operator in ("-", ":-") else "" if operator in ("+", ":+") else _GIVEN


def _tag_variables(text: str) -> Iterator[str]:
    """The variables with a default that stand in the tag: `${TAG:-1}` after the last colon that is no part of a variable."""
    bare = _SIMPLE.sub(lambda found: "\0" * len(found[0]), text)
    tag = _TAG_VARIABLE.search(bare)
    for found in _SIMPLE.finditer(text) if tag else ():
        if tag and found.start() >= tag.start("tag") and found["operator"] in ("-", ":-") and found["name"]:
            yield found["name"]


# ---- tags that are set under another name


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A place that sets a variable for a tag."""

    file: str
    line: int
    name: str


_SETS = regex(rf"^[ \t]*(?:export[ \t]+)?(?P<name>{TAG_NAME.pattern})=", re.MULTILINE)

_WRITES = regex(rf"\b(?:echo|printf|sed)\b[^\n]*?(?<![\w$])(?P<name>{TAG_NAME.pattern})=")


def settings(file: str, text: str) -> Iterator[Setting]:
    """The variables for tags that an env file or a script sets, in its own environment or in a file."""
    if not any(end in text for end in ("TAG=", "VERSION=", "RELEASE=")):
        return
    found = {match.start("name"): match["name"] for pattern in (_SETS, _WRITES) for match in pattern.finditer(text)}
    for at in sorted(found):
        yield Setting(file=file, line=text.count("\n", 0, at) + 1, name=found[at])


def perhaps_lost(images: Sequence[ImageText], given: Iterable[Setting]) -> tuple[Setting, ...]:
    """The settings that may be meant for a tag of an image and have another name; whether anything reads them is still to be seen."""
    every = tuple(given)
    wanted = {name for image in images for name in image.variables}
    unset = wanted - {one.name for one in every}
    alone = len(wanted) == 1
    return tuple(one for one in every if one.name not in wanted and any(_alike(one.name, name, alone=alone) for name in unset))


def lost_tags(images: Sequence[ImageText], doubtful: Iterable[Setting], texts: Mapping[str, str]) -> Iterator[LostTag]:
    """The doubtful settings that no text reads, beside a variable of an image's tag that no text sets. `texts` are all files that may read or set one."""
    wanted = {name: image for image in images for name in image.variables}
    unset = [name for name in wanted if not any(_sets(text, name) for path, text in texts.items() if path != wanted[name].file)]
    for setting in doubtful:
        fitting = [name for name in unset if _alike(setting.name, name, alone=len(wanted) == 1)]
        if len(fitting) == 1 and not any(_reads(text, setting.name) for text in texts.values()):
            yield LostTag(file=setting.file, line=setting.line, name=setting.name, wanted=fitting[0], image_file=wanted[fitting[0]].file)


def _sets(text: str, name: str) -> bool:
    """Whether a text sets a variable, or shows how: `NAME=`, `NAME: value`."""
    return re.search(rf"(?<![\w${{]){name}\b[ \t]*[=:]", text) is not None


def _reads(text: str, name: str) -> bool:
    """Whether a text names a variable other than by setting it."""
    return any(not re.match(r"[ \t]*=", text[found.end() :]) for found in re.finditer(rf"(?<!\w){name}(?!\w)", text))


def _alike(one: str, other: str, *, alone: bool) -> bool:
    """Whether two names are of the same thing: they share a word of their own, or neither has one."""
    own, others = set(one.split("_")) - _NO_OWN_WORDS, set(other.split("_")) - _NO_OWN_WORDS
    return bool(own & others) or (alone and not own)
