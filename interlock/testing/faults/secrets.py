"""Keys that do not last, secrets that everybody sees, and a private key that others may read."""

from __future__ import annotations

from collections.abc import Callable
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
ENTRYPOINT = """\
#!/bin/sh
set -eu
umask 077
[ -s /data/encryption.key ] || openssl rand -hex 32 > /data/encryption.key
exec app --key-file /data/encryption.key
"""
NIGHTLY = """\
#!/bin/sh
set -eu
MYSQL_PWD="$DB_PASSWORD" mysql --user=app --execute="CALL tidy_up()"
"""
RENEW = """\
#!/bin/sh
set -eu
umask 077
cat /etc/letsencrypt/live/app/fullchain.pem /etc/letsencrypt/live/app/privkey.pem > /etc/proxy/bundle.pem
"""


def _healthy(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    for name, text in (("docker-entrypoint.sh", ENTRYPOINT), ("nightly.sh", NIGHTLY), ("renew.sh", RENEW)):
        (folder / name).write_text(text)
    excluded = [{"volume": "*", "reason": "this proves another guardrail"}]
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "scripts": {"found": True}, "excluded": excluded})


def _edit(name: str, before: str, after: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after))

    return edit


def _unreadable(folder: Path) -> None:
    (folder / "renew.sh").unlink()
    (folder / "renew.sh").symlink_to("/etc/hostname")  # leads out of the tree: it cannot be looked at, whoever looks


FAULTS = (
    Fault(
        guardrail="secrets.durability",
        describe="the key that encrypts the files lies in the container, not with the files",
        kind="in-the-container",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_edit("docker-entrypoint.sh", "/data/encryption.key", "/etc/app/encryption.key"),
        blind=_unreadable,
    ),
    Fault(
        guardrail="secrets.not_logged",
        describe="the password of the database is in the list of processes every night",
        kind="on-a-command-line",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_edit("nightly.sh", 'MYSQL_PWD="$DB_PASSWORD" mysql', 'mysql --password="$DB_PASSWORD"'),
        blind=_unreadable,
    ),
    Fault(
        guardrail="secrets.tls_artifact",
        describe="the key of the certificate is written for everybody to read",
        kind="key-written-readable",
        gate=When.STATIC,
        healthy=_healthy,
        seed=_edit("renew.sh", "umask 077\n", ""),
        blind=_unreadable,
    ),
)
