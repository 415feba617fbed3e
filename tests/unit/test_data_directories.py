"""Where servers keep their data: by image, version, variable and option; and which mount it lies on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.facts.chains import Source
from interlock.facts.data_directories import kept_data
from interlock.facts.placed import FileOfChains, PlacedChain, Shipped
from interlock.facts.stack import Service, Stack
from interlock.judge.stack.data_directories import judge_data_dir_matches_mount
from interlock.verdicts import Broken, Held, Outcome
from tests.strategies import image_references

HERE = "/srv/stack"


def service(image: str, *mounts: str, **said: Any) -> Service:
    """A service as docker compose prints it; a mount is `source:target` or `source:target:ro`, a bind when its source begins with a slash."""
    volumes = []
    for mount in mounts:
        source, target, *ro = mount.split(":")
        volumes.append({"type": "bind" if source.startswith("/") else "volume", "source": source, "target": target, "read_only": bool(ro)})
    model = {"services": {"db": {"image": image, "volumes": volumes, **said}}, "volumes": {}}
    return Stack.of(model, chain="all", files=("compose.yaml",)).services["db"]


def judged(one: Service, binds: dict[str, Shipped] | None = None) -> Held | Broken:
    stack = Stack(chain="all", files=("compose.yaml",), project="s", services={"db": one}, volumes={})
    places = {("services", "db", "volumes", mount.target): Source("compose.yaml", 5 + index) for index, mount in enumerate(one.mounts)}
    chain = PlacedChain(stack=stack, files=("compose.yaml",), places=places, binds=binds or {}, root=HERE)
    judgement = judge_data_dir_matches_mount(FileOfChains(path="compose.yaml", chains=(chain,), own=frozenset({"compose.yaml"})))
    assert isinstance(judgement, Held | Broken)
    return judgement


WRONG = [
    ("postgres:18", "rows:/var/lib/postgresql/data", {}),
    ("postgres:18.1-alpine@sha256:" + "a" * 64, "rows:/var/lib/postgresql/data", {}),
    ("docker.io/library/postgres:19beta1", "/srv/rows:/var/lib/postgresql/data", {}),
    ("postgres:16", "rows:/var/lib/postgresql", {}),
    ("postgis/postgis:16-3.4", "rows:/var/lib/postgresql", {}),
    ("pgvector/pgvector:0.8.1-pg18", "rows:/var/lib/postgresql/data", {}),
    ("timescale/timescaledb:latest-pg15", "rows:/home/postgres/pgdata/data", {}),
    ("timescale/timescaledb-ha:pg16", "rows:/var/lib/postgresql/data", {}),
    ("postgres:17", "rows:/var/lib/postgresql/data", {"environment": {"PGDATA": "/pgdata"}}),
    ("postgres:15", "dbdata:/bitnami/postgresql", {}),
    ("bitnami/postgresql:16", "rows:/var/lib/postgresql/data", {}),
    ("mariadb:11", "rows:/var/lib/mariadb/data", {}),
    ("mysql:8", "db-data:/data", {}),
    ("bitnami/mysql:8.4", "rows:/var/lib/mysql", {}),
    ("mysql:8", "rows:/var/lib/mysql", {"command": ["--datadir=/rows"]}),
    ("redis:8", "cached:/var/lib/redis", {}),
    ("valkey/valkey:9", "cached:/data", {"command": "valkey-server --dir /cached"}),
    ("mongo:8", "rows:/data", {}),
    ("mongo:8", "rows:/data/db", {"command": ["mongod", "--dbpath", "/rows"]}),
    ("clickhouse/clickhouse-server:25.3", "rows:/bitnami/clickhouse", {}),
    ("apache/kafka:4.1.0", "logs:/var/lib/kafka/data", {}),
    ("confluentinc/cp-kafka:7.9.0", "queue:/var/lib/kafka", {}),
    ("confluentinc/cp-zookeeper:7.9.0", "zk:/var/lib/zookeeper", {}),
    ("minio/minio", "objects:/data", {"command": "server /export --console-address :9001"}),
    ("quay.io/minio/minio:RELEASE.2025-04-22T22-12-26Z", "objects:/data", {"command": ["server", "/disk{1...4}"]}),
    ("chrislusf/seaweedfs:3.99", "objects:/data", {"entrypoint": ["weed"], "command": ["server", "-s3", "-volume.dir.idx=/data/idx"]}),
    ("chrislusf/seaweedfs", "objects:/data", {"entrypoint": ["/usr/bin/weed", "volume", "-dir=/objects"]}),
    ("getmeili/meilisearch:v1.15", "found:/data", {}),
    ("elasticsearch:8.18.0", "found:/var/lib/elasticsearch", {}),
    ("docker.elastic.co/elasticsearch/elasticsearch:8.18.0", "found:/usr/share/opensearch/data", {}),
    ("influxdb:2.7-alpine", "points:/var/lib/influxdb", {}),
    ("influxdb:1.8", "points:/var/lib/influxdb2", {}),
    ("prom/prometheus", "points:/prometheus", {"command": ["--storage.tsdb.path=/points"]}),
    ("victoriametrics/victoria-metrics:v1.120.0", "points:/storage", {}),
    ("qdrant/qdrant:v1.15", "vectors:/qdrant/data", {}),
    ("chromadb/chroma:1.0.15", "vectors:/chroma/chroma", {}),
    ("chromadb/chroma:0.5.23", "vectors:/data", {}),
    ("couchdb:3", "documents:/usr/local/var/lib/couchdb", {}),
    ("nats:2.11", "streams:/data", {"command": ["-js"]}),
    ("quay.io/coreos/etcd:v3.6.1", "keys:/etcd-data", {"command": "etcd --name one"}),
    ("registry:3", "images:/data", {}),
]


@pytest.mark.parametrize(("image", "mount", "said"), WRONG, ids=[f"{number} {image[:40]}" for number, (image, _, _) in enumerate(WRONG)])
def test_a_mount_beside_the_data_directory_is_broken_at_its_line(image: str, mount: str, said: dict[str, Any]) -> None:
    judgement = judged(service(image, mount, **said))
    assert isinstance(judgement, Broken)
    (detail,) = judgement.details
    assert (detail.kind, detail.file, detail.line, detail.what) == ("data-elsewhere", "compose.yaml", 5, f"db {mount.split(':')[1]}")


RIGHT = [
    ("postgres:18", "rows:/var/lib/postgresql", {}),
    ("postgres:18", "rows:/var/lib/postgresql/18/docker", {}),
    ("postgres:18", "rows:/var/lib/postgresql/data", {"environment": {"PGDATA": "/var/lib/postgresql/data"}}),
    ("postgres:18", "rows:/var/lib/postgresql/data", {"environment": {"PGDATA": "/var/lib/postgresql/data/inner"}}),
    ("postgres:16", "rows:/var/lib/postgresql/data", {}),
    ("postgres:16", "rows:/var/lib/postgresql", {"environment": {"PGDATA": "/var/lib/postgresql/rows"}}),
    ("postgres:9.6-alpine", "rows:/var/lib/postgresql/data", {}),
    ("postgres", "rows:/var/lib/postgresql/data", {}),  # nobody knows which version, and each place is some version's
    ("postgres:latest", "rows:/var/lib/postgresql", {}),
    ("postgres:interlock-placeholder", "rows:/var/lib/postgresql/data", {}),
    ("postgres@sha256:" + "b" * 64, "rows:/var/lib/postgresql", {}),
    ("ghcr.io/immich-app/postgres:18-vectorchord0.5", "rows:/var/lib/postgresql/data", {}),
    ("registry.example.org/ops/postgres:18", "rows:/var/lib/postgresql/data", {}),  # their own image
    ("postgres:17", "rows:/elsewhere/data", {"command": ["-c", "data_directory=/elsewhere/data"]}),
    ("postgres:17", "rows:/rows/data", {"environment": {"PGDATA": None}}),
    ("bitnami/postgresql:16", "rows:/bitnami/postgresql", {}),
    ("mysql:8", "rows:/var/lib/mysql", {}),
    ("mongo:8", "rows:/data/db", {}),
    ("mongo:8", "rows:/rows", {"command": "mongod --dbpath /rows"}),
    ("apache/kafka:4.1.0", "queue:/var/lib/kafka/data", {"environment": {"KAFKA_LOG_DIRS": "/var/lib/kafka/data"}}),
    ("confluentinc/cp-kafka:7.9.0", "queue:/var/lib/kafka/data", {}),
    ("minio/minio", "objects:/data", {"command": 'server --console-address ":9001" /data'}),
    ("minio/minio", "objects:/data", {"entrypoint": ["sh", "-c"], "command": ["mkdir -p /data/one && minio server /data; true"]}),
    ("minio/minio", "objects:/srv/data", {"command": "server", "environment": {"MINIO_VOLUMES": "/srv/data"}}),
    ("minio/minio", "objects:/data", {"command": "server http://minio{1...4}/data"}),
    ("minio/mc", "objects:/data", {"command": "mirror"}),
    ("chrislusf/seaweedfs", "objects:/data", {"command": "server -s3"}),
    ("chrislusf/seaweedfs", "objects:/data", {"entrypoint": ["weed"], "command": ["server", "-dir=/data", "-s3"]}),
    ("chrislusf/seaweedfs", "objects:/data", {"entrypoint": ["weed"], "command": ["filer"]}),
    ("getmeili/meilisearch:v1.15", "found:/meili_data", {}),
    ("getmeili/meilisearch:v1.15", "found:/found", {"environment": {"MEILI_DB_PATH": "/found/data.ms"}}),
    ("elasticsearch:8.18.0", "found:/usr/share/elasticsearch/data", {}),
    ("influxdb", "points:/var/lib/influxdb", {}),
    ("prom/prometheus", "points:/points", {"command": ["--storage.tsdb.path=/points"]}),
    ("nats:2.11", "streams:/data", {"command": ["-js", "-sd", "/data"]}),
    ("nats:2.11", "streams:/data", {"command": ["-c", "/etc/nats.conf", "-js"]}),
    ("quay.io/coreos/etcd:v3.6.1", "keys:/etcd-data", {"command": "etcd --data-dir=/etcd-data"}),
    ("gitea/gitea:1.24-rootless", "code:/var/lib/gitea", {}),
    ("example/own-database:1", "rows:/data", {}),
]


@pytest.mark.parametrize(("image", "mount", "said"), RIGHT, ids=[f"{number} {image[:40]}" for number, (image, _, _) in enumerate(RIGHT)])
def test_a_mount_at_the_data_directory_holds(image: str, mount: str, said: dict[str, Any]) -> None:
    assert isinstance(judged(service(image, mount, **said)), Held)


@pytest.mark.parametrize(
    "mounts",
    [
        (),  # meant to forget
        ("seed:/docker-entrypoint-initdb.d",),
        ("logs:/var/log/postgresql",),
        ("backups:/backups",),
        ("certs:/var/lib/postgresql/certs:ro",),
        ("run:/var/run/postgresql",),
        ("rows:/var/lib/postgresql/data", "wal:/var/lib/postgresql/wal"),
        ("/srv/pg_hba.acl:/var/lib/postgresql/data/pg_hba.acl",),
    ],
)
def test_mounts_for_another_purpose_are_none_for_data(mounts: tuple[str, ...]) -> None:
    assert isinstance(judged(service("postgres:16", *mounts)), Held)


def test_what_the_repository_ships_is_no_data() -> None:
    one = service("postgres:16", f"{HERE}/postgres:/var/lib/postgresql")
    assert isinstance(judged(one, {f"{HERE}/postgres": Shipped.FOLDER}), Held)
    assert isinstance(judged(one, {f"{HERE}/postgres": Shipped.EMPTY}), Broken)


def test_settings_may_name_the_place_of_data_that_no_version_has() -> None:
    assert isinstance(judged(service("mongo:8", "rows:/srv/db")), Broken)
    assert isinstance(judged(service("mongo:8", "rows:/srv/db", "/etc/mongod.conf:/etc/mongod.conf:ro")), Held)


def test_the_message_says_where_the_data_goes() -> None:
    one = service("postgres:18", f"{HERE}/rows:/var/lib/postgresql/data")
    judgement = judged(one)
    assert isinstance(judgement, Broken)
    assert judgement.message == (
        "compose.yaml:5: PostgreSQL of db (postgres:18) keeps its data in /var/lib/postgresql/18/docker, and the directory ./rows is mounted at"
        " /var/lib/postgresql/data: the data goes to an anonymous volume, and a new container begins without it"
    )
    layer = judged(service("minio/minio", "objects:/data", command="server /export"))
    assert "keeps its data in /export, as its command says" in layer.message
    assert "the data goes to the container's own layer" in layer.message


def test_an_image_that_is_built_here_is_not_judged() -> None:
    assert kept_data(service("postgres:18", "rows:/var/lib/postgresql/data", build={"context": "/srv"})) is None


@given(
    image_references().map("".join),
    st.lists(st.text(max_size=12), max_size=4),
    st.dictionaries(st.sampled_from(["PGDATA", "MEILI_DB_PATH"]), st.text(max_size=9)),
)
def test_no_reference_command_or_environment_makes_it_fail(image: str, command: list[str], environment: dict[str, str]) -> None:
    for name in (image, "postgres:17", "minio/minio", "chrislusf/seaweedfs", "nats", "quay.io/coreos/etcd", "apache/kafka"):
        one = service(name, "data:/data", command=command, environment=environment)
        judgement = judged(one)
        assert all(detail.outcome is Outcome.BROKEN for detail in judgement.details)
