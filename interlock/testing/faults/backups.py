"""Backups that others can read: as they lie there, and as scripts and programs write them."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, move_to_unreachable_host, write_site
from interlock.verdicts import When

SCRIPT = """\
#!/bin/sh
set -eu
umask 077
pg_dump --format=custom app > "/srv/backups/app-$(date +%F).dump"
"""
PROGRAM = """\
import shutil
from pathlib import Path


def put_aside(database: Path) -> Path:
    broken = database.with_name("app.db.broken")
    shutil.move(str(database), str(broken))
    broken.chmod(0o600)
    return broken
"""


# ---- what lies there


def _private_backups(folder: Path) -> None:
    backups = folder / "backups"
    backups.mkdir(mode=0o700)
    (backups / "app").mkdir(mode=0o700)
    for name in ("app-1.tar", "app-2.tar", "app/today.tar"):
        os.close(os.open(backups / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    write_site(folder, {"modules": {"app": {"paths": ["/srv/app"], "backups": str(backups), "owner": _owner()}}})


def _owner() -> str:
    """Whoever runs this owns what was just made."""
    return getpass.getuser()


def _lies_there(describe: str, kind: str, seed: Callable[[Path], object]) -> Fault:
    return Fault(
        guardrail="backups.mode_0600",
        describe=describe,
        kind=kind,
        gate=When.PREFLIGHT,
        healthy=_private_backups,
        seed=lambda folder: _do(seed, folder / "backups"),
        blind=lambda folder: move_to_unreachable_host(folder, "modules", "app"),
    )


def _do(seed: Callable[[Path], object], backups: Path) -> None:
    seed(backups)


# ---- what scripts and programs write


def _careful_scripts(folder: Path) -> None:
    (folder / "backup.sh").write_text(SCRIPT)
    (folder / "recover.py").write_text(PROGRAM)
    write_site(folder, {"scripts": {"files": ["backup.sh", "recover.py"]}})


def _writes(describe: str, kind: str, file: str, change: tuple[str, str]) -> Fault:
    def seed(folder: Path) -> None:
        text = (folder / file).read_text()
        assert change[0] in text
        (folder / file).write_text(text.replace(*change))

    return Fault(guardrail="backups.mode_0600", describe=describe, kind=kind, gate=When.STATIC, healthy=_careful_scripts, seed=seed, blind=_unreadable)


def _unreadable(folder: Path) -> None:
    (folder / "backup.sh").write_text(SCRIPT.replace("umask 077", "if umask 077; then"))


FAULTS = (
    _lies_there("a backup that everybody can read", "mode", lambda backups: (backups / "app" / "today.tar").chmod(0o644)),
    _lies_there("a directory of backups that the group may enter", "directory-mode", lambda backups: (backups / "app").chmod(0o750)),
    _lies_there("a backup that is a link to somewhere else", "link-leads-out", lambda backups: (backups / "app-3.tar").symlink_to("/etc/hostname")),
    _writes("a dump under the caller's umask", "no-umask", "backup.sh", ("umask 077\n", "")),
    _writes(
        "a dump that is tightened when it is done",
        "chmod-after",
        "backup.sh",
        (
            'umask 077\npg_dump --format=custom app > "/srv/backups/app-$(date +%F).dump"\n',
            "pg_dump app > /srv/backups/app.dump\nchmod 600 /srv/backups/app.dump\n",
        ),
    ),
    _writes(
        "a dump that is opened again",
        "widened",
        "backup.sh",
        ('app > "/srv/backups/app-$(date +%F).dump"\n', "app > /srv/backups/app.dump\nchmod 644 /srv/backups/app.dump\n"),
    ),
    _writes("a database put aside with the mode that it had", "mode-inherited", "recover.py", ("    broken.chmod(0o600)\n", "")),
)
