"""The command line on bad input: the documented exit code, one clear message, never a traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from interlock.testing.faults import UNREACHABLE, read_site, write_site

INTERLOCK = (sys.executable, "-m", "interlock")


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE"))}
    done = subprocess.run(
        [*INTERLOCK, *arguments], cwd=folder, env={**clean, **environ}, capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_site(
        tmp_path, {"expect": {"true": {"command": {"run": ["true"]}}}, "actions": {"go": {"steps": [{"command": {"run": ["true"]}}], "approval": "operator"}}}
    )
    return tmp_path


def published(folder: Path) -> list[str]:
    reports = folder / "reports"
    return sorted(path.name for path in reports.iterdir()) if reports.is_dir() else []


BAD_SITES: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)) * 10,
    "not UTF-8": b"interlock: 1\nsite: \xff\xfe\n",
    "huge": b"# " + b"x" * 2_000_000,
    "deep": b"[" * 100_000,
    "bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [" % (98 + n, 98 + n) + b",".join([b"*%c" % (97 + n)] * 9) + b"]\n" for n in range(9)),
    "a list": b"- interlock: 1\n",
    "wrong types": b"interlock: 1\nsite: [a]\nmodules: 7\n",
    "unknown key": b"interlock: 1\nsite: x\nmodul: {}\n",
    "a key twice": b"interlock: 1\nsite: x\nsite: y\n",
    "another version": b"interlock: 2\nsite: x\n",
    "undefined variable": b"interlock: 1\nsite: x\ninstances: {a: {directory: /srv, values: {K: '${NOT_SET_ANYWHERE}'}}}\n",
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in BAD_SITES.items()])
@pytest.mark.parametrize("command", ["preflight", "doctor"])
def test_a_bad_site_file_is_named_and_nothing_is_looked_at(tmp_path: Path, command: str, content: bytes) -> None:
    (tmp_path / "interlock.yaml").write_bytes(content)
    done = run(tmp_path, command)
    assert done.returncode == 78
    assert "interlock.yaml" in done.stderr
    assert published(tmp_path) == []


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in BAD_SITES.items()])
def test_pytest_itself_ends_with_the_same_code(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "interlock.yaml").write_bytes(content)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "preflight"], cwd=tmp_path, env=clean, capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    assert done.returncode == 78
    assert "Traceback" not in done.stdout + done.stderr


def test_a_missing_site_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    done = run(tmp_path, "preflight")
    assert done.returncode == 78
    assert str(tmp_path) in done.stderr


def test_a_pipe_as_site_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "interlock.yaml")
    assert run(tmp_path, "preflight").returncode == 78


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("preflight", "--for"),
        ("preflight", "--format", "pdf"),
        ("preflight", "--for", "no-such-action"),
        ("guardrails", "no.such"),
        ("selftest", "no.such"),
        ("plan",),
        ("status", "--in", "soon"),
    ],
)
def test_a_wrong_command_line_is_64(site: Path, arguments: tuple[str, ...]) -> None:
    done = run(site, *arguments)
    assert done.returncode == 64
    assert "remedy:" in done.stderr or "--in" in done.stderr


def test_an_unreachable_host_is_unproven_and_named(site: Path) -> None:
    data = read_site(site)
    data["hosts"] = {"gone": UNREACHABLE}
    data["expect"]["file"] = {"file": {"path": "/etc/hostname"}, "host": "gone"}
    (site / "interlock.yaml").write_text(yaml.safe_dump(data))
    done = run(site, "preflight")
    assert done.returncode == 11
    assert "gone" in done.stdout


def test_reports_that_cannot_be_written_are_17(site: Path) -> None:
    (site / "reports").write_text("a file where the folder should be")
    assert run(site, "preflight").returncode == 17
    assert (site / "reports").read_text() == "a file where the folder should be"


def test_a_full_disk_is_17_and_leaves_nothing_half_written(site: Path, component: Callable[[str], None]) -> None:
    component("userns")
    (site / "reports").mkdir()
    script = f'mount -t tmpfs -o size=16k tmpfs {site}/reports && "{sys.executable}" -m interlock preflight; code=$?; ls -A {site}/reports; exit $code'
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], cwd=site, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 17, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert [name for name in done.stdout.split() if not name.startswith(".")] == []


@pytest.mark.parametrize("form", ["text", "json", "markdown", "sarif", "junit"])
def test_every_format_can_be_written_to_a_file(site: Path, form: str) -> None:
    output = site / "out"
    done = run(site, "preflight", "--format", form, "--output", str(output))
    assert done.returncode == 0
    assert done.stdout == ""
    assert output.stat().st_mode & 0o777 == 0o600
    assert output.read_text()


def test_the_json_is_the_record(site: Path) -> None:
    record = json.loads(run(site, "preflight", "--format", "json").stdout)
    assert (record["schema"], record["decision"]) == ("interlock/record/1", "open")
    assert {verdict["outcome"] for verdict in record["verdicts"]} == {"held", "not_applicable"}


def test_an_output_that_cannot_be_written_is_17(site: Path) -> None:
    assert run(site, "preflight", "--output", "/no/such/folder/x").returncode == 17


def test_facts_that_are_no_facts_are_refused(site: Path) -> None:
    (site / "facts.json").write_text("{}")
    assert run(site, "preflight", "--facts", "facts.json").returncode == 78


def test_a_run_that_is_none_is_17(site: Path) -> None:
    assert run(site, "report", "reports/none").returncode == 17
    assert run(site, "verify", "reports/none").returncode == 17


def test_a_reader_that_goes_away_is_no_crash(site: Path) -> None:
    done = subprocess.run(
        f'"{sys.executable}" -m interlock guardrails --format json | head -c 10', shell=True, cwd=site, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr


def test_doctor_says_what_is_missing_and_the_line_that_changes_it(site: Path) -> None:
    data = read_site(site)
    data["expect"]["rows"] = {"sql": {"dsn_env": "NOT_SET_DSN", "query": "select 1", "value": 1}}
    (site / "interlock.yaml").write_text(yaml.safe_dump(data))
    done = run(site, "doctor")
    assert done.returncode == 11
    assert "expect.sql [rows]" in done.stdout
    assert "-> export NOT_SET_DSN" in done.stdout


def test_doctor_says_what_apply_will_lack_and_misses_no_plan_that_nobody_made(site: Path) -> None:
    data = read_site(site)
    forge = {"kind": "forgejo", "url": "https://forge.invalid/api/v1", "repository": "ops/app", "token_env": "NOT_SET_TOKEN"}
    data["approval"] = {"allowed_signers": "allowed_signers", "issue": {"forge": forge}}
    data["actions"] = {"release": {"steps": [{"command": {"run": ["true"]}}], "issue": 7}}
    (site / "interlock.yaml").write_text(yaml.safe_dump(data))
    done = run(site, "doctor")
    assert "approval.issue [issue 7]" in done.stdout
    assert "-> export NOT_SET_TOKEN" in done.stdout
    assert "approval.plan" not in done.stdout


def test_a_site_is_named_from_where_the_operator_is_and_the_next_command_names_it_too(site: Path) -> None:
    folder = site / "move"
    folder.mkdir()
    write_site(folder, {"expect": {"false": {"command": {"run": ["false"]}}}})
    done = run(site, "preflight", "--site", "move/interlock.yaml")
    assert done.returncode == 1, done.stderr
    assert "then interlock preflight --site move/interlock.yaml\n" in done.stdout
    assert "then interlock preflight\n" in run(folder, "preflight").stdout
