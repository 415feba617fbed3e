"""Does the README say what the programs say? Help texts and make targets are compared with the real ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_help_text_in_the_readme_is_the_real_one() -> None:
    environ = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    script = "from interlock.cli import main; main(['--help'])"
    real = subprocess.run((sys.executable, "-c", script), env=environ, capture_output=True, text=True, check=True).stdout
    shown = re.search(r"^    \$ interlock --help\n((?:    .*\n|\n)+)", README, re.MULTILINE)
    assert shown is not None, "README.md has no block that begins with `$ interlock --help`"
    assert shown[1].split() == real.split()


def test_every_make_target_that_the_readme_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_file_that_the_readme_points_to_is_there() -> None:
    pointed = [*re.findall(r"\]\(([^)#:]+)\)", README), *re.findall(r"\b(docs/[a-z/_-]+\.md)\b", README)]
    assert pointed
    assert [name for name in pointed if not (ROOT / name).exists()] == []
