"""Which disks does this host show around the state: the one that it lies on, the one around that, and one of their own for backups?

What is learned has the mark `unconfirmed`; what cannot have it, a disk of backups, is a question. `interlock.discover.live` looks.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from interlock.discover.document import From, Offer
from interlock.facts.engine import ContainerMount, Engine
from interlock.facts.mounts import Mount, MountTable, is_below

MARK = {"unconfirmed": True}
HERE = "from this host: "
Device = Callable[[Mount], str]
"""What a mount's device is called in a site file."""


def learned(path: str, mount: Mount, table: MountTable, device: Device) -> dict[str, Any]:
    """The state disk as it is shown, and where it is mounted on another disk that one too, with the layout that the two have."""
    return {"state": From(_disk(path, mount, device), f"{HERE}what {path} shows"), **_around(mount, table, device)}


def _disk(path: str, mount: Mount, device: Device) -> dict[str, Any]:
    at = {"mountpoint": mount.mountpoint} if mount.mountpoint != path else {}
    return {"path": path, **at, "device": From(device(mount), f"{HERE}{mount}"), "fstype": mount.fstype, **MARK}


def _around(mount: Mount, table: MountTable, device: Device) -> dict[str, Any]:
    outer = table.showing(posixpath.dirname(mount.mountpoint))
    if outer is None or outer.mountpoint == "/" or not has_a_disk(outer) or outer.device_number == mount.device_number:
        return {}
    said = f"{mount.mountpoint} is mounted on {outer.mountpoint}"
    data = From(_disk(outer.mountpoint, outer, device), f"{HERE}{said}")
    return {"data": data, "layout": From("nested", f"{HERE}{said}")}


def has_a_disk(mount: Mount) -> bool:
    """Whether a device of its own is behind a mount."""
    return mount.source.startswith("/dev/")


def of_backups(folders: Iterable[str], mounts: Mapping[str, Any], showing: Callable[[str], Mount | None], device: Device) -> Offer | None:
    """The mounts that backups lie on and that are neither the root's nor declared; None where there is none."""
    declared = {str(disk.get("mountpoint") or disk["path"]) for disk in (mounts.get("state"), mounts.get("data")) if disk}
    declared |= {str(one.get("path")) for one in mounts.get("others", {}).values()}
    shown = {mount.mountpoint: mount for folder in folders if (mount := showing(folder)) is not None}
    found = {at: mount for at, mount in sorted(shown.items()) if at != "/" and at not in declared}
    if not found:
        return None
    entries = {_named(at): {"path": at, "device": device(mount), "fstype": mount.fstype} for at, mount in found.items()}
    return Offer(entries, f"backups lie on {' and '.join(found)}, as this host shows: must a disk be mounted there?")


def _named(mountpoint: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", mountpoint).strip("-")[:63]


def outside(path: str, engine: Engine) -> Mapping[str, str]:
    """Where on the host the containers have a directory that is called `path` inside, by the container's name."""
    devices = {volume.name: volume.options.get("device", "") or volume.mountpoint for volume in engine.volumes}
    found = {}
    for container in engine.containers:
        over = [mount for mount in container.mounts if is_below(path, posixpath.normpath(mount.destination))]
        if over:
            nearest = max(over, key=lambda mount: len(mount.destination))
            rest = posixpath.relpath(path, posixpath.normpath(nearest.destination))
            if source := _source(nearest, devices):
                found[container.name] = posixpath.normpath(posixpath.join(source, rest))
    return found


def _source(mount: ContainerMount, devices: Mapping[str, str]) -> str:
    source = devices.get(mount.name) or mount.source
    return source if source.startswith("/") and source != "/" else ""
