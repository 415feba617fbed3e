"""What do the compose files of one chain say, and on which lines? Services, mounts, ports and volumes from the text alone, for discovery.

Lighter than docker compose, which alone resolves a chain right (`interlock.observe.stack`): here nothing is judged, and every value knows its line. Later
files win, as compose merges them: mounts by their target, `!override` and `!reset` included; variables come from the chain's env files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from interlock.config.discover import Files
from interlock.config.yamlnodes import Node
from interlock.config.yamlscalars import Tagged
from interlock.config.yamltext import COMPOSE, YamlText, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.dotenv import EnvFile
from interlock.facts.substitution import SubstitutionError, substitute
from interlock.nouns import dataclass
from interlock.patterns import regex

ENGINE_ROOT = "/var/lib/docker/volumes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """One mount. `source` is a volume's key, or a path as written with its variables replaced; empty for an anonymous volume. `at` is `file:line`."""

    source: str
    target: str
    read_only: bool
    at: str
    variable: str = ""  # the first variable of the source, as written

    @property
    def named(self) -> bool:
        """A named volume, not a directory of the host."""
        return bool(self.source) and not self.source.startswith(("/", ".", "~", "$"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published port. `address` is empty for all of them; `port` as text, a range too, empty when the engine chooses."""

    address: str
    port: str
    target: str
    protocol: str
    at: str


@dataclass(slots=True, kw_only=True)
class Described:
    """One service of a chain, merged over its files. `environment` maps names to text, None where it comes from elsewhere, each with its place."""

    name: str
    at: str
    image: str = ""
    built: bool = False
    container: str = ""
    mounts: dict[str, Mounted] = field(default_factory=dict)
    ports: dict[tuple[str, str, str], Published] = field(default_factory=dict)
    environment: dict[str, tuple[str | None, str]] = field(default_factory=dict, repr=False)
    env_files: dict[str, str] = field(default_factory=dict)
    health: tuple[str, str] = ("", "")  # the probe's words, and where


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedVolume:
    """A named volume as the engine calls it; `bound_to` the directory of the host that its options bind, else empty."""

    key: str
    name: str
    bound_to: str
    at: str


@dataclass(slots=True, kw_only=True)
class Composition:
    """A chain's files taken together. `project` is empty where nothing names it; `values` come from its env files and may be secrets."""

    files: tuple[str, ...]
    project: str = ""
    services: dict[str, Described] = field(default_factory=dict)
    volumes: dict[str, DescribedVolume] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def volume(self, key: str, project: str) -> DescribedVolume:
        """A volume by its key, declared or not."""
        found = self.volumes.get(key)
        if found is None:
            return DescribedVolume(key=key, name=f"{project}_{key}", bound_to="", at=self.files[0])
        return found if found.name else DescribedVolume(key=key, name=f"{project}_{key}", bound_to=found.bound_to, at=found.at)


class ComposeTexts:
    """The compose files of a tree, each read once."""

    def __init__(self, tree: Files) -> None:
        self._tree = tree
        self._read: dict[str, YamlText | None] = {}

    def root(self, path: str) -> Node | None:
        """The first document; None when there is none that is a mapping."""
        if path not in self._read:
            try:
                self._read[path] = read_yaml(self._tree.read(path), COMPOSE)
            except CouldNotLook:
                self._read[path] = None
        text = self._read[path]
        root = text.documents[0].root if text and text.documents else None
        return root if root is not None and isinstance(root.members, dict) else None


def composition(texts: ComposeTexts, files: Sequence[str], values: Mapping[str, str]) -> Composition:
    """The files of a chain, merged in their order. `values` are what its env files set."""
    merged = Composition(files=tuple(files), values=values)
    for path in files:
        root = texts.root(path)
        if root is None:
            continue
        if name := _text(_at(root, "name"), values):
            merged.project = name
        for service, node, line in _items(_at(root, "services")):
            described = merged.services.setdefault(service, Described(name=service, at=f"{path}:{line}"))
            _describe(described, node, path, values)
        for key, node, line in _items(_at(root, "volumes")):
            merged.volumes[key] = _volume(key, node, f"{path}:{line}", values, merged.volumes.get(key))
    return merged


def env_values(tree: Files, path: str) -> dict[str, str]:
    """What an env file sets, the text of each value as it stands; nothing when it cannot be read."""
    try:
        content = tree.read(path)
    except CouldNotLook:
        return {}
    return {entry.key: entry.text for entry in EnvFile.parse(content).entries if entry.text is not None and "$" not in entry.text}


# ---- one service


def _describe(service: Described, node: Node, path: str, values: Mapping[str, str]) -> None:
    for key, member, line in _items(node):
        at = f"{path}:{line}"
        match key:
            case "image":
                service.image = _text(member, values) or service.image
            case "build":
                service.built = True
            case "container_name":
                service.container = _text(member, values)
            case "volumes":
                _afresh(member, service.mounts)
                service.mounts.update((mount.target, mount) for mount in _mounts(member, path, values))
            case "ports":
                _afresh(member, service.ports)
                service.ports.update(((port.address, port.port, port.protocol), port) for port in _ports(member, path, values))
            case "environment":
                _afresh(member, service.environment)
                service.environment.update(_environment(member, path))
            case "env_file":
                service.env_files.update((file, at) for file in _env_files(member, values))
            case "healthcheck":
                service.health = (_probe(member), at)


def _afresh(
    node: Node,
    before: dict[object, object] | dict[str, object] | dict[str, Mounted] | dict[tuple[str, str, str], Published] | dict[str, tuple[str | None, str]],
) -> None:
    """`!override` and `!reset` begin anew."""
    if isinstance(node.data, Tagged) and node.data.tag in ("!override", "!reset"):
        before.clear()


def _mounts(node: Node, path: str, values: Mapping[str, str]) -> Iterator[Mounted]:
    for member in _members(node):
        at = f"{path}:{member.at.line}"
        if isinstance(member.members, dict):
            if _text(_at(member, "type"), values) == "tmpfs":
                continue
            source, target = _text(_at(member, "source"), values), _text(_at(member, "target"), values)
            read_only = str(getattr(_at(member, "read_only"), "data", False)).lower() == "true"
            written = getattr(_at(member, "source"), "text", "") or ""
        else:
            written = str(member.data)
            text = _substituted(written, values)
            parts = re.split(r":(?![\\/]{2})", text)
            source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
            read_only = len(parts) > 2 and "ro" in parts[2].split(",")
        if target.startswith("/"):
            yield Mounted(source=source, target=posixpath.normpath(target), read_only=read_only, at=at, variable=_first_variable(written))


def _first_variable(written: str) -> str:
    found = re.match(r"\$\{?([A-Za-z_]\w*)", written)
    return found[1] if found else ""


_PORT = regex(r"(?:(?P<address>\[[^\]]*\]|[\d.]*):)?(?:(?P<port>\d+(?:-\d+)?)?:)?(?P<target>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?")


def _ports(node: Node, path: str, values: Mapping[str, str]) -> Iterator[Published]:
    for member in _members(node):
        at = f"{path}:{member.at.line}"
        if isinstance(member.members, dict):
            parts = {key: _text(_at(member, key), values) for key in ("host_ip", "published", "target", "protocol")}
            yield Published(address=parts["host_ip"], port=parts["published"], target=parts["target"], protocol=parts["protocol"] or "tcp", at=at)
        elif match := _PORT.fullmatch(_substituted(str(member.text or member.data), values)):
            address, port = match["address"] or "", match["port"] or ""
            if address and port == "" and ":" not in address and "." not in address:
                address, port = "", address  # 8080:80
            yield Published(address=address.strip("[]"), port=port, target=match["target"], protocol=match["protocol"] or "tcp", at=at)


def _environment(node: Node, path: str) -> Iterator[tuple[str, tuple[str | None, str]]]:
    if isinstance(node.members, dict):
        for key, member, line in _items(node):
            yield key, (None if member.data is None else str(member.text if member.text is not None else member.data), f"{path}:{line}")
    for member in _members(node):
        name, equals, value = str(member.data).partition("=")
        yield name, (value if equals else None, f"{path}:{member.at.line}")


def _env_files(node: Node, values: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node.data, str):
        yield _substituted(node.data, values)
    for member in _members(node):
        yield _text(_at(member, "path"), values) if isinstance(member.members, dict) else _substituted(str(member.data), values)


def _probe(node: Node) -> str:
    test = _at(node, "test")
    if test is None:
        return ""
    return " ".join(str(member.data) for member in test.members) if isinstance(test.members, list) else str(test.data)


def _volume(key: str, node: Node, at: str, values: Mapping[str, str], before: DescribedVolume | None) -> DescribedVolume:
    name = _text(_at(node, "name"), values) or (before.name if before else "")
    external = _at(node, "external")
    if not name and external is not None and str(external.data).lower() == "true":
        name = key
    options = _at(node, "driver_opts")
    bound = _text(_at(options, "device"), values) if "bind" in _text(_at(options, "o"), values).split(",") else ""
    return DescribedVolume(key=key, name=name, bound_to=bound or (before.bound_to if before else ""), at=at)


# ---- nodes


def _at(node: Node | None, key: str) -> Node | None:
    if node is None or not isinstance(node.members, dict) or key not in node.members:
        return None
    return node.members[key][1]


def _items(node: Node | None) -> Iterator[tuple[str, Node, int]]:
    if node is not None and isinstance(node.members, dict):
        for key, (place, member) in node.members.items():
            yield key, member, place.at.line


def _members(node: Node) -> Sequence[Node]:
    return node.members if isinstance(node.members, list) else ()


def _text(node: Node | None, values: Mapping[str, str]) -> str:
    if node is None or node.members is not None or node.data is None:
        return ""
    return _substituted(node.text if node.text is not None else str(node.data), values)


def _substituted(text: str, values: Mapping[str, str]) -> str:
    if "$" not in text:
        return text
    try:
        return substitute(text, values, lenient=True)
    except SubstitutionError:
        return text
