"""Are N rendered files their canonical files, byte for byte? Our whole `pytest -m static`, with a record and a JUnit case of every file, against diff.

    python -m benchmarks.templates
    python -m benchmarks.templates --sets small --rounds 9

Two trees of equal files: small is 200 instances of 20 files of 4 KiB, large 20 instances of 50 files of 200 KiB. Start-up is measured beside it, on a site
with one file, and subtracted where a ratio says "net": diff has next to none.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import PYTEST_ALONE, WORK, Case, Goal, arguments, interleave, pytest_argv, report, save
from benchmarks.permissions import prove_evidence

OURS = "interlock static"
START = "interlock static, one file"
SCAN = "interlock scan"
DIFF = "diff -rq"
EACH = "pytest, a test a pair"
FAMILIES = ("mounts", "state_dir", "backups", "parity", "automation")
WORDS = ("listen", "server", "proxy_pass", "location", "root", "return", "http", "upstream", "keepalive", "timeout", "443", "80", "/srv/www", "on;", "off;")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How many files there are, and how large. `net` and `whole` are the goals of reference/speed.md, W3."""

    instances: int
    files: int
    size: int
    net: float
    whole: float

    @property
    def pairs(self) -> int:
        """How many files are compared."""
        return self.instances * self.files


SETS = {
    "small": Workload(instances=200, files=20, size=4096, net=1.1, whole=0.13),
    "large": Workload(instances=20, files=50, size=204_800, net=0.9, whole=0.32),
    "one": Workload(instances=1, files=1, size=4096, net=0, whole=0),
}


def generate(name: str) -> Path:
    """A site with two equal trees, `templates` and `canonical`, of seeded text that is unique to each file. Made once."""
    work, folder = SETS[name], WORK / "templates" / name
    if (folder / "interlock.yaml").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(work.instances):
        for tree in ("templates", "canonical"):
            (folder / tree / f"t{number:03d}").mkdir(parents=True)
        for file in range(work.files):
            data = _text(number * work.files + file, work.size)
            for tree in ("templates", "canonical"):
                (folder / tree / f"t{number:03d}" / f"f{file:02d}.conf").write_bytes(data)
    (folder / "interlock.yaml").write_text("\n".join(_site(work)) + "\n")
    return folder


def _text(seed: int, size: int) -> bytes:
    choose = random.Random(seed)
    text = f"# {seed}\n" + "".join(choose.choice(WORDS) + choose.choice(" \n") for _ in range(size // 3))
    return text.encode()[:size]


def _site(work: Workload) -> list[str]:
    lines = ["interlock: 1", "site: bench", "instances:"]
    lines += [f"  t{number:03d}: {{directory: /srv/t{number:03d}}}" for number in range(work.instances)]
    lines.append("templates:")
    for file in range(work.files):
        name = f"f{file:02d}"
        paths = f"template: 'templates/{{instance}}/{name}.conf', canonical: 'canonical/{{instance}}/{name}.conf', target: {name}.conf"
        lines.append(f"  {name}: {{{paths}, renderer: copy}}")
    return [*lines, "not_used:", *(f"  {family}: this site is for measuring" for family in FAMILIES)]


def cases(name: str) -> list[Case]:
    """The same comparison by everybody. git ends with 1 for any difference, as diff does."""
    work, folder, one = SETS[name], generate(name), generate("one")
    trees = (str(folder / "templates"), str(folder / "canonical"))
    tests = WORK / "templates" / f"peers-{name}"
    tests.mkdir(exist_ok=True)
    (tests / "test_pairs.py").write_text(
        f"import pathlib, pytest\nLEFT, RIGHT = map(pathlib.Path, {trees!r})\n"
        "@pytest.mark.parametrize('path', sorted(str(path.relative_to(LEFT)) for path in LEFT.glob('*/*')))\n"
        "def test_pair(path):\n    assert (LEFT / path).read_bytes() == (RIGHT / path).read_bytes()\n"
    )
    alone = PYTEST_ALONE | {"PYTEST_PLUGINS": "interlock.plugin"}
    scan = (sys.executable, "-m", "interlock", "scan", ".", "--format", "json", "--output", str(tests / "record.json"))
    git = shutil.which("git")
    return [
        Case(name=OURS, argv=pytest_argv("-m", "static"), cwd=folder, environ=alone, prove=lambda: prove_evidence(folder, work.pairs)),
        Case(name=START, argv=pytest_argv("-m", "static"), cwd=one, environ=alone, prove=lambda: prove_evidence(one, 1)),
        Case(name=SCAN, argv=scan, cwd=folder),
        Case(name=DIFF, argv=("diff", "-rq", *trees)),
        Case(name="git diff --no-index", argv=(git or "", "diff", "--no-index", "--quiet", *trees), missing="" if git else "no git"),
        Case(name=EACH, argv=pytest_argv("test_pairs.py"), cwd=tests, environ=PYTEST_ALONE),
    ]


def net(measured: Sequence[Case], work: Workload) -> dict[str, object]:
    """Ours without start-up against diff."""
    medians = {case.name: case.median("cpu_ms") for case in measured}
    ours, start, diff = medians[OURS], medians[START], medians[DIFF]
    if ours is None or start is None or not diff:
        return {f"net of start-up against {DIFF}": "missing"}
    ratio = (ours - start) / diff
    return {f"net of start-up against {DIFF} (goal <= {work.net})": f"{ratio:.2f}: {'reached' if ratio <= work.net else 'NOT reached'}"}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    options = arguments(str(__doc__).partition("\n")[0], argv, _add)
    reports = []
    for name in options.sets.split(","):
        work, measured = SETS[name], cases(name)
        interleave(measured, options.rounds)
        goals = (Goal(ours=OURS, peer=EACH, limit=work.whole),)
        title = f"templates, {name}: {work.instances} x {work.files} files of {work.size:,} bytes"
        reports.append(report(title, measured, goals, net(measured, work)))
    save("templates", reports, options.json)


def _add(parser: object) -> None:
    parser.add_argument("--sets", default="small,large", help="small, large or both")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
