"""Which nouns does a discovered document make? A site without a file, for `interlock scan`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.config.actions import Workplans
from interlock.config.models import Chain, Compose, Scripts, Site
from interlock.discover.document import plain
from interlock.discover.whole import Discovered

_JUDGED = ("interlock", "site", "state_dir", "inventory", "instances", "templates", "automation", "health")


def site_of(found: Discovered, root: Path) -> Site:
    """The site of a tree at `root` without a site file. Its `source` is empty; which scripts are judged one by one, `interlock.observe.scripts` finds.

    File names are kept as they are, also those that a site file could not hold (with newlines, not UTF-8). A folder that cannot be listed is among both
    kinds of files: nobody knows what is in it, and reading it says why. What a human has to say (modules, databases, who may reach a port) is not.
    """
    data = plain(found.document)
    if _is_composes_own(data.get("state_dir") or {}):
        del data["state_dir"]
    site = Site.model_validate({key: value for key, value in data.items() if key in _JUDGED and value})
    composes = (*found.composes, *found.unlisted)
    run = {instance.chain for instance in site.instances.values()}
    kept = [chain for chain in found.chains if not chain.guessed or chain.name in run]
    chains = {chain.name: Chain.model_validate({"files": chain.files, "env_files": chain.env_files or None}) for chain in kept}
    files = {
        "compose": Compose.model_construct(files=composes, chains=chains) if composes else None,
        "scripts": Scripts(found=True),
        "workplans": Workplans.model_construct(files=found.workplans) if found.workplans else None,
    }
    return site.model_copy(update=files).placed(root)


def _is_composes_own(state: Mapping[str, Any]) -> bool:
    """A directory below the stack's own folder that nobody reads but docker compose, which knows where that folder is."""
    return not state.get("readers") and str(state.get("default", "")).startswith(("./", "../"))
