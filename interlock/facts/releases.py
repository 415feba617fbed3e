"""Which number does a release get? The tags `<channel>-YYYY.MM.N` of a repository, and what the scripts that make them do to find the next N.

All channels share one counter: a number is given once a month, whatever the channel, so that `2026.04.7` names one build wherever it is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from interlock.facts.programs import Unreadable
from interlock.facts.shell import AndOr, Command, Pipeline, Script, Statement, Variable, Word, walk
from interlock.nouns import dataclass
from interlock.patterns import regex

_TAG = regex(r"(?P<channel>[A-Za-z]+)-(?P<year>20\d\d)\.(?P<month>0?[1-9]|1[0-2])\.(?P<number>\d{1,6})")
_CALLED = "stable dev beta alpha rc nightly edge canary preview latest main master testing test staging stage prod production release next lts hotfix develop"
CHANNELS = frozenset(_CALLED.split())
"""What a channel is called; other names before a version are those of the parts of a repository, each with its own numbers."""
MONTH = regex(r"%Y[.]%-?m\b|%Y[.]%02?m")
"""A date in the form of these versions, in the text of a script."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ReleaseTag:
    """One tag, and the commit that it leads to."""

    year: int
    month: int
    number: int
    channel: str
    commit: str

    @property
    def name(self) -> str:
        """As a reader writes its version."""
        return f"{self.year}.{self.month:02}.{self.number}"

    @classmethod
    def parse(cls, name: str, commit: str) -> ReleaseTag | None:
        """From the tag's name; None for a tag of another form, or of what is no channel."""
        found = _TAG.fullmatch(name)
        if found is None or found["channel"].lower() not in CHANNELS:
            return None
        return cls(year=int(found["year"]), month=int(found["month"]), number=int(found["number"]), channel=found["channel"], commit=commit)


class Slip(StrEnum):
    """What gives a number twice. The values are the kinds of findings."""

    PER_CHANNEL = "per-channel"  # each channel counts its own tags
    COUNTED = "counted"  # the next number is how many there are, not one more than the highest
    NOT_CLAIMED = "not-claimed"  # the push of the tag may fail without a word


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSlip:
    """One place of a script that gives a number twice."""

    path: str
    line: int
    slip: Slip


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """The release tags of a checkout, none where there is none, and the places that make such tags wrong. `makers` are the files that make any,
    `unreadable` those that may."""

    tags: tuple[ReleaseTag, ...] = ()
    makers: tuple[str, ...] = ()
    slips: tuple[TagSlip, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


def twice(tags: Iterable[ReleaseTag]) -> Iterator[tuple[ReleaseTag, ...]]:
    """The tags of one month that share a number and not the commit, newest first."""
    found: dict[tuple[int, int, int], list[ReleaseTag]] = {}
    for tag in tags:
        found.setdefault((tag.year, tag.month, tag.number), []).append(tag)
    for _, same in sorted(found.items(), reverse=True):
        if len({tag.channel for tag in same}) > 1 and len({tag.commit for tag in same}) > 1:
            yield tuple(sorted(same))


def slips_of(path: str, script: Script) -> Iterator[TagSlip]:
    """What a script that makes these tags does wrong. The caller knows that it makes them."""
    channels = _channels(script)
    for statement in walk(script.statements):
        match statement:
            case Command() if (pattern := _listed(statement)) is not None and _of_one_channel(pattern, channels):
                yield TagSlip(path=path, line=statement.line, slip=Slip.PER_CHANNEL)
            case Pipeline() if any(_lists_tags(stage) for stage in statement.stages[:-1]) and _counts(statement.stages[-1], statement.stages):
                yield TagSlip(path=path, line=statement.line, slip=Slip.COUNTED)
            case AndOr(operator="||") if _pushes_tag(statement.left) and _says_only(statement.right):
                yield TagSlip(path=path, line=statement.line, slip=Slip.NOT_CLAIMED)
            case _:
                continue


def _words(statement: Statement) -> list[str]:
    return [word.raw.strip("\"'") for word in statement.words] if isinstance(statement, Command) else []


def _lists_tags(statement: Statement) -> bool:
    return isinstance(statement, Command) and _listed(statement) is not None


def _listed(command: Command) -> Word | None:
    """The pattern of `git tag -l PATTERN`."""
    words = _words(command)
    if words[:2] != ["git", "tag"] or not {"-l", "--list"} & set(words):
        return None
    return next((word for word in command.words[2:] if not word.raw.startswith("-")), None)


def _channels(script: Script) -> frozenset[str]:
    """The variables that are given two names of channels at least."""
    given: dict[str, set[str]] = {}
    for command in script.commands():
        for one in command.assignments:
            if one.value is not None and one.value.literal and one.value.literal.lower() in CHANNELS:
                given.setdefault(one.name, set()).add(one.value.literal)
    return frozenset(name for name, values in given.items() if len(values) > 1)


def _of_one_channel(pattern: Word, channels: frozenset[str]) -> bool:
    first = pattern.parts[0] if pattern.parts else None
    return isinstance(first, Variable) and first.name in channels


def _counts(last: Statement, stages: tuple[Statement, ...]) -> bool:
    return any(_words(stage)[:2] == ["wc", "-l"] for stage in stages if stage is last or _words(stage)[:1] == ["wc"])


def _pushes_tag(statement: Statement) -> bool:
    words = _words(statement)
    return words[:2] == ["git", "push"] and any(word == "--tags" or "tag" in word.lower() or "version" in word.lower() for word in words[2:])


def _says_only(statement: Statement) -> bool:
    return _words(statement)[:1] in (["echo"], ["true"], [":"], ["printf"])
