"""Which subjects stand for a whole tree, and what do many findings in it come to?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from interlock.config.models import Site
from interlock.facts.programs import Unreadable
from interlock.verdicts import Broken, Detail, Held, Outcome, Subject, Unproven, in_short

SCRIPTS = "scripts"


def scripts(site: Site) -> Sequence[Subject]:
    """All scripts and programs of the tree together: one subject, and a detail for each finding."""
    return [Subject(name=SCRIPTS)] if site.scripts is not None else []


def unread(files: Iterable[Unreadable]) -> tuple[Detail, ...]:
    """Files that nobody could look into: nothing is proven about them."""
    return tuple(Detail(what=file.path, outcome=Outcome.UNPROVEN, kind="could-not-look", message=f"{file.path}: {file.why}", file=file.path) for file in files)


def found(details: Iterable[Detail], *, held: str, remedy: str, look: str = "let what judges read these files, or correct them") -> Held | Broken | Unproven:
    """What the findings of a tree come to: broken by one that is broken, else unproven by one that is unproven, else held as the sentence `held` says.

    `look` is the remedy of what could not be looked at.
    """
    every = tuple(details)
    broken = [detail for detail in every if detail.outcome is Outcome.BROKEN]
    if broken:
        return Broken(in_short(broken), remedy=remedy, kind=broken[0].kind, details=every)
    unproven = [detail for detail in every if detail.outcome is Outcome.UNPROVEN]
    if unproven:
        return Unproven(in_short(unproven), remedy=look, details=every)
    return Held(held, details=every)
