"""What does this host show beside what the tree says? Disks, containers, volumes, databases and open ports, from one look round.

What is learned here is `unconfirmed: true`, for a host that is already wrong must not become the truth; where it contradicts the files, that is said.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interlock.config.models import Site
from interlock.config.scalars import LOCAL
from interlock.config.yamltext import KeyPath
from interlock.discover.composed import ENGINE_ROOT, Described
from interlock.discover.document import From, Offer, may_be_written, plain, printable
from interlock.discover.live_disks import HERE, MARK, has_a_disk, learned, of_backups, outside
from interlock.discover.modules import Part, described, engine_of
from interlock.discover.variables import Known
from interlock.discover.whole import Discovered
from interlock.errors import CouldNotLook
from interlock.facts.engine import Container, Engine
from interlock.facts.known_images import recognise
from interlock.facts.looks import Engine as EngineLook
from interlock.facts.looks import HostFacts, Look, Mounts, MountsAnswer, ReadFolder, Stat
from interlock.facts.mounts import DeviceNames, Mount, MountTable
from interlock.facts.site import may_hold_state
from interlock.observe.hosts import observe
from interlock.observe.tree import Tree
from interlock.patterns import regex

SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")
STARTS = (ReadFolder("/etc/cron.d"), ReadFolder("/etc/systemd/system", (".timer", ".service")))
_RUNS_STACKS = regex(rb"docker|podman|compose")


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What could be looked at. `unseen` says why the rest could not."""

    table: MountTable | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)
    real: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()  # paths that do not exist here
    engine: Engine | None = None
    starts: tuple[str, ...] = ()  # crontabs, and services that a timer starts, in which something of containers is run
    unseen: list[str] = field(default_factory=list)

    def showing(self, path: str) -> Mount | None:
        """The mount that a path shows."""
        return self.table.showing(self.real.get(path) or path) if self.table else None

    def device(self, mount: Mount) -> str:
        """What a mount's device is called in a site file: by its label, else its UUID, else as the table says it."""
        for tag in ("label", "uuid"):
            for link, target in sorted(self.links.items()):
                if target == mount.source and link.startswith(f"by-{tag}/") and re.fullmatch(r"[\w.:@+-]+", name := link.partition("/")[2]):
                    return f"{tag.upper()}={name}"
        return mount.source


def with_host(found: Discovered, root: Path, environ: Mapping[str, str]) -> tuple[Discovered, tuple[str, ...]]:
    """The same document with what this host shows, and the sentences where it contradicts the files."""
    data = plain(found.document)
    state = ((data.get("mounts") or {}).get("state") or {}).get("path") or (data.get("state_dir") or {}).get("path")
    socket = engine_socket(environ)
    backups = [module["backups"] for module in (data.get("modules") or {}).values() if module.get("backups")]
    seen = look_round(root, [path for path in (state, "/var/lib/docker", *backups) if path], socket)
    document = dict(found.document)
    if socket not in (None, SOCKETS[0]) and isinstance(hosts := document.get("hosts"), dict):
        document["hosts"] = hosts | {"local": hosts["local"] | {"engine": From(socket, f"{HERE}its engine listens there")}}
    contradictions = [f"{why}: nothing was learned from it" for why in seen.unseen]
    inside, state = state, _state_outside(document, state, seen)
    contradictions += _elsewhere(inside, state)
    contradictions += _disk(document, state, seen)
    contradictions += _containers(document, found, seen)
    _disk_of_backups(document, backups, seen)
    _ports(document, seen)
    contradictions += _databases(document, environ)
    contradictions += _starts(root, seen)
    return replace(found, document=_in_order(document)), tuple(map(printable, contradictions))


def engine_socket(environ: Mapping[str, str]) -> str | None:
    """Where this host's container engine listens: what DOCKER_HOST says, else a usual place; None when there is none."""
    named = environ.get("DOCKER_HOST", "")
    if named.startswith("unix://"):
        return named.removeprefix("unix://")
    return next((socket for socket in SOCKETS if os.path.exists(socket)), None)  # noqa: PTH110


def look_round(root: Path, paths: list[str], socket: str | None) -> _Seen:
    """One look at this machine: its mounts, and its engine."""
    seen = _Seen()
    looks: set[Look] = {Mounts(), *STARTS, *(Stat(path) for path in paths), *({EngineLook(socket)} if socket else ())}
    site = Site.model_validate({"interlock": 1, "site": "here"}).placed(root)
    with tempfile.TemporaryDirectory(prefix="interlock-init-") as spool:
        facts = observe(site, {LOCAL: frozenset(looks)}, Path(spool))[LOCAL]
    if isinstance(facts, CouldNotLook):
        seen.unseen.append(facts.sentence)
        return seen
    _take(seen, facts, paths, socket)
    return seen


