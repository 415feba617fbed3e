"""How does a real Podman come up for a test, as root, with its API socket and without touching the machine's own? With its own data, and its own mounts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.docker_engine import DockerEngine, import_busybox, wait_until_ready
from tools.postgres import dies_with_parent, stop


@dataclass(frozen=True, slots=True, kw_only=True)
class PodmanEngine(DockerEngine):
    """A running one. Its containers get `--network none`."""

    @property
    def roots(self) -> tuple[str, ...]:
        """The options that stand before every verb. crun refuses a machine with both generations of cgroups."""
        places = ("--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run", "--tmpdir", f"{self.folder}/tmp")
        return ("podman", *places, "--storage-driver", "overlay", "--runtime", "runc", "--cgroup-manager", "cgroupfs")

    def __call__(self, *arguments: str) -> str:
        """What `podman ARGUMENTS` says. Raises DockerError with its words."""
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")  # its own are higher than this machine's root may set
        verb, rest = arguments[0], arguments[1:]
        return self.inside(*self.roots, verb, *(limits if verb in ("run", "create") else ()), *rest)


def missing() -> str:
    """What is not here that Podman needs; empty when all is."""
    programs = [name for name in ("podman", "runc", "unshare", "nsenter", "busybox") if not shutil.which(name)]
    if programs or os.geteuid() != 0:
        return "root with podman, runc, unshare and a static busybox (Debian: apt-get install podman runc busybox-static)"
    return ""


@contextmanager
def podman_engine() -> Iterator[PodmanEngine]:
    """A fresh one with the image `IMAGE`, and its service."""
    with tempfile.TemporaryDirectory(prefix="il-podman-", ignore_cleanup_errors=True) as name:
        roots = PodmanEngine(folder=Path(name), pid=0).roots
        with Path(name, "log").open("wb") as log:
            process = subprocess.Popen(
                ("unshare", "--mount", "--propagation", "private", *roots, "system", "service", "--time", "0", f"unix://{name}/docker.sock"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509, no other thread runs while engines are started
            )
        engine = PodmanEngine(folder=Path(name), pid=process.pid)
        try:
            wait_until_ready(engine, process)
            import_busybox(engine)
            yield engine
            engine("stop", "--all", "--time", "0")  # the rest goes with the folder
        finally:
            stop(process, signal.SIGTERM, signal.SIGTERM)
            _wait_until_left(name)


def _wait_until_left(folder: str) -> None:
    """Until none of its processes is left: what watched a container cleans up after it, in the folder."""
    limit = time.monotonic() + 10
    while any(os.fsencode(folder) in cmdline for cmdline in _command_lines()) and time.monotonic() < limit:
        time.sleep(0.02)


def _command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()
