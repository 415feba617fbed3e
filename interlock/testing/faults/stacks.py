"""Services whose mounts are not where their servers keep what must stay, volumes that nobody mounts or that the engine keeps as they were, and what else of a
chain only an operator notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

BASE = """\
services:
  db:
    image: postgres:18
    stop_grace_period: 2m
    volumes:
      - rows:/var/lib/postgresql
  app:
    image: registry.example.org/app:stable
    volumes:
      - uploads:/srv/uploads
volumes:
  rows: {}
  uploads: {}
"""
OVERLAY = """\
services:
  app:
    volumes: !override
      - /srv/disk:/srv/uploads
"""
BOUND = """\
services:
  app:
    restart: always
volumes:
  uploads:
    driver_opts: {type: none, o: "rbind", device: /srv/disk}
"""
NAMES = ("compose.yaml", "compose.prod.yaml")
EXCLUDED = [{what: "*", "reason": "proves another guardrail"} for what in ("container", "volume")]


def _healthy(folder: Path) -> None:
    _write(folder, BASE, OVERLAY)


def _write(folder: Path, *texts: str, disk: bool = False) -> None:
    for name, text in zip(NAMES, texts, strict=True):
        (folder / name).write_text(text)
    mounts = {"mounts": {"state": {"path": "/srv/disk/state", "device": "LABEL=state"}}} if disk else {}
    write_site(folder, {**mounts, "compose": {"files": list(NAMES), "chains": {"prod": {"files": list(NAMES)}}}, "excluded": EXCLUDED})


def _healthy_on_a_disk(folder: Path) -> None:
    _write(folder, BASE, OVERLAY, disk=True)


def _change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def seed(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return seed


def _base_is_a_directory(folder: Path) -> None:
    for name in NAMES:
        (folder / name).unlink()
        (folder / name).mkdir()


def _volume_of_its_own(folder: Path) -> None:
    _write(folder, BASE.replace("  uploads: {}\n", ""), BOUND, disk=True)


def _fault(guardrail: str, describe: str, kind: str, seed: Callable[[Path], None], healthy: Callable[[Path], None] = _healthy) -> Fault:
    return Fault(guardrail=guardrail, describe=describe, kind=kind, gate=When.STATIC, healthy=healthy, seed=seed, blind=_base_is_a_directory)


FAULTS = (
    _fault(
        "compose.data_dir_matches_mount",
        "a database is mounted where the version before kept its data",
        "data-elsewhere",
        _change(NAMES[0], "rows:/var/lib/postgresql", "rows:/var/lib/postgresql/data"),
    ),
    _fault(
        "compose.volume_declared_but_unmounted",
        "a service lost its mount, and the volume is still declared",
        "not-mounted",
        lambda folder: _write(folder, BASE.replace("    volumes:\n      - uploads:/srv/uploads\n", ""), OVERLAY.replace("!override", "")),
    ),
    _fault(
        "mounts.driver_opts_immutable",
        "the overlay leads the volume to a disk by its options",
        "options-steer",
        lambda folder: _write(folder, BASE, BOUND, disk=True),
        _healthy_on_a_disk,
    ),
    _fault(
        "mounts.propagation",
        "a volume binds a directory without the disk that is mounted below it",
        "not-recursive",
        _change(NAMES[1], '"rbind"', '"bind"'),
        _volume_of_its_own,
    ),
)
