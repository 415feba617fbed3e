"""How are a rendered file, its canonical file and its target had? Rendering is `interlock.render`'s; the files come from the site's folder."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping

from interlock.config.models import Header as DeclaredHeader
from interlock.config.models import Instance, Site, Template
from interlock.errors import ConfigError, CouldNotLook
from interlock.facts.looks import Look, Stat
from interlock.facts.substitution import SubstitutionError
from interlock.facts.templates import Canonical, Header, InstanceFiles, NotRendered, Rendered, Target, TemplateFile, Unseen
from interlock.observe import image_tags, installer_edits, siblings
from interlock.observe.tree import MissingFile
from interlock.observe.world import Observer, World
from interlock.render import render_instance
from interlock.render.instance import InstanceValues
from interlock.verdicts import Subject


def instance_files(world: World, subject: Subject) -> InstanceFiles:
    """What the site renders for an instance, each file beside its canonical one and, on a live system, what lies at its target.

    Nothing is read before `files` is drained; what could not be looked at is said there, file by file.
    """
    instance = world.site.instances[subject.name]
    files = (_file(world, subject, name, template, instance) for name, template in _templates_of(world.site, subject.name))
    return InstanceFiles(instance=subject.name, files=files)


def _templates_of(site: Site, instance: str) -> Iterator[tuple[str, Template]]:
    return ((name, template) for name, template in site.templates.items() if instance in site.instances_of(template))


def _looks(site: Site, subject: Subject) -> Iterable[Look]:
    instance = site.instances[subject.name]
    return [Stat(_target_path(template, instance, subject.name)) for _, template in _templates_of(site, subject.name)]


def _file(world: World, subject: Subject, name: str, template: Template, instance: Instance) -> TemplateFile:
    canonical_path = template.canonical.replace("{instance}", subject.name)
    return TemplateFile(
        template=name,
        rendered=_rendered(world, name, subject.name, template),
        canonical_path=canonical_path,
        canonical=_canonical(world, canonical_path),
        mode=template.mode,
        mode_stated="mode" in template.model_fields_set,
        header=_header(template.header),
        target=_target(world, subject.host, _target_path(template, instance, subject.name)) if world.live else None,
        source_path=template.template.replace("{instance}", subject.name),
        source=_source(world, template.template.replace("{instance}", subject.name)),
        names=_names(world, subject.name, instance),
        resized=_resized(world.site, name, subject.name),
    )


def _source(world: World, path: str) -> bytes | None:
    try:
        return world.tree.read(path)
    except CouldNotLook:
        return None  # what could not be rendered says why


def _names(world: World, name: str, instance: Instance) -> frozenset[str]:
    """The variables that an instance has; those of its env file only where it can be read, which rendering tells."""

    def names() -> frozenset[str]:
        try:
            return frozenset(InstanceValues(name, instance, world.tree, world.environ))
        except (CouldNotLook, ConfigError):
            return frozenset(instance.values)

    return world.once(("templates.names", name), names)


def _resized(site: Site, template: str, instance: str) -> bool:
    """True when every step that writes the file says yes to another size, and there is one."""
    steps = [step.write_files for action in site.actions.values() for step in action.steps if step.write_files is not None]
    writing = [step for step in steps if template in step.templates and (step.instances is None or instance in step.instances)]
    return bool(writing) and all(template in (step.resized or ()) for step in writing)


def _target_path(template: Template, instance: Instance, instance_name: str) -> str:
    return posixpath.join(instance.directory, template.target.replace("{instance}", instance_name))


def _rendered(world: World, name: str, instance_name: str, template: Template) -> Rendered | NotRendered | Unseen:
    path = template.template.replace("{instance}", instance_name)
    try:
        return render_instance(world.site, name, instance_name, world.tree, world.environ)
    except CouldNotLook as error:
        if isinstance(error, MissingFile) and error.where == path:
            return NotRendered(kind="template-missing", message=error.what, remedy=f"add {path}, or correct `template` in the site file", file=path)
        return _unseen(error)  # an env file among others: it may well be kept out of version control
    except SubstitutionError as error:
        return NotRendered(kind=error.fault.value, message=_in_one_line(error), remedy=error.remedy, file=error.file, line=error.place.line)
    except ConfigError as error:
        return NotRendered(
            kind="values", message=_in_one_line(error), remedy=error.problems[0].remedy, file=world.site.instances[instance_name].env_file or path
        )


def _in_one_line(error: ConfigError) -> str:
    """The first problem, where it is, and why."""
    problem = error.problems[0]
    why = f" ({problem.why})" if problem.why else ""
    return f"{problem.where}: {problem.what}{why}"


def _unseen(error: CouldNotLook) -> Unseen:
    return Unseen(message=f"{error.what} ({error.why})" if error.why else error.what, remedy=error.remedy)


def _canonical(world: World, path: str) -> Canonical | Unseen | None:
    try:
        content = world.tree.read(path)
    except MissingFile:
        return None
    except CouldNotLook as error:
        return _unseen(error)
    mode = os.stat(f"{world.tree.root}/{path}").st_mode  # noqa: PTH116, read above: it is in the tree
    return Canonical(path=path, content=content, executable=bool(mode & 0o111))


def _header(declared: DeclaredHeader | None) -> Header | None:
    if declared is None:
        return None
    return Header(lines=declared.lines, marker=declared.marker.encode() if declared.marker is not None else None)


def _target(world: World, host: str, path: str) -> Target:
    """An unreachable host does not hide what was found in the files."""
    try:
        return Target(path=path, seen=world.host(host).stat(path))
    except CouldNotLook as error:
        return Target(path=path, seen=_unseen(error))


OBSERVERS: Mapping[str, Observer] = {
    "templates.byte_equivalent": Observer(looks=_looks, see=instance_files),
    "templates.unresolved": Observer(see=instance_files),
    "templates.size_change": Observer(looks=_looks, see=instance_files),
    **image_tags.OBSERVERS,
    **installer_edits.OBSERVERS,
    **siblings.OBSERVERS,
}
