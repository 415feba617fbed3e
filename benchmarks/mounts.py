"""Is each of N tenants on a file system of its own? Our whole `pytest -m preflight`, with a record and a JUnit case of every mount, against goss and testinfra.

    python -m benchmarks.mounts                       1,000 mounts x 1,000 checks, and 5,000 x 5,000
    python -m benchmarks.mounts --sizes 1000 --rounds 3
    python -m benchmarks.mounts --load-runs 50        how often each fails falsely at load 8, too

The mounts are tmpfs, made in mount namespaces of their own, one for each size; everything is measured inside of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.measure import PYTEST_ALONE, WORK, Case, Goal, arguments, environment, interleave, measure, program, pytest_argv, report, save

OURS, GOSS, TESTINFRA, EMPTY = "interlock preflight", "goss", "testinfra, a test a mount", "pytest, an empty test"
FAMILIES = ("state_dir", "backups", "parity", "templates", "automation")
LOAD = 8
TESTINFRA_ONCE = 5_000  # it takes a minute

# Mounts a tmpfs at argv[1] and at each directory of argv[2], a ramfs over the last when argv[3] says so, and stays until its input ends.
_HOLDER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def mount(name, path, kind, data):
    if libc.mount(name, path, kind, 0, data):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
state, top = map(os.fsencode, sys.argv[1:3])
mount(b"state", state, b"tmpfs", b"size=1m,mode=700")
for name in sorted(os.listdir(top)):
    mount(name, top + b"/" + name, b"tmpfs", b"size=1m")
if sys.argv[3]:
    mount(b"over", top + b"/" + name, b"ramfs", None)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def namespace(top: Path, *, stacked: bool = False) -> Iterator[tuple[str, ...]]:
    """The command that starts another one where every directory of `top` is a mount; nobody else sees them, and they end with it."""
    root = os.geteuid() == 0
    argv = (
        "unshare",
        "-m" if root else "-Urm",
        "--propagation",
        "private",
        sys.executable,
        "-I",
        "-S",
        "-c",
        _HOLDER,
        str(state(top)),
        str(top),
        "1" if stacked else "",
    )
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != b"ready\n":
                raise RuntimeError("the mounts could not be made")
            user = () if root else (f"--user=/proc/{holder.pid}/ns/user", "--preserve-credentials")
            yield ("nsenter", *user, f"--mount=/proc/{holder.pid}/ns/mnt")
        finally:
            holder.stdin.close()


def within(command: tuple[str, ...], cases: Sequence[Case]) -> list[Case]:
    """The same cases in a namespace; the folder is entered there, not before."""
    for case in cases:
        case.argv = (*command, "env", "-C", str(case.cwd or WORK), *case.argv)
    return list(cases)


def directories(mounts: int) -> Path:
    """`mounts` directories, made once."""
    top = WORK / "mounts" / f"tenants-{mounts}"
    for number in range(mounts):
        (top / f"t{number:05d}").mkdir(parents=True, exist_ok=True)
    return top


def state(top: Path) -> Path:
    """Where the state disk is mounted: a site cannot have mounts without one."""
    folder = top.with_name(f"state-{top.name}")
    folder.mkdir(exist_ok=True)
    return folder


def site(top: Path) -> Path:
    """A site whose tenants these are."""
    folder = top.with_name(f"site-{top.name}")
    folder.mkdir(exist_ok=True)
    lines = ["interlock: 1", "site: bench", "mounts:", f"  state: {{path: {state(top)}, device: state, fstype: tmpfs}}", "  others:"]
    lines += [f"    tenants: {{each_below: {top}, fstype: tmpfs, options: [rw]}}", f"hosts: {{local: {{fstab: {folder / 'fstab'}}}}}", "not_used:"]
    lines += [f"  {family}: this site is for measuring" for family in FAMILIES]
    (folder / "interlock.yaml").write_text("\n".join(lines) + "\n")
    (folder / "fstab").write_text(f"state {state(top)} tmpfs size=1m,mode=700 0 0\n")
    return folder


def prove_evidence(folder: Path, mounts: int) -> None:
    """Every mount is in the record and in JUnit, and the run folder is gone again."""
    run = max((folder / "reports").glob("2*"))
    record = json.loads((run / "record.json").read_bytes())
    held = sum(verdict["details"]["held"] for verdict in record["verdicts"] if verdict["guardrail"] == "mounts.others")
    cases = sum(line.count(b"<testcase") for line in (run / "junit.xml").open("rb"))
    shutil.rmtree(folder / "reports")
    if record["decision"] != "open" or held != mounts or cases < mounts:
        raise RuntimeError(f"{held} details and {cases} cases for {mounts} mounts, gate {record['decision']}")


def ours(top: Path, mounts: int) -> Case:
    """The command as the runner starts it."""
    folder = site(top)
    alone = PYTEST_ALONE | {"PYTEST_PLUGINS": "interlock.plugin"}
    return Case(name=OURS, argv=pytest_argv("-m", "preflight"), cwd=folder, environ=alone, prove=lambda: prove_evidence(folder, mounts))


def peers(top: Path, mounts: int) -> list[Case]:
    """The same question to other tools: it is mounted, its type, and that it can be written to."""
    folder = top.with_name(f"peers-{top.name}")
    folder.mkdir(exist_ok=True)
    paths = [f"{top}/t{number:05d}" for number in range(mounts)]
    (folder / "goss.json").write_text(json.dumps({"mount": {path: {"exists": True, "filesystem": "tmpfs", "opts": ["rw"]} for path in paths}}))
    (folder / "test_infra.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('path', {paths!r})\ndef test_mount(host, path):\n    mount = host.mount_point(path)\n"
        "    assert mount.exists\n    assert mount.filesystem == 'tmpfs'\n    assert 'rw' in mount.options\n"
    )
    (folder / "test_empty.py").write_text("def test_nothing():\n    pass\n")
    goss, no_goss = program("goss", "GOSS")
    return [
        Case(name=GOSS, argv=(goss, "-g", str(folder / "goss.json"), "validate", "-f", "silent"), missing=no_goss, exit_codes=(0, 1)),
        Case(
            name=TESTINFRA,
            argv=pytest_argv("-p", "testinfra.plugin", "test_infra.py"),
            cwd=folder,
            environ=PYTEST_ALONE,
            once=mounts >= TESTINFRA_ONCE,
            missing=no_testinfra(),
        ),
        Case(name=EMPTY, argv=pytest_argv("test_empty.py"), cwd=folder, environ=PYTEST_ALONE),
    ]


def no_testinfra() -> str:
    """Why testinfra is missing, or nothing."""
    import importlib.util

    return "" if importlib.util.find_spec("testinfra") else "no testinfra: pip install pytest-testinfra"


GOALS = {
    1_000: (Goal(ours=OURS, peer=GOSS, limit=0.15), Goal(ours=OURS, peer=TESTINFRA, limit=0.04)),
    5_000: (Goal(ours=OURS, peer=GOSS, limit=0.007), Goal(ours=OURS, peer=TESTINFRA, limit=0.003)),
}


def verdicts_on_a_stack() -> dict[str, object]:
    """Who sees that a ramfs lies over the tmpfs of one tenant."""
    mounts = 3
    top = directories(mounts)
    with namespace(top, stacked=True) as command:
        case = ours(top, mounts)
        case.prove = lambda: None
        found = {}
        for one in within(command, [case, *peers(top, mounts)[:2]]):
            if one.missing:
                found[one.name] = f"missing: {one.missing}"
                continue
            done = subprocess.run(one.argv, env=environment(one.environ), capture_output=True, check=False)
            found[one.name] = "sees it" if done.returncode == 1 else f"does not see it (exit {done.returncode})"
    shutil.rmtree(site(top) / "reports", ignore_errors=True)
    return {"a ramfs over a tenant's tmpfs": found}


def false_failures(command: tuple[str, ...], top: Path, mounts: int, runs: int) -> dict[str, object]:
    """How many of `runs` fail where nothing is wrong, beside as many busy processes as make the load."""
    busy = [subprocess.Popen((sys.executable, "-I", "-S", "-c", "while True: pass")) for _ in range(LOAD)]
    failed: dict[str, object] = {}
    try:
        for case in within(command, [ours(top, mounts), peers(top, mounts)[0]]):
            case.exit_codes = (0,)
            count = sum(not _holds(case) for _ in range(runs)) if not case.missing else None
            failed[f"false failures of {runs} at load {LOAD}, {case.name}"] = "missing" if count is None else count
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return failed


def _holds(case: Case) -> bool:
    try:
        measure(case)
    except RuntimeError as error:
        print(f"  {error}", file=sys.stderr)
        return False
    return True


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures. All sizes are measured in the same rounds."""
    options = arguments(str(__doc__).partition("\n")[0], argv, _add)
    sizes = [int(size) for size in options.sizes.split(",")]
    (WORK / "mounts").mkdir(parents=True, exist_ok=True)
    reports = []
    with ExitStack() as stack:
        commands = {mounts: stack.enter_context(namespace(directories(mounts))) for mounts in sizes}
        leave_out = {TESTINFRA} if options.no_testinfra else set()
        cases = {mounts: within(commands[mounts], [ours(directories(mounts), mounts), *peers(directories(mounts), mounts)]) for mounts in sizes}
        for case in (case for group in cases.values() for case in group if case.name in leave_out):
            case.missing = "left out"
        interleave([case for group in cases.values() for case in group], options.rounds)
        for mounts in sizes:
            more = verdicts_on_a_stack() if mounts == sizes[0] else growth(cases[sizes[0]], cases[mounts])
            if options.load_runs and mounts == sizes[0]:
                more |= false_failures(commands[mounts], directories(mounts), mounts, options.load_runs)
            reports.append(report(f"{mounts:,} mounts x {mounts:,} checks", cases[mounts], GOALS.get(mounts, ()), more))
    save("mounts", reports, options.json)


def growth(few: Sequence[Case], many: Sequence[Case]) -> dict[str, object]:
    """CPU at the larger size over CPU at the smaller one, for each way."""
    found: dict[str, object] = {}
    for before, after in zip(few, many, strict=True):
        first, second = before.median("cpu_ms"), after.median("cpu_ms")
        goal = " (goal <= 1.35)" if before.name == OURS else ""
        found[f"CPU against the smaller size, {before.name}{goal}"] = round(second / first, 2) if first and second else "missing"
    return found


def _add(parser: object) -> None:
    add = parser.add_argument  # type: ignore[attr-defined]
    add("--sizes", default="1000,5000", help="how many mounts, comma-separated, rising")
    add("--no-testinfra", action="store_true", help="leave out the slowest peer: a minute of CPU at 5,000 mounts")
    add("--load-runs", type=int, default=0, metavar="N", help=f"how many of N runs fail falsely at load {LOAD}")


if __name__ == "__main__":
    main()
