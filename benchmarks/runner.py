"""What does the runner cost beside the work that it runs? Twenty steps that do nothing, and one line of the journal.

    python -m benchmarks.runner

A run is a whole process: it loads the site, plans, approves, applies twenty commands `true`, each announced and recorded on disk, and writes the evidence;
real keys, real journal. The gate is left out, which is a pytest run and measured elsewhere. Beside it the start of Python, and the same programs bare.
A journal line is compared with a bare write and fsync of the same bytes, in one process, line by line in turn, on the same disk.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import WORK, Case, arguments, interleave, report, save

STEPS = 20
START, BARE, OURS = "python -c pass", f"{STEPS} programs, bare", f"plan, approve, apply {STEPS} no-op steps"
LIMIT_MS = 300  # over the start of Python
APPEND_LIMIT = 1.5
LINES = 400

_OURS = """
import sys
from pathlib import Path
from benchmarks.runner import once
once(Path(sys.argv[1]))
"""
_BARE = f"import subprocess\nfor _ in range({STEPS}): subprocess.run(('true',), check=True)"


def lay_out(work: Path, count: int) -> None:
    """A site with its key for each run, made before anything is measured: a runner finds both there."""
    from tests.tiny_site import key_of, make_tiny

    steps = "      - command: {run: ['true'], undo: ['true']}\n" * STEPS
    shutil.rmtree(work, ignore_errors=True)
    for number in range(count):
        tiny = make_tiny(work / str(number), steps=steps)
        (tiny.root / "reports").mkdir(mode=0o700)
        shutil.copy(key_of("anna"), tiny.root / "key")
        shutil.copy(key_of("anna").with_suffix(".pub"), tiny.root / "key.pub")


def once(work: Path) -> None:
    """One run on the first site that none had yet: load it, plan, approve, apply, keep the evidence."""
    from interlock import runner
    from interlock.change.applied import write_applied
    from interlock.config.load import load_site
    from interlock.facts.canonical import short
    from tests.tiny_site import Tiny

    folder = next(path for path in sorted(work.iterdir()) if not (path / "used").exists())
    (folder / "used").touch()
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TINY_PASSWORD": "correct-horse-battery", "LC_ALL": "C"}
    root = folder / "site"
    tiny = Tiny(root=root, site=load_site(root / "interlock.yaml", environ), environ=environ)
    stored = tiny.plan(key=root / "key")
    tiny.answers.append(short(stored.digest))
    runner.approve(tiny.site, str(stored.folder), root / "key", environ, tiny.means())
    outcome = runner.apply(
        tiny.site, short(stored.digest), environ, tiny.means(keep=lambda applied: write_applied(applied) if _on_disk(applied) else applied.base)
    )
    assert outcome.exit_code == 0, outcome.text


def _on_disk(applied: object) -> bool:
    """Put the details of the handed-in gate where its evidence would have them: there are none."""
    base = applied.base.path  # type: ignore[attr-defined]
    base.mkdir(parents=True, exist_ok=True)
    (base / "details.jsonl").touch()
    return True


def append_ratio(folder: Path) -> tuple[float, float, float]:
    """Median microseconds of an append to a journal, of a bare write and fsync of the same bytes, and their ratio."""
    from interlock.act.journal import Journal
    from interlock.gate.journal import Kind

    journals = folder / "journal"
    shutil.rmtree(folder, ignore_errors=True)
    journals.mkdir(parents=True, mode=0o700)
    journal = Journal.begin(journals, id="000001-bench-00000000", clock=lambda: datetime.now(UTC), data={"plan": "", "action": "bench", "steps": LINES})
    bare = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    ours, theirs = [], []
    for number in range(1, LINES + 1):
        began = time.perf_counter()
        line = journal.append(Kind.WILL_DO, number, {"kind": "command", "again": False}).line()
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        os.write(bare, line)
        os.fsync(bare)
        theirs.append(time.perf_counter() - began)
    os.close(bare)
    mine, other = statistics.median(ours) * 1e6, statistics.median(theirs) * 1e6
    return mine, other, mine / other


def _against(found: float, limit: float, form: str) -> str:
    return f"{form.format(found)}, goal <= {limit}: {'reached' if found <= limit else 'NOT reached'}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run it, print it, keep it."""
    asked = arguments(__doc__ or "", argv, lambda _parser: None)
    WORK.mkdir(exist_ok=True)
    root = Path(__file__).parent.parent
    environ = {"PYTHONPATH": str(root)}
    cases = [
        Case(name=START, argv=(sys.executable, "-c", "pass")),
        Case(name=BARE, argv=(sys.executable, "-c", _BARE)),
        Case(name=OURS, argv=(sys.executable, "-c", _OURS, str(WORK / "sites")), environ=environ),
    ]
    lay_out(WORK / "sites", asked.rounds)
    interleave(cases, asked.rounds)
    start, ours = cases[0].median("wall_ms"), cases[2].median("wall_ms")
    mine, bare, ratio = append_ratio(WORK / "runner")
    figures = {
        "over the start of Python, wall ms": "missing" if start is None or ours is None else _against(ours - start, LIMIT_MS, "{:.0f}"),
        "journal append / bare write+fsync": f"{mine:.0f} / {bare:.0f} us = {_against(ratio, APPEND_LIMIT, '{:.2f}')}",
    }
    save("runner", [report(f"runner, {STEPS} steps that do nothing", cases, [], figures)], asked.json)


if __name__ == "__main__":
    main()
