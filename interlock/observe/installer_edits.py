"""Which edits of a tree's scripts have their template in the same tree, and does it still have what they look for?"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from interlock.config.discover import is_of_others
from interlock.errors import CouldNotLook
from interlock.facts.anchors import Anchor, Anchors, is_found, near
from interlock.facts.installer_edits import OWN, UNKNOWN, FileEdit, candidates, edited, made_from
from interlock.facts.programs import Holder, Runs, ShellText, Unreadable
from interlock.facts.text_edits import ANYTHING, Edit
from interlock.observe.programs import programs
from interlock.observe.sources import sources
from interlock.observe.world import Observer, World
from interlock.patterns import regex
from interlock.verdicts import Subject

_EDITS = regex(r"\bg?sed\b[^\n]*?(?:[ \t]-[a-zA-Z]*i|--in-place|>)|\bsed[ \t]+\\\n|\bperl[ \t]+-")
_EDITING_LINE = regex(r"^\s*#|\b(?:sed|perl|grep|awk)\b")
_MOST_TEMPLATES = 40


def anchors(world: World, _subject: Subject) -> Anchors:
    """The edits of every script, each beside its templates."""
    found = programs(world)
    listing = tuple(path for path in world.tree.listing() if not is_of_others(posixpath.dirname(path)))
    editing = [text for text in found.shell if text.runs is not Runs.ASIDE and _EDITS.search(text.text)]
    every = tuple(anchor for text in editing for anchor in _Looking(world, text, listing).anchors())
    templates = dict.fromkeys(path for anchor in every for path in anchor.templates)
    unread = (*(one for one in found.unreadable if _may_edit(world, one.path)), *(one for path in templates if (one := _unread(world, path))))
    return Anchors(scripts=len(found.scripts()), anchors=every, unread=unread)


def _may_edit(world: World, path: str) -> bool:
    """Whether a script that is no text says something of an edit, as far as anybody can see."""
    try:
        return _EDITS.search(world.tree.read(path).decode("utf-8", "replace")) is not None
    except CouldNotLook:
        return True


def _unread(world: World, path: str) -> Unreadable | None:
    """A template that cannot be read."""
    try:
        world.tree.read(path)
    except CouldNotLook as error:
        return Unreadable(path=path, why=error.sentence)
    return None


class _Looking:
    """One look at the edits of one script."""

    def __init__(self, world: World, text: ShellText, listing: Sequence[str]) -> None:
        self.world = world
        self.text = text
        self.listing = listing
        self.edits = tuple(edited(text))
        self.made: Mapping[str, tuple[str, ...]] = made_from(text) if self.edits else {}
        self.own = tuple(line for line in text.text.splitlines() if not _EDITING_LINE.search(line))

    def anchors(self) -> Iterator[Anchor]:
        """The edits whose templates are known, and that nothing guards."""
        for edit in self.edits:
            templates = () if edit.guarded else self._templates(edit.target)
            if templates:
                yield from self._of(edit, templates)

    def _of(self, edit: FileEdit, templates: Sequence[str]) -> Iterator[Anchor]:
        lines = [(sources(self.world).text(path) or "").splitlines() for path in templates]
        others = [one.written.replace(ANYTHING, "x") for other in self.edits if other.target == edit.target and other is not edit for one in other.edits or ()]
        for one in edit.edits or ():
            if (one.verb == "d" and not self._is_fresh(edit.target)) or self._is_clouded(edit):
                continue  # what an older release left is taken away; nobody knows what is there by now
            found = is_found(one, lines, (*self.own, *others))
            yield Anchor(
                path=self.text.path,
                line=edit.line,
                sought=one.shown.replace(ANYTHING, "..."),
                target=edit.target,
                verb=one.verb,
                templates=tuple(templates),
                found=found,
                near="" if found else self._near(one, templates, lines),
            )

    def _near(self, edit: Edit, templates: Sequence[str], every: Sequence[Sequence[str]]) -> str:
        for path, lines in zip(templates, every, strict=True):
            line = near(edit, edit.shown.replace(ANYTHING, ""), lines)
            if line is not None:
                return f"{path}:{line}" if line else path
        return ""

    def _is_clouded(self, edit: FileEdit) -> bool:
        """Whether an earlier edit of the same file is one that nobody here can follow, or changes lines of every kind."""
        earlier = (other for other in self.edits if other.target == edit.target and other.line < edit.line)
        return any(other.edits is None or any(not re.search(r"\w{3}", one.shown) for one in other.edits) for other in earlier)

    def _is_fresh(self, target: str) -> bool:
        """Whether the script itself puts the template there."""
        return any(source not in (OWN, UNKNOWN) for source in self.made.get(target, ()))

    def _templates(self, target: str) -> tuple[str, ...]:
        """The files of the tree that the target is made from, or that it is; none where one of them cannot be named."""
        made = [source for source in self.made.get(target, ()) if source != OWN]
        if OWN in self.made.get(target, ()) and not made:
            return ()
        if not made:
            return self._tracked(target)
        found: list[str] = []
        for source in made:
            fitting = candidates(source, self.text.path, self.listing) if source != UNKNOWN else ()
            if not fitting:
                return ()
            found += fitting
        return tuple(dict.fromkeys(found)) if len(found) <= _MOST_TEMPLATES else ()

    def _tracked(self, target: str) -> tuple[str, ...]:
        """The target itself, where it is a file of the tree."""
        if target.startswith("/") or "$" in target or "*" in target:
            return ()
        home = posixpath.dirname(self.text.path)
        places = (target,) if self.text.holder in (Holder.WORKFLOW, Holder.MAKEFILE) else (posixpath.join(home, target), target)
        every = [path for path in dict.fromkeys(posixpath.normpath(place) for place in places) if path in self._every()]
        return tuple(every)

    def _every(self) -> frozenset[str]:
        return self.world.once("every file", lambda: frozenset(self.world.tree.listing()))


OBSERVERS: Mapping[str, Observer] = {"templates.installer_anchors": Observer(see=anchors)}
