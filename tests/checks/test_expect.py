"""The operator's own entries, proven both ways through real pytest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import pytest

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, all_faults, write_site
from interlock.verdicts import Outcome


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.guardrail) for fault in all_faults() if fault.guardrail.startswith("expect.")])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(
    fault: Fault, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, seen: set[Hashable]
) -> None:
    for name in fault.needs:
        monkeypatch.setenv(name, request.getfixturevalue("proof_dsn"))
    assert prove(fault, seen) == ""


@pytest.fixture
def proof_dsn(component: Callable[[str], None]) -> Iterator[str]:
    component("postgres18")
    from tools.postgres import running

    with tempfile.TemporaryDirectory(prefix="il-pg-") as folder:
        Path(folder).chmod(0o711)  # as root the server runs as nobody, who must be able to get there
        with running(18, Path(folder) / "d") as server:
            yield server.dsn()


def test_an_entry_that_needs_time_says_how_many_tries_it_took(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("")
    script = tmp_path / "third-time-lucky"
    script.write_text(f"#!/bin/sh\nprintf x >> {counter}\n[ $(wc -c < {counter}) -ge 3 ]\n")
    script.chmod(0o755)
    write_site(tmp_path, {"expect": {"slow": {"command": {"run": [str(script)]}, "attempts": 5, "every": "0s"}}})
    ran = run_check(tmp_path, "preflight")
    assert ran.exit_code == 0
    assert [verdict.attempts for verdict in ran.verdicts("expect.command")] == [3]


def test_an_entry_that_only_informs_does_not_shut_the_gate(tmp_path: Path) -> None:
    write_site(tmp_path, {"expect": {"nice": {"command": {"run": ["false"]}, "severity": "low"}, "must": {"command": {"run": ["true"]}}}})
    ran = run_check(tmp_path, "preflight")
    assert ran.exit_code == 0
    assert {verdict.subject: verdict.outcome for verdict in ran.verdicts("expect.command")} == {"nice": Outcome.BROKEN, "must": Outcome.HELD}


def test_an_entry_for_postflight_is_not_asked_before(tmp_path: Path) -> None:
    write_site(
        tmp_path,
        {"expect": {"after": {"command": {"run": ["false"]}, "when": ["postflight"]}, "before": {"command": {"run": ["true"]}, "when": ["preflight"]}}},
    )
    assert run_check(tmp_path, "preflight").exit_code == 0
    assert run_check(tmp_path, "postflight").exit_code == 1
