"""Which databases do the programs carry that the chains of a compose file build here?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from interlock.errors import CouldNotLook
from interlock.facts.embedded import LISTS, StoppedFile, embedded_engine
from interlock.observe.placed import below, file_of_chains
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def stopped_file(world: World, subject: Subject) -> StoppedFile:
    """The compose file of the subject, and what is carried by what its chains build. Raises `CouldNotLook`."""
    file = file_of_chains(world, subject)
    contexts = {service.context for chain in file.chains for service in chain.stack.services.values() if service.context}
    return StoppedFile(file=file, engines={context: engine for context in sorted(contexts) if (engine := _engine(world, context))})


def _engine(world: World, context: str) -> str:
    """The database that is built into the program of a folder; empty for none, and for a folder that is not in the tree."""
    folder = below(world, context)
    if folder is None:
        return ""
    return world.once(("embedded", folder), lambda: embedded_engine(_lists(world, folder)))


def _lists(world: World, folder: str) -> Iterator[str]:
    for name in LISTS:
        try:
            yield world.tree.read(posixpath.join(folder, name)).decode("utf-8", "replace")
        except CouldNotLook:
            continue


OBSERVERS: Mapping[str, Observer] = {"compose.stop_grace_for_stateful": Observer(see=stopped_file)}
