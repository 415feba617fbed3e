"""A host that runs systemd, as far as its files tell: in a mount namespace of its own, with units of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.testing import run_check
from interlock.testing.faults import own_namespace, stage, write_site
from interlock.verdicts import Verdict

UNITS = Path("/etc/systemd/system")
SERVICE = "[Unit]\nAfter=network-online.target\n[Service]\nExecStart=/usr/bin/dockerd\n"
NEEDS = "[Unit]\nRequiresMountsFor={state}\n"


class Host:
    """A site with a state disk, on a host with these units."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.units, self.state = folder, folder / "units", folder / "state"
        self.units.mkdir()
        self.state.mkdir()
        write_site(folder, {"mounts": {"state": {"path": str(self.state), "device": "state", "fstype": "tmpfs"}}})
        stage(
            folder,
            "mount -t tmpfs run /run",
            "mkdir -p /run/systemd/system",
            f"mount --bind '{self.units}' {UNITS}",
            f"mount -t tmpfs -o mode=0700 state '{self.state}'",
        )
        self.unit("docker.service", SERVICE)

    def unit(self, name: str, text: str) -> None:
        (self.units / name).parent.mkdir(exist_ok=True)
        (self.units / name).write_text(text)

    def fstab(self, options: str) -> None:
        (self.folder / "mounts-at-boot").write_text(f"state {self.state} tmpfs {options} 0 0\n" if options else "")

    def judged(self) -> tuple[Verdict, frozenset[str]]:
        ran = run_check(self.folder, "preflight", within=(*own_namespace(), "sh", str(self.folder / "stage.sh")), alone=True)
        (verdict,) = ran.verdicts("mounts.fstab")
        return verdict, ran.kinds


@pytest.fixture
def host(component: Callable[[str], None], tmp_path: Path) -> Host:
    if not own_namespace():
        component("userns")
    if not UNITS.is_dir():
        pytest.skip(f"needs {UNITS}")
    return Host(tmp_path)


def test_a_line_that_may_fail_lets_the_engine_start_first_until_its_unit_needs_the_mount(host: Host) -> None:
    host.fstab("nofail")
    verdict, kinds = host.judged()
    assert (verdict.outcome, "engine-may-start-first" in kinds) == ("broken", True), verdict
    host.unit("docker.service.d/mounts.conf", NEEDS.format(state=host.state))
    verdict, _ = host.judged()
    assert verdict.outcome == "held", verdict
    assert "before docker.service starts" in verdict.message


def test_a_mount_unit_counts_once_it_is_enabled(host: Host) -> None:
    host.fstab("")
    name = f"{str(host.state).strip('/').replace('-', chr(92) + 'x2d').replace('/', '-')}.mount"
    host.unit(name, f"[Mount]\nWhat=state\nWhere={host.state}\nType=tmpfs\n[Install]\nRequiredBy=local-fs.target\n")
    verdict, kinds = host.judged()
    assert (verdict.outcome, "not-at-boot" in kinds) == ("broken", True), verdict
    (host.units / "local-fs.target.requires").mkdir()
    (host.units / "local-fs.target.requires" / name).symlink_to(f"../{name}")
    verdict, _ = host.judged()
    assert verdict.outcome == "held", verdict
