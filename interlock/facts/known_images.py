"""Which well-known server is in an image, and what does it speak on which port? What every release of it does unless somebody configures it otherwise.

Source: the pages of the images on their registries, and the servers' own manuals on their default ports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from interlock.nouns import dataclass
from interlock.patterns import regex


class Speaks(StrEnum):
    """What is answered on a port."""

    HTTP = "HTTP"
    OWN = "a protocol of its own"  # a request in HTTP gets no answer in HTTP
    BOTH = "both"  # an answer in HTTP is possible


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownServer:
    """A server. `ports` maps each port that it listens on by default to what it speaks there; `private` are those that lead to its data or rule over it:
    nobody outside needs them. `distinctive` ports are its own wherever they are seen, whatever the image is called. `stateful`: it keeps data."""

    name: str
    ports: Mapping[int, Speaks]
    private: frozenset[int]
    distinctive: frozenset[int] = frozenset()
    stateful: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What an image is. `official`: it is published by those who make the server, so nothing was changed in it; else it only bears the name."""

    server: KnownServer
    official: bool


def _server(
    name: str, ports: Mapping[int, Speaks], *, private: tuple[int, ...] | None = None, distinctive: tuple[int, ...] = (), stateful: bool = True
) -> KnownServer:
    chosen = frozenset(ports if private is None else private)
    return KnownServer(name=name, ports=MappingProxyType(dict(ports)), private=chosen, distinctive=frozenset(distinctive), stateful=stateful)


_OWN, _HTTP, _BOTH = Speaks.OWN, Speaks.HTTP, Speaks.BOTH

POSTGRES = _server("PostgreSQL", {5432: _OWN}, distinctive=(5432,))
MYSQL = _server("MySQL", {3306: _OWN, 33060: _OWN}, distinctive=(3306,))
REDIS = _server("Redis", {6379: _OWN}, distinctive=(6379,))
REDIS_STACK = _server("Redis", {6379: _OWN, 8001: _HTTP})
MONGO = _server("MongoDB", {27017: _BOTH}, distinctive=(27017,))  # it answers a GET with a friendly sentence
ELASTICSEARCH = _server("Elasticsearch", {9200: _HTTP, 9300: _OWN}, distinctive=(9200, 9300))
OPENSEARCH = _server("OpenSearch", {9200: _HTTP, 9300: _OWN, 9600: _HTTP})
CLICKHOUSE = _server("ClickHouse", {8123: _HTTP, 9000: _OWN, 9004: _OWN, 9005: _OWN, 9009: _BOTH})
MINIO = _server("MinIO", {9000: _HTTP, 9001: _HTTP}, private=(9001,))  # 9000 is the service itself; 9001 the console
SOCKET_PROXY = _server("a proxy of the Docker socket", {2375: _HTTP}, distinctive=(2375,), stateful=False)
DOCKER = _server("Docker", {2375: _HTTP, 2376: _BOTH})
ETCD = _server("etcd", {2379: _BOTH, 2380: _BOTH}, distinctive=(2379,))
MEMCACHED = _server("memcached", {11211: _OWN}, distinctive=(11211,), stateful=False)
RABBITMQ = _server("RabbitMQ", {5672: _OWN, 15672: _HTTP, 4369: _OWN, 25672: _OWN, 15692: _HTTP}, private=(15672, 4369, 25672), distinctive=(15672,))
CASSANDRA = _server("Cassandra", {9042: _OWN, 7000: _OWN, 7001: _OWN, 7199: _OWN, 9160: _OWN}, distinctive=(9042,))
INFLUXDB = _server("InfluxDB", {8086: _HTTP})
NEO4J = _server("Neo4j", {7474: _HTTP, 7473: _HTTP, 7687: _BOTH}, distinctive=(7687,))
COUCHDB = _server("CouchDB", {5984: _HTTP, 4369: _OWN, 9100: _OWN}, private=(5984, 4369), distinctive=(5984,))
ZOOKEEPER = _server("ZooKeeper", {2181: _OWN, 2888: _OWN, 3888: _OWN, 8080: _HTTP}, distinctive=(2181,))
KAFKA = _server("Kafka", {9092: _OWN, 9093: _OWN})
MSSQL = _server("SQL Server", {1433: _OWN}, distinctive=(1433,))
COCKROACH = _server("CockroachDB", {26257: _OWN, 8080: _HTTP}, distinctive=(26257,))
SOLR = _server("Solr", {8983: _HTTP, 9983: _OWN})
MEILISEARCH = _server("Meilisearch", {7700: _HTTP})

