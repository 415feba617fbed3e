"""What does a program get that asks for `--format json`? The record itself, as it lies in record.json."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.evidence.details import Details
from interlock.evidence.record import Record


def render(record: Record, _details: Details) -> Iterator[str]:
    """The record's one JSON text."""
    yield record.to_json().decode("ascii")
