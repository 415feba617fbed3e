"""How are an instance's variables had, and what asks for them? From the files of the tree for a static judgement, from the instance's directory for a live one.

What asks is the chain of compose files that the instance runs (`interlock.observe.stack` reads their texts).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.dotenv import EnvFile, Value
from interlock.facts.env import ChainTexts, InstanceEnv
from interlock.facts.env_layers import DOT_ENV
from interlock.facts.env_sources import keys_of_example, keys_of_script, keys_of_workflow
from interlock.facts.looks import Look, ReadFile, Stat
from interlock.facts.placeholders import VALUES, Asked
from interlock.observe import env_defaults, env_files, env_passthrough, env_presence
from interlock.observe.chains import is_of_others
from interlock.observe.stack import scalars, with_included
from interlock.observe.tree import MissingFile
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_ENV_NAME = regex(r"(?!.*\.(?:py|sh|bash|ya?ml|md|js|ts|go|json|php)$)(?:\.?env(?:ironment)?(?:[._-][\w.-]+)?|[\w.-]+\.env(?:[._-]\w+)?)")
_SCRIPT_NAME = regex(r".+\.(?:ba|z|k)?sh(?:\.(?:tpl|tmpl|tftpl|template|j2|in))?|[^.]+")
_WORKFLOW = regex(r"(?:^|/)(?:\.(?:github|gitea|forgejo)/workflows/[^/]+|\.(?:gitlab-ci|woodpecker|drone))\.ya?ml$")
_COMPOSE_FILE = "COMPOSE_FILE"
FEWEST_KEYS = 3  # a script that writes fewer changes an env file, and is no list of what an installation gets


# ---- which chain, and where its variables are


def chains_of(site: Site, instance: str) -> tuple[str, ...]:
    """The chains that an instance may run: the one that it names, else all that there are."""
    named = site.instances[instance].chain
    return (named,) if named is not None else tuple(site.chains)


def _deployed(site: Site, instance: str) -> tuple[str, ...]:
    """Where docker compose finds the variables of an instance: the env files of its chain in its directory, else `.env`."""
    chains = chains_of(site, instance)
    named = site.chains[chains[0]].env_files if len(chains) == 1 else None
    return tuple(posixpath.join(site.instances[instance].directory, file) for file in named or (DOT_ENV,))


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    return (look for path in _deployed(site, subject.name) for look in (Stat(path), ReadFile(path)))


def _run_by(site: Site, instance: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """The chains that count: where several may, and the env file says COMPOSE_FILE, those of just these files."""
    chains = chains_of(site, instance)
    said = [posixpath.basename(file) for file in re.split("[:;]", values.get(_COMPOSE_FILE, "")) if file]
    if len(chains) == 1 or not said:
        return chains
    return tuple(name for name in chains if [posixpath.basename(file) for file in site.chains[name].files] == said) or chains


# ---- what is given


def instance_env(world: World, subject: Subject) -> InstanceEnv:
    """The references of the instance's chain beside what it is given. Raises `CouldNotLook`."""
    if world.live:
        return _given(world, subject.name, _live(world, subject))
    instance = world.site.instances[subject.name]
    if instance.env_file is not None and world.site.source:
        return _given(world, subject.name, _static(world, instance.env_file, subject.name))
    return _template(world, subject.name)


def _live(world: World, subject: Subject) -> list[tuple[str, bytes | None]]:
    facts = world.host(subject.host)
    return [(path, facts.read(path) if facts.stat(path).present else None) for path in _deployed(world.site, subject.name)]


def _static(world: World, env_file: str, instance: str) -> list[tuple[str, bytes | None]]:
    """The env file of the instance, after those that its chain names."""
    chains = chains_of(world.site, instance)
    named = world.site.chains[chains[0]].env_files if len(chains) == 1 else None
    return [(path, _content(world, path)) for path in dict.fromkeys((*(named or ()), env_file))]


def _content(world: World, path: str) -> bytes | None:
    try:
        return world.tree.read(path)
    except MissingFile:
        return None


