"""Which lists of files does a tree bring to its hosts, and what do the delivered files name? Also the copies that must be the same, and the release tags.

`interlock.facts.shipping` has the nouns of deliveries.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from interlock.config.discover import is_aside, is_of_others, is_test_name
from interlock.errors import CouldNotLook
from interlock.facts.copies import Compared, Twin, Twins, compared_by, first_difference, may_say, said_copies
from interlock.facts.programs import Holder, Runs, ShellText
from interlock.facts.releases import MONTH, Releases, ReleaseTag, slips_of
from interlock.facts.shipping import Deliveries, Delivery, Mention, Way, compose_files_named, deliveries_of, sourced, staged, started_by_unit, taken_in
from interlock.facts.workflows import Workflow
from interlock.observe.git import tags
from interlock.observe.programs import dockerfiles, programs, sorted_files
from interlock.observe.sources import sources
from interlock.observe.stack import compose_yaml
from interlock.observe.starters import find
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_COMPOSE_NAME = regex(r"(?:^|/)(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml$")
_MAY_BRING = regex(r"\b(?:curl|wget|scp|rsync|tar|zip|install)\b")
_FOR_HOSTS = regex(r"(?:^|/)(?:docker-)?compose[\w.-]*\.ya?ml$|\.(?:service|timer|path|mount)$")
_HOST_FILES = regex(r"(?:^|/)(?:docker-)?compose[\w.-]*\.ya?ml$|\.(?:service|timer|path|mount|sh|bash|conf|env|cron)$|(?:^|/)Caddyfile$")
_FEWEST_STAGED = 3  # host files in one list of an image: less than that is a file that the application itself reads


def deliveries(world: World, _subject: Subject) -> Deliveries:
    """Every list, with what its files name. Raises `CouldNotLook`."""
    tree = _Names(world.tree.listing())
    lists = tuple(sorted({*_of_images(world, tree), *_of_scripts(world, tree), *_of_workflows(world, tree)}, key=lambda one: (one.path, one.line, one.way)))
    named = sorted({file for one in lists for file in one.files} | {one.path for one in lists if one.way is Way.FETCHED})
    mentions = tuple(mention for file in named for mention in _mentions(world, tree, file))
    return Deliveries(lists=lists, mentions=mentions, unreadable=programs(world).unreadable)


class _Names:
    """The files of a tree by what they are called."""

    def __init__(self, listing: tuple[str, ...]) -> None:
        self.every = frozenset(listing)
        self._by_name: dict[str, list[str]] = {}
        self._folders: set[str] = set()
        ours: dict[str, bool] = {}
        for path in listing:
            folder, _, name = path.rpartition("/")
            if folder not in ours:
                ours[folder] = not is_of_others(folder)
                self._folders.update((folder, *_parents(folder)))
            if ours[folder]:
                self._by_name.setdefault(name, []).append(path)

    def resolve(self, name: str, folder: str) -> str | None:
        """The file that a name means: beside the file that says it, from the root, or the one file of the tree whose path ends so."""
        if not name or len(name) > 300 or any(mark in name for mark in "$*?{}\n\0"):
            return None
        for place in (folder, ""):
            path = posixpath.normpath(posixpath.join(place, name.lstrip("/"))) if not name.startswith("/") or not place else ""
            if path in self.every:
                return path
        candidates = self._by_name.get(posixpath.basename(name), [])
        parts = posixpath.normpath(name).strip("/").split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            fitting = [path for path in candidates if path == end or path.endswith(f"/{end}")]
            if len(fitting) == 1 and (start == 0 or not name.startswith(("./", "../"))):
                return fitting[0]
            if fitting:
                return end if end in fitting else None
        return None

    def is_folder(self, path: str) -> bool:
        """Whether files of the tree lie below a path."""
        return path in self._folders


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


# ---- the lists


def _of_images(world: World, tree: _Names) -> Iterator[Delivery]:
    """Files that an image carries for the host: a list that holds a compose file or a unit, and goes to one directory."""
    texts = sources(world)
    run: dict[str, list[ShellText]] = {}
    for text in programs(world).shell:
        if text.holder is Holder.DOCKERFILE:
            run.setdefault(text.path, []).append(text)
    for path in dockerfiles(world):
        found: dict[str, list[tuple[str, int]]] = {}
        for names, target, line in (*taken_in(texts.text(path) or ""), *(one for text in run.get(path, ()) for one in staged(text.script))):
            for name in names:
                if file := tree.resolve(name, posixpath.dirname(path)):
                    found.setdefault(_top(target), []).append((file, line))
        for target, files in found.items():
            carried = [file for file, _ in files]
            if any(map(_FOR_HOSTS.search, carried)) and sum(1 for name in carried if _HOST_FILES.search(name)) >= _FEWEST_STAGED and target not in ("", "."):
                line = next(line for file, line in files if _FOR_HOSTS.search(file))
                yield Delivery(path=path, line=line, way=Way.STAGED, files=frozenset(carried))


def _top(target: str) -> str:
    """The directory that a list goes to: those below it belong to it."""
    return "/".join(target.split("/")[:3]) if target.startswith("/") else target.rstrip("/")


def _of_scripts(world: World, tree: _Names) -> Iterator[Delivery]:
    for text in programs(world).shell:
        if text.runs not in (Runs.HOST, Runs.JOB) or text.holder is Holder.DOCKERFILE or not _MAY_BRING.search(text.text) or is_aside(text.path):
            continue
        for one in deliveries_of(text.path, text.script, tree.resolve):
            if any(map(_COMPOSE_NAME.search, one.files)) and not (one.way is Way.FETCHED and text.runs is Runs.JOB):
                yield one


def _of_workflows(world: World, tree: _Names) -> Iterator[Delivery]:
    """Actions that copy files to a server: `source: "docker-compose.yml,nginx.conf"`."""
    for path in find(world.tree).workflows:
        workflow = sources(world).workflow(path)
        for job in workflow.jobs if isinstance(workflow, Workflow) else ():
            for step in job.steps:
                if "scp" not in step.uses and "rsync" not in step.uses and "ssh-deploy" not in step.uses:
                    continue
                words = [word.strip() for word in re.split(r"[,\n]", step.inputs.get("source", "")) if word.strip()]
                files = frozenset(file for word in words if (file := tree.resolve(word, "")))
                folders = frozenset(posixpath.normpath(word.rstrip("*").rstrip("/") or ".") for word in words if tree.resolve(word, "") is None)
                if any(map(_COMPOSE_NAME.search, files)):
                    yield Delivery(path=path, line=step.line, way=Way.COPIED, files=files, folders=folders)


# ---- what the delivered files name


def _mentions(world: World, tree: _Names, file: str) -> Iterator[Mention]:
    if _COMPOSE_NAME.search(file):
        yield from _of_compose(world, tree, file)
        return
    text = sources(world).text(file)
    if text is None:
        return
    if file.endswith(".service"):
        for name, line in started_by_unit(text):
            if (found := tree.resolve(posixpath.basename(name), "")) and not is_aside(found):
                yield Mention(by=file, line=line, file=found, why="is started by it")
        return
    if not _is_script(world, file):
        return
    for name, line, guarded in compose_files_named(text):
        found = (
            tree.resolve(name, "")
            if "/" in name
            else next((path for path in (name, posixpath.join(posixpath.dirname(file), name)) if path in tree.every), None)
        )
        if found is not None and found != file:
            yield Mention(by=file, line=line, file=found, why="is one of its compose files", guarded=guarded)
    for name, line, guarded in sourced(text):
        if found := tree.resolve(name, posixpath.dirname(file)):
            yield Mention(by=file, line=line, file=found, why="is sourced by it", guarded=guarded)


def _is_script(world: World, file: str) -> bool:
    return file in world.once("paths of scripts", lambda: frozenset(text.path for text in programs(world).scripts()))


def _of_compose(world: World, tree: _Names, file: str) -> Iterator[Mention]:
    try:
        read = compose_yaml(world, file)
    except CouldNotLook:
        return
    data: Mapping[str, Any] = read.data if isinstance(read.data, dict) else {}
    folder = posixpath.dirname(file)
    for name, keys, why in _paths(data):
        path = posixpath.normpath(posixpath.join(folder, name))
        if path.startswith("..") or is_test_name(posixpath.basename(path)):
            continue
        if path in tree.every or tree.is_folder(path):
            yield Mention(by=file, line=read.positions.nearest(keys).value.line, file=path, why=why)


def _paths(data: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str | int, ...], str]]:
    """What a compose file names by a path of its own folder, with where and as what; not what a variable leads to."""
    for section, why in (("configs", "is a config of it"), ("secrets", "is a secret of it")):
        for key, said in _items(data.get(section)):
            name = said.get("file") if isinstance(said, dict) else None
            if _is_path(name):
                yield name, (section, key, "file"), why
    for service, said in _items(data.get("services")):
        if not isinstance(said, dict) or "build" in said:
            continue  # its files come with its source
        volumes = said.get("volumes")
        for index, mount in enumerate(volumes if isinstance(volumes, list) else ()):
            source = mount.partition(":")[0] if isinstance(mount, str) else mount.get("source") if isinstance(mount, dict) else None
            if _is_path(source) and source.startswith(("./", "../")):
                yield source, ("services", service, "volumes", index), f"is mounted by {service}"
        extends = said.get("extends")
        parent = extends.get("file") if isinstance(extends, dict) else None
        if _is_path(parent):
            yield parent, ("services", service, "extends"), f"is extended by {service}"
        listed = said.get("env_file")
        for index, one in enumerate(listed if isinstance(listed, list) else [listed]):
            file = one.get("path") if isinstance(one, dict) and one.get("required", True) else one
            if _is_path(file) and posixpath.basename(file) != ".env":
                yield file, ("services", service, "env_file", index), f"is an env file of {service}"


def _items(section: Any) -> Iterator[tuple[str, Any]]:
    yield from section.items() if isinstance(section, dict) else ()


def _is_path(name: Any) -> TypeGuard[str]:
    return isinstance(name, str) and bool(name) and "$" not in name and not name.startswith(("/", "~"))


# ---- copies


def twins(world: World, _subject: Subject) -> Twins:
    """Every pair of files that the tree says are the same, compared. Raises `CouldNotLook`."""
    tree = _Names(world.tree.listing())
    said = {(one.file, one.other): one for one in (*_said(world, tree), *_checked(world, tree))}
    return Twins(pairs=tuple(_compare(world, one) for _, one in sorted(said.items())))


def _said(world: World, tree: _Names) -> Iterator[Twin]:
    files = sorted_files(world)
    for path in (*files.scripts, *files.nameless, *dockerfiles(world), *(world.site.compose.files if world.site.compose else ())):
        try:
            data = world.tree.read(path)
        except CouldNotLook:
            continue
        for name, line in said_copies(data[:8192].decode("utf-8", "replace")) if may_say(data) else ():
            other = tree.resolve(name, posixpath.dirname(path))
            if other is not None and other != path and posixpath.splitext(other)[1] == posixpath.splitext(path)[1]:
                yield Twin(file=other, other=path, said_at=path, line=line)


def _checked(world: World, tree: _Names) -> Iterator[Twin]:
    for text in programs(world).shell:
        if "cmp" not in text.text and "diff" not in text.text:
            continue
        for first, second, line in compared_by(text.script):
            pair = tuple(tree.resolve(name, "") for name in (first, second))
            if pair[0] is not None and pair[1] is not None and pair[0] != pair[1]:
                yield Twin(file=pair[0], other=pair[1], said_at=text.path, line=line, check=True)


def _compare(world: World, twin: Twin) -> Compared:
    one, other = (world.tree.read(path).decode("utf-8", "surrogateescape") for path in (twin.file, twin.other))
    return Compared(twin=twin, differs=first_difference(one, other, whole=twin.check))


# ---- release tags


def releases(world: World, _subject: Subject) -> Releases:
    """The release tags of the checkout, and what makes them. Raises `CouldNotLook`."""
    makers = [text for text in programs(world).shell if "git" in text.text and MONTH.search(text.text) and re.search(r"\bgit\b[^\n]*\btag\b", text.text)]
    paths = {text.path for text in makers}
    slips = [slip for text in programs(world).shell if text.path in paths for slip in slips_of(text.path, text.script)]
    read = (ReleaseTag.parse(name, commit) for name, commit in sorted(tags(world.tree.root).items()))
    given = tuple(tag for tag in read if tag is not None)
    return Releases(tags=given, makers=tuple(sorted(paths)), slips=tuple(slips), unreadable=programs(world).unreadable)


OBSERVERS: Mapping[str, Observer] = {
    "shipping.calver_counter": Observer(see=releases),
    "shipping.completeness": Observer(see=deliveries),
    "shipping.fleet_files_in_sync": Observer(see=twins),
}
