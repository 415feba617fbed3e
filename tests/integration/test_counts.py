"""Counts that no noise of a machine can change: what a whole gate run opens, starts and imports."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.facts.mounts import MountTable
from interlock.testing.faults import write_site
from interlock.testing.faults.backups import back_up
from interlock.testing.faults.mounts import DISK

WATCHED = """
import json, os, sys
opened, started = [], []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY):
        opened.append(os.fsdecode(arguments[0]))
    elif event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system", "pty.spawn"):
        started.append(f"{event} {arguments[:2]}")

import pytest
sys.addaudithook(watch)
code = pytest.main(["-m", "preflight", "-q", "-p", "interlock.plugin", "-p", "no:cacheprovider"])
print("WATCHED" + json.dumps({"code": int(code), "opened": opened, "started": started, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.fixture
def state() -> Iterator[str]:
    """A directory on a disk that everybody has."""
    with tempfile.TemporaryDirectory(prefix="interlock-counts-", dir=DISK) as name:
        yield name


@pytest.fixture
def site(tmp_path: Path, state: str) -> Path:
    """Mounts, backups and templates on this machine."""
    shown = MountTable.parse(Path("/proc/self/mountinfo").read_bytes(), where="here").showing(DISK)
    assert shown is not None
    backups, running = tmp_path / "backups", tmp_path / "running"
    backups.mkdir(mode=0o700)
    running.mkdir()
    for number in range(20):
        back_up(backups / f"{number}.tar", Path("/etc/hostname"), hours=number)
    for number in range(5):
        (tmp_path / f"{number}.tmpl").write_text("listen ${PORT}\n")
        (tmp_path / f"{number}.conf").write_text("listen 80\n")
    write_site(
        tmp_path,
        {
            "mounts": {"state": {"path": state, "device": shown.source, "mountpoint": shown.mountpoint}},
            "modules": {"app": {"paths": ["/etc/hostname"], "backups": str(backups), "owner": getpass.getuser()}},
            "instances": {"main": {"directory": str(running), "values": {"PORT": "80"}}},
            "templates": {f"t{number}": {"template": f"{number}.tmpl", "canonical": f"{number}.conf", "target": f"{number}.conf"} for number in range(5)},
        },
    )
    return tmp_path


def watched(site: Path) -> dict[str, object]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE", "PYTHON"))}
    environ = {**clean, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([sys.executable, "-c", WATCHED], cwd=site, env=environ, capture_output=True, text=True, timeout=60, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("WATCHED")), None)
    assert line is not None, done.stdout + done.stderr
    found: dict[str, object] = json.loads(line.removeprefix("WATCHED"))
    assert found["code"] == 0, done.stdout
    return found


def test_local_judgements_start_no_process_and_read_each_file_once(site: Path) -> None:
    found = watched(site)
    opened = found["opened"]
    assert isinstance(opened, list)
    assert found["started"] == []
    assert opened.count("/proc/self/mountinfo") == 2  # the table; and what lies below mountpoints is looked for by the table of that moment
    ours = Counter(path for path in opened if path.startswith(str(site)) and "/reports/" not in path)
    assert ours.pop(f"{site}/interlock.yaml") == 2, "once to load it, once to see that nobody has changed it since"
    assert [path for path, times in ours.items() if times > 1] == []
    assert sum(path.endswith((".tmpl", ".conf")) for path in ours) == 10
    assert [path for path in ours if "/backups/" in path] == [f"{site}/backups/0.tar"], "the newest backup is read, the others are never opened"


def test_a_run_imports_no_library_that_it_does_not_need(site: Path) -> None:
    modules = watched(site)["modules"]
    assert isinstance(modules, list)
    assert not {"docker", "psycopg", "requests", "hypothesis", "testinfra", "allure", "allure_commons", "rich", "jsonschema", "tree_sitter", "bashlex"} & set(
        modules
    )
