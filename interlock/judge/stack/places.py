"""Which compose files are judged, and what do the findings in one of them come to, over all chains that hold it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from interlock.config.models import Site
from interlock.facts.placed import FileOfChains, Found, PlacedChain
from interlock.judge.tree import found
from interlock.verdicts import Broken, Detail, Held, Outcome, Subject, Unproven


def compose_files(site: Site) -> Sequence[Subject]:
    """Each compose file of the site, named by its path."""
    return [Subject(name=path) for path in dict.fromkeys(site.compose.files)] if site.compose else []


def judge_places(file: FileOfChains, look: Callable[[PlacedChain], Iterable[Found]], *, held: str, remedy: str) -> Held | Broken | Unproven:
    """Held as the sentence `held` says when `look` finds nothing at any place of the file; a chain that could not be looked at is unproven."""
    return found((*details(file, look), *unread(file)), held=held, remedy=remedy)


def details(file: FileOfChains, look: Callable[[PlacedChain], Iterable[Found]]) -> Iterator[Detail]:
    """One broken detail for each finding."""
    for one in file.found(look):
        message = f"{one.place}: {one.message}"
        yield Detail(what=one.what, outcome=Outcome.BROKEN, kind=one.kind, message=message, file=one.place.file, line=one.place.line)


def unread(file: FileOfChains) -> Iterator[Detail]:
    """One unproven detail for each chain that could not be looked at."""
    for chain, why in file.unread:
        yield Detail(what=chain, outcome=Outcome.UNPROVEN, kind="could-not-look", message=f"the chain {chain}: {why}", file=file.path)
