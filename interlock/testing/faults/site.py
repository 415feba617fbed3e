"""State that the site file does not know, and words in it that nobody stands behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, lose_compose_file, read_site, rewrite_site, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  app:
    image: registry.example.org/app:1
    volumes:
      - uploads:/srv/uploads
      - ./receipts:/srv/receipts
volumes:
  uploads: {}
"""
MODULE = {"paths": ["/srv/shop/receipts"], "volumes": ["shop_uploads"], "backups": "/srv/backups/app", "owner": "root"}
EDIT = """\
from pathlib import Path

import pytest

site = Path(__file__).parents[1] / "interlock.yaml"
site.write_text(site.read_text() + "# a late thought\\n")


@pytest.mark.static
def test_nothing():
    pass
"""
INSTANCE = {"directory": "/srv/shop"}


def _stack(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "modules": {"app": MODULE}, "instances": {"main": INSTANCE}})


def _compose(before: str, after: str) -> Callable[[Path], None]:
    def seed(folder: Path) -> None:
        (folder / "compose.yaml").write_text(COMPOSE.replace(before, after, 1))

    return seed


# ---- a host


def _host(folder: Path) -> None:
    """An engine's directory of volumes with a declared one in it; the disks of this machine are none of the proof's business."""
    for name in ("shop_uploads", "0" * 64):
        (folder / "volumes" / name / "_data").mkdir(parents=True)
    excluded = [{"mount": "/", "reason": "the disks of whatever machine this runs on"}, {"volume": "shop_*", "reason": "judged by its owner"}]
    write_site(folder, {"hosts": {"local": {"volumes": str(folder / "volumes")}}, "excluded": excluded})


def _volumes_elsewhere(folder: Path) -> None:
    site = read_site(folder)
    site["hosts"]["local"]["volumes"] = str(folder / "elsewhere")
    rewrite_site(folder, site)


# ---- a database server

DSN = "INTERLOCK_PROOF_DSN"
FORGOTTEN = "interlock_proof_forgotten"


def _server(folder: Path) -> None:
    """A declared database, on a server whose other databases are excluded by their names."""
    _run(f"drop database if exists {FORGOTTEN}")
    others = [name for (name,) in _run("select datname from pg_database where not datistemplate and datname <> 'postgres'")]
    excluded = [{"database": name, "reason": "was there before"} for name in others]
    write_site(folder, {"databases": {"proof": {"dsn_env": DSN}}, "excluded": excluded})


def _forgotten(_folder: Path) -> None:
    _run(f"create database {FORGOTTEN}")


def _run(statement: str) -> list[tuple[str, ...]]:
    import psycopg

    with psycopg.connect(os.environ[DSN], autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _without_dsn(folder: Path) -> None:
    site = read_site(folder)
    site["databases"]["proof"]["dsn_env"] = "INTERLOCK_NO_SUCH_DSN"
    rewrite_site(folder, site)


# ---- the site file


def _confirmed(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    public = [{"port": 443, "reason": "the web"}, {"port": 22, "reason": "administration"}]
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "exposure": {"public": public}})


def _unconfirmed(folder: Path) -> None:
    site = read_site(folder)
    site["exposure"]["public"][1]["unconfirmed"] = True
    rewrite_site(folder, site)


def _edited_meanwhile(folder: Path) -> None:
    """Somebody writes to the site file after it was read: a check of the site's own does it when it is imported."""
    (folder / "checks").mkdir()
    (folder / "checks" / "test_edit.py").write_text(EDIT)


def _undeclared(describe: str, kind: str, seed: Callable[[Path], None]) -> Fault:
    return Fault(guardrail="site.undeclared", describe=describe, kind=kind, gate=When.STATIC, healthy=_stack, seed=seed, blind=lose_compose_file)


FAULTS = (
    _undeclared(
        "a volume that no module has",
        "undeclared-volume",
        _compose("volumes:\n  uploads: {}", "      - sessions:/srv/sessions\nvolumes:\n  uploads: {}\n  sessions: {}"),
    ),
    _undeclared(
        "a directory that no module has", "undeclared-mount", _compose("./receipts:/srv/receipts", "./receipts:/srv/receipts\n      - ./letters:/srv/letters")
    ),
    _undeclared(
        "a database that no module has",
        "undeclared-container",
        _compose("volumes:\n  uploads: {}", "  ledger:\n    image: postgres:17\nvolumes:\n  uploads: {}"),
    ),
    Fault(
        guardrail="site.undeclared",
        describe="a volume of the engine that nobody declared",
        kind="undeclared-volume",
        gate=When.PREFLIGHT,
        healthy=_host,
        seed=lambda folder: (folder / "volumes" / "ledger-data" / "_data").mkdir(parents=True),
        blind=_volumes_elsewhere,
    ),
    Fault(
        guardrail="site.undeclared",
        describe="a database that is neither declared nor excluded",
        kind="undeclared-database",
        gate=When.PREFLIGHT,
        healthy=_server,
        seed=_forgotten,
        blind=_without_dsn,
        needs=(DSN,),
    ),
    Fault(
        guardrail="site.confirmed",
        describe="a port that init learned from the running host",
        kind="unconfirmed",
        gate=When.STATIC,
        healthy=_confirmed,
        seed=_unconfirmed,
        blind=_edited_meanwhile,
    ),
)
