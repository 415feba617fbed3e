"""A container whose process cannot use what it was given, and secrets that everybody reads: on a running engine, for whoever may use it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from interlock.facts.mounts import MountTable
from interlock.testing.faults import Fault, read_site, rewrite_site, write_site
from interlock.verdicts import When

ENGINE = ("INTERLOCK_PROOF_ENGINE", "INTERLOCK_PROOF_IMAGE")  # the socket of a container engine, and an image with `sleep` in it
LIVES_S = 60  # a container ends by itself, and is removed with its end
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
            "hosts": {"local": {"engine": os.environ[ENGINE[0]]}},
            "instances": {"main": {"directory": str(folder)}},
            "mounts": {name: {"path": f"{folder}/{name}", **place} for name in ("state", "data")},
            "excluded": [{what: "*", "reason": "this proves another guardrail"} for what in ("container", "volume")],
        },
    )
    _docker("tag", os.environ[ENGINE[1]], DATABASE)
    _start(folder, _who(), f"{folder}/settings.yaml:/etc/settings.yaml:ro", f"{folder}/db_password:/run/secrets/db_password:ro", f"{folder}/data:/data")
    _database(folder, _who())


def _database(folder: Path, user: int) -> None:
    _start(folder, user, f"{folder}/db:{DATABASE_DIRECTORY}", image=DATABASE)


def _start(folder: Path, user: int, *binds: str, image: str = "") -> None:
    labels = {"service": "app", "project.working_dir": str(folder)}
    options = [part for key, text in labels.items() for part in ("--label", f"com.docker.compose.{key}={text}")]
    options += [part for bind in binds for part in ("--volume", bind)]
    _docker("run", "--detach", "--rm", "--network", "none", "--user", f"{user}:{user}", *options, image or os.environ[ENGINE[1]], "sleep", str(LIVES_S))


def _docker(*arguments: str) -> None:
    subprocess.run(("docker", "--host", f"unix://{os.environ[ENGINE[0]]}", *arguments), check=True, capture_output=True, timeout=60)


def _mode(name: str, mode: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).chmod(mode)


def _made_by_the_engine(folder: Path) -> None:
    _start(folder, _who(), f"{folder}/data/uploads:/uploads")


def _no_engine(folder: Path) -> None:
    site = read_site(folder)
    site["hosts"]["local"]["engine"] = str(folder / "no.sock")
    rewrite_site(folder, site)


FAULTS = tuple(
    Fault(
        guardrail=f"permissions.{guardrail}",
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=seed,
        blind=_no_engine,
        needs=ENGINE,
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
