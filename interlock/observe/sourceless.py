"""What do the chains of a compose file build and mount that the tree does not have, and which services does it leave to be built?"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping

from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts.chains import Source
from interlock.facts.config_readers import MountedSettings
from interlock.facts.placed import PlacedChain, Shipped
from interlock.facts.placeholders import MARKS
from interlock.facts.sourceless import NeededSources, Overlay, must_be_a_file
from interlock.facts.stack import Service
from interlock.observe.placed import below, file_of_chains, file_places, ignored
from interlock.observe.sources import sources
from interlock.observe.stack import compose_yaml
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_SUBMODULE = regex(r"(?m)^\s*path\s*=\s*(.+?)\s*$")
_LARGEST = 512 * 1024  # of a text that may speak of a file


def needed_sources(world: World, subject: Subject) -> NeededSources:
    """What the compose file of the subject needs of the tree. Raises `CouldNotLook`."""
    path = subject.name
    file = file_of_chains(world, subject)
    own = _images_and_builds(world, path)
    first = min((place.line for keys, place in file_places(world, path).items() if keys[0] == "services"), default=1)
    return NeededSources(
        file=file,
        services=Source(path, first),
        overlays=() if own[1] else tuple(_overlay(world, chain, path, own[0]) for chain in file.chains if path in chain.stack.files[1:]),
        contexts={key: lacks for chain in file.chains for service in chain.stack.services.values() for key, lacks in _context(world, service)},
        absent=frozenset(_absent(world, file.chains)),
    )


def _images_and_builds(world: World, path: str) -> tuple[frozenset[str], frozenset[str]]:
    """The services that a file gives an image and no build, and those that it builds."""
    data = compose_yaml(world, path).data
    services = _plain(data.get("services")) if isinstance(data, dict) else None
    said = {str(name): _plain(service) for name, service in services.items()} if isinstance(services, dict) else {}
    builds = frozenset(
        name for name, service in said.items() if isinstance(service, dict) and service.get("build") and not isinstance(service["build"], Tagged)
    )
    images = frozenset(name for name, service in said.items() if isinstance(service, dict) and service.get("image"))
    return images - builds, builds


def _plain(said: object) -> object:
    return said.value if isinstance(said, Tagged) else said


def _overlay(world: World, chain: PlacedChain, path: str, images: frozenset[str]) -> Overlay:
    """What a file of a chain gives images to, and what is built before it and after all."""
    files = chain.stack.files
    built = frozenset[str]().union(*(_images_and_builds(world, file)[1] for file in files[: files.index(path)]))
    left = (name for name, service in chain.stack.services.items() if name in built and service.built and not service.image)
    return Overlay(chain=chain.stack.chain, given=tuple(sorted(images & built)), left=tuple(left))


def _context(world: World, service: Service) -> Iterator[tuple[tuple[str, str], str]]:
    """What is missing of a build's context or Dockerfile, when it should be in the tree."""
    folder = below(world, service.context) if service.context.startswith("/") and not _is_unknown(service.context) else None
    if folder is None or _comes_later(world, folder):
        return
    key = (service.context, service.dockerfile)
    if not _exists(world, folder):
        if not _meant_from_above(world, folder):
            yield key, f"./{folder}"
    elif service.dockerfile and not _is_unknown(service.dockerfile):
        whole = os.path.join(service.context, service.dockerfile)  # noqa: PTH118 - as docker compose puts them together
        file = below(world, whole)
        if file is not None and not _comes_later(world, file) and not _exists(world, file) and not _meant_from_above(world, file):
            yield key, f"./{file}"


def _meant_from_above(world: World, path: str) -> bool:
    """Whether the same path stands in the tree with one of its first folders left out: the file is meant to be started from above, with another project
    directory."""
    parts = path.split("/")
    return any(_exists(world, "/".join((*parts[:first], *parts[last:]))) for first in range(len(parts)) for last in range(first + 1, len(parts)))


def _is_unknown(path: str) -> bool:
    return any(mark in path for mark in MARKS)


def _comes_later(world: World, path: str) -> bool:
    """Whether a path is kept out of the repository on purpose, or is another one's."""
    modules = _SUBMODULE.findall(sources(world).text(".gitmodules") or "")
    return bool(path) and (any(path == one or path.startswith(f"{one}/") for one in modules) or ignored(world, path) or ignored(world, f"{path}/inside"))


def _exists(world: World, path: str) -> bool:
    """Whether the tree has it; what cannot be seen is not said to be missing."""
    try:
        return not path or world.tree.exists(path)
    except CouldNotLook:
        return True


def _absent(world: World, chains: tuple[PlacedChain, ...]) -> Iterator[str]:
    """The sources of mounted files that are nowhere in the tree, not ignored by git, and that no other file speaks of."""
    wanted = {
        mount.source
        for chain in chains
        for service in chain.stack.services.values()
        for mount in service.mounts
        if must_be_a_file(mount) and chain.binds.get(mount.source) is Shipped.NOTHING and not _is_unknown(mount.source)
    }
    for source in sorted(wanted):
        path = below(world, source)
        if path and not _comes_later(world, path) and not _meant_from_above(world, path) and not _spoken_of(world, posixpath.basename(path)):
            yield source


def _spoken_of(world: World, name: str) -> bool:
    """Whether any text of the tree but compose files names a file: it is made, copied or asked for."""
    word = name.encode()
    compose = world.site.compose.files if world.site.compose else ()
    for path in world.tree.listing():
        if path not in compose:
            try:
                data = world.tree.read(path)
            except CouldNotLook:
                continue
            if len(data) <= _LARGEST and word in data:
                return True
            if posixpath.basename(path).startswith(f"{name}.") or posixpath.basename(path) == name:
                return True  # an example of it, or it lies elsewhere
    return False


# ---- settings


def mounted_settings(world: World, subject: Subject) -> MountedSettings:
    """The compose file of the subject, with the texts of the tree's files that its chains mount. Raises `CouldNotLook`."""
    file = file_of_chains(world, subject)
    sourced = {source for chain in file.chains for source, what in chain.binds.items() if what is Shipped.FILE}
    texts = {source: sources(world).text(path) or "" for source in sorted(sourced) if (path := below(world, source))}
    return MountedSettings(file=file, texts=texts)


OBSERVERS: Mapping[str, Observer] = {
    "compose.sourceless_runnable": Observer(see=needed_sources),
    "compose.config_mounted_but_unused": Observer(see=mounted_settings),
}
