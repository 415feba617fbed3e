"""Ways to a change of the running stack that lack what must stand before it: a lock, the disk, a backup, a human."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  db:
    image: postgres:16
    environment: {PGDATA: /var/lib/postgresql/data}
    volumes: ["${STATE_DIR:-/srv/state}/db:/var/lib/postgresql/data"]
    stop_grace_period: 2m
"""
WHERE = "STATE_DIR=${STATE_DIR:-/srv/state}\n"
DISK = f'#!/bin/sh\nset -eu\n{WHERE}mount LABEL=state "$STATE_DIR"\n'
BACKUP = "#!/bin/sh\nset -eu\numask 077\ndocker compose exec -T db pg_dump -U shop shop > /backups/shop.sql\n"
LOCK = "exec 9>/run/lock/shop-upgrade.lock\nflock -n 9 || exit 0\n"
GATE = 'mountpoint -q "$STATE_DIR" || exit 1\n'
SAVE = "./scripts/backup.sh || exit 1\n"
UPGRADE = f"#!/bin/sh\nset -eu\ncd /srv/app\n{WHERE}{LOCK}{GATE}{SAVE}docker compose pull\ndocker compose up -d --wait\n"
CRONTAB = "10 3 * * 0\troot\t/srv/app/scripts/upgrade.sh\n"
UNIT = "[Service]\nType=oneshot\nExecStart=/srv/app/scripts/upgrade.sh\n"
MIGRATE = (
    f"#!/bin/sh\nset -eu\n{WHERE}{GATE}"
    """\
docker compose up -d --wait db
docker compose exec -T db pg_restore -d shop /backups/shop.dump
printf 'The old volume goes now. '
read -r -p 'Type its name: ' answer
[ "$answer" = shop_db_15 ] || exit 1
docker volume rm shop_db_15
"""
)
TIMER = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"
FILES = {
    "compose.yaml": COMPOSE,
    "scripts/disk.sh": DISK,
    "scripts/backup.sh": BACKUP,
    "scripts/upgrade.sh": UPGRADE,
    "ops/crontab": CRONTAB,
    "scripts/migrate.sh": MIGRATE,
}
SCRIPTS = [path for path in FILES if path.endswith(".sh")]
EXCLUDED = [{kind: name, "reason": "proves another guardrail"} for kind, name in (("container", "*"), ("mount", "/srv/state/db"))]


def _healthy(folder: Path) -> None:
    """An upgrade that cron starts, by declaration; all that must stand before it does."""
    for path, text in FILES.items():
        _write(folder, path, text)
    automatic = [{"path": "ops/crontab", "reason": "the shop follows its channel on Sundays", "owner": "kim"}]
    automation = {"crontabs": ["ops/crontab"], "automatic": automatic}
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "scripts": {"files": SCRIPTS}, "automation": automation, "excluded": EXCLUDED})


def _write(folder: Path, path: str, text: str) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(0o755 if path.endswith(".sh") else 0o644)


def _upgrade(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder, "scripts/upgrade.sh", UPGRADE.replace(old, new))


def _nobody_is_asked(folder: Path) -> None:
    """Somebody still looks whether the volume is there: scripts.destructive_guarded holds."""
    removed = "if docker volume inspect shop_db_15 > /dev/null; then docker volume rm shop_db_15; fi\n"
    _write(folder, "scripts/migrate.sh", MIGRATE[: MIGRATE.index("printf")] + removed)


def _by_a_timer(folder: Path) -> None:
    """Held while it names every script, and finds units too."""
    _write(folder, "ops/upgrade.service", UNIT)
    _write(folder, "ops/upgrade.timer", TIMER)
    site = folder / "interlock.yaml"
    site.write_text(site.read_text().replace("scripts:\n  files:", "scripts:\n  found: true\n  files:"))


def _is_a_directory(folder: Path) -> None:
    """Nobody can read a script that is a directory, root neither."""
    (folder / "scripts/upgrade.sh").unlink()
    (folder / "scripts/upgrade.sh").mkdir()


def _fault(guardrail: str, describe: str, kind: str, seed: Callable[[Path], None]) -> Fault:
    return Fault(guardrail=guardrail, describe=describe, kind=kind, gate=When.STATIC, healthy=_healthy, seed=seed, blind=_is_a_directory)


FAULTS = (
    _fault("automation.exclusive_lock", "an upgrade that cron starts, without a lock", "no-lock", _upgrade(LOCK, "")),
    _fault("mounts.state_disk_gate", "a stack that is started whatever is mounted", "no-gate", _upgrade(GATE, "")),
    _fault("backups.before_apply", "an upgrade that passes its backup by", "no-backup", _upgrade(SAVE, "")),
    _fault("approval.gate", "a migration that removes the old volume in the same breath", "nobody-asked", _nobody_is_asked),
    _fault("backups.never_automatic", "a timer that starts the operator's backup and upgrade", "by-itself", _by_a_timer),
)
