"""What is found in all scripts of a tree together? Lost failures, deletions, names and paths of one host: from `interlock.observe.programs`.

What the shells say of their syntax: `interlock.observe.shell_syntax`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from interlock.errors import CouldNotLook
from interlock.facts import destruction, host_literals, lost_failures
from interlock.facts.host_literals import Project
from interlock.facts.lost_failures import Strict
from interlock.facts.lost_failures_python import lost_in_python, swallows
from interlock.facts.programs import Holder, Programs, Runs, ShellText, Unreadable
from interlock.facts.scripts import Destroys, DestroysSeen, LiteralsSeen, Lost, LostSeen, OnOneHost
from interlock.observe.chains import compose_files
from interlock.observe.programs import program, programs, sorted_files
from interlock.observe.shell_syntax import syntax_seen
from interlock.observe.stack import compose_yaml
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

# ---- what is found in all of them together

_TEMPORARY = frozenset({Holder.DOCKERFILE})
_SETS_STRICT = regex(r"^[ \t]*set[ \t]+(?:-[a-zA-Z]*e|-o[ \t]+errexit)", re.MULTILINE)
_SETS_PIPEFAIL = regex(r"^[ \t]*set[ \t]+[^\n]*pipefail", re.MULTILINE)
_SHEBANG_STRICT = regex(r"#![^\n]*\s-\w*e")
_SOURCES = regex(r"^[ \t]*(?:source|\.)[ \t]+(?P<path>[^\n;&|#]+)", re.MULTILINE)
_PROJECT_VARIABLE = regex(rb"^[ \t]*(?:export[ \t]+)?COMPOSE_PROJECT_NAME=[\"']?(?P<name>[a-z0-9][a-z0-9_-]*)", re.MULTILINE)
_NOT_IN_NAMES = regex(r"[^a-z0-9_-]")


def _data(text: ShellText) -> bytes:
    return text.text.encode("utf-8", "surrogateescape")


def lost_seen(world: World, _subject: Subject) -> LostSeen:
    """Every backup, restore and migration whose failure is lost, in shell and in Python."""
    every = programs(world)
    texts = [text for text in every.shell if text.runs is not Runs.ASIDE and text.holder not in _TEMPORARY]
    wanted = [text for text in texts if lost_failures.MENTIONS.search(_data(text))]
    strict = _Strictness(every)
    found = [Lost(path=text.path, failure=one) for text in wanted for one in lost_failures.lost_failures(text.script, strict=strict.of(text))]
    files = [path for path in sorted_files(world).programs if _runs_here(path)]
    for path in files:
        found += [Lost(path=path, failure=one) for one in _lost_in_program(world, path)]
    unread = (*every.unreadable, *_unparsed(wanted, lost_failures.STEP_WORDS, "a backup, restore or migration"))
    return LostSeen(read=len(texts) + len(files), found=tuple(sorted(found, key=lambda one: (one.path, one.failure.step.line))), unread=unread)


def _runs_here(path: str) -> bool:
    from interlock.config.discover import is_aside

    return not is_aside(path)


def _lost_in_program(world: World, path: str) -> Iterator[lost_failures.LostFailure]:
    try:
        if swallows(world.tree.read(path)):
            yield from lost_in_python(program(world, path).code)
    except CouldNotLook:
        return  # what is not to be read is no program that a host could run


class _Strictness:
    """Which scripts are run under `set -e` that another one says: one that they source, one that sources them, or what that one has sourced."""

    def __init__(self, every: Programs) -> None:
        self._texts: dict[str, list[ShellText]] = {}
        for text in every.scripts():
            self._texts.setdefault(posixpath.basename(text.path), []).append(text)
        self._takes: dict[str, set[str]] = {}
        self._taken_by: dict[str, set[str]] = {}
        for text in every.scripts():
            for found in _SOURCES.finditer(text.text):
                other = posixpath.basename(found["path"].split()[0].strip("\"'")) if found["path"].split() else ""
                if other in self._texts:
                    self._takes.setdefault(posixpath.basename(text.path), set()).add(other)
                    self._taken_by.setdefault(other, set()).add(posixpath.basename(text.path))

    def of(self, text: ShellText) -> Strict:
        """What is in force before the first line of one of them; a runner of a forge stops at the first failure too."""
        own = Strict(errexit=text.runs is Runs.JOB or _SHEBANG_STRICT.match(text.text) is not None)
        if text.holder is not Holder.SCRIPT:
            return own
        name = posixpath.basename(text.path)
        above = _reached(name, self._taken_by)
        together = _reached(name, self._takes).union(above, *(_reached(one, self._takes) for one in above))
        others = [one.text for name in together for one in self._texts[name] if one.path != text.path]
        return Strict(
            errexit=own.errexit or any(_SETS_STRICT.search(other) for other in others),
            pipefail=any(_SETS_PIPEFAIL.search(other) for other in others),
        )


def _reached(name: str, by: Mapping[str, set[str]]) -> set[str]:
    """All that is taken in by a script, or takes it in, at any depth."""
    known: set[str] = set()
    waiting = [name]
    while waiting:
        for other in by.get(waiting.pop(), ()):
            if other not in known:
                known.add(other)
                waiting.append(other)
    return known


def destroys_seen(world: World, _subject: Subject) -> DestroysSeen:
    """Every command of a host's script that deletes data on each run."""
    every = programs(world)
    texts = every.on_hosts()
    wanted = [text for text in texts if destruction.MENTIONS.search(_data(text))]
    found = [
        Destroys(path=text.path, name=text.name, destruction=one)
        for text in wanted
        for one in dict.fromkeys(destruction.destructions(text.path, text.script, started_as=_target(text)))
    ]
    unread = (*every.unreadable, *_unparsed(wanted, destruction.LOSS_WORDS, "a command that deletes data"))
    return DestroysSeen(read=len(texts), found=tuple(found), unread=unread)


