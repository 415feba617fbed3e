"""The pages about evidence, executed: every Python example runs in a run folder, every console example prints what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.evidence.folder import ALLURE, DETAILS, FACTS, JUNIT, RECORD, SUMMARY, SUMS
from tests.evidence_samples import SHUT, publish

ROOT = Path(__file__).parents[2]
PAGES = ("evidence.md", "verify.md")
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str, str]]:
    return [(page, kind, text) for page in PAGES for kind, text in BLOCK.findall((ROOT / "docs" / page).read_text())]


@pytest.mark.parametrize(("page", "kind", "text"), examples())
def test_an_example_does_what_its_page_says(tmp_path: Path, page: str, kind: str, text: str) -> None:
    folder = publish(tmp_path, SHUT).path
    if kind == "python":
        done = subprocess.run([sys.executable, "-c", text], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout
        return
    command, *expected = text.splitlines()
    shown = subprocess.run(
        ["sh", "-c", command.removeprefix("$ ")], cwd=folder, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == expected


def test_the_page_names_every_file_of_a_run_folder() -> None:
    text = (ROOT / "docs" / "evidence.md").read_text()
    assert all(f"`{name}" in text for name in (RECORD, DETAILS, FACTS, JUNIT, SUMMARY, SUMS, ALLURE))


def test_git_keeps_the_readme_of_the_reports_and_no_run(tmp_path: Path) -> None:
    for name in (".gitignore", "README.md"):
        (tmp_path / name).write_text((ROOT / "reports" / name).read_text())
    publish(tmp_path, SHUT)
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    listed = subprocess.run(["git", "ls-files", "--others", "--exclude-standard"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sorted(listed.stdout.split()) == [".gitignore", "README.md"]
