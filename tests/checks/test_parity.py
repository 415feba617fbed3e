"""The parity family, proven both ways through real pytest on two real PostgreSQL servers of different majors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import pytest

from interlock.commands.selftest import prove
from interlock.testing import run_check
from interlock.testing.faults import Fault, all_faults, write_site
from interlock.verdicts import Outcome
from tests.two_servers import TwoServers, two_servers


@pytest.fixture(scope="module")
def servers(component: Callable[[str], None]) -> Iterator[TwoServers]:
    component("postgres16")
    component("postgres18")
    with two_servers() as running:
        for server in (running.source, running.target):
            running.execute(server, "postgres", "create database proof")
        yield running


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, id=f"{fault.guardrail}-{fault.kind}") for fault in all_faults() if fault.guardrail.startswith("parity.")]
)
def test_held_on_a_healthy_copy_broken_by_its_fault_unproven_when_blind(
    fault: Fault, servers: TwoServers, monkeypatch: pytest.MonkeyPatch, seen: set[Hashable]
) -> None:
    for name, server in zip(("INTERLOCK_PROOF_DSN", "INTERLOCK_PROOF_TARGET_DSN"), (servers.source, servers.target), strict=True):
        monkeypatch.setenv(name, server.dsn("proof"))
    assert prove(fault, seen) == ""


SITE = {
    "databases": {"old": {"dsn_env": "OLD_DSN", "timeout": "10s"}, "new": {"dsn_env": "NEW_DSN", "timeout": "10s"}},
    "parity": {"move": {"source": "old", "target": "new"}},
}


def test_a_copy_is_asked_only_for_the_action_that_moves_it(servers: TwoServers, tmp_path: Path) -> None:
    steps = [{"command": {"run": ["true"]}}]
    actions = {"cutover": {"steps": steps, "approval": "operator", "moves": ["move"]}, "release": {"steps": steps, "approval": "operator"}}
    write_site(tmp_path, SITE | {"actions": actions, "expect": {"here": {"file": {"path": str(tmp_path)}}}})
    environ = {"OLD_DSN": servers.source.dsn("proof"), "NEW_DSN": "postgresql://nobody@127.0.0.1:1/x"}
    assert [verdict.outcome for verdict in run_check(tmp_path, "preflight", "--for", "cutover", environ=environ).verdicts("parity.rows")] == [Outcome.UNPROVEN]
    release = run_check(tmp_path, "preflight", "--for", "release", environ=environ)
    assert (release.exit_code, [verdict.outcome for verdict in release.verdicts("parity.rows")]) == (0, [Outcome.NOT_APPLICABLE])


def test_a_copy_that_no_action_moves_is_asked_by_every_gate(servers: TwoServers, tmp_path: Path) -> None:
    write_site(tmp_path, SITE)
    environ = {"OLD_DSN": servers.source.dsn("proof")}
    ran = run_check(tmp_path, "preflight", environ=environ)
    assert (ran.exit_code, ran.outcome("parity.inventory"), ran.outcome("parity.rows")) == (11, Outcome.UNPROVEN, Outcome.UNPROVEN)


def test_a_missing_table_breaks_both_rules_and_is_never_no_rows(servers: TwoServers, tmp_path: Path) -> None:
    for server in (servers.source, servers.target):
        servers.execute(server, "postgres", "create database lost")
    servers.execute(servers.source, "lost", "create table empty (id integer)", "create table kept (id integer)")
    servers.execute(servers.target, "lost", "create table kept (id integer)")
    write_site(tmp_path, SITE)
    ran = run_check(tmp_path, "preflight", environ={"OLD_DSN": servers.source.dsn("lost"), "NEW_DSN": servers.target.dsn("lost")})
    assert (ran.exit_code, ran.broken(), ran.kinds & {"missing", "missing-table"}) == (1, {"parity.inventory", "parity.rows"}, {"missing", "missing-table"})


def test_no_part_of_a_dsn_reaches_the_evidence(servers: TwoServers, tmp_path: Path) -> None:
    """Neither from a server that refuses it, nor from a library that cannot read it."""
    write_site(tmp_path, SITE)
    broken = "postgresql://ledger_admin:canary-secret@127.0.0.1:canary-port/canary-database"
    ran = run_check(
        tmp_path, "preflight", environ={"OLD_DSN": broken, "NEW_DSN": f"postgresql://canary-role:canary-word@/canary-base?host={servers.source.folder}"}
    )
    assert ran.folder is not None
    assert ran.outcome("parity.rows") is Outcome.UNPROVEN
    written = ran.output.encode() + b"".join(path.read_bytes() for path in ran.folder.rglob("*") if path.is_file())
    assert b"canary" not in written
