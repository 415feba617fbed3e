"""Which bytes will stand at a target? Those beside the plan, those that are rendered again, or those that stand there now, patched."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.act.books import StoredPlan
from interlock.change.patching import patch_values, step_of
from interlock.config.models import Site
from interlock.errors import StaleError
from interlock.facts.canonical import digest
from interlock.facts.env_patches import patched
from interlock.gate.plan import EnvFilePlan, FilePlan, TargetPlan
from interlock.observe.tree import Tree
from interlock.render import render_instance


def new_bytes(stored: StoredPlan, site: Site, environ: Mapping[str, str], file: TargetPlan, old: bytes | None) -> bytes:
    """The bytes of a file of the plan; `old` are those that it replaces. Raises StaleError when they are not those that were planned."""
    if file.new.content == "blob":
        return stored.blob(file.new.digest)
    if isinstance(file, EnvFilePlan):
        values = patch_values(step_of(site, stored.plan, file), environ, where=f"actions.{stored.plan.action}")
        content, where, why = patched(old or b"", values, where=file.target).data, site.source, "a value of the patch was changed since"
    else:
        assert isinstance(file, FilePlan)
        content = render_instance(site, file.template, file.instance, Tree(site.root), environ).content
        where, why = file.template, "the template, or a value that it is rendered with, was changed since"
    if digest(content) != file.new.digest:
        raise StaleError(f"{file.target} does not come to the planned bytes", where=where, why=why, remedy="make a new plan")
    return content
