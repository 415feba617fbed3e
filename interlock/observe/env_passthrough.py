"""What do the services of a site read, and what are they given? `interlock.facts.env_passthrough` has the nouns."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlock.config.discover import is_of_others
from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts.env_defaults import is_developed_on, settings_of
from interlock.facts.env_passthrough import (
    HANDED,
    Dead,
    Passthrough,
    Unreached,
    Unresolved,
    offered,
    read_by_commands,
    read_by_file,
    read_in_image,
    sets,
    spellings,
)
from interlock.facts.env_updates import FEWEST_KEYS
from interlock.facts.placeholders import MARKS
from interlock.facts.programs import Runs
from interlock.facts.stack import Service, Stack
from interlock.observe.env_files import examples, used
from interlock.observe.programs import dockerfiles, programs
from interlock.observe.stack import compose_yaml, stack, with_included
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

MOST_FILES = 40  # below a mounted folder; what has more is a program and no settings
MOST_IN_IMAGE = 200  # below the folder of an image; what has more is a program's source
_COMPOSE = regex(r"(?:^|/)(?:docker-)?compose[\w.-]*\.ya?ml$")
_EXPLAINS = regex(
    r"\.(?:md|mdx|rst|adoc|txt|po|lock|svg|map)$|(?:^|/)(?:docs?|changelog\.d)/|(?:^|/)(?:\.?env|[\w.-]*\.env|env)(?:[._-][\w.-]+)?$", re.IGNORECASE
)


def passthrough(world: World, _subject: Subject) -> Passthrough:
    """What the services of all chains that are deployed read and are not given, each once, and the settings that nothing reads."""
    unreached: dict[tuple[str, str], Unreached] = {}
    unresolved: list[Unresolved] = []
    services: set[str] = set()
    given: set[str] = set()
    images: set[str] = set()
    for name, chain in world.site.chains.items():
        try:
            found = _Chain.of(world, name)
        except CouldNotLook as error:
            unresolved.append(Unresolved(chain=name, why=error.why or error.what))
            continue
        given |= {variable for service in found.model.services.values() for variable in service.environment}
        images |= {folder for service in found.model.services.values() if (folder := found.image_folder(service))}
        if is_developed_on(chain.files, found.written):
            continue
        services |= found.model.services.keys()
        for one in found.unreached():
            unreached.setdefault((one.service, one.variable), one)
    return Passthrough(
        services=len(services), unreached=tuple(unreached.values()), dead=tuple(_dead(world, frozenset(given), frozenset(images))), unresolved=tuple(unresolved)
    )


@dataclass(slots=True, kw_only=True)
class _Chain:
    """One chain, as docker compose resolves it and as it is written."""

    world: World
    model: Stack
    places: Mapping[str, tuple[str, int]]
    written: tuple[Mapping[str, Any], ...]
    opaque: frozenset[str]  # services with an env file: what it brings nobody sees
    root: str
    _reads: dict[tuple[str, bool], Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, world: World, name: str) -> _Chain:
        """Raises `CouldNotLook`."""
        model = stack(world, name)
        places: dict[str, tuple[str, int]] = {}
        written, opaque = [], set()
        for file in with_included(world, model.files):
            read = compose_yaml(world, file)
            services = read.data.get("services") if isinstance(read.data, dict) else None
            for service, as_written in (services if isinstance(services, dict) else {}).items():
                places.setdefault(str(service), (file, read.positions.nearest(("services", service)).key.line))
                said = as_written.value if isinstance(as_written, Tagged) else as_written
                if isinstance(said, dict):
                    written.append(said)
                    opaque |= {str(service)} if said.get("env_file") or said.get("extends") else set()
        return cls(world=world, model=model, places=places, written=tuple(written), opaque=frozenset(opaque), root=str(world.tree.root.resolve()))

    def unreached(self) -> Iterator[Unreached]:
        """What services read by their commands, and by the files that are mounted into them."""
        for service in self.model.services.values():
            if service.name in self.places and service.name not in self.opaque:
                yield from self._by_commands(service)
        yield from self._by_files()
        yield from self._by_images()

    def _by_images(self) -> Iterator[Unreached]:
        """What scripts and templates of an image read, where the service alone is made from that folder, and operators set it for others."""
        folders = {service.name: folder for service in self.model.services.values() if (folder := self.image_folder(service))}
        settable = {name for said in self.written for name, value in settings_of(said) if not value or "$" in value}
        for name, folder in folders.items():
            alone = all(other == name or not f"{at}/".startswith(f"{folder}/") for other, at in folders.items())
            below = _below(self.world, folder)
            if alone and name in self.places and name not in self.opaque and len(below) <= MOST_IN_IMAGE and not any(_COMPOSE.search(path) for path in below):
                yield from self._by_image(self.model.services[name], below, settable)

    def _by_image(self, service: Service, files: tuple[str, ...], settable: set[str]) -> Iterator[Unreached]:
        for path in files:
            for variable, line in self._read(path, image=True).items() if not is_of_others(path) else ():
                other = next((one.name for one in self.model.services.values() if variable in one.environment), "")
                if other and variable in settable and variable not in service.environment and not _in_image(self.world, variable):
                    yield self._unreached(service, variable, f"{path}:{line}", other)

    def image_folder(self, service: Service) -> str:
        """The folder of the tree that a service's image is made from: its build's, or one of the image's name; empty where nobody knows."""
        context = posixpath.normpath(service.context)
        if context.startswith(self.root + "/"):
            return context.removeprefix(self.root + "/")
        name = re.split("[:@]", posixpath.basename(service.image))[0]
        return next((folder for path in dockerfiles(self.world) if posixpath.basename(folder := posixpath.dirname(path)) == name), "")

    def _by_commands(self, service: Service) -> Iterator[Unreached]:
        for name, part in read_by_commands(service).items():
            other = next((one.name for one in self.model.services.values() if name in one.environment), "")
            if name not in service.environment and other and not _in_image(self.world, name):
                yield self._unreached(service, name, f"the {part} of {service.name}", other)

    def _by_files(self) -> Iterator[Unreached]:
        mounting: dict[str, list[Service]] = {}
        for service in self.model.services.values():
            for path in self._mounted(service):
                mounting.setdefault(path, []).append(service)
        for path, services in mounting.items():
            if all(service.name in self.places and service.name not in self.opaque for service in services):
                yield from self._by_file(path, services)

    def _by_file(self, path: str, services: list[Service]) -> Iterator[Unreached]:
        reads = self._read(path)
        handed = [name for name in reads if any(name in service.environment for service in services)]
        for name, line in reads.items():
            given = [service for service in services if name in service.environment]
            twins = {service.image for service in given if not any(mark in service.image for mark in MARKS)}
            lacking = [service for service in services if name not in service.environment and (service.image in twins if given else len(handed) >= HANDED)]
            if lacking and not _in_image(self.world, name):
                yield self._unreached(lacking[0], name, f"{path}:{line}", given[0].name if given else "", len(lacking) - 1)

    def _unreached(self, service: Service, name: str, reader: str, given_to: str, others: int = 0) -> Unreached:
        file, line = self.places[service.name]
        return Unreached(service=service.name, variable=name, reader=reader, given_to=given_to, others=others, file=file, line=line)

    def _mounted(self, service: Service) -> Iterator[str]:
        """The files of the tree that a service sees by its binds."""
        for mount in service.mounts:
            source = posixpath.normpath(mount.source) if mount.kind == "bind" else ""
            if source.startswith(self.root + "/"):
                path = source.removeprefix(self.root + "/")
                below = _below(self.world, path)
                yield from below if len(below) <= MOST_FILES else ()

    def _read(self, path: str, *, image: bool = False) -> Mapping[str, int]:
        if (path, image) not in self._reads:
            try:
                text = self.world.tree.read(path).decode("utf-8", "replace")
            except CouldNotLook:
                text = ""
            self._reads[path, image] = {one.name: one.line for one in (read_in_image if image else read_by_file)(path, text)}
        return self._reads[path, image]


