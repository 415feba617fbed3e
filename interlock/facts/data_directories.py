"""In which directory does a well-known server keep its data, as its image, its command and its environment have it? Only of images that are known to the
version is anything said; of all others nobody can say it from files.

Source: the Dockerfiles and entry points of the images, and the servers' manuals on their data directories.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from types import MappingProxyType

from interlock.facts.known_images import repository
from interlock.facts.placeholders import MARKS
from interlock.facts.stack import Service, ServiceMount
from interlock.nouns import dataclass
from interlock.patterns import regex


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDirectory:
    """A directory that a server keeps its data in. `implied`: where its image declares a volume of its own (an anonymous one, new with each container, unless
    something is mounted exactly there). `because` is what names the directory: an option, a variable; empty for the image's own choice."""

    path: str
    implied: tuple[str, ...] = ()
    because: str = ""

    def kept_by(self, service: Service) -> ServiceMount | None:
        """The mount of a service that the directory lies on; None when it lies in the container's own layer, or in an anonymous volume of the image."""
        over = service.mount_over(self.path)
        between = (volume for volume in self.implied if _is_below(self.path, volume) and all(mount.target != volume for mount in service.mounts))
        return None if over is None or any(len(volume) > len(over.target) for volume in between) else over

    def lost_to(self, service: Service) -> str:
        """Where its data goes when nothing keeps it, in words."""
        anonymous = any(_is_below(self.path, volume) and all(mount.target != volume for mount in service.mounts) for volume in self.implied)
        return "an anonymous volume" if anonymous else "the container's own layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptData:
    """Where a service keeps its data: in one of `directories`, of which there are several when its version is not known.

    `server` is its name; `places` are the data directories of the same server in every version and packaging: what is mounted at one of them was meant
    for data. `by_options`: only its command says where, and that a command mentions a path elsewhere proves nothing.
    """

    server: str
    directories: tuple[DataDirectory, ...]
    places: frozenset[str]
    by_options: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """What an image does by itself: `directories` it keeps data in, any of them by its version; `variables` and `options` that name another."""

    server: str
    directories: tuple[str, ...]
    implied: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # where other versions and packagings of the server keep theirs

    def kept(self, service: Service) -> KeptData | None:
        """None when something names a directory that is not known from the files."""
        places = frozenset((*self.directories, *self.also))
        named = [*_by_variable(service, self.variables), *_by_option(_words(service), self.options)]
        if named:
            because, path = named[-1]
            path = path.partition(",")[0]
            return KeptData(server=self.server, directories=(_directory(path, self.implied, because),), places=places) if _is_known(path) else None
        return KeptData(server=self.server, directories=tuple(_directory(path, self.implied) for path in self.directories), places=places)


def kept_data(service: Service) -> KeptData | None:
    """Where the server of a service keeps its data; None for an image that is not in the table, or was built here, or when it is told a directory that the
    files do not name."""
    if service.built:
        return None
    name = _name(service.image)
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](service)
    image = _IMAGES.get(name)
    if image is None:
        owner, _, last = name.rpartition("/")
        image = _BITNAMI.get(last) if owner in ("bitnami", "bitnamilegacy", "bitnamisecure") else None
    return image.kept(service) if image else None


def _name(image: str) -> str:
    """The repository, also of a mirror of the official images."""
    return re.sub(r"^(?:docker/)?library/", "", repository(image))


def tag_of(image: str) -> str:
    """The tag of an image; empty when there is none, or nobody knows from the files."""
    name = image.partition("@")[0].rpartition("/")[2]
    tag = name.partition(":")[2]
    return "" if any(mark in tag for mark in MARKS) else tag


def _major(tag: str, pattern: str) -> int | None:
    found = re.search(pattern, tag)
    return int(found[1]) if found else None


def _directory(path: str, implied: tuple[str, ...] = (), because: str = "") -> DataDirectory:
    return DataDirectory(path=posixpath.normpath(path), implied=implied, because=because)


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def _is_known(path: str) -> bool:
    """Whether a text is a path of the container that stands there in full."""
    return path.startswith("/") and not any(mark in path for mark in (*MARKS, "$", "`", "*", "{"))


