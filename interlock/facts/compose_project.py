"""What does a chain come to, as far as a step of docker compose must know? Its services, their images, and the volumes that they mount. Pure.

`interlock.observe.compose_state` has docker compose resolve it; `interlock.facts.stack` has what the guardrails judge of the same model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Self

from interlock.facts.canonical import digest
from interlock.facts.engine import Container
from interlock.facts.stack import Stack, Volume
from interlock.nouns import dataclass

COMPLETED = "service_completed_successfully"
NOT_PULLED = frozenset({"never", "build"})  # values of `pull_policy`
HASH_LABEL = "com.docker.compose.config-hash"
ONE_OFF_LABEL = "com.docker.compose.oneoff"  # of `docker compose run`
LOCAL_DRIVER = "local"
SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainService:
    """One service. `reference` names its image; a service that is built and gives it no name has compose's own. `ends`: others wait until it has ended
    well, so that it need not run. `needs` are the services that it depends on."""

    name: str
    reference: str
    built: bool
    pulled: bool
    replicas: int
    ends: bool
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainModel:
    """A chain as docker compose resolved it. `raw` is its JSON, which may hold secrets; `digest` is over that."""

    project: str
    services: Mapping[str, ChainService]
    stack: Stack = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def of(cls, model: Mapping[str, Any], *, chain: str, files: Sequence[str]) -> Self:
        """From `docker compose config --format json`. Raises ValueError for what that never prints."""
        stack = Stack.of(model, chain=chain, files=tuple(files))
        said: Mapping[str, Mapping[str, Any]] = model.get("services") or {}
        ending = {name for service in said.values() for name, how in (service.get("depends_on") or {}).items() if how.get("condition") == COMPLETED}
        return cls(
            project=stack.project,
            services={name: _service(name, service, stack.project, ends=name in ending) for name, service in sorted(said.items())},
            stack=stack,
            raw=json.dumps(model, sort_keys=True, ensure_ascii=True).encode(),
        )

    @property
    def digest(self) -> str:
        """Of the whole model."""
        return digest(self.raw)

    def with_needs(self, names: Iterable[str]) -> tuple[str, ...]:
        """These services and all that they depend on, sorted."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.services:
                found.add(name)
                waiting += self.services[name].needs
        return tuple(sorted(found))

    def volumes_of(self, names: Iterable[str]) -> tuple[Volume, ...]:
        """The named volumes that these services mount and that compose would make, in the order of their names with the engine."""
        chosen = [self.stack.services[name] for name in names if name in self.stack.services]
        keys = {mount.source for service in chosen for mount in service.mounts if mount.kind == "volume" and mount.source in self.stack.volumes}
        volumes = (self.stack.volumes[key] for key in keys)
        return tuple(sorted((volume for volume in volumes if not volume.external), key=lambda volume: volume.name))


def _service(name: str, said: Mapping[str, Any], project: str, *, ends: bool) -> ChainService:
    built = "build" in said
    image = str(said.get("image") or "")
    replicas = (said.get("deploy") or {}).get("replicas", said.get("scale", 1))
    return ChainService(
        name=name,
        reference=image or f"{project}-{name}",
        built=built,
        pulled=bool(image) and not built and said.get("pull_policy") not in NOT_PULLED,
        replicas=int(1 if replicas is None else replicas),
        ends=ends,
        needs=tuple(sorted(said.get("depends_on") or {})),
    )


def other_options(volume: Volume, driver: str, options: Mapping[str, str]) -> str:
    """In what a volume that is there is another than the chain says, by the names of its options alone; empty when it is the same."""
    changed = [name for name in sorted(volume.driver_opts.keys() | options.keys()) if volume.driver_opts.get(name) != options.get(name)]
    if (volume.driver or LOCAL_DRIVER) != driver:
        changed.insert(0, "driver")
    return ", ".join(changed)


def pinned(reference: str) -> str:
    """The digest that a reference names itself (`app@sha256:...`); empty for a tag, which may move."""
    return reference.partition("@")[2]


def repository(reference: str) -> tuple[str, str]:
    """A reference without its digest, as name and tag: `127.0.0.1:5000/app:2` is `127.0.0.1:5000/app` and `2`; the tag is `latest` where none is said."""
    name = reference.partition("@")[0]
    before, colon, tag = name.rpartition(":")
    return (before, tag) if colon and "/" not in tag else (name, "latest")


def registry_of(reference: str) -> str:
    """The registry that an image comes from; empty for docker's own."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectState:
    """What an engine has of a compose project: its containers, without those of `docker compose run`, and the names of its volumes and networks.

    `volumes` says of each volume, labelled with the project or mounted by its containers, what it was made with, secrets masked.
    """

    containers: tuple[Container, ...]
    volumes: Mapping[str, str]
    networks: tuple[str, ...]

    def of(self, service: str) -> tuple[Container, ...]:
        """The containers of one service."""
        return tuple(container for container in self.containers if container.service == service)

    def in_words(self) -> str:
        """One line, in which two looks can be compared."""
        return "; ".join([*self._containers(), *(f"volume {name} {made}" for name, made in sorted(self.volumes.items()))]) or "nothing"

    def _containers(self) -> Iterator[str]:
        for one in sorted(self.containers, key=lambda one: (one.service, one.id)):
            yield f"{one.service} {one.id[:SHOWN_DIGITS]} of image {short_id(one.image_id)}, {'runs' if one.running else 'does not run'}"


def short_id(image: str) -> str:
    """The first digits of an image id, as docker shows it."""
    return image.removeprefix("sha256:")[:SHOWN_DIGITS]