def _below(world: World, path: str) -> tuple[str, ...]:
    """A file, or all below a folder."""
    if world.tree.exists(path):
        return world.once(("below", path), lambda: tuple(one for one in world.tree.listing() if one == path or one.startswith(path + "/")))
    return ()


def _in_image(world: World, name: str) -> bool:
    """Whether a Dockerfile or what runs in an image sets a variable."""
    return any(sets(name, text) for text in _image_texts(world))


def _image_texts(world: World) -> tuple[str, ...]:
    def read() -> tuple[str, ...]:
        shell = (text.text for text in programs(world).shell if text.runs is Runs.IMAGE)
        return (*(world.tree.read(path).decode("utf-8", "replace") for path in dockerfiles(world)), *shell)

    return world.once("image texts", read)


def _dead(world: World, given: frozenset[str], images: frozenset[str]) -> Iterator[Dead]:
    """The settings of the examples of a stack's own `.env` that nothing in the tree names, or only what is built into an image of a service. None where an env
    file is handed over as a whole. `given` are the variables that any service has, `images` the folders of the services' images."""
    homes = {posixpath.dirname(chain.files[0]) for chain in world.site.chains.values()}
    if not homes or _hands_over_files(world):
        return
    known = {*used(world), *given}
    found = [
        (one.path, setting)
        for one in examples(world)
        if posixpath.dirname(one.path) in homes and len(one.keys & used(world).keys()) >= FEWEST_KEYS
        for setting in offered(one, known)
    ]
    places = _named_anywhere(world, {setting.key for _, setting in found}) if found else {}
    for path, setting in found:
        at = places.get(setting.key, ())
        if not at and not setting.aside:
            yield Dead(variable=setting.key, file=path, line=setting.line)
        elif at and all(any(one.startswith(image + "/") for image in images) for one, _ in at) and all(line for _, line in at):
            yield Dead(variable=setting.key, file=path, line=setting.line, reader=f"{at[0][0]}:{at[0][1]}")


