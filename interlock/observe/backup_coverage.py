"""What makes backups in a tree, and which engines do its chains start? `interlock.facts.backup_coverage` has the nouns."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from interlock.config.discover import is_aside, is_of_others
from interlock.config.models import Excluded, Module, Site
from interlock.errors import CouldNotLook
from interlock.facts.backup_coverage import COPIES, BackupCoverage, Engine, Keeper, is_regular, keeps_state
from interlock.facts.backups import without_comments
from interlock.facts.programs import Holder, Runs, ShellText
from interlock.facts.stack import Service, ServiceMount, Stack
from interlock.observe.programs import program, programs, sorted_files
from interlock.observe.stack import compose_yaml, stack
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_PROGRAM_COPIES = regex(rb"dump|backup|copytree|make_archive|tarfile|rsync|restic|borg|boto3|rclone")
_NOT_DEPLOYED = regex(
    r"(?:^|[/._-])(?:dev|devel|development|test|tests|testing|ci|local|e2e|debug|bench|playwright|cypress|integration|example|sample|demo)(?:[/._-]|$)"
)


def backup_coverage(world: World, _subject: Subject) -> BackupCoverage:
    """Everything that makes backups, beside every engine. Raises `CouldNotLook` when there are backups and no docker compose to say what is started."""
    deployed = [name for name, chain in world.site.chains.items() if not any(_NOT_DEPLOYED.search(file) or is_aside(file) for file in chain.files)]
    keepers = [*_scripts(world), *_programs(world), *_procedures(world)]
    engines: dict[tuple[str, str], Engine] = {}
    unresolved = []
    for name in deployed if keepers or _names_a_sidecar(world) else ():
        try:
            found = stack(world, name)
        except CouldNotLook:
            unresolved.append(name)
            continue
        lines = _Lines(world, world.site.chains[name].files)
        places = _Places(str(world.tree.root.resolve()), found)
        keepers += _sidecars(found, lines, places)
        for service in found.services.values():
            for engine in _engine(world.site, service, lines, places):
                engines.setdefault((engine.file, engine.service), engine)
    kept = {(keeper.path, keeper.line, keeper.service): keeper for keeper in keepers}
    return BackupCoverage(keepers=tuple(kept.values()), engines=tuple(engines.values()), unresolved=tuple(unresolved) if kept else ())


# ---- what makes backups


def _scripts(world: World) -> Iterator[Keeper]:
    for text in programs(world).shell:
        if text.runs is Runs.ASIDE or not is_regular(_called(text)):
            continue
        plain = without_comments(text.text.encode("utf-8", "surrogateescape"))
        if COPIES.search(plain):
            yield Keeper(path=text.path, line=_first_copy(text), text=plain)


def _procedures(world: World) -> Iterator[Keeper]:
    """The scripts that the site says back its modules up, whatever they are called."""
    for path in {module.procedure for module in world.site.modules.values() if module.procedure}:
        yield Keeper(path=path, line=1, text=without_comments(world.tree.read(path)))


def _called(text: ShellText) -> str:
    """The name that says what a piece of shell is for: that of its file, of its target, or of what a crontab or a unit starts."""
    match text.holder:
        case Holder.SCRIPT | Holder.DOCKERFILE:
            return text.path
        case Holder.MAKEFILE | Holder.WORKFLOW:
            return text.name.rpartition(" ")[2]
        case _:
            return posixpath.basename(text.path) + " " + text.text.partition("\n")[0] if COPIES.search(text.text) else ""


def _first_copy(text: ShellText) -> int:
    for number, line in enumerate(text.text.splitlines(), text.line):
        if not line.lstrip().startswith("#") and COPIES.search(line):
            return number
    return text.line


def _programs(world: World) -> Iterator[Keeper]:
    for path in sorted_files(world).programs:
        if not is_regular(path) or is_aside(path) or is_of_others(posixpath.dirname(path)):
            continue
        try:
            data = program(world, path).data
        except CouldNotLook:
            continue
        if _PROGRAM_COPIES.search(data):
            yield Keeper(path=path, line=1, text=without_comments(data))


def _names_a_sidecar(world: World) -> bool:
    files = {file for chain in world.site.chains.values() for file in chain.files}
    return any(b"backup" in _bytes(world, file) for file in files)


def _bytes(world: World, path: str) -> bytes:
    try:
        return world.tree.read(path)
    except CouldNotLook:
        return b""


def _sidecars(found: Stack, lines: _Lines, places: _Places) -> Iterator[Keeper]:
    """Services that make backups of their neighbours, by their name or their image; what they have mounted and are told is what they take along."""
    for service in found.services.values():
        if not (is_regular(service.name) or is_regular(service.image.partition(":")[0])) or keeps_state(service):
            continue
        mounted = [word for mount in service.mounts for word in (mount.source, *places.names(mount), *places.paths(mount))]
        told = [value for value in service.environment.values() if value]
        path, line = lines.of(service.name)
        said = "\n".join((service.image, *service.entrypoint, *service.command, *told, *mounted))
        yield Keeper(path=path, line=line, text=said, service=service.name)


# ---- what is to be backed up


class _Lines:
    """Where the files of a chain declare a service: the first that gives it an image, else the first that names it."""

    def __init__(self, world: World, files: tuple[str, ...]) -> None:
        self._world, self._files = world, files

    def of(self, service: str) -> tuple[str, int]:
        named: tuple[str, int] | None = None
        for file in self._files:
            try:
                read = compose_yaml(self._world, file)
            except CouldNotLook:
                continue
            services = read.data.get("services") if isinstance(read.data, dict) else None
            said = services.get(service) if isinstance(services, dict) else None
            if said is not None:
                place = (file, read.positions.nearest(("services", service)).key.line)
                if isinstance(said, dict) and ("image" in said or "build" in said):
                    return place
                named = named or place
        return named or (self._files[0], 1)


def _engine(site: Site, service: Service, lines: _Lines, places: _Places) -> Iterator[Engine]:
    """A service as an engine with state, when it keeps its data on something that outlives it."""
    server = keeps_state(service)
    lasting = [mount for mount in service.mounts if mount.kind in ("bind", "volume") and mount.source and not mount.read_only and not _is_file(mount)]
    if server is None or not lasting:
        return
    file, line = lines.of(service.name)
    volumes, paths = (frozenset(word for mount in lasting for word in said(mount)) for said in (places.names, places.paths))
    module = next((name for name, one in site.modules.items() if _is_of(name, one, service, volumes, paths)), "")
    yield Engine(
        chain=places.stack.chain,
        folder=posixpath.dirname(places.stack.files[0]),
        service=service.name,
        server=server.name,
        image=service.image,
        file=file,
        line=line,
        container=service.container_name,
        volumes=volumes,
        paths=paths,
        module=module,
        procedure=(site.modules[module].procedure or "") if module else "",
        left_out=next((one.reason for one in site.excluded if _excludes(one, service, volumes)), ""),
    )


def _is_of(name: str, module: Module, service: Service, volumes: frozenset[str], paths: frozenset[str]) -> bool:
    """Whether a module of the site is this service: by its container, its volumes or its directories."""
    called = {service.name, service.container_name} - {""}
    return bool({name, module.container} & called or set(module.volumes or ()) & volumes or set(module.paths) & paths)


def _excludes(one: Excluded, service: Service, volumes: frozenset[str]) -> bool:
    match one.kind:
        case "container":
            return any(fnmatchcase(name, one.container or "") for name in (service.name, service.container_name) if name)
        case "volume":
            return any(fnmatchcase(name, one.volume or "") for name in volumes)
        case _:
            return False


def _is_file(mount: ServiceMount) -> bool:
    return posixpath.splitext(mount.target)[1] != "" or "initdb" in mount.target


class _Places:
    """What the mounts of a stack are called by those who copy them: names of volumes, and directories; those in the tree from the folder of the chain."""

    def __init__(self, root: str, found: Stack) -> None:
        self.stack = found
        self._folders = (posixpath.join(root, posixpath.dirname(found.files[0])).rstrip("/"), root)

    def names(self, mount: ServiceMount) -> tuple[str, ...]:
        """The key of a volume, and its name with the engine."""
        if mount.kind != "volume":
            return ()
        volume = self.stack.volumes.get(mount.source)
        return (mount.source, volume.name) if volume else (mount.source,)

    def paths(self, mount: ServiceMount) -> tuple[str, ...]:
        """The directory of the host behind a mount."""
        path = self.stack.host_path(mount)
        inside = next((posixpath.relpath(path, folder) for folder in self._folders if path.startswith(f"{folder}/")), path)
        return (inside,) if inside else ()


OBSERVERS: Mapping[str, Observer] = {"backups.coverage": Observer(see=backup_coverage)}
