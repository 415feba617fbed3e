"""Disks that are not where the stack believes, chains that expect another layout, and a disk without room. Provable without root, since every user has a
tmpfs at /dev/shm."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.facts.mounts import Mount, MountTable
from interlock.testing import containers
from interlock.testing.faults import Fault, move_to_unreachable_host, read_site, rewrite_site, stage, write_site
from interlock.verdicts import When

DISK = "/dev/shm"  # noqa: S108 - a mount that is there, not a place for temporary files

BASE = """\
services:
  app: &service
    image: registry.example.org/shop:stable
    environment: {STATE_DIR: /data-state}
    volumes: [data:/data]
  worker: *service
volumes:
  data:
"""
FLAT = """\
services:
  app:
    volumes: !override
      - /data:/data
      - /data-state:/data-state
  worker:
    volumes: !override
      - /data:/data
      - /data-state:/data-state
"""

NESTED = """\
services:
  app:
    volumes: !override
      - /data:/data
  worker:
    volumes: !override
      - /data:/data
"""
FILES = {"compose.yaml": BASE, "nested.yaml": NESTED, "flat.yaml": FLAT}


def _shown(path: str) -> Mount:
    shown = MountTable.parse(Path("/proc/self/mountinfo").read_bytes(), where="/proc/self/mountinfo").showing(path)
    assert shown is not None
    return shown


def _disk(path: str, shown: Mount) -> dict[str, Any]:
    return {"path": path, "mountpoint": shown.mountpoint, "device": shown.source, "fstype": shown.fstype}


def _healthy(folder: Path) -> None:
    """State and data on the tmpfs at /dev/shm, declared as such."""
    top = tempfile.mkdtemp(prefix="interlock-proof-", dir=DISK)
    (folder / "remove").write_text(top)
    disks = {}
    for name in ("state", "data"):
        Path(top, name).mkdir()
        disks[name] = _disk(f"{top}/{name}", _shown(DISK))
    write_site(folder, {"mounts": disks})


def _leads_away(folder: Path, disk: str) -> None:
    """The directory at the same path is now one of another disk: what an unmounted disk looks like to the stack."""
    path = Path(read_site(folder)["mounts"][disk]["path"])
    shutil.rmtree(path)
    elsewhere = folder / f"{disk}-on-the-wrong-disk"
    elsewhere.mkdir()
    path.symlink_to(elsewhere)


def _full(folder: Path) -> None:
    site = read_site(folder)
    site["mounts"]["state"]["min_free"] = "900000T"
    write_site(folder, site)


def _nested(folder: Path) -> None:
    """The tmpfs at /dev/shm, and the disk that it is mounted on, which is the root disk where /dev is a plain directory."""
    top = tempfile.mkdtemp(prefix="interlock-proof-", dir=DISK)
    (folder / "remove").write_text(top)
    outer = _shown(posixpath.dirname(DISK))
    (folder / "data").symlink_to(outer.mountpoint)
    mountpoint = f"{folder}/data/{posixpath.relpath(DISK, outer.mountpoint)}"
    state = {**_disk(posixpath.join(mountpoint, posixpath.basename(top)), _shown(DISK)), "mountpoint": mountpoint}
    data = {**_disk(f"{folder}/data", outer), "mountpoint": f"{folder}/data"}
    write_site(folder, {"mounts": {"state": state, "data": data, "layout": "nested"}})


def _never_migrated(folder: Path) -> None:
    """The site says flat, and the state disk is still mounted below the data disk: a path beside it is a link there."""
    (folder / "state").symlink_to(DISK)
    site = read_site(folder)
    site["mounts"]["layout"] = "flat"
    name = posixpath.basename(site["mounts"]["state"]["path"])
    site["mounts"]["state"].update(path=f"{folder}/state/{name}", mountpoint=f"{folder}/state")
    write_site(folder, site)


def _chain(folder: Path) -> None:
    """A chain with the overlay of the flat layout, which its two services follow."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    disks = {"state": {"path": "/data-state", "device": "LABEL=state"}, "data": {"path": "/data", "device": "LABEL=data"}}
    site = {
        "mounts": {**disks, "layout": "flat", "overlays": {"nested": "nested.yaml", "flat": "flat.yaml"}},
        "compose": {"files": list(FILES), "chains": {"flat": {"files": ["compose.yaml", "flat.yaml"]}}},
        "excluded": [{what: "*", "reason": "this proves another guardrail"} for what in ("container", "volume")],
    }
    write_site(folder, site)