def _given(world: World, instance: str, files: Sequence[tuple[str, bytes | None]]) -> InstanceEnv:
    given: dict[str, Value] = {}
    named: set[str] = set()
    for where, content in files:
        env = EnvFile.parse(content or b"", where=where)
        given = env.resolve({}, given)
        named.update(entry.key for entry in env.entries if entry.text is None)
    values = {name: value.text for name, value in given.items() if value.undefined is None}
    return InstanceEnv(
        instance=instance,
        where=" and ".join(where for where, _ in files),
        present=any(content is not None for _, content in files),
        chains=_texts(world, _run_by(world.site, instance, values)),
        values=values,
        inherited=frozenset(named - values.keys()),
    )


def _texts(world: World, chains: Iterable[str]) -> tuple[ChainTexts, ...]:
    return tuple(
        ChainTexts(chain=name, scalars=tuple(one for file in with_included(world, world.site.chains[name].files) for one in scalars(world, file)))
        for name in chains
    )


# ---- what a new installation is given


def _template(world: World, instance: str) -> InstanceEnv:
    """What env examples and generators give every installation. Raises `CouldNotLook` when variables are needed, and nothing here gives any."""
    chains = _texts(world, chains_of(world.site, instance))
    needed = frozenset[str]().union(*(chain.needed() | {one.name for one in chain.missing({})} for chain in chains))
    given = {path: keys & needed for path, keys in _sources(world) if keys & needed}
    if needed and not given:
        raise CouldNotLook(
            f"nothing in this tree gives any of {len(needed)} variables",
            where=instance,
            why=f"{', '.join(sorted(needed)[:5])}: the compose files have no default for them",
            remedy="add an `.env.example`, or name what writes the env file below `compose.env_sources`",
        )
    names = frozenset[str]().union(*given.values())
    where = " and ".join(sorted(given, key=lambda path: (-len(given[path]), path))[:3]) or "an env file"
    return InstanceEnv(instance=instance, where=where, present=True, chains=chains, values=dict.fromkeys(names, VALUES[Asked.WORD]), template=True)


def _sources(world: World) -> tuple[tuple[str, frozenset[str]], ...]:
    """The files that say what an installation is given, each with the names."""

    def read() -> tuple[tuple[str, frozenset[str]], ...]:
        declared = world.site.compose.env_sources if world.site.compose else None
        paths = declared if declared is not None else tuple(path for path in world.tree.listing() if _may_give(path))
        return tuple((path, keys) for path in paths if (keys := _keys(world, path, declared=declared is not None)))

    return world.once("env sources", read)


def _may_give(path: str) -> bool:
    name = posixpath.basename(path)
    return (_ENV_NAME.fullmatch(name) or _SCRIPT_NAME.fullmatch(name) or _WORKFLOW.search(path)) is not None and not is_of_others(path)


def _keys(world: World, path: str, *, declared: bool) -> frozenset[str]:
    """The names that a file gives; of one that nobody declared and that cannot be read none. Raises `CouldNotLook` for a declared one."""
    name = posixpath.basename(path)
    try:
        text = world.tree.read(path).decode("utf-8", "replace")
    except CouldNotLook:
        if declared:
            raise
        return frozenset()
    if _ENV_NAME.fullmatch(name):
        return keys_of_example(text)
    if _WORKFLOW.search(path):
        return keys_of_workflow(text) if "compose" in text else frozenset()
    if not declared:
        written = keys_of_script(text)
        return written if len(written) >= FEWEST_KEYS else frozenset()
    return keys_of_script(text) if _SCRIPT_NAME.fullmatch(name) else keys_of_example(text)


OBSERVERS: Mapping[str, Observer] = {
    "env.coverage": Observer(looks=_looks, see=instance_env),
    **env_files.OBSERVERS,
    **env_presence.OBSERVERS,
    **env_defaults.OBSERVERS,
    **env_passthrough.OBSERVERS,
}
