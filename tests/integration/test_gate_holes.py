"""Every way to a green pytest that looked at nothing finds the gate shut (reference: pytest's own exit codes and options)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interlock.testing import CheckRun, run_check
from interlock.testing.faults import write_site
from interlock.verdicts import Outcome

INTERLOCK = (sys.executable, "-m", "interlock")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site that holds: one expectation, one check of the operator's own."""
    write_site(
        tmp_path, {"expect": {"true": {"command": {"run": ["true"]}}}, "actions": {"go": {"steps": [{"command": {"run": ["true"]}}], "approval": "operator"}}}
    )
    own(tmp_path, "def test_holds():\n    assert True\n")
    return tmp_path


def own(site: Path, text: str) -> None:
    (site / "checks").mkdir(exist_ok=True)
    (site / "checks" / "test_own.py").write_text(text)


def preflight(site: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """`interlock preflight`: the gate run that trusts nobody."""
    done = subprocess.run(
        [*INTERLOCK, "preflight", *arguments], cwd=site, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def not_run(ran: CheckRun) -> list[str]:
    assert ran.record is not None, ran.output
    return [reason.guardrail for reason in ran.record.reasons if reason.code == 10]


def test_the_healthy_site_is_open_both_ways(site: Path) -> None:
    ran = run_check(site, "preflight")
    assert ran.exit_code == 0, ran.output
    assert preflight(site)[0] == 0


def test_a_run_in_which_all_own_checks_skip_is_shut(site: Path) -> None:
    own(site, "import pytest\ndef test_holds():\n    pytest.skip('no docker here')\n")
    ran = run_check(site, "preflight")
    assert ran.exit_code == 11
    assert ran.outcome("own.own.holds") is Outcome.UNPROVEN


def test_an_own_check_that_expects_to_fail_is_not_held_by_that(site: Path) -> None:
    own(site, "import pytest\n@pytest.mark.xfail\ndef test_holds():\n    assert False\n")
    assert run_check(site, "preflight").exit_code != 0


def test_an_empty_parameter_set_is_shut(site: Path) -> None:
    own(site, "import pytest\n@pytest.mark.parametrize('x', [])\ndef test_holds(x):\n    assert x\n")
    assert run_check(site, "preflight").exit_code != 0
    assert preflight(site)[0] != 0


def test_collect_only_is_shut(site: Path) -> None:
    ran = run_check(site, "preflight", "--collect-only")
    assert ran.exit_code == 10
    assert ran.record is None


@pytest.mark.parametrize("options", ["--collect-only", "-k nothing_matches", "--deselect checks/test_own.py::test_holds", "--ignore-glob=*own*"])
def test_options_from_the_environment_do_not_open_it(site: Path, options: str) -> None:
    assert run_check(site, "preflight", environ={"PYTEST_ADDOPTS": options}).exit_code != 0
    assert preflight(site, PYTEST_ADDOPTS=options)[0] == 0, "the runner's own gate is not steered by the environment"


@pytest.mark.parametrize("environ", [{"PYTEST_ADDOPTS": "-p no:interlock"}, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}])
def test_a_run_without_the_plugin_is_not_green(site: Path, environ: dict[str, str]) -> None:
    assert run_check(site, "preflight", environ=environ).exit_code != 0
    assert preflight(site, **environ)[0] == 0


def test_another_configuration_file_does_not_open_it(site: Path) -> None:
    (site / "other.ini").write_text("[pytest]\naddopts = --deselect checks/test_own.py\nrequired_plugins =\n")
    (site / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    assert run_check(site, "preflight", "-c", "other.ini", "-o", "required_plugins=").exit_code != 0
    assert preflight(site)[0] == 0


def test_a_selection_by_name_is_shut(site: Path) -> None:
    ran = run_check(site, "preflight", "-k", "own")
    assert ran.exit_code == 10
    assert "expect.command" in not_run(ran)


def test_stopping_at_the_first_failure_leaves_the_rest_not_run(site: Path) -> None:
    own(site, "def test_a():\n    assert False\ndef test_b():\n    pass\n")
    ran = run_check(site, "preflight", "-x", "checks/test_own.py")
    assert ran.exit_code == 1
    assert "own.own.b" in not_run(ran)


def test_a_path_on_the_command_line_narrows_what_runs_never_what_is_required(site: Path) -> None:
    ran = run_check(site, "preflight", "checks/test_own.py")
    assert ran.exit_code == 10
    assert "expect.command" in not_run(ran)


def test_ending_the_process_inside_a_check_leaves_no_record(site: Path) -> None:
    own(site, "import os\ndef test_holds():\n    os._exit(0)\n")
    code, text = preflight(site)
    assert code == 10, text
    assert "left no record" in text


def test_ending_pytest_with_zero_inside_a_check_is_shut(site: Path) -> None:
    own(site, "import pytest\ndef test_a():\n    pytest.exit('done', returncode=0)\ndef test_b():\n    pass\n")
    assert run_check(site, "preflight").exit_code == 10
    assert preflight(site)[0] == 10


def test_a_killed_run_is_not_green_and_leaves_nothing_half_written(site: Path) -> None:
    own(site, "import time\ndef test_holds():\n    time.sleep(60)\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-m", "preflight", "-p", "no:randomly"], cwd=site, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(3)
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) != 0
    assert [path.name for path in (site / "reports").iterdir() if not path.name.startswith(".")] == []


def test_a_crashed_worker_is_shut(site: Path) -> None:
    own(site, "import os\ndef test_holds():\n    os._exit(0)\ndef test_b():\n    pass\n")
    ran = run_check(site, "preflight", "-n", "1", "--max-worker-restart=0")
    assert ran.exit_code != 0
    assert "own.own.holds" in not_run(ran)


def test_an_own_check_that_cannot_be_imported_is_shut(site: Path) -> None:
    own(site, "import no_such_module\ndef test_holds():\n    pass\n")
    ran = run_check(site, "preflight")
    assert ran.exit_code != 0
    assert preflight(site)[0] == 10


def test_an_own_check_that_is_no_python_is_an_error_of_the_site(site: Path) -> None:
    own(site, "def test_holds(:\n")
    code, text = preflight(site)
    assert code == 78
    assert "test_own.py:1" in text


def test_a_conftest_of_the_operator_cannot_deselect_in_secret(site: Path) -> None:
    (site / "conftest.py").write_text("def pytest_collection_modifyitems(items):\n    items[:] = []\n")
    assert run_check(site, "preflight").exit_code == 10
    assert preflight(site)[0] == 10


def test_a_record_edited_by_hand_is_not_believed(site: Path) -> None:
    own(site, "def test_holds():\n    assert False\n")
    ran = run_check(site, "preflight")
    assert ran.exit_code == 1
    assert ran.folder is not None
    path = ran.folder / "record.json"
    record = json.loads(path.read_text())
    record["decision"], record["exit_code"], record["reasons"] = "open", 0, []
    path.write_text(json.dumps(record))
    verified = subprocess.run([*INTERLOCK, "verify", str(ran.folder)], capture_output=True, text=True, timeout=60, check=False)
    assert verified.returncode == 17


def test_a_record_of_yesterday_does_not_stand_in_for_todays(site: Path) -> None:
    assert preflight(site)[0] == 0
    own(site, "import os\ndef test_holds():\n    os._exit(0)\n")
    assert preflight(site)[0] == 10


def test_replayed_facts_never_open_it(site: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    assert subprocess.run([*INTERLOCK, "facts", "--output", str(facts)], cwd=site, capture_output=True, timeout=60, check=False).returncode == 0
    ran = run_check(site, "preflight", "--facts", str(facts))
    assert ran.exit_code == 11
    assert ran.record is not None
    assert ran.record.replayed
    assert preflight(site, "--facts", str(facts))[0] == 11


def test_a_headline_family_that_nobody_declared_is_shut(site: Path) -> None:
    text = (site / "interlock.yaml").read_text()
    (site / "interlock.yaml").write_text(text.replace("  mounts: this folder proves another guardrail\n", ""))
    ran = run_check(site, "preflight")
    assert ran.exit_code == 11
    assert ran.outcome("mounts.state_disk") is Outcome.UNPROVEN


def test_an_action_that_needs_nothing_is_shut(site: Path) -> None:
    text = (site / "interlock.yaml").read_text()
    (site / "interlock.yaml").write_text(text.replace("actions:\n  go:\n", "actions:\n  go:\n    gate: [compose]\n"))
    (site / "checks" / "test_own.py").unlink()
    code, output = preflight(site, "--for", "go")
    assert code == 10, output
    assert "empty gate" in output


def test_an_action_whose_gate_has_a_slip_in_it_is_no_smaller_gate(site: Path) -> None:
    text = (site / "interlock.yaml").read_text()
    (site / "interlock.yaml").write_text(text.replace("actions:\n  go:\n", "actions:\n  go:\n    gate: [expect, backup]\n"))
    ran = run_check(site, "preflight", "--for", "go")
    assert ran.exit_code == 78, ran.output
    assert "backup" in ran.output
    assert preflight(site, "--for", "go")[0] == 78


def test_tests_of_the_operator_beside_the_site_are_not_imported(site: Path) -> None:
    (site / "tests").mkdir()
    (site / "tests" / "test_theirs.py").write_text("raise SystemExit('imported')\n")
    (site / "test_top.py").write_text("raise SystemExit('imported')\n")
    assert run_check(site, "preflight").exit_code == 0


@pytest.mark.parametrize("arguments", [("-n", "2"), ("-p", "randomly"), ("-p", "no:cacheprovider"), ("-q",), ("-vv",), ("--tb=no",)])
def test_the_ways_people_run_pytest_all_work(site: Path, arguments: tuple[str, ...]) -> None:
    ran = run_check(site, "preflight", *arguments)
    assert ran.exit_code == 0, ran.output
