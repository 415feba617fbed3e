"""A state directory that leaves its disk: the oldest fault of all. Provable without root, since every user has a tmpfs at /dev/shm."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from interlock.facts.mounts import MountTable
from interlock.testing.faults import Fault, move_to_unreachable_host, read_site, write_site
from interlock.verdicts import When

DISK = "/dev/shm"  # noqa: S108 - a mount that is there, not a place for temporary files


def _healthy(folder: Path) -> None:
    """State on the tmpfs at /dev/shm, declared as such."""
    shown = MountTable.parse(Path("/proc/self/mountinfo").read_bytes(), where="/proc/self/mountinfo").showing(DISK)
    assert shown is not None
    state = tempfile.mkdtemp(prefix="interlock-proof-", dir=DISK)
    (folder / "remove").write_text(state)
    write_site(folder, {"mounts": {"state": {"path": state, "mountpoint": shown.mountpoint, "device": shown.source, "fstype": shown.fstype}}})


def _seed(folder: Path) -> None:
    """The directory at the same path is now one of another disk: what an unmounted state disk looks like to the stack."""
    state = Path(read_site(folder)["mounts"]["state"]["path"])
    shutil.rmtree(state)
    elsewhere = folder / "state-on-the-wrong-disk"
    elsewhere.mkdir()
    state.symlink_to(elsewhere)


FAULTS = (
    Fault(
        guardrail="mounts.state_disk",
        describe="the state directory leads to another disk",
        kind="leads-elsewhere",
        gate=When.PREFLIGHT,
        healthy=_healthy,
        seed=_seed,
        blind=lambda folder: move_to_unreachable_host(folder, "mounts", "state"),
    ),
)
