"""The health family, proven both ways through real pytest."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, all_faults, write_site
from interlock.verdicts import Outcome, When

EVERYTHING = {"mount": "/", "reason": "this folder proves another guardrail"}


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.describe) for fault in all_faults() if fault.guardrail.startswith("health.")])
def test_held_on_a_healthy_site_broken_by_its_fault_unproven_when_blind(fault: Fault, component: Callable[[str], None], seen: set[Hashable]) -> None:
    if fault.gate is When.STATIC:
        component("compose")
    assert prove(fault, seen) == ""


def test_an_endpoint_that_needs_time_says_how_many_tries_it_took(tmp_path: Path) -> None:
    write_site(tmp_path, {"health": {"app": {"url": f"http://127.0.0.1:{_slow(2)}/", "attempts": 5, "every": "0s"}}})
    ran = run_check(tmp_path, "postflight")
    assert ran.exit_code == 0
    assert [(one.attempts, "(try 3 of 5)" in one.message) for one in ran.verdicts("health.endpoint")] == [(3, True)]


def test_an_endpoint_that_never_gets_well_fails_when_its_tries_are_used_up(tmp_path: Path) -> None:
    write_site(tmp_path, {"health": {"app": {"url": f"http://127.0.0.1:{_slow(99)}/", "attempts": 3, "every": "0s"}}})
    ran = run_check(tmp_path, "postflight")
    assert ran.exit_code == 1
    assert "answered 503, expected 200" in ran.verdicts("health.endpoint")[0].message
    assert "(try 3 of 3)" in ran.verdicts("health.endpoint")[0].message


def test_an_endpoint_of_another_host_is_not_asked_from_here(tmp_path: Path) -> None:
    write_site(tmp_path, {"hosts": {"app1": {}}, "health": {"app": {"host": "app1", "url": "http://127.0.0.1:1/"}}, "excluded": [EVERYTHING]})
    ran = run_check(tmp_path, "postflight")
    assert ran.outcome("health.endpoint") is Outcome.UNPROVEN


def _slow(refusals: int) -> int:
    """The port of a service that answers 503 this often, and then 200."""
    left = iter(range(refusals))

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if next(left, None) is None else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
