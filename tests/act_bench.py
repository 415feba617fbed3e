"""A bench to try single steps at, with a clearance of its own."""

from __future__ import annotations

import dataclasses
import os
import sys
from datetime import timedelta
from pathlib import Path

from interlock.act.outcome import Bench
from interlock.evidence.redact import Redactor
from interlock.gate.clearance import OperatorPresent, clear
from interlock.gate.decision import Open
from interlock.gate.journal import Spawned
from tests.tiny_site import NOW, SECRET

PLAN = "sha256:" + "a" * 64
ROOT = Path(__file__).parent.parent


def child_environ() -> dict[str, str]:
    """The environment of a Python that is to import what this one can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])}


def make_bench(folder: Path, contents: dict[str, bytes] | None = None, **changed: object) -> Bench:
    """A bench whose undo folder lies in `folder`; `contents` are the new files by digest."""
    undo = folder / "undo"
    undo.mkdir(mode=0o700, exist_ok=True)
    spawned: list[Spawned] = []
    bench = Bench(
        clearance=clear(plan=PLAN, action="release", gate=Open(), authority=OperatorPresent(user="u", host="h"), now=NOW, lasts=timedelta(hours=1)),
        plan=PLAN,
        action="release",
        id="000001-release-aaaaaaaa",
        clock=lambda: NOW,
        environ={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "PASSWORD": SECRET},
        content=lambda file, _old: (contents or {})[file.new.digest],
        undo_folder=undo,
        announce=spawned.append,
        redacting=Redactor([SECRET]).stream,
        interrupted=lambda: "",
        hear=lambda _line: None,
    )
    return dataclasses.replace(bench, **changed)  # type: ignore[arg-type]
