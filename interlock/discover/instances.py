"""Which copies of a stack are there, by their env files, and which files are rendered from a template beside a reviewed copy?"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from interlock.config.discover import Files, Sorted, is_aside
from interlock.discover.document import From, Offer, may_be_written
from interlock.discover.variables import Known
from interlock.errors import CouldNotLook
from interlock.patterns import regex

_EXAMPLE = regex(r"example|sample|template|dist|default|\.(?:tmpl|hbs|j2)$")
_MANY = regex(r"(?:^|/)(?:env|envs|instances|tenants|sites|customers|hosts)/(?:(?P<folder>[\w.-]+)/\.env|(?P<file>[\w-]+)\.env)$")
_RENDERED_TAG = regex(rb"\{\{|\{%")


def env_file_of(folder: str, found: Sorted, named: Sequence[str]) -> str | None:
    """The env file that a chain takes its variables from: one that is named with it, else that of its folder or nearest to it; a real one before an
    example."""
    there = [file for file in named if file in found.every]
    if there:
        return there[0]
    near = [path for path in found.env_files if may_be_written(path) and not is_aside(path) and _related(posixpath.dirname(path), folder)]
    return min(near, key=lambda path: _rank(path, folder), default=None)


def _related(folder: str, other: str) -> bool:
    """In the same folder, in one above, or in a folder of settings beside it."""
    if folder == other or other.startswith(folder + "/") or not folder:
        return True
    above, _, last = folder.rpartition("/")
    return (above == other or not above) and last in ("config", "conf", "env", "envs", "deploy", "docker", "ops")


def _rank(path: str, folder: str) -> tuple[int, int, int, str]:
    name = posixpath.basename(path)
    own = 0 if posixpath.dirname(path) == folder else 1
    return (own, 0 if name == ".env" else 1 if name.startswith(".env") else 2, 1 if _EXAMPLE.search(name) else 0, path)


def many(found: Sorted) -> dict[str, str]:
    """Env files that say there are several instances: `env/main.env` and `env/spare.env`, `instances/main/.env`. Empty for less than two."""
    named = {match["folder"] or match["file"]: path for path in found.env_files if (match := _MANY.search(path)) and may_be_written(path)}
    named = {name: path for name, path in named.items() if not _EXAMPLE.search(name) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name)}
    return dict(sorted(named.items())) if len(named) > 1 else {}


def instances(found: Sorted, env_file: str | None, directory: Known, chain: str | None) -> dict[str, Any]:
    """The section: one instance for each env file of several, else the one. `chain` is what it runs, where there are several."""
    several = many(found)
    running = {"chain": From(chain, "the fullest of those below")} if chain else {}
    if several:
        parent = posixpath.dirname(directory.value)
        return {
            name: {"directory": From(posixpath.join(parent, name), f"proposed, beside {directory.at}"), "env_file": From(path, "its name")} | running
            for name, path in several.items()
        }
    main: dict[str, Any] = {"directory": From(directory.value, directory.at)}
    if env_file:
        kind = "an example: what an installation must give" if _EXAMPLE.search(posixpath.basename(env_file)) else "beside the compose files"
        main["env_file"] = From(env_file, kind)
    return {"main": main | running}


def templates(found: Sorted, tree: Files) -> dict[str, Any]:
    """Templates with a twin that they must equal once rendered, in the same folder or in `canonical/` or `rendered/` beside it."""
    section: dict[str, Any] = {}
    for path in found.templates:
        twin = next((one for one in _twins(path) if one in found.every), None)
        if twin is None or is_aside(path) or not (may_be_written(path) and may_be_written(twin)):
            continue
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", posixpath.basename(twin)).lstrip("._-")[:63]
        if not name or name in section:
            continue
        entry: dict[str, Any] = {"template": path, "canonical": From(twin, "its twin"), "target": twin}
        try:
            tagged = _RENDERED_TAG.search(tree.read(path)) is not None
        except CouldNotLook:
            continue
        section[name] = Offer(entry, f"{path} needs a renderer that is not here: only ${{VAR}} and plain copies are") if tagged else entry
    return section


def _twins(path: str) -> Iterator[str]:
    bare = path.rpartition(".")[0]
    yield bare
    folder, name = posixpath.split(bare)
    above, last = posixpath.split(folder)
    if last in ("templates", "template"):
        yield posixpath.join(above, name)
    for other in ("canonical", "rendered"):
        yield posixpath.join(above, other, name)


def inventory(modules: Iterable[str]) -> list[str]:
    """The module files as patterns: `modules/*/module.yaml`, each shape once."""
    patterns = []
    for path in modules:
        parts = path.split("/")
        pattern = "/".join((*parts[:-2], "*", parts[-1])) if len(parts) > 1 else path
        if may_be_written(pattern) and pattern not in patterns:
            patterns.append(pattern)
    return patterns
