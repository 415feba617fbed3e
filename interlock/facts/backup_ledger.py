"""Which of the files that a script makes are sought, and how private was each at its birth? The book that both followers keep, shell and Python.

`interlock.facts.backup_shell` and `backup_python` know in which order things happen; this knows what follows from it. Sought are backups, unless a book is
kept of something else (`interlock.facts.secret_writers`).
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable
from dataclasses import field, replace

from interlock.facts.backup_tools import Emission, Made, Making, ModeChange, is_private_mode
from interlock.facts.backup_writers import (
    BackupWrite,
    Care,
    Followed,
    Language,
    Unread,
    WriterScript,
    below,
    goes_back,
    is_a_file,
    is_backup_of_state,
    is_secret_file,
    names_a_backup_file,
    says_backup,
)
from interlock.nouns import dataclass


@dataclass(slots=True, kw_only=True)
class Standing:
    """What is in force at one point of a script. `umask` is True when it is private, False when it is not, None when nothing set it.

    `private` are paths that were made so; those of them that are known to be directories are in `directories` too.
    """

    umask: bool | None = None
    umask_line: int = 0
    private: set[str] = field(default_factory=lambda: {"/root"})  # 0700 on every distribution
    directories: set[str] = field(default_factory=lambda: {"/root"})
    doubt: bool = False  # a umask may stand in text that could not be read

    def make_private(self, path: str, *, directory: bool = False) -> None:
        """What is written to this path from now on is private."""
        self.private.add(path)
        if directory:
            self.directories.add(path)

    def forget(self, path: str) -> None:
        """The path is removed, or opened."""
        self.private.discard(path)
        self.directories.discard(path)

    def apart(self) -> Standing:
        """The same, for a function that is entered from elsewhere."""
        return Standing(umask=self.umask, umask_line=self.umask_line, private=set(self.private), directories=set(self.directories), doubt=self.doubt)

    def covers(self, path: str) -> bool:
        """True when a path, or a directory above it, was made private before."""
        at = path
        while at not in ("", "/", "."):
            if at in self.private:
                return True
            at = posixpath.dirname(at)
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Where in a script something happens: its line, the function around it, and what is in force there."""

    line: int
    scope: str
    standing: Standing


@dataclass(slots=True, kw_only=True)
class _Found:
    """One write. `paths` are the names that its file had and has; `seen` is how private it was on each way through the script on which it was met."""

    target: Followed
    tool: str
    source: str
    at: At
    paths: set[str] = field(default_factory=set)
    seen: dict[int, tuple[Care, str]] = field(default_factory=dict)

    def write(self) -> BackupWrite:
        """As good as its worst."""
        care, because = max(self.seen.values(), key=lambda one: one[0].gravity)
        return BackupWrite(
            target=self.target.shown or self.target.written,
            written=self.target.written,
            tool=self.tool,
            scope=self.at.scope,
            line=self.at.line,
            care=care,
            because=because,
            source=self.source,
        )


