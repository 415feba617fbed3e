"""What runs in a tree: its scripts, and the shell that stands in workflows, makefiles, units, crontabs, Dockerfiles and cloud-init. Each file is read and
parsed once a run, whoever asks.

    for text in programs(world).on_hosts(): ...
    for program in python(world, re.compile(rb"op\\.create_table")): ...
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from interlock.config.discover import IN_IMAGES, Sorted, is_aside, is_of_others, is_test_name, sort
from interlock.config.yamltext import COMPOSE, read_yaml
from interlock.errors import CouldNotLook, TooLarge
from interlock.facts import pythoncode
from interlock.facts.cron import is_crontab_path, is_system_path, parse_crontab
from interlock.facts.makefiles import parse_makefile
from interlock.facts.programs import Holder, Program, Programs, Runs, ShellText, Unreadable
from interlock.facts.workflows import Workflow
from interlock.observe.chains import compose_files
from interlock.observe.sources import TreeSources, sources
from interlock.observe.starters import find
from interlock.observe.world import World
from interlock.patterns import regex

LARGEST = 1024 * 1024  # bytes; no script of a human is longer
_SHEBANG = regex(rb"#![^\n]*\b(?:ba|da|k|a|z)?sh\b")
_DOCKERFILE = regex(r"(?:^|/)(?:[\w.-]+\.)?(?:Docker|Container)file(?:\.[\w.-]+)?$")
_MAKEFILE = regex(r"(?:^|/)(?:GNUm|m|M)akefile$|\.mk$")
_UNIT_COMMAND = regex(r"^Exec(?:Start|StartPre|StartPost|Stop|StopPost|Reload|Condition)[ \t]*=[ \t]*(?P<command>(?:[^\n\\]|\\\n|\\[^\n])*)", re.MULTILINE)
_UNIT_MARKS = regex(r"^[-@:+!|]+")
_RUN = regex(r"^[ \t]*RUN[ \t]+(?P<command>(?:[^\n\\]|\\\r?\n|\\.)*)", re.MULTILINE | re.IGNORECASE)
_RUN_OPTIONS = regex(r"^(?:--\w[\w-]*=\S+\s+)*")
_OWN_TOOLS = regex(r"(?:^|/)(?:hack|\.husky|\.circleci|\.buildkite|scripts?/(?:ci|dev|release|lint|test)|dev|development|bench(?:marks?)?)/")
_CLOUD_INIT = regex(rb"\A#cloud-config\b")
_CLOUD_NAMES = regex(r"(?:^|/)(?:cloud-?(?:init|config)|user-?data)[\w.-]*$", re.IGNORECASE)
_TAKES_IN = regex(r"^[ \t]*(?:COPY|ADD)[ \t]+(?P<words>(?:[^\n\\]|\\\n|\\[^\n])+)", re.MULTILINE | re.IGNORECASE)
_MOUNTED = regex(r"^[ \t]*(?:-|source:)[ \t]*[\"']?(?P<path>\.{1,2}/[^\s:\"'#]+)", re.MULTILINE)
_SYSTEM = regex(r"/(?:etc|usr/local|usr/bin|usr/sbin|bin|sbin|opt|docker|container|scripts?|entrypoint|hooks|run|root|tmp|build)(?:[/.-]|$)")
_HOST_FOLDERS = frozenset(
    {"scripts", "script", "ops", "bin", "deploy", "deployment", "infra", "tools", "helper-scripts", "install", "installer", "maintenance"}
)


def programs(world: World) -> Programs:
    """Every piece of shell that the site is about: all of the tree where it says `found: true` or nothing, else the scripts that it names."""
    return world.once("programs", lambda: _Finding(world).whole())


def python(world: World, says: re.Pattern[bytes]) -> Iterator[Program]:
    """The Python programs of the tree in whose text `says` is found, parsed. Those that cannot be read are not among them: `programs` names them."""
    for path in sorted_files(world).programs:
        try:
            data = world.tree.read(path)
        except CouldNotLook:
            continue
        if says.search(data):
            yield program(world, path)


def program(world: World, path: str) -> Program:
    """One Python file, parsed once a run. Raises `CouldNotLook`."""

    def read() -> Program:
        data = world.tree.read(path)
        return Program(path=path, data=data, code=pythoncode.parse(data))

    return world.once(("program", path), read)


def sorted_files(world: World) -> Sorted:
    """The files of the tree by what their names say."""
    return world.once("sorted files", lambda: sort(world.tree.listing()))


def dockerfiles(world: World) -> tuple[str, ...]:
    """The paths of what images are built from."""

    def find_them() -> tuple[str, ...]:
        return tuple(path for path in world.tree.listing() if _DOCKERFILE.search(path) and not is_of_others(posixpath.dirname(path)))

    return world.once("dockerfiles", find_them)


class _Finding:
    """One look at a tree for all that is shell."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sources: TreeSources = sources(world)
        self.unreadable: list[Unreadable] = []
        self.images = _Images(
            sorted_files(world).every,
            ((path, self._text(path)) for path in dockerfiles(world)),
            ((path, self._text(path)) for path in compose_files(world.tree)),
        )

    def whole(self) -> Programs:
        """All of it."""
        site = self.world.site.scripts
        named = site.files if site is not None else ()
        every = site is None or site.found
        paths = self._script_paths() if every else (path for path in named if not path.endswith(".py"))
        found = [text for path in paths if (text := self._script(path)) is not None]
        if every:
            found += [*self._workflows(), *self._makefiles(), *self._units(), *self._crontabs(), *self._dockerfiles(), *self._cloud_init()]
        return Programs(shell=tuple(sorted(found, key=lambda text: (text.path, text.line, text.name))), unreadable=tuple(self.unreadable))

    def _script_paths(self) -> Iterator[str]:
        files = sorted_files(self.world)
        yield from files.scripts
        for path in files.nameless:
            try:
                if _SHEBANG.match(self.world.tree.read(path)):
                    yield path
            except CouldNotLook:
                continue  # whether it is a script cannot be told from its name

    def _script(self, path: str) -> ShellText | None:
        try:
            data = self.world.tree.read(path)
        except TooLarge:
            return None
        except CouldNotLook as error:
            self.unreadable.append(Unreadable(path=path, why=error.sentence))
            return None
        if b"\0" in data[:1024] or len(data) > LARGEST:
            self.unreadable.append(Unreadable(path=path, why="it is no text that a shell could run, or longer than 1 MiB"))
            return None
        return _shell(path, path, 1, data.decode("utf-8", "surrogateescape"), runs=self._runs(path), holder=Holder.SCRIPT)

    def _runs(self, path: str) -> Runs:
        if self.images.have(path):
            return Runs.IMAGE
        return Runs.ASIDE if is_aside(path) or _OWN_TOOLS.search(path) else Runs.HOST

    def _workflows(self) -> Iterator[ShellText]:
        for path in find(self.world.tree).workflows:
            workflow = self.sources.workflow(path)
            for job in workflow.jobs if isinstance(workflow, Workflow) else ():
                for step in job.steps:
                    if step.run and "python" not in step.shell and "pwsh" not in step.shell:
                        yield _shell(path, f"{path}: {job.id}", step.run_line, step.run, runs=Runs.JOB, holder=Holder.WORKFLOW)

    def _makefiles(self) -> Iterator[ShellText]:
        for path, text in self._texts(lambda path: _MAKEFILE.search(path) is not None):
            for target in parse_makefile(text).targets.values():
                for line in target.recipe:
                    yield _shell(path, f"{path}: {target.name}", line.line, line.text, runs=self._runs(path), holder=Holder.MAKEFILE)

    def _units(self) -> Iterator[ShellText]:
        for path, text in self._texts(lambda path: path.endswith((".service", ".service.in"))):
            for found in _UNIT_COMMAND.finditer(text):
                command = _UNIT_MARKS.sub("", found["command"].strip())
                if command:
                    yield _shell(path, path, _line_of(text, found.start()), command, runs=self._runs(path), holder=Holder.UNIT)

    def _crontabs(self) -> Iterator[ShellText]:
        for path, text in self._texts(is_crontab_path):
            for line in parse_crontab(text, system=is_system_path(path)).lines:
                yield _shell(path, path, line.line, line.command, runs=self._runs(path), holder=Holder.CRONTAB)

    def _dockerfiles(self) -> Iterator[ShellText]:
        for path in dockerfiles(self.world):
            text = self._text(path)
            for found in _RUN.finditer(text):
                command = found["command"]
                options = _RUN_OPTIONS.match(command)
                shell = command[options.end() if options else 0 :]
                if shell and not shell.startswith(("[", "<<")):
                    yield _shell(path, path, _line_of(text, found.start()), shell, runs=Runs.IMAGE, holder=Holder.DOCKERFILE)

    def _cloud_init(self) -> Iterator[ShellText]:
        for path, text in self._texts(lambda path: path.endswith((".yml", ".yaml", ".tpl", ".tftpl")) or _CLOUD_NAMES.search(path) is not None):
            if _CLOUD_INIT.match(text.encode("utf-8", "surrogateescape")[:64]):
                yield from _of_cloud_init(path, text)

    def _texts(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
        """The files whose path is wanted, without tests and the code of others; what cannot be read is no text."""
        for path in self.world.tree.listing():
            if wanted(path) and not is_of_others(posixpath.dirname(path)) and not is_test_name(posixpath.basename(path)) and (text := self._text(path)):
                yield path, text

    def _text(self, path: str) -> str:
        return self.sources.text(path) or ""


class _Images:
    """What the Dockerfiles of a tree copy into images, and what its compose files mount into containers: that runs there, and not on a host."""

    def __init__(self, listing: Collection[str], dockerfiles: Iterable[tuple[str, str]], composed: Iterable[tuple[str, str]]) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        self._names: set[str] = set()
        every = frozenset(listing)
        self._known = {".", *_folders_of(every)}
        for path, text in dockerfiles:
            for found in _TAKES_IN.finditer(text):
                words = [word for word in found["words"].replace("\\\n", " ").split() if not word.startswith("--") and word != "\\"]
                for word in words[:-1]:
                    self._take(word.strip("[],\"'"), words[-1].strip("[],\"'"), posixpath.dirname(path), every)
                    self._started(word.strip("[],\"'"), words[-1].strip("[],\"'"), (posixpath.dirname(path), ""), text, every)
        for path, text in composed:
            places = (posixpath.normpath(posixpath.join(posixpath.dirname(path), found["path"])) for found in _MOUNTED.finditer(text))
            self._files |= {place for place in places if place in every}

    def _take(self, word: str, target: str, folder: str, every: Collection[str]) -> None:
        """One thing that is copied: a file of the tree, some of a folder, or a folder that becomes part of the image's own system."""
        places = [posixpath.normpath(posixpath.join(base, word.lstrip("/"))) for base in dict.fromkeys((folder, ""))]
        if "*" in word:
            self._patterns += [re.compile(fnmatch.translate(place)) for place in places if place.strip("*./") and _is_of_system(target, place)]
        elif files := [place for place in places if place in every]:
            self._files |= set(files)
        elif not (folders := [place for place in places if place in self._known]):
            self._names |= {posixpath.basename(word.rstrip("/"))} - {"", ".", ".."}
        else:
            self._folders |= {f"{place}/" for place in folders if place not in (".", "..") and _is_of_system(target, place)}

    def _started(self, word: str, target: str, bases: Sequence[str], text: str, every: Collection[str]) -> None:
        """The scripts of a copied folder that the image names by the place where they are then."""
        for found in re.finditer(rf"{re.escape(target.rstrip('/'))}/(?P<rest>[\w./-]+)", text) if target.strip("./") else ():
            places = (posixpath.normpath(posixpath.join(base, word.lstrip("/"), found["rest"])) for base in bases)
            self._files |= {place for place in places if place in every}

    def have(self, path: str) -> bool:
        """Whether a script is one that runs inside a container."""
        name, parts = posixpath.basename(path), path.split("/")
        return (
            "entrypoint" in name
            or path in self._files
            or name in self._names
            or not IN_IMAGES.isdisjoint(parts)
            or any(path.startswith(folder) for folder in self._folders)
            or any(pattern.match(path) for pattern in self._patterns)
        )


def _folders_of(files: Iterable[str]) -> Iterator[str]:
    """Every folder that something lies in, at any depth."""
    known: set[str] = set()
    for lowest in {posixpath.dirname(path) for path in files}:
        folder = lowest
        while folder and folder not in known:
            known.add(folder)
            yield folder
            folder = posixpath.dirname(folder)


def _is_of_system(target: str, place: str) -> bool:
    """Whether what is copied becomes a part of the image's system: a whole source tree, with the scripts for hosts in it, is copied to be at hand."""
    if target.startswith("$"):
        return not any(part in _HOST_FOLDERS for part in place.split("/"))
    return target == "/" or _SYSTEM.match(target) is not None


def _of_cloud_init(path: str, text: str) -> Iterator[ShellText]:
    read = read_yaml(text.encode("utf-8", "surrogateescape"), COMPOSE)
    data: Mapping[str, Any] = read.data if isinstance(read.data, dict) else {}
    for section in ("bootcmd", "runcmd"):
        commands = data.get(section)
        for index, command in enumerate(commands if isinstance(commands, list) else ()):
            said = " ".join(str(word) for word in command) if isinstance(command, list) else command
            if isinstance(said, str):
                yield _shell(path, path, read.positions.nearest((section, index)).value.line, said, runs=Runs.HOST, holder=Holder.CLOUD_INIT)
    files = data.get("write_files")
    for index, file in enumerate(files if isinstance(files, list) else ()):
        content = file.get("content") if isinstance(file, dict) else None
        if isinstance(content, str) and content.startswith("#!") and _SHEBANG.match(content.encode("utf-8", "surrogateescape")):
            line = read.positions.nearest(("write_files", index, "content")).value.line + 1
            yield _shell(path, f"{path}: {file.get('path', index)}", line, content, runs=Runs.HOST, holder=Holder.CLOUD_INIT)


def _shell(path: str, name: str, line: int, text: str, *, runs: Runs, holder: Holder) -> ShellText:
    return ShellText(path=path, name=name, line=line, runs=runs, holder=holder, text=text)


def _line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
