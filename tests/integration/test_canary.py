"""Secrets are planted wherever a gate run meets them, and every artefact is searched for them."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from interlock.testing import CheckRun, run_check
from interlock.testing.faults import write_site

CANARIES = {
    "a value of a template": "T3mpl@te/c4nary'$x",
    "the password of a DSN": "dsn-c4nary-7Hq2",
    "a value of an env file": "env c4nary 91",
    "a token in a file that was read": "plain-c4nary-in-a-file",
    "what a command said of a declared secret": "T3mpl@te/c4nary'$x",
}
ENVIRON = {"APP_SECRET": CANARIES["a value of a template"], "CANARY_DSN": f"postgresql://app:{CANARIES['the password of a DSN']}@127.0.0.1:1/app"}


@pytest.fixture
def ran(tmp_path: Path) -> CheckRun:
    """A run in which everything that can say something about a secret does."""
    running = tmp_path / "running"
    running.mkdir()
    (running / ".env").write_text(f"LICENCE={CANARIES['a value of an env file']}\nOTHER=1\n")
    (tmp_path / "token").write_text(CANARIES["a token in a file that was read"])
    (tmp_path / "app.tmpl").write_text("key=${KEY}\n")
    (tmp_path / "app.conf").write_text(f"key = {ENVIRON['APP_SECRET']}\n")
    (tmp_path / "compose.yaml").write_text("services: {app: {image: '${LICENCE} ${MISSING}'}}\n")
    (tmp_path / "says").write_text('#!/bin/sh\necho "cannot log in with $APP_SECRET" >&2\nexit 1\n')
    (tmp_path / "says").chmod(0o755)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_own.py").write_text("import os\ndef test_own():\n    assert not os.environ['APP_SECRET'], os.environ['CANARY_DSN']\n")
    write_site(
        tmp_path,
        {
            "instances": {"main": {"directory": str(running), "values": {"KEY": "${APP_SECRET}"}}},
            "templates": {"app": {"template": "app.tmpl", "canonical": "app.conf", "target": "app.conf"}},
            "compose": {"files": ["compose.yaml"]},
            "expect": {
                "token": {"file": {"path": str(tmp_path / "token"), "contains": "something else"}},
                "login": {"command": {"run": [str(tmp_path / "says")]}},
                "rows": {"sql": {"dsn_env": "CANARY_DSN", "query": "select 1", "value": 1}},
            },
        },
    )
    return run_check(tmp_path, "preflight", environ=ENVIRON)


def forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("="), secret.replace("'", "'\"'\"'")}


def test_no_artefact_of_a_run_holds_a_planted_secret(ran: CheckRun) -> None:
    assert ran.folder is not None, ran.output
    assert {"templates.byte_equivalent", "expect.command", "expect.file", "env.coverage", "own.own.own"} <= ran.broken(), ran.output
    found = [
        f"{path.relative_to(ran.folder)}: {name}"
        for path in ran.folder.rglob("*")
        if path.is_file()
        for name, secret in CANARIES.items()
        for form in forms(secret)
        if form in path.read_text(errors="replace")
    ]
    assert found == []


def test_facts_tell_files_apart_without_keeping_them(ran: CheckRun) -> None:
    assert ran.folder is not None
    kept = [line for line in (ran.folder / "facts.json").read_text().splitlines() if '"read"' in line]
    assert kept
    for line in kept:
        assert CANARIES["a token in a file that was read"] not in base64.b64decode(line.partition('"bytes":"')[2].partition('"')[0] or b"").decode(
            errors="replace"
        )
