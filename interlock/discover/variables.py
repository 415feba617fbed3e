"""Which variable says where state lives, on which disk is it, and where on a host do the stack and its backups lie? From scripts, units, env files and
compose files, by their text: what a line does not say to its end is left out.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import NamedTuple

from interlock.discover.composed import Composition
from interlock.nouns import dataclass
from interlock.patterns import regex

_STATE_NAME = regex(r"(?:[A-Z][A-Z0-9]*_)*(?:STATE|DATA)_?(?:DIR|DIRECTORY|PATH|ROOT|HOME|LOCATION)")
_WORDS = ("STATE", "DATA")
_NAMED = regex(r"(?<![A-Za-z0-9_])((?:[A-Z][A-Z0-9]*_)*(?:STATE|DATA)_?(?:DIR|DIRECTORY|PATH|ROOT|HOME|LOCATION))(?![A-Za-z0-9_])")
_PLAIN_PATH = regex(r"(?:/|\./)?[\w.@%+-]+(?:/[\w.@%+-]+)*/?|/")
_ASSIGNED = regex(r"^[ \t]*(?:export[ \t]+|readonly[ \t]+|local[ \t]+|Environment=)?\"?([A-Za-z_]\w*)=[\"']?([^\s\"';]*)", re.MULTILINE)
_DEFAULTED = regex(r"\$\{([A-Za-z_]\w*):?[-=]([^{}]*)\}")
_REFERENCE = regex(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_FSTAB = regex(r"(?<![\w/])((?:LABEL|UUID|PARTUUID|PARTLABEL)=[\w.:-]+|/dev/[\w/.:-]+)[ \t]+(/[\w./-]+)[ \t]+(ext[234]|xfs|btrfs|zfs|f2fs|auto)(?![\w])")
_MOUNT_COMMAND = regex(r"\bmount[ \t]+(?:-\S+[ \t]+(?:\S+[ \t]+)?)*[\"']?((?:LABEL|UUID)=[\w.-]+|/dev/[\w/.:-]+)[\"']?[ \t]+[\"']?(/[\w./-]+)")
_WHAT, _WHERE, _TYPE = (regex(rf"^{key}=(\S+)", re.MULTILINE) for key in ("What", "Where", "Type"))
_STACK_FILE = regex(
    r"(?<![\w$}/.:-])(/(?:opt|srv|home|root|var|usr/local|data|mnt|apps?)(?:/[\w.@-]+)+)/(?:\.env|docker-compose[\w.-]*\.ya?ml|compose[\w.-]*\.ya?ml)(?![\w.-])"
)
_WORKING_DIRECTORY = regex(r"^WorkingDirectory=(/[\w./@-]+)", re.MULTILINE)
_BACKUP_DIR = regex(
    r"^[ \t]*(?:export[ \t]+|readonly[ \t]+)?\w+=[\"']?(?:\$\{\w+:?[-=])?((?:/[\w.-]+)*/[\w-]*backups?[\w-]*)(?:/[\w-]+)*/?[\"'}]*[ \t]*(?:#.*)?$", re.MULTILINE
)


_NO_DISK_OF_STATE = ("/", "/boot", "/boot/efi", "/mnt", "/tmp")  # noqa: S108, mountpoints of others
_NO_REAL_PLACE = ("example", "path/to", "/tmp", "your")  # noqa: S108, what pages say instead of a directory


class Text(NamedTuple):
    """A file that may say it, as text."""

    path: str
    content: str

    def at(self, offset: int) -> str:
        """`file:line` of an offset."""
        return f"{self.path}:{self.content.count(chr(10), 0, offset) + 1}"


class Known(NamedTuple):
    """A value, and where it stands."""

    value: str
    at: str


@dataclass(slots=True, kw_only=True)
class Readers:
    """Every place that reads or sets one variable."""

    defaults: list[Known] = field(default_factory=list)  # what a reader takes when it is not set
    assigned: list[Known] = field(default_factory=list)  # what a script or unit sets it to
    set_in: list[Known] = field(default_factory=list)  # env files
    suggested: list[Known] = field(default_factory=list)  # env files, commented out
    scripts: list[Known] = field(default_factory=list)  # scripts and units that take its value: their path, and the first place
    services: list[Known] = field(default_factory=list)  # compose services that get it, with its place
    inside: list[Known] = field(default_factory=list)  # what compose files set it to, in the container
    sources: list[tuple[str, str, Known]] = field(default_factory=list)  # binds from it: service, target, default

    @property
    def where(self) -> Iterator[str]:
        """Every place, the most telling first."""
        for found in (self.services, self.scripts, self.defaults, self.set_in, self.assigned, self.suggested):
            yield from (known.at for known in found)
        yield from (default.at for _, _, default in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateVariable:
    """The variable that says where state lives. `default` as readers write it, with `values` for its other variables; `path` what it comes to, empty
    where nothing says it."""

    name: str
    at: str
    default: Known | None
    values: Mapping[str, Known]
    path: Known | None
    env_file: Known | None
    container_path: Known | None
    services: tuple[Known, ...]
    readers: tuple[Known, ...]


def state_variable(scripts: Sequence[Text], env_files: Sequence[Text], composition: Composition | None, directory: str) -> StateVariable | None:
    """The one that the host's scripts and compose agree on best: of state before data. None when no variable of a directory on the host is found."""
    readers = _readers(scripts, env_files, composition)
    best = max(readers.items(), key=lambda named: _weight(*named), default=None)
    if best is None or _weight(*best) == (0, 0, 0):
        return None
    return _described(*best, readers, directory)


