"""Which known failures may pass, until when, and who said so? Reads the waiver file; `interlock.gate.waivers` judges what may be waived."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from interlock.config.reading import read_regular_file
from interlock.config.refusal import Refusal, did_you_mean, dotted
from interlock.config.yamltext import SITE, Fault, KeyPath, Positions, read_yaml, say_type
from interlock.errors import ConfigError, WaiverError
from interlock.nouns import dataclass
from interlock.patterns import regex

_TEXTS = ("guardrail", "subject", "reason", "owner", "ticket", "approver")
_REQUIRED = (*_TEXTS, "fingerprint", "expires_at")
_KEYS = (*_REQUIRED, "id", "up_to")
_FINGERPRINT = regex("[0-9a-f]{16}")
_ID = regex("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RFC_3339 = regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


class WaiverFileError(ConfigError):
    """The waiver file cannot be used; `problems` as in ConfigError."""

    exit_code: ClassVar[int] = WaiverError.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One failure that may pass: `fingerprint` is its key in a record, `up_to` bounds its ordinal value.

    `expires_at` is aware, UTC. `id` is the file's, or made of guardrail, subject and fingerprint. `line` is where the entry begins.
    """

    id: str
    guardrail: str
    subject: str
    fingerprint: str
    reason: str
    owner: str
    ticket: str
    approver: str
    expires_at: datetime
    up_to: int | None = None
    line: int


def load_waivers(path: Path) -> tuple[Waiver, ...]:
    """The waivers of a file, in its order; none when there is no such file, or nothing but comments in it.

    Raises WaiverFileError with every fault in `problems`, in the order of the file.
    """
    if not os.path.lexists(path):
        return ()
    try:
        text = read_yaml(read_regular_file(path, SITE.size), SITE)
    except ConfigError as error:
        raise WaiverFileError(error.what, where=error.where, why=error.why, remedy=error.remedy) from error
    refusal = Refusal(str(path), text.positions, WaiverFileError)
    refusal.take(problem for problem in text.problems if problem.kind is not Fault.EMPTY)
    entries = _entries(text.data, refusal)
    waivers = {path: waiver for path, entry in entries if (waiver := _Entry(path, entry, text.positions, refusal).read())}
    _check_unique(waivers, refusal)
    refusal.raise_if_any()
    return tuple(waivers.values())


def _entries(data: Any, refusal: Refusal) -> list[tuple[KeyPath, dict[str, Any]]]:
    """The mappings that stand in the list `waivers`."""
    if data is None:
        return []
    if not isinstance(data, dict):
        refusal.at_value((), f"a waiver file is a mapping, and this is {say_type(data)}", remedy="begin it with `waivers:`, and the list below")
        return []
    for key in data:
        if key != "waivers":
            refusal.at_key((key,), f"{key} is no key that exists", remedy=did_you_mean(key, ("waivers",), "it can be"))
    entries = data.get("waivers")
    if not isinstance(entries, list):
        refusal.at_value(("waivers",), f"waivers must be a list, and is {say_type(entries)}", remedy="write `waivers: []` where there is none")
        return []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            what = f"waivers[{index}] must be a mapping, and is {say_type(entry)}"
            refusal.at_value(("waivers", index), what, remedy=f"write {', '.join(_REQUIRED)}")
    return [(("waivers", index), entry) for index, entry in enumerate(entries) if isinstance(entry, dict)]


def _check_unique(waivers: Mapping[KeyPath, Waiver], refusal: Refusal) -> None:
    """One failure has one waiver, or nobody knows which of two dates counts; an id means one waiver."""
    first: dict[tuple[str, ...], Waiver] = {}
    for path, waiver in waivers.items():
        failure = (waiver.guardrail, waiver.subject, waiver.fingerprint)
        for identity, what in ((failure, "waives the same failure"), ((waiver.id,), f"has the same id {waiver.id}")):
            other = first.setdefault(identity, waiver)
            if other is not waiver:
                refusal.at_key(path, f"{dotted(path)} {what} as the waiver on line {other.line}", remedy="keep one of them")
                break


class _Entry:
    """One entry of the list, on its way to a Waiver."""

    def __init__(self, path: KeyPath, data: dict[str, Any], positions: Positions, refusal: Refusal) -> None:
        self._path = path
        self._data = data
        self._positions = positions
        self._refusal = refusal

    def read(self) -> Waiver | None:
        """The waiver, or None and a fault told."""
        for key in self._data:
            if key not in _KEYS:
                self._refusal.at_key((*self._path, key), f"{self._name(key)} is no key that exists", remedy=did_you_mean(key, _KEYS, "it can be one of"))
        texts = {key: self._text(key) for key in _TEXTS}
        fingerprint, expires_at = self._fingerprint(), self._expires_at()
        id_, up_to = self._id(), self._up_to()
        if fingerprint is None or expires_at is None or None in texts.values():
            return None
        given = {key: text for key, text in texts.items() if text is not None}
        made = hashlib.sha256("\0".join((given["guardrail"], given["subject"], fingerprint)).encode()).hexdigest()[:12]
        line = self._positions.nearest(self._path).key.line
        return Waiver(id=id_ or f"w-{made}", **given, fingerprint=fingerprint, expires_at=expires_at, up_to=up_to, line=line)

    def _name(self, key: str) -> str:
        return dotted((*self._path, key))

    def _text(self, key: str) -> str | None:
        """The text under `key` as it is written: a ticket 0042 is no number."""
        path = (*self._path, key)
        if key not in self._data:
            if key in _REQUIRED:
                self._refusal.at_key(path, f"{self._name(key)} is missing", remedy=f"add `{key}:`")
            return None
        value, written = self._data[key], self._positions.written(path)
        if value is None or isinstance(value, bool | list | dict) or written is None:
            self._refusal.at_value(path, f"{self._name(key)} must be text, and is {say_type(value)}", remedy="write it in quotes")
            return None
        if not written.strip():
            self._refusal.at_value(path, f"{self._name(key)} is empty text", remedy="a waiver says who lets what pass, and why: write it")
            return None
        return written.strip()

    def _matching(self, key: str, pattern: re.Pattern[str], what: str, remedy: str) -> str | None:
        text = self._text(key)
        if text is not None and not pattern.fullmatch(text):
            self._refusal.at_value((*self._path, key), f"{self._name(key)}: {text[:60]!r} is {what}", remedy=remedy)
            return None
        return text

    def _fingerprint(self) -> str | None:
        return self._matching("fingerprint", _FINGERPRINT, "no fingerprint", "copy the `key` of the failure from the record: 16 hexadecimal digits")

    def _id(self) -> str | None:
        return self._matching("id", _ID, "no name", "use letters, digits, dot, dash and underscore, at most 63")

    def _up_to(self) -> int | None:
        value = self._data.get("up_to", 0)
        if type(value) is not int or value < 0:
            path = (*self._path, "up_to")
            self._refusal.at_value(
                path, f"{self._name('up_to')} must be a whole number from 0 on", remedy="write the largest value that may pass, or remove the key"
            )
        return value if "up_to" in self._data and type(value) is int else None

    def _expires_at(self) -> datetime | None:
        """A moment, never a day: whose midnight would it be?"""
        remedy = "write it to the second and with its offset, like 2026-03-31T12:00:00Z"
        text = self._matching("expires_at", _RFC_3339, "no moment in time", remedy)
        if text is None:
            return None
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            self._refusal.at_value((*self._path, "expires_at"), f"{self._name('expires_at')}: there is no such moment as {text[:60]}", remedy=remedy)
            return None
