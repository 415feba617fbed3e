"""Two branches that took the same parent, an id that the column cannot hold, and a step that nobody runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlock.testing.faults import Fault, write_site
from interlock.verdicts import When

REVISION = '''\
"""{name}"""

revision: str = "{name}"
down_revision: str | None = {after}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing."""
'''
STEPS = ("check-disk", "stop-services", "migrate-settings", "start-services")


def _healthy(folder: Path) -> None:
    _revision(folder, "0001_first", "None")
    _revision(folder, "0002_second", '"0001_first"')
    steps = folder / "steps"
    steps.mkdir()
    for name in STEPS:
        (steps / f"{name}.sh").write_text("#!/bin/sh\nset -eu\ntrue\n")
    _entry(folder, STEPS)
    write_site(folder, {"scripts": {"found": True}})


def _revision(folder: Path, name: str, after: str) -> None:
    versions = folder / "alembic" / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    (versions / f"{name[:20]}.py").write_text(REVISION.format(name=name, after=after))


def _entry(folder: Path, steps: tuple[str, ...]) -> None:
    (folder / "install.sh").write_text("#!/bin/sh\nset -eu\n" + "".join(f". steps/{name}.sh\n" for name in steps))


def _new_step(folder: Path) -> None:
    (folder / "steps" / "migrate-cache.sh").write_text("#!/bin/sh\nset -eu\ntrue\n")


def _no_python(folder: Path) -> None:
    (folder / "alembic" / "versions" / "0003_third.py").write_text("down_revision = (\n")


def _no_text(folder: Path) -> None:
    (folder / "install.sh").write_bytes(b"#!/bin/sh\n\0\0\0\n")


def _fault(rule: str, describe: str, kind: str, seed: Callable[[Path], None], blind: Callable[[Path], None]) -> Fault:
    return Fault(guardrail=f"migrations.{rule}", describe=describe, kind=kind, gate=When.STATIC, healthy=_healthy, seed=seed, blind=blind)


FAULTS = (
    _fault(
        "single_head",
        "two migrations after the same one",
        "several-heads",
        lambda folder: _revision(folder, "0002_other", '"0001_first"'),
        _no_python,
    ),
    _fault(
        "revision_id_length",
        "an id of forty characters",
        "too-long",
        lambda folder: _revision(folder, "0003_a_name_that_says_all_of_what_it_does", '"0002_second"'),
        _no_python,
    ),
    _fault("step_wired", "a step that the entry script does not know", "script-not-run", _new_step, _no_text),
)
