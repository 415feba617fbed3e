"""Which nouns does a discovered document make? A site without a file, for `interlock scan`."""

from __future__ import annotations

from pathlib import Path

from interlock.config.models import Compose, Scripts, Site
from interlock.discover.document import plain
from interlock.discover.whole import Discovered

_JUDGED = ("interlock", "site", "state_dir", "inventory", "instances", "templates", "automation", "exposure", "health")


def site_of(found: Discovered, root: Path) -> Site:
    """The site of a tree without a site file. Its `source` is empty.

    File names are kept as they are, also those that a site file could not hold (with newlines, not UTF-8). A folder that cannot be listed is among both
    kinds of files: nobody knows what is in it, and reading it says why. What a human would have to confirm (modules, databases) is not in it.
    """
    data = plain(found.document)
    site = Site.model_validate({key: value for key, value in data.items() if key in _JUDGED and value})
    composes, scripts = (*found.composes, *found.unlisted), (*found.scripts, *found.unlisted)
    chains = Compose.model_validate(data["compose"]).chains if data.get("compose") and found.composes else {}
    files = {
        "compose": Compose.model_construct(files=composes, chains=chains) if composes else None,
        "scripts": Scripts.model_construct(files=scripts) if scripts else None,
    }
    return site.model_copy(update=files).placed(root)
