"""Which compose files of a tree are started together? From what its scripts, Makefiles, workflows, env files and documents say; by their names alone only
where nobody says anything. `interlock.facts.chains` reads the texts; what a chain comes to: `interlock.observe.stack`.

A chain that is named with a file that the tree does not have (made by a workflow, delivered elsewhere) is left out: nobody can resolve it here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from interlock.config.discover import Files
from interlock.config.yamlnodes import Node
from interlock.config.yamltext import COMPOSE, read_yaml
from interlock.errors import CouldNotLook
from interlock.facts.chains import BASES, OVERRIDES, FoundChain, Mention, Source, mentions
from interlock.patterns import regex

_LARGEST = 512 * 1024  # of a text that somebody wrote a command into
_TEXT = regex(
    r"""(?:.*\.)?(?:env|sh|bash|ksh|zsh|fish|ps1|mk|mak|md|mdx|rst|adoc|txt|service|timer|path|tpl|tmpl|tftpl|tf|json|toml|example|sample|dist|template)
    |(?:GNUm|M|m)akefile|[Jj]ustfile|(?:Docker|Container|Vagrant|Jenkins|Taskfile|Proc|Earth)file(?:\..+)?|\.env(?:[._-].+)?|[^.]+""",
    re.VERBOSE,
)
_YAML = regex(r".*\.ya?ml")
_COMMANDS_IN_YAML = regex(
    r"""(?:^|/)(?:\.(?:github|gitea|forgejo|gitlab|woodpecker|circleci)/.*
    |\.[^/]*\.ya?ml|[Tt]askfile[^/]*\.ya?ml|[^/]*pipelines?[^/]*\.ya?ml)$""",
    re.VERBOSE,
)
_PAST_OR_FUTURE = regex(  # what was so once, or may be some day
    r"(?:^|/)(?:changelog|changes|history|news|release[-_]?notes?|upgrading|plans?|specs?|proposals?|rfcs?|adrs?|archived?|changelog\.d|newsfragments)(?:\.\w+)?(?:/|$)",
    re.IGNORECASE,
)
_OF_OTHERS = regex(r"(?:^|/)(?:vendor|vendored|third[_-]party|site-packages|dist-packages|bower_components|testdata|tests?|__tests__|e2e|spec|fixtures)(?:/|$)")
_LOCK = regex(r"(?:^|/)(?:package-lock\.json|.*\.lock\.json|composer\.json)$")
_VOLUME = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_COMPOSE_WORD = regex(r"(?:docker[._-]?)?compose", re.IGNORECASE)
_UNKNOWN_FOLDER = regex(r"^(?:\$\w+|~)/")
# compose.yaml, docker-compose.prod.yml, docker-compose-base.yml, compose.override.yaml, web.compose.yml, docker-compose_dev.yml
_NAME = regex(r"(?:.+[._-])?(?:docker[._-]?)?compose(?:[._-].+)?\.ya?ml", re.IGNORECASE)
_WORKFLOWS = regex(r"(?:^|/)\.(?:github|gitea|forgejo)/")  # a workflow may well be called docker-compose.yml
_TEMPLATE_TAG = regex(rb"\{%[-+]?\s*\w+|\{\{[#/^!>]")  # of Jinja, Handlebars, Mustache: what stands there is rendered before compose reads it


def compose_files(tree: Files) -> tuple[str, ...]:
    """Every compose file of a tree, by its name, at any depth, sorted; templates of compose files that are still to be rendered are not among them."""
    named = (path for path in tree.listing() if _NAME.fullmatch(posixpath.basename(path)) and not _WORKFLOWS.search(path) and "{{" not in path)
    return tuple(path for path in named if not _is_template(tree, path))


def _is_template(tree: Files, path: str) -> bool:
    """One that cannot be read counts as a compose file: its judgement will say why it is unproven."""
    try:
        return bool(_TEMPLATE_TAG.search(tree.read(path)))
    except CouldNotLook:
        return False


def discover_chains(tree: Files, compose_files: Sequence[str]) -> tuple[FoundChain, ...]:
    """The chains of a tree. `compose_files` are its compose files.

    Named ones first, in the order of their first and most telling place; then what docker compose would load by itself and stacks of one file; last,
    overlays that fit the base beside them and that nobody names. A part of a stack that fits nowhere is in no chain. What cannot be read says nothing here.
    """
    known = frozenset(compose_files)
    found: dict[tuple[str, ...], _Found] = {}
    for path, mention in _mentions(tree, known):
        if named := _placed(path, mention, known, tree):
            found.setdefault(named[0], _Found(named[1], [])).source.append(Source(path, mention.line))
    shapes = _Shapes(tree)
    for loaded in _alone(known, set(chain.from_iterable(found)), shapes):
        found.setdefault(loaded, _Found((), [])).source.append(Source(loaded[0], 1))
    for fitting in _by_name(known, set(chain.from_iterable(found)), shapes):
        found[fitting] = _Found((), [Source(fitting[-1], 1)], guessed=True)
    return tuple(_with_names(found))


class _Found(NamedTuple):
    env_files: tuple[str, ...]
    source: list[Source]
    guessed: bool = False


# ---- what people wrote


def _mentions(tree: Files, known: frozenset[str]) -> Iterator[tuple[str, Mention]]:
    """Every place that names a chain, the most telling files first."""
    if not known:
        return
    for path in sorted(filter(lambda path: _may_name(path, known), tree.listing()), key=_order):
        try:
            content = tree.read(path)
        except CouldNotLook:
            continue
        if b"compose" in content.lower() if b"COMPOSE" in content else b"compose" in content:
            text, name = content[:_LARGEST].decode("utf-8", "replace"), posixpath.basename(path)
            yield from ((path, mention) for mention in mentions(text, env_file=name.startswith(".env") or name.endswith(".env")))


def is_of_others(path: str) -> bool:
    """Whether a file lies among tests, or in the code of others."""
    return _OF_OTHERS.search(path) is not None


def _may_name(path: str, known: frozenset[str]) -> bool:
    if path in known:
        return not _OF_OTHERS.search(path)
    name = posixpath.basename(path)
    if _YAML.fullmatch(name):
        return _COMMANDS_IN_YAML.search(path) is not None and not _OF_OTHERS.search(path)
    return _TEXT.fullmatch(name) is not None and not (_PAST_OR_FUTURE.search(path) or _OF_OTHERS.search(path) or _LOCK.search(path))


def _order(path: str) -> tuple[int, int, str]:
    """What a machine runs comes before what a person reads, and what is at the top before what is deep."""
    name = posixpath.basename(path)
    if name.startswith(".env") or name.endswith(".env"):
        kind = 0
    elif re.search(r"\.(?:md|mdx|rst|adoc|txt)$", name):
        kind = 3
    elif _YAML.fullmatch(name):
        kind = 2
    else:
        kind = 1
    return kind, path.count("/"), path


# ---- what the words mean in this tree


def _placed(path: str, mention: Mention, known: frozenset[str], tree: Files) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The files of the tree that a mention means, and its env files that are there; None when one is not there, or could be several."""
    written = [_plain(file) for file in mention.files]
    folders = {_UNKNOWN_FOLDER.match(file) is not None for file in written}
    if len(folders) > 1 or any("$" in _UNKNOWN_FOLDER.sub("", file) or "*" in file for file in written):
        return None
    for base in _bases(path):
        files = tuple(_below(base, file) for file in written)
        if all(file in known for file in files) and len(set(files)) == len(files):
            there = (_below(base, _plain(file)) for file in mention.env_files if "$" not in file)
            return files, tuple(file for file in there if file is not None and _is_there(tree, file))
    return None


