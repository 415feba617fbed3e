"""What stands at a target now, and where does it lead? The way there is gone as when the file is written: below its directory no link is followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from interlock.act.files import Seen, open_below, see
from interlock.act.outcome import StepFailed
from interlock.change.resolving.resolving import Resolving
from interlock.config.scalars import LOCAL
from interlock.errors import ConfigError
from interlock.gate.plan import FilePlan, OldFile, TargetPlan
from interlock.nouns import dataclass
from interlock.observe.eyes import Eyes
from interlock.observe.fingerprint import named


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


def standing_at(resolving: Resolving, directory: str, target: str, number: int, host: str = LOCAL) -> Standing:
    """Look at a target below `directory`; both belong to the plan's fingerprint from now on.

    Raises ConfigError for what cannot be written to, or read; CouldNotLook for a host that cannot be asked.
    """
    folder, name = os.path.split(target)
    eyes = resolving.eyes(host)
    with _open_folder(resolving, eyes, (host, directory), folder, number) as (real, opened):
        seen = _seen(lambda: see(name, opened, eyes), named(host, target), resolving, number)
        standing = Standing(real=real, device=eyes.device(opened), seen=seen)
    resolving.directories.add(named(host, directory))
    resolving.files.add(named(host, target))
    return standing


@contextmanager
def _open_folder(resolving: Resolving, eyes: Eyes, place: tuple[str, str], folder: str, number: int) -> Iterator[tuple[str, int]]:
    """Where the directory of a place (its host, and its path) leads, and the folder below it, open."""
    host, directory = place
    try:
        real, _ = eyes.directory(directory)
        descriptor = open_below(directory, real, None, folder, eyes)
    except OSError as error:
        what = f"{named(host, folder)} cannot be written to: {error.strerror}"
        raise ConfigError(what, where=resolving.where(number), remedy=f"install -d {folder}") from error
    except StepFailed as failure:
        raise resolving.refused(failure, number) from failure
    try:
        yield real, descriptor
    finally:
        eyes.close(descriptor)


def _seen(look: Callable[[], Seen | None], target: str, resolving: Resolving, number: int) -> Seen | None:
    try:
        return look()
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
