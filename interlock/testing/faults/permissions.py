"""A script that prepares a host, the containers that live with what it did, and programs that write beside each other."""

from __future__ import annotations

from pathlib import Path

from interlock.testing.faults import Fault, lose_compose_file, write_site
from interlock.verdicts import When

COMPOSE = """\
services:
  app:
    image: registry.example.org/shop:stable
    user: "1500:1500"
    volumes:
      - /srv/shop/state:/state
      - /srv/shop/uploads:/uploads
  db:
    image: postgres:17
    volumes: [/srv/shop/db:/var/lib/postgresql/data]
"""
PREPARE = """\
#!/bin/sh
set -eu
install -d -m 0750 /srv/shop /srv/shop/state /srv/shop/uploads /srv/shop/db
chown -R 1500:1500 /srv/shop/state /srv/shop/uploads
umask 077
printf 'title: Shop\\n' > /srv/shop/state/shop.yaml
chown 1500:1500 /srv/shop/state/shop.yaml
chmod 600 /srv/shop/state/shop.yaml
"""
SETTINGS = 'PATH = "/state/shop.yaml"\n'
WRITER = """\
import os
import tempfile


def save(path, text):
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    os.fchmod(fd, 0o660)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    os.replace(temporary, path)
"""


def _healthy(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "prepare.sh").write_text(PREPARE)
    (folder / "settings.py").write_text(SETTINGS)
    for name in ("orders", "prices"):
        (folder / "writers").mkdir(exist_ok=True)
        (folder / "writers" / f"{name}.py").write_text(WRITER)
    excluded = [{what: "*", "reason": "this proves another guardrail"} for what in ("container", "volume")] + [
        {"mount": "/srv", "reason": "this proves another guardrail"}
    ]
    write_site(folder, {"compose": {"files": ["compose.yaml"]}, "scripts": {"found": True}, "excluded": excluded})


SECRETS = """\
#!/bin/sh
set -eu
umask 077
PASSWORD=$(openssl rand -hex 24)
cat > .env <<END
DOMAIN=shop.example.org
DB_PASSWORD=$PASSWORD
END
"""
TOKENS = """\
import os
from pathlib import Path


def keep(token: str) -> None:
    path = Path("/srv/shop/admin_token")
    path.write_text(token)
    path.chmod(0o600)
"""


EDITORS = """\
import os
from pathlib import Path

PLACE = Path("/srv/shop/state/shop.yaml")


def edit(text: str) -> None:
    temporary = PLACE.with_suffix(".new")
    temporary.write_text(text)
    temporary.chmod(0o600)
    os.replace(temporary, PLACE)
"""


def _with_secrets(folder: Path) -> None:
    """A script and programs that write secrets, each private."""
    (folder / "install.sh").write_text(SECRETS)
    (folder / "settings.py").write_text(EDITORS)
    (folder / "wizard.py").write_text(EDITORS)
    (folder / "tokens.py").write_text(TOKENS)
    write_site(folder, {"scripts": {"found": True}})


def _unreadable_program(folder: Path) -> None:
    (folder / "tokens.py").write_text(TOKENS + "    path.write_text(\n")


def _edit(name: str, before: str, after: str, folder: Path) -> None:
    path = folder / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def _fault(guardrail: str, kind: str, describe: str, *edit: str) -> Fault:
    name, before, after = edit
    return Fault(
        guardrail=f"permissions.{guardrail}",
        describe=describe,
        kind=kind,
        gate=When.STATIC,
        healthy=_healthy,
        seed=lambda folder: _edit(name, before, after, folder),
        blind=lose_compose_file,
    )


FAULTS = (
    _fault(
        "mode_needs_owner_match",
        "owner-not-pinned",
        "a private file goes to a user whose uid is whatever was free",
        "prepare.sh",
        "chown 1500:1500 /srv/shop/state/shop.yaml\n",
        "useradd --system shop\nchown shop: /srv/shop/state/shop.yaml\n",
    ),
    _fault(
        "mode_needs_owner_match",
        "temporary-mode-kept",
        "a program keeps the mode of its temporary file, and its neighbour shares",
        "writers/orders.py",
        "    os.fchmod(fd, 0o660)\n",
        "",
    ),
    _fault(
        "uid_matches_state_dir",
        "another-uid",
        "a directory goes to another uid than the service's",
        "prepare.sh",
        "chown -R 1500:1500 /srv/shop/state /srv/shop/uploads\n",
        "chown -R 1000:1000 /srv/shop/uploads\nchown -R 1500:1500 /srv/shop/state\n",
    ),
    _fault(
        "uid_matches_state_dir",
        "top-only",
        "the database's directory is given back without what is in it",
        "prepare.sh",
        "chown -R 1500:1500 /srv/shop/state /srv/shop/uploads\n",
        "chown -R 1500:1500 /srv/shop/state /srv/shop/uploads\nchown 999:999 /srv/shop/db\n",
    ),
    _fault(
        "recursive_chown_scope",
        "reaches-engine-data",
        "everything below the top goes to the application, the database too",
        "prepare.sh",
        "chown -R 1500:1500 /srv/shop/state /srv/shop/uploads\n",
        "chown -R 1500:1500 /srv/shop\n",
    ),
    _fault(
        "state_subdirs_precreated",
        "made-by-the-engine",
        "a directory of the application is left to the engine",
        "prepare.sh",
        " /srv/shop/uploads /srv/shop/db\nchown -R 1500:1500 /srv/shop/state /srv/shop/uploads\n",
        " /srv/shop/db\nchown -R 1500:1500 /srv/shop/state\n",
    ),
    Fault(
        guardrail="permissions.secret_file_0600",
        describe="an installer lost its umask",
        kind="no-umask",
        gate=When.STATIC,
        healthy=_with_secrets,
        seed=lambda folder: _edit("install.sh", "umask 077\n", "", folder),
        blind=_unreadable_program,
    ),
    Fault(
        guardrail="permissions.secret_file_0600",
        describe="a program leaves a token to the umask",
        kind="no-umask",
        gate=When.STATIC,
        healthy=_with_secrets,
        seed=lambda folder: _edit("tokens.py", "    path.chmod(0o600)\n", "", folder),
        blind=_unreadable_program,
    ),
    Fault(
        guardrail="permissions.secret_file_0600",
        describe="a program opens by a rename what another one closes",
        kind="unlike-other-writers",
        gate=When.STATIC,
        healthy=_with_secrets,
        seed=lambda folder: _edit("settings.py", "    temporary.chmod(0o600)\n", "", folder),
        blind=_unreadable_program,
    ),
)
