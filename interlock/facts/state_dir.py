"""What does the variable that says where state lives come to, for everybody who reads it? One resolution for an env file, a service and a script alike.

`interlock.facts.state_dir_readers` follows the scripts, units and crontabs of the host; `interlock.observe.state_dir` brings the texts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum

from interlock.errors import ConfigError
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_layers import Layers, Origin, for_interpolation
from interlock.facts.looks import SecretAnswer, StatAnswer
from interlock.facts.stack import Service
from interlock.facts.state_inside import HostDirectory, StateInside
from interlock.facts.substitution import Fault, SubstitutionError, references, substitute
from interlock.nouns import dataclass
from interlock.patterns import regex

_CONTROL = regex(r"[\x00-\x1f\x7f]")


class Wrong(StrEnum):
    """Why the variable comes to no directory."""

    ENV_FILE = "env-file-refused"
    UNDEFINED = "undefined-variable"
    SYNTAX = "template-syntax"
    INHERITED = "inherited"  # nobody but the shell that starts the reader knows the value
    RELATIVE = "relative"
    DOTS = "dots"
    CONTROL = "control-character"
    VERSIONS = "versions-differ"  # one docker compose comes to another directory than the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What the variable comes to: `path` is absolute, without `..`, doubled or trailing slashes. `from_default`: it is not set, or set to nothing."""

    path: str
    from_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """The variable comes to no directory that every reader would agree on. `line` is that of an env file or script, where it stands in one; `where` the
    name of the env file."""

    why: Wrong
    message: str
    remedy: str
    line: int | None = None
    where: str = ""


Resolution = Resolved | Unresolved


@dataclass(frozen=True, slots=True, kw_only=True)
class StateVariable:
    """The variable as the site declares it. `default` is what every reader takes when it is not set or empty; `fallbacks` what they take for the other
    variables of the default when nobody sets them."""

    name: str
    default: str
    fallbacks: Mapping[str, str]

    def resolve(self, given: Mapping[str, str]) -> Resolution:
        """What it comes to where these variables are given: the value of the variable itself, else its default with the others in it.

        An empty value counts as none, for the variable and for those in its default: `${STATE_DIR:-...}` is how it is read.
        """
        value = given.get(self.name)
        if value:
            return self._directory(value, from_default=False)
        known = {name: text for name, text in {**self.fallbacks, **{name: text for name, text in given.items() if text}}.items() if name != self.name}
        return self._directory_of(self.default, known)

    def _directory_of(self, default: str, known: Mapping[str, str]) -> Resolution:
        try:
            return self._directory(substitute(default, known), from_default=True)
        except SubstitutionError as error:
            if error.fault is Fault.SYNTAX:
                return Unresolved(why=Wrong.SYNTAX, message=f"the default of {self.name}, {default!r}, is no text with references", remedy=error.remedy)
            said = f"{self.name} is not set, and its default {default} needs {error.variable}, which nobody sets"
            return Unresolved(why=Wrong.UNDEFINED, message=said, remedy=f"set {self.name}")

    def _directory(self, text: str, *, from_default: bool) -> Resolution:
        shown = f"{self.name} comes to {text!r}"
        if _CONTROL.search(text):
            return Unresolved(why=Wrong.CONTROL, message=f"{shown}, which holds a control character", remedy="write the path without it")
        if not text.startswith("/"):
            tilde = "; nobody but a shell expands ~" if text.startswith("~") else ""
            said = f"{shown}, a relative path: each reader starts from another directory{tilde}"
            return Unresolved(why=Wrong.RELATIVE, message=said, remedy="write the whole path, from / on")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if ".." in parts:
            said = f"{shown}: behind a link, '..' leads each reader elsewhere"
            return Unresolved(why=Wrong.DOTS, message=said, remedy=f"write {posixpath.normpath('/' + '/'.join(parts))}, if that is what is meant")
        return Resolved(path="/" + "/".join(parts), from_default=from_default)


