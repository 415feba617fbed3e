"""How is a moment written? RFC 3339 in UTC with `Z`, in plans, approvals, journals and records alike."""

from __future__ import annotations

from datetime import UTC, datetime

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def written(moment: datetime) -> str:
    """`2026-11-20T21:00:00Z`, whole seconds. `moment` is aware; a naive one is a mistake of the caller (ValueError)."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).strftime(_FORMAT)


def stamp(moment: datetime) -> str:
    """`20261120T210000Z`, for names of files and folders."""
    return written(moment).replace("-", "").replace(":", "")


def read(text: str) -> datetime:
    """The moment that `written` wrote. Raises ValueError for any other text."""
    moment = datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
    if written(moment) != text:  # strptime also takes 2026-1-2
        raise ValueError(f"{text!r} is not written as {_FORMAT}")
    return moment


def in_words(seconds: float) -> str:
    """`40 s`, `5 min`, `4 h`, `3 d`: what an operator reads."""
    whole = max(0, int(seconds))
    for unit, size, above in (("d", 86400, 2 * 86400), ("h", 3600, 2 * 3600), ("min", 60, 120)):
        if whole >= above:
            return f"{whole // size} {unit}"
    return f"{whole} s"
