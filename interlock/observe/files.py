"""What lies below a directory of this machine? The walk of `probe.py` as `Listing`s, streamed: nothing is kept but the directory at hand."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.errors import CouldNotLook
from interlock.facts.looks import Entry, Listing, remedy_for
from interlock.observe import probe

STEP_LIMIT = 10.0


def walk(root: str, *, step_limit: float = STEP_LIMIT) -> Iterator[Listing]:
    """Every directory below `root`, top down, `root` first, without following links. No child process, no file opened but the directories.

    `step_limit` is how many seconds the next thousand entries or so may take: a dead network mount holds nobody for ever. Raises `CouldNotLook`, at the
    first listing, when `root` is not there, no directory, or a link; and at any when a step takes longer.
    """
    found = probe.patient_walk(probe.to_bytes(root), lambda: step_limit, Entry)
    try:
        for directory, itself, entries, error, device, vanished in found:
            yield Listing(directory, itself, entries, error, device, vanished)
    except probe.CouldNot as could_not:
        raise CouldNotLook(f"{root} could not be walked: {could_not.text}", where=root, remedy=remedy_for(could_not.code, "this user")) from could_not
    finally:
        found.close()
