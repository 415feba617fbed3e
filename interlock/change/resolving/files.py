"""What does a write-files step come to? The bytes of every file, where it leads, and what stands there now."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.change.resolving.resolving import Resolving
from interlock.change.resolving.targets import standing_at
from interlock.config.actions import WriteFilesStep
from interlock.config.models import Site
from interlock.errors import ConfigError
from interlock.facts.canonical import digest
from interlock.facts.templates import Rendered
from interlock.gate.plan import FilePlan, FilesPlan, NewFile, OldFile
from interlock.render import render_instance


def resolve_files(resolving: Resolving, step: WriteFilesStep, number: int) -> FilesPlan:
    chosen = [(name, instance) for name in step.templates for instance in _instances(resolving, step, name, number)]
    return FilesPlan(files=tuple(_file(resolving, name, instance, number) for name, instance in chosen))


def _instances(resolving: Resolving, step: WriteFilesStep, name: str, number: int) -> Sequence[str]:
    site = resolving.site
    template = site.templates.get(name)
    if template is None:
        raise ConfigError(f"there is no template {name}", where=resolving.where(number), remedy="declare it below `templates:`")
    possible = site.instances_of(template)
    chosen = [instance for instance in possible if step.instances is None or instance in step.instances]
    if not chosen:
        raise ConfigError(f"template {name} is written for no instance", where=resolving.where(number), remedy="correct `instances`")
    return chosen


def _file(resolving: Resolving, name: str, instance: str, number: int) -> FilePlan:
    site = resolving.site
    host = resolving.host(site.instances[instance].host)
    rendered = render_instance(site, name, instance, resolving.tree, resolving.environ)
    directory, of = site.instances[instance].directory, digest(rendered.content)
    standing = standing_at(resolving, directory, rendered.target, number, host)
    if not _by_reference(rendered):
        resolving.blobs[of] = rendered.content
    return FilePlan(
        template=name,
        instance=instance,
        host=host,
        directory=directory,
        real=standing.real,
        device=standing.device,
        target=rendered.target,
        new=NewFile(
            digest=of,
            size=len(rendered.content),
            mode=_mode(site, rendered, standing.old),
            content="rendered" if _by_reference(rendered) else "blob",
        ),
        old=standing.old,
    )


def _by_reference(rendered: Rendered) -> bool:
    """True when the bytes hold values of the environment or of an env file: those are never stored."""
    return bool(rendered.secrets.names)


def _mode(site: Site, rendered: Rendered, seen: OldFile | None) -> str:
    """The template's mode where the site states one; else that of the file that is there, which an operator may have made stricter."""
    stated = "mode" in site.templates[rendered.template].model_fields_set
    return seen.mode if seen is not None and not stated else f"{rendered.mode:04o}"
