"""Does everything that starts a stack of this tree have the env files that it needs? From workflows, composite actions and scripts that set up a machine;
`interlock.facts.env_presence` walks them."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts.dotenv import EnvFile
from interlock.facts.env import ALWAYS_DEFINED
from interlock.facts.env_layers import DOT_ENV
from interlock.facts.env_paths import Values
from interlock.facts.env_presence import Lacking, Need, Presence, Started, Starts, loaded, services_named
from interlock.facts.programs import Holder
from interlock.facts.substitution import Operator, SubstitutionError, references
from interlock.facts.workflows import Step, Workflow
from interlock.nouns import dataclass
from interlock.observe.env_files import declared_env_files
from interlock.observe.programs import programs
from interlock.observe.sources import sources
from interlock.observe.stack import compose_yaml, scalars, with_included
from interlock.observe.starters import find
from interlock.observe.tree import MissingFile
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_MAY = regex(r"compose|\.sh\b|\bmake\b|\./|\bbash\b")
_FRESH = regex(r"\bgit\s+clone\b")
_REQUIRED = (Operator.REQUIRED_NOT_EMPTY, Operator.REQUIRED_SET)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What a chain of compose files needs before docker compose reads it: env files by service, what each service waits for, and variables that must be set."""

    env_files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    profiles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    waits_for: Mapping[str, Sequence[str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # with the place that says so

    def chosen(self, named: Sequence[str], profiles: Collection[str]) -> tuple[str, ...]:
        """The services that a start is about: those that it names and what they wait for, else all that no profile holds back."""
        waiting = list(named) or [name for name, held in self.profiles.items() if not held or "*" in profiles or set(held) & set(profiles)]
        found: dict[str, None] = {}
        while waiting:
            name = waiting.pop(0)
            if name not in found:
                found[name] = None
                waiting += self.waits_for.get(name, ())
        return tuple(found)


def starts(world: World, _subject: Subject) -> Starts:
    """Every start of a stack in workflows and in scripts that set up a machine, and what is not there for it."""
    looking = _Looking(world)
    every = tuple(looking.starts())
    lacking = {(one.started.where, one.path): one for started in every for one in looking.lacking(started)}
    return Starts(count=len(every), lacking=tuple(lacking.values()), unreadable=programs(world).unreadable)


class _Looking:
    def __init__(self, world: World) -> None:
        self.world = world
        self.sources = sources(world)
        self.presence = Presence(self.sources, _Actions(world))
        compose = world.site.compose
        self.known = frozenset(compose.files if compose is not None else ()) | {file for chain in world.site.chains.values() for file in chain.files}

    def starts(self) -> Iterator[Started]:
        if self.known:
            yield from self._jobs()
            yield from self._scripts()

    def _jobs(self) -> Iterator[Started]:
        for path in find(self.world.tree).workflows:
            workflow = self.sources.workflow(path) if _MAY.search(self.sources.text(path) or "") else None
            for job in workflow.jobs if isinstance(workflow, Workflow) else ():
                environment = {**workflow.environment, **job.environment} if isinstance(workflow, Workflow) else {}
                yield from self.presence.job(job.steps, file=path, where=f"{path}: {job.id}", environment=environment)

    def _scripts(self) -> Iterator[Started]:
        for text in programs(self.world).on_hosts():
            if text.holder in (Holder.SCRIPT, Holder.CLOUD_INIT) and _FRESH.search(text.text) and "compose" in text.text:
                yield from self.presence.script(text.path, text.script.statements, Values.of(text.script))

    # ---- what a start lacks

    def lacking(self, started: Started) -> Iterator[Lacking]:
        """Each file once, the most telling need first."""
        files = loaded(started, self.known)
        needs = self._needs(files) if files else None
        if needs is None:
            return
        named = services_named(started, needs.profiles)
        for service in needs.chosen(named, started.profiles):
            for path in needs.env_files.get(service, ()):
                if not self._there(started, path):
                    yield Lacking(started=started, path=path, needs=service, compose=files, kind=Need.SERVICE)
        for path in started.env_files:
            if not self._there(started, path):
                yield Lacking(started=started, path=path, needs="the command itself", compose=files, kind=Need.OPTION)
        yield from self._of_variables(started, files, needs)

    def _of_variables(self, started: Started, files: tuple[str, ...], needs: _Needs) -> Iterator[Lacking]:
        """Variables that must have a value, where only an env file that is not there could give it."""
        places = started.env_files or tuple(
            dict.fromkeys(posixpath.join(folder, DOT_ENV).lstrip("/") for folder in (posixpath.dirname(files[0]), started.folder))
        )
        if any(started.has(path) for path in places):
            return
        given = started.given | ALWAYS_DEFINED | frozenset(key for path in places for key in self._keys(path))
        missing = {name: place for name, place in needs.variables.items() if name not in given}
        if missing and not any(self._exists(path) for path in started.env_files):
            name, place = next(iter(missing.items()))
            yield Lacking(started=started, path=places[0], needs=f"{name} ({place})", compose=files, kind=Need.VARIABLE)

    def _keys(self, path: str) -> Iterable[str]:
        try:
            return [entry.key for entry in EnvFile.parse(self.world.tree.read(path)).entries]
        except CouldNotLook:
            return ()

    def _there(self, started: Started, path: str) -> bool:
        return path.startswith("..") or started.has(path) or self._exists(path)

    def _exists(self, path: str) -> bool:
        try:
            self.world.tree.read(path)
        except MissingFile:
            return False
        except CouldNotLook:
            return True
        return True

    def _needs(self, files: tuple[str, ...]) -> _Needs | None:
        """None where a file cannot be read: compose.strict_parse says so."""
        try:
            every = with_included(self.world, files)
            return self.world.once(("needs", every), lambda: self._read(every))
        except CouldNotLook:
            return None

    def _read(self, files: tuple[str, ...]) -> _Needs:
        env_files: dict[str, list[str]] = {}
        profiles: dict[str, list[str]] = {}
        waits_for: dict[str, list[str]] = {}
        variables: dict[str, str] = {}
        for file in files:
            data = compose_yaml(self.world, file).data
            services = data.get("services") if isinstance(data, dict) else None
            for name, service in (services if isinstance(services, dict) else {}).items():
                said = service if isinstance(service, dict) else {}
                profiles.setdefault(name, []).extend(_names(said.get("profiles")))
                waits_for.setdefault(name, []).extend(_names(said.get("depends_on")))
                if isinstance(service, Tagged) or isinstance(said.get("env_file"), Tagged):
                    env_files[name] = []
            for name, path, required in declared_env_files(self.world, file):
                if required:
                    env_files.setdefault(name, []).append(path)
            for scalar in scalars(self.world, file):
                for variable in _required(scalar.text):
                    variables.setdefault(variable, f"{file}:{scalar.line}")
        return _Needs(env_files=env_files, profiles=profiles, waits_for=waits_for, variables=variables)


def _names(said: Any) -> list[str]:
    """The texts of a list, or the keys of a mapping."""
    return [one for one in said if isinstance(one, str)] if isinstance(said, (list, dict)) else []


def _required(text: str) -> Iterator[str]:
    try:
        yield from (one.name for one in references(text) if one.operator in _REQUIRED and not one.nested)
    except SubstitutionError:
        return


class _Actions(Mapping[str, Sequence[Step]]):
    """The steps of the composite actions of a tree, by folder."""

    def __init__(self, world: World) -> None:
        self.sources = sources(world)

    def __getitem__(self, folder: str) -> Sequence[Step]:
        return self.sources.action(folder)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


OBSERVERS: Mapping[str, Observer] = {"env.file_exists": Observer(see=starts)}
