"""Do the files for CI do what they say? The hook's manifest is one, the action's script judges the merge result, GitLab's job runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.test_scan import CAREFUL, CARELESS
from tests.unit.test_scan_comparing import GIT, commit, git, repository, write

ROOT = Path(__file__).parents[2]
BASE = "services:\n  app:\n    image: app:1\n    command: run\n    restart: always\n    ports: ['127.0.0.1:80:80']\n"
TOP = "volumes: {one: {}}\n" + BASE
BOTTOM = BASE + "volumes: {two: {}}\n"


def interlock(folder: Path) -> Path:
    """An `interlock` on its own, as an installed one is."""
    program = folder / "interlock"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m interlock "$@"\n')
    program.chmod(0o755)
    return program


def scan(tmp_path: Path, checkout: Path, **environ: str) -> tuple[int, str, dict[str, str]]:
    """The action's script in a checkout: exit code, what it printed, its outputs."""
    runner = tmp_path / "runner"
    runner.mkdir()
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_", "INTERLOCK_", "CI_"))}
    given = plain | {"RUNNER_TEMP": str(runner), "GITHUB_OUTPUT": str(runner / "out"), "INTERLOCK_COMMAND": str(interlock(runner)), "INTERLOCK_CACHE": "off"}
    given |= {"INTERLOCK_PYTHON": sys.executable} | environ
    done = subprocess.run(("sh", str(ROOT / "ci" / "scan.sh")), cwd=checkout, env=given, capture_output=True, text=True, timeout=60, check=False)
    outputs = dict(line.split("=", 1) for line in (runner / "out").read_text().splitlines()) if (runner / "out").exists() else {}
    return done.returncode, done.stdout + done.stderr, outputs


def forge(tmp_path: Path) -> Path:
    """A repository whose main branch and whose branch `topic` hold, and break each other: each adds the same key, at another place."""
    origin = repository(tmp_path / "origin", {"compose.yaml": BASE})
    git(origin, "checkout", "--quiet", "-b", "topic")
    commit(write(origin, {"compose.yaml": BOTTOM}))
    git(origin, "checkout", "--quiet", "main")
    commit(write(origin, {"compose.yaml": TOP}))
    return origin


def clone(origin: Path, to: Path, *options: str) -> Path:
    subprocess.run((*GIT, "clone", "--quiet", *options, f"file://{origin}", str(to)), check=True, capture_output=True)
    return to


@pytest.mark.parametrize("branch", ["main", "topic"])
def test_a_push_is_judged_as_it_is(tmp_path: Path, branch: str) -> None:
    checkout = clone(forge(tmp_path), tmp_path / "work" / "stack", "--branch", branch)
    code, shown, outputs = scan(tmp_path, checkout)
    assert (code, outputs["decision"]) == (0, "open"), shown
    record = json.loads(Path(outputs["record"]).read_text())
    assert (record["decision"], record["compared"]) == ("open", None)