def _take(seen: _Seen, facts: HostFacts, paths: list[str], socket: str | None) -> None:
    try:
        answer: MountsAnswer = facts.mounts()
        seen.table, seen.links, seen.numbers = MountTable.parse(answer.mountinfo, where=LOCAL), answer.links, answer.devices
    except CouldNotLook as error:
        seen.unseen.append(error.sentence)
    real, absent = {}, []
    for path in paths:
        try:
            stat = facts.stat(path)
        except CouldNotLook:
            continue
        real[path] = stat.realpath if stat.present else path
        absent += [] if stat.present else [path]
    seen.real, seen.absent = real, frozenset(absent)
    seen.starts = tuple(_starting(facts, seen))
    if socket is None:
        seen.unseen.append("this host has no container engine at its usual places (DOCKER_HOST names another)")
        return
    try:
        seen.engine = Engine.parse(facts.engine(EngineLook(socket)).content, where=socket)
    except CouldNotLook as error:
        seen.unseen.append(error.sentence)


# ---- disks


def _disk(document: dict[str, Any], state: str | None, seen: _Seen) -> Iterator[str]:
    """The state disk: compared with the one that the files say, or learned where they say none."""
    section = document.get("mounts")
    path = state or ("/var/lib/docker" if isinstance(section, Offer) else None)
    if path is None or seen.table is None:
        return
    mount = seen.showing(path)
    if mount is None:
        return
    if section is not None and not isinstance(section, Offer):
        yield from _other_disk(plain(section)["state"], mount, seen)
        return
    if mount.mountpoint == "/" or not has_a_disk(mount):
        yield f"{path} shows {mount}: there is no disk of its own for state"
        return
    rest = plain(section.value) if isinstance(section, Offer) else {}
    overlays = {key: value for key, value in rest.items() if key == "overlays"}
    document["mounts"] = {**learned(path, mount, seen.table, seen.device), **overlays}


def _state_outside(document: dict[str, Any], state: str | None, seen: _Seen) -> str | None:
    """The state's directory on this host: where it has no such one, and all containers that have it inside have the same one, that is it."""
    section = document.get("state_dir")
    if state not in seen.absent or seen.engine is None or not isinstance(section, dict) or "container_path" in section:
        return state
    places = outside(state, seen.engine)
    if len(set(places.values())) != 1:
        return state
    names, place = ", ".join(places), next(iter(places.values()))
    document["state_dir"] = section | {"path": From(place, f"{HERE}{state} in {names} lies there"), "container_path": section["path"]}
    return place


def _elsewhere(inside: str | None, state: str | None) -> Iterator[str]:
    if inside != state:
        yield f"{inside} is no directory of this host: the containers have {state} there. Both are written below state_dir; see that this is meant"


def _disk_of_backups(document: dict[str, Any], backups: list[str], seen: _Seen) -> None:
    """Backups on a disk of their own: whether it must be there is the operator's to say."""
    section = document.get("mounts")
    if isinstance(section, dict) and (offer := of_backups(backups, plain(section), seen.showing, seen.device)) and "others" not in section:
        document["mounts"] = section | {"others": offer}


def _other_disk(declared: Mapping[str, Any], mount: Mount, seen: _Seen) -> Iterator[str]:
    expected = DeviceNames(numbers=seen.numbers, links=seen.links).path_of(declared["device"])
    place = declared.get("mountpoint") or declared["path"]
    if mount.mountpoint != place:
        yield f"{declared['path']} shows {mount}; the files say that {declared['device']} is mounted at {place}"
    elif expected is None:
        yield f"{declared['path']} shows {mount}; the files say {declared['device']}, and this host has no such device"
    elif expected != mount.source and seen.numbers.get(expected) != mount.device_number:
        yield f"{declared['path']} shows {mount}; the files say {declared['device']}, which is {expected}"


# ---- containers


