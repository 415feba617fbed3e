"""A container whose process cannot use what it was given, and secrets that everybody reads: on a running engine, for whoever may use it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from interlock.facts.mounts import MountTable
from interlock.testing import containers
from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

ROOT, STRANGER = 0, 61001
DATABASE = "postgres:interlock-proof"  # a second name of the image: what a database keeps is told by the name
DATABASE_DIRECTORY = "/var/lib/postgresql/data"


def _who() -> int:
    """The user of the containers: who proves it, so that the directories can be his own; another one than root."""
    return os.geteuid() or STRANGER


def _given(path: Path) -> Path:
    if os.geteuid() == ROOT:
        os.chown(path, _who(), _who())
    return path


def _healthy(folder: Path) -> None:
    """One container of a user of its own, with a settings file, a secret, data, and the data of a database; everything belongs to that user."""
    folder.chmod(0o755)
    for name in ("state", "data", "db"):
        (folder / name).mkdir(mode=0o700)
        _given(folder / name)
    for name in ("settings.yaml", "db_password", ".env"):
        (folder / name).write_text("DB_PASSWORD=not-really\n")
        (folder / name).chmod(0o600)
        _given(folder / name)
    shown = MountTable.parse(Path("/proc/self/mountinfo").read_bytes(), where="/proc/self/mountinfo").showing(str(folder.resolve()))
    assert shown is not None
    place = {"mountpoint": shown.mountpoint, "device": shown.source, "fstype": shown.fstype}
    write_site(
        folder,
        {
            "hosts": containers.host(),
            "instances": {"main": {"directory": str(folder)}},
            "mounts": {name: {"path": f"{folder}/{name}", **place} for name in ("state", "data")},
            "excluded": [{what: "*", "reason": "this proves another guardrail"} for what in ("container", "volume")],
        },
    )
    containers.docker("tag", containers.image(), DATABASE)
    containers.leave(folder, "rmi", DATABASE)
    _start(folder, _who(), f"{folder}/settings.yaml:/etc/settings.yaml:ro", f"{folder}/db_password:/run/secrets/db_password:ro", f"{folder}/data:/data")
    _database(folder, _who())


def _database(folder: Path, user: int) -> None:
    _start(folder, user, f"{folder}/db:{DATABASE_DIRECTORY}", of=DATABASE)


def _start(folder: Path, user: int, *binds: str, of: str = "") -> None:
    options = [part for bind in binds for part in ("--volume", bind)]
    containers.start(folder, "app", "--user", f"{user}:{user}", *options, of=of)


def _mode(name: str, mode: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).chmod(mode)


def _made_by_the_engine(folder: Path) -> None:
    _start(folder, _who(), f"{folder}/data/uploads:/uploads")


FAULTS = tuple(
    Fault(
        guardrail=f"permissions.{guardrail}",
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=seed,
        blind=containers.lose,
        needs=containers.ENGINE,
    )
    for guardrail, kind, describe, seed in (
        ("secret_file_0600", "others-may-read", "the env file of an instance can be read by every user of the host", _mode(".env", 0o644)),
        ("secret_file_0600", "others-may-read", "a secret that a container mounts can be read by every user of the host", _mode("db_password", 0o604)),
        ("mode_needs_owner_match", "reader-is-not-owner", "a container has a settings file that its process cannot read", _mode("settings.yaml", 0)),
        ("uid_matches_state_dir", "cannot-write", "a container has a data directory that its process cannot write to", _mode("data", 0o500)),
        ("state_subdirs_precreated", "made-by-the-engine", "nobody had made a directory, so the engine made it, as root", _made_by_the_engine),
        (
            "recursive_chown_scope",
            "another-owner",
            "the data of a running database belongs to another user",
            lambda folder: _database(folder, _who() + 1),
        ),
    )
)