def _weight(name: str, found: Readers) -> tuple[int, int, int]:
    """How likely this is the variable: it names a directory of the host, is about state, and has many readers."""
    on_host = bool(found.scripts and (found.defaults or found.set_in)) or bool(found.sources)  # what a script sets itself is a constant of its own
    if not on_host:
        return (0, 0, 0)
    return (2 if "STATE" in name else 1, len(found.scripts) + len(found.sources) + len(found.services), -len(name))


def _readers(scripts: Sequence[Text], env_files: Sequence[Text], composition: Composition | None) -> dict[str, Readers]:
    found: dict[str, Readers] = {}
    for text in scripts:
        _read_script(text, found)
    for text in env_files:
        _read_env_file(text, found)
    if composition is not None:
        _read_composition(composition, found)
    return found


def _read_script(text: Text, found: dict[str, Readers]) -> None:
    if not any(word in text.content for word in _WORDS):
        return
    for number, line in enumerate(text.content.splitlines(), start=1):
        if not any(word in line for word in _WORDS) or line.lstrip().startswith("#"):
            continue
        at = f"{text.path}:{number}"
        for match in _DEFAULTED.finditer(line):
            if _STATE_NAME.fullmatch(match[1]):
                readers = found.setdefault(match[1], Readers())
                _add_once(readers.scripts, Known(text.path, at))
                if _is_path(match[2]):
                    readers.defaults.append(Known(match[2], at))
        for match in _REFERENCE.finditer(line):
            if _STATE_NAME.fullmatch(name := match[1] or match[2]):
                _add_once(found.setdefault(name, Readers()).scripts, Known(text.path, at))
        for match in _ASSIGNED.finditer(line):
            if _STATE_NAME.fullmatch(match[1]) and match[2].startswith("/") and _is_path(match[2]):
                found.setdefault(match[1], Readers()).assigned.append(Known(match[2], at))


def _add_once(known: list[Known], new: Known) -> None:
    if all(one.value != new.value for one in known):
        known.append(new)


def _is_path(text: str) -> bool:
    """A whole path, as far as it can be known: what begins at the stack's own folder is compose's affair alone."""
    return text.startswith(("/", "$")) and re.fullmatch(r"[\w./${}@%+-]+", text) is not None


def _read_env_file(text: Text, found: dict[str, Readers]) -> None:
    for number, line in enumerate(text.content.splitlines(), start=1):
        match = re.match(r"[ \t]*(#?)[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)=[\"']?([^\s\"'#]*)", line)
        if match and _STATE_NAME.fullmatch(match[2]) and _is_path(match[3]):
            readers = found.setdefault(match[2], Readers())
            (readers.suggested if match[1] else readers.set_in).append(Known(match[3], f"{text.path}:{number}"))


def _read_composition(composition: Composition, found: dict[str, Readers]) -> None:
    for service in composition.services.values():
        for name, (value, at) in service.environment.items():
            if _STATE_NAME.fullmatch(name):
                readers = found.setdefault(name, Readers())
                readers.services.append(Known(service.name, at))
                if value and value.startswith("/") and _is_path(value):
                    readers.inside.append(Known(value, at))
        for mount in service.mounts.values():
            if _STATE_NAME.fullmatch(mount.variable) and not mount.named:
                found.setdefault(mount.variable, Readers()).sources.append((service.name, mount.target, Known(mount.source, mount.at)))


def _described(name: str, found: Readers, every: Mapping[str, Readers], directory: str) -> StateVariable:
    places = list(found.where)
    set_by = next(iter(found.set_in), None)
    default = next(iter(found.defaults), None) or next((known for _, _, known in found.sources if known.value and "$" not in known.value), None)
    values: dict[str, Known] = {}
    if default is not None:
        default, values = _in_terms_of_others(name, default, every)
    default = default or set_by  # nobody takes anything else: without it they take nothing
    known = set_by or next(iter(found.assigned), None)
    path = _absolute(known, directory) if known else _absolute(_resolved(default, values), directory) if default else None
    targets = {target for _, target, _ in found.sources}
    binds = [Known(service, source.at) for service, _, source in found.sources]
    services = {known.value: known for known in (*found.services, *binds)}
    return StateVariable(
        name=name,
        at=places[0],
        default=default,
        values=values,
        path=path,
        env_file=set_by,
        container_path=Known(next(iter(targets)), found.sources[0][2].at) if len(targets) == 1 else None,
        services=tuple(services.values()),
        readers=tuple(found.scripts),
    )


