"""Which workplans are there, and what do they say? Pages of the tree: those that the site names, or those that look like one; and what module files claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from interlock.config.discover import Files
from interlock.config.yamlnodes import FATAL
from interlock.config.yamltext import SITE, Fault, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.readiness import Claim, claims_in
from interlock.facts.workplans import KEYS, ModuleClaims, NextTask, Task, Unread, Workplan, Workplans, Yaml, may_be_workplan
from interlock.observe.patterns import matching

if TYPE_CHECKING:  # `init` finds workplans, and does without the site's nouns
    from interlock.config.models import Site
    from interlock.observe.world import World


def found_in(tree: Files, pages: Iterable[str]) -> Iterator[str]:
    """The pages of a tree that are workplans; for a tree that nobody has described. One that cannot be read is one if its path says so."""
    for path in pages:
        try:
            content = tree.read(path)
            if may_be_workplan(content) and parsed(path, content) is not None:
                yield path
        except CouldNotLook:
            if "workplan" in path.casefold():
                yield path


def workplans(world: World, pattern: str) -> Workplans:
    """The workplans that a pattern names. Raises `CouldNotLook` when it names none."""
    plans, unread = _seen(world, pattern)
    if not plans and not unread:
        what = f"no file of {pattern} is a workplan"
        remedy = "correct `workplans.files`; a workplan says `type: workplan` in its front matter, or has ```task blocks"
        raise CouldNotLook(what, where=pattern, remedy=remedy)
    return Workplans(name=pattern, plans=plans, known=tuple(_all_tasks(world)), unread=unread)


def next_task(world: World, identifier: str) -> NextTask:
    """The task of an action, among all workplans of the site."""
    seen = [_seen(world, pattern) for pattern in _patterns(world.site)]
    return NextTask(id=identifier, plans=tuple(plan for plans, _ in seen for plan in plans), unread=tuple(one for _, unread in seen for one in unread))


def module_claims(world: World) -> ModuleClaims:
    """What the module files of the site claim to be ready."""
    assert world.site.inventory is not None  # a subject is made of it
    files = sorted({path for pattern in world.site.inventory.modules for path in matching(world.tree, pattern)})
    claims: list[Claim] = []
    unread: list[Unread] = []
    for path in files:
        try:
            content = world.tree.read(path)
        except CouldNotLook as error:
            unread.append(Unread(path=path, why=error.what, remedy=error.remedy))
            continue
        if b"readiness" not in content:
            continue
        yaml = _yaml(content)
        if yaml.fault is not None and not isinstance(yaml.data, dict):
            unread.append(
                Unread(path=path, why=f"{path}:{yaml.fault[0]}: {yaml.fault[1]}", remedy="correct the file: what it says of readiness cannot be told")
            )
        elif isinstance(yaml.data, dict):
            claims += claims_in(path, yaml.data, yaml.line_of)
    return ModuleClaims(files=tuple(files), claims=tuple(claims), unread=tuple(unread))


def _patterns(site: Site) -> tuple[str, ...]:
    return site.workplans.files if site.workplans else ()


def _all_tasks(world: World) -> Iterator[Task]:
    for pattern in _patterns(world.site):
        yield from (task for plan in _seen(world, pattern)[0] for task in plan.tasks)


def _seen(world: World, pattern: str) -> tuple[tuple[Workplan, ...], tuple[Unread, ...]]:
    """The workplans of a pattern, and what of it could not be read; pages that are none are passed over."""

    def look() -> tuple[tuple[Workplan, ...], tuple[Unread, ...]]:
        plans, unread = [], []
        for path in sorted(set(matching(world.tree, pattern))):
            try:
                plans.append(parsed(path, world.tree.read(path)))
            except CouldNotLook as error:
                unread.append(Unread(path=path, why=error.what, remedy=error.remedy))
        return tuple(plan for plan in plans if plan is not None), tuple(unread)

    return world.once(("workplans", pattern), look)


def parsed(path: str, content: bytes) -> Workplan | None:
    """A page as a workplan, None when it is none. Raises `CouldNotLook` for what is no text."""
    if b"\0" in content[:1024]:
        raise CouldNotLook(f"{path} is no text in UTF-8", where=path, remedy="save it as UTF-8")
    return Workplan.parse(path, content.decode("utf-8", "replace"), lambda text: _yaml(text.encode()))


def _yaml(content: bytes) -> Yaml:
    """What a piece of YAML says. A key that is read and stands there twice is a fault too: nobody knows which of the two counts."""
    read = read_yaml(content, SITE)
    problem = next((one for one in read.problems if one.kind in FATAL or (one.kind is Fault.DUPLICATE_KEY and str(one.path[-1]) in KEYS)), None)
    fault = None if problem is None else (problem.line, problem.message)
    positions = read.positions
    return Yaml(data=read.data, line_of=lambda path: positions.nearest(path).key.line, fault=fault)
