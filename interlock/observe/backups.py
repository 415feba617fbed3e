"""How are a module's backups had? Which looks the backups family needs, and how their answers become its nouns."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from interlock.config.backup_classes import assigned, class_of
from interlock.config.models import BackupClass, Excluded, Module, Site
from interlock.config.yamlnodes import FATAL
from interlock.config.yamltext import COMPOSE, SITE, Rules, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.backup_modules import (
    ComposeService,
    Container,
    InventoryModule,
    ModuleFile,
    ModuleInventory,
    containers_in_compose,
    containers_in_runbook,
    folder_name,
    services_in,
)
from interlock.facts.backup_writers import WriterScript, find_writers
from interlock.facts.backups import (
    BackupAge,
    BackupContents,
    ModuleBackups,
    NewestBackup,
    Procedure,
    RestoreNote,
    State,
    before,
    copied_database,
    holds_files,
    text_of_deeds,
    without_comments,
)
from interlock.facts.looks import Examine, HostFacts, Look, Stat, User, Walk
from interlock.observe import apply_paths, backup_coverage
from interlock.observe.git import last_change
from interlock.observe.patterns import matching
from interlock.observe.postgres import Access, reading
from interlock.observe.tree import MissingFile
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject, When

FILES = (BackupClass.E, BackupClass.F)  # archives of what lies there, which changes when somebody writes; the others are those of running servers
RUNBOOKS = ("runbook.md", "RUNBOOK.md", "Runbook.md")

# ---- private


def _privacy_looks(site: Site, subject: Subject) -> Iterable[Look]:
    if _is_script(site, subject):
        return ()
    module = site.modules[subject.name]
    return (Stat(module.backups), User(module.owner), Walk(module.backups))


def _is_script(site: Site, subject: Subject) -> bool:
    """A script is asked from files alone, a module's backups on the live system alone."""
    return site.scripts is not None and subject.when is not None and When.STATIC in subject.when


def see(world: World, subject: Subject) -> ModuleBackups | WriterScript:
    """What the subject names: a module's backups, or a script that may write some. Raises `CouldNotLook`."""
    return writer_script(world, subject) if _is_script(world.site, subject) else module_backups(world, subject)


def writer_script(world: World, subject: Subject) -> WriterScript:
    """The backups that a script of the site's tree writes. Raises `CouldNotLook`."""
    return find_writers(subject.name, world.tree.read(subject.name))


def module_backups(world: World, subject: Subject) -> ModuleBackups:
    """What lies in the module's backup directory. Raises `CouldNotLook`, also later while `listings` is drained."""
    module, facts = world.site.modules[subject.name], world.host(subject.host)
    return ModuleBackups(
        directory=module.backups,
        itself=facts.stat(module.backups),
        owner=module.owner,
        owner_uid=facts.uid(module.owner),
        listings=facts.walk(module.backups),
    )


# ---- the newest


def _newest_looks(site: Site, subject: Subject) -> Iterable[Look]:
    return (Examine(site.modules[subject.name].backups), Walk(site.modules[subject.name].backups))


def newest_backup(world: World, subject: Subject) -> NewestBackup:
    """The module's newest backup, read to its end on its host. Raises `CouldNotLook`."""
    module, letter = world.site.modules[subject.name], _letter(world.site, subject.name)
    facts = world.host(subject.host)
    files = facts.examine(module.backups).files
    return NewestBackup(
        module=subject.name,
        backup_class=letter,
        directory=module.backups,
        files=files,
        in_folders=not files and world.once(("files below", subject.host, module.backups), lambda: _holds_files(facts, module.backups)),
    )


def _holds_files(facts: HostFacts, directory: str) -> bool:
    try:
        return holds_files(facts.walk(directory))
    except CouldNotLook:
        return False  # it is not there


