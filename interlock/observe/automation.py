"""Which workflows and crontabs are there, in a tree and on a host, and what do they come to run? `interlock.observe.starters` finds those of a
tree, `interlock.facts.automation` follows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from interlock.config.forges import Forge, ForgeKind
from interlock.config.models import Automation, Site
from interlock.errors import CouldNotLook
from interlock.facts.apply_paths import ApplyPaths
from interlock.facts.automation import (
    Declared,
    ReviewedEnvironment,
    Starter,
    Starters,
    starter_of_crontab,
    starter_of_installer,
    starter_of_run_parts,
    starter_of_workflow,
)
from interlock.facts.cron import RUN_PARTS, Crontab, is_crontab_path, is_system_path, parse_crontab
from interlock.facts.gate_workflow import GateWorkflow, NoGateWorkflow, Protection, check_names, gate_steps
from interlock.facts.looks import Look, ReadFolder
from interlock.facts.workflows import CALLED, Workflow
from interlock.nouns import dataclass
from interlock.observe import forge as forges
from interlock.observe.sources import TreeSources, sources
from interlock.observe.starters import SCRIPT, find, runs_gate
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

WORKFLOWS = "workflows"
CRONTABS = "crontabs"
CRON = "cron"
ENVIRONMENT = "environment "
GATE = "gate"
BRANCH = "branch "


# ---- what a subject names


def see(world: World, subject: Subject) -> Starters | ReviewedEnvironment:
    """What the subject of `no_automatic_apply` names: files of the tree, a host's crontabs, or an environment of the forge. Raises `CouldNotLook`."""
    automation = _automation(world)
    if subject.name.startswith(ENVIRONMENT):
        name = subject.name.removeprefix(ENVIRONMENT)
        return ReviewedEnvironment(name=name, asks=forges.reviewers_asked(_forge(automation, name), name, world.environ))
    if subject.name == CRON:
        return _host_crontabs(world, subject, automation)
    if subject.name == WORKFLOWS:
        return _found_workflows(world, automation)
    if subject.name == CRONTABS:
        paths = [path for path in find(world.tree).crontabs if path not in (automation.crontabs or ())]
        return Starters(name=_others(CRONTABS, automation.crontabs), files=tuple(_crontab(world, path, automation) for path in paths))
    one = _workflow if subject.name in (automation.workflows or ()) else _crontab
    return Starters(name=subject.name, files=(one(world, subject.name, automation),))


def _others(name: str, named: Sequence[str] | None) -> str:
    """How what is found is called: a site that names some is told of the others, for a new workflow applies as well as an old one."""
    return f"other {name}" if named else name


def _automation(world: World) -> Automation:
    assert world.site.automation is not None
    return world.site.automation


def _forge(automation: Automation, environment: str) -> Forge:
    if automation.forge is None:
        what = f"nobody can say whether {environment} waits for a reviewer"
        raise CouldNotLook(what, where=f"automation.reviewed: {environment}", remedy="declare `automation.forge`, which is asked")
    return automation.forge


def _scripts(automation: Automation) -> frozenset[str]:
    return frozenset(automation.apply or ())


def _declared(automation: Automation, path: str) -> Declared | None:
    return next((Declared(reason=one.reason, owner=one.owner) for one in automation.automatic if one.path == path), None)


def starter(world: World, path: str) -> Starter:
    """What a workflow starts by itself, followed once a run. Raises `CouldNotLook`."""

    def look() -> Starter:
        world.tree.read(path)  # one that is not there says so in the words of every other file
        return starter_of_workflow(path, sources(world), declared=_scripts(_automation(world)))

    return world.once(("starter", path), look)


def _workflow(world: World, path: str, automation: Automation) -> Starter:
    return replace(starter(world, path), declared=_declared(automation, path), reviewed=frozenset(automation.reviewed or ()))


