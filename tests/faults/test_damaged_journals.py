"""A journal that ends at any byte, or of which any bit is another: its plan is never applied again, and status never tells what is not so."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from interlock import runner
from interlock.act import journal as journals
from interlock.commands.status import status_text
from interlock.errors import EvidenceError, InterlockError, StaleError
from interlock.facts.canonical import short
from tests.tiny_site import NOW, Tiny, make_tiny

PROVE = os.environ.get("INTERLOCK_PROFILE") == "prove"
TRIED = 20_000_000 if PROVE else 150  # of each kind; all that there are, in `make prove`
WHOLE = 400 if PROVE else 20  # of them with all three verbs


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """An action that is done; a second one stands before it in the chain."""
    tiny = make_tiny(tmp_path_factory.mktemp("damaged"), steps="      - write-files: {templates: [conf]}\n")
    for _ in range(2):
        tiny.later(seconds=5)
        assert runner.apply(tiny.site, short(tiny.approved().digest), tiny.environ, tiny.means()).exit_code == 0
    return tiny


def truncations(whole: bytes) -> Iterator[bytes]:
    yield from (whole[:length] for length in range(len(whole)))


def flipped_bits(whole: bytes) -> Iterator[bytes]:
    for place in range(len(whole)):
        yield from (whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :] for bit in range(8))


def taken_lines(whole: bytes) -> Iterator[bytes]:
    lines = whole.splitlines(keepends=True)
    yield from (b"".join(lines[:number] + lines[number + 1 :]) for number in range(len(lines)))
    yield from (b"".join([*lines[: number + 1], *lines[number:]]) for number in range(len(lines)))


def some(kinds: Iterator[bytes]) -> list[bytes]:
    found = list(kinds)
    return found if len(found) <= TRIED else random.sample(found, TRIED)


@pytest.mark.parametrize("damage", [truncations, flipped_bits, taken_lines])
@pytest.mark.parametrize("which", [journals.FILE, journals.HEAD])
def test_a_damaged_journal_is_found_before_anything_is_done_or_told(applied: Tiny, damage: Callable[[bytes], Iterator[bytes]], which: str) -> None:
    trail = journals.newest(applied.books.journals)
    assert trail is not None
    path = applied.books.journals / (f"{trail.id}/{which}" if which == journals.FILE else which)
    whole, before = path.read_bytes(), applied.look()
    plan = applied.books.plans / str(trail.entries[0].data["plan_folder"])
    damaged = some(damage(whole))
    try:
        for number, data in enumerate(damaged):
            path.write_bytes(data)
            with pytest.raises(EvidenceError, match="does not verify"):
                status_text(applied.site, now=NOW)
            for verb in (runner.apply, runner.resume, runner.rollback) if number % max(1, len(damaged) // WHOLE) == 0 else ():
                with pytest.raises(EvidenceError, match="does not verify"):
                    verb(applied.site, str(plan), applied.environ, applied.means())
    finally:
        path.write_bytes(whole)
    assert applied.look() == before
    with pytest.raises(StaleError, match="was applied already"):
        runner.apply(applied.site, str(plan), applied.environ, applied.means())


@pytest.mark.parametrize("damage", [truncations, flipped_bits])
def test_a_damaged_journal_of_an_older_action_lets_nothing_be_applied(applied: Tiny, damage: Callable[[bytes], Iterator[bytes]]) -> None:
    older = journals.ids(applied.books.journals)[0]
    path = applied.books.journals / older / journals.FILE
    whole, before = path.read_bytes(), applied.look()
    plan = applied.books.plans / str(journals.read(applied.books.journals, older).entries[0].data["plan_folder"])
    try:
        for data in some(damage(whole)):
            path.write_bytes(data)
            with pytest.raises(InterlockError) as caught:
                runner.apply(applied.site, str(plan), applied.environ, applied.means())
            assert caught.value.exit_code == 17
    finally:
        path.write_bytes(whole)
    assert applied.look() == before
