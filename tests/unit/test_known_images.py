"""Well-known servers by the names of their images."""

from __future__ import annotations

import pytest

from interlock.facts.known_images import CLICKHOUSE, MYSQL, POSTGRES, SERVERS, KnownServer, Speaks, by_port, recognise, repository


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("postgres", "postgres"),
        ("postgres:17.2-alpine", "postgres"),
        ("docker.io/library/postgres:17@sha256:0a", "postgres"),
        ("registry.example.org:5000/ops/Postgres:1", "ops/postgres"),
        ("localhost/db", "db"),
        ("quay.io/coreos/etcd:v3", "coreos/etcd"),
        ("", ""),
        ("docker.elastic.co/elasticsearch/elasticsearch:8", "elasticsearch/elasticsearch"),
    ],
)
def test_the_name_of_an_image_is_without_registry_tag_and_digest(image: str, name: str) -> None:
    assert repository(image) == name


@pytest.mark.parametrize(
    ("image", "server", "official"),
    [
        ("postgres:9.6", POSTGRES, True),
        ("bitnami/postgresql:16", POSTGRES, False),
        ("ghcr.io/ops/postgis:17", POSTGRES, False),
        ("mariadb:11", MYSQL, True),
        ("yandex/clickhouse-server:20.3.9.70", CLICKHOUSE, True),
    ],
)
def test_a_server_is_recognised_by_its_image(image: str, server: KnownServer, official: bool) -> None:
    found = recognise(image)
    assert found is not None
    assert (found.server, found.official) == (server, official)


@pytest.mark.parametrize(
    "image", ["postgres-exporter", "registry.example.org/postgres-backup", "ops/server", "redis-commander", "ops/docker", "nginx", "$IMAGE", ""]
)
def test_an_image_that_only_sounds_like_one_is_not_recognised(image: str) -> None:
    assert recognise(image) is None


def test_a_private_port_is_a_port_of_its_server_and_a_distinctive_one_belongs_to_one_kind_of_server() -> None:
    for server in SERVERS:
        assert server.private <= set(server.ports)
        assert server.distinctive <= set(server.ports)
        assert all(isinstance(spoken, Speaks) for spoken in server.ports.values())
    assert [server.name for server in by_port(5432)] == ["PostgreSQL"]
    assert list(by_port(8080)) == []