def _letter(site: Site, module: str) -> str:
    """The class of a module. Raises `CouldNotLook` when patterns contradict each other: what its backup should be is not known then."""
    found = class_of(site, module)
    if found is None:
        raise CouldNotLook(f"{module} has two classes", where=module, remedy="see what backups.class_assigned says of it")
    return found.value


def _age_looks(site: Site, subject: Subject) -> Iterable[Look]:
    return (*_newest_looks(site, subject), *_state_looks(_paths_that_tell(site.modules[subject.name], class_of(site, subject.name))))


def _state_looks(paths: Iterable[str]) -> Iterator[Look]:
    for path in paths:
        yield Stat(path)
        yield Walk(path)


def _paths_that_tell(module: Module, letter: BackupClass | None) -> tuple[str, ...]:
    """The directories in which a change says that the backup is too old: none where they are those of a running server, or of a busy module."""
    return module.paths if letter in FILES and not module.busy else ()


def backup_age(world: World, subject: Subject) -> BackupAge:
    """The module's newest backup beside the clock and what changed last. Raises `CouldNotLook`."""
    module = world.site.modules[subject.name]
    return BackupAge(
        newest=newest_backup(world, subject),
        now=datetime.fromisoformat(world.host(subject.host).taken_at),
        fresh_for=module.fresh_for,
        state=tuple(_state(world, subject.host, path) for path in _paths_that_tell(module, class_of(world.site, subject.name))),
    )


def _state(world: World, host: str, path: str) -> State:
    """A directory or file of a module as it is now, walked once a run."""

    def look() -> State:
        facts = world.host(host)
        itself = facts.stat(path)
        return State.of_file(path, itself) if stat.S_ISREG(itself.mode) else State.of(path, facts.walk(path))

    return world.once(("state", host, path), look)


# ---- complete


def _contents_looks(site: Site, subject: Subject) -> Iterable[Look]:
    if subject.name not in site.modules:
        return ()
    return (*_newest_looks(site, subject), *_state_looks(_archived(site, subject.name)))


def _archived(site: Site, module: str) -> tuple[str, ...]:
    """The paths that the module's archive must hold: those of files. What a server's own backup holds is another thing (a snapshot, a mirror)."""
    return site.modules[module].paths if class_of(site, module) in (*FILES, BackupClass.G) else ()


def contents_or_procedure(world: World, subject: Subject) -> BackupContents | Procedure:
    """What is in the newest backup, on the live system; else what the script that makes it takes along. Raises `CouldNotLook`."""
    if subject.name not in world.site.modules:
        return _script_procedure(world, subject.name)
    return backup_contents(world, subject) if world.live else procedure(world, subject)


def _script_procedure(world: World, path: str) -> Procedure:
    """A script that may back up an embedded database, whoever's it is: of the other kinds of backups it cannot be told what they should hold."""
    data = world.tree.read(path)
    script = find_writers(path, data)
    text = text_of_deeds(path, data) if any(map(copied_database, script.writes)) else ""
    return Procedure(module="", backup_class=BackupClass.E.value, script=script, text=text)


def backup_contents(world: World, subject: Subject) -> BackupContents:
    """The module's newest backup beside what it should hold. Raises `CouldNotLook`."""
    module, newest = world.site.modules[subject.name], newest_backup(world, subject)
    access = _access(world, module) if newest.files else None
    return BackupContents(
        newest=newest,
        state=tuple(_state(world, subject.host, path) for path in _archived(world.site, subject.name)),
        database=access.values().get("dbname", "") if access else "",
        large_objects=_has_large_objects(access) if access else None,
        before=before(newest.files, module.backups, world.host(subject.host).walk(module.backups)) if newest.files else {},
        procedure=_procedure_text(world, module),
    )


def _procedure_text(world: World, module: Module) -> str:
    """The script that backs the module up, as far as it can be read; backups.complete says in the static gate why it cannot."""
    try:
        return without_comments(world.tree.read(module.procedure)) if module.procedure else ""
    except CouldNotLook:
        return ""


