"""How are an instance's variables had, and what asks for them? From the files of the tree for a static judgement, from the instance's `.env` for a live one."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from interlock.config.models import Site
from interlock.config.yamlnodes import FATAL, Node
from interlock.config.yamltext import COMPOSE, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.dotenv import EnvFile
from interlock.facts.env import InstanceEnv, Scalar
from interlock.facts.looks import Look, ReadFile, Stat
from interlock.observe.tree import MissingFile
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject


def _deployed(site: Site, instance: str) -> str:
    """Where docker compose finds the variables of an instance: `.env` in its directory."""
    return posixpath.join(site.instances[instance].directory, ".env")


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    path = _deployed(site, subject.name)
    return (Stat(path), ReadFile(path))


def instance_env(world: World, subject: Subject) -> InstanceEnv:
    """The compose files' references beside what the instance's env file gives. Raises `CouldNotLook`."""
    where, content = _live(world, subject) if world.live else _static(world, subject)
    env = EnvFile.parse(content or b"", where=where)
    values = {name: value.text for name, value in env.resolve({}).items() if value.undefined is None}
    assert world.site.compose is not None  # subjects are made from it
    return InstanceEnv(
        instance=subject.name,
        where=where,
        present=content is not None,
        scalars=tuple(scalar for path in world.site.compose.files for scalar in _scalars(world, path)),
        values=values,
        inherited=frozenset(entry.key for entry in env.entries if entry.text is None and entry.key not in values),
    )


def _static(world: World, subject: Subject) -> tuple[str, bytes | None]:
    path = world.site.instances[subject.name].env_file
    assert path is not None
    try:
        return path, world.tree.read(path)
    except MissingFile:
        return path, None


def _live(world: World, subject: Subject) -> tuple[str, bytes | None]:
    path, facts = _deployed(world.site, subject.name), world.host(subject.host)
    return path, facts.read(path) if facts.stat(path).present else None


def _scalars(world: World, path: str) -> Iterator[Scalar]:
    """Every text value of a compose file that has a `$` in it. A file that cannot be read to its end proves nothing about the variables behind that."""
    read = read_yaml(world.tree.read(path), COMPOSE)
    if any(problem.kind in FATAL for problem in read.problems):
        raise CouldNotLook(f"{path} cannot be read to its end", where=path, why=read.problems[0].message, remedy="mend what compose.strict_parse says of it")
    for document in read.documents:
        yield from (Scalar(file=path, line=node.at.line, text=node.data) for node in _texts(document.root) if "$" in node.data)


def _texts(node: Node) -> Iterator[Node]:
    match node.members:
        case dict():
            for _, member in node.members.values():
                yield from _texts(member)
        case list():
            for member in node.members:
                yield from _texts(member)
        case None if isinstance(node.data, str):
            yield node


OBSERVERS: Mapping[str, Observer] = {"env.coverage": Observer(looks=_looks, see=instance_env)}
