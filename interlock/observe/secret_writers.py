"""Which scripts of a host and which programs write secrets? Each is followed as `interlock.facts.secret_writers` says."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from interlock.config.discover import is_aside
from interlock.errors import CouldNotLook
from interlock.facts.backup_writers import WriterScript
from interlock.facts.programs import Holder, Runs, Unreadable
from interlock.facts.pythoncode import NotPython
from interlock.facts.same_file import FileWriter, file_writers, may_close, may_replace
from interlock.facts.secret_writers import SecretWriters, may_write_secrets, may_write_secrets_in_python, secrets_in_python, secrets_in_shell
from interlock.observe.programs import dockerfiles, program, programs, sorted_files
from interlock.observe.script_acts import script_acts
from interlock.observe.sources import sources
from interlock.observe.world import World
from interlock.patterns import regex
from interlock.verdicts import Subject

_OF_DEVELOPERS = regex(r"(?:^|[/_.-])(?:dev|develop|development|devel|debug|sandbox)(?:[/_.-]|$)")
_TAKES_IN = regex(r"^[ \t]*(?:COPY|ADD)[ \t]+(?P<words>[^\n]+)", re.MULTILINE | re.IGNORECASE)
_OF_AN_IMAGE = ("/usr/", "/etc/", "/sbin", "/bin", "/docker", "/entrypoint", "$")
"""Where an image keeps what it runs itself; what it carries for a host lies elsewhere."""


def secret_writers(world: World, subject: Subject) -> SecretWriters:
    """All of a tree: the scripts that hosts run, and Python."""
    del subject  # one for the whole tree
    return world.once("secret writers", lambda: _whole(world))


def _whole(world: World) -> SecretWriters:
    found: list[WriterScript] = []
    unread: list[Unreadable] = []
    looked_at = 0
    inside = tuple(_in_images(world))
    for text in programs(world).shell:
        if text.runs is Runs.HOST and text.holder is Holder.SCRIPT and not _OF_DEVELOPERS.search(text.path) and not text.path.startswith(inside):
            looked_at += 1
            if may_write_secrets(text.text.encode("utf-8", "surrogateescape")):
                found.append(secrets_in_shell(text.path, text.text))
    for path in sorted_files(world).programs:
        if is_aside(path):
            continue
        looked_at += 1
        try:
            data = world.tree.read(path)
        except CouldNotLook:
            continue
        if may_write_secrets_in_python(data):
            code = program(world, path).code
            if isinstance(code, NotPython):
                unread.append(Unreadable(path=path, why=f"line {code.line} could not be read as Python: {code.why}"))
            else:
                found.append(secrets_in_python(path, code))
    return SecretWriters(
        scripts=tuple(script for script in found if script.writes or script.unread),
        looked_at=looked_at,
        unread=tuple(unread),
        programs=_of_one_file(world),
        acts=tuple(script for script in script_acts(world) if not script.inside and not script.path.startswith(inside)),
    )


def _of_one_file(world: World) -> tuple[FileWriter, ...]:
    """The functions that make a file private, and those that put the same file in its place otherwise. Only what names such a file is parsed."""
    readable = dict(_programs(world))
    closing = tuple(writer for path, data in readable.items() if may_close(data) for writer in _file_writers(world, path) if writer.private)
    names = frozenset(writer.name for writer in closing)
    loose = (writer for path, data in readable.items() if names and may_replace(data, names) for writer in _file_writers(world, path) if not writer.private)
    return (*closing, *(writer for writer in loose if writer.name in names))


def _programs(world: World) -> Iterator[tuple[str, bytes]]:
    for path in sorted_files(world).programs:
        if not is_aside(path):
            try:
                yield path, world.tree.read(path)
            except CouldNotLook:
                continue


def _file_writers(world: World, path: str) -> tuple[FileWriter, ...]:
    """Of one program; of one that cannot be parsed nothing, as its secrets are asked for elsewhere."""

    def read() -> tuple[FileWriter, ...]:
        code = program(world, path).code
        return () if isinstance(code, NotPython) else tuple(file_writers(path, code))

    return world.once(("writers of one file", path), read)


def _in_images(world: World) -> Iterator[str]:
    """The folders that images take in to run: what is written there stays in the container."""
    for path in dockerfiles(world):
        for found in _TAKES_IN.finditer(sources(world).text(path) or ""):
            words = [word for word in found["words"].split() if not word.startswith("--")]
            if len(words) > 1 and words[-1].startswith(_OF_AN_IMAGE):
                for word in words[:-1]:
                    folder = posixpath.normpath(word.rstrip("/*"))
                    if folder not in (".", "/", ""):
                        yield folder.lstrip("/") + "/"
                        yield posixpath.normpath(posixpath.join(posixpath.dirname(path), folder.lstrip("/"))) + "/"
