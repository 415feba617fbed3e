"""Which files of a tree does a pattern of the site file name? `*` within one folder, `**` over any number of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from interlock.observe.tree import Tree


def matching(tree: Tree, pattern: str) -> Iterator[str]:
    """The files that a pattern names, and the folders that could not be listed: nobody knows what is in them."""
    plain = re.match(r"[^*?]*", pattern)
    folder = posixpath.dirname(plain[0]) if plain else ""
    if plain and plain[0] == pattern:
        yield pattern  # one file, which may not be there: reading it says so
        return
    wanted = re.compile(_expression(pattern))
    yield from (path for path in tree.listing(folder) if wanted.fullmatch(path))
    yield from (path for path in tree.unlisted if not folder or f"{path}/".startswith(f"{folder}/"))


def _expression(pattern: str) -> str:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(part, re.escape(part)) for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern))
