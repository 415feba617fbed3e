"""Where do the files of the chains say what docker compose makes of them, and which chains hold a file?"""

from __future__ import annotations

import os
import posixpath
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts import gitignore
from interlock.facts.base_images import base_image
from interlock.facts.chains import Source
from interlock.facts.placed import FileOfChains, Keys, PlacedChain, Shipped, own_files
from interlock.facts.stack import Stack
from interlock.observe.chains import is_of_others
from interlock.observe.sources import sources
from interlock.observe.stack import alone, compose_yaml, stack, with_included
from interlock.observe.world import World
from interlock.patterns import regex
from interlock.verdicts import Subject

_VARIABLE = regex(r"\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\$\w+")
_KEEPERS = frozenset({".gitkeep", ".keep", ".gitignore", ".placeholder", "readme.md", "readme", ".empty"})
_DRIVE = regex(r"^[A-Za-z]:[\\/]")


def placed_chain(world: World, chain: str) -> PlacedChain:
    """A chain, and where its files say what. Raises `CouldNotLook` as `stack` does."""

    def look() -> PlacedChain:
        return _placed(world, stack(world, chain), world.site.chains[chain].files, chain_files(world, chain))

    return world.once(("placed", chain), look)


def _placed(world: World, model: Stack, named: Sequence[str], files: Sequence[str]) -> PlacedChain:
    places: dict[Keys, Source] = {}
    for file in (*(one for one in files if one not in named), *named):
        places.update(file_places(world, file))
    sources = {mount.source for service in model.services.values() for mount in service.mounts if mount.kind == "bind"}
    binds = {source: shipped(world, source) for source in sorted(sources)}
    return PlacedChain(stack=model, files=tuple(files), places=places, binds=binds, root=os.path.realpath(world.tree.root), bases=_bases(world, model))


def _bases(world: World, model: Stack) -> Mapping[str, str]:
    """The images that the services built here, and with mounts, are made from."""
    found = {}
    for service in model.services.values():
        path = below(world, os.path.join(service.context, service.dockerfile)) if service.dockerfile and service.context.startswith("/") else None  # noqa: PTH118
        text = sources(world).text(path) if path and service.built and service.mounts else None
        if text and (image := base_image(text)):
            found[service.name] = image
    return found


def below(world: World, path: str) -> str | None:
    """A path as it is below the tree; None for one that is outside."""
    root = os.path.realpath(world.tree.root)
    whole = os.path.normpath(os.path.join(root, path))  # noqa: PTH118 - what docker compose printed, not a path to open
    return "" if whole == root else whole[len(root) + 1 :] if whole.startswith(root + "/") else None


def shipped(world: World, source: str) -> Shipped:
    """What the tree has at the source of a bind; what cannot be seen is outside."""
    path = below(world, source)
    if path is None:
        return Shipped.OUTSIDE
    files = world.tree.listing()
    if path and (at := bisect_left(files, path)) < len(files) and files[at] == path:
        return Shipped.FILE
    inside = _below_folder(files, path)
    if inside:
        return Shipped.FOLDER if any(posixpath.basename(file).lower() not in _KEEPERS for file in inside) else Shipped.EMPTY
    try:
        return Shipped.EMPTY if world.tree.exists(path) else Shipped.NOTHING
    except CouldNotLook:
        return Shipped.OUTSIDE


def _below_folder(files: Sequence[str], folder: str) -> Sequence[str]:
    """The files below a folder; `files` are sorted."""
    if not folder:
        return files
    return files[bisect_left(files, f"{folder}/") : bisect_left(files, f"{folder}0")]  # 0 is what comes after the slash


def ignored(world: World, path: str) -> bool:
    """Whether git ignores a path of the tree."""
    folder, folders = posixpath.dirname(path), [""]
    while folder:
        folders.append(folder)
        folder = posixpath.dirname(folder)
    files = {}
    for one in folders:
        try:
            files[one] = world.tree.read(posixpath.join(one, gitignore.NAME)).decode("utf-8", "replace")
        except CouldNotLook:
            continue
    return gitignore.ignored(path, files)