def _containers(document: dict[str, Any], found: Discovered, seen: _Seen) -> Iterator[str]:
    """What runs and keeps state: modules of the tree are compared, others are learned."""
    if seen.engine is None:
        return
    modules = dict(bare) if isinstance(bare := _bare(document.get("modules")), dict) else {}
    declared = plain(modules)
    for container in seen.engine.containers:
        kept = list(_kept(container))
        known = recognise(container.image)
        if not kept and not (known and known.server.stateful):
            continue
        if container.project == found.project and found.composition and container.service in found.composition.services:
            yield from _moved(container, kept, declared)
            continue
        name = _name(container.name)
        if name in modules or any(path in module.get("paths", ()) for module in declared.values() for path, _ in kept):
            continue
        if not kept:
            yield f"the container {container.name} ({container.image}) keeps its state in itself: it goes with it"
            continue
        base = posixpath.dirname(next((module["backups"] for module in declared.values()), f"/var/backups/{found.name}/x"))
        modules[name] = _module(name, container, kept, base)
    if modules:
        document["modules"] = modules
    used = {mount.name for container in seen.engine.containers for mount in container.mounts if mount.name}
    written = {volume for module in plain(modules).values() for volume in module.get("volumes", ())}
    for volume in seen.engine.volumes:
        if volume.name not in used | written and not volume.anonymous:
            yield f"the volume {volume.name} belongs to no container: is it left from another time? Declare it in a module, or exclude it with the reason"


def _kept(container: Container) -> Iterator[tuple[str, str]]:
    """The directories of the host that a container writes to, each with the volume's name where it is one."""
    for mount in container.mounts:
        if mount.kind == "volume" and not mount.read_only and not re.fullmatch(r"[0-9a-f]{64}", mount.name):
            yield mount.source or f"{ENGINE_ROOT}/{mount.name}/_data", mount.name
        elif mount.kind == "bind" and not mount.read_only and may_hold_state(mount.source, mount.destination) and may_be_written(mount.source):
            yield posixpath.normpath(mount.source), ""


def _moved(container: Container, kept: list[tuple[str, str]], declared: Mapping[str, Any]) -> Iterator[str]:
    """Where a container of the stack writes to what no module of the tree holds."""
    known = [path for module in declared.values() for path in module.get("paths", ())]
    volumes = {volume for module in declared.values() for volume in module.get("volumes", ())}
    for path, volume in kept:
        if volume not in volumes and not any(path == one or path.startswith(one.rstrip("/") + "/") for one in known):
            yield f"the container {container.name} writes to {f'the volume {volume}' if volume else path}, and the compose files say nothing of it"


def _module(name: str, container: Container, kept: list[tuple[str, str]], base: str) -> From:
    letter = engine_of(Described(name=container.name, at="", image=container.image)) or "E"
    at = f"{HERE}container {container.name}, {container.state}"
    part = Part(name=name, letter=letter, at=at, image=container.image, container=container.name)
    part.volumes, part.paths = [volume for _, volume in kept if volume], [path for path, _ in kept]
    module = described(part, [Known(base, "proposed")], None, None)
    return From(module.value | MARK, module.origin)


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:63] or "container"


# ---- ports


def _ports(document: dict[str, Any], seen: _Seen) -> None:
    """Ports that containers publish everywhere and that no compose file of the tree does."""
    if seen.engine is None:
        return
    section = dict(bare) if isinstance(bare := _bare(document.get("exposure")), dict) else {}
    public = section.get("public")
    entries = [Offer(value, public.ask) for value in public.value] if isinstance(public, Offer) else list(public or ())
    known = {(_bare_entry(entry)["port"], _bare_entry(entry).get("protocol", "tcp")) for entry in entries}
    for container in seen.engine.containers:
        for port in container.ports:
            if port.address in ("0.0.0.0", "::", "") and port.published and (port.published, port.protocol) not in known:  # noqa: S104
                known.add((port.published, port.protocol))
                protocol = {"protocol": port.protocol} if port.protocol == "udp" else {}
                entry = {"port": port.published, **protocol, "reason": f"{container.name} publishes it", **MARK}
                entries.append(From(entry, f"{HERE}container {container.name}, {port.address}:{port.published}"))
    if entries and not (isinstance(public, Offer) and all(isinstance(entry, Offer) for entry in entries)):
        document["exposure"] = section | {"public": entries}


def _bare(value: Any) -> Any:
    return _bare(value.value) if isinstance(value, From) else value


def _bare_entry(entry: Any) -> Any:
    return entry if isinstance(entry, dict) else _bare_entry(entry.value)


# ---- what starts by itself