def _hands_over_files(world: World) -> bool:
    for path in world.tree.listing():
        if re.search(r"\.ya?ml(?:\.\w+)?$|\.sh$|(?:^|/)(?:GNUm|m|M)akefile$", path):
            try:
                content = world.tree.read(path)
            except CouldNotLook:
                continue
            if b"env_file:" in content or b"--env-file" in content or re.search(rb"[/\s\"']\.env:/", content):
                return True
    return False


def _named_anywhere(world: World, names: set[str]) -> Mapping[str, list[tuple[str, int]]]:
    """Where any file but an explanation says one of the names: path and line, 0 where it is said in another spelling."""
    spelt: dict[str, set[str]] = {}
    for name in names:
        for one in spellings(name):
            spelt.setdefault(one, set()).add(name)
    wanted = re.compile("|".join(re.escape(one) for one in sorted(spelt, key=len, reverse=True)).encode())
    found: dict[str, list[tuple[str, int]]] = {}
    for path in world.tree.listing():
        if _EXPLAINS.search(path):
            continue
        try:
            content = world.tree.read(path)
        except CouldNotLook:
            return {name: [(path, 0)] for name in names}
        for match in wanted.finditer(content.lower()):
            for name in spelt[match[0].decode()]:
                exact = content[match.start() : match.end()].decode("utf-8", "replace") == name
                found.setdefault(name, []).append((path, content.count(b"\n", 0, match.start()) + 1 if exact else 0))
    return found


OBSERVERS: Mapping[str, Observer] = {"env.passthrough": Observer(see=passthrough)}