def _access(world: World, module: Module) -> Access | None:
    """How the module's database is reached; None when it declares none, or its DSN is not known here: what it would tell is not asked then."""
    if module.database is None:
        return None
    entry = world.site.databases[module.database]
    try:
        return Access.of(world.environ, entry.dsn_env, timeout=entry.timeout, where=f"databases.{module.database}")
    except CouldNotLook:
        return None


def _has_large_objects(access: Access) -> bool | None:
    try:
        with reading(access) as session:
            ((found,),) = session.rows("select exists (select from pg_largeobject_metadata)")
    except CouldNotLook:
        return None
    return bool(found)


def procedure(world: World, subject: Subject) -> Procedure:
    """The script that backs a module up. Raises `CouldNotLook`."""
    path = world.site.modules[subject.name].procedure
    assert path is not None  # subjects are made from it
    data = world.tree.read(path)
    script = find_writers(path, data)
    return Procedure(module=subject.name, backup_class=_letter(world.site, subject.name), script=script, text=text_of_deeds(path, data))


# ---- the notes


def restore_note(world: World, subject: Subject) -> RestoreNote:
    """The note that says how a module is restored, beside the script that backs it up. Raises `CouldNotLook`."""
    module, letter = world.site.modules[subject.name], _letter(world.site, subject.name)
    file = next((file for file in _module_files(world) if _is_file_of(file, subject.name)), ModuleFile(path="", name=subject.name))
    path, script = module.restore_note or file.restore_note, module.procedure or ""
    if script:
        world.tree.read(script)  # a procedure that is not there has no age
    compared = bool(path and script)
    return RestoreNote(
        module=subject.name,
        backup_class=letter,
        path=path,
        text=_text_of(world, path) if path else None,
        decision=module.decision or file.decision,
        procedure=script,
        note_changed=last_change(world.tree.root, path) if compared else None,
        procedure_changed=last_change(world.tree.root, script) if compared else None,
    )


def _text_of(world: World, path: str) -> str | None:
    """The text of a file of the tree, None when it is not there. Raises `CouldNotLook` when it is there and cannot be read."""
    try:
        return world.tree.read(path).decode("utf-8", "replace")
    except MissingFile:
        return None


# ---- the module files


def module_inventory(world: World, _subject: Subject | None = None) -> ModuleInventory:
    """Every module file of the tree, beside what the site says of the module. Raises `CouldNotLook`."""
    inventory = world.site.inventory
    assert inventory is not None  # subjects are made from it
    services = tuple(_services(world))
    modules = tuple(_inventory_module(world, file, services) for file in _module_files(world))
    return ModuleInventory(patterns=inventory.modules, modules=modules, declared=bool(world.site.source))


def _module_files(world: World) -> tuple[ModuleFile, ...]:
    """Every module file of the tree, sorted by path, read once a run. Raises `CouldNotLook` when the tree cannot be listed."""

    def look() -> tuple[ModuleFile, ...]:
        patterns = world.site.inventory.modules if world.site.inventory else ()
        return tuple(_module_file(world, path) for path in sorted({path for pattern in patterns for path in matching(world.tree, pattern)}))

    return world.once("module files", look)


def _is_file_of(file: ModuleFile, module: str) -> bool:
    """Whether a module file is about a module of the site: by the name that it says, else by that of its folder."""
    return module in (file.name, folder_name(file.path))


def _module_file(world: World, path: str) -> ModuleFile:
    try:
        data = _data(world, path, SITE)
    except CouldNotLook as error:
        return ModuleFile(path=path, name=folder_name(path)) if _is_anothers(world, path) else ModuleFile.unreadable(path, error.sentence)
    return ModuleFile.of(path, data) if isinstance(data, dict) else ModuleFile.unreadable(path, f"{path} holds no mapping")


