"""Things that apply by themselves, and gates that can be passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, read_site, rewrite_site, write_site
from interlock.testing.forge_stand_in import ANSWERS, answer, stand_in
from interlock.verdicts import When

DEPLOY = """\
name: deploy
on:
  workflow_dispatch:
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - name: Deploy
        run: ./scripts/deploy.sh
"""
SCRIPT = """\
#!/usr/bin/env bash
set -euo pipefail
release() {
  ssh "deploy@$HOST" 'exec 9>/run/lock/app && flock -n 9 && cd /srv/app && docker compose pull && docker compose up -d'
}
release
"""
TESTS = """\
name: tests
on: [push, pull_request]
jobs:
  smoke:
    runs-on: ubuntu-latest
    steps:
      - run: docker compose up -d --wait && ./smoke.sh
      - run: docker compose down -v
"""
STAYS = """\
name: app
on: [push]
jobs:
  app:
    runs-on: [self-hosted, rs2000]
    steps:
      - run: docker compose up -d --wait
"""
CRONTAB = "30 2 * * *\troot\t/srv/app/scripts/backup.sh --scheduled\n"
NIGHTLY = "0 4 * * *\troot\texec 9>/run/lock/app && flock -n 9 && cd /srv/app && docker compose pull -q && docker compose up -d\n"
BACKUP = "#!/bin/sh\nset -eu\numask 077\ndocker compose exec -T db pg_dumpall > /var/backups/app/all.sql\n"
GATE = """\
name: gate
on:
  pull_request:
jobs:
  build:
    runs-on: docker
    steps:
      - run: make
  gate:
    runs-on: docker
    needs: [build]
    if: always()
    steps:
      - uses: actions/checkout@v5
      - run: interlock scan .
      - run: test "${{ needs.build.result }}" = success
"""
FORGE = {"kind": "forgejo", "repository": "ops/platform"}
RULES = "repos/ops/platform/branch_protections"
CONTEXT = "gate / gate (pull_request)"


def _write(folder: Path, path: str, text: str, *, executable: bool = False) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(0o755 if executable else 0o644)


def _healthy(folder: Path) -> None:
    _write(folder, ".forgejo/workflows/deploy.yml", DEPLOY)
    _write(folder, ".forgejo/workflows/tests.yml", TESTS)
    _write(folder, "scripts/deploy.sh", SCRIPT, executable=True)
    _write(folder, "scripts/backup.sh", BACKUP, executable=True)
    _write(folder, "ops/crontab", CRONTAB)
    workflows = [".forgejo/workflows/deploy.yml", ".forgejo/workflows/tests.yml"]
    write_site(folder, {"automation": {"workflows": workflows, "crontabs": ["ops/crontab"]}})


def _healthy_gate(folder: Path) -> None:
    _write(folder, ".forgejo/workflows/gate.yml", GATE)
    write_site(folder, {"automation": {"gate": ".forgejo/workflows/gate.yml"}})


def _healthy_branch(folder: Path) -> None:
    _healthy_gate(folder)
    answer(folder, {RULES: [{"rule_name": "main", "enable_status_check": True, "status_check_contexts": [CONTEXT]}]})
    site = read_site(folder)
    site["automation"]["forge"] = {**FORGE, "url": stand_in(folder)}
    rewrite_site(folder, site)


def _edit(path: str, old: str, new: str) -> Callable[[Path], None]:
    def seed(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text, f"{path} holds no {old!r}"
        (folder / path).write_text(text.replace(old, new))

    return seed


def _directory_at(path: str) -> Callable[[Path], None]:
    """Nobody can read a workflow that is a directory, root neither."""

    def blind(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).mkdir()

    return blind


def _applies(describe: str, kind: str, seed: Callable[[Path], None], *, gate: When = When.STATIC, blind: str = ".forgejo/workflows/deploy.yml") -> Fault:
    return Fault(guardrail="automation.no_automatic_apply", describe=describe, kind=kind, gate=gate, healthy=_healthy, seed=seed, blind=_directory_at(blind))


def _passes(describe: str, kind: str, old: str, new: str) -> Fault:
    path = ".forgejo/workflows/gate.yml"
    return Fault(
        guardrail="automation.gate_is_required",
        describe=describe,
        kind=kind,
        gate=When.STATIC,
        healthy=_healthy_gate,
        seed=_edit(path, old, new),
        blind=_directory_at(path),
    )


_PUSH = _edit(".forgejo/workflows/deploy.yml", "workflow_dispatch:", "workflow_dispatch:\n  push:\n    branches: [main]")

FAULTS = (
    _applies("a release that a push starts, by a script and over ssh", "containers", _PUSH),
    _applies("the same, asked before an action", "containers", _PUSH, gate=When.PREFLIGHT),
    _applies(
        "a throw-away stack that now starts on a machine that stays",
        "containers",
        lambda folder: _write(folder, ".forgejo/workflows/tests.yml", STAYS),
    ),
    _applies(
        "a nightly line that pulls and brings up",
        "containers",
        lambda folder: _write(folder, "ops/crontab", CRONTAB + NIGHTLY),
        blind="ops/crontab",
    ),
    _passes("a gate whose red counts as green", "continue-on-error", "    if: always()", "    if: always()\n    continue-on-error: true"),
    _passes("a gate that is not asked about most files", "path-filter", "  pull_request:", "  pull_request:\n    paths: ['compose/**']"),
    _passes("an exit code that is swallowed", "swallowed", "interlock scan .", "interlock scan . || true"),
    _passes("a gate that a failed build skips", "needs", "    if: always()\n", ""),
    Fault(
        guardrail="automation.gate_is_required",
        describe="a branch that demands another check",
        kind="not-required",
        gate=When.PREFLIGHT,
        healthy=_healthy_branch,
        seed=_edit(ANSWERS, "gate / gate", "tests / unit"),
        blind=lambda folder: (folder / ANSWERS).unlink(),
    ),
)