def _plain(written: str) -> str:
    return written.strip("\"'").removesuffix(":")


def _below(base: str, written: str) -> str:
    """A path as it is said to be, from `base` on. An absolute one is somewhere on a host: what stands there is taken from its last part."""
    rest = _UNKNOWN_FOLDER.sub("", written)
    if rest.startswith("/"):
        rest = posixpath.basename(rest)
    return posixpath.normpath(posixpath.join(base, rest))


def _bases(path: str) -> Iterator[str]:
    """Where a command may be run: the root of the tree, or the folder of the text, or one above it."""
    yield ""
    folder = posixpath.dirname(path)
    while folder:
        yield folder
        folder = posixpath.dirname(folder)


def _is_there(tree: Files, path: str) -> bool:
    try:
        tree.read(path)
    except CouldNotLook:
        return False
    return True


# ---- what needs no word


class _Shape(NamedTuple):
    """What a compose file is by itself: its services, those that have neither image nor build, what it refers to and does not declare, and whether it takes in
    others."""

    services: frozenset[str]
    bare: frozenset[str]
    lacking: frozenset[str]
    includes: bool

    @property
    def complete(self) -> bool:
        """Whether each of its services can be started."""
        return bool(self.services or self.includes) and not self.bare

    @property
    def whole(self) -> bool:
        """Whether it needs no other file: a service of an overlay may have its image, and lie on a volume of the base."""
        return self.complete and (self.includes or not self.lacking)


