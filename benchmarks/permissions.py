"""Are N backup files 0600 and their owner's? Our whole `pytest -m preflight`, with a record and a JUnit case of every file, against goss, testinfra and find.

python -m benchmarks.permissions                     10,000 and 100,000 files
python -m benchmarks.permissions --sizes 1000,10000 --rounds 3
python -m benchmarks.permissions --million           memory at 1,000,000 files
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import PYTEST_ALONE, WORK, Case, Goal, arguments, interleave, program, pytest_argv, report, save

FILES_IN_A_FOLDER = 1000
OURS = "interlock preflight"
TESTINFRA_MOST = 10_000  # it takes five seconds of CPU for a thousand files
TESTS_MOST = 10_000
FAMILIES = ("mounts", "state_dir", "parity", "templates", "automation")


def generate(files: int) -> Path:
    """A directory of backups: `files` empty files of 0600 in directories of a thousand, all ours. Made once."""
    top = WORK / "permissions" / f"files-{files}"
    done = top.with_suffix(".done")
    if done.exists():
        return top
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(parents=True, mode=0o700)
    for start in range(0, files, FILES_IN_A_FOLDER):
        folder = top / f"d{start // FILES_IN_A_FOLDER:04d}"
        folder.mkdir(mode=0o700)
        for number in range(start, min(files, start + FILES_IN_A_FOLDER)):
            os.close(os.open(folder / f"f{number:07d}.dump", os.O_CREAT | os.O_WRONLY, 0o600))
    done.touch()
    return top


def names(top: Path) -> list[str]:
    """The files of `generate`."""
    return [str(path) for path in sorted(top.glob("*/*"))]


def owner() -> str:
    """Who owns them."""
    return pwd.getpwuid(os.geteuid()).pw_name


def site(top: Path, files: int) -> Path:
    """A site with one module, whose backups these are."""
    folder = WORK / "permissions" / f"site-{files}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["interlock: 1", "site: bench", "modules:", "  app:", "    paths: [/etc]", f"    backups: {top}", f"    owner: {owner()}", "not_used:"]
    lines += [f"  {family}: this site is for measuring" for family in FAMILIES]
    (folder / "interlock.yaml").write_text("\n".join(lines) + "\n")
    return folder


def prove_evidence(folder: Path, files: int) -> None:
    """Every file is in the record and in JUnit, and the run folder is gone again."""
    run = max((folder / "reports").glob("2*"))
    record = json.loads((run / "record.json").read_bytes())
    held = sum(verdict["details"]["held"] for verdict in record["verdicts"])
    cases = sum(line.count(b"<testcase") for line in (run / "junit.xml").open("rb"))
    shutil.rmtree(folder / "reports")
    if record["decision"] != "open" or held < files or cases < files:
        raise RuntimeError(f"{held} details and {cases} cases for {files} files, gate {record['decision']}")


def ours(folder: Path, files: int) -> list[Case]:
    """The command as the runner starts it, and as somebody types it with every plugin that happens to be installed."""
    argv = pytest_argv("-m", "preflight")
    alone = PYTEST_ALONE | {"PYTEST_PLUGINS": "interlock.plugin"}
    return [
        Case(name=OURS, argv=argv, cwd=folder, environ=alone, prove=lambda: prove_evidence(folder, files)),
        Case(
            name=f"{OURS}, all plugins installed here",
            argv=(sys.executable, "-m", "pytest", "-m", "preflight"),
            cwd=folder,
            prove=lambda: prove_evidence(folder, files),
        ),
    ]


def peers(top: Path, files: int) -> list[Case]:
    """The same question to other tools."""
    folder = WORK / "permissions" / f"peers-{files}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: {"exists": True, "mode": "0600", "owner": owner()} for name in names(top)}
    (folder / "goss.json").write_text(json.dumps({"file": wanted}))
    (folder / "test_infra.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('path', {names(top)!r})\ndef test_mode(host, path):\n"
        f"    file = host.file(path)\n    assert file.mode == 0o600\n    assert file.user == {owner()!r}\n"
    )
    (folder / "test_lstat.py").write_text(
        f"import os, pytest\n@pytest.mark.parametrize('path', {names(top)!r})\ndef test_mode(path):\n"
        f"    seen = os.lstat(path)\n    assert seen.st_mode == 0o100600\n    assert seen.st_uid == {os.geteuid()}\n"
    )
    (folder / "test_empty.py").write_text("def test_nothing():\n    pass\n")
    goss, no_goss = program("goss", "GOSS")
    few = f"not measured above {TESTS_MOST} files"
    return [
        Case(name="find", argv=("find", str(top), "!", "-perm", "0600", "-type", "f", "-o", "!", "-uid", str(os.geteuid()))),
        Case(name="goss, JUnit", argv=(goss, "-g", str(folder / "goss.json"), "validate", "-f", "junit"), missing=no_goss),
        Case(name="goss, silent", argv=(goss, "-g", str(folder / "goss.json"), "validate", "-f", "silent"), missing=no_goss),
        Case(
            name="testinfra, a test a file",
            argv=pytest_argv("-p", "testinfra.plugin", "test_infra.py"),
            cwd=folder,
            environ=PYTEST_ALONE,
            once=files >= TESTINFRA_MOST,
            missing=few if files > TESTINFRA_MOST else no_testinfra(),
        ),
        Case(name="pytest, a test a file", argv=pytest_argv("test_lstat.py"), cwd=folder, environ=PYTEST_ALONE, missing=few if files > TESTS_MOST else ""),
        Case(name="pytest, an empty test", argv=pytest_argv("test_empty.py"), cwd=folder, environ=PYTEST_ALONE),
    ]


def no_testinfra() -> str:
    """Why testinfra is missing, or nothing."""
    import importlib.util

    return "" if importlib.util.find_spec("testinfra") else "no testinfra: pip install pytest-testinfra"


GOALS = {
    1_000: (Goal(ours=OURS, peer="pytest, an empty test", limit=1.15), Goal(ours=OURS, peer="testinfra, a test a file", limit=0.045)),
    10_000: (
        Goal(ours=OURS, peer="goss, JUnit", limit=0.75),
        Goal(ours=OURS, peer="testinfra, a test a file", limit=0.006),
        Goal(ours=OURS, peer="pytest, a test a file", limit=0.06),
    ),
    100_000: (Goal(ours=OURS, peer="goss, JUnit", limit=0.22),),
}


def slopes(small: Sequence[Case], large: Sequence[Case], files: int) -> dict[str, object]:
    """Microseconds that one more file costs, and ours against find."""
    found: dict[str, object] = {}
    for before, after in zip(small, large, strict=True):
        first, second = before.median("cpu_ms"), after.median("cpu_ms")
        if first is not None and second is not None:
            found[f"us a file, {before.name}"] = round((second - first) * 1000 / files, 3)
    mine, theirs = found.get(f"us a file, {OURS}"), found.get("us a file, find")
    if isinstance(mine, float) and isinstance(theirs, float) and theirs > 0:
        found["slope against find (goal <= 3)"] = round(mine / theirs, 2)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    options = arguments(str(__doc__).partition("\n")[0], argv, _add)
    sizes = [int(size) for size in options.sizes.split(",")]
    reports, measured = [], {}
    for files in sizes:
        top = generate(files)
        measured[files] = [*ours(site(top, files), files), *peers(top, files)]
        interleave(measured[files], options.rounds)
        more = slopes(measured[sizes[0]], measured[files], files - sizes[0]) if files != sizes[0] else {}
        reports.append(report(f"permissions of {files:,} files", measured[files], GOALS.get(files, ()), more))
    if options.million:
        reports.append(_million(options.rounds))
    save("permissions", reports, options.json)


def _million(rounds: int) -> dict[str, object]:
    """Memory at a thousand and at a million files; the million are in one directory of a thousand thousand."""
    cases = []
    for files in (1_000, 1_000_000):
        case = ours(site(generate(files), files), files)[0]
        case.name = f"{OURS}, {files:,} files"
        cases.append(case)
    interleave(cases, min(rounds, 3))
    few, many = (case.median("rss_mb") for case in cases)
    more = {"RSS MB at a million (goal <= 45)": many, "against a thousand (goal <= 1.3)": round(many / few, 2) if few and many else "missing"}
    return report("memory", cases, (), more)


def _add(parser: object) -> None:
    add = parser.add_argument  # type: ignore[attr-defined]
    add("--sizes", default="10000,100000", help="how many files, comma-separated, rising")
    add("--million", action="store_true", help="memory at 1,000,000 files too (makes them once: a minute, a million inodes)")


if __name__ == "__main__":
    main()