def crontab_starter(world: World, path: str) -> Starter:
    """What a crontab, or a script that writes one, starts by itself; followed once a run. Raises `CouldNotLook`."""

    def look() -> Starter:
        content, texts, scripts = world.tree.read(path), sources(world), _scripts(_automation(world))
        if SCRIPT.search(path):
            return starter_of_installer(path, content.decode("utf-8", "surrogateescape"), texts, declared=scripts)
        return starter_of_crontab(path, _parsed(path, content), texts, declared=scripts)

    return world.once(("crontab starter", path), look)


def _crontab(world: World, path: str, automation: Automation) -> Starter:
    return replace(crontab_starter(world, path), declared=_declared(automation, path))


def _parsed(path: str, content: bytes) -> Crontab:
    return parse_crontab(content.decode("utf-8", "surrogateescape"), system=is_system_path(path))


def _found_workflows(world: World, automation: Automation) -> Starters:
    paths = [path for path in find(world.tree).workflows if path not in (automation.workflows or ())]
    files = tuple(_workflow(world, path, automation) for path in paths)
    root = world.tree.root
    above = next((str(folder) for folder in root.resolve().parents if (folder / ".git").exists()), None)
    if files or above is None or automation.workflows or (root / ".git").exists():
        return Starters(name=_others(WORKFLOWS, automation.workflows), files=files)
    remedy = "put the site file into the top of the repository, or name the workflows in `automation.workflows`"
    return Starters(name=WORKFLOWS, files=(), blind=f"the repository begins above the site's folder, in {above}, and its workflows are there", remedy=remedy)


# ---- the crontabs of a host


class _Kind(Enum):
    """How cron reads the files of a folder."""

    SYSTEM = "system"  # crontabs with a column for the user
    SPOOL = "spool"  # crontabs of users
    PERIOD = "period"  # programs


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that cron reads; `when` says when its programs run."""

    path: str
    kind: _Kind
    suffixes: tuple[str, ...] = ()
    when: str = ""


_FOLDERS = (
    _Folder("/etc", _Kind.SYSTEM, ("crontab",)),
    _Folder("/etc/cron.d", _Kind.SYSTEM),
    *(_Folder(path, _Kind.SPOOL) for path in ("/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs", "/etc/crontabs")),
    *(_Folder(f"/etc/cron.{when}", _Kind.PERIOD, when=when) for when in ("hourly", "daily", "weekly", "monthly")),
)


def _looks(_site: Site, subject: Subject) -> Iterable[Look]:
    return [ReadFolder(folder.path, folder.suffixes) for folder in _FOLDERS] if subject.name == CRON else ()


def _host_crontabs(world: World, subject: Subject, automation: Automation) -> Starters:
    """Every crontab of a host. A line that stands in a crontab of the tree that may apply by itself may do so here too."""
    facts = world.host(subject.host)
    known = _Known(sources=sources(world), scripts=_scripts(automation), declared=dict(_declared_lines(world, automation)))
    files: list[Starter] = []
    unread: list[CouldNotLook] = []
    for folder in _FOLDERS:
        try:
            answer = facts.folder(folder.path, folder.suffixes)
        except CouldNotLook as error:
            unread.append(error)
            continue
        unread += [CouldNotLook(f"{folder.path}/{name} could not be read: {why}", remedy=_READABLE) for name, why in answer.unread.items()]
        for name, content in sorted(answer.files.items()):
            files += _host_file(folder, name, content.decode("utf-8", "surrogateescape"), known)
    blind = "; ".join(error.what for error in unread[:3])
    return Starters(name=f"crontabs on {subject.host}", files=tuple(files), blind=blind, remedy=unread[0].remedy if unread else "")


_READABLE = "let the user who looks read it, or set `become: sudo -n` for this host"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the tree says of a host's crontabs: its files, the scripts that apply, and the lines that may apply by themselves."""

    sources: TreeSources
    scripts: frozenset[str]
    declared: Mapping[str, Declared]


