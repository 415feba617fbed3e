"""Which parts of a stack hold state, and how would they be backed up? Services with a known engine, and whatever writes to a volume or a directory of the host.

A module is proposed, not known: its class comes from the image's name, its volumes from the compose files, and where its backups lie only a human can say.
A wrong proposal shuts the gate, for no backup will be found there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from interlock.discover.composed import ENGINE_ROOT, Composition, Described, Mounted
from interlock.discover.document import MISSING, From, Offer, may_be_written
from interlock.discover.variables import Known
from interlock.nouns import dataclass
from interlock.patterns import regex

_ENGINES = (
    ("A", regex(r"(?<![a-z])(?:postgres(?:ql)?|postgis|pgvector|timescaledb|cnpg|spilo)(?![a-z])")),
    ("B", regex(r"(?<![a-z])(?:redis|valkey|keydb|dragonfly)(?![a-z])")),
    ("C", regex(r"(?<![a-z])(?:vault|openbao)(?![a-z])")),
    ("D", regex(r"(?<![a-z])(?:minio|seaweedfs|garage)(?![a-z])")),
    (
        "F",
        regex(
            r"(?<![a-z])(?:mysql|mariadb|percona|mssql|mongo(?:db)?|clickhouse(?:-server)?|elasticsearch|opensearch|solr|meilisearch|typesense|kafka|redpanda"
            r"|rabbitmq|nats|etcd|zookeeper|cassandra|scylla|couchdb|influxdb|neo4j|qdrant|weaviate|milvus|openldap|victoria-metrics|prometheus|searxng)(?![a-z])"
        ),
    ),
)
_BESIDE_ENGINES = regex(r"exporter|backup|admin|bouncer|commander|insight|proxy|migrat|init\b|cleanup|-ui\b|console|dashboard|sentinel|stat")
_WORDS = {"A": "a dump of PostgreSQL", "B": "Redis", "C": "Vault", "D": "an object store", "F": "an engine of its own, archived", "E": "files, archived"}
_NOT_STATE = regex(
    r"^/(?:etc|proc|sys|dev|run|lib|usr|bin|sbin|tmp|boot)(?:/|$)|^/var/(?:run|log|lib/docker(?!/volumes))(?:/|$)|^/$|^/home/?$|\.sock$"
    r"|\.(?:conf|cfg|ini|ya?ml|json|toml|pem|crt|key|env|sh|py|txt|sql|cnf|xml|php|html?)$"
)
NEEDS_NOTE = "ABCD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stack runs: what compose calls it, its directory on the host, and the files that its tree brings there."""

    project: str
    directory: str
    in_tree: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Part:
    """One stateful part: the service that it is named after, the volumes (as the engine calls them) and the directories of the host that it keeps."""

    name: str
    letter: str
    at: str
    image: str
    container: str = ""
    volumes: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def parts(composition: Composition, place: Place) -> dict[str, Part]:
    """The stateful parts of a chain, in the order of its services; each volume and directory belongs to one: an engine, else the first that writes it."""
    found: dict[str, Part] = {}
    taken: set[str] = set()
    services = sorted(composition.services.values(), key=lambda service: engine_of(service) == "")
    for service in services:
        letter = engine_of(service)
        volumes, paths = _kept(service, composition, place, taken)
        if letter or volumes or paths:
            part = Part(name=_name(service.name), letter=letter or "E", at=service.at, image=service.image, container=service.container)
            part.volumes, part.paths = volumes, paths
            found[part.name] = part
    order = {_name(name): number for number, name in enumerate(composition.services)}
    return dict(sorted(found.items(), key=lambda named: order[named[0]]))


def add_volumes(found: dict[str, Part], others: Sequence[Mapping[str, Part]]) -> None:
    """What the services of other chains keep in volumes, where no part keeps it yet: a chain without an overlay uses volumes that the overlay replaces.
    It goes to the part of the same service, where there is one in any of the chains."""
    kept = {volume for part in found.values() for volume in part.volumes}
    named = [(name, part) for parts_ in others for name, part in parts_.items()]
    for name, part in sorted(named, key=lambda one: one[0] not in found):
        new = [volume for volume in part.volumes if volume not in kept]
        if new and name in found:
            found[name].volumes += new
        elif new:
            paths = [path for path in part.paths if any(f"/{volume}/_data" in path for volume in new)]
            found[name] = replace(part, volumes=new, paths=paths or part.paths)
        kept.update(new)


def engine_of(service: Described) -> str:
    """The letter of the class that a service's image stands for; empty for no engine that is known."""
    image = posixpath.basename(service.image.partition("@")[0]).partition(":")[0].lower()
    name = image or (service.name.lower() if not service.built else "")
    if "$" in name:
        name = service.name.lower()
    if _BESIDE_ENGINES.search(name) or _BESIDE_ENGINES.search(service.name.lower()):
        return ""
    return next((letter for letter, pattern in _ENGINES if pattern.search(name)), "")


