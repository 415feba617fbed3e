"""How long may a service take to start before what waits for it gives up? From its health check, as docker compose resolved it.

An engine counts failed probes after `start_period`; after `retries` of them in a row the container is unhealthy, and docker compose starts nothing that waits
for it. Source: Dockerfile reference, HEALTHCHECK; the Compose Specification, healthcheck and depends_on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from interlock.facts.known_images import Recognised, recognise
from interlock.facts.stack import Service, Stack
from interlock.nouns import dataclass
from interlock.patterns import regex

INTERVAL, RETRIES = 30.0, 3  # seconds and probes, where nothing is said
SHORTEST_START: Mapping[str, float] = {
    "PostgreSQL": 11, "MySQL": 16, "MongoDB": 10, "Elasticsearch": 30, "OpenSearch": 30, "ClickHouse": 10, "Cassandra": 40, "Kafka": 15, "RabbitMQ": 15,
    "Neo4j": 20, "SQL Server": 15, "MinIO": 7, "Solr": 15,
}  # fmt: skip
"""Seconds that a first start, or one after a crash, takes on a small disk at the very least: a window below surely ends too early on somebody's host."""
APPLICATION_WINDOW = 90.0  # seconds: the engine's own default, which nobody chose for a service that migrates its data first
_PART = regex(r"(?P<count>\d+(?:\.\d+)?)(?P<unit>ms|us|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001, "ns": 0.000000001}
_WITHOUT_CHECK = frozenset({"PostgreSQL", "MySQL", "Redis", "MongoDB", "RabbitMQ", "memcached", "Cassandra", "Neo4j", "ZooKeeper", "Solr"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """A service that others wait for. `window` is how long it may take, in seconds; None when it has no check, or a part of it has no value here.
    `start_period` is the part of it in which failures do not count. `waiting` are those who wait."""

    service: str
    image: str
    waiting: tuple[str, ...]
    known: Recognised | None
    has_check: bool | None  # None: it may come with the image
    window: float | None
    start_period: float
    keeps_data: bool
    file: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainWaits:
    """All services of a chain that others wait for."""

    chain: str
    waited: tuple[Waited, ...]


def seconds(said: object) -> float | None:
    """A duration as docker compose prints it (`1m30s`), or a number of nanoseconds; None for what is none."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        return float(said) / 1e9
    if not isinstance(said, str) or not said or _PART.sub("", said):
        return None
    return sum(float(part["count"]) * _UNITS[part["unit"]] for part in _PART.finditer(said))


def waited_for(stack: Stack) -> Iterator[Waited]:
    """The services whose health another one waits for, in the order of their names."""
    for service in stack.services.values():
        waiting = tuple(other.name for other in stack.services.values() if service.name in other.waits_for)
        if waiting:
            yield _waited(service, waiting)


def _waited(service: Service, waiting: tuple[str, ...]) -> Waited:
    check = service.healthcheck
    test = check.get("test") or ()
    off = bool(check.get("disable")) or list(test[:1]) == ["NONE"]
    known = recognise(service.image)
    bare = known is not None and known.official and not service.built and known.server.name in _WITHOUT_CHECK
    start = seconds(check.get("start_period") or "0s")
    interval = seconds(check.get("interval")) if check.get("interval") else INTERVAL
    retries = check.get("retries") or RETRIES
    window = start + interval * retries if start is not None and interval is not None and isinstance(retries, int) else None
    return Waited(
        service=service.name,
        image=service.image,
        waiting=waiting,
        known=known,
        has_check=False if off or (bare and not check) else True if test else None,
        window=window if check and not off else None,
        start_period=start or 0.0,
        keeps_data=any(mount.kind in ("volume", "bind") and not mount.read_only for mount in service.mounts),
    )