def _host_file(folder: _Folder, name: str, text: str, known: _Known) -> Iterator[Starter]:
    path = f"{folder.path}/{name}"
    if folder.kind is _Kind.PERIOD:
        if RUN_PARTS.fullmatch(name):
            yield starter_of_run_parts(path, folder.when, text, known.sources, declared=known.scripts)
        return
    if folder.suffixes and name not in folder.suffixes:  # /etc/anacrontab runs the folders of the periods
        return
    crontab = parse_crontab(text, system=folder.kind is _Kind.SYSTEM)
    kept = tuple(line for line in crontab.lines if line.command.strip() not in known.declared)
    yield starter_of_crontab(path, replace(crontab, lines=kept), known.sources, declared=known.scripts)
    for line in crontab.lines:
        if (by := known.declared.get(line.command.strip())) is not None:
            one = starter_of_crontab(path, replace(crontab, lines=(line,), refused=()), known.sources, declared=known.scripts)
            yield replace(one, declared=by)


def _declared_lines(world: World, automation: Automation) -> Iterator[tuple[str, Declared]]:
    for one in automation.automatic:
        if is_crontab_path(one.path):
            try:
                crontab = _parsed(one.path, world.tree.read(one.path))
            except CouldNotLook:
                continue  # the subject of that crontab says so
            yield from ((line.command.strip(), Declared(reason=one.reason, owner=one.owner)) for line in crontab.lines)


# ---- the gate


def see_gate(world: World, subject: Subject) -> GateWorkflow | NoGateWorkflow | Protection:
    """What the subject of `gate_is_required` names: the workflow that runs the gate, or what the branch demands. Raises `CouldNotLook`."""
    automation = _automation(world)
    if subject.name.startswith(BRANCH):
        assert automation.forge is not None
        return forges.protection(automation.forge, _wanted(world, automation, automation.forge), world.environ)
    return _gate_workflow(world, automation)


def _gate_workflow(world: World, automation: Automation) -> GateWorkflow | NoGateWorkflow:
    path = automation.gate
    if path is None:
        found = find(world.tree)
        path = found.gate
        if path is None:
            return NoGateWorkflow(several=tuple(one for one in found.workflows if runs_gate(world.tree, one)))
    world.tree.read(path)
    texts = sources(world)
    path = _caller(world, texts, path)
    workflow = texts.workflow(path)
    steps = gate_steps(workflow, texts, check=automation.gate_check, declared=automation.gate is not None) if isinstance(workflow, Workflow) else ()
    return GateWorkflow(path=path, workflow=workflow, steps=steps, branch=automation.forge.branch if automation.forge else "")


def _caller(world: World, sources: TreeSources, path: str) -> str:
    """The workflow that calls this one, when it does not start by itself and one alone calls it; else itself."""
    workflow = sources.workflow(path)
    if not isinstance(workflow, Workflow) or {trigger.event for trigger in workflow.triggers} != {CALLED}:
        return path
    callers = []
    for other in find(world.tree).workflows:
        found = sources.workflow(other)
        if isinstance(found, Workflow) and any(job.uses.partition("@")[0] == f"./{path}" for job in found.jobs):
            callers.append(other)
    return callers[0] if len(callers) == 1 else path


def _wanted(world: World, automation: Automation, forge: Forge) -> tuple[str, ...]:
    """The names that the gate's check may have. Raises `CouldNotLook` when nothing tells."""
    github = forge.kind is ForgeKind.GITHUB
    if automation.gate_check is not None:
        return (automation.gate_check,)
    gate = _gate_workflow(world, automation)
    names = check_names(gate, None, github=github) if isinstance(gate, GateWorkflow) else ()
    if not names:
        raise CouldNotLook("nothing tells the name of the gate's status check", where=forge.repository, remedy="declare `automation.gate_check`")
    return names


def _see_paths(world: World, subject: Subject) -> ApplyPaths:
    from interlock.observe import apply_paths  # it asks this module what starts by itself

    return apply_paths.see(world, subject)


OBSERVERS: Mapping[str, Observer] = {
    "automation.no_automatic_apply": Observer(looks=_looks, see=see),
    "automation.gate_is_required": Observer(see=see_gate),
    "automation.exclusive_lock": Observer(see=_see_paths),
}
