"""Which compose files are in a tree, and how is their text had? What they come to together: `interlock.observe.compose_binary`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from interlock.errors import CouldNotLook
from interlock.facts.compose import ComposeText
from interlock.observe.tree import Tree
from interlock.observe.world import Observer, World
from interlock.verdicts import Subject

# compose.yaml, docker-compose.prod.yml, docker-compose-base.yml, compose.override.yaml, web.compose.yml, docker-compose_dev.yml
_NAME = re.compile(r"(?:.+[._-])?(?:docker[._-]?)?compose(?:[._-].+)?\.ya?ml", re.IGNORECASE)
_WORKFLOWS = re.compile(r"(?:^|/)\.(?:github|gitea|forgejo)/")  # a workflow may well be called docker-compose.yml
_TEMPLATE_TAG = re.compile(rb"\{%[-+]?\s*\w+|\{\{[#/^!>]")  # of Jinja, Handlebars, Mustache: what stands there is rendered before compose reads it


def compose_files(tree: Tree) -> tuple[str, ...]:
    """Every compose file of a tree, by its name, at any depth, sorted; templates of compose files that are still to be rendered are not among them."""
    named = (path for path in tree.listing() if _NAME.fullmatch(posixpath.basename(path)) and not _WORKFLOWS.search(path))
    return tuple(path for path in named if not _is_template(tree, path))


def _is_template(tree: Tree, path: str) -> bool:
    """One that cannot be read counts as a compose file: its judgement will say why it is unproven."""
    try:
        return bool(_TEMPLATE_TAG.search(tree.read(path)))
    except CouldNotLook:
        return False


def compose_text(world: World, subject: Subject) -> ComposeText:
    """The text of the compose file that the subject names. Raises `CouldNotLook`."""
    return ComposeText(path=subject.name, content=world.tree.read(subject.name))


OBSERVERS: Mapping[str, Observer] = {"compose.strict_parse": Observer(see=compose_text)}
