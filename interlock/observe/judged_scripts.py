"""Which scripts and programs of a tree does a rule judge one by one? Those that the site file names, and with `found: true` those that are found by what
they do. What is asked of all of them together: `interlock.observe.scripts`."""

from __future__ import annotations

from interlock.config.discover import has_programs, scripts_in, sort
from interlock.config.models import Scripts, Site
from interlock.observe.tree import Tree


def with_found_scripts(site: Site, tree: Tree) -> Site:
    """The same site, its scripts named one by one. Names are kept as they are, also those that a site file could not hold; folders that cannot be listed
    are among them, for nobody knows what is in them. A tree without any has no such section."""
    if site.scripts is None or not site.scripts.found:
        return site
    every = sort(tree.listing())
    found = sorted({*scripts_in(tree, every), *tree.unlisted})
    files = (*site.scripts.files, *(path for path in found if path not in site.scripts.files))
    named = site.model_copy(update={"scripts": Scripts.model_construct(files=files, found=True) if files or has_programs(every) else None})
    return named.placed(site.root, source=site.source, digest=site.digest)
