"""Where does a test get real disks? Loop devices over sparse files, each with a file system and a label; nobody has mounted them.

Mount them in a mount namespace of your own alone: `unshare -m --propagation private`, or an engine's (`tests.docker_engine`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """What a disk is made as. `mib` is its size; the file behind it takes what is written alone."""

    fstype: str
    mib: int


EXT4 = FileSystem(fstype="ext4", mib=16)
XFS = FileSystem(fstype="xfs", mib=300)  # the least that mkfs.xfs makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A block device with a file system. `label` and `uuid` are the file system's."""

    device: str
    fstype: str
    label: str
    image: Path

    @property
    def uuid(self) -> str:
        """As blkid reads it from the device."""
        return _run("blkid", "-p", "-o", "value", "-s", "UUID", self.device)

    @property
    def number(self) -> int:
        """What st_dev says of a file on it."""
        return os.stat(self.device).st_rdev


def missing(fstype: str = "ext4") -> str:
    """What is not here that a disk with such a file system needs; empty when all is."""
    ready = os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which(f"mkfs.{fstype}")
    package = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}[fstype]
    return "" if ready else f"root with loop devices and mkfs.{fstype} (Debian: apt-get install {package})"


@contextmanager
def disks(folder: Path, **made_as: FileSystem) -> Iterator[Mapping[str, Disk]]:
    """One for each name, labelled il-NAME: `with disks(tmp_path, data=EXT4, state=XFS) as disk: disk["state"].device`.

    Each is detached at the end; one that is still mounted somewhere then goes with its last mount. Raises CalledProcessError.
    """
    with ExitStack() as stack:
        yield {name: stack.enter_context(_disk(folder / f"{name}.img", f"il-{name}", kind)) for name, kind in made_as.items()}


@contextmanager
def _disk(image: Path, label: str, kind: FileSystem) -> Iterator[Disk]:
    with image.open("wb") as file:
        file.truncate(kind.mib * 1024 * 1024)
    _run(f"mkfs.{kind.fstype}", "-q", "-L", label, str(image))
    device = _run("losetup", "--find", "--show", str(image))
    try:
        yield Disk(device=device, fstype=kind.fstype, label=label, image=image)
    finally:
        subprocess.run(("losetup", "--detach", device), check=False)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
