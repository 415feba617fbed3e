"""What the proofs of all families share."""

from __future__ import annotations

from collections.abc import Hashable

import pytest


@pytest.fixture(scope="session")
def seen() -> set[Hashable]:
    """Which healthy and which blind sites were right already (`prove`)."""
    return set()
