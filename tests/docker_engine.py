"""How does a real Docker engine come up for a test, without touching the machine's own? In a network namespace of its own, with its own data.

With `own_mounts` it has a mount namespace of its own, too: disks that are mounted in there are mounted for it and its containers, and for nobody else.

    with disks(tmp_path, data=EXT4) as disk, docker_engine(own_mounts=True) as engine:
        engine.inside("mount", disk["data"].device, str(folder))
        run_check(site, "preflight", within=engine.enter)
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.postgres import dies_with_parent, stop

IMAGE = "interlock/busybox:local"
START_LIMIT_S = 60
ROOT = Path(__file__).resolve().parent.parent
ENTER = 'exec nsenter --mount="$0" -- env --chdir="$(pwd -P)" "$@"'  # nsenter alone would start in the root directory


class DockerError(Exception):
    """An engine could not be had, or refused; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerEngine:
    """A running engine. It has no bridge: containers get `--network none` or `host`."""

    folder: Path
    pid: int

    @property
    def enter(self) -> tuple[str, ...]:
        """What stands before a command that is to see the mounts that the engine sees. Working directory and environment stay."""
        return ("sh", "-c", ENTER, f"/proc/{self.pid}/ns/mnt")

    def inside(self, *argv: str) -> str:
        """What a command says that sees the mounts that the engine sees. Raises DockerError with its words."""
        done = subprocess.run((*self.enter, *argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise DockerError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout.strip()

    @property
    def socket(self) -> Path:
        """Where its API listens."""
        return self.folder / "docker.sock"

    def __call__(self, *arguments: str) -> str:
        """What `docker ARGUMENTS` says. Raises DockerError with its words."""
        argv = ("docker", "--host", f"unix://{self.socket}", *arguments)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise DockerError(f"docker {' '.join(arguments[:2])}: {done.stderr.strip()}")
        return done.stdout.strip()


def missing() -> str:
    """What is not here that an engine needs; empty when all is."""
    programs = [name for name in ("dockerd", "docker", "unshare", "busybox") if not shutil.which(name)]
    if programs or os.geteuid() != 0:
        return "root with dockerd, docker, unshare and a static busybox (Debian: apt-get install docker.io busybox-static)"
    return ""


def next_programs() -> Path:
    """Where the engine and the compose of the next Debian are, once `make setup` has run as root."""
    place = subprocess.run(("sh", str(ROOT / "tools" / "place.sh")), capture_output=True, text=True, check=True).stdout.strip()
    return Path(place, ".setup", "next")


def missing_next() -> str:
    """What is not here that an engine of another generation needs; empty when all is."""
    return missing() or ("" if next_programs().is_dir() else "a second container engine (on Debian, as root: make setup)")


@contextmanager
def docker_engine(*, own_mounts: bool = False, programs: Path | None = None) -> Iterator[DockerEngine]:
    """A fresh one with the image `IMAGE`. A second dockerd in a network namespace would remove the bridge of the first: hence one of its own.

    What is mounted in a mount namespace of its own is gone with its last process: nothing has to be unmounted. `programs` has the dockerd of another generation
    (`next_programs`).
    """
    with tempfile.TemporaryDirectory(prefix="il-docker-", ignore_cleanup_errors=True) as name:
        roots = ("--data-root", f"{name}/data", "--exec-root", f"{name}/exec", "--pidfile", f"{name}/pid")
        dockerd = ("dockerd", *roots, "--host", f"unix://{name}/docker.sock", "--bridge=none", "--iptables=false", "--ip6tables=false")
        unshare = ("unshare", "--net", *(("--mount", "--propagation", "private") if own_mounts else ()))
        with Path(name, "log").open("wb") as log:
            process = subprocess.Popen(
                (*unshare, *dockerd),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | ({"PATH": f"{programs}:{os.environ['PATH']}"} if programs else {}),
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509, no other thread runs while engines are started
            )
        engine = DockerEngine(folder=Path(name), pid=process.pid)
        try:
            wait_until_ready(engine, process)
            import_busybox(engine)
            yield engine
            for container in engine("ps", "--all", "--quiet").split():
                engine("rm", "--force", container)
        finally:
            stop(process, signal.SIGTERM, signal.SIGTERM)


def wait_until_ready(engine: DockerEngine, process: subprocess.Popen[bytes]) -> None:
    """Until its socket is there and it answers. Raises DockerError with the end of its log."""
    limit = time.monotonic() + START_LIMIT_S
    while True:
        wrong = _not_ready(engine)
        if not wrong:
            return
        if process.poll() is not None or time.monotonic() > limit:
            raise DockerError(f"the engine does not come up: {wrong}\n{(engine.folder / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _not_ready(engine: DockerEngine) -> str:
    if not engine.socket.exists():
        return "it does not listen yet"
    try:
        engine("version")
    except DockerError as error:
        return str(error)
    return ""


def import_busybox(engine: DockerEngine) -> None:
    """Make the image `IMAGE` there."""
    root = engine.folder / "root.tar"
    busybox = shutil.which("busybox")
    assert busybox
    applets = subprocess.run((busybox, "--list"), capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(root, "w") as archive:
        archive.add(busybox, "bin/busybox")
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    engine("import", "--change", 'CMD ["sleep", "600"]', "--change", "ENV PATH=/bin", str(root), IMAGE)
