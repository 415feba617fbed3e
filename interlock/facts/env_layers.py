"""Which of the places that give a variable decides, when there are several? Docker Compose's order, with the file and line of each.

    stack = for_interpolation(files, shell)           # what ${STATE_DIR} stands for in compose files
    app = for_service(stack, environment, env_files)  # what a container of the service is given

For interpolation: the shell, then the env files, a later one over an earlier one. For a service: `environment:`, then its `env_file:`, a later one over an
earlier one; what nobody of them gives is the image's own. Read as Docker Compose 2.40 reads it: tests/integration/test_state_dir_compose.py asks it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import NamedTuple

from interlock.facts.dotenv import BOM, Entry, EnvFile, Problem, Quote, Stretch, Value
from interlock.facts.substitution import expand
from interlock.nouns import dataclass

SHELL = "the shell"
DOT_ENV = ".env"
ENV_FILES = "COMPOSE_ENV_FILES"
NO_ENV_FILE = "COMPOSE_DISABLE_ENV_FILE"
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})  # as Go's strconv.ParseBool has it


class Origin(NamedTuple):
    """One place that gives a variable: a file and its line, or the shell, which has none. `made_of` are the variables in what stands there."""

    where: str
    line: int | None = None
    made_of: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.where if self.line is None else f"{self.where}:{self.line}"


class Written(NamedTuple):
    """One variable under `environment:` as it is written: its text, None where its name stands alone, and where."""

    text: str | None
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What variables come to. `values` has None for one that the place which decides leaves without a value: nobody below is asked then.

    `origins` are the places that give a variable, the one that decides first, then those that it overrides, the nearest first.
    """

    values: Mapping[str, Value | None] = field(repr=False)
    origins: Mapping[str, tuple[Origin, ...]]

    @property
    def texts(self) -> dict[str, str]:
        """What has a value."""
        return {name: value.text for name, value in self.values.items() if value is not None}

    @property
    def certain(self) -> dict[str, str]:
        """What has a value without an undefined variable in it."""
        return {name: value.text for name, value in self.values.items() if value is not None and value.undefined is None}

    def decides(self, name: str) -> Origin | None:
        """The place that decides; None for what no place gives."""
        return next(iter(self.origins.get(name, ())), None)

    def told(self, name: str, within: Layers | None = None) -> str:
        """Where a variable is set, and what that overrides: `env/local.env:7, which overrides env/main.env:3`. `within` are the variables that compose
        files are interpolated with: where those of them come from that the value is made of is told too. Empty for what no place gives."""
        if not (places := self.origins.get(name, ())):
            return ""
        made_of = [f"{one} from {said}" for one in places[0].made_of if within is not None and (said := within.told(one))]
        inner = f" ({'; '.join(made_of)})" if made_of else ""
        over = ", which overrides " + " and ".join(map(str, places[1:])) if places[1:] else ""
        return f"{places[0]}{inner}{over}"


class EnvFilesRead(NamedTuple):
    """The env files that docker compose interpolates with. Those that somebody names must be there; `.env` need not."""

    paths: tuple[str, ...]
    named: bool


def env_files_read(options: Sequence[str] | None, shell: Mapping[str, str], project: str) -> EnvFilesRead:
    """Which they are: those of `--env-file`, else those that COMPOSE_ENV_FILES names in the shell (not in `.env`), else `.env` in the project's directory.

    Paths as they are named, from where it is started; that of `.env` below `project`.
    """
    if options:
        return EnvFilesRead(tuple(options), named=True)
    if named := tuple(path for path in shell.get(ENV_FILES, "").split(",") if path):
        return EnvFilesRead(named, named=True)
    if shell.get(NO_ENV_FILE) in _TRUE:
        return EnvFilesRead((), named=False)
    return EnvFilesRead((posixpath.normpath(posixpath.join(project, DOT_ENV)),), named=False)


def for_interpolation(files: Iterable[EnvFile], shell: Mapping[str, str], *, older: bool = False) -> Layers:
    """What the references of compose files come to. `older` versions (2.26 does, 2.40 does not) look up what a line of an env file refers to in the env files
    before it first, and then above it. Raises ConfigError and SubstitutionError as `EnvFile.resolve` does."""
    given, origins = _of_files(files, shell, older=older)
    for name, text in shell.items():
        given[name] = Value(text, frozenset({name}))
        origins[name] = (Origin(SHELL), *origins.get(name, ()))
    return Layers(values=given, origins=origins)


def for_service(stack: Layers, environment: Mapping[str, Written], env_files: Iterable[EnvFile]) -> Layers:
    """What a container of a service is given by its compose files. A name alone takes its value from the stack's variables.

    Raises ConfigError and SubstitutionError as `EnvFile.resolve` and `expand` do.
    """
    known = stack.texts
    own = {name: _own(name, written, stack, known) for name, written in environment.items()}
    above = {name: value.text for name, (value, _) in own.items() if value is not None}
    given, origins = _of_files(env_files, {**above, **known})
    for name, (value, origin) in own.items():
        given[name] = value
        origins[name] = (origin, *origins.get(name, ()))
    return Layers(values=given, origins=origins)


def _own(name: str, written: Written, stack: Layers, known: Mapping[str, str]) -> tuple[Value | None, Origin]:
    if written.text is None:
        return stack.values.get(name), written.origin._replace(made_of=(name,))
    pieces = expand(written.text, known, where=written.origin.where, lenient=True)
    used = tuple(dict.fromkeys(piece.name for piece in pieces if piece.name))
    return Value("".join(piece.text for piece in pieces)), written.origin._replace(made_of=used)


def _of_files(files: Iterable[EnvFile], environ: Mapping[str, str], *, older: bool = False) -> tuple[dict[str, Value | None], dict[str, tuple[Origin, ...]]]:
    values: dict[str, Value] = {}
    origins: dict[str, tuple[Origin, ...]] = {}
    for env in files:
        values = env.resolve({**{name: value.text for name, value in values.items()}, **environ} if older else environ, values)
        for entry in env.entries:
            if entry.text is not None or entry.key in environ:
                alone = (entry.key,) if entry.text is None else ()
                origins[entry.key] = (Origin(env.where, entry.line, alone), *origins.get(entry.key, ()))
    return dict(values), origins


# ---- env files without quotes, references and comments behind values


def raw_env_file(data: bytes, *, where: str) -> EnvFile:
    """An env file of a service with `format: raw`: what stands behind the first `=` is the value, quotes, dollar signs and blanks with it.

    Source: docker/cli, pkg/kvfile.
    """
    entries, problems, at = [], [], 0
    text = data.decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), start=1):
        said = (line.removeprefix(BOM) if number == 1 else line).removesuffix("\r").lstrip()
        if said and not said.startswith("#"):
            key, equals, value = said.partition("=")
            if not key or re.search(r"\s", key):
                problems.append(Problem(number, 1, "a name with white space in it" if key else "no name", refused=True))
            else:
                behind = at + len(line) - len(value)
                entries.append(
                    Entry(key=key, text=value if equals else None, line=number, column=1, stretch=Stretch(at, behind, at + len(line)), quote=Quote.SINGLE)
                )
        at += len(line) + 1
    return EnvFile(entries=tuple(entries), problems=tuple(problems), where=where)
