"""A stack that moved to another engine, and a nightly backup that goes on copying what was there before."""

from __future__ import annotations

from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  app:
    image: registry.example.org/app:1
    volumes: ["files:/data"]
volumes:
  files:
"""
POSTGRES = """\
services:
  ledger-db:
    image: postgres:16
    volumes: ["ledger:/var/lib/postgresql/data"]
volumes:
  ledger:
"""
BACKUP = """\
#!/bin/sh
umask 077
cp /srv/app/ledger.sqlite /srv/backups/ledger.sqlite
docker compose exec -T ledger-db pg_dump --format=custom ledger > /srv/backups/ledger.dump
"""


def _healthy(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "compose.postgres.yaml").write_text(POSTGRES)
    (folder / "nightly-backup.sh").write_text(BACKUP)
    module = {
        "class": "F",
        "paths": ["/srv/app"],
        "volumes": ["files", "ledger"],
        "backups": "/srv/backups",
        "owner": "backup",
        "procedure": "nightly-backup.sh",
    }
    files = ["compose.yaml", "compose.postgres.yaml"]
    write_site(folder, {"compose": {"files": files}, "scripts": {"files": ["nightly-backup.sh"]}, "modules": {"ledger": module}})


def _still_the_old_engine(folder: Path) -> None:
    (folder / "nightly-backup.sh").write_text("".join(line for line in BACKUP.splitlines(keepends=True) if "pg_dump" not in line))


def _no_chain(folder: Path) -> None:
    (folder / "compose.postgres.yaml").unlink()


FAULTS = (
    Fault(
        guardrail="backups.coverage",
        describe="the stack moved to PostgreSQL, and the nightly backup did not",
        kind="not-backed-up",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_still_the_old_engine,
        blind=_no_chain,
    ),
)
