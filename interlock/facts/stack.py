"""What does a chain of compose files come to? Services, mounts, ports and volumes of the model that docker compose itself resolved.

`interlock.observe.stack` has docker compose resolve a chain; here its JSON becomes nouns. Values of the environment may be secrets: they are kept out of
every repr.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMount:
    """One mount of a service. `kind`: `bind`, `volume`, `tmpfs`, `npipe`, `cluster` or `image`. `source`: a directory of the host, a volume's key, or empty
    (an anonymous volume). `propagation` as compose says it (`rprivate`, `rslave`, ...), else empty; `recursive` as compose's `bind.recursive`; `subpath`
    is the directory of a volume that it shows, all of it when empty."""

    kind: str
    source: str
    target: str
    read_only: bool = False
    propagation: str = ""
    recursive: str = ""
    subpath: str = ""

    @property
    def top(self) -> str:
        """The directory that is bound, of which a subpath shows a part: a disk mounted between the two is left out too by a bind that does not recurse."""
        return self.source.removesuffix("/" + posixpath.normpath(self.subpath).strip("/")) if self.subpath else self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port that a service publishes. `address` is empty when it is published on all of them; `published` is empty when the engine chooses, else a port or
    a range `8000-8010`."""

    address: str
    published: str
    target: int
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. `environment` maps names to values, None where the value comes from the shell. `healthcheck` is compose's, with `test` a list; empty when
    none is, `{"disable": True}` when it is switched off. `context` and `dockerfile` are of its build, as resolved; `dockerfile` is empty when it stands in
    the compose file itself. `stop_grace` is its `stop_grace_period`, empty for the engine's ten seconds; `restart` its policy."""

    name: str
    image: str
    environment: Mapping[str, str | None] = field(repr=False)
    mounts: tuple[ServiceMount, ...]
    ports: tuple[PublishedPort, ...]
    command: tuple[str, ...] = field(default=(), repr=False)
    entrypoint: tuple[str, ...] = field(default=(), repr=False)
    container_name: str = ""
    network_mode: str = ""
    user: str = ""
    expose: tuple[str, ...] = ()
    built: bool = False
    context: str = ""
    dockerfile: str = ""
    stop_grace: str = ""
    restart: str = ""
    healthcheck: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    waits_for: tuple[str, ...] = ()  # the services whose health it waits for before it is started

    def mount_over(self, path: str) -> ServiceMount | None:
        """The mount that a path inside the container shows: the longest target that it is at or below; None when it is in the image."""
        over = [mount for mount in self.mounts if path == mount.target or path.startswith(mount.target.rstrip("/") + "/")]
        return max(over, key=lambda mount: len(mount.target), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A named volume: `key` in the compose file, `name` with the engine. `driver_opts` as given (`type`, `o`, `device` of a bind)."""

    key: str
    name: str
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    external: bool = False

    @property
    def bound_to(self) -> str:
        """The directory of the host that it binds by its options; empty for an ordinary volume."""
        options = (self.driver_opts.get("o") or "").split(",")
        binds = self.driver_opts.get("type") in ("none", "bind", None, "") and ("bind" in options or "rbind" in options)
        return self.driver_opts.get("device", "") if binds else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A chain of compose files, resolved and merged by docker compose, with every profile. `chain` is its name in the site, `files` as they were given.

    `assumed` are the variables that have no value here: what they stand in holds placeholders (`interlock.facts.placeholders`). `absent_env_files` are those
    that the chain names and that are not in this tree.
    """

    chain: str
    files: tuple[str, ...]
    project: str
    services: Mapping[str, Service]
    volumes: Mapping[str, Volume]
    assumed: tuple[str, ...] = ()
    absent_env_files: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, model: Mapping[str, Any], *, chain: str, files: tuple[str, ...], assumed: tuple[str, ...] = (), absent_env_files: tuple[str, ...] = ()
    ) -> Stack:
        """From `docker compose config --format json`. Raises ValueError for what that never prints."""
        try:
            services = {name: _service(name, said) for name, said in sorted((model.get("services") or {}).items())}
            volumes = {key: _volume(key, said or {}) for key, said in sorted((model.get("volumes") or {}).items())}
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no model of docker compose: {error!r}") from error
        return cls(
            chain=chain,
            files=files,
            project=str(model.get("name", "")),
            services=MappingProxyType(services),
            volumes=MappingProxyType(volumes),
            assumed=assumed,
            absent_env_files=absent_env_files,
        )

    def users_of(self, volume: str) -> tuple[tuple[Service, ServiceMount], ...]:
        """The services that mount a named volume (by its key), each with its mount."""
        return tuple((service, mount) for service in self.services.values() for mount in service.mounts if mount.kind == "volume" and mount.source == volume)

    def host_path(self, mount: ServiceMount) -> str:
        """The directory of the host behind a mount: a bind's source, or what a named volume binds by its options; empty when the engine chooses."""
        if mount.kind == "bind":
            return posixpath.normpath(mount.source)
        volume = self.volumes.get(mount.source) if mount.kind == "volume" else None
        return posixpath.normpath(volume.bound_to) if volume and volume.bound_to else ""


