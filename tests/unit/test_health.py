"""Health checks of containers: what they ask, and whether anybody can answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.expect import HttpSeen
from interlock.facts.health import ChainProbes, EndpointSeen, Probe, checked_ports, is_loopback, probes
from interlock.facts.stack import Stack
from interlock.judge.health import judge_endpoint
from interlock.verdicts import Broken, Held


def asked(*test: str) -> list[tuple[str, int, bool]]:
    return [(one.host, one.port, one.http) for one in probes(test)]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (("CMD", "curl", "-f", "http://localhost:8000/health"), [("localhost", 8000, True)]),
        (("CMD", "/usr/bin/curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1/"), [("127.0.0.1", 80, True)]),
        (("CMD", "curl", "-H", "Host: x", "--max-time", "3", "https://localhost"), [("localhost", 443, True)]),
        (("CMD", "curl", "localhost:9200/_cluster/health"), [("localhost", 9200, True)]),
        (("CMD", "curl", "--unix-socket", "/run/x.sock", "http://localhost/ping"), []),
        (("CMD-SHELL", "wget -nv -t1 --spider 'http://localhost:9000/' || exit 1"), [("localhost", 9000, True)]),
        (("CMD-SHELL", "wget -qO - http://127.0.0.1:3000/api | grep -q ok"), [("127.0.0.1", 3000, True)]),
        (("CMD-SHELL", "wget -q -O /dev/null -T 5 http://[::1]:3000/"), [("::1", 3000, True)]),
        (("CMD-SHELL", "curl http://localhost:$${PORT}/"), []),
        (("CMD-SHELL", 'curl "http://localhost:8080/$$(hostname)"'), []),
        (("CMD", "sh", "-c", "curl -f http://localhost:81/ && curl -f http://localhost:82/"), [("localhost", 81, True), ("localhost", 82, True)]),
        (("CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://localhost:5000/up')"), [("localhost", 5000, True)]),
        (("CMD", "node", "-e", 'require("http").get("http://localhost:3000/x", r => 0)'), [("localhost", 3000, True)]),
        (("CMD-SHELL", "nc -z localhost 8383 || exit 1"), [("localhost", 8383, False)]),
        (("CMD-SHELL", 'echo "ruok" | nc -w 2 -q 2 localhost 2181 | grep imok'), [("localhost", 2181, False)]),
        (("CMD-SHELL", "nc -uz localhost 53"), []),
        (("CMD-SHELL", "pg_isready -U postgres"), []),
        (("CMD", "redis-cli", "ping"), []),
        (("NONE",), []),
        ((), []),
        (("CMD",), []),
    ],
)
def test_what_a_check_asks(test: tuple[str, ...], expected: list[tuple[str, int, bool]]) -> None:
    assert asked(*test) == expected


@given(st.sampled_from(["CMD", "CMD-SHELL", "NONE"]), st.lists(st.text(max_size=30), max_size=4))
def test_whatever_a_check_says_its_probes_have_a_host_and_a_port(kind: str, words: list[str]) -> None:
    for probe in probes((kind, *words)):
        assert probe.host
        assert 0 < probe.port < 65536


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True),
    st.integers(1, 65535),
    st.from_regex(r"(/[a-z0-9._-]{1,5}){0,3}", fullmatch=True),
)
def test_a_url_is_found_whole_in_an_argv_and_in_a_script(scheme: str, host: str, port: int, path: str) -> None:
    url = f"{scheme}://{host}:{port}{path}"
    expected = Probe(program="curl", http=True, host=host, port=port, path=path or "/")
    assert probes(("CMD", "curl", "-sf", url)) == probes(("CMD-SHELL", f"curl -sf '{url}' || exit 1")) == (expected,)


@pytest.mark.parametrize(("host", "expected"), [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", True), ("db", False), ("10.0.0.1", False)])
def test_which_names_mean_the_container_itself(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# ---- judged


def judged(services: dict[str, Any]) -> Held | Broken:
    stack = Stack.of({"name": "p", "services": services}, chain="default", files=("compose.yaml",))
    checks = (tuple(checked_ports(stack, service)) for service in stack.services.values())
    return judge_endpoint(ChainProbes(chain="default", checks=tuple(found for found in checks if found)))


def service(image: str, *test: str, **more: Any) -> dict[str, Any]:
    return {"image": image, "healthcheck": {"test": list(test)}, **more}


WGET = ("CMD-SHELL", "wget -nv -t1 --spider 'http://localhost:9000/' || exit 1")


def kinds(verdict: Held | Broken) -> list[str]:
    return [detail.kind for detail in verdict.details if detail.kind]


def test_http_to_the_native_port_of_clickhouse_is_broken_and_the_right_port_is_named() -> None:
    verdict = judged({"clickhouse": service("yandex/clickhouse-server:20.3.9.70", *WGET)})
    assert isinstance(verdict, Broken)
    assert kinds(verdict) == ["not-http"]
    assert "HTTP is on 8123" in verdict.message


@pytest.mark.parametrize(
    "services",
    [
        {"s": service("clickhouse/clickhouse-server", "CMD", "wget", "--spider", "http://localhost:8123/ping")},
        {"s": service("minio/minio", "CMD", "curl", "-f", "http://localhost:9000/minio/health/live")},
        {"s": service("ops/app", *WGET)},
        {"s": service("mongo", "CMD", "curl", "http://localhost:27017")},
        {"s": service("clickhouse/clickhouse-server", *WGET, environment={"CLICKHOUSE_HTTP_PORT": "9000"})},
        {"s": service("postgres", "CMD", "curl", "http://localhost:5432/", entrypoint=["/my-own"])},
        {"s": service("postgres", "CMD", "curl", "http://localhost:5432/", network_mode="service:other"), "other": {"image": "ops/app"}},
        {"s": service("redis", "CMD", "nc", "-z", "localhost", "6380", command=["redis-server", "--port", "6380"])},
        {"s": service("redis", "CMD", "nc", "-z", "localhost", "6380", volumes=[{"type": "bind", "source": "/x/redis.conf", "target": "/redis.conf"}])},
        {"s": service("ops/redis", "CMD", "nc", "-z", "localhost", "6380")},
        {"s": service("redis", "CMD", "nc", "-z", "localhost", "6380", build={"context": "."})},
        {"s": service("redis", "CMD", "nc", "-z", "localhost", "6380", ports=[{"target": 6380, "published": "6380"}])},
        {"s": service("postgres", "CMD-SHELL", "curl http://localhost:5432 || nc -z localhost 5432")},
        {"s": {**service("postgres", "CMD", "curl", "http://localhost:5432"), "healthcheck": {"disable": True}}},
        {"s": {"image": "postgres"}},
    ],
    ids=str,
)
def test_what_may_be_right_holds(services: dict[str, Any]) -> None:
    assert isinstance(judged(services), Held)


def test_a_port_on_which_an_official_image_does_not_listen_is_broken() -> None:
    verdict = judged({"s": service("redis:7", "CMD", "nc", "-z", "localhost", "6380")})
    assert kinds(verdict) == ["nobody-listens"]


def test_a_check_that_asks_another_service_is_judged_by_that_service() -> None:
    verdict = judged({"app": service("ops/app", "CMD", "curl", "-f", "http://db:5432/"), "db": {"image": "postgres:17"}})
    assert kinds(verdict) == ["not-http"]
    assert "the health check of app" in verdict.message


def test_a_port_that_a_variable_without_a_value_decides_is_not_judged() -> None:
    services = {"s": service("redis:7", "CMD", "nc", "-z", "localhost", "59731")}
    stack = Stack.of({"name": "p", "services": services}, chain="default", files=("compose.yaml",), assumed=("REDIS_PORT",))
    assert list(checked_ports(stack, stack.services["s"])) == []


def seen(status: int, body: bytes = b"{}", failure: str = "") -> HttpSeen:
    return HttpSeen(url="http://x/", status=status, body=body, failure=failure, expected_status=200, contains=None, json_values={})


def test_an_endpoint_is_as_well_as_what_it_reads() -> None:
    verdict = judge_endpoint(EndpointSeen(name="app", endpoint=seen(200), reads=seen(500), tries=2, attempts=2))
    assert isinstance(verdict, Broken)
    assert [(detail.what, detail.kind) for detail in verdict.details] == [("endpoint", ""), ("reads", "status")]
    assert verdict.message.endswith("(try 2 of 2)")


def test_the_only_try_is_not_counted_aloud() -> None:
    verdict = judge_endpoint(EndpointSeen(name="app", endpoint=seen(200), reads=None, tries=1, attempts=1))
    assert isinstance(verdict, Held)
    assert verdict.message == "http://x/ answered 200"
