"""What does docker compose make of a chain of the site's files? Resolved by the program itself, once a run, whoever asks.

`interlock.facts.stack` has the nouns, `interlock.observe.compose_binary` the program.
"""

from __future__ import annotations

from collections.abc import Mapping

from interlock.errors import CouldNotLook
from interlock.facts.stack import Stack
from interlock.observe.compose_binary import Refused, find_compose
from interlock.observe.world import World


def chain_names(world: World) -> tuple[str, ...]:
    """The chains of the site's compose files, in the order of the site file."""
    return tuple(world.site.compose.started) if world.site.compose else ()


def stack(world: World, chain: str) -> Stack:
    """A chain as docker compose resolves it. Raises `CouldNotLook` when there is no docker compose, or when it refuses the chain."""
    found = world.once(("stack", chain), lambda: resolve(world, chain))
    if isinstance(found, Refused):
        raise CouldNotLook(f"docker compose refuses the chain {chain}", where=chain, why=found.why, remedy="mend what compose.chain_valid says of it")
    return found


def resolve(world: World, chain: str) -> Stack | Refused:
    """What docker compose says of a chain. Raises `CouldNotLook` when there is none to ask."""
    compose = find_compose(world.environ)
    if compose is None:
        raise CouldNotLook(
            "there is no docker compose here", where=chain, why="nobody else resolves compose files right", remedy="install docker-compose-plugin"
        )
    assert world.site.compose is not None  # chains are made from it
    declared = world.site.compose.started[chain]
    found = compose.config(declared.files, directory=world.tree.root, environ=_environ(world), env_files=declared.env_files or ())
    if isinstance(found, Refused):
        return found
    return Stack.of(found.project, chain=chain, files=declared.files)


def _environ(world: World) -> Mapping[str, str]:
    """What the program itself needs, and no variable of the operator's shell: a chain must not resolve differently at another terminal."""
    return {name: value for name, value in world.environ.items() if name in ("PATH", "HOME", "DOCKER_CONFIG", "TMPDIR")}