def _service(name: str, said: Mapping[str, Any]) -> Service:
    check, build = said.get("healthcheck") or {}, said.get("build") or {}
    if isinstance(test := check.get("test"), str):
        check = {**check, "test": ["CMD-SHELL", test]}
    return Service(
        name=name,
        image=str(said.get("image", "")),
        environment=MappingProxyType({key: None if value is None else _plain(value) for key, value in (said.get("environment") or {}).items()}),
        mounts=tuple(_mounts(said)),
        ports=tuple(_port(port) for port in said.get("ports") or ()),
        command=_words(said.get("command")),
        entrypoint=_words(said.get("entrypoint")),
        container_name=str(said.get("container_name") or ""),
        network_mode=str(said.get("network_mode") or ""),
        user=str(said.get("user") or ""),
        expose=tuple(str(port) for port in said.get("expose") or ()),
        built="build" in said,
        context=str(build.get("context") or ""),
        dockerfile="" if "dockerfile_inline" in build else str(build.get("dockerfile") or "Dockerfile"),
        stop_grace=str(said.get("stop_grace_period") or ""),
        restart=str(said.get("restart") or ""),
        healthcheck=MappingProxyType(dict(check)),
        waits_for=tuple(_waits_for(said.get("depends_on") or {})),
    )


def _waits_for(said: Any) -> Iterator[str]:
    yield from (name for name, how in (said.items() if isinstance(said, dict) else ()) if isinstance(how, dict) and how.get("condition") == "service_healthy")


def _mounts(said: Mapping[str, Any]) -> Iterator[ServiceMount]:
    for mount in said.get("volumes") or ():
        bind = mount.get("bind") or {}
        yield ServiceMount(
            kind=str(mount["type"]),
            source=_plain(mount.get("source") or ""),
            target=posixpath.normpath(_plain(mount["target"])),
            read_only=bool(mount.get("read_only")),
            propagation=str(bind.get("propagation") or ""),
            recursive=str(bind.get("recursive") or ""),
            subpath=str((mount.get("volume") or {}).get("subpath") or ""),
        )
    tmpfs = said.get("tmpfs") or ()
    for target in (tmpfs,) if isinstance(tmpfs, str) else tmpfs:
        yield ServiceMount(kind="tmpfs", source="", target=posixpath.normpath(str(target).partition(":")[0]))


def _port(said: Mapping[str, Any]) -> PublishedPort:
    return PublishedPort(
        address=str(said.get("host_ip") or ""),
        published=str(said.get("published") or ""),
        target=int(said["target"]),
        protocol=str(said.get("protocol") or "tcp"),
    )


def _volume(key: str, said: Mapping[str, Any]) -> Volume:
    return Volume(
        key=key,
        name=str(said.get("name") or key),
        driver=str(said.get("driver") or ""),
        driver_opts=MappingProxyType({option: _plain(value) for option, value in (said.get("driver_opts") or {}).items()}),
        external=bool(said.get("external")),
    )


def _words(said: Any) -> tuple[str, ...]:
    if said is None:
        return ()
    return (_plain(said),) if isinstance(said, str) else tuple(_plain(word) for word in said)


def _plain(value: Any) -> str:
    """A literal dollar sign is written twice in the model."""
    return str(value).replace("$$", "$")
