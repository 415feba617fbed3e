"""How is seen what the site does not declare? Stacks through docker compose, hosts through their one probe, database servers by asking them; and what of the
site file itself nobody has confirmed, by reading it once more."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from interlock.config.chain_subjects import chain_of
from interlock.config.models import Disk, Excluded, Learned, Module, PublicPort, Site
from interlock.config.reading import read_regular_file
from interlock.config.scalars import Noun
from interlock.config.yamltext import SITE, KeyPath
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.looks import HostFacts, List, Look, Mounts
from interlock.facts.placeholders import VALUES, Asked
from interlock.facts.site import (
    SERVER,
    Declared,
    Keeper,
    Kind,
    LearnedNoun,
    LearnedNouns,
    StateFound,
    keepers_of_engine,
    keepers_of_stack,
    mounted,
    volume_directories,
)
from interlock.facts.stack import Stack
from interlock.observe.containers import engine_looks, engine_seen
from interlock.observe.git import tracked
from interlock.observe.mount_tables import mount_table
from interlock.observe.postgres import Access, reading
from interlock.observe.stack import stack
from interlock.observe.world import Observer, World
from interlock.observe.written import unset_at, written
from interlock.verdicts import Subject

_KEEPS_A_FOLDER = (".gitkeep", ".gitignore", ".keep", "README", "README.md")  # committed so that an empty folder is there


def _looks(site: Site, subject: Subject) -> Iterator[Look]:
    if chain_of(subject) is not None or subject.name.startswith(SERVER):
        return
    yield Mounts()
    yield from engine_looks(site, subject.host)
    if folder := site.host(subject.host).volumes:
        yield List(folder)


def state_found(world: World, subject: Subject) -> StateFound:
    """What keeps state in a chain, on a host or in a database server, beside what the site declares. Raises `CouldNotLook`."""
    chain = chain_of(subject)
    if chain is not None:
        return _in_chain(world, chain)
    if subject.name.startswith(SERVER):
        return _in_server(world, subject.name.removeprefix(SERVER))
    return _on_host(world, subject.host)


# ---- what is declared


def _declared(site: Site, host: str | None) -> Declared:
    """The words of the site file about one host, or about all of them where nobody knows which one a stack runs on."""
    modules = {name: module for name, module in site.modules.items() if host in (None, module.host)}
    return Declared(
        volumes=frozenset(volume for module in modules.values() for volume in module.volumes or ()),
        paths=tuple(_paths(site, modules, host)),
        places=(*(module.backups for module in modules.values()), *(disk.mounted_at for disk in _disks(site, host))),
        containers=frozenset(word for name, module in modules.items() for word in _containers(name, module)),
        whole=frozenset(word for name, module in modules.items() if not (module.paths or module.volumes) for word in _containers(name, module)),
        databases=frozenset(),
        excluded=tuple(_exclusion(one) for one in site.excluded),
        instances=tuple(instance.directory for instance in site.instances.values() if host in (None, instance.host)),
    )


def _containers(name: str, module: Module) -> tuple[str, ...]:
    return (name, module.container) if module.container else (name,)


def _paths(site: Site, modules: Mapping[str, Module], host: str | None) -> Iterator[str]:
    for module in modules.values():
        yield from module.paths
    yield from (disk.path for disk in _disks(site, host))
    others = site.mounts.others.values() if site.mounts else ()
    yield from (one.path or one.each_below or "" for one in others if host in (None, one.host))
    if site.state_dir is not None and host in (None, site.state_dir.host):
        yield site.state_dir.path


def _disks(site: Site, host: str | None) -> Iterator[Disk]:
    """The declared disks: what lies at their paths is declared, not all that is mounted where they are."""
    for disk in (site.mounts.state, site.mounts.data) if site.mounts else ():
        if disk is not None and host in (None, disk.host):
            yield disk


def _exclusion(one: Excluded) -> tuple[Kind, str]:
    kind = Kind(one.kind)
    return kind, getattr(one, kind.value)


# ---- a chain


def _in_chain(world: World, chain: str) -> StateFound:
    model = stack(world, chain)
    root = posixpath.normpath(posixpath.join(str(world.tree.root.resolve()), posixpath.dirname(model.files[0])))
    unseen, committed = {}, frozenset[str]()
    try:
        committed = world.once("committed", lambda: _committed(world))
    except CouldNotLook as error:
        unseen["folders"] = error.sentence
    found = [_placed(world, model, one) for one in keepers_of_stack(model, root=root, committed=committed)]
    in_the_project = [one for one in found if one.suffix]
    if unseen and in_the_project:  # each may be configuration
        found = [one for one in found if not one.suffix]
    return StateFound(where=f"the chain {chain}", keepers=tuple(found), declared=_declared(world.site, None), unseen=unseen if in_the_project else {})


def _committed(world: World) -> frozenset[str]:
    """The files of the tree, and the folders that version control keeps files in. Without version control a folder may hold anything.

    Raises `CouldNotLook` where git is asked and does not say.
    """
    root = str(world.tree.root.resolve())
    kept = tracked(world.tree.root)
    files = world.tree.listing() if kept is None else tuple(kept)
    folders = {parent for file in kept or () if posixpath.basename(file) not in _KEEPS_A_FOLDER for parent in _parents(file)}
    return frozenset(posixpath.normpath(posixpath.join(root, path)) for path in (*files, *folders))


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
    yield "."


def _placed(world: World, model: Stack, one: Keeper) -> Keeper:
    keys: tuple[KeyPath, ...]
    match one.kind:
        case Kind.VOLUME:
            keys = (("volumes", one.names[0]),)
        case Kind.CONTAINER:
            keys = (("services", one.names[0]),)
        case _:
            keys = tuple(path for user in one.users for path in (("services", user[0], "volumes"), ("services", user[0])))
    at = written(world, model.files, *keys)
    return replace(one, file=at.file, line=at.line, assumed=tuple(dict.fromkeys(_assumed(world, model, one))))


def _assumed(world: World, model: Stack, one: Keeper) -> Iterator[str]:
    """The variables without a value in the text that names a directory: what came of it is no directory of any host."""
    if one.kind is not Kind.MOUNT:
        return
    for user in one.users:
        for unset in unset_at(world, model, ("services", user[0], "volumes")):
            sources = [posixpath.normpath(unset.filled(value).partition(":")[0]).lstrip("./") for value in ("", VALUES[Asked.PATH])]
            if any(source and one.names[0].endswith(f"/{source}") for source in sources):
                yield from unset.variables


# ---- a host


def _on_host(world: World, host: str) -> StateFound:
    facts, unseen = world.host(host), {}
    keepers = list(mounted(mount_table(world, host)))
    for part, found in (("containers", _in_engine), ("volumes", _in_volumes)):
        try:
            known = {(keeper.kind, keeper.names[0]) for keeper in keepers}
            keepers += [keeper for keeper in found(world, facts) if (keeper.kind, keeper.names[0]) not in known]
        except CouldNotLook as error:
            unseen[part] = error.sentence
    return StateFound(where=host, keepers=tuple(keepers), declared=_declared(world.site, host), unseen=unseen)


def _in_engine(world: World, facts: HostFacts) -> Iterator[Keeper]:
    engine = engine_seen(world, facts.host)
    if engine is not None:
        yield from keepers_of_engine(engine)


def _in_volumes(world: World, facts: HostFacts) -> Iterator[Keeper]:
    folder = world.site.host(facts.host).volumes
    if folder is not None:
        yield from volume_directories(facts.entries(folder).directories)


# ---- a database server

_DATABASES = "select datname from pg_database where not datistemplate and datallowconn order by datname"
_ALWAYS_THERE = "postgres"


def _in_server(world: World, name: str) -> StateFound:
    """The databases of the server that a declared database is on. Those that the site declares on it are known by their DSNs, as far as these are given."""
    access = _access(world, name)
    with reading(access) as session:
        databases = [str(row[0]) for row in session.rows(_DATABASES)]
    declared = replace(_declared(world.site, None), databases=frozenset({_ALWAYS_THERE, *_named_like(world, access)}))
    keepers = tuple(Keeper(kind=Kind.DATABASE, shown=database, names=(database,)) for database in databases)
    return StateFound(where=f"the server of {name}", keepers=keepers, declared=declared, unseen={})


def _access(world: World, name: str) -> Access:
    entry = world.site.databases[name]
    return Access.of(world.environ, entry.dsn_env, timeout=entry.timeout, where=f"databases.{name}")


def _named_like(world: World, access: Access) -> Iterator[str]:
    """The databases that DSNs of the site name on the same server."""
    for name in world.site.databases:
        try:
            values = _access(world, name).values()
        except CouldNotLook:
            continue  # its own subject says so
        if _server(values) == _server(access.values()):
            yield values.get("dbname") or values.get("user", "")


def _server(values: Mapping[str, str]) -> tuple[str, str]:
    return values.get("host") or values.get("hostaddr", ""), values.get("port", "5432")


# ---- what nobody has confirmed


def learned(world: World, _subject: Subject) -> LearnedNouns:
    """The nouns of the site file that a running host may have taught. Raises `CouldNotLook` when the file is not what it was when the site was read."""
    positions, source = world.site.positions, Path(world.site.source)
    assert positions is not None  # only a site file has this subject
    try:
        content = read_regular_file(source, SITE.size)
    except ConfigError as error:
        raise CouldNotLook("the site file cannot be read again", where=str(source), why=str(error), remedy="let this user read it") from error
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != world.site.digest:
        raise CouldNotLook("the site file was changed while it was judged", where=str(source), remedy="run it again when nobody writes to it")
    nouns = (
        LearnedNoun(key=key, unconfirmed=noun.unconfirmed, line=positions.nearest((*path, "unconfirmed")).key.line) for path, key, noun in _learned(world.site)
    )
    return LearnedNouns(file=source.name if source.absolute().parent == world.site.root.absolute() else str(source), nouns=tuple(nouns))


def _learned(noun: object, path: KeyPath = (), key: str = "") -> Iterator[tuple[KeyPath, str, Learned]]:
    """Every noun below one, with its key path, and its name: the key path too, but that items of a list are called by what they say."""
    if isinstance(noun, Learned):
        yield path, key, noun
    members: Iterator[tuple[str | int, str, object]]
    match noun:
        case Noun():
            fields = type(noun).model_fields
            members = ((field.alias or name, f".{field.alias or name}", getattr(noun, name)) for name, field in fields.items())
        case Mapping():
            members = ((name, f".{name}", member) for name, member in noun.items())
        case tuple():
            members = ((index, f"[{_called(member, index)}]", member) for index, member in enumerate(noun))
        case _:
            return
    for step, shown, member in members:
        yield from _learned(member, (*path, step), f"{key}{shown}".removeprefix("."))


def _called(member: object, index: int) -> str:
    """A list's item by what makes it itself: others may come before it."""
    return f"{member.port}/{member.protocol}" if isinstance(member, PublicPort) else str(index)


OBSERVERS: Mapping[str, Observer] = {
    "site.undeclared": Observer(looks=_looks, see=state_found),
    "site.confirmed": Observer(see=learned),
}
