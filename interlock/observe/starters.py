"""What starts things by itself in a tree, by its place and name: workflows, crontabs, scripts that write a crontab, and the workflow that runs the gate.

What they come to run: `interlock.observe.automation`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from interlock.config.discover import Files
from interlock.errors import CouldNotLook
from interlock.facts.cron import is_crontab_path
from interlock.facts.workflows import FOLDERS
from interlock.patterns import regex

_GATE = regex(rb"\binterlock(?:\.cli)?\s+(?:scan|preflight)\b|\bpytest\b[^\n]*\s-m[ =]?[\"']?(?:static|preflight)\b")
SCRIPT = regex(r"\.(?:ba)?sh(?:\.(?:tpl|tmpl|tftpl|j2|in|template))?$")
_INSTALLS = regex(
    rb"\bcrontab\s+(?:-u\s+\S+\s+)?-(?=[\s\"']|$)|>\s*\"?\S*/cron\.d/|\btee\s+(?:-a\s+)?\"?\S*/cron\.d/"
    rb"|^[ \t]*(?:sudo[ \t]+)?crontab[ \t]+[\w./\"$][^\s;&|]*[ \t]*$",
    re.MULTILINE,
)
_CODE_OF_OTHERS = regex(r"(?:^|/)(?:vendor|third_party|node_modules|testdata|tests?|fixtures|examples?|docs?)/")


class Found(NamedTuple):
    """What starts things by itself in a tree: paths, sorted. `gate` is the one workflow that runs interlock's gate, None when none or several do."""

    workflows: tuple[str, ...]
    crontabs: tuple[str, ...]
    gate: str | None


def find(tree: Files) -> Found:
    """The workflows where the forges look for them, the crontabs by their names, the scripts that write one, and the workflow that runs the gate."""
    paths = tree.listing()
    workflows = tuple(path for path in paths if path.endswith((".yml", ".yaml")) and path.rpartition("/")[0] in FOLDERS)
    crontabs = tuple(path for path in paths if not _CODE_OF_OTHERS.search(path) and (is_crontab_path(path) or _writes_crontab(tree, path)))
    gates = [path for path in workflows if runs_gate(tree, path)]
    return Found(workflows, crontabs, gates[0] if len(gates) == 1 else None)


def _writes_crontab(tree: Files, path: str) -> bool:
    """True for a shell script that says it writes one; what it writes is told when it is looked at."""
    try:
        return SCRIPT.search(path) is not None and _INSTALLS.search(tree.read(path)) is not None
    except CouldNotLook:
        return False


def runs_gate(tree: Files, path: str) -> bool:
    """True for a workflow whose text runs interlock's gate; one that cannot be read does not."""
    try:
        return _GATE.search(tree.read(path)) is not None
    except CouldNotLook:
        return False
