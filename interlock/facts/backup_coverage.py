"""Is every engine that keeps state in some backup of the tree? The nouns: what backs things up regularly, and which engines there are to be backed up.

`interlock.observe.backup_coverage` finds both, `interlock.judge.backup.coverage` compares them. A backup is read generously: whatever names an engine's own
program of dumps, its volume or a directory above its data takes it along.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import field

from interlock.facts.backup_writers import listed, says_backup, words_of
from interlock.facts.known_images import (
    CASSANDRA,
    CLICKHOUSE,
    COCKROACH,
    COUCHDB,
    INFLUXDB,
    MINIO,
    MONGO,
    MSSQL,
    MYSQL,
    NEO4J,
    POSTGRES,
    REDIS,
    KnownServer,
    recognise,
)
from interlock.facts.stack import Service
from interlock.nouns import dataclass
from interlock.patterns import regex

_DUMPERS: Mapping[str, str] = {
    POSTGRES.name: "pg_dump pg_dumpall pg_basebackup pgbackrest wal-g wal-e barman pg_back pg_probackup pgcopydb",
    MYSQL.name: "mysqldump mariadb-dump mysqlpump mydumper mariabackup mariadb-backup xtrabackup innobackupex mysqlsh automysqlbackup",
    MONGO.name: "mongodump mongoexport pbm",
    INFLUXDB.name: "influx influxd",
    NEO4J.name: "neo4j-admin",
    COUCHDB.name: "couchbackup",
    CASSANDRA.name: "nodetool",
    CLICKHOUSE.name: "clickhouse-backup clickhouse-client",
    MINIO.name: "mc rclone s5cmd s3cmd aws",
    COCKROACH.name: "cockroach",
    MSSQL.name: "sqlcmd sqlpackage",
    REDIS.name: "bgsave redis-cli valkey-cli dump.rdb appendonly.aof",
}
"""The engines that keep what nothing else can bring back, each with the programs that take it along. Not caches, queues or search indexes: what is in them is
made again from somewhere else, and what is lost of it is work, not state."""

_IMAGE_WORDS: Mapping[str, str] = {POSTGRES.name: "postgres postgresql pg pgsql postgis", MYSQL.name: "mysql mariadb", MONGO.name: "mongo mongodb"}
"""What a sidecar's image is called after: `postgres-backup-local`, `db-backup` with DB_TYPE=pgsql."""

