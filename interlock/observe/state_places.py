"""Which directories of a tree have a variable of their own, and which lines of its programs, scripts, units and compose files go past it?"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping

from interlock.config.discover import is_aside, is_of_others, is_test_name
from interlock.config.models import Site
from interlock.errors import CouldNotLook
from interlock.facts.programs import Holder, Runs, ShellText, Unreadable
from interlock.facts.pythoncode import NotPython
from interlock.facts.shell import Command, Text
from interlock.facts.state_places import (
    MARKS,
    Past,
    PathUse,
    Place,
    Read,
    StatePlaces,
    identifier_of,
    is_its_own,
    is_state,
    merged_places,
    places_of,
    reads_in_text,
    stands_in,
)
from interlock.facts.state_places_python import defaults_in_python, reads_in_python, uses_in_python
from interlock.facts.state_places_script import MARK, reads_in_script, uses_in_script
from interlock.facts.state_places_shell import uses_in_shell
from interlock.observe.programs import dockerfiles, program, programs, sorted_files
from interlock.observe.sources import sources
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_SCRIPT = regex(r"\.(?:m|c)?(?:js|ts)x?$")
_NO_SCRIPT = regex(r"\.(?:min|bundle|d|stories)\.|(?:^|/)(?:dist|build|static|public|assets|locales)/")
_TEXT_FILE = regex(r"(?:^|/)Caddyfile[\w.-]*$|\.(?:service|path|mount|timer)(?:\.(?:j2|tpl|in|template))?$|\.caddy$")
_MOUNT_CHECKS = {"mountpoint": 0, "findmnt": 0, "mount": 1, "umount": 0}
_STATE_WORD = regex(r"(?:^|[/_-])(?:state|data)(?:$|[/_-])")
_READS_STATE = regex(rb"(?:env\w*|get|str|path|config)\W{1,4}[\"']\w*STATE_?(?:DIR|DIRECTORY|PATH|ROOT|HOME|LOCATION|FOLDER)[\"']")
LARGEST_SCRIPT = 512 * 1024


def state_places(world: World, subject: Subject) -> StatePlaces:
    """Every place, and every line that goes past its variable."""
    del subject  # one for the whole tree
    return world.once("state places", lambda: _Looking(world).whole())


class _Looking:
    """One look at a tree."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shell = [text for text in programs(world).shell if text.runs is not Runs.ASIDE and text.holder is not Holder.WORKFLOW]
        files = sorted_files(world)
        self.pythons = [path for path in files.programs if not is_aside(path)]
        self.scripts = [path for path in sorted(files.every) if _SCRIPT.search(path) and self._is_ours(path) and not _NO_SCRIPT.search(path)]
        self.composes = _compose_files(world.site)
        self.unread: list[Unreadable] = []

    def _is_ours(self, path: str) -> bool:
        return not is_aside(path) and not is_of_others(posixpath.dirname(path)) and not is_test_name(posixpath.basename(path))

    def _data(self, path: str) -> bytes:
        try:
            return self.world.tree.read(path)
        except CouldNotLook:
            return b""

    def _text(self, path: str) -> str:
        return sources(self.world).text(path) or ""

    def whole(self) -> StatePlaces:
        """The places first, then who goes past them."""
        merged = merged_places((*self._declared(), *places_of(self._reads())))
        unnamed = () if any(is_state(place.variable) for place in merged) else tuple(self._unnamed())
        uses = [*self._uses(merged), *unnamed] if merged else list(unnamed)
        ordered = sorted(dict.fromkeys(uses), key=lambda use: (use.file, use.line, use.written))
        return StatePlaces(
            places=merged,
            uses=tuple(_innermost(ordered)),
            looked_at=len({text.path for text in self.shell}) + len(self.pythons) + len(self.scripts) + len(self.composes),
            unread=tuple(self.unread),
        )

    # ---- places

    def _declared(self) -> Iterator[Place]:
        declared = self.world.site.state_dir
        if declared is None or declared.default is None:
            return
        default, made_of = declared.default, []
        if found := re.fullmatch(r"\$\{(\w+)\}/([\w./-]+)", default):
            made_of.append((found[1], posixpath.normpath(found[2])))
            default = default.replace("${" + found[1] + "}", declared.values.get(found[1], ""))
        literals = [posixpath.normpath(default)] if default.startswith("/") and is_its_own(default) else []
        if is_state(declared.variable) and (literals or made_of):
            yield Place(variable=declared.variable, literals=tuple(literals), made_of=tuple(made_of))

    def _reads(self) -> Iterator[Read]:
        seen: set[str] = set()
        for path in (*(text.path for text in self.shell), *dockerfiles(self.world), *self.composes):
            if path not in seen and _may_name(self._data(path)):
                seen.add(path)
                yield from reads_in_text(path, self._text(path))
        for path in self.pythons:
            if not _may_name(data := self._data(path)) or b"env" not in data:
                continue
            yield from defaults_in_python(path, data)
            if _READS_STATE.search(data):
                code = program(self.world, path).code
                if not isinstance(code, NotPython):
                    yield from reads_in_python(path, code)
        for path in self.scripts:
            data = self._data(path)
            if len(data) <= LARGEST_SCRIPT and _may_name(data) and MARK.search(data):
                yield from reads_in_script(path, data.decode("utf-8", "replace"))

    # ---- who goes past them

    def _uses(self, places: tuple[Place, ...]) -> Iterator[PathUse]:
        tells, tells_in_python, tells_in_script = _telling(places), _telling_in_program(places, rb"[\"']"), _telling_in_program(places, rb"[\"'`]")
        for text in self.shell:
            if tells(self._data(text.path)):
                yield from uses_in_shell(text.path, text.script, _for_shell(text, places))
        for path in self.pythons:
            if tells_in_python(self._data(path)):
                code = program(self.world, path).code
                if isinstance(code, NotPython):
                    self.unread.append(Unreadable(path=path, why=f"line {code.line} could not be read as Python: {code.why}"))
                else:
                    yield from uses_in_python(path, code, places)
        for path in self.scripts:
            data = self._data(path)
            if len(data) <= LARGEST_SCRIPT and tells_in_script(data):
                yield from uses_in_script(path, data.decode("utf-8", "replace"), places)
        state = tuple(place for place in places if is_state(place.variable))
        if state:
            yield from self._texts(state)

    def _texts(self, places: tuple[Place, ...]) -> Iterator[PathUse]:
        """Compose files, where a bind comes from; units and the configuration of web servers, line by line."""
        for path in self.composes:
            for number, line in enumerate(self._text(path).splitlines(), start=1):
                found = re.match(r"\s*-\s*[\"']?(?P<source>/[^:\"'\s$]+):/", line) or re.match(
                    r"\s*(?:-\s*)?(?:source|device):\s*[\"']?(?P<source>/[^\"'\s$]+)", line
                )
                for place in places:
                    if found and place.literal_in(posixpath.normpath(found["source"])):
                        yield PathUse(file=path, line=number, written=posixpath.normpath(found["source"]), how=Past.LITERAL, place=place)
        for path in self.world.tree.listing():
            if _TEXT_FILE.search(path) and self._is_ours(path):
                for number, line in enumerate(self._text(path).splitlines(), start=1):
                    if line.lstrip().startswith(("#", ";")) or re.match(r"\s*(?:Exec\w+|Description|Documentation|Environment)\s*=", line):
                        continue
                    for place in places:
                        for literal in place.literals:
                            for _, written in stands_in(literal, line):
                                yield PathUse(file=path, line=number, written=written, how=Past.LITERAL, place=place)

    # ---- a disk that no variable names

    def _unnamed(self) -> Iterator[PathUse]:
        """A directory of state that a script mounts or looks for by its literal path, and that a second script or unit names as well."""
        hosts = [text for text in self.shell if text.runs is Runs.HOST]
        mounted = {
            _mounted(command) for text in hosts if b"mount" in self._data(text.path) or b"findmnt" in self._data(text.path) for command in text.commands()
        }
        for path in sorted(mounted - {""}):
            place = Place(variable="", literals=(path,))
            uses = [use for text in hosts if path.encode() in self._data(text.path) for use in uses_in_shell(text.path, text.script, (place,))]
            if len({use.file for use in uses}) > 1:
                yield from (PathUse(file=use.file, line=use.line, written=use.written, how=Past.UNNAMED, place=place) for use in uses)


