"""Which configuration file does a well-known server read by itself, and which only when its command names it?

Source: the Dockerfiles and entry points of the images, and the servers' manuals on where they look for settings.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from types import MappingProxyType

from interlock.facts.known_images import repository
from interlock.facts.placed import FileOfChains
from interlock.facts.stack import Service
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A server that reads `files` (by their base name) only at the places that `reads` matches, unless its command names another. `reads_in_words` says which
    places those are."""

    server: str
    files: re.Pattern[str]
    reads: re.Pattern[str]
    reads_in_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedSettings:
    """A compose file with the texts of the tree's files that its chains mount, by the path on this host."""

    file: FileOfChains
    texts: Mapping[str, str]


def _reader(server: str, files: str, reads: str, words: str) -> Reader:
    return Reader(server=server, files=re.compile(files), reads=re.compile(reads), reads_in_words=words)


_NOWHERE = r"(?!)"
_REDIS = _reader("Redis", r"^[\w.-]*\.conf$", _NOWHERE, "no file that its command does not name")
_POSTGRES = _reader(
    "PostgreSQL", r"^(?:[\w.-]*postgres[\w.-]*|pg_hba)\.conf$", r"/(?:data|docker|pgdata|conf\.d)/[^/]+$", "postgresql.conf in its data directory"
)
_MONGO = _reader("MongoDB", r"^mongod?[\w.-]*\.(?:conf|ya?ml|cfg)$", _NOWHERE, "no file that its command does not name")
_MYSQL = _reader(
    "MySQL",
    r"\.(?:cnf|ini|conf)$",
    r"^/etc/(?:mysql/my\.cnf|my\.cnf|mysql/[\w.-]+\.cnf|(?:mysql/|my\.cnf\.|percona[\w.-]*\.)(?:[\w.-]*conf\.d|d|mysql\.conf\.d)/[^/]+\.cnf"
    r"|mysql/[\w.-]*conf\.d/[^/]+\.cnf)$|/\.my\.cnf$|^/opt/bitnami/",
    "/etc/mysql/conf.d/*.cnf and my.cnf",
)
_NGINX = _reader(
    "nginx",
    r"\.(?:conf|template)$",
    r"^/etc/nginx/(?:nginx\.conf|conf\.d/[^/]+\.conf|templates/.+\.template|[\w./-]*(?:snippets?|includes?|params?)[\w./-]*)$|^/(?!etc/nginx/)",
    "/etc/nginx/conf.d/*.conf and /etc/nginx/templates/*.template",
)
_CADDY = _reader("Caddy", r"^Caddyfile$", r"^/etc/caddy/Caddyfile$", "/etc/caddy/Caddyfile")
_HAPROXY = _reader("HAProxy", r"^haproxy\.cfg$", r"^/usr/local/etc/haproxy/haproxy\.cfg$", "/usr/local/etc/haproxy/haproxy.cfg")
_MOSQUITTO = _reader("Mosquitto", r"^mosquitto\.conf$", r"^/mosquitto/config/mosquitto\.conf$", "/mosquitto/config/mosquitto.conf")
_PROMETHEUS = _reader("Prometheus", r"^prometheus\.ya?ml$", r"^/etc/prometheus/prometheus\.yml$", "/etc/prometheus/prometheus.yml")
_ALERTMANAGER = _reader("Alertmanager", r"^(?:alertmanager|config)\.ya?ml$", r"^/etc/alertmanager/alertmanager\.yml$", "/etc/alertmanager/alertmanager.yml")
_LOKI = _reader("Loki", r"^[\w.-]*(?:loki|config)[\w.-]*\.ya?ml$", r"^/etc/loki/local-config\.yaml$", "/etc/loki/local-config.yaml")
_PROMTAIL = _reader("Promtail", r"^[\w.-]*(?:promtail|config)[\w.-]*\.ya?ml$", r"^/etc/promtail/config\.yml$", "/etc/promtail/config.yml")
_GRAFANA = _reader("Grafana", r"^grafana\.ini$", r"^/etc/grafana/grafana\.ini$", "/etc/grafana/grafana.ini")
_NATS = _reader("NATS", r"^nats[\w.-]*\.conf$", r"^/nats-server\.conf$", "/nats-server.conf")
_RABBITMQ = _reader(
    "RabbitMQ",
    r"^(?:rabbitmq|advanced|rabbitmq-env)\.(?:conf|config)$|^enabled_plugins$",
    r"^/etc/rabbitmq/(?:conf\.d/[^/]+\.conf|rabbitmq\.(?:conf|config)|advanced\.config|rabbitmq-env\.conf|enabled_plugins)$",
    "/etc/rabbitmq/rabbitmq.conf and /etc/rabbitmq/conf.d/*.conf",
)

_READERS: Mapping[str, Reader] = MappingProxyType(
    {
        **dict.fromkeys(("redis", "valkey/valkey", "eqalpha/keydb"), _REDIS),
        **dict.fromkeys(("postgres", "postgis/postgis", "pgvector/pgvector", "timescale/timescaledb"), _POSTGRES),
        **dict.fromkeys(("mongo", "percona/percona-server-mongodb"), _MONGO),
        **dict.fromkeys(("mysql", "mariadb", "percona", "mysql/mysql-server", "percona/percona-server"), _MYSQL),
        **dict.fromkeys(("nginx", "nginxinc/nginx-unprivileged"), _NGINX),
        "caddy": _CADDY,
        "haproxy": _HAPROXY,
        "eclipse-mosquitto": _MOSQUITTO,
        "prom/prometheus": _PROMETHEUS,
        "prom/alertmanager": _ALERTMANAGER,
        "grafana/loki": _LOKI,
        "grafana/promtail": _PROMTAIL,
        **dict.fromkeys(("grafana/grafana", "grafana/grafana-oss", "grafana/grafana-enterprise"), _GRAFANA),
        "nats": _NATS,
        "rabbitmq": _RABBITMQ,
    }
)


def reader_of(service: Service) -> Reader | None:
    """What is known of the server of a service; None for an image that is not in the table, was built here, or is started by a program of somebody's own."""
    return None if service.built or service.entrypoint else _READERS.get(re.sub(r"^(?:docker/)?library/", "", repository(service.image)))


def is_unread(service: Service, reader: Reader, target: str) -> bool:
    """Whether a server looks at a file that is mounted at `target` only when it is told to, and nobody tells it."""
    if not reader.files.search(posixpath.basename(target)) or reader.reads.search(target):
        return False
    folder = posixpath.dirname(target)
    names = (target, folder) if folder.count("/") > 1 else (target,)
    texts = (*service.command, *(value or "" for value in service.environment.values()))
    return not any(name in text for name in names for text in texts)
