"""What does an env-patch step come to? The digest of every env file once it is patched, and which of its variables become others."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from interlock.change.patching import patch_values
from interlock.change.resolving.resolving import Resolving
from interlock.change.resolving.targets import demand_unwritten, standing_at
from interlock.config.actions import EnvPatchStep
from interlock.errors import ConfigError
from interlock.facts.canonical import digest
from interlock.facts.env_patches import patched
from interlock.gate.plan import EnvFilePlan, EnvPatchPlan, NewFile


class _Place(NamedTuple):
    """Where an env file lies: `target` on `host`, below `directory`."""

    host: str
    directory: str
    target: str


def resolve_env_patch(resolving: Resolving, step: EnvPatchStep, number: int) -> EnvPatchPlan:
    """One file, or one of each instance. Raises ConfigError; CouldNotLook for a value that only the environment has, and has not here."""
    places = list(_places(resolving, step))
    values = patch_values(step, resolving.environ, where=resolving.where(number))
    return EnvPatchPlan(step=number, files=tuple(_file(resolving, place, values, number) for place in places))


def _places(resolving: Resolving, step: EnvPatchStep) -> Iterator[_Place]:
    if step.instances is None:
        target = posixpath.normpath(f"/{step.file.lstrip('/')}")
        yield _Place(resolving.host(step.host), posixpath.dirname(target), target)
        return
    for name in step.instances:
        instance = resolving.site.instances[name]
        yield _Place(resolving.host(instance.host), instance.directory, posixpath.normpath(posixpath.join(instance.directory, step.file)))


def _file(resolving: Resolving, place: _Place, values: Mapping[str, str], number: int) -> EnvFilePlan:
    host, directory, target = place
    demand_unwritten(resolving, host, target, number)
    standing = standing_at(resolving, directory, target, number, host)
    if standing.seen is None or standing.old is None:
        raise ConfigError(
            f"there is no env file {target}",
            where=resolving.where(number),
            why="an env patch sets variables of a file that is there",
            remedy=f"correct `file`, or make one: install -m 0600 /dev/null {target}",
        )
    done = patched(standing.seen.data, values, where=target)
    resolving.patched[host, target] = done.data
    return EnvFilePlan(
        host=host,
        directory=directory,
        real=standing.real,
        device=standing.device,
        target=target,
        new=NewFile(digest=digest(done.data), size=len(done.data), mode=standing.old.mode, content="patched"),
        old=standing.old,
        set=done.set,
        appended=done.appended,
    )