def _all_in_one_chain(folder: Path) -> None:
    site = read_site(folder)
    del site["compose"]["chains"]
    write_site(folder, site)


def _forgotten_bind(folder: Path) -> None:
    (folder / "flat.yaml").write_text(FLAT.removesuffix("      - /data-state:/data-state\n"))


def _state_on_the_data_disk(folder: Path) -> None:
    (folder / "compose.yaml").write_text(BASE.replace("STATE_DIR: /data-state", "STATE_DIR: /data/state"))


def _no_overlay(folder: Path) -> None:
    (folder / "flat.yaml").unlink()
    (folder / "flat.yaml").mkdir()


def _tenants(folder: Path) -> None:
    """Two tenants, each with a file system of its own."""
    _healthy(folder)
    for name in ("acme", "globex"):
        (folder / "tenants" / name).mkdir(parents=True)
    mounts = read_site(folder)["mounts"]
    write_site(folder, {"mounts": {**mounts, "others": {"tenants": {"each_below": f"{folder}/tenants", "fstype": "tmpfs", "options": ["rw", "nosuid"]}}}})
    stage(folder, *(f"mount -t tmpfs -o nosuid {name} '{folder}/tenants/{name}'" for name in ("acme", "globex")))


def _tenant_bound_to_itself(folder: Path) -> None:
    """mountpoint(1) says yes to it."""
    tenants = f"{folder}/tenants"
    stage(folder, f"mount -t tmpfs -o nosuid acme '{tenants}/acme'", f"mount --bind '{tenants}/globex' '{tenants}/globex'")


VOLUME = "interlock-proof"
RECURSIVE = ("--volume", "/dev:/data")
HIDES = ("--mount", "type=bind,src=/dev,dst=/data,bind-recursive=disabled")
READ_ONLY = ("--mount", "type=bind,src=/dev,dst=/data,readonly,bind-recursive=writable")
AS_OF_OLD = ("--volume", "/dev:/data:ro")  # before Docker 25 what is mounted below stays writable, and nobody can ask for it
MODEL = """\
services:
  app:
    image: {image}
    volumes:
      - {{type: bind, source: /dev, target: /data, bind: {{propagation: {propagation}}}}}
      - cache:/cache
volumes:
  cache: {{name: {volume}}}
"""


def _running(folder: Path, *mounts: str) -> None:
    """A state disk below a directory that is a mount itself: /dev/shm in /dev, bound into a container."""
    top = tempfile.mkdtemp(prefix="interlock-proof-", dir=DISK)  # others may write to the rest
    (folder / "remove").write_text(top)
    disk = {**_disk(top, _shown(DISK)), "markers": ["*"]}
    excluded = [{what: "*", "reason": "this proves another guardrail"} for what in ("container", "volume")]
    write_site(folder, {"hosts": containers.host(), "instances": {"main": {"directory": str(folder)}}, "mounts": {"state": disk}, "excluded": excluded})
    containers.start(folder, "app", *(mounts or RECURSIVE))


def _hidden(folder: Path) -> None:
    containers.start(folder, "worker", *HIDES)


def _writable_below(folder: Path) -> None:
    containers.start(folder, "reader", *READ_ONLY, check=False) or containers.start(folder, "reader", *AS_OF_OLD)


def _of_a_chain(folder: Path) -> None:
    """The same container, as a chain of the site has it; its volume is not there yet."""
    containers.leave(folder, "volume", "rm", "--force", VOLUME)
    _running(folder)
    _model(folder, "rprivate")
    write_site(folder, {**read_site(folder), "compose": {"files": ["compose.yaml"]}})


