"""What can be reached from outside: the kernel's tables of sockets, published ports, and the judgements on them."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import CouldNotLook
from interlock.evidence.record import Record
from interlock.facts.exposure import (
    LISTEN,
    UNCONNECTED,
    ChainPorts,
    HostNetwork,
    HostPorts,
    Listener,
    Port,
    Publication,
    Reach,
    RefusedSeen,
    Socket,
    listeners,
    parse_sockets,
    port_range,
    reach,
    render_sockets,
    with_published,
)
from interlock.judge.exposure import judge_private_only
from interlock.verdicts import Broken, Held, Outcome, Unproven, Verdict
from tests.strategies import socket_tables

ALL = "0.0.0.0"
EPHEMERAL = range(32768, 61000)


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


# ---- the kernel's tables


@given(socket_tables(), st.sampled_from(["little", "big"]))
def test_a_table_of_sockets_is_read_as_it_was_printed(sockets: tuple[Socket, ...], byte_order: str) -> None:
    assert parse_sockets(render_sockets(sockets, byte_order=byte_order), byte_order=byte_order, where="tcp") == sockets


@given(st.binary(max_size=300))
def test_a_table_is_read_or_refused_whatever_it_is(text: bytes) -> None:
    with contextlib.suppress(CouldNotLook):
        parse_sockets(text, byte_order="little", where="tcp")


LINE = b"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0000000000000000 100 0 0 10 0\n"
HEADER = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def test_an_address_is_read_as_its_words_lie_in_memory() -> None:
    little = parse_sockets(HEADER + LINE, byte_order="little", where="tcp")
    big = parse_sockets(HEADER + LINE.replace(b"0100007F", b"7F000001"), byte_order="big", where="tcp")
    assert [(str(one.address), one.port, one.state) for one in (*little, *big)] == [("127.0.0.1", 8080, LISTEN)] * 2


def test_an_address_of_version_6_is_four_words() -> None:
    line = LINE.replace(b"0100007F", b"B80D0120000000000000000001000000").replace(b"00000000:0000 0A", b"0" * 32 + b":0000 0A", 1)
    assert str(parse_sockets(HEADER + line, byte_order="little", where="tcp6")[0].address) == "2001:db8::1"


@pytest.mark.parametrize(
    "text", [b"", b"nonsense\n", HEADER + b"nonsense\n", HEADER + LINE.replace(b"0100007F", b"0100007"), HEADER + LINE.replace(b"0A", b"XX", 1)]
)
def test_what_is_no_table_is_refused(text: bytes) -> None:
    with pytest.raises(CouldNotLook):
        parse_sockets(text, byte_order="little", where="host:/proc/net/tcp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.9.9.9", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("10.1.2.3", Reach.PRIVATE),
        ("172.17.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.100.1.1", Reach.PRIVATE),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("fe80::1", Reach.PRIVATE),
        ("224.0.0.251", Reach.PRIVATE),
        ("0.0.0.0", Reach.OUTSIDE),
        ("::", Reach.OUTSIDE),
        ("::ffff:0.0.0.0", Reach.OUTSIDE),
        ("172.32.0.1", Reach.OUTSIDE),
        ("8.8.8.8", Reach.OUTSIDE),
        ("2a00:1450::1", Reach.OUTSIDE),
    ],
)
def test_from_where_an_address_can_be_reached(text: str, expected: Reach) -> None:
    assert reach(address(text)) is expected


def seen(local: str, port: int, state: int, remote_port: int = 0) -> Socket:
    return Socket(address=address(local), port=port, remote=address("0.0.0.0"), remote_port=remote_port, state=state)


def test_only_what_waits_for_strangers_is_a_listener() -> None:
    sockets = (seen(ALL, 22, LISTEN), seen(ALL, 22, 1, remote_port=40000), seen("127.0.0.1", 6379, LISTEN))
    assert listeners(sockets, "tcp", ephemeral=EPHEMERAL) == (Listener(Port(22, "tcp"), ALL), Listener(Port(6379, "tcp"), "127.0.0.1"))


def test_udp_clients_on_ephemeral_ports_and_dhcp_are_no_listeners() -> None:
    sockets = tuple(seen(ALL, port, UNCONNECTED) for port in (53, 68, 40000))
    assert listeners(sockets, "udp", ephemeral=EPHEMERAL) == (Listener(Port(53, "udp"), ALL),)


LOOK = """
import json, sys
from interlock.facts.exposure import listeners, parse_sockets
found = []
for protocol, table in (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6")):
    with open(f"/proc/net/{table}", "rb") as file:
        sockets = parse_sockets(file.read(), byte_order=sys.byteorder, where=table)
    found += [[str(one.port), one.address] for one in listeners(sockets, protocol, ephemeral=range(32768, 61000))]
print(json.dumps(sorted(found)))
"""
BIND = """
import socket, subprocess, sys
held = []
def hold(family, kind, where, listens=True):
    one = socket.socket(family, kind); held.append(one)
    one.bind(where)
    if kind == socket.SOCK_STREAM and listens: one.listen()
hold(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 5432))
hold(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 6379))
hold(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 7777), listens=False)
hold(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 9200))
hold(socket.AF_INET6, socket.SOCK_STREAM, ("::", 8080))
hold(socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 53))
hold(socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 45000))
print(subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True, check=True).stdout)
"""


def test_the_real_sockets_of_a_network_namespace_are_found(component: Callable[[str], None]) -> None:
    component("userns")
    script = 'ip link set lo up 2>/dev/null || true; exec "$0" -c "$1" "$2"'
    argv = [shutil.which("unshare") or "unshare", "-Urn", "sh", "-c", script, sys.executable, BIND, LOOK]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    expected = {("5432/tcp", ALL), ("53/udp", ALL), ("6379/tcp", "127.0.0.1"), ("8080/tcp", "::"), ("9200/tcp", "::1")}
    assert {tuple(one) for one in json.loads(done.stdout)} == expected


# ---- a host


def host(*found: Listener, public: tuple[int, ...] = (), unseen: str = "") -> HostPorts:
    return HostPorts(host="db1", public=frozenset(Port(port, "tcp") for port in public), listeners=found, unseen=unseen)


def test_a_port_on_all_addresses_that_is_not_declared_is_broken_and_named() -> None:
    verdict = judge_private_only(host(Listener(Port(22, "tcp"), ALL), Listener(Port(5432, "tcp"), "::"), public=(22,)))
    assert isinstance(verdict, Broken)
    assert "5432/tcp listens on all addresses of IPv6, and is not declared" in verdict.message
    assert "22/tcp" not in verdict.message
    assert "ss -lntup" in verdict.remedy


def test_declared_tcp_does_not_open_udp() -> None:
    assert isinstance(judge_private_only(host(Listener(Port(53, "udp"), ALL), public=(53,))), Broken)


def test_private_addresses_and_loopback_hold() -> None:
    verdict = judge_private_only(host(Listener(Port(5432, "tcp"), "10.0.0.5"), Listener(Port(6379, "tcp"), "127.0.0.1")))
    assert isinstance(verdict, Held)
    assert "a private network" in verdict.details[0].message


def test_an_engine_that_cannot_be_looked_at_leaves_a_host_unproven() -> None:
    assert isinstance(judge_private_only(host(Listener(Port(22, "tcp"), ALL), public=(22,), unseen="no permission")), Unproven)


def test_what_is_broken_stays_broken_beside_an_engine_that_cannot_be_looked_at() -> None:
    assert isinstance(judge_private_only(host(Listener(Port(23, "tcp"), ALL), unseen="no permission")), Broken)


def test_a_published_port_names_its_container_and_needs_no_socket() -> None:
    sockets = (Listener(Port(8080, "tcp"), ALL),)
    published = (Listener(Port(8080, "tcp"), ALL, "web"), Listener(Port(5432, "tcp"), ALL, "db"))
    assert with_published(sockets, published) == (Listener(Port(5432, "tcp"), ALL, "db"), Listener(Port(8080, "tcp"), ALL, "web"))


def test_a_host_on_which_nothing_listens_holds() -> None:
    assert isinstance(judge_private_only(host()), Held)


# ---- a chain


def published(image: str, target: int, *, at: str = "", host_port: str | None = None, protocol: str = "tcp") -> Publication:
    first, last = port_range(str(target) if host_port is None else host_port)
    return Publication(service="s", image=image, address=at, first=first, last=last, target=target, protocol=protocol, file="compose.yaml", line=7)


def chain(*publications: Publication, public: tuple[int, ...] | None = None, host_network: tuple[HostNetwork, ...] = ()) -> ChainPorts:
    ports = None if public is None else frozenset(Port(port, "tcp") for port in public)
    return ChainPorts(chain="default", public=ports, publications=publications, host_network=host_network)


@pytest.mark.parametrize(
    "one",
    [
        published("postgres:17", 5432),
        published("docker.io/library/postgres@sha256:00", 5432, host_port="15432"),
        published("registry.example.org:5000/ops/postgres", 5432, host_port=""),
        published("registry.example.org/app", 6379),
        published("redis", 6379, at="0.0.0.0"),
        published("redis", 6379, at="::"),
        published("mysql", 3306, at="8.8.8.8"),
        published("minio/minio", 9001),
        published("rabbitmq:3-management", 15672),
        published("tecnativa/docker-socket-proxy", 2375),
    ],
    ids=lambda one: f"{one.image} {one.address}:{one.target}",
)
def test_without_a_word_on_exposure_a_database_for_everyone_is_broken(one: Publication) -> None:
    verdict = judge_private_only(chain(one))
    assert isinstance(verdict, Broken)
    assert [(detail.kind, detail.file, detail.line) for detail in verdict.details] == [("published-database", "compose.yaml", 7)]


@pytest.mark.parametrize(
    "one",
    [
        published("nginx", 443),
        published("registry.example.org/app", 9000),
        published("postgres", 5432, at="127.0.0.1"),
        published("postgres", 5432, at="[::1]"),
        published("postgres", 5432, at="10.0.0.5"),
        published("minio/minio", 9000),
        published("portainer/portainer-ce", 9000),
        published("registry.example.org/app", 5432, protocol="udp"),
        published("rabbitmq", 5671),
    ],
    ids=lambda one: f"{one.image} {one.address}:{one.target}/{one.protocol}",
)
def test_without_a_word_on_exposure_everything_else_holds(one: Publication) -> None:
    assert isinstance(judge_private_only(chain(one)), Held)


def test_with_exposure_declared_every_port_counts() -> None:
    verdict = judge_private_only(chain(published("nginx", 443), published("app", 8080, host_port="9090"), public=(443,)))
    assert isinstance(verdict, Broken)
    assert "publishes 8080/tcp on all addresses, port 9090, and is not declared" in verdict.message


def test_every_port_of_a_range_must_be_declared() -> None:
    assert isinstance(judge_private_only(chain(published("app", 8000, host_port="8000-8002"), public=(8000, 8001, 8002))), Held)
    assert isinstance(judge_private_only(chain(published("app", 8000, host_port="8000-8002"), public=(8000, 8002))), Broken)


def test_a_port_of_the_engines_choice_cannot_be_declared() -> None:
    verdict = judge_private_only(chain(published("app", 8000, host_port=""), public=(8000,)))
    assert isinstance(verdict, Broken)
    assert verdict.details[0].kind == "any-port"


ON_THE_HOST = HostNetwork(service="agent", image="agent", exposed=(), file="compose.yaml", line=3)


def test_a_service_on_the_hosts_network_is_named_and_is_unproven_once_exposure_is_declared() -> None:
    assert "agent" in (judge_private_only(chain(host_network=(ON_THE_HOST,))).message)  # type: ignore[union-attr]
    verdict = judge_private_only(chain(host_network=(ON_THE_HOST,), public=()))
    assert isinstance(verdict, Unproven)
    assert "expose" in verdict.remedy


def test_what_a_service_on_the_hosts_network_says_it_opens_is_judged() -> None:
    told = dataclasses.replace(ON_THE_HOST, exposed=(Port(9100, "tcp"),))
    assert isinstance(judge_private_only(chain(host_network=(told,), public=(9100,))), Held)
    assert isinstance(judge_private_only(chain(host_network=(told,), public=())), Broken)


def test_two_publications_of_one_service_have_details_of_their_own() -> None:
    verdict = judge_private_only(chain(published("nginx", 80), published("nginx", 80, host_port="8080"), public=()))
    assert isinstance(verdict, Broken)
    assert len({detail.what for detail in verdict.details}) == 2


def test_a_variable_without_a_value_decides_nothing_and_is_named(component: Callable[[str], None], tmp_path: Path) -> None:
    component("compose")
    from interlock.commands.scan import scan

    ports = {"a": "${BIND}:5432:5432", "b": "${PLACE}:5432", "c": "127.0.0.1:${PORT}:5432", "d": "0.0.0.0:${PORT}:5432", "e": "${GIVEN}:5432"}
    services = "".join(f"  {name}:\n    image: postgres:17\n    ports: ['{text}']\n" for name, text in ports.items())
    (tmp_path / "compose.yaml").write_text(f"services:\n{services}")
    (tmp_path / "main.env").write_text("GIVEN=5433\n")
    chains = "compose: {files: [compose.yaml], chains: {main: {files: [compose.yaml], env_files: [main.env]}}}\n"
    (tmp_path / "interlock.yaml").write_text(f"interlock: 1\nsite: x\n{chains}")
    broken = _private_only(scan(tmp_path, os.environ)[0])
    assert sorted(place.message.split()[0] for place in broken.where) == ["d", "e"]
    (tmp_path / "interlock.yaml").write_text(f"interlock: 1\nsite: x\n{chains}exposure: {{public: [{{port: 5433, reason: x}}, {{port: 59731, reason: x}}]}}\n")
    unproven = _private_only(scan(tmp_path, os.environ)[0])
    assert unproven.outcome is Outcome.UNPROVEN
    assert "BIND has no value here" in unproven.message
    assert "PLACE has no value here" in unproven.message


def _private_only(record: Record) -> Verdict:
    return next(one for one in record.verdicts if one.guardrail == "exposure.private_only")


# ---- an address


def answered(status: int, failure: str = "") -> RefusedSeen:
    return RefusedSeen(name="api", url="https://x/api", status=status, failure=failure, refusals=(401, 403))


def test_an_address_must_refuse_and_silence_is_no_refusal() -> None:
    assert isinstance(judge_private_only(answered(401)), Held)
    assert isinstance(judge_private_only(answered(200)), Broken)
    assert isinstance(judge_private_only(answered(404)), Broken)
    assert isinstance(judge_private_only(answered(0, failure="connection refused")), Unproven)


# ---- a tree without a site file


def test_a_scan_without_a_site_file_names_the_published_database_and_its_place(component: Callable[[str], None], tmp_path: Path) -> None:
    component("compose")
    from interlock.commands.scan import scan

    (tmp_path / "Makefile").write_text("up:\n\tdocker compose -f compose.yaml -f compose.prod.yaml up -d\n")
    (tmp_path / "compose.yaml").write_text("services:\n  db:\n    image: postgres:17\n  web:\n    image: nginx\n    ports: ['443:443']\n")
    (tmp_path / "compose.prod.yaml").write_text("services:\n  db:\n    environment: {A: b}\n    ports:\n      - '5432:5432'\n")
    record, _ = scan(tmp_path, os.environ)
    verdict = next(one for one in record.verdicts if one.guardrail == "exposure.private_only" and one.outcome is Outcome.BROKEN)
    assert [(place.file, place.line) for place in verdict.where] == [("compose.prod.yaml", 4)]
    assert "db publishes 5432/tcp on all addresses" in verdict.message
