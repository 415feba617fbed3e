"""Services whose mounts are not where their servers keep what must stay, volumes that nobody mounts or that the engine keeps as they were, and what else of a
chain only an operator notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, read_site, rewrite_site, write_site
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


# ---- what an operator meets

SERVED = """\
services:
  cache:
    image: redis:8
    restart: always
    stop_grace_period: 1m
    command: redis-server /etc/redis.conf
    volumes:
      - ./redis.conf:/etc/redis.conf:ro
      - cached:/data
  proxy:
    image: registry.example.org/proxy:stable
    restart: always
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
  app:
    build: .
  worker:
    build: .
volumes:
  cached: {}
"""
IMAGES = """\
services:
  app:
    image: registry.example.org/app:stable
  worker:
    image: registry.example.org/app:stable
"""
OVERRIDE = "services:\n  app:\n    ports: !override []\n"
SCRIPT = "#!/bin/sh\ncd /srv/app && docker compose pull && docker compose up -d\n"


def _healthy_for_operators(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "redis.conf").write_text("appendonly yes\n")
    (folder / "update.sh").write_text(SCRIPT)
    (folder / "compose.yaml").write_text(SERVED)
    (folder / "compose.images.yaml").write_text(IMAGES)
    (folder / "compose.override.yaml").write_text(OVERRIDE)
    chains = {"images": {"files": ["compose.yaml", "compose.images.yaml"]}, "built": {"files": ["compose.yaml", "compose.override.yaml"]}}
    files = ["compose.yaml", "compose.images.yaml", "compose.override.yaml"]
    write_site(folder, {"compose": {"files": files, "chains": chains}, "scripts": {"files": ["update.sh"]}, "excluded": EXCLUDED})


def _compose_files_are_directories(folder: Path) -> None:
    for path in folder.glob("compose*.yaml"):
        path.unlink()
        path.mkdir()


def _script_of_the_base_alone(folder: Path) -> None:
    (folder / "update.sh").write_text(SCRIPT.replace("docker compose up", "docker compose -f compose.yaml up"))
    (folder / "compose.override.yaml").rename(folder / "compose.override.yaml.example")
    site = read_site(folder)
    site["compose"]["files"].remove("compose.override.yaml")
    del site["compose"]["chains"]["built"]
    rewrite_site(folder, site)


def _script_is_a_directory(folder: Path) -> None:
    (folder / "update.sh").unlink()
    (folder / "update.sh").mkdir()


def _informs(guardrail: str, describe: str, kind: str, seed: Callable[[Path], None], blind: Callable[[Path], None] = _compose_files_are_directories) -> Fault:
    return Fault(guardrail=guardrail, describe=describe, kind=kind, gate=When.STATIC, healthy=_healthy_for_operators, seed=seed, blind=blind)


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
    _informs(
        "compose.config_mounted_but_unused",
        "a server is no longer told of its configuration file",
        "not-read",
        _change(NAMES[0], "redis-server /etc/redis.conf", "redis-server"),
    ),
    _informs(
        "compose.sourceless_runnable",
        "a mounted configuration file is not shipped",
        "no-file",
        lambda folder: (folder / "redis.conf").unlink(),
    ),
    _informs(
        "compose.stop_grace_for_stateful",
        "a database has ten seconds to stop",
        "default-grace",
        _change(NAMES[0], "    stop_grace_period: 1m\n", ""),
    ),
    _informs(
        "compose.docker_socket_readonly",
        "a proxy gets the engine's socket to write to",
        "socket-writable",
        _change(NAMES[0], "docker.sock:ro", "docker.sock"),
    ),
    _informs(
        "compose.no_autoloaded_dev_override",
        "the override mounts the source, and is loaded by itself",
        "development",
        _change("compose.override.yaml", "ports: !override []", "volumes: ['.:/app']"),
    ),
    _informs(
        "compose.explicit_f_ignores_override",
        "a script names the base alone, and an override is left to the operator",
        "override-left-out",
        _script_of_the_base_alone,
        _script_is_a_directory,
    ),
)
