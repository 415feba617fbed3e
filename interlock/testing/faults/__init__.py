"""What would make each guardrail turn broken? A healthy site in a folder, and one seeded fault: `interlock selftest` and our own tests use the same ones.

A family's module holds `FAULTS: tuple[Fault, ...]`; every guardrail of the catalogue has at least one.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from interlock.config.scalars import DECLARED_BY, HEADLINE_FAMILIES
from interlock.nouns import dataclass
from interlock.verdicts import When

UNREACHABLE = {"ssh": {"destination": "nobody@127.0.0.1", "port": 1}, "timeout": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One guardrail proven both ways. `healthy(folder)` writes a whole site that holds; `seed(folder)` breaks one thing in it, so that exactly this guardrail
    turns broken with a detail of this `kind`; `blind(folder)` makes a healthy site's subject impossible to look at. `needs` names the environment variables
    without which it cannot be proven here (a database of the right kind); `action` is the one that the gate is asked for, where only some ask it;
    `plan` the folder of its plan, where a plan is judged; `staged`: the gate runs in a mount namespace of its own, behind the script `stage.sh` of the folder,
    which mounts what the site is about and ends with `exec "$@"` (`stage`)."""

    guardrail: str
    describe: str
    kind: str
    gate: When
    healthy: Callable[[Path], None]
    seed: Callable[[Path], None]
    blind: Callable[[Path], None]
    needs: tuple[str, ...] = ()
    action: str | None = None
    plan: str | None = None
    staged: bool = False


def all_faults() -> tuple[Fault, ...]:
    """The faults of every family, sorted by guardrail and description."""
    found: list[Fault] = []
    for module in pkgutil.iter_modules(__path__):
        found += importlib.import_module(f"{__name__}.{module.name}").FAULTS
    return tuple(sorted(found, key=lambda fault: (fault.guardrail, fault.describe)))


def own_namespace() -> tuple[str, ...]:
    """The command that starts another one in a mount namespace of its own, where mounts can be made that nobody else sees; without root it has a user
    namespace too. Empty where that cannot be had."""
    command = ("unshare", "-m", "--propagation", "private") if os.geteuid() == 0 else ("unshare", "-Urm", "--propagation", "private")
    works = shutil.which("unshare") and subprocess.run((*command, "true"), capture_output=True, check=False).returncode == 0
    return command if works else ()


def stage(folder: Path, *commands: str) -> None:
    """Write the `stage.sh` of a staged fault: these shell commands, then what stands behind it.

    The folder is a mount of the new namespace first: below one that was made outside of a user namespace the kernel lets nobody look.
    """
    own = f"mount --bind '{folder}' '{folder}'", f"cd '{folder}'"
    (folder / "stage.sh").write_text("\n".join(("set -e", *own, *commands, 'exec "$@"', "")))


def write_site(folder: Path, site: Mapping[str, Any]) -> None:
    """Write `interlock.yaml` with every headline family that `site` leaves out declared as not used."""
    site = _with_fstab(folder, site)
    not_used = {family: "this folder proves another guardrail" for family in HEADLINE_FAMILIES if not any(key in site for key in DECLARED_BY[family])}
    (folder / "interlock.yaml").write_text(yaml.safe_dump({"interlock": 1, "site": "proof", "not_used": not_used, **site}, sort_keys=False))


def _with_fstab(folder: Path, site: Mapping[str, Any]) -> Mapping[str, Any]:
    """The site with an fstab of its own in the folder, which brings back each of its disks: what is on this machine's says nothing of them."""
    mounts, local = site.get("mounts", {}), site.get("hosts", {}).get("local", {})
    disks = [disk for disk in (mounts.get("state"), mounts.get("data"), *mounts.get("others", {}).values()) if disk and "path" in disk]
    here = [disk for disk in disks if disk.get("host", "local") == "local" and "device" in disk]
    own = str(folder / "mounts-at-boot")
    if not here or local.get("fstab", own) != own:
        return site
    (folder / "mounts-at-boot").write_text("".join(map(_fstab_line, sorted(here, key=_mountpoint))))  # what is mounted on another one comes after it
    return {**site, "hosts": {**site.get("hosts", {}), "local": {**local, "fstab": own}}}


def _mountpoint(disk: Mapping[str, Any]) -> str:
    return str(disk.get("mountpoint", disk["path"]))


def _fstab_line(disk: Mapping[str, Any]) -> str:
    where = _mountpoint(disk).replace(" ", "\\040")
    options = f"X-mount.subdir={disk['subvolume']}" if disk.get("subvolume", "/") != "/" else "defaults"
    return f"{disk['device']} {where} {disk.get('fstype', 'auto')} {options} 0 0\n"


def read_site(folder: Path) -> dict[str, Any]:
    """The site file of a folder as plain data."""
    site: dict[str, Any] = yaml.safe_load((folder / "interlock.yaml").read_text())
    return site


def rewrite_site(folder: Path, site: Mapping[str, Any]) -> None:
    """Write the site file of a folder as it is given, unlike `write_site`, which says what else is not used."""
    (folder / "interlock.yaml").write_text(yaml.safe_dump(dict(site), sort_keys=False))


def lose_compose_file(folder: Path) -> None:
    """Blind what is judged from the chain: its base is in another place."""
    site = read_site(folder)
    site["compose"]["files"] = ["elsewhere/compose.yaml"]
    rewrite_site(folder, site)


def move_to_unreachable_host(folder: Path, *keys: str) -> None:
    """Blind a live subject: let the noun at this path of the site file lie on a host that no one answers on."""
    site = read_site(folder)
    noun = site
    for key in keys:
        noun = noun[key]
    noun["host"] = "gone"
    site["hosts"] = {**site.get("hosts", {}), "gone": UNREACHABLE}
    rewrite_site(folder, site)
