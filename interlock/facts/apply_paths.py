"""By which ways is a running stack changed, and what happens on each of them, in which order? A lock, a look at the disk, a backup, a question, the change.

A `Path` is what `interlock.facts.calls` heard from one start to the end, through scripts and functions; `interlock.observe.apply_paths` finds the starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from interlock.facts.applies import Act, ApplyKind, Effect, torn_down
from interlock.facts.calls import Heard
from interlock.facts.failures import Failure
from interlock.facts.path_steps import Said, Step
from interlock.facts.programs import Unreadable
from interlock.nouns import dataclass
from interlock.patterns import regex


class Starts(StrEnum):
    """What starts a path."""

    CRON = "cron"
    TIMER = "timer"
    BOOT = "boot"  # a unit, cloud-init, `@reboot`
    EVENT = "event"  # a workflow that an event starts, a git hook
    DISPATCH = "dispatch"  # a workflow that a human starts
    HAND = "hand"  # a script or make target that somebody runs

    @property
    def by_itself(self) -> bool:
        """True when no human starts it."""
        return self not in (Starts.DISPATCH, Starts.HAND)

    @property
    def again(self) -> bool:
        """True when a second run can begin while the first one is at work: a unit is started once."""
        return self in (Starts.CRON, Starts.EVENT, Starts.DISPATCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One way to a change. `name` is stable, `file` and `line` are where its author changes it: the script that is started, else what starts it; `said` is the
    start in words. `files` are all files that it leads through.

    `exclusive`, `mounted` and `approved` say what the start itself brings: a workflow's `concurrency`, a unit's `RequiresMountsFor`, a reviewer.
    """

    starts: Starts
    said: str
    name: str
    file: str
    line: int
    heard: tuple[Heard, ...]
    files: tuple[str, ...]
    composes: tuple[str, ...] = ()  # the compose files that it may bring up
    exclusive: str = ""
    mounted: str = ""
    approved: str = ""

    def at(self, index: int) -> Heard:
        """What was heard at a place of the order."""
        return self.heard[index]

    def steps(self, step: Step, before: int) -> tuple[Heard, ...]:
        """The steps of a kind that are taken before a place is come to, in order; not those of other branches."""
        return tuple(one for one in self.heard[:before] if is_step(one, step) and not one.excludes(self.heard[before]))

    def steps_after(self, step: Step, place: int) -> tuple[Heard, ...]:
        """Those that are surely taken afterwards."""
        return tuple(one for one in self.heard[place + 1 :] if is_step(one, step) and one.after <= self.heard[place].after)

    def first_start(self) -> int | None:
        """Where containers are brought up on a machine that stays, first; None when they are not, or are down again at the end: that was a test."""
        acts = [one.what for one in self.heard if isinstance(one.what, Act)]
        if torn_down(acts):
            return None
        return next((index for index, one in enumerate(self.heard) if is_start(one)), None)

    def first_write(self) -> int | None:
        """Where data or containers are changed first: a migration, or something new that is brought up; None when nothing new is."""
        for index, one in enumerate(self.heard):
            if is_migration(one):
                return index
            if is_start(one) and self.steps(Step.FETCHES, index):
                return index if self.first_start() is not None else None
        return None


def is_step(heard: Heard, step: Step) -> bool:
    """Whether a command is a step of this kind."""
    return isinstance(heard.what, Said) and heard.what.step is step


def is_start(heard: Heard) -> bool:
    """Containers are brought up, made anew, or exchanged."""
    act = heard.what
    if not isinstance(act, Act) or act.kind is not ApplyKind.ENGINE or heard.contained or act.resumes:
        return False
    return (act.effect is Effect.UP or _EXCHANGES.search(heard.command) is not None) and (heard.place.lasts or not act.local)


_EXCHANGES = regex(r"\bstack (?:deploy|up)\b|\bservice update\b")


def is_migration(heard: Heard) -> bool:
    """The data of a database is changed for a new release."""
    said = heard.what
    if isinstance(said, Said):
        return said.step is Step.MIGRATES
    return isinstance(said, Act) and said.kind is ApplyKind.DATABASE and (heard.place.lasts or not said.local)