def _target(text: ShellText) -> str:
    return text.name.rpartition(": ")[2] if text.holder is Holder.MAKEFILE else ""


def _unparsed(texts: Iterable[ShellText], words: re.Pattern[str], what: str) -> Iterator[Unreadable]:
    """Scripts with a stretch that could not be read and that says something of what the rule is about; workflows have expressions of the forge in them."""
    for text in texts:
        if text.runs is Runs.HOST and text.holder is Holder.SCRIPT:
            lines = [part.line for part in text.script.unparsed if words.search(part.raw)]
            if lines:
                yield Unreadable(path=text.path, why=f"the lines from {lines[0]} on could not be read, and speak of {what}")


def project_literals(world: World, _subject: Subject) -> LiteralsSeen:
    """Every name of the compose project that a host's script has written out, or filters otherwise than compose."""
    every = programs(world)
    texts = every.on_hosts()
    found = [
        OnOneHost(path=text.path, literal=one)
        for text in texts
        if host_literals.ABOUT_PROJECTS.search(_data(text))
        for one in host_literals.name_filters(text.script)
    ]
    named = [text for text in texts if host_literals.NAMES.search(_data(text))]
    project = _project(world, every) if named else Project()
    if project.volumes or project.services or project.networks:
        found += [OnOneHost(path=text.path, literal=one) for text in named for one in host_literals.project_names(text.script, project)]
    return LiteralsSeen(read=len(texts), found=_sorted(found), unread=every.unreadable)


def root_literals(world: World, _subject: Subject) -> LiteralsSeen:
    """Every path below the engine's own directory that a host's script has written out."""
    every = programs(world)
    texts = every.on_hosts()
    found = [
        OnOneHost(path=text.path, literal=one)
        for text in texts
        if host_literals.ENGINE_ROOT.search(_data(text))
        for one in host_literals.engine_roots(text.script)
    ]
    return LiteralsSeen(read=len(texts), found=_sorted(found), unread=every.unreadable)


def _sorted(found: Iterable[OnOneHost]) -> tuple[OnOneHost, ...]:
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (one.path, one.literal.line, one.literal.text)))


def _project(world: World, every: Programs) -> Project:
    """What the compose files of the tree make, and the names that its project may have; without what a script of the tree calls it itself."""
    files = compose_files(world.tree)
    volumes: set[str] = set()
    networks: set[str] = {"default"} if files else set()
    services: set[str] = set()
    fixed: set[str] = set()
    names = {_NOT_IN_NAMES.sub("", posixpath.basename(posixpath.dirname(path)).lower()) for path in files}
    for path in files:
        data = _compose(world, path)
        names |= {data["name"]} if isinstance(data.get("name"), str) else set()
        for section, keys in (("volumes", volumes), ("networks", networks)):
            _sort_keys(data.get(section), keys, fixed, "name")
        _sort_keys(data.get("services"), services, fixed, "container_name")
    for path in sorted_files(world).env_files:
        try:
            names |= {found["name"].decode() for found in _PROJECT_VARIABLE.finditer(world.tree.read(path))}
        except CouldNotLook:
            continue
    called = {name for text in every.shell for name in host_literals.sets_project(text.text)}
    fixed |= {name for text in every.shell if host_literals.NAMES.search(_data(text)) for name in host_literals.made_names(text.script)}
    return Project(
        names=frozenset(names - called - {""}),
        volumes=frozenset(volumes),
        networks=frozenset(networks),
        services=frozenset(services),
        fixed=frozenset(fixed),
        called=frozenset(called),
    )


def _compose(world: World, path: str) -> Mapping[str, Any]:
    try:
        data = compose_yaml(world, path).data
    except CouldNotLook:
        return {}  # compose.strict_parse says so
    return data if isinstance(data, dict) else {}


def _sort_keys(section: object, keys: set[str], fixed: set[str], named_by: str) -> None:
    """Keys that get the project's name in front, and names that stand as they are."""
    for key, said in section.items() if isinstance(section, dict) else ():
        given = said.get(named_by) if isinstance(said, dict) else None
        external = said.get("external") if isinstance(said, dict) else None
        if given or external:
            fixed.add(str(given or key))
        else:
            keys.add(str(key))


OBSERVERS: Mapping[str, Observer] = {
    "scripts.syntax": Observer(see=syntax_seen),
    "scripts.no_swallowed_failure": Observer(see=lost_seen),
    "scripts.destructive_guarded": Observer(see=destroys_seen),
    "scripts.project_name": Observer(see=project_literals),
    "scripts.engine_root": Observer(see=root_literals),
}
