"""What stands at a target now, and where does it lead? The way there is gone as when the file is written: below its directory no link is followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from interlock.act.files import Seen, device_of, open_below, see
from interlock.act.outcome import StepFailed
from interlock.change.resolving.resolving import Resolving
from interlock.errors import ConfigError
from interlock.gate.plan import FilePlan, OldFile, TargetPlan
from interlock.nouns import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the directory of a target leads, what the target's folder shows as `major:minor`, and the file that stands there (None: nothing does)."""

    real: str
    device: str
    seen: Seen | None

    @property
    def old(self) -> OldFile | None:
        """The file without its bytes, as a plan names it."""
        seen = self.seen
        return OldFile(digest=seen.digest, size=len(seen.data), mode=seen.mode, uid=seen.uid, gid=seen.gid) if seen is not None else None


def standing_at(resolving: Resolving, directory: str, target: str, number: int) -> Standing:
    """Look at a target below `directory`; both belong to the plan's fingerprint from now on. Raises ConfigError for what cannot be written to, or read."""
    folder, name = os.path.split(target)
    with _open_folder(resolving, directory, folder, number) as (real, descriptor):
        standing = Standing(real=real, device=device_of(os.fstat(descriptor).st_dev), seen=_seen(name, descriptor, target, resolving, number))
    resolving.directories.add(directory)
    resolving.files.add(target)
    return standing


@contextmanager
def _open_folder(resolving: Resolving, directory: str, folder: str, number: int) -> Iterator[tuple[str, int]]:
    real = os.path.realpath(directory)
    try:
        descriptor = open_below(directory, real, None, folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written to: {error.strerror}", where=resolving.where(number), remedy=f"install -d {folder}") from error
    except StepFailed as failure:
        raise resolving.refused(failure, number) from failure
    try:
        yield real, descriptor
    finally:
        os.close(descriptor)


def _seen(name: str, folder: int, target: str, resolving: Resolving, number: int) -> Seen | None:
    try:
        return see(name, folder)
    except OSError as error:
        raise ConfigError(f"{target} cannot be read: {error.strerror}", where=resolving.where(number), remedy="run as the user who may replace it") from error
    except StepFailed as failure:
        raise resolving.refused(failure, number) from failure


def demand_unwritten(resolving: Resolving, host: str, target: str, number: int) -> None:
    """Raise ConfigError for a file that an earlier step of the plan writes: what it will be then is not there to be seen, and undo knows one old state."""
    earlier = resolving.written.get((host, target))
    if earlier is not None:
        raise written_twice(resolving, target, earlier, number)


def written_twice(resolving: Resolving, target: str, earlier: TargetPlan, number: int) -> ConfigError:
    """`earlier` is what is written there already, maybe by another name."""
    by = f"template {earlier.template} of {earlier.instance}" if isinstance(earlier, FilePlan) else "an env patch"
    return ConfigError(
        f"{target} would be written twice",
        where=resolving.where(number),
        why=f"{by} writes it already" + (f", as {earlier.target}" if earlier.target != target else ""),
        remedy="write it once: put all of its changes into one template, or into one env patch",
    )
