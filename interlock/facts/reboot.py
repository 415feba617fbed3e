"""What is on a disk's directory after a reboot, and does the engine wait for it? The nouns of `mounts.fstab`; `interlock.facts.mount_units` reads the boot."""

from __future__ import annotations

from typing import Self

from interlock.facts.mount_units import BootMount
from interlock.facts.mounts import DeviceNames, Mount, MountTable, is_below
from interlock.facts.units import Unit
from interlock.nouns import dataclass
from interlock.patterns import regex

_PROVES = regex(r"\b(?:mountpoint|findmnt)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStart:
    """How the unit that starts the engine is held back. `mounts_for` are directories whose mounts it needs and waits for, `needs` and `after` units,
    `proves` directories without whose mount it does not start. `early`: it does not even wait for local file systems."""

    name: str
    mounts_for: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    proves: tuple[str, ...] = ()
    early: bool = False

    @classmethod
    def of(cls, unit: Unit) -> Self:
        """What a service's settings say about it."""
        checks = [*unit.words("Unit", "AssertPathIsMountPoint"), *unit.words("Unit", "ConditionPathIsMountPoint")]
        commands = (command for command in unit.values("Service", "ExecStartPre") if not command.startswith("-") and _PROVES.search(command))
        return cls(
            name=unit.name,
            mounts_for=unit.words("Unit", "RequiresMountsFor"),
            needs=frozenset(unit.words("Unit", "Requires") + unit.words("Unit", "BindsTo") + unit.words("Unit", "Requisite")),
            after=frozenset(unit.words("Unit", "After")),
            proves=(*(path for path in checks if path.startswith("/")), *(word for command in commands for word in command.split() if word.startswith("/"))),
            early=unit.value("Unit", "DefaultDependencies") in ("no", "false", "0", "off"),
        )

    def needs_mount_at(self, where: str) -> bool:
        """Whether it says by a path that it cannot do without what is mounted there."""
        return any(is_below(path.rstrip("/") or "/", where) for path in self.mounts_for) or where in {path.rstrip("/") for path in self.proves}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskAtBoot:
    """A declared disk beside what the next boot would mount. `realpath` and `mountpoint_realpath` are resolved; `subvolume` as declared; `device` of another
    mount that names none is what is there now, empty when nothing is: then any will do.

    `boot` is all that the boot mounts; `fstab` the file, `unread` the numbers of its lines that nobody can read; `systemd`: the host runs it; `engine_unit` the
    unit that the site names, `engine` what it says, None when the host has no such unit.
    """

    path: str
    realpath: str
    mountpoint: str
    mountpoint_realpath: str
    device: str
    fstype: str | None
    subvolume: str | None
    table: MountTable
    names: DeviceNames
    boot: tuple[BootMount, ...]
    fstab: str
    systemd: bool
    engine_unit: str
    engine: EngineStart | None = None
    unread: tuple[int, ...] = ()

    @property
    def live(self) -> Mount | None:
        """What is mounted there now, None when nothing is, or nobody has entered it since the boot."""
        shown = self.table.showing(self.mountpoint_realpath)
        return shown if shown is not None and shown.mountpoint == self.mountpoint_realpath and shown.fstype != "autofs" else None

    @property
    def here(self) -> tuple[BootMount, ...]:
        """What the boot mounts at its mountpoint, in the order of their lines."""
        return tuple(mount for mount in self.boot if mount.where in (self.mountpoint, self.mountpoint_realpath))