def _model(folder: Path, propagation: str) -> None:
    (folder / "compose.yaml").write_text(MODEL.format(image=containers.image(), propagation=propagation, volume=VOLUME))


def _slave(folder: Path) -> None:
    _model(folder, "rslave")


def _made_otherwise(_folder: Path) -> None:
    containers.docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", VOLUME)


def _in_fstab(folder: Path) -> None:
    """A state disk of its own, which the fstab in the folder brings back."""
    (folder / "state").mkdir()
    write_site(folder, {"mounts": {"state": {"path": f"{folder}/state", "device": "state", "fstype": "tmpfs"}}})
    stage(folder, f"mount -t tmpfs state '{folder}/state'")


def _fstab(line: str) -> Callable[[Path], None]:
    """Another fstab; `@` is the state directory."""
    return lambda folder: _wrote(folder / "mounts-at-boot", line.replace("@", f"{folder}/state"))


def _wrote(path: Path, text: str) -> None:
    path.write_text(text)


def _over_a_directory(folder: Path) -> None:
    """A state disk, mounted over an empty directory of the disk that the folder is on, but for the file that says so."""
    (folder / "data" / "state" / "lock").mkdir(parents=True)
    (folder / "data" / "state" / "NOT-MOUNTED").touch()
    disk = {"path": f"{folder}/data/state", "device": "state", "fstype": "tmpfs", "markers": ["NOT-MOUNTED"]}
    write_site(folder, {"mounts": {"state": disk}})
    stage(folder, f"mount -t tmpfs -o mode=0700 state '{folder}/data/state'")


def _written_while_unmounted(folder: Path) -> None:
    (folder / "data" / "state" / "state.db").write_text("what a stack without its disk wrote")


def _one_writer(folder: Path) -> None:
    """The state belongs to this user, who is declared to write it."""
    _healthy(folder)
    site = read_site(folder)
    state = site["mounts"]["state"]["path"]
    Path(state, "state.db").touch()
    rewrite_site(folder, {**site, "state_dir": {"path": state, "default": state, "writers": [os.getuid()]}, "not_used": _without(site, "state_dir")})


def _without(site: dict[str, Any], family: str) -> dict[str, str]:
    return {name: reason for name, reason in site["not_used"].items() if name != family}


def _written_by_another(folder: Path) -> None:
    """Nobody can give a file away but root: the site says that the writer is somebody else."""
    site = read_site(folder)
    site["state_dir"]["writers"] = [os.getuid() + 1]
    rewrite_site(folder, site)


def _unreachable(folder: Path) -> None:
    for disk in ("state", "data"):
        move_to_unreachable_host(folder, "mounts", disk)