_COMMON = frozenset({"mc", "aws", "influx", "redis-cli", "cockroach"})  # which do much else
_OWN = "|".join(re.escape(tool) for tools in _DUMPERS.values() for tool in tools.split() if tool not in _COMMON)
_OTHERS = "tar|rsync|zip|restic|borg|borgmatic|rclone|kopia|duplicity|duply|volumes-from|gsutil|zfs|btrfs|lvcreate|docker cp|aws s3|mc mirror|cp"
COPIES = regex(rf"\b(?:{_OWN}|{_OTHERS})\b")
"""What a backup is made with."""
_ARCHIVES = r"(?:tar|rsync|zip|restic|borg|borgmatic|rclone|kopia|duplicity|cp\s+-\w*[aRr]\w*)"
_WHOLE = regex(rf"\b{_ARCHIVES}\b[^\n|;]*?[\s=](?:\"?\$(?:\{{\w+\}}|\w+)/?\"?|\.)(?=[\s\")]|$)", re.MULTILINE)
_ALL_VOLUMES = regex(r"/var/lib/docker\b|docker volume (?:ls|inspect)|volumes?[-_]from|com\.docker\.compose|/var/lib/containers")
_BACKS_UP = regex(r"back-?_?up|bkp|(?:^|/)(?:crontab|Makefile|makefile)$|(?:^|/)cron[./d]")
_BACK_FIRST = listed("restore verify prune clean cleanup list rotate check test delete import load remove")
_COPIES_OF_ONE = listed("replica slave secondary standby readonly exporter test tests ci dev")
_SHORT = 5  # characters: a volume called `data` or `files` is named by accident
_APPEND_ONLY = regex(r"appendonly\s+['\"]?yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Something that makes backups regularly: a script, a line of a crontab, a make target, a service beside the others. `text` is all that says what it
    takes along, without comments. `service` is its name where it is one."""

    path: str
    line: int
    text: str = field(repr=False)
    service: str = ""

    @property
    def of_the_stack(self) -> bool:
        """Whether it is surely a backup of the stack, so that what it leaves out is in none: a sidecar, a script that says backup by its name, whatever runs an
        engine's own dumps. A program that dumps or takes snapshots may be about anything."""
        if self.service or any(_says(self.text, tool) for tools in _DUMPERS.values() for tool in tools.split() if tool not in _COMMON):
            return True
        return not self.path.endswith(".py") and _BACKS_UP.search(self.path) is not None

    @property
    def name(self) -> str:
        """As a report shows it."""
        return f"the service {self.service} of {self.path}" if self.service else self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A service that keeps state, as a chain starts it. `volumes` are the keys and names of its volumes, `paths` the directories of the host that it has its
    data in, relative to the tree where they lie below `folder`, the chain's own. `module` is the site's own word for it, `procedure` the script that the site
    says backs it up; `left_out` the reason why the site does not."""

    chain: str
    folder: str
    service: str
    server: str
    image: str
    file: str
    line: int
    container: str = ""
    volumes: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    module: str = ""
    procedure: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupCoverage:
    """All that makes backups in a tree, beside all engines of its chains. `unresolved` are the chains that docker compose refuses."""

    keepers: tuple[Keeper, ...]
    engines: tuple[Engine, ...]
    unresolved: tuple[str, ...] = ()


def keeps_state(service: Service) -> KnownServer | None:
    """The engine of a service whose loss would lose state; None for those that hold nothing of their own, or a copy of another one."""
    found = recognise(service.image)
    if found is None or found.server.name not in _DUMPERS or set(words_of(service.name)) & _COPIES_OF_ONE:
        return None
    if found.server.name == REDIS.name and not _APPEND_ONLY.search(" ".join((*service.entrypoint, *service.command))):
        return None
    return found.server


def is_regular(name: str) -> bool:
    """Whether a file, target or service is by its name what makes backups again and again: not what restores them, nor a copy made before a change."""
    stem = posixpath.basename(name)
    words = words_of(stem)
    if not says_backup(name) or (words and words[0] in _BACK_FIRST):
        return False
    return not {"migrate", "migration", "migrator", "upgrade", "update", "cutover", "restore"} & set(words[:1]) and not stem.startswith(("pre-", "pre_"))


def takes_along(keeper: Keeper, engine: Engine) -> bool:
    """Whether a backup holds what an engine keeps, as far as its text says."""
    text = keeper.text
    if keeper.service and _beside(text, engine):
        return True
    if any(_says(text, tool) for tool in _DUMPERS[engine.server].split()):
        return True
    if any(_says_volume(text, volume) for volume in engine.volumes):
        return True
    whole = _WHOLE.search(text) is not None
    if whole and (_ALL_VOLUMES.search(text) or any(not path.startswith("/") for path in engine.paths)):
        return True
    if any(_says_path(text, above) for path in engine.paths for above in _above(path)):
        return True
    names = [name for name in (engine.service, engine.container) if len(name) > 4]
    return any(_says(line, name) for line in text.splitlines() if COPIES.search(line) or re.match(r"\s*for\b", line) for name in names)


def _beside(text: str, engine: Engine) -> bool:
    """A sidecar is told by its image or its environment what it is about."""
    words = set(words_of(text))
    return _says(text, engine.service) or bool(words & set(_IMAGE_WORDS.get(engine.server, "").split()))


def _says(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _says_volume(text: str, volume: str) -> bool:
    """A volume by its key or name; a short one, which is a word of its own, only where it stands as a volume does."""
    name = re.escape(volume)
    stands = rf"(?:^|[\s\"'=]){name}(?::/|$)|\w_{name}(?![\w.-])"
    return re.search(stands if len(volume) <= _SHORT else rf"(?<![A-Za-z0-9.-]){name}(?![\w.-])", text, re.MULTILINE) is not None


def _says_path(text: str, path: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(path)}/?(?![\w./*-])|(?<![\w.-]){re.escape(path)}/\*", text) is not None


def _above(path: str) -> list[str]:
    """A directory and those that it lies in, but for the root."""
    found = []
    while path not in ("", "/", "."):
        found.append(path)
        path = posixpath.dirname(path)
    return found