# ---- what a command and an environment say

_WORD = regex(r"[^\s\"']+")
_ENDS = frozenset({";", "&&", "||", "|", "&"})


def _words(service: Service) -> tuple[str, ...]:
    """The words of entry point and command, those of a shell line among them."""
    return tuple(word for part in (*service.entrypoint, *service.command) for word in _WORD.findall(part))


def _by_variable(service: Service, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The variables that name a directory, and what they name; what comes from elsewhere names one that nobody knows."""
    for name in names:
        if name in service.environment:
            yield name, service.environment[name] or "$"


def _by_option(words: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options that name a directory: `--dir x`, `--dir=x`, and with one dash or two; `-c data_directory=x`."""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.lstrip("-") in names and (word.startswith("-") or equals):
            yield name, value if equals else "".join(words[index + 1 : index + 2])


# ---- servers that need more than a table

_BELOW_18, _FROM_18 = "/var/lib/postgresql/data", "/var/lib/postgresql"
_POSTGRES_PLACES = frozenset(
    {_BELOW_18, _FROM_18, "/var/lib/pgsql/data", "/var/lib/pgsql", "/bitnami/postgresql", "/home/postgres/pgdata/data", "/home/postgres/pgdata", "/pgdata"}
)
_FIRST_WITH_PARENT = 18


def _volumes_of(major: int | None, *, as_published: bool) -> tuple[str, ...]:
    """The volume that an image of PostgreSQL declares; both where nobody knows which."""
    if major is None or (major >= _FIRST_WITH_PARENT and not as_published):
        return _BELOW_18, _FROM_18
    return (_FROM_18,) if major >= _FIRST_WITH_PARENT else (_BELOW_18,)


def _postgres(pattern: str, *, as_published: bool = True) -> Callable[[Service], KeptData | None]:
    """PostgreSQL, by the major version that the tag says; `as_published` when every version is made from the official image and changes nothing about it."""

    def kept(service: Service) -> KeptData | None:
        major = _major(tag_of(service.image), pattern)
        implied = _volumes_of(major, as_published=as_published)
        named = [*_by_variable(service, ("PGDATA",)), *_by_option(_words(service), ("D", "pgdata", "data_directory"))]
        if named and not _is_known(named[-1][1]):
            return None
        found: tuple[DataDirectory, ...]
        if named:
            found = (_directory(named[-1][1], implied if len(implied) == 1 else (), named[-1][0]),)
        else:
            own = {_BELOW_18: _BELOW_18, _FROM_18: f"{_FROM_18}/{major or _FIRST_WITH_PARENT}/docker"}
            found = tuple(_directory(own[volume], (volume,)) for volume in implied)
        return KeptData(server="PostgreSQL", directories=found, places=_POSTGRES_PLACES)

    return kept


_BRACES = regex(r"\{[^{}]*\}")
_MINIO_VALUED = frozenset(("--address", "--console-address", "--config-dir", "-C", "--certs-dir", "-S", "--ftp", "--sftp", "--license", "--interface"))


def _minio(service: Service) -> KeptData | None:
    """MinIO keeps its data where its command says, or MINIO_VOLUMES."""
    words = _words(service)
    if "server" not in words:
        return None
    after = list(takewhile(lambda word: word not in _ENDS, words[words.index("server") + 1 :]))
    said = [word for index, word in enumerate(after) if not word.startswith("-") and (index == 0 or after[index - 1] not in _MINIO_VALUED)]
    because = "its command"
    if not said:
        because, said = "MINIO_VOLUMES", (service.environment.get("MINIO_VOLUMES") or "").split()
    path = re.sub(r"^https?://[^/]*", "", said[0]) if said else ""
    path = _BRACES.sub(lambda found: found[0][1:].partition(".")[0], path)
    if not _is_known(path):
        return None
    return KeptData(server="MinIO", directories=(_directory(path, (), because),), places=frozenset({"/data", "/export", path}))


_WEED_DIRECTORIES = {"server": ("dir",), "volume": ("dir",), "master": ("mdir",)}


def _seaweedfs(service: Service) -> KeptData | None:
    """SeaweedFS: the entry point of the image says `-dir=/data`; who replaces it says so himself, or the server takes the directory for temporary files."""
    words = _words(service)
    what = next((word for word in words if not word.startswith("-") and posixpath.basename(word) != "weed"), "")
    if what not in _WEED_DIRECTORIES:
        return None
    named = list(_by_option(words, _WEED_DIRECTORIES[what]))
    if named:
        because, path = named[-1][0], named[-1][1].partition(",")[0]
        if not _is_known(path):
            return None
        found = _directory(path, (), because)
    else:
        found = _directory("/tmp" if service.entrypoint else "/data")  # noqa: S108 - what the server takes, not ours
    return KeptData(server="SeaweedFS", directories=(found,), places=frozenset({"/data"}), by_options=True)


def _kafka(service: Service) -> KeptData | None:
    """Kafka as its makers publish it: without KAFKA_LOG_DIRS below /tmp, although the image declares a volume at /var/lib/kafka/data."""
    named = [(because, path.partition(",")[0]) for because, path in _by_variable(service, ("KAFKA_LOG_DIRS", "KAFKA_LOG_DIR"))]
    if named and not _is_known(named[0][1]):
        return None
    implied = ("/var/lib/kafka/data", "/etc/kafka/secrets", "/mnt/shared/config")
    found = _directory(named[0][1], implied, named[0][0]) if named else _directory("/tmp/kraft-combined-logs", implied)  # noqa: S108 - what the server takes
    return KeptData(server="Kafka", directories=(found,), places=frozenset({"/var/lib/kafka/data", "/var/lib/kafka", "/bitnami/kafka", "/kafka"}))


def _nats(service: Service) -> KeptData | None:
    """NATS keeps streams only where it is told to, below /tmp unless somebody says where."""
    words = _words(service)
    if not {"-js", "--js", "--jetstream", "-jetstream"} & {word.partition("=")[0] for word in words}:
        return None
    if any(word in ("-c", "--config", "-config") for word in words):
        return None
    named = list(_by_option(words, ("sd", "store_dir")))
    if named and not _is_known(named[-1][1]):
        return None
    found = _directory(named[-1][1], (), named[-1][0]) if named else _directory("/tmp/nats/jetstream")  # noqa: S108 - what the server takes
    return KeptData(server="NATS JetStream", directories=(found,), places=frozenset({"/data", "/nats", "/nats/data", "/data/jetstream"}))


def _etcd(service: Service) -> KeptData | None:
    """etcd: a directory beside its program unless somebody says where."""
    named = [*_by_variable(service, ("ETCD_DATA_DIR",)), *_by_option(_words(service), ("data-dir",))]
    names = [*_by_variable(service, ("ETCD_NAME",)), *_by_option(_words(service), ("name",))]
    path = named[-1][1] if named else f"/{names[-1][1] if names else 'default'}.etcd"
    if not _is_known(path):
        return None
    found = _directory(path, (), named[-1][0] if named else "")
    return KeptData(server="etcd", directories=(found,), places=frozenset({"/etcd-data", "/etcd_data", "/var/lib/etcd", "/etcd", "/data", "/bitnami/etcd"}))


def _by_version(pattern: str, *from_version: tuple[int, _Image]) -> Callable[[Service], KeptData | None]:
    """Each image from its major version on; all of them where the tag says none."""

    def kept(service: Service) -> KeptData | None:
        major = _major(tag_of(service.image), pattern)
        fitting = [image for first, image in from_version if major is None or first <= major]
        chosen = fitting if major is None else fitting[-1:]
        found = [one.kept(service) for one in chosen]
        known = [one for one in found if one is not None]
        if len(known) < len(chosen) or not known:
            return None
        directories = tuple(dict.fromkeys(directory for one in known for directory in one.directories))
        return KeptData(server=known[0].server, directories=directories, places=frozenset[str]().union(*(one.places for one in known)))

    return kept


def _rootless(service: Service) -> KeptData | None:
    """Gitea and Forgejo, which have another directory without root."""
    rootless = "rootless" in tag_of(service.image)
    if not tag_of(service.image):
        return None
    chosen = "/var/lib/gitea" if rootless else "/data"
    implied = ("/var/lib/gitea", "/etc/gitea") if rootless else ("/data",)
    return KeptData(server="Gitea", directories=(_directory(chosen, implied),), places=frozenset({"/data", "/var/lib/gitea"}))


# ---- the table

_AT_START = r"^v?(\d+)"
_MYSQL = _Image(
    server="MySQL",
    directories=("/var/lib/mysql",),
    implied=("/var/lib/mysql",),
    options=("datadir",),
    also=("/bitnami/mariadb", "/bitnami/mysql", "/bitnami/mariadb/data", "/bitnami/mysql/data", "/var/lib/mariadb", "/var/lib/mysql/data"),
)
_REDIS_PLACES = ("/data", "/bitnami/redis/data", "/bitnami/redis", "/bitnami/valkey/data", "/var/lib/redis", "/var/lib/valkey", "/redis/data", "/redis-data")
_REDIS = _Image(server="Redis", directories=("/data",), implied=("/data",), options=("dir",), also=_REDIS_PLACES)
_MONGO = _Image(
    server="MongoDB",
    directories=("/data/db",),
    implied=("/data/db", "/data/configdb"),
    options=("dbpath",),
    also=("/data", "/var/lib/mongodb", "/var/lib/mongo", "/bitnami/mongodb"),
)
_CLICKHOUSE = _Image(
    server="ClickHouse", directories=("/var/lib/clickhouse",), implied=("/var/lib/clickhouse",), options=("path",), also=("/bitnami/clickhouse",)
)
_ELASTIC_PLACES = (
    "/usr/share/elasticsearch/data",
    "/usr/share/opensearch/data",
    "/bitnami/elasticsearch/data",
    "/bitnami/opensearch/data",
    "/var/lib/elasticsearch",
    "/var/lib/opensearch",
)
_ELASTICSEARCH = _Image(server="Elasticsearch", directories=("/usr/share/elasticsearch/data",), variables=("path.data",), also=_ELASTIC_PLACES)
_OPENSEARCH = _Image(server="OpenSearch", directories=("/usr/share/opensearch/data",), variables=("path.data",), also=_ELASTIC_PLACES)
_CASSANDRA = _Image(server="Cassandra", directories=("/var/lib/cassandra",), implied=("/var/lib/cassandra",), also=("/bitnami/cassandra",))


def _plain(server: str, path: str, *, variables: tuple[str, ...] = (), options: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> _Image:
    """An image that declares its one data directory as a volume."""
    return _Image(server=server, directories=(path,), implied=(path,), variables=variables, options=options, also=also)


def _influxdb(path: str) -> _Image:
    places = ("/var/lib/influxdb", "/var/lib/influxdb2", "/var/lib/influxdb3", "/bitnami/influxdb", "/root/.influxdbv2")
    return _Image(server="InfluxDB", directories=(path,), implied=(path,), variables=("INFLUXD_BOLT_PATH",), options=("bolt-path", "data-dir"), also=places)


_IMAGES: Mapping[str, _Image] = MappingProxyType(
    {
        **dict.fromkeys(("mysql", "mariadb", "percona", "mysql/mysql-server", "percona/percona-server", "percona/percona-xtradb-cluster"), _MYSQL),
        **dict.fromkeys(("redis", "valkey/valkey", "eqalpha/keydb", "dragonflydb/dragonfly"), _REDIS),
        **dict.fromkeys(
            ("redis/redis-stack", "redis/redis-stack-server"),
            _Image(server="Redis", directories=("/data",), options=("dir",), also=_REDIS_PLACES),
        ),
        **dict.fromkeys(("mongo", "percona/percona-server-mongodb", "mongodb/mongodb-community-server", "mongodb/mongodb-atlas-local"), _MONGO),
        **dict.fromkeys(("clickhouse/clickhouse-server", "yandex/clickhouse-server", "altinity/clickhouse-server", "clickhouse"), _CLICKHOUSE),
        **dict.fromkeys(("elasticsearch", "elasticsearch/elasticsearch", "elasticsearch/elasticsearch-oss"), _ELASTICSEARCH),
        "opensearchproject/opensearch": _OPENSEARCH,
        "cassandra": _CASSANDRA,
        "scylladb/scylla": _Image(server="ScyllaDB", directories=("/var/lib/scylla",), options=("workdir", "data-file-directories")),
        "rabbitmq": _Image(
            server="RabbitMQ",
            directories=("/var/lib/rabbitmq/mnesia",),
            implied=("/var/lib/rabbitmq",),
            variables=("RABBITMQ_MNESIA_BASE", "RABBITMQ_MNESIA_DIR"),
            also=("/var/lib/rabbitmq", "/bitnami/rabbitmq/mnesia", "/bitnami/rabbitmq"),
        ),
        "confluentinc/cp-kafka": _plain("Kafka", "/var/lib/kafka/data", variables=("KAFKA_LOG_DIRS",), also=("/var/lib/kafka", "/bitnami/kafka", "/kafka")),
        "confluentinc/cp-server": _plain("Kafka", "/var/lib/kafka/data", variables=("KAFKA_LOG_DIRS",), also=("/var/lib/kafka",)),
        "confluentinc/cp-zookeeper": _plain("ZooKeeper", "/var/lib/zookeeper/data", variables=("ZOOKEEPER_DATA_DIR",), also=("/var/lib/zookeeper", "/data")),
        "zookeeper": _plain("ZooKeeper", "/data", variables=("ZOO_DATA_DIR",), also=("/var/lib/zookeeper", "/var/lib/zookeeper/data", "/bitnami/zookeeper")),
        "redpandadata/redpanda": _Image(server="Redpanda", directories=("/var/lib/redpanda/data",), also=("/var/lib/redpanda",)),
        "grafana/grafana": _Image(server="Grafana", directories=("/var/lib/grafana",), variables=("GF_PATHS_DATA",), options=("cfg:default.paths.data",)),
        "grafana/grafana-oss": _Image(server="Grafana", directories=("/var/lib/grafana",), variables=("GF_PATHS_DATA",)),
        "grafana/grafana-enterprise": _Image(server="Grafana", directories=("/var/lib/grafana",), variables=("GF_PATHS_DATA",)),
        "prom/prometheus": _plain("Prometheus", "/prometheus", options=("storage.tsdb.path",), also=("/data", "/prometheus-data", "/var/lib/prometheus")),
        "prometheus/prometheus": _plain("Prometheus", "/prometheus", options=("storage.tsdb.path",), also=("/data", "/prometheus-data", "/var/lib/prometheus")),
        "prom/alertmanager": _plain("Alertmanager", "/alertmanager", options=("storage.path",), also=("/data",)),
        "victoriametrics/victoria-metrics": _Image(
            server="VictoriaMetrics",
            directories=("/victoria-metrics-data",),
            options=("storageDataPath",),
            also=("/storage", "/var/lib/victoria-metrics", "/data"),
        ),
        "victoriametrics/victoria-logs": _Image(
            server="VictoriaLogs",
            directories=("/victoria-logs-data",),
            options=("storageDataPath",),
            also=("/vlogs", "/storage"),
        ),
        "qdrant/qdrant": _Image(
            server="Qdrant", directories=("/qdrant/storage",), variables=("QDRANT__STORAGE__STORAGE_PATH",), also=("/qdrant/data", "/qdrant_storage", "/data")
        ),
        "neo4j": _plain("Neo4j", "/data", variables=("NEO4J_dbms_directories_data", "NEO4J_server_directories_data"), also=("/var/lib/neo4j/data",)),
        "consul": _plain("Consul", "/consul/data", options=("data-dir",)),
        "hashicorp/consul": _plain("Consul", "/consul/data", options=("data-dir",)),
        "timescale/timescaledb-ha": _Image(
            server="PostgreSQL",
            directories=("/home/postgres/pgdata/data",),
            variables=("PGDATA",),
            also=tuple(_POSTGRES_PLACES),
        ),
        "arangodb": _plain("ArangoDB", "/var/lib/arangodb3", options=("database.directory",), also=("/var/lib/arangodb",)),
        "mssql/server": _Image(server="SQL Server", directories=("/var/opt/mssql/data",), variables=("MSSQL_DATA_DIR",), also=("/var/opt/mssql",)),
        "questdb/questdb": _Image(server="QuestDB", directories=("/var/lib/questdb", "/root/.questdb"), also=("/root/.questdb/db", "/var/lib/questdb/db")),
        "registry": _plain(
            "the registry",
            "/var/lib/registry",
            variables=("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",),
            also=("/registry", "/data", "/var/lib/docker-registry"),
        ),
        "vaultwarden/server": _Image(server="Vaultwarden", directories=("/data",), variables=("DATA_FOLDER",)),
        "n8nio/n8n": _Image(server="n8n", directories=("/home/node/.n8n", "/root/.n8n"), variables=("N8N_USER_FOLDER",)),
        "louislam/uptime-kuma": _plain("Uptime Kuma", "/app/data", variables=("DATA_DIR",), also=("/data",)),
        "portainer/portainer-ce": _plain("Portainer", "/data", options=("data", "d")),
        "jenkins/jenkins": _plain("Jenkins", "/var/jenkins_home", variables=("JENKINS_HOME",), also=("/var/lib/jenkins", "/jenkins")),
    }
)


def _bitnami(server: str, name: str, path: str, *, variables: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> _Image:
    """Packaged by Bitnami: everything that must stay is below one directory, whatever the server's own habit."""
    places = tuple(one.rstrip("/") for one in (f"/bitnami/{name}/data", f"/bitnami/{name}"))
    return _Image(server=server, directories=(path,), variables=variables, also=(*places, *also))


_BITNAMI: Mapping[str, _Image] = MappingProxyType(
    {
        "postgresql": _bitnami(
            "PostgreSQL", "postgresql", "/bitnami/postgresql/data", variables=("POSTGRESQL_DATA_DIR", "PGDATA"), also=tuple(_POSTGRES_PLACES)
        ),
        "mariadb": _bitnami("MariaDB", "mariadb", "/bitnami/mariadb/data", variables=("MARIADB_DATA_DIR",), also=("/var/lib/mysql",)),
        "mysql": _bitnami("MySQL", "mysql", "/bitnami/mysql/data", variables=("MYSQL_DATA_DIR",), also=("/var/lib/mysql",)),
        "redis": _bitnami("Redis", "redis", "/bitnami/redis/data", variables=("REDIS_DATA_DIR",), also=("/data", "/var/lib/redis")),
        "valkey": _bitnami("Valkey", "valkey", "/bitnami/valkey/data", variables=("VALKEY_DATA_DIR",), also=("/data", "/var/lib/valkey")),
        "mongodb": _bitnami("MongoDB", "mongodb", "/bitnami/mongodb/data", variables=("MONGODB_DATA_DIR",), also=("/data/db", "/data", "/var/lib/mongodb")),
        "kafka": _bitnami(
            "Kafka", "kafka", "/bitnami/kafka/data", variables=("KAFKA_CFG_LOG_DIRS", "KAFKA_CFG_LOG_DIR"), also=("/var/lib/kafka/data", "/kafka")
        ),
        "zookeeper": _bitnami("ZooKeeper", "zookeeper", "/bitnami/zookeeper/data", variables=("ZOO_DATA_DIR",), also=("/data", "/var/lib/zookeeper")),
        "rabbitmq": _bitnami(
            "RabbitMQ", "rabbitmq", "/bitnami/rabbitmq/mnesia", variables=("RABBITMQ_MNESIA_DIR", "RABBITMQ_MNESIA_BASE"), also=("/var/lib/rabbitmq",)
        ),
        "elasticsearch": _bitnami("Elasticsearch", "elasticsearch", "/bitnami/elasticsearch/data", also=_ELASTIC_PLACES),
        "clickhouse": _bitnami("ClickHouse", "clickhouse", "/bitnami/clickhouse/data", variables=("CLICKHOUSE_DATA_DIR",), also=("/var/lib/clickhouse",)),
        "minio": _bitnami("MinIO", "minio", "/bitnami/minio/data", variables=("MINIO_DATA_DIR",), also=("/data",)),
        "etcd": _bitnami("etcd", "etcd", "/bitnami/etcd/data", variables=("ETCD_DATA_DIR",), also=("/etcd-data",)),
    }
)

_CHROMA = _by_version(
    _AT_START,
    (0, _Image(server="Chroma", directories=("/chroma/chroma",), variables=("PERSIST_DIRECTORY",), also=("/data", "/index_data", "/chroma/.chroma/index"))),
    (
        1,
        _Image(
            server="Chroma",
            directories=("/data",),
            variables=("CHROMA_PERSIST_PATH", "PERSIST_DIRECTORY"),
            options=("path",),
            also=("/chroma/chroma", "/index_data"),
        ),
    ),
)
_PG_IN_TAG = r"(?:^|[-_.])pg(\d+)"
_FUNCTIONS: Mapping[str, Callable[[Service], KeptData | None]] = MappingProxyType(
    {
        "postgres": _postgres(_AT_START),
        "postgis/postgis": _postgres(_AT_START),
        "pgvector/pgvector": _postgres(_PG_IN_TAG),
        "timescale/timescaledb": _postgres(_PG_IN_TAG),
        "timescale/timescaledb-postgis": _postgres(_PG_IN_TAG),
        "imresamu/postgis": _postgres(_AT_START, as_published=False),
        "immich-app/postgres": _postgres(_AT_START, as_published=False),
        "tensorchord/pgvecto-rs": _postgres(r"^pg(\d+)", as_published=False),
        "tensorchord/vchord-postgres": _postgres(r"^pg(\d+)", as_published=False),
        "citusdata/citus": _postgres(r"-pg(\d+)", as_published=False),
        "paradedb/paradedb": _postgres(r"-pg(\d+)", as_published=False),
        "ankane/pgvector": _postgres(r"$^", as_published=False),
        "mdillon/postgis": _postgres(r"^(\d+)", as_published=False),
        "minio/minio": _minio,
        "chrislusf/seaweedfs": _seaweedfs,
        "apache/kafka": _kafka,
        "apache/kafka-native": _kafka,
        "nats": _nats,
        "coreos/etcd": _etcd,
        "etcd-development/etcd": _etcd,
        "gitea/gitea": _rootless,
        "forgejo/forgejo": _rootless,
        "influxdb": _by_version(_AT_START, (0, _influxdb("/var/lib/influxdb")), (2, _influxdb("/var/lib/influxdb2")), (3, _influxdb("/var/lib/influxdb3"))),
        "couchdb": _by_version(
            _AT_START,
            (0, _plain("CouchDB", "/usr/local/var/lib/couchdb", also=("/opt/couchdb/data",))),
            (2, _plain("CouchDB", "/opt/couchdb/data", also=("/usr/local/var/lib/couchdb", "/var/lib/couchdb", "/data"))),
        ),
        **dict.fromkeys(("chromadb/chroma", "chroma-core/chroma"), _CHROMA),
        "getmeili/meilisearch": _Image(
            server="Meilisearch",
            directories=("/meili_data", "/data.ms"),
            variables=("MEILI_DB_PATH",),
            options=("db-path",),
            also=("/data", "/meili_data/data.ms", "/var/lib/meilisearch"),
        ).kept,
        "solr": _by_version(
            _AT_START,
            (0, _Image(server="Solr", directories=("/opt/solr/server/solr",), variables=("SOLR_HOME",), also=("/var/solr", "/var/solr/data"))),
            (8, _plain("Solr", "/var/solr", variables=("SOLR_HOME",), also=("/opt/solr/server/solr", "/var/solr/data"))),
        ),
    }
)


def stateful(service: Service) -> str:
    """The name of the server that keeps data in a service; empty for an image that is not in the table."""
    kept = kept_data(service)
    return kept.server if kept else ""
