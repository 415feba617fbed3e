"""What was known to be wrong when a repository took interlock up? The baseline file: read, and written so that a human can review its changes.

One finding a line, sorted, without line numbers, times or anything else that moves by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from interlock.config.reading import read_regular_file
from interlock.config.waivers import WaiverFileError
from interlock.errors import ConfigError, UsageError
from interlock.nouns import dataclass
from interlock.patterns import regex

SCHEMA = "interlock/baseline/1"
SIZE_LIMIT = 64 * 1024 * 1024
_FIRST, _LINE, _AT_LINE = regex(r"line \d+: "), regex(r"\blines? \d+"), regex(r"(\.\w+):\d+\b")
_KEY = regex("[0-9a-f]{16}")
_TEXTS = ("guardrail", "subject", "file", "key", "message")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Finding:
    """What a finding is known by: its pair, the file that it is in (empty where it is in none), and its key."""

    guardrail: str
    subject: str
    file: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a baseline: a finding, how often it was found, and what was said of it, for those who read the file."""

    finding: Finding
    message: str
    count: int = 1


def load_baseline(path: Path) -> Mapping[Finding, int]:
    """Every finding of a baseline and how often it may be found.

    Raises UsageError when there is no such file, WaiverFileError when it is none of ours.
    """
    if not path.exists():
        raise UsageError(f"there is no baseline {path}", where=str(path), remedy=f"write one: interlock scan --write-baseline {path}")
    try:
        data = json.loads(read_regular_file(path, SIZE_LIMIT))
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"it is no JSON: {error}") from error
    except ConfigError as error:
        raise WaiverFileError(error.what, where=error.where, why=error.why, remedy=error.remedy) from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("findings"), list):
        raise _wrong(path, f"it is no object with `schema: {SCHEMA}` and a list of `findings`")
    found: dict[Finding, int] = {}
    for number, entry in enumerate(data["findings"], 1):
        finding, count = _entry(path, number, entry)
        found[finding] = found.get(finding, 0) + count
    return found


def _entry(path: Path, number: int, entry: Any) -> tuple[Finding, int]:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in _TEXTS) or set(entry) - {*_TEXTS, "count"}:
        raise _wrong(path, f"its finding {number} is no object of {', '.join(_TEXTS)}")
    count = entry.get("count", 1)
    if type(count) is not int or count < 1:
        raise _wrong(path, f"its finding {number} has a count that is no number from 1 on")
    if not _KEY.fullmatch(entry["key"]):
        raise _wrong(path, f"its finding {number} has no key of 16 hexadecimal digits")
    return Finding(guardrail=entry["guardrail"], subject=entry["subject"], file=entry["file"], key=entry["key"]), count


def _wrong(path: Path, why: str) -> WaiverFileError:
    remedy = f"write it anew: interlock scan --write-baseline {path}"
    return WaiverFileError("this is no baseline of ours", where=str(path), why=why, remedy=remedy)


def baseline_text(entries: Iterable[Entry]) -> str:
    """The one text of a baseline: the same findings give the same bytes. Equal findings are counted."""
    together: dict[Finding, Entry] = {}
    for entry in entries:
        known = together.get(entry.finding)
        message = entry.message if known is None else min(known.message, entry.message)
        together[entry.finding] = Entry(finding=entry.finding, message=message, count=entry.count + (known.count if known else 0))
    lines = [json.dumps(_plain(together[finding]), ensure_ascii=True) for finding in sorted(together)]
    inside = ("\n  " + ",\n  ".join(lines) + "\n") if lines else ""
    return f'{{"schema": "{SCHEMA}", "findings": [{inside}]}}\n'


def _plain(entry: Entry) -> dict[str, Any]:
    finding = entry.finding
    shown = {"guardrail": finding.guardrail, "subject": finding.subject, "file": finding.file, "key": finding.key, "message": _without_lines(entry.message)}
    return shown | ({"count": entry.count} if entry.count > 1 else {})


def _without_lines(message: str) -> str:
    """What was said, without the numbers of lines, which move with every change."""
    return _LINE.sub("line *", _AT_LINE.sub(r"\1", message.removeprefix(found[0]) if (found := _FIRST.match(message)) else message))