def holds_back(guard: Heard, change: Heard) -> bool:
    """Whether a change does not come when what stands before it fails. What counts is the level on which the two ways part: the failure of the call there."""
    parted = next((index for index, (one, other) in enumerate(zip(guard.frames, change.frames, strict=False)) if one != other), None)
    if parted is None:
        parted = min(len(guard.frames), len(change.frames)) - 1
    here = guard.frames[parted]
    if here.failure in (Failure.STOPS, Failure.ENDS):
        return True
    return any(frame.decides & change.after or (frame.failure is Failure.ENDS and frame.shell == here.shell) for frame in guard.frames[parted:])


def files_of(heard: Sequence[Heard], first: str) -> tuple[str, ...]:
    """The files that what was heard lies in, and those on the way to it."""
    return tuple(dict.fromkeys((first, *(hop.file for one in heard for hop in one.hops))))


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDisk:
    """A disk of its own that a tree declares for data: where it is mounted, and the file and line that say so (0: the site file). `overlays` are the compose
    files that bind what lies on it into containers; none for all."""

    target: str
    file: str
    line: int
    overlays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stateful:
    """A service that keeps data, by its image."""

    service: str
    server: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A database in a volume of the engine, in a chain that keeps its other state on a disk of its own. `file` and `line` are where the service gets it."""

    service: str
    server: str
    volume: str
    chain: str
    disk: StateDisk
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPaths:
    """All ways of a tree to a change, and what of the tree they are judged by. `read` is how many scripts, workflows and units were followed; `backups` are
    the scripts that back up; `automatic` the paths of files that the site declares to apply by themselves."""

    paths: tuple[Path, ...]
    read: int = 0
    disks: tuple[StateDisk, ...] = ()
    strays: tuple[Stray, ...] = ()
    stateful: tuple[Stateful, ...] = ()
    backups: tuple[str, ...] = ()
    automatic: tuple[str, ...] = ()
    unread: tuple[Unreadable, ...] = ()

    def starting(self) -> Iterator[tuple[Path, int]]:
        """The paths that bring containers up, and where they do first."""
        return ((path, at) for path in self.paths if (at := path.first_start()) is not None)


# ---- disks

_MOUNT_POINT = regex(r"/(?:[\w.@{}$-]+/?)+")
_FILE_SYSTEMS = regex(r"ext[234]|xfs|btrfs|zfs|f2fs|auto|nfs4?|cifs")
_NO_STATE = regex(r"^/(?:boot|proc|sys|dev|run|tmp|etc|usr|bin|sbin|lib|root|cdrom|media/cdrom|efi|mnt/(?:iso|usb|cdrom|tmp|boot))(?:/|$)|^/$|swap")
_DEVICE = regex(r"/dev/(?!null|zero|shm|loop)|(?:PART)?(?:UUID|LABEL)=|\$\{?\w*(?:DEV|DEVICE|DISK|PARTITION|VOLUME|BLOCK)\w*\}?$", re.IGNORECASE)


def mounted_by(argv: Sequence[str]) -> str | None:
    """Where a `mount` command mounts a disk; None for another command, a bind, and what is no disk."""
    if argv[0].rpartition("/")[2] != "mount" or any(word in ("--bind", "--rbind", "-a", "--make-rprivate", "--make-private", "-l") for word in argv):
        return None
    words = [word for word in argv[1:] if not word.startswith("-")]
    targets = [word for word in words if _DEVICE.search(word)]
    if not targets or "bind" in " ".join(argv) or "loop" in argv:
        return None
    target = words[-1] if words[-1] not in targets else ""
    return target if _is_place(target) else None


def mounted_in_fstab(line: str) -> str | None:
    """Where a line of fstab mounts a disk."""
    fields = line.split()
    if len(fields) < 3 or line.lstrip().startswith("#") or not _FILE_SYSTEMS.fullmatch(fields[2]):
        return None
    return fields[1] if _DEVICE.search(fields[0]) and "bind" not in line and _is_place(fields[1]) else None


def _is_place(target: str) -> bool:
    return (target.startswith("$") or _MOUNT_POINT.fullmatch(target) is not None) and not _NO_STATE.search(target)


def lies_on(path: str, target: str) -> bool:
    """Whether a directory is the mount point or below it; a variable is itself alone."""
    plain, point = path.replace("{", "").replace("}", "").rstrip("/"), target.replace("{", "").replace("}", "").rstrip("/")
    return plain == point or plain.startswith(point + "/")
