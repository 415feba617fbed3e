"""Which docker compose is here, and what does it make of these files? The program itself resolves and merges; nobody else does it right.

`config` needs no daemon and no network. `tools/fetch_compose.py` brings a pinned one where the machine has none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from interlock.errors import CouldNotLook
from interlock.nouns import dataclass

PROGRAM = "docker-compose"
NAMED_BY = "INTERLOCK_COMPOSE"
SYSTEM_PLUGINS = tuple(f"{prefix}/cli-plugins" for prefix in ("/usr/local/lib/docker", "/usr/local/libexec/docker", "/usr/lib/docker", "/usr/libexec/docker"))
OLDEST_MAJOR = 2  # version 1 was another program, with another idea of merging
ASKING_S = 30
ALL_PROFILES = ("--profile", "*")


@dataclass(frozen=True, slots=True)
class Refused:
    """Docker Compose refused the files; `why` is what it printed."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The files as Docker Compose resolves and merges them. Literal `$` is `$$` in it; values of the environment are in it, so it is not shown."""

    project: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """A docker compose that answers; `version` as it prints it, `2.40.3`."""

    path: str
    version: str

    def config(
        self,
        files: Sequence[str],
        *,
        directory: Path,
        environ: Mapping[str, str],
        env_files: Sequence[str] = (),
        options: Sequence[str] = ALL_PROFILES,
        timeout_s: float = 60,
    ) -> Model | Refused:
        """The model of `files` (below `directory`, later ones override earlier ones), all profiles included unless `options` of the program say otherwise.

        `environ` is the whole environment, which variables are taken from beside `env_files` or, without any, the `.env` beside the first file. Raises
        CouldNotLook when it does not answer.
        """
        chosen = tuple(part for file in files for part in ("--file", file)) + tuple(part for file in env_files for part in ("--env-file", file))
        done = _run((self.path, *chosen, *options, "config", "--format", "json"), directory=directory, environ=environ, timeout_s=timeout_s)
        if done.returncode != 0:  # the code differs between versions
            return Refused(done.stderr.decode("utf-8", "replace").strip())
        try:
            return Model(project=json.loads(done.stdout))
        except ValueError as error:
            raise CouldNotLook(f"{self.path} printed no JSON", where=str(directory), why=str(error), remedy="use docker compose 2.26 or newer") from error

    def hashes(self, model: Mapping[str, Any], *, directory: Path, environ: Mapping[str, str], timeout_s: float = 60) -> Mapping[str, str]:
        """What it labels the containers of each service with (`com.docker.compose.config-hash`): one with another label is made again by its next `up`.

        `model` is one that it resolved, with `directory` as its project's; the files themselves come to other hashes where services have env files. Raises
        CouldNotLook.
        """
        options = ("--project-name", str(model["name"]), "--project-directory", str(directory), "--env-file", os.devnull, "--file", "-", *ALL_PROFILES)
        done = _run((self.path, *options, "config", "--hash", "*"), directory=directory, environ=environ, timeout_s=timeout_s, given=json.dumps(model).encode())
        if done.returncode != 0:
            raise CouldNotLook(f"{self.path} does not take back what it resolved", where=str(directory), remedy="use docker compose 2.26 or newer")
        return dict(line.split(" ", 1) for line in done.stdout.decode("utf-8", "replace").splitlines() if " " in line)


def find_compose(environ: Mapping[str, str]) -> Compose | None:
    """The docker compose to ask: the one that INTERLOCK_COMPOSE names, else docker's plugin, else one on PATH, else the one that set-up unpacked.

    None when there is none. Raises CouldNotLook when the one that INTERLOCK_COMPOSE names does not answer: it is never silently another.
    """
    if named := environ.get(NAMED_BY):
        found = asked(named, environ)
        if found is None:
            raise CouldNotLook(f"{named} is no docker compose {OLDEST_MAJOR} or newer", where=NAMED_BY, remedy=f"correct {NAMED_BY}, or unset it")
        return found
    answers = (asked(candidate, environ) for candidate in candidates(environ))
    return next((compose for compose in answers if compose), None)


def candidates(environ: Mapping[str, str]) -> Iterator[str]:
    """Programs that are there and can be run, in the order of preference."""
    own = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME", "/nonexistent"), ".docker")  # noqa: PTH118, a plain string for the folders below
    for folder in (f"{own}/cli-plugins", *SYSTEM_PLUGINS, *environ.get("PATH", "").split(os.pathsep), *_unpacked()):
        if folder and (program := shutil.which(PROGRAM, path=folder)):
            yield program


def _unpacked() -> Iterator[str]:
    """Beside the virtual environment that runs this, or in the checkout."""
    for place in (Path(sys.prefix).parent, Path(__file__).parents[2]):
        yield str(place / ".setup" / "bin")


def asked(program: str, environ: Mapping[str, str]) -> Compose | None:
    """A program as the docker compose that it says it is; None for one that does not answer, or is another program."""
    try:
        done = _run((program, "version", "--short"), directory=Path("/"), environ=environ, timeout_s=ASKING_S)
    except CouldNotLook:
        return None
    version = re.fullmatch(r"v?((\d+)\.\S+)", done.stdout.decode("utf-8", "replace").strip())
    if done.returncode != 0 or version is None or int(version[2]) < OLDEST_MAJOR:
        return None
    return Compose(path=program, version=version[1])


def _run(argv: tuple[str, ...], *, directory: Path, environ: Mapping[str, str], timeout_s: float, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(argv, cwd=directory, env=dict(environ), input=given, capture_output=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_answer(argv, directory, str(error)) from error
    if done.returncode < 0:
        raise _no_answer(argv, directory, f"signal {-done.returncode} ended it")
    return done


def _no_answer(argv: tuple[str, ...], directory: Path, why: str) -> CouldNotLook:
    return CouldNotLook(f"{argv[0]} does not answer", where=str(directory), why=why, remedy=f"run it by hand: {' '.join(argv)}")
