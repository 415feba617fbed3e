"""Which bytes will stand at a target? Those beside the plan, those that are rendered again, or those that stand there now, patched."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.act.books import StoredPlan
from interlock.config.models import Site
from interlock.errors import StaleError
from interlock.facts.canonical import digest
from interlock.gate.plan import FilePlan, TargetPlan
from interlock.observe.tree import Tree
from interlock.render import render_instance


def new_bytes(stored: StoredPlan, site: Site, environ: Mapping[str, str], file: TargetPlan, old: bytes | None) -> bytes:
    """The bytes of a file of the plan; `old` are those that it replaces. Raises StaleError when they are not those that were planned."""
    if file.new.content == "blob":
        return stored.blob(file.new.digest)
    assert isinstance(file, FilePlan), old
    content = render_instance(site, file.template, file.instance, Tree(site.root), environ).content
    if digest(content) != file.new.digest:
        why = "the template, or a value that it is rendered with, was changed since"
        raise StaleError(f"{file.target} does not come to the planned bytes", where=file.template, why=why, remedy="make a new plan")
    return content
