"""Which comments of a tree let findings pass? Every text file is looked at, but for tests and the code of others, which no guardrail judges."""

from __future__ import annotations

from interlock.config.discover import is_of_others, is_test_name
from interlock.errors import CouldNotLook
from interlock.facts.allows import MARK, Allow, BadAllow, allows_in
from interlock.observe.tree import Tree


def allows(tree: Tree) -> tuple[Allow | BadAllow, ...]:
    """All of them, in the order of the listing. What cannot be read allows nothing."""
    found: list[Allow | BadAllow] = []
    theirs: dict[str, bool] = {}
    for path in tree.listing():
        folder, _, name = path.rpartition("/")
        if folder not in theirs:
            theirs[folder] = folder != "" and is_of_others(folder)
        if theirs[folder] or is_test_name(name):
            continue
        try:
            data = tree.glance(path)
        except CouldNotLook:
            continue
        if MARK in data:
            found += allows_in(path, data)
    return tuple(found)
