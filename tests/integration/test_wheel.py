"""Does the wheel work where nothing of this repository is? Built, installed into an empty venv, run in an empty folder, with no package index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = """\
interlock: 1
site: empty-folder
expect:
  a-file-is-there:
    file:
      path: {folder}/present
not_used:
  mounts: the test has no disk
  state_dir: the test keeps no state
  backups: the test keeps no state
  parity: the test has no database
  templates: the test has no template
  automation: the test has no workflow
"""
OPERATORS_OWN = "raise RuntimeError('a test file of the operator was imported')\n"


def run(argv: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """A program in a folder, without anything of this process's Python in its environment."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COVERAGE", "VIRTUAL_ENV"))}
    return subprocess.run(argv, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def wheelhouse() -> Path:
    """The wheels of the locked run-time dependencies, which `make setup` downloads."""
    place = subprocess.run(("sh", str(ROOT / "tools" / "place.sh")), capture_output=True, text=True, check=True).stdout.strip()
    folder = Path(place, ".setup", "wheelhouse")
    if not folder.is_dir():
        missing = f"needs the wheels in {folder}: run make setup"
        pytest.fail(missing) if os.environ.get("INTERLOCK_CI") == "1" else pytest.skip(missing)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """interlock's own wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    done = run((sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT), folder)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a venv that holds the wheel and its dependencies, and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    found = folder / "bin" / "python"
    done = run((found, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", wheelhouse, wheel), folder)
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An operator's folder: a site file, the file that it expects, and tests of the operator's own that are none of our business."""
    (tmp_path / "present").write_text("here\n")
    (tmp_path / "interlock.yaml").write_text(SITE.format(folder=tmp_path))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_own.py").write_text(OPERATORS_OWN)
    (tmp_path / "test_beside.py").write_text(OPERATORS_OWN)
    return tmp_path


def records(site: Path) -> list[dict[str, object]]:
    """The records below the site's reports, oldest first."""
    return [json.loads(file.read_bytes()) for file in sorted(site.glob("reports/*/record.json"), key=lambda file: file.stat().st_mtime_ns)]


def test_the_wheel_holds_checks_and_fixtures_inside_the_package_alone(wheel: Path) -> None:
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"interlock", "interlock-0.1.0.dist-info"}
    assert {"interlock/checks/test_mounts.py", "interlock/fixtures/mounts.py", "interlock/config/site.schema.json"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_a_preflight_in_an_empty_folder_opens_without_importing_the_operators_own_tests(python: Path, site: Path) -> None:
    done = run((python, "-m", "pytest", "-m", "preflight"), site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [record["decision"] for record in records(site)] == ["open"]


def test_the_same_preflight_is_shut_when_the_expected_file_is_gone(python: Path, site: Path) -> None:
    (site / "present").unlink()
    done = run((python, "-m", "pytest", "-m", "preflight", "-p", "no:cacheprovider"), site)
    assert done.returncode == 1, done.stdout + done.stderr
    assert [record["decision"] for record in records(site)] == ["shut"]


def test_the_installed_program_answers_like_pytest(python: Path, site: Path) -> None:
    (site / "present").unlink()
    done = run((python.with_name("interlock"), "preflight"), site)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a-file-is-there" in done.stdout
