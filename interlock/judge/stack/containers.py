"""Which containers have more of their host than they need, and which have less time to stop than their data needs?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from interlock.facts.backup_writers import listed
from interlock.facts.data_directories import kept_data
from interlock.facts.embedded import StoppedFile
from interlock.facts.placed import FileOfChains, Found, PlacedChain
from interlock.facts.stack import Service
from interlock.judge.stack.places import compose_files, judge_places
from interlock.verdicts import Broken, Guardrail, Held, Severity, Unproven, When

SOCKETS = ("docker.sock", "podman.sock", "containerd.sock")
DATABASES = listed(
    "PostgreSQL MySQL MariaDB MongoDB ClickHouse Kafka Elasticsearch OpenSearch RabbitMQ InfluxDB Neo4j Cassandra ScyllaDB CouchDB Redis Valkey Solr QuestDB"
    " ArangoDB Redpanda ZooKeeper etcd Meilisearch Qdrant"
) | {"SQL Server"}
KEPT_RUNNING = ("always", "unless-stopped")

SOCKET_REMEDY = (
    "mount it `:ro`, and do not trust that: whoever can open the socket rules over the host; put a proxy between (`docker-socket-proxy`) that lets through"
    " what is needed"
)
GRACE_REMEDY = "give it `stop_grace_period: 1m` or more, as long as its slowest stop takes"


def judge_docker_socket(file: FileOfChains) -> Held | Broken | Unproven:
    """Held when no service of the file gets the engine's socket to write to."""
    return judge_places(file, _sockets, held=f"{file.path} gives the engine's socket to nobody who could replace it", remedy=SOCKET_REMEDY)


def _sockets(chain: PlacedChain) -> Iterator[Found]:
    for service in chain.stack.services.values():
        for mount in service.mounts:
            if mount.kind == "bind" and not mount.read_only and posixpath.basename(mount.source) in SOCKETS:
                message = f"{service.name} gets {mount.source} to write to: whoever takes over this service rules over the host and every other container"
                yield Found(f"{service.name} {mount.target}", "socket-writable", message, chain.mount_at(service.name, mount.target))


def judge_stop_grace(noun: StoppedFile) -> Held | Broken | Unproven:
    """Held when each service that keeps a database says how long its stop may take."""
    held = f"each service of {noun.file.path} with a database says how long it may take to stop, or there is none"
    return judge_places(noun.file, lambda chain: _hasty(chain, noun), held=held, remedy=GRACE_REMEDY)


def _hasty(chain: PlacedChain, noun: StoppedFile) -> Iterator[Found]:
    for service in chain.stack.services.values():
        server = _server(service)
        if server and not service.stop_grace and service.restart in KEPT_RUNNING:
            yield _found(chain, service, f"{service.name} keeps the data of {server} and has")
    for volume in chain.stack.volumes:
        carrying = [service for service, mount in chain.stack.users_of(volume) if not mount.read_only and _engine(service, noun)]
        if carrying and not any(service.stop_grace for service in chain.stack.services.values() if service.context == carrying[0].context):
            names, first = ", ".join(service.name for service in carrying), carrying[0]
            alone = len(carrying) == 1
            said = f"{names} {'keeps' if alone else 'keep'} files of {_engine(first, noun)} in the volume {volume} and {'has' if alone else 'have'}"
            yield _found(chain, first, said)


def _found(chain: PlacedChain, service: Service, said: str) -> Found:
    message = f"{said} the engine's ten seconds to stop: whoever writes out more than that is killed in the middle of it"
    return Found(service.name, "default-grace", message, chain.at(("services", service.name, "volumes"), ("services", service.name)))


def _server(service: Service) -> str:
    """The database of a service whose data outlives its container; empty for none."""
    kept = kept_data(service)
    if kept is None or kept.server not in DATABASES:
        return ""
    mounts = (directory.kept_by(service) for directory in kept.directories)
    return kept.server if any(mount is not None and mount.kind in ("bind", "volume") for mount in mounts) else ""


def _engine(service: Service, noun: StoppedFile) -> str:
    """The database that a program built here carries inside of it, where it goes on running; empty for none."""
    return noun.engines.get(service.context, "") if service.built and service.restart in KEPT_RUNNING else ""


DOCKER_SOCKET_READONLY = Guardrail(
    id="compose.docker_socket_readonly",
    title="no service gets the engine's socket to write to",
    severity=Severity.LOW,
    when=frozenset({When.STATIC}),
    rationale="The socket is the key to the host. Read-only it can at least not be replaced; it can still be spoken to, and that is what a proxy is for.",
    remedy=SOCKET_REMEDY,
    subjects=compose_files,
    judge=judge_docker_socket,
)

STOP_GRACE_FOR_STATEFUL = Guardrail(
    id="compose.stop_grace_for_stateful",
    title="a service that keeps a database says how long its stop may take",
    severity=Severity.LOW,
    when=frozenset({When.STATIC}),
    rationale="After ten seconds the engine kills what has not stopped. A database in its last checkpoint then recovers at best, and is damaged at worst.",
    remedy=GRACE_REMEDY,
    subjects=compose_files,
    judge=judge_stop_grace,
)
