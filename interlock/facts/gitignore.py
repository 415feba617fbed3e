"""Is a file kept out of the repository on purpose? What `.gitignore` files say of a path, for trees that need not be checkouts.

Source: gitignore(5), PATTERN FORMAT; what `git check-ignore` answers is the oracle of tests/unit/test_gitignore.py.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import cache

from interlock.patterns import regex

NAME = ".gitignore"


def ignored(path: str, files: Mapping[str, str]) -> bool:
    """Whether git ignores the file `path`. `files` maps folders, from the root (empty) on, to the text of their .gitignore."""
    parts = path.split("/")
    whole = ("/".join(parts[: length + 1]) for length in range(len(parts)))
    return any(_ignored(one, one == path, files) for one in whole)  # a file below an ignored folder cannot be brought back


def _ignored(path: str, is_file: bool, files: Mapping[str, str]) -> bool:
    """What the last pattern says that fits, those of deeper folders after those above them."""
    says = False
    folder = posixpath.dirname(path)
    for above in (*reversed(list(_above(folder))), folder) if folder else ("",):
        below = path[len(above) + 1 :] if above else path
        for negated, folders_only, pattern in _patterns(files.get(above, "")):
            if not (folders_only and is_file) and pattern.fullmatch(below):
                says = not negated
    return says


def _above(folder: str) -> Iterator[str]:
    while folder:
        folder = posixpath.dirname(folder)
        yield folder


@cache
def _patterns(text: str) -> tuple[tuple[bool, bool, re.Pattern[str]], ...]:
    """Each pattern: is it negated, is it for folders alone, and what it matches, from the folder of its file on."""
    found = []
    for line in text.splitlines():
        written = re.sub(r"(?<!\\) +$", "", line)
        if not written or written.startswith("#"):
            continue
        negated, written = written.startswith("!"), written.removeprefix("!").removeprefix("\\")
        bare = written.rstrip("/")
        anchored = "/" in bare
        try:
            pattern = re.compile(("" if anchored else "(?:.*/)?") + _regex(bare.removeprefix("/")))
        except re.error:
            continue  # a range that ends before it begins, like [z-a]
        found.append((negated, written.endswith("/"), pattern))
    return tuple(found)


_TOKEN = regex(r"^\*\*/|/\*\*/|/\*\*$|\*+|\?|\[!?\]?[^\]]*\]|\\.|.", re.DOTALL)


def _regex(pattern: str) -> str:
    said = {"**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "/**": "/.+", "?": "[^/]"}
    return "".join(said.get(token) or _one(token) for token in _TOKEN.findall(pattern))


def _one(token: str) -> str:
    if token.startswith("*"):
        return "[^/]*"
    if token.startswith("[") and len(token) > 1:
        kept = token[2 if token[1] == "!" else 1 :].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^{kept}" if token[1] == "!" else f"[{kept}"
    return re.escape(token[-1] if token.startswith("\\") else token)
