"""Which workflows and crontabs are there, in a tree and on a host, and what do they come to run? The following is `interlock.facts.calls`'s.

    found = find(tree)
    found.workflows, found.crontabs, found.gate
"""

from __future__ import annotations

import re
from typing import NamedTuple

from interlock.errors import CouldNotLook
from interlock.facts.cron import is_crontab_path
from interlock.facts.workflows import FOLDERS
from interlock.observe.tree import Tree

_GATE = re.compile(rb"\binterlock(?:\.cli)?\s+(?:scan|preflight)\b|\bpytest\b[^\n]*\s-m[ =]?[\"']?(?:static|preflight)\b")
_CODE_OF_OTHERS = re.compile(r"(?:^|/)(?:vendor|third_party|node_modules|testdata|tests?|fixtures|examples?|docs?)/")


class Found(NamedTuple):
    """What starts things by itself in a tree: paths, sorted. `gate` is the one workflow that runs interlock's gate, None when none or several do."""

    workflows: tuple[str, ...]
    crontabs: tuple[str, ...]
    gate: str | None


def find(tree: Tree) -> Found:
    """The workflows where the forges look for them, the crontabs by their names, and the workflow that runs the gate."""
    paths = tree.listing()
    workflows = tuple(path for path in paths if path.endswith((".yml", ".yaml")) and path.rpartition("/")[0] in FOLDERS)
    crontabs = tuple(path for path in paths if is_crontab_path(path) and not _CODE_OF_OTHERS.search(path))
    gates = [path for path in workflows if _runs_gate(tree, path)]
    return Found(workflows, crontabs, gates[0] if len(gates) == 1 else None)


def _runs_gate(tree: Tree, path: str) -> bool:
    try:
        return _GATE.search(tree.read(path)) is not None
    except CouldNotLook:
        return False