def _name(service: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", service).lstrip("._-")[:63] or "service"


def _kept(service: Described, composition: Composition, place: Place, taken: set[str]) -> tuple[list[str], list[str]]:
    """What a service writes and no part before it keeps: volumes, and directories (those of the volumes included)."""
    volumes: list[str] = []
    paths: list[str] = []
    for mount in service.mounts.values():
        if mount.read_only or not mount.source:
            continue
        if mount.named:
            volume = composition.volume(mount.source, place.project)
            path = volume.bound_to or f"{ENGINE_ROOT}/{volume.name}/_data"
            if "$" not in path and path.startswith("/") and path not in taken and may_be_written(path):
                taken.add(path)
                volumes.append(volume.name)
                paths.append(path)
        elif (path := host_path(mount, place)) and not _is_taken(path, taken):
            taken.add(path)
            paths.append(path)
    return volumes, [path for path in paths if not any(other != path and path.startswith(other.rstrip("/") + "/") for other in paths)]


def _is_taken(path: str, taken: set[str]) -> bool:
    return any(path == other or path.startswith(other.rstrip("/") + "/") for other in taken)


def host_path(mount: Mounted, place: Place) -> str:
    """The directory of the host that a bind keeps state in; empty for configuration of the tree, sockets, system directories and single files."""
    source = mount.source
    if "$" in source or source.startswith("~") or _NOT_STATE.search(source) or not may_be_written(source):
        return ""
    if source.startswith("/"):
        return posixpath.normpath(source)
    relative = posixpath.normpath(source)
    if relative.startswith("..") or relative == "." or _is_in_tree(relative, place.in_tree):
        return ""
    return posixpath.join(place.directory, relative)


def _is_in_tree(path: str, in_tree: frozenset[str]) -> bool:
    """Whether the tree brings files there: then it is configuration. A placeholder that keeps a folder in git is none."""
    return path in in_tree or any(
        name.startswith(path + "/") and posixpath.basename(name) not in (".gitkeep", ".gitignore", ".keep", "README", "README.md") for name in in_tree
    )


def described(part: Part, bases: Sequence[Known], note: str | None, database: str | None) -> Any:
    """A part as a module of the site file. `bases` are directories for backups: the first that is not inside of what it backs up is taken."""
    image = part.image.partition("@")[0]
    what = f"{part.at}, {image or 'built here'}"
    module: dict[str, Any] = {}
    if part.letter != "E":
        module["class"] = From(part.letter, f"{_WORDS[part.letter]}: by the name {image.rpartition('/')[2] or part.name}")
    if part.container and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", part.container):
        module["container"] = part.container
    if database:
        module["database"] = database
    if part.volumes:
        module["volumes"] = part.volumes
    if part.paths:
        module["paths"] = part.paths
    base = next((one for one in bases if not any(f"{one.value}/".startswith(f"{path.rstrip('/')}/") for path in part.paths)), bases[-1])
    module["backups"] = From(posixpath.join(base.value, part.name), base.at)
    module["owner"] = From("root", "proposed")
    if part.letter in NEEDS_NOTE:
        if note:
            module["restore_note"] = note
            module["decision"] = Offer(MISSING, "who decided that it may be backed up so?")
        else:
            module["restore_note"] = Offer(MISSING, "how is it restored, and who decided that it may be backed up so?")
            module["decision"] = Offer(MISSING, "")
    if part.letter != "A" and not part.paths:
        return Offer(module | {"paths": MISSING}, f"{what}: no volume keeps its state; name the directory that does, or exclude it")
    return From(module, what)


def note_for(part: Part, notes: list[str]) -> str | None:
    """The page of the tree that says how a part is restored: one that names it, else the only one that there is."""
    words = {part.name.lower(), *(word for _, pattern in _ENGINES for word in pattern.findall(part.image.lower()))}
    named = [note for note in notes if any(word in note.lower() for word in words)]
    return (named or notes)[0] if named or len(notes) == 1 else None


# ---- databases


def databases(composition: Composition) -> Iterator[tuple[str, Any]]:
    """Each PostgreSQL service, as a database whose DSN the environment gives."""
    for service in composition.services.values():
        if engine_of(service) == "A":
            variable = re.sub(r"[^A-Z0-9]+", "_", service.name.upper()).strip("_") + "_DSN"
            yield _name(service.name), {"dsn_env": From(variable if not variable[:1].isdigit() else f"DB_{variable}", _dsn_like(service, composition.values))}


def _dsn_like(service: Described, values: Mapping[str, str]) -> str:
    """What the DSN looks like, without its password."""

    def said(*names: str) -> str:
        value = next((value for name in names if (value := (service.environment.get(name) or ("", ""))[0])), "")
        return value if value and "$" not in value else values.get(value.strip("${}").partition(":")[0], "") if value else ""

    user = said("POSTGRES_USER", "DB_USER") or "postgres"
    name = said("POSTGRES_DB", "DB_NAME") or user
    port = next((port.port for port in service.ports.values() if port.port.isdigit()), "")
    place = f"127.0.0.1:{port}" if port else "HOST:PORT"
    return f"{service.at}; export it like postgresql://{user}@{place}/{name}"
