"""What would a site file say of this tree, if there were one? A site from files alone, for `interlock scan`: compose files, and scripts that a rule judges.

Tests are left out, for what they write is theirs; so is the code of others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from interlock.config.models import Compose, Scripts, Site
from interlock.errors import CouldNotLook, TooLarge
from interlock.facts.backup_writers import writes_backups

FALLBACK_NAME = "tree"

_SHELL = re.compile(r"\.(?:ba|da|k)?sh(?:\.(?:tpl|tmpl|tftpl|template|j2|in|example|dist))?$")  # backup.sh, startup-script.sh.tpl
_CODE_OF_OTHERS = frozenset({"vendor", "vendored", "third_party", "third-party", "site-packages", "dist-packages", "bower_components", "testdata"})
_TESTS = re.compile(r"(?:^|[_-])(?:unit[_-]?|integration[_-]?|e2e[_-]?)?tests?(?:$|[_-])|^(?:conftest|testing|__tests__|e2e|spec)$", re.IGNORECASE)
_SHEBANG = re.compile(rb"#![^\n]*\b(?:(?:ba|da|k|a|z)?sh|python[\d.]*)\b")  # also `#!/command/with-contenv bash`


class Files(Protocol):
    """What discovery needs of a tree (`interlock.observe.tree.Tree`, a patient one)."""

    @property
    def unlisted(self) -> Mapping[str, CouldNotLook]:
        """The folders that could not be listed; known after `listing`."""

    def listing(self) -> tuple[str, ...]:
        """Every file, by its path relative to the root."""

    def read(self, path: str) -> bytes:
        """The bytes of one; raises `CouldNotLook`."""


def discover(tree: Files, compose_files: Sequence[str], *, root: Path) -> Site:
    """The site of a tree without a site file. `compose_files` are the tree's (`interlock.observe.compose.compose_files`).

    Its `source` is empty. File names are kept as they are, also those that a site file could not hold (with newlines, not UTF-8). A folder that cannot be
    listed is among both kinds of files: nobody knows what is in it, and reading it says why.
    """
    scripts, hidden = sorted(scripts_in(tree)), sorted(tree.unlisted)
    composes, scripts = (*compose_files, *hidden), [*scripts, *hidden]
    found = {
        "compose": Compose.model_construct(files=composes) if composes else None,
        "scripts": Scripts.model_construct(files=tuple(scripts)) if scripts else None,
    }
    return Site(interlock=1, site=_name(root)).model_copy(update=found).placed(root)


def _name(root: Path) -> str:
    """The folder's name as a site may be called."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.resolve().name).lstrip("._-")[:63]
    return name or FALLBACK_NAME


def scripts_in(tree: Files) -> Iterator[str]:
    """The scripts and programs of a tree that a rule has something to say about; those that cannot be read are among them, but for
    what is too large to be one."""
    for path in tree.listing():
        if not _may_be_script(path):
            continue
        try:
            data = tree.read(path)
        except TooLarge:
            continue
        except CouldNotLook:
            if _is_called_script(path):
                yield path
            continue
        if (_is_called_script(path) or _SHEBANG.match(data)) and writes_backups(path, data):
            yield path


def _may_be_script(path: str) -> bool:
    """By its name: a suffix of shell or Python, or none at all, outside of tests and of the code of others."""
    parts = path.split("/")
    if any(part in _CODE_OF_OTHERS for part in parts) or any(_TESTS.search(stem) for stem in _stems(parts)):
        return False
    return "." not in parts[-1] or _is_called_script(path)


def _stems(parts: Iterable[str]) -> Iterator[str]:
    """Each folder, and the parts of the file's name before its suffix."""
    *folders, name = parts
    yield from folders
    yield from name.split(".")[:-1] or [name]


def _is_called_script(path: str) -> bool:
    return path.endswith(".py") or _SHELL.search(path) is not None
