"""What runs in a tree: its scripts, and the shell that stands in workflows, makefiles, units, crontabs, Dockerfiles and cloud-init. Each file is read and
parsed once a run, whoever asks.

    for text in programs(world).on_hosts(): ...
    for program in python(world, re.compile(rb"op\\.create_table")): ...
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from interlock.config.discover import Sorted, is_aside, is_of_others, is_test_name, sort
from interlock.config.yamltext import COMPOSE, read_yaml
from interlock.errors import CouldNotLook, TooLarge
from interlock.facts import pythoncode
from interlock.facts.cron import is_crontab_path, is_system_path, parse_crontab
from interlock.facts.makefiles import parse_makefile
from interlock.facts.programs import Holder, Program, Programs, Runs, ShellText, Unreadable
from interlock.facts.workflows import Workflow
from interlock.observe.sources import TreeSources, sources
from interlock.observe.starters import find
from interlock.observe.world import World

LARGEST = 1024 * 1024  # bytes; no script of a human is longer
_SHEBANG = re.compile(rb"#![^\n]*\b(?:ba|da|k|a|z)?sh\b")
_DOCKERFILE = re.compile(r"(?:^|/)(?:[\w.-]+\.)?(?:Docker|Container)file(?:\.[\w.-]+)?$")
_MAKEFILE = re.compile(r"(?:^|/)(?:GNUm|m|M)akefile$|\.mk$")
_UNIT_COMMAND = re.compile(r"^Exec(?:Start|StartPre|StartPost|Stop|StopPost|Reload|Condition)[ \t]*=[ \t]*(?P<command>(?:[^\n\\]|\\\n|\\[^\n])*)", re.MULTILINE)
_UNIT_MARKS = re.compile(r"^[-@:+!|]+")
_RUN = re.compile(r"^[ \t]*RUN[ \t]+(?P<command>(?:[^\n\\]|\\\r?\n|\\.)*)", re.MULTILINE | re.IGNORECASE)
_RUN_OPTIONS = re.compile(r"^(?:--\w[\w-]*=\S+\s+)*")
_OWN_TOOLS = re.compile(r"(?:^|/)(?:hack|\.husky|\.circleci|\.buildkite|scripts?/(?:ci|dev|release|lint|test)|dev|development|bench(?:marks?)?)/")
_CLOUD_INIT = re.compile(rb"\A#cloud-config\b")
_CLOUD_NAMES = re.compile(r"(?:^|/)(?:cloud-?(?:init|config)|user-?data)[\w.-]*$", re.IGNORECASE)
_TAKES_IN = re.compile(r"^[ \t]*(?:COPY|ADD)[ \t]+(?P<words>[^\n]+)", re.MULTILINE | re.IGNORECASE)


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
    return tuple(path for path in world.tree.listing() if _DOCKERFILE.search(path) and not is_of_others(posixpath.dirname(path)))


class _Finding:
    """One look at a tree for all that is shell."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sources: TreeSources = sources(world)
        self.unreadable: list[Unreadable] = []
        self.images = _Images(self._text(path) for path in dockerfiles(world))

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
    """What the Dockerfiles of a tree copy into images and then run there."""

    def __init__(self, texts: Iterable[str]) -> None:
        words = (word for text in texts for found in _TAKES_IN.finditer(text) for word in found["words"].split()[:-1] if not word.startswith("--"))
        self._named = frozenset(posixpath.basename(word.rstrip("/")) for word in words)

    def have(self, path: str) -> bool:
        """Whether a script is one that runs inside a container: an entry point by its name, or one that an image takes in by its own name."""
        name = posixpath.basename(path)
        return (
            "entrypoint" in name
            or name in self._named
            or any(part in ("rootfs", "docker-entrypoint.d", "docker-entrypoint-initdb.d") for part in path.split("/"))
        )


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