FAULTS = (
    Fault(
        guardrail="mounts.state_disk",
        describe="the state directory leads to another disk",
        kind="leads-elsewhere",
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=lambda folder: _leads_away(folder, "state"),
        blind=lambda folder: move_to_unreachable_host(folder, "mounts", "state"),
    ),
    Fault(
        guardrail="mounts.data_disk",
        describe="the data directory leads to another disk",
        kind="leads-elsewhere",
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=lambda folder: _leads_away(folder, "data"),
        blind=lambda folder: move_to_unreachable_host(folder, "mounts", "data"),
    ),
    Fault(
        guardrail="mounts.layout",
        describe="a service of the flat overlay binds the data disk alone",
        kind="state-not-bound",
        gate=When.STATIC,
        healthy=_chain,
        seed=_forgotten_bind,
        blind=_no_overlay,
    ),
    Fault(
        guardrail="mounts.layout",
        describe="the variable still names a path on the data disk",
        kind="state-below-data",
        gate=When.STATIC,
        healthy=_chain,
        seed=_state_on_the_data_disk,
        blind=_no_overlay,
    ),
    Fault(
        guardrail="mounts.layout",
        describe="nobody says which files are started together, and so the overlays of both layouts are",
        kind="both-overlays",
        gate=When.STATIC,
        healthy=_chain,
        seed=_all_in_one_chain,
        blind=_no_overlay,
    ),
    Fault(
        guardrail="mounts.layout",
        describe="the site is declared flat, and its host is still nested",
        kind="not-beside",
        gate=When.PREFLIGHT,
        healthy=_nested,
        seed=_never_migrated,
        blind=_unreachable,
    ),
    Fault(
        guardrail="mounts.others",
        describe="the directory of a tenant is mounted on itself instead of a disk of its own",
        kind="bind-of-itself",
        gate=When.PREFLIGHT,
        healthy=_tenants,
        seed=_tenant_bound_to_itself,
        blind=lambda folder: move_to_unreachable_host(folder, "mounts", "others", "tenants"),
        staged=True,
    ),
    Fault(
        guardrail="mounts.others",
        describe="a tenant's disk is not mounted",
        kind="not-mounted",
        gate=When.PREFLIGHT,
        healthy=_tenants,
        seed=lambda folder: stage(folder, f"mount -t tmpfs -o nosuid acme '{folder}/tenants/acme'"),
        blind=lambda folder: move_to_unreachable_host(folder, "mounts", "others", "tenants"),
        staged=True,
    ),
    *(
        Fault(
            guardrail="mounts.fstab",
            describe=describe,
            kind=kind,
            gate=When.PREFLIGHT,
            healthy=_in_fstab,
            seed=_fstab(line),
            blind=lambda folder: move_to_unreachable_host(folder, "mounts", "state"),
            staged=True,
        )
        for describe, kind, line in (
            ("the state disk was mounted by hand, and nobody wrote it down", "not-in-fstab", "# nothing yet\n"),
            ("fstab mounts another disk at the state directory", "other-device", "LABEL=old-state @ tmpfs defaults 0 0\n"),
            ("fstab says of the state disk that it is not mounted at boot", "not-at-boot", "state @ tmpfs noauto 0 0\n"),
        )
    ),
    *(
        Fault(
            guardrail=guardrail, describe=describe, kind=kind, gate=When.PREFLIGHT, healthy=healthy, seed=seed, blind=containers.lose, needs=containers.ENGINE
        )
        for guardrail, describe, kind, healthy, seed in (
            (
                "mounts.nested_visible",
                "a container binds the directory above the state disk without what is mounted below it",
                "nested-hidden",
                _running,
                _hidden,
            ),
            (
                "mounts.read_only_is_read_only",
                "a container can write to the disk below its read-only mount",
                "writable-below",
                _running,
                _writable_below,
            ),
            (
                "mounts.propagation",
                "a container runs that binds in another way than its chain says now",
                "another-propagation",
                _of_a_chain,
                _slave,
            ),
            (
                "mounts.driver_opts_immutable",
                "a volume was made with other options than its chain says now",
                "options-differ",
                _of_a_chain,
                _made_otherwise,
            ),
        )
    ),
    Fault(
        guardrail="mounts.shadowed_files",
        describe="a file was written below the mountpoint while the state disk was not mounted",
        kind="hidden-files",
        gate=When.PREFLIGHT,
        healthy=_over_a_directory,
        seed=_written_while_unmounted,
        blind=lambda folder: move_to_unreachable_host(folder, "mounts", "state"),
        staged=True,
    ),
    Fault(
        guardrail="mounts.two_writers",
        describe="a file of the state directory belongs to another than its writer",
        kind="another-owner",
        gate=When.PREFLIGHT,
        healthy=_one_writer,
        seed=_written_by_another,
        blind=lambda folder: move_to_unreachable_host(folder, "state_dir"),
    ),
    Fault(
        guardrail="mounts.writable",
        describe="the state disk has less room than is asked for",
        kind="too-few-bytes",
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=_full,
        blind=lambda folder: move_to_unreachable_host(folder, "mounts", "state"),
    ),
)
