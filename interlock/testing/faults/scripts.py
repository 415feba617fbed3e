"""A script that no shell can read, that goes on after a failed dump, that deletes a volume on every run, and that holds on one host alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

SCRIPT = """\
#!/usr/bin/env bash
set -euo pipefail
umask 077

usage() {
  echo "usage: maintain.sh" >&2
}

if [ "$#" -gt 0 ]; then
  usage
  exit 64
fi
volume=$(docker compose config --format json | jq -r .volumes.ledger.name)
root=$(docker volume inspect --format '{{.Mountpoint}}' "$volume")
project=$(printf '%s' "$COMPOSE_PROJECT_NAME" | tr -cd 'a-z0-9_-')
docker compose exec -T db pg_dump ledger | gzip > /srv/backups/ledger.sql.gz
find /srv/backups -name '*.sql.gz' -mtime +14 -delete
if docker volume inspect "${project}_scratch" > /dev/null; then
  docker volume rm "${project}_scratch"
fi
du -sh "$root"
"""


def _healthy(folder: Path) -> None:
    (folder / "ops").mkdir()
    (folder / "ops" / "maintain.sh").write_text(SCRIPT)
    write_site(folder, {"scripts": {"files": ["ops/maintain.sh"]}})


def _edit(before: str, after: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        assert before in SCRIPT
        (folder / "ops" / "maintain.sh").write_text(SCRIPT.replace(before, after, 1))

    return edit


def _blind(folder: Path) -> None:
    """A directory where the script was."""
    (folder / "ops" / "maintain.sh").unlink()
    (folder / "ops" / "maintain.sh").mkdir()


def _fault(guardrail: str, describe: str, kind: str, before: str, after: str) -> Fault:
    return Fault(guardrail=f"scripts.{guardrail}", describe=describe, kind=kind, gate=When.STATIC, healthy=_healthy, seed=_edit(before, after), blind=_blind)


FAULTS = (
    _fault("syntax", "an `if` without its end", "syntax", "  exit 64\nfi\n", "  exit 64\n"),
    _fault("no_swallowed_failure", "a dump whose failure is lost in a pipe", "pipe-without-pipefail", "set -euo pipefail", "set -eu"),
    _fault(
        "destructive_guarded",
        "a volume that every run removes",
        "volume",
        'if docker volume inspect "${project}_scratch" > /dev/null; then\n  docker volume rm "${project}_scratch"\nfi',
        "docker volume rm -f ledger_uploads",
    ),
    _fault("project_name", "a filter that drops the digits of a project's name", "name-filter", "tr -cd 'a-z0-9_-'", "tr -cd 'a-z_-'"),
    _fault(
        "engine_root",
        "a path below the engine's own directory",
        "engine-root",
        "root=$(docker volume inspect --format '{{.Mountpoint}}' \"$volume\")",
        'root="/var/lib/docker/volumes/$volume/_data"',
    ),
)
