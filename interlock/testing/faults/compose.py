"""Compose files that do not say what they seem to say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

COMPOSE = """\
x-logging: &logging
  driver: json-file
services:
  app:
    image: registry.example.org/app:${APP_TAG:-stable}
    logging: *logging
    volumes:
      - state:/data-state
volumes:
  state: {}
"""
CONFLICT = """\
<<<<<<< HEAD
    stop_grace_period: 1m
=======
    stop_grace_period: 2m
>>>>>>> release
"""


def _healthy(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "compose.prod.yaml").write_text("services:\n  app:\n    ports: !override []\n")
    write_site(folder, {"compose": {"files": ["compose.yaml", "compose.prod.yaml"]}})


def _insert(before: str, text: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder / "compose.yaml", COMPOSE.replace(before, text + before, 1))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _is_a_directory(folder: Path) -> None:
    (folder / "compose.yaml").unlink()
    (folder / "compose.yaml").mkdir()


def _fault(describe: str, kind: str, seed: Callable[[Path], None]) -> Fault:
    return Fault(guardrail="compose.strict_parse", describe=describe, kind=kind, gate=When.STATIC, healthy=_healthy, seed=seed, blind=_is_a_directory)


FAULTS = (
    _fault("a second `volumes:` of one service", "duplicate-key", _insert("    logging:", "    volumes: []\n")),
    _fault("a merge that was never finished", "conflict-marker", _insert("    logging:", CONFLICT)),
    _fault("a list that is never closed", "syntax", _insert("    logging:", "    command: [serve, --port\n")),
)
