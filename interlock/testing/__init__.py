"""Public test aids: prove that a guardrail bites, through real pytest.

ran = run_check(folder, "preflight")
assert ran.outcome("backups.mode_0600") is Outcome.BROKEN
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from interlock.evidence.record import Record
from interlock.nouns import dataclass
from interlock.verdicts import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRun:
    """A gate run of real pytest that has ended. `record` is None when it left none; `folder` is its evidence; `kinds` are those of its details."""

    exit_code: int
    output: str
    record: Record | None
    folder: Path | None
    kinds: frozenset[str] = frozenset()

    def verdicts(self, guardrail: str) -> tuple[Verdict, ...]:
        """The verdicts of one guardrail, in the record's order."""
        assert self.record is not None, self.output
        return tuple(verdict for verdict in self.record.verdicts if verdict.guardrail == guardrail)

    def outcome(self, guardrail: str) -> Outcome:
        """The outcome of a guardrail that has one subject here. Raises AssertionError when it has none or several."""
        found = self.verdicts(guardrail)
        assert len(found) == 1, f"{guardrail}: {found}\n{self.output}"
        return found[0].outcome

    def broken(self) -> set[str]:
        """The ids of all guardrails that are broken."""
        assert self.record is not None, self.output
        return {verdict.guardrail for verdict in self.record.verdicts if verdict.outcome is Outcome.BROKEN}


ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "interlock.plugin"}


def run_check(folder: Path, gate: str, *arguments: str, environ: Mapping[str, str] | None = None, within: Sequence[str] = (), alone: bool = False) -> CheckRun:
    """Run `pytest -m <gate>` in `folder`, which holds an interlock.yaml, in a process of its own; newest evidence below `folder`/reports is read back.

    `environ` is added to this process's environment, from which pytest's own variables are taken out; `within` is a command that starts what stands behind it
    (`unshare -m sh stage.sh`). `alone`: without the plugins of others that happen to be installed, which is faster.
    """
    from interlock.evidence.details import read_details
    from interlock.evidence.folder import load_run

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE")) and name != "PYTHONDONTWRITEBYTECODE"}
    before = _runs(folder)
    named = ALONE if alone else {}
    argv = (*within, sys.executable, "-m", "pytest", "-m", gate, "-p", "no:cacheprovider", "-p", "no:randomly", *arguments)
    done = subprocess.run(
        argv, cwd=folder, env={**clean, **named, **(environ or {})}, capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    new = sorted(_runs(folder) - before)
    output = done.stdout + done.stderr
    if not new:
        return CheckRun(exit_code=done.returncode, output=output, record=None, folder=None)
    run = load_run(new[-1])
    kinds = {line["kind"] for line in read_details(run.path / "details.jsonl") if "kind" in line}
    return CheckRun(exit_code=done.returncode, output=output, record=run.record, folder=run.path, kinds=frozenset(kinds))


def _runs(folder: Path) -> set[Path]:
    reports = folder / "reports"
    return {path for path in reports.iterdir() if not path.name.startswith(".") and path.is_dir()} if reports.is_dir() else set()