@pytest.mark.parametrize("depth", [(), ("--depth=1",)], ids=["whole", "shallow"])
def test_a_pull_request_is_judged_as_it_will_be_merged(tmp_path: Path, depth: tuple[str, ...]) -> None:
    checkout = clone(forge(tmp_path), tmp_path / "work" / "stack", "--branch", "topic", *depth)
    before = git(checkout, "rev-parse", "HEAD")
    code, shown, outputs = scan(tmp_path, checkout, GITHUB_BASE_REF="main")
    assert (code, outputs["decision"]) == (1, "shut"), shown
    assert "::error file=compose.yaml,line=8,title=compose.strict_parse (new)::" in shown
    assert (git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--porcelain")) == (before, "")
    assert json.loads(Path(outputs["record"]).read_text())["compared"]["revision"] == "refs/remotes/origin/main"


def test_a_merge_commit_of_the_forge_is_judged_where_it_is_checked_out(tmp_path: Path) -> None:
    origin = forge(tmp_path)
    git(origin, "checkout", "--quiet", "-b", "merged", "topic")
    git(origin, "merge", "--quiet", "--no-edit", "--no-ff", "main")
    git(origin, "checkout", "--quiet", "main")
    checkout = clone(origin, tmp_path / "work" / "stack", "--branch", "merged", "--depth=1")
    code, shown, _ = scan(tmp_path, checkout, GITHUB_BASE_REF="main", INTERLOCK_SARIF="out.sarif")
    assert code == 1, shown
    assert json.loads((checkout / "out.sarif").read_text())["version"] == "2.1.0"
    assert git(checkout, "rev-parse", "--is-shallow-repository") == "true"
    assert list((tmp_path / "runner").glob("interlock-*/stack")) == []


def test_branches_that_do_not_merge_fail_with_a_sentence(tmp_path: Path) -> None:
    origin = forge(tmp_path)
    commit(write(origin, {"compose.yaml": BOTTOM.replace("two", "three")}))
    checkout = clone(origin, tmp_path / "work" / "stack", "--branch", "topic")
    code, shown, outputs = scan(tmp_path, checkout, GITHUB_BASE_REF="main")
    assert (code, outputs) == (1, {"decision": "", "record": ""})
    assert "::error title=interlock scan::this branch does not merge into main" in shown


def test_new_only_lets_pass_what_the_target_branch_has(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", {"a.sh": CARELESS})
    git(origin, "checkout", "--quiet", "-b", "topic")
    commit(write(origin, {"b.sh": CAREFUL}))
    checkout = clone(origin, tmp_path / "work" / "stack", "--branch", "topic")
    assert scan(tmp_path, checkout, GITHUB_BASE_REF="main")[0] == 1
    shutil.rmtree(tmp_path / "runner")
    assert scan(tmp_path, checkout, GITHUB_BASE_REF="main", INTERLOCK_NEW_ONLY="true")[0] == 0


def test_a_folder_a_baseline_and_a_site_are_named_from_the_root(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", {"stack/a.sh": CARELESS})
    baseline = {"schema": "interlock/baseline/1", "findings": []}
    commit(write(origin, {"base.json": json.dumps(baseline)}))
    code, shown, _ = scan(tmp_path, origin, INTERLOCK_PATH="stack", INTERLOCK_BASELINE="base.json")
    assert (code, "::error file=stack/a.sh,line=2," in shown) == (1, True)
    shutil.rmtree(tmp_path / "runner")
    code, shown, outputs = scan(tmp_path, origin, INTERLOCK_PATH="nowhere")
    assert (code, outputs["decision"]) == (64, ""), shown


def test_the_action_hands_its_inputs_to_the_script_and_the_outputs_on() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    (step,) = action["runs"]["steps"]
    script = (ROOT / "ci" / "scan.sh").read_text()
    assert (action["runs"]["using"], step["id"]) == ("composite", "scan")
    assert all(f"${{{{ inputs.{name} }}}}" in step["env"].values() for name in action["inputs"])
    assert all(name in script for name in step["env"])
    assert {name: output["value"] for name, output in action["outputs"].items()} == {
        name: f"${{{{ steps.scan.outputs.{name} }}}}" for name in ("decision", "record")
    }
    assert "${{" not in step["run"]  # what an input says is never a part of the program


def test_the_hook_runs_the_whole_scan() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["entry"], hook["language"], hook["pass_filenames"], hook["always_run"]) == ("interlock scan", "python", False, True)


def test_the_manifest_is_one_to_pre_commit() -> None:
    clientlib = pytest.importorskip("pre_commit.clientlib")
    assert clientlib.load_manifest(str(ROOT / ".pre-commit-hooks.yaml"))


def test_gitlab_s_job_merges_and_scans(tmp_path: Path) -> None:
    job = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())[".interlock-scan"]
    checkout = clone(forge(tmp_path), tmp_path / "stack", "--branch", "topic")
    venv = tmp_path / ".interlock-venv" / "bin"
    venv.mkdir(parents=True)
    interlock(venv)
    lines = [line for line in job["script"] if "venv " not in line and "/pip" not in line]
    assert len(lines) == len(job["script"]) - 2
    environ = {**os.environ, **job["variables"], "CI_BUILDS_DIR": str(tmp_path), "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_PROJECT_DIR": str(checkout)}
    done = subprocess.run(("sh", "-euc", "\n".join(lines)), cwd=checkout, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    report = json.loads((checkout / job["artifacts"]["reports"]["codequality"]).read_text())
    assert ("compose.strict_parse", "compose.yaml") in {(entry["check_name"], entry["location"]["path"]) for entry in report}
    assert json.loads((checkout / "interlock-record.json").read_text())["decision"] == "shut"
