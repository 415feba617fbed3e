"""What do the scripts of this tree list of its compose files? For compose.chain_single_resolver."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace

from interlock.facts.chain_lists import ChainList, ChainLists, chain_list
from interlock.facts.programs import Runs, ShellText
from interlock.observe.chains import compose_files
from interlock.observe.programs import programs
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_LISTS = regex(r"\.ya?ml")
_TRIES = regex(r"(?:^|[/._-])(?:tests?|e2e|smoke|ci|bench|lint|dev|local|demo|debug|example|quick-?start)(?:[/._-]|$)", re.IGNORECASE)


def chain_lists(world: World, _subject: Subject) -> ChainLists:
    """What the scripts list that run on hosts, and not for trying."""
    scripts = [text for text in programs(world).scripts() if text.runs is Runs.HOST]
    files = compose_files(world.tree)
    names = [posixpath.basename(file) for file in files]
    lists: list[ChainList] = []
    for text in scripts if len(files) > 1 else ():
        if _TRIES.search(text.path) or _LISTS.search(text.text) is None or sum(name in text.text for name in names) < 2:
            continue
        found = chain_list(text.path, text.script, files)
        if found is not None:
            lists.append(replace(found, resolver=any(_sources(other, text.path) for other in scripts)))
    return ChainLists(lists=tuple(lists), read=len(scripts), unread=programs(world).unreadable)


def _sources(script: ShellText, path: str) -> bool:
    """Whether a script takes another one in, or runs it for what it prints: by its name, or by a variable that holds it."""
    name = re.escape(posixpath.basename(path))
    if script.path == path or posixpath.basename(path) not in script.text:
        return False
    held = [rf"[\"']?\$\{{?{variable}\b" for variable in re.findall(rf"(?m)^\s*(?:local |readonly |export )?(\w+)=\S*{name}", script.text)]
    called = "|".join((rf"\S*{name}", *held))
    return re.search(rf"(?m)^(?!\s*#).*(?:(?:^|[\s;&|(`])(?:source|\.|ba?sh)\s+|\$\(\s*)(?:{called})", script.text) is not None


OBSERVERS: Mapping[str, Observer] = {"compose.chain_single_resolver": Observer(see=chain_lists)}
