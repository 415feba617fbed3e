"""Walks of this machine: listings as judges take them, streamed, and closed when nobody wants more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from interlock.errors import CouldNotLook
from interlock.facts.looks import Entry, Listing
from interlock.observe import files, probe


def test_listings_and_entries_have_names(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"123")
    (listing,) = files.walk(str(tmp_path))
    assert isinstance(listing, Listing)
    assert isinstance(listing.itself, Entry)
    assert [(entry.name, entry.size, type(entry)) for entry in listing.entries] == [("f", 3, Entry)]
    assert listing.device


@pytest.mark.parametrize(("make", "remedy"), [("missing", "create it"), ("file", "correct the path"), ("link", "the link leads to")])
def test_a_root_that_cannot_be_walked_says_what_would_help(tmp_path: Path, make: str, remedy: str) -> None:
    path = tmp_path / "x"
    if make == "file":
        path.touch()
    elif make == "link":
        path.symlink_to(tmp_path)
    with pytest.raises(CouldNotLook) as caught:
        next(iter(files.walk(str(path))))
    assert str(path) in caught.value.what
    assert remedy in caught.value.remedy


def test_a_walk_of_a_dead_mount_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(probe, "look_root", lambda _root: release.wait(20))
    with pytest.raises(CouldNotLook, match="in time") as caught:
        list(files.walk(str(tmp_path), step_limit=0.1))
    release.set()
    assert "dead network mount" in caught.value.remedy


def test_a_walk_that_is_left_early_closes_everything(tmp_path: Path) -> None:
    (tmp_path / "1/2/3").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    walk = files.walk(str(tmp_path))
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_memory_does_not_grow_with_a_directory(tmp_path: Path) -> None:
    """Two directories, one with thirty times the files: as much memory for the one as for the other."""
    peaks = {}
    (tmp_path / "one").touch()
    for count in (1_000, 30_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            os.link(tmp_path / "one", folder / f"{number:07d}.dump")
        code = (
            "import resource, sys; from interlock.observe.files import walk\n"
            "seen = sum(len(listing.entries) for listing in walk(sys.argv[1]))\n"
            "print(seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, env=dict(os.environ))
        seen, peaks[count] = map(int, done.stdout.split())
        assert seen == count
    assert peaks[30_000] < peaks[1_000] + 6_000  # KiB; the entries of 30,000 files would take more than 8,000
