"""`make fuzz`, a part of `make prove`: every target of tests/fuzz/targets.py under atheris, one after the other, an hour in total.

INTERLOCK_FUZZ_SECONDS is the time for all of them. What is found lies in build/fuzz/TARGET; it belongs into tests/fuzz/kept/TARGET with its mending.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS, inputs

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "fuzz"
HOUR = 3600
SHARE = {"tree": 6, "shell": 2, "writers": 2, "yamltext": 2}  # of the time, where one is not enough
LONGEST_INPUT = 4096
OPTIONS = ("-timeout=20", "-rss_limit_mb=3000", f"-max_len={LONGEST_INPUT}", "-print_final_stats=1", "-verbosity=0")


def main(names: list[str]) -> int:
    """0 when nothing was found, 1 when something was, 2 when nothing could be looked for."""
    try:
        importlib.import_module("atheris")
    except ImportError as error:
        print(f"fuzz: atheris is not installed ({error}): pip install --requirement requirements/fuzz.txt", file=sys.stderr)
        return 2
    unknown = set(names) - set(TARGETS)
    if unknown:
        print(f"fuzz: no target {', '.join(sorted(unknown))}: there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    wanted = names or list(TARGETS)
    each = float(os.environ.get("INTERLOCK_FUZZ_SECONDS", str(HOUR))) / sum(SHARE.get(name, 1) for name in wanted)
    failed = [name for name in wanted if not holds(name, max(1, int(each * SHARE.get(name, 1))))]
    for name in failed:
        print(f"fuzz: {name} does not hold: see {WORK / name}, keep the input in tests/fuzz/kept/{name}/", file=sys.stderr)
    return 1 if failed else 0


def holds(name: str, seconds: int) -> bool:
    """Fuzz one target; the corpus of the last time is gone on with."""
    corpus, found = WORK / name / "corpus", WORK / name / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    for title, data in inputs(name).items():
        (corpus / title).write_bytes(data)
    print(f"fuzz: {name} for {seconds} s", flush=True)
    argv = (sys.executable, "-m", "tests.fuzz.run_target", name, str(corpus), f"-max_total_time={seconds}", f"-artifact_prefix={found}/", *OPTIONS)
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    (WORK / name / "log.txt").write_text(done.stdout)
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-40:]))
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
