"""Modules without a class or a container, restores that nobody described, scripts that leave half behind: what files alone tell of backups."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.testing.faults import Fault, read_site, write_site
from interlock.verdicts import When

# ---- module files

POSTGRES = """\
apiVersion: platform/v1
kind: Module
metadata: {name: honcho-postgres}
spec:
  runtime: {statefulness: stateful, container: honcho-postgres-1}
"""
GRAFANA = """\
metadata: {name: grafana}
spec:
  runtime: {statefulness: stateful}
"""
OLD_WIKI = """\
metadata: {name: old-wiki}
spec:
  lifecycle: parked
  runtime: {statefulness: stateful}
"""
METRICS = """\
metadata: {name: metrics}
spec:
  runtime: {statefulness: stateful, container: metrics-1}
  backup: {excluded: samples can be lost}
"""
PROXY = """\
metadata: {name: proxy}
spec:
  runtime: {statefulness: stateless}
"""
RUNBOOK = "# grafana\n\nContainer: `grafana-1`\n"
MODULES = {"honcho-postgres": POSTGRES, "grafana": GRAFANA, "old-wiki": OLD_WIKI, "metrics": METRICS, "proxy": PROXY}


def platform(folder: Path) -> None:
    """Five modules, three of them to be backed up or left out with a reason."""
    for name, text in MODULES.items():
        (folder / "modules" / name).mkdir(parents=True)
        (folder / "modules" / name / "module.yaml").write_text(text)
    (folder / "modules" / "grafana" / "runbook.md").write_text(RUNBOOK)
    write_site(folder, {"inventory": {"modules": ["modules/*/module.yaml"]}})


def _edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / "modules" / name / "module.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _two_patterns(folder: Path) -> None:
    rules = [{"name": "graf*", "class": "E"}, {"name": "*ana", "class": "F"}]
    write_site(folder, {"inventory": {"modules": ["modules/*/module.yaml"], "classes": rules}})


def _module(describe: str, kind: str, seed: Callable[[Path], object]) -> Fault:
    return Fault(
        guardrail="backups.class_assigned",
        describe=describe,
        kind=kind,
        gate=When.STATIC,
        healthy=platform,
        seed=lambda folder: _do(seed, folder),
        blind=lambda folder: _edit(folder, "grafana", "metadata: {", "metadata: {{"),
    )


def _do(seed: Callable[[Path], object], folder: Path) -> None:
    seed(folder)


# ---- notes and procedures

NOTE = "# Restore\n\n1. Start an empty cluster of the same major version.\n2. `psql -f` the newest dump into it; any error ends the restore.\n"
DUMP_ALL = 'umask 077\npg_dumpall --clean | gzip > "/srv/backups/db/all-$(date +%F).sql.gz"\n'
DUMP_ONE = 'umask 077\npg_dump ledger | gzip > "/srv/backups/db/ledger-$(date +%F).sql.gz"\n'
COPY_BOTH = "umask 077\ncp /srv/app/app.db /srv/app/app.db-wal /srv/backups/app/\n"
COPY_ONE = "umask 077\ncp /srv/app/app.db /srv/backups/app/app.db\n"


def _git(folder: Path, *arguments: str, at: str = "2026-11-01T12:00:00Z") -> None:
    person = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main")
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(("git", *person, "-C", str(folder), *arguments), check=True, capture_output=True, timeout=30, env=environ)


def commit(folder: Path, *paths: str, at: str) -> None:
    """Commit these files at that time."""
    _git(folder, "add", "--", *paths)
    _git(folder, "commit", "--quiet", "--message", "as it is now", "--", *paths, at=at)


def database(folder: Path, **changed: Any) -> None:
    """A PostgreSQL module in a checkout, with a script that dumps all of it, and a note that was written after that."""
    (folder / "backup.sh").write_text(DUMP_ALL)
    (folder / "restore.md").write_text(NOTE)
    _git(folder, "init", "--quiet")
    commit(folder, "backup.sh", at="2026-11-01T12:00:00Z")
    commit(folder, "restore.md", at="2026-11-02T12:00:00Z")
    said = {"restore_note": "restore.md", "procedure": "backup.sh", "decision": "kim, 2026-11-02, in issue 12"}
    write_site(folder, {"modules": {"db": {"class": "A", "backups": "/srv/backups/db", "owner": "root", **said, **changed}}})


def _say(folder: Path, **changed: str) -> None:
    """Say something else of the module; an empty text is nothing said."""
    module = read_site(folder)["modules"]["db"] | changed
    write_site(folder, {"modules": {"db": {key: value for key, value in module.items() if value}}})


def _newer_procedure(folder: Path) -> None:
    (folder / "backup.sh").write_text(DUMP_ALL.replace("--clean", "--clean --if-exists"))
    commit(folder, "backup.sh", at="2026-11-03T12:00:00Z")


def _is_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _note(describe: str, kind: str, seed: Callable[[Path], object]) -> Fault:
    return Fault(
        guardrail="backups.restore_notes",
        describe=describe,
        kind=kind,
        gate=When.STATIC,
        healthy=database,
        seed=lambda folder: _do(seed, folder),
        blind=lambda folder: _is_a_directory(folder / "restore.md"),
    )


def _write_and_commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    commit(folder, name, at="2026-11-02T13:00:00Z")


def _embedded(folder: Path) -> None:
    (folder / "backup.sh").write_text(COPY_BOTH)
    module = {"class": "E", "paths": ["/srv/app"], "backups": "/srv/backups/app", "owner": "root", "procedure": "backup.sh"}
    write_site(folder, {"modules": {"app": module}})


def _script(describe: str, kind: str, healthy: Callable[[Path], None], text: str) -> Fault:
    return Fault(
        guardrail="backups.complete",
        describe=describe,
        kind=kind,
        gate=When.STATIC,
        healthy=healthy,
        seed=lambda folder: _do(lambda folder: (folder / "backup.sh").write_text(text), folder),
        blind=lambda folder: _is_a_directory(folder / "backup.sh"),
    )


def _dumped_before_its_note(folder: Path) -> None:
    database(folder)
    (folder / "restore.md").write_text(NOTE + "3. Look at the rows.\n")  # not committed yet: newer than any procedure


FAULTS = (
    _module("a module whose container nobody names", "no-container", lambda folder: (folder / "modules" / "grafana" / "runbook.md").unlink()),
    _module("a module that two patterns put into two classes", "two-classes", _two_patterns),
    _module(
        "a class that there is not",
        "no-such-class",
        lambda folder: _edit(folder, "honcho-postgres", "spec:\n", "spec:\n  backup: {class: H}\n"),
    ),
    _module(
        "a module that is left out without a reason",
        "excluded-silently",
        lambda folder: _edit(folder, "metrics", "excluded: samples can be lost", "excluded: true"),
    ),
    _module("two modules of one name", "same-name", lambda folder: _edit(folder, "grafana", "name: grafana", "name: honcho-postgres")),
    _module(
        "a runbook that names two containers",
        "two-containers",
        lambda folder: (folder / "modules" / "grafana" / "runbook.md").write_text(RUNBOOK + "Container: `grafana-2`\n"),
    ),
    _note("a restore that nobody described", "no-note", lambda folder: _say(folder, restore_note="")),
    _note("a note that is not there", "note-missing", lambda folder: _say(folder, restore_note="restore-db.md")),
    _note("a note of a heading and a TODO", "note-empty", lambda folder: _write_and_commit(folder, "restore.md", "# Restore\n\nTODO\n")),
    _note("a procedure that changed after its note", "note-older", _newer_procedure),
    _note("backups that nobody decided on", "no-decision", lambda folder: _say(folder, decision="")),
    _script("a script that dumps without roles", "no-roles", _dumped_before_its_note, DUMP_ONE),
    _script("a script that copies a database without its log", "wal-missing", _embedded, COPY_ONE),
)