class Backups:
    """What a book is kept of: backups of state. `any_output`: what ordinary programs print counts as content; `in_a_group`: a mode that shares with a group
    alone is private enough."""

    any_output = False
    in_a_group = False

    def is_one(self, made: Made, *, scope: str, script: str) -> bool:
        """True for a file that is a backup. `scope` is the function around the line, `script` the path of the file."""
        content = made.content
        if content.dump:
            return True
        inside_a_backup = (says_backup(scope) or says_backup(posixpath.basename(script))) and not goes_back(scope)
        if content.archive:
            return says_backup(made.target.names) or inside_a_backup
        if made.making.from_source and is_secret_file(content.source):
            return False
        return is_backup_of_state(content.source, made.target, whatever=inside_a_backup and made.making.heeds_umask)

    def is_named(self, target: Followed) -> bool:
        """True for a path that says itself that it is one."""
        return names_a_backup_file(target)

    def is_private_mode(self, mode: str) -> bool:
        """True for a mode, as it is written, that is private enough."""
        return is_private_mode(mode)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What is sought in one script. `name` is its path. A `way` is one pass through it from an entry: its top, or a function that only others call."""

    name: str
    language: Language
    seeks: Backups = field(default_factory=Backups)
    way: int = 0
    found: dict[tuple[str, str, str, int], _Found] = field(default_factory=dict)
    unread: dict[int, Unread] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)  # paths of all that the script makes, sought or not

    def enter(self) -> None:
        """Begin another way: what happens on it says nothing of the files of the others."""
        self.way += 1

    def _met(self) -> list[_Found]:
        """What was written on this way."""
        return [found for found in self.found.values() if self.way in found.seen]

    def made(self, made: Made, path: str, sources: Iterable[str], at: At) -> None:
        """A file comes into being at `path`, made from `sources`: a backup, the next name of one, or nothing to us."""
        sources, standing = tuple(sources), at.standing
        self.begun.add(path)
        from_private = bool(sources) and all(standing.covers(source) for source in sources)
        known = [found for found in self._met() if not found.paths.isdisjoint(sources)]
        if known and made.making is not Making.CREATED:
            for found in known:
                found.paths.add(path)
        if known or not is_a_file(made.target.path) or not self.seeks.is_one(made, scope=at.scope, script=self.name):
            if made.making.from_source and from_private:
                standing.make_private(path)
            return
        if standing.doubt:
            self.unread[at.line] = Unread(line=at.line, why="lines before it could not be read, and a umask may stand in them")
            return
        care, because = _care(made, path, standing, from_private=from_private)
        if care is Care.PRIVATE:
            standing.make_private(path)
        self._record(made.target, made.content, path, at, (care, because))

    def _record(self, target: Followed, content: Emission, path: str, at: At, seen: tuple[Care, str]) -> None:
        """Keep a write; it can be met again, in another call of its function."""
        key = (at.scope, content.tool, target.written, at.line)
        found = self.found.setdefault(key, _Found(target=target, tool=content.tool, source=content.source, at=at))
        found.paths.add(path)
        before = found.seen.get(self.way)
        if before is None or seen[0].gravity > before[0].gravity:
            found.seen[self.way] = seen

    def mode_set(self, target: Followed, path: str, change: ModeChange, at: At) -> None:
        """A mode is set on a path: it counts for what is written there later, and tells on what was written before.

        One that opens a file that is called a backup to all is a finding whoever writes the file.
        """
        if self.seeks.in_a_group and not change.private and not change.others:
            change = replace(change, private=True)
        if change.private:
            at.standing.make_private(path, directory=change.directory)
        else:
            at.standing.forget(path)
        touched = [found for found in self._met() if _reaches(path, found, change)]
        for found in touched:
            before = found.seen[self.way][0]
            care = _after_mode(before, change)
            if care is not before:
                found.seen[self.way] = (care, f"the chmod of line {at.line}")
        if change.opens_file and not touched and is_a_file(path) and self.seeks.is_named(target):
            self._record(target, Emission(tool="chmod"), path, at, (Care.WIDENED, f"the chmod of line {at.line}"))

    def script(self) -> WriterScript:
        """What was found, in the order of the lines."""
        writes = sorted((found.write() for found in self.found.values()), key=lambda write: (write.line, write.target, write.tool))
        return WriterScript(path=self.name, language=self.language, writes=tuple(writes), unread=tuple(self.unread[line] for line in sorted(self.unread)))


def _care(made: Made, path: str, standing: Standing, *, from_private: bool) -> tuple[Care, str]:
    if made.private:
        return Care.PRIVATE, f"{made.content.tool} sees to it"
    # what keeps the mode of its source puts it over the mode of a file that was there; only the directory helps
    if standing.covers(path if made.making.heeds_umask or path in standing.directories else posixpath.dirname(path)):
        return Care.PRIVATE, "made so before, or its directory"
    if made.making.from_source and from_private:
        return Care.PRIVATE, "as its source is"
    if made.making.heeds_umask and standing.umask:
        return Care.PRIVATE, f"umask of line {standing.umask_line}"
    if made.making is Making.MOVED:
        return Care.MODE_INHERITED, ""
    return Care.NO_UMASK, ""


def _reaches(path: str, found: _Found, change: ModeChange) -> bool:
    """Whether a mode set on `path` says something of a file that was made: of the file itself, or by closing a directory above it."""
    return any(_matches(path, one) or (below(one, path) and (change.recursive or change.private)) for one in found.paths)


def _after_mode(care: Care, change: ModeChange) -> Care:
    """What a write comes to when a mode is set later."""
    if change.private:
        if care is Care.NO_UMASK:
            return Care.CHMOD_AFTER
        return Care.PRIVATE if care in (Care.MODE_INHERITED, Care.WIDENED) else care
    return Care.WIDENED if care in (Care.PRIVATE, Care.CHMOD_AFTER) else care


def _matches(pattern: str, path: str) -> bool:
    return pattern == path or (any(mark in pattern for mark in "*?") and fnmatch.fnmatchcase(path, pattern.replace("[", "[[]")))