def given_by(files: Sequence[EnvFile], variable: StateVariable) -> Layers | Unresolved:
    """The variables that env files give together, a later one over an earlier one, as docker compose reads them, with nothing from the shell that starts it;
    or why they say nothing certain of this one, or of those in its default where that counts."""
    try:
        layers = for_interpolation(files, {})
    except SubstitutionError as error:
        said = f"{error.file} cannot be read: {error.what}"
        return Unresolved(why=Wrong.ENV_FILE, message=said, remedy=error.remedy, where=error.file, line=error.place.line)
    except ConfigError:
        where, problem = next((env.where, problem) for env in files for problem in env.problems if problem.refused)
        said = f"{where} cannot be read: {problem.what}"
        return Unresolved(why=Wrong.ENV_FILE, message=said, remedy="write NAME=value", where=where, line=problem.line)
    return next((why for name in _counting(variable, layers) if (why := _not_certain(files, name, layers))), layers)


def _counting(variable: StateVariable, layers: Layers) -> Iterator[str]:
    """The variable, and those in its default where it has no value itself."""
    yield variable.name
    own = layers.values.get(variable.name)
    if own is None or not own.text:
        yield from (one.name for one in references(variable.default) if one.name != variable.name)


def _not_certain(files: Sequence[EnvFile], variable: str, layers: Layers) -> Unresolved | None:
    """Why nobody can tell from these files alone what the variable comes to."""
    entries = [(env.where, entry) for env in files for entry in env.entries if entry.key == variable]
    if not entries:
        return None
    where, last = entries[-1]
    if last.text is None:
        said = f"{variable} stands in {where} without a value: it is whatever the shell has that starts the reader"
        return Unresolved(why=Wrong.INHERITED, message=said, remedy=f"write {variable}=/the/path", where=where, line=last.line)
    value = layers.values[variable]
    if value is None or value.undefined is None:
        return _as_versions_differ(files, variable, layers, Origin(where, last.line))
    needed = value.undefined.variable
    said = f"{variable} needs {needed}, which {where} does not give above it"
    return Unresolved(why=Wrong.UNDEFINED, message=said, remedy=f"write {variable} without it, or {needed} above it", where=where, line=last.line)


def _as_versions_differ(files: Sequence[EnvFile], variable: str, layers: Layers, origin: Origin) -> Unresolved | None:
    """Why it depends on the version of docker compose: it refers to what its own file and an earlier one give."""
    now, before = (read.texts.get(variable) for read in (layers, for_interpolation(files, {}, older=True)))
    if now == before:
        return None
    said = f"{variable} in {origin} comes to {now}, with an older docker compose to {before}: it refers to what an earlier env file gives too"
    return Unresolved(why=Wrong.VERSIONS, message=said, remedy=f"write the whole path at {origin}", where=origin.where, line=origin.line)


def in_env_files(variable: StateVariable, *files: EnvFile) -> Resolution:
    """What the variable comes to for whoever reads these env files."""
    given = given_by(files, variable)
    return given if isinstance(given, Unresolved) else variable.resolve(given.certain)


def in_service(variable: StateVariable, service: Service) -> Resolution:
    """What the variable comes to inside a service."""
    if variable.name in service.environment and service.environment[variable.name] is None:
        said = f"{variable.name} has no value in {service.name}: it is whatever the shell has that starts the stack"
        return Unresolved(why=Wrong.INHERITED, message=said, remedy=f"write {variable.name}: /the/path there, or in the env file")
    return variable.resolve({name: text for name, text in service.environment.items() if text is not None})


