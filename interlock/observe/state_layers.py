"""Where does a stack get the state directory's variable from? The env files of chains and instances, and the lines of compose files, that docker compose reads.

`interlock.facts.env_layers` knows which of them decides; what services really get is asked of docker compose itself (`interlock.observe.stack`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from interlock.config.models import Chain, Instance, Site
from interlock.config.yamltext import Tagged
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.dotenv import EnvFile
from interlock.facts.env_layers import EnvFilesRead, Layers, Origin, Written, env_files_read, for_interpolation, for_service, raw_env_file
from interlock.facts.state_dir import StackReads, StateVariable, Unresolved, Wrong, given_by
from interlock.facts.substitution import substitute
from interlock.observe.stack import compose_yaml, project_env_files
from interlock.observe.tree import MissingFile
from interlock.observe.world import World

_OF_OTHERS = frozenset({Wrong.ENV_FILE, Wrong.INHERITED})
"""What other guardrails say: docker compose refuses the chain, or the value is the shell's."""


# ---- the env files that a whole stack is interpolated with


def stacks(world: World, host: str, variable: StateVariable, declared: str) -> Iterator[StackReads]:
    """What the stacks of a host read for the variable, where some env file of theirs gives it and they read others than the `declared` one alone: chains
    from the tree, in a live look the instances from their directories. Raises `CouldNotLook`."""
    for who, files in _instances(world, host) if world.live else _chains(world):
        if [env.where for env in files] == [declared] or not any(entry.key == variable.name for env in files for entry in env.entries):
            continue
        given = given_by(files, variable)
        if isinstance(given, Unresolved):
            if given.why not in _OF_OTHERS:
                yield StackReads(who=who, resolution=given, told=given.message, where=given.where, line=given.line)
        elif given.certain.get(variable.name) and (origin := given.decides(variable.name)):
            yield StackReads(who=who, resolution=variable.resolve(given.certain), told=given.told(variable.name), where=origin.where, line=origin.line)


def _chains(world: World) -> Iterator[tuple[str, list[EnvFile]]]:
    for name in world.site.chains_on_disks:
        yield f"the chain {name}", list(_parsed(world, project_env_files(world, name)))


def _parsed(world: World, paths: Sequence[str]) -> Iterator[EnvFile]:
    """Those that the tree has."""
    for path in paths:
        try:
            yield EnvFile.parse(world.tree.read(path), where=path)
        except MissingFile:
            continue


def _instances(world: World, host: str) -> Iterator[tuple[str, list[EnvFile]]]:
    facts = world.host(host)
    for name, instance in _on_disks(world.site, host):
        deployed = _deployed(world.site, instance)
        there = [path for path in deployed.paths if facts.stat(path).present]
        yield f"the instance {name}", [EnvFile.parse(facts.read(path), where=path) for path in (there if deployed.named else there[:1])]


def paths_on_host(site: Site, host: str) -> tuple[str, ...]:
    """The env files that the instances of a host read, on that host."""
    return tuple(path for _, instance in _on_disks(site, host) for path in _deployed(site, instance).paths)


def _on_disks(site: Site, host: str) -> Iterator[tuple[str, Instance]]:
    """The instances of a host that run a chain on its disks."""
    for name, instance in site.instances.items():
        if instance.host == host and (not site.chains or any(chain in site.chains_on_disks for chain in _may_run(site, instance))):
            yield name, instance


def _may_run(site: Site, instance: Instance) -> tuple[str, ...]:
    return (instance.chain,) if instance.chain is not None else tuple(site.chains)


def _deployed(site: Site, instance: Instance) -> EnvFilesRead:
    """Where docker compose finds the variables of an instance: the env files of its chain in its directory; else the first that is there of `.env` beside the
    chain's first file, and in the directory itself, where the files may lie without their folder."""
    chains: list[Chain] = [site.chains[name] for name in _may_run(site, instance)]
    named = chains[0].env_files if len(chains) == 1 else None
    folders = dict.fromkeys([*(posixpath.dirname(chain.files[0]) for chain in chains), ""])
    paths = named if named is not None else [path for folder in folders for path in env_files_read((), {}, folder).paths]
    return EnvFilesRead(tuple(posixpath.normpath(posixpath.join(instance.directory, path)) for path in paths), named=named is not None)


# ---- the lines that give it to one service


def told_of(world: World, chain: str, service: str, variable: str, value: str | None) -> str:
    """Where a service of a chain gets its value of the variable from (None: a name alone, without one), and what that overrides; empty where the files as
    written do not explain it, as when it comes by `extends`, or cannot be read here."""
    try:
        stack = for_interpolation(_parsed(world, project_env_files(world, chain)), {})
        given = _of_service(world, world.site.chains[chain], service, stack)
    except (ConfigError, CouldNotLook):
        return ""
    if given is None or variable not in given.values:
        return ""
    found = given.values[variable]
    return given.told(variable, within=stack) if (None if found is None else found.text) == value else ""


def _of_service(world: World, chain: Chain, service: str, stack: Layers) -> Layers | None:
    """The service as its files write it, later ones over earlier ones; None where tags say that it is merged in another way."""
    environment: dict[str, Written] = {}
    env_files: list[EnvFile] = []
    for file in chain.files:
        read = compose_yaml(world, file)
        services = read.data.get("services") if isinstance(read.data, dict) else None
        said = services.get(service) if isinstance(services, dict) else None
        if isinstance(said, Tagged) or (isinstance(said, dict) and any(isinstance(said.get(key), Tagged) for key in ("environment", "env_file"))):
            return None
        if isinstance(said, dict):
            lines = {name: read.positions.nearest(("services", service, "environment", at)).key.line for at, name, _ in _entries(said.get("environment"))}
            environment |= {name: Written(text, Origin(file, lines[name])) for _, name, text in _entries(said.get("environment"))}
            env_files += _env_files(world, chain, said.get("env_file"), stack)
    return for_service(stack, environment, env_files)


def _entries(said: object) -> Iterator[tuple[str | int, str, str | None]]:
    """What stands under `environment:`, a mapping or a list: its key or index, its name, its text."""
    if isinstance(said, Mapping):
        for name, value in said.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield str(name), str(name), None if value is None else text
    for index, one in enumerate(said if isinstance(said, list) else ()):
        name, equals, text = str(one).partition("=")
        yield index, name, text if equals else None


def _env_files(world: World, chain: Chain, said: object, stack: Layers) -> Iterator[EnvFile]:
    """The env files of a service, from the folder of the chain's first file. Those that the tree does not have are left out. Raises `CouldNotLook`."""
    for one in said if isinstance(said, list) else [said]:
        path = one.get("path") if isinstance(one, dict) else one
        if not isinstance(path, str):
            continue
        where = posixpath.normpath(posixpath.join(posixpath.dirname(chain.files[0]), substitute(path, stack.texts, lenient=True)))
        try:
            data = world.tree.read(where)
        except MissingFile:
            continue
        yield raw_env_file(data, where=where) if isinstance(one, dict) and one.get("format") == "raw" else EnvFile.parse(data, where=where)