class _Shapes:
    """The shape of each compose file, read when it is asked for."""

    def __init__(self, tree: Files) -> None:
        self.tree = tree
        self.seen: dict[str, _Shape | None] = {}

    def __getitem__(self, path: str) -> _Shape | None:
        if path not in self.seen:
            try:
                self.seen[path] = _shape(self.tree.read(path))
            except CouldNotLook:
                self.seen[path] = None
        return self.seen[path]


def _shape(content: bytes) -> _Shape | None:
    """None for a text that is no mapping, or cannot be read to its end."""
    documents = read_yaml(content, COMPOSE).documents
    top = documents[0].root.members if documents else None
    if not isinstance(top, dict):
        return None
    services = _members(documents[0].root, "services")
    return _Shape(
        services=frozenset(services),
        bare=frozenset(name for name, node in services.items() if not _stands_alone(node)),
        lacking=frozenset(_lacking(documents[0].root, services)),
        includes="include" in top,
    )


def _members(node: Node, key: str) -> dict[str, Node]:
    """What a mapping has below a key, by name; nothing when that is no mapping."""
    below = node.below(key)
    members = below[1].members if below else None
    return {name: member for name, (_, member) in members.items()} if isinstance(members, dict) else {}


def _stands_alone(service: Node) -> bool:
    return isinstance(service.members, dict) and not service.members.keys().isdisjoint(("image", "build", "extends", "provider"))


def _lacking(root: Node, services: Mapping[str, Node]) -> Iterator[str]:
    """What services depend on or mount that this file does not declare."""
    volumes, networks = _members(root, "volumes"), _members(root, "networks")
    for service in services.values():
        yield from (name for name in _names(service, "depends_on") if name not in services)
        yield from (name for name in _names(service, "networks") if name not in networks and name != "default")
        for mount in _names(service, "volumes"):
            source, colon, _ = mount.partition(":")
            if colon and _VOLUME.fullmatch(source) and source not in volumes:
                yield source


def _names(service: Node, key: str) -> Iterator[str]:
    """The texts of a list, or the keys of a mapping."""
    below = service.below(key)
    members = below[1].members if below else None
    if isinstance(members, dict):
        yield from members
    elif members is not None:
        yield from (member.data for member in members if isinstance(member.data, str))


def _alone(known: Iterable[str], named: set[str], shapes: _Shapes) -> Iterator[tuple[str, ...]]:
    """What docker compose loads by itself in each folder, with its override; and each other file that nobody names and that is a stack by itself."""
    folders: dict[str, set[str]] = {}
    for path in sorted(known):
        if not _OF_OTHERS.search(path):
            folders.setdefault(posixpath.dirname(path), set()).add(posixpath.basename(path))
    for folder, names in sorted(folders.items()):
        base = next((name for name in BASES if name in names), None)
        over = next((name for name in OVERRIDES if name in names), None)
        loaded = tuple(posixpath.join(folder, name) for name in (base, over) if name) if base else ()
        whole = shapes[loaded[0]] if loaded else None
        if loaded and (over or not folder or (whole is not None and whole.complete)):
            yield loaded
        for name in sorted(names - {base, over}):
            path = posixpath.join(folder, name)
            if path not in named and (shape := shapes[path]) and shape.whole:
                yield (path,)


def _by_name(known: Iterable[str], named: set[str], shapes: _Shapes) -> Iterator[tuple[str, ...]]:
    """Overlays that no one names, on the base in their folder, when it has each service that they leave unfinished: the last resort."""
    for path in sorted(set(known) - named):
        folder = posixpath.dirname(path)
        base = next((file for name in BASES if (file := posixpath.join(folder, name)) in named), None)
        over, below = shapes[path], shapes[base] if base else None
        if base and over and below and over.bare and over.bare <= below.services and not _OF_OTHERS.search(path):
            yield (base, path)


# ---- names


def _with_names(found: Mapping[tuple[str, ...], _Found]) -> Iterator[FoundChain]:
    taken: set[str] = set()
    for files, (env_files, source, guessed) in found.items():
        name = base = _name(files)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        yield FoundChain(name=name, files=files, env_files=env_files, source=tuple(dict.fromkeys(source)), guessed=guessed)


def _name(files: Sequence[str]) -> str:
    """What the files' own names have beside `compose`: `prod-host-mount` for the base with these two; `default` for what is loaded anyway."""
    folder = posixpath.dirname(files[0])
    parts = [folder] if folder else []
    for file in files:
        stem = re.sub(r"\.ya?ml$", "", posixpath.basename(file))
        parts.append(_COMPOSE_WORD.sub("", stem, count=1))
    loaded = len(files) == 2 and posixpath.basename(files[0]) in BASES and posixpath.basename(files[1]) in OVERRIDES
    words = (re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in (parts[:-1] if loaded else parts))
    return "-".join(word for word in words if word)[:60].strip("-") or "default"