def _mounted(command: Command) -> str:
    """The literal directory of state that a command mounts, or asks the mount of."""
    words = [word.literal for word in command.words]
    name = posixpath.basename(words[0] or "") if words else ""
    if name not in _MOUNT_CHECKS:
        return ""
    last = command.words[-1]
    path = "".join(part.text for part in last.parts if isinstance(part, Text)) if last.literal else ""
    return posixpath.normpath(path) if is_its_own(path) and _STATE_WORD.search(path) else ""


def _compose_files(site: Site) -> tuple[str, ...]:
    return site.compose.files if site.compose is not None else ()


def _may_name(data: bytes) -> bool:
    return any(mark in data for mark in MARKS)


def _for_shell(text: ShellText, places: tuple[Place, ...]) -> tuple[Place, ...]:
    """Inside an image a path is the image's own, but for state, which the same variable moves there."""
    return tuple(place for place in places if is_state(place.variable)) if text.runs is Runs.IMAGE else places


def _telling(places: tuple[Place, ...]) -> Callable[[bytes], bool]:
    """Whether a shell script needs to be followed: it holds a whole path, or the rest of one behind a reference."""
    literals = [literal.encode() for place in places for literal in place.literals]
    rests = [rest.encode() for place in places for _, rest in place.made_of]
    return lambda data: any(literal in data for literal in literals) or any(rest in data for rest in rests)


def _telling_in_program(places: tuple[Place, ...], quotes: bytes) -> Callable[[bytes], bool]:
    """Whether a program is worth parsing: a text in it begins with a whole path, or it joins the last part of one to something and names the variable that
    the path is made of."""
    literals = [re.compile(quotes + re.escape(literal.encode())) for place in places for literal in place.literals]
    parts = [
        (
            identifier_of(other).replace("_", "").encode(),
            re.compile(rb"(?:/\s*[\"']|\}/|(?:join|resolve|joinpath|Path)\([^\n]*[\"'])" + re.escape(rest.partition("/")[0].encode()) + rb"[\"'`/]"),
        )
        for place in places
        for other, rest in place.made_of
    ]

    def tells(data: bytes) -> bool:
        if any(literal.search(data) for literal in literals):
            return True
        return any(rest.search(data) and other in data.lower().replace(b"_", b"") for other, rest in parts)

    return tells


def _innermost(uses: list[PathUse]) -> Iterator[PathUse]:
    """One finding for each path of a line, though two places may hold it."""
    seen: set[tuple[str, int, str]] = set()
    for use in uses:
        if (use.file, use.line, use.written) not in seen:
            seen.add((use.file, use.line, use.written))
            yield use


OBSERVERS: Mapping[str, Observer] = {"state_dir.single_source": Observer(see=state_places)}
