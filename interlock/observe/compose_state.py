"""What would docker compose start, and what does the engine have of it now? A chain in its place, resolved by the program itself; a project's containers,
images, volumes and networks.

    place = ChainPlace(compose=found, engine=socket, files=("/srv/app/compose.yaml",), env_files=("/srv/app/.env",), environ=environ)
    model = place.model("default")
    state = project_state(socket, model.project)

No variable of the operator's shell reaches docker compose but those of `KEPT`: a chain must not come to something else at another terminal, in a job, or
when it is undone. Values come from env files, and DOCKER_HOST is the engine that was looked at.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.compose_project import ONE_OFF_LABEL, ChainModel, ProjectState
from interlock.facts.dotenv import EnvFile
from interlock.facts.engine import Engine, EngineVolume
from interlock.facts.looks import remedy_for
from interlock.facts.refusals import refusal, without_values
from interlock.nouns import dataclass
from interlock.observe.compose_binary import ALL_PROFILES, Compose, Refused
from interlock.observe.engine_api import EngineApi

KEPT = ("PATH", "HOME", "DOCKER_CONFIG", "TMPDIR")
OURS = ("COMPOSE_", "DOCKER_", "BUILDKIT_", "BUILDX_")  # what a variable is called that steers the programs themselves
FIXED = {  # an env file may name these, too: docker compose takes what begins with COMPOSE_ from it, unless it is set already
    "COMPOSE_REMOVE_ORPHANS": "false",
    "COMPOSE_IGNORE_ORPHANS": "false",
    "COMPOSE_EXPERIMENTAL_GIT_REMOTE": "false",
    "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false",
}
LOOKING_S = 30.0
NOTHING = "nothing"
PROJECT_LABEL = "com.docker.compose.project"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPlace:
    """A chain where it is started: its files and env files, absolute, and the engine behind a socket. The project's directory is that of the first file.

    `environ` is the operator's; what docker compose gets of it is `given`. Without env files none is read.
    """

    compose: Compose
    engine: str
    files: tuple[str, ...]
    env_files: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)

    @property
    def home(self) -> str:
        """The project's directory."""
        return os.path.dirname(self.files[0])  # noqa: PTH120 - text, as compose has it

    def given(self) -> dict[str, str]:
        """The whole environment of docker compose."""
        kept = {name: value for name, value in self.environ.items() if name in KEPT}
        return {**kept, **FIXED, "PWD": self.home, "DOCKER_HOST": f"unix://{self.engine}"}

    def options(self, project: str, *, resolved: str = "") -> tuple[str, ...]:
        """The options that stand before a verb of docker compose. `resolved` is a file that holds the chain as it was resolved once, in place of its own."""
        files = tuple(part for file in ((resolved,) if resolved else self.files) for part in ("--file", file))
        env_files = tuple(part for file in ((() if resolved else self.env_files) or (os.devnull,)) for part in ("--env-file", file))
        return ("--ansi", "never", "--progress", "plain", "--project-name", project, "--project-directory", self.home, *files, *env_files)

    def model(self, chain: str, *, all_profiles: bool = True) -> ChainModel | str:
        """The chain as docker compose resolves it now, or why it refuses it, without values. Raises CouldNotLook when it does not answer."""
        return self._asked(chain, self.given(), all_profiles=all_profiles)

    def hashes(self, model: Mapping[str, Any]) -> Mapping[str, str]:
        """`Compose.hashes` of a model of this chain."""
        return self.compose.hashes(model, directory=Path(self.home), environ=self.given())

    def moved_by_shell(self, chain: str, known: ChainModel) -> tuple[str, ...]:
        """The variables of this shell that would make another chain of it, were they let through: none where the shell changes nothing."""
        shell = {name: value for name, value in self.environ.items() if not name.startswith(OURS)}
        other = self._asked(chain, {**shell, **self.given()}, all_profiles=True)
        if isinstance(other, ChainModel) and other.digest == known.digest:
            return ()
        texts = [path.read_text(errors="replace") for path in map(Path, (*self.files, *self.env_files)) if path.is_file()]
        named = tuple(name for name in sorted(shell) if name not in KEPT and any(name in text for text in texts))
        return named or ("a variable",)

    def _asked(self, chain: str, environ: Mapping[str, str], *, all_profiles: bool) -> ChainModel | str:
        options = ("--project-directory", self.home, *(ALL_PROFILES if all_profiles else ()))
        directory = Path(self.home)
        if not directory.is_dir():
            return f"{self.home} is not there"
        answer = self.compose.config(self.files, directory=directory, environ=environ, env_files=self.env_files or (os.devnull,), options=options)
        if isinstance(answer, Refused):
            return without_values(refusal(answer.why).words, self._values(), roots=())
        try:
            return ChainModel.of(answer.project, chain=chain, files=self.files)
        except ValueError as error:
            raise CouldNotLook("docker compose printed no model", where=self.files[0], why=str(error), remedy="use docker compose 2.26 or newer") from error

    def _values(self) -> Mapping[str, str]:
        """What the env files give, which may be secrets: no message shows it."""
        values: dict[str, str] = {}
        for path in self.env_files:
            try:
                given = EnvFile.parse(Path(path).read_bytes(), where=path).resolve(values)
            except (OSError, ConfigError):
                continue
            values.update({name: value.text for name, value in given.items()})
        return values