def on_host(service: Service, inside: str) -> str | None:
    """The directory of the host that a path inside a service shows; None when it lies in the image or in a volume of the engine's own."""
    mount = service.mount_over(inside)
    if mount is None or not mount.source:
        return None
    return posixpath.normpath(posixpath.join(mount.source, posixpath.relpath(inside, mount.target)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StackReads:
    """What the env files of a stack come to, where they give the variable: `who` reads them (`the chain flat`), `told` says which line decides and which it
    overrides, `where` and `line` are of the line that decides."""

    who: str
    resolution: Resolution
    told: str
    where: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableSeen:
    """What the variable comes to where it is set: `where` names the env file, empty when there is none and the default alone counts. `present` is False
    for an env file that is declared and not there. `told` says which line of it decides, where several do.

    `stacks` are what docker compose reads instead, in chains and instances with other env files than that one. `inside` is where services see the directory.
    """

    variable: StateVariable
    expected: str
    where: str
    present: bool
    resolution: Resolution
    told: str = ""
    stacks: tuple[StackReads, ...] = ()
    inside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """The services that use state, in one chain or among the running containers of a host.

    `where` says which, in words. The source of each mount is the directory of the host behind it. `nowhere` are names that the site gives and no chain
    has. `elsewhere` is True when another chain has services that use state. `told` says by a service's name where in its files the variable is set.
    """

    where: str
    variable: StateVariable
    expected: str
    services: tuple[Service, ...]
    nowhere: tuple[str, ...] = ()
    elsewhere: bool = False
    told: Mapping[str, str] = field(default_factory=dict)


class Way(StrEnum):
    """How a reader of the host comes to a directory."""

    FIXED = "fixed"  # it writes the directory down
    DEFAULT = "default"  # it takes this when the variable is not set
    ENVIRONMENT = "environment"  # it takes what the env file or its caller gives
    UNKNOWN = "unknown"  # it cannot be followed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One place where a reader says where state lives; `resolution` is None for what it takes from elsewhere. `only_unset`: it takes this only when the
    variable is not set at all, and nothing when it is set to nothing (`${STATE_DIR-...}`, `os.environ.get`)."""

    file: str
    line: int
    way: Way
    resolution: Resolution | None = None
    only_unset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAndStack:
    """All who say which directory of the host holds the state.

    `given` is what the env file comes to, `default` what it would come to without the variable, `set_to_nothing` whether it gives it an empty value.
    `silent` are declared readers that never name the variable; `same` maps paths of the host to where they really lead; `on_a_disk`: the site declares
    the disk that the state lives on. `inside` is what was seen in running containers, by their names, and `directory` what the host shows.
    """

    variable: StateVariable
    expected: str
    given: Resolution
    default: Resolution
    readings: tuple[Reading, ...]
    silent: tuple[str, ...]
    users: tuple[Users, ...]
    same: Mapping[str, str] = field(default_factory=dict)
    on_a_disk: bool = False
    set_to_nothing: bool = False
    inside: Mapping[str, StateInside] = field(default_factory=dict)
    directory: HostDirectory | None = None

    def is_expected(self, path: str) -> bool:
        """True for the declared directory under any of its names."""
        return path == self.expected or self.same.get(path, path) == self.same.get(self.expected, self.expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSecret:
    """A secret as the site declares it beside what is there; never what is in it. `owner_uid` is None when nobody must own it or the host knows no such
    user; `could_not` says why it could not be looked at, and `remedy` what would help."""

    name: str
    path: str
    format: str
    mode: int
    owner: str | None
    owner_uid: int | None
    seen: SecretAnswer | None
    could_not: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigCopy:
    """One copy of a configuration file: digests alone, since its values may be secrets.

    `keys` maps each dotted key to a digest of its value; None when it is of no format with keys, or cannot be read as it.
    """

    path: str
    seen: StatAnswer
    digest: str = ""
    keys: Mapping[str, str] | None = None

    @property
    def present(self) -> bool:
        """True when it is there."""
        return self.seen.present

    def differing(self, other: ConfigCopy) -> tuple[str, ...] | None:
        """The keys that are not the same in both, sorted; None when nobody can tell."""
        if self.keys is None or other.keys is None:
            return None
        return tuple(sorted(name for name in {*self.keys, *other.keys} if self.keys.get(name) != other.keys.get(name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """The copy of a configuration file in the state directory, and the read-only one that it wins over."""

    name: str
    state: ConfigCopy
    fallback: ConfigCopy


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyMounts:
    """How one service of a chain mounts the two copies: None where it does not mount one. True is read-only."""

    chain: str
    service: str
    state_read_only: bool | None
    fallback_read_only: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedCopies:
    """What the compose files say of the two copies: one entry for each service that mounts one of them."""

    name: str
    state: str
    fallback: str
    mounts: tuple[CopyMounts, ...]

    def both(self) -> Iterator[CopyMounts]:
        """The services that mount both."""
        return (mount for mount in self.mounts if mount.state_read_only is not None and mount.fallback_read_only is not None)
