"""Which choice does a file of a host keep, and which chains do its containers and instances say that they are of?

Of the file one key is told; the values of the others are in no noun and no message.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from interlock.config.models import FollowedChoice, Site
from interlock.config.yamltext import COMPOSE, Fault, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.container_mounts import CONFIG_FILES, chains_started
from interlock.facts.dotenv import EnvFile
from interlock.facts.looks import HostFacts, Look, ReadFile, Stat
from interlock.facts.persisted import Followed, PersistedChoice
from interlock.observe.containers import engine_looks, engine_seen
from interlock.observe.state_dir import WORKING_DIRECTORY
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

COMPOSE_FILE = "COMPOSE_FILE"


def _follows(site: Site) -> FollowedChoice:
    assert site.compose is not None  # subjects are made from it
    assert site.compose.follows is not None
    return site.compose.follows


def _env_files(site: Site, host: str) -> Mapping[str, str]:
    """The env file that docker compose reads by itself, of each instance on a host."""
    return {name: f"{instance.directory}/.env" for name, instance in site.instances.items() if instance.host == host}


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    yield from engine_looks(site, subject.host)
    for path in (_follows(site).file, *_env_files(site, subject.host).values()):
        yield from (Stat(path), ReadFile(path))


def persisted_choice(world: World, subject: Subject) -> PersistedChoice:
    """The kept value, and what follows it. Raises `CouldNotLook`."""
    follows, facts = _follows(world.site), world.host(subject.host)
    return PersistedChoice(
        file=follows.file,
        key=follows.key,
        value=kept_value(facts, follows.file, follows.key) if facts.stat(follows.file).present else None,
        needed=follows.chains,
        default=follows.default,
        followers=(*_containers(world, subject.host), *_instances(world, facts)),
    )


# ---- the value


def kept_value(facts: HostFacts, path: str, key: str) -> str | None:
    """The text of one key; None where it is not there or null. Raises `CouldNotLook` for a file that cannot be read as what it is."""
    data = _data(facts.read(path), path, facts.host)
    for step in (key,) if isinstance(data, Mapping) and key in data else key.split("."):
        data = data.get(step) if isinstance(data, Mapping) else None
    if data is None:
        return None
    if isinstance(data, (Mapping, list)):
        raise CouldNotLook(f"{key} in {path} is no single value", where=facts.host, remedy="correct the key below `compose.follows`")
    return str(data).lower() if isinstance(data, bool) else str(data)


def _data(content: bytes, path: str, host: str) -> Any:
    """The file as plain data, by its name: JSON, YAML, else an env file."""
    name = posixpath.basename(path)
    if name.endswith(".json"):
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise _unreadable(path, host, "JSON") from None
    if name.endswith((".yaml", ".yml")):
        read = read_yaml(content, COMPOSE)
        if any(problem.kind is not Fault.EMPTY for problem in read.problems):
            raise _unreadable(path, host, "YAML")
        return read.documents[0].data if read.documents else {}
    env = EnvFile.parse(content)
    if any(problem.refused for problem in env.problems):
        raise _unreadable(path, host, "an env file")
    return {entry.key: entry.text for entry in env.entries}


def _unreadable(path: str, host: str, what: str) -> CouldNotLook:
    return CouldNotLook(
        f"{path} cannot be read as {what}", where=host, remedy="correct the file, or name the one that keeps the choice below `compose.follows`"
    )


# ---- who follows it


def _containers(world: World, host: str) -> Iterator[Followed]:
    """Each set of compose files that running containers of the stack were started from."""
    engine = engine_seen(world, host)
    chains = {name: chain.files for name, chain in world.site.chains.items()}
    directories = {instance.directory for instance in world.site.instances.values() if instance.host == host}
    found: dict[str, tuple[tuple[str, ...], list[str]]] = {}
    for container in engine.containers if engine else ():
        label = container.labels.get(CONFIG_FILES, "")
        names = chains_started(label, chains)
        ours = posixpath.normpath(container.labels.get(WORKING_DIRECTORY, "")) in directories
        if container.running and label and (ours or (names and not directories)):
            found.setdefault(label, (names, []))[1].append(container.service or container.name)
    for label, (names, services) in sorted(found.items()):
        files = tuple(posixpath.basename(path) for path in label.split(","))
        yield Followed(who=", ".join(sorted(services)), by="started from its files", files=files, chains=names)


def _instances(world: World, facts: HostFacts) -> Iterator[Followed]:
    """What each instance says that it starts: in the site file, and in the COMPOSE_FILE of its env file."""
    site = world.site
    chains = {name: chain.files for name, chain in site.chains.items()}
    for name, path in _env_files(site, facts.host).items():
        declared = site.instances[name].chain
        if declared:
            yield Followed(who=f"instance {name}", by="its `chain`", files=(), chains=(declared,))
        if not facts.stat(path).present:
            continue
        said = next((entry.text for entry in reversed(EnvFile.parse(facts.read(path)).entries) if entry.key == COMPOSE_FILE and entry.text), "")
        files = tuple(file for file in re.split("[:;]", said) if file)
        if files:
            yield Followed(who=f"instance {name}", by=f"{COMPOSE_FILE} in {path}", files=files, chains=chains_started(",".join(files), chains))


OBSERVERS: Mapping[str, Observer] = {"compose.chain_matches_persisted_state": Observer(looks=_looks, see=persisted_choice)}