SERVERS = (
    *(POSTGRES, MYSQL, REDIS, REDIS_STACK, MONGO, ELASTICSEARCH, OPENSEARCH, CLICKHOUSE, MINIO, SOCKET_PROXY, DOCKER, ETCD, MEMCACHED, RABBITMQ, CASSANDRA),
    *(INFLUXDB, NEO4J, COUCHDB, ZOOKEEPER, KAFKA, MSSQL, COCKROACH, SOLR, MEILISEARCH),
)

# By the whole name without registry and tag (`library/` left out): published by those who make the server, or its packagers of note.
_OFFICIAL: Mapping[str, KnownServer] = MappingProxyType(
    {
        "postgres": POSTGRES,
        "postgis/postgis": POSTGRES,
        "pgvector/pgvector": POSTGRES,
        "timescale/timescaledb": POSTGRES,
        "mysql": MYSQL,
        "mysql/mysql-server": MYSQL,
        "mariadb": MYSQL,
        "percona": MYSQL,
        "redis": REDIS,
        "valkey/valkey": REDIS,
        "eqalpha/keydb": REDIS,
        "redis/redis-stack-server": REDIS,
        "redis/redis-stack": REDIS_STACK,
        "mongo": MONGO,
        "elasticsearch": ELASTICSEARCH,
        "elasticsearch/elasticsearch": ELASTICSEARCH,
        "opensearchproject/opensearch": OPENSEARCH,
        "clickhouse/clickhouse-server": CLICKHOUSE,
        "yandex/clickhouse-server": CLICKHOUSE,
        "altinity/clickhouse-server": CLICKHOUSE,
        "clickhouse": CLICKHOUSE,
        "minio/minio": MINIO,
        "tecnativa/docker-socket-proxy": SOCKET_PROXY,
        "linuxserver/socket-proxy": SOCKET_PROXY,
        "docker": DOCKER,
        "coreos/etcd": ETCD,
        "etcd-development/etcd": ETCD,
        "memcached": MEMCACHED,
        "rabbitmq": RABBITMQ,
        "cassandra": CASSANDRA,
        "scylladb/scylla": CASSANDRA,
        "influxdb": INFLUXDB,
        "neo4j": NEO4J,
        "couchdb": COUCHDB,
        "zookeeper": ZOOKEEPER,
        "apache/kafka": KAFKA,
        "mssql/server": MSSQL,
        "cockroachdb/cockroach": COCKROACH,
        "solr": SOLR,
        "getmeili/meilisearch": MEILISEARCH,
    }
)

# By the last part of the name alone: packaged by others (`bitnami/postgresql`, `confluentinc/cp-kafka`, `registry.example.org/ops/postgres`).
_NAMED: Mapping[str, KnownServer] = MappingProxyType(
    {
        **{name.rpartition("/")[2]: server for name, server in _OFFICIAL.items() if name not in ("docker", "mssql/server")},
        "postgresql": POSTGRES,
        "timescaledb-ha": POSTGRES,
        "mongodb": MONGO,
        "mongodb-community-server": MONGO,
        "etcd": ETCD,
        "kafka": KAFKA,
        "cp-kafka": KAFKA,
        "cp-zookeeper": ZOOKEEPER,
        "docker-socket-proxy": SOCKET_PROXY,
    }
)

_REFERENCE = regex(r"^(?:(?P<registry>[^/]*[.:][^/]*|localhost)/)?(?P<name>[^:@]+)(?::[^@/]*)?(?:@.*)?$")


def repository(image: str) -> str:
    """The name of an image without registry, tag and digest: `postgres` of `docker.io/library/postgres:15`. Lower case; empty when it is none."""
    found = _REFERENCE.match(image.strip())
    return found["name"].removeprefix("library/").lower() if found else ""


def recognise(image: str) -> Recognised | None:
    """The server in an image, by its name; None when the name is none that we know."""
    name = repository(image)
    if server := _OFFICIAL.get(name):
        return Recognised(server=server, official=True)
    server = _NAMED.get(name.rpartition("/")[2])
    return Recognised(server=server, official=False) if server else None


def by_port(port: int) -> Iterator[KnownServer]:
    """The servers whose own port this is, wherever it is seen."""
    return (server for server in SERVERS if port in server.distinctive)
