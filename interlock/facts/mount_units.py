"""What will be mounted at boot, and what makes the boot wait for it? The lines of fstab as systemd turns them into units, and its own mount units.

A unit in /etc/systemd/system wins over the line of fstab for the same directory, the line wins over a unit of a package; of two lines the first wins.
What lies below /run is made anew at each boot and says nothing, but for the units of generators other than that of fstab.
Sources: systemd-fstab-generator(8), systemd.mount(5), systemd.automount(5), systemd.unit(5) ("Unit File Load Path", "[Install]").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from interlock.facts.fstab import Fstab, FstabEntry, is_network, normal, option_values, switched
from interlock.facts.units import Unit, assembled, drop_ins, unit_name, unit_path
from interlock.nouns import dataclass

LOCAL_TARGET, REMOTE_TARGET = "local-fs.target", "remote-fs.target"
ETC, GENERATED = "/etc/systemd/system", "/run/systemd/generator"
VENDOR = ("/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
ROOTS = (ETC, *VENDOR)  # that are still there after a reboot
MADE_AT_BOOT = ("/dev", "/dev/shm", "/run", "/sys", "/proc", "/sys/fs/cgroup")  # noqa: S108 - what the init mounts by itself, whatever fstab says


class Link(NamedTuple):
    """A unit that another one pulls in by a link in its `.requires` or `.wants` folder."""

    by: str
    unit: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFiles:
    """What lies in the folders of units: their files (a masked unit is one without bytes) by the path of the folder, and the links that enable units."""

    folders: Mapping[str, Mapping[str, bytes]]
    links: frozenset[Link] = frozenset()

    def unit(self, name: str, roots: Iterable[str] = ROOTS) -> Unit | None:
        """A unit with its drop-ins, None when there is none. A masked one has no settings."""
        stem, _, kind = name.rpartition(".")
        template = f"{stem.partition('@')[0]}@.{kind}" if "@" in stem else name
        for root in roots:
            for file in dict.fromkeys((name, template)):
                content = self.folders.get(root, {}).get(file)
                if content is not None:
                    return assembled(name, f"{root}/{file}", content, self.drop_ins(name) if content else ())
        return None

    def drop_ins(self, name: str) -> tuple[bytes, ...]:
        """The drop-ins of a unit that are still there after a reboot."""
        return drop_ins(name, ROOTS, self.folders)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootMount:
    """Something that the boot mounts, or could. `said` is where it stands; `needed_by` and `wanted_by` are the units that start it, `before` those that wait
    for it to have been tried. `installs` are units that its file would be pulled in by if it were enabled. `masked`: it is never mounted."""

    where: str
    what: str
    fstype: str
    options: tuple[str, ...]
    said: str
    file: str
    line: int | None = None
    needed_by: frozenset[str] = frozenset()
    wanted_by: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    automount: bool = False
    masked: bool = False
    installs: frozenset[str] = frozenset()

    @property
    def unit(self) -> str:
        """The name of its mount unit."""
        return unit_name(self.where, "mount")

    @property
    def read_only(self) -> bool:
        """Whether it is mounted read-only."""
        return switched(self.options, "ro", "rw")

    @property
    def is_bind(self) -> bool:
        """Whether it shows a directory of what is mounted elsewhere."""
        return "bind" in self.options or "rbind" in self.options


def from_fstab(fstab: Fstab, file: str) -> tuple[BootMount, ...]:
    """What each line comes to with systemd; without it `noauto` alone is true of every init."""
    return tuple(_of_entry(entry, file) for entry in fstab.entries)


def _of_entry(entry: FstabEntry, file: str) -> BootMount:
    options = entry.options
    root = entry.mountpoint == "/"
    nofail = switched(options, "nofail", "fail") and not root
    automount = not root and bool({"x-systemd.automount", "comment=systemd.automount"} & set(options))
    skipped = (switched(options, "noauto", "auto") and not root) or automount
    target = REMOTE_TARGET if is_network(entry.fstype, options) else LOCAL_TARGET
    background = entry.fstype in ("nfs", "nfs4") and switched(options, "bg", "fg") and not automount
    weak = nofail or background
    needed, wanted = (frozenset(() if automount else option_values(options, f"x-systemd.{how}-by")) for how in ("required", "wanted"))
    by_target = frozenset() if skipped or needed or wanted else frozenset({target})
    return BootMount(
        where=entry.mountpoint,
        what=entry.spec,
        fstype=entry.fstype,
        options=options,
        said=f"line {entry.line} of {file}",
        file=file,
        line=entry.line,
        needed_by=needed | (frozenset() if weak else by_target),
        wanted_by=wanted | (by_target if weak else frozenset()),
        before=frozenset(option_values(options, "x-systemd.before")) | (frozenset() if weak else frozenset({target})),
        automount=automount,
    )


def at_boot(fstab: Fstab, file: str, units: UnitFiles | None) -> tuple[BootMount, ...]:
    """What the next boot would mount, one for each directory; all lines of fstab where there is no systemd (`units` None)."""
    lines = from_fstab(fstab, file)
    if units is None:
        return lines
    found: dict[str, BootMount] = {}
    for mount in (*_of_units(units, ETC), *(_dropped_in(line, units) for line in lines), *_of_other_generators(units, file)):
        found.setdefault(mount.where, mount)
    for root in VENDOR:
        for mount in _of_units(units, root):
            found.setdefault(mount.where, mount)
    return tuple(found.values())


def _dropped_in(line: BootMount, units: UnitFiles) -> BootMount:
    """A line of fstab after the drop-ins of its unit."""
    unit = assembled(line.unit, line.file, b"", units.drop_ins(line.unit))
    if not unit.settings:
        return line
    return BootMount(
        where=line.where,
        what=unit.value("Mount", "What") or line.what,
        fstype=unit.value("Mount", "Type") or line.fstype,
        options=tuple(unit.value("Mount", "Options").split(",")) if unit.value("Mount", "Options") else line.options,
        said=f"{line.said} with the drop-ins of {line.unit}",
        file=line.file,
        line=line.line,
        needed_by=line.needed_by | _linked(units, line.unit, required=True),
        wanted_by=line.wanted_by | _linked(units, line.unit, required=False),
        before=line.before | frozenset(unit.words("Unit", "Before")),
        automount=line.automount,
        masked=line.masked,
    )


def _of_units(units: UnitFiles, root: str) -> Iterator[BootMount]:
    for name in units.folders.get(root, {}):
        if name.endswith(".mount") and (unit := units.unit(name, (root,))) is not None:
            yield _of_unit(units, unit, masked=not units.folders[root][name])


def _of_other_generators(units: UnitFiles, fstab: str) -> Iterator[BootMount]:
    """ZFS, GPT and others make units at each boot; those of fstab are told by the file as it is now."""
    for name, content in units.folders.get(GENERATED, {}).items():
        if name.endswith(".mount") and (unit := units.unit(name, (GENERATED,))) is not None and unit.value("Unit", "SourcePath") not in (fstab, "/etc/fstab"):
            yield _of_unit(units, unit, masked=not content)


def _of_unit(units: UnitFiles, unit: Unit, *, masked: bool) -> BootMount:
    options = tuple(option for option in unit.value("Mount", "Options").split(",") if option)
    fstype = unit.value("Mount", "Type")
    where = normal(unit.value("Mount", "Where") or unit_path(unit.name))
    target = REMOTE_TARGET if is_network(fstype, options) else LOCAL_TARGET
    ordered = unit.value("Unit", "DefaultDependencies") not in ("no", "false", "0", "off") and not switched(options, "nofail", "fail")
    automount = unit_name(where, "automount")
    return BootMount(
        where=where,
        what=unit.value("Mount", "What"),
        fstype=fstype,
        options=options,
        said=unit.file,
        file=unit.file,
        needed_by=_linked(units, unit.name, required=True),
        wanted_by=_linked(units, unit.name, required=False),
        before=frozenset(unit.words("Unit", "Before")) | (frozenset({target}) if ordered else frozenset()),
        automount=bool(_linked(units, automount, required=True) | _linked(units, automount, required=False)),
        masked=masked,
        installs=frozenset(unit.words("Install", "WantedBy") + unit.words("Install", "RequiredBy")),
    )


def _linked(units: UnitFiles, name: str, *, required: bool) -> frozenset[str]:
    return frozenset(link.by for link in units.links if link.unit == name and link.required is required)
