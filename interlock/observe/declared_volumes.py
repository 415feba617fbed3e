"""Which named volumes does a compose file declare, which options does each file of a chain give them, and who else speaks of them?"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts.chains import Source
from interlock.facts.declared_volumes import DeclaredVolume, VolumeOptions, VolumesOfFile, mounts_of
from interlock.observe.placed import file_of_chains
from interlock.observe.programs import sorted_files
from interlock.observe.stack import compose_yaml
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_COMPOSE_NAME = regex(r"compose[^/]*\.ya?ml[^/]*$")  # examples among them: compose.override.yaml.example
_WORD = rb"(?<![\w-])%b(?![\w-])"


def volumes_of_file(world: World, subject: Subject) -> VolumesOfFile:
    """The volumes that the compose file of the subject declares, in all chains that hold it. Raises `CouldNotLook`."""
    file = file_of_chains(world, subject)
    options = volume_options(world, subject.name)
    mounted = {mount.source for chain in file.chains for service in chain.stack.services.values() for mount in service.mounts if mount.kind == "volume"}
    alone = [name for name in options if name not in mounted]
    elsewhere = _mounted_in_text(world, alone) if alone else frozenset()
    volumes = (
        DeclaredVolume(
            key=name, place=one.place, external=_is_external(world, subject.name, name), mounted_elsewhere=name in elsewhere, named_by=_named_by(world, name)
        )
        for name, one in options.items()
        if name in alone
    )
    return VolumesOfFile(file=file, volumes=tuple(volumes))


def volume_options(world: World, path: str) -> Mapping[str, VolumeOptions]:
    """What a compose file says of each volume that it declares. Raises `CouldNotLook`."""
    return {one.key: one for one in _volume_options(world, path)}


def _volume_options(world: World, path: str) -> Iterator[VolumeOptions]:
    yaml = compose_yaml(world, path)
    for name, said in _declared(world, path).items():
        inner = _plain(said)
        options = _plain(inner.get("driver_opts")) if isinstance(inner, dict) else None
        given = {str(key): str(value) for key, value in options.items()} if isinstance(options, dict) else {}
        keys = ("volumes", name, "driver_opts") if given else ("volumes", name)
        driver = str(inner.get("driver") or "") if isinstance(inner, dict) else ""
        yield VolumeOptions(key=str(name), options=given, driver=driver, place=Source(path, yaml.positions.nearest(keys).key.line))


def _declared(world: World, path: str) -> Mapping[str, object]:
    data = compose_yaml(world, path).data
    volumes = _plain(data.get("volumes")) if isinstance(data, dict) else None
    return volumes if isinstance(volumes, dict) else {}


def _is_external(world: World, path: str, name: str) -> bool:
    said = _plain(_declared(world, path).get(name))
    return isinstance(said, dict) and bool(said.get("external"))


def _plain(said: object) -> object:
    return said.value if isinstance(said, Tagged) else said


def _mounted_in_text(world: World, names: list[str]) -> frozenset[str]:
    """The volumes that the text of some compose file of the tree mounts, be it commented out, in no chain, or an example."""
    patterns, found = mounts_of(names), set[str]()
    for path in world.tree.listing():
        if _COMPOSE_NAME.search(posixpath.basename(path)):
            text = _text(world, path)
            found |= {name for name, pattern in patterns.items() if name in text and pattern.search(text)}
    return frozenset(found)


def _named_by(world: World, name: str) -> str:
    """The first script that names a volume; empty when none does, or when its name is a common word."""
    if not re.search(r"[-_\d]|vol|data", name):
        return ""
    pattern = re.compile(_WORD % re.escape(name.encode()))
    for path in sorted_files(world).scripts:
        try:
            if pattern.search(world.tree.read(path)):
                return path
        except CouldNotLook:
            continue
    return ""


def _text(world: World, path: str) -> str:
    try:
        return world.tree.read(path).decode("utf-8", "replace")
    except CouldNotLook:
        return ""


OBSERVERS: Mapping[str, Observer] = {"compose.volume_declared_but_unmounted": Observer(see=volumes_of_file)}
