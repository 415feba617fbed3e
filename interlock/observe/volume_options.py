"""Which options do the files of a chain give to volumes, and which directories of the host have a disk or a mount of their own?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.container_mounts import HostStack
from interlock.facts.declared_volumes import NestedPlace, OptionsOfFile
from interlock.facts.looks import Look
from interlock.facts.placed import FileOfChains
from interlock.observe import container_mounts
from interlock.observe.declared_volumes import volume_options
from interlock.observe.placed import chain_files, file_of_chains
from interlock.observe.programs import programs
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import LIVE, Subject

_FSTAB = regex(r"(?:^|[\s\"'])(?:/dev/|LABEL=|UUID=|PARTUUID=|PARTLABEL=)\S+[ \t]+(?P<path>/[\w./-]+)[ \t]+(?:ext[234]|xfs|btrfs|zfs|auto)\b")
_MOUNTS = regex(r"(?m)(?:^|[;&|(\s])mount[ \t]+\S")
_BIND = regex(r"(?:^|,)\s*bind\s*(?:,|$)")  # alone; `rbind` hides nothing


def options_of_file(world: World, subject: Subject) -> OptionsOfFile:
    """The options that the compose file of the subject gives to volumes, and what the files before it in each chain say of them. Raises `CouldNotLook`."""
    path = subject.name
    own = volume_options(world, path)
    if not any(one.options for one in own.values()):  # most files, and no chain need be resolved for them
        return OptionsOfFile(file=FileOfChains(path=path, chains=(), own=frozenset((path,))), chains=(), declared={path: own})
    file = file_of_chains(world, subject)
    chains = []
    for name, chain in world.site.chains.items():
        if path in chain.files:
            try:
                every = chain_files(world, name)
            except CouldNotLook:
                continue  # told as unread by the file
            chains.append((*(one for one in every if one not in chain.files), *chain.files))
    declared = {one: volume_options(world, one) for files in chains for one in files}
    hides = any(_BIND.search(one.options.get("o", "")) for one in own.values())
    nested = tuple(_nested(world, file)) if hides else ()
    return OptionsOfFile(file=file, chains=tuple(chains), declared={path: own, **declared}, nested=nested)


def _nested(world: World, file: FileOfChains) -> Iterator[NestedPlace]:
    """The directories of the host with something of their own: what the site declares, what scripts mount, what services bind."""
    site = world.site
    if site.mounts is not None:
        yield NestedPlace(posixpath.normpath(site.mounts.state.mounted_at), f"the site's state disk is mounted at {site.mounts.state.mounted_at}")
    if site.state_dir is not None:
        yield NestedPlace(posixpath.normpath(site.state_dir.path), f"the site's state directory is {site.state_dir.path}")
    for text in programs(world).on_hosts() if site.scripts is not None else ():
        for command in text.commands() if _MOUNTS.search(text.text) else ():
            path = command.words[-1].literal if len(command.words) > 2 and command.words[0].literal == "mount" else None
            if path and path.startswith("/"):
                yield NestedPlace(posixpath.normpath(path), f"{text.path}:{command.line} mounts something at {path}")
        for found in _FSTAB.finditer(text.text):
            line = text.line + text.text.count("\n", 0, found.start("path"))
            yield NestedPlace(posixpath.normpath(found["path"]), f"{text.path}:{line} has a disk mounted at {found['path']}")
    for chain in file.chains:
        for service in chain.stack.services.values():
            for mount in service.mounts:
                if mount.kind == "bind":
                    place = chain.mount_at(service.name, mount.target)
                    yield NestedPlace(posixpath.normpath(mount.source), f"{place} binds {mount.source} for itself")


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    return container_mounts.looks(site, subject) if subject.when == LIVE else ()


def options_seen(world: World, subject: Subject) -> OptionsOfFile | HostStack:
    """What a compose file says of volumes, or what the engine of a host has of them. Raises `CouldNotLook`."""
    return container_mounts.made_seen(world, subject) if subject.when == LIVE else options_of_file(world, subject)


OBSERVERS: Mapping[str, Observer] = {
    "mounts.driver_opts_immutable": Observer(looks=_looks, see=options_seen),
    "mounts.propagation": Observer(looks=_looks, see=options_seen),
}