def chain_files(world: World, chain: str) -> tuple[str, ...]:
    """The files of a chain, and those that they take in. Raises `CouldNotLook`."""
    return world.once(("chain files", chain), lambda: with_included(world, world.site.chains[chain].files))


def file_of_chains(world: World, subject: Subject) -> FileOfChains:
    """The compose file that the subject names, in each chain that holds it. Raises `CouldNotLook` when it cannot be read, or none of them can be looked at."""
    return world.once(("file of chains", subject.name), lambda: _file_of_chains(world, subject.name))


def _file_of_chains(world: World, path: str) -> FileOfChains:
    compose_yaml(world, path)
    found, unread, files = [], list[tuple[str, str]](), []
    for name, chain in world.site.chains.items():
        try:
            every = chain_files(world, name)
            if path in every:
                files.append((chain.files, every))
                found.append(placed_chain(world, name))
        except CouldNotLook as error:
            if path in chain.files:
                unread.append((name, error.sentence))
    if not files and not unread and not world.site.source and not is_of_others(path) and _says_enough(world, path):
        return _by_itself(world, path)
    subjects = world.site.compose.files if world.site.compose else ()
    return FileOfChains(path=path, chains=tuple(found), own=own_files(path, files, subjects), unread=tuple(unread))


def _says_enough(world: World, path: str) -> bool:
    """Whether a file has a service with an image and mounts of its own."""
    data = compose_yaml(world, path).data
    services = _plain(data.get("services")) if isinstance(data, dict) else None
    said = [_plain(service) for service in services.values()] if isinstance(services, dict) else []
    return any(isinstance(service, dict) and "image" in service and "volumes" in service for service in said)


def _by_itself(world: World, path: str) -> FileOfChains:
    """A file that no chain holds, as far as it can be looked at without others."""
    own = frozenset((path,))
    try:
        chain = _placed(world, alone(world, path), (path,), (path,))
    except CouldNotLook:
        return FileOfChains(path=path, chains=(), own=own, alone=True)
    return FileOfChains(path=path, chains=(chain,), own=own, alone=True)


def file_places(world: World, file: str) -> Mapping[Keys, Source]:
    """Where a compose file says what of its services and volumes."""
    return world.once(("places", file), lambda: dict(_places(world, file)))


def _places(world: World, file: str) -> Iterator[tuple[Keys, Source]]:
    yaml = compose_yaml(world, file)
    data = yaml.data if isinstance(yaml.data, dict) else {}
    for section in ("services", "volumes"):
        members = _plain(data.get(section))
        for name, said in members.items() if isinstance(members, dict) else ():
            yield (section, str(name)), Source(file, yaml.positions.nearest((section, name)).key.line)
            inner = _plain(said)
            for key, value in inner.items() if isinstance(inner, dict) else ():
                yield (section, str(name), str(key)), Source(file, yaml.positions.nearest((section, name, key)).key.line)
                listed = _plain(value)
                for index, item in enumerate(listed) if section == "services" and key == "volumes" and isinstance(listed, list) else ():
                    if target := _target(item):
                        yield (section, str(name), "volumes", target), Source(file, yaml.positions.nearest((section, name, key, index)).key.line)


def _plain(said: object) -> object:
    return said.value if isinstance(said, Tagged) else said


def _target(item: object) -> str:
    """Where a mount goes; empty for what is none, or stands in a variable."""
    if isinstance(item, dict):
        target = str(item.get("target") or "")
    else:
        parts = _DRIVE.sub("_", _VARIABLE.sub("$", str(item))).split(":")
        target = parts[1] if len(parts) > 1 else parts[0]
    return "" if "$" in target else (target.rstrip("/") or "/")
