"""Compose files that do not say what they seem to say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, read_site, rewrite_site, write_site
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
EXCLUDED = [{kind: name, "reason": "proves another guardrail"} for kind, name in (("volume", "*"), ("mount", "/data-state"))]
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
    write_site(folder, {"compose": {"files": ["compose.yaml", "compose.prod.yaml"]}, "excluded": EXCLUDED})


def _insert(before: str, text: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder / "compose.yaml", COMPOSE.replace(before, text + before, 1))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _is_a_directory(folder: Path) -> None:
    (folder / "compose.yaml").unlink()
    (folder / "compose.yaml").mkdir()


def _fault(describe: str, kind: str, seed: Callable[[Path], None]) -> Fault:
    return Fault(guardrail="compose.strict_parse", describe=describe, kind=kind, gate=When.STATIC, healthy=_healthy, seed=seed, blind=_is_a_directory)


# ---- chains

BASE = """\
services:
  app:
    image: registry.example.org/app:${APP_TAG:-stable}
    environment:
      STATE_DIR: ${STATE_DIR:?where does the state live}
    volumes:
      - state:/data-state
      - ./config:/config:ro
  worker:
    image: registry.example.org/worker
    profiles: [apps]
    volumes:
      - state:/data-state
volumes:
  state: {}
"""
PROD = """\
services:
  app:
    volumes: !override
      - /data-state:/data-state
      - ./config:/config:ro
  worker:
    volumes: !override
      - /data-state:/data-state
"""
MIGRATION = """\
services:
  migrate:
    image: registry.example.org/app
    volumes: [dumps:/dumps]
volumes:
  dumps: {}
"""
FILES = ["compose.yaml", "compose.prod.yaml", "compose.migration.yaml"]


def _healthy_chains(folder: Path) -> None:
    for name, text in zip(FILES, (BASE, PROD, MIGRATION), strict=True):
        (folder / name).write_text(text)
    chains = {"plain": {"files": FILES[:1]}, "prod": {"files": FILES[:2]}, "migration": {"files": FILES}}
    write_site(folder, {"compose": {"files": FILES, "chains": chains}, "excluded": EXCLUDED})


def _change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def seed(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return seed


def _prod_is_a_directory(folder: Path) -> None:
    (folder / "compose.prod.yaml").unlink()
    (folder / "compose.prod.yaml").mkdir()


def _chain_fault(rule: str, describe: str, kind: str, seed: Callable[[Path], None], gate: When = When.STATIC) -> Fault:
    return Fault(guardrail=f"compose.{rule}", describe=describe, kind=kind, gate=gate, healthy=_healthy_chains, seed=seed, blind=_prod_is_a_directory)


# ---- who lists the files

START = """\
#!/bin/sh
set -eu
FILES="-f compose.yaml"
[ "${APPS:-no}" = no ] || FILES="$FILES -f compose.prod.yaml"
docker compose $FILES up -d
"""


def _healthy_lists(folder: Path) -> None:
    _healthy(folder)
    (folder / "start.sh").write_text(START)
    (folder / "stop.sh").write_text("#!/bin/sh\nexec docker compose -p shop stop\n")
    site = read_site(folder)
    rewrite_site(folder, {**site, "scripts": {"files": ["start.sh", "stop.sh"]}})


def _stop_is_a_directory(folder: Path) -> None:
    (folder / "stop.sh").unlink()
    (folder / "stop.sh").mkdir()


FAULTS = (
    Fault(
        guardrail="compose.chain_single_resolver",
        describe="a second script that chooses overlays by a condition of its own",
        kind="second-list",
        gate=When.STATIC,
        healthy=_healthy_lists,
        seed=lambda folder: _write(folder / "stop.sh", START.replace('"${APPS:-no}" = no', "! -e /srv/apps").replace("up -d", "stop")),
        blind=_stop_is_a_directory,
    ),
    _fault("a second `volumes:` of one service", "duplicate-key", _insert("    logging:", "    volumes: []\n")),
    _fault("a merge that was never finished", "conflict-marker", _insert("    logging:", CONFLICT)),
    _fault("a list that is never closed", "syntax", _insert("    logging:", "    command: [serve, --port\n")),
    _chain_fault(
        "chain_valid", "an overlay mounts a volume that no file declares", "undefined", _change("compose.migration.yaml", "  dumps: {}", "  dump: {}")
    ),
    _chain_fault(
        "chain_valid",
        "an overlay speaks of a service of another overlay",
        "no-image",
        _change("compose.prod.yaml", "services:", "services:\n  migrate:\n    restart: always"),
    ),
    _chain_fault("chain_valid", "a key that compose does not know", "invalid", _change("compose.yaml", "    profiles:", "    profile:"), When.PREFLIGHT),
    _chain_fault(
        "override_preserves_mounts",
        "a replaced list forgets a mount of the base",
        "dropped",
        _change("compose.prod.yaml", "      - ./config:/config:ro\n", ""),
    ),
    _chain_fault(
        "shared_volume_moves_together",
        "a second user of the volume is left out of the overlay",
        "stayed-behind",
        _change("compose.prod.yaml", PROD[PROD.index("  worker:") :], ""),
    ),
    _chain_fault(
        "shared_volume_moves_together",
        "a service of a later file is on the volume that everybody has left",
        "stayed-behind",
        _change("compose.migration.yaml", "[dumps:/dumps]", '["dumps:/dumps", "state:/data-state"]'),
    ),
)