def _is_anothers(world: World, path: str) -> bool:
    """True for a file that nobody declared and that never speaks of state: other programs have a `module.yml` of their own."""
    try:
        return not world.site.source and b"stateful" not in world.tree.read(path)
    except CouldNotLook:
        return False


def _data(world: World, path: str, rules: Rules) -> object:
    """What a YAML file of the tree says. Raises `CouldNotLook` when it cannot be read to its end."""
    read = read_yaml(world.tree.read(path), rules)
    if fatal := next((problem for problem in read.problems if problem.kind in FATAL), None):
        raise CouldNotLook(f"{path} cannot be read to its end", where=f"{path}:{fatal.line}", why=fatal.message, remedy=fatal.remedy)
    return read.data


def _services(world: World) -> Iterator[ComposeService]:
    """The services of the site's compose files; what cannot be read names none (compose.strict_parse says why)."""
    for path in world.site.compose.files if world.site.compose else ():
        try:
            yield from services_in(path, _data(world, path, COMPOSE))
        except CouldNotLook:
            continue


def _inventory_module(world: World, file: ModuleFile, services: tuple[ComposeService, ...]) -> InventoryModule:
    site = world.site
    declared = site.modules.get(file.name) or site.modules.get(folder_name(file.path))
    letters, because = _classes(site, file, declared)
    containers = _containers(world, file, declared, services)
    return InventoryModule(
        file=file,
        classes=letters,
        class_from=because,
        containers=containers,
        excluded=next((f"excluded by the site: {one.reason}" for one in site.excluded if _excludes(one, containers)), ""),
        backed_up=declared is not None,
        procedure=(declared.procedure or "") if declared else "",
        restore_note=((declared.restore_note or "") if declared else "") or file.restore_note,
    )


def _classes(site: Site, file: ModuleFile, declared: Module | None) -> tuple[tuple[str, ...], str]:
    """The site's word for this module, then the module file's own, then its name."""
    if declared is not None and declared.backup_class is not None:
        return (declared.backup_class.value,), "the site file"
    if file.backup_class:
        return (file.backup_class,), file.path
    by_name = assigned(file.name, site.inventory.classes if site.inventory else ())
    return tuple(letter.value for letter in by_name.classes), by_name.because


def _containers(world: World, file: ModuleFile, declared: Module | None, services: tuple[ComposeService, ...]) -> tuple[Container, ...]:
    """The containers of the first source that names any: the site, the module file, compose, the runbook beside the module file."""
    if declared is not None and declared.container:
        return (Container(name=declared.container, source="the site file"),)
    if file.container:
        return (Container(name=file.container, source=file.path),)
    if found := containers_in_compose(file, services):
        return found
    for name in RUNBOOKS:
        path = posixpath.join(posixpath.dirname(file.path), name)
        try:
            text = _text_of(world, path)
        except CouldNotLook:
            continue
        if text and (names := containers_in_runbook(text)):
            return tuple(Container(name=one, source=path) for one in names)
    return ()


def _excludes(excluded: Excluded, containers: tuple[Container, ...]) -> bool:
    if excluded.container is None:
        return False
    wanted = re.compile(".*".join(re.escape(part) for part in excluded.container.split("*")))
    return any(wanted.fullmatch(one.name) for one in containers)


OBSERVERS: Mapping[str, Observer] = {
    "backups.before_apply": Observer(see=apply_paths.see),
    "backups.never_automatic": Observer(see=apply_paths.see),
    "backups.class_assigned": Observer(see=module_inventory),
    "backups.complete": Observer(looks=_contents_looks, see=contents_or_procedure),
    "backups.fresh": Observer(looks=_age_looks, see=backup_age),
    "backups.intact": Observer(looks=_newest_looks, see=newest_backup),
    "backups.mode_0600": Observer(looks=_privacy_looks, see=see),
    "backups.restore_notes": Observer(see=restore_note),
    **backup_coverage.OBSERVERS,
}
