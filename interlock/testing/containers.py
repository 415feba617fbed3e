"""How does a proof start containers? On the engine and from the image that two variables name; what it started ends with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from interlock.testing.faults import read_site, rewrite_site

ENGINE = ("INTERLOCK_PROOF_ENGINE", "INTERLOCK_PROOF_IMAGE")  # the socket of a container engine, and an image with `sleep` in it
LIVES_S = 60  # a container ends by itself, and is removed with its end
_LEFT = "left-with-the-engine"  # the file of a folder that names what its proof leaves there: one command of docker a line


def host() -> dict[str, object]:
    """The `hosts:` of a site whose containers run on that engine."""
    return {"local": {"engine": os.environ[ENGINE[0]]}}


def image() -> str:
    """The image that containers are started from."""
    return os.environ[ENGINE[1]]


def docker(*arguments: str, check: bool = True) -> bool:
    """Whether `docker ARGUMENTS` did its work. Raises CalledProcessError when it must and did not."""
    argv = ("docker", "--host", f"unix://{os.environ[ENGINE[0]]}", *arguments)
    return subprocess.run(argv, check=check, capture_output=True, timeout=60).returncode == 0


def start(folder: Path, service: str, *options: str, of: str = "", check: bool = True) -> bool:
    """Start a container as compose would label one of the folder's services. `of` is another image."""
    labels = {"service": service, "project": "proof", "project.working_dir": str(folder), "project.config_files": f"{folder}/compose.yaml"}
    said = [part for key, text in labels.items() for part in ("--label", f"com.docker.compose.{key}={text}")]
    name = f"{folder.name}-{service}-{len(_left(folder))}"
    leave(folder, "rm", "--force", name)
    return docker("run", "--detach", "--rm", "--network", "none", "--name", name, *said, *options, of or image(), "sleep", str(LIVES_S), check=check)


def leave(folder: Path, *arguments: str) -> None:
    """Have this command of docker run when the proof of the folder has ended."""
    with (folder / _LEFT).open("a") as file:
        file.write(" ".join(arguments) + "\n")


def end(folder: Path) -> None:
    """Take away what a proof has started and left with the engine; the last first."""
    for line in reversed(_left(folder)):
        docker(*line.split(), check=False)
    (folder / _LEFT).unlink(missing_ok=True)


def lose(folder: Path) -> None:
    """Blind what asks the engine: nobody answers at the socket that the site names."""
    site = read_site(folder)
    site["hosts"]["local"]["engine"] = str(folder / "no.sock")
    rewrite_site(folder, site)


def _left(folder: Path) -> list[str]:
    path = folder / _LEFT
    return path.read_text().splitlines() if path.exists() else []