def _starting(facts: HostFacts, seen: _Seen) -> Iterator[str]:
    """The crontabs and timed services of a host that run containers. What they say is not shown: it may hold secrets."""
    cron, units = STARTS
    try:
        files = facts.folder(cron.path).files
        yield from (f"{cron.path}/{name}" for name, content in sorted(files.items()) if _RUNS_STACKS.search(content))
        files = facts.folder(units.path, units.suffixes).files
        services = [name for name in files if name.endswith(".service") and f"{name.removesuffix('.service')}.timer" in files]
        yield from (f"{units.path}/{name}" for name in sorted(services) if _RUNS_STACKS.search(files[name]))
    except CouldNotLook as error:
        seen.unseen.append(error.sentence)


def _starts(root: Path, seen: _Seen) -> Iterator[str]:
    """Those that the tree does not bring."""
    brought = {posixpath.basename(path) for path in Tree(root, patient=True).listing()} if seen.starts else set()
    for path in seen.starts:
        if posixpath.basename(path) not in brought:
            yield f"{path} runs containers by itself, and is in no file of the tree: nobody who reads the tree knows of it"


# ---- databases


def _databases(document: dict[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    """The databases beside each one whose DSN the environment gives."""
    for name, entry in (plain(document.get("databases")) or {}).items():
        variable = entry["dsn_env"]
        if not environ.get(variable):
            continue
        from interlock.observe.postgres import Access, reading

        try:
            with reading(Access.of(environ, variable, timeout=10, where=name)) as session:
                others = [
                    str(row[0]) for row in session.rows("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> current_database() ORDER BY 1")
                ]
        except CouldNotLook as error:
            yield f"{error.sentence}: nothing was learned from it"
            continue
        if others := [one for one in others if one != "postgres"]:
            yield f"the server of {name} has {', '.join(others)} too: declare them below `databases`, or exclude them with the reason"


_ORDER = ("interlock", "site", "hosts", "mounts", "state_dir", "modules", "inventory", "databases", "instances", "templates", "compose", "scripts",
          "automation",
          "exposure", "health", "approval", "workplans", "not_used")  # fmt: skip


def _in_order(document: dict[str, Any]) -> dict[str, Any]:
    """The sections in their order; a family that is declared now is not asked for any more."""
    asked = document.get("not_used")
    if isinstance(asked, Offer):
        missing = {family: value for family, value in asked.value.items() if isinstance(document.get(_SECTION.get(family, family)), Offer | None)}
        document["not_used"] = Offer(missing, asked.ask) if missing else None
    return {key: document[key] for key in _ORDER if document.get(key) is not None}


_SECTION = {"backups": "modules"}


# ---- what a review shows


def shows_now(site: Site) -> Callable[[KeyPath], str]:
    """A function that says of a noun what this host shows now, looking once. It raises CouldNotLook for nouns of other hosts, and what cannot be seen."""
    disks = [disk.path for disk in (site.mounts.state, site.mounts.data) if disk is not None] if site.mounts else []
    kept: list[_Seen] = []

    def seen() -> _Seen:
        if not kept:
            kept.append(look_round(site.root, disks, site.host(LOCAL).engine))
        return kept[0]

    def now(path: KeyPath) -> str:
        match path:
            case ("mounts", ("state" | "data") as which):
                assert site.mounts is not None
                disk = getattr(site.mounts, which)
                _require_local(disk.host)
                mount = seen().showing(disk.path)
                return f"{disk.path} shows {mount}" if mount else _unseen(seen())
            case ("modules", str(name)):
                _require_local(site.modules[name].host)
                return _container_now(site.modules[name].container or name, seen())
            case ("exposure", "public", int(index)):
                assert site.exposure is not None
                return _port_now(site.exposure.public[index].port, seen())
        return "nothing on this host says more than the file"

    return now


def _require_local(host: str) -> None:
    if host != LOCAL:
        raise CouldNotLook(f"it is on the host {host}", remedy="look there")


def _unseen(seen: _Seen) -> str:
    raise CouldNotLook("; ".join(seen.unseen) or "there is nothing to look at")


def _container_now(name: str, seen: _Seen) -> str:
    if seen.engine is None:
        return _unseen(seen)
    container = next((one for one in seen.engine.containers if one.name == name), None)
    if container is None:
        return f"there is no container {name}"
    kept = ", ".join(volume or path for path, volume in _kept(container)) or "nothing that stays"
    return f"{container.name} ({container.image}) is {container.state} and writes to {kept}"


def _port_now(port: int, seen: _Seen) -> str:
    if seen.engine is None:
        return _unseen(seen)
    users = [f"{one.name} at {found.address}:{found.published}" for one in seen.engine.containers for found in one.ports if found.published == port]
    return f"published by {', '.join(users)}" if users else "no container publishes it"