def _in_terms_of_others(name: str, default: Known, every: Mapping[str, Readers]) -> tuple[Known, dict[str, Known]]:
    """`/data/state` as `${DATA_DIR}/state`, where another of these variables is `/data` to everybody else."""
    for other, readers in sorted(every.items()):
        for known in (*readers.defaults, *readers.inside, *readers.assigned):
            above = known.value.rstrip("/")
            if other != name and above and default.value.startswith(above + "/"):
                return Known("${" + other + "}" + default.value[len(above) :], default.at), {other: Known(above, known.at)}
    return default, {}


def _resolved(default: Known, values: Mapping[str, Known]) -> Known:
    text = default.value
    for name, known in values.items():
        text = text.replace("${" + name + "}", known.value)
    return Known(text, default.at)


def _absolute(known: Known, directory: str) -> Known | None:
    """A path of the host; a relative one lies below the stack's directory. None for what holds a variable."""
    if "$" in known.value or not _PLAIN_PATH.fullmatch(known.value):
        return None
    path = posixpath.normpath(posixpath.join(directory, known.value))
    return Known(path, known.at) if path.startswith("/") and ".." not in path.split("/") else None


# ---- disks


class DiskLine(NamedTuple):
    """A line that mounts a device."""

    device: str
    fstype: str
    at: str


def disks(scripts: Iterable[Text], units: Iterable[Text], fstabs: Iterable[Text]) -> dict[str, DiskLine]:
    """What is mounted where, by lines of fstab wherever they are written, mount commands and mount units; the first place that says it counts."""
    found: dict[str, DiskLine] = {}
    for text in (*fstabs, *scripts):
        if "mount" not in text.content and "fstab" not in text.content and "fstab" not in text.path:
            continue
        content = _with_variables(text.content)
        for match in _FSTAB.finditer(content):
            if not content[: match.start()].rpartition("\n")[2].lstrip().startswith("#"):
                found.setdefault(posixpath.normpath(match[2]), DiskLine(match[1], "" if match[3] == "auto" else match[3], _at(text, content, match.start())))
        for match in _MOUNT_COMMAND.finditer(content):
            found.setdefault(posixpath.normpath(match[2]), DiskLine(match[1], "", _at(text, content, match.start())))
    for unit in units:
        what, where, kind = (pattern.search(unit.content) for pattern in (_WHAT, _WHERE, _TYPE))
        if what and where and unit.path.endswith(".mount"):
            device = what[1].removeprefix("/dev/disk/by-label/") if what[1].startswith("/dev/disk/by-label/") else ""
            found.setdefault(where[1], DiskLine(f"LABEL={device}" if device else what[1], kind[1] if kind else "", unit.at(what.start())))
    return {mountpoint: line for mountpoint, line in found.items() if mountpoint not in _NO_DISK_OF_STATE}


def _with_variables(content: str) -> str:
    """The text with its own plain assignments filled in; lines stay lines."""
    known = {match[1]: match[2] for match in _ASSIGNED.finditer(content) if match[2] and "$" not in match[2] and "`" not in match[2]}
    known |= {match[1]: match[2] for match in _DEFAULTED.finditer(content) if match[2].startswith("/") and "$" not in match[2]}
    filled = _DEFAULTED.sub(lambda match: known.get(match[1], match[0]), content)
    return _REFERENCE.sub(lambda match: known.get(match[1] or match[2], match[0]), filled).replace('"', "")


def _at(text: Text, content: str, offset: int) -> str:
    return f"{text.path}:{content.count(chr(10), 0, offset) + 1}"


# ---- directories of the host


def stack_directory(texts: Iterable[Text]) -> Known | None:
    """Where on a host the stack's compose files and `.env` lie: the directory that is named in most files, the first of its places."""
    count: Counter[str] = Counter()
    first: dict[str, str] = {}
    for text in texts:
        if "/.env" not in text.content and "compose" not in text.content and "WorkingDirectory=" not in text.content:
            continue
        for directory, offset in {match[1]: match.start() for pattern in (_STACK_FILE, _WORKING_DIRECTORY) for match in pattern.finditer(text.content)}.items():
            plain = posixpath.normpath(directory)
            if not any(word in plain.lower() for word in _NO_REAL_PLACE):
                count[plain] += 1
                first.setdefault(plain, text.at(offset))
    if not count:
        return None
    best = min(count, key=lambda directory: (-count[directory], len(directory), directory))
    return Known(best, first[best])


def backups_root(scripts: Iterable[Text]) -> Known | None:
    """The directory that scripts write backups to, where one says it."""
    for text in scripts:
        if "backup" in text.content and (match := _BACKUP_DIR.search(text.content)):
            return Known(posixpath.normpath(match[1]), text.at(match.start()))
    return None