# ---- files that are still to be written


@contextmanager
def mirrored(base: str, written: Mapping[str, bytes]) -> Iterator[str]:
    """A private copy of a directory in which some files (absolute, below `base`) have other bytes; all else in it leads to the original. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="interlock-chain-") as folder:
        top = Path(folder, Path(base).name or "root")  # of the same name: a project may be called as its directory is
        _mirror(Path(base), top, {tuple(Path(os.path.relpath(path, base)).parts): data for path, data in written.items()})
        yield str(top)


def _mirror(source: Path, target: Path, written: Mapping[tuple[str, ...], bytes]) -> None:
    target.mkdir(mode=0o700)
    below: dict[str, dict[tuple[str, ...], bytes]] = {}
    for parts, data in written.items():
        below.setdefault(parts[0], {})[parts[1:]] = data
    for entry in source.iterdir() if source.is_dir() else ():
        if entry.name not in below:
            (target / entry.name).symlink_to(entry)
    for name, inner in below.items():
        if () in inner:
            (target / name).write_bytes(inner[()])
        else:
            _mirror(source / name, target / name, inner)


def put_back(model: ChainModel, *, mirror: str, base: str) -> ChainModel:
    """A model that was resolved in a mirror, as it will be resolved in the place itself."""
    said = _replaced(json.loads(model.raw), mirror, base)
    return ChainModel.of(said, chain=model.stack.chain, files=tuple(file.replace(mirror, base) for file in model.stack.files))


def _replaced(value: Any, mirror: str, base: str) -> Any:
    if isinstance(value, str):
        return value.replace(mirror, base)
    if isinstance(value, dict):
        return {_replaced(key, mirror, base): _replaced(inner, mirror, base) for key, inner in value.items()}
    return [_replaced(inner, mirror, base) for inner in value] if isinstance(value, list) else value


# ---- the engine


def project_state(socket: str, project: str) -> ProjectState:
    """What the engine has of a project now. Raises CouldNotLook."""
    from interlock.observe.probe import CouldNot, look_engine

    try:
        engine = Engine.parse(look_engine(os.fsencode(socket), [], time.monotonic() + LOOKING_S), where=socket)
    except CouldNot as failed:
        raise CouldNotLook("the container engine cannot be looked at", where=socket, why=failed.text, remedy=remedy_for(failed.code, "this user")) from failed
    containers = tuple(one for one in engine.containers if one.project == project and one.labels.get(ONE_OFF_LABEL) != "True")
    mounted = {mount.name for one in containers for mount in one.mounts if mount.kind == "volume"}
    volumes = {one.name: _made_with(one) for one in engine.volumes if one.labels.get(PROJECT_LABEL) == project or one.name in mounted}
    networks = EngineApi(socket=socket).ask("/networks") or []
    return ProjectState(
        containers=containers,
        volumes=volumes,
        networks=tuple(sorted(str(one["Name"]) for one in networks if (one.get("Labels") or {}).get(PROJECT_LABEL) == project)),
    )


def _made_with(volume: EngineVolume) -> str:
    return " ".join([volume.driver, *(f"{name}={value}" for name, value in sorted(volume.options.items()))])


def volume_options(api: EngineApi, name: str) -> tuple[str, Mapping[str, str]] | None:
    """The driver and the options that a volume was made with; None when there is none of that name. The options may hold secrets. Raises CouldNotLook."""
    said = api.ask(f"/volumes/{name}", may_be_missing=True)
    return (str(said["Driver"]), dict(said.get("Options") or {})) if said else None


def image_id(api: EngineApi, reference: str) -> str:
    """The id that the engine has for a name; empty when it has none. Raises CouldNotLook."""
    said = api.ask(f"/images/{reference}/json", may_be_missing=True)
    return str(said["Id"]) if said else ""


def image_digests(api: EngineApi, reference: str) -> frozenset[str]:
    """The digests under which registries know an image. Raises CouldNotLook."""
    said = api.ask(f"/images/{reference}/json", may_be_missing=True) or {}
    return frozenset(str(one).partition("@")[2] for one in said.get("RepoDigests") or ())


def exit_code(api: EngineApi, container: str) -> int | None:
    """How the last run of a container ended; None when it is gone. Raises CouldNotLook."""
    said = api.ask(f"/containers/{container}/json", may_be_missing=True)
    return int(said["State"]["ExitCode"]) if said else None


def look_project(named: str) -> str:
    """`PROJECT at SOCKET` in one line, for a fingerprint. Raises CouldNotLook."""
    project, _, socket = named.partition(" at ")
    return project_state(socket, project).in_words()


def look_image(named: str) -> str:
    """`REFERENCE at SOCKET` in one line, for a fingerprint. Raises CouldNotLook."""
    reference, _, socket = named.partition(" at ")
    return image_id(EngineApi(socket=socket), reference) or NOTHING
