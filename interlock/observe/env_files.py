"""Which env files does docker compose read in a tree, and what do its scripts do with them? `interlock.facts.env_paths` has the noun."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from interlock.config.yamltext import Tagged
from interlock.errors import CouldNotLook
from interlock.facts.chains import BASES
from interlock.facts.env import Scalar
from interlock.facts.env_layers import DOT_ENV
from interlock.facts.env_paths import EnvFiles
from interlock.facts.env_quoting import Quoting, unquoted
from interlock.facts.env_rewrites import Rewrites, rewritten
from interlock.facts.env_sourcing import SourcedFiles, handed
from interlock.facts.env_updates import FEWEST_KEYS, Generator, KeptUp, Upkeep, Use, example, generators, updater
from interlock.facts.substitution import Reference, SubstitutionError, references
from interlock.observe.chains import is_of_others
from interlock.observe.programs import programs
from interlock.observe.stack import compose_yaml, scalars, with_included
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_NAMED = regex(r"\bcompose\b[^\n;|&]*?--env-file[ =][\"']?(?P<path>[^\s\"';|&)]+)")
_EXAMPLE = regex(r"(?P<target>\.?(?:env|[\w-]+\.env|[\w-]+\.conf))[._-](?:example|sample|dist|template|tmpl|tpl|default)|(?:example|sample)\.env")
_IS_EXAMPLE = regex(r"(?:example|sample|dist|template|tmpl|tpl)(?:\.env)?$")  # what the tree says in it, and no operator
_NO_CODE = regex(
    r"\.(?:md|mdx|rst|adoc|txt|po|lock|svg|map|min\.js|example|sample|dist)$|(?:^|/)(?:docs?|changelog\.d|locales?|i18n)/"
    r"|(?:^|/)(?:\.?env|[\w.-]+\.env)(?:[._-][\w.-]+)?$"
)
_DEFAULTED = regex(r"\$\{\w+:?-([^{}$]*)\}")


def env_files(world: World) -> EnvFiles:
    """The env files that docker compose reads: `.env` beside the first file of a chain, those that chains, services, instances and command lines name."""
    return world.once("env files", lambda: EnvFiles(frozenset(path for path in _paths(world) if not _IS_EXAMPLE.search(path))))


def _paths(world: World) -> Iterator[str]:
    compose = world.site.compose
    for file in compose.files if compose is not None else ():
        if posixpath.basename(file) in BASES:
            yield posixpath.join(posixpath.dirname(file), DOT_ENV)
    for chain in world.site.chains.values():
        yield posixpath.normpath(posixpath.join(posixpath.dirname(chain.files[0]), DOT_ENV))
        yield from chain.env_files or ()
        yield from _of_services(world, chain.files)
    yield from (instance.env_file for instance in world.site.instances.values() if instance.env_file)
    if world.site.chains:
        for text in programs(world).shell:
            yield from (name for found in _NAMED.finditer(text.text) if (name := _relative(found["path"])))
        beside = {posixpath.dirname(chain.files[0]) for chain in world.site.chains.values()}
        for generator in _generators(world):
            folder = posixpath.dirname(generator.path)
            yield posixpath.join(folder if folder in beside else "", generator.target)


def _of_services(world: World, files: tuple[str, ...]) -> Iterator[str]:
    try:
        every = with_included(world, files)
    except CouldNotLook:
        return
    for file in every:
        for _, path, _ in declared_env_files(world, file):
            yield path


def declared_env_files(world: World, file: str) -> Iterator[tuple[str, str, bool]]:
    """What the services of a compose file name as `env_file:`: service, path in the tree, whether it is required. Paths with unknown variables are left out."""
    try:
        data = compose_yaml(world, file).data
    except CouldNotLook:
        return
    services = data.get("services") if isinstance(data, dict) else None
    for name, service in (services if isinstance(services, dict) else {}).items():
        said = service.get("env_file") if isinstance(service, dict) else None
        said = said.value if isinstance(said, Tagged) else said
        for one in said if isinstance(said, list) else [said]:
            path = one.get("path") if isinstance(one, dict) else one
            required = not isinstance(one, dict) or one.get("required") is not False
            if isinstance(path, str) and "$" not in (path := _DEFAULTED.sub(r"\1", path)) and not path.startswith(("/", "~")):
                yield str(name), posixpath.normpath(posixpath.join(posixpath.dirname(file), path)), required


def quoting(world: World, _subject: Subject) -> Quoting:
    """The settings that scripts write so that their readers may take them for something else."""
    found = programs(world)
    return replace(unquoted(found.on_hosts(), env_files(world)), unreadable=found.unreadable)


def rewrites(world: World, _subject: Subject) -> Rewrites:
    """The scripts that write over an env file of the stack."""
    found = programs(world)
    return Rewrites(found=rewritten(found.on_hosts(), env_files(world)), unreadable=found.unreadable)


# ---- what new installations are given, and what reaches old ones


def used(world: World) -> Mapping[str, Use]:
    """Where the compose files of all chains use each variable, at the first place."""

    def read() -> Mapping[str, Use]:
        found: dict[str, list[tuple[Scalar, bool]]] = {}
        for scalar in _scalars(world):
            for one in _references(scalar.text):
                found.setdefault(one.name, []).append((scalar, one.has_default))
        return {name: _use(places) for name, places in found.items()}

    return world.once("used variables", read)


def _use(places: Sequence[tuple[Scalar, bool]]) -> Use:
    published = any("ports" in scalar.path for scalar, _ in places)
    return Use(file=places[0][0].file, line=places[0][0].line, optional=published and all(has_default for _, has_default in places))


def _scalars(world: World) -> Iterator[Scalar]:
    files = dict.fromkeys(file for chain in world.site.chains.values() for file in chain.files)
    for file in files:
        try:
            yield from scalars(world, file)
        except CouldNotLook:
            continue  # compose.strict_parse says so


def _references(text: str) -> Iterator[Reference]:
    try:
        yield from references(text)
    except SubstitutionError:
        return


def _generators(world: World) -> tuple[Generator, ...]:
    """The scripts that write an env file for the stack."""
    return world.once("env generators", lambda: tuple(generators(programs(world).on_hosts(), used(world).keys())))


def upkeep(world: World, _subject: Subject) -> Upkeep:
    """What gives new installations their settings beside what brings them to old ones, for each file that has both."""
    texts = programs(world).on_hosts()
    copied = (one for one in examples(world) if len(one.keys & used(world).keys()) >= FEWEST_KEYS)
    found = []
    for generator in (*_generators(world), *copied):
        known = updater(texts, generator)
        if known is not None:
            lacking = [setting.key for setting in generator.settings if setting.key not in known.words]
            found.append(KeptUp(generator=generator, updater=known, uses=_uses(world, lacking, {generator.path, *known.paths})))
    return Upkeep(files=tuple(found), unreadable=programs(world).unreadable)


def examples(world: World) -> Iterator[Generator]:
    """The examples of env files that are copied, each with its settings."""
    for path in world.tree.listing():
        name = posixpath.basename(path)
        if (named := _EXAMPLE.fullmatch(name)) and not is_of_others(path):
            try:
                content = world.tree.read(path).decode("utf-8", "replace")
            except CouldNotLook:
                continue
            yield example(path, named["target"] or DOT_ENV, content)


def _uses(world: World, keys: Collection[str], aside: Collection[str]) -> Mapping[str, Use]:
    """Where the stack uses keys: in its compose files, else in any code but what writes env files and what explains them."""
    by_compose = used(world)
    found = {key: by_compose[key] for key in keys if key in by_compose}
    left = [key for key in dict.fromkeys(keys) if key not in found]
    if not left:
        return found
    wanted = re.compile(rb"\b(?:" + b"|".join(re.escape(key.encode()) for key in left) + rb")\b")
    for path in world.tree.listing():
        if path in aside or _NO_CODE.search(path) or is_of_others(path):
            continue
        try:
            content = world.tree.read(path)
        except CouldNotLook:
            continue
        for match in wanted.finditer(content):
            key = match[0].decode()
            if key not in found:
                found[key] = Use(file=path, line=content.count(b"\n", 0, match.start()) + 1)
    return found


def _relative(written: str) -> str:
    """The path behind a folder that is not known; nothing for one that is a variable to its end."""
    rest = re.sub(r"^(?:\$\{?\w+\}?|\$\([^)]*\)|~|/.*(?=/))/", "", written)
    return "" if "$" in rest else posixpath.normpath(rest)


def sourced_files(world: World, _subject: Subject) -> SourcedFiles:
    """The scripts of the host that hand an env file of the stack to a shell."""
    found = programs(world)
    files = env_files(world)
    texts = found.on_hosts() if files.paths else ()
    return SourcedFiles(files=files, handed=handed(texts, files), scripts=len({text.path for text in texts}), unreadable=found.unreadable)


OBSERVERS: Mapping[str, Observer] = {
    "env.file_not_sourced": Observer(see=sourced_files),
    "env.file_quoting": Observer(see=quoting),
    "env.preserve_operator_edits": Observer(see=rewrites),
    "env.coverage_existing_installs": Observer(see=upkeep),
}
