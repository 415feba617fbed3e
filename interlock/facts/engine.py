"""What does a container engine run? Its containers, their mounts, ports and variables, and its volumes; `looks.Engine` brings them from its API socket.

The probe has cut them already: of environment variables the names are there and the values of those that were asked for, and labels whose name says
that they hold a secret say `***`. Docker and Podman describe them in the same words.
Source: Docker Engine API v1.41, ContainerInspect and VolumeList; Podman's compatible endpoints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, NamedTuple, Self

from interlock.errors import CouldNotLook
from interlock.facts.mounts import MountTable, is_below
from interlock.nouns import dataclass
from interlock.patterns import regex

_FORBIDDEN = ("EACCES", "EPERM")
_ANONYMOUS = regex("[0-9a-f]{64}")
_EVERYWHERE = "0.0.0.0"  # noqa: S104, this is how the engine says it


class Product(StrEnum):
    """Who made an engine."""

    DOCKER = "docker"
    PODMAN = "podman"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerMount:
    """One mount of a container. `kind` is `bind`, `volume`, `tmpfs` or the engine's own word; `name` is the volume's, else empty; `source` is on the host.
    `recursive` is False for a bind that was asked not to show what is mounted below its source; `subpath` is the directory of a volume that it shows, all of
    it when empty."""

    kind: str
    name: str
    source: str
    destination: str
    read_only: bool
    propagation: str
    recursive: bool = True
    subpath: str = ""


class Place(NamedTuple):
    """What a path inside a container shows. `device` is `major:minor` of st_dev, `mode` the full st_mode, `uid` and `gid` as the host counts them, `leads` the
    path inside after its links; of one that is not `present` all are empty. `error` says why it could not be looked at."""

    present: bool
    device: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    leads: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a running container sees, through the namespaces of its first process. `uid`, `gid` and `groups` are that process's, as the host counts them;
    `capabilities` its effective set, as bits. `places` are the paths that were asked for."""

    mountinfo: bytes
    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: int
    places: Mapping[str, Place]

    def table(self, where: str) -> MountTable:
        """Its mount table. Raises CouldNotLook."""
        return MountTable.parse(self.mountinfo, where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPort:
    """A port of the host that leads into a container. `published` 0: the engine picks one when the container starts. `address` `0.0.0.0` is all of IPv4,
    `::` all of IPv6."""

    address: str
    published: int
    target: int
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container, running or not. `project` and `service` are what compose labelled it with, else empty.

    `state` is the engine's word (`running`, `exited`, `paused`, `restarting`, `created`, `dead`), `health` that of its health check (`healthy`,
    `unhealthy`, `starting`), empty when it has none. `variables` are the names of all its environment variables, `environment` the values of those that
    were asked for. `ports` of one that does not run are those that it would get. `started_at` is RFC 3339. `user` is what it was told to run as,
    empty for its image's own; `pid` that of its first process, as the engine counts it, 0 while it does not run. `view` is what it sees, None when it does not
    run, was not asked for, or could not be had: then `unseen` says why.
    """

    id: str
    name: str
    image: str
    image_id: str
    project: str
    service: str
    state: str
    health: str
    restarts: int
    started_at: str
    environment: Mapping[str, str]
    variables: frozenset[str]
    mounts: tuple[ContainerMount, ...]
    ports: tuple[ContainerPort, ...]
    network_mode: str
    labels: Mapping[str, str]
    user: str = ""
    pid: int = 0
    view: View | None = None
    unseen: str = ""

    @property
    def running(self) -> bool:
        """Whether its processes live, paused or not."""
        return self.state in ("running", "paused", "restarting")

    @property
    def closed(self) -> bool:
        """Whether whoever looked was not let in: to look at a process of another user takes the right to trace it."""
        return any(code in self.unseen for code in _FORBIDDEN)

    @property
    def anonymous_places(self) -> tuple[str, ...]:
        """The places in it that lie on volumes which the engine named itself, sorted."""
        return tuple(sorted(mount.destination for mount in self.mounts if mount.kind == "volume" and _ANONYMOUS.fullmatch(mount.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineVolume:
    """One volume. `options` are those that it was made with (`driver_opts`); `mountpoint` is where its files are on the host."""

    name: str
    driver: str
    options: Mapping[str, str]
    mountpoint: str
    labels: Mapping[str, str]

    @property
    def anonymous(self) -> bool:
        """Whether the engine named it itself: nobody will find it again by its name."""
        return _ANONYMOUS.fullmatch(self.name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """All that an engine runs and keeps, containers and volumes in the order of their names. `kernel` is the release of the one that they all run on
    (`6.1.0-28-amd64`). `links` says where those paths of the host really lead that containers and volumes name, and that go through a link."""

    version: str
    containers: tuple[Container, ...]
    volumes: tuple[EngineVolume, ...]
    product: Product = Product.DOCKER
    kernel: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    def named(self, source: str, declared: Mapping[str, str]) -> str:
        """A directory of the host that something binds, by its declared name whichever of the two is a link; `declared` maps each of those to where it leads.

        What has to do with a declared directory by its own name keeps it.
        """
        real = self.links.get(source, source)
        if any(is_below(source, path) or is_below(path, source) for path in declared):
            return source
        return next((path + real.removeprefix(where.rstrip("/")) for path, where in declared.items() if is_below(real, where)), real)

    @classmethod
    def parse(cls, content: bytes, *, where: str) -> Self:
        """What the probe brought (`EngineAnswer.content`). Raises CouldNotLook when it is not what an engine says."""
        try:
            value = json.loads(content)
            return cls(
                version=_text(value["version"], "Version"),
                containers=tuple(sorted(map(_container, value["containers"]), key=lambda container: (container.name, container.id))),
                volumes=tuple(sorted(map(_volume, value["volumes"]), key=lambda volume: volume.name)),
                product=Product(_text(value["version"], "Product")),
                kernel=_text(value["version"], "Kernel"),
                links=_texts(value.get("links", {})),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CouldNotLook(
                "what the container engine says cannot be read",
                where=where,
                why=f"{type(error).__name__}: {error}",
                remedy="see that the socket is that of a Docker or Podman engine, and update an old one",
            ) from error


def _container(value: Any) -> Container:
    config, state, labels = value["Config"], value["State"], _texts(value["Config"]["Labels"])
    return Container(
        id=_text(value, "Id"),
        name=_text(value, "Name").removeprefix("/"),
        image=_text(config, "Image"),
        image_id=_text(value, "Image"),
        project=labels.get("com.docker.compose.project", ""),
        service=labels.get("com.docker.compose.service", ""),
        state=_text(state, "Status"),
        health=_text(state, "Health").replace("none", ""),  # some versions say so of a container without a check
        restarts=_number(value["RestartCount"]),
        started_at=_text(state, "StartedAt"),
        environment=_texts(config["Environment"]),
        variables=frozenset(_names(config["Variables"])),
        mounts=tuple(map(_mount, value["Mounts"])),
        ports=_ports(value),
        network_mode=_text(value["HostConfig"], "NetworkMode"),
        labels=labels,
        user=_text(config, "User"),
        pid=_number(state["Pid"]),
        view=None if value["View"] is None else _view(value["View"]),
        unseen=_unseen(_text(value, "Unseen")),
    )


def _unseen(why: str) -> str:
    return f"only root may look into it ({why})" if why.startswith(_FORBIDDEN) else why


def _view(value: Any) -> View:
    return View(
        mountinfo=_text(value, "Mountinfo").encode("utf-8", "surrogateescape"),
        uid=_number(value["Uid"]),
        gid=_number(value["Gid"]),
        groups=tuple(map(_number, value["Groups"])),
        capabilities=_number(value["Capabilities"]),
        places={path: _place(place) for path, place in value["Places"].items()},
    )


def _place(value: Any) -> Place:
    present, device, mode, uid, gid, leads, error = value
    if not isinstance(present, bool) or not all(isinstance(text, str) for text in (device, leads, error)):
        raise TypeError("a place that does not say what it shows")
    return Place(present, device, _number(mode), _number(uid), _number(gid), leads, error)


def _mount(value: Any) -> ContainerMount:
    return ContainerMount(
        kind=_text(value, "Type"),
        name=_text(value, "Name"),
        source=_text(value, "Source"),
        destination=_text(value, "Destination"),
        read_only=not _truth(value, "RW"),
        propagation=_text(value, "Propagation"),
        recursive=_truth(value, "Recursive"),
        subpath=_text(value, "Subpath") if "Subpath" in value else "",
    )


def _ports(value: Any) -> tuple[ContainerPort, ...]:
    """Those that are open; of a container that does not run those that would be."""
    bound, wanted = _bindings(value["NetworkSettings"]["Ports"]), _bindings(value["HostConfig"]["PortBindings"])
    return bound if value["State"]["Status"] in ("running", "paused") else wanted


def _bindings(value: Any) -> tuple[ContainerPort, ...]:
    found = set()
    for port, bindings in value.items():
        number, _, protocol = port.partition("/")
        for binding in bindings:
            published = int(_text(binding, "HostPort") or 0)
            found.add((_text(binding, "HostIp") or _EVERYWHERE, published, int(number), protocol or "tcp"))
    return tuple(
        ContainerPort(address=address, published=published, target=target, protocol=protocol) for address, published, target, protocol in sorted(found)
    )


def _volume(value: Any) -> EngineVolume:
    return EngineVolume(
        name=_text(value, "Name"),
        driver=_text(value, "Driver"),
        options=_texts(value["Options"]),
        mountpoint=_text(value, "Mountpoint"),
        labels=_texts(value["Labels"]),
    )


def _text(value: Any, key: str) -> str:
    found = value[key]
    if not isinstance(found, str):
        raise TypeError(f"{key} is no text")
    return found


def _truth(value: Any, key: str) -> bool:
    found = value[key]
    if not isinstance(found, bool):
        raise TypeError(f"{key} is neither true nor false")
    return found


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"no number: {value!r:.80}")
    return value


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("no list of names")
    return value


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TypeError("no texts by name")
    return value
