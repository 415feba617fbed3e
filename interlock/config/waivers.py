"""Which known failures may pass, until when, and who said so? Reads the waiver file; `interlock.gate.waivers` judges what may be waived."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from interlock.config.reading import read_regular_file
from interlock.config.refusal import Refusal, did_you_mean, dotted
from interlock.config.yamltext import SITE, Fault, KeyPath, Positions, read_yaml, say_type

REQUIRED: Final = ("guardrail", "subject", "fingerprint", "reason", "owner", "ticket", "approver", "expires_at")
OPTIONAL: Final = ("id", "up_to")

_FINGERPRINT = re.compile("[0-9a-f]{16}")
_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WHOLE = re.compile("0|[1-9][0-9]{0,17}")
_RFC_3339 = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?P<fraction>\.[0-9]+)?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One failure that may pass: `fingerprint` is its key in a record, `up_to` bounds its ordinal value.

    `expires_at` is aware, UTC. `id` is the file's, or a digest of guardrail, subject and fingerprint. `line` is where the entry begins.
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

    Raises ConfigError with every fault in `problems`, in the order of the file.
    """
    if not _is_there(path):
        return ()
    text = read_yaml(read_regular_file(path, SITE.size), SITE)
    refusal = Refusal(str(path), text.positions)
    refusal.take(problem for problem in text.problems if problem.kind is not Fault.EMPTY)
    waivers = tuple(waiver for entry in _entries(text.data, refusal) if (waiver := _waiver(entry, text.data, text.positions, refusal)))
    _check_unique(waivers, refusal)
    refusal.raise_if_any()
    return waivers
