"""What vouches for a backup, and when was it taken? The manifest beside it, the line of a checksum file, the stamp in its name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from interlock.facts.looks import Examined
from interlock.nouns import dataclass
from interlock.patterns import regex

SCHEMA = "interlock/backup/1"
_LAST_SECOND = 253_402_300_799  # of the year 9999: a damaged inode can say anything
_HEX = regex(r"[0-9a-f]{64}")
_LINE = regex(r"\\?(?P<before>[0-9a-fA-F]{64})(?:[ \t]+[ *]?\S.*)?|SHA256 ?\(.*\) ?= ?(?P<after>[0-9a-fA-F]{64})")
_STAMP = regex(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})[T_ -](\d{2})[:-]?(\d{2})[:-]?(\d{2})Z(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What lies beside a backup and vouches for it. What it does not say is empty or None. `sha256`: 64 hex digits, without a prefix; `size` in bytes.

    `ours`: interlock wrote it, after it had read the backup back from the disk.
    """

    ours: bool
    sha256: str = ""
    size: int | None = None
    module: str = ""
    paths: tuple[str, ...] = ()
    started: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Manifest | None:
        """From `NAME.json`, or a line of sha256sum's. None for a text that is neither: it was cut short, or is something else."""
        text = text.strip()
        if line := _LINE.fullmatch(text):
            return cls(ours=False, sha256=(line["before"] or line["after"]).lower())
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return cls._of(said) if isinstance(said, dict) else None

    @classmethod
    def _of(cls, said: dict[str, Any]) -> Manifest:
        size = next((value for key in ("bytes", "size") if type(value := said.get(key)) is int), None)
        paths = said.get("paths")
        entries = paths if isinstance(paths, list) else []
        return cls(
            ours=said.get("schema") == SCHEMA,
            sha256=bare_digest(said.get("sha256")),
            size=size,
            module=module if isinstance(module := said.get("module"), str) else "",
            paths=tuple(path for entry in entries if isinstance(path := entry.get("path") if isinstance(entry, dict) else entry, str)),
            started=_moment(said.get("started")),
        )


def bare_digest(value: object) -> str:
    """64 hex digits in lower case, from a digest with or without `sha256:`; empty for everything else."""
    text = value.lower().removeprefix("sha256:") if isinstance(value, str) else ""
    return text if _HEX.fullmatch(text) else ""


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


class Told(StrEnum):
    """What told when a backup was taken; the values are how a message says it."""

    MANIFEST = "by its manifest"
    NAME = "by the stamp in its name"
    MTIME = "by the time of its file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """When a backup was begun, or where only the file's time is known, when it was last written."""

    at: datetime
    told: Told


def taken(file: Examined) -> Taken:
    """When a file of a backup was taken: its manifest knows best, then a stamp in UTC in its name; a copy's own time may be that of the copying."""
    manifest = Manifest.parse(file.manifest) if file.manifest else None
    if manifest is not None and manifest.started is not None:
        return Taken(at=manifest.started, told=Told.MANIFEST)
    for stamp in _STAMP.finditer(file.name):
        try:
            return Taken(at=datetime(*map(int, stamp.groups()), tzinfo=UTC), told=Told.NAME)  # type: ignore[misc,arg-type]
        except ValueError:
            continue
    return Taken(at=datetime.fromtimestamp(max(0, min(file.mtime, _LAST_SECOND)), UTC), told=Told.MTIME)


def in_words(seconds: float) -> str:
    """`40 s`, `5 min`, `26 h`, `3 d`: an age as an operator reads it."""
    whole = max(0, int(seconds))
    for unit, size, above in (("d", 86400, 3 * 86400), ("h", 3600, 2 * 3600), ("min", 60, 120)):
        if whole >= above:
            return f"{whole // size} {unit}"
    return f"{whole} s"
