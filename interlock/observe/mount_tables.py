"""Which mounts does a host have? Its table, parsed once a run whoever asks."""

from __future__ import annotations

from interlock.facts.mount_tables import MountTable
from interlock.observe.world import World


def mount_table(world: World, host: str) -> MountTable:
    """The mount table of a host. Raises `CouldNotLook`."""
    facts = world.host(host)
    return world.once(("mount table", host), lambda: MountTable.parse(facts.mounts().mountinfo, where=f"{host}:/proc/self/mountinfo"))
