"""The state disk on real disks: loop devices as root, tmpfs in a user namespace as anybody. Everything happens in a mount namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.testing import run_check
from interlock.testing.faults import write_site
from interlock.verdicts import Outcome

RUN = """
import sys; from pathlib import Path
from interlock.testing import run_check
ran = run_check(Path(sys.argv[1]), "preflight")
verdict = ran.verdicts("mounts.state_disk")[0] if ran.record else None
print(ran.exit_code, verdict.outcome if verdict else None, verdict.message if verdict else ran.output, sep="|")
"""


def judge_after(folder: Path, *commands: str, namespace: tuple[str, ...]) -> tuple[str, str, str]:
    """Run shell commands in a private mount namespace, then the gate of `folder` in the same one: exit code, outcome, message."""
    script = " && ".join([*commands, f'exec "{sys.executable}" -c "$RUN" "{folder}"'])
    done = subprocess.run(
        ["unshare", *namespace, "sh", "-c", script],
        env={"RUN": RUN, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, outcome, message = done.stdout.strip().split("|", 2)
    return code, outcome, message


@pytest.fixture
def disks(component: Callable[[str], None], tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two ext4 file systems on loop devices, labelled il-data and il-state."""
    component("loop")
    devices = []
    for name in ("data", "state"):
        image = tmp_path / f"{name}.img"
        with image.open("wb") as file:
            file.truncate(16 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-L", f"il-{name}", str(image)], check=True)
        devices.append(subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip())
    yield devices[0], devices[1]
    for device in devices:
        subprocess.run(["losetup", "-d", device], check=False)


ROOT_NAMESPACE = ("-m", "--propagation", "private")
USER_NAMESPACE = ("-Urm",)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def nested_site(site: Path, device: str, **more: str) -> None:
    write_site(site, {"mounts": {"state": {"path": str(site.parent / "data" / "state"), "device": device, **more}}})


def mounted(site: Path, data: str, state: str) -> list[str]:
    target = site.parent / "data"
    return [f"mount {data} {target}", f"mkdir -p {target}/state", f"mount {state} {target}/state"]


def test_a_mounted_state_disk_holds(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1], fstype="ext4")
    code, outcome, message = judge_after(site, *mounted(site, *disks), namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("0", Outcome.HELD), message


def test_an_unmounted_state_disk_is_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    target = site.parent / "data"
    code, outcome, message = judge_after(site, f"mount {disks[0]} {target}", f"mkdir -p {target}/state", namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert disks[0] in message


def test_a_state_disk_hidden_by_a_mount_over_it_is_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    code, outcome, message = judge_after(site, *mounted(site, *disks), f"mount -t tmpfs none {site.parent}/data/state", namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert "tmpfs" in message


def test_a_state_disk_hidden_by_mounting_its_parent_again_is_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    target = site.parent / "data"
    commands = [f"mkdir -p {target}/state", f"mount {disks[1]} {target}/state", f"mount {disks[0]} {target}", f"mkdir -p {target}/state"]
    code, outcome, message = judge_after(site, *commands, namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN), message


def test_swapped_disks_are_broken(site: Path, disks: tuple[str, str]) -> None:
    nested_site(site, disks[1])
    code, outcome, message = judge_after(site, *mounted(site, disks[1], disks[0]), namespace=ROOT_NAMESPACE)
    assert (code, outcome) == ("1", Outcome.BROKEN)
    assert f"expected {disks[1]}" in message


def test_the_same_holds_without_root_in_a_user_namespace(site: Path, component: Callable[[str], None]) -> None:
    component("userns")
    nested_site(site, "il-state", fstype="tmpfs")
    target = site.parent / "data"
    commands = [f"mount -t tmpfs il-data {target}", f"mkdir {target}/state", f"mount -t tmpfs il-state {target}/state"]
    assert judge_after(site, *commands, namespace=USER_NAMESPACE)[:2] == ("0", Outcome.HELD)
    assert judge_after(site, *commands, f"umount {target}/state", namespace=USER_NAMESPACE)[:2] == ("1", Outcome.BROKEN)


def test_a_state_directory_on_the_root_disk_is_broken_where_it_is(site: Path) -> None:
    (site.parent / "data" / "state").mkdir()
    nested_site(site, "LABEL=no-such-label")
    assert run_check(site, "preflight").outcome("mounts.state_disk") is Outcome.BROKEN
